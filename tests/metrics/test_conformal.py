"""Conformal sets: cases by hand, and the promised coverage in simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import binom

from osteon.errors import InputError, UnknownLabelError
from osteon.metrics.conformal import (
    ConformalScore,
    PatientUnit,
    conformal_quantile,
    fit_conformal,
    measure_coverage,
    predict_sets,
)


def drawn(generator: np.random.Generator, n: int, classes: int = 3) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Labels from one softmax, probabilities from another: a model that is wrong about how sure it is."""
    logits = generator.normal(0, 1.5, (n, classes)) + np.array([1.0, 0.0, -1.0])[:classes]
    labels = (softmax(logits, axis=1).cumsum(axis=1) < generator.random((n, 1))).sum(axis=1)
    return softmax(2.5 * logits, axis=1), np.minimum(labels, classes - 1)


@pytest.mark.parametrize(
    ("n", "alpha", "rank"),
    [(9, 0.1, 9), (8, 0.1, None), (19, 0.05, 19), (18, 0.05, None), (20, 0.1, 19), (0, 0.1, None)],
)
def test_the_quantile_has_the_finite_sample_rank(n: int, alpha: float, rank: int | None) -> None:
    expected = math.inf if rank is None else float(rank)
    assert conformal_quantile(np.arange(1, n + 1), alpha=alpha) == expected


def test_lac_by_hand() -> None:
    probability = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])
    found = fit_conformal(probability, [0, 1, 0, 1], alpha=0.4)  # scores 0.1 0.2 0.3 0.6, rank ceil(5 x 0.6) = 3
    assert found.quantiles == pytest.approx((0.3, 0.3))
    assert found.n_units == (4, 4)
    sets = predict_sets(found, [[0.75, 0.25], [0.5, 0.5], [0.2, 0.8]])
    assert sets.tolist() == [[True, False], [False, False], [False, True]]


def test_aps_by_hand() -> None:
    probability = np.array([[0.5, 0.3, 0.2], [0.1, 0.7, 0.2], [0.2, 0.2, 0.6], [0.6, 0.1, 0.3]])
    found = fit_conformal(probability, [1, 1, 0, 2], alpha=0.4, score="aps")
    # mass down to the true class: 0.8, 0.7, 0.8 (of equal ones the first comes first), 0.9; rank 3
    assert found.quantiles == pytest.approx((0.8,) * 3)
    assert predict_sets(found, [[0.5, 0.2, 0.3]]).tolist() == [[True, False, True]]


@pytest.mark.parametrize("score", ["lac", "aps"])
@pytest.mark.parametrize("class_conditional", [False, True])
def test_coverage_is_at_least_what_was_promised(score: ConformalScore, class_conditional: bool) -> None:
    generator = np.random.default_rng(7)
    alpha, hits, covered, seen = 0.2, 0, np.zeros(3), np.zeros(3)
    rounds = 2000
    for _ in range(rounds):  # a new calibration set and one new image each time: independent trials of the promise
        probability, labels = drawn(generator, 61)
        found = fit_conformal(
            probability[:60], labels[:60], alpha=alpha, score=score, class_conditional=class_conditional
        )
        inside = predict_sets(found, probability[60:])[0, labels[60]]
        hits += int(inside)
        covered[labels[60]] += inside
        seen[labels[60]] += 1
    assert hits >= binom.ppf(1e-4, rounds, 1 - alpha)
    if score == "lac" and not class_conditional:
        assert hits <= binom.ppf(1 - 1e-4, rounds, 1 - alpha + 1 / 61)  # continuous scores: hardly more, too
    if class_conditional:
        assert (covered >= binom.ppf(1e-4, seen, 1 - alpha)).all()


