"""A made-up study: who is in it, and that nothing but the picture tells the label."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from osteon.errors import InputError, UnknownLabelError
from osteon.ops.legs import find_legs
from osteon_phantoms import CENTRES, SCANNERS, CohortPatient, cohort, make_leg_ct, scan_with
from osteon_phantoms.labels import INFECTION_VALUE, LESION_VALUE
from osteon_phantoms.spec import COVERAGE_CENTRE_W_MM, SITES


@pytest.fixture(scope="module")
def study() -> tuple[CohortPatient, ...]:
    return cohort(96, seed=3)


def test_a_longer_cohort_begins_with_the_shorter_one(study: tuple[CohortPatient, ...]) -> None:
    assert cohort(11, seed=3) == study[:11]
    assert cohort(11, seed=4) != study[:11]


def test_a_preset_changes_the_grid_and_nothing_else(study: tuple[CohortPatient, ...]) -> None:
    for coarse, tiny in zip(study[:20], cohort(20, seed=3, preset="tiny"), strict=True):
        assert tiny.spec.shape != coarse.spec.shape
        same_grid = replace(
            tiny.spec,
            shape=coarse.spec.shape,
            spacing_mm=coarse.spec.spacing_mm,
            slice_thickness_mm=coarse.spec.slice_thickness_mm,
        )
        assert replace(tiny, spec=same_grid) == coarse


def test_half_of_the_patients_have_a_tumour_and_every_kind_is_there(study: tuple[CohortPatient, ...]) -> None:
    labels = Counter(patient.label for patient in study)
    assert labels == {"tumour": 48, "healthy": 48}
    assert {patient.label for patient in cohort(2, seed=9)} == {"tumour", "healthy"}
    kinds = Counter(patient.kind for patient in study if patient.label == "healthy")
    assert kinds == {"osteomyelitis": 18, "callus": 12, "bone_island": 6, "metal": 6, "plain": 6}
    for patient in study:
        spec = patient.spec
        assert bool(spec.lesions) == (patient.label == "tumour") == (patient.kind == "osteosarcoma")
        if patient.kind in {"osteomyelitis", "callus", "bone_island"}:
            assert [finding.kind for finding in spec.benign] == [patient.kind]
        if patient.kind in {"metal", "plain"}:
            assert not spec.benign
            assert (spec.metal is not None) == (patient.kind == "metal")
        assert (spec.age_years, spec.sex) == (patient.age_years, patient.sex)
    assert {patient.spec.coverage for patient in study} == set(COVERAGE_CENTRE_W_MM)
    assert any(patient.spec.metal for patient in study if patient.label == "tumour")
    assert any(patient.spec.benign for patient in study if patient.label == "tumour")
    assert len({patient.patient_id for patient in study}) == len({patient.spec.seed for patient in study}) == 96


def test_neither_centre_nor_age_nor_sex_tells_the_label(study: tuple[CohortPatient, ...]) -> None:
    table = Counter((patient.centre, patient.label) for patient in study)
    assert set(table.values()) == {12}
    assert {centre for centre, _ in table} == set(CENTRES)
    assert len(CENTRES) >= 4
    assert {(patient.centre, patient.scanner) for patient in study} == {(s.centre, s.name) for s in SCANNERS}
    many = cohort(600, seed=1)
    tumour = np.array([patient.label == "tumour" for patient in many])
    for values in (
        [patient.age_years for patient in many],
        [patient.sex == "M" for patient in many],
        [patient.spec.metal is not None for patient in many],
        [patient.spec.body_fat for patient in many],
        [patient.scanner == "Eos 4" for patient in many],
    ):
        assert abs(np.corrcoef(tumour, np.array(values, dtype=float))[0, 1]) < 0.12


def test_the_main_finding_lies_in_the_field() -> None:
    for patient in cohort(200, preset="tiny"):
        spec = patient.spec
        if patient.kind in {"metal", "plain"}:
            continue
        finding = spec.lesions[0] if spec.lesions else spec.benign[0]
        low, high = SITES[finding.bone, finding.site]
        away_mm = abs(low + finding.position * (high - low) - COVERAGE_CENTRE_W_MM[spec.coverage]) * spec.scale
        assert away_mm < spec.shape[0] * spec.spacing_mm[0] / 2
        assert finding.leg != spec.amputee
        assert spec.metal is None or finding.leg != spec.metal_leg


def test_tiny_patients_are_read_as_legs_and_hold_their_finding() -> None:
    for patient in cohort(6, preset="tiny"):
        made = make_leg_ct(patient.spec)
        found = find_legs(made.volume)
        inside = np.zeros(made.volume.grid.shape, dtype=bool)
        for leg in found.legs:
            inside[leg.box.slices] |= leg.mask()
        tumour, focus = (made.truth.array == value for value in (LESION_VALUE, INFECTION_VALUE))
        assert tumour.any() == (patient.label == "tumour")
        assert focus.any() == (patient.kind == "osteomyelitis")
        if (tumour | focus).any():
            assert inside[tumour | focus].mean() > 0.8


def test_a_scanner_keeps_the_length_of_the_field(study: tuple[CohortPatient, ...]) -> None:
    spec = study[0].spec
    generator = np.random.default_rng(0)
    for scanner in SCANNERS:
        scanned = scan_with(spec, scanner, generator)
        length = scanned.shape[0] * scanned.spacing_mm[0]
        assert length == pytest.approx(spec.shape[0] * spec.spacing_mm[0], abs=scanned.spacing_mm[0])
        assert (scanned.seed, scanned.lesions, scanned.benign) == (spec.seed, spec.lesions, spec.benign)
    prone = scan_with(replace(spec, patient_position="HFP"), SCANNERS[1], generator)
    assert prone.patient_position == "HFP"


def test_an_impossible_cohort_is_refused() -> None:
    with pytest.raises(InputError, match="1 to 9999"):
        cohort(0)
    with pytest.raises(UnknownLabelError, match="coarse"):
        cohort(2, preset="corse")  # type: ignore[arg-type]
