"""What the models of a run are worth: each fold's measure on its test part, and two intervals of their mean.

Two questions, two intervals. Student's t over folds, as the papers give it, asks how much the mean would change with
other folds; its few values share patients, and it can leave 0..1. The patient bootstrap asks how much it would change
with other patients: they are drawn with replacement, and all models of a fold scheme see the same draw.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError
from osteon.metrics.bootstrap import BootstrapInterval, Resampling, paired_difference, patient_bootstraps
from osteon.metrics.classification import measure
from osteon.metrics.folds import CorrectedTTest, FoldInterval, corrected_t_test, fold_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osteon.data import Predictions

__all__ = ["TABLE_MEASURES", "Difference", "Measured", "compare_runs", "judge_folds"]

TABLE_MEASURES = ("auc", "tpr", "tnr")
"""The measures of the papers' tables; sensitivity (TPR) and specificity (TNR) from a probability of 0.5 on."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One measure of one run.

    Attributes:
        name: of ``osteon.metrics.classification.MEASURES``.
        by_fold: one value a fold, on its test part; NaN where it is not defined.
        over_folds: their mean with Student's t.
        over_patients: the same mean with a patient bootstrap.
    """

    name: str
    by_fold: tuple[float, ...]
    over_folds: FoldInterval
    over_patients: BootstrapInterval = field(repr=False)


@dataclass(frozen=True, slots=True)
class Difference:
    """A measure of one run minus that of another.

    Attributes:
        name: of the measure.
        over_patients: the difference of the means over folds, patients drawn for both at once, with its p value.
        over_folds: Nadeau and Bengio's corrected t test over the folds where both are defined; None with fewer than
            two.
    """

    name: str
    over_patients: BootstrapInterval
    over_folds: CorrectedTTest | None


def judge_folds(
    predictions: Predictions,
    *,
    measures: Sequence[str] = TABLE_MEASURES,
    threshold: float = 0.5,
    resampling: Resampling | None = None,
) -> dict[str, Measured]:
    """Measures of a run on its test parts.

    Args:
        predictions: of all folds; only rows of part "test" are looked at.
        measures: names of ``osteon.metrics.classification.MEASURES``.
        threshold: probabilities from it on are called positive.
        resampling: of the bootstrap.

    Raises:
        InputError: no row of part "test".
    """
    test = _test_rows(predictions)
    folds = np.unique(test.fold)
    truth, score = test.is_positive, test.probability
    resampled = patient_bootstraps(
        measures, truth, score, test.patient, threshold=threshold, folds=test.fold, resampling=resampling
    )
    judged = {}
    for name in measures:
        values = [
            measure(name, truth[test.fold == fold], score[test.fold == fold], threshold=threshold) for fold in folds
        ]
        judged[name] = Measured(name, tuple(values), fold_interval(values), resampled[name])
    return judged


def compare_runs(
    first: Predictions,
    second: Predictions,
    *,
    name: str = "auc",
    threshold: float = 0.5,
    resampling: Resampling | None = None,
) -> Difference:
    """First minus second run, on the same folds of the same data.

    Args:
        first: of all folds.
        second: of the same folds; its rows may come in another order.
        name: of the measure.
        threshold: probabilities from it on are called positive.
        resampling: of the bootstrap.

    Raises:
        InputError: the runs were not judged on the same images in the same folds.
    """
    one, two = _in_order(_test_rows(first)), _in_order(_test_rows(second))
    if not (np.array_equal(one.image, two.image) and np.array_equal(one.fold, two.fold)):
        raise InputError("two runs can be compared only where both were judged on the same images in the same folds")
    truth = one.is_positive
    resampled = paired_difference(
        name,
        truth,
        (one.probability, two.probability),
        one.patient,
        thresholds=(threshold, threshold),
        folds=one.fold,
        resampling=resampling,
    )
    by_fold = np.array(
        [
            [
                measure(name, truth[rows], scores[rows], threshold=threshold)
                for scores in (one.probability, two.probability)
            ]
            for rows in (one.fold == fold for fold in np.unique(one.fold))
        ]
    )
    defined = by_fold[np.isfinite(by_fold).all(axis=1)]
    test = corrected_t_test(defined[:, 0], defined[:, 1]) if len(defined) > 1 else None
    return Difference(name, resampled, test)


def _test_rows(predictions: Predictions) -> Predictions:
    test = predictions.of(part="test")
    if len(test) == 0:
        raise InputError('these predictions have no row of part "test": nothing can be judged')
    return test


def _in_order(predictions: Predictions) -> Predictions:
    order = np.lexsort((predictions.image, predictions.fold))
    return predictions.where(order)
