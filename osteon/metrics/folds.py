"""Intervals and tests over the folds of a cross-validation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError
from osteon.metrics.validation import check_confidence

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["CorrectedTTest", "FoldInterval", "corrected_t_test", "fold_interval", "holm"]


@dataclass(frozen=True, slots=True)
class FoldInterval:
    """Mean over folds with Student's t interval.

    Attributes:
        mean: over the folds where the measure is defined; NaN when there is none.
        low: lower limit; NaN with fewer than two folds. It is not cut at 0.
        high: upper limit; NaN with fewer than two folds. It is not cut at 1.
        undefined_folds: whose value was NaN (a class was missing); they were left out.
        leaves_range: whether a limit is outside [0, 1], which no rate can reach: to be told beside the table.
    """

    mean: float
    low: float
    high: float
    standard_deviation: float
    folds: int
    undefined_folds: int
    confidence: float
    leaves_range: bool


@dataclass(frozen=True, slots=True)
class CorrectedTTest:
    """Two configurations over the same folds: mean of first minus second with its limits, t, two-sided p value."""

    difference: float
    low: float
    high: float
    statistic: float
    degrees_of_freedom: int
    p_value: float
    confidence: float


def fold_interval(values: ArrayLike, *, confidence: float = 0.95) -> FoldInterval:
    """Student's t interval over one value a fold (folds,), NaN where it is not defined, as papers print it.

    Folds share most of their training images, so their spread is too small and the interval promises too much; the
    patient bootstrap stands beside it.

    Raises:
        InputError: no folds, an infinite value, or a confidence that cannot be.

    References:
        Bengio and Grandvalet 2004, https://jmlr.org/papers/v5/grandvalet04a.html (no unbiased variance exists)

    Example:
        >>> interval = fold_interval([0.8, 0.9, 1.0])
        >>> round(interval.low, 3), round(interval.high, 3), interval.leaves_range
        (0.652, 1.148, True)
    """
    from scipy.stats import t

    check_confidence(confidence)
    given = _fold_values(values)
    used = given[~np.isnan(given)]
    undefined = given.size - used.size
    mean = float(used.mean()) if used.size else math.nan
    if used.size < 2:
        return FoldInterval(mean, math.nan, math.nan, math.nan, used.size, undefined, confidence, leaves_range=False)
    deviation = float(used.std(ddof=1))
    half = float(t.ppf((1 + confidence) / 2, used.size - 1)) * deviation / math.sqrt(used.size)
    low, high = mean - half, mean + half
    leaves = low < 0 or high > 1
    return FoldInterval(mean, low, high, deviation, used.size, undefined, confidence, leaves_range=leaves)


def corrected_t_test(
    first: ArrayLike, second: ArrayLike, *, test_over_train: float | None = None, confidence: float = 0.95
) -> CorrectedTTest:
    """Corrected resampled t test of two configurations (folds,), measured on the same folds in the same order.

    The variance of the mean is (1/folds + test_over_train) times that of the differences: training parts overlap.
    ``test_over_train`` is the size of a test part over that of its training part; for k folds 1 / (k - 1), the default.

    Returns:
        NaN statistic when all differences are the same; then the p value is 1 if they are 0, else 0.

    Raises:
        InputError: fewer than two folds, different folds, a value that is not finite, or a ratio that cannot be.

    References:
        Nadeau and Bengio 2003, doi:10.1023/A:1024068626366

    Example:
        >>> result = corrected_t_test([0.9, 0.8, 0.85], [0.8, 0.75, 0.84])
        >>> round(result.statistic, 3), round(result.p_value, 3)
        (1.296, 0.324)
    """
    from scipy.stats import t

    check_confidence(confidence)
    one, two = _fold_values(first), _fold_values(second)
    if one.shape != two.shape or one.size < 2:
        raise InputError(f"two or more folds, the same for both, are needed; {one.size} and {two.size} were given")
    if np.isnan(one).any() or np.isnan(two).any():
        raise InputError("a fold has no value (a class is missing in it): leave it out for both, and say so")
    ratio = 1 / (one.size - 1) if test_over_train is None else test_over_train
    if not ratio > 0:
        raise InputError(f"test over train {ratio} cannot be: it is above 0, for example 0.25 for five folds")
    gaps = one - two
    difference, freedom = float(gaps.mean()), one.size - 1
    if np.ptp(gaps) == 0:
        p_value = 1.0 if difference == 0 else 0.0
        return CorrectedTTest(difference, difference, difference, math.nan, freedom, p_value, confidence)
    error = math.sqrt((1 / one.size + ratio) * float(gaps.var(ddof=1)))
    half = float(t.ppf((1 + confidence) / 2, freedom)) * error
    p_value = float(2 * t.sf(abs(difference) / error, freedom))
    low, high = difference - half, difference + half
    return CorrectedTTest(difference, low, high, difference / error, freedom, p_value, confidence)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's adjusted p values (tests,), for the level of the whole family; NaN, a test not made, is not counted.

    Raises:
        InputError: a value outside [0, 1].

    References:
        Holm 1979, https://www.jstor.org/stable/4615733

    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, dtype=np.float64)
    made = ~np.isnan(values)
    if values.ndim != 1 or (values[made] < 0).any() or (values[made] > 1).any():
        raise InputError("p values in [0, 1], one a test, are needed; others were given")
    adjusted = np.full(values.shape, np.nan)
    order = np.flatnonzero(made)[np.argsort(values[made], kind="stable")]
    adjusted[order] = np.minimum(np.maximum.accumulate(np.arange(order.size, 0, -1) * values[order]), 1)
    return adjusted


def _fold_values(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or np.isinf(array).any():
        raise InputError(f"one finite value a fold is needed; an array of shape {array.shape} was given")
    return array
