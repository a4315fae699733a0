"""Temperature scaling: a known temperature comes back, and the likelihood is at its best."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import log_loss

from osteon.errors import InputError
from osteon.metrics.calibration import apply_temperature, fit_temperature


def cross_entropy(logits: NDArray[np.float64], labels: NDArray[np.int64], *, temperature: float = 1.0) -> float:
    """What is minimised."""
    picked = softmax(logits / temperature, axis=1)[np.arange(len(labels)), labels]
    return float(-np.log(picked).mean())


def calibrated(n: int = 4000, classes: int = 3, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits and labels drawn from their own softmax: temperature 1 is right."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (n, classes))
    drawn = (softmax(logits, axis=1).cumsum(axis=1) < generator.random((n, 1))).sum(axis=1)
    return logits, np.minimum(drawn, classes - 1)


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0])
def test_a_known_temperature_comes_back(classes: int, scale: float) -> None:
    logits, labels = calibrated(classes=classes)
    found = fit_temperature(logits * scale, labels)
    assert found.temperature == pytest.approx(scale, rel=0.06)
    # scaling the logits scales the temperature, exactly
    assert found.temperature == pytest.approx(fit_temperature(logits, labels).temperature * scale, rel=1e-9)
    assert not found.at_bound


def test_the_loss_is_that_of_scikit_learn_and_least_where_it_was_found() -> None:
    logits, labels = calibrated(300)
    found = fit_temperature(logits * 2.5, labels)
    probability = apply_temperature(logits * 2.5, found.temperature)
    loss = cross_entropy(logits * 2.5, labels, temperature=found.temperature)
    assert loss == pytest.approx(log_loss(labels, probability))
    searched = minimize_scalar(
        lambda t: cross_entropy(logits * 2.5, labels, temperature=float(np.exp(t))), bounds=(-3, 3), method="bounded"
    )
    assert found.temperature == pytest.approx(np.exp(searched.x), rel=1e-4)
    assert loss <= searched.fun + 1e-12
    step = 1e-4
    around = [cross_entropy(logits * 2.5, labels, temperature=found.temperature + d) for d in (-step, step)]
    assert (around[1] - around[0]) / (2 * step) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("seed", range(20))
def test_it_is_never_worse_than_no_temperature(seed: int) -> None:
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, (int(generator.integers(1, 12)), int(generator.integers(2, 5))))
    labels = np.asarray(generator.integers(0, logits.shape[1], logits.shape[0]))
    found = fit_temperature(logits, labels)
    assert cross_entropy(logits, labels, temperature=found.temperature) <= cross_entropy(logits, labels) + 1e-9
    assert 0.0099 < found.temperature < 100.1


def test_by_hand() -> None:
    # margin 2, three of four right: the best probability is 3/4, so 2/T = log 3
    found = fit_temperature([[2.0, 0.0]] * 4, [0, 0, 0, 1])
    assert found.temperature == pytest.approx(2 / np.log(3))


def test_weights_repeat_images() -> None:
    logits, labels = calibrated(60)
    times = np.random.default_rng(3).integers(0, 4, 60)
    repeated = fit_temperature(np.repeat(logits, times, axis=0), np.repeat(labels, times))
    assert fit_temperature(logits, labels, weights=times).temperature == pytest.approx(repeated.temperature)


def test_a_patient_counts_once() -> None:
    # one patient with 98 wrong images weighs as much as each of three with one right image
    logits, labels = [[2.0, 0.0]] * 101, [1] * 98 + [0] * 3
    weights = [1 / 98] * 98 + [1] * 3
    assert fit_temperature(logits, labels, weights=weights).temperature == pytest.approx(2 / np.log(3))


def test_no_finite_best_is_reported() -> None:
    sure = fit_temperature([[3.0, 0.0], [0.0, 1.0]], [0, 1])
    assert sure.at_bound
    assert sure.temperature == pytest.approx(0.01)
    wrong = fit_temperature([[3.0, 0.0], [0.0, 1.0]], [1, 0])
    assert wrong.at_bound
    assert wrong.temperature == pytest.approx(100)
    assert (sure.usable, wrong.usable) == (1.0, 1.0)
    flat = fit_temperature([[1.0, 1.0]], [0])
    assert (flat.temperature, flat.at_bound) == (1.0, True)


def test_the_order_of_classes_stays() -> None:
    logits, _ = calibrated(50)
    for temperature in (0.05, 1.0, 40.0):
        probability = apply_temperature(logits, temperature)
        np.testing.assert_allclose(probability.sum(axis=1), 1)
        np.testing.assert_array_equal(probability.argmax(axis=1), logits.argmax(axis=1))


@pytest.mark.parametrize(
    ("logits", "labels", "weights", "says"),
    [
        ([[0.0, np.nan]], [0], None, "diverged"),
        ([[0.0, 1.0]], [2], None, "0 to 1"),
        ([[0.0, 1.0]], [0.5], None, "whole numbers"),
        ([0.0, 1.0], [0, 1], None, "images, classes"),
        ([[0.0, 1.0]], [0], [0.0], "not all 0"),
    ],
)
def test_what_cannot_be_used_is_refused(logits: object, labels: object, weights: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        fit_temperature(logits, labels, weights=weights)  # type: ignore[arg-type]


def test_a_temperature_is_above_0() -> None:
    with pytest.raises(InputError, match="above 0"):
        apply_temperature([[0.0, 1.0]], 0.0)
