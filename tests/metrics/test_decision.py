"""Net benefit against the formula counted out, a case worked by hand and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from osteon.errors import InputError
from osteon.metrics.calibration import decision_curve


def counted(truth: NDArray[np.bool_], probability: NDArray[np.float64], at: float) -> float:
    """Vickers and Elkin 2006: TP/n - FP/n x pt/(1-pt)."""
    act = probability >= at
    return float(((act & truth).sum() - (act & ~truth).sum() * at / (1 - at)) / truth.size)


def drawn(n: int, seed: int = 0) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    generator = np.random.default_rng(seed)
    probability = np.round(generator.random(n), 2)
    return generator.random(n) < probability, probability


def test_it_is_the_formula() -> None:
    truth, probability = drawn(200)
    thresholds = np.round(np.linspace(0, 0.99, 100), 2)  # equal to scores: >= matters
    curve = decision_curve(truth, probability, thresholds=thresholds)
    np.testing.assert_allclose(curve.model, [counted(truth, probability, t) for t in thresholds], atol=1e-14)
    everyone = np.ones(200)
    np.testing.assert_allclose(curve.treat_all, [counted(truth, everyone, t) for t in thresholds], atol=1e-14)


def test_by_hand() -> None:
    # 10 images, 4 positive; at 0.2 the model acts on 3 positives and 2 negatives: 3/10 - 2/10 x 1/4 = 0.25;
    # acting on all: 4/10 - 6/10 x 1/4 = 0.25
    truth = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    probability = [0.9, 0.6, 0.2, 0.1, 0.5, 0.2, 0.1, 0.1, 0.0, 0.0]
    curve = decision_curve(truth, probability, thresholds=[0.2])
    assert curve.model.tolist() == pytest.approx([0.25])
    assert curve.treat_all.tolist() == pytest.approx([0.25])


def test_acting_on_all_is_worth_nothing_at_the_prevalence() -> None:
    truth, probability = drawn(100, seed=2)
    share = truth.mean()
    curve = decision_curve(truth, probability, thresholds=[0.0, share])
    assert curve.treat_all.tolist() == pytest.approx([share, 0.0])
    assert curve.model[0] == pytest.approx(share)  # at 0 the model acts on all


def test_a_perfect_model_is_worth_the_prevalence_everywhere() -> None:
    truth = drawn(50)[0]
    curve = decision_curve(truth, truth.astype(float))
    assert curve.thresholds.size == 99
    np.testing.assert_allclose(curve.model, truth.mean())


def test_weights_repeat_images() -> None:
    truth, probability = drawn(80, seed=4)
    times = np.random.default_rng(1).integers(0, 3, 80)
    weighted = decision_curve(truth, probability, weights=times)
    repeated = decision_curve(np.repeat(truth, times), np.repeat(probability, times))
    np.testing.assert_allclose(weighted.model, repeated.model, atol=1e-14)
    assert weighted.prevalence == pytest.approx(repeated.prevalence)


@pytest.mark.parametrize("thresholds", [[1.0], [-0.1], [np.nan], []])
def test_thresholds_are_probabilities_below_1(thresholds: list[float]) -> None:
    with pytest.raises(InputError, match="thresholds"):
        decision_curve([0, 1], [0.2, 0.7], thresholds=thresholds)


def test_weights_fit_the_images() -> None:
    with pytest.raises(InputError, match="weights"):
        decision_curve([0, 1], [0.2, 0.7], weights=[1.0, -1.0])
