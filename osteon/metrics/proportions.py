"""Intervals of a proportion, and the test of two readers on the same cases. Both take cases as independent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.metrics.checks import check_confidence, checked_truth

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["McNemar", "ProportionInterval", "clopper_pearson", "mcnemar", "wilson"]


@dataclass(frozen=True, slots=True)
class ProportionInterval:
    """A proportion with its interval, all in [0, 1].

    Attributes:
        value: successes over total; NaN when the total is 0.
        low: lower limit.
        high: upper limit.
        successes: counted.
        total: of the cases.
        confidence: of the interval.
        method: ``"wilson"`` or ``"clopper_pearson"``.
    """

    value: float
    low: float
    high: float
    successes: int
    total: int
    confidence: float
    method: str


@dataclass(frozen=True, slots=True)
class McNemar:
    """Whether two methods err equally often on the same cases.

    Attributes:
        only_first: cases that only the first got right.
        only_second: cases that only the second got right.
        statistic: the smaller of both counts (exact), or chi squared with one degree of freedom.
        p_value: two-sided.
        method: ``"exact"`` or ``"chi2"``.
    """

    only_first: int
    only_second: int
    statistic: float
    p_value: float
    method: str


def wilson(successes: int, total: int, *, confidence: float = 0.95) -> ProportionInterval:
    """Wilson's score interval: close to the promised coverage even for few cases.

    Cases must be independent: one per patient. For images of patients take ``bootstrap.patient_bootstrap``.

    Returns:
        The interval; NaN value and limits when ``total`` is 0.

    Raises:
        InputError: counts or confidence that cannot be.

    References:
        Wilson 1927, doi:10.1080/01621459.1927.10502953

    Example:
        >>> interval = wilson(9, 10)
        >>> round(interval.low, 3), round(interval.high, 3)
        (0.596, 0.982)
    """
    return _interval(successes, total, confidence, "wilson")


def clopper_pearson(successes: int, total: int, *, confidence: float = 0.95) -> ProportionInterval:
    """The exact interval: at least the promised coverage, wider than Wilson's.

    Returns:
        The interval; NaN value and limits when ``total`` is 0.

    Raises:
        InputError: counts or confidence that cannot be.

    References:
        Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404

    Example:
        >>> interval = clopper_pearson(9, 10)
        >>> round(interval.low, 3), round(interval.high, 3)
        (0.555, 0.997)
    """
    return _interval(successes, total, confidence, "clopper_pearson")


def _interval(successes: int, total: int, confidence: float, method: str) -> ProportionInterval:
    if not 0 <= successes <= total:
        raise InputError(f"{successes} successes of {total} cannot be: counts are 0 or more and a part of the total")
    check_confidence(confidence)
    if total == 0:
        nan = float("nan")
        return ProportionInterval(nan, nan, nan, 0, 0, confidence, method)
    limits = _wilson_limits if method == "wilson" else _exact_limits
    low, high = limits(successes, total, (1 - confidence) / 2)
    # rounding leaves Wilson's limits of 0 of n and n of n a hair beside 0 and 1
    low = 0.0 if successes == 0 else low
    high = 1.0 if successes == total else high
    return ProportionInterval(successes / total, low, high, successes, total, confidence, method)


def _wilson_limits(successes: int, total: int, tail: float) -> tuple[float, float]:
    from scipy.special import ndtri

    share, square = successes / total, float(ndtri(tail)) ** 2 / total
    middle = (share + square / 2) / (1 + square)
    half = np.sqrt(square * (share * (1 - share) + square / 4)) / (1 + square)
    return float(middle - half), float(middle + half)


def _exact_limits(successes: int, total: int, tail: float) -> tuple[float, float]:
    from scipy.special import betaincinv

    failures = total - successes
    low = 0.0 if successes == 0 else float(betaincinv(successes, failures + 1, tail))
    return low, 1.0 if failures == 0 else float(betaincinv(successes + 1, failures, 1 - tail))


def mcnemar(first_right: ArrayLike, second_right: ArrayLike, *, method: str = "exact") -> McNemar:
    """McNemar's test of two methods on the same cases.

    Cases must be independent: one per patient. For images of patients take ``bootstrap.paired_difference``.

    Args:
        first_right: (n,) bool, whether the first method was right.
        second_right: (n,) bool, whether the second was.
        method: ``"exact"`` (binomial), or ``"chi2"`` with the correction for continuity.

    Returns:
        Counts and p value; the p value is 1 when both never disagree.

    Raises:
        InputError: shapes differ or nothing was given.
        UnknownLabelError: ``method`` is none of both.

    References:
        McNemar 1947, doi:10.1007/BF02295996

    Example:
        >>> mcnemar([1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0]).p_value
        0.0625
    """
    from scipy.special import bdtr, chdtrc

    methods = ("exact", "chi2")
    if method not in methods:
        raise UnknownLabelError(f"McNemar method {method!r} does not exist; {nearest_names(method, methods)}")
    first, second = checked_truth(first_right), checked_truth(second_right)
    if first.shape != second.shape:
        raise InputError(f"both methods must judge the same cases; {first.size} and {second.size} were given")
    only_first, only_second = int(np.count_nonzero(first & ~second)), int(np.count_nonzero(~first & second))
    if only_first + only_second == 0:
        return McNemar(0, 0, 0.0, 1.0, method)
    differing = only_first + only_second
    if method == "exact":
        statistic = float(min(only_first, only_second))
        p_value = min(1.0, 2 * float(bdtr(statistic, differing, 0.5)))
    else:
        statistic = (abs(only_first - only_second) - 1) ** 2 / differing
        p_value = float(chdtrc(1, statistic))
    return McNemar(only_first, only_second, statistic, p_value, method)
