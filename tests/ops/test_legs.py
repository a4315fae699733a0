from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bench import ct_recipe
from osteon.data import Volume
from osteon.errors import InputError, NotThisTaskError, UnknownLabelError
from osteon.geometry import Grid
from osteon.ops.legs import LegSearch, find_legs, paper_legs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

Scene = Any


def _codes(search: LegSearch) -> set[str]:
    return {notice.code for notice in search.notices}


def _columns_mm(volume: Volume, search: LegSearch) -> list[float]:
    """Middle of each leg's box, in mm from the middle of the picture."""
    middle = (volume.array.shape[2] - 1) / 2
    return [((leg.box.start[2] + leg.box.stop[2] - 1) / 2 - middle) * volume.grid.spacing_mm[2] for leg in search.legs]


def test_two_legs_apart(two_legs: Volume) -> None:
    search = find_legs(two_legs)
    assert [leg.name for leg in search.legs] == ["right leg", "left leg"]
    assert np.allclose(_columns_mm(two_legs, search), [-75, 75], atol=3)
    for leg in search.legs:
        assert leg.present.all()
        # radius 55 mm, 5 mm of margin, blocks of 4 mm
        assert 2 * 55 <= leg.box.shape[1] * 2.0 <= 2 * (55 + 5 + 4)
        assert np.allclose(leg.area_mm2, np.pi * 55**2, rtol=0.06)
        assert np.allclose(leg.centre_line_vox[:, 0], 79.5, atol=1.5)
    assert search.is_leg
    assert "table-removed" in _codes(search)


def test_the_box_of_a_bare_leg_is_exact_to_a_block(scene: Scene) -> None:
    volume = scene().limb(column_mm=-75).limb(column_mm=75).volume()
    leg = find_legs(volume, margin_mm=0).legs[0]
    truth = np.argwhere(volume.array[:, :, :100] > -500)
    assert (np.array(leg.box.start) <= truth.min(axis=0)).all()
    assert (np.array(leg.box.stop) > truth.max(axis=0)).all()
    assert (np.array(leg.box.start) >= truth.min(axis=0) - 3).all()
    assert (np.array(leg.box.stop) <= truth.max(axis=0) + 4).all()


@pytest.mark.parametrize(
    "table",
    [
        {"row_mm": 60.0},
        {"row_mm": 60.0, "hu": -400.0},
        {"row_mm": 56.0, "curved": True, "thickness_mm": 12.0},
        {"row_mm": 53.0, "thickness_mm": 40.0, "hu": 300.0},
        {"row_mm": 70.0, "hu": 150.0, "thickness_mm": 60.0},
    ],
)
def test_tables_of_several_shapes_are_no_leg(scene: Scene, table: dict[str, Any]) -> None:
    volume = scene().limb(column_mm=-75, taper=0.4).limb(column_mm=75, taper=0.4).table(**table).volume()
    search = find_legs(volume)
    assert [leg.side for leg in search.legs] == ["right", "left"]
    for leg in search.legs:
        below = (leg.box.stop[1] - 80) * 2.0
        assert below < 80, "the box must not reach down into the table"


def test_touching_legs_are_parted_at_the_neck(scene: Scene) -> None:
    picture = scene()
    picture.limb(column_mm=-60, radius_mm=66, taper=0.3).limb(column_mm=60, radius_mm=66, taper=0.3)
    search = find_legs(picture.volume())
    assert [leg.side for leg in search.legs] == ["right", "left"]
    assert "touching-legs-parted" in _codes(search)
    for leg, sign in zip(search.legs, (-1, 1), strict=True):
        mask = np.zeros(picture.shape, dtype=bool)
        mask[leg.box.slices] = leg.mask()
        own = picture.ellipse(0, sign * 60, (40, 40))
        other = picture.ellipse(0, -sign * 60, (40, 40))
        assert mask[0][own].all()
        assert not mask[0][other].any()
    both = [np.zeros(picture.shape, dtype=np.int8) for _ in search.legs]
    for leg, mask in zip(search.legs, both, strict=True):
        mask[leg.box.slices] = leg.mask()
    assert (both[0] + both[1]).max() == 1, "no voxel belongs to both legs"


def test_legs_that_touch_in_every_slice_are_parted(scene: Scene) -> None:
    volume = scene().limb(column_mm=-60, radius_mm=64).limb(column_mm=60, radius_mm=64).volume()
    search = find_legs(volume)
    assert np.allclose(_columns_mm(volume, search), [-60, 60], atol=6)


