"""Measures of a binary score against the truth.

One rule for all of them: a measure whose denominator is empty (no positive image, nothing predicted positive) is not
defined and is NaN. It is never 0, 0.5 or 1, and never an error: a table of subgroups has such cells.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.metrics.validation import checked_score, checked_truth

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "ERRORS",
    "MEASURES",
    "SHARES",
    "Aggregated",
    "Confusion",
    "OperatingPoint",
    "RocCurve",
    "aggregate",
    "choose_points",
    "confusion_at",
    "measure",
    "pr_auc",
    "roc_auc",
    "roc_curve",
    "target_point",
    "youden_point",
]


def _ratio(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    parts, wholes = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    return np.asarray(np.divide(parts, wholes, out=np.full(parts.shape, np.nan), where=wholes > 0))


SHARES: dict[str, Callable[..., NDArray[np.float64]]] = {
    "tpr": lambda tp, _fp, _tn, fn: _ratio(tp, tp + fn),
    "tnr": lambda _tp, fp, tn, _fn: _ratio(tn, tn + fp),
    "accuracy": lambda tp, fp, tn, fn: _ratio(tp + tn, tp + fp + tn + fn),
    "balanced_accuracy": lambda tp, fp, tn, fn: (_ratio(tp, tp + fn) + _ratio(tn, tn + fp)) / 2,
    "precision": lambda tp, fp, _tn, _fn: _ratio(tp, tp + fp),
    "npv": lambda _tp, _fp, tn, fn: _ratio(tn, tn + fn),
    "f1": lambda tp, fp, _tn, fn: _ratio(2 * tp, 2 * tp + fp + fn),
}
"""Rates of counts (...) of true and false positives, true and false negatives: in [0, 1], NaN where nothing is below.

"tpr" is the sensitivity (recall), "tnr" the specificity, "precision" the positive and "npv" the negative predictive
value, "f1" the harmonic mean of precision and sensitivity.
"""


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts at one threshold: true and false positives, true and false negatives.

    Example:
        >>> Confusion(tp=8, fp=1, tn=9, fn=2).sensitivity
        0.8
    """

    tp: int
    fp: int
    tn: int
    fn: int

    def rate(self, name: str) -> float:
        """One of ``SHARES``."""
        return float(SHARES[name](self.tp, self.fp, self.tn, self.fn))

    @property
    def sensitivity(self) -> float:
        """True positive rate (TPR, recall)."""
        return self.rate("tpr")

    @property
    def specificity(self) -> float:
        """True negative rate (TNR)."""
        return self.rate("tnr")


@dataclass(frozen=True, slots=True, eq=False)
class RocCurve:
    """Operating points, from predicting nothing positive to predicting all positive.

    Attributes:
        false_positive_rate: (points,) rising, 0 to 1; NaN when there is no negative.
        true_positive_rate: (points,) rising, 0 to 1; NaN when there is no positive.
        thresholds: (points,) falling; a score at or above it is predicted positive. The first is infinity.
    """

    false_positive_rate: NDArray[np.float64] = field(repr=False)
    true_positive_rate: NDArray[np.float64] = field(repr=False)
    thresholds: NDArray[np.float64] = field(repr=False)


