"""Masks and numbers on the CT's own grid, against a reference that holds everything at once."""

from __future__ import annotations

import numpy as np
import pytest

from osteon.ops.outlines import (
    LesionShape,
    MapStack,
    axial_diameters_mm,
    draw_outlines,
    largest_distance_mm,
    outline_points_mm,
)
from osteon.ops.series_images import slice_frame

SPACING = (2.0, 0.8, 0.9)
SHAPE = (12, 90, 100)


def _ball(centre: tuple[float, float, float], radius: float) -> np.ndarray:
    z, y, x = np.meshgrid(*(np.arange(n) * mm for n, mm in zip(SHAPE, SPACING, strict=True)), indexing="ij")
    return np.asarray(np.sqrt((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2) < radius)


def _stack(step: int = 1) -> tuple[MapStack, np.ndarray]:
    """Two balls on the grid of images, and HU."""
    frame = slice_frame(SHAPE[1:], SPACING[1:])
    slices = np.arange(0, SHAPE[0], step)
    first, second = _ball((12.0, 36.0, 40.0), 9.0), _ball((12.0, 36.0, 66.0), 7.0)

    def shown(mask: np.ndarray) -> np.ndarray:
        return np.stack([frame.images(mask[k][None] * np.uint8(255))[0] for k in slices])

    maps = shown(first | second)
    labels = np.where(shown(first) >= 128, np.uint8(1), np.where(shown(second) >= 128, np.uint8(2), np.uint8(0)))
    array = np.random.default_rng(2).normal(100, 30, SHAPE).astype(np.int16)
    return MapStack(frame, slices, lesion=maps, labels=labels), array


def _drawn(
    stack: MapStack, array: np.ndarray, barred: np.ndarray | None = None
) -> tuple[list[LesionShape], np.ndarray]:
    lesions = np.zeros(SHAPE, dtype=np.uint8)
    barred = np.zeros(SHAPE, dtype=np.bool_) if barred is None else barred
    return draw_outlines(array, stack, spacing_mm=SPACING, barred=barred, lesions_out=lesions), lesions


def test_numbers_are_those_of_the_mask() -> None:
    stack, array = _stack()
    shapes, lesions = _drawn(stack, array)
    assert [shape.label for shape in shapes] == [1, 2]
    for shape in shapes:
        where = lesions == shape.label
        values = array[where].astype(float)
        assert shape.voxels == values.size
        assert shape.mean_hu == pytest.approx(values.mean())
        assert shape.sd_hu == pytest.approx(values.std())
        places = np.argwhere(where)
        assert shape.start == tuple(places.min(axis=0))
        assert shape.stop == tuple(places.max(axis=0) + 1)
        assert np.array_equal(shape.areas, where.sum(axis=(1, 2))[shape.start[0] : shape.stop[0]])


def test_what_is_barred_is_not_a_lesion_and_is_not_measured() -> None:
    stack, array = _stack()
    barred = np.zeros(SHAPE, dtype=np.bool_)
    barred[:, :45] = True
    shapes, lesions = _drawn(stack, array, barred)
    assert not lesions[barred].any()
    whole, _ = _drawn(stack, array)
    for half, shape in zip(shapes, whole, strict=True):
        assert half.voxels == np.count_nonzero(lesions == half.label) < shape.voxels


def test_masks_equal_maps_cut_on_the_whole_grid() -> None:
    stack, array = _stack()
    _, lesions = _drawn(stack, array)
    whole = stack.frame.maps_back(stack.lesion.astype(np.float32)) >= 127.5
    differs = (lesions > 0) != whole
    assert differs.mean() < 1e-3  # bytes are rounded on the way


def test_slices_between_images_take_the_mean_of_both() -> None:
    every, array = _stack()
    second, _ = _stack(step=2)
    one, other = _drawn(every, array), _drawn(second, array)
    for shape, half in zip(one[0], other[0], strict=True):
        assert half.voxels == pytest.approx(shape.voxels, rel=0.06)
    assert np.array_equal(one[1][::2], other[1][::2])
    assert second.neighbours(11) == (5, 5, 0.0)
    assert second.neighbours(3) == (1, 2, 0.5)


@pytest.mark.parametrize("radius", [6.0, 9.0])
def test_the_diameter_of_a_ball(radius: float) -> None:
    mask = _ball((11.0, 36.0, 40.0), radius)
    points = [
        outline_points_mm(mask[k], spacing_mm=SPACING[1:], height_mm=k * SPACING[0], slice_mm=SPACING[0])
        for k in range(SHAPE[0])
    ]
    assert largest_distance_mm(np.concatenate(points)) == pytest.approx(2 * radius, abs=SPACING[0])
    across = max(largest_distance_mm(some[:, 1:]) for some in points)
    assert across == pytest.approx(2 * radius, abs=0.9)


def test_the_diameter_equals_the_slow_search_over_all_voxel_faces() -> None:
    mask = np.random.default_rng(11).random((5, 9, 9)) < 0.2
    points = [
        outline_points_mm(mask[k], spacing_mm=(0.8, 0.9), height_mm=k * 2.0, slice_mm=2.0) for k in range(len(mask))
    ]
    centres = np.argwhere(mask) * (2.0, 0.8, 0.9)
    steps = np.concatenate([np.diag([1.0, 0.4, 0.45]), -np.diag([1.0, 0.4, 0.45])])
    faces = (centres[:, None] + steps).reshape(-1, 3)
    slow = max(float(np.linalg.norm(faces - one, axis=1).max()) for one in faces)
    assert largest_distance_mm(np.concatenate(points)) == pytest.approx(slow)


def test_flat_and_empty_point_sets_have_a_diameter() -> None:
    assert largest_distance_mm(np.empty((0, 3))) == 0.0
    assert largest_distance_mm(np.zeros((1, 3))) == 0.0
    grid = np.stack(np.meshgrid(np.arange(12.0), np.arange(12.0), [0.0]), axis=-1).reshape(-1, 3)
    assert largest_distance_mm(grid) == pytest.approx(11 * np.sqrt(2))
    assert outline_points_mm(np.zeros((4, 4), dtype=bool), spacing_mm=(1, 1), height_mm=0, slice_mm=1).shape == (0, 3)


@pytest.mark.parametrize("ratio", [0.7, 1.6])
def test_images_may_lie_between_slices(ratio: float) -> None:
    """A map that grows evenly along the slices is cut where it reaches the level, whatever slices the images are at."""
    frame = slice_frame(SHAPE[1:], SPACING[1:])
    slices = np.asarray(np.arange(int((SHAPE[0] - 1) / ratio) + 1) * ratio, dtype=np.float64)
    maps = np.zeros((len(slices), *frame.size), dtype=np.uint8)
    maps[:, 10:20, 10:20] = np.rint(slices * 20)[:, None, None]
    stack = MapStack(frame, slices, lesion=maps, labels=(maps > 0).astype(np.uint8), lesion_level=100)
    _, lesions = _drawn(stack, np.zeros(SHAPE, dtype=np.int16))
    assert np.flatnonzero(lesions.any(axis=(1, 2))).tolist() == list(range(5, SHAPE[0]))


def test_the_diameter_across_is_that_of_an_ellipse() -> None:
    angle = np.radians(30)
    at = np.linspace(0, 2 * np.pi, 720)
    flat = np.column_stack([40 * np.cos(at), 15 * np.sin(at)])
    turned = flat @ [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    assert axial_diameters_mm(turned) == pytest.approx((80, 30), abs=0.1)
    assert axial_diameters_mm(np.zeros((1, 2))) == (0.0, 0.0)


def test_the_width_across_is_of_the_slice_with_the_longest_diameter() -> None:
    stack, array = _stack()
    shapes, _ = _drawn(stack, array)
    for shape, radius in zip(shapes, (9.0, 7.0), strict=True):
        assert shape.axial_diameter_mm == pytest.approx(2 * radius, abs=2.5)
        assert shape.across_mm == pytest.approx(2 * radius, abs=2.5)
        assert shape.across_mm <= shape.axial_diameter_mm
