"""A made-up study of femur MR: who is in it, and files that the data set builder takes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from osteon.errors import InputError, OutputError
from osteon.io.table import read_manifest
from osteon.systems.mri_femur.source import build_from_table
from osteon_phantoms.cohorts.femur_mr import FemurMrStudy, build_femur_mr_cohort, write_femur_slices
from osteon_phantoms.femur_mr import make_femur_mr
from osteon_phantoms.femur_mr_cohort import FemurMrPatient, femur_mr_cohort

STUDY = FemurMrStudy(patients=9, seed=2, test=None, size=64)


@pytest.fixture(scope="module")
def people() -> tuple[FemurMrPatient, ...]:
    return femur_mr_cohort(180, seed=3)


def test_a_longer_cohort_begins_with_the_shorter_one(people: tuple[FemurMrPatient, ...]) -> None:
    assert femur_mr_cohort(9, seed=3) == people[:9]
    assert femur_mr_cohort(9, seed=4) != people[:9]


def test_looks_are_shared_as_in_the_study_and_nothing_but_the_lesion_tells_them(
    people: tuple[FemurMrPatient, ...],
) -> None:
    assert Counter(person.look for person in people) == {"benign": 100, "malignant": 60, "intermediate": 20}
    malignant = np.array([person.look == "malignant" for person in people])
    for name in ("sequence", "plane", "side", "field_tesla", "sex"):
        values = np.array([str(getattr(person.spec, name)) for person in people])
        for value in np.unique(values):
            assert abs(np.corrcoef(malignant, values == value)[0, 1]) < 0.25
    sizes = np.array([person.spec.lesion.size_mm for person in people if person.spec.lesion])
    assert abs(np.corrcoef(malignant, sizes)[0, 1]) < 0.2
    assert all(person.spec.lesion and person.spec.lesion.look == person.look for person in people)
    fields = {person.centre: person.spec.field_tesla for person in people}
    assert all(person.spec.field_tesla == fields[person.centre] for person in people)


def test_every_slice_shows_its_lesion() -> None:
    for person in femur_mr_cohort(30, seed=7, size=48):
        assert np.count_nonzero(make_femur_mr(person.spec).lesion.array) >= 2, person.spec


def test_the_data_set_is_what_the_study_takes(tmp_path: Path) -> None:
    built = build_femur_mr_cohort(tmp_path / "set", STUDY)
    manifest = read_manifest(tmp_path / "set" / "manifest.csv")
    assert len(manifest) == 8  # the intermediate one is left out of two classes, and told
    assert len(built.skipped) == 1
    assert Counter(row.label for row in manifest.rows) == {"benign": 5, "malignant": 3}
    row = manifest.rows[0]
    assert {row.text("sequence"), row.text("synthetic")} <= {"t1", "t2", "stir", "t1_contrast", "yes"}
    assert float(row.text("mm_per_pixel")) > 0
    assert build_femur_mr_cohort(tmp_path / "set", STUDY).made == 0


def test_whole_slices_with_masks_make_the_same_crops(tmp_path: Path) -> None:
    write_femur_slices(tmp_path / "slices", STUDY)
    from_files = build_from_table(tmp_path / "slices", tmp_path / "from_files")
    direct = build_femur_mr_cohort(tmp_path / "direct", STUDY)
    assert [row.text("box") for row in from_files.manifest.rows] == [row.text("box") for row in direct.manifest.rows]
    assert [row.label for row in from_files.manifest.rows] == [row.label for row in direct.manifest.rows]
    with pytest.raises(OutputError, match="not empty"):
        write_femur_slices(tmp_path / "slices", STUDY)


def test_what_is_no_cohort_is_refused() -> None:
    with pytest.raises(InputError, match="1 to 9999 patients, found 0"):
        femur_mr_cohort(0)
