"""Clinical values: preliminary and final, verified by two, with a log; and tables of a hospital."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from osteon.archive.clinical import Entry, Place, list_log, set_values, verify_values
from osteon.archive.ingest import add_sources
from osteon.archive.search import search_films, summary
from osteon.archive.store import Archive
from osteon.archive.table_import import Mismatch, import_table
from osteon.errors import InputError, UsageError

ANNA = Entry(person="Anna", role="clinician", source="pathology 7", dated="2010-03-01")
BEN = Entry(person="Ben", role="data-scientist")
P1 = Place(patient="P1")


@pytest.fixture
def filled(archive: Archive, film: Callable[..., Path], tmp_path: Path) -> Archive:
    """P1 has two studies in one case without a number, P2 one study in the cases K1 and K2 each."""
    heap = tmp_path / "heap"
    film(heap / "1.dcm", number=1, AccessionNumber="A1")
    film(heap / "2.dcm", number=2, AccessionNumber="A2")
    film(heap / "3.dcm", number=3, PatientID="P2", AdmissionID="K1")
    film(heap / "4.dcm", number=4, PatientID="P2", AdmissionID="K2")
    add_sources(archive, [heap])
    return archive


def values(archive: Archive, name: str) -> list[object]:
    return [row[name] for row in search_films(archive, [], names=("patient", "case", name))]


def test_the_final_value_is_in_force_before_the_preliminary(filled: Archive) -> None:
    early = Entry(person="Anna", role="clinician", status="preliminary")
    assert set_values(filled, P1, {"entity": "enchondroma", "age": "41,5"}, early) == 2
    assert values(filled, "entity") == ["enchondroma", "enchondroma", "unknown", "unknown"]
    assert set_values(filled, P1, {"entity": "Chondrosarcoma"}, ANNA) == 1
    assert set_values(filled, P1, {"entity": "lipoma"}, early) == 1
    assert values(filled, "entity")[0] == "chondrosarcoma"
    assert values(filled, "age")[0] == 41.5
    assert set_values(filled, P1, {"entity": "unknown"}, ANNA) == 1
    assert values(filled, "entity")[0] == "unknown"
    assert summary(filled)["clinical_values"] == 3


def test_fields_are_kept_where_they_belong(filled: Archive) -> None:
    set_values(filled, P1, {"sex": "male"}, BEN)
    assert values(filled, "sex") == ["M", "M", "F", "F"]
    set_values(filled, Place(patient="P1", study="A2"), {"imaging_stage": "post-op"}, BEN)
    assert values(filled, "imaging_stage") == ["unknown", "post-op", "unknown", "unknown"]
    set_values(filled, Place(patient="P2", case="K2"), {"malignancy": "benign"}, BEN)
    assert values(filled, "malignancy") == ["unknown"] * 3 + ["benign"]
    set_values(filled, Place(file="3.dcm"), {"location": "ankle"}, BEN)
    assert values(filled, "location") == ["unknown", "unknown", "foot", "unknown"]


def test_a_case_number_names_the_case_without_one_and_a_study_moves(filled: Archive) -> None:
    set_values(filled, Place(patient="P1", case="K7"), {"entity": "lipoma"}, BEN)
    assert values(filled, "case") == ["K7", "K7", "K1", "K2"]
    set_values(filled, Place(patient="P1", case="K8", study="A2"), {"entity": "ganglion"}, BEN)
    assert values(filled, "case")[:2] == ["K7", "K8"]
    assert values(filled, "entity")[:2] == ["lipoma", "ganglion"]


REFUSED = (
    (Place(patient="nobody"), {"entity": "lipoma"}, "no patient"),
    (Place(patient="P2"), {"entity": "lipoma"}, "--case"),
    (P1, {"imaging_stage": "pre-op"}, "--study"),
    (P1, {"entity": "lipomma"}, "did you mean 'lipoma'"),
    (P1, {"malignancy": "grade 3"}, "known: benign, intermediate, malignant, unknown"),
    (P1, {"age": "412"}, "years from 0 to 130"),
    (P1, {"diagnosis_date": "2010-02-31"}, "not a valid date"),
    (P1, {"origin": " "}, "known: external"),
    (Place(patient="P1", study="A9"), {"imaging_stage": "pre-op"}, "0 studies"),
    (Place(file="9.dcm"), {"entity": "lipoma"}, "0 studies hold"),
)


def test_what_cannot_be_set_changes_nothing(filled: Archive) -> None:
    for place, given, says in REFUSED:
        with pytest.raises(InputError, match=says):
            set_values(filled, place, {"therapy": "none"} | given, ANNA)
    assert summary(filled)["clinical_values"] == 0
    assert list_log(filled) == []


def test_unknown_fields_and_people_are_refused(filled: Archive) -> None:
    with pytest.raises(UsageError, match="did you mean 'entity'"):
        set_values(filled, P1, {"entitty": "lipoma"}, ANNA)
    with pytest.raises(UsageError, match="--person"):
        Entry(person=" ", role="clinician")


def test_two_persons_verify_and_a_change_takes_it_away(filled: Archive) -> None:
    set_values(filled, P1, {"entity": "lipoma"}, ANNA)
    assert verify_values(filled, P1, ["entity"], ANNA) == {"entity": 1}
    with pytest.raises(InputError, match="a second one has to look"):
        verify_values(filled, P1, ["entity"], ANNA)
    assert summary(filled)["verified_by_two"] == 0
    assert verify_values(filled, P1, ["entity"], BEN) == {"entity": 2}
    assert summary(filled)["verified_by_two"] == 1
    with pytest.raises(InputError, match="two persons already"):
        verify_values(filled, P1, ["entity"], Entry(person="Eva", role="clinician"))
    set_values(filled, P1, {"entity": "lipoma"}, BEN)  # another source, the same value
    assert summary(filled)["verified_by_two"] == 1
    set_values(filled, P1, {"entity": "ganglion"}, BEN)
    assert summary(filled)["verified_by_two"] == 0
    with pytest.raises(InputError, match="no final value"):
        verify_values(filled, P1, ["malignancy"], BEN)


def test_the_log_says_who_did_what(filled: Archive) -> None:
    set_values(filled, P1, {"entity": "lipoma"}, ANNA)
    set_values(filled, P1, {"entity": "lipoma"}, ANNA)  # says nothing new
    set_values(filled, P1, {"entity": "ganglion"}, BEN)
    verify_values(filled, P1, ["entity"], ANNA)
    rows = list_log(filled, "P1")
    told = [(row["person"], row["role"], row["action"], row["old"], row["new"], row["source"]) for row in rows]
    assert told == [
        ("Anna", "clinician", "set", "", "lipoma", "pathology 7"),
        ("Ben", "data-scientist", "set", "lipoma", "ganglion", ""),
        ("Anna", "clinician", "verify", "ganglion", "ganglion", "pathology 7"),
    ]
    assert {(row["patient"], row["level"], row["field"], row["status"]) for row in rows} == {
        ("P1", "case", "entity", "final")
    }
    assert list_log(filled, "P2") == []


def test_the_log_names_the_second_person_under_an_identifier(
    filled: Archive, film: Callable[..., Path], tmp_path: Path
) -> None:
    add_sources(filled, [film(tmp_path / "other.dcm", number=9, PatientBirthDate="19990101")])
    set_values(filled, Place(patient="P1#2"), {"entity": "lipoma"}, ANNA)
    assert [row["patient"] for row in list_log(filled)] == ["P1#2"]


def test_a_table_of_the_hospital_is_entered_and_tells_what_did_not_match(filled: Archive, tmp_path: Path) -> None:
    table = tmp_path / "his.csv"
    table.write_text(
        "Patient;Case;Diagnosis;Malignancy;Age;Status;Ward\n"
        "P1;;PVNS;benign;41,5;;3\n"
        "P2;K1;osteosarcoma;evil;;preliminary;3\n"
        "P7;;lipoma;benign;;;3\n"
        "P2;K2;;unknown;;;3\n",
        encoding="utf-8",
    )
    report = import_table(filled, table, ANNA)
    assert (report.rows, report.matched, report.changed, report.ignored) == (4, 3, 5, ("Ward",))
    assert [(each.row, each.column) for each in report.mismatches] == [(2, "malignancy"), (3, "")]
    assert report.mismatches[1] == Mismatch(3, "", "no patient of that identifier is in the archive")
    pigmented = "pigmented villonodular synovitis"
    assert values(filled, "entity") == [pigmented, pigmented, "osteosarcoma", "unknown"]
    assert {row["status"] for row in list_log(filled, "P2") if row["field"] == "entity"} == {"preliminary"}
    assert import_table(filled, table, ANNA).changed == 0


def test_a_table_by_file_name(filled: Archive, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,location,imaging_stage\n1.dcm,thigh,pre-op\n2.dcm,,post-op\n")
    assert import_table(filled, tmp_path / "t.csv", BEN).changed == 3
    assert values(filled, "imaging_stage") == ["pre-op", "post-op", "unknown", "unknown"]


def test_tables_that_are_refused(filled: Archive, tmp_path: Path) -> None:
    for text, says in (
        ("entity\nlipoma\n", "whose is a row"),
        ("patient,ward\nP1,3\n", "no clinical field"),
        ("patient,sex,gender\nP1,F,F\n", "two columns for sex"),
        ("patient,entity\nP1,lipoma\np01,lipoma\n", "may be one person"),
    ):
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(InputError, match=says):
            import_table(filled, tmp_path / "t.csv", BEN)
    assert list_log(filled) == []
