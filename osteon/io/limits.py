"""How much an input may hold: measured before it is opened, against files that fill the memory or never end.

The environment variable OSTEON_LIMIT_FACTOR multiplies all of them, for an input that is trusted and larger.
"""

from __future__ import annotations

import math
import os
from typing import Final

from osteon.errors import InputError

__all__ = [
    "CONTOUR_ITEMS",
    "CONTOUR_PIXELS",
    "CONTOUR_POINTS",
    "FRAMES",
    "HEADER_BYTES",
    "PICTURE_BYTES",
    "RATIO",
    "RATIO_FROM_BYTES",
    "TIFF_DIRECTORIES",
    "UNPACKED_BYTES",
    "UNPACKED_FILES",
    "VARIABLE",
    "is_bomb",
    "limit",
]

VARIABLE: Final = "OSTEON_LIMIT_FACTOR"

UNPACKED_BYTES: Final = 32 * 2**30
"""Of all members of a zip archive, or of all frames of a DICOM file, unpacked."""

UNPACKED_FILES: Final = 100_000
"""Members of a zip archive."""

RATIO: Final = 500.0
"""Unpacked to packed bytes, from ``RATIO_FROM_BYTES`` on: mostly air packs 20-fold, deflate gains 1032 at best."""

RATIO_FROM_BYTES: Final = 64 * 2**20
"""Unpacked size from which the ratio counts."""

HEADER_BYTES: Final = 256 * 2**20
"""Of a DICOM file before its pixels, and of a whole DICOM file whose data set is deflated."""

FRAMES: Final = 100_000
"""Of one DICOM file."""

CONTOUR_ITEMS: Final = 500_000
"""Items of all sequences of an RT Structure Set, of which each becomes an object before it is looked at."""

CONTOUR_PIXELS: Final = 2**32
"""Of the rectangles around the contours of an RT Structure Set that are read: as many have 16,000 whole slices."""

CONTOUR_POINTS: Final = 5_000_000
"""Of the contours of an RT Structure Set that are read."""

PICTURE_BYTES: Final = 2**30
"""Of a picture (PNG, JPEG, ...), decoded."""

TIFF_DIRECTORIES: Final = 10_000
"""Of one TIFF file."""


def limit(value: float) -> int:
    """A limit of this module times OSTEON_LIMIT_FACTOR.

    Raises:
        InputError: the variable is not a number from 1 to 1000.

    Example:
        >>> limit(FRAMES)
        100000
    """
    said = os.environ.get(VARIABLE, "1")
    try:
        factor = float(said)
    except ValueError:
        factor = math.nan
    if not 1 <= factor <= 1000:
        raise InputError(f"the environment variable {VARIABLE} is {said!r}: it must be a number from 1 to 1000")
    return int(value * factor)


def is_bomb(unpacked: int, packed: int) -> bool:
    """Whether so few bytes would unpack to so many that it is not an image.

    Example:
        >>> is_bomb(2**30, 2**20), is_bomb(2**30, 2**28), is_bomb(10**6, 1)
        (True, False, False)
    """
    return unpacked > limit(RATIO_FROM_BYTES) and unpacked > limit(RATIO) * max(1, packed)
