"""Thresholds of distances and prediction sets: worked by hand, and held on patients nobody fitted on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from osteon.errors import InputError
from osteon.metrics.conformal import measure_coverage, predict_sets
from osteon.predict.out_of_distribution import FoldMaterial, fit_limits, training_space

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _fold(train: list[float], validation: list[float], patients: list[str], regions: list[str]) -> FoldMaterial:
    truth = (np.arange(len(validation)) % 2 == 0).astype(np.int64)
    rows = [np.array(values, dtype=np.float32)[:, None] for values in (train, validation)]
    return FoldMaterial(rows[0], rows[1], np.array(patients), np.array(regions), _pair(truth * 0.5), truth)


def _pair(positive: NDArray[np.floating]) -> NDArray[np.float32]:
    """Probabilities of both classes."""
    return np.stack([1 - positive, positive], axis=1).astype(np.float32)


def test_the_distance_is_mahalanobis_where_all_directions_are_kept() -> None:
    generator = np.random.default_rng(5)
    rows = (generator.normal(size=(400, 3)) @ np.array([[2, 0.5, 0], [0, 1, 0.3], [0, 0, 0.1]])).astype(np.float32)
    space = training_space(rows)
    new = generator.normal(size=(20, 3)).astype(np.float32)
    centre, inverse = rows.mean(axis=0), np.linalg.inv(np.cov(rows.T, bias=True))
    expected = [mahalanobis(row, centre, inverse) for row in new]
    np.testing.assert_allclose(space.distance(new), expected, rtol=1e-3)
    np.testing.assert_allclose(replace(space, unit=4.0).distance(new), np.array(expected) / 4, rtol=1e-3)


def test_beyond_the_main_directions_one_variance_counts() -> None:
    """As of a Gaussian whose covariance is that of probabilistic principal components."""
    generator = np.random.default_rng(6)
    rows = (generator.normal(size=(30, 40)) * np.linspace(3, 0.5, 40)).astype(np.float32)
    space = training_space(rows)
    assert len(space.vectors) == 10  # a direction for three images
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    variance, vectors = np.linalg.eigh(scaled.T.astype(np.float64) @ scaled / len(rows))
    rest = variance[:30].sum() / 30
    covariance = vectors[:, 30:] * (variance[30:] - rest) @ vectors[:, 30:].T + rest * np.eye(40)
    new = generator.normal(size=(5, 40)).astype(np.float32)
    moved = (new - rows.mean(axis=0)) / rows.std(axis=0)
    expected = np.sqrt(np.einsum("ni,ij,nj->n", moved, np.linalg.inv(covariance), moved))
    np.testing.assert_allclose(space.distance(new), expected, rtol=1e-3)
    with pytest.raises(InputError, match="5 training images were given"):
        training_space(rows[:5])


def test_the_nearest_kind_of_training_image_counts() -> None:
    generator = np.random.default_rng(7)
    kinds = [generator.normal(place, 1, size=(40, 4)).astype(np.float32) for place in (0.0, 50.0)]
    spaces = tuple(training_space(rows) for rows in kinds)
    limits = fit_limits([_material(1, 60)])
    both = replace(limits, spaces=(spaces,))
    near = both.distance([np.array([[0] * 4, [50] * 4, [25] * 4], dtype=np.float32)])
    assert near[:2].max() < 3
    assert near[2] > 20


def test_the_region_threshold_is_the_conformal_quantile_of_each_patients_worst_region() -> None:
    # training images at -1 and 1: the distance of a slice is its own number
    patients = ["a", "a", "a", "a", "b", "b", "c", "c"]
    regions = ["left", "left", "right", "right", "left", "left", "left", "left"]
    values = [1.0, 3, 10, 20, 4, 6, 30, 50]
    fold = _fold([-1, 1] * 4, values, patients, regions)
    ood = fit_limits([fold], false_alarm_rate=0.5, error_rate=0.5).known
    medians, middle = {"a": 15, "b": 5, "c": 40}, 8  # in units of the middle slice, between 6 and 10
    assert ood.units[0][0] == pytest.approx(8, rel=1e-3)
    assert ood.region_threshold == pytest.approx(medians["a"] / middle, rel=1e-3)  # 2nd of 3: ceil(4 * 0.5)
    assert ood.false_alarm_rate == 0.5
    strict = fit_limits([fold], false_alarm_rate=0.01, error_rate=0.5).known
    assert strict.region_threshold == pytest.approx(medians["c"] / middle, rel=1e-3)
    assert strict.false_alarm_rate == pytest.approx(0.25)  # three patients cannot promise less than 1 in 4
    assert (strict.validation_patients, strict.validation_regions, strict.validation_images) == (3, 4, 8)


def _material(seed: int, patients: int) -> FoldMaterial:
    """Patients whose slices are together, as slices do."""
    generator = np.random.default_rng(seed)
    who = np.repeat(np.arange(patients), 6)
    centres = np.concatenate([np.full((patients, 1), 6.0), generator.normal(size=(patients, 15))], axis=1)
    rows = (centres[who] + 0.3 * generator.normal(size=(who.size, 16))).astype(np.float32)
    truth = generator.random(who.size) < 0.4
    logit = np.where(truth, 1.5, -1.5) + generator.normal(size=patients)[who] + 0.5 * generator.normal(size=who.size)
    half = who.size // 2
    score = _pair(1 / (1 + np.exp(-logit)))
    names = who.astype(str)
    column = truth.astype(np.int64)
    return FoldMaterial(rows[:half], rows[half:], names[half:], names[half:], score[half:], column[half:])


def test_new_patients_raise_false_alarms_and_miss_sets_at_the_promised_rates() -> None:
    folds = [_material(1, 300), _material(2, 300)]
    limits = fit_limits(folds, error_rate=0.2, false_alarm_rate=0.1)
    fresh = _material(3, 2000)
    assert limits.sets is not None
    assert fresh.truth is not None
    assert fresh.probability is not None
    one = replace(limits, spaces=limits.spaces[:1])
    distance = one.distance([fresh.validation_layers]).reshape(-1, 6)
    alarms = float(np.mean(np.median(distance, axis=1) > limits.known.region_threshold))
    # the fresh patients come from the same law, so the rate holds up to chance (300 patients fitted: sd 0.017)
    assert alarms == pytest.approx(0.1, abs=0.06)
    for label in (0, 1):
        own = fresh.truth == label
        coverage = measure_coverage(predict_sets(limits.sets, fresh.probability[own]), fresh.truth[own])
        assert coverage.share == pytest.approx(0.8, abs=0.07)


def test_what_cannot_be_fitted_is_named() -> None:
    good = _material(1, 20)
    with pytest.raises(InputError, match="no fold"):
        fit_limits([])
    with pytest.raises(InputError, match="between 0 and 1"):
        fit_limits([good], false_alarm_rate=0)
    with pytest.raises(InputError, match="fold 1: layers"):
        fit_limits([good, replace(good, validation_layers=good.validation_layers[:, :3])])
    with pytest.raises(InputError, match="one each"):
        fit_limits([replace(good, patients=good.patients[:5])])
    with pytest.raises(InputError, match="not a number"):
        fit_limits([replace(good, probability=np.full((good.patients.size, 2), np.nan, np.float32))])
    with pytest.raises(InputError, match="belong together"):
        fit_limits([replace(good, truth=None)])
    with pytest.raises(InputError, match="classes and maps"):
        fit_limits([good, replace(good, truth=None, probability=None)])


def test_maps_have_the_same_distances_and_no_prediction_sets() -> None:
    folds = [_material(1, 30), _material(2, 30)]
    limits, bare = fit_limits(folds), fit_limits([replace(fold, truth=None, probability=None) for fold in folds])
    assert bare.sets is None
    assert bare.known == limits.known
    layers = [_material(seed, 5).validation_layers for seed in (3, 4)]
    np.testing.assert_array_equal(bare.distance(layers), limits.distance(layers))


def test_more_than_two_classes_have_a_threshold_each() -> None:
    many = _material(1, 60)
    truth = np.arange(len(many.patients)) % 3
    chance = np.full((len(truth), 3), 0.2, np.float32)
    chance[np.arange(len(truth)), truth] = 0.6
    who = np.arange(len(truth)).astype(str)  # one image each: nothing is drawn
    sets = fit_limits([replace(many, patients=who, probability=chance, truth=truth)], error_rate=0.2).sets
    assert sets is not None
    assert sets.quantiles == pytest.approx((0.4,) * 3)
    assert predict_sets(sets, np.array([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3]])).tolist() == [
        [True, False, False],
        [False] * 3,
    ]
