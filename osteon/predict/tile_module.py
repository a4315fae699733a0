"""Tile networks as they are run: 8-bit pictures in, what all members say out, in one graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.errors import InputError
from osteon.nets.anatomy import split_head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["TileModule"]


class TileModule(nn.Module):
    """Tiles (n, row, column, 3) uint8 to logits (n, members * classes) and pooled features (n, members * d).

    Members of a frozen base differ in their heads alone: a base that several have in common is run once.

    Attributes:
        bases: networks without their heads, one a member; of equal ones the first is run.
        heads: one a member.
    """

    def __init__(self, networks: Sequence[nn.Module], *, minimum: float = 0.0, maximum: float = 1.0) -> None:
        """Take over networks; they are put into evaluation mode.

        Args:
            networks: members, as ``osteon.nets.build_network`` makes them: (n, 3, row, column) to (n, class).
            minimum: what 0 becomes before the networks see it.
            maximum: what 255 becomes.

        Raises:
            InputError: no network, or one that is none of the registry's kind.
        """
        super().__init__()
        if not networks:
            raise InputError("tiles were to be classified by no network; at least one is needed")
        parts = [split_head(network) for network in networks]
        tensors = [_without_head(network, head) for network, (_, head) in zip(networks, parts, strict=True)]
        self._base_of = [next(i for i, other in enumerate(tensors) if _are_equal(own, other)) for own in tensors]
        self.bases = nn.ModuleList(base for base, _ in parts)
        self.heads = nn.ModuleList(head for _, head in parts)
        self._scale = (maximum - minimum) / 255.0
        self._offset = minimum
        self.eval()

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and pooled features, members side by side."""
        images = tiles.permute(0, 3, 1, 2).to(torch.float32) * self._scale + self._offset
        each = {index: self.bases[index](images) for index in set(self._base_of)}
        features = [each[index] for index in self._base_of]
        logits = [head(rows) for head, rows in zip(self.heads, features, strict=True)]
        return torch.cat(logits, dim=1), torch.cat(features, dim=1)


def _without_head(network: nn.Module, head: nn.Module) -> dict[str, Tensor]:
    """What decides the features of a network."""
    of_head = {id(value) for value in head.parameters()}
    named = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {name: value for name, value in named.items() if id(value) not in of_head}


def _are_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    if one.keys() != other.keys():
        return False
    return all(value is other[name] or torch.equal(value, other[name]) for name, value in one.items())
