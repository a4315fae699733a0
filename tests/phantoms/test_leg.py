"""The synthetic legs: what is drawn, what is true, and that both agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from osteon.errors import InputError, UnknownLabelError
from osteon_phantoms import BenignSpec, LegSpec, LesionSpec, Phantom, make_leg_ct, random_leg_spec
from osteon_phantoms.labels import ARM_VALUE, BONE_VALUES, LESION_VALUE, SOFT_VALUES, TABLE_VALUE
from osteon_phantoms.legs.painter import build_scene

Legs = Phantom[LegSpec]
TUMOUR = LesionSpec(leg="left", size_mm=60, direction_degrees=180)
COARSE = LegSpec(shape=(20, 96, 96), spacing_mm=(12.0, 4.2, 4.2), lesions=(TUMOUR,))


@pytest.fixture(scope="module")
def phantom() -> Legs:
    return make_leg_ct(COARSE)


def hu_of(phantom: Legs, value: int) -> np.ndarray:
    return np.asarray(phantom.volume.array[phantom.masks["truth"].array == value])


def test_the_same_spec_gives_the_same_voxels_on_any_number_of_threads(phantom: Legs) -> None:
    again = make_leg_ct(COARSE, threads=1)
    assert np.array_equal(again.volume.array, phantom.volume.array)
    assert np.array_equal(again.masks["truth"].array, phantom.masks["truth"].array)


def test_another_seed_gives_another_patient(phantom: Legs) -> None:
    other = make_leg_ct(replace(COARSE, seed=2))
    assert not np.array_equal(other.volume.array, phantom.volume.array)
    assert other.patient.identifier != phantom.patient.identifier


def test_tissues_have_the_hounsfield_numbers_of_ct(phantom: Legs) -> None:
    array, truth = phantom.volume.array, phantom.masks["truth"].array
    assert array.dtype == np.int16
    assert np.median(array[truth == 0]) == pytest.approx(-1000, abs=15)
    soft = hu_of(phantom, SOFT_VALUES["right"])
    assert -110 < np.percentile(soft, 20) < -60
    assert 30 < np.percentile(soft, 75) < 75
    femur = hu_of(phantom, BONE_VALUES["femur", "right"])
    assert 800 < np.percentile(femur, 98) < 1700
    assert (array >= -1024).all()
    assert (array <= 3071).all()


def test_left_is_at_positive_x_and_the_femur_above_the_tibia(phantom: Legs) -> None:
    def middle(bone: str, side: str) -> np.ndarray:
        where = np.argwhere(phantom.masks["truth"].of(BONE_VALUES[bone, side]))
        return np.asarray(phantom.masks["truth"].grid.to_lps_mm(where).mean(axis=0))

    assert middle("femur", "left")[0] > 0 > middle("femur", "right")[0]
    assert middle("femur", "left")[2] > middle("tibia", "left")[2]
    assert middle("patella", "left")[1] < middle("femur", "left")[1]
    assert middle("fibula", "left")[0] > middle("tibia", "left")[0]
    assert middle("fibula", "right")[0] < middle("tibia", "right")[0]


def test_the_lesion_lies_in_the_slices_that_are_declared(phantom: Legs) -> None:
    (lesion,) = phantom.lesions
    found = np.flatnonzero(phantom.masks["truth"].of(LESION_VALUE).any(axis=(1, 2)))
    assert lesion.slices == range(int(found[0]), int(found[-1]) + 1)
    assert lesion.box is not None
    box = np.zeros(phantom.masks["truth"].grid.shape, dtype=bool)
    box[lesion.box.slices] = True
    assert box[phantom.masks["truth"].of(LESION_VALUE)].all()
    assert (phantom.masks["truth"].grid.to_lps_mm(np.argwhere(phantom.masks["truth"].of(LESION_VALUE)))[:, 0] > 0).all()
    voxel_ml = phantom.masks["truth"].grid.voxel_volume_mm3 / 1000
    assert lesion.volume_ml == pytest.approx(np.count_nonzero(phantom.masks["truth"].of(LESION_VALUE)) * voxel_ml)


def test_the_length_of_a_lesion_is_near_what_was_asked() -> None:
    spec = replace(
        COARSE,
        shape=(40, 64, 64),
        spacing_mm=(5.0, 6.0, 6.0),
        lesions=(replace(TUMOUR, soft_tissue_mass=0.0, periosteal="none"),),
    )
    (lesion,) = make_leg_ct(spec).lesions
    assert len(lesion.slices) * 5.0 == pytest.approx(60, abs=10)


def test_a_lytic_lesion_is_darker_and_a_blastic_one_brighter_than_the_bone_was() -> None:
    spec = replace(COARSE, noise_hu=0.0, beam_hardening=0.0)
    plain = make_leg_ct(replace(spec, lesions=()))
    means = {}
    for matrix in ("lytic", "blastic"):
        lesion = replace(TUMOUR, matrix=matrix, soft_tissue_mass=0.0, periosteal="none", breach=0.3)
        ill = make_leg_ct(replace(spec, lesions=(lesion,)))
        where = ill.masks["truth"].of(LESION_VALUE)
        means[matrix] = float(ill.volume.array[where].mean() - plain.volume.array[where].mean())
    assert means["lytic"] < -40
    assert means["blastic"] > 200


def test_without_noise_the_two_legs_outside_the_lesion_do_not_change() -> None:
    spec = replace(COARSE, noise_hu=0.0, beam_hardening=0.0)
    ill, plain = make_leg_ct(spec), make_leg_ct(replace(spec, lesions=()))
    differs = np.argwhere(ill.volume.array != plain.volume.array)
    assert (ill.volume.grid.to_lps_mm(differs)[:, 0] > 0).all()


def test_the_truth_of_a_fine_grid_is_the_truth_of_a_coarse_one() -> None:
    coarse = replace(COARSE, shape=(9, 64, 64), spacing_mm=(10.0, 6.0, 6.0), noise_hu=0.0, lesions=())
    fine = replace(coarse, shape=(9, 192, 192), spacing_mm=(10.0, 2.0, 2.0))
    a, b = make_leg_ct(coarse).masks["truth"], make_leg_ct(fine).masks["truth"]
    assert np.allclose(a.grid.to_lps_mm([0, 0, 0]), b.grid.to_lps_mm([0, 1, 1]), atol=1e-2)
    same = a.array == b.array[:, 1::3, 1::3]
    assert same.mean() > 0.9995


def tibial_profile(age_years: float) -> np.ndarray:
    """HU down the middle of the left tibia, from the plateau to the shaft, 1 mm apart."""
    spec = LegSpec(
        shape=(60, 96, 96),
        spacing_mm=(1.0, 1.4, 1.4),
        legs="left",
        noise_hu=0.0,
        beam_hardening=0.0,
        age_years=age_years,
    )
    made = make_leg_ct(spec)
    (limb,) = build_scene(spec).limbs
    heights = np.arange(-30.0, -10.0)
    index = np.rint(made.volume.grid.to_vox([limb.to_lps_mm(12.0, -3.0, w) for w in heights])).astype(int)
    around = [made.volume.array[k, r - 2 : r + 3, c - 2 : c + 3].mean() for k, r, c in index]
    return np.asarray(around)


def test_a_child_has_a_growth_plate_between_epiphysis_and_metaphysis_and_an_adult_has_none() -> None:
    child, adult = tibial_profile(10), tibial_profile(30)
    plate = int(child.argmin())
    assert 2 < plate < len(child) - 3
    assert child[plate] < 0.6 * min(child[:plate].max(), child[plate + 1 :].max())
    assert adult.min() > 0.6 * np.median(adult)


def test_a_child_is_smaller() -> None:
    assert replace(COARSE, age_years=8).scale < 0.75 * COARSE.scale


def test_every_patient_position_shows_the_same_patient() -> None:
    spec = replace(COARSE, shape=(5, 80, 80), spacing_mm=(40.0, 5.0, 5.0), table="none", lesions=())
    upright = make_leg_ct(spec)
    turned = make_leg_ct(replace(spec, patient_position="FFS"))
    points = np.argwhere(turned.masks["truth"].array > 0)
    there = upright.masks["truth"].grid.to_vox(turned.masks["truth"].grid.to_lps_mm(points))
    index = np.rint(there).astype(int)
    assert np.allclose(there, index, atol=1e-2)
    assert (upright.masks["truth"].array[tuple(index.T)] == turned.masks["truth"].array[tuple(points.T)]).mean() > 0.999


def test_the_table_lies_behind_a_supine_and_in_front_of_a_prone_patient() -> None:
    cases: tuple[tuple[Literal["HFS", "HFP"], int], ...] = (("HFS", 1), ("HFP", -1))
    for position, facing in cases:
        made = make_leg_ct(replace(COARSE, shape=(3, 96, 96), lesions=(), patient_position=position))
        truth = made.masks["truth"]
        table, leg = (np.argwhere(truth.of(value)) for value in (TABLE_VALUE, SOFT_VALUES["left"]))
        y_table, y_leg = (truth.grid.to_lps_mm(where)[:, 1].mean() for where in (table, leg))
        assert (y_table - y_leg) * facing > 0
        assert table[:, 1].mean() > leg[:, 1].mean()


def test_one_leg_an_amputation_and_touching_legs() -> None:
    from scipy import ndimage

    one = make_leg_ct(replace(COARSE, legs="left", lesions=()))
    assert not one.masks["truth"].of(SOFT_VALUES["right"]).any()
    cut = make_leg_ct(replace(COARSE, lesions=(), amputee="right"))
    assert not cut.masks["truth"].of(BONE_VALUES["tibia", "right"]).any()
    assert cut.masks["truth"].of(BONE_VALUES["tibia", "left"]).any()
    touching = make_leg_ct(replace(COARSE, lesions=(), touching=True)).masks["truth"].array
    legs = np.isin(touching, [*BONE_VALUES.values(), *SOFT_VALUES.values()])
    _, parts = ndimage.label(legs[-3])
    assert parts == 1
    _, parts = ndimage.label(np.isin(one.masks["truth"].array[-3], [*BONE_VALUES.values(), *SOFT_VALUES.values()]))
    assert parts == 1


def test_metal_is_brighter_than_bone_and_throws_streaks() -> None:
    spec = replace(COARSE, lesions=(), noise_hu=0.0, shape=(4, 96, 96), spacing_mm=(20.0, 4.2, 4.2), coverage="femur")
    plain, nailed = make_leg_ct(spec), make_leg_ct(replace(spec, metal="nail"))
    assert nailed.volume.array.max() > 2500 > plain.volume.array.max()
    soft = plain.masks["truth"].of(SOFT_VALUES["right"])
    change = np.abs(nailed.volume.array[soft].astype(int) - plain.volume.array[soft])
    assert np.percentile(change, 99) > 12


def test_an_impossible_spec_is_refused() -> None:
    with pytest.raises(UnknownLabelError, match="no site 'head'"):
        LesionSpec(bone="fibula", site="head")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="size_mm"):
        LesionSpec(size_mm=4)
    with pytest.raises(InputError, match="left leg"):
        make_leg_ct(LegSpec(legs="right", shape=(2, 16, 16), lesions=(LesionSpec(leg="left"),)))
    with pytest.raises(InputError, match="age_years"):
        LegSpec(age_years=1)


def test_random_specs_are_reproducible_and_varied() -> None:
    first = [random_leg_spec(np.random.default_rng(5), with_lesion=True) for _ in range(2)]
    assert first[0] == first[1]
    generator = np.random.default_rng(0)
    specs = [random_leg_spec(generator) for _ in range(300)]
    assert 100 < sum(bool(spec.lesions) for spec in specs) < 200
    lesions = [lesion for spec in specs for lesion in spec.lesions]
    assert {lesion.matrix for lesion in lesions} == {"lytic", "blastic", "mixed"}
    assert len({(lesion.bone, lesion.site) for lesion in lesions}) >= 7
    assert {spec.sex for spec in specs} == {"F", "M"}
    assert any(spec.has_growth_plates for spec in specs)
    assert any(spec.metal for spec in specs)
    assert any(spec.benign for spec in specs)
    assert not any(spec.lesions for spec in [random_leg_spec(generator, with_lesion=False) for _ in range(20)])


@pytest.mark.parametrize("seed", range(3))
def test_a_random_lesion_is_in_the_field(seed: int) -> None:
    spec = random_leg_spec(np.random.default_rng(seed), with_lesion=True)
    tiny = replace(spec, shape=(34, 64, 64), spacing_mm=(10.0, 6.4, 6.4))
    assert make_leg_ct(tiny).lesions[0].volume_ml > 1


def test_a_bone_island_is_dense_small_and_no_lesion() -> None:
    spec = replace(COARSE, lesions=(), noise_hu=0.0, beam_hardening=0.0, shape=(30, 96, 96), spacing_mm=(8.0, 4.2, 4.2))
    plain = make_leg_ct(spec)
    island = make_leg_ct(replace(spec, benign=(BenignSpec(size_mm=20.0),)))
    change = island.volume.array.astype(int) - plain.volume.array
    bone = plain.masks["truth"].of(BONE_VALUES["femur", "left"])
    assert change.max() > 300
    assert np.argwhere(change > 150).size > 0
    assert bone[change > 150].all()
    assert np.array_equal(island.masks["truth"].array, plain.masks["truth"].array)
    assert island.lesions == ()


def test_motion_touches_a_few_neighbouring_slices_only() -> None:
    spec = replace(COARSE, lesions=(), noise_hu=0.0, beam_hardening=0.0, table="none")
    still, jerked = make_leg_ct(spec), make_leg_ct(replace(spec, motion_mm=9.0))
    changed = np.flatnonzero((still.volume.array != jerked.volume.array).any(axis=(1, 2)))
    assert 1 <= len(changed) <= 6
    assert np.array_equal(changed, np.arange(changed[0], changed[-1] + 1))


def test_an_arm_lies_in_front_of_the_thigh() -> None:
    made = make_leg_ct(replace(COARSE, lesions=(), arms=True, coverage="femur"))
    truth = made.masks["truth"]
    arm, leg = (truth.grid.to_lps_mm(np.argwhere(truth.of(v)))[:, 1] for v in (ARM_VALUE, SOFT_VALUES["left"]))
    assert arm.mean() < leg.mean()
