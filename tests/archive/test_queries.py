"""Filters against a slow reading of them, cohort tables by hand, who may see whom, and what is exported."""

from __future__ import annotations

import ast
import json
import operator
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy import stats

import osteon.archive
from osteon.archive.access import Viewer, find_patient
from osteon.archive.clinical import Entry, Place, list_log, set_values
from osteon.archive.cohort import Conflict, cohort
from osteon.archive.export import export_films
from osteon.archive.ingest import add_sources
from osteon.archive.search import count_films, list_files, list_patients, search_films, summary
from osteon.archive.store import Archive, create_archive
from osteon.errors import InputError, OutputError, UsageError
from osteon.io.image import read_image
from osteon.io.table import read_manifest

BEN = Entry(person="Ben", role="documentation")
PEOPLE = (  # identifier, birth, study date, modality, view, entity, malignancy, age set by hand
    ("A", "19800101", "20100228", "CR", "AP", "osteosarcoma", "malignant", ""),
    ("B", "20000601", "20100301", "DX", "LATERAL", "enchondroma", "malignant", "9.5"),
    ("C", None, "20050101", "CR", "LAT OBL", "osteochondroma", "benign", ""),
    ("D", "19400101", None, "CR", None, "cartilaginous exostosis", "unknown", "70"),
    ("E", "19700101", "20101231", "DX", "AP", "unknown", "benign", ""),
    ("F", "19600101", "20120615", "DX", "A_B", "chondrosarcoma", "intermediate", ""),
)


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """One film of each of ``PEOPLE``, and a second one of A; nothing in it may be changed."""
    from tests.archive.conftest import new_database, write_film

    folder = tmp_path_factory.mktemp("queries")
    for number, (who, birth, seen, modality, view, *_) in enumerate(PEOPLE):
        tags: dict[str, Any] = {"PatientID": who, "PatientBirthDate": birth, "StudyDate": seen, "Modality": modality}
        write_film(folder / "heap" / f"{who}.dcm", number=number, ViewPosition=view, **tags)
    write_film(folder / "heap" / "A2.dcm", number=10, PatientID="A", PatientBirthDate="19800101", StudyDate="20110101")
    with new_database(request) as url, create_archive(folder / "archive", url=url) as archive:
        add_sources(archive, [folder / "heap"])
        for who, *_, entity, malignancy, age in PEOPLE:
            given = {"entity": entity, "malignancy": malignancy} | ({"age": age} if age else {})
            set_values(archive, Place(patient=who), given, BEN)
        yield archive


def everything(archive: Archive) -> list[dict[str, Any]]:
    names = ("patient", "study_date", "modality", "view", "entity", "malignancy", "age", "rows")
    return search_films(archive, [], names=names)


