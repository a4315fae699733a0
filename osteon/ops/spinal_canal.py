"""The spinal canal, followed through the slices of a series.

Pedicles and laminae ring it at different heights, so bone is first joined over 7 mm up and down. A canal is a
soft-tissue hole in that, of 80 to 700 mm2, with a thick body of bone in front of it,
about as much bone to its left as to its right, and in the middle of the body where its outline is seen. One such hole
proves nothing (a lytic lesion, a medullary cavity or a foramen looks like it); a chain of them over tens of
millimetres, each near the one before, does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon._compiled import in_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.ops.series_images import SeriesImages

__all__ = ["SpinalCanal", "track_spinal_canal"]


_JOIN_MM = 7.0
"""Bone so far above and below a slice counts to its ring."""
_CLOSE_MM = 3.5
"""Gaps of the ring up to twice this are closed."""
_AREA_MM2 = (80.0, 700.0)  # of the hole
_HOLE_HU = (-130.0, 130.0)
"""Mean of the hole: cord, fluid, fat, nerve roots; not gas or bone."""
_MOST_ASPECT = 2.5  # of the hole's bounding box
_BODY_MM = 12.0
"""Bone in front of the hole, along its middle."""
_MOST_LOPSIDED = 1.8
"""Bone left of the hole against right of it, or the other way round, at most."""
_MIDDLE_MM = 30.0  # from the middle of the body, where both flanks are seen
_STEP_MM = 6.0
"""Sideways from one hole to the next, plus a third of the distance between their slices."""
_GAP_MM, _LENGTH_MM, _SEEN_SHARE = 25.0, 60.0, 0.3
"""Of a chain: between its holes at most, from end to end at least, and the least share of slices that show a hole."""


@dataclass(frozen=True, slots=True, eq=False)
class SpinalCanal:
    """A canal by image of the series."""

    first: int  # first image that shows it
    stop: int  # first image behind the last that does
    column: NDArray[np.float64] = field(repr=False)  # (n,) of its middle, between rings by interpolation; NaN outside
    front_row: NDArray[np.float64] = field(repr=False)  # (n,) of its front edge
    back_row: NDArray[np.float64] = field(repr=False)  # (n,) of its back edge


@dataclass(frozen=True, slots=True)
class _Hole:
    image: int
    row: float
    column: float
    front: float
    back: float


def track_spinal_canal(images: SeriesImages, bone: NDArray[np.bool_]) -> SpinalCanal | None:
    """The longest chain of holes that may be a spinal canal; None where no chain is long enough.

    Args:
        images: of a series whose rows run from front to back.
        bone: (n, row, column) bool, lesions included.
    """
    holes: list[list[_Hole]] = [[] for _ in range(len(bone))]

    reach = int(_JOIN_MM / images.slice_mm)

    def work(first: int, stop: int) -> None:
        for n in range(first, stop):
            joined = np.asarray(bone[max(0, n - reach) : n + reach + 1].any(axis=0))
            if joined.any():
                holes[n] = _holes(images, joined, n)

    in_threads(work, len(bone), chunk=16)
    chains = _chains([hole for some in holes for hole in some], images)
    best = max(chains, key=len, default=None)
    return None if best is None else _canal(best, len(bone))


def _holes(images: SeriesImages, bone: NDArray[np.bool_], n: int) -> list[_Hole]:
    """Holes of one slice that pass every test of a single slice."""
    import cv2

    pixel = images.pixel_mm
    reach = max(1, round(_CLOSE_MM / pixel))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    padded = np.pad(bone.astype(np.uint8), reach + 1)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)
    count, labels, stats, centres = cv2.connectedComponentsWithStats(1 - closed, connectivity=4)
    found = []
    low, high = (area / pixel**2 for area in _AREA_MM2)
    for label in range(1, count):
        left, top, width, height, area = (int(value) for value in stats[label])
        if left == 0 or not low <= area <= high or max(width, height) > _MOST_ASPECT * min(width, height):
            continue
        inside = labels[reach + 1 : -reach - 1, reach + 1 : -reach - 1] == label
        mean = images.hu(float(images.grey[n][inside].mean())) if inside.any() else np.inf
        if not _HOLE_HU[0] <= mean <= _HOLE_HU[1]:
            continue
        hole = _Hole(
            image=n,
            row=float(centres[label][1]) - reach - 1,
            column=float(centres[label][0]) - reach - 1,
            front=top - reach - 1.0,
            back=top + height - reach - 2.0,
        )
        if _has_body(closed[reach + 1 : -reach - 1, reach + 1 : -reach - 1], hole, pixel) and _is_in_the_middle(
            images.grey[n], images, hole
        ):
            found.append(hole)
    return found


def _has_body(closed: NDArray[np.uint8], hole: _Hole, pixel: float) -> bool:
    """Thick bone in front, and about as much on both sides."""
    column, front = round(hole.column), round(hole.front)
    ahead = closed[:front, max(0, column - 2) : column + 3].mean(axis=1)[::-1] > 0.5
    thickness = ahead.size if ahead.all() else int(ahead.argmin())
    if thickness * pixel < _BODY_MM:
        return False
    reach = round(30 / pixel)
    rows = slice(max(0, front - reach), round(hole.back) + reach // 2)
    left = int(closed[rows, max(0, column - reach) : column].sum())
    right = int(closed[rows, column + 1 : column + 1 + reach].sum())
    return max(left, right) <= _MOST_LOPSIDED * max(1, min(left, right))


def _is_in_the_middle(grey: NDArray[np.uint8], images: SeriesImages, hole: _Hole) -> bool:
    """Near the middle of the trunk in its rows; true where a flank is cut off, so that the middle is not known."""
    flesh = grey[max(0, round(hole.front) - 5) : round(hole.back) + 6] > images.grey_of(-200.0)
    columns = np.flatnonzero(flesh.mean(axis=0) > 0.5)
    if not columns.size or columns[0] == 0 or columns[-1] == grey.shape[1] - 1:
        return True
    return bool(abs(hole.column - (columns[0] + columns[-1]) / 2) * images.pixel_mm <= _MIDDLE_MM)


def _chains(holes: list[_Hole], images: SeriesImages) -> list[list[_Hole]]:
    """Chains of holes that are long and dense enough."""
    chains: list[list[_Hole]] = []
    for hole in holes:
        best, nearest = None, np.inf
        for chain in chains:
            last = chain[-1]
            along = (hole.image - last.image) * images.slice_mm
            aside = float(np.hypot(hole.row - last.row, hole.column - last.column)) * images.pixel_mm
            if 0 < along <= _GAP_MM and aside <= _STEP_MM + along / 3 and aside < nearest:
                best, nearest = chain, aside
        if best is None:
            chains.append([hole])
        else:
            best.append(hole)
    kept = []
    for chain in chains:
        spanned = chain[-1].image - chain[0].image + 1
        if spanned * images.slice_mm >= _LENGTH_MM and len(chain) >= _SEEN_SHARE * spanned:
            kept.append(chain)
    return kept


def _canal(chain: list[_Hole], count: int) -> SpinalCanal:
    at = np.array([hole.image for hole in chain])
    every = np.arange(count)
    outside = (every < at[0]) | (every > at[-1])

    def filled(values: list[float]) -> NDArray[np.float64]:
        line = np.interp(every, at, values)
        line[outside] = np.nan
        return line

    return SpinalCanal(
        first=int(at[0]),
        stop=int(at[-1]) + 1,
        column=filled([hole.column for hole in chain]),
        front_row=filled([hole.front for hole in chain]),
        back_row=filled([hole.back for hole in chain]),
    )
