"""The lesion's region on an MR slice, against a slow and obvious reference and by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import ndimage
from skimage import measure, transform
from skimage.filters import threshold_otsu
from skimage.morphology import disk

from osteon.errors import InputError
from osteon.ops.mr_region import (
    PlaneBox,
    RegionOptions,
    box_of_mask,
    box_with_margin,
    find_region,
    lesion_crop,
    lesion_in_box,
    lesion_of_mask,
    normalise,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

DRAWN = PlaneBox(30, 40, 62, 80)


def noisy_lesion(seed: int, *, level: float, around: float = 0.4, hole: bool = True) -> NDArray[np.float32]:
    """An uneven ellipse on an uneven ground, speckled inside and outside."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:96, 0:120]
    reach = 1 + 0.15 * np.sin(5 * np.arctan2(y - 46, x - 60))
    inside = ((y - 46) / 13) ** 2 + ((x - 60) / 17) ** 2 < reach
    image = np.where(inside, level, around) + rng.normal(0, 0.06, y.shape)
    if hole:
        image[44:47, 56:60] = around
    image[rng.random(y.shape) < 0.02] = around
    return np.asarray(image.clip(0, 1), np.float32)


def reference(image: NDArray[np.float32], box: PlaneBox, options: RegionOptions) -> NDArray[np.bool_]:
    """The chain in skimage and scipy, on the slice padded by nothing."""
    inside = image[box.top : box.bottom, box.left : box.right]
    height, width = inside.shape
    middle = inside[height // 4 : height - height // 4, width // 4 : width - width // 4]
    # skimage gives the middle of the last bin below the threshold
    cut = threshold_otsu(inside, nbins=256) + (inside.max() - inside.min()) / 512
    is_bright = np.median(middle) >= cut
    labels = measure.label(inside >= cut if is_bright else inside < cut, connectivity=2)
    sizes = np.bincount(labels.ravel())[1:]
    wide = np.pad(labels == 1 + sizes.argmax(), 20)
    wide = ndimage.binary_opening(wide, disk(options.opening_px))
    wide = ndimage.binary_closing(wide, disk(options.closing_px))
    mask = np.zeros(image.shape, bool)
    mask[box.top : box.bottom, box.left : box.right] = ndimage.binary_fill_holes(wide[20:-20, 20:-20])
    return mask


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("level", "word"), [(0.8, "brighter"), (0.1, "darker")])
@pytest.mark.parametrize("options", [RegionOptions(), RegionOptions(opening_px=1, closing_px=4, margin_px=5)])
def test_the_chain_is_the_reference(seed: int, level: float, word: str, options: RegionOptions) -> None:
    image = noisy_lesion(seed, level=level)
    mask, polarity, _ = find_region(image, DRAWN, options=options)
    assert polarity == word
    assert mask.sum() > 500
    assert np.array_equal(mask, reference(image, DRAWN, options))


def test_the_region_by_hand() -> None:
    image = np.full((20, 20), 0.2, np.float32)
    image[4:14, 4:14] = 0.9
    image[8:10, 8:10] = 0.2  # a hole: filled
    image[4:14, 17] = 0.9  # a smaller piece: dropped
    image[9, 14:16] = 0.9  # a spur of two pixels: the disk reaches into the first
    drawn = PlaneBox(2, 2, 18, 18)
    mask, polarity, threshold = find_region(image, drawn, options=RegionOptions(opening_px=1, closing_px=1))
    expected = np.zeros((20, 20), bool)
    expected[4:14, 4:14] = True
    expected[9, 14] = True
    for row, column in ((4, 4), (4, 13), (13, 4), (13, 13)):
        expected[row, column] = False  # a disk of radius 1 does not reach into a corner...
    assert polarity == "brighter"
    assert 0.2 < threshold <= 0.9
    assert np.array_equal(mask, expected)  # ...and no disk of the closing brings it back


def test_mirrored_images_give_mirrored_regions() -> None:
    image = noisy_lesion(7, level=0.75)
    mask, _, _ = find_region(image, DRAWN)
    turned = PlaneBox(96 - DRAWN.bottom, 120 - DRAWN.right, 96 - DRAWN.top, 120 - DRAWN.left)
    assert np.array_equal(find_region(np.ascontiguousarray(image[::-1, ::-1]), turned)[0], mask[::-1, ::-1])


def test_the_region_moves_the_box_unless_it_is_none() -> None:
    image = noisy_lesion(1, level=0.8)
    region = lesion_in_box(image, DRAWN)
    assert not region.box_kept
    assert region.box == box_of_mask(region.mask)
    assert region.window == box_with_margin(region.box, (96, 120), margin_px=20)
    split = np.full((60, 60), 0.2, np.float32)
    split[20:40, 20:40] = 0.5
    split[26:34, 26:34] = 1.0  # the threshold falls into the lesion
    kept = lesion_in_box(split, PlaneBox(20, 20, 40, 40))
    assert kept.box_kept
    assert kept.box == kept.drawn


