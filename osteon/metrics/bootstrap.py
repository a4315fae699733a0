"""Intervals from resampled patients: images of one patient are alike, so patients are drawn, not images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from osteon._compiled import in_threads
from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.metrics.bootstrap_measures import evaluated, statistic
from osteon.metrics.validation import check_confidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike, NDArray

    from osteon.metrics.bootstrap_measures import Evaluated, Statistic, WeightedMeasure

__all__ = [
    "MOST_UNDEFINED",
    "BootstrapInterval",
    "Resampling",
    "SampleSize",
    "bca_limits",
    "draw_patients",
    "drawn_patients",
    "interval_of",
    "paired_difference",
    "patient_bootstrap",
    "patient_bootstraps",
    "percentile_limits",
    "resampled_ratio",
]

_METHODS = ("percentile", "bca")
MOST_UNDEFINED = 0.5
"""Share of resamples without a value above which no interval is given: the rest does not stand for all patients."""

# resamples at a time: small enough that counts of 10,000 patients stay in the processor's cache
_BLOCK = 32


@dataclass(frozen=True, slots=True)
class Resampling:
    """How patients are drawn and the interval is made.

    Attributes:
        seed: of the draws; resample ``r`` depends on the seed and on ``r`` only, so measures and models that are given
            the same patients see the same resamples, and more repeats go on where fewer ended.
        method: ``"percentile"``, or ``"bca"`` (bias-corrected and accelerated; one more pass for each patient).
    """

    repeats: int = 2000
    seed: int = 1
    confidence: float = 0.95
    method: str = "percentile"

    def __post_init__(self) -> None:
        """Raise at once when a value cannot be."""
        check_confidence(self.confidence)
        if self.repeats < 1 or self.seed < 0:
            raise InputError(f"{self.repeats} repeats with seed {self.seed} cannot be: at least 1 and at least 0")
        if self.method not in _METHODS:
            known = nearest_names(self.method, _METHODS)
            raise UnknownLabelError(f"bootstrap method {self.method!r} does not exist; {known}")


@dataclass(frozen=True, slots=True)
class BootstrapInterval:
    """A measure with its interval over resampled patients.

    Attributes:
        value: on the patients as they are; NaN where the measure is not defined.
        low: lower limit; NaN when the value is not defined, there are fewer than two patients, or the measure is not
            defined in more than ``MOST_UNDEFINED`` of the resamples.
        high: upper limit; NaN as ``low``.
        images: number of images (rows, where an image is evaluated in several folds).
        models: whose measures were averaged in each resample.
        folds: that were given; the measure was averaged over those where it is defined.
        undefined_repeats: resamples left out because a fold was empty, a class was missing or the measure had an empty
            denominator.
        p_value: of a difference, two-sided against 0; None for a single measure.
    """

    value: float
    low: float
    high: float
    method: str
    confidence: float
    repeats: int
    seed: int
    patients: int
    images: int
    models: int
    folds: int
    undefined_repeats: int
    p_value: float | None = None


@dataclass(frozen=True, slots=True)
class SampleSize:
    """Patients, images, models and folds behind an interval, as of ``BootstrapInterval``."""

    patients: int
    images: int
    models: int = 1
    folds: int = 1


def patient_bootstrap(
    measure: str | WeightedMeasure,
    truth: ArrayLike,
    score: ArrayLike,
    patients: ArrayLike,
    *,
    threshold: ArrayLike = 0.5,
    strata: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    resampling: Resampling | None = None,
) -> BootstrapInterval:
    """Interval of a measure, patients drawn with replacement.

    Args:
        measure: a name of ``classification.MEASURES``, or a function of truth (n,), score (n,) and image weights (n,)
            that gives NaN where it is not defined; it is never asked about a resample without a single image, and one
            in which it raises InputError or divides by zero counts as not defined.
        truth: (n,) bool or 0 and 1.
        score: (n,) finite; or (models, n): the statistic is then the mean of the measure over the models, all evaluated
            on the same resampled patients (five fold models on one test set).
        patients: (n,) id of the patient of each image. One id an image gives the plain bootstrap of images.
        threshold: of measures of positive images: one number, one a model, or one an image ((n,) or (models, n)).
        strata: (n,) the patient's stratum; patients are then drawn within strata, whose sizes stay.
        folds: (n,) fold of each row: the statistic is then the mean over folds of the measure within each. An image
            evaluated in several folds is given once for each; patients, not rows, are drawn.
        resampling: repeats, seed, confidence and method; resamples without a value are left out and counted.

    Raises:
        InputError: shapes differ, nothing was given, a score is not finite, a patient is in two strata, or BCa was
            asked for where leaving out one patient leaves the measure undefined.
        UnknownLabelError: no measure has that name.

    References:
        Field and Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x (clusters);
        Efron 1987, doi:10.1080/01621459.1987.10478410 (BCa)
    """
    cases = evaluated(truth, score, patients, threshold, folds)
    return _intervals([statistic(measure, cases)], cases, strata, resampling or Resampling())[0]


def patient_bootstraps(
    measures: Iterable[str],
    truth: ArrayLike,
    score: ArrayLike,
    patients: ArrayLike,
    *,
    threshold: ArrayLike = 0.5,
    strata: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    resampling: Resampling | None = None,
) -> dict[str, BootstrapInterval]:
    """Intervals of several measures on the same resamples; arguments as of ``patient_bootstrap``."""
    cases = evaluated(truth, score, patients, threshold, folds)
    statistics = {name: statistic(name, cases) for name in measures}
    intervals = _intervals(list(statistics.values()), cases, strata, resampling or Resampling())
    return dict(zip(statistics, intervals, strict=True))


def paired_difference(
    measure: str | WeightedMeasure,
    truth: ArrayLike,
    scores: tuple[ArrayLike, ArrayLike],
    patients: ArrayLike,
    *,
    thresholds: tuple[ArrayLike, ArrayLike] = (0.5, 0.5),
    strata: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    resampling: Resampling | None = None,
) -> BootstrapInterval:
    """Difference of a measure, first minus second score, on the same resampled patients; as ``patient_bootstrap``.

    The p value is twice the smaller share of resamples on either side of 0, one resample added to each side, so it is
    never 0; ties with 0 count for both sides. The differences of the folds where both are defined are averaged.

    Raises:
        InputError: as ``patient_bootstrap``.
        UnknownLabelError: no measure has that name.

    References:
        Davison and Hinkley 1997, doi:10.1017/CBO9780511802843 (chapter 4)
    """
    how = resampling or Resampling()
    first, second = (evaluated(truth, s, patients, t, folds) for s, t in zip(scores, thresholds, strict=True))
    return _intervals([statistic(measure, first, second)], first, strata, how, against_zero=True)[0]


def draw_patients(
    patients: int, resamples: range, *, seed: int, strata: NDArray[np.int64] | None = None
) -> NDArray[np.int32]:
    """How often each patient is drawn, within strata (patients,) if any; a generator a resample, ``(seed, resample)``.

    Returns:
        (resamples, patients); a row adds up to the number of patients, in each stratum to that of the stratum.

    Example:
        >>> draw_patients(4, range(3), seed=1).sum(axis=1).tolist()
        [4, 4, 4]
    """
    members = [np.flatnonzero(strata == s) for s in np.unique(strata)] if strata is not None else [np.arange(patients)]
    counts = np.zeros((len(resamples), patients), np.int32)
    for row, resample in zip(counts, resamples, strict=True):
        generator = np.random.default_rng((seed, resample))
        for member in members:
            picks = generator.integers(0, member.size, member.size)
            row[member] = np.bincount(picks, minlength=member.size)
    return counts


def drawn_patients(
    patients: ArrayLike, images: int, how: Resampling, *, of: str
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The number of each image's patient (n,), and how often each is drawn (repeats, patients), for percentiles.

    Raises:
        InputError: not one id an image, or another method was asked for; the error says what the intervals are ``of``.
    """
    ids = np.asarray(patients)
    if ids.shape != (images,):
        raise InputError(f"{ids.size} patient ids were given for {images} images: give one an image")
    if how.method != "percentile":
        raise InputError(f"intervals of {of} are percentile intervals; {how.method!r} was asked for")
    names, number = np.unique(ids, return_inverse=True)
    return number.astype(np.int64), draw_patients(names.size, range(how.repeats), seed=how.seed)


