"""Slices moved within their plane, and slices between slices: the two ways in which reading changes pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["interpolate_slices", "shift_plane"]


def interpolate_slices(array: NDArray[Any], places: NDArray[np.float64], slices: int) -> NDArray[Any]:
    """The slices of a regular stack at 0, 1, 2..., by linear interpolation between frames at ascending ``places``.

    Example:
        >>> interpolate_slices(np.array([[[0.0]], [[6.0]], [[9.0]]]), np.array([0.0, 2.0, 3.0]), 4).ravel().tolist()
        [0.0, 3.0, 6.0, 9.0]
    """
    result = np.empty((slices, *array.shape[1:]), dtype=array.dtype)
    for index in range(slices):
        below = min(max(int(np.searchsorted(places, index + 1e-6, side="right")) - 1, 0), len(places) - 2)
        share = min(max((index - places[below]) / (places[below + 1] - places[below]), 0.0), 1.0)
        if share < 1e-4 or share > 1 - 1e-4:
            result[index] = array[below + round(float(share))]
            continue
        mixed = array[below] * np.float32(1 - share) + array[below + 1] * np.float32(share)
        result[index] = np.rint(mixed) if array.dtype == np.int16 else mixed
    return result


def shift_plane(
    plane: NDArray[Any], shift_vox: tuple[float, float], *, shape: tuple[int, int], fill: float
) -> NDArray[np.float32]:
    """Place an image on a larger lattice, displaced by a fraction of a pixel; linear interpolation along each axis.

    Example:
        >>> shift_plane(np.array([[0.0, 2.0, 4.0]]), (0.0, 0.5), shape=(1, 4), fill=-1.0).tolist()
        [[-1.0, 1.0, 3.0, -1.0]]
    """
    moved = _shift_rows(plane.astype(np.float32), shift_vox[0], shape[0], fill)
    return np.ascontiguousarray(_shift_rows(np.ascontiguousarray(moved.T), shift_vox[1], shape[1], fill).T)


def _shift_rows(plane: NDArray[np.float32], shift: float, rows: int, fill: float) -> NDArray[np.float32]:
    """Displace along the first axis; a result pixel needs both its neighbours."""
    whole = math.floor(shift + 1e-9)
    fraction = max(0.0, shift - whole)
    result = np.full((rows, plane.shape[1]), fill, dtype=np.float32)
    if fraction < 1e-6:
        result[whole : whole + len(plane)] = plane
        return result
    # result row j is between source rows j - whole - 1 and j - whole
    between = plane[:-1] * np.float32(fraction) + plane[1:] * np.float32(1 - fraction)
    result[whole + 1 : whole + len(plane)] = between
    return result
