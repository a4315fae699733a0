"""Measures against scikit-learn, by hand, and where they are not defined."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn import metrics as sk

from osteon.errors import InputError, UnknownLabelError
from osteon.metrics.classification import (
    MEASURES,
    Confusion,
    confusion_at,
    measure,
    pr_auc,
    roc_auc,
    roc_curve,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def cases(seed: int, size: int, decimals: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Truth and probabilities; few decimals make ties."""
    rng = np.random.default_rng(seed)
    truth = rng.random(size) < 0.3
    truth[:2] = (True, False)
    score: NDArray[np.float64] = np.clip(rng.normal(0.4 + 0.2 * truth.astype(np.float64), 0.2), 0, 1)
    return truth, np.round(score, decimals)


SETS = [(seed, size, decimals) for seed, size in enumerate((2, 7, 60, 400)) for decimals in (1, 2, 12)]


@pytest.mark.parametrize(("seed", "size", "decimals"), SETS)
def test_areas_and_probability_scores_agree_with_scikit_learn(seed: int, size: int, decimals: int) -> None:
    truth, score = cases(seed, size, decimals)
    assert roc_auc(truth, score) == pytest.approx(sk.roc_auc_score(truth, score), abs=1e-12)
    assert pr_auc(truth, score) == pytest.approx(sk.average_precision_score(truth, score), abs=1e-12)
    assert measure("brier", truth, score) == pytest.approx(sk.brier_score_loss(truth, score), abs=1e-12)
    assert measure("log_loss", truth, score) == pytest.approx(sk.log_loss(truth, score), abs=1e-12)


@pytest.mark.parametrize(("seed", "size", "decimals"), SETS)
def test_the_curve_is_that_of_scikit_learn_and_its_area_the_auc(seed: int, size: int, decimals: int) -> None:
    truth, score = cases(seed, size, decimals)
    curve = roc_curve(truth, score)
    false, true, thresholds = sk.roc_curve(truth, score, drop_intermediate=False)
    np.testing.assert_array_equal(curve.false_positive_rate, false)
    np.testing.assert_array_equal(curve.true_positive_rate, true)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    assert np.trapezoid(true, false) == pytest.approx(roc_auc(truth, score), abs=1e-12)


@pytest.mark.parametrize("threshold", [0.0, 0.35, 0.5, 0.6])
def test_rates_at_a_threshold_agree_with_scikit_learn(threshold: float) -> None:
    truth, score = cases(9, 300, 2)
    predicted = score >= threshold
    expected = {
        "tpr": sk.recall_score(truth, predicted),
        "tnr": sk.recall_score(~truth, ~predicted, zero_division=np.nan),
        "accuracy": sk.accuracy_score(truth, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, predicted),
        "precision": sk.precision_score(truth, predicted),
        "npv": sk.precision_score(~truth, ~predicted, zero_division=np.nan),
        "f1": sk.f1_score(truth, predicted),
    }
    for name, value in expected.items():
        assert measure(name, truth, score, threshold=threshold) == pytest.approx(value, abs=1e-12, nan_ok=True), name


def test_rates_worked_out_by_hand() -> None:
    counts = Confusion(tp=30, fp=10, tn=50, fn=10)
    assert (counts.sensitivity, counts.specificity) == (0.75, 50 / 60)
    assert [counts.rate(name) for name in ("accuracy", "precision", "npv", "f1")] == [0.8, 0.75, 50 / 60, 0.75]
    assert counts.rate("balanced_accuracy") == pytest.approx((0.75 + 5 / 6) / 2)


def test_a_score_at_the_threshold_is_called_positive() -> None:
    assert confusion_at([1, 0], [0.5, 0.5], 0.5) == Confusion(tp=1, fp=1, tn=0, fn=0)


@pytest.mark.parametrize("truth", [[1, 1, 1], [0, 0, 0]])
def test_one_class_leaves_areas_undefined(truth: list[int]) -> None:
    assert math.isnan(roc_auc(truth, [0.1, 0.2, 0.3]))
    assert math.isnan(pr_auc(truth, [0.1, 0.2, 0.3]))
    curve = roc_curve(truth, [0.1, 0.2, 0.3])
    missing = curve.false_positive_rate if truth[0] else curve.true_positive_rate
    assert np.isnan(missing).all()


def test_an_empty_denominator_is_not_a_number() -> None:
    nothing_predicted = Confusion(tp=0, fp=0, tn=5, fn=2)
    assert math.isnan(nothing_predicted.rate("precision"))
    assert nothing_predicted.rate("f1") == 0
    assert math.isnan(Confusion(tp=0, fp=0, tn=5, fn=0).rate("f1"))
    assert math.isnan(Confusion(tp=3, fp=0, tn=0, fn=0).rate("balanced_accuracy"))


def test_scores_that_are_turned_round_turn_the_area() -> None:
    truth, score = cases(4, 80, 1)
    assert roc_auc(truth, -score) == pytest.approx(1 - roc_auc(truth, score), abs=1e-15)
    assert roc_auc(truth, np.exp(3 * score)) == roc_auc(truth, score)


@pytest.mark.parametrize(
    ("truth", "score", "words"),
    [
        ([], [], "filled list"),
        ([0, 2], [0.1, 0.2], "other values"),
        (["yes", "no"], [0.1, 0.2], "other values"),
        ([0, 1], [0.1], "one score per image"),
        ([0, 1], [0.1, float("nan")], "1 of 2 scores"),
        ([0, 1], ["a", "b"], "must be numbers"),
        ([[0, 1]], [0.1, 0.2], "filled list"),
        ([0, 1], [[0.1, 0.2]], "one model"),
    ],
)
def test_bad_input_is_reported(truth: list[int], score: list[float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        roc_auc(truth, score)


def test_a_score_that_is_not_a_probability_is_reported() -> None:
    with pytest.raises(InputError, match="calibrate"):
        measure("brier", [0, 1], [-2.0, 3.0])


def test_a_threshold_that_is_missing_is_reported() -> None:
    with pytest.raises(InputError, match="validation"):
        confusion_at([0, 1], [0.1, 0.2], float("nan"))


def test_a_wrong_name_lists_the_near_ones() -> None:
    with pytest.raises(UnknownLabelError, match="did you mean 'pr_auc'"):
        measure("prauc", [0, 1], [0.1, 0.2])
    assert "auc" in MEASURES
