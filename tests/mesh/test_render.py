"""Pictures: the right outline, from the right side, lit as said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest

from osteon.data import Surface
from osteon.errors import InputError, UnknownLabelError
from osteon.geometry import Box, Grid
from osteon.mesh import View, box_surface, extract_surface, fit_camera, render, smooth_taubin
from osteon.mesh.kernels import draw_triangles
from osteon.mesh.render import VIEWS

if TYPE_CHECKING:
    from numpy.typing import NDArray

WHITE = (255, 255, 255, 255)
RED = (255, 0, 0, 255)


@pytest.fixture(scope="module")
def grid() -> Grid:
    return Grid.from_axes(shape=(31, 31, 31), spacing_mm=(1, 1, 1), origin_lps_mm=(-15, -15, -15))


@pytest.fixture(scope="module")
def sphere(grid: Grid) -> Surface:
    z, y, x = np.indices(grid.shape) - 15
    return smooth_taubin(extract_surface(z * z + y * y + x * x < 12.5**2, grid, colour=WHITE))


def block_at(point_lps_mm: tuple[float, float, float], *, colour: tuple[int, int, int, int] = WHITE) -> Surface:
    grid = Grid.from_axes(shape=(3, 3, 3), spacing_mm=(2, 2, 2), origin_lps_mm=np.subtract(point_lps_mm, 2).tolist())
    return extract_surface(np.ones((3, 3, 3), dtype=bool), grid, colour=colour)


def brightness(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(rgb.mean(axis=2))


def centre_of_colour(rgb: NDArray[np.uint8], channel: int) -> tuple[float, float]:
    row, column = np.nonzero(rgb[..., channel] > 1.5 * np.delete(rgb, channel, axis=2).max(axis=2))
    return float(row.mean()), float(column.mean())


def test_a_sphere_has_the_outline_of_a_disk(sphere: Surface) -> None:
    picture = render([sphere], size=(120, 100))
    assert picture.rgb.shape == (100, 120, 3)
    assert picture.rgb.dtype == np.uint8
    assert picture.mm_per_px == pytest.approx(25 / 90, rel=0.02)
    share = (picture.rgb.max(axis=2) > 0).sum() * picture.mm_per_px**2
    assert share == pytest.approx(np.pi * 12.5**2, rel=0.06)  # pixels on the edge count as whole ones here
    row, column = np.nonzero(picture.rgb.max(axis=2) > 0)
    assert (row.mean(), column.mean()) == pytest.approx((49.5, 59.5), abs=0.3)


def test_a_sphere_is_lit_from_the_upper_left_and_alike_from_all_sides(sphere: Surface) -> None:
    pictures = {view: brightness(render([sphere], view=view, size=(60, 60)).rgb) for view in get_args(View)}
    front = pictures["anterior"]
    assert front[20, 20] > 1.2 * front[40, 40]
    for view, picture in pictures.items():
        difference = np.abs(picture - front)[12:48, 12:48].mean()  # the steps of the voxels are elsewhere
        assert difference < 0.25 * np.abs(picture - front[::-1, ::-1])[12:48, 12:48].mean(), view


@pytest.mark.parametrize(
    ("view", "right", "up"),
    [
        ("anterior", (1, 0, 0), (0, 0, 1)),  # the patient's left is on the viewer's right
        ("posterior", (-1, 0, 0), (0, 0, 1)),
        ("left", (0, 1, 0), (0, 0, 1)),
        ("right", (0, -1, 0), (0, 0, 1)),
        ("superior", (1, 0, 0), (0, 1, 0)),
        ("inferior", (1, 0, 0), (0, -1, 0)),
    ],
)
def test_each_view_shows_its_side(view: View, right: tuple[int, ...], up: tuple[int, ...], sphere: Surface) -> None:
    camera = fit_camera([sphere], view=view)
    np.testing.assert_allclose(camera.axes[0], right, atol=1e-9)
    np.testing.assert_allclose(camera.axes[1], up, atol=1e-9)
    np.testing.assert_allclose(np.cross(camera.axes[0], camera.axes[1]), camera.axes[2], atol=1e-9)


def test_all_view_names_are_known() -> None:
    assert set(get_args(View)) == set(VIEWS)
    for view in get_args(View):
        axes = fit_camera([block_at((0, 0, 0))], view=view).axes
        np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
    oblique = fit_camera([block_at((0, 0, 0))], view="anterior-left").axes[2]
    assert oblique[0] > 0.5  # from the patient's left
    assert oblique[1] < -0.5  # from the front


def test_a_point_lands_where_the_camera_says() -> None:
    scene = [block_at((0, 0, 0)), block_at((20, 0, 30), colour=RED)]
    picture = render(scene, size=(90, 130))
    row, column = centre_of_colour(picture.rgb, 0)
    expected = picture.camera.project((20, 0, 30))
    assert (column + 0.5, row + 0.5) == pytest.approx((expected[0], expected[1]), abs=0.5)
    assert row < 40  # the head is up
    assert column > 60  # the patient's left is on the right


def test_what_is_in_front_hides_what_is_behind() -> None:
    near, far = block_at((0, -10, 0), colour=RED), block_at((0, 10, 0), colour=(0, 255, 0, 255))
    middle = np.s_[30, 30]
    assert render([far, near], size=(60, 60)).rgb[middle].argmax() == 0
    assert render([near, far], size=(60, 60)).rgb[middle].argmax() == 0
    assert render([near, far], view="posterior", size=(60, 60)).rgb[middle].argmax() == 1


def test_the_box_is_drawn_over_what_it_surrounds_and_shines_through_it(sphere: Surface, grid: Grid) -> None:
    corners = Box(start=(10, 2, 0), stop=(21, 29, 31)).corners_lps_mm(grid)
    box = box_surface(corners, colour=RED, thickness_mm=1.0)
    picture = render([sphere], view="anterior-left", size=(150, 150), outlines=[box])

    def redness_at(point_lps_mm: NDArray[np.float64]) -> int:
        column, row, _ = picture.camera.project(point_lps_mm)
        red, green, _ = picture.rgb[int(row), int(column)].astype(int)
        return int(red - green)

    lower_front, upper_back = (corners[0] + corners[1]) / 2, (corners[6] + corners[7]) / 2
    assert redness_at(lower_front) > 200  # nothing before it
    assert 20 < redness_at(upper_back) < 150  # the sphere is before it
    plain = render([sphere], view="anterior-left", size=(150, 150))
    assert (plain.rgb[..., 0] == plain.rgb[..., 1]).all()


def test_a_given_scale_is_kept_and_the_background_filled(sphere: Surface) -> None:
    picture = render([sphere], size=(40, 40), mm_per_px=2.0, background=(10, 20, 30))
    assert picture.mm_per_px == 2.0
    assert picture.rgb[0, 0].tolist() == [10, 20, 30]
    assert (picture.rgb != (10, 20, 30)).any(axis=2).sum() * 4 == pytest.approx(np.pi * 12.5**2, rel=0.3)
    clipped = render([sphere], size=(20, 20), mm_per_px=0.5)  # only the middle fits
    assert (brightness(clipped.rgb) > 0).all()


def test_an_open_surface_shows_its_inside(sphere: Surface) -> None:
    centres = sphere.vertices_lps_mm[sphere.faces].mean(axis=1)
    cup = replace(sphere, faces=np.ascontiguousarray(sphere.faces[centres[:, 1] > 0]))  # the front half is missing
    assert brightness(render([cup], size=(50, 50)).rgb)[25, 25] > 60


def test_the_same_picture_twice(sphere: Surface) -> None:
    assert np.array_equal(render([sphere], size=(50, 50)).rgb, render([sphere], size=(50, 50)).rgb)


def test_the_raster_is_that_of_a_slow_reference() -> None:
    random = np.random.default_rng(3)
    points = (random.random((12, 3)) * (20, 16, 10) - (2, 2, 0)).astype(np.float32)
    faces = random.integers(0, 12, (9, 3)).astype(np.int32)
    triangle, near = draw_triangles(points, faces, 12, 16)
    for row in range(12):
        for column in range(16):
            depths = {}
            for number, corners in enumerate(points[faces].astype(np.float64)):
                system = np.vstack([corners[:, :2].T, np.ones(3)])
                if abs(np.linalg.det(system)) > 1e-9:
                    weights = np.linalg.solve(system, (column + 0.5, row + 0.5, 1))
                    if weights.min() >= 0:
                        depths[number] = weights @ corners[:, 2]
            if depths:
                assert triangle[row, column] == max(depths, key=lambda number: depths[number])
                assert near[row, column] == pytest.approx(max(depths.values()), abs=1e-4)
            else:
                assert triangle[row, column] == -1


def test_what_cannot_be_drawn_is_refused(sphere: Surface) -> None:
    with pytest.raises(UnknownLabelError, match="did you mean 'anterior'"):
        render([sphere], view="anteriour")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no surface"):
        render([])
    with pytest.raises(InputError, match="pixels"):
        render([sphere], size=(0, 10))
