"""Where voxels are, by hand and by property."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteon.errors import GeometryMismatchError, InputError
from osteon.geometry import Box, Grid


def oblique(*, left_handed: bool = False, angle: float = 0.4) -> Grid:
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    axes = np.array([(0, 0, -1 if left_handed else 1), (0, 1, 0), (1, 0, 0)]) @ turn.T
    return Grid.from_axes(shape=(5, 6, 7), spacing_mm=(3, 0.5, 0.7), directions=axes, origin_lps_mm=(-10, 20, 30))


def test_by_hand_axial_head_first() -> None:
    grid = Grid.from_axes(shape=(10, 20, 30), spacing_mm=(5, 0.8, 0.4), origin_lps_mm=(-6, -8, 100))
    assert grid.to_lps_mm([2, 10, 5]).tolist() == [
        -4.0,
        0.0,
        110.0,
    ]  # column to the left, row to the back, slice to the head
    assert grid.spacing_mm == pytest.approx((5, 0.8, 0.4))
    assert grid.voxel_volume_mm3 == pytest.approx(1.6)
    assert np.linalg.det(grid.directions) < 0  # (slice, row, column) = (z, y, x) is a mirror of (x, y, z)


@pytest.mark.parametrize("left_handed", [False, True])
def test_there_and_back(left_handed: bool) -> None:
    grid = oblique(left_handed=left_handed)
    points = np.array(list(itertools.product((0, 2.5, 4), (0, 5), (0.25, 6))))
    assert np.allclose(grid.to_vox(grid.to_lps_mm(points)), points)
    assert (np.linalg.det(grid.directions) > 0) is np.bool_(left_handed)


def test_a_crop_keeps_every_voxel_where_it_was() -> None:
    grid = oblique()
    crop = grid.crop((1, 2, 3), (4, 6, 7))
    assert crop.shape == (3, 4, 4)
    assert np.allclose(crop.to_lps_mm([0, 1, 2]), grid.to_lps_mm([1, 3, 5]))
    with pytest.raises(InputError, match="is not inside"):
        grid.crop((0, 0, 0), (6, 1, 1))


def test_same_as_allows_rounding_and_nothing_more() -> None:
    grid = oblique()
    rounded = Grid(shape=grid.shape, affine=np.round(grid.affine, 4))
    moved = grid.affine.copy()
    moved[0, 3] += 0.4
    assert grid.same_as(rounded)
    assert not grid.same_as(Grid(shape=grid.shape, affine=moved))
    assert not grid.same_as(grid.crop((0, 0, 0), (4, 6, 7)))
    with pytest.raises(GeometryMismatchError, match="mask and image"):
        grid.require_same(oblique(angle=0.41), what="mask and image")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a * np.nan, "NaN"),
        (lambda a: a + np.array([[0, 0.2, 0, 0], [0] * 4, [0] * 4, [0] * 4]), "not orthogonal"),
        (lambda a: a * np.array([[0, 1, 1, 1]] * 3 + [[1, 1, 1, 1]]), "spacing must be positive"),
        (lambda a: a[:3], "4x4"),
    ],
)
def test_what_is_not_a_grid_is_refused(change: object, message: str) -> None:
    affine = Grid.from_axes(shape=(2, 2, 2), spacing_mm=(1, 1, 1)).affine
    with pytest.raises(InputError, match=message):
        Grid(shape=(2, 2, 2), affine=change(affine))  # type: ignore[operator]


def test_an_empty_shape_is_refused() -> None:
    with pytest.raises(InputError, match="at least one voxel"):
        Grid.from_axes(shape=(0, 2, 2), spacing_mm=(1, 1, 1))


def test_the_affine_cannot_be_changed_afterwards() -> None:
    grid = oblique()
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 0] = 5


@given(st.permutations([0, 1, 2]), st.tuples(*[st.sampled_from([-1, 1])] * 3))
def test_physical_volume_does_not_depend_on_orientation(order: list[int], signs: tuple[int, int, int]) -> None:
    axes = np.eye(3)[order] * np.array(signs)[:, None]
    grid = Grid.from_axes(shape=(4, 5, 6), spacing_mm=(2, 0.5, 1), directions=axes)
    box = Box(start=(1, 1, 1), stop=(3, 5, 4))
    low, high = box.bounds_lps_mm(grid)
    assert float(np.prod(high - low)) == pytest.approx(box.volume_mm3(grid)) == pytest.approx(24.0)


def test_box_by_hand() -> None:
    grid = Grid.from_axes(shape=(4, 4, 4), spacing_mm=(2, 1, 1))
    low, high = Box(start=(0, 1, 2), stop=(1, 3, 4)).bounds_lps_mm(grid)
    assert low.tolist() == [1.5, 0.5, -1.0]  # outer faces, half a voxel outside the centres
    assert high.tolist() == [3.5, 2.5, 1.0]
    assert len(np.unique(Box(start=(0, 1, 2), stop=(1, 3, 4)).corners_lps_mm(grid), axis=0)) == 8
    with pytest.raises(InputError, match="at least one voxel"):
        Box(start=(0, 0, 0), stop=(1, 0, 1))
