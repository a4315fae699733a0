"""How the loops of this package are compiled: kept on disk where that is possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["compiled"]

_Loop = TypeVar("_Loop", bound="Callable[..., Any]")


def compiled(loop: _Loop) -> _Loop:
    """Compile a function of numbers and arrays; it releases the interpreter lock.

    An account that can write neither the package folder nor a cache of its own (a container without a home) compiles
    in every process: numba refuses to cache there with a RuntimeError.
    """
    try:
        return cast("_Loop", numba.njit(cache=True, nogil=True)(loop))
    except RuntimeError:
        return cast("_Loop", numba.njit(nogil=True)(loop))