def test_a_flat_box_is_all_lesion_and_a_thin_one_has_no_region() -> None:
    flat = np.full((50, 50), 0.7, np.float32)
    flat[20:30, 20:30] = 0.1
    region = lesion_in_box(flat, PlaneBox(20, 20, 30, 30), options=RegionOptions(opening_px=0, closing_px=0))
    assert region.polarity == "darker"
    assert region.mask.sum() == 100
    lines = np.full((50, 50), 0.1, np.float32)
    lines[20:30, 20:30:2] = 0.9  # the opening leaves nothing of them
    empty = lesion_in_box(lines, PlaneBox(20, 20, 30, 30))
    assert not empty.mask.any()
    assert empty.box_kept


def test_the_side_is_that_of_the_middle_whatever_lies_around() -> None:
    """Dark in marrow, beside muscle that is darker still: brighter than most of what surrounds the box."""
    image = np.full((80, 80), 0.1, np.float32)
    image[:, 25:52] = 0.9
    image[30:50, 28:48] = 0.4
    mask, polarity, _ = find_region(image, PlaneBox(27, 26, 52, 51))
    assert polarity == "darker"
    assert box_of_mask(mask) == PlaneBox(30, 28, 50, 48)


def test_the_whole_image_may_be_the_box() -> None:
    image = np.full((40, 40), 0.8, np.float32)
    image[8:32, 8:32] = 0.2
    mask, polarity, _ = find_region(image, PlaneBox(0, 0, 40, 40))
    assert polarity == "darker"
    assert box_of_mask(mask) == PlaneBox(8, 8, 32, 32)


def test_values_are_brought_to_one_scale() -> None:
    image = np.arange(1001, dtype=np.float64).reshape(7, 143)
    scaled = normalise(image)
    assert scaled.dtype == np.float32
    assert scaled.ravel()[[0, 10, 500, 990, 1000]].tolist() == pytest.approx([0, 0, 0.5, 1, 1])
    # any scanner's gain and offset give the same picture
    np.testing.assert_allclose(normalise(3 * image - 77), scaled, atol=1e-6)
    speck = np.zeros((50, 50))
    speck[3, 4] = 9.0  # below one percent: the percentiles are equal
    assert normalise(speck)[3, 4] == 1
    with pytest.raises(InputError, match="every pixel of the slice has the value 3"):
        normalise(np.full((4, 4), 3))
    with pytest.raises(InputError, match="NaN"):
        normalise(np.array([[0, np.nan]]))


def test_the_crop_is_the_window_resized() -> None:
    rng = np.random.default_rng(0)
    image = rng.random((300, 320), dtype=np.float32)
    small = lesion_of_mask(np.pad(np.ones((30, 40), bool), ((100, 170), (90, 190))))
    assert str(small.window) == "80,70,150,150"
    crop = lesion_crop(image, small)
    assert crop.shape == (224, 224)
    cut = image[80:150, 70:150]
    by_hand = transform.resize(cut, (224, 224), order=1, mode="edge", anti_aliasing=False)
    np.testing.assert_allclose(crop, by_hand, atol=1e-3)
    large = lesion_of_mask(np.ones((300, 320), bool))
    assert lesion_crop(image, large).mean() == pytest.approx(image.mean(), abs=1e-4)  # area keeps the mean
    same = lesion_of_mask(np.pad(np.ones((184, 184), bool), ((20, 96), (20, 116))))
    assert np.array_equal(lesion_crop(image, same), image[:224, :224])
    masked = lesion_crop(image, same, options=RegionOptions(masked=True))
    assert not masked[:20].any()
    assert np.array_equal(masked[20:204, 20:204], image[20:204, 20:204])


def test_boxes_that_cannot_be_are_refused() -> None:
    assert str(box_with_margin(PlaneBox(0, 5, 10, 20), (20, 22), margin_px=3)) == "0,2,13,22"
    with pytest.raises(InputError, match=r"20,5,10,20 is empty: give R0,C0,R1,C1"):
        PlaneBox(20, 5, 10, 20)
    for box in (PlaneBox(-1, 0, 5, 5), PlaneBox(0, 0, 21, 5), PlaneBox(0, 0, 5, 23)):
        with pytest.raises(InputError, match="outside the image of 20 rows and 22 columns"):
            box_with_margin(box, (20, 22), margin_px=3)
    with pytest.raises(InputError, match="marks no lesion"):
        lesion_of_mask(np.zeros((5, 5), bool))
