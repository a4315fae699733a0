"""Measures of a scan worked out by hand, medians against a slow bootstrap, blind masks against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from osteon.errors import InputError
from osteon.metrics.blind_masks import BlindEllipsoid, MeanMask
from osteon.metrics.bootstrap import Resampling, draw_patients
from osteon.metrics.volume_agreement import dice, limits_of_agreement, median_of_patients, volume_agreement


def test_two_boxes_by_hand() -> None:
    truth, predicted = np.zeros((2, 10, 12, 14), dtype=np.bool_)
    truth[2:6, 2:8, 2:8] = True  # 4 x 6 x 6 = 144 voxels
    truth[8, 10, 12] = True  # a second lesion, which nobody finds
    predicted[2:6, 2:8, 3:9] = True  # one column to the right: 120 shared
    found = volume_agreement(truth, predicted, spacing_mm=(3.0, 2.0, 2.5))
    assert found.dice == pytest.approx(2 * 120 / (145 + 144))
    assert (found.lesions, found.found, found.lesion_sensitivity) == (2, 1, 0.5)
    assert found.true_ml == pytest.approx(145 * 15 / 1000)
    assert found.volume_error == pytest.approx(-1 / 145)
    assert found.hd95_mm == 2.5


def test_nothing_predicted_and_nothing_there() -> None:
    full, empty = np.ones((2, 3, 3), dtype=np.bool_), np.zeros((2, 3, 3), dtype=np.bool_)
    missed = volume_agreement(full, empty, spacing_mm=(1, 1, 1))
    assert (missed.dice, missed.surface_dice, missed.hd95_mm) == (0, 0, math.inf)
    assert (missed.volume_error, missed.found) == (-1, 0)
    nothing = volume_agreement(empty, empty, spacing_mm=(1, 1, 1))
    assert (nothing.dice, nothing.surface_dice, nothing.hd95_mm) == (1, 1, 0)
    assert math.isnan(nothing.volume_error)
    assert math.isnan(nothing.lesion_sensitivity)


def test_masks_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(InputError, match="two of bool on one grid"):
        dice(np.ones((2, 2), dtype=np.bool_), np.ones((2, 3), dtype=np.bool_))
    with pytest.raises(InputError, match="two of bool on one grid"):
        dice(np.ones(3), np.ones(3, dtype=np.bool_))


def test_the_interval_of_a_median_is_that_of_a_slow_bootstrap() -> None:
    values = np.random.default_rng(3).normal(0.1, 0.2, 17)
    how = Resampling(repeats=300, seed=4)
    found = median_of_patients([*values, math.nan], against_zero=True, resampling=how)
    medians = []
    for counts in draw_patients(17, range(300), seed=4):
        drawn = sorted(value for value, count in zip(values, counts, strict=True) for _ in range(count))
        medians.append(drawn[8])
    assert found.value == np.median(values)
    assert (found.low, found.high) == tuple(np.percentile(medians, [2.5, 97.5]))
    assert found.patients == 17
    below, above = (sum(side) for side in zip(*((m <= 0, m >= 0) for m in medians), strict=True))
    assert found.p_value == pytest.approx(2 * (min(below, above) + 1) / 301, rel=0.02)


def test_a_median_of_distances_may_have_no_upper_end() -> None:
    found = median_of_patients([2.0, 4.0, 6.0, math.inf, math.inf], resampling=Resampling(repeats=300))
    assert found.value == 6.0
    assert math.isfinite(found.low)
    assert found.high == math.inf


def test_limits_of_agreement_are_those_of_a_slow_bootstrap() -> None:
    values = np.random.default_rng(4).normal(3, 2, 15)
    found = limits_of_agreement([*values, math.nan], resampling=Resampling(repeats=200, seed=5))
    counts = draw_patients(15, range(200), seed=5)
    drawn = [np.repeat(values, each) for each in counts]
    for one, sign in ((found.bias, 0), (found.low, -1.96), (found.high, 1.96)):
        assert one.value == pytest.approx(values.mean() + sign * values.std(ddof=1))
        slow = [some.mean() + sign * some.std(ddof=1) for some in drawn]
        assert (one.low, one.high) == pytest.approx(np.percentile(slow, [2.5, 97.5]))
    assert found.bias.patients == 15


def test_values_without_a_median_are_refused() -> None:
    for values in ([], [math.nan], [[0.1, 0.2]]):
        for of in (median_of_patients, limits_of_agreement):
            with pytest.raises(InputError, match="one value a patient"):
                of(values)


def test_an_ellipsoid_has_its_volume_and_is_found_again() -> None:
    for share in (0.5, 0.8, 1.0):
        mask = BlindEllipsoid(share).mask((60, 80, 50))
        assert mask.mean() == pytest.approx(math.pi / 6 * share**3, rel=0.01)
        assert np.array_equal(mask, mask[::-1, ::-1, ::-1])
    crops = [BlindEllipsoid(0.65).mask(shape) for shape in ((20, 30, 40), (31, 25, 18))]
    assert BlindEllipsoid.fitted(crops).share == 0.65


def test_the_mean_of_one_shape_in_crops_of_any_size_is_that_shape() -> None:
    def wedge(shape: tuple[int, int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        mask = np.zeros(shape, dtype=np.bool_)
        mask[: shape[0] // 2, shape[1] // 4 :, :] = True
        return mask

    fitted = MeanMask.fitted([wedge((32, 32, 32)), wedge((40, 24, 28)), wedge((20, 64, 36))])
    assert dice(wedge((48, 40, 44)), fitted.mask((48, 40, 44))) > 0.97
    # where crops disagree the mean is between, and the threshold decides for the larger part of them
    corners = np.zeros((5, 8, 8, 8), dtype=np.bool_)
    corners[:4, :4] = corners[4, 4:] = True
    assert dice(corners[0], MeanMask.fitted(list(corners)).mask((8, 8, 8))) == 1


def test_blind_masks_need_crops() -> None:
    for kind in (BlindEllipsoid, MeanMask):
        with pytest.raises(InputError, match="none was given"):
            kind.fitted([])
