"""Outlines of patches of cells: closed rings with their holes, along the edges of the cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["Patch", "patches"]

Corner = tuple[int, int]
"""(row, column) of a corner of the grid: cell (i, j) has the corners (i, j) to (i + 1, j + 1)."""

_UP, _RIGHT, _DOWN, _LEFT = (-1, 0), (0, 1), (1, 0), (0, -1)
_FOUR: Final = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=bool)


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
