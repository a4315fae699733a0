"""The manifest of a data set: CSV or Parquet in, checked row by row, and out again."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import posixpath
from collections import Counter
from dataclasses import fields, replace
from datetime import date, datetime
from itertools import combinations
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Final

from osteon._optional import require
from osteon.data import ImageRow, Manifest
from osteon.data.manifest import MASKS, PLANES
from osteon.errors import InputError, nearest_names
from osteon.io.whole_file import file_bytes, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["find_manifest", "read_manifest", "read_rows", "write_manifest"]

_MANIFEST_NAMES: Final = ("manifest.csv", "manifest.parquet")
"""What is looked for in a folder."""

REQUIRED: Final = ("image", "patient", "label")
KNOWN: Final = tuple(entry.name for entry in fields(ImageRow) if entry.name != "extra")
WORDS: Final[dict[str, tuple[str, ...]]] = {
    "plane": ("", *PLANES),
    "split": ("", "train", "test"),
    "sex": ("", "F", "M", "O"),
}
OLDEST_YEARS: Final = 130.0
RARE_SHARE: Final = 0.05
"""A label this rare beside one that differs in a single letter is taken for a typing error."""

SHORTEST_TYPO: Final = 4
"""Shorter labels (T1, T2) are distinguished by one letter on purpose."""

MOST_LABELS: Final = 300
"""More labels than this are not classes that a person typed, and are not compared with each other."""

_Row = dict[str, str]


def find_manifest(path: str | Path) -> Path:
    """The manifest file of a data set folder; a file is taken as it is.

    Raises:
        InputError: nothing there, or both a CSV and a Parquet file.
    """
    place = Path(path)
    if place.is_file():
        return place
    if not place.is_dir():
        raise InputError(f"no data set at {place}: give a folder with {' or '.join(_MANIFEST_NAMES)}, or that file")
    found = [place / name for name in _MANIFEST_NAMES if (place / name).is_file()]
    if not found:
        raise InputError(f"the folder {place.name} holds neither {' nor '.join(_MANIFEST_NAMES)}: write one of them")
    if len(found) > 1:
        raise InputError(f"the folder {place.name} holds both {' and '.join(_MANIFEST_NAMES)}: name the one to use")
    return found[0]


def read_manifest(path: str | Path, *, positive: str | None = None, labels: Sequence[str] | None = None) -> Manifest:
    """Read and check a manifest.

    Every value is text: patient "007" stays "007". Columns that osteon does not know are kept in ``ImageRow.extra``.
    Rows are counted from 1 below the header.

    Args:
        path: of the data set folder, or of the CSV (separated by commas, semicolons or tabs; UTF-8) or Parquet file.
        positive: a label that must occur.
        labels: the labels that may occur; None lets the labels be checked by their look alone.

    Returns:
        The table, with the SHA-256 of the file.

    Raises:
        InputError: no such file, not a table, a column missing, a label that is or looks misspelt, a bad age, sex,
            plane or split, a path that leads out of the folder, an image listed twice, no rows.
    """
    file = find_manifest(path)
    header, lines, sha256 = read_rows(file)
    _check_header(header, file.name)
    try:
        rows = tuple(_row(number, line) for number, line in enumerate(lines, start=1))
        manifest = Manifest(folder=file.parent, rows=rows, sha256=sha256)
        _check_labels(rows, labels, positive=positive)
    except InputError as error:
        raise InputError(f"{file.name}: {error}") from error
    return manifest


def read_rows(file: Path) -> tuple[list[str], list[dict[str, str]], str]:
    """A table of any columns as text, stripped.

    Args:
        file: CSV (separated by commas, semicolons or tabs; UTF-8; a header line) or Parquet.

    Returns:
        The columns, the rows, and the SHA-256 of the file.

    Raises:
        InputError: cannot be read, or is not a table.
    """
    data = file_bytes(file)
    header, lines = _parquet(data, file.name) if data[:4] == b"PAR1" else _csv(data, file.name)
    return header, lines, hashlib.sha256(data).hexdigest()


def write_manifest(manifest: Manifest, path: str | Path) -> Manifest:
    """Write a manifest, whole or not at all.

    Args:
        manifest: the table; its image paths are written as they are, so ``path`` belongs in its folder.
        path: ends in .csv or .parquet; an earlier file is replaced.

    Returns:
        The same rows, with the folder and SHA-256 of the written file.

    Raises:
        OutputError: cannot be written.
        InputError: another ending.
    """
    target = Path(path)
    extra = sorted({name for row in manifest.rows for name in row.extra})
    lines = [{**_known_text(row), **{name: row.extra.get(name, "") for name in extra}} for row in manifest.rows]
    # a data set without masks is written as before there were any: its hash is named in splits and cards
    empty = [name for name in MASKS if not any(line[name] for line in lines)]
    header = [name for name in (*KNOWN, *extra) if name not in empty]
    match target.suffix.lower():
        case ".csv":
            data = _csv_bytes(header, lines)
        case ".parquet":
            data = _parquet_bytes(header, lines, [row.age_years for row in manifest.rows])
        case other:
            raise InputError(f"a manifest is written as .csv or .parquet, not {other!r}: rename it")
    write_whole(target, data)
    return replace(manifest, folder=target.parent, sha256=hashlib.sha256(data).hexdigest())


# ------------------------------------------------------------------------------------------------------------- parsing


def _csv(data: bytes, name: str) -> tuple[list[str], list[_Row]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 text: save it again as CSV (UTF-8)") from error
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    lines: list[_Row] = []
    try:
        reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
        table = (cells for cells in reader if any(cell.strip() for cell in cells))
        header = [cell.strip() for cell in next(table, [])]
        for number, cells in enumerate(table, start=1):
            if len(cells) != len(header):
                raise InputError(
                    f"{name}: row {number} has {len(cells)} cells, the header {len(header)}: "
                    "a cell with a comma in it needs quotes"
                )
            line = dict(zip(header, (cell.strip() for cell in cells), strict=True))
            if delimiter == ";" and "age_years" in line:
                line["age_years"] = line["age_years"].replace(",", ".")
            lines.append(line)
    except csv.Error as error:
        raise InputError(f"{name} is not a valid CSV table ({error}): save it again as CSV (UTF-8)") from error
    if not header:
        raise InputError(f"{name} is empty: it needs a header line with the names of the columns")
    return header, lines


def _parquet(data: bytes, name: str) -> tuple[list[str], list[_Row]]:
    require("pyarrow", extra="train", purpose="for Parquet tables")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{name} is a damaged Parquet file: write it again") from error
    header = [str(column) for column in table.column_names]
    nested = [column for column, kind in zip(header, table.schema.types, strict=True) if pa.types.is_nested(kind)]
    if nested:
        raise InputError(f"{name}: column {nested[0]!r} holds lists or records: a manifest holds one value a cell")
    columns = [[_cell(value) for value in column.to_pylist()] for column in table.columns]
    return header, [dict(zip(header, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _cell(value: object) -> str:
    """A typed value as a person would have typed it; a whole number that a data frame made a float stays whole."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return (value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)).strip()


