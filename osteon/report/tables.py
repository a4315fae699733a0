"""A table that is written as Markdown, as CSV and as HTML from the same cells."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Table", "table_csv", "table_html", "table_markdown"]


@dataclass(frozen=True, slots=True)
class Table:
    """A table for a person, and the numbers behind it.

    Attributes:
        name: of its files, as "table1".
        title: one line.
        columns: headings.
        rows: as many texts a row as there are columns.
        notes: sentences below the table; warnings stand here, inside the table's own files.
        records: the same content as numbers, one entry a number or row; written as CSV. All have the same keys.
        strong: indices of rows to be set off, as the best or the baselines.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = field(repr=False)
    notes: tuple[str, ...] = ()
    records: tuple[Mapping[str, object], ...] = field(default=(), repr=False)
    strong: frozenset[int] = frozenset()


def table_markdown(table: Table) -> str:
    r"""GitHub's Markdown: a heading, the table, its notes as a list.

    Example:
        >>> print(table_markdown(Table("t", "Counts", ("what", "n"), (("a|b", "2"),), notes=("Made up.",))))
        ### Counts
        <BLANKLINE>
        | what | n |
        | --- | --- |
        | a\|b | 2 |
        <BLANKLINE>
        * Made up.
        <BLANKLINE>
    """
    lines = [f"### {table.title}", "", _line(table.columns), _line(["---"] * len(table.columns))]
    for number, row in enumerate(table.rows):
        lines.append(_line([f"**{cell}**" if number in table.strong and cell else cell for cell in row]))
    if table.notes:
        lines += ["", *(f"* {note}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def table_csv(table: Table) -> str:
    """The records, or the cells when there are none; the notes follow as lines that begin with #."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if table.records:
        names = list(table.records[0])
        writer.writerow(names)
        writer.writerows([_plain(record[name]) for name in names] for record in table.records)
    else:
        writer.writerow(table.columns)
        writer.writerows(table.rows)
    text.writelines(f"# {note}\n" for note in table.notes)
    return text.getvalue()


def _plain(value: object) -> object:
    """Floats with six significant digits, nothing for None and for what is not defined."""
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124  # only NaN differs from itself
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value


def table_html(table: Table) -> str:
    """A figure element without style of its own: ``<figure class="table">`` with caption, table and notes."""
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    body = "".join(
        f"<tr{' class=strong' if number in table.strong else ''}>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for number, row in enumerate(table.rows)
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    return (
        f'<figure class="table" id="{escape(table.name)}"><figcaption>{escape(table.title)}</figcaption>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f"{f'<ul>{notes}</ul>' if notes else ''}</figure>"
    )
