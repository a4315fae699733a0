"""Bone of any CT without a network: what is bone, what is filled, and what is neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cc3d
import nibabel as nib
import numpy as np
import pytest

from osteon.errors import InputError
from osteon.geometry import axial_turn
from osteon.io import choose_series, find_images, load_volume
from osteon.ops.skeleton import DENSE_HU, Skeleton, segment_skeleton
from tests.trunk_truth import SHAPE, SPACING_MM, Trunk, axes, make_trunk

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Volume

    Bools = NDArray[np.bool_]


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    return make_trunk()


@pytest.fixture(scope="module")
def found(trunk: Trunk) -> Skeleton:
    return segment_skeleton(trunk.array, trunk.spacing_mm)


def _share(part: Bools, whole: Bools) -> float:
    return np.count_nonzero(part & whole) / np.count_nonzero(whole)


def _dice(a: Bools, b: Bools) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def _ball(z_mm: float, y_mm: float, x_mm: float, radius_mm: float) -> Bools:
    z, y, x = axes()
    return np.broadcast_to((z - z_mm) ** 2 + (y - y_mm) ** 2 + (x - x_mm) ** 2 < radius_mm**2, SHAPE)


def test_bone_is_whole_and_filled(trunk: Trunk, found: Skeleton) -> None:
    assert _share(found.bone, trunk.bone & (trunk.array > DENSE_HU)) > 0.99
    assert _share(found.bone, trunk.bone & (trunk.array < DENSE_HU)) > 0.97, "marrow and the lytic lesion in it"
    assert _dice(found.bone, trunk.bone) > 0.93
    assert not found.implant.any()


def test_the_spinal_canal_stays_open(found: Skeleton) -> None:
    z, y, x = axes()
    canal = np.broadcast_to(((y - 75) ** 2 + x**2 < 6**2) & (z > 6) & (z < 170), SHAPE)
    assert _share(found.bone, canal) < 0.05


@pytest.mark.parametrize("hu", [220, 350, 450])
def test_an_aorta_with_contrast_is_not_bone(trunk: Trunk, hu: int) -> None:
    _, y, x = axes()
    aorta = np.broadcast_to((y - 20) ** 2 + (x - 12) ** 2 < 11**2, SHAPE) & ~trunk.bone
    filled = segment_skeleton(trunk.with_hu(aorta, hu).array, SPACING_MM)
    assert _share(filled.bone, aorta) < 0.02
    assert _dice(filled.bone, trunk.bone) > 0.93
    assert filled.contrast_ml == pytest.approx(np.count_nonzero(aorta) * np.prod(SPACING_MM) / 1000, rel=0.15)


@pytest.mark.parametrize(
    "where",
    [(90.0, 5.0, 8.0, 4.0), (60.0, -40.0, 0.0, 5.0)],
    ids=["plaque of the aorta", "stone"],
)
def test_a_small_hard_thing_deep_in_flesh_is_not_bone(trunk: Trunk, where: tuple[float, ...]) -> None:
    z, y, x, radius = where
    thing = _ball(z, y, x, radius) & ~trunk.bone
    assert not segment_skeleton(trunk.with_hu(thing, 900).array, SPACING_MM).bone[thing].any()


def test_a_table_is_not_bone(trunk: Trunk) -> None:
    y = axes()[1]
    for shell in ((y > 114) & (y < 116), (y > 107) & (y < 110)):
        table = np.broadcast_to(shell, SHAPE) & (trunk.array < -500)
        assert _share(segment_skeleton(trunk.with_hu(table, 400).array, SPACING_MM).bone, table) < 0.01


def test_vessels_of_the_lung_are_no_bone(trunk: Trunk) -> None:
    lung = trunk.array < -700
    vessel = _ball(90, 0, 75, 6) & lung
    assert not segment_skeleton(trunk.with_hu(vessel, 350).array, SPACING_MM).bone[vessel].any()


def test_metal_and_its_streaks_are_an_implant(trunk: Trunk) -> None:
    z, y, x = axes()
    screw = np.broadcast_to((np.abs(y - 52) < 12) & (np.abs(x + 10) < 4) & (np.abs(z - 73) < 6), SHAPE)
    in_slice = np.broadcast_to((np.abs(z - 73) < 6) & (np.abs(x + 10) < 45), SHAPE) & ~trunk.bone & ~screw
    dark, bright = in_slice & (np.abs(y - 45) < 3), in_slice & (np.abs(y - 40) < 2)
    array = trunk.with_hu(dark, -400).with_hu(bright, 420).with_hu(screw, 3071).array
    told = segment_skeleton(array, SPACING_MM)
    assert told.implant[screw].all()
    assert _share(told.implant, bright) > 0.9
    assert not (told.bone & told.implant).any()
    assert _share(told.bone, trunk.bone & ~told.implant) > 0.95


def test_finer_voxels_and_other_numbers_give_the_same_bone(trunk: Trunk, found: Skeleton) -> None:
    fine = np.repeat(np.repeat(np.repeat(trunk.array, 4, axis=0), 2, axis=1), 2, axis=2)[40:160]
    told = segment_skeleton(fine, (0.75, 0.875, 0.875))
    assert told.bone.shape == fine.shape
    coarse = np.repeat(np.repeat(np.repeat(found.bone, 4, axis=0), 2, axis=1), 2, axis=2)[40:160]
    assert _dice(told.bone, coarse) > 0.93
    inside = np.repeat(np.repeat(np.repeat(trunk.bone, 4, axis=0), 2, axis=1), 2, axis=2)[40:160]
    assert _share(told.bone, inside & (fine > DENSE_HU)) > 0.99
    same = segment_skeleton(trunk.array.astype(np.float32), SPACING_MM)
    assert _dice(same.bone, found.bone) > 0.999


def test_a_skull_is_a_shell_and_a_shaft_is_filled() -> None:
    shape, spacing = (100, 100, 100), (2.0, 2.0, 2.0)
    z, y, x = np.meshgrid(*(np.arange(100) * 2.0 - 99,) * 3, indexing="ij", sparse=True)
    off = np.sqrt(z**2 + y**2 + x**2)
    skull = np.where(off < 90, 45, -1000).astype(np.int16)
    skull[off < 80] = 900
    skull[off < 72] = 35
    head = segment_skeleton(skull, spacing).bone
    assert head[(off > 72) & (off < 80)].all()
    assert not head[off < 68].any()
    across = np.broadcast_to(np.hypot(y, x), shape)
    leg = np.where(across < 70, 50, -1000).astype(np.int16)
    leg[across < 15] = 1200
    leg[across < 9] = -60
    shaft = segment_skeleton(leg, spacing).bone
    assert shaft[across < 14].all()
    assert not shaft[across > 19].any()


def test_nothing_dense_gives_nothing_and_damage_is_told() -> None:
    water = np.zeros((4, 20, 20), dtype=np.int16)
    assert not segment_skeleton(water, (1.0, 1.0, 1.0)).bone.any()
    damaged = water.astype(np.float32)
    damaged[2, 3, 4] = np.nan
    with pytest.raises(InputError, match="slice 3 holds values that are not numbers"):
        segment_skeleton(damaged, (1.0, 1.0, 1.0))


def _upright(path: Path) -> tuple[NDArray[np.int16], tuple[float, float, float], Volume]:
    with find_images(path) as inventory:
        volume = load_volume(choose_series(inventory, modality="CT"), modality="CT")
    turn = axial_turn(volume.grid)
    return turn.array(volume.array), turn.grid(volume.grid).spacing_mm, volume


@pytest.mark.shared_data
@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_bone_of_real_patches(shared_data: Path, number: int) -> None:
    """Dense pieces with a cortex; contrast and the table have none."""
    array, spacing_mm, _ = _upright(shared_data / "blds_bone_mets_ct" / f"{number}.nii.gz")
    bone = segment_skeleton(array, spacing_mm).bone
    labels, count = cc3d.connected_components(array > DENSE_HU, connectivity=6, return_N=True)
    cortical = np.bincount(labels[array > 450], minlength=count + 1) > 0.01 * np.bincount(labels.ravel())
    cortical[0] = False
    assert _share(bone, cortical[labels]) > 0.97


@pytest.mark.shared_data
def test_contrast_and_table_of_real_patches_are_not_bone(shared_data: Path) -> None:
    array, spacing_mm, _ = _upright(shared_data / "blds_bone_mets_ct" / "2.nii.gz")
    labels = cc3d.largest_k(array > DENSE_HU, k=2, connectivity=6)
    aorta = labels == np.argmin(np.bincount(labels.ravel()))
    assert _share(segment_skeleton(array, spacing_mm).bone, aorta) < 0.01
    array, spacing_mm, _ = _upright(shared_data / "blds_bone_mets_ct" / "3.nii.gz")
    bone = segment_skeleton(array, spacing_mm).bone
    assert not bone[:, -6:, :37].any(), "the table under the patient"


@pytest.mark.shared_data
def test_bone_of_a_real_torso(shared_data: Path) -> None:
    """Against a label map, which is a model's output: Dice 0.86 to 0.87."""
    folder = shared_data / "totalseg_ct"
    array, spacing_mm, volume = _upright(folder / "example_ct.nii.gz")
    turn = axial_turn(volume.grid)

    def stored(name: str) -> NDArray[np.int16]:
        whole = np.asarray(nib.load(folder / name).dataobj).transpose(2, 1, 0)
        return np.asarray(turn.array(whole.astype(np.int16)))

    labels = stored("example_seg_fast_force_split.nii.gz")
    told = segment_skeleton(array, spacing_mm)
    dense = (array > DENSE_HU) & ~told.implant
    own = np.isin(labels, [*range(25, 51), *range(69, 79), *range(91, 117)])
    assert _share(told.bone, dense) > 0.97
    assert _share(told.bone, stored("totalseg_vertebrae_body.nii.gz") == 1) > 0.9
    assert _dice(told.bone, own) > 0.85
    assert not told.bone[array > 2500].any()
    assert 20 < np.count_nonzero(told.implant) * 0.027 < 35, "ml of a hip prosthesis with its streaks"
    far = np.ones(array.shape, dtype=np.bool_)
    far[:20] = False
    assert not told.implant[far].any()
