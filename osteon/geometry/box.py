"""A box whose edges follow a grid's axes, placed in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.geometry.grid import Grid

__all__ = ["Box"]


@dataclass(frozen=True, slots=True)
class Box:
    """A block of voxels of one grid: half-open index ranges.

    Attributes:
        start: first (slice, row, column) inside.
        stop: first (slice, row, column) outside.

    Raises:
        InputError: the box is empty on an axis.

    Example:
        >>> Box(start=(0, 0, 0), stop=(2, 3, 4)).shape
        (2, 3, 4)
    """

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    def __post_init__(self) -> None:
        """Refuse an empty box."""
        if any(b <= a for a, b in zip(self.start, self.stop, strict=True)):
            raise InputError(f"a box must hold at least one voxel, found {self.start} to {self.stop}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (slice, row, column)."""
        slices, rows, columns = (b - a for a, b in zip(self.start, self.stop, strict=True))
        return slices, rows, columns

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index of the box into an array on the grid."""
        first, second, third = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return first, second, third

    def corners_lps_mm(self, grid: Grid) -> NDArray[np.float64]:
        """(8, 3) corners at the outer faces of the voxels; bit 2, 1, 0 of the row number picks slice, row, column."""
        ends = [(a - 0.5, b - 0.5) for a, b in zip(self.start, self.stop, strict=True)]
        return grid.to_lps_mm(list(product(*ends)))

    def bounds_lps_mm(self, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Smallest and largest LPS coordinates of the corners, each (3,)."""
        corners = self.corners_lps_mm(grid)
        return np.asarray(corners.min(axis=0)), np.asarray(corners.max(axis=0))

    def volume_mm3(self, grid: Grid) -> float:
        """Volume of the box."""
        return float(np.prod(self.shape)) * grid.voxel_volume_mm3
