"""A data set as a tree of raw elements: what is not changed is written again byte for byte.

Nothing is converted on the way, so that a value which bends the standard neither stops the reading nor comes out
different. A sequence is parsed to its last item, also when it is called UN (PS3.5 6.2.2); what cannot be followed is
an error and never copied blindly.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from struct import Struct, error
from typing import Final, Literal

from osteon.errors import InputError
from osteon.io.dicom.elements import (
    FIRST_PIXEL_TAG,
    ITEM,
    ITEM_END,
    LONG_VRS,
    MAX_DEPTH,
    SEQUENCE_END,
    SHORT_VRS,
    UNDEFINED,
)
from osteon.io.limits import VARIABLE, limit

__all__ = ["Element", "Encoding", "Item", "dictionary_vr", "encode", "parse"]

_ITEMS: Final = 500_000
"""Of one sequence, each of which becomes an object."""

_LENGTHS_16: Final = frozenset(vr.decode() for vr in SHORT_VRS)
_NOT_FOLLOWED: Final = "damaged, its data set cannot be followed"


@dataclass(frozen=True, slots=True)
class Encoding:
    """How elements are written."""

    explicit: bool  # the value representation is written with each element
    little: bool  # byte order

    @property
    def order(self) -> Literal["little", "big"]:
        """Byte order by its name."""
        return "little" if self.little else "big"


@dataclass(slots=True)
class Element:
    """One element."""

    tag: int
    vr: str  # as in the file; of the dictionary where the file has none; "UN" where nobody knows
    value: bytes | list[Item] = field(repr=False)
    inner: Encoding | None = None  # of the items of a sequence that is called UN
    fragments: bool = False  # of undefined length without being a sequence: encapsulated pixels of an icon

    @property
    def items(self) -> list[Item]:
        """The items of a sequence; none of another element."""
        return self.value if isinstance(self.value, list) else []


@dataclass(slots=True)
class Item:
    """A data set, or an item of a sequence."""

    elements: dict[int, Element] = field(default_factory=dict)
    start: int = -1  # offset of the item in what it was read from
    written: int = -1  # offset in what was encoded last

    def raw(self, tag: int) -> bytes:
        """The bytes of an element; none when it is absent or a sequence."""
        found = self.elements.get(tag)
        return found.value if found is not None and isinstance(found.value, bytes) else b""

    def put(self, tag: int, vr: str, value: bytes | list[Item]) -> None:
        """Add an element, or replace it."""
        self.elements[tag] = Element(tag, vr, value)


@lru_cache(maxsize=8192)
def dictionary_vr(tag: int) -> str:
    """The value representation of the standard's dictionary; "" for a tag that it does not have.

    Of two that are possible ("US or SS") the first.
    """
    from pydicom.datadict import dictionary_has_tag, dictionary_VR

    return str(dictionary_VR(tag)).split()[0] if dictionary_has_tag(tag) else ""


def parse(data: bytes, at: int, encoding: Encoding, *, end: int | None = None) -> tuple[Item, int]:
    """The elements from an offset to the pixels or the end.

    Args:
        data: of a file, or a part of it.
        at: where the data set begins.
        encoding: of the elements.
        end: of the data set; default the end of ``data``.

    Returns:
        The data set, and the offset of the first element that was not read: the pixels, or what follows them.

    Raises:
        InputError: the bytes are no data set, or sequences are nested deeper than any are.
    """
    try:
        return _parse_set(data, at, len(data) if end is None else end, encoding, 0)
    except (error, RecursionError, ValueError) as problem:
        raise InputError(f"{_NOT_FOLLOWED} ({type(problem).__name__})") from problem


@lru_cache(maxsize=4)
def _structs(little: bool) -> tuple[Struct, Struct, Struct]:  # noqa: FBT001 - a key of the cache
    order = "<" if little else ">"
    return Struct(f"{order}HH2sH"), Struct(f"{order}HHI"), Struct(f"{order}I")


def _head(data: bytes, at: int, encoding: Encoding) -> tuple[int, str, int, int]:
    """Tag, value representation, length and offset of the value."""
    short, plain, long = _structs(encoding.little)
    group, number, length = plain.unpack_from(data, at)
    tag = group << 16 | number
    if not encoding.explicit or tag in {ITEM, ITEM_END, SEQUENCE_END}:
        return tag, "", length, at + 8
    vr = data[at + 4 : at + 6]
    if vr in LONG_VRS:
        return tag, vr.decode(), long.unpack_from(data, at + 8)[0], at + 12
    if vr in SHORT_VRS:
        return tag, vr.decode(), short.unpack_from(data, at)[3], at + 8
    if vr.isalpha():
        raise InputError(f"{_NOT_FOLLOWED}: an element has no valid type")
    return tag, "", length, at + 8  # some writers fall back to implicit VR within an explicit data set


def _parse_set(data: bytes, at: int, end: int, encoding: Encoding, depth: int) -> tuple[Item, int]:
    if depth > MAX_DEPTH:
        raise InputError(f"{_NOT_FOLLOWED}: sequences are nested too deep")
    found = Item()
    while at + 8 <= end:
        tag, vr, length, value_at = _head(data, at, encoding)
        if tag == ITEM_END:
            return found, value_at
        if depth == 0 and tag >= FIRST_PIXEL_TAG:
            return found, at
        found.elements[tag], at = _parse_element(data, (tag, vr, length, value_at), end, encoding, depth)
    return found, end


def _parse_element(
    data: bytes, head: tuple[int, str, int, int], end: int, encoding: Encoding, depth: int
) -> tuple[Element, int]:
    tag, vr, length, at = head
    known = dictionary_vr(tag) if tag >> 16 & 1 == 0 else ""
    kind = vr or known or "UN"
    if length == UNDEFINED:
        if kind in {"OB", "OW"}:
            stop = _fragments_end(data, at, encoding)
            return Element(tag, kind, data[at : stop - 8], fragments=True), stop
        inner = _inner(data, at, encoding) if kind == "UN" and encoding.explicit else None
        items, at = _parse_items(data, at, end, inner or encoding, depth)
        return Element(tag, kind, items, inner), at
    stop = at + length
    if stop > end:
        raise InputError(f"{_NOT_FOLLOWED}: an element goes beyond its end")
    if kind == "SQ":
        return Element(tag, kind, _parse_items(data, at, stop, encoding, depth)[0]), stop
    if kind == "UN" and known == "SQ":
        inner = _inner(data, at, encoding)
        with suppress(InputError, error):  # bytes that are no sequence after all stay bytes, and are removed
            return Element(tag, kind, _parse_items(data, at, stop, inner, depth)[0], inner), stop
    return Element(tag, kind, data[at:stop]), stop


def _inner(data: bytes, at: int, encoding: Encoding) -> Encoding:
    """How the items of a sequence that is called UN are written: implicitly, or as some writers do."""
    vr = data[at + 12 : at + 14]
    explicit = encoding.explicit and (vr in LONG_VRS or vr in SHORT_VRS)
    return Encoding(explicit=explicit, little=encoding.little if explicit else True)


def _parse_items(data: bytes, at: int, end: int, encoding: Encoding, depth: int) -> tuple[list[Item], int]:
    items: list[Item] = []
    while at + 8 <= end:
        start = at
        tag, _, length, at = _head(data, at, replace(encoding, explicit=False))
        if tag == SEQUENCE_END:
            return items, at
        if tag != ITEM:
            raise InputError(f"{_NOT_FOLLOWED}: a sequence holds something that is not an item")
        stop = end if length == UNDEFINED else at + length
        if stop > end:
            raise InputError(f"{_NOT_FOLLOWED}: an item goes beyond its end")
        item, at = _parse_set(data, at, stop, encoding, depth + 1)
        item.start = start
        items.append(item)
        if len(items) > limit(_ITEMS):
            raise InputError(
                f"{_NOT_FOLLOWED}: a sequence has more than {limit(_ITEMS)} items ({VARIABLE} allows more)"
            )
    return items, end


def _fragments_end(data: bytes, at: int, encoding: Encoding) -> int:
    while True:
        tag, _, length, at = _head(data, at, replace(encoding, explicit=False))
        if tag == SEQUENCE_END:
            return at
        if tag != ITEM or length == UNDEFINED:
            raise InputError(f"{_NOT_FOLLOWED}: encapsulated pixels hold something that is not a fragment")
        at += length


def encode(data_set: Item, encoding: Encoding, *, at: int = 0) -> bytes:
    """The bytes of a data set, elements in the order of their tags; notes in each item where it was written.

    Args:
        data_set: the elements.
        encoding: how to write them.
        at: offset of the first byte in the file to be.

    Raises:
        InputError: a value is longer than its type allows.
    """
    out = bytearray()
    for tag in sorted(data_set.elements):
        element = data_set.elements[tag]
        inner = element.inner or encoding
        head = 12 if encoding.explicit and element.vr not in _LENGTHS_16 else 8
        if isinstance(element.value, list):
            value = _encode_items(element.value, inner, at=at + len(out) + head)
        else:
            value = element.value if len(element.value) % 2 == 0 else element.value + _pad(element.vr)
        # a sequence that is called UN is one for readers only when its length is undefined
        undefined = element.fragments or (element.vr == "UN" and isinstance(element.value, list))
        out += _encode_head(element, UNDEFINED if undefined else len(value), encoding) + value
        if undefined:
            out += _structs(inner.little)[1].pack(SEQUENCE_END >> 16, SEQUENCE_END & 0xFFFF, 0)
    return bytes(out)


def _encode_head(element: Element, length: int, encoding: Encoding) -> bytes:
    short, plain, long = _structs(encoding.little)
    group, number = element.tag >> 16, element.tag & 0xFFFF
    if not encoding.explicit:
        return plain.pack(group, number, length)
    vr = element.vr.encode()
    if element.vr not in _LENGTHS_16:
        return short.pack(group, number, vr, 0) + long.pack(length)
    if length > 0xFFFF:
        raise InputError(f"{_NOT_FOLLOWED}: an element is longer than its type allows")
    return short.pack(group, number, vr, length)


def _encode_items(items: list[Item], encoding: Encoding, *, at: int) -> bytes:
    plain = _structs(encoding.little)[1]
    out = bytearray()
    for item in items:
        item.written = at + len(out)
        body = encode(item, encoding, at=item.written + 8)
        out += plain.pack(ITEM >> 16, ITEM & 0xFFFF, len(body)) + body
    return bytes(out)


def _pad(vr: str) -> bytes:
    return b"\0" if vr in {"UI", "OB", "UN"} else b" "
