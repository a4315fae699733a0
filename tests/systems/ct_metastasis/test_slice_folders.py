"""The classification set in both of its nestings."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from osteon.curation.splits import UNKNOWN_PATIENTS_WARNING
from osteon.data.options import silent
from osteon.data.system import MadeDataset
from osteon.errors import InputError
from osteon.systems.ct_metastasis.options import DatasetOptions
from osteon.systems.ct_metastasis.picture_sets import make_dataset
from tests.read_back import missing_images


def build(place: Path, out: Path, **options: bool) -> MadeDataset:
    return make_dataset(place, out, DatasetOptions(**options), 1, silent)  # type: ignore[arg-type]  # bools of it


def put(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (12, 12)).astype(np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, values)[1].tobytes())


def source(folder: Path, way: str) -> Path:
    """Two healthy patients, two with metastases; "1" is the name of one of each."""
    for number in range(3):
        put(folder / "Normal" / "1" / f"{number}.jpg", number)
        put(folder / "Normal" / "2" / "ct" / f"{number}.jpg", 10 + number)
        for patient in ("1", "9"):
            for kind in ("Normal slices", "Metastatic_slices"):
                inner = Path(patient) / kind if way == "patients" else Path(kind) / patient
                put(folder / "ABNORMAL" / inner / f"{number}.JPG", 100 * int(patient) + 10 * len(kind) + number)
    return folder


@pytest.mark.parametrize("way", ["patients", "kinds"])
def test_slices_are_labelled_by_what_they_show(tmp_path: Path, way: str) -> None:
    place = source(tmp_path / "set of slices", way)
    made = build(place, tmp_path / "set")
    manifest = made.built.manifest
    assert (made.built.skipped, made.lines[1:]) == ((), ())
    assert manifest.patients == ("2", "9", "metastasis-1", "normal-1")
    assert missing_images(manifest) == ()
    counts = {
        (row.patient, row.label, row.extra["of"]): sum(
            (other.patient, other.label) == (row.patient, row.label) for other in manifest.rows
        )
        for row in manifest.rows
    }
    assert counts == {
        ("2", "normal", "healthy patient"): 3,
        ("normal-1", "normal", "healthy patient"): 3,
        ("9", "normal", "metastatic patient"): 3,
        ("9", "metastasis", "metastatic patient"): 3,
        ("metastasis-1", "normal", "metastatic patient"): 3,
        ("metastasis-1", "metastasis", "metastatic patient"): 3,
    }
    for row in manifest.rows:
        assert (manifest.folder / row.image).read_bytes() == (place / row.extra["file"]).read_bytes()
        assert (row.bone_mask, row.lesion_mask) == ("", "")
    assert "lesion_mask" not in (tmp_path / "set" / "manifest.csv").read_text("utf-8")
    assert build(place, tmp_path / "set").built.made == 0


def test_normal_slices_of_metastatic_patients_can_be_dropped(tmp_path: Path) -> None:
    place = source(tmp_path / "slices", "patients")
    manifest = build(place, tmp_path / "set", drop_normal=True).built.manifest
    assert {row.extra["of"] for row in manifest.rows if row.label == "normal"} == {"healthy patient"}
    assert len(manifest) == 12


def test_slices_that_nothing_labels_or_nobody_can_read_are_named(tmp_path: Path) -> None:
    place = source(tmp_path / "slices", "patients")
    put(place / "ABNORMAL" / "9" / "x.jpg", 1)
    (place / "Normal" / "1" / "2.jpg").write_bytes(b"no picture")
    built = build(place, tmp_path / "set").built
    assert len(built.manifest) == 17
    reasons = {item.name: item.reason for item in built.skipped}
    assert "neither 'normal slices' nor 'metastatic slices'" in reasons["ABNORMAL/9/x.jpg"]
    assert "2.jpg" in reasons["Normal/1/2.jpg"]
    assert len(reasons) == 2


def test_slices_without_patients_are_refused_or_taken_with_a_warning(tmp_path: Path) -> None:
    for number in range(2):
        put(tmp_path / "flat" / "normal" / f"{number}.png", number)
        put(tmp_path / "flat" / "abnormal" / "metastatic slices" / f"{number}.png", 10 + number)
    with pytest.raises(InputError, match="nothing identifies the patients of 4 images"):
        build(tmp_path / "flat", tmp_path / "set")
    made = build(tmp_path / "flat", tmp_path / "set", own_patients=True)
    assert made.lines[1:] == (f"! {UNKNOWN_PATIENTS_WARNING}",)
    assert len(made.built.manifest.patients) == 4
    for folder in ("normal", "abnormal"):
        (tmp_path / "empty" / folder).mkdir(parents=True)
    with pytest.raises(InputError, match="not one image of empty can be used"):
        build(tmp_path / "empty", tmp_path / "other")


def test_folders_and_tables_that_spell_a_patient_in_two_ways_are_refused(tmp_path: Path) -> None:
    place = source(tmp_path / "slices", "patients")
    put(place / "Normal" / "002" / "0.jpg", 7)
    with pytest.raises(InputError, match=r"may be one person: '002' and '2'"):
        build(place, tmp_path / "set")
    (place / "Normal" / "002").rename(place / "Normal" / "3")
    (place / "patients.csv").write_text("PATIENT,SEX\n09,F\n3,M\n")
    with pytest.raises(InputError, match=r"the table of patients.*'09' and '9'"):
        build(place, tmp_path / "set")
    (place / "patients.csv").write_text("PATIENT,SEX\n09,F\n3,M\n")
    (place / "aliases.csv").write_text("written,means\n09,9\n")
    manifest = build(place, tmp_path / "set").built.manifest
    assert {row.sex for row in manifest.rows if row.patient == "9"} == {"F"}


def test_equal_names_of_two_groups_are_two_people_however_they_are_spelled(tmp_path: Path) -> None:
    place = source(tmp_path / "slices", "patients")
    (place / "Normal" / "1").rename(place / "Normal" / "01")
    assert build(place, tmp_path / "set").built.manifest.patients == ("2", "9", "metastasis-1", "normal-01")
