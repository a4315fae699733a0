"""Memory of a training on the CPU: what a step frees is kept for the next one."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_NEVER = 2**31 - 1
_LARGEST_MAP = 2**30


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory of any size, for the rest of the process.

    A step of training frees gigabytes of maps and asks for them again. Given back to the system each time, every page
    is cleared and mapped anew, which took more than half of a step of Hybrid-AttUNet++ at 224 x 224
    (``bench.segmenter --only training``). The process keeps the memory of its largest step instead.

    Returns:
        Whether it was done; False where the C library is another one.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return all([mallopt(_MMAP_THRESHOLD, _LARGEST_MAP), mallopt(_TRIM_THRESHOLD, _NEVER)])
