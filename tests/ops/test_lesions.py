"""Lesions in maps: connected, in bone, and against the patient's reference bone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from osteon.errors import InputError
from osteon.ops.lesions import (
    LesionOptions,
    OwnBone,
    find_density_pattern,
    grown,
    label_lesions,
    label_pieces,
    level_of,
    measure_reference_bone,
    upper_half_mean,
)
from osteon.ops.series_images import SeriesImages, series_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPACING = (2.0, 1.75, 1.75)
OPTIONS = LesionOptions()
OWN = OwnBone(median_hu=160.0, spread_hu=40.0, pixels=4000, lytic_below_hu=130.0, blastic_above_hu=240.0)


def _images(array: NDArray[np.int16]) -> SeriesImages:
    return series_images(array, SPACING)


def _slab(shape: tuple[int, int, int] = (10, 48, 48)) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """An empty map and a block of bone in the middle."""
    bone = np.zeros(shape, dtype=bool)
    bone[:, 12:36, 12:36] = True
    return np.zeros(shape, dtype=np.uint8), bone


def test_pieces_are_counted_by_size_and_joined_over_corners() -> None:
    lesion, bone = _slab()
    lesion[2:4, 14:18, 14:18] = 200
    lesion[4, 18:20, 18:20] = 200  # touches the first in a corner only
    lesion[6:9, 24:32, 24:32] = 200
    labels, left_out = label_lesions(lesion, bone, spacing_mm=SPACING, options=OPTIONS)
    assert left_out == 0
    assert labels.max() == 2
    assert labels[7, 25, 25] == 1
    assert labels[2, 15, 15] == labels[4, 19, 19] == 2
    assert np.array_equal(labels > 0, lesion >= 128)


def test_what_lies_outside_bone_or_below_the_threshold_or_is_tiny_is_not_a_lesion() -> None:
    lesion, bone = _slab()
    lesion[2:6, 2:8, 2:8] = 255  # soft tissue, 7 mm away and more
    lesion[2:6, 24:28, 24:28] = 127
    lesion[8, 30, 30] = 255  # 6 mm3
    assert not label_lesions(lesion, bone, spacing_mm=SPACING, options=OPTIONS)[0].any()
    low = replace(OPTIONS, threshold=0.4)
    assert label_lesions(lesion, bone, spacing_mm=SPACING, options=low)[0].max() == 1


def test_a_lesion_reaches_a_few_millimetres_out_of_bone_and_no_further() -> None:
    lesion, bone = _slab()
    lesion[3:6, 20:28, 30:44] = 255
    labels, _ = label_lesions(lesion, bone, spacing_mm=SPACING, options=OPTIONS)
    columns = np.flatnonzero(labels.any(axis=(0, 1)))
    assert columns[0] == 30
    assert columns[-1] == 35 + int(OPTIONS.near_bone_mm / 1.75)


def test_a_lesion_that_the_bone_map_leaves_out_still_lies_in_bone() -> None:
    """A lytic lesion is a hole in the bone map; holes are filled before the share in bone is asked."""
    lesion, bone = _slab()
    lesion[3:6, 18:30, 18:30] = 255
    bone[3:6, 18:30, 18:30] = False
    wide = replace(OPTIONS, near_bone_mm=20.0)
    assert label_lesions(lesion, bone, spacing_mm=SPACING, options=wide)[0].max() == 1


def test_a_lesion_that_has_eaten_through_the_cortex_lies_in_bone_and_a_lump_outside_does_not() -> None:
    lesion, bone = _slab()
    lesion[3:6, 20:26, 28:36] = 255
    bone[3:6, 20:26, 28:36] = False  # a defect of 10 mm that is open to one side
    assert label_lesions(lesion, bone, spacing_mm=SPACING, options=OPTIONS)[0].max() == 1
    lesion, bone = _slab()
    lesion[3:6, 20:26, 36:46] = 255  # touches the bone from outside, as a vessel does
    assert not label_lesions(lesion, bone, spacing_mm=SPACING, options=OPTIONS)[0].any()


def test_more_lesions_than_a_byte_counts_are_left_out_and_told() -> None:
    bone = np.ones((3, 80, 80), dtype=bool)
    lesion = np.zeros(bone.shape, dtype=np.uint8)
    lesion[:, ::4, ::4] = 255
    lesion[:, 1::4, ::4] = 255
    lesion[:, :2, :6] = 255  # one larger one: takes the place of two
    labels, left_out = label_lesions(lesion, bone, spacing_mm=(20.0, 1.75, 1.75), options=OPTIONS)
    assert labels.max() == 255
    assert left_out == 399 - 255
    assert labels[0, 0, 0] == 1


def test_grown_is_a_dilation_by_a_disc() -> None:
    from scipy import ndimage

    mask = np.random.default_rng(3).random((4, 30, 30)) < 0.02
    row, column = np.mgrid[-3:4, -3:4]
    disc = (row**2 + column**2 <= 3.2**2)[None]
    assert np.array_equal(grown(mask, 3.2), ndimage.binary_dilation(mask, disc))
    assert grown(mask, 0.5) is mask


@pytest.mark.parametrize("probability", [0.001, 0.2, 0.5, 0.501, 0.999, 1.0])
def test_a_byte_counts_when_its_probability_reaches_the_threshold(probability: float) -> None:
    level = level_of(probability)
    assert level / 255 >= probability - 1e-9
    assert level == 1 or (level - 1) / 255 < probability


def test_the_mean_of_the_upper_half_by_hand() -> None:
    assert upper_half_mean(np.array([10, 20, 30, 40, 50], dtype=np.uint8)) == pytest.approx(40 / 255)
    assert upper_half_mean(np.array([], dtype=np.uint8)) == 0.0


def test_own_bone_is_spongy_bone_away_from_cortex_lesions_and_metal() -> None:
    generator = np.random.default_rng(7)
    array = np.full((12, 64, 64), 40, dtype=np.int16)
    bone = np.zeros(array.shape, dtype=bool)
    bone[:, 8:52, 8:52] = True
    array[bone] = 900
    array[:, 11:49, 11:49] = generator.normal(200, 30, (12, 38, 38))
    lesions = np.zeros(array.shape, dtype=np.uint8)
    lesions[:, 14:28, 14:28] = 1
    array[lesions > 0] = -20
    array[:, 40:44, 40:44] = 3071
    own = measure_reference_bone(_images(array), bone, lesions, options=OPTIONS)
    assert own is not None
    assert own.median_hu == pytest.approx(200, abs=6)
    assert own.spread_hu == pytest.approx(30, rel=0.25)
    assert own.lytic_below_hu == pytest.approx(own.median_hu - max(0.75 * own.spread_hu, 30))
    assert own.blastic_above_hu == pytest.approx(own.median_hu + max(1.5 * own.spread_hu, 80))


def test_too_little_own_bone_gives_none_and_no_character() -> None:
    array = np.full((3, 48, 48), 200, dtype=np.int16)
    bone = np.zeros(array.shape, dtype=bool)
    bone[:, 15:22, 15:22] = True
    images = _images(array)
    assert measure_reference_bone(images, bone, np.zeros(bone.shape, dtype=np.uint8), options=OPTIONS) is None
    told = find_density_pattern(np.full(50, 30, dtype=np.uint8), None, images, options=OPTIONS)
    assert told[0] == "not determined"
    assert told[2:] == (None, None)


@pytest.mark.parametrize(
    ("hu", "wanted"),
    [
        ([40] * 90 + [200] * 10, "lytic"),
        ([700] * 80 + [160] * 20, "blastic"),
        ([40] * 40 + [700] * 30 + [160] * 30, "mixed"),
        ([160] * 77 + [100] * 23, "not determined"),  # as reference bone itself
        ([100] * 23 + [500] * 20 + [160] * 57, "not determined"),  # reference bone with some cortex
    ],
)
def test_character_by_shares(hu: list[int], wanted: str) -> None:
    images = _images(np.zeros((1, 16, 16), dtype=np.int16))
    grey = np.array([images.grey_of(value) for value in hu], dtype=np.uint8)
    density_pattern, reason, lytic, blastic = find_density_pattern(grey, OWN, images, options=OPTIONS)
    assert density_pattern == wanted
    assert lytic == pytest.approx(np.mean(np.array(hu) < 130))
    assert blastic == pytest.approx(np.mean(np.array(hu) > 240))
    assert "160 HU" in reason


def test_a_few_pixels_have_no_character() -> None:
    images = _images(np.zeros((1, 16, 16), dtype=np.int16))
    told = find_density_pattern(np.zeros(7, dtype=np.uint8), OWN, images, options=OPTIONS)
    assert told[:2] == ("not determined", "It has 7 pixels, too few to compare.")


@pytest.mark.parametrize("wrong", [{"threshold": 0.0}, {"threshold": 1.2}, {"min_volume_mm3": -1.0}])
def test_options_without_a_meaning_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        LesionOptions(**wrong)  # type: ignore[arg-type] # fields are floats


def test_pieces_are_numbered_by_their_size_and_small_ones_are_left_out() -> None:
    lesion = np.zeros((6, 30, 30), dtype=np.uint8)
    lesion[0:2, 2:5, 2:5] = 128
    lesion[2:6, 10:20, 10:20] = 200
    lesion[5, 28, 28] = 255
    lesion[0, 20:29, 20:29] = 127
    labels, left_out = label_pieces(lesion, threshold=0.5, spacing_mm=SPACING, least_mm3=2 * float(np.prod(SPACING)))
    assert left_out == 1
    assert (labels == 1).sum() == 400
    assert (labels == 2).sum() == 18
    assert labels[2, 10, 10] == 1
    alone, left_out = label_pieces(lesion, threshold=0.5, spacing_mm=SPACING, least_mm3=1.0, least_share=0.05)
    assert (int(alone.max()), left_out) == (1, 2)
    none, left_out = label_pieces(lesion * 0, threshold=0.5, spacing_mm=SPACING, least_mm3=1.0)
    assert not none.any()
    assert left_out == 0
