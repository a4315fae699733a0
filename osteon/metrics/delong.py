"""Intervals and tests of areas under ROC curves without resampling.

The variance comes from the placement of each positive among the negatives and the other way round (DeLong), which are
differences of midranks (Sun and Xu). Where a patient has several images, they are summed within patients (Obuchowski).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError
from osteon.metrics.validation import check_confidence, checked_score, checked_truth

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["AucComparison", "AucInterval", "auc_covariance", "auc_interval", "compare_paired"]


@dataclass(frozen=True, slots=True)
class AucInterval:
    """An area under the ROC curve with its interval, all in [0, 1].

    Attributes:
        value: NaN when a class is missing.
        low: lower limit, cut at 0; NaN where there is no standard error, and when the area is 0 or 1.
        high: upper limit, cut at 1; NaN as ``low``.
        standard_error: NaN with fewer than two positives or two negatives (patients who have such, when clustered).
        method: ``"delong"`` or ``"obuchowski"``.
    """

    value: float
    low: float
    high: float
    standard_error: float
    confidence: float
    method: str


@dataclass(frozen=True, slots=True)
class AucComparison:
    """Two areas under ROC curves, and their difference, first minus second, with its limits.

    Attributes:
        statistic: z; NaN where there is no standard error, or it is 0.
        p_value: two-sided; 1 when the difference and its standard error are 0; NaN otherwise where there is no z.
        method: ``"delong-paired"`` or ``"obuchowski-paired"``.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    statistic: float
    p_value: float
    confidence: float
    method: str


def auc_interval(
    truth: ArrayLike, score: ArrayLike, *, patients: ArrayLike | None = None, confidence: float = 0.95
) -> AucInterval:
    """Interval of the area under the ROC curve.

    Args:
        truth: (n,) bool or 0 and 1.
        score: (n,) finite; higher means positive.
        patients: (n,) id of the patient of each image, for Obuchowski's variance; None takes images as independent.
        confidence: between 0 and 1.

    Raises:
        InputError: shapes differ, nothing was given, a score is not finite, or a confidence that cannot be.

    References:
        DeLong et al. 1988, doi:10.2307/2531595; Obuchowski 1997, doi:10.2307/2533958
    """
    check_confidence(confidence)
    values = np.asarray(score)
    if values.ndim != 1:
        raise InputError(f"scores of one model are needed; their shape is {values.shape}: give one row")
    aucs, covariance = auc_covariance(truth, values, patients=patients)
    value, error = float(aucs[0]), _root(float(covariance[0, 0]))
    low = high = math.nan
    if 0 < value < 1 and not math.isnan(error):
        half = _normal_quantile(confidence) * error
        low, high = max(0.0, value - half), min(1.0, value + half)
    return AucInterval(value, low, high, error, confidence, "delong" if patients is None else "obuchowski")


def compare_paired(
    truth: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    patients: ArrayLike | None = None,
    confidence: float = 0.95,
) -> AucComparison:
    """Two scores (n,) of the same images; arguments as of ``auc_interval``.

    Raises:
        InputError: shapes differ, nothing was given, a score is not finite, or a confidence that cannot be.

    References:
        DeLong et al. 1988, doi:10.2307/2531595; Sun and Xu 2014, doi:10.1109/LSP.2014.2337313;
        Obuchowski 1997, doi:10.2307/2533958
    """
    from scipy.special import ndtr

    check_confidence(confidence)
    images = checked_truth(truth).size
    both = np.stack([checked_score(first, images), checked_score(second, images)])
    (one, two), covariance = auc_covariance(truth, both, patients=patients)
    variance = float(covariance[0, 0] + covariance[1, 1] - covariance[0, 1] - covariance[1, 0])
    # what rounding leaves of a variance that is 0 must not become a z
    if variance < 1e-12 * float(covariance[0, 0] + covariance[1, 1]):
        variance = 0.0
    method = "delong-paired" if patients is None else "obuchowski-paired"
    difference, error = float(one - two), _root(variance)
    half = _normal_quantile(confidence) * error
    if error > 0:
        statistic = difference / error
        p_value = float(2 * ndtr(-abs(statistic)))
    else:
        statistic, p_value = math.nan, 1.0 if error == 0 and difference == 0 else math.nan
    low, high = difference - half, difference + half
    return AucComparison(float(one), float(two), difference, low, high, statistic, p_value, confidence, method)


