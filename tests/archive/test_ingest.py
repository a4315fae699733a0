"""Films are taken in by content, and every file of a source has one row that says what became of it."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from sqlalchemy import text

from osteon.archive.ingest import SAME_FILE, SAME_PIXELS, SAME_UID, add_sources
from osteon.archive.search import list_files, list_patients, search_films, summary
from osteon.archive.store import Archive
from osteon.errors import InputError

Film = Callable[..., Path]


def states(archive: Archive) -> dict[str, tuple[str, str]]:
    """File name -> state and reason."""
    with archive.reading() as connection:
        rows = connection.execute(text("SELECT name, state, reason FROM files")).all()
    return {name: (state, reason) for name, state, reason in rows}


def heap(folder: Path, film: Film) -> Path:
    """Films of two patients, each kind of duplicate, and what is no film."""
    film(folder / "a" / "1.dcm", number=1)
    film(folder / "a" / "2", number=2, PatientID="P2", PatientName="山田^太郎=やまだ", PatientBirthDate=None)
    shutil.copy(folder / "a" / "1.dcm", folder / "b.dcm")  # the same file
    film(folder / "c.dcm", number=3, SOPInstanceUID="1.2.826.0.1.3680043.8.498.1.1")  # the UID of 1, other pixels
    film(folder / "d.dcm", number=1, SOPInstanceUID="1.2.3", PatientID="P9")  # the pixels of 1, another patient
    whole = film(folder / "e.dcm", number=5).read_bytes()
    (folder / "e.dcm").write_bytes(whole[:-500])
    (folder / "notes.txt").write_text("not a film")
    film(folder / "raw.dcm", number=6, PresentationIntentType="FOR PROCESSING")
    film(folder / "two.dcm", number=7, NumberOfFrames=2)
    film(folder / "slice.dcm", number=8, Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    cv2.imwrite(str(folder / "picture.png"), np.arange(4000, dtype=np.uint8).reshape(50, 80))
    return folder


def test_each_file_has_the_state_it_deserves(archive: Archive, film: Film, tmp_path: Path) -> None:
    source = heap(tmp_path / "heap", film)
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    added = add_sources(archive, [source])
    found = states(archive)
    assert added.files == len(before) == len(found)
    assert added.states == {"stored": 3, "duplicate": 3, "damaged": 1, "refused": 4}
    assert {name for name, (state, _) in found.items() if state == "stored"} == {"1.dcm", "2", "picture.png"}
    assert found["b.dcm"] == ("duplicate", SAME_FILE)
    assert found["c.dcm"] == ("duplicate", SAME_UID)
    assert found["d.dcm"] == ("duplicate", SAME_PIXELS)
    assert "truncated" in found["e.dcm"][1]
    assert "FOR PROCESSING" in found["raw.dcm"][1]
    assert "2 images" in found["two.dcm"][1]
    assert "an image of MR" in found["slice.dcm"][1]
    assert "neither DICOM nor" in found["notes.txt"][1]
    assert {path: path.read_bytes() for path in before} == before
    copies = sorted((archive.folder / "films").rglob("*.*"))
    wanted = {"1.dcm", "2", "c.dcm", "d.dcm", "picture.png"}
    assert sorted(path.stem for path in copies) == sorted(
        hashlib.sha256(data).hexdigest() for path, data in before.items() if path.name in wanted
    )
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.stem for path in copies)
    assert len(list((archive.folder / "thumbnails").rglob("*.jpg"))) == len(copies)


def test_a_film_that_repeats_another_is_not_counted_twice(archive: Archive, film: Film, tmp_path: Path) -> None:
    add_sources(archive, [heap(tmp_path / "heap", film)])
    counts = summary(archive)
    assert (counts["films"], counts["patients"], counts["patients_not_named"]) == (3, 4, 1)
    assert len(search_films(archive, [])) == 3
    assert [row["patient"] for row in search_films(archive, ["modality=CR"])] == ["P1", "P2"]
    assert {Path(row["path"]).name for row in list_files(archive, "duplicate")} == {"b.dcm", "c.dcm", "d.dcm"}


def test_a_repeat_changes_nothing(archive: Archive, film: Film, tmp_path: Path) -> None:
    source = heap(tmp_path / "heap", film)
    add_sources(archive, [source])

    def everything() -> list[object]:
        with archive.reading() as connection:
            names = ("files", "images", "studies", "cases", "patients")
            return [connection.execute(text(f"SELECT * FROM {name} ORDER BY id")).all() for name in names]  # noqa: S608

    before = everything()
    again = add_sources(archive, [source])
    assert (again.before, again.states) == (again.files, {})
    assert everything() == before


def test_a_file_that_changed_is_looked_at_again(archive: Archive, film: Film, tmp_path: Path) -> None:
    path = film(tmp_path / "heap" / "1.dcm", number=1)
    path.write_bytes(path.read_bytes()[:-100])
    assert add_sources(archive, [path]).states == {"damaged": 1}
    film(path, number=1)
    assert add_sources(archive, [path]).states == {"stored": 1}
    assert summary(archive)["files"]["damaged"] == 0


def test_what_a_header_says_is_kept(archive: Archive, film: Film, tmp_path: Path) -> None:
    film(tmp_path / "f.dcm", ViewPosition="AP", Laterality="L", AdmissionID="K77", AccessionNumber="A1")
    add_sources(archive, [tmp_path / "f.dcm"])
    (row,) = search_films(
        archive,
        [],
        names=("patient", "case", "sex", "age", "study_date", "accession", "view", "side", "body_part", "rows"),
    )
    assert row.pop("age") == pytest.approx(40.16, abs=0.01)
    assert row == {
        "patient": "P1",
        "case": "K77",
        "sex": "F",
        "study_date": "2010-02-28",
        "accession": "A1",
        "view": "AP",
        "side": "L",
        "body_part": "KNEE",
        "rows": 24,
    }


@pytest.mark.parametrize(
    ("second", "patients"),
    [
        ({"PatientBirthDate": "19800102"}, ["P1", "P1#2"]),  # another person
        ({"PatientName": "Other^Name"}, ["P1"]),  # the same birthday: a new name
        ({"PatientBirthDate": None, "PatientName": "Other^Name"}, ["P1", "P1#2"]),
        ({"PatientBirthDate": None, "PatientName": "QUUX^ZELDA"}, ["P1"]),
        ({"PatientBirthDate": None, "PatientName": None}, ["P1"]),  # nothing speaks against it
    ],
)
def test_two_people_under_one_identifier_are_kept_apart(
    archive: Archive, film: Film, tmp_path: Path, second: dict[str, str | None], patients: list[str]
) -> None:
    film(tmp_path / "1.dcm", number=1)
    film(tmp_path / "2.dcm", number=2, **second)
    film(tmp_path / "3.dcm", number=3, **second)
    for name in ("1", "2", "3"):
        add_sources(archive, [tmp_path / f"{name}.dcm"])
    assert [row["patient"] for row in list_patients(archive)] == patients
    assert summary(archive)["second_person_under_an_identifier"] == len(patients) - 1
    assert len(search_films(archive, [f"patient={patients[-1]}"])) == (2 if len(patients) == 2 else 3)


def test_names_in_other_alphabets_are_kept_and_found_again(archive: Archive, film: Film, tmp_path: Path) -> None:
    names = {"山田^太郎": "ISO_IR 192", "Жуков^Иван": "ISO_IR 144", "Müller^Jörg": "ISO_IR 100"}
    for number, (name, alphabet) in enumerate(names.items()):
        for again in (0, 1):
            tags = {"PatientName": name, "SpecificCharacterSet": alphabet, "PatientBirthDate": None}
            film(tmp_path / f"{number}{again}.dcm", number=2 * number + again, PatientID="X", **tags)
    add_sources(archive, [tmp_path])
    assert [row["films"] for row in list_patients(archive)] == [2, 2, 2]
    with archive.reading() as connection:
        assert set(connection.execute(text("SELECT name FROM patients")).scalars()) == set(names)


def test_two_patients_under_one_study_uid_stay_two(archive: Archive, film: Film, tmp_path: Path) -> None:
    for number, patient in enumerate(("P1", "P2")):
        film(tmp_path / f"{number}.dcm", number=number, PatientID=patient, StudyInstanceUID="1.2.3")
    add_sources(archive, [tmp_path])
    assert summary(archive)["studies"] == 2


def test_films_of_nobody_share_a_patient_by_study(archive: Archive, film: Film, tmp_path: Path) -> None:
    for number in range(3):
        film(tmp_path / f"{number}.dcm", number=number, PatientID=None, StudyInstanceUID=f"1.2.{number // 2}")
    add_sources(archive, [tmp_path])
    assert [(row["named"], row["films"]) for row in list_patients(archive)] in (
        [(False, 2), (False, 1)],
        [(False, 1), (False, 2)],
    )


def test_zips_and_the_folder_of_a_dicomdir_are_taken_in(archive: Archive, film: Film, tmp_path: Path) -> None:
    disc = tmp_path / "disc"
    film(disc / "IMAGES" / "1", number=1)
    (disc / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as packed:
        packed.write(film(tmp_path / "x.dcm", number=2), "deep/x.dcm")
        packed.write(film(tmp_path / "y.dcm", number=3), "y.dcm")
    (tmp_path / "broken.zip").write_bytes((tmp_path / "films.zip").read_bytes()[:-30])
    sources = [disc / "DICOMDIR", tmp_path / "films.zip", tmp_path / "broken.zip"]
    assert add_sources(archive, sources).states == {"stored": 3, "damaged": 2}
    found = states(archive)
    assert found["000001_x.dcm"][0] == "stored"
    assert "damaged zip" in found["broken.zip"][1]
    assert add_sources(archive, sources).states == {}


def test_the_archive_does_not_take_in_itself(archive: Archive, film: Film, tmp_path: Path) -> None:
    film(tmp_path / "1.dcm")
    assert add_sources(archive, [tmp_path]).files == 1
    assert add_sources(archive, [tmp_path]).files == 1


def test_a_source_that_is_not_there_is_an_error(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        add_sources(archive, [tmp_path / "nowhere"])


def test_empty_films_are_not_one_film(archive: Archive, tmp_path: Path) -> None:
    for value in (0, 7):
        cv2.imwrite(str(tmp_path / f"{value}.png"), np.full((20, 30), value, dtype=np.uint8))
    cv2.imwrite(str(tmp_path / "8.png"), np.full((20, 30), 0, dtype=np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 0])
    assert add_sources(archive, [tmp_path]).states == {"stored": 3}


@pytest.mark.shared_data
def test_one_film_in_other_encodings_is_found(archive: Archive, shared_data: Path) -> None:
    films = sorted((shared_data / "nema_wg04_dicom").glob("RG3_*.dcm"))
    added = add_sources(archive, films)
    # the same pixels in each lossless encoding, under other UIDs; lossy ones differ
    assert added.states == {"stored": 4, "duplicate": 4}
    (patient,) = list_patients(archive)
    assert (patient["patient"], patient["sex"], patient["films"]) == ("11RG3", "F", 4)
