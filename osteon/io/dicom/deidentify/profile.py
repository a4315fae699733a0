"""The tables of DICOM PS3.15 annex E, and what they ask for one element."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EDITION", "actions", "item_actions", "safe_private", "structured", "vocabulary"]

EDITION: Final = "2026d"
_ALWAYS: Final = frozenset({"structure"})
"""Options of the table that are always on: the content of a report is cleaned item by item."""


@lru_cache(maxsize=2)
def _read(name: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads(files(__package__).joinpath(name).read_text("utf-8"))


@lru_cache(maxsize=8)
def actions(keep: frozenset[str]) -> Mapping[int, str]:
    """Tag -> D, Z, X, K, C or U, for every single tag of table E.1-1, and a few of our own.

    An option that is on decides; K before C. Of the choices that the table leaves to the type of an attribute, the one
    that is valid for each type is taken: a dummy value before an empty one before removal (X/Z/D is D, X/Z is Z), and
    of references (X/Z/U*) their UIDs are exchanged. None of them keeps anything. Repeating groups and private elements
    are no single tags: the walk removes them.
    """
    return {
        int(tag, 16): _resolve(basic, options, keep)
        for tag, _, basic, options in _read("profile.json")["also"] + _read("profile.json")["attributes"]
        if tag.isalnum() and tag != "private" and "x" not in tag
    }


@lru_cache(maxsize=8)
def item_actions(keep: frozenset[str]) -> Mapping[tuple[str, str, str], str]:
    """(coding scheme, code, value type) -> D, X, K or C, for every content item of table E.3.4-1."""
    rows = _read("profile.json")["content_items"]
    return {(scheme, code, kind): _resolve(basic, options, keep) for scheme, code, kind, _, basic, options in rows}


def _resolve(basic: str, options: Mapping[str, str], keep: frozenset[str]) -> str:
    on = {action for name, action in options.items() if name in keep | _ALWAYS}
    if on:
        return "K" if "K" in on else "C"
    choice = basic.removesuffix("*").split("/")
    return next(action for action in "UDZX" if action in choice)


@lru_cache(maxsize=1)
def structured() -> frozenset[int]:
    """Tags of the sequences that hold content items, as those of a report."""
    return frozenset(
        int(tag, 16) for tag, _, _, options in _read("profile.json")["attributes"] if "structure" in options
    )


@lru_cache(maxsize=1)
def safe_private() -> frozenset[tuple[str, int, int]]:
    """(private creator, group, last byte of the element) of the private elements that may be kept: numbers only."""
    rows = _read("profile.json")["safe_private"]
    return frozenset((creator, int(place[:4], 16), int(place[-2:], 16)) for creator, place in rows)


@lru_cache(maxsize=1)
def vocabulary() -> frozenset[str]:
    """Words of descriptions that tell nothing of a person, in lower case, English and German."""
    return frozenset(word for words in _read("vocabulary.json")["words"].values() for word in words.split())
