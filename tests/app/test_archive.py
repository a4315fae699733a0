"""``osteon archive`` from outside: what a person types, sees, and gets as an exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from osteon.io.table import read_manifest
from tests.archive.conftest import write_film

Run = Callable[..., SimpleNamespace]


@pytest.fixture
def filled(osteon: Run, tmp_path: Path) -> Path:
    """An archive of two patients with an entity, and a damaged file."""
    heap, folder = tmp_path / "heap", tmp_path / "films"
    write_film(heap / "1.dcm", number=1)
    write_film(heap / "2.dcm", number=2, PatientID="P2", PatientBirthDate="20000101")
    (heap / "3.dcm").write_bytes(write_film(tmp_path / "x.dcm", number=3).read_bytes()[:-90])
    assert osteon("archive", "create", folder).code == 0
    added = osteon("archive", "add", folder, heap)
    assert added.code == 3  # a part was left out
    assert f"osteon archive show {folder} --files damaged" in added.out
    set_ = ("archive", "set", folder, "--person", "Anna")
    assert osteon(*set_, "--patient", "P1", "entity=osteosarcoma", "malignancy=benign", "age=40").code == 0
    assert osteon(*set_, "--patient", "P2", "entity=lipoma").out == "1 value changed\n"
    return folder


def test_what_is_in_it_is_shown(osteon: Run, filled: Path) -> None:
    assert "films                                      2" in osteon("archive", "show", filled).out
    counts = json.loads(osteon("archive", "show", filled, "--json").out)
    assert counts["files"] == {"new": 0, "stored": 2, "duplicate": 0, "damaged": 1, "refused": 0}
    people = json.loads(osteon("archive", "show", filled, "--patients", "--json").out)
    assert [(row["patient"], row["entities"]) for row in people] == [("P1", ["osteosarcoma"]), ("P2", ["lipoma"])]
    (damaged,) = json.loads(osteon("archive", "show", filled, "--files", "damaged", "--json").out)
    assert damaged["path"].endswith("3.dcm")
    assert "3.dcm" in osteon("archive", "show", filled, "--files", "damaged").out


def test_the_cohort_is_printed_with_its_conflicts(osteon: Run, filled: Path) -> None:
    out = osteon("archive", "show", filled, "--cohort").out
    assert "  osteosarcoma                                     1   50.00" in out
    assert "! patient P1, case -: osteosarcoma is benign, expected malignant" in out
    assert json.loads(osteon("archive", "show", filled, "--cohort", "--json").out)["counts"]["cases"] == 2


def test_films_are_searched_and_exported(osteon: Run, filled: Path, tmp_path: Path) -> None:
    out = osteon("archive", "search", filled, "--where", "age<18").out
    assert out.splitlines()[1].startswith("P2")
    assert out.endswith("1 film\n")
    found = json.loads(osteon("archive", "search", filled, "--limit", "1", "--json").out)
    assert (found["films"], len(found["listed"])) == (2, 1)
    ran = osteon("archive", "export", filled, "--where", "modality=CR", "-o", tmp_path / "set", "--json")
    assert json.loads(ran.out) == {
        "films": 2,
        "patients": 2,
        "labels": {"lipoma": 1, "osteosarcoma": 1},
        "without_label": 0,
    }
    assert len(read_manifest(tmp_path / "set")) == 2


def test_values_are_verified_and_logged(osteon: Run, filled: Path) -> None:
    verify = ("archive", "verify", filled, "entity", "--patient", "P1", "--person")
    assert osteon(*verify, "Ben", "--role", "data-scientist").out == "entity: verified by 1 of 2\n"
    assert osteon(*verify, "Ben").code == 1
    assert osteon(*verify, "Eva").out == "entity: verified by 2 of 2\n"
    rows = json.loads(osteon("archive", "log", filled, "--patient", "P1", "--json").out)
    assert [(row["person"], row["action"]) for row in rows][-2:] == [("Ben", "verify"), ("Eva", "verify")]


def test_a_table_is_entered(osteon: Run, filled: Path, tmp_path: Path) -> None:
    (tmp_path / "his.csv").write_text("patient,location,ward\nP1,knee,3\nP7,knee,3\n")
    words = ("archive", "set", filled, "--table", tmp_path / "his.csv", "--person", "Anna")
    ran = osteon(*words)
    assert ran.code == 3
    assert "2 rows, 1 matched, 1 values changed" in ran.out
    assert "! row 2: no patient" in ran.out
    assert json.loads(osteon(*words, "--json").out)["ignored"] == ["ward"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("search", "--where", "entitty=x"), 2, "did you mean 'entity'"),
        (("set", "--person", "A", "--patient", "P1"), 2, "FIELD=VALUE or --table"),
        (("set", "--person", "A", "--patient", "P1", "entity"), 2, "is not FIELD=VALUE"),
        (("set", "--person", "A", "--patient", "P9", "entity=lipoma"), 1, "no patient"),
        (("show", "--cohort", "--patients"), 2, "ask for one"),
        (("add", "nowhere"), 1, "does not exist"),
    ],
)
def test_mistakes_are_told(osteon: Run, filled: Path, words: tuple[str, ...], code: int, says: str) -> None:
    ran = osteon("archive", words[0], filled, *words[1:])
    assert ran.code == code
    assert says in ran.err
    assert "Zelda" not in ran.err


def test_a_folder_without_an_archive_is_told(osteon: Run, tmp_path: Path) -> None:
    ran = osteon("archive", "show", tmp_path)
    assert ran.code == 1
    assert "osteon archive create" in ran.err
