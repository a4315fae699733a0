"""A series as images of a network."""

from __future__ import annotations

import numpy as np
import pytest

from osteon.errors import InputError
from osteon.ops.series_images import (
    METAL_HU,
    neighbour_indices,
    series_images,
    slice_frame,
    slice_step,
    windowed,
    with_neighbours,
)


def _hu(shape: tuple[int, int, int] = (5, 40, 48)) -> np.ndarray:
    return np.random.default_rng(1).integers(-1100, 2000, shape).astype(np.int16)


@pytest.mark.parametrize("neighbours", [0, 1, 3])
def test_neighbours_are_found_as_a_person_would(neighbours: int) -> None:
    numbers = np.array([0, 1, 2, 5, 6, 9, 10, 11, 12])
    found = neighbour_indices(numbers, neighbours)
    for index, number in enumerate(numbers):
        row = [index]
        for way in (1, -1):
            here = number
            for _ in range(neighbours):
                here = here + way if here + way in numbers else here
                place = int(np.flatnonzero(numbers == here)[0])
                row = [*row, place] if way > 0 else [place, *row]
        assert found[index].tolist() == row
    assert neighbour_indices(np.empty(0, dtype=np.int64), neighbours).shape == (0, 2 * neighbours + 1)


def test_a_stack_among_its_neighbours() -> None:
    stack = np.arange(4, dtype=np.uint8)[:, None, None].repeat(2, axis=1)
    assert with_neighbours(stack, 1)[:, :, 0, 0].tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]
    assert with_neighbours(stack, 0) is stack


def test_images_are_those_of_the_frame_for_whole_and_broken_hu() -> None:
    array = _hu()
    frame = slice_frame((40, 48), (1.0, 1.0))
    wanted = np.stack([frame.images(windowed(one)[None])[0] for one in array])
    whole = series_images(array, (2.0, 1.0, 1.0))
    assert np.array_equal(whole.grey, wanted)
    assert np.array_equal(series_images(array.astype(np.float32), (2.0, 1.0, 1.0)).grey, wanted)
    assert np.array_equal(whole.highest_hu, array.max(axis=(1, 2)))
    assert whole.metal is None
    assert whole.spacing_mm == (2.0, 1.75, 1.75)


def test_a_flipped_and_transposed_view_gives_the_same_images() -> None:
    array = _hu()
    stored = np.ascontiguousarray(array.transpose(2, 0, 1)[:, :, ::-1])
    view = stored.transpose(1, 2, 0)[:, ::-1]
    assert np.array_equal(series_images(view, (2.0, 1.0, 1.0)).grey, series_images(array, (2.0, 1.0, 1.0)).grey)


def test_every_second_slice_is_taken_where_slices_lie_close() -> None:
    step = slice_step(0.8)
    images = series_images(_hu(), (0.8, 1.0, 1.0), step=step)
    assert step == 2
    assert images.slices.tolist() == [0, 2, 4]
    assert images.slice_mm == pytest.approx(1.6)


def test_metal_is_marked_and_measured() -> None:
    array = np.minimum(_hu(), 1500).astype(np.int16)
    array[2, 10:14, 20:26] = METAL_HU + 100
    images = series_images(array, (2.0, 1.0, 1.0))
    assert images.metal is not None
    assert np.flatnonzero(images.metal.any(axis=(1, 2))).tolist() == [2]
    assert images.metal_mm3 == pytest.approx(24 * 2.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_a_number_is_refused_with_its_slice(bad: float) -> None:
    array = _hu().astype(np.float32)
    array[3, 7, 7] = bad
    with pytest.raises(InputError, match="slice 4 holds values that are not numbers"):
        series_images(array, (2.0, 1.0, 1.0))


def test_grey_and_hu_are_inverse_within_a_level() -> None:
    images = series_images(_hu(), (2.0, 1.0, 1.0))
    for hu in (-400.0, 0.0, 150.0, 900.0):
        assert images.hu(images.grey_of(hu)) == pytest.approx(hu, abs=3)
