"""The golden case of a classifier of histology tiles: tiles and the logits that its networks must give for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import WeightsError
from osteon.weights.files import read_verified

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from osteon.weights.card import ModelCard
    from osteon.weights.tiles import TileContract

__all__ = ["GoldenTiles", "check_golden_tiles", "golden_tiles", "require_tiles"]


@dataclass(frozen=True, slots=True)
class GoldenTiles:
    """Tiles and the output that the weights must give for them.

    Attributes:
        tiles: (n, row, column, 3) uint8 RGB, as the network is given them: stains are changed already.
        logits: (member, n, class) float32.
        probability: (n, class) float32, calibrated: the mean over members.
        member_probability: (member, n, class) float32.
    """

    tiles: NDArray[np.uint8] = field(repr=False)
    logits: NDArray[np.float32] = field(repr=False)
    probability: NDArray[np.float32] = field(repr=False)
    member_probability: NDArray[np.float32] = field(repr=False)


def require_tiles(card: ModelCard) -> TileContract:
    """The contract of a tile classifier's card.

    Raises:
        WeightsError: the model takes something else.
    """
    if card.tiles is None:
        raise WeightsError(
            f"{card.name} (task {card.task}) was asked for histology tiles; it takes other images: choose a model of "
            "the task histology (osteon models list)"
        )
    return card.tiles


def golden_tiles(card: ModelCard) -> GoldenTiles:
    """The golden tiles of a model and their output; the file is verified first. Does not import torch.

    Raises:
        WeightsError: the file is missing, was changed, or does not fit the card; or the card is not of tiles.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    contract = require_tiles(card)
    data = read_verified(card.name, card.golden)
    try:
        tensors = load(data)
        tiles, logits = tensors["tiles"], tensors["logits"].astype(np.float32)
    except (SafetensorError, KeyError) as error:
        raise WeightsError(f"{card.golden.path} holds no golden tiles ({error}): fetch the model again") from error
    wanted = (len(card.members), len(tiles), len(card.output.classes))
    if (
        tiles.dtype != np.uint8
        or tiles.shape[1:] != (contract.pixels, contract.pixels, 3)
        or not len(tiles)
        or logits.shape != wanted
    ):
        raise WeightsError(
            f"the golden case of {card.name} has shapes {tiles.shape} and {logits.shape}, which its card does not allow"
        )
    each = np.stack([card.output.probabilities(rows, member=member) for member, rows in enumerate(logits)])
    return GoldenTiles(tiles, logits, each.mean(axis=0, dtype=np.float64).astype(np.float32), each)


def check_golden_tiles(
    card: ModelCard,
    predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    *,
    precision: str = "float32",
    member: int | None = None,
) -> float:
    """Run the golden tiles through whatever will run the model.

    Args:
        card: of a tile classifier.
        predict: tiles (n, row, column, 3) uint8, stains changed already, to calibrated probabilities (n, class).
        precision: that ``predict`` computes in; chooses the card's tolerance.
        member: whose probabilities ``predict`` gives; None for the mean over members.

    Returns:
        The largest difference of a probability.

    Raises:
        WeightsError: the card does not allow the precision, or the difference is above its tolerance.
    """
    if precision not in card.tolerance:
        allowed = ", ".join(sorted(card.tolerance))
        raise WeightsError(f"{card.name} was asked for in {precision}; its card allows: {allowed}")
    case = golden_tiles(card)
    expected = case.probability if member is None else case.member_probability[member]
    found = predict(case.tiles)
    if found.shape != expected.shape:
        raise WeightsError(f"{card.name} gave probabilities of shape {found.shape}, {expected.shape} were expected")
    difference = float(np.abs(found - expected).max())
    tolerance = card.tolerance[precision]
    if not difference <= tolerance:  # also when it is not a number
        raise WeightsError(
            f"{card.name} does not reproduce its golden tiles in {precision}: probabilities differ by "
            f"{difference:.2g}, allowed is {tolerance:.2g}; fetch the model again, or report this machine"
        )
    return difference
