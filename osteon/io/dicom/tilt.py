"""Move a slice within its own plane, as a tilted gantry's stack needs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["shift_plane"]


def shift_plane(
    plane: NDArray[Any],
    shift_vox: tuple[float, float],
    *,
    shape: tuple[int, int],
    fill: float,
) -> NDArray[np.float32]:
    """Place an image on a larger lattice, displaced by a fraction of a pixel; linear interpolation along each axis.

    Args:
        plane: (rows, columns).
        shift_vox: where its first pixel comes to lie, in (rows, columns) of the result; at least 0.
        shape: of the result; holds the displaced image whole.
        fill: value of pixels that no source pixel covers.

    Returns:
        ``shape`` float32.

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
    # result row j lies between source rows j - whole - 1 and j - whole
    between = plane[:-1] * np.float32(fraction) + plane[1:] * np.float32(1 - fraction)
    result[whole + 1 : whole + len(plane)] = between
    return result
