"""Measures of a resample, worked out from how often each patient was drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon._compiled import compiled
from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.metrics.classification import ERRORS, MEASURES, SHARES
from osteon.metrics.validation import checked_score, checked_truth

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Evaluated",
    "Statistic",
    "WeightedMeasure",
    "auc_of_counts",
    "evaluated",
    "pr_auc_of_counts",
    "statistic",
    "sums_of_counts",
]


@compiled
def auc_of_counts(
    counts: NDArray[Any], patient: NDArray[Any], positive: NDArray[Any], opens: NDArray[Any], out: NDArray[Any]
) -> None:
    """Area under the ROC curve of every resample, ties counted half, in whole numbers up to the last division.

    Args:
        counts: (resamples, patients) int32, how often each patient was drawn.
        patient: (n,) int32, patient of each image, images by rising score.
        positive: (n,) int8, 1 for a positive image.
        opens: (n,) int8, 1 where a score differs from the one before.
        out: (resamples,) float64 to write; NaN when a class is missing.
    """
    for r in range(counts.shape[0]):
        row = counts[r]
        twice_won, positives, negatives, tied_positives, tied_negatives = 0, 0, 0, 0, 0
        for i in range(patient.size):
            if opens[i]:
                twice_won += tied_positives * (2 * negatives + tied_negatives)
                positives += tied_positives
                negatives += tied_negatives
                tied_positives, tied_negatives = 0, 0
            drawn = row[patient[i]]
            # no branch: the class of the next image by score cannot be foretold
            won = drawn * positive[i]
            tied_positives += won
            tied_negatives += drawn - won
        twice_won += tied_positives * (2 * negatives + tied_negatives)
        positives += tied_positives
        negatives += tied_negatives
        pairs = positives * negatives
        out[r] = twice_won / (2 * pairs) if pairs > 0 else float("nan")


@compiled
def pr_auc_of_counts(
    counts: NDArray[Any], patient: NDArray[Any], positive: NDArray[Any], opens: NDArray[Any], out: NDArray[Any]
) -> None:
    """Average precision of every resample; arguments as of ``auc_of_counts``."""
    for r in range(counts.shape[0]):
        row = counts[r]
        caught, predicted, before = 0, 0, 0
        area = 0.0
        for i in range(patient.size - 1, -1, -1):
            drawn = row[patient[i]]
            caught += drawn * positive[i]
            predicted += drawn
            if opens[i] and caught > before:
                area += (caught - before) * (caught / predicted)
                before = caught
        out[r] = area / caught if 0 < caught < predicted else float("nan")


@compiled
def sums_of_counts(counts: NDArray[Any], table: NDArray[Any], out: NDArray[Any]) -> None:
    """Sums over the drawn patients: ``counts @ table``, always in the same order and without threads of its own."""
    for r in range(counts.shape[0]):
        sums = out[r]
        sums[:] = 0.0
        for p in range(table.shape[0]):
            drawn = counts[r, p]
            if drawn:
                for c in range(table.shape[1]):
                    sums[c] += drawn * table[p, c]


# counts (resamples, patients) int32 -> the measure of each resample (resamples,) float64
Statistic = Callable[["NDArray[np.int32]"], "NDArray[np.float64]"]
# truth (n,), score (n,), weight of each image (n,) -> the measure; NaN where it is not defined
WeightedMeasure = Callable[["NDArray[np.bool_]", "NDArray[np.float64]", "NDArray[np.int32]"], float]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """Images with truth, scores and patients, checked.

    Attributes:
        truth: (n,) bool.
        score: (models, n) float64.
        threshold: (models, n) float64; a score at or above it is predicted positive.
        patient: (n,) int32, 0 to patients - 1.
        fold: (n,) int32, 0 to folds - 1; all 0 where the images are evaluated as one.
    """

    truth: NDArray[np.bool_] = field(repr=False)
    score: NDArray[np.float64] = field(repr=False)
    threshold: NDArray[np.float64] = field(repr=False)
    patient: NDArray[np.int32] = field(repr=False)
    patients: int
    fold: NDArray[np.int32] = field(repr=False)
    folds: int

    def of_fold(self, number: int) -> Evaluated:
        """The images of one fold; patients keep their numbers."""
        kept = self.fold == number
        score, threshold = self.score[:, kept], self.threshold[:, kept]
        fold = np.zeros(int(kept.sum()), np.int32)
        return Evaluated(self.truth[kept], score, threshold, self.patient[kept], self.patients, fold, 1)


def evaluated(
    truth: ArrayLike, score: ArrayLike, patients: ArrayLike, threshold: ArrayLike = 0.5, folds: ArrayLike | None = None
) -> Evaluated:
    """Check what was given, as of ``patient_bootstrap``, and number the patients in the order of their sorted ids.

    Raises:
        InputError: shapes differ, nothing was given, a score is not finite, or a threshold is NaN.
    """
    positive = checked_truth(truth)
    scores = np.atleast_2d(checked_score(score, positive.size))
    if scores.ndim != 2 or scores.shape[0] == 0:
        raise InputError(f"scores of shape (images,) or (models, images) are needed; {scores.shape} was given")
    limits = np.asarray(threshold, dtype=np.float64)
    if limits.ndim == 1 and np.ndim(score) == 2:
        limits = limits[:, np.newaxis]
    if limits.ndim and limits.shape not in {scores.shape, scores.shape[1:], (scores.shape[0], 1)}:
        raise InputError(f"one threshold, one a model or one an image is needed; an array of {limits.shape} was given")
    if np.isnan(limits).any():
        raise InputError("a threshold is needed; one is NaN: fix it on the validation part")
    patient, patient_count = _numbered(patients, positive.size, "patient")
    fold, fold_count = _numbered(np.zeros(positive.size) if folds is None else folds, positive.size, "fold")
    limits = np.broadcast_to(limits, scores.shape)
    return Evaluated(positive, scores, limits, patient, patient_count, fold, fold_count)


def _numbered(ids: ArrayLike, images: int, what: str) -> tuple[NDArray[np.int32], int]:
    given = np.asarray(ids)
    if given.shape != (images,):
        raise InputError(f"one {what} per image is needed; {images} images and an array of {given.shape} were given")
    names, code = np.unique(given, return_inverse=True)
    return code.astype(np.int32), names.size


def statistic(measure: str | WeightedMeasure, cases: Evaluated, minus: Evaluated | None = None) -> Statistic:
    """The measure, averaged over models and folds, as a function of patient counts; that of ``minus`` subtracted.

    Folds where the measure is not defined on the images as they are do not count; where one of the others is not
    defined in a resample, the resample is not. A model where it is not defined leaves the mean undefined.

    Raises:
        UnknownLabelError: no measure has that name.
        InputError: the measure needs probabilities and got other scores.
    """

    def part(number: int) -> Statistic:
        one = _statistic(measure, cases.of_fold(number))
        if minus is None:
            return one
        two = _statistic(measure, minus.of_fold(number))
        return lambda counts: one(counts) - two(counts)

    parts = [part(number) for number in range(cases.folds)]
    if len(parts) == 1:
        return parts[0]
    everyone = np.ones((1, cases.patients), np.int32)
    defined = [one for one in parts if not np.isnan(one(everyone)[0])]

    def apply(counts: NDArray[np.int32]) -> NDArray[np.float64]:
        if not defined:
            return np.full(counts.shape[0], np.nan)
        return _mean(np.stack([one(counts) for one in defined]))

    return apply


def _statistic(measure: str | WeightedMeasure, cases: Evaluated) -> Statistic:
    if callable(measure):
        return _of_weights(measure, cases)
    if measure in _RANKED:
        return _of_ranks(_RANKED[measure], cases)
    if measure in ERRORS:
        return _of_errors(ERRORS[measure](cases.truth, cases.score), cases)
    if measure in SHARES:
        return _of_confusion(SHARES[measure], cases)
    raise UnknownLabelError(f"measure {measure!r} does not exist; {nearest_names(measure, MEASURES)}")


def _of_ranks(kernel: Callable[..., None], cases: Evaluated) -> Statistic:
    """Each model's images are sorted once; a resample is then one pass over them."""
    sorted_models = []
    for score in cases.score:
        order = np.argsort(score, kind="stable")
        opens = np.ones(score.size, np.int8)
        opens[1:] = np.diff(score[order]) > 0
        sorted_models.append((cases.patient[order], cases.truth[order].astype(np.int8), opens))

    def apply(counts: NDArray[np.int32]) -> NDArray[np.float64]:
        values = np.empty((len(sorted_models), counts.shape[0]))
        for row, (patient, positive, opens) in zip(values, sorted_models, strict=True):
            kernel(counts, patient, positive, opens, row)
        return _mean(values)

    return apply


