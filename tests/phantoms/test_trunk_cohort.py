"""A made-up study of metastases: who is in it, and that nothing but the picture tells the label."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from osteon.errors import InputError, UnknownLabelError
from osteon_phantoms import CENTRES, SCANNERS, make_trunk
from osteon_phantoms.trunk_cohort import TrunkPatient, trunk_cohort
from osteon_phantoms.trunk_sampling import random_trunk_spec
from osteon_phantoms.trunk_skeleton import bone_extents
from osteon_phantoms.trunk_spec import MIMIC_BONES, LesionType, MimicKind


@pytest.fixture(scope="module")
def study() -> tuple[TrunkPatient, ...]:
    return trunk_cohort(120, seed=3, healthy=0.5)


def test_a_longer_cohort_begins_with_the_shorter_one(study: tuple[TrunkPatient, ...]) -> None:
    assert trunk_cohort(9, seed=3, healthy=0.5) == study[:9]
    assert trunk_cohort(9, seed=4, healthy=0.5) != study[:9]


def test_a_preset_changes_the_grid_and_nothing_else(study: tuple[TrunkPatient, ...]) -> None:
    for coarse, tiny in zip(study[:12], trunk_cohort(12, seed=3, preset="tiny", healthy=0.5), strict=True):
        assert tiny.spec.slices < coarse.spec.slices
        grid = {name: getattr(coarse.spec, name) for name in ("size", "pixel_mm", "slice_mm", "thickness_mm")}
        assert replace(tiny, spec=replace(tiny.spec, **grid)) == coarse


def test_the_healthy_have_no_metastasis_and_all_looks_and_mimics_occur(study: tuple[TrunkPatient, ...]) -> None:
    assert Counter(patient.label for patient in study) == {"metastasis": 60, "normal": 60}
    for patient in study:
        assert bool(patient.spec.lesions) == (patient.label == "metastasis")
    lesions = [lesion for patient in study for lesion in patient.spec.lesions]
    assert {lesion.type for lesion in lesions} == set(get_args(LesionType))
    assert min(lesion.size_mm for lesion in lesions) < 8
    assert 15 < np.median([lesion.size_mm for lesion in lesions]) < 45
    structures = Counter(bone_extents()[lesion.bone][0] for lesion in lesions)
    assert structures["vertebra"] > max(structures["hip"], structures["rib"] / 2)
    assert {"hip", "rib", "sacrum", "femur", "sternum"} <= set(structures)
    for label in ("metastasis", "normal"):
        mimics = [mimic for patient in study if patient.label == label for mimic in patient.spec.mimics]
        assert {mimic.kind for mimic in mimics} == set(get_args(MimicKind))
        assert all(bone_extents()[mimic.bone][0] in MIMIC_BONES[mimic.kind] for mimic in mimics)
    counts = [len(patient.spec.lesions) for patient in study if patient.spec.lesions]
    assert min(counts) == 1
    assert 12 < max(counts) <= 40
    assert len({patient.spec.seed for patient in study}) == len({patient.patient_id for patient in study}) == 120


def test_a_mimic_never_shares_a_bone_with_a_metastasis(study: tuple[TrunkPatient, ...]) -> None:
    for patient in study:
        ill = {lesion.bone for lesion in patient.spec.lesions}
        assert not ill & {mimic.bone for mimic in patient.spec.mimics}


def test_neither_centre_nor_coverage_nor_body_tells_the_label(study: tuple[TrunkPatient, ...]) -> None:
    table = Counter((patient.centre, patient.label) for patient in study)
    assert set(table.values()) == {15}
    assert {centre for centre, _ in table} == set(CENTRES)
    assert {(patient.centre, patient.scanner) for patient in study} == {(s.centre, s.name) for s in SCANNERS}
    for name in ("coverage", "patient_position"):
        seen = Counter((getattr(patient.spec, name), patient.label) for patient in study)
        for value in {value for value, _ in seen}:
            assert abs(seen[value, "metastasis"] - seen[value, "normal"]) <= 8
    ill = np.array([patient.label == "metastasis" for patient in study])
    for field in ("age_years", "body_fat", "body_scale", "bone_density", "slice_mm", "noise_hu"):
        values = np.array([getattr(patient.spec, field) for patient in study])
        assert abs(np.corrcoef(ill, values)[0, 1]) < 0.25
    assert {patient.spec.contrast for patient in study} == {"none", "arterial", "venous"}
    assert any(patient.spec.metal for patient in study)


def test_slices_are_as_thick_as_in_hospitals() -> None:
    people = trunk_cohort(40, seed=2)
    steps = [patient.spec.slice_mm for patient in people]
    assert 1 <= min(steps) < 2
    assert 4.5 < max(steps) <= 5
    widths = [patient.spec.size[0] * patient.spec.pixel_mm for patient in people]
    assert 350 < min(widths) < max(widths) < 450


def test_nearly_every_lesion_is_seen_in_the_field() -> None:
    seen = []
    for patient in trunk_cohort(8, seed=5, preset="tiny"):
        made = make_trunk(patient.spec)
        seen += [truth.volume_ml > 0 for truth in made.truth if truth.spec.size_mm > 12]
        assert (made.structures.array[made.lesions.array > 0] > 0).all()
    assert len(seen) > 15
    assert np.mean(seen) > 0.9


def test_one_patient_can_be_forced_to_be_ill_or_well() -> None:
    generator = np.random.default_rng(1)
    assert all(random_trunk_spec(generator, with_lesions=True).lesions for _ in range(5))
    assert not any(random_trunk_spec(generator, with_lesions=False).lesions for _ in range(5))
    drawn = [bool(random_trunk_spec(generator).lesions) for _ in range(40)]
    assert 8 < sum(drawn) < 32
    assert random_trunk_spec(generator, coverage="pelvis").coverage == "pelvis"


def test_what_is_no_cohort_is_refused() -> None:
    with pytest.raises(InputError, match="1 to 9999 patients, found 0"):
        trunk_cohort(0)
    with pytest.raises(InputError, match=r"from 0 to 1, found 1\.5"):
        trunk_cohort(4, healthy=1.5)
    with pytest.raises(UnknownLabelError, match=r"no cohort preset 'corse'.*coarse"):
        trunk_cohort(4, preset="corse")  # type: ignore[arg-type]
