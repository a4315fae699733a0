"""From stored pixel values to the modality's own: Hounsfield units for a CT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.io.frame import Frame

__all__ = ["AIR_HU", "RangeError", "is_whole", "to_float32", "to_int16"]

AIR_HU: Final = -1024
"""What "no data" becomes in a CT: air, the lowest value of the usual scale."""

LOWEST_TISSUE_HU: Final = -1000
HIGHEST_METAL_HU: Final = 30710
"""The extended CT scale ends here; a padding value above it cannot be a measurement."""

INT16_MIN, INT16_MAX = -32768, 32767


class RangeError(Exception):
    """Values do not fit in int16."""


def is_whole(frame: Frame) -> bool:
    """Whether stored integers stay integers after the rescale."""
    slope, intercept = frame.rescale or (1.0, 0.0)
    return float(slope).is_integer() and float(intercept).is_integer()


def to_int16(stored: NDArray[Any], frame: Frame, *, out: NDArray[np.int16], is_ct: bool) -> tuple[int, int, int]:
    """Rescale into int16.

    Args:
        stored: integer pixels; may share memory with ``out`` and is then overwritten.
        frame: its slope, intercept and padding; whole numbers.
        out: (rows, columns) int16, written.
        is_ct: whether padding becomes air.

    Returns:
        Smallest and largest value written, and how many pixels were padding.

    Raises:
        RangeError: a value does not fit.
    """
    slope, intercept = (int(value) for value in frame.rescale or (1.0, 0.0))
    empty = _padding(stored, frame) if is_ct else None
    real = stored if empty is None else stored[~empty]
    if real.size:
        ends = int(real.min()) * slope + intercept, int(real.max()) * slope + intercept
        low, high = min(ends), max(ends)
    else:
        low = high = AIR_HU
    if low < INT16_MIN or high > INT16_MAX:
        raise RangeError
    # the results fit, so arithmetic modulo 2^16 gives them exactly, whatever the intermediate values
    narrow = stored.view(np.int16) if stored.dtype.itemsize == 2 else stored.astype(np.int16)
    if slope != 1:
        narrow = np.multiply(narrow, _modulo(slope), out=out)
    np.add(narrow, _modulo(intercept), out=out)
    if empty is None:
        return low, high, 0
    out[empty] = AIR_HU
    return min(low, AIR_HU), max(high, AIR_HU), int(np.count_nonzero(empty))


def to_float32(
    stored: NDArray[Any], frame: Frame, *, out: NDArray[np.float32], is_ct: bool
) -> tuple[float, float, int]:
    """Rescale into float32; as ``to_int16`` for scales that are not whole numbers or do not fit."""
    slope, intercept = frame.rescale or (1.0, 0.0)
    empty = _padding(stored, frame) if is_ct else None
    out[...] = stored * np.float64(slope) + intercept
    count = 0
    if empty is not None:
        out[empty] = AIR_HU
        count = int(np.count_nonzero(empty))
    return float(out.min()), float(out.max()), count


def _modulo(value: int) -> np.int16:
    return np.int16((value + 32768) % 65536 - 32768)


def _padding(stored: NDArray[Any], frame: Frame) -> NDArray[np.bool_] | None:
    """Where a CT holds no data; None when nowhere.

    A padding value that is also a tissue's value (as 0 HU in a file that sets the tag without meaning it) is no
    padding.
    """
    if frame.padding is None:
        return None
    slope, intercept = frame.rescale or (1.0, 0.0)
    first, last = frame.padding
    ends = first * slope + intercept, last * slope + intercept
    if not (max(ends) <= LOWEST_TISSUE_HU or min(ends) > HIGHEST_METAL_HU):
        return None
    empty = np.asarray(stored == first if first == last else (stored >= first) & (stored <= last))
    return empty if empty.any() else None
