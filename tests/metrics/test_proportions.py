"""Intervals of proportions against scipy and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from osteon.errors import InputError
from osteon.metrics.proportions import mcnemar, wilson


@pytest.mark.parametrize(("successes", "total"), [(0, 5), (1, 1), (3, 17), (81, 263), (29, 29)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_intervals_agree_with_scipy(successes: int, total: int, confidence: float) -> None:
    test = binomtest(successes, total)
    score = test.proportion_ci(confidence, method="wilson")
    ours = wilson(successes, total, confidence=confidence)
    assert (ours.low, ours.high) == pytest.approx((score.low, score.high), abs=1e-10)
    assert 0 <= ours.low <= ours.value <= ours.high <= 1


def test_published_example_of_newcombe() -> None:
    # Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, table I: 81 of 263
    score = wilson(81, 263)
    assert (round(score.low, 4), round(score.high, 4)) == (0.2553, 0.3662)


def test_nothing_of_nothing_is_not_a_number() -> None:
    assert math.isnan(wilson(0, 0).value)
    assert math.isnan(wilson(0, 0).high)


@pytest.mark.parametrize(("successes", "total", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 95)])
def test_counts_that_cannot_be_are_reported(successes: int, total: int, confidence: float) -> None:
    with pytest.raises(InputError, match="cannot be"):
        wilson(successes, total, confidence=confidence)


def test_mcnemar_counts_only_what_differs() -> None:
    first = np.repeat([True, True, False, False], [50, 9, 2, 10])
    second = np.repeat([True, False, True, False], [50, 9, 2, 10])
    exact = mcnemar(first, second)
    assert (exact.only_first, exact.only_second, exact.statistic) == (9, 2, 2)
    assert exact.p_value == pytest.approx(binomtest(2, 11).pvalue)


def test_mcnemar_without_a_difference_finds_none() -> None:
    assert mcnemar([1, 0, 1], [1, 0, 1]).p_value == 1


def test_mcnemar_tells_bad_input() -> None:
    with pytest.raises(InputError, match="same cases"):
        mcnemar([1, 0], [1])
