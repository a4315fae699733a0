"""Which series of a folder a table means."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from osteon.errors import InputError, nearest_names
from osteon.io import find_images
from osteon.io.table import read_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from osteon.data import Notice
    from osteon.data.options import Progress
    from osteon.io import Inventory, SeriesEntry
    from osteon.train.datasets.case_builder import AnyCase

__all__ = [
    "ABOUT",
    "check_about",
    "check_same",
    "find_series",
    "listed_series",
    "read_series_table",
    "refuse_warnings",
    "series_fields",
]

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


@contextmanager
def listed_series(
    series: Path,
    listed: Sequence[Any],
    case_of: Callable[[str, Any, SeriesEntry], AnyCase],
    *,
    twice: str,
    progress: Progress | None,
) -> Iterator[tuple[list[AnyCase], list[SeriesEntry]]]:
    """Cases of the series that a table lists, and the series that it does not; they can be opened within the block.

    Args:
        series: folder, file or zip.
        listed: rows or groups of rows, each with ``series`` and the columns ``about`` it.
        case_of: name, what is listed, and the series to a case.
        twice: what is wrong with a table that names one series in two of them.
        progress: called at every step.

    Raises:
        InputError: a series that is not there, or that is named twice.
    """
    with find_images(series, progress=progress) as inventory:
        found = [find_series(item.series, inventory) for item in listed]
        if len({id(entry) for entry in found}) != len(found):
            raise InputError(twice)
        # named after the patient's pseudonym: a folder may be called after the person
        so_far, cases = Counter[str](), []
        for item, entry in zip(listed, found, strict=True):
            patient = item.about["patient"]
            so_far[patient] += 1
            cases.append(case_of(f"{patient}-{so_far[patient]}", item, entry))
        yield cases, [entry for entry in inventory.entries if not any(entry is one for one in found)]


def read_series_table(file: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Rows of a CSV or Parquet table of series and patients, each with its number below the header.

    Raises:
        InputError: a column that is missing or not known, a row without series or patient, or no rows.
    """
    header, lines, _ = read_rows(file, literal=("series",))
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


def check_same(
    known: dict[str, str], line: Mapping[str, str], columns: Sequence[str], number: int, *, whose: str
) -> None:
    """Note what a row says in some columns; it must not differ from what is known.

    Raises:
        InputError: it does; ``number`` is that of the row.
    """
    for column in columns:
        text = line.get(column, "")
        if text and known.setdefault(column, text) != text:
            raise InputError(f"row {number} gives its {whose} another {column} than an earlier row: make them equal")


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


def refuse_warnings(notice: Notice) -> None:
    """What a person would be warned of would be wrong in a training, as slices of a lesion without its contour.

    Raises:
        InputError: a warning.
    """
    if notice.level == "warning":
        raise InputError(notice.text)


def _folder(entry: SeriesEntry) -> Path:
    """The folder that holds all files of a series, or its NIfTI file."""
    if entry.path is not None:
        return entry.path
    if entry.stack is None:
        return entry.location
    return Path(os.path.commonpath([frame.path.parent for frame in entry.stack.frames]))
