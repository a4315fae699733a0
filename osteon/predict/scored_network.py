"""A classifier that also gives what its head sees: one pass for the score and for the distance from training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.errors import InputError
from osteon.nets.anatomy import split_head

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ScoredNetwork", "with_features"]


class ScoredNetwork(nn.Module):
    """Images (n, channel, row, column) to logits (n, class) and pooled features (n, d). It shares the weights."""

    def __init__(self, network: nn.Module) -> None:
        """Divide a network of the registry into body and head."""
        super().__init__()
        self.body, self.head = split_head(network)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Run the body once."""
        features = self.body(images)
        return self.head(features), features


def with_features(network: nn.Module) -> nn.Module:
    """The network with its pooled features as a second output; the network itself when it is none of the registry's."""
    try:
        return ScoredNetwork(network)
    except InputError:
        return network
