"""Refuse a volume that cannot fit before its memory is asked for: the system would grant it and kill later."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from osteon.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["require_memory"]

GIB: Final = 1024**3
BYTES_A_VOXEL: Final = 2


def require_memory(shape: Sequence[int], *, what: str) -> None:
    """Raise when a volume of int16 is larger than the memory that is free.

    Args:
        shape: (slice, row, column).
        what: names the input in the message.

    Raises:
        InputError: it is.

    Example:
        >>> require_memory((2, 3, 4), what="the series")
    """
    import psutil

    needed, free = math.prod(int(n) for n in shape) * BYTES_A_VOXEL, int(psutil.virtual_memory().available)
    if needed > free:
        size = " x ".join(str(n) for n in shape)
        raise InputError(
            f"{what} says that it holds {size} voxels: that needs {needed / GIB:.1f} GiB, {free / GIB:.1f} GiB of "
            "memory are free; if that size is right, use a larger machine or a part of the series"
        )
