"""Measures of a binary score against the truth.

One rule for all of them: a measure whose denominator is empty (no positive image, nothing called positive) is not
defined and is NaN. It is never 0, 0.5 or 1, and never an error: a table of subgroups has such cells.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.metrics.checks import checked_score, checked_truth

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "MEASURES",
    "Confusion",
    "RocCurve",
    "brier",
    "confusion_at",
    "log_loss",
    "log_losses",
    "measure",
    "pr_auc",
    "roc_auc",
    "roc_curve",
    "squared_errors",
]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts at one threshold; every rate is in [0, 1], or NaN when its denominator is 0.

    Attributes:
        tp: positives called positive.
        fp: negatives called positive.
        tn: negatives called negative.
        fn: positives called negative.

    Example:
        >>> Confusion(tp=8, fp=1, tn=9, fn=2).sensitivity
        0.8
    """

    tp: int
    fp: int
    tn: int
    fn: int

    @property
    def total(self) -> int:
        """All that were judged."""
        return self.tp + self.fp + self.tn + self.fn

    @property
    def sensitivity(self) -> float:
        """True positive rate (TPR, recall)."""
        return _share(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """True negative rate (TNR)."""
        return _share(self.tn, self.tn + self.fp)

    @property
    def accuracy(self) -> float:
        """Share that was called right."""
        return _share(self.tp + self.tn, self.total)

    @property
    def balanced_accuracy(self) -> float:
        """Mean of sensitivity and specificity."""
        return (self.sensitivity + self.specificity) / 2

    @property
    def precision(self) -> float:
        """Positive predictive value."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def npv(self) -> float:
        """Negative predictive value."""
        return _share(self.tn, self.tn + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and sensitivity; 0 when nothing called positive is."""
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn)


