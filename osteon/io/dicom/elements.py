"""Walk the elements of a DICOM file up to its pixels, without decoding what is not asked for.

A series of 300 slices is 300 headers of about a hundred elements, of which some forty matter. Reading only those,
from the first 32 KiB of each file, is several times quicker than building a data set, and says exactly where the
pixels begin. Every uncompressed and deflated encoding of PS3.5 is walked: explicit and implicit VR, little and big
endian.
"""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass, field, replace
from struct import Struct
from typing import TYPE_CHECKING, Final

from osteon.io.limits import HEADER_BYTES, VARIABLE, is_bomb, limit

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from pathlib import Path

__all__ = [
    "DEFLATED",
    "EXPLICIT_BIG",
    "EXPLICIT_LITTLE",
    "FIRST_PIXEL_TAG",
    "IMPLICIT_LITTLE",
    "ITEM",
    "ITEM_END",
    "LONG_VRS",
    "MAX_DEPTH",
    "NATIVE",
    "SEQUENCE_END",
    "SHORT_VRS",
    "UNDEFINED",
    "Elements",
    "inflate",
    "meta_end",
    "read_elements",
]

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
NATIVE: Final = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED})

FIRST_PIXEL_TAG: Final = 0x7FE00008
FLOAT_BITS: Final = {0x7FE00008: 32, 0x7FE00009: 64}
"""Float and Double Float Pixel Data, and the bits of a pixel in them."""

PIXEL_DATA: Final = 0x7FE00010
TRANSFER_SYNTAX: Final = 0x00020010
UNDEFINED: Final = 0xFFFFFFFF
ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD
LONG_VRS: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
SHORT_VRS: Final = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_META: Final = Struct("<HH2sH")
LONGEST_FIRST: Final = 4096
"""Bytes that the first elements of a file without a preamble have at most."""

FIRST_READ_BYTES: Final = 32 * 1024
INFLATE_PIECE_BYTES: Final = 4096
INFLATED_AT_FIRST: Final = 2**20
ENDS_WITH_BYTES: Final = 2**20
"""What may follow the pixels in a data set: padding and digital signatures."""

MAX_DEPTH: Final = 32
_LONG_HEADER: Final = f"its header does not end within {HEADER_BYTES // 2**20} MiB ({VARIABLE} allows more)"


@dataclass(frozen=True, slots=True)
class Elements:
    """The asked-for elements of one file."""

    # tag -> raw bytes of the top-level elements that were wanted and present
    values: dict[int, bytes] = field(repr=False)
    transfer_syntax: str  # UID
    little_endian: bool  # byte order of ``values`` and of native pixels
    size: int  # bytes of the data set's container (the file; when deflated, the inflated data set)
    pixel_offset: int  # where the value of the pixel data begins, -1 when there is none
    pixel_length: int  # its length, -1 when undefined (encapsulated)
    damage: str | None = None  # what is wrong with the file, or None
    float_bits: int = 0  # of a pixel that is an IEEE number; 0 where pixels are whole numbers


class _NeedMoreError(Exception):
    """The walk reached the end of what was read."""


class _DamagedError(Exception):
    """The bytes cannot be a data set."""


