"""How well masks agree: counts of pixels an image, measures pooled over them, the mean Dice of images, differences.

Pooled measures and the mean Dice differ in how images are joined, not in their formula: pooled, an image counts by its
pixels; in the mean Dice every image counts the same. Images of one patient are not independent: intervals draw people.

References:
    Spec bone-metastasis, section 4.1. Dice 1945, doi:10.2307/1932409.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.metrics.bootstrap import (
    BootstrapInterval,
    Resampling,
    SampleSize,
    drawn_patients,
    interval_of,
    resampled_ratio,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "MASK_MEASURES",
    "POOLED_MEASURES",
    "PixelCounts",
    "image_dice",
    "pixel_counts",
    "pooled",
    "pooled_difference",
]

POOLED_MEASURES = ("f1", "iou", "accuracy", "specificity", "sensitivity", "precision")
"""Names of the measures over the pixels of all images together, in the order of the paper's tables."""

MASK_MEASURES = ("f1", "dice", "iou", "accuracy", "specificity", "sensitivity", "precision")
"""The same with "dice", the mean over images: each is a sum over images divided by another."""


@dataclass(frozen=True, slots=True, eq=False)
class PixelCounts:
    """Pixels of each image (n,) by truth and prediction."""

    true_positive: NDArray[np.int64] = field(repr=False)
    false_positive: NDArray[np.int64] = field(repr=False)
    false_negative: NDArray[np.int64] = field(repr=False)
    true_negative: NDArray[np.int64] = field(repr=False)

    @property
    def table(self) -> NDArray[np.int64]:
        """(n, 4), the columns in the order of the attributes."""
        return np.column_stack([self.true_positive, self.false_positive, self.false_negative, self.true_negative])


def pixel_counts(truth: ArrayLike, predicted: ArrayLike) -> PixelCounts:
    """Count the pixels of masks (n, row, column), bool.

    Raises:
        InputError: shapes differ, there is no image, or a mask holds something else than False and True.
    """
    masks = np.asarray(truth), np.asarray(predicted)
    if masks[0].shape != masks[1].shape or masks[0].ndim != 3 or masks[0].size == 0:
        raise InputError(
            f"masks of {masks[0].shape} and {masks[1].shape} cannot be compared; give both as (images, rows, columns)"
        )
    if any(mask.dtype != np.bool_ for mask in masks):
        raise InputError(f"masks are bool; got {masks[0].dtype} and {masks[1].dtype}: apply the threshold first")
    true, predicted = (mask.reshape(len(mask), -1) for mask in masks)
    both, either = (np.count_nonzero(part, axis=1).astype(np.int64) for part in (true & predicted, true | predicted))
    positive = np.count_nonzero(predicted, axis=1).astype(np.int64)
    return PixelCounts(both, positive - both, either - positive, true.shape[1] - either)


def pooled(
    counts: PixelCounts,
    patients: ArrayLike,
    *,
    measures: Iterable[str] = POOLED_MEASURES,
    resampling: Resampling | None = None,
) -> dict[str, BootstrapInterval]:
    """Measures over the pixels of all images together, with percentile intervals over patients.

    Args:
        counts: of n images.
        patients: (n,) id of the patient of each image.
        measures: of ``MASK_MEASURES``; "dice" is the mean over images, 1 for an image with both masks empty.
        resampling: how patients are drawn; its method must be "percentile".

    Raises:
        UnknownLabelError: no such measure.
        InputError: as many ids as images are needed, or another method was asked for.

    Example:
        >>> masks = np.array([[[True, True, False, False]]])
        >>> found = pooled(pixel_counts(masks, masks[..., ::-1]), ["p"])
        >>> found["accuracy"].value, found["f1"].value
        (0.0, 0.0)
    """
    how = resampling or Resampling()
    number, drawn = drawn_patients(patients, counts.true_positive.size, how, of="pooled measures")
    size = SampleSize(drawn.shape[1], number.size)
    return {
        name: interval_of(*resampled_ratio(*_parts(name, counts), number, drawn), how, size=size) for name in measures
    }


def pooled_difference(
    first: PixelCounts,
    second: PixelCounts,
    patients: ArrayLike,
    *,
    measure: str = "f1",
    resampling: Resampling | None = None,
) -> BootstrapInterval:
    """First minus second method, both evaluated on the same images and the same resampled patients; as ``pooled``.

    The p value is twice the smaller share of resamples on either side of 0, one resample added to each side, so it is
    never 0; ties with 0 count for both sides.

    Raises:
        UnknownLabelError: no such measure.
        InputError: numbers of images or ids differ, or another method of resampling was asked for.

    References:
        Davison and Hinkley 1997, doi:10.1017/CBO9780511802843 (chapter 4)
    """
    if first.true_positive.shape != second.true_positive.shape:
        raise InputError(
            f"{first.true_positive.size} and {second.true_positive.size} images cannot be compared in pairs: evaluate "
            "both methods on the same images"
        )
    how = resampling or Resampling()
    number, drawn = drawn_patients(patients, first.true_positive.size, how, of="pooled measures")
    one, two = (resampled_ratio(*_parts(measure, counts), number, drawn) for counts in (first, second))
    size = SampleSize(drawn.shape[1], number.size)
    return interval_of(one[0] - two[0], one[1] - two[1], how, size=size, against_zero=True)


def image_dice(counts: PixelCounts, *, both_empty: float = 1.0) -> NDArray[np.float64]:
    """Dice of each image (n,), 0 to 1; ``both_empty`` (1, or NaN) where neither mask has a pixel."""
    whole = 2 * counts.true_positive + counts.false_positive + counts.false_negative
    return np.where(whole > 0, 2 * counts.true_positive / np.maximum(whole, 1), both_empty)


def _parts(name: str, counts: PixelCounts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each image (n,) adds to the numerator and to the denominator of a measure."""
    if name not in MASK_MEASURES:
        raise UnknownLabelError(f"no pooled measure {name!r}: {nearest_names(name, MASK_MEASURES)}")
    hit, extra, missed, clear = (column.astype(np.float64) for column in counts.table.T)
    parts = {
        "f1": (2 * hit, 2 * hit + extra + missed),
        "iou": (hit, hit + extra + missed),
        "accuracy": (hit + clear, hit + extra + missed + clear),
        "specificity": (clear, clear + extra),
        "sensitivity": (hit, hit + missed),
        "precision": (hit, hit + extra),
    }
    return (image_dice(counts), np.ones(hit.size)) if name == "dice" else parts[name]