@pytest.mark.parametrize(
    ("where", "meets"),
    [
        ([], lambda row: True),
        (["patient=A"], lambda row: row["patient"] == "A"),
        (["patient!=A"], lambda row: row["patient"] != "A"),
        (["modality=CR", "malignancy=benign"], lambda row: (row["modality"], row["malignancy"]) == ("CR", "benign")),
        (["entity = Osteogenic sarcoma"], lambda row: row["entity"] == "osteosarcoma"),
        (["entity!=unknown"], lambda row: row["entity"] != "unknown"),
        (["age<18"], lambda row: row["age"] is not None and row["age"] < 18),
        (["age>40.5"], lambda row: row["age"] is not None and row["age"] > 40.5),
        (["age!=70"], lambda row: row["age"] != 70),
        (["age=unknown"], lambda row: row["age"] is None),
        (["age!=unknown"], lambda row: row["age"] is not None),
        (["study_date=2010"], lambda row: (row["study_date"] or "")[:4] == "2010"),
        (["study_date>2010-02"], lambda row: (row["study_date"] or "")[:7] > "2010-02"),
        (["study_date<2010-03-01"], lambda row: row["study_date"] is not None and row["study_date"] < "2010-03-01"),
        (["study_date!=2010"], lambda row: (row["study_date"] or "")[:4] != "2010"),
        (["view~lat"], lambda row: "lat" in row["view"].lower()),
        (["view~_"], lambda row: "_" in row["view"]),
        (["view!~AP"], None),
        (["rows=24"], lambda row: row["rows"] == 24),
    ],
)
def test_filters_find_what_a_slow_reading_finds(
    filled: Archive, where: list[str], meets: Callable[[dict[str, Any]], bool] | None
) -> None:
    if meets is None:
        with pytest.raises(UsageError, match="is not a valid filter"):
            count_films(filled, where)
        return
    wanted = [row["patient"] for row in everything(filled) if meets(row)]
    assert [row["patient"] for row in search_films(filled, where)] == wanted
    assert count_films(filled, where) == len(wanted)
    assert [row["patient"] for row in search_films(filled, where, most=1)] == wanted[:1]


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("entity", "write FIELD=VALUE"),
        ("entitty=lipoma", "did you mean 'entity'"),
        ("entity<lipoma", "is a text"),
        ("age~4", "is a number"),
        ("age=old", "age is a number"),
        ("study_date>last year", "not a valid date"),
        ("study_date>unknown", "before or after"),
        ("malignancy=evil", "known: benign"),
        ("age'; DROP TABLE patients=1", "is not a valid filter"),
    ],
)
def test_filters_that_make_no_sense_are_told(filled: Archive, where: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        search_films(filled, [where])


def test_the_cohort_is_counted_by_hand(filled: Archive) -> None:
    found = cohort(filled)
    assert found.counts == {"patients": 6, "cases": 6, "studies": 7, "films": 7}
    assert list(found.discrete["malignancy"].items()) == [
        ("benign", 2),
        ("malignant", 2),
        ("intermediate", 1),
        ("unknown", 1),
    ]
    assert list(found.discrete["entity"])[-1] == "unknown"
    assert found.discrete["location"] == {"unknown": 6}
    assert sum(found.discrete["sex"].values()) == 6
    years = [2010.0, 2010.0, 2005.0, 2010.0, 2012.0]
    line = found.continuous["year"]
    assert (line.known, line.unknown, line.median, line.quartiles) == (5, 1, 2010.0, (2010.0, 2010.0))
    assert (line.shapiro_w, line.shapiro_p) == pytest.approx(tuple(stats.shapiro(years)))
    ages = found.continuous["age"]
    by_hand = [30.16, 9.5, 70, 40.99, 52.45]  # from birth to the first study, or as it was set
    assert (ages.known, ages.unknown) == (5, 1)
    assert ages.median == pytest.approx(statistics.median(by_hand), abs=0.01)
    assert ages.interquartile_range == pytest.approx(52.45 - 30.16, abs=0.02)
    # a chondrosarcoma may be intermediate, an enchondroma is benign; what is unknown conflicts with nothing
    assert found.conflicts == (Conflict("B", "", "enchondroma", "malignant", ("benign",)),)
    assert found.overlapping == (("osteochondroma", "cartilaginous exostosis"),)
    document = json.loads(json.dumps(found.document(), allow_nan=False))
    assert document["discrete"]["malignancy"][0] == {"value": "benign", "cases": 2, "percent": 33.33}


def test_an_empty_archive_has_a_cohort(archive: Archive) -> None:
    found = cohort(archive)
    assert found.discrete["entity"] == {}
    assert json.loads(json.dumps(found.document(), allow_nan=False))["continuous"]["age"]["median"] is None


def test_a_viewer_sees_their_patients_in_every_query(filled: Archive) -> None:
    with filled.reading() as connection:
        mine = find_patient(connection, Viewer(), "B")
        assert mine is not None
        viewer = Viewer(frozenset({mine}))
        assert find_patient(connection, viewer, "A") is None
    assert [row["patient"] for row in search_films(filled, [], viewer=viewer)] == ["B"]
    assert count_films(filled, ["patient=A"], viewer=viewer) == 0
    assert [row["patient"] for row in list_patients(filled, viewer=viewer)] == ["B"]
    assert [Path(row["path"]).name for row in list_files(filled, "stored", viewer=viewer)] == ["B.dcm"]
    assert {row["patient"] for row in list_log(filled, viewer=viewer)} == {"B"}
    assert summary(filled, viewer=viewer)["patients"] == summary(filled, viewer=viewer)["cases"] == 1
    assert cohort(filled, viewer=viewer).discrete["entity"] == {"enchondroma": 1}
    with pytest.raises(InputError, match="no patient"):
        set_values(filled, Place(patient="A"), {"entity": "lipoma"}, BEN, viewer=viewer)
    with pytest.raises(InputError, match="0 studies"):
        set_values(filled, Place(file="A.dcm"), {"entity": "lipoma"}, BEN, viewer=viewer)
    nobody = Viewer(frozenset())
    assert (search_films(filled, [], viewer=nobody), list_files(filled, "stored", viewer=nobody)) == ([], [])


def test_no_other_module_selects() -> None:
    folder = Path(osteon.archive.__file__).parent
    found = []
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
                found += [(path.name, each.name) for each in node.names if each.name in {"select", "text", "Session"}]
            selects = isinstance(node, ast.Attribute) and node.attr in {"select", "from_statement"}
            if selects or (isinstance(node, ast.Constant) and "FROM patients" in str(node.value)):
                found.append((path.name, ast.unparse(node)))
    # the store asks which archive the tables belong to, and takes a lock
    assert found == [("access.py", "select"), ("store.py", "text")]


def test_an_export_is_a_data_set_without_names(filled: Archive, tmp_path: Path) -> None:
    done = export_films(filled, ["entity!=osteochondroma"], tmp_path / "set", label="malignancy")
    assert (len(done.manifest), done.without_label) == (5, 1)
    manifest = read_manifest(tmp_path / "set")
    assert manifest.sha256 == done.manifest.sha256
    assert [row.label for row in manifest.rows] == ["malignant", "malignant", "malignant", "benign", "intermediate"]
    a, a2, b, *_ = manifest.rows
    assert a.patient == a2.patient != b.patient
    assert (a.study == a2.study, a.sex, b.age_years) == (False, "F", 9.5)
    assert (b.extra["entity"], b.extra["view"], b.extra["modality"]) == ("enchondroma", "LATERAL", "DX")
    written = b"".join(path.read_bytes() for path in (tmp_path / "set").rglob("*") if path.is_file())
    for word in (b"Quux", b"19800101", b"1980-01-01", b"2010", b"1.2.826"):
        assert word not in written
    (film,) = search_films(filled, ["patient=B"], names=("patient", "sha256"))
    original = read_image(filled.film_path(film["sha256"], ".dcm"), any_scale=True)
    assert np.abs(read_image(tmp_path / "set" / b.image) - original).max() <= 1 / 65535
    with pytest.raises(OutputError, match="exists already"):
        export_films(filled, [], tmp_path / "set")


def test_unknown_labels_are_kept_when_asked_for(filled: Archive, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 films meet.*--keep-unknown"):
        export_films(filled, ["patient=D"], tmp_path / "set", label="location")
    done = export_films(filled, ["patient=D"], tmp_path / "set", label="location", keep_unknown=True)
    assert done.manifest.labels == ("unknown",)
    assert not list(tmp_path.glob(".osteon-*"))


def test_pictures_keep_their_values_and_have_no_patient(archive: Archive, tmp_path: Path) -> None:
    for number in range(2):
        grey = np.random.default_rng(number).integers(0, 256, (20, 30), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), grey)
    add_sources(archive, [tmp_path / "0.png", tmp_path / "1.png"])
    done = export_films(archive, [], tmp_path / "set", keep_unknown=True)
    assert [row.extra["patient_known"] for row in done.manifest.rows] == ["no", "no"]
    assert len(done.manifest.patients) == 2
    for number, row in enumerate(done.manifest.rows):
        written = cv2.imread(str(tmp_path / "set" / row.image), cv2.IMREAD_UNCHANGED)
        assert operator.eq(written, cv2.imread(str(tmp_path / f"{number}.png"), cv2.IMREAD_UNCHANGED)).all()
