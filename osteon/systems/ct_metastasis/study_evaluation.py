"""What segmenters are worth: by fold, as mean over folds with Student's t, over all pixels with a patient bootstrap.

Two questions, two intervals, as for classifiers (``osteon.train.judging``): how much would the mean change with
other folds, how much the whole with other patients?
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError
from osteon.metrics.folds import CorrectedTTest, FoldInterval, corrected_t_test, fold_interval
from osteon.metrics.segmentation import MASK_MEASURES, PooledDifference, PooledInterval, pooled_difference
from osteon.train.segmentation.judging import judge_counts, measures_by_fold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from osteon.metrics.bootstrap import Resampling
    from osteon.train.segmentation.counts import SegmentCounts

__all__ = ["MaskDifference", "MaskMeasured", "compare_masks", "judge_masks"]


@dataclass(frozen=True, slots=True)
class MaskMeasured:
    """One measure of one method.

    Attributes:
        name: of ``osteon.metrics.segmentation.MASK_MEASURES``.
        by_fold: fold number -> value on its test part; NaN where it is not defined.
        over_folds: their mean with Student's t.
        over_patients: of the test images of all folds together ("dice": mean over images), patients drawn.
    """

    name: str
    by_fold: Mapping[int, float]
    over_folds: FoldInterval
    over_patients: PooledInterval


@dataclass(frozen=True, slots=True)
class MaskDifference:
    """A measure of one method minus that of another.

    Attributes:
        over_patients: of all images together, the same patients drawn for both.
        over_folds: Nadeau and Bengio's corrected t test; None with fewer than two folds where both are defined.
    """

    over_patients: PooledDifference
    over_folds: CorrectedTTest | None


def judge_masks(found: SegmentCounts, *, resampling: Resampling | None = None) -> dict[str, MaskMeasured]:
    """All measures of a method.

    Args:
        found: of all folds; only the lesion map of the test parts is looked at.
        resampling: of the patient bootstrap.
    """
    by_fold = measures_by_fold(found)
    whole = judge_counts(found, resampling=resampling)
    judged = {}
    for name in MASK_MEASURES:
        values = {fold: measures[name] for fold, measures in by_fold.items()}
        judged[name] = MaskMeasured(name, values, fold_interval(list(values.values())), whole[name])
    return judged


def compare_masks(
    first: SegmentCounts, second: SegmentCounts, *, measure: str = "f1", resampling: Resampling | None = None
) -> MaskDifference:
    """First minus second method, on the same folds of the same images.

    Raises:
        InputError: they were not judged on the same images in the same folds.
    """
    parts = [found.of(part="test", output="lesion") for found in (first, second)]
    one, two = (found.where(np.lexsort((found.image, found.fold))) for found in parts)
    if not (np.array_equal(one.image, two.image) and np.array_equal(one.fold, two.fold)):
        raise InputError("two methods can be compared only where both were judged on the same images in the same folds")
    over_patients = pooled_difference(one.counts, two.counts, one.patient, measure=measure, resampling=resampling)
    values = np.array([[fold[measure] for fold in measures_by_fold(found).values()] for found in (one, two)])
    defined = values[:, np.isfinite(values).all(axis=0)]
    over_folds = corrected_t_test(defined[0], defined[1]) if defined.shape[1] > 1 else None
    return MaskDifference(over_patients, over_folds)
