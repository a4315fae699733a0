"""Names of tumour entities and their sites in a musculoskeletal tumour centre, and how an entity may behave."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from osteon.errors import UnknownLabelError, nearest_names

__all__ = ["behaviours_of", "entity_name", "entity_names", "location_name", "location_names", "overlapping_names"]


@cache
def _table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files("osteon.labels").joinpath("tumours.json").read_text(encoding="utf-8"))
    return found


@cache
def _spellings(kind: str) -> dict[str, str]:
    """Every name and synonym in small letters, and what is meant."""
    known = {name: row["synonyms"] if kind == "entities" else row for name, row in _table()[kind].items()}
    return {spelt.casefold(): name for name, others in known.items() for spelt in (name, *others)}


def _found(kind: str, what: str, text: str) -> str:
    spellings = _spellings(kind)
    name = spellings.get(" ".join(text.casefold().split()))
    if name is None:
        raise UnknownLabelError(f"no {what} of that name: {nearest_names(text, spellings)}")
    return name


def entity_name(text: str) -> str:
    """The entity that a name or synonym means.

    Raises:
        UnknownLabelError: none of that name; the message lists them.

    Example:
        >>> entity_name("Ewing Sarcoma"), entity_name("PVNS")
        ("Ewing's sarcoma", 'pigmented villonodular synovitis')
    """
    return _found("entities", "entity", text)


def location_name(text: str) -> str:
    """The site that a name or synonym means.

    Raises:
        UnknownLabelError: none of that name; the message lists them.
    """
    return _found("locations", "location", text)


def entity_names() -> tuple[str, ...]:
    """All entities, "other" and "unknown" included."""
    return tuple(_table()["entities"])


def location_names() -> tuple[str, ...]:
    """All sites, "unknown" included."""
    return tuple(_table()["locations"])


def behaviours_of(entity: str) -> tuple[str, ...]:
    """How an entity may behave: of "benign", "intermediate", "malignant"; () where its name says nothing.

    Example:
        >>> behaviours_of("chondrosarcoma"), behaviours_of("unknown")
        (('intermediate', 'malignant'), ())
    """
    row = _table()["entities"].get(entity)
    return tuple(row["behaviours"]) if row else ()


def overlapping_names() -> tuple[tuple[str, str], ...]:
    """Pairs of names of the thesis that may mean one entity."""
    return tuple((first, second) for first, second in _table()["overlapping"])
