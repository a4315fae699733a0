"""Intervals and tests over folds, against scipy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from osteon.errors import InputError
from osteon.metrics.folds import corrected_t_test, fold_interval, holm

FOLDS = [0.71, 0.75, 0.69, 0.8, 0.74]


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_interval_is_students(confidence: float) -> None:
    ours = fold_interval(FOLDS, confidence=confidence)
    theirs = stats.ttest_1samp(FOLDS, 0.0).confidence_interval(confidence)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert ours.mean == pytest.approx(np.mean(FOLDS))
    assert ours.folds == 5
    assert not ours.leaves_range


def test_an_interval_beyond_one_is_kept_and_flagged() -> None:
    ours = fold_interval([1.0, 1.0, 0.8, 1.0, 0.9])
    assert ours.high > 1
    assert ours.leaves_range


def test_a_fold_without_a_value_is_left_out_and_counted() -> None:
    ours = fold_interval([*FOLDS, math.nan])
    assert (ours.folds, ours.undefined_folds) == (5, 1)
    assert (ours.low, ours.high) == (fold_interval(FOLDS).low, fold_interval(FOLDS).high)


def test_too_few_folds_give_no_limits() -> None:
    one = fold_interval([0.7, math.nan])
    assert one.mean == 0.7
    assert math.isnan(one.low)
    assert math.isnan(fold_interval([math.nan]).mean)


def test_correction_widens_the_paired_t_test_by_the_ratio() -> None:
    other = [0.70, 0.70, 0.66, 0.78, 0.75]
    plain = stats.ttest_rel(FOLDS, other)
    ours = corrected_t_test(FOLDS, other)
    # variance (1/5 + 1/4) instead of 1/5
    assert ours.statistic == pytest.approx(plain.statistic * math.sqrt(0.2 / 0.45))
    assert ours.p_value == pytest.approx(2 * stats.t.sf(abs(ours.statistic), 4))
    assert ours.p_value > plain.pvalue
    near = corrected_t_test(FOLDS, other, test_over_train=1e-12)
    limits = plain.confidence_interval()
    assert (near.statistic, near.p_value) == pytest.approx((plain.statistic, plain.pvalue))
    assert (near.low, near.high) == pytest.approx((limits.low, limits.high))


def test_equal_folds_do_not_differ() -> None:
    assert corrected_t_test(FOLDS, FOLDS).p_value == 1
    assert math.isnan(corrected_t_test(FOLDS, FOLDS).statistic)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [([0.1], [0.2], "two or more"), ([0.1, 0.2], [0.1], "the same for both"), ([0.1, math.nan], [0.1, 0.2], "missing")],
)
def test_folds_that_cannot_be_compared_are_reported(first: list[float], second: list[float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        corrected_t_test(first, second)


def test_ratio_and_empty_folds_are_reported() -> None:
    with pytest.raises(InputError, match="above 0"):
        corrected_t_test(FOLDS, FOLDS, test_over_train=0)
    with pytest.raises(InputError, match="one finite value"):
        fold_interval([])


def test_holm_by_a_plain_loop() -> None:
    given = np.array([0.01, 0.3, 0.02, 0.02, 0.9])
    expected, running = np.empty(5), 0.0
    for rank, place in enumerate(np.argsort(given, kind="stable")):
        running = max(running, min(1.0, (5 - rank) * given[place]))
        expected[place] = running
    np.testing.assert_allclose(holm(given), expected, rtol=1e-14)


def test_holm_skips_what_could_not_be_tested() -> None:
    np.testing.assert_allclose(holm([0.01, math.nan, 0.04]), [0.02, math.nan, 0.04])
    assert np.isnan(holm([math.nan])).all()
    with pytest.raises(InputError, match="p values"):
        holm([1.2])