def test_one_leg_has_no_side_of_its_own(scene: Scene) -> None:
    volume = scene(shape=(20, 90, 90)).limb().table(row_mm=62, thickness_mm=12).volume()
    search = find_legs(volume)
    assert [(leg.side, leg.name) for leg in search.legs] == [("unknown", "leg")]
    assert "side-unknown" in _codes(search)


def test_one_leg_far_off_the_middle_of_a_wide_picture(scene: Scene) -> None:
    search = find_legs(scene().limb(column_mm=80).table().volume())
    assert [leg.side for leg in search.legs] == ["left"]
    assert "side-from-position" in _codes(search)


def test_a_stump_is_followed_to_its_end(scene: Scene) -> None:
    volume = scene().limb(column_mm=-75).limb(column_mm=75, slices=slice(14, None)).table().volume()
    right, left = find_legs(volume).legs
    assert right.present.all()
    assert np.flatnonzero(left.present)[0] == pytest.approx(14, abs=1)
    assert left.box.start[0] == np.flatnonzero(left.present)[0]
    assert np.isnan(left.centre_line_vox[:13]).all()
    assert not left.area_mm2[:13].any()


def test_empty_slices_give_no_region(scene: Scene) -> None:
    inside = slice(5, 20)
    volume = scene().limb(column_mm=-75, slices=inside).limb(column_mm=75, slices=inside).table().volume()
    for leg in find_legs(volume).legs:
        assert np.flatnonzero(leg.present).tolist() == list(range(5, 20))


def test_prone_and_stored_upside_down_the_sides_stay_the_patients(scene: Scene) -> None:
    upright = scene().limb(column_mm=-75, radius_mm=40).limb(column_mm=75, radius_mm=60).table()
    # face down: left and right of the picture change places, and so do front and back, in the world
    prone = replace_directions(upright.volume(), [[0, 0, 1], [0, -1, 0], [-1, 0, 0]])
    search = find_legs(prone)
    right, left = search.legs
    assert right.area_mm2.mean() > left.area_mm2.mean(), "the thick leg is at higher columns: now the patient's right"
    assert any("face down" in notice.text for notice in search.notices)
    assert any("on the back" in notice.text for notice in find_legs(upright.volume()).notices)


def replace_directions(volume: Volume, directions: list[list[float]]) -> Volume:
    grid = Grid.from_axes(shape=volume.grid.shape, spacing_mm=volume.grid.spacing_mm, directions=directions)
    return replace(volume, grid=grid)


def test_slices_may_be_stored_in_any_direction(two_legs: Volume) -> None:
    flipped = replace_directions(
        replace(two_legs, array=np.asarray(two_legs.array[::-1], dtype=np.int16).copy()),
        [[0, 0, -1], [0, 1, 0], [1, 0, 0]],
    )
    for here, there in zip(find_legs(two_legs).legs, find_legs(flipped).legs, strict=True):
        assert here.side == there.side
        assert here.box.start[1:] == there.box.start[1:]
        assert np.array_equal(here.mask(), there.mask()[::-1])


def test_hands_beside_the_thighs_are_no_legs(scene: Scene) -> None:
    picture = scene().limb(column_mm=-65, radius_mm=60).limb(column_mm=65, radius_mm=60)
    picture.limb(column_mm=-160, radius_mm=18, bone_mm=6, slices=slice(8)).table()
    volume = picture.volume()
    search = find_legs(volume)
    assert np.allclose(_columns_mm(volume, search), [-65, 65], atol=5)
    assert "other-parts-ignored" in _codes(search)


def test_metal_is_reported(scene: Scene) -> None:
    picture = scene().limb(column_mm=-75).limb(column_mm=75).table()
    picture.array[:, picture.ellipse(0, 75, (8, 8))] = 8000
    search = find_legs(picture.volume())
    assert "metal-seen" in _codes(search)
    assert len(search.legs) == 2


def test_three_slices_are_enough(scene: Scene) -> None:
    search = find_legs(scene(shape=(3, 160, 200)).limb(column_mm=-75).limb(column_mm=75).volume())
    assert [leg.side for leg in search.legs] == ["right", "left"]


def test_float_volumes_are_taken(two_legs: Volume) -> None:
    as_float = replace(two_legs, array=two_legs.array.astype(np.float32))
    assert [leg.box for leg in find_legs(as_float).legs] == [leg.box for leg in find_legs(two_legs).legs]


def _head(scene: Scene) -> Volume:
    picture = scene(shape=(24, 140, 140))
    for radii, hu in (((95, 78), 40), ((90, 73), 1000), ((82, 65), 35)):
        picture.array[:, picture.ellipse(0, 0, radii)] = hu
    volume: Volume = picture.table(row_mm=110, thickness_mm=15).volume()
    return volume


