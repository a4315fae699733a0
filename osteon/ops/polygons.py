"""Polygons on a plane of pixels: the pixels whose centres are inside, and the outline of pixels along their edges.

Inside is decided by crossing numbers, exactly, and not by a drawing routine: OpenCV's ``fillPoly`` draws the boundary
itself too, and matplotlib's ``contains_points`` asks every edge of every pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["Corner", "Filled", "Patch", "double_area", "fill_polygons", "patches", "winding_numbers"]

Corner: TypeAlias = tuple[int, int]
"""(row, column) of a corner of the grid: cell (i, j) has the corners (i, j) to (i + 1, j + 1)."""

_UP, _RIGHT, _DOWN, _LEFT = (-1, 0), (0, 1), (1, 0), (0, -1)
_FOUR: Final = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=bool)
_CROSSINGS: Final = 2**20
"""Of edges and rows that are worked on at a time."""


# -------------------------------------------------------------------------------------------------- pixels of polygons


@dataclass(frozen=True, slots=True, eq=False)
class Filled:
    """The pixels of several polygons of one plane.

    Attributes:
        inside: (row, column) bool, whether a pixel's centre is inside an odd number of the polygons.
        crossing: numbers of the polygons that cross themselves so that it matters for a pixel.
        overlapping: of those that are neither within, nor around, nor beside another one.
        empty: of those in which there is no centre of a pixel.
    """

    inside: NDArray[np.bool_] = field(repr=False)
    crossing: tuple[int, ...] = ()
    overlapping: tuple[int, ...] = ()
    empty: tuple[int, ...] = ()


def fill_polygons(polygons: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> Filled:
    """Fill polygons by the even-odd rule: where one is within another there is a hole, and in the hole an island.

    Args:
        polygons: (n, 2) corners each, as (row, column); pixel centres are at whole numbers. The last corner is joined
            to the first. A polygon with a channel to its hole (keyhole) has the hole.
        shape: (rows, columns) of the plane; what is outside it is left out.

    Returns:
        A centre exactly on an edge counts as inside where the polygon is at larger rows or columns, and only there: so
        polygons that share an edge share no pixel.

    Example:
        >>> square = np.array([[0.5, 0.5], [0.5, 3.5], [3.5, 3.5], [3.5, 0.5]])
        >>> fill_polygons([square, square / 3 + 4 / 3], (5, 5)).inside.sum()
        np.int64(8)
    """
    inside = np.zeros(shape, dtype=np.bool_)
    above = np.full(shape, -1, dtype=np.int32)  # the smallest polygon so far that has the pixel
    crossing, overlapping, empty = [], [], []
    # from large to small: one that is within another then comes after it
    for number in sorted(range(len(polygons)), key=lambda place: -abs(double_area(polygons[place]))):
        winding, block = winding_numbers(polygons[number], shape)
        own = (winding & 1).astype(np.bool_)
        inside[block] ^= own
        if winding.max(initial=0) - winding.min(initial=0) > 1:
            crossing.append(number)
        under = above[block][own]
        if not under.size:
            empty.append(number)
        elif under.min() != under.max():
            overlapping.append(number)
        above[block][own] = number
    return Filled(inside, tuple(sorted(crossing)), tuple(sorted(overlapping)), tuple(sorted(empty)))


def winding_numbers(
    polygon: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[NDArray[np.int32], tuple[slice, slice]]:
    """How often a closed polygon goes round the centres of pixels.

    Args:
        polygon: (n, 2) corners as (row, column), finite; pixel centres are at whole numbers.
        shape: (rows, columns) of the plane.

    Returns:
        The winding numbers of a block of the plane, and the block; they are 0 outside it. A polygon that does not cross
        itself has 0 outside, and 1 everywhere inside or -1 everywhere inside.

    Example:
        >>> winding_numbers(np.array([[0.5, 0.5], [0.5, 1.5], [1.5, 1.5], [1.5, 0.5]]), (9, 9))
        (array([[-1]], dtype=int32), (slice(1, 2, None), slice(1, 2, None)))
    """
    size = np.array(shape)
    if not len(polygon):
        return np.zeros((0, 0), dtype=np.int32), (slice(0, 0), slice(0, 0))
    top, left = np.clip(np.ceil(polygon.min(axis=0)), 0, size).astype(np.int64)
    bottom, right = np.clip(np.floor(polygon.max(axis=0)) + 1, (top, left), size).astype(np.int64)
    height, width = int(bottom - top), int(right - left)
    start, end = polygon, np.roll(polygon, -1, axis=0)
    rises = end[:, 0] > start[:, 0]
    # from the smaller row to the larger: an edge and its reverse, as of a channel, cross a row at the very same place
    low, high = np.where(rises[:, None], start, end), np.where(rises[:, None], end, start)
    first, stop = (np.clip(np.ceil(side[:, 0]), top, bottom).astype(np.int64) for side in (low, high))
    counts = np.zeros(height * (width + 1))
    for block in _blocks(stop - first):
        rows = stop[block] - first[block]
        edge = np.repeat(np.arange(block.start, block.stop), rows)
        row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(rows) - rows, rows)
        share = (row - low[edge, 0]) / (high[edge, 0] - low[edge, 0])
        column = low[edge, 1] + share * (high[edge, 1] - low[edge, 1])
        column = np.clip(np.ceil(column), left, right).astype(np.int64) - left
        place = (row - top) * (width + 1) + column
        counts += np.bincount(place, weights=np.where(rises[edge], 1.0, -1.0), minlength=len(counts))
    turns = counts.reshape(height, width + 1)[:, :-1].astype(np.int32)
    winding = np.cumsum(turns, axis=1, dtype=np.int32)
    return winding, (slice(int(top), int(bottom)), slice(int(left), int(right)))


def _blocks(rows: NDArray[np.int64]) -> Iterator[slice]:
    """Ranges of edges that cross no more than so many rows together, or one edge."""
    before = np.concatenate([[0], np.cumsum(rows)])
    first = 0
    while first < len(rows):
        stop = int(np.searchsorted(before, before[first] + _CROSSINGS, side="right")) - 1
        stop = min(max(stop, first + 1), len(rows))
        yield slice(first, stop)
        first = stop


def double_area(polygon: NDArray[np.float64]) -> float:
    """Twice the signed area of a closed polygon of (n, 2) corners; positive where rows turn towards columns.

    Example:
        >>> double_area(np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 3.0], [0.0, 3.0]]))
        12.0
    """
    row, column = (polygon - polygon[:1]).T if len(polygon) else np.zeros((2, 0))
    return float((row * np.roll(column, -1) - np.roll(row, -1) * column).sum())


# -------------------------------------------------------------------------------------------------- polygons of pixels


@dataclass(frozen=True, slots=True)
class Patch:
    """Cells that hang together along edges.

    Attributes:
        outer: corners of the outer ring, the first again at the end; clockwise as seen, with rows downwards.
        holes: likewise, counter-clockwise.
        rows: of its cells.
        columns: of its cells.
    """

    outer: tuple[Corner, ...]
    holes: tuple[tuple[Corner, ...], ...]
    rows: NDArray[np.intp] = field(repr=False)
    columns: NDArray[np.intp] = field(repr=False)


def patches(cells: NDArray[np.bool_]) -> tuple[Patch, ...]:
    """Every patch of cells with its outline, the first in reading order first.

    Cells that only touch at a corner are two patches. No ring passes a corner twice, so that every polygon is valid
    (OGC Simple Features): a patch that closes around a gap and touches itself at a corner has a hole that touches
    its outer ring there.

    Args:
        cells: (rows, columns) bool.
    """
    from scipy import ndimage

    labels, total = ndimage.label(cells, structure=_FOUR)
    found = []
    for number, block in enumerate(ndimage.find_objects(labels, max_label=total), start=1):
        inside = labels[block] == number
        top, left = block[0].start, block[1].start
        rings = [tuple((row + top, column + left) for row, column in ring) for ring in _rings(inside)]
        rings.sort(key=_double_area, reverse=True)  # the one outer ring is the one that turns the other way
        rows, columns = np.nonzero(inside)
        found.append(Patch(outer=rings[0], holes=tuple(rings[1:]), rows=rows + top, columns=columns + left))
    return tuple(found)


def _double_area(ring: tuple[Corner, ...]) -> int:
    """Twice the signed area; positive for a ring that has its inside on the right hand."""
    return sum(a[1] * b[0] - b[1] * a[0] for a, b in pairwise(ring))


def _rings(inside: NDArray[np.bool_]) -> Iterator[tuple[Corner, ...]]:
    """Closed rings around the cells, the cells on the right hand, only corners where the direction changes."""
    steps = _edges(inside)
    while steps:
        start = next(iter(steps))
        ring: list[Corner] = []
        place, way = start, steps[start][0]
        first, last = way, (0, 0)
        while True:
            ways = steps[place]
            ways.remove(way)
            if not ways:
                del steps[place]
            if way != last:
                ring.append(place)
            last = way
            place = (place[0] + way[0], place[1] + way[1])
            if place == start:
                break
            way = _next_way(steps[place], last)
        if last == first:
            ring.pop(0)  # the walk began in the middle of a straight edge
        yield (*ring, ring[0])


def _edges(inside: NDArray[np.bool_]) -> dict[Corner, list[Corner]]:
    """Directions in which the outline leaves every corner: one, or two where two cells touch at the corner."""
    padded = np.pad(inside, 1)
    here = padded[1:-1, 1:-1]
    sides = (
        (~padded[:-2, 1:-1], (0, 0), _RIGHT),  # nothing above: along the upper edge
        (~padded[1:-1, 2:], (0, 1), _DOWN),
        (~padded[2:, 1:-1], (1, 1), _LEFT),
        (~padded[1:-1, :-2], (1, 0), _UP),
    )
    steps: dict[Corner, list[Corner]] = {}
    for free, (down, across), way in sides:
        for row, column in np.argwhere(here & free).tolist():
            steps.setdefault((row + down, column + across), []).append(way)
    return steps


def _next_way(ways: list[Corner], last: Corner) -> Corner:
    """The way on from a corner.

    Where two cells of the patch touch at the corner, the outline may turn left or right. Left crosses over to the
    other cell, so that the two gaps beside them stay two rings and neither passes this corner again.
    """
    if len(ways) == 1:
        return ways[0]
    left = (-last[1], last[0])
    return left if left in ways else ways[0]
