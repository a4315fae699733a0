"""Tables: CSV or Parquet in, as text, with names of patients checked; the manifest of a data set, in and out again."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import posixpath
import re
from collections import Counter
from dataclasses import fields, replace
from datetime import date, datetime
from itertools import combinations
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, Final

from osteon._optional import require
from osteon.data import ImageRow, Manifest
from osteon.data.identifiers import looks_rounded, same_spelling, shown_groups
from osteon.data.manifest import MASKS, PATIENT_KNOWN, PLANES
from osteon.errors import InputError, ThirdParty, nearest_names
from osteon.io.whole_file import decoded_text, file_bytes, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "ALIASES_NAME",
    "csv_text",
    "find_manifest",
    "parquet_table",
    "plain_cell",
    "read_manifest",
    "read_rows",
    "refuse_same_spelling",
    "whole_number",
    "write_manifest",
]

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

ALIASES_NAME: Final = "aliases.csv"
"""Beside a table: which names of patients mean one person, and which do not."""

_EMPTY: Final = frozenset(
    {
        "nan",
        "NaN",
        "NAN",
        "-nan",
        "-NaN",
        "NA",
        "N/A",
        "n/a",
        "#N/A",
        "#NA",
        "<NA>",
        "NaT",
        "None",
        "null",
        "NULL",
        "Null",
    }
)
"""What data frames and spreadsheets write for an empty cell; "none" in small letters is somebody's word."""

_IDENTIFIERS: Final = ("patient", "study", "series")
_FLOAT_DIGITS: Final = 2**53
"""A whole number from here on may have lost its last digits in a float column."""


FORMULA: Final = re.compile(r"'*[=+\-@\t\r\n]")
"""How a cell begins that a spreadsheet may run, also behind apostrophes, so that each is taken away again."""

HARMLESS: Final = ("-", "+")

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
    Rows are counted from 1 below the header. Names of patients are checked as of ``read_rows``.

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


def read_rows(
    file: Path, *, names_patients: bool = True, literal: Sequence[str] = ()
) -> tuple[list[str], list[dict[str, str]], str]:
    """A table of any columns as text, stripped; ``nan``, ``NA``, ``None``, ``null``, ``#N/A`` are empty cells.

    A name in a column ``patient`` (in any case) that is ``written`` in ``aliases.csv`` beside the table is replaced by
    what it ``means`` there. Names that may be one after that (``data.identifiers``) are refused.

    Args:
        file: CSV (separated by commas, semicolons or tabs; UTF-8, or UTF-16 with its mark; a header line, which a line
            ``sep=;`` may precede) or Parquet.
        names_patients: whether the column decides whose something is.
        literal: columns in which no word stands for an empty cell: what they name is looked for by that name.

    Returns:
        The columns, the rows, and the SHA-256 of the file, with that of the aliases where they changed a name.

    Raises:
        InputError: cannot be read, is not a table, or holds names that may be one or were rounded.
    """
    data = file_bytes(file)
    header, lines = _parquet(data, file.name) if data[:4] == b"PAR1" else _csv(data, file.name)
    sha256 = hashlib.sha256(data).hexdigest()
    for line in lines:
        line |= {column: "" for column, cell in line.items() if cell in _EMPTY and column not in literal}
    for column in [name for name in header if names_patients and name.strip().lower() in _IDENTIFIERS]:
        if rounded := looks_rounded(line[column] for line in lines):
            raise InputError(
                f"{file.name}: the column {column} holds {', '.join(map(repr, rounded[:5]))}: long numbers of which a "
                "spreadsheet or a data frame rounded the last digits away; export the table again with them as text"
            )
        if column.strip().lower() == "patient":
            aliases = _aliases(file.with_name(ALIASES_NAME))
            if _settle(lines, column, aliases, file.name):
                sha256 = hashlib.sha256(f"{sha256} {sorted(aliases.items())}".encode()).hexdigest()
    return header, lines, sha256


def refuse_same_spelling(names: Iterable[str], *, where: str) -> None:
    """Refuse names of patients that may be one person; ``where`` they are is for the message.

    Raises:
        InputError: with the names, and what to do.
    """
    groups = same_spelling(names)
    if groups:
        first, other = (ascii(name)[1:-1] for name in groups[0][:2])
        raise InputError(
            f"{where}: names of patients that differ only in spelling and may be one person: {shown_groups(groups)}. "
            f"Write them alike (folders: rename them), or say what they mean in {ALIASES_NAME} beside the table, with "
            f"the columns written,means: the line {other},{first} if it is one person, {other},{first}-B if another"
        )


def whole_number(text: str) -> str:
    """A whole number as a data frame writes it beside empty cells (20.0) as a person would (20); others as they are.

    Example:
        >>> whole_number("20.0"), whole_number("20.5"), whole_number("7")
        ('20', '20.5', '7')
    """
    return re.sub(r"^(\d+)[.,]0+$", r"\1", text.strip())


def _aliases(file: Path) -> dict[str, str]:
    """What each name means; a name may be written with the escapes of ``ascii``, as messages show it."""
    if not file.is_file():
        return {}
    header, lines = _csv(file_bytes(file), file.name)
    if set(header) != {"written", "means"}:
        raise InputError(f"{file.name} must have the columns written and means, and no others")
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        written, means = line["written"], line["means"]
        if not (written and means) or found.setdefault(written, means) != means:
            raise InputError(f"{file.name}: row {number} lacks a name, or an earlier row says that it means another")
    for name, means in found.items():
        if found.get(means, means) != means:
            raise InputError(f"{file.name}: {name!r} means {means!r}, which means {found[means]!r}: name the last one")
    return found