def _chest(scene: Scene) -> Volume:
    picture = scene()
    picture.array[:, picture.ellipse(0, 0, (110, 165))] = 30
    for column in (-75, 75):
        picture.array[:, picture.ellipse(0, column, (75, 55))] = -850
    picture.array[:, picture.ellipse(75, 0, (22, 25))] = 500
    volume: Volume = picture.table(row_mm=112).volume()
    return volume


def _child_belly(scene: Scene) -> Volume:
    """No larger than a thigh; bowel gas gives it away."""
    picture = scene()
    picture.array[:, picture.ellipse(0, 0, (75, 100))] = 40
    picture.array[:, picture.ellipse(45, 0, (14, 16))] = 500
    picture.array[:, picture.ellipse(-35, 30, (14, 25))] = -900
    volume: Volume = picture.table(row_mm=80).volume()
    return volume


def _pelvis(scene: Scene) -> Volume:
    """Round and no larger than a child's; hip bones at the rim."""
    picture = scene()
    picture.array[:, picture.ellipse(0, 0, (80, 100))] = 40
    for row, column in ((0, -75), (0, 75), (55, 0)):
        picture.array[:, picture.ellipse(row, column, (25, 12))] = 700
    volume: Volume = picture.volume()
    return volume


def _patch(scene: Scene) -> Volume:
    picture = scene(shape=(24, 48, 48))
    picture.array[:] = 40
    picture.array[:, picture.ellipse(0, 0, (20, 25))] = 400
    volume: Volume = picture.volume()
    return volume


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (_head, "skull"),
        (_chest, "gas"),
        (_child_belly, "gas"),
        (_pelvis, "rim"),
        (_patch, "no skin"),
    ],
)
def test_what_is_not_a_leg_is_refused_with_reasons(scene: Scene, build: Callable[[Scene], Volume], reason: str) -> None:
    volume = build(scene)
    with pytest.raises(NotThisTaskError, match=reason) as caught:
        find_legs(volume)
    assert "of 24 slices" in str(caught.value)
    forced = find_legs(volume, force=True)
    assert not forced.is_leg
    assert forced.legs[0].present.any()
    assert "not-a-leg-forced" in _codes(forced)


def test_an_obese_thigh_is_still_a_leg(scene: Scene) -> None:
    picture = scene(shape=(24, 200, 260)).limb(column_mm=-115, radius_mm=112).limb(column_mm=115, radius_mm=112)
    assert len(find_legs(picture.table(row_mm=115).volume()).legs) == 2


def test_the_trunk_above_the_legs_is_left_out_but_the_hips_stay(scene: Scene) -> None:
    picture = scene(shape=(70, 160, 200)).limb(column_mm=-75, radius_mm=70).limb(column_mm=75, radius_mm=70)
    picture.array[30:, picture.ellipse(0, 0, (100, 165))] = 40
    picture.array[30:, picture.ellipse(60, 0, (25, 25))] = 500
    volume = picture.volume()
    search = find_legs(volume)
    for leg in search.legs:
        # 120 mm of hips, at 5 mm a slice
        assert leg.present[:53].all()
        assert not leg.present[56:].any()
    assert {"slices-left-out", "hips-divided"} <= _codes(search)
    right, left = search.legs
    assert abs(right.box.stop[2] - left.box.start[2]) * 2.0 < 40, "the hips are divided in the middle"


def test_a_hand_on_the_thigh_is_taken_off(scene: Scene) -> None:
    picture = scene().limb(column_mm=-80, radius_mm=65).limb(column_mm=80, radius_mm=65)
    # beside the thigh in the first slices, resting on it in the next ones
    picture.limb(row_mm=-100, column_mm=-110, radius_mm=22, bone_mm=8, slices=slice(4))
    picture.limb(row_mm=-78, column_mm=-110, radius_mm=22, bone_mm=8, slices=slice(4, 9))
    right = find_legs(picture.volume(), margin_mm=0).legs[0]
    mask = np.zeros(picture.shape, dtype=bool)
    mask[right.box.slices] = right.mask()
    assert not mask[1][picture.ellipse(-100, -110, (12, 12))].any()
    assert not mask[6][picture.ellipse(-78, -110, (8, 8))].any()
    assert mask[6][picture.ellipse(0, -80, (50, 50))].all()