def auc_covariance(
    truth: ArrayLike, scores: ArrayLike, *, patients: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Areas of several scores of the same images, and their covariance; arguments as of ``auc_interval``.

    Clusters of one image give exactly DeLong's covariance: both divide by one less than the number of positives and of
    negatives (of the patients who have such), and the term between both classes is then 0.

    Returns:
        (scores,) areas, NaN when a class is missing; and (scores, scores) covariance, NaN with fewer than two positives
        or two negatives (patients who have such).

    Raises:
        InputError: shapes differ, nothing was given, or a score is not finite.

    References:
        DeLong et al. 1988, doi:10.2307/2531595; Sun and Xu 2014, doi:10.1109/LSP.2014.2337313;
        Obuchowski 1997, doi:10.2307/2533958 (equations for S10, S01 and S11)
    """
    positive = checked_truth(truth)
    values = np.atleast_2d(checked_score(scores, positive.size))
    count = values.shape[0]
    if not positive.any() or positive.all():
        return np.full(count, np.nan), np.full((count, count), np.nan)
    of_positives, of_negatives = _placements(positive, values)
    aucs: NDArray[np.float64] = of_positives.mean(axis=1)
    from_positives = (of_positives - aucs[:, np.newaxis]) / of_positives.shape[1]
    from_negatives = (of_negatives - aucs[:, np.newaxis]) / of_negatives.shape[1]
    if patients is None:
        each = (from_positives, from_negatives)
        return aucs, sum((_spread(parts, parts.shape[1]) for parts in each), np.zeros((count, count)))
    ids = np.asarray(patients)
    if ids.shape != positive.shape:
        raise InputError(f"one patient per image is needed; {positive.size} images and patients of shape {ids.shape}")
    names, code = np.unique(ids, return_inverse=True)
    sums_positive, sums_negative = (
        np.array([np.bincount(code[chosen], weights=row, minlength=names.size) for row in parts], dtype=np.float64)
        for parts, chosen in ((from_positives, positive), (from_negatives, ~positive))
    )
    covariance = _spread(sums_positive, np.unique(code[positive]).size)
    covariance += _spread(sums_negative, np.unique(code[~positive]).size)
    if names.size > 1:
        between = sums_positive @ sums_negative.T * (names.size / (names.size - 1))
        covariance += between + between.T
    return aucs, covariance


def _placements(
    positive: NDArray[np.bool_], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of negatives below each positive (scores, positives) and of positives above each negative, ties half."""
    from scipy.stats import rankdata

    positives, negatives = values[:, positive], values[:, ~positive]
    among_all = rankdata(values, axis=1)
    below = (among_all[:, positive] - rankdata(positives, axis=1)) / negatives.shape[1]
    above = 1 - (among_all[:, ~positive] - rankdata(negatives, axis=1)) / positives.shape[1]
    return below, above


def _spread(parts: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Covariance of a sum of ``count`` independent parts whose mean is 0."""
    if count < 2:
        return np.full((parts.shape[0], parts.shape[0]), np.nan)
    products: NDArray[np.float64] = parts @ parts.T
    return products * (count / (count - 1))


def _root(variance: float) -> float:
    # the clustered variance is a sum with a signed term: it may fall below 0 for a few patients
    return math.sqrt(variance) if variance >= 0 else math.nan


def _normal_quantile(confidence: float) -> float:
    from scipy.special import ndtri

    return float(ndtri((1 + confidence) / 2))