def _pair(truth: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    positive = checked_truth(truth)
    values = checked_score(score, positive.size)
    if values.ndim != 1:
        raise InputError(f"scores of one model are needed; their shape is {values.shape}: give one row")
    return positive, values


def _counts_by_score(
    truth: ArrayLike, score: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Distinct scores, rising, with the number of positives and of negatives at each."""
    positive, values = _pair(truth, score)
    distinct, place = np.unique(values, return_inverse=True)
    positives = np.bincount(place[positive], minlength=distinct.size)
    return distinct, positives, np.bincount(place[~positive], minlength=distinct.size)


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
    _, positives, negatives = _counts_by_score(truth, score)
    below = np.cumsum(negatives) - negatives
    twice_won, pairs = int(np.sum(positives * (2 * below + negatives))), int(positives.sum()) * int(negatives.sum())
    return twice_won / (2 * pairs) if pairs else float("nan")


def pr_auc(truth: ArrayLike, score: ArrayLike) -> float:
    """Area under the precision-recall curve as average precision (steps, not trapezia); arguments as of ``roc_auc``.

    Returns:
        In (0, 1]; chance level is the share of positives. NaN when a class is missing.

    Raises:
        InputError: as ``roc_auc``.

    References:
        Davis and Goadrich 2006, doi:10.1145/1143844.1143874 (why not trapezia)

    Example:
        >>> round(pr_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
        0.8333
    """
    _, positives, negatives = _counts_by_score(truth, score)
    if not positives.any() or not negatives.any():
        return float("nan")
    caught, predicted = np.cumsum(positives[::-1]), np.cumsum((positives + negatives)[::-1])
    return float(np.sum(positives[::-1] * (caught / predicted)) / caught[-1])


def roc_curve(truth: ArrayLike, score: ArrayLike) -> RocCurve:
    """All operating points of a score, one for every distinct value and one for "nothing is positive".

    Raises:
        InputError: as ``roc_auc``.
    """
    distinct, positives, negatives = _counts_by_score(truth, score)
    rates = []
    for counts in (negatives, positives):
        predicted = np.concatenate([[0], np.cumsum(counts[::-1])])
        rates.append(predicted / predicted[-1] if predicted[-1] else np.full(predicted.size, np.nan))
    return RocCurve(rates[0], rates[1], np.concatenate([[np.inf], distinct[::-1]]))


def confusion_at(truth: ArrayLike, score: ArrayLike, threshold: float) -> Confusion:
    """Counts when a score at or above the threshold is predicted positive.

    Raises:
        InputError: as ``roc_auc``, or the threshold is NaN.

    Example:
        >>> confusion_at([0, 0, 1, 1], [0.1, 0.5, 0.5, 0.8], 0.5)
        Confusion(tp=2, fp=1, tn=1, fn=0)
    """
    if np.isnan(threshold):
        raise InputError("a threshold is needed; it is NaN: fix it on the validation part")
    positive, values = _pair(truth, score)
    predicted = values >= threshold
    tp, positives = int(np.count_nonzero(predicted & positive)), int(np.count_nonzero(positive))
    fp = int(np.count_nonzero(predicted)) - tp
    return Confusion(tp=tp, fp=fp, tn=positive.size - positives - fp, fn=positives - tp)


def _squared_errors(truth: NDArray[np.bool_], prob: NDArray[np.float64]) -> NDArray[np.float64]:
    _check_probabilities(prob)
    errors: NDArray[np.float64] = (prob - truth) ** 2
    return errors


def _log_losses(truth: NDArray[np.bool_], prob: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities are kept one float64 step from 0 and 1: a sure and wrong answer costs about 36, not infinity."""
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


ERRORS = {"brier": _squared_errors, "log_loss": _log_losses}
"""What is lost on each image, before the mean; lower is better. The last axis of the scores is that of the truth.

References:
    Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2 (squared distance of a probability to the truth)
"""

MEASURES = ("auc", "pr_auc", *ERRORS, *SHARES)
"""Names that ``measure`` takes."""


def measure(name: str, truth: ArrayLike, score: ArrayLike, *, threshold: float = 0.5) -> float:
    """One of ``MEASURES`` by its name; the threshold is looked at by those that need one.

    Raises:
        UnknownLabelError: no measure has that name.
        InputError: as ``roc_auc``; scores are not probabilities, or the threshold is NaN, where they are needed.

    Example:
        >>> measure("tpr", [0, 1, 1, 1], [0.2, 0.6, 0.7, 0.1])
        0.6666666666666666
    """
    if name in SHARES:
        return confusion_at(truth, score, threshold).rate(name)
    if name in ERRORS:
        return float(np.mean(ERRORS[name](*_pair(truth, score))))
    ranked = {"auc": roc_auc, "pr_auc": pr_auc}
    if name not in ranked:
        raise UnknownLabelError(f"measure {name!r} does not exist; {nearest_names(name, MEASURES)}")
    return ranked[name](truth, score)


@dataclass(frozen=True, slots=True, eq=False)
class Aggregated:
    """One row a group, sorted by group id.

    Attributes:
        groups: (groups,) the ids.
        truth: (groups,) bool; whether any image of the group is positive.
        score: (groups,), or (models, groups) when several models were given: the highest of the group.
        sizes: (groups,) number of images.
        first: (groups,) index of the first image of each group: ``patients[first]`` carries the patient of a series.
    """

    groups: NDArray[Any] = field(repr=False)
    truth: NDArray[np.bool_] = field(repr=False)
    score: NDArray[np.float64] = field(repr=False)
    sizes: NDArray[np.int64] = field(repr=False)
    first: NDArray[np.int64] = field(repr=False)


def aggregate(groups: ArrayLike, truth: ArrayLike, score: ArrayLike) -> Aggregated:
    """Truth and highest score of groups of images (series, patients); a group is positive when any image of it is.

    Args:
        groups: (n,) id of the group of each image, text or integers.
        truth: (n,) bool or 0 and 1.
        score: (n,) finite, or (models, n).

    Raises:
        InputError: shapes differ, nothing was given, or a score is not finite.
    """
    positive = checked_truth(truth)
    values = checked_score(score, positive.size)
    ids = np.asarray(groups)
    if ids.shape != positive.shape:
        raise InputError(f"one group per image is needed; {positive.size} images and groups of shape {ids.shape} came")
    names, first, code, sizes = np.unique(ids, return_index=True, return_inverse=True, return_counts=True)
    order, starts = np.argsort(code, kind="stable"), np.cumsum(sizes) - sizes
    any_positive = np.bincount(code, weights=positive, minlength=names.size) > 0
    joined = np.maximum.reduceat(values[..., order], starts, axis=-1)
    return Aggregated(groups=names, truth=any_positive, score=joined, sizes=sizes, first=first)


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold with the rule that chose it.

    Attributes:
        threshold: positive when score >= threshold; None, as the others, when the rule cannot be met.
        sensitivity: on the validation images.
        specificity: on the validation images.
        note: why the rule cannot be met; empty otherwise.
    """

    name: str
    rule: str
    threshold: float | None
    sensitivity: float | None
    specificity: float | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Every threshold that gives another answer, the highest first: each observed score."""

    threshold: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    specificity: NDArray[np.float64]

    def point(self, name: str, rule: str, index: int) -> OperatingPoint:
        threshold, sensitivity, specificity = self.threshold[index], self.sensitivity[index], self.specificity[index]
        return OperatingPoint(name, rule, float(threshold), float(sensitivity), float(specificity))


def _candidates(truth: ArrayLike, score: ArrayLike) -> _Candidates:
    curve = roc_curve(truth, score)
    if np.isnan(curve.true_positive_rate).any() or np.isnan(curve.false_positive_rate).any():
        raise InputError(
            "a threshold can be chosen only where both classes are present; one is missing in this validation part: "
            "split the data again"
        )
    # the first point predicts nothing positive: its threshold, infinity, is not a choice
    return _Candidates(curve.thresholds[1:], curve.true_positive_rate[1:], 1 - curve.false_positive_rate[1:])


def youden_point(truth: ArrayLike, score: ArrayLike) -> OperatingPoint:
    """The threshold with the largest sensitivity + specificity - 1; of equals the one with the higher sensitivity.

    Returns:
        The point; without a threshold when no score does better than predicting all images the same.

    Raises:
        InputError: a class is missing or the sample cannot be used.

    Example:
        >>> youden_point([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).threshold
        0.35
    """
    found = _candidates(truth, score)
    rule = "largest sensitivity + specificity - 1"
    both = found.sensitivity + found.specificity
    index = int(np.flatnonzero(both >= both.max() - 1e-12)[-1])
    if both[index] <= 1 + 1e-12:
        note = "no threshold does better than predicting all images the same"
        return OperatingPoint("youden", rule, None, None, None, note)
    return found.point("youden", rule, index)


def target_point(
    truth: ArrayLike, score: ArrayLike, *, of: Literal["sensitivity", "specificity"], at_least: float = 0.95
) -> OperatingPoint:
    """The threshold that is best in one of the two where the other is at least a target; of equals the highest.

    Returns:
        The point; without a threshold when only predicting every image the same reaches the target.

    Raises:
        InputError: a class is missing, the sample cannot be used, or the target is not above 0 and at most 1.
    """
    if not 0 < at_least <= 1:
        raise InputError(f"a target must be above 0 and be at most 1, got {at_least}")
    found = _candidates(truth, score)
    wanted, other, words = found.sensitivity, found.specificity, ("specificity", "positive")
    if of == "specificity":
        wanted, other, words = other, wanted, ("sensitivity", "negative")
    name, rule = f"{of}_{at_least:g}", f"best {words[0]} with {of} >= {at_least:g}"
    allowed = wanted >= at_least - 1e-12
    index = int(np.argmax(np.where(allowed, other, -1.0)))
    if not allowed[index] or other[index] <= 0:
        note = f"only predicting every image {words[1]} reaches it"
        return OperatingPoint(name, rule, None, None, None, note)
    return found.point(name, rule, index)


def choose_points(
    truth: ArrayLike, score: ArrayLike, *, sensitivity: float = 0.95, specificity: float = 0.95
) -> tuple[OperatingPoint, ...]:
    """The three points that every evaluation reports: Youden, sensitivity and specificity at least a target."""
    return (
        youden_point(truth, score),
        target_point(truth, score, of="sensitivity", at_least=sensitivity),
        target_point(truth, score, of="specificity", at_least=specificity),
    )
