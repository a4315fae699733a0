"""How well masks agree: counts of pixels an image, measures pooled over them, and the mean Dice of images.

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
from osteon.metrics.bootstrap import Resampling, draw_patients, percentile_limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

__all__ = ["POOLED_MEASURES", "PixelCounts", "PooledInterval", "image_dice", "mean_dice", "pixel_counts", "pooled"]

POOLED_MEASURES = ("f1", "iou", "accuracy", "specificity", "sensitivity", "precision")
"""Names of the measures of ``pooled``, in the order of the paper's tables."""


@dataclass(frozen=True, slots=True, eq=False)
class PixelCounts:
    """Pixels of each image by truth and prediction.

    Attributes:
        true_positive: (n,) int64.
        false_positive: (n,) int64.
        false_negative: (n,) int64.
        true_negative: (n,) int64.
    """

    true_positive: NDArray[np.int64] = field(repr=False)
    false_positive: NDArray[np.int64] = field(repr=False)
    false_negative: NDArray[np.int64] = field(repr=False)
    true_negative: NDArray[np.int64] = field(repr=False)

    @property
    def table(self) -> NDArray[np.int64]:
        """(n, 4), the columns in the order of the attributes."""
        return np.column_stack([self.true_positive, self.false_positive, self.false_negative, self.true_negative])


@dataclass(frozen=True, slots=True)
class PooledInterval:
    """A pooled measure with its interval over resampled patients.

    Attributes:
        value: on the images as they are; NaN where the measure is not defined.
        low: lower limit; NaN where it is not known.
        high: upper limit; NaN as ``low``.
        patients: number of patients.
        undefined_repeats: resamples in which the measure is not defined; they were left out.
    """

    value: float
    low: float
    high: float
    patients: int
    undefined_repeats: int


def pixel_counts(truth: ArrayLike, predicted: ArrayLike) -> PixelCounts:
    """Count the pixels of masks.

    Args:
        truth: (n, row, column) bool.
        predicted: (n, row, column) bool.

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
    true, called = (mask.reshape(len(mask), -1) for mask in masks)
    both, either = (np.count_nonzero(part, axis=1).astype(np.int64) for part in (true & called, true | called))
    positive = np.count_nonzero(called, axis=1).astype(np.int64)
    return PixelCounts(both, positive - both, either - positive, true.shape[1] - either)


def pooled(
    counts: PixelCounts,
    patients: ArrayLike,
    *,
    measures: Iterable[str] = POOLED_MEASURES,
    resampling: Resampling | None = None,
) -> dict[str, PooledInterval]:
    """Measures over the pixels of all images together, with percentile intervals over patients.

    Args:
        counts: of n images.
        patients: (n,) id of the patient of each image.
        measures: of ``POOLED_MEASURES``.
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
    ids = np.asarray(patients)
    if ids.shape != counts.true_positive.shape:
        raise InputError(f"{ids.size} patient ids were given for {counts.true_positive.size} images: give one an image")
    if how.method != "percentile":
        raise InputError(f"intervals of pooled measures are percentile intervals; {how.method!r} was asked for")
    chosen = tuple(measures)
    for name in chosen:
        if name not in POOLED_MEASURES:
            raise UnknownLabelError(f"no pooled measure {name!r}: {nearest_names(name, POOLED_MEASURES)}")
    number = np.unique(ids, return_inverse=True)[1]
    people = int(number.max()) + 1
    sums = np.zeros((people, 4), dtype=np.int64)
    np.add.at(sums, number, counts.table)
    drawn = draw_patients(people, range(how.repeats), seed=how.seed).astype(np.int64) @ sums
    found = {}
    for name in chosen:
        value = float(_share(name, sums.sum(axis=0)[None])[0])
        replicates = _share(name, drawn)
        kept = replicates[~np.isnan(replicates)]
        known = not np.isnan(value) and people > 1 and kept.size > 0
        low, high = percentile_limits(kept, how.confidence) if known else (float("nan"), float("nan"))
        found[name] = PooledInterval(value, low, high, people, int(replicates.size - kept.size))
    return found


def image_dice(counts: PixelCounts, *, both_empty: float = 1.0) -> NDArray[np.float64]:
    """Dice of each image.

    Args:
        counts: of n images.
        both_empty: what an image without pixels in both masks gets: 1 (nothing there, nothing called), or NaN.

    Returns:
        (n,) 0 to 1.
    """
    whole = 2 * counts.true_positive + counts.false_positive + counts.false_negative
    return np.where(whole > 0, 2 * counts.true_positive / np.maximum(whole, 1), both_empty)


def mean_dice(counts: PixelCounts, *, both_empty: float = 1.0) -> float:
    """Mean Dice over images; those that are NaN are left out, NaN when none is left."""
    values = image_dice(counts, both_empty=both_empty)
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if kept.size else float("nan")


def _share(name: str, table: NDArray[np.int64]) -> NDArray[np.float64]:
    """(r,) of rows of true positive, false positive, false negative, true negative; NaN for an empty denominator."""
    hit, extra, missed, clear = (column.astype(np.float64) for column in table.T)
    part, whole = {
        "f1": (2 * hit, 2 * hit + extra + missed),
        "iou": (hit, hit + extra + missed),
        "accuracy": (hit + clear, hit + extra + missed + clear),
        "specificity": (clear, clear + extra),
        "sensitivity": (hit, hit + missed),
        "precision": (hit, hit + extra),
    }[name]
    return np.asarray(np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0))