def patients_of(
    generator: np.random.Generator, n: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Patients with 1 or 12 images; images of one patient are hard or easy together, those with many are hard."""
    count = generator.choice([1, 12], n)
    who = np.repeat(np.arange(n), count)
    skill = np.where(count == 12, generator.normal(0.5, 1, n), generator.normal(3, 1, n))
    labels = generator.integers(0, 2, who.size)
    margin = skill[who] + generator.normal(0, 0.3, who.size)
    return (
        softmax(np.column_stack([np.where(labels == 0, margin, 0), np.where(labels == 1, margin, 0)]), axis=1),
        labels,
        who,
    )


@pytest.mark.parametrize("unit", ["draw", "worst"])
def test_patients_are_the_units(unit: PatientUnit) -> None:
    generator = np.random.default_rng(3)
    alpha, rounds = 0.2, 1500
    random_image = all_images = 0
    for turn in range(rounds):
        probability, labels, who = patients_of(generator, 40)
        new = who == 39
        found = fit_conformal(probability[~new], labels[~new], alpha=alpha, patients=who[~new], unit=unit, seed=turn)
        assert found.n_units[0] == 39
        inside = predict_sets(found, probability[new])[np.arange(new.sum()), labels[new]]
        random_image += int(inside[generator.integers(inside.size)])
        all_images += int(inside.all())
    promised = random_image if unit == "draw" else all_images
    low, high = binom.ppf(1e-4, rounds, 1 - alpha), binom.ppf(1 - 1e-4, rounds, 1 - alpha + 1 / 40)
    assert low <= promised <= high
    assert (all_images < low) == (unit == "draw")  # the draw does not promise all images at once


def test_too_few_units_give_all_classes_and_say_so() -> None:
    probability, labels = drawn(np.random.default_rng(0), 8)
    found = fit_conformal(probability, labels, alpha=0.1)
    assert found.quantiles == (math.inf,) * 3
    assert "8 calibration units are fewer than the 9" in found.note
    assert predict_sets(found, probability).all()
    rare = fit_conformal(np.tile([[0.8, 0.2]], (12, 1)), [0] * 10 + [1] * 2, alpha=0.1, class_conditional=True)
    assert rare.n_units == (10, 2)
    assert rare.quantiles == pytest.approx((0.2, math.inf))
    assert "class 1 (2)" in rare.note
    absent = fit_conformal(np.tile([[0.8, 0.2]], (12, 1)), [0] * 12, alpha=0.1, class_conditional=True)
    assert absent.n_units == (12, 0)


def test_the_worst_image_of_each_patient_counts() -> None:
    probability = np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.7, 0.3]])
    found = fit_conformal(probability, [0, 0, 0, 0], alpha=0.4, patients=["a", "a", "b", "b"], unit="worst")
    assert (found.n_units, found.unit) == ((2, 2), "worst")
    assert found.quantiles[0] == pytest.approx(0.6)  # scores 0.6 and 0.3, rank ceil(3 x 0.6) = 2
    assert fit_conformal(probability, [0] * 4, alpha=0.4).unit == "image"


def test_coverage_is_counted_with_its_interval() -> None:
    sets = np.array([[True, False]] * 9 + [[False, False]])
    found = measure_coverage(sets, [0] * 10)
    assert (found.covered, found.n, found.empty, found.mean_size) == (9, 10, 1, 0.9)
    assert (found.low, found.high) == pytest.approx((0.59585, 0.98212), abs=1e-5)  # Wilson 9 of 10
    by_patient = measure_coverage(sets, [0] * 10, patients=[1] * 5 + [2] * 5)
    assert (by_patient.covered, by_patient.n) == (1, 2)


def test_what_cannot_be_used_is_refused() -> None:
    good = [[0.5, 0.5]]
    with pytest.raises(InputError, match="error rate"):
        fit_conformal(good, [0], alpha=1.0)
    with pytest.raises(InputError, match="softmax"):
        fit_conformal([[2.0, 0.5]], [0], alpha=0.1)
    with pytest.raises(InputError, match=r"0\.\.1"):
        fit_conformal(good, [2], alpha=0.1)
    with pytest.raises(InputError, match="one patient an image"):
        fit_conformal(good, [0], alpha=0.1, patients=["a", "b"])
    with pytest.raises(UnknownLabelError, match="did you mean 'lac'"):
        fit_conformal(good, [0], alpha=0.1, score="lak")  # type: ignore[arg-type]
    with pytest.raises(UnknownLabelError, match="worst"):
        fit_conformal(good, [0], alpha=0.1, unit="worse")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="calibrated for 2"):
        predict_sets(fit_conformal(good, [0], alpha=0.1), [[0.2, 0.3, 0.5]])
    with pytest.raises(InputError, match="at least one image"):
        measure_coverage(np.zeros((0, 2)), [])
