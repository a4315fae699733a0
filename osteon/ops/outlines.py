"""From maps on the grid of the images to masks on the CT's own grid, and the numbers of every lesion.

A slice at a time, in threads: the maps of one slice are brought to its pixels, cut at their threshold and counted. The
maps of the whole series never exist on the CT's grid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon._compiled import in_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from osteon.ops.series_images import SliceFrame

__all__ = [
    "LesionShape",
    "MapStack",
    "axial_diameters_mm",
    "between",
    "draw_outlines",
    "largest_distance_mm",
    "neighbours",
    "outline_points_mm",
]


@dataclass(frozen=True, slots=True, eq=False)
class MapStack:
    """What was found on the images of a series."""

    frame: SliceFrame  # of the images
    # (n,) slice index of every image, evenly spaced; between slices where images were interpolated
    slices: NDArray[np.int64] | NDArray[np.float64] = field(repr=False)
    lesion: NDArray[np.uint8] = field(repr=False)  # (n, row, column) uint8 map
    labels: NDArray[np.uint8] = field(repr=False)  # (n, row, column) uint8, the lesions
    lesion_level: int = 128  # byte from which a pixel is lesion

    def neighbours(self, k: int) -> tuple[int, int, float]:
        """The two images around slice k, and the weight of the second."""
        return neighbours(self.slices, k)


def neighbours(slices: NDArray[np.int64] | NDArray[np.float64], k: int) -> tuple[int, int, float]:
    """The two images around slice k of evenly spaced ``slices`` from 0 on, and the weight of the second.

    Example:
        >>> neighbours(np.array([0, 2, 4]), 3), neighbours(np.array([0.0, 0.8, 1.6]), 2)
        ((1, 2, 0.5), (2, 2, 0.0))
    """
    step = (slices[1] - slices[0]).item() if slices.size > 1 else 1
    first = min(int(k // step), slices.size - 1)
    second = min(first + 1, slices.size - 1)
    return first, second, 0.0 if second == first else (k - first * step) / step


@dataclass(frozen=True, slots=True, eq=False)
class LesionShape:
    """Numbers of one lesion on the CT's own grid."""

    label: int  # on the images
    voxels: int  # how many
    mean_hu: float  # of them
    sd_hu: float  # of them
    diameter_mm: float  # largest distance in 3D, from voxel face to voxel face
    axial_diameter_mm: float  # the same in one slice
    across_mm: float  # perpendicular to that diameter, in its slice
    start: tuple[int, int, int]  # first (slice, row, column)
    stop: tuple[int, int, int]  # first one outside
    areas: NDArray[np.int64] = field(repr=False)  # voxels by slice, from ``start[0]`` on


@dataclass(frozen=True, slots=True)
class _Section:
    """One lesion in one slice."""

    label: int
    slice: int
    voxels: int
    total: float
    squares: float
    points: NDArray[np.float64]
    start: tuple[int, int]
    stop: tuple[int, int]


def draw_outlines(
    array: NDArray[Any],
    maps: MapStack,
    *,
    spacing_mm: tuple[float, float, float],
    barred: NDArray[np.bool_],
    lesions_out: NDArray[np.uint8],
) -> list[LesionShape]:
    """The mask of the lesions of a whole series, and the lesions measured.

    Args:
        array: (slice, row, column) HU.
        maps: of the same series.
        spacing_mm: of the array.
        barred: of its shape: what is not lesion, as metal.
        lesions_out: of its shape, zeros: becomes the label of the lesion.

    Returns:
        The lesions that have at least one voxel, by label.
    """
    found: list[list[_Section]] = [[] for _ in range(array.shape[0])]
    has_lesion = np.asarray(maps.labels.any(axis=(1, 2)))

    def work(first: int, stop: int) -> None:
        for k in range(first, stop):
            a, b, weight = maps.neighbours(k)
            if has_lesion[a] or has_lesion[b]:
                lesions_out[k] = np.where(barred[k], np.uint8(0), _lesions_of(maps, a, b, weight))
                found[k] = _sections(lesions_out[k], array[k], k, spacing_mm)

    in_threads(work, array.shape[0], chunk=8)
    by_label: dict[int, list[_Section]] = {}
    for section in (one for sections in found for one in sections):
        by_label.setdefault(section.label, []).append(section)
    return [_joined(by_label[label]) for label in sorted(by_label)]


def between(stack: NDArray[np.uint8], a: int, b: int, weight: float) -> NDArray[np.uint8]:
    """Between images a and b of a stack (n, row, column), linearly; ``weight`` is that of b."""
    import cv2

    if weight == 0:
        return np.asarray(stack[a])
    return np.asarray(cv2.addWeighted(stack[a], 1 - weight, stack[b], weight, 0.0), dtype=np.uint8)


def _lesions_of(maps: MapStack, a: int, b: int, weight: float) -> NDArray[np.uint8]:
    """Labels of one slice: where the map reaches the threshold, the label of the nearest pixel that has one."""
    import cv2

    near, far = (a, b) if weight < 0.5 else (b, a)
    labels = maps.labels[near]
    if weight > 0:
        labels = np.where(labels > 0, labels, maps.labels[far])
    wide = cv2.dilate(labels, np.ones((3, 3), dtype=np.uint8))
    wide = np.where(labels > 0, labels, wide)
    lesion = np.where(wide > 0, between(maps.lesion, a, b, weight), np.uint8(0))
    inside = maps.frame.maps_back(lesion[None])[0] >= maps.lesion_level
    rows, columns = np.nonzero(inside)
    out = np.zeros(inside.shape, dtype=np.uint8)
    out[rows, columns] = wide[_pixels(rows, maps.frame, 0), _pixels(columns, maps.frame, 1)]
    return out