@dataclass(frozen=True, slots=True, eq=False)
class RocCurve:
    """Operating points, from calling nothing positive to calling all positive.

    Attributes:
        false_positive_rate: (points,) rising, 0 to 1; NaN when there is no negative.
        true_positive_rate: (points,) rising, 0 to 1; NaN when there is no positive.
        thresholds: (points,) falling; a score at or above it is called positive. The first is infinity.
    """

    false_positive_rate: NDArray[np.float64] = field(repr=False)
    true_positive_rate: NDArray[np.float64] = field(repr=False)
    thresholds: NDArray[np.float64] = field(repr=False)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _pair(truth: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    positive = checked_truth(truth)
    values = checked_score(score, positive.size)
    if values.ndim != 1:
        raise InputError(f"scores of one model are needed; their shape is {values.shape}: give one row")
    return positive, values


def _counts_by_score(
    truth: NDArray[np.bool_], score: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Distinct scores, rising, with the number of positives and of negatives at each."""
    distinct, place = np.unique(score, return_inverse=True)
    positives = np.bincount(place[truth], minlength=distinct.size)
    negatives = np.bincount(place[~truth], minlength=distinct.size)
    return distinct, positives, negatives


def roc_auc(truth: ArrayLike, score: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counted half.

    Args:
        truth: (n,) bool or 0 and 1.
        score: (n,) finite; higher means positive.

    Returns:
        In [0, 1]; NaN when a class is missing.

    Raises:
        InputError: shapes differ, nothing was given, or a score is not finite.

    References:
        Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747

    Example:
        >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
        0.875
    """
    positive, values = _pair(truth, score)
    _, positives, negatives = _counts_by_score(positive, values)
    below = np.cumsum(negatives) - negatives
    twice_won = int(np.sum(positives * (2 * below + negatives)))
    return _share(twice_won, 2 * int(positives.sum()) * int(negatives.sum()))


def pr_auc(truth: ArrayLike, score: ArrayLike) -> float:
    """Area under the precision-recall curve as average precision (steps, not trapezia).

    Args:
        truth: (n,) bool or 0 and 1.
        score: (n,) finite; higher means positive.

    Returns:
        In (0, 1]; chance level is the share of positives. NaN when a class is missing.

    Raises:
        InputError: shapes differ, nothing was given, or a score is not finite.

    References:
        Davis and Goadrich 2006, doi:10.1145/1143844.1143874 (why not trapezia)

    Example:
        >>> round(pr_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
        0.8333
    """
    positive, values = _pair(truth, score)
    _, positives, negatives = _counts_by_score(positive, values)
    if not positives.any() or not negatives.any():
        return float("nan")
    caught, called = np.cumsum(positives[::-1]), np.cumsum((positives + negatives)[::-1])
    return float(np.sum(positives[::-1] * (caught / called)) / caught[-1])


def roc_curve(truth: ArrayLike, score: ArrayLike) -> RocCurve:
    """All operating points of a score, one for every distinct value and one for "nothing is positive".

    Raises:
        InputError: shapes differ, nothing was given, or a score is not finite.
    """
    positive, values = _pair(truth, score)
    distinct, positives, negatives = _counts_by_score(positive, values)
    rates = []
    for counts in (negatives, positives):
        called = np.concatenate([[0], np.cumsum(counts[::-1])])
        rates.append(called / called[-1] if called[-1] else np.full(called.size, np.nan))
    return RocCurve(rates[0], rates[1], np.concatenate([[np.inf], distinct[::-1]]))


def confusion_at(truth: ArrayLike, score: ArrayLike, threshold: float) -> Confusion:
    """Counts when a score at or above the threshold is called positive.

    Raises:
        InputError: shapes differ, nothing was given, a score is not finite, or the threshold is NaN.

    Example:
        >>> confusion_at([0, 0, 1, 1], [0.1, 0.5, 0.5, 0.8], 0.5)
        Confusion(tp=2, fp=1, tn=1, fn=0)
    """
    if np.isnan(threshold):
        raise InputError("a threshold is needed; it is NaN: fix it on the validation part")
    positive, values = _pair(truth, score)
    called = values >= threshold
    tp, positives = int(np.count_nonzero(called & positive)), int(np.count_nonzero(positive))
    fp = int(np.count_nonzero(called)) - tp
    return Confusion(tp=tp, fp=fp, tn=positive.size - positives - fp, fn=positives - tp)


def brier(truth: ArrayLike, score: ArrayLike) -> float:
    """Mean squared distance of a probability to the truth, in [0, 1]; lower is better.

    Raises:
        InputError: shapes differ, nothing was given, or a score is not within [0, 1].

    References:
        Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2
    """
    positive, values = _pair(truth, score)
    return float(np.mean(squared_errors(positive, values)))


def log_loss(truth: ArrayLike, score: ArrayLike) -> float:
    """Mean negative log likelihood of a probability, at least 0; lower is better.

    Probabilities are kept one float64 step from 0 and 1, so a sure and wrong answer costs about 36 and not infinity.

    Raises:
        InputError: shapes differ, nothing was given, or a score is not within [0, 1].
    """
    positive, values = _pair(truth, score)
    return float(np.mean(log_losses(positive, values)))


def squared_errors(truth: NDArray[np.bool_], prob: NDArray[np.float64]) -> NDArray[np.float64]:
    """Brier score of every image, before the mean; the last axis of ``prob`` is that of ``truth``."""
    _check_probabilities(prob)
    errors: NDArray[np.float64] = (prob - truth) ** 2
    return errors


def log_losses(truth: NDArray[np.bool_], prob: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log loss of every image, before the mean; the last axis of ``prob`` is that of ``truth``."""
    _check_probabilities(prob)
    step = float(np.finfo(np.float64).eps)
    kept = np.clip(prob, step, 1 - step)
    losses: NDArray[np.float64] = -np.log(np.where(truth, kept, 1 - kept))
    return losses


def _check_probabilities(prob: NDArray[np.float64]) -> None:
    if prob.min() < 0 or prob.max() > 1:
        raise InputError(
            f"probabilities in [0, 1] are needed; the scores run from {prob.min():g} to {prob.max():g}: calibrate first"
        )


def _of_confusion(name: str) -> Callable[[Any, Any, float], float]:
    return lambda truth, score, threshold: float(getattr(confusion_at(truth, score, threshold), name))


def _without_threshold(function: Callable[[Any, Any], float]) -> Callable[[Any, Any, float], float]:
    return lambda truth, score, _threshold: function(truth, score)


MEASURES: dict[str, Callable[[Any, Any, float], float]] = {
    "auc": _without_threshold(roc_auc),
    "pr_auc": _without_threshold(pr_auc),
    "brier": _without_threshold(brier),
    "log_loss": _without_threshold(log_loss),
    "tpr": _of_confusion("sensitivity"),
    "tnr": _of_confusion("specificity"),
    "accuracy": _of_confusion("accuracy"),
    "balanced_accuracy": _of_confusion("balanced_accuracy"),
    "precision": _of_confusion("precision"),
    "npv": _of_confusion("npv"),
    "f1": _of_confusion("f1"),
}


def measure(name: str, truth: ArrayLike, score: ArrayLike, *, threshold: float = 0.5) -> float:
    """One of ``MEASURES`` by its name; the threshold is looked at by those that need one.

    Raises:
        UnknownLabelError: no measure has that name.
        InputError: as the measure itself.

    Example:
        >>> measure("tpr", [0, 1, 1, 1], [0.2, 0.6, 0.7, 0.1])
        0.6666666666666666
    """
    if name not in MEASURES:
        raise UnknownLabelError(f"measure {name!r} does not exist; {nearest_names(name, MEASURES)}")
    return MEASURES[name](truth, score, threshold)
