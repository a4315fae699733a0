from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.morphology import ball, disk

from bench import ct_recipe
from osteon.errors import InputError, NotThisTaskError, UnknownLabelError
from osteon.ops.bone import BoneOptions, segment_bone, smooth_slices
from osteon.ops.closing import ball_rows, close_ball, fill_holes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def _shank(spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> NDArray[np.int16]:
    """A round shank with a hollow tibia, a fibula and noise."""
    shape = [round(n / s) for n, s in zip((24, 90, 80), spacing_mm, strict=True)]
    rows, columns = (np.arange(n) * s for n, s in zip(shape[1:], spacing_mm[1:], strict=True))

    def disc(row: float, column: float, radius: float) -> NDArray[np.bool_]:
        return (rows[:, None] - row) ** 2 + (columns[None] - column) ** 2 <= radius**2

    image = np.full(shape[1:], -1000.0)
    for centre, radius, hu in (((45, 40), 36, -100), ((45, 40), 32, 50), ((35, 40), 13, 1200), ((35, 40), 8, -50)):
        image[disc(*centre, radius)] = hu
    image[disc(58, 58, 6)] = 1100
    noise = np.random.default_rng(2).normal(0, 15, shape)
    return np.rint(image + noise).astype(np.int16)


def test_ball_and_disk_are_scikit_images() -> None:
    for radius in range(6):
        rows = ball_rows(radius)
        rebuilt = np.zeros((2 * radius + 1,) * 3, dtype=bool)
        for dz, dy, half in rows:
            rebuilt[dz + radius, dy + radius, radius - half : radius + half + 1] = True
        assert np.array_equal(rebuilt, ball(radius).astype(bool))
        flat = ball_rows(radius, flat=True)
        assert [2 * half + 1 for _, _, half in flat] == disk(radius).sum(axis=1).tolist()


def test_a_ball_in_millimetres_is_an_ellipsoid_of_voxels() -> None:
    rows = ball_rows(3.0, spacing=(3.0, 1.0, 0.5))
    assert rows[:, 0].min() == -1
    assert max(rows[rows[:, 0] == 0][:, 2]) == 6
    with pytest.raises(InputError, match="radius of a closing"):
        ball_rows(-1)
    with pytest.raises(InputError, match="radius of a closing"):
        ball_rows(100)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 3, 5]), st.floats(0.02, 0.6))
def test_closing_equals_scipy_in_padded_space(seed: int, radius: int, density: float) -> None:
    generator = np.random.default_rng(seed)
    mask = generator.random(tuple(generator.integers(1, [7, 12, 150]))) < density
    pads = [(radius + 1, radius + 1)] * 3
    padded = ndimage.binary_closing(np.pad(mask, pads), ball(radius))
    inner = tuple(slice(p[0], -p[1]) for p in pads)
    assert np.array_equal(close_ball(mask, ball_rows(radius)), padded[inner])


def test_closing_keeps_what_touches_the_border() -> None:
    mask = np.ones((3, 5, 7), dtype=bool)
    assert close_ball(mask, ball_rows(3)).all()
    assert not close_ball(np.zeros((3, 5, 7), dtype=bool), ball_rows(3)).any()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_filling_equals_scipy(seed: int) -> None:
    generator = np.random.default_rng(seed)
    mask = generator.random((2, *generator.integers(1, 20, 2))) < generator.uniform(0.3, 0.8)
    filled = np.stack([ndimage.binary_fill_holes(image) for image in mask])
    assert np.array_equal(fill_holes(mask), filled)
    turned = np.asfortranarray(mask.transpose(0, 2, 1)).transpose(0, 2, 1)  # as of a sagittal scan
    for some in (turned, np.ascontiguousarray(mask.transpose(0, 2, 1)).transpose(0, 2, 1)):
        assert np.array_equal(fill_holes(some), filled)
        assert np.array_equal(fill_holes(some[:1]), filled[:1])


@pytest.mark.parametrize("sigma", [2.0, 0.6])
def test_the_gaussian_equals_scipy(sigma: float) -> None:
    crop = np.random.default_rng(0).integers(-1024, 3000, (3, 9, 31)).astype(np.int16)
    assert np.array_equal(smooth_slices(crop, sigma=(sigma, sigma)), ct_recipe.smooth(crop, sigma=sigma))
    assert np.array_equal(smooth_slices(crop, sigma=(0, 0)), crop)


