"""Another order and direction of the axes of a grid: nothing is resampled, every voxel keeps its place and value."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.geometry.grid import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Turn", "axial_turn", "turn_onto"]

_AXIAL: Final = np.array([(0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)])
"""Feet to head, front to back, the patient's right to left."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A transposition and flips.

    Attributes:
        order: old axis behind each new axis.
        flipped: whether a new axis runs against its old one.
    """

    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    def array(self, array: NDArray[Any]) -> NDArray[Any]:
        """View of a (slice, row, column) array along the new axes."""
        return array.transpose(self.order)[tuple(slice(None, None, -1 if flip else None) for flip in self.flipped)]

    def grid(self, grid: Grid) -> Grid:
        """The grid of the turned array."""
        affine = grid.affine.copy()
        first = [0, 0, 0]
        for new, (old, flip) in enumerate(zip(self.order, self.flipped, strict=True)):
            affine[:3, new] = grid.affine[:3, old] * (-1 if flip else 1)
            first[old] = grid.shape[old] - 1 if flip else 0
        affine[:3, 3] = grid.to_lps_mm(first)
        slices, rows, columns = (grid.shape[axis] for axis in self.order)
        return Grid(shape=(slices, rows, columns), affine=affine)


def axial_turn(grid: Grid) -> Turn:
    """The turn that makes slices ascend to the head, rows to the back, columns to the left, as nearly as axes allow.

    Example:
        >>> axial_turn(
        ...     Grid.from_axes(shape=(3, 4, 5), spacing_mm=(2, 1, 1), directions=[(0, 0, 1), (0, -1, 0), (1, 0, 0)])
        ... )
        Turn(order=(0, 1, 2), flipped=(False, True, False))
    """
    return _turn(grid, _AXIAL)


def turn_onto(grid: Grid, target: Grid, *, what: str) -> Turn:
    """The turn that brings a grid onto another one that has the same voxels in another order.

    How thick a single slice is called does not matter: files of one slice say its thickness, its distance, or nothing.

    Args:
        grid: of what is to be turned.
        target: where it has to lie.
        what: named in the error, as "the lesion mask and its image".

    Raises:
        GeometryMismatchError: shape, spacing or place differ, not the order of the axes only.
    """
    turn = _turn(grid, target.directions)
    target.require_same(_as_thick(turn.grid(grid), target), what=what)
    return turn


def _as_thick(grid: Grid, target: Grid) -> Grid:
    """The grid with the target's spacing along axes that have one voxel in both: no distance lies along them."""
    affine = grid.affine.copy()
    for axis in range(3):
        if grid.shape[axis] == target.shape[axis] == 1:
            affine[:3, axis] *= target.spacing_mm[axis] / grid.spacing_mm[axis]
    return Grid(shape=grid.shape, affine=affine)


def _turn(grid: Grid, wanted: NDArray[np.float64]) -> Turn:
    closeness = wanted @ grid.directions.T
    first, second, third = max(
        permutations(range(3)), key=lambda order: sum(abs(closeness[new, order[new]]) for new in range(3))
    )
    flips = [bool(closeness[new, old] < 0) for new, old in enumerate((first, second, third))]
    return Turn(order=(first, second, third), flipped=(flips[0], flips[1], flips[2]))
