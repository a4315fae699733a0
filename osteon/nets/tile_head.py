"""The head of a classifier of histology tiles."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, cast

from torch import nn

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["HIDDEN_UNITS", "TileHead"]

HIDDEN_UNITS = 100
"""Width of the layer between pooling and classes."""


class TileHead(nn.Sequential):
    """Pooled features (n, d) to logits (n, classes): dense 100, ReLU, dense; Keras' start (Glorot uniform, bias 0).

    Attributes:
        in_features: length of the pooled feature.

    References:
        specs/histology.md, section 2. Glorot and Bengio 2010, proceedings.mlr.press/v9/glorot10a.html
    """

    def __init__(self, features: int, classes: int) -> None:
        """Random weights from torch's global generator.

        Args:
            features: length of the pooled feature.
            classes: length of the output.
        """
        hidden, last = nn.Linear(features, HIDDEN_UNITS), nn.Linear(HIDDEN_UNITS, classes)
        for layer in (hidden, last):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        super().__init__(OrderedDict(hidden=hidden, relu=nn.ReLU(), classes=last))
        self.in_features = features

    @property
    def bias(self) -> Tensor:
        """Of the classes, as of a linear head."""
        return cast("nn.Linear", self.get_submodule("classes")).bias
