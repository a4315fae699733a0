"""The paper's leg regions to the letter: slice by slice, opening, Otsu, two largest parts, crop.

Kept because the paper is what osteon repeats; the series mode of ``find_legs`` is what osteon uses. To the letter means
that a slice without legs gives the table, and that two touching feet are one part.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError
from osteon.geometry import Box
from osteon.ops.body import opened_foreground
from osteon.ops.body_kernel import two_largest

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PaperLegs", "paper_legs"]


@dataclass(frozen=True, slots=True, eq=False)
class PaperLegs:
    """Parts that the recipe calls legs.

    Attributes:
        labels: (slice, row, column) uint8; 1 the part at lower columns, 2 the other. A slice with one part has it on
            the side of the picture where its centroid lies.
        boxes: of label 1 and 2 over the whole series, or None where the label does not occur.
        area_pixels: (2, slice).
        centres: (2, slice, 2) float: centroid (row, column), NaN where absent.
        thresholds_hu: (slice,) Otsu's.
    """

    labels: NDArray[np.uint8] = field(repr=False)
    boxes: tuple[Box | None, Box | None]
    area_pixels: NDArray[np.int64] = field(repr=False)
    centres: NDArray[np.float64] = field(repr=False)
    thresholds_hu: NDArray[np.int16] = field(repr=False)


def paper_legs(array: NDArray[np.int16], *, radius: int = 10) -> PaperLegs:
    """Run the recipe on a series.

    Args:
        array: (slice, row, column) int16 HU, in stored order.
        radius: of the opening's disk, in pixels.

    Raises:
        InputError: the array is not int16.

    References:
        CT osteosarcoma spec, section 3.
    """
    if array.dtype != np.int16:
        raise InputError(f"the paper's recipe runs on whole HU as int16, found {array.dtype}: round and convert first")
    depth, _, columns = array.shape
    labels = np.empty(array.shape, dtype=np.uint8)
    tables = np.zeros((depth, 2, 7), dtype=np.int64)

    def receive(k: int, mask: NDArray[np.bool_]) -> None:
        two_largest(mask, labels[k], tables[k])
        _order_by_column(labels[k], tables[k], columns)

    thresholds, _ = opened_foreground(array, radius=radius, limits=None, receive=receive)
    area = tables[:, :, 0].T
    with np.errstate(invalid="ignore", divide="ignore"):
        centres = np.stack([tables[:, :, 5].T / area, tables[:, :, 6].T / area], axis=-1)
    return PaperLegs(
        labels=labels,
        boxes=(_box(tables[:, 0]), _box(tables[:, 1])),
        area_pixels=area,
        centres=centres,
        thresholds_hu=thresholds,
    )


def _order_by_column(labels: NDArray[np.uint8], table: NDArray[np.int64], columns: int) -> None:
    """Turn ranks by size into sides of the picture; both arrays change in place."""
    if table[0, 0] == 0:
        return
    first = table[0, 6] / table[0, 0]
    second = table[1, 6] / table[1, 0] if table[1, 0] else (columns - 1) / 2
    if first > second:
        table[:] = table[::-1].copy()
        np.copyto(labels, np.array([0, 2, 1], dtype=np.uint8)[labels])


def _box(table: NDArray[np.int64]) -> Box | None:
    seen = np.flatnonzero(table[:, 0])
    if seen.size == 0:
        return None
    rows = table[seen]
    return Box(
        start=(int(seen[0]), int(rows[:, 1].min()), int(rows[:, 3].min())),
        stop=(int(seen[-1]) + 1, int(rows[:, 2].max()), int(rows[:, 4].max())),
    )