def _settle(lines: Iterable[_Row], column: str, aliases: Mapping[str, str], name: str) -> bool:
    """Replace what is written by what it means and refuse what is still unclear; whether a name was replaced."""
    changed, names = False, set()
    for line in lines:
        written = line[column]
        line[column] = aliases.get(written, aliases.get(ascii(written)[1:-1], written))
        changed |= line[column] != written
        if line[column] and line.get(PATIENT_KNOWN) != "no":
            names.add(line[column])
    refuse_same_spelling(names, where=name)
    return changed


def csv_text(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    r"""A CSV table of which no spreadsheet runs a cell.

    A text that begins as a formula does (= + - @ TAB CR LF), and is not a number, gets an apostrophe before it: a
    spreadsheet shows it as text. ``plain_cell`` takes it away again, so that nothing changes between writing and
    reading.

    Example:
        >>> csv_text(["=1+1", "b"], [["-1.5", "@x"]])
        "'=1+1,b\n-1.5,'@x\n"
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([_safe_cell(cell) for cell in row] for row in (header, *rows))
    return text.getvalue()


def _safe_cell(value: object) -> object:
    if not isinstance(value, str) or not FORMULA.match(value) or value in HARMLESS:
        return value
    try:
        is_number = math.isfinite(float(value)) and value == value.strip()
    except ValueError:
        is_number = False
    return value if is_number else f"'{value}"


def plain_cell(text: str) -> str:
    """What a cell held before ``csv_text`` wrote it.

    Example:
        >>> plain_cell("'=1+1"), plain_cell("'tis"), plain_cell("-1")
        ('=1+1', "'tis", '-1')
    """
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text


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
    text = decoded_text(data, name)
    first = next((line for line in text.splitlines() if line.strip()), "")
    if told := re.fullmatch(r"sep=(.?)", first.strip(' \r\n"'), re.IGNORECASE):  # for Excel, before the header
        text = text[text.index(first) + len(first) :]
        first = told[1] if told[1] in ",;\t" else next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    lines: list[_Row] = []
    try:
        reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
        table = (cells for cells in reader if any(cell.strip() for cell in cells))
        header = [plain_cell(cell.strip()) for cell in next(table, [])]
        for number, cells in enumerate(table, start=1):
            if len(cells) != len(header):
                raise InputError(
                    f"{name}: row {number} has {len(cells)} cells, the header {len(header)}: "
                    "a cell with a comma in it needs quotes"
                )
            line = dict(zip(header, (plain_cell(cell.strip()) for cell in cells), strict=True))
            if delimiter == ";" and "age_years" in line:
                line["age_years"] = line["age_years"].replace(",", ".")
            lines.append(line)
    except csv.Error as error:
        raise InputError(f"{name} is not a valid CSV table ({error}): save it again as CSV (UTF-8)") from error
    if not header:
        raise InputError(f"{name} is empty: it needs a header line with the names of the columns")
    return header, lines


def parquet_table(data: bytes) -> Any:  # noqa: ANN401 - pyarrow is typed where it is installed
    """The pyarrow table of a Parquet file, read without threads: pools that run at shutdown abort the process (134).

    Raises:
        pyarrow.ArrowException, OSError: it is damaged.
    """
    require("pyarrow", extra="train", purpose="for Parquet tables")
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(use_threads=False)


def _parquet(data: bytes, name: str) -> tuple[list[str], list[_Row]]:
    require("pyarrow", extra="train", purpose="for Parquet tables")
    import pyarrow as pa

    with ThirdParty(f"{name} is a damaged Parquet file: write it again"):
        table = parquet_table(data)
        header = [str(column) for column in table.column_names]
    nested = [column for column, kind in zip(header, table.schema.types, strict=True) if pa.types.is_nested(kind)]
    if nested:
        raise InputError(f"{name}: column {nested[0]!r} holds lists or records: a manifest holds one value a cell")
    with ThirdParty(f"{name} is a damaged Parquet file: write it again"):
        columns = [[_cell(value) for value in column.to_pylist()] for column in table.columns]
    return header, [dict(zip(header, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _cell(value: object) -> str:
    """A typed value as a person would have typed it; a whole number that a data frame made a float stays whole."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if value.is_integer() and abs(value) < _FLOAT_DIGITS:
            return str(int(value))
        return f"{value:e}" if value.is_integer() else repr(value)
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
    if same_spelling((one, other)):
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
    return csv_text(header, ([line[name] for name in header] for line in lines)).encode("utf-8")


def _parquet_bytes(header: Sequence[str], lines: Sequence[_Row], ages: Sequence[float | None]) -> bytes:
    require("pyarrow", extra="train", purpose="for Parquet tables")
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: pa.array([line[name] for line in lines], type=pa.string()) for name in header}
    table = pa.table({**columns, "age_years": pa.array(ages, type=pa.float64())})
    stream = pa.BufferOutputStream()
    pq.write_table(table, stream)
    return stream.getvalue().to_pybytes()
