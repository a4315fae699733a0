"""Calibration against scikit-learn, statsmodels, closed forms and cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve

from osteon.errors import InputError, UnknownLabelError
from osteon.metrics.calibration import (
    Binning,
    brier_decomposition,
    expected_calibration_error,
    recalibration,
    reliability_curve,
)
from osteon.metrics.classification import measure

Sample = tuple[NDArray[np.bool_], NDArray[np.float64]]


def overconfident(n: int = 2000, *, slope: float = 0.5, intercept: float = -0.3, seed: int = 1) -> Sample:
    """Truth drawn so that the line of recalibration is known."""
    generator = np.random.default_rng(seed)
    probability = expit(generator.normal(0, 2, n))
    return generator.random(n) < expit(intercept + slope * logit(probability)), probability


@pytest.mark.parametrize(("binning", "strategy"), [("equal_mass", "quantile"), ("equal_width", "uniform")])
def test_the_curve_is_that_of_scikit_learn(binning: Binning, strategy: str) -> None:
    truth, probability = overconfident()
    curve = reliability_curve(truth, probability, bins=7, binning=binning)
    observed, predicted = calibration_curve(truth, probability, n_bins=7, strategy=strategy)
    np.testing.assert_allclose(curve.observed, observed)
    np.testing.assert_allclose(curve.mean_predicted, predicted)
    assert curve.count.sum() == truth.size
    assert (curve.low < curve.observed).all()
    assert (curve.high > curve.observed).all()


def test_a_bin_has_its_wilson_interval() -> None:
    curve = reliability_curve([1] * 9 + [0], [0.8] * 10, bins=10, binning="equal_width")
    assert curve.count.tolist() == [10]  # the nine empty bins are left out
    assert (curve.low[0], curve.high[0]) == pytest.approx((0.59585, 0.98212), abs=1e-5)  # Wilson 9 of 10


def test_equal_scores_share_a_bin_whatever_their_order() -> None:
    truth, probability = np.array([1, 0, 1, 0, 1, 0]), np.array([0.5] * 5 + [0.9])
    turned = reliability_curve(truth[::-1], probability[::-1], bins=3)
    straight = reliability_curve(truth, probability, bins=3)
    assert straight.observed.tolist() == turned.observed.tolist() == pytest.approx([0.6, 0.0])


def test_errors_by_hand() -> None:
    # bins 0-0.5 and 0.5-1: |0 - 0.2| with 2 images, |2/3 - 0.8| with 3
    truth, probability = [0, 0, 1, 1, 0], [0.1, 0.3, 0.7, 0.8, 0.9]
    found = expected_calibration_error(truth, probability, bins=2, binning="equal_width")
    assert found == pytest.approx((2 * 0.2 + 3 * (0.8 - 2 / 3)) / 5)


@pytest.mark.parametrize("binning", ["equal_mass", "equal_width"])
@pytest.mark.parametrize("bins", [1, 4, 15])
def test_the_parts_of_the_brier_score_sum_to_it(binning: Binning, bins: int) -> None:
    truth, probability = overconfident(301)
    parts = brier_decomposition(truth, probability, bins=bins, binning=binning)
    total = parts.reliability - parts.resolution + parts.uncertainty
    assert parts.score == pytest.approx(measure("brier", truth, probability), abs=1e-15)
    assert total + parts.within_bin_variance - parts.within_bin_covariance == pytest.approx(parts.score, abs=1e-14)


def test_murphys_terms_alone_are_exact_for_a_binned_forecast() -> None:
    truth, probability = overconfident(400)
    binned = np.round(probability, 1)  # eleven values, each in a bin of its own
    parts = brier_decomposition(truth, binned, bins=40, binning="equal_width")
    assert parts.within_bin_variance == pytest.approx(0, abs=1e-30)
    assert parts.within_bin_covariance == pytest.approx(0, abs=1e-17)
    assert parts.reliability - parts.resolution + parts.uncertainty == pytest.approx(measure("brier", truth, binned))


def test_the_line_is_that_of_statsmodels() -> None:
    import statsmodels.api as sm

    truth, probability = overconfident()
    found = recalibration(truth, probability)
    odds = logit(probability)
    both = sm.GLM(truth.astype(float), sm.add_constant(odds), family=sm.families.Binomial()).fit(tol=1e-12)
    large = sm.GLM(truth.astype(float), np.ones(truth.size), family=sm.families.Binomial(), offset=odds).fit(tol=1e-12)
    assert (found.intercept, found.slope) == pytest.approx(tuple(both.params), abs=1e-9)
    assert found.intercept_in_the_large == pytest.approx(large.params[0], abs=1e-9)
    assert (found.intercept, found.slope) == pytest.approx((-0.3, 0.5), abs=0.15)  # as drawn


def test_recalibrated_scores_have_slope_1_and_intercept_0() -> None:
    truth, probability = overconfident()
    line = recalibration(truth, probability)
    assert line.slope is not None
    assert line.intercept is not None
    again = recalibration(truth, expit(line.intercept + line.slope * logit(probability)))
    assert (again.intercept, again.slope) == pytest.approx((0, 1), abs=1e-9)
    assert again.intercept_in_the_large == pytest.approx(0, abs=1e-9)
    assert again.mean_predicted == pytest.approx(again.observed)  # a property of the maximum likelihood


def test_a_constant_forecast_has_an_intercept_in_closed_form() -> None:
    found = recalibration([1, 1, 1, 0], [0.5] * 4)
    assert found.intercept_in_the_large == pytest.approx(np.log(3))
    assert found.slope is None  # not identified


def test_extreme_probabilities_are_clipped_and_wild_ones_converge() -> None:
    found = recalibration([1, 0, 1, 0, 1, 0], [1.0, 0.0, 0.0, 1.0, 1.0, 0.0], clip=1e-3)
    # 2 of 3 right on each side: log odds of the data +-log 2, of the forecast +-logit(0.999)
    assert found.slope == pytest.approx(np.log(2) / logit(0.999))
    assert found.intercept == pytest.approx(0, abs=1e-9)
    wild = recalibration([1, 0, 0, 0], [1e-9, 1e-9, 1e-9, 1 - 1e-9], clip=1e-12)
    assert wild.intercept_in_the_large is not None
    assert np.isfinite(wild.intercept_in_the_large)
    fitted = expit(wild.intercept_in_the_large + logit([1e-9, 1e-9, 1e-9, 1 - 1e-9]))
    assert fitted.sum() == pytest.approx(1)  # the score equation


@pytest.mark.parametrize(("truth", "score"), [([0, 0, 1, 1], [0.1, 0.2, 0.2, 0.9]), ([1, 1, 0], [0.1, 0.2, 0.3])])
def test_parted_classes_have_no_finite_slope(truth: list[int], score: list[float]) -> None:
    found = recalibration(truth, score)
    assert found.slope is None
    assert found.intercept is None
    assert found.intercept_in_the_large is not None


def test_one_class_has_no_line() -> None:
    found = recalibration([1, 1], [0.3, 0.7])
    assert (found.slope, found.intercept_in_the_large, found.observed) == (None, None, 1.0)


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(InputError, match="softmax first"):
        reliability_curve([0, 1], [-3.0, 2.0])
    with pytest.raises(InputError, match="one bin"):
        reliability_curve([0, 1], [0.1, 0.2], bins=0)
    with pytest.raises(UnknownLabelError, match="equal_mass"):
        reliability_curve([0, 1], [0.1, 0.2], binning="equal_masses")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="clip"):
        recalibration([0, 1], [0.1, 0.2], clip=0.5)
