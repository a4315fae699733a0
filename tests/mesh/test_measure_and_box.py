"""Measures of a surface, and the box of beams."""

from __future__ import annotations

import numpy as np
import pytest

from osteon.data import Surface
from osteon.errors import InputError
from osteon.geometry import Box, Grid
from osteon.mesh import bounds_lps_mm, box_surface
from osteon.mesh.render import vertex_normals
from tests.surface_measures import enclosed_volume_mm3, is_watertight, surface_area_mm2

TETRAHEDRON = np.array([(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)], dtype=np.int32)


@pytest.fixture
def corner() -> Surface:
    """A corner of a cube of side 6, cut off: three right angles."""
    vertices = np.array([(0, 0, 0), (6, 0, 0), (0, 6, 0), (0, 0, 6)], dtype=np.float32) + np.float32(500)
    return Surface(vertices_lps_mm=vertices, faces=TETRAHEDRON, name="corner")


def test_a_tetrahedron_has_the_area_volume_and_bounds_of_the_school_book(corner: Surface) -> None:
    assert surface_area_mm2(corner) == pytest.approx(3 * 18 + 18 * np.sqrt(3))
    assert enclosed_volume_mm3(corner) == pytest.approx(36)
    low, high = bounds_lps_mm([corner])
    assert low.tolist() == [500, 500, 500]
    assert high.tolist() == [506, 506, 506]


def test_normals_point_away_and_weigh_by_area(corner: Surface) -> None:
    normals = vertex_normals(corner)
    np.testing.assert_allclose(normals[0], -np.ones(3) / np.sqrt(3), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)


def test_a_missing_a_doubled_or_a_turned_triangle_is_not_watertight(corner: Surface) -> None:
    def with_faces(faces: object) -> Surface:
        return Surface(
            vertices_lps_mm=corner.vertices_lps_mm, faces=np.asarray(faces, dtype=np.int32).reshape(-1, 3), name=""
        )

    turned = TETRAHEDRON.copy()
    turned[0] = turned[0, ::-1]
    assert is_watertight(corner)
    assert not is_watertight(with_faces(TETRAHEDRON[1:]))
    assert not is_watertight(with_faces(np.concatenate([TETRAHEDRON, TETRAHEDRON[:1]])))
    assert not is_watertight(with_faces(turned))
    assert not is_watertight(with_faces([]))
    assert surface_area_mm2(with_faces([])) == enclosed_volume_mm3(with_faces([])) == 0.0
    assert np.isnan(bounds_lps_mm([])).all()


@pytest.mark.parametrize("directions", [None, np.eye(3), [(0, 0.6, 0.8), (1, 0, 0), (0, -0.8, 0.6)]])
def test_a_box_is_twelve_beams_around_its_edges(directions: object) -> None:
    grid = Grid.from_axes(
        shape=(40, 40, 40),
        spacing_mm=(2, 1, 1),
        directions=directions,  # type: ignore[arg-type]
        origin_lps_mm=(5, 6, 7),
    )
    corners = Box(start=(3, 4, 5), stop=(23, 34, 15)).corners_lps_mm(grid)  # 40 x 30 x 10 mm
    box = box_surface(corners, thickness_mm=2.0)
    assert is_watertight(box)
    # each beam reaches half a thickness beyond its edge at both ends: 4 * (42 + 32 + 12) * 2 * 2
    assert enclosed_volume_mm3(box) == pytest.approx(1376, rel=1e-4)
    distance = np.abs(box.vertices_lps_mm[:, None] - corners).max(axis=2).min(axis=1)
    assert distance.max() < 2.0  # every vertex is at a corner of the box
    sides = (box.vertices_lps_mm - corners[0]) @ grid.directions.T
    np.testing.assert_allclose(sides.min(axis=0), -1, atol=1e-3)
    np.testing.assert_allclose(sides.max(axis=0), [41, 31, 11], atol=1e-3)


def test_what_is_not_a_box_is_refused() -> None:
    grid = Grid.from_axes(shape=(4, 4, 4), spacing_mm=(1, 1, 1))
    corners = Box(start=(0, 0, 0), stop=(4, 4, 4)).corners_lps_mm(grid)
    sheared = corners + corners[:, [1, 2, 0]] * np.array([0.3, 0, 0])
    for wrong in (corners[:7], corners[[1, 0, 2, 3, 4, 5, 6, 7]], sheared, corners * np.nan):
        with pytest.raises(InputError, match="box"):
            box_surface(wrong)
    with pytest.raises(InputError, match="thickness"):
        box_surface(corners, thickness_mm=0)