def read_elements(path: Path, *, wanted: AbstractSet[int]) -> Elements | None:
    """Read the wanted top-level elements of a file.

    Args:
        path: any file.
        wanted: tags as ``0xGGGGEEEE``.

    Returns:
        None when the file is not DICOM. A DICOM file that breaks off gives what was read before that and ``damage``.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        data = file.read(FIRST_READ_BYTES)
        start = _first_element(data)
        if start is None:
            return None
        size = path.stat().st_size
        while True:
            try:
                return _parse(data, start, size, wanted)
            except _NeedMoreError:
                more = b""
                if len(data) < min(size, limit(HEADER_BYTES)):
                    more = file.read(min(15 * len(data), limit(HEADER_BYTES) - len(data)))
                if not more:
                    return _broken(data, start, size, wanted)
                data += more


def inflate(data: bytes, *, most: int) -> tuple[bytes, bool]:
    """The data set of a deflated file, from the bytes after the meta information.

    Returns:
        What could be inflated, of more than ``most`` bytes only so many and one, and whether that is all.
    """
    engine = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    result = bytearray()
    try:
        # in pieces: what precedes a damaged place is kept, so that the file can still be given to its series
        for start in range(0, len(data), INFLATE_PIECE_BYTES):
            result += engine.decompress(data[start : start + INFLATE_PIECE_BYTES], most - len(result) + 1)
            if engine.eof or len(result) > most:
                break
    except zlib.error:
        return bytes(result), False
    return bytes(result), engine.eof and len(result) <= most


def _inflated_size(data: bytes, *, most: int) -> tuple[int, bool]:
    """How many bytes would be inflated, and whether that is all; counting ends beyond ``most``, and nothing is kept."""
    engine = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    size = 0
    try:
        while data and not engine.eof and size <= most:
            size += len(engine.decompress(data, INFLATED_AT_FIRST))
            data = engine.unconsumed_tail
    except zlib.error:
        return size, False
    return size, engine.eof and size <= most


def meta_end(data: bytes) -> int:
    """Where the data set begins after the file meta information."""
    start = _first_element(data)
    return _read_meta(data, start)[1] if start is not None else 0


def _first_element(data: bytes) -> int | None:
    if data[128:132] == b"DICM":
        return 132
    # old files come without the preamble: accept them when they begin as a data set or as meta information does
    first, second = _plausible(data, 0)
    return 0 if first in {0x0002, 0x0008} and second in {0x0002, 0x0008, 0x0010} else None


def _plausible(data: bytes, at: int) -> tuple[int, int]:
    """Groups of two elements that follow each other from an offset, in rising order; -1 where there are none."""
    tags = []
    for _ in range(2):
        if at + 8 > len(data):
            return -1, -1
        group, element, vr, length = _META.unpack_from(data, at)
        at += 8
        if vr in LONG_VRS:
            length = int.from_bytes(data[at : at + 4], "little")
            at += 4
        elif vr not in SHORT_VRS:
            length = int.from_bytes(data[at - 4 : at], "little")
        if length % 2 or length > LONGEST_FIRST:
            return -1, -1
        tags.append(group << 16 | element)
        at += length
    return (tags[0] >> 16, tags[1] >> 16) if tags[0] < tags[1] else (-1, -1)


def _read_meta(data: bytes, at: int) -> tuple[dict[int, bytes], int]:
    """Elements of group 0002 and the offset of the first element after it; old converters write them implicitly."""
    meta: dict[int, bytes] = {}
    while at + 12 <= len(data):
        group, element, vr, length = _META.unpack_from(data, at)
        if group != 2:
            break
        value = at + 8
        if vr in LONG_VRS:
            length = int.from_bytes(data[at + 8 : at + 12], "little")
            value = at + 12
        elif vr not in SHORT_VRS:
            length = int.from_bytes(data[at + 4 : at + 8], "little")
        if length <= 256:
            meta[group << 16 | element] = data[value : value + length]
        at = value + length
    if at + 8 > len(data):
        raise _NeedMoreError
    return meta, at


def _parse(data: bytes, start: int, size: int, wanted: AbstractSet[int]) -> Elements:
    meta, at = _read_meta(data, start)
    syntax = meta.get(TRANSFER_SYNTAX, b"").rstrip(b"\0 ").decode("ascii", "replace")
    if syntax == DEFLATED:
        if len(data) < size:
            raise _NeedMoreError
        return _parse_deflated(data[at:], {tag: meta[tag] for tag in wanted & meta.keys()}, wanted)
    little = syntax != EXPLICIT_BIG
    # the bytes decide: some files say implicit and are explicit, or the reverse
    explicit = data[at + 4 : at + 6] in SHORT_VRS or data[at + 4 : at + 6] in LONG_VRS
    values = {tag: meta[tag] for tag in wanted & meta.keys()}
    walk = _Walk(data, explicit=explicit, little=little)
    damage = None
    offset, length = -1, 0
    try:
        offset, length = walk.top_level(at, size, values, wanted)
    except _DamagedError as error:
        damage = str(error)
    except _NeedMoreError:
        if len(data) < size:
            raise
        damage = "the file ends inside its header"
    syntax = syntax or (EXPLICIT_LITTLE if explicit else IMPLICIT_LITTLE)
    return Elements(values, syntax, little, size, offset, length, damage, walk.float_bits)


def _parse_deflated(data: bytes, values: dict[int, bytes], wanted: AbstractSet[int]) -> Elements:
    """The elements of a deflated data set.

    No more of it is inflated than its header, and no more is counted than it says that its pixels have.
    """
    most = INFLATED_AT_FIRST
    offset, length = -1, 0
    damage: str | None = None
    while True:
        head, complete = inflate(data, most=most)
        goes_on = len(head) > most
        explicit = head[4:6] in SHORT_VRS or head[4:6] in LONG_VRS
        walk = _Walk(head, explicit=explicit, little=True)
        try:
            offset, length = walk.top_level(0, sys.maxsize if goes_on else len(head), values, wanted)
        except _DamagedError as error:
            damage = str(error)
        except _NeedMoreError:
            if goes_on and most < limit(HEADER_BYTES):
                most = min(16 * most, limit(HEADER_BYTES))
                continue
            damage = _LONG_HEADER if goes_on else "the file ends inside its header"
        break
    size = len(head)
    if goes_on and damage is None:
        said = offset + max(0, length) if offset >= 0 else 0
        if is_bomb(said, len(data)):
            damage = (
                f"it would inflate to {said // len(data)} times its size, as no image does ({VARIABLE} allows more)"
            )
        else:
            size, complete = _inflated_size(data, most=said + ENDS_WITH_BYTES)
            if size > said + ENDS_WITH_BYTES:
                damage = "its deflated data set goes on behind its pixels, as to fill the memory"
    if not complete and (damage is None or not goes_on):
        damage = "it is truncated, its deflated data set ends early or is damaged"
    little = True
    return Elements(values, DEFLATED, little, size, offset, length, damage, walk.float_bits)


def _broken(data: bytes, start: int, size: int, wanted: AbstractSet[int]) -> Elements:
    """What can be known of a file that ends before its data set does."""
    try:
        found = _parse(data, start, min(size, len(data)), wanted)
        return replace(found, damage=_LONG_HEADER) if len(data) < size and found.pixel_offset < 0 else found
    except _NeedMoreError:
        damage = _LONG_HEADER if len(data) < size else "the file ends inside its header"
        return Elements({}, "", True, size, -1, 0, damage)  # noqa: FBT003 - little endian


class _Walk:
    """Steps over elements; knows the encoding."""

    def __init__(self, data: bytes, *, explicit: bool, little: bool) -> None:
        order = "<" if little else ">"
        self.data = data
        self.explicit = explicit
        self.float_bits = 0
        self.short = Struct(f"{order}HH2sH")
        self.implicit = Struct(f"{order}HHI")
        self.long = Struct(f"{order}I")

    def top_level(self, at: int, size: int, values: dict[int, bytes], wanted: AbstractSet[int]) -> tuple[int, int]:
        """Collect wanted values; returns offset and length of the pixel data."""
        data, end = self.data, len(self.data)
        element = self.explicit_element if self.explicit else self.implicit_element
        while at + 8 <= size:
            tag, vr, length, at = element(at)
            if tag >= FIRST_PIXEL_TAG:
                if tag == PIXEL_DATA or tag in FLOAT_BITS:
                    self.float_bits = FLOAT_BITS.get(tag, 0)
                    return at, (-1 if length == UNDEFINED else length)
                if tag > PIXEL_DATA:
                    break
            if length == UNDEFINED:
                at = self.skip_sequence(at, explicit=self.explicit and vr != b"UN", depth=0)
                continue
            if tag in wanted:
                values[tag] = data[at : at + length]
            at += length
            if at > size or (tag in wanted and at > end):
                raise _NeedMoreError
        return -1, 0

    def explicit_element(self, at: int) -> tuple[int, bytes, int, int]:
        """Tag, value representation, length and the offset of the value."""
        if at + 8 > len(self.data):
            raise _NeedMoreError
        group, element, vr, length = self.short.unpack_from(self.data, at)
        at += 8
        if vr in LONG_VRS:
            if at + 4 > len(self.data):
                raise _NeedMoreError
            (length,) = self.long.unpack_from(self.data, at)
            at += 4
        elif vr not in SHORT_VRS:
            raise _DamagedError("its header cannot be followed: an element has no valid type")
        return group << 16 | element, vr, length, at

    def implicit_element(self, at: int) -> tuple[int, bytes, int, int]:
        """As ``explicit_element``; the value representation is not written in the file."""
        if at + 8 > len(self.data):
            raise _NeedMoreError
        group, element, length = self.implicit.unpack_from(self.data, at)
        return group << 16 | element, b"", length, at + 8

    def skip_sequence(self, at: int, *, explicit: bool, depth: int) -> int:
        """Offset after a sequence of undefined length that begins at ``at``."""
        if depth > MAX_DEPTH:
            raise _DamagedError("its header cannot be followed: sequences are nested too deep")
        while True:
            if at + 8 > len(self.data):
                raise _NeedMoreError
            group, element, length = self.implicit.unpack_from(self.data, at)
            tag = group << 16 | element
            at += 8
            if tag == SEQUENCE_END:
                return at
            if tag != ITEM:
                raise _DamagedError("its header cannot be followed: a sequence holds something that is not an item")
            at = self.skip_item(at, explicit=explicit, depth=depth) if length == UNDEFINED else at + length

    def skip_item(self, at: int, *, explicit: bool, depth: int) -> int:
        """Offset after an item of undefined length whose first element is at ``at``."""
        while True:
            tag, vr, length, value = self.implicit_element(at)
            if tag == ITEM_END:
                return value
            if explicit:
                tag, vr, length, value = self.explicit_element(at)
            if length == UNDEFINED:
                at = self.skip_sequence(value, explicit=explicit and vr != b"UN", depth=depth + 1)
            else:
                at = value + length
