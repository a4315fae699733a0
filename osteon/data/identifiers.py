"""Names of patients, studies and series: when two spellings may mean one, and when a name is no longer one.

Spreadsheets and data frames change identifiers: zeros are lost (007, 7), whole numbers become 1000.0, long numbers
2.02400E+14. People change the rest: case, dashes and blanks, letters that are composed or not, characters of no width.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["looks_rounded", "same_spelling", "shown_groups", "spelling"]

_EXPONENT = re.compile(r"[+-]?\d(?:[.,]\d+)?[eE]\+\d{1,3}")
_SPREADSHEET_DIGITS = 15
"""A spreadsheet keeps this many; the others become 0."""

_MOST_SHOWN = 20


def spelling(name: str) -> str:
    """A name without what spreadsheets, typists and encodings change; equal ones may be one name.

    Case, composition (NFC or NFD), characters of no width, zeros before a number, ``.0`` after a whole number, dashes,
    underscores and blanks do not count. Between two digits any of the latter counts as a dash: 1-11 is not 11-1.

    Example:
        >>> spelling("PAT_007"), spelling("pat 7"), spelling("1000.0"), spelling("1_011")
        ('pat7', 'pat7', '1000', '1-11')
    """
    return _without_zeros(re.sub(r"(?<!\d)-|-(?!\d)", "", _separated(name)))


def same_spelling(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of different names that may be one, sorted.

    Beside equal spellings these are numbers with and without separators, where one without is there: 123-456, 123456.

    Example:
        >>> same_spelling(["P01", "p1", "P02", "1-11", "11-1"])
        [('P01', 'p1')]
    """
    joined: dict[str, dict[str, list[str]]] = {}
    for name in sorted(set(names)):
        bare = _without_zeros(_separated(name).replace("-", ""))
        joined.setdefault(bare, {}).setdefault(spelling(name), []).append(name)
    groups: list[tuple[str, ...]] = []
    for bare, by_spelling in joined.items():
        parts = list(by_spelling.values())
        if bare in by_spelling:  # one is written without separators: all may be that one
            parts = [sorted(name for part in parts for name in part)]
        groups += [tuple(part) for part in parts if len(part) > 1]
    return sorted(groups)


def looks_rounded(names: Iterable[str]) -> tuple[str, ...]:
    """Those names that were long numbers once and lost their last digits, sorted.

    These are numbers with an exponent as spreadsheets and data frames write it, and numbers of more than 15 digits when
    all of them end in zeros from the 16th on (several digits in all).

    Example:
        >>> looks_rounded(["2.02400E+14", "P7"]), looks_rounded(["123456789012345000"]), looks_rounded(["12e45678"])
        (('2.02400E+14',), ('123456789012345000',), ())
    """
    different = sorted(set(names))
    found = [name for name in different if _EXPONENT.fullmatch(name)]
    long = [name for name in different if name.isdecimal() and len(name) > _SPREADSHEET_DIGITS]
    ends = "".join(name[_SPREADSHEET_DIGITS:] for name in long)
    return (*found, *long) if len(ends) > 1 and not ends.strip("0") else tuple(found)


def shown_groups(groups: Iterable[tuple[str, ...]]) -> str:
    """Groups of names for a message; letters beyond ASCII as escapes, for equal-looking names must be told apart."""
    listed = [" and ".join(ascii(name) for name in group) for group in groups]
    more = f"; and {len(listed) - _MOST_SHOWN} more" if len(listed) > _MOST_SHOWN else ""
    return "; ".join(listed[:_MOST_SHOWN]) + more


def _separated(name: str) -> str:
    """Small letters, composed; dashes, underscores and blanks are single dashes; without what has no width."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    marked = "".join("-" if _separates(letter) else letter for letter in plain if not _has_no_width(letter))
    text = re.sub(r"-+", "-", marked).strip("-")
    return re.sub(r"^(\d+)[.,]0+$", r"\1", text)


def _separates(letter: str) -> bool:
    return letter.isspace() or letter in "_\N{MINUS SIGN}" or unicodedata.category(letter) == "Pd"


def _has_no_width(letter: str) -> bool:
    category = unicodedata.category(letter)
    return category == "Cf" or (category == "Cc" and not letter.isspace()) or "\ufe00" <= letter <= "\ufe0f"


def _without_zeros(text: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", text)
