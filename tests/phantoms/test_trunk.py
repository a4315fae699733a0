"""A trunk looks like one, and its masks say exactly where bone and metastases are."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from scipy import ndimage

from osteon.errors import InputError, OsteonError
from osteon_phantoms import Phantom, TrunkLesionSpec, TrunkMimicSpec, TrunkSpec, make_trunk
from osteon_phantoms.labels import STRUCTURES
from osteon_phantoms.trunk.spec import LesionType, TrunkCoverage, TrunkMetal

Trunk = Phantom[TrunkSpec]
COARSE = TrunkSpec(size=(96, 96), pixel_mm=4.2, slice_mm=5.0, noise_hu=6.0, seed=3)
FINE = TrunkSpec(size=(128, 128), pixel_mm=1.75, slice_mm=2.0, seed=3, coverage="abdomen", length_mm=56.0, noise_hu=5.0)
L3_SHARE = 0.29
"""Where the middle of L3 is in the abdomen."""

L3_LPS_MM = (0.0, 14.0, 88.0)
"""A little in front of the middle of the body of L3: position 4 / 6."""


def about_l3(*lesions: TrunkLesionSpec, mimics: tuple[TrunkMimicSpec, ...] = ()) -> Trunk:
    return make_trunk(replace(FINE, centre_share=L3_SHARE, lesions=lesions, mimics=mimics))


@pytest.fixture(scope="module")
def healthy() -> Trunk:
    return make_trunk(replace(COARSE, coverage="trunk"))


@pytest.fixture(scope="module")
def l3() -> Trunk:
    return about_l3()


def test_a_trunk_has_all_its_parts_where_they_belong(healthy: Trunk) -> None:
    counts = np.bincount(healthy.masks["structures"].array.ravel(), minlength=8)
    assert all(counts[value] > 100 for value in STRUCTURES.values())
    grid = healthy.volume.grid
    middle = {
        name: grid.to_lps_mm(np.argwhere(healthy.masks["structures"].array == value).mean(axis=0))
        for name, value in STRUCTURES.items()
    }
    assert middle["femur"][2] < middle["sacrum"][2] < middle["vertebra"][2] < middle["sternum"][2]
    # LPS: y grows backwards
    assert middle["sternum"][1] < middle["vertebra"][1] < middle["sacrum"][1]
    assert all(abs(middle[name][0]) < 4 for name in STRUCTURES)


def test_tissues_have_their_hu(l3: Trunk) -> None:
    hu, bone = l3.volume.array.astype(float), l3.masks["structures"].array == STRUCTURES["vertebra"]
    deep = ndimage.binary_erosion(bone, iterations=3)
    assert 80 < hu[deep].mean() < 260
    rim = bone & ~ndimage.binary_erosion(bone)
    assert hu[rim].mean() > 1.4 * hu[deep].mean()
    assert 0.1 < ((hu > -150) & (hu < -50)).mean() < 0.7, "fat"


def test_lungs_are_air_and_lie_in_the_chest_only() -> None:
    spec = replace(COARSE, table="none", slice_mm=15.0)
    chest, pelvis = (make_trunk(replace(spec, coverage=part)) for part in ("thorax", "pelvis"))
    for made, low, high in ((chest, 0.15, 0.8), (pelvis, 0.0, 0.04)):
        body = np.stack([ndimage.binary_fill_holes(plane) for plane in made.volume.array > -300])
        assert low <= (made.volume.array[body] < -600).mean() <= high


def test_arteries_can_outshine_spongy_bone() -> None:
    spec = replace(FINE, centre_share=L3_SHARE, contrast="arterial", contrast_hu=420.0, length_mm=12.0)
    bright, plain = make_trunk(spec), make_trunk(replace(spec, contrast="none"))
    soft = bright.masks["structures"].array == 0
    assert np.percentile(bright.volume.array[soft], 99.8) > 380
    changed = (bright.volume.array - plain.volume.array.astype(int) > 250) & soft
    assert changed.sum() * np.prod(spec.pixel_mm**2) / len(changed) > 150, "mm2 of vessels a slice"
    assert np.array_equal(bright.masks["structures"].array, plain.masks["structures"].array)


def test_the_seed_decides_and_threads_do_not() -> None:
    spec = replace(COARSE, length_mm=90.0, lesions=(TrunkLesionSpec(bone="L2", size_mm=30),))
    one, other = make_trunk(spec, threads=1), make_trunk(spec, threads=3)
    assert np.array_equal(one.volume.array, other.volume.array)
    assert np.array_equal(one.masks["lesions"].array, other.masks["lesions"].array)
    assert one.lesions == other.lesions
    assert not np.array_equal(one.volume.array, make_trunk(replace(spec, seed=4)).volume.array)


@pytest.mark.parametrize("size_mm", [12.0, 18.0])
@pytest.mark.parametrize("type_", ["lytic", "blastic", "mixed"])
def test_a_ball_within_a_vertebral_body_has_the_volume_of_a_ball(size_mm: float, type_: LesionType) -> None:
    lesion = TrunkLesionSpec(
        bone="L3",
        position=4 / 6,
        size_mm=size_mm,
        type=type_,
        irregularity=0.0,
        elongation=1.0,
    )
    made = about_l3(lesion)
    (truth,) = made.lesions
    assert truth.volume_ml == pytest.approx(math.pi * size_mm**3 / 6000, rel=0.04)
    assert truth.diameter_mm == pytest.approx(size_mm, abs=2.5)
    inside = made.masks["lesions"].array == 1
    assert truth.volume_ml == pytest.approx(inside.sum() * 1.75**2 * 2.0 / 1000)
    middle = made.volume.grid.to_lps_mm(np.argwhere(inside).mean(axis=0))
    assert np.linalg.norm(middle - L3_LPS_MM) < 1.5
    assert truth.centre_lps_mm == pytest.approx(tuple(middle))
    assert list(truth.slices) == np.flatnonzero(inside.any(axis=(1, 2))).tolist()


def test_the_truth_scales_with_the_patient() -> None:
    lesion = TrunkLesionSpec(bone="L3", position=4 / 6, size_mm=14, irregularity=0, elongation=1)
    small, large = (
        make_trunk(replace(FINE, body_scale=scale, centre_share=L3_SHARE, lesions=(lesion,))).lesions[0]
        for scale in (0.9, 1.1)
    )
    assert small.volume_ml == pytest.approx(large.volume_ml, rel=0.05)


@pytest.mark.parametrize(("type_", "low", "high"), [("lytic", 10, 110), ("blastic", 420, 1100)])
def test_hu_within_a_lesion_are_those_of_its_type(type_: LesionType, low: float, high: float, l3: Trunk) -> None:
    made = about_l3(TrunkLesionSpec(bone="L3", position=4 / 6, size_mm=18, type=type_, irregularity=0.3))
    core = ndimage.binary_erosion(made.masks["lesions"].array == 1, iterations=2)
    assert low < made.volume.array[core].mean() < high
    assert 80 < l3.volume.array[core].mean() < 260, "the same place without the lesion"
    away = ndimage.distance_transform_edt(made.masks["lesions"].array == 0) > 8
    assert np.array_equal(made.masks["structures"].array[away], l3.masks["structures"].array[away])


def test_a_mixed_lesion_is_dense_in_places_and_soft_in_others() -> None:
    made = about_l3(TrunkLesionSpec(bone="L3", position=4 / 6, size_mm=26, type="mixed"))
    values = made.volume.array[ndimage.binary_erosion(made.masks["lesions"].array == 1)]
    assert np.percentile(values, 10) < 160
    assert np.percentile(values, 90) > 400


def test_without_a_breach_the_cortex_stays_and_with_one_the_bone_opens(l3: Trunk) -> None:
    # at the right border of the body
    lesion = TrunkLesionSpec(bone="L3", position=0.5, offset_mm=(-8, 0, 0), size_mm=22, irregularity=0, elongation=1)
    closed, open_ = about_l3(lesion), about_l3(replace(lesion, breach=1.0))
    bone = l3.masks["structures"].array > 0
    assert not (closed.masks["lesions"].array[~bone] > 0).any()
    rim = bone & ~ndimage.binary_erosion(bone, structure=ndimage.generate_binary_structure(3, 1))
    shell = rim & (ndimage.distance_transform_edt(closed.masks["lesions"].array == 0, sampling=(2, 1.75, 1.75)) < 3)
    assert closed.volume.array[shell].mean() > 200
    beyond = (open_.masks["lesions"].array > 0) & ~bone
    assert beyond.sum() * 1.75**2 * 2 / 1000 > 0.2, "ml of soft-tissue mass"
    assert open_.volume.array[shell & (open_.masks["lesions"].array > 0)].mean() < 160


_FIVE: tuple[tuple[str, float, LesionType, float], ...] = (
    ("L3", 30, "lytic", 1.0),
    ("hip left", 40, "mixed", 0.8),
    ("sacrum", 35, "blastic", 0.0),
    ("rib 10 left", 25, "lytic", 0.9),
    ("L4", 90, "blastic", 0.0),
)


def test_lesions_lie_in_bone_even_where_they_breach_it() -> None:
    lesions = tuple(
        TrunkLesionSpec(bone=bone, size_mm=size, type=type_, breach=breach) for bone, size, type_, breach in _FIVE
    )
    made = make_trunk(replace(COARSE, coverage="trunk", slice_mm=8.0, lesions=lesions))
    assert (made.masks["structures"].array[made.masks["lesions"].array > 0] > 0).all()
    for truth in made.lesions:
        values = set(np.unique(made.masks["structures"].array[made.masks["lesions"].array == truth.label]))
        assert values == {STRUCTURES[truth.structure]}
    assert [truth.label for truth in made.lesions] == [1, 2, 3, 4, 5]


def test_discs_are_spared(l3: Trunk) -> None:
    made, plain = about_l3(TrunkLesionSpec(bone="L3", position=4 / 6, size_mm=60, breach=1.0, irregularity=0)), l3
    other = (plain.masks["structures"].array > 0) & (made.masks["lesions"].array == 0)
    assert np.array_equal(made.masks["structures"].array[other], plain.masks["structures"].array[other])
    heights = np.argwhere(made.masks["lesions"].array == 1)[:, 0]
    assert (heights.max() - heights.min()) * 2.0 < 44, "a body of 28 mm that leans, its arch and spinous process"


@pytest.mark.parametrize(
    "mimic",
    [
        TrunkMimicSpec(kind="bone_island", bone="L3", position=0.7, size_mm=9),
        TrunkMimicSpec(kind="degenerative_disc", bone="L3", size_mm=9, degree=0.9),
        TrunkMimicSpec(kind="facet_arthrosis", bone="L3", degree=0.9),
        TrunkMimicSpec(kind="schmorl_node", bone="L3", size_mm=11),
        TrunkMimicSpec(kind="haemangioma", bone="L3", size_mm=24),
        TrunkMimicSpec(kind="wedge_fracture", bone="L3", degree=0.9),
    ],
    ids=lambda mimic: mimic.kind,
)
def test_a_mimic_changes_the_picture_and_is_not_a_lesion(mimic: TrunkMimicSpec, l3: Trunk) -> None:
    made = about_l3(mimics=(mimic,))
    assert not made.masks["lesions"].array.any()
    assert made.lesions == ()
    (told,) = made.mimics
    assert told.structure == "vertebra"
    changed = np.abs(made.volume.array.astype(int) - l3.volume.array) > 120
    assert changed.sum() * 1.75**2 * 2 / 1000 > 0.15, "ml"
    assert told.centre_lps_mm is not None
    near = made.volume.grid.to_vox(told.centre_lps_mm)
    places = np.argwhere(changed)
    assert np.linalg.norm((places - near) * (2, 1.75, 1.75), axis=1).min() < 12


def test_a_worn_disc_is_narrow_and_holds_gas(l3: Trunk) -> None:
    worn = TrunkMimicSpec(kind="degenerative_disc", bone="L3", size_mm=8, degree=1.0)
    made, plain = about_l3(mimics=(worn,)), l3
    centre = made.mimics[0].centre_lps_mm
    assert centre is not None
    k, r, c = (round(float(v)) for v in made.volume.grid.to_vox(centre))
    assert made.volume.array[k - 1 : k + 2, r - 4 : r + 5, c - 6 : c + 7].min() < -80
    assert plain.volume.array[k - 1 : k + 2, r - 4 : r + 5, c - 6 : c + 7].min() > -80


def test_a_wedge_fracture_costs_height_at_the_front(l3: Trunk) -> None:
    made, plain = about_l3(mimics=(TrunkMimicSpec(kind="wedge_fracture", bone="L3", degree=1.0),)), l3
    lost = (plain.masks["structures"].array > 0) & (made.masks["structures"].array == 0)
    assert lost.sum() * 1.75**2 * 2 / 1000 > 1
    centre = plain.volume.grid.to_lps_mm(np.argwhere(lost).mean(axis=0))
    body = plain.volume.grid.to_lps_mm(np.argwhere(plain.masks["structures"].array > 0).mean(axis=0))
    assert centre[1] < body[1], "in front"


def test_a_rib_with_callus_is_thicker() -> None:
    spec = replace(
        COARSE, pixel_mm=2.0, size=(192, 192), slice_mm=3.0, coverage="thorax", length_mm=120, centre_share=0.3
    )
    broken = TrunkMimicSpec(kind="rib_fracture", bone="rib 8 left", position=0.5, size_mm=20, degree=0.7)
    rib = STRUCTURES["rib"]
    made, plain = make_trunk(replace(spec, mimics=(broken,))), make_trunk(spec)
    assert (made.masks["structures"].array == rib).sum() > (plain.masks["structures"].array == rib).sum() + 50
    assert not made.masks["lesions"].array.any()


@pytest.mark.parametrize(("metal", "coverage"), [("spine_screws", "abdomen"), ("hip_prosthesis", "pelvis")])
def test_metal_is_metal_and_no_bone(metal: TrunkMetal, coverage: TrunkCoverage) -> None:
    spec = replace(
        COARSE, pixel_mm=3.0, size=(128, 128), coverage=coverage, metal=metal, length_mm=70.0, centre_share=0.3
    )
    made, plain = make_trunk(spec), make_trunk(replace(spec, metal=None))
    dense = made.volume.array > 2400
    assert dense.sum() > 20
    assert (made.masks["structures"].array[made.volume.array > 3000] > 0).mean() < 0.3
    assert plain.volume.array.max() < 2400


@pytest.mark.parametrize("position", ["HFS", "FFS", "HFP", "FFP"])
def test_every_position_of_the_patient_is_the_same_patient(position: Literal["HFS", "FFS", "HFP", "FFP"]) -> None:
    spec = replace(
        COARSE,
        table="none",
        length_mm=70.0,
        centre_share=0.3,
        lesions=(TrunkLesionSpec(bone="L3", size_mm=30, irregularity=0),),
    )
    made = make_trunk(replace(spec, patient_position=position))
    here, there = made.lesions[0], make_trunk(spec).lesions[0]
    assert here.volume_ml == pytest.approx(there.volume_ml, rel=0.02)
    assert here.centre_lps_mm == pytest.approx(there.centre_lps_mm, abs=0.5)


def test_thick_slices_average_and_keep_their_masks() -> None:
    thin = replace(COARSE, slice_mm=2.0, noise_hu=0.0, length_mm=60.0)
    thick = replace(thin, thickness_mm=10.0)
    one, other = make_trunk(thin), make_trunk(thick)
    assert np.array_equal(one.masks["structures"].array, other.masks["structures"].array)
    steps = [float(np.abs(np.diff(made.volume.array.astype(float), axis=0)).mean()) for made in (one, other)]
    assert steps[1] < 0.85 * steps[0]


def test_one_slice_and_a_lesion_outside_the_field() -> None:
    made = make_trunk(replace(COARSE, length_mm=1.0, lesions=(TrunkLesionSpec(bone="T2"),)))
    assert made.volume.grid.shape[0] == 1
    (truth,) = made.lesions
    assert (truth.volume_ml, truth.diameter_mm, truth.centre_lps_mm, len(truth.slices)) == (0.0, 0.0, None, 0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"coverage": "leg"}, "no coverage 'leg'"),
        ({"contrast": "milk"}, "no contrast 'milk'"),
        ({"metal": "nail"}, "no metal 'nail'"),
        ({"slice_mm": 0.0}, "slice_mm must be from 0.3"),
        ({"age_years": 8.0}, "age_years must be from 18"),
        ({"size": (4, 4)}, "size must be from 16"),
        ({"lesions": (TrunkLesionSpec(bone="L3"),) * 251}, "at most 250 lesions"),
    ],
)
def test_what_cannot_be_made_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(OsteonError, match=said):
        replace(COARSE, **changes)


def test_findings_that_cannot_be_are_refused() -> None:
    with pytest.raises(OsteonError, match="no type 'soft'"):
        TrunkLesionSpec(bone="L3", type="soft")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="size_mm must be from 3 to 150, found 2"):
        TrunkLesionSpec(bone="L3", size_mm=2)
    with pytest.raises(OsteonError, match=r"no bone 'L6' in a trunk.*L5"):
        make_trunk(replace(COARSE, lesions=(TrunkLesionSpec(bone="L6"),)))
    with pytest.raises(InputError, match="haemangioma is in a vertebra, but 'rib 3 left' is a rib"):
        make_trunk(replace(COARSE, mimics=(TrunkMimicSpec(kind="haemangioma", bone="rib 3 left"),)))