def resampled_ratio(
    part: ArrayLike, whole: ArrayLike, number: NDArray[np.int64], drawn: NDArray[np.int32]
) -> tuple[float, NDArray[np.float64]]:
    """A sum over images (n,) divided by another: as they are, and on each draw (repeats,); NaN where that is 0."""
    tables = (np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64))
    sums = np.stack([np.bincount(number, weights=each, minlength=drawn.shape[1]) for each in tables], axis=1)
    top, bottom = (drawn @ sums).T
    replicates = np.divide(top, bottom, out=np.full(bottom.shape, np.nan), where=bottom > 0)
    counted, total = sums.sum(axis=0)
    return float(counted / total) if total > 0 else math.nan, replicates


def interval_of(
    value: float,
    replicates: NDArray[np.float64],
    how: Resampling,
    *,
    size: SampleSize,
    limits: Callable[[float, NDArray[np.float64]], tuple[float, float]] | None = None,
    against_zero: bool = False,
) -> BootstrapInterval:
    """The interval of a measure from its values (repeats,) on resampled patients; NaN where it is not defined.

    Resamples without a value are left out and counted; when they are more than ``MOST_UNDEFINED`` of all, there are no
    limits.
    """
    defined = replicates[~np.isnan(replicates)]
    enough = 0 < defined.size >= (1 - MOST_UNDEFINED) * replicates.size
    known = not math.isnan(value) and size.patients > 1 and enough
    low, high = math.nan, math.nan
    if known:
        low, high = limits(value, defined) if limits else percentile_limits(defined, how.confidence)
    p_value = math.nan if against_zero else None
    if against_zero and known:
        smaller = min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
        p_value = min(1.0, 2 * (int(smaller) + 1) / (defined.size + 1))
    drawn = (how.method, how.confidence, how.repeats, how.seed, size.patients, size.images, size.models, size.folds)
    return BootstrapInterval(value, low, high, *drawn, how.repeats - defined.size, p_value)


