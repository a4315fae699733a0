"""Which networks can be asked where they looked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon._optional import has_package
from osteon.data import Notice
from osteon.errors import InputError
from osteon.weights import load_networks

if TYPE_CHECKING:
    from torch import nn

    from osteon.weights import ModelCard

__all__ = ["networks_to_explain"]

_NO_TORCH = Notice(
    "no-heat-maps",
    "Heat maps of where the model looked were not made: they need torch, which is not installed.",
    level="info",
)
_NO_MAP = Notice(
    "no-heat-maps",
    "Heat maps of where the model looked were not made: its network ends in no feature map, as a transformer.",
    level="info",
)


def networks_to_explain(card: ModelCard | None) -> tuple[tuple[nn.Module, ...], tuple[Notice, ...]]:
    """The networks of a card, for Grad-CAM.

    Returns:
        None of them, and a notice that says why, where torch is missing or a network ends in no feature map; nothing at
        all without a card.

    Raises:
        WeightsError: see ``osteon.weights.load_network``.
    """
    if card is None:
        return (), ()
    if not has_package("torch"):
        return (), (_NO_TORCH,)
    from osteon.nets.anatomy import last_feature_map_module

    networks = tuple(load_networks(card))
    try:
        last_feature_map_module(networks[0])
    except InputError:
        return (), (_NO_MAP,)
    return networks, ()
