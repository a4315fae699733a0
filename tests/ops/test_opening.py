from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.morphology import disk, opening

from bench.ct_recipe import open_with_cv2
from osteon.errors import InputError
from osteon.ops.opening import disk_half_widths, erode_disk, histogram_range, otsu_of_histogram, reflected_indices


def open_slices(array: np.ndarray, radius: int = 10) -> np.ndarray:
    half_width = disk_half_widths(radius)
    rows_of, columns_of = (reflected_indices(n, radius) for n in array.shape[1:])
    eroded, opened = np.empty_like(array), np.empty_like(array)
    for k in range(len(array)):
        erode_disk(array[k], eroded[k], half_width, rows_of, columns_of, 0)
        erode_disk(eroded[k], opened[k], half_width, rows_of, columns_of, 1)
    return opened


def otsu_threshold(image: np.ndarray) -> int:
    counts = np.zeros((2, 65536), dtype=np.int32)
    low, high = histogram_range(image, counts, 32768)
    return otsu_of_histogram(counts[0, low + 32768 : high + 32769], low)


@pytest.mark.parametrize("radius", range(13))
def test_disk_rows_are_scikit_images_disk(radius: int) -> None:
    columns = np.abs(np.arange(-radius, radius + 1))
    assert np.array_equal(columns[None] <= disk_half_widths(radius)[:, None], disk(radius).astype(bool))


def test_a_negative_radius_is_refused() -> None:
    with pytest.raises(InputError, match="radius"):
        disk_half_widths(-1)


@pytest.mark.parametrize(("count", "pad"), [(1, 4), (3, 10), (7, 2)])
def test_edges_are_mirrored_like_numpys_symmetric_padding(count: int, pad: int) -> None:
    assert reflected_indices(count, pad).tolist() == np.pad(np.arange(count), pad, mode="symmetric").tolist()


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 7, 10])
@pytest.mark.parametrize("shape", [(1, 40, 53), (2, 5, 9), (3, 1, 30)])
def test_opening_equals_scikit_image(shape: tuple[int, int, int], radius: int) -> None:
    generator = np.random.default_rng(radius)
    volume = generator.integers(-32768, 32768, shape).astype(np.int16)
    smooth = ndimage.gaussian_filter(volume.astype(float), (0, 3, 3)).astype(np.int16)
    for array in (volume, smooth):
        expected = np.stack([opening(image, disk(radius)) for image in array])
        assert np.array_equal(open_slices(array, radius=radius), expected)


def test_opencv_with_the_same_disk_agrees() -> None:
    image = np.random.default_rng(0).integers(-1000, 1000, (60, 70)).astype(np.int16)
    assert np.array_equal(open_slices(image[None])[0], open_with_cv2(image))


def test_a_bright_disk_survives_and_a_thin_link_does_not() -> None:
    image = np.full((1, 60, 60), -1000, dtype=np.int16)
    image[0, 10:31, 10:31][disk(10).astype(bool)] = 50
    image[0, 20, 30:60] = 50
    opened = open_slices(image)
    assert opened[0, 20, 20] == 50
    assert opened[0, 20, 45] == -1000
    assert np.array_equal(open_slices(opened), opened), "opening twice is opening once"


@settings(max_examples=40, deadline=None)
@given(arrays(np.int16, st.tuples(st.just(1), st.integers(1, 12), st.integers(1, 12)), elements=st.integers(-40, 40)))
def test_otsu_equals_scikit_image_on_small_images(array: np.ndarray) -> None:
    assert otsu_threshold(array[0]) == threshold_otsu(array[0])


@pytest.mark.parametrize("low", [-1024, -3, 0, 700])
def test_otsu_equals_scikit_image_on_two_tissues(low: int) -> None:
    generator = np.random.default_rng(low % 7)
    image = np.where(generator.random((200, 200)) < 0.3, low + 1000, low) + generator.normal(0, 60, (200, 200))
    array = np.clip(np.rint(image), low, None).astype(np.int16)[None]
    assert otsu_threshold(array[0]) == threshold_otsu(array[0])
    assert low < otsu_threshold(array[0]) < low + 1000


def test_otsu_uses_the_whole_int16_range() -> None:
    array = np.array([[[-32768, -32768, 32767]]], dtype=np.int16)
    assert otsu_threshold(array[0]) == -32768 == threshold_otsu(array[0].astype(np.int64))
