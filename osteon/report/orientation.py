"""How a Grid of any orientation is laid out for a radiologist."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import permutations
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.geometry import Box

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from osteon.geometry import Grid

__all__ = ["Display", "axis_letters", "direction_letters", "slice_axis", "slice_positions_mm"]

_WANTED: Final = np.array([(0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)])
"""Head to feet, front to back, patient's right to patient's left: the axes of the three standard planes."""

_LETTERS: Final = (("R", "L"), ("A", "P"), ("F", "H"))
_SHOWN_COMPONENT: Final = 0.26
"""A direction that leans less than 15 degrees to a patient axis does not get that axis's letter."""


@dataclass(frozen=True, slots=True, eq=False)
class Display:
    """The turn (transposition and flips, no resampling) that brings a Grid into radiological order.

    Display axis 0 runs from head to feet, 1 from front to back, 2 from the patient's right to the left, each as
    nearly as the Grid's axes allow. A plane is what remains when one display axis is left out: its rows are the
    lower, its columns the higher remaining axis, so axial, coronal and sagittal pictures all come out as usual.

    Attributes:
        order: grid axis behind each display axis.
        flipped: whether a display axis runs against its grid axis.
        shape: voxels along the display axes.
        spacing_mm: along the display axes.
        directions: (3, 3); row k is the LPS unit vector of display axis k.
    """

    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    directions: NDArray[np.float64] = field(repr=False)

    @classmethod
    def of(cls, grid: Grid) -> Display:
        """The turn for a grid."""
        closeness = _WANTED @ grid.directions.T
        best = max(permutations(range(3)), key=lambda order: sum(abs(closeness[k, order[k]]) for k in range(3)))
        first, second, third = best
        order = (first, second, third)
        flips = [bool(closeness[k, order[k]] < 0) for k in range(3)]
        signs = np.where(flips, -1.0, 1.0)[:, None]
        return cls(
            order=order,
            flipped=(flips[0], flips[1], flips[2]),
            shape=(grid.shape[first], grid.shape[second], grid.shape[third]),
            spacing_mm=(grid.spacing_mm[first], grid.spacing_mm[second], grid.spacing_mm[third]),
            directions=np.asarray(grid.directions[list(order)] * signs),
        )

    @property
    def slice_axis(self) -> int:
        """Display axis along which the Grid's slices are stacked: 0 for an axial series."""
        return self.order.index(0)

    def turn(self, array: NDArray[Any]) -> NDArray[Any]:
        """View of a (slice, row, column) array along the display axes."""
        turned = array.transpose(self.order)
        step = tuple(slice(None, None, -1 if flip else None) for flip in self.flipped)
        return turned[step]

    def plane(self, array: NDArray[Any], slice_index: int) -> NDArray[Any]:
        """View of one slice of a (slice, row, column) array as (rows, columns) of its display plane."""
        return self.turn(array[slice_index : slice_index + 1]).squeeze(axis=self.slice_axis)

    def box(self, box: Box) -> Box:
        """A box of the Grid in display indices."""
        start, stop = [0, 0, 0], [0, 0, 0]
        for k, axis in enumerate(self.order):
            low, high, size = box.start[axis], box.stop[axis], self.shape[k]
            start[k], stop[k] = (size - high, size - low) if self.flipped[k] else (low, high)
        return Box(start=(start[0], start[1], start[2]), stop=(stop[0], stop[1], stop[2]))

    def index(self, slice_index: int) -> int:
        """Display index of a slice along ``slice_axis``."""
        k = self.slice_axis
        return self.shape[k] - 1 - slice_index if self.flipped[k] else slice_index

    def extent_mm(self, box: Box, axis: int | None = None) -> tuple[float, float]:
        """Width and height of a box of the Grid on the plane without display axis ``axis``, or of its slices."""
        shape, (row, column) = self.box(box).shape, self.plane_axes(axis)
        return shape[column] * self.spacing_mm[column], shape[row] * self.spacing_mm[row]

    def plane_axes(self, axis: int | None = None) -> tuple[int, int]:
        """Display axes of the rows and of the columns of the plane without ``axis``, or of a slice."""
        left_out = self.slice_axis if axis is None else axis
        row, column = (k for k in range(3) if k != left_out)
        return row, column

    def crop(self, array: NDArray[Any], box: Box, slice_index: int) -> NDArray[Any]:
        """View of one slice of a (slice, row, column) array inside the rows and columns of a box of the Grid."""
        inside, (row, column) = self.box(box), self.plane_axes()
        plane = self.plane(array, slice_index)
        return plane[inside.start[row] : inside.stop[row], inside.start[column] : inside.stop[column]]

    def place_mm(self, box: Box, window: Box, axis: int | None = None) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of a box in millimetres of a panel that shows a window; ``axis`` as above."""
        inner, outer, (row, column) = self.box(box), self.box(window), self.plane_axes(axis)
        left, right = (
            (end - outer.start[column]) * self.spacing_mm[column] for end in (inner.start[column], inner.stop[column])
        )
        top, bottom = ((end - outer.start[row]) * self.spacing_mm[row] for end in (inner.start[row], inner.stop[row]))
        return left, top, right, bottom

    def edge_letters(self, axis: int) -> tuple[str, str, str, str]:
        """Patient directions at the left, right, top and bottom edge of the plane without display axis ``axis``."""
        row, column = (k for k in range(3) if k != axis)
        across, down = self.directions[column], self.directions[row]
        return direction_letters(-across), direction_letters(across), direction_letters(-down), direction_letters(down)


def direction_letters(direction: ArrayLike) -> str:
    """Letters of the patient directions that an LPS unit vector (3,) points to, the main one first.

    Example:
        >>> direction_letters((0.0, 0.0, 1.0)), direction_letters((-0.8, 0.6, 0.0))
        ('H', 'RP')
    """
    vector = np.asarray(direction, dtype=np.float64)
    axes = sorted(range(3), key=lambda k: -abs(vector[k]))
    return "".join(_LETTERS[k][int(vector[k] > 0)] for k in axes if abs(vector[k]) > _SHOWN_COMPONENT)


def slice_axis(grid: Grid) -> NDArray[np.float64]:
    """(3,) LPS unit vector along the stack of slices, pointing to head, left or back, whichever is nearest.

    So positions along it are the scanner's table positions for an axial series, whichever way the slices are stored.
    """
    normal = grid.directions[0]
    return np.asarray(normal if normal[int(np.argmax(np.abs(normal)))] > 0 else -normal)


def slice_positions_mm(grid: Grid) -> NDArray[np.float64]:
    """(slices,) position of every slice centre along ``slice_axis``, in LPS millimetres.

    Example:
        >>> from osteon.geometry import Grid
        >>> grid = Grid.from_axes(shape=(3, 4, 5), spacing_mm=(2.0, 1.0, 1.0), origin_lps_mm=(0, 0, 10))
        >>> slice_positions_mm(grid).tolist()
        [10.0, 12.0, 14.0]
    """
    centre = [(n - 1) / 2 for n in grid.shape[1:]]
    points = grid.to_lps_mm([(k, *centre) for k in range(grid.shape[0])])
    return np.asarray(points @ slice_axis(grid))


def axis_letters(grid: Grid) -> tuple[str, str]:
    """Patient directions at the low and the high end of the slice positions: ``("F", "H")`` for an axial series."""
    axis = slice_axis(grid)
    return direction_letters(-axis), direction_letters(axis)
