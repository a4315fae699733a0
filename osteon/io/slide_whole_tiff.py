"""Whether a TIFF is all there: its directories, what they point to, and its pixels.

tifffile and openslide stop without an error at a directory beyond the end of the file, so that a slide whose end is
missing would be read as one with fewer levels, or without its scale.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from osteon.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["check_all_there", "check_length"]

VALUE_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 9: 4, 10: 8, 13: 4, 16: 8, 18: 8}
WHOLE_NUMBERS: Final = {3: "u2", 4: "u4", 16: "u8"}
PLACES: Final = {273: 279, 324: 325}
"""Tags of the places of strips and tiles, and those of their lengths."""

JPEG_TABLES: Final = 347


def check_all_there(path: Path) -> None:
    """Refuse a TIFF or BigTIFF that ends too early. Not for Hamamatsu's beyond 4 GiB, whose offsets lack bits.

    Raises:
        InputError: truncated.
    """
    with path.open("rb") as file:
        needed = _needed(file, path.stat().st_size)
    check_length(path, needed)


def check_length(path: Path, needed: int) -> None:
    """Refuse a file shorter than it must be.

    Raises:
        InputError: truncated.
    """
    size = path.stat().st_size
    if needed > size:
        raise InputError(f"{path.name} is truncated: {size} of at least {needed} bytes are there; copy it again")


def _needed(file: BinaryIO, size: int) -> int:
    """The last byte that a directory or a picture needs; looking ends with the first that is beyond ``size``."""
    head = file.read(16).ljust(16, b"\0")
    order = "<" if head.startswith(b"II") else ">"
    is_big = head[2:4] in (b"+\0", b"\0+")
    count, offset = ("Q", "Q") if is_big else ("H", "I")
    wide, long = struct.calcsize(f"<{count}"), struct.calcsize(f"<{offset}")
    start = int(struct.unpack_from(order + offset, head, 8 if is_big else 4)[0])
    needed, seen = 0, set()
    while start and start not in seen and needed <= size:
        seen.add(start)
        needed = max(needed, start + wide)
        if needed > size:
            break
        file.seek(start)
        entries = int(struct.unpack(order + count, file.read(wide))[0])
        length = entries * (4 + 2 * long)
        needed = max(needed, start + wide + length + long)
        if needed > size:
            break
        table = file.read(length)
        start = int(struct.unpack(order + offset, file.read(long))[0])
        needed = max(needed, _pixels_end(file, table, order, offset, size))
    return needed


def _pixels_end(file: BinaryIO, table: bytes, order: str, offset: str, size: int) -> int:
    """Where the pixels of a directory end, and what is needed to find and decode them."""
    long = struct.calcsize(f"<{offset}")
    entry = struct.Struct(f"{order}HH{offset}")
    needed = 0
    found: dict[int, NDArray[Any]] = {}
    for place in range(0, len(table), 4 + 2 * long):
        tag, kind, count = entry.unpack_from(table, place)
        if tag not in (*PLACES, *PLACES.values(), JPEG_TABLES) or kind not in VALUE_BYTES:
            continue
        inline = table[place + 4 + long : place + 4 + 2 * long]
        length = int(count) * VALUE_BYTES[kind]
        if length > long:
            at = int(struct.unpack(order + offset, inline)[0])
            needed = max(needed, at + length)
            if needed > size:
                return needed
            file.seek(at)
            inline = file.read(length)
        if kind in WHOLE_NUMBERS:
            found[tag] = np.frombuffer(inline[:length], dtype=order + WHOLE_NUMBERS[kind]).astype(np.int64)
    for places, lengths in PLACES.items():
        if places in found and lengths in found and found[places].size == found[lengths].size > 0:
            needed = max(needed, int((found[places] + found[lengths])[found[lengths] > 0].max(initial=0)))
    return needed
