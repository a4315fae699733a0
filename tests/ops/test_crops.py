from __future__ import annotations

import numpy as np
import pytest
from skimage.transform import resize

from bench import ct_recipe
from osteon.errors import GeometryMismatchError
from osteon.geometry import Box
from osteon.ops.crops import leg_crops, nearest_indices


@pytest.mark.parametrize("size", [256, 100, 7])
def test_the_index_map_is_scikit_images(size: int) -> None:
    for count in (1, 2, 3, 51, 96, 127, 128, 129, 255, 256, 257, 300, 511, 512, 700):
        line = np.tile(np.arange(count, dtype=float), (2, 1))
        expected = resize(line, (2, size), order=0, preserve_range=True, anti_aliasing=False)[0]
        assert np.array_equal(nearest_indices(count, size), expected)


def test_crops_equal_the_plain_recipe() -> None:
    volume = np.random.default_rng(1).integers(-1024, 1500, (4, 50, 61)).astype(np.int16)
    volume[2] = 7
    box = Box(start=(0, 3, 11), stop=(4, 44, 60))
    present = np.array([True, False, True, True])
    expected = ct_recipe.leg_crops(volume, (3, 44, 11, 60), present)
    crops = leg_crops(volume, box, present)
    assert crops.dtype == np.float32
    assert np.array_equal(crops, expected)
    assert not crops[1].any(), "a constant slice is all 0"


def test_a_constant_slice_inside_a_mask_gives_no_nan() -> None:
    volume = np.full((1, 8, 8), -1000, dtype=np.int16)
    volume[0, 0, 0] = 500
    keep = np.ones(volume.shape, dtype=bool)
    keep[0, 0, 0] = False
    crops = leg_crops(volume, Box(start=(0, 0, 0), stop=volume.shape), np.ones(1, dtype=bool), keep=keep)
    assert np.array_equal(crops, np.zeros((1, 256, 256), dtype=np.float32))


def test_what_is_not_kept_is_dark_and_does_not_scale() -> None:
    volume = np.array([[[0, 100], [50, 1000]]], dtype=np.int16)
    keep = np.array([[[True, True], [True, False]]])
    crops = leg_crops(volume, Box(start=(0, 0, 0), stop=(1, 2, 2)), np.ones(1, dtype=bool), size=2, keep=keep)
    assert crops[0].tolist() == [[0.0, 1.0], [0.5, 0.0]]


def test_no_slice_gives_no_crop() -> None:
    volume = np.zeros((3, 9, 9), dtype=np.int16)
    assert leg_crops(volume, Box(start=(0, 0, 0), stop=(3, 9, 9)), np.zeros(3, dtype=bool)).shape == (0, 256, 256)


def test_shapes_must_fit() -> None:
    volume = np.zeros((3, 9, 9), dtype=np.int16)
    box = Box(start=(0, 0, 0), stop=(3, 9, 9))
    with pytest.raises(GeometryMismatchError, match="one entry a slice"):
        leg_crops(volume, box, np.ones(2, dtype=bool))
    with pytest.raises(GeometryMismatchError, match="shape of the box"):
        leg_crops(volume, box, np.ones(3, dtype=bool), keep=np.ones((3, 9, 8), dtype=bool))
