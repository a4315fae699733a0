"""Surfaces of masks against closed forms, and against every pair of faces."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from osteon.errors import InputError
from osteon.metrics.surface_distance import SurfaceDistances, surface_distances, volume_ml

Spacing = tuple[float, float, float]
ONE: Spacing = (1.0, 1.0, 1.0)
UNEVEN: Spacing = (3.0, 0.7, 1.1)


def cube(shape: tuple[int, int, int], first: tuple[int, int, int], size: tuple[int, int, int]) -> NDArray[np.bool_]:
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(start, start + length) for start, length in zip(first, size, strict=True))] = True
    return mask


def ball(radius_mm: float, spacing: Spacing, centre_mm: float = 0.0) -> NDArray[np.bool_]:
    axes = [np.arange(-16.0, 16.0 + mm / 2, mm) for mm in spacing]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return np.asarray(np.sqrt((z - centre_mm) ** 2 + y**2 + x**2) <= radius_mm)


def slow_faces(mask: NDArray[np.bool_], spacing: Spacing) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Voxel by voxel, neighbour by neighbour: places (n, 3) in mm and areas (n,)."""
    places, areas = [], []
    for voxel in itertools.product(*(range(length) for length in mask.shape)):
        for axis, step in itertools.product(range(3), (-1, 1)):
            beside = list(voxel)
            beside[axis] += step
            is_outside = not 0 <= beside[axis] < mask.shape[axis] or not mask[tuple(beside)]
            if mask[voxel] and is_outside:
                middle = [(one + two) / 2 for one, two in zip(voxel, beside, strict=True)]
                places.append([index * mm for index, mm in zip(middle, spacing, strict=True)])
                areas.append(math.prod(mm for other, mm in enumerate(spacing) if other != axis))
    return np.array(places).reshape(-1, 3), np.array(areas)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spacing", [ONE, UNEVEN])
def test_distances_and_areas_equal_the_slow_way(seed: int, spacing: Spacing) -> None:
    generator = np.random.default_rng(seed)
    truth, predicted = generator.random((2, 5, 6, 4)) < (0.1, 0.3, 0.6)[seed % 3]
    found = surface_distances(truth, predicted, spacing_mm=spacing)
    (one, one_area), (two, two_area) = (slow_faces(mask, spacing) for mask in (truth, predicted))
    pairs = np.linalg.norm(one[:, None] - two[None], axis=2)
    there, back = pairs.min(axis=1), pairs.min(axis=0)
    np.testing.assert_allclose(np.sort(found.truth_mm), np.sort(there))
    np.testing.assert_allclose(np.sort(found.predicted_mm), np.sort(back))
    assert found.hausdorff_mm(100) == pytest.approx(max(there.max(), back.max()))
    mean = (there @ one_area + back @ two_area) / (one_area.sum() + two_area.sum())
    assert found.mean_mm == pytest.approx(mean)
    near = one_area[there <= 1.2].sum() + two_area[back <= 1.2].sum()
    assert found.dice(1.2) == pytest.approx(near / (one_area.sum() + two_area.sum()))


@pytest.mark.parametrize(("axis", "voxels"), [(0, 1), (1, 2), (2, 3)])
def test_a_cube_beside_itself(axis: int, voxels: int) -> None:
    """Two sides are as far as it moved; the others are in their old planes, where they overlap in their old places."""
    first = [4, 4, 4]
    truth = cube((16, 16, 16), (4, 4, 4), (6, 6, 6))
    first[axis] += voxels
    predicted = cube((16, 16, 16), (first[0], first[1], first[2]), (6, 6, 6))
    found = surface_distances(truth, predicted, spacing_mm=UNEVEN)
    moved = voxels * UNEVEN[axis]
    assert found.hausdorff_mm(100) == pytest.approx(moved)
    assert found.dice(moved + 1e-9) == 1.0
    side = [6 * 6 * math.prod(UNEVEN) / mm for mm in UNEVEN]
    staying = sum(2 * area * (6 - voxels) / 6 for other, area in enumerate(side) if other != axis)
    assert found.dice(0.0) == pytest.approx(staying / (2 * sum(side)))


def test_a_shell_of_one_voxel() -> None:
    """A face of the inner cube has its partner two mm away; at an edge of the outer one a face is one step aside."""
    truth, predicted = cube((14, 14, 14), (3, 3, 3), (8, 8, 8)), cube((14, 14, 14), (2, 2, 2), (10, 10, 10))
    found = surface_distances(truth, predicted, spacing_mm=(2.0, 2.0, 2.0))
    assert np.allclose(found.truth_mm, 2.0)
    steps = {2.0: 8 * 8, math.sqrt(8): 4 * 8, math.sqrt(12): 4}  # of one side of the outer cube
    for distance, count in steps.items():
        assert np.isclose(found.predicted_mm, distance).sum() == 6 * count
    inner, outer = 6 * 64, 6 * sum(distance * count for distance, count in steps.items())
    assert found.mean_mm == pytest.approx((2 * inner + outer) / (inner + 600))
    assert found.dice(2.0) == pytest.approx((inner + 6 * 64) / (inner + 600))
    assert found.hausdorff_mm() == pytest.approx(math.sqrt(8))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 0.8, 0.8)])
