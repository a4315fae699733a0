"""What a paper publishes, as it stands there; what it must be where arithmetic says otherwise; and why.

Each system keeps its numbers and sentences in ``published.json``; a test of the system holds them against arithmetic.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from osteon.report.blocks import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DAGGER", "Published", "PublishedRow", "read_published"]

DAGGER: Final = "†"
"""Marks a published number that cannot be."""

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """A row of a published table.

    Attributes:
        title: as the paper names it.
        values: measure -> text, as it stands in the table: a number, or "mean (low to high)".
        corrected: measure -> text as it must be, only where that differs or is not published; "about" before what was
            worked out.
        shares: measures that are published as shares, the others in percent.
    """

    title: str
    values: Mapping[str, str]
    corrected: Mapping[str, str] = field(default_factory=dict)
    shares: frozenset[str] = frozenset()

    def marked(self, measure: str) -> str:
        """What is published, with a dagger where it cannot be; "" where nothing is."""
        text = self.values.get(measure, "")
        return f"{text}{DAGGER}" if text and measure in self.corrected else text

    def texts(self, measure: str) -> tuple[str, ...]:
        """The value, and its limits where they are published; empty where nothing is."""
        return tuple(_NUMBER.findall(self.values.get(measure, "")))

    def numbers(self, measure: str, *, corrected: bool = True) -> tuple[float, ...]:
        """The same as shares."""
        texts = _NUMBER.findall(self.corrected.get(measure, "")) if corrected else ()
        return tuple(float(text) / (1 if measure in self.shares else 100) for text in texts or self.texts(measure))

    def value(self, measure: str, *, corrected: bool = True) -> float | None:
        """The value as a share, as it must be or as it is published; None where there is none."""
        return next(iter(self.numbers(measure, corrected=corrected)), None)

    def interval(self, measure: str) -> tuple[float, float, float] | None:
        """Value and limits as shares; limits of no width where none are published."""
        found = self.numbers(measure)
        return (found[0], found[-2], found[-1]) if len(found) > 1 else (found[0],) * 3 if found else None

    def leaves_range(self, measure: str) -> bool:
        """Whether the published share or a limit of it is outside 0 to 1."""
        return any(not 0 <= number <= 1 for number in self.numbers(measure, corrected=False))


@dataclass(frozen=True, slots=True)
class Published:
    """All that a system's ``published.json`` holds.

    Attributes:
        tables: by name, the rows by name, in the published order.
        facts: whatever else the paper publishes.
        checks: what was held against arithmetic, with what came out: a table, or none.
        sentences: of the tables beside it, by name.
    """

    tables: Mapping[str, Mapping[str, PublishedRow]] = field(repr=False)
    facts: Mapping[str, Any] = field(repr=False)
    checks: tuple[Table, ...] = field(repr=False)
    sentences: Mapping[str, str] = field(default_factory=dict, repr=False)

    def said(self, *names: str) -> tuple[str, ...]:
        """Some of the sentences."""
        return tuple(self.sentences[name] for name in names)

    def row(self, name: str) -> PublishedRow | None:
        """The first row of that name in any table."""
        return next((rows[name] for rows in self.tables.values() if name in rows), None)


@cache
def read_published(package: str) -> Published:
    """The numbers and sentences of one system, of ``published.json`` in its package."""
    document = json.loads(files(package).joinpath("published.json").read_text(encoding="utf-8"))
    tables = {
        name: {
            row["name"]: PublishedRow(
                title=row.get("title", row["name"]),
                values=dict(zip(table["columns"], row["values"], strict=True)),
                corrected=row.get("corrected", {}),
                shares=frozenset(table.get("shares", ())),
            )
            for row in table["rows"]
        }
        for name, table in document.pop("tables").items()
    }
    checks, sentences = document.pop("checks", None), document.pop("sentences", {})
    return Published(tables, document, (_checks(checks),) if checks else (), sentences)


def _checks(document: Mapping[str, Any]) -> Table:
    """A table as JSON holds it; records are given, or named for the columns."""
    words = {"yes": True, "NO": False}
    rows = tuple(tuple(row) for row in document["rows"])
    records = document.get("records") or [
        {name: words.get(cell, cell) for name, cell in zip(document["names"], row, strict=True)}
        for row in rows
        if "names" in document
    ]
    return Table(
        document["name"],
        document["title"],
        tuple(document["columns"]),
        rows,
        notes=tuple(document["notes"]),
        records=tuple(records),
    )
