"""The picture size that compressed pixels claim, read before anything is decoded.

A decoder allocates what the code stream claims: a hundred bytes that claim 65535 x 65535 pixels cost it 16 GiB. So the
claim is compared with the header of the file first.
"""

from __future__ import annotations

from struct import unpack_from
from typing import Final

__all__ = ["claimed_shape"]

JPEG_2000_START: Final = b"\xff\x4f\xff\x51"
"""SOC and SIZ: every JPEG 2000 and HTJ2K code stream begins with them (T.800 A.5)."""

NO_FRAME: Final = frozenset({0xC4, 0xC8, 0xCC})
"""Markers among the frame headers (0xC0 to 0xCF) that are none."""

JPEG_LS_FRAME: Final = 0xF7
BOXES_BYTES: Final = 4096
"""Within this many bytes a boxed JPEG 2000 image shows its code stream."""


def claimed_shape(data: bytes) -> tuple[int, int, int] | None:
    r"""Rows, columns and components that a JPEG, JPEG-LS or JPEG 2000 code stream claims.

    Args:
        data: one encapsulated frame.

    Returns:
        None when the stream does not say (or says it behind the picture, as JPEG may).

    References:
        ITU-T T.81 B.2.2, T.87 C.2.2, T.800 A.5.1.

    Example:
        >>> claimed_shape(b"\xff\xd8\xff\xf7\x00\x0b\x08\x00\x10\x00\x20\x01\x01\x11\x00")
        (16, 32, 1)
    """
    start = data.find(JPEG_2000_START, 0, BOXES_BYTES)
    if start >= 0:
        if len(data) < start + 42:
            return None
        right, bottom, left, top = unpack_from(">4I", data, start + 8)
        (components,) = unpack_from(">H", data, start + 40)
        return bottom - top, right - left, components
    at = 2 if data[:2] == b"\xff\xd8" else len(data)
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # filling
            at += 1
        elif marker == JPEG_LS_FRAME or (0xC0 <= marker <= 0xCF and marker not in NO_FRAME):
            rows, columns, components = unpack_from(">HHB", data, at + 5)
            return (rows, columns, components) if rows else None
        else:
            at += 2 + int(unpack_from(">H", data, at + 2)[0])
    return None
