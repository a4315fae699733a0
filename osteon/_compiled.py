"""How hot loops are compiled and run in threads, in one place for `ops` and `mesh`.

numba turns the marked functions into machine code on first use and keeps it beside the module (or in the user's cache),
so a second process loads it in milliseconds. The marked functions release the interpreter lock: slices run in threads.
"""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["available_threads", "compiled", "in_threads"]

_log = logging.getLogger(__name__)
_Function = TypeVar("_Function", bound="Callable[..., Any]")


def compiled(function: _Function) -> _Function:
    """Compile a function of numbers and arrays; it must not touch Python objects.

    Where neither the package folder nor the user's cache can be written (a read-only container), the code is compiled
    in every process instead of kept.
    """
    try:
        return cast("_Function", numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:
        _log.debug("compiled code cannot be kept on this machine; it is made again in every process")
        return cast("_Function", numba.njit(nogil=True)(function))


def available_threads(limit: int = 8) -> int:
    """Processors this process may use, at most ``limit``.

    Example:
        >>> 1 <= available_threads() <= 8
        True
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min(limit, count))


def in_threads(work: Callable[[int, int], None], count: int, *, chunk: int = 4) -> None:
    """Call ``work(first, stop)`` on blocks of ``range(count)``, in threads.

    Blocks are short because slices differ in cost: those of air are done sooner.

    Example:
        >>> seen = []
        >>> in_threads(lambda first, stop: seen.extend(range(first, stop)), 5, chunk=2)
        >>> sorted(seen)
        [0, 1, 2, 3, 4]
    """
    blocks = [(first, min(first + chunk, count)) for first in range(0, count, chunk)]
    threads = available_threads()
    if threads == 1 or len(blocks) < 2:
        for first, stop in blocks:
            work(first, stop)
        return
    with ThreadPoolExecutor(threads) as pool:
        for task in [pool.submit(work, first, stop) for first, stop in blocks]:
            task.result()
