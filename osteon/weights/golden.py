"""The golden case: an input, and what the networks of a model must give for it on whatever runs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import WeightsError
from osteon.weights.card import Classes, Embedding, ImageInput, Maps
from osteon.weights.store import load_arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from osteon.weights.card import ModelCard

    Arrays = Mapping[str, NDArray[np.float32]]

__all__ = ["GoldenCase", "check_golden", "check_golden_member", "golden_case", "mask_difference"]


@dataclass(frozen=True, slots=True, eq=False)
class GoldenCase:
    """An input and the output that the weights must give for it.

    Attributes:
        inputs: by name, as the card describes them; the first axis counts cases.
        expected: by member, what its network gives as the card promises it: calibrated probabilities (member, n, class)
            or (member, n, map, row, column), or the embedding (1, n, d).
    """

    inputs: Mapping[str, NDArray[np.generic]] = field(repr=False)
    expected: NDArray[np.float32] = field(repr=False)

    @property
    def image(self) -> NDArray[np.generic]:
        """The images."""
        return self.inputs["image"]

    @property
    def mean(self) -> NDArray[np.float32]:
        """What the model gives: the mean over members."""
        return np.asarray(self.expected.mean(axis=0, dtype=np.float64), dtype=np.float32)


def golden_case(card: ModelCard) -> GoldenCase:
    """The golden input and output of a model; its file is verified first. Does not import torch.

    Raises:
        WeightsError: the file is missing, was changed, or does not fit the card.
    """
    file = card.golden.file
    if file is None:
        raise WeightsError(f"{card.name} has no golden case: it is not finished")
    arrays = load_arrays(card, file)
    try:
        inputs = {name: _widened(arrays[f"input.{name}"]) for name in card.inputs}
        raw = np.asarray(arrays["output.embedding" if isinstance(card.output, Embedding) else "output.logits"])
    except KeyError as error:
        raise WeightsError(
            f"{card.folder / file.path} holds no golden case ({error}): fetch the model again"
        ) from error
    raw = raw.astype(np.float32)
    if not _fits(card, inputs, raw):
        shapes = ", ".join(str(each.shape) for each in (*inputs.values(), raw))
        raise WeightsError(f"the golden case of {card.name} has shapes {shapes}, which its card does not allow")
    return GoldenCase(inputs, raw if isinstance(card.output, Embedding) else card.output.probability(raw))


def _widened(stored: NDArray[np.generic]) -> NDArray[np.generic]:
    """Images are stored in half precision, and run as float32."""
    return stored.astype(np.float32) if stored.dtype == np.float16 else stored


def _fits(card: ModelCard, inputs: Mapping[str, NDArray[np.generic]], raw: NDArray[np.float32]) -> bool:
    count, image, output = len(inputs["image"]), card.image, card.output
    shape = inputs["image"].shape
    rank = 4 if image.colour == "rgb" else 3
    if not inputs["image"].size or len(shape) != rank or inputs["image"].dtype != image.dtype:
        return False
    if image.rows and shape[1:3] != (image.rows, image.columns):
        return False
    for name, each in card.inputs.items():
        if not isinstance(each, ImageInput) and inputs[name].shape != (count, len(each.names)):
            return False
    members = len(card.members)
    if isinstance(output, Classes):
        return raw.shape == (members, count, len(output.names))
    if isinstance(output, Maps):
        return raw.shape == (members, count, len(output.maps), *shape[1:3])
    return raw.shape == (1, count, output.size)


def check_golden(
    card: ModelCard, predict: Callable[[Mapping[str, NDArray[np.generic]]], NDArray[np.float32]], *, precision: str
) -> float:
    """Run the golden case through whatever will run the model.

    Args:
        card: of the model.
        predict: inputs by name to what ``GoldenCase.expected`` holds of all members, or to its mean.
        precision: that ``predict`` computes in; chooses the card's tolerance.

    Returns:
        The largest difference: of a probability, or of an embedding as a part of its largest value.

    Raises:
        WeightsError: the card does not allow the precision, or the difference is above its tolerance.
    """
    golden = card.golden
    if precision not in golden.tolerance and precision not in golden.mask_tolerance:
        allowed = ", ".join(sorted({*golden.tolerance, *golden.mask_tolerance}))
        raise WeightsError(f"{card.name} was asked for in {precision}; its card allows: {allowed}")
    case = golden_case(card)
    found = predict(case.inputs)
    expected = case.expected if found.ndim == case.expected.ndim else case.mean
    return _compared(card, found, expected, precision=precision)


def check_golden_member(
    card: ModelCard, predict: Callable[[Mapping[str, NDArray[np.generic]]], NDArray[np.float32]], *, member: int
) -> float:
    """As ``check_golden`` in float32, for the network of one member: probabilities (n, ...) out."""
    case = golden_case(card)
    return _compared(card, predict(case.inputs), case.expected[member], precision="float32")


def _compared(card: ModelCard, found: NDArray[np.float32], expected: NDArray[np.float32], *, precision: str) -> float:
    golden, output = card.golden, card.output
    if found.shape != expected.shape:
        raise WeightsError(f"{card.name} gave an output of shape {found.shape}, {expected.shape} was expected")
    scale = float(np.abs(expected).max()) if isinstance(output, Embedding) else 1.0
    difference = float(np.abs(found - expected).max()) / scale
    named = next((value for name, value in golden.tolerance.items() if name == precision), None)
    if named is not None or not isinstance(output, Maps):
        what, value, allowed = "its outputs differ by", difference, named or 0.0
    else:
        what = "1 - Dice of the masks is"
        value = mask_difference(found, expected, thresholds=list(output.thresholds.values()))
        allowed = next(value for name, value in golden.mask_tolerance.items() if name == precision)
        value = value if np.isfinite(found).all() else np.nan
    if not value <= allowed:  # also when it is not a number
        raise WeightsError(
            f"{card.name} does not reproduce its golden case in {precision}: {what} {value:.2g}, allowed is "
            f"{allowed:.2g}; fetch the model again, or report this machine"
        )
    return difference


def mask_difference(found: NDArray[np.float32], expected: NDArray[np.float32], *, thresholds: Sequence[float]) -> float:
    """Largest 1 - Dice of a map's mask (n, map, row, column), all images together; two empty masks are equal.

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
