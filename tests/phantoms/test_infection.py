"""The mimics of a tumour: what they show, what they do not, and what the truth calls them."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from osteon.errors import InputError
from osteon_phantoms import BenignSpec, LegSpec, Phantom, make_leg_ct
from osteon_phantoms.labels import BONE_VALUES, INFECTION_VALUE, LESION_VALUE, SOFT_VALUES

Legs = Phantom[LegSpec]
PLAIN = LegSpec(
    seed=5,
    legs="left",
    coverage="femur",
    shape=(13, 150, 150),
    spacing_mm=(8.0, 1.4, 1.4),
    noise_hu=0.0,
    beam_hardening=0.0,
    table="none",
)
OLD = BenignSpec(
    kind="osteomyelitis", bone="femur", site="diaphysis", size_mm=80, activity=0.1, swelling=1.0, position=0.56
)


@pytest.fixture(scope="module")
def plain() -> Legs:
    return make_leg_ct(PLAIN)


@pytest.fixture(scope="module")
def old() -> Legs:
    return make_leg_ct(replace(PLAIN, benign=(OLD,)))


def test_the_truth_names_an_infection_and_no_tumour(old: Legs) -> None:
    focus = old.masks["truth"].of(INFECTION_VALUE)
    assert focus.any()
    assert not (old.masks["truth"].array == LESION_VALUE).any()
    assert old.lesions == ()
    label = next(label for label in old.masks["truth"].labels if label.value == INFECTION_VALUE)
    assert "osteomyelitis" in label.name
    assert label.kind is not None
    assert "neoplasm" not in label.kind.meaning.lower()
    length_mm = np.ptp(np.flatnonzero(focus.any(axis=(1, 2)))) * 8.0
    assert 48 <= length_mm <= 88


def test_an_old_focus_has_lysis_with_a_sequestrum_in_it_and_new_bone_around(plain: Legs, old: Legs) -> None:
    bone = plain.masks["truth"].of(BONE_VALUES["femur", "left"])
    change = old.volume.array.astype(int) - plain.volume.array
    middle = 6
    marrow = bone[middle] & (plain.volume.array[middle] < 300)
    inside = old.volume.array[middle][marrow]
    assert (inside > 900).sum() >= 3, "sequestrum"
    assert ((inside > 0) & (inside < 120)).sum() > 10, "pus"
    sleeve = old.masks["truth"].of(INFECTION_VALUE) & ~bone
    assert np.median(old.volume.array[sleeve]) > 450
    assert (change[sleeve] > 100).mean() > 0.9


def test_swollen_tissue_loses_its_fat_planes_but_holds_no_mineral(plain: Legs, old: Legs) -> None:
    middle = 6
    tissue = (
        plain.masks["truth"].of(SOFT_VALUES["left"])[middle]
        & old.masks["truth"].of(SOFT_VALUES["left"])[middle]
        & (np.abs(plain.volume.array[middle]) < 200)
    )
    before, after = plain.volume.array[middle][tissue], old.volume.array[middle][tissue]
    assert (after < -40).sum() < 0.9 * (before < -40).sum()
    assert np.percentile(after, 99) < 130
    area = [int(p.masks["truth"].of(SOFT_VALUES["left"])[middle].sum()) for p in (plain, old)]
    assert area[1] > 1.02 * area[0]


def test_a_fresh_focus_has_no_tract_and_eats_the_cortex(plain: Legs) -> None:
    from osteon_phantoms.legs.findings import Infection
    from osteon_phantoms.legs.painter import build_scene

    fresh_spec = replace(PLAIN, benign=(replace(OLD, activity=0.95),))
    (limb,) = build_scene(fresh_spec).limbs
    (focus,) = limb.findings
    assert isinstance(focus, Infection)
    assert (focus.sequestrum, focus.cloaca, focus.tract) == (None, None, None)
    fresh = make_leg_ct(fresh_spec)
    cortex = plain.volume.array > 1000
    assert (fresh.volume.array[cortex] < 700).sum() > 20


def test_an_infection_changes_its_own_leg_only() -> None:
    spec = replace(PLAIN, legs="both", shape=(3, 110, 110), spacing_mm=(20.0, 4.0, 4.0))
    without, ill = make_leg_ct(spec), make_leg_ct(replace(spec, benign=(OLD,)))
    differs = np.argwhere(without.volume.array != ill.volume.array)
    assert len(differs)
    assert (without.volume.grid.to_lps_mm(differs)[:, 0] > 0).all()


@pytest.mark.parametrize("bone", ["femur", "tibia"])
def test_new_bone_never_comes_through_the_skin(bone: Literal["femur", "tibia"]) -> None:
    shape = replace(PLAIN, coverage=bone, shape=(5, 150, 150), spacing_mm=(12.0, 1.4, 1.4))
    air = make_leg_ct(shape).masks["truth"].array == 0
    callus = BenignSpec(kind="callus", bone=bone, site="diaphysis", size_mm=100, gap_mm=5.0)
    infected = replace(OLD, bone=bone, swelling=0.0, activity=0.7)
    for finding in (callus, infected):
        made = make_leg_ct(replace(shape, benign=(finding,)))
        assert made.volume.array[air].max() < 250


def test_a_young_callus_is_less_dense_than_cortex_and_leaves_a_gap(plain: Legs) -> None:
    young = BenignSpec(
        kind="callus", bone="femur", site="diaphysis", size_mm=80, gap_mm=10.0, position=0.56, direction_degrees=0.0
    )
    made = make_leg_ct(replace(PLAIN, benign=(young,)))
    assert np.array_equal(made.masks["truth"].array, plain.masks["truth"].array)
    tissue = plain.masks["truth"].of(SOFT_VALUES["left"])
    cuff = tissue & (made.volume.array - plain.volume.array.astype(int) > 200)
    assert cuff.sum() > 200
    assert 250 < np.median(made.volume.array[cuff]) < 900
    cortex = plain.volume.array > 1100
    assert (made.volume.array[cortex] < 600).any()


def test_a_kernel_and_a_drift_change_the_picture_as_they_say(plain: Legs) -> None:
    soft, sharp = (make_leg_ct(replace(PLAIN, kernel_sharpness=s)).volume.array for s in (-1.0, 1.0))
    ordinary = plain.volume.array
    edges = [np.abs(np.diff(image[6].astype(int), axis=0)).max() for image in (soft, ordinary, sharp)]
    assert edges[0] < edges[1] < edges[2]
    drifted = make_leg_ct(replace(PLAIN, hu_scale=1.02, hu_offset=5.0)).volume.array
    inside = (ordinary > -900) & (ordinary < 2900)
    expected = (ordinary[inside] + 1000.0) * 1.02 - 1000 + 5
    assert np.abs(drifted[inside] - expected).max() <= 1.1


def test_thick_slices_are_smoother_along_the_leg() -> None:
    spec = replace(PLAIN, coverage="knee", shape=(12, 60, 60), spacing_mm=(3.0, 3.2, 3.2))
    thin, thick = (make_leg_ct(replace(spec, slice_thickness_mm=mm)).volume.array.astype(int) for mm in (3.0, 9.0))
    assert np.abs(np.diff(thick, axis=0)).mean() < 0.9 * np.abs(np.diff(thin, axis=0)).mean()


@pytest.mark.parametrize(
    "wrong",
    [
        {"size_mm": 130.0, "kind": "osteomyelitis"},
        {"size_mm": 10.0, "kind": "osteomyelitis"},
        {"size_mm": 80.0, "kind": "callus"},
        {"activity": 1.5},
        {"swelling": -0.1},
    ],
)
def test_an_impossible_finding_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        BenignSpec(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="kernel_sharpness"):
        LegSpec(kernel_sharpness=2.0)