# ------------------------------------------------------------------------------------------------------------ checking


def _check_header(header: Sequence[str], name: str) -> None:
    doubled = [column for column, count in Counter(header).items() if count > 1]
    if doubled:
        raise InputError(f"{name} has {'a column without a name' if not doubled[0] else repr(doubled[0])} twice")
    for column in header:
        plain = column.lower().replace(" ", "_")
        if column not in KNOWN and plain in KNOWN:
            raise InputError(f"{name} has a column {column!r}: write it {plain!r}")
    for column in REQUIRED:
        if column not in header:
            raise InputError(f"{name} has no column {column!r}: {nearest_names(column, header)}")


def _row(number: int, line: Mapping[str, str]) -> ImageRow:
    for column, words in WORDS.items():
        if line.get(column, "") not in words:
            allowed = ", ".join(word or "empty" for word in words)
            raise InputError(f"row {number} has the {column} {line[column]!r}: it must be one of {allowed}")
    paths = {name: _inside(number, line[name], what=name) for name in ("image", *MASKS) if name in line}
    known = {name: line[name] for name in KNOWN if name in line and name not in {*paths, "age_years"}}
    return ImageRow(
        **paths,
        age_years=_age(number, line.get("age_years", "")),
        extra={name: value for name, value in line.items() if name not in KNOWN},
        **known,
    )


