"""Limits against scipy.stats.bootstrap, which knows no clusters: every patient has one image here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from osteon.metrics.bootstrap import Resampling, bca_limits, draw_patients, patient_bootstrap
from osteon.metrics.bootstrap_measures import evaluated, statistic
from osteon.metrics.classification import roc_auc

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SIZE, REPEATS, SEED = 60, 500, 6
METHODS = [("percentile", "percentile"), ("bca", "BCa")]


@pytest.fixture(scope="module")
def images() -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    rng = np.random.default_rng(2)
    truth = np.arange(SIZE) < 25
    return truth, np.round(rng.normal(1.2 * truth, 1.0), 1)


def scipy_limits(
    data: tuple[Any, ...],
    function: Callable[..., float],
    replicates: NDArray[np.float64],
    method: str,
    confidence: float,
) -> tuple[float, float]:
    """scipy's limits made of our replicates."""
    given = SimpleNamespace(bootstrap_distribution=replicates)
    bootstrap: Any = stats.bootstrap  # its types ask for scipy's own result
    result = bootstrap(
        data,
        function,
        n_resamples=0,
        bootstrap_result=given,
        method=method,
        confidence_level=confidence,
        vectorized=False,
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


@pytest.mark.parametrize(("ours", "theirs"), METHODS)
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_limits_of_the_same_replicates_are_scipys(
    images: tuple[Any, Any], ours: str, theirs: str, confidence: float
) -> None:
    truth, score = images
    replicates = statistic("auc", evaluated(truth, score, np.arange(SIZE)))(
        draw_patients(SIZE, range(REPEATS), seed=SEED)
    )
    how = Resampling(repeats=REPEATS, seed=SEED, method=ours, confidence=confidence)
    interval = patient_bootstrap("auc", truth, score, np.arange(SIZE), resampling=how)

    def auc(index: NDArray[np.int64]) -> float:
        return roc_auc(truth[index], score[index])

    expected = scipy_limits((np.arange(SIZE),), auc, replicates, theirs, confidence)
    assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("ours", "theirs"), METHODS)
def test_strata_are_scipys_two_samples(images: tuple[Any, Any], ours: str, theirs: str) -> None:
    truth, score = images
    counts = draw_patients(SIZE, range(REPEATS), seed=SEED, strata=truth.astype(np.int64))
    replicates = statistic("auc", evaluated(truth, score, np.arange(SIZE)))(counts)
    how = Resampling(repeats=REPEATS, seed=SEED, method=ours)
    interval = patient_bootstrap("auc", truth, score, np.arange(SIZE), strata=truth, resampling=how)

    def auc(positives: NDArray[np.float64], negatives: NDArray[np.float64]) -> float:
        joined = np.concatenate([positives, negatives])
        return roc_auc(np.arange(joined.size) < positives.size, joined)

    expected = scipy_limits((score[truth], score[~truth]), auc, replicates, theirs, 0.95)
    assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-12)


def test_limits_are_those_of_scipys_own_draws(images: tuple[Any, Any]) -> None:
    truth, score = images
    predicted = score >= 0.6
    result = stats.bootstrap(
        ((predicted == truth).astype(float),), np.mean, n_resamples=4000, rng=1, method="percentile"
    )
    interval = patient_bootstrap("accuracy", truth, score, np.arange(SIZE), threshold=0.6)
    # accuracy moves in steps of 1/60; limits from other draws may be one step apart
    assert (interval.low, interval.high) == pytest.approx(tuple(result.confidence_interval), abs=1.01 / SIZE)


def test_replicates_on_one_side_still_give_limits() -> None:
    low, high = bca_limits(np.linspace(0.1, 0.2, 50), 0.9, [np.array([0.8, 0.9, 0.9])], 0.95)
    assert 0.1 <= low <= high <= 0.2


def test_replicates_that_are_all_the_same_give_a_point() -> None:
    assert bca_limits(np.full(20, 1.0), 1.0, [np.full(5, 1.0)], 0.95) == (1.0, 1.0)