@pytest.mark.parametrize("value", [-1000, 0, 40])
def test_a_picture_of_nothing_is_refused(value: int) -> None:
    volume = Volume(
        array=np.full((5, 64, 64), value, dtype=np.int16),
        grid=Grid.from_axes(shape=(5, 64, 64), spacing_mm=(1, 1, 1)),
        modality="CT",
    )
    for force in (False, True):
        with pytest.raises(NotThisTaskError, match="no soft tissue with bone"):
            find_legs(volume, force=force)


def test_a_table_alone_is_refused(scene: Scene) -> None:
    with pytest.raises(NotThisTaskError, match="no soft tissue with bone"):
        find_legs(scene().table().volume())


def test_options_without_a_meaning_are_refused(two_legs: Volume) -> None:
    with pytest.raises(InputError, match="margin"):
        find_legs(two_legs, margin_mm=-1)
    with pytest.raises(UnknownLabelError, match="paper"):
        find_legs(two_legs, mode="papers")  # type: ignore[arg-type]


def _assert_equal_to_the_recipe(hu: NDArray[Any]) -> None:
    array = np.ascontiguousarray(hu, dtype=np.int16)
    plain = ct_recipe.leg_parts(array)
    found = paper_legs(array)
    assert np.array_equal(found.labels, plain.labels)
    assert np.array_equal(found.area_pixels > 0, plain.present)
    for box, expected in zip(found.boxes, plain.boxes, strict=True):
        here = None if box is None else (box.start[1], box.stop[1], box.start[2], box.stop[2])
        assert here == expected


def test_paper_mode_equals_the_recipe_on_legs(two_legs: Volume) -> None:
    _assert_equal_to_the_recipe(two_legs.array[:3])


def test_paper_mode_equals_the_recipe_on_one_leg_and_on_noise(scene: Scene) -> None:
    _assert_equal_to_the_recipe(scene(shape=(2, 90, 120)).limb(column_mm=40).volume().array)
    noise = np.random.default_rng(0).normal(0, 300, (3, 70, 83))
    from scipy import ndimage

    _assert_equal_to_the_recipe((ndimage.gaussian_filter(noise, (0, 6, 6)) * 20).astype(np.int16))


def test_paper_mode_in_the_same_words(two_legs: Volume) -> None:
    search = find_legs(two_legs, mode="paper")
    assert "roi-paper" in _codes(search)
    for leg in search.legs:
        assert leg.mask().shape == leg.box.shape
        assert leg.mask().all()
    with pytest.raises(InputError, match="int16"):
        paper_legs(two_legs.array.astype(np.float32))


@pytest.mark.shared_data
def test_real_feet(shared_data: Path) -> None:
    from osteon.io import open_volume

    volume = open_volume(shared_data / "vhf_ankle_ct_dicom", modality="CT")
    search = find_legs(volume)
    right, left = search.legs
    # the toes of one foot begin before the other's; nothing is in the first slices but the table
    assert not right.present[0]
    assert right.present[10:].all()
    assert left.present[20:].all()
    for leg in search.legs:
        assert leg.box.stop[1] < 375, "the table begins at row 380"
        assert leg.area_mm2.max() < 20000
    assert np.nanmax(np.abs(np.diff(right.centre_line_vox, axis=0))) < 12, "a leg does not jump"
    text = next(notice.text for notice in search.notices if notice.code == "touching-legs-parted")
    assert "slices 29-67" in text
    assert "table" not in " ".join(_codes(search)), (
        "this table is foam: too thin for tissue, so none had to be taken off"
    )


@pytest.mark.shared_data
def test_paper_mode_equals_the_recipe_on_real_feet(shared_data: Path) -> None:
    from osteon.io import open_volume

    volume = open_volume(shared_data / "vhf_ankle_ct_dicom", modality="CT")
    # the slices the issue names: the table wins near the toes, touching feet are one part
    _assert_equal_to_the_recipe(volume.array[[10, 50, 120]])
    literal = paper_legs(np.ascontiguousarray(volume.array[[10, 50]], dtype=np.int16))
    assert literal.centres[:, 0, 0].max() > 380
    assert (literal.area_pixels[:, 1] > 0).sum() == 1 or literal.area_pixels[:, 1].min() < 2000


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "name",
    ["totalseg_ct/example_ct_dicom", "totalseg_ct/example_ct.nii.gz", "vhf_pelvis_5slice_ct"]
    + [f"blds_bone_mets_ct/{i}.nii.gz" for i in range(1, 6)],
)
def test_real_series_of_other_regions_are_refused(shared_data: Path, name: str) -> None:
    from osteon.io import open_volume

    with pytest.raises(NotThisTaskError, match="does not look like legs"):
        find_legs(open_volume(shared_data / name, modality="CT"))