def percentile_limits(replicates: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """The ends of the middle part of the replicates (defined repeats,), at least one, that holds such a share.

    Where some are infinite there is nothing between two of them: the nearest replicate is taken.

    Example:
        >>> percentile_limits(np.array([1.0, 2.0, 3.0, np.inf, np.inf]), 0.5)
        (2.0, inf)
    """
    tail = (1 - confidence) / 2
    if not np.isfinite(replicates).all():
        ordered = np.sort(replicates)
        first, last = (round(share * (ordered.size - 1)) for share in (tail, 1 - tail))
        return float(ordered[first]), float(ordered[last])
    low, high = np.quantile(replicates, (tail, 1 - tail))
    return float(low), float(high)


def bca_limits(
    replicates: NDArray[np.float64], value: float, left_out: list[NDArray[np.float64]], confidence: float
) -> tuple[float, float]:
    """Bias-corrected and accelerated limits of defined replicates, at least one.

    ``left_out`` holds for each stratum (patients of it,) the measure without each patient.

    References:
        Efron 1987, doi:10.1080/01621459.1987.10478410; Davison, Hinkley 1997, doi:10.1017/CBO9780511802843 (chapter 5)
    """
    from scipy.special import ndtr, ndtri

    size = replicates.size
    below = (np.count_nonzero(replicates < value) + np.count_nonzero(replicates <= value)) / (2 * size)
    # all replicates on one side would give an infinite bias; half a replicate is put on the other
    bias = ndtri(np.clip(below, 0.5 / size, 1 - 0.5 / size))
    cubes, squares = 0.0, 0.0
    for values in left_out:
        influence = (values.size - 1) * (values.mean() - values)
        cubes += float(np.sum(influence**3)) / values.size**3
        squares += float(np.sum(influence**2)) / values.size**2
    acceleration = cubes / (6 * squares**1.5) if squares > 0 else 0.0
    quantiles = []
    for tail in ((1 - confidence) / 2, (1 + confidence) / 2):
        moved = bias + ndtri(tail)
        quantiles.append(float(ndtr(bias + moved / (1 - acceleration * moved))))
    low, high = np.quantile(replicates, quantiles)
    return float(low), float(high)


def _intervals(
    statistics: list[Statistic],
    cases: Evaluated,
    strata: ArrayLike | None,
    how: Resampling,
    *,
    against_zero: bool = False,
) -> list[BootstrapInterval]:
    """Draw once, apply every statistic, and make the intervals."""
    stratum = _patient_strata(cases, strata)
    replicates = np.empty((len(statistics), how.repeats))

    def resample(first: int, stop: int) -> None:
        counts = draw_patients(cases.patients, range(first, stop), seed=how.seed, strata=stratum)
        for row, apply in zip(replicates, statistics, strict=True):
            row[first:stop] = apply(counts)

    in_threads(resample, how.repeats, chunk=_BLOCK)
    everyone = np.ones((1, cases.patients), np.int32)

    def bca(apply: Statistic, value: float, defined: NDArray[np.float64]) -> tuple[float, float]:
        return bca_limits(defined, value, _left_out(apply, cases.patients, stratum), how.confidence)

    return [
        interval_of(
            float(apply(everyone)[0]),
            row,
            how,
            size=SampleSize(cases.patients, cases.truth.size, cases.score.shape[0], cases.folds),
            limits=partial(bca, apply) if how.method == "bca" else None,
            against_zero=against_zero,
        )
        for row, apply in zip(replicates, statistics, strict=True)
    ]


def _patient_strata(cases: Evaluated, strata: ArrayLike | None) -> NDArray[np.int64] | None:
    """Stratum of each patient, numbered."""
    if strata is None:
        return None
    given = np.asarray(strata)
    if given.shape != cases.truth.shape:
        raise InputError(f"one stratum per image is needed; {cases.truth.size} images and strata of {given.shape} came")
    _, code = np.unique(given, return_inverse=True)
    stratum = np.zeros(cases.patients, np.int64)
    stratum[cases.patient] = code
    mixed = int(np.unique(cases.patient[stratum[cases.patient] != code]).size)
    if mixed:
        raise InputError(f"{mixed} patients are in two strata: give every image the stratum of its patient")
    return stratum


def _left_out(apply: Statistic, patients: int, stratum: NDArray[np.int64] | None) -> list[NDArray[np.float64]]:
    """The measure without each patient, by stratum."""
    values = np.empty(patients)

    def leave_out(first: int, stop: int) -> None:
        counts = np.ones((stop - first, patients), np.int32)
        counts[np.arange(stop - first), np.arange(first, stop)] = 0
        values[first:stop] = apply(counts)

    in_threads(leave_out, patients, chunk=_BLOCK)
    undefined = int(np.count_nonzero(np.isnan(values)))
    if undefined:
        raise InputError(
            f"a BCa interval was asked for; without one of {undefined} patients the measure is not defined: "
            "take the percentile interval"
        )
    return [values] if stratum is None else [values[stratum == s] for s in np.unique(stratum)]
