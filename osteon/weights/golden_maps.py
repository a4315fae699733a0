"""The golden case of a segmenter: images and the maps that its networks must give for them."""

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
    from osteon.weights.maps import SegmenterContract

__all__ = ["GoldenMaps", "check_golden_maps", "golden_maps", "mask_difference", "require_segmenter"]


@dataclass(frozen=True, slots=True)
class GoldenMaps:
    """Images and the output that the weights must give for them.

    Attributes:
        images: (n, row, column) uint8.
        logits: (member, n, map, row, column) float32.
        probability: (n, map, row, column) float32: the mean over members.
        member_probability: (member, n, map, row, column) float32.
    """

    images: NDArray[np.uint8] = field(repr=False)
    logits: NDArray[np.float32] = field(repr=False)
    probability: NDArray[np.float32] = field(repr=False)
    member_probability: NDArray[np.float32] = field(repr=False)


def require_segmenter(card: ModelCard) -> SegmenterContract:
    """The contract of a segmenter's card.

    Raises:
        WeightsError: the card is that of a classifier.
    """
    if card.segmenter is None:
        raise WeightsError(
            f"{card.name} (task {card.task}) was asked for maps; it gives the classes "
            f"{', '.join(card.output.classes)}: choose a segmentation model (osteon models list)"
        )
    return card.segmenter


def golden_maps(card: ModelCard) -> GoldenMaps:
    """The golden images and maps of a segmenter; the file is verified first. Does not import torch.

    Raises:
        WeightsError: the file is missing, was changed, or does not fit the card; or the card is a classifier's.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    contract = require_segmenter(card)
    data = read_verified(card.name, card.golden)
    try:
        tensors = load(data)
        images, logits = tensors["images"], tensors["maps"].astype(np.float32)
    except (SafetensorError, KeyError) as error:
        raise WeightsError(f"{card.golden.path} holds no golden maps ({error}): fetch the model again") from error
    wanted = (len(card.members), len(images), len(contract.maps), *images.shape[1:])
    if images.dtype != np.uint8 or images.ndim != 3 or not images.size or logits.shape != wanted:
        raise WeightsError(
            f"the golden case of {card.name} has shapes {images.shape} and {logits.shape}, "
            "which its card does not allow"
        )
    each = np.stack([contract.probability(maps) for maps in logits])
    return GoldenMaps(images, logits, each.mean(axis=0, dtype=np.float64).astype(np.float32), each)


def check_golden_maps(
    card: ModelCard,
    predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    *,
    precision: str = "float32",
    member: int | None = None,
) -> float:
    """Run the golden images through whatever will run the model.

    Probabilities must agree within the card's ``tolerance``; in a precision that it leaves out, the masks at the card's
    thresholds within ``mask_tolerance``.

    Args:
        card: of a segmenter.
        predict: images (n, row, column) uint8 to probabilities (n, map, row, column).
        precision: that ``predict`` computes in; chooses the card's tolerances.
        member: whose maps ``predict`` gives; None for the mean over members.

    Returns:
        The largest difference of a probability.

    Raises:
        WeightsError: the card does not allow the precision, or a difference is above its tolerance.
    """
    contract = require_segmenter(card)
    if precision not in card.tolerance and precision not in card.mask_tolerance:
        allowed = ", ".join(sorted({*card.tolerance, *card.mask_tolerance}))
        raise WeightsError(f"{card.name} was asked for in {precision}; its card allows: {allowed}")
    case = golden_maps(card)
    expected = case.probability if member is None else case.member_probability[member]
    found = predict(case.images)
    if found.shape != expected.shape or not np.isfinite(found).all():
        raise WeightsError(f"{card.name} gave no maps of shape {expected.shape} in {precision}: report this machine")
    difference = float(np.abs(found - expected).max())
    if precision in card.tolerance:
        what, value, allowed_by = "probabilities differ by", difference, card.tolerance[precision]
    else:
        thresholds = [each.threshold for each in contract.maps]
        what, value = "1 - Dice of the masks is", mask_difference(found, expected, thresholds=thresholds)
        allowed_by = card.mask_tolerance[precision]
    if value > allowed_by:
        raise WeightsError(
            f"{card.name} does not reproduce its golden maps in {precision}: {what} {value:.2g}, allowed is "
            f"{allowed_by:.2g}; fetch the model again, or report this machine"
        )
    return difference


def mask_difference(
    found: NDArray[np.float32], expected: NDArray[np.float32], *, thresholds: list[float] | tuple[float, ...]
) -> float:
    """Largest 1 - Dice of a map's mask, all images together; two empty masks are equal.

    Args:
        found: (n, map, row, column) probabilities.
        expected: the same.
        thresholds: one a map.

    Example:
        >>> one, two = np.zeros((1, 1, 1, 4), np.float32), np.zeros((1, 1, 1, 4), np.float32)
        >>> one[..., :2], two[..., :1] = 1, 1
        >>> round(mask_difference(one, two, thresholds=[0.5]), 3)
        0.333
    """
    worst = 0.0
    for index, threshold in enumerate(thresholds):
        one, two = found[:, index] >= threshold, expected[:, index] >= threshold
        total = int(one.sum()) + int(two.sum())
        if total:
            worst = max(worst, int((one ^ two).sum()) / total)
    return worst
