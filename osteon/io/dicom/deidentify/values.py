"""Values of elements: dates and ages, dummies, and text in every character set."""

from __future__ import annotations

import re
import warnings
from datetime import date, timedelta
from typing import Final

from osteon.io.dicom.header import text

__all__ = ["BINARY_VRS", "OLDEST_TOLD", "age_on", "capped_age", "decoded", "dummy", "encoded", "parsed_date", "shifted"]

REMOVED: Final = b"REMOVED"
OLDEST_TOLD: Final = 89
"""Years; above it an age says 090Y (45 CFR 164.514(b)(2)(i)(C))."""

BINARY_VRS: Final = frozenset("AT FD FL OB OD OF OL OV OW SL SS SV UL US UV".split())  # noqa: SIM905 - a line
_DUMMIES: Final = {
    "AS": b"000D", "AT": bytes(4), "DA": b"19000101", "DS": b"0", "DT": b"19000101", "FD": bytes(8), "FL": bytes(4),
    "IS": b"0", "OB": bytes(2), "OD": bytes(8), "OF": bytes(4), "OL": bytes(4), "OV": bytes(8), "OW": bytes(2),
    "SL": bytes(4), "SS": bytes(2), "SV": bytes(8), "TM": b"000000", "UL": bytes(4), "UN": bytes(2),
    "UR": b"urn:removed", "US": bytes(2), "UV": bytes(8),
}  # fmt: skip
_DATE: Final = re.compile(r"(\d{4})[-./]?(?:(\d\d)[-./]?(\d\d)?)?(.*)", re.DOTALL)


def dummy(vr: str) -> bytes:
    """A value that says nothing and is valid for a value representation."""
    return _DUMMIES.get(vr, REMOVED)


def decoded(raw: bytes, character_set: bytes) -> str:
    """The text of an element; what cannot be decoded shows as replacement characters."""
    return text(raw, character_set)


def encoded(value: str, character_set: bytes) -> bytes:
    """The bytes of a text in the character set of its file; characters that it lacks are left out."""
    if value.isascii():
        return value.encode()
    from pydicom.charset import convert_encodings, encode_string

    names = character_set.strip(b"\0 ").decode("ascii", "replace").split("\\") if character_set.strip(b"\0 ") else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if names == ["ISO_IR 13"]:  # both halves of JIS X 0201, which pydicom writes one at a time
                return value.encode("shift_jis")
            return bytes(encode_string(value, convert_encodings(names or "ISO_IR 100")))
        except (LookupError, UnicodeError):
            return value.encode("ascii", "ignore")


def parsed_date(value: str) -> date | None:
    """The day of a DA or DT; None when there is none.

    Example:
        >>> parsed_date("2020.03.04"), parsed_date("202003")
        (datetime.date(2020, 3, 4), None)
    """
    found = _DATE.fullmatch(value.strip("\0 "))
    try:
        return date(int(found[1]), int(found[2]), int(found[3])) if found else None
    except (TypeError, ValueError):
        return None


def shifted(value: str, days: int, *, with_time: bool = False) -> str:
    """A DA, or a DT, so many days later; as exact as it was. "" for what is no date.

    Args:
        value: one value. Of a DT without a day the middle of its month or year is shifted.
        days: to add.
        with_time: whether it is a DT, whose time of day and zone stay.

    Example:
        >>> shifted("20200301", -1), shifted("20200301101500.5+0100", -1, with_time=True), shifted("2020", -300)
        ('20200229', '20200229101500.5+0100', '2019')
    """
    found = _DATE.fullmatch(value.strip("\0 "))
    if found is None or (found[4] and not (with_time and re.fullmatch(r"[\d.]*([+-]\d{4})?", found[4]))):
        return ""
    try:
        day = date(int(found[1]), int(found[2] or 7), int(found[3] or (15 if found[2] else 1)))
        new = day + timedelta(days=days)
    except (ValueError, OverflowError):
        return ""
    length = 4 + 2 * bool(found[2]) + 2 * bool(found[3])
    return f"{new.year:04}{new.month:02}{new.day:02}"[:length] + found[4]


def age_on(birth: date, day: date) -> int:
    """Completed years of life on a day.

    Example:
        >>> age_on(date(1930, 5, 2), date(2020, 5, 1))
        89
    """
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def capped_age(value: str) -> str:
    """A Patient's Age that says 090Y from 90 years on; "" for what is no age.

    Example:
        >>> capped_age("089Y"), capped_age("1090M"), capped_age("96"), capped_age("about 40")
        ('089Y', '090Y', '', '')
    """
    found = re.fullmatch(r"(\d{1,4})([DWMY])", value.strip("\0 ").upper())
    if found is None:
        return ""
    years = int(found[1]) / {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}[found[2]]
    return "090Y" if years >= OLDEST_TOLD + 1 else f"{int(found[1]):03}{found[2]}"