def _of_errors(errors: NDArray[np.float64], cases: Evaluated) -> Statistic:
    """The mean over images and over models is one sum a patient."""
    sums = np.bincount(cases.patient, weights=errors.mean(axis=0), minlength=cases.patients)
    images = np.bincount(cases.patient, minlength=cases.patients)
    table = np.stack([sums, images], axis=1).astype(np.float64)

    def apply(counts: NDArray[np.int32]) -> NDArray[np.float64]:
        total, drawn = _sums(counts, table).T
        return np.asarray(np.divide(total, drawn, out=np.full(drawn.shape, np.nan), where=drawn > 0))

    return apply


def _of_confusion(share: Callable[..., NDArray[np.float64]], cases: Evaluated) -> Statistic:
    """Counts of tp, fp, tn and fn a patient; whole numbers stay exact in float64."""
    predicted = cases.score >= cases.threshold
    cells = (predicted & cases.truth, predicted & ~cases.truth, ~predicted & ~cases.truth, ~predicted & cases.truth)
    columns = [
        np.bincount(cases.patient, weights=row, minlength=cases.patients)
        for model in zip(*cells, strict=True)
        for row in model
    ]
    table = np.stack(columns, axis=1).astype(np.float64)

    def apply(counts: NDArray[np.int32]) -> NDArray[np.float64]:
        cell = _sums(counts, table).reshape(counts.shape[0], -1, 4)
        return _mean(share(*np.moveaxis(cell, (2, 1), (0, 1))))

    return apply


def _of_weights(measure: WeightedMeasure, cases: Evaluated) -> Statistic:
    """Any function of image weights; called once a model and resample that has an image."""

    def value(score: NDArray[np.float64], weight: NDArray[np.int32]) -> float:
        if not weight.any():  # a fold of one test patient, who was not drawn
            return float("nan")
        try:
            return measure(cases.truth, score, weight)
        except (InputError, ZeroDivisionError):
            if (weight == 1).all():  # the images as they are
                raise
            return float("nan")

    def apply(counts: NDArray[np.int32]) -> NDArray[np.float64]:
        weights = counts[:, cases.patient]
        values = [[value(score, weight) for weight in weights] for score in cases.score]
        return _mean(np.array(values, dtype=np.float64))

    return apply


def _sums(counts: NDArray[np.int32], table: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.empty((counts.shape[0], table.shape[1]))
    sums_of_counts(counts, table, out)
    return out


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = values.mean(axis=0)
    return mean


_RANKED: dict[str, Callable[..., None]] = {"auc": auc_of_counts, "pr_auc": pr_auc_of_counts}