def _age(number: int, text: str) -> float | None:
    if not text:
        return None
    try:
        years = float(text)
    except ValueError:
        years = math.nan
    if not 0 <= years <= OLDEST_YEARS:
        raise InputError(f"row {number} has the age_years {text!r}: it must be years from 0 to {OLDEST_YEARS:g}")
    return years


def _inside(number: int, text: str, *, what: str) -> str:
    """A path with forward slashes and no detours, below the manifest's folder."""
    if not text:
        return ""
    plain = posixpath.normpath(text.replace("\\", "/"))
    windows = PureWindowsPath(plain)
    if PurePosixPath(plain).is_absolute() or windows.drive or windows.root or plain.split("/")[0] in {"..", "."}:
        raise InputError(
            f"row {number} names {'an image' if what == 'image' else f'a {what}'} outside the manifest's folder: write "
            "paths relative to the manifest, without '..', and keep images below it"
        )
    return plain


def _check_labels(rows: Iterable[ImageRow], allowed: Sequence[str] | None, *, positive: str | None) -> None:
    """Refuse labels that are not allowed or, without a list, that look like a misspelling of another one."""
    first: dict[str, int] = {}
    counts: Counter[str] = Counter()
    for number, row in enumerate(rows, start=1):
        first.setdefault(row.label, number)
        counts[row.label] += 1
    if positive is not None and positive not in counts:
        raise InputError(
            f"no image has the label {positive!r}, which is looked for: {nearest_names(positive, counts)}; name yours "
            "with --set positive=LABEL"
        )
    if allowed is not None:
        for label, number in first.items():
            if label not in allowed:
                raise InputError(
                    f"row {number} has the label {label!r} ({counts[label]} rows): {nearest_names(label, allowed)}"
                )
        return
    if len(counts) > MOST_LABELS:
        return
    for one, other in combinations(counts, 2):
        rare, usual = sorted((one, other), key=lambda label: (counts[label], first[label]))
        if _mimic(rare, usual, rare=counts[rare] <= max(1, RARE_SHARE * counts[usual])):
            raise InputError(
                f"the labels {rare!r} ({counts[rare]} rows, first row {first[rare]}) and {usual!r} "
                f"({counts[usual]} rows) look like one misspelt: write them alike, or list the labels that you mean"
            )


def _mimic(one: str, other: str, *, rare: bool) -> bool:
    if "".join(one.split()).casefold() == "".join(other.split()).casefold():
        return True
    return rare and min(len(one), len(other)) >= SHORTEST_TYPO and _one_slip(one.casefold(), other.casefold())


def _one_slip(one: str, other: str) -> bool:
    """Whether one letter was changed, lost, added or swapped with its neighbour; a digit differs on purpose."""
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1:
        return False
    start = next((i for i, pair in enumerate(zip(short, long, strict=False)) if pair[0] != pair[1]), len(short))
    if any(letter.isdigit() for letter in long[start : start + 1] + short[start : start + 1]):
        return False
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    swapped = short[start : start + 2][::-1] == long[start : start + 2] and short[start + 2 :] == long[start + 2 :]
    return swapped or short[start + 1 :] == long[start + 1 :]


# ------------------------------------------------------------------------------------------------------------- writing


def _known_text(row: ImageRow) -> _Row:
    line = {name: row.text(name) for name in KNOWN}
    line["age_years"] = _cell(row.age_years)
    return line


def _csv_bytes(header: Sequence[str], lines: Sequence[_Row]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=header, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue().encode("utf-8")


def _parquet_bytes(header: Sequence[str], lines: Sequence[_Row], ages: Sequence[float | None]) -> bytes:
    require("pyarrow", extra="train", purpose="for Parquet tables")
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: pa.array([line[name] for line in lines], type=pa.string()) for name in header}
    table = pa.table({**columns, "age_years": pa.array(ages, type=pa.float64())})
    stream = pa.BufferOutputStream()
    pq.write_table(table, stream)
    return stream.getvalue().to_pybytes()
