"""Which series of a folder a table means."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from osteon.errors import InputError, nearest_names
from osteon.io.table import read_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from osteon.io import Inventory, SeriesEntry

__all__ = ["ABOUT", "check_about", "find_series", "read_series_table", "series_fields"]

ABOUT: Final = ("patient", "centre", "scanner", "sex", "age_years", "split", "kind")
"""Columns that say something of the whole series."""

_SEXES = ("", "F", "M", "O")


def find_series(name: str, inventory: Inventory) -> SeriesEntry:
    """The series of a Series Instance UID, of the folder of its files, or of a NIfTI file.

    Raises:
        InputError: none, or several of that name.
    """
    by_uid = [entry for entry in inventory.entries if entry.series.uid == name]
    fitting = by_uid or [entry for entry in inventory.entries if _folder(entry).name.split(".nii")[0] == name]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise InputError(f"{len(fitting)} series are called {name!r}: write their Series Instance UID")
    known = [entry.series.uid for entry in inventory.entries]
    known += [_folder(entry).name for entry in inventory.entries]
    raise InputError(f"no series {name!r} there: {nearest_names(name, dict.fromkeys(known[:40]))}")


def read_series_table(file: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Rows of a table of series, each with its number below the header.

    Args:
        file: CSV or Parquet with columns ``series`` and ``patient``.
        columns: that may be there.

    Raises:
        InputError: a column that is missing or not known, a row without series or patient, or no rows.
    """
    header, lines, _ = read_rows(file)
    for column in ("series", "patient"):
        if column not in header:
            raise InputError(f"{file.name} has no column {column!r}: {nearest_names(column, header)}")
    unknown = [column for column in header if column not in columns]
    if unknown:
        raise InputError(f"{file.name} has a column {unknown[0]!r}: {nearest_names(unknown[0], columns)}")
    for number, line in enumerate(lines, start=1):
        if not (line["series"] and line["patient"]):
            raise InputError(f"{file.name}: row {number} lacks its series or patient: fill both")
    if not lines:
        raise InputError(f"{file.name} has no rows: it needs at least one for each series")
    return list(enumerate(lines, start=1))


def series_fields(about: Mapping[str, str], entry: SeriesEntry) -> dict[str, Any]:
    """Fields of a case that the table says, else the headers of the series."""
    age = about.get("age_years", "").replace(",", ".")
    return {
        "patient": about["patient"],
        "study": entry.study.uid,
        "series": entry.series.uid,
        "centre": about.get("centre", ""),
        "scanner": about.get("scanner", "") or entry.series.manufacturer,
        "sex": about.get("sex", "") or entry.patient.sex,
        "age_years": float(age) if age else entry.patient.age_years,
        "split": about.get("split", ""),
        "extra": {"kind": about["kind"]} if "kind" in about else {},
    }


def check_about(number: int, about: Mapping[str, str]) -> None:
    """Refuse a sex, part or age that a manifest cannot hold; ``number`` is that of the row."""
    if about.get("sex", "") not in _SEXES:
        raise InputError(f"row {number} has the sex {about['sex']!r}: it must be empty, F, M or O")
    if about.get("split", "") not in ("", "train", "test"):
        raise InputError(f"row {number} has the split {about['split']!r}: it must be empty, train or test")
    try:
        float(about.get("age_years", "0").replace(",", "."))
    except ValueError as error:
        raise InputError(f"row {number} has the age_years {about['age_years']!r}: it must be a number") from error


def _folder(entry: SeriesEntry) -> Path:
    """The folder that holds all files of a series, or its NIfTI file."""
    if entry.path is not None:
        return entry.path
    if entry.stack is None:
        return entry.location
    return Path(os.path.commonpath([frame.path.parent for frame in entry.stack.frames]))