def test_the_chain_equals_the_plain_recipe() -> None:
    crop = _shank()
    bright, _ = ct_recipe.brightest_cluster(ct_recipe.smooth(crop))
    expected = ct_recipe.bone_mask(bright, voxel_mm3=1.0)
    found = segment_bone(crop, spacing_mm=(1, 1, 1))
    assert np.array_equal(found.mask, expected)
    # tibia (marrow filled) and fibula, the larger first
    assert len(found.part_volumes_mm3) == 2
    assert found.part_volumes_mm3[0] == np.count_nonzero(found.parts == 1) > found.part_volumes_mm3[1]
    assert found.parts[12, 35, 40] == 1
    assert found.parts[12, 58, 58] == 2
    assert 300 < found.threshold_hu < 1000
    assert found.notices == ()


def test_small_parts_go_and_stay_as_asked() -> None:
    crop = _shank()
    fibula = segment_bone(crop, spacing_mm=(1, 1, 1)).part_volumes_mm3[1]
    options = BoneOptions(min_part_mm3=fibula + 1)
    assert len(segment_bone(crop, spacing_mm=(1, 1, 1), options=options).part_volumes_mm3) == 1
    options = BoneOptions(min_part_mm3=fibula)
    assert len(segment_bone(crop, spacing_mm=(1, 1, 1), options=options).part_volumes_mm3) == 2


def test_millimetres_do_not_depend_on_the_voxels() -> None:
    options = BoneOptions(units="mm")
    fine = segment_bone(_shank(), spacing_mm=(1, 1, 1), options=options)
    coarse_mm = (3.0, 1.0, 0.5)
    coarse = segment_bone(_shank(coarse_mm), spacing_mm=coarse_mm, options=options)
    assert sum(coarse.part_volumes_mm3) == pytest.approx(sum(fine.part_volumes_mm3), rel=0.06)


def test_metal_does_not_hide_bone() -> None:
    crop = _shank()
    clean = segment_bone(crop, spacing_mm=(1, 1, 1))
    crop[4:20, 30:36, 38:44] = 20000
    found = segment_bone(crop, spacing_mm=(1, 1, 1))
    assert [n.code for n in found.notices] == ["bone-metal-left-out"]
    assert 200 < found.threshold_hu < 900
    overlap = np.count_nonzero(found.mask & clean.mask) / np.count_nonzero(clean.mask)
    assert overlap > 0.98
    assert found.mask[10, 33, 41]


def test_a_speck_of_metal_changes_nothing() -> None:
    crop = _shank()
    crop[5, 5, 5] = 3500
    assert not segment_bone(crop, spacing_mm=(1, 1, 1)).notices


def test_what_is_not_kept_is_not_bone() -> None:
    crop = _shank()
    keep = np.ones(crop.shape, dtype=bool)
    keep[:, 50:, 50:] = False
    found = segment_bone(crop, spacing_mm=(1, 1, 1), keep=keep)
    assert not found.parts[:, 53:, 53:].any()
    assert found.parts[12, 35, 40] == 1


def test_soft_tissue_alone_is_reported() -> None:
    crop = np.where(np.random.default_rng(0).random((4, 40, 40)) < 0.5, 20, 40).astype(np.int16)
    assert "bone-threshold-low" in [n.code for n in segment_bone(crop, spacing_mm=(1, 1, 1)).notices]


def test_a_constant_crop_is_refused() -> None:
    with pytest.raises(NotThisTaskError, match="single value"):
        segment_bone(np.full((3, 20, 20), 40, dtype=np.int16), spacing_mm=(1, 1, 1))


def test_options_without_a_meaning_are_refused() -> None:
    with pytest.raises(UnknownLabelError, match="voxel"):
        BoneOptions(units="voxels")  # type: ignore[arg-type]
    with pytest.raises(InputError):
        BoneOptions(sigma=-1)
    with pytest.raises(InputError):
        BoneOptions(clusters=1)


@pytest.mark.shared_data
def test_on_a_real_foot_the_brightest_cluster_is_bone(shared_data: Path) -> None:
    from osteon.io import open_volume
    from osteon.ops.legs import find_legs

    volume = open_volume(shared_data / "vhf_ankle_ct_dicom", modality="CT")
    leg = find_legs(volume).legs[0]
    found = segment_bone(volume.array[leg.box.slices], spacing_mm=volume.grid.spacing_mm, keep=leg.mask())
    assert 120 < found.threshold_hu < 350
    # the skeleton of an adult's foot and ankle: about 200 cm3
    assert 120e3 < sum(found.part_volumes_mm3) < 320e3
    assert found.part_volumes_mm3[0] > 0.9 * sum(found.part_volumes_mm3)