def _pixels(places: NDArray[np.int64], frame: SliceFrame, axis: int) -> NDArray[np.int64]:
    """Row (column) of the image that covers rows (columns) of the slice."""
    scaled = ((places + 0.5) * (frame.scaled[axis] / frame.source[axis])).astype(np.int64)
    shift = (frame.size[axis] - frame.scaled[axis]) // 2 if frame.size[axis] >= frame.scaled[axis] else 0
    cut = (frame.scaled[axis] - frame.size[axis]) // 2 if frame.size[axis] < frame.scaled[axis] else 0
    return np.clip(scaled + shift - cut, 0, frame.size[axis] - 1)


def _sections(
    labels: NDArray[np.uint8], one: NDArray[Any], k: int, spacing_mm: tuple[float, float, float]
) -> list[_Section]:
    from scipy.ndimage import find_objects

    sections = []
    blocks: Sequence[tuple[slice, ...] | None] = find_objects(labels)
    for label, block in enumerate(blocks, start=1):
        if block is None:
            continue
        mask = labels[block] == label
        values = one[block][mask].astype(np.float64)
        corner = (int(block[0].start), int(block[1].start))
        points = outline_points_mm(mask, spacing_mm=spacing_mm[1:], height_mm=k * spacing_mm[0], slice_mm=spacing_mm[0])
        points += np.array((0.0, corner[0] * spacing_mm[1], corner[1] * spacing_mm[2]))
        sections.append(
            _Section(
                label=label,
                slice=k,
                voxels=int(values.size),
                total=float(values.sum()),
                squares=float((values * values).sum()),
                points=points,
                start=corner,
                stop=(int(block[0].stop), int(block[1].stop)),
            )
        )
    return sections


def _joined(sections: list[_Section]) -> LesionShape:
    """All slices of one lesion."""
    voxels = sum(section.voxels for section in sections)
    mean = sum(section.total for section in sections) / voxels
    variance = sum(section.squares for section in sections) / voxels - mean * mean
    first, last = sections[0].slice, sections[-1].slice
    axial_mm, across_mm = max(axial_diameters_mm(section.points[:, 1:]) for section in sections)
    areas = np.zeros(last + 1 - first, dtype=np.int64)
    for section in sections:
        areas[section.slice - first] = section.voxels
    return LesionShape(
        label=sections[0].label,
        voxels=voxels,
        mean_hu=mean,
        sd_hu=float(np.sqrt(max(variance, 0.0))),
        diameter_mm=largest_distance_mm(np.concatenate([section.points for section in sections])),
        axial_diameter_mm=axial_mm,
        across_mm=across_mm,
        start=(first, min(s.start[0] for s in sections), min(s.start[1] for s in sections)),
        stop=(last + 1, max(s.stop[0] for s in sections), max(s.stop[1] for s in sections)),
        areas=areas,
    )


def outline_points_mm(
    mask: NDArray[np.bool_], *, spacing_mm: tuple[float, float], height_mm: float, slice_mm: float
) -> NDArray[np.float64]:
    """Points of one slice among which those furthest apart lie.

    They are the middles of the faces of the voxels at the corners of the convex outline: where a surface halfway
    between voxels inside and outside runs.

    Args:
        mask: (row, column) bool.
        spacing_mm: of rows and columns.
        height_mm: of the slice's middle.
        slice_mm: thickness.

    Returns:
        (n, 3) as (height, row, column) in mm; empty for an empty mask.
    """
    import cv2

    places = cv2.findNonZero(mask.astype(np.uint8))
    if places is None:
        return np.empty((0, 3))
    corners = cv2.convexHull(places).reshape(-1, 2)[:, ::-1].astype(np.float64) * spacing_mm
    centres = np.column_stack([np.full(len(corners), height_mm), corners])
    half = np.diag([slice_mm / 2, spacing_mm[0] / 2, spacing_mm[1] / 2])
    steps = np.concatenate([half, -half])
    return np.asarray((centres[:, None] + steps).reshape(-1, 3))


def largest_distance_mm(points_mm: NDArray[np.float64]) -> float:
    """Largest distance between any two points (n, 2 or 3), the maximum Feret diameter; 0 for fewer than two.

    Example:
        >>> largest_distance_mm(np.array([[0.0, 0.0, 0.0], [3.0, 4.0, 0.0], [1.0, 1.0, 1.0]]))
        5.0
    """
    from scipy.spatial.distance import pdist

    points = _outermost(points_mm)
    return float(pdist(points).max(initial=0.0)) if len(points) > 1 else 0.0


def axial_diameters_mm(points_mm: NDArray[np.float64]) -> tuple[float, float]:
    """Largest distance between any two points (n, 2), and the width of all of them across that line.

    Example:
        >>> axial_diameters_mm(np.array([[0.0, 0.0], [0.0, 10.0], [2.0, 4.0], [-1.0, 5.0]]))
        (10.0, 3.0)
    """
    from scipy.spatial.distance import pdist, squareform

    points = _outermost(points_mm)
    if len(points) < 2:
        return 0.0, 0.0
    apart = squareform(pdist(points))
    one, two = np.unravel_index(int(apart.argmax()), apart.shape)
    along = (points[two] - points[one]) / apart[one, two]
    return float(apart[one, two]), float(np.ptp(points @ np.array([-along[1], along[0]])))


def _outermost(points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Those of the points among which the two furthest apart are."""
    from scipy.spatial import ConvexHull, QhullError

    points = np.unique(points_mm, axis=0)
    if len(points) > 64:
        try:
            points = points[ConvexHull(points).vertices]
        except QhullError:  # all in one plane
            points = points[:: max(1, len(points) // 2000)]
    return np.asarray(points)
