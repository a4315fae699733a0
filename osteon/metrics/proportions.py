"""The interval of a proportion, and the test of two readers on the same cases. Both take cases as independent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError
from osteon.metrics.validation import check_confidence, checked_truth

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["McNemar", "ProportionInterval", "mcnemar", "wilson"]


@dataclass(frozen=True, slots=True)
class ProportionInterval:
    """A proportion with the limits of its interval, all in [0, 1]; NaN when there was nothing to count."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class McNemar:
    """Whether two methods err equally often on the same cases.

    Attributes:
        only_first: cases that only the first got right.
        only_second: cases that only the second got right.
    """

    only_first: int
    only_second: int
    statistic: float
    p_value: float
    method: str = "exact"


def wilson(successes: int, total: int, *, confidence: float = 0.95) -> ProportionInterval:
    """Wilson's score interval: close to the promised coverage even for few cases.

    Cases must be independent: one per patient. For images of patients take ``bootstrap.patient_bootstrap``.

    Raises:
        InputError: counts or confidence that cannot be.

    References:
        Wilson 1927, doi:10.1080/01621459.1927.10502953

    Example:
        >>> interval = wilson(9, 10)
        >>> round(interval.low, 3), round(interval.high, 3)
        (0.596, 0.982)
    """
    from scipy.special import ndtri

    if not 0 <= successes <= total:
        raise InputError(f"{successes} successes of {total} cannot be: counts are 0 or more and a part of the total")
    check_confidence(confidence)
    if total == 0:
        nan = float("nan")
        return ProportionInterval(nan, nan, nan)
    share, square = successes / total, float(ndtri((1 - confidence) / 2)) ** 2 / total
    middle = (share + square / 2) / (1 + square)
    half = np.sqrt(square * (share * (1 - share) + square / 4)) / (1 + square)
    # rounding leaves the limits of 0 of n and n of n a hair beside 0 and 1
    low = 0.0 if successes == 0 else float(middle - half)
    return ProportionInterval(share, low, 1.0 if successes == total else float(middle + half))


def mcnemar(first_right: ArrayLike, second_right: ArrayLike) -> McNemar:
    """McNemar's exact test of two methods on the same cases, of which each was right or not (n,).

    Cases must be independent: one per patient. For images of patients take ``bootstrap.paired_difference``.

    Returns:
        Counts and p value; the p value is 1 when both never disagree.

    Raises:
        InputError: shapes differ or nothing was given.

    References:
        McNemar 1947, doi:10.1007/BF02295996

    Example:
        >>> mcnemar([1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0]).p_value
        0.0625
    """
    from scipy.special import bdtr

    first, second = checked_truth(first_right), checked_truth(second_right)
    if first.shape != second.shape:
        raise InputError(f"both methods must evaluate the same cases; {first.size} and {second.size} were given")
    only_first, only_second = int(np.count_nonzero(first & ~second)), int(np.count_nonzero(~first & second))
    statistic = float(min(only_first, only_second))
    if only_first + only_second == 0:
        return McNemar(0, 0, 0.0, 1.0)
    p_value = min(1.0, 2 * float(bdtr(statistic, only_first + only_second, 0.5)))
    return McNemar(only_first, only_second, statistic, p_value)
