"""A table of clinical values, as a hospital information system exports it, and what of it did not match."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from osteon.archive.access import OPERATOR, Viewer
from osteon.archive.clinical import Entry, Place, set_within
from osteon.archive.fields import CLINICAL
from osteon.data.options import Progress, silent
from osteon.errors import InputError, OsteonError, nearest_names
from osteon.io.table import read_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from osteon.archive.store import Archive

__all__ = ["Mismatch", "TableReport", "import_table"]

STEP: Final = "entering the table"
BATCH: Final = 200
"""Rows of one transaction."""

_KEYS: Final = ("patient", "case", "study", "file")
_ABOUT: Final = ("status", "source", "date")
_NAMES: Final = {
    "patient_id": "patient",
    "case_number": "case",
    "gender": "sex",
    "localisation": "location",
    "localization": "location",
    "diagnosis": "entity",
    "age_years": "age",
    "accession": "study",
    "image": "file",
    "filename": "file",
}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A cell, or a row (column ""), that could not be entered; rows are counted from 1 below the header."""

    row: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class TableReport:
    """What became of a table.

    Attributes:
        rows: of the table.
        matched: whose patient, study or file is in the archive.
        changed: values that were set or changed.
        ignored: columns that are no clinical field.
        mismatches: what did not match.
    """

    rows: int
    matched: int
    changed: int
    ignored: tuple[str, ...]
    mismatches: tuple[Mismatch, ...]


def import_table(
    archive: Archive, file: Path, entry: Entry, *, viewer: Viewer = OPERATOR, progress: Progress = silent
) -> TableReport:
    """Enter a table of clinical values. An empty cell says nothing; "unknown" is a value.

    Columns, in any case: PATIENT (and CASE, STUDY) or FILE say whose a row is; STATUS, SOURCE and DATE go before those
    of ``entry``; the others are clinical fields. Rows that were entered before change nothing.

    Raises:
        InputError: no table, without a column that says whose a row is, or without a clinical field.
    """
    header, lines, _ = read_rows(file)
    columns = {name: _NAMES.get(plain, plain) for name in header for plain in [name.lower().replace(" ", "_")]}
    _require_columns(file.name, columns)
    ignored = tuple(name for name, plain in columns.items() if plain not in (*_KEYS, *_ABOUT, *CLINICAL))
    matched = changed = 0
    mismatches: list[Mismatch] = []
    rows = [{columns[name]: cell for name, cell in line.items()} for line in lines]
    for start in range(0, len(rows), BATCH):
        with archive.writing() as connection:
            for number, row in enumerate(rows[start : start + BATCH], start=start + 1):
                values = {name: row[name] for name in CLINICAL if row.get(name)}
                try:
                    own = _entry(row, entry)
                    place = Place(**{key: row.get(key, "") for key in _KEYS})
                    count, problems = set_within(connection, place, values, own, viewer=viewer)
                except OsteonError as error:
                    mismatches.append(Mismatch(number, "", str(error)))
                    continue
                matched, changed = matched + 1, changed + count
                mismatches += [Mismatch(number, column, reason) for column, reason in problems.items()]
        progress(STEP, min(start + BATCH, len(rows)), len(rows))
    return TableReport(len(rows), matched, changed, ignored, tuple(mismatches))


def _require_columns(name: str, columns: Mapping[str, str]) -> None:
    found: Sequence[str] = list(columns.values())
    doubled = [plain for plain in found if found.count(plain) > 1]
    if doubled:
        raise InputError(f"{name} has two columns for {doubled[0]}: keep one")
    if "patient" not in found and "file" not in found:
        raise InputError(f"{name} has no column patient and none file: whose is a row?")
    if not set(found) & set(CLINICAL):
        raise InputError(f"{name} has no clinical field: {nearest_names('', CLINICAL)}")


def _entry(row: Mapping[str, str], entry: Entry) -> Entry:
    return Entry(
        person=entry.person,
        role=entry.role,
        status=row.get("status") or entry.status,
        source=row.get("source") or entry.source,
        dated=row.get("date") or entry.dated,
    )
