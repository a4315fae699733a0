"""How far a lesion is from something else, as bone or skin, and the outline of the body, which is where the skin is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from osteon._compiled import in_threads
from osteon.ops.closing import fill_holes

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Nearest", "body_outline", "nearest"]

_REACH_MM: Final = 40.0
"""So far around a lesion is looked first; beyond, in the whole image."""
_FEW: Final = 300
_OPENED_MM: Final = 4.0
"""Half the thickness of the thinnest body: a table's shell, a line of an infusion and noise are thinner."""
_LEAST_CM2: Final = 4.0
"""Of a part of the body in one slice: a wrist has twice that."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """Two voxels, (slice, row, column), that are nearest to each other, one of each of two masks."""

    distance_mm: float  # between their faces
    place: tuple[int, int, int]  # in the first mask
    other: tuple[int, int, int]  # in the second


def nearest(
    mask: NDArray[np.bool_], other: NDArray[np.bool_], *, spacing_mm: tuple[float, float, float]
) -> Nearest | None:
    """The least distance between two masks.

    The two voxels are looked for by their centres; the distance is that between their faces, 0 where they touch or
    where the masks share a voxel. It is good to about a voxel.

    Args:
        mask: (slice, row, column), as of a lesion.
        other: of the same shape.
        spacing_mm: of both.

    Returns:
        None where one of the masks is empty.

    Example:
        >>> mask, other = np.zeros((2, 3, 1, 9), dtype=bool)
        >>> mask[1, 0, 1], other[1, 0, 5] = True, True
        >>> nearest(mask, other, spacing_mm=(5.0, 1.0, 2.0))
        Nearest(distance_mm=6.0, place=(1, 0, 1), other=(1, 0, 5))
    """
    low, high = _bounds(mask)
    if low is None or high is None or not other.any():
        return None
    reach = [math.ceil(_REACH_MM / mm) for mm in spacing_mm]
    near = tuple(slice(max(0, a - r), b + r) for a, b, r in zip(low, high, reach, strict=True))
    found = _nearest(mask[near], other[near], spacing_mm)
    if found is None or found.distance_mm > _REACH_MM:
        return _nearest(mask, other, spacing_mm)
    return Nearest(found.distance_mm, _moved(found.place, near), _moved(found.other, near))


def body_outline(array: NDArray[Any], threshold: float, *, spacing_mm: tuple[float, float, float]) -> NDArray[np.bool_]:
    """The body in a CT or MR, cavities filled: what is brighter than a threshold, without what is thin or small.

    Args:
        array: (slice, row, column).
        threshold: between air and tissue, in the values of the array.
        spacing_mm: of it.

    Returns:
        (slice, row, column). What lies against the body and is as bright, as a dense cushion, is part of it.
    """
    found = np.zeros(array.shape, dtype=np.bool_)
    _, row_mm, column_mm = spacing_mm
    sides = tuple(2 * max(1, round(_OPENED_MM / mm)) + 1 for mm in (column_mm, row_mm))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, sides)
    least = _LEAST_CM2 * 100 / (row_mm * column_mm)

    def work(first: int, stop: int) -> None:
        for k in range(first, stop):
            bright = fill_holes(np.asarray(array[k] > threshold)[None])[0].view(np.uint8)
            opened = cv2.morphologyEx(bright, cv2.MORPH_OPEN, disc, borderType=cv2.BORDER_REPLICATE)
            _, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
            kept = stats[:, cv2.CC_STAT_AREA] >= least
            kept[0] = False
            found[k] = kept[labels]

    in_threads(work, len(array))
    return fill_holes(found)


def _bounds(mask: NDArray[np.bool_]) -> tuple[list[int] | None, list[int] | None]:
    """First (slice, row, column) inside and first one outside; None of an empty mask."""
    used = [np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    if not used[0].size:
        return None, None
    return [int(line[0]) for line in used], [int(line[-1]) + 1 for line in used]


def _nearest(
    mask: NDArray[np.bool_], other: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> Nearest | None:
    from scipy.spatial import cKDTree

    shared = np.argwhere(mask & other)
    if len(shared):
        place = _place(shared[len(shared) // 2])
        return Nearest(0.0, place, place)
    ours, theirs = np.argwhere(_border(mask)), np.argwhere(_border(other))
    if not len(ours) or not len(theirs):
        return None
    step = np.asarray(spacing_mm)
    tree = cKDTree(theirs * step)
    # most are far away, and to find whom they are nearest to takes long: a few of them say how far is far
    few = np.asarray(tree.query(ours[:: max(1, len(ours) // _FEW)] * step, workers=-1)[0])
    bound = float(few.min() + np.linalg.norm(step))
    which = np.asarray(tree.query(ours * step, distance_upper_bound=bound, workers=-1)[1])
    ours, which = ours[which < len(theirs)], which[which < len(theirs)]
    gaps = np.maximum(np.abs(ours - theirs[which]) - 1, 0) * step
    apart = np.linalg.norm(gaps, axis=1)
    best = int(apart.argmin())
    return Nearest(float(apart[best]), _place(ours[best]), _place(theirs[which[best]]))


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of a mask with one of six neighbours outside of it; the edge of the image does not count."""
    inner = mask.copy()
    for axis in range(3):
        ahead = np.moveaxis(mask, axis, 0)
        kept = np.moveaxis(inner, axis, 0)
        kept[1:] &= ahead[:-1]
        kept[:-1] &= ahead[1:]
    return np.asarray(mask & ~inner)


def _place(row: NDArray[np.int64]) -> tuple[int, int, int]:
    return int(row[0]), int(row[1]), int(row[2])


def _moved(place: tuple[int, int, int], near: tuple[slice, ...]) -> tuple[int, int, int]:
    first, second, third = (at + part.start for at, part in zip(place, near, strict=True))
    return first, second, third
