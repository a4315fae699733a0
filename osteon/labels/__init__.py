"""Coded concepts and label sets, as JSON tables with their source."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from osteon.errors import UnknownLabelError, nearest_names

__all__ = ["Concept", "concept", "concept_names"]


@dataclass(frozen=True, slots=True)
class Concept:
    """A coded concept.

    Attributes:
        value: code value, as "71341001".
        scheme: coding scheme designator, as "SCT", "DCM", "UCUM", "IBSI", "LN", "99OSTEON".
        meaning: the words a person reads.
    """

    value: str
    scheme: str
    meaning: str

    def __str__(self) -> str:
        """The meaning."""
        return self.meaning


@cache
def _table() -> dict[str, Concept]:
    text = files("osteon.labels").joinpath("concepts.json").read_text(encoding="utf-8")
    return {
        name: Concept(value=value, scheme=scheme, meaning=meaning)
        for group in json.loads(text)["groups"].values()
        for name, (value, scheme, meaning) in group.items()
    }


def concept(name: str) -> Concept:
    """The concept that osteon knows by a short name.

    Args:
        name: a key of ``concepts.json``, as "femur" or "unit_mm".

    Raises:
        UnknownLabelError: no such name; the message names the closest.

    Example:
        >>> concept("femur").value
        '71341001'
    """
    table = _table()
    if name not in table:
        raise UnknownLabelError(f"no concept {name!r}: {nearest_names(name, table)}")
    return table[name]


def concept_names() -> tuple[str, ...]:
    """All short names, in the order of the table."""
    return tuple(_table())
