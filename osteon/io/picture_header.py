"""What a picture file declares beside its pixels: which way is up, the bits used, the number of pictures."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["CAMERA_COUNTS", "PictureHeader", "picture_header", "used_bits"]

_ORIENTATION, _MP_ENTRIES = 0x0112, 0xB002
_THUMBNAIL: Final = 0x010000
"""Type of a smaller copy among the pictures of a JPEG; the others are pictures of their own."""

_SHORT_STARTS = (b"\x01", *(bytes([0xD0 + number]) for number in range(9)))
_FULL_BITS = 16
CAMERA_COUNTS: Final = 4096
"""16 bits without a value from here on are those of a detector of 12 bits or less."""


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """What a PNG, JPEG or WebP declares.

    Attributes:
        orientation: of EXIF, 1 to 8; 1 where nothing is said.
        bits: used by a sample, of PNG's sBIT; 0 where nothing is said.
        pictures: in the file.
    """

    orientation: int = 1
    bits: int = 0
    pictures: int = 1

    def upright(self, image: NDArray[Any]) -> NDArray[Any]:
        """(row, column, ...) as a viewer shows it."""
        turned = image.swapaxes(0, 1) if self.orientation > 4 else image
        rows = -1 if self.orientation in (3, 4, 7, 8) else 1
        columns = -1 if self.orientation in (2, 3, 6, 7) else 1
        return np.ascontiguousarray(turned[::rows, ::columns])


def picture_header(data: bytes) -> PictureHeader:
    """Read the declarations of a file; of other kinds, and where they are damaged, nothing is declared."""
    try:
        if data.startswith(b"\x89PNG"):
            return _of_png(data)
        if data.startswith(b"\xff\xd8"):
            return _of_jpeg(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            exif = next((body for kind, body in _webp_chunks(data) if kind == b"EXIF"), b"")
            return PictureHeader(orientation=_orientation(exif.removeprefix(b"Exif\0\0")))
    except (struct.error, IndexError, ValueError):
        pass
    return PictureHeader()


def used_bits(values: NDArray[Any], declared: int) -> int:
    """How many of 16 bits hold the grey values: those declared, where the values were not moved to the upper bits.

    Returns:
        16 where all are used, or where the values are those of fewer bits times a power of two, as PNG wants it.
    """
    if not 0 < declared < _FULL_BITS or values.dtype != np.uint16:
        return _FULL_BITS
    is_moved = not (values & np.uint16((1 << (_FULL_BITS - declared)) - 1)).any()
    return _FULL_BITS if is_moved or int(values.max()) >= 1 << declared else declared


def _of_png(data: bytes) -> PictureHeader:
    found: dict[bytes, bytes] = {}
    place = 8
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind in (b"sBIT", b"eXIf", b"acTL"):
            found[kind] = data[place + 8 : place + 8 + length]
        place += 12 + length
    frames = struct.unpack_from(">I", found[b"acTL"])[0] if b"acTL" in found else 1
    return PictureHeader(_orientation(found.get(b"eXIf", b"")), max(found.get(b"sBIT", b"\0")[:3]), max(1, frames))


def _of_jpeg(data: bytes) -> PictureHeader:
    orientation, pictures = 1, 1
    for marker, body in _jpeg_segments(data):
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            orientation = _orientation(body[6:])
        if marker == 0xE2 and body.startswith(b"MPF\0"):
            entries = _tags(body[4:]).get(_MP_ENTRIES, b"")
            order = ">" if body[4:6] == b"MM" else "<"
            kinds = [struct.unpack_from(f"{order}I", entries, at)[0] & 0xFFFFFF for at in range(0, len(entries), 16)]
            pictures = max(1, sum(kind & 0xFF0000 != _THUMBNAIL for kind in kinds))
    return PictureHeader(orientation, pictures=pictures)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment before the pixels."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xDA:
            return
        if marker == 0xFF or bytes([marker]) in _SHORT_STARTS:
            place += 1 if marker == 0xFF else 2
            continue
        length = struct.unpack_from(">H", data, place + 2)[0]
        yield marker, data[place + 4 : place + 2 + length]
        place += 2 + length


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 12
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        yield kind, data[place + 8 : place + 8 + length]
        place += 8 + length + length % 2


def _orientation(exif: bytes) -> int:
    value = _tags(exif).get(_ORIENTATION, b"")
    found = struct.unpack_from(">H" if exif[:2] == b"MM" else "<H", value)[0] if len(value) >= 2 else 1
    return found if 1 <= found <= 8 else 1


def _tags(block: bytes) -> dict[int, bytes]:
    """Content of the tags of the first directory of a TIFF structure, in its byte order."""
    if block[:2] not in (b"II", b"MM"):
        return {}
    order = ">" if block[:2] == b"MM" else "<"
    start = struct.unpack_from(f"{order}I", block, 4)[0]
    found = {}
    for number in range(struct.unpack_from(f"{order}H", block, start)[0]):
        tag, kind, count = struct.unpack_from(f"{order}HHI", block, start + 2 + 12 * number)
        size = count * {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1}.get(kind, 0)
        place = start + 10 + 12 * number
        if size > 4:
            place = struct.unpack_from(f"{order}I", block, place)[0]
        found[tag] = block[place : place + size]
    return found
