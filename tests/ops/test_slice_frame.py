"""Slices become images of one pixel size and window, and masks come back to where they were."""

from __future__ import annotations

import numpy as np
import pytest

from osteon.errors import InputError
from osteon.ops.series_images import PIXEL_MM, slice_frame, windowed


def test_a_disc_keeps_its_size_in_mm_and_comes_back_to_its_place() -> None:
    rows, columns = np.mgrid[:300, :260]
    disc = (rows - 120) ** 2 + (columns - 170) ** 2 <= 40**2
    frame = slice_frame(disc.shape, (0.9, 0.9))
    image = frame.images(np.where(disc, 255, 0).astype(np.uint8)[None])
    area_mm2 = (image >= 128).sum() * PIXEL_MM**2
    assert area_mm2 == pytest.approx(np.pi * 36**2, rel=0.02)
    back = frame.maps_back((image >= 128).astype(np.float32))[0] >= 0.5
    shared = (back & disc).sum()
    assert 2 * shared / (back.sum() + disc.sum()) > 0.96
    assert np.argwhere(back).mean(axis=0) == pytest.approx([120, 170], abs=0.5)


@pytest.mark.parametrize("size", [(64, 64), (224, 160)])
def test_cutting_and_padding_keep_the_centre(size: tuple[int, int]) -> None:
    slices = np.zeros((2, 101, 101), dtype=np.uint8)
    slices[:, 44:57, 44:57] = 255
    frame = slice_frame((101, 101), (1.75, 1.75), size=size)
    images = frame.images(slices)
    assert images.shape == (2, *size)
    middle = np.argwhere(images[1] >= 128).mean(axis=0)
    assert middle == pytest.approx([(side - 1) / 2 for side in size], abs=0.51)
    assert np.array_equal(frame.maps_back((images / 255).astype(np.float32)) >= 0.5, slices >= 128)


def test_what_an_image_does_not_reach_comes_back_as_zero() -> None:
    frame = slice_frame((100, 100), (1.75, 1.75), size=(32, 32))
    back = frame.maps_back(np.ones((1, 32, 32), dtype=np.float32))
    assert back[0, 50, 50] == 1
    assert back[0, 0, 0] == 0
    assert back.sum() == pytest.approx(32 * 32)


def test_sizes_that_do_not_fit_are_refused() -> None:
    frame = slice_frame((10, 10), (1.0, 1.0))
    with pytest.raises(InputError, match="make a frame for them"):
        frame.images(np.zeros((1, 11, 10), dtype=np.uint8))
    with pytest.raises(InputError, match="make a frame for them"):
        frame.maps_back(np.zeros((1, 10, 10), dtype=np.float32))
    with pytest.raises(InputError, match="above 0"):
        slice_frame((10, 10), (0.0, 1.0))


def test_the_window_of_integers_is_that_of_floats() -> None:
    hu = np.arange(-1024, 3072, 7)
    assert np.array_equal(windowed(hu.astype(np.int16)), windowed(hu.astype(np.float64)))


def test_maps_kept_as_bytes_come_back_as_bytes_within_rounding() -> None:
    frame = slice_frame((90, 120), (0.9, 0.9))
    maps = np.random.default_rng(5).integers(0, 256, (2, *frame.size)).astype(np.uint8)
    back = frame.maps_back(maps)
    assert back.dtype == np.uint8
    assert np.abs(back.astype(np.float32) - frame.maps_back(maps.astype(np.float32))).max() <= 1
