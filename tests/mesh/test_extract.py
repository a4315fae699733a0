"""Surface extraction: where, which way round, and closed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from osteon.errors import GeometryMismatchError, InputError
from osteon.geometry import Grid
from osteon.mesh import bounds_lps_mm, coarse_surface, extract_surface, kernels
from tests.surface_measures import enclosed_volume_mm3, is_watertight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

TURN = np.array([(0.8, 0.6, 0.0), (-0.6, 0.8, 0.0), (0.0, 0.0, 1.0)]) @ np.array(
    [(1.0, 0.0, 0.0), (0.0, 0.28, 0.96), (0.0, -0.96, 0.28)]
)

CORNERS = list(itertools.product((0, 1), repeat=3))


def grid_of(
    shape: tuple[int, ...], *, directions: ArrayLike | None = None, spacing_mm: Sequence[float] = (1.0, 1.0, 1.0)
) -> Grid:
    return Grid.from_axes(shape=shape, spacing_mm=spacing_mm, directions=directions, origin_lps_mm=(10, -250, 900))


def ball(radius: float, size: int) -> NDArray[np.bool_]:
    axis = np.arange(size) - (size - 1) / 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    return np.asarray(z * z + y * y + x * x <= radius * radius)


def test_one_voxel_is_an_octahedron_half_a_spacing_wide() -> None:
    grid = Grid.from_axes(shape=(3, 3, 3), spacing_mm=(4, 2, 1), origin_lps_mm=(-1, -2, -4))
    mask = np.zeros((3, 3, 3), dtype=bool)
    mask[1, 1, 1] = True
    surface = extract_surface(mask, grid)
    expected = {(0.5, 0, 0), (-0.5, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 2), (0, 0, -2)}
    assert {tuple(v) for v in surface.vertices_lps_mm.tolist()} == expected
    assert enclosed_volume_mm3(surface) == pytest.approx(4 / 3 * 0.5 * 1 * 2)
    assert surface.vertices_lps_mm.dtype == np.float32
    assert surface.faces.dtype == np.int32


def test_vertices_and_triangles_are_those_of_vtk_in_its_order() -> None:
    pyvista = pytest.importorskip("pyvista")
    mask = ball(6.3, 17)
    mask[8:12, 8:12, :] = True  # reaches the border
    mask[:5, :5, :5] = np.random.default_rng(3).random((5, 5, 5)) < 0.5
    surface = extract_surface(mask, Grid.from_axes(shape=mask.shape, spacing_mm=(1, 1, 1)))
    image = pyvista.ImageData(dimensions=(19, 19, 19), origin=(-1, -1, -1))
    image.point_data["inside"] = np.pad(mask, 1).astype(np.float32).reshape(-1)
    reference = image.contour([0.5], scalars="inside", method="flying_edges")
    np.testing.assert_array_equal(surface.vertices_lps_mm, reference.points)
    np.testing.assert_array_equal(surface.faces, reference.regular_faces)


def lines_on_faces(cube: int) -> set[tuple[str, str]]:
    """Where the surface crosses the faces of one cube, from the rule alone: corners inside are kept apart.

    Directed so that the inside is on the left, seen from outside the cube: as the border of triangles that are
    counter-clockwise seen from outside of the body. Edges are named as in the table, a hexadecimal digit each.
    """
    corner = {(row, part, column): bool(cube >> (row | part << 1 | column << 2) & 1) for row, part, column in CORNERS}

    def edge(a: tuple[int, ...], b: tuple[int, ...]) -> str:
        (row, part, column), axis = np.minimum(a, b), int(np.argmax(np.not_equal(a, b)))
        along = {2: row + 2 * part, 0: 4 + column + 2 * part, 1: 8 + column + 2 * row}
        return f"{along[axis]:x}"

    lines = set()
    for axis, side in itertools.product(range(3), (0, 1)):
        around = [np.insert(uv, axis, side) for uv in ((0, 0), (1, 0), (1, 1), (0, 1))]
        # counter-clockwise seen from outside: (row, slice, column) is (y, z, x), which is right-handed
        around = around if (side == 1) == (axis != 1) else around[::-1]
        names = [edge(tuple(around[n]), tuple(around[(n + 1) % 4])) for n in range(4)]
        inside = [corner[int(c[0]), int(c[1]), int(c[2])] for c in around]
        for n in range(4):
            if not inside[n] and inside[(n + 1) % 4]:
                leave = next(m for m in range(n + 1, n + 4) if inside[m % 4] and not inside[(m + 1) % 4])
                lines.add((names[n], names[leave % 4]))
    return lines


def test_the_triangles_of_each_cube_are_bordered_by_what_its_faces_alone_decide() -> None:
    """So two cubes agree about their common face: the surface is closed for every mask."""
    for cube, text in enumerate(kernels._TRIANGLES.split()):
        corners = "" if text == "-" else text
        triangles = [corners[n : n + 3] for n in range(0, len(corners), 3)]
        sides = [(t[n], t[(n + 1) % 3]) for t in triangles for n in range(3)]
        assert len(set(sides)) == len(sides)
        assert {side for side in sides if side[::-1] not in sides} == lines_on_faces(cube), cube


@pytest.mark.parametrize(
    "directions",
    [None, TURN, TURN * np.array([[1], [-1], [1]]), -np.eye(3), np.eye(3)],
    ids=["axial", "oblique", "oblique left-handed", "mirrored", "right-handed"],
)
def test_every_orientation_gives_the_same_closed_body_looking_outwards(directions: ArrayLike | None) -> None:
    mask = ball(5.2, 14)
    grid = grid_of(mask.shape, directions=directions, spacing_mm=(2.0, 1.0, 0.5))
    surface = extract_surface(mask, grid)
    assert is_watertight(surface)
    assert enclosed_volume_mm3(surface) == pytest.approx(mask.sum(), rel=0.02)
    centre = grid.to_lps_mm([6.5, 6.5, 6.5])
    np.testing.assert_allclose((surface.vertices_lps_mm.min(axis=0) + surface.vertices_lps_mm.max(axis=0)) / 2, centre)
    a, b, c = (surface.vertices_lps_mm[surface.faces[:, i]] for i in range(3))
    assert (np.einsum("ij,ij->i", np.cross(b - a, c - a), a - centre) > 0).all()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_noise_is_watertight_too_even_at_the_border(share: float) -> None:
    mask = np.random.default_rng(7).random((9, 10, 11)) < share
    surface = extract_surface(mask, grid_of(mask.shape))
    assert is_watertight(surface)
    assert len(np.unique(surface.vertices_lps_mm, axis=0)) == len(surface.vertices_lps_mm)
    assert np.array_equal(np.unique(surface.faces), np.arange(len(surface.vertices_lps_mm)))


def test_a_crop_of_the_grid_leaves_the_surface_where_it_was() -> None:
    mask = np.zeros((12, 13, 14), dtype=bool)
    mask[4:8, 5:9, 6:10] = True
    grid = grid_of(mask.shape, directions=TURN, spacing_mm=(3.0, 0.7, 0.7))
    whole = extract_surface(mask, grid)
    part = extract_surface(mask[3:9, 4:10, 5:11], grid.crop((3, 4, 5), (9, 10, 11)))
    np.testing.assert_allclose(part.vertices_lps_mm, whole.vertices_lps_mm, atol=1e-4)
    assert np.array_equal(part.faces, whole.faces)


def test_an_empty_mask_and_a_wrong_grid_are_refused() -> None:
    with pytest.raises(InputError, match="holds no voxel"):
        extract_surface(np.zeros((3, 3, 3), dtype=bool), grid_of((3, 3, 3)))
    with pytest.raises(GeometryMismatchError, match="shape"):
        extract_surface(np.ones((3, 3, 3), dtype=bool), grid_of((3, 3, 4)))


@pytest.mark.parametrize("spacing_mm", [(0.8, 0.5, 0.5), (2.5, 0.9, 0.9), (5.0, 1.75, 1.75)])
def test_a_coarse_surface_lies_where_the_mask_does(spacing_mm: Sequence[float]) -> None:
    shape = tuple(round(70 / mm) + 1 for mm in spacing_mm)
    grid = grid_of(shape, spacing_mm=spacing_mm, directions=TURN)
    z, y, x = np.meshgrid(*((np.arange(n) * mm - 33) for n, mm in zip(shape, spacing_mm, strict=True)), indexing="ij")
    mask = np.sqrt(z * z + y * y + x * x) < 25
    surface = coarse_surface(mask, grid, name="ball")
    assert is_watertight(surface)
    low, high = bounds_lps_mm([surface])
    middle = grid.to_lps_mm([33 / mm for mm in spacing_mm])
    assert np.allclose(low, middle - 25, atol=1.6)
    assert np.allclose(high, middle + 25, atol=1.6)
    assert enclosed_volume_mm3(surface) == pytest.approx(4 / 3 * np.pi * 25**3, rel=0.06)
