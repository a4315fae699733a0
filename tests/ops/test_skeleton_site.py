"""Sites are proved or not named: a false site is a failure, "not determined" never is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from osteon.ops.series_images import series_images
from osteon.ops.skeleton_site import Site, find_landmarks, prove_site
from osteon.ops.spinal_canal import track_spinal_canal
from tests.trunk_truth import SHAPE, SPACING_MM, Trunk, axes, make_trunk, rib, spine

if TYPE_CHECKING:
    from numpy.typing import NDArray


@pytest.fixture(scope="module")
def chest() -> Trunk:
    return make_trunk()


def _everywhere(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.array(np.broadcast_to(mask, SHAPE))


def _body(bone: NDArray[np.bool_], *, lungs: bool = False, half_mm: tuple[float, float] = (105.0, 155.0)) -> Trunk:
    """Bone with a cortex of 600 HU around cancellous 170 in an ellipse of flesh."""
    from scipy import ndimage

    _, y, x = axes()
    array = np.full(SHAPE, -1000, dtype=np.int16)
    array[_everywhere((y / half_mm[0]) ** 2 + (x / half_mm[1]) ** 2 < 1)] = 40
    if lungs:
        for side in (-1, 1):
            array[_everywhere(((x - side * 75) / 58) ** 2 + (y / 82) ** 2 < 1)] = -850
    array[bone] = 600
    array[ndimage.binary_erosion(bone, np.ones((1, 3, 3), dtype=bool))] = 170
    return Trunk(array, bone, np.zeros(SHAPE, dtype=np.uint8))


def _ball(x_mm: float, y_mm: float, z_mm: float, radius_mm: float = 7.0) -> NDArray[np.bool_]:
    z, y, x = axes()
    return _everywhere((z - z_mm) ** 2 + (y - y_mm) ** 2 + (x - x_mm) ** 2 < radius_mm**2)


def _site(trunk: Trunk, lesion: NDArray[np.bool_]) -> Site:
    images = series_images(trunk.array, trunk.spacing_mm)
    assert images.grey.shape == trunk.array.shape
    places = np.argwhere(lesion & trunk.bone)
    assert len(places) > 3
    return prove_site(images, find_landmarks(images, trunk.bone), places)


def test_a_lesion_of_a_vertebral_body_lies_in_a_vertebra(chest: Trunk) -> None:
    site = _site(chest, chest.lesion == 1)
    assert site.name == "vertebra"
    assert "spinal canal" in site.reason


def test_a_lesion_of_the_arch_lies_in_a_vertebra(chest: Trunk) -> None:
    assert _site(chest, _ball(0.0, 88.0, 73.0, 6.0)).name == "vertebra"


def test_a_lesion_of_a_rib_lies_in_a_rib_on_both_sides(chest: Trunk) -> None:
    assert _site(chest, chest.lesion == 2).name == "rib"
    z, y, x = axes()
    assert _site(chest, rib(z, y, x, side=-1) & (np.abs(y) < 8)).name == "rib"


def test_the_canal_is_found_in_its_place(chest: Trunk) -> None:
    images = series_images(chest.array, chest.spacing_mm)
    canal = track_spinal_canal(images, chest.bone)
    assert canal is not None
    middle = (SHAPE[1] - 1) / 2 + 75 / SPACING_MM[1]
    assert np.nanmax(np.abs((canal.front_row + canal.back_row) / 2 - middle)) < 1.5
    assert np.nanmax(np.abs(canal.column - (SHAPE[2] - 1) / 2)) < 1.5
    assert canal.stop - canal.first > 0.9 * SHAPE[0]


def test_a_sternum_is_not_a_rib(chest: Trunk) -> None:
    """Long, beside lung, but straight and in the middle."""
    z, y, x = axes()
    sternum = _everywhere((np.abs(x) < 16) & (np.abs(y + 92) < 6) & (z > 20) & (z < 160))
    with_it = _body(chest.bone | sternum, lungs=True)
    assert _site(with_it, _ball(0.0, -92.0, 90.0, 8.0)).name == "not determined"


def test_a_scapula_is_not_a_rib(chest: Trunk) -> None:
    """A plate of 100 x 90 mm behind the ribs."""
    z, y, x = axes()
    tilt = y - 60 + 0.6 * (x - 90)
    scapula = _everywhere((np.abs(tilt) < 5) & (np.abs(x - 100) < 42) & (np.abs(z - 100) < 50))
    with_it = _body(chest.bone | scapula, lungs=True)
    assert _site(with_it, _ball(100.0, 54.0, 100.0, 8.0)).name == "not determined"


def test_a_straight_rod_beside_lung_is_not_a_rib(chest: Trunk) -> None:
    z, y, x = axes()
    rod = _everywhere((np.hypot(x - 138, y) < 6) & (z > 20) & (z < 160))
    assert _site(_body(chest.bone | rod, lungs=True), _ball(138.0, 0.0, 90.0)).name == "not determined"


def test_a_rib_without_lung_is_not_named() -> None:
    z, y, x = axes()
    bone = spine(z, y, x) | rib(z, y, x, side=1) | rib(z, y, x, side=-1)
    trunk = _body(bone)
    assert _site(trunk, rib(z, y, x, side=1) & (np.abs(y) < 8)).name == "not determined"


def test_without_a_canal_nothing_is_named() -> None:
    """A column of bone without an arch."""
    z, y, x = axes()
    column = _everywhere((x / 21) ** 2 + ((y - 50) / 16) ** 2 + 0 * z < 1)
    assert _site(_body(column, lungs=True), _ball(4.0, 50.0, 73.0)).name == "not determined"


@pytest.mark.parametrize("x_mm", [0.0, 80.0])
def test_the_marrow_of_a_long_bone_is_not_a_canal(x_mm: float) -> None:
    """A femoral shaft, in the middle of a thigh or to the side of a trunk."""
    z, y, x = axes()
    off_axis = np.broadcast_to(np.hypot(x - x_mm, y) + 0 * z, SHAPE)
    bone = (off_axis < 16) & (off_axis > 8)
    half = (105.0, 155.0) if x_mm else (80.0, 80.0)
    trunk = _body(bone, half_mm=half)
    trunk.array[off_axis <= 8] = 30
    assert _site(trunk, _ball(x_mm, -12.0, 90.0)).name == "not determined"


def test_a_long_lytic_hole_in_the_pelvis_is_not_a_canal() -> None:
    """A hip bone with a hole of 40 mm that the bone map leaves out."""
    z, y, x = axes()
    hip = _everywhere((((x - 90) / 40) ** 2 + (y / 40) ** 2 < 1) & (np.abs(z - 90) < 45))
    bone = hip & ~_everywhere((np.hypot(x - 90, y) < 9) & (np.abs(z - 90) < 20))
    assert _site(_body(bone), _ball(90.0, -20.0, 90.0)).name == "not determined"


def _pelvis() -> NDArray[np.bool_]:
    """The lower 90 mm: a sacrum with a canal and wings, and hip bones that meet it; above only the spine."""
    z, y, x = axes()
    column = spine(z, y, x)
    alae = _everywhere((np.abs(x) > 15) & (np.abs(x) < 60) & (np.abs(y - 60) < 12) & (np.abs(z - 45) < 30))
    hips = _everywhere((np.abs(np.abs(x) - 85 + 0.5 * (y - 20)) < 9) & (np.abs(y - 20) < 45) & (np.abs(z - 45) < 45))
    return column | alae | hips


def test_at_the_level_of_the_pelvis_a_vertebra_is_not_told_from_the_sacrum() -> None:
    site = _site(_body(_pelvis()), _ball(4.0, 50.0, 43.0))
    assert site == Site("not determined", "Not determined: vertebra or sacrum, at the level of the pelvis.")


def test_gas_in_the_bowel_does_not_make_a_chest_of_a_pelvis() -> None:
    _, y, x = axes()
    trunk = _body(_pelvis())
    for side in (-1, 1):
        gas = _everywhere(((x - side * 75) / 42) ** 2 + ((y + 45) / 34) ** 2 < 1)  # 45 cm2, 800 ml
        trunk.array[gas & ~trunk.bone] = -1000
    assert _site(trunk, _ball(4.0, 50.0, 43.0)).name == "not determined"


HIP_MM = (85.0, 20.0, 45.0)


def test_paired_hip_bones_that_meet_the_sacrum_below_an_abdomen_are_the_pelvis() -> None:
    site = _site(_body(_pelvis()), _ball(*HIP_MM))
    assert site.name == "pelvis"
    assert "meet the sacrum below the abdomen" in site.reason


def test_the_feet_may_come_first_or_last() -> None:
    upright = _body(_pelvis())
    other = Trunk(upright.array[::-1], upright.bone[::-1], upright.lesion)
    images = series_images(other.array, other.spacing_mm)
    places = np.argwhere(_ball(*HIP_MM)[::-1] & other.bone)
    assert prove_site(images, find_landmarks(images, other.bone, to_head=False), places).name == "pelvis"
    assert prove_site(images, find_landmarks(images, other.bone, to_head=True), places).name == "not determined"


def test_hip_bones_are_not_named_where_one_is_missing_or_away_from_the_sacrum() -> None:
    z, y, x = axes()
    one_sided = _pelvis() & _everywhere(x > -50)
    assert _site(_body(one_sided), _ball(*HIP_MM)).name == "not determined"
    apart = _pelvis() & ~_everywhere((np.abs(x) > 25) & (np.abs(x) < 66) & (y > 30) & (z < 200))
    assert _site(_body(apart), _ball(*HIP_MM)).name == "not determined"


def test_shoulders_below_a_neck_are_no_pelvis() -> None:
    """The same bones, but the canal goes on through a neck of 100 mm."""
    z, y, x = axes()
    trunk = _body(_pelvis())
    trunk.array[_everywhere((z > 92) & (np.hypot(x, y - 55) > 50))] = -1000
    assert _site(trunk, _ball(*HIP_MM)).name == "not determined"


def test_at_the_end_of_the_images_shoulders_and_pelvis_are_not_distinguished() -> None:
    trunk = _body(_pelvis())
    cut = Trunk(trunk.array[:34], trunk.bone[:34], trunk.lesion[:34])
    images = series_images(cut.array, cut.spacing_mm)
    places = np.argwhere(_ball(*HIP_MM)[:34] & cut.bone)
    assert prove_site(images, find_landmarks(images, cut.bone), places).name == "not determined"


def test_scapulae_beside_lungs_are_no_pelvis() -> None:
    assert _site(_body(_pelvis(), lungs=True), _ball(*HIP_MM)).name == "not determined"


def test_a_small_field_around_the_spine_does_not_rule_out_the_sacrum(chest: Trunk) -> None:
    """The same spine cut to 110 mm across: it may be a sacrum whose wings are outside."""
    cut = slice(72, 136)
    narrow = Trunk(chest.array[:, 80:144, cut], chest.bone[:, 80:144, cut], chest.lesion[:, 80:144, cut])
    site = _site(narrow, narrow.lesion == 1)
    assert site.name == "not determined"
    assert "do not rule out the sacrum" in site.reason
