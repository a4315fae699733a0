"""The affected part, the pieces of a bone, and fewer triangles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from osteon.data import Surface
from osteon.errors import GeometryMismatchError, InputError
from osteon.geometry import Grid
from osteon.mesh import bounds_lps_mm, extract_parts, extract_surface, simplify, smooth_taubin, split_between_slices
from tests.surface_measures import enclosed_volume_mm3, is_watertight, surface_area_mm2

OBLIQUE = [(0.0, 0.6, 0.8), (1.0, 0.0, 0.0), (0.0, -0.8, 0.6)]


@pytest.fixture(scope="module")
def grid() -> Grid:
    return Grid.from_axes(shape=(24, 20, 20), spacing_mm=(2, 1, 1), directions=OBLIQUE, origin_lps_mm=(30, -40, 500))


@pytest.fixture(scope="module")
def column(grid: Grid) -> Surface:
    """A smooth cylinder along the slices, from slice 2 to slice 21."""
    _, y, x = np.indices(grid.shape)
    mask = (y - 9.5) ** 2 + (x - 9.5) ** 2 < 50
    mask[:2] = mask[22:] = False
    return smooth_taubin(extract_surface(mask, grid, name="bone_left_1"))


def test_the_parts_add_up_and_meet_at_the_planes(column: Surface, grid: Grid) -> None:
    affected, rest = split_between_slices(column, grid, first_slice=8, last_slice=12)
    assert (affected.name, rest.name) == ("bone_left_1_affected", "bone_left_1")
    assert surface_area_mm2(affected) + surface_area_mm2(rest) == pytest.approx(surface_area_mm2(column), rel=1e-5)
    inside = grid.to_vox(affected.vertices_lps_mm)[:, 0]
    outside = grid.to_vox(rest.vertices_lps_mm)[:, 0]
    assert (inside.min(), inside.max()) == pytest.approx((7.5, 12.5), abs=1e-4)
    assert np.minimum(np.abs(outside - 7.5), np.abs(outside - 12.5))[(outside > 7.5) & (outside < 12.5)].max() < 1e-4
    # 5 slices of 2 mm of a cylinder
    assert surface_area_mm2(affected) == pytest.approx(2 * np.pi * np.sqrt(50) * 10, rel=0.03)


def test_put_together_again_the_parts_close(column: Surface, grid: Grid) -> None:
    affected, rest = split_between_slices(column, grid, first_slice=8, last_slice=12)
    assert not is_watertight(affected)
    both = np.concatenate([affected.vertices_lps_mm, rest.vertices_lps_mm])
    faces = np.concatenate([affected.faces, rest.faces + len(affected.vertices_lps_mm)])
    vertices, number = np.unique(both, axis=0, return_inverse=True)
    whole = replace(column, vertices_lps_mm=vertices, faces=number.reshape(-1)[faces].astype(np.int32))
    assert is_watertight(whole)
    assert enclosed_volume_mm3(whole) == pytest.approx(enclosed_volume_mm3(column), rel=1e-5)


def test_a_triangle_cut_by_hand() -> None:
    grid = Grid.from_axes(shape=(9, 9, 9), spacing_mm=(1, 1, 1))
    vertices = np.array([(0, 0, 0), (4, 0, 0), (0, 0, 4)], dtype=np.float32)
    triangle = Surface(vertices_lps_mm=vertices, faces=np.array([(0, 1, 2)], dtype=np.int32), name="t")
    affected, rest = split_between_slices(triangle, grid, first_slice=2, last_slice=8)  # z from 1.5 on
    assert surface_area_mm2(affected) == pytest.approx(2.5**2 / 2)
    assert surface_area_mm2(rest) == pytest.approx(8 - 2.5**2 / 2)
    assert len(affected.faces) == 1
    assert len(rest.faces) == 2
    a, b, c = affected.vertices_lps_mm[affected.faces[0]]
    assert np.cross(b - a, c - a)[1] < 0  # turns as the whole triangle does


def test_all_or_nothing_may_be_affected(column: Surface, grid: Grid) -> None:
    affected, rest = split_between_slices(column, grid, first_slice=0, last_slice=23)
    assert (len(affected.faces), len(rest.faces)) == (len(column.faces), 0)
    affected, rest = split_between_slices(column, grid, first_slice=23, last_slice=23)
    assert (len(affected.faces), len(rest.faces)) == (0, len(column.faces))
    with pytest.raises(InputError, match="before"):
        split_between_slices(column, grid, first_slice=5, last_slice=4)


def test_a_cut_through_vertices_loses_nothing(grid: Grid) -> None:
    mask = np.zeros(grid.shape, dtype=bool)
    mask[4:16, 5:15, 5:15] = True
    stepped = extract_surface(mask, grid)  # not smoothed: its ends are exactly on the faces of slices
    affected, rest = split_between_slices(stepped, grid, first_slice=4, last_slice=9)
    assert surface_area_mm2(affected) + surface_area_mm2(rest) == pytest.approx(surface_area_mm2(stepped), rel=1e-5)


def test_pieces_are_named_by_size(grid: Grid) -> None:
    labels = np.zeros(grid.shape, dtype=np.uint16)
    labels[1:3, 1:4, 1:4] = 7  # 18 voxels
    labels[6:12, 6:12, 6:12] = 2  # 216
    labels[15:17, 2:5, 2:5] = 4  # 18
    labels[20, 18, 18] = 9  # 1
    pieces = extract_parts(labels, grid, name="bone_left")
    assert [piece.name for piece in pieces] == ["bone_left_1", "bone_left_2", "bone_left_3", "bone_left_4"]
    for piece, value in zip(pieces, (2, 4, 7, 9), strict=True):
        whole = extract_surface(labels == value, grid)
        np.testing.assert_allclose(piece.vertices_lps_mm, whole.vertices_lps_mm, atol=1e-4)
        assert is_watertight(piece)
    assert extract_parts(np.zeros(grid.shape, dtype=np.uint8), grid, name="bone") == []
    with pytest.raises(GeometryMismatchError, match="shape"):
        extract_parts(labels[1:], grid, name="bone")


def test_fewer_triangles_keep_the_shape(column: Surface) -> None:
    small = simplify(column, target_triangles=len(column.faces) // 4)
    assert len(small.faces) == pytest.approx(len(column.faces) / 4, rel=0.02)
    assert enclosed_volume_mm3(small) == pytest.approx(enclosed_volume_mm3(column), rel=0.01)
    np.testing.assert_allclose(bounds_lps_mm([small]), bounds_lps_mm([column]), atol=0.3)
    assert (small.name, small.colour) == (column.name, column.colour)
    assert simplify(column, target_triangles=10**6) is column
    with pytest.raises(InputError, match="at least 4"):
        simplify(column, target_triangles=3)