def test_balls_in_one_another_are_the_difference_of_their_radii_apart(spacing: Spacing) -> None:
    found = surface_distances(ball(8.0, spacing), ball(12.0, spacing), spacing_mm=spacing)
    assert found.mean_mm == pytest.approx(4.0, abs=0.3)
    assert found.hausdorff_mm() == pytest.approx(4.0, abs=max(spacing))
    # stairs: six times the shadow of a ball on a wall
    assert found.predicted_mm2.sum() == pytest.approx(6 * math.pi * 144, rel=0.06)
    assert found.truth_mm2.sum() == pytest.approx(6 * math.pi * 64, rel=0.06)


def test_a_ball_that_moved_along_thick_slices() -> None:
    spacing = (2.0, 0.8, 0.8)
    found = surface_distances(ball(8.0, spacing), ball(8.0, spacing, centre_mm=4.0), spacing_mm=spacing)
    # a face that sees the shift at an angle t is about 4 |cos t| away: the mean over a ball is 2
    assert found.mean_mm == pytest.approx(2.0, abs=0.3)
    assert found.hausdorff_mm(100) == pytest.approx(4.0, abs=0.8)


def test_areas_of_a_box_are_exact() -> None:
    mask = cube((7, 8, 9), (2, 2, 2), (3, 4, 5))
    area = surface_distances(mask, mask, spacing_mm=UNEVEN).truth_mm2.sum()
    high, deep, wide = 3 * 3.0, 4 * 0.7, 5 * 1.1
    assert area == pytest.approx(2 * (high * deep + deep * wide + wide * high))


def test_the_percentile_is_of_the_area() -> None:
    found = SurfaceDistances(np.array([5.0, 1.0, 2.0]), np.array([1.0, 18.0, 1.0]), np.array([0.5]), np.array([1.0]))
    assert found.hausdorff_mm(90) == 1.0
    assert found.hausdorff_mm(95) == 2.0
    assert found.hausdorff_mm(96) == 5.0
    assert found.mean_mm == pytest.approx((5 + 18 + 2 + 0.5) / 21)
    assert found.dice(1.0) == pytest.approx(19 / 21)


def test_empty_masks_are_ruled() -> None:
    full, empty = cube((4, 4, 4), (1, 1, 1), (2, 2, 2)), np.zeros((4, 4, 4), dtype=bool)
    for truth, predicted, state, distance, dice in (
        (empty, empty, "both_empty", 0.0, 1.0),
        (full, empty, "prediction_empty", math.inf, 0.0),
        (empty, full, "truth_empty", math.inf, 0.0),
        (full, full, "measured", 0.0, 1.0),
    ):
        found = surface_distances(truth, predicted, spacing_mm=ONE)
        assert (found.state, found.hausdorff_mm(), found.mean_mm, found.dice(2.0)) == (state, distance, distance, dice)


def test_a_mask_at_the_border_has_a_surface_there() -> None:
    mask = np.ones((2, 3, 4), dtype=bool)
    found = surface_distances(mask, cube((2, 3, 4), (0, 0, 0), (2, 3, 3)), spacing_mm=ONE)
    assert found.hausdorff_mm(100) == pytest.approx(1.0)


def test_volumes() -> None:
    assert volume_ml(cube((9, 9, 9), (0, 0, 0), (5, 5, 5)), spacing_mm=(2.0, 2.0, 2.0)) == 1.0
    assert volume_ml(cube((9, 9, 9), (0, 0, 0), (5, 5, 6)), spacing_mm=(2.0, 2.0, 2.0)) == 1.2


def test_what_cannot_be_measured_is_refused() -> None:
    mask = np.zeros((2, 2, 2), dtype=bool)
    with pytest.raises(InputError, match="one grid"):
        surface_distances(mask, np.zeros((2, 2, 3), dtype=bool), spacing_mm=ONE)
    with pytest.raises(InputError, match="bool is needed"):
        surface_distances(mask, mask.astype(np.uint8), spacing_mm=ONE)
    with pytest.raises(InputError, match="above 0"):
        surface_distances(mask, mask, spacing_mm=(1.0, 0.0, 1.0))
    found = surface_distances(mask, mask, spacing_mm=ONE)
    with pytest.raises(InputError, match="percent"):
        found.hausdorff_mm(0)
    with pytest.raises(InputError, match="tolerance"):
        found.dice(-1)
