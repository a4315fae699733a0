"""Bone of any CT, found without a network: dense pieces that are bone, and the marrow that they enclose.

Decisions are made on images of about 1 mm (``series_images``); only the last step looks at the CT's own grid.

1. Metal with its rim, and the streaks around it, are an implant and take no part in what follows.
2. Contrast agent is even inside and has no cortex (``find_contrast``); short pieces of it are known likewise.
3. Dense pieces (200 HU) are bone when they lie in flesh and are large, or beside bone, or hard and in the wall of the
   body, where ribs and their cartilage are; what else is small is a plaque, a stone or noise. What is
   one pixel thin beside contrast agent is the edge of its vessel.
4. Bone grows a few millimetres into what is nearly as dense: cancellous bone and thin cortex.
5. Holes are filled where two of three planes show them closed, or one slice does whose content is not soft tissue: the
   spinal canal and the inside of the skull stay open.

Left to a reader: a small artery as dense as bone that touches it, and bowel with dense contrast, may count as bone;
marrow of soft tissue's HU that the edge of the images cuts open may not.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from osteon._compiled import in_threads
from osteon.geometry import axial_turn
from osteon.ops.closing import ball_rows, close_ball, fill_holes
from osteon.ops.lesions import even_parts, find_contrast, grown
from osteon.ops.outlines import between, neighbours
from osteon.ops.series_images import series_images, slice_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from osteon.data import Volume
    from osteon.ops.series_images import SeriesImages

    Bools = NDArray[np.bool_]

__all__ = ["DENSE_HU", "Skeleton", "segment_skeleton", "skeleton_of"]

WORK_MM: Final = 1.0
"""Finer pixels are averaged, and of closer slices some are left out: pieces are told apart at this size as well."""
WINDOW_HU: Final = (-450.0, 1590.0)
"""8 HU a level, up to where metal's surroundings are denser than cortex."""
AIR_HU, GAS_HU, DENSE_HU = -300.0, -200.0, 200.0
"""Dense is above muscle, organs and most of the marrow."""
CONTRAST_HU: Final = 160.0
METAL_MM3, METAL_RIM_HU, METAL_RIM_MM, BLOOM_MM = 50.0, 1500.0, 5.0, 2.0
"""Less metal is ignored; so far around it what is so dense, and nearer all that is dense, is the implant's."""
STREAK_MM, DARK_HU, DARK_MM = 50.0, -200.0, 6.0
"""Bright streaks lie so near to metal and to dark ones, which are darker than fat."""
FLESH_MM: Final = 3.0
"""Half the thickness of the thinnest flesh around bone: a table's shell is thinner, a vessel of the lung as well."""
WALL_MM, SKIN_MM = 20.0, 35.0
"""From gas and from the skin at most, in a slice: where small pieces are ribs and calcified cartilage."""
PIECE_MM3, BIT_MM3, SPECK_MM3 = 1000.0, 300.0, 100.0
"""Smaller pieces must lie in the wall of the body (a bit), or be hard as well (a speck), or lie beside bone."""
BESIDE_MM: Final = 4.0
EDGE_PIXELS: Final = 2.0
"""So far around contrast agent what is one pixel thin is the edge of its vessel."""
HARD_HU, LEAST_HARD = 300.0, 0.2
CORTEX_HU, CORTEX_ABOVE_HU, LEAST_CORTEX = (450.0, 550.0), 100.0, 0.01
"""Bone has at least so many voxels denser than its mean by that, or than a limit between these."""
MOST_EVEN: Final = 0.1
"""Share of even voxels in a piece without cortex, from which it is a vessel."""
MARROW_HU: Final = (105.0, 160.0)
GROWN_MM: Final = 6.0
"""Cancellous bone from the lower of these HU (the higher where organs hold contrast) is bone so far from dense bone."""
JOINED_MM: Final = 3.0
"""Gaps of the cortex up to twice this do not open a hole; one and a half pixels where those are larger."""
RIM_HU, THIN_MM = 150.0, 2.0
"""Less dense voxels at the edge are cut off, but not of pixels so large that thin bone is one of them."""
LARGEST_HOLE_MM2, LEAST_SHARE = 4500.0, 0.6
TISSUE_HU: Final = (-20.0, 90.0)
"""Median of what a single slice encloses without being marrow: cord, brain, muscle."""
EDGE: Final = 16
"""Byte of a mask brought to the CT's own grid from which a dense voxel is in it."""


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """Bone of a CT, on its own grid, (slice, row, column) bool."""

    bone: Bools = field(repr=False)  # marrow included
    implant: Bools = field(repr=False)  # metal, its rim and streaks; not in bone
    contrast_ml: float = 0.0  # of what was as dense as bone and is contrast agent


def skeleton_of(volume: Volume) -> Skeleton:
    """Bone of a CT in HU, on its own grid, whatever the order of its axes.

    Raises:
        InputError: values that are not numbers.
    """
    turn = axial_turn(volume.grid)
    found = segment_skeleton(turn.array(volume.array), turn.grid(volume.grid).spacing_mm)
    bone, implant = np.zeros((2, *volume.grid.shape), dtype=np.bool_)
    turn.array(bone)[...], turn.array(implant)[...] = found.bone, found.implant
    return Skeleton(bone, implant, found.contrast_ml)


def segment_skeleton(array: NDArray[Any], spacing_mm: tuple[float, float, float]) -> Skeleton:
    """Bone of any CT.

    Args:
        array: (slice, row, column) HU, axial slices, int16 or float.
        spacing_mm: of it.

    Returns:
        Empty masks where nothing is dense.

    Raises:
        InputError: values that are not numbers.
    """
    step = slice_step(spacing_mm[0], pixel_mm=WORK_MM)
    pixel_mm = max(WORK_MM, min(spacing_mm[1:]))
    images = series_images(array, spacing_mm, window_hu=WINDOW_HU, pixel_mm=pixel_mm, size_step=1, step=step)
    smooth = replace(images, grey=_in_slices(images.grey, lambda one: cv2.GaussianBlur(one, (0, 0), 0.8)))
    implant = _implant(images)
    dense = (images.grey >= images.grey_of(DENSE_HU)) & ~implant
    contrast = find_contrast(smooth, (smooth.grey >= images.grey_of(CONTRAST_HU)) & ~implant)
    dense &= ~contrast
    contrast |= grown(contrast, EDGE_PIXELS) & _thin(dense)
    dense &= ~contrast
    pieces = _bone_pieces(images, dense)
    barred = implant | contrast
    contrast_mm3 = np.count_nonzero(contrast) * float(np.prod(images.spacing_mm))
    del dense, contrast
    level = _marrow_level(smooth, pieces | barred)
    marrow = (smooth.grey >= level) & (images.grey >= level) & ~barred
    bone = _filled(_spread(pieces, marrow, images.spacing_mm), images) & ~barred
    if images.pixel_mm < THIN_MM:  # a rim that is half bone belongs to it, one that the filling added does not
        bone &= ~(grown(pieces, 1.0) & grown(~bone, 1.0) & (images.grey < images.grey_of(RIM_HU)))
        bone = pieces | (_in_slices(bone.view(np.uint8), lambda one: cv2.medianBlur(one, 3)) > 0) & ~barred
    masks = _on_own_grid(array, images, bone, implant)
    return Skeleton(*masks, contrast_ml=contrast_mm3 / 1000)


def _in_slices(stack: NDArray[np.uint8], change: Callable[[NDArray[np.uint8]], Any]) -> NDArray[np.uint8]:
    """Every slice of a stack changed, in threads."""
    out = np.empty_like(stack)

    def work(first: int, stop: int) -> None:
        for n in range(first, stop):
            out[n] = change(stack[n])

    in_threads(work, len(stack), chunk=8)
    return out


def _implant(images: SeriesImages) -> Bools:
    """Metal, its bright rim, and bright streaks beside dark ones in slices that hold metal."""
    import cc3d
    from scipy import ndimage

    if images.metal is None:
        return np.zeros(images.grey.shape, dtype=np.bool_)
    slices = 2 * max(1, int(METAL_RIM_MM / images.slice_mm)) + 1
    near = ndimage.maximum_filter1d(images.metal.view(np.uint8), slices, axis=0) > 0
    near = grown(near, METAL_RIM_MM / images.pixel_mm) & (images.grey >= images.grey_of(METAL_RIM_HU))
    labels, count = cc3d.connected_components(near | images.metal, connectivity=26, return_N=True)
    enough = np.bincount(labels[images.metal], minlength=count + 1) * float(np.prod(images.spacing_mm)) >= METAL_MM3
    enough[0] = False
    metal = np.asarray(enough[labels])
    bright = images.grey >= images.grey_of(DENSE_HU)
    dark = (images.grey < images.grey_of(DARK_HU)) & grown(metal, STREAK_MM / images.pixel_mm)
    streaks = grown(dark, DARK_MM / images.pixel_mm) & grown(metal, STREAK_MM / images.pixel_mm) & bright
    return metal | streaks | (grown(metal, BLOOM_MM / images.pixel_mm) & bright)


def _thin(mask: Bools) -> Bools:
    """What of a mask is one pixel thin in its slice."""
    square = np.ones((2, 2), dtype=np.uint8)
    opened = _in_slices(mask.view(np.uint8), lambda one: cv2.morphologyEx(one, cv2.MORPH_OPEN, square))
    return np.asarray(mask & (opened == 0))


def _bone_pieces(images: SeriesImages, dense: Bools) -> Bools:
    """Of the dense pieces (26-connected) those that are bone."""
    import cc3d

    labels, count = cc3d.connected_components(dense, connectivity=26, return_N=True)
    voxel_mm3 = float(np.prod(images.spacing_mm))

    def volume_of(where: Bools) -> NDArray[np.float64]:
        return np.asarray(np.bincount(labels[where], minlength=count + 1) * voxel_mm3, dtype=np.float64)

    size = volume_of(dense)
    total = np.bincount(labels[dense], weights=images.grey[dense], minlength=count + 1)
    cortex = total / np.maximum(size / voxel_mm3, 1) + images.grey_of(CORTEX_ABOVE_HU) - images.grey_of(0.0)
    cortex = np.clip(cortex, images.grey_of(CORTEX_HU[0]), images.grey_of(CORTEX_HU[1]))
    has_cortex = volume_of(dense & (images.grey > cortex[labels])) >= LEAST_CORTEX * size
    flesh, wall = _flesh(images)
    in_wall = volume_of(wall & dense) >= 0.5 * size
    in_wall[_on_faces(labels)] = True
    even = volume_of(even_parts(images, dense)) >= MOST_EVEN * size
    vessel = ~has_cortex & (even | ~in_wall)
    hard = volume_of(dense & (images.grey >= images.grey_of(HARD_HU))) >= LEAST_HARD * size
    large = (size >= PIECE_MM3) | (in_wall & ((size >= BIT_MM3) | (hard & (size >= SPECK_MM3))))
    main = large & ~vessel & (volume_of(flesh & dense) >= 0.5 * size)
    beside = np.zeros(count + 1, dtype=np.bool_)
    beside[np.unique(labels[grown(main[labels], BESIDE_MM / images.pixel_mm)])] = True
    main |= beside & ~(vessel & (size >= BIT_MM3))
    main[0] = False
    return np.asarray(main[labels])


def _on_faces(labels: NDArray[Any]) -> NDArray[Any]:
    """Labels of what the images cut."""
    faces = [np.moveaxis(labels, axis, 0)[end].ravel() for axis in range(3) for end in (0, -1)]
    return np.unique(np.concatenate(faces))


def _flesh(images: SeriesImages) -> tuple[Bools, Bools]:
    """Where there is flesh of some thickness, and the wall of the body: near to gas and near to the skin."""
    pixel = images.pixel_mm
    air = images.grey_of(AIR_HU)
    reach = max(1, round(FLESH_MM / pixel))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    flesh, wall = np.empty((2, *images.grey.shape), dtype=np.bool_)

    def near(body: NDArray[np.uint8], most_mm: float) -> Bools:
        if body.all():
            return np.zeros(body.shape, dtype=np.bool_)
        return np.asarray(cv2.distanceTransform(body, cv2.DIST_L2, 3) * pixel <= most_mm)

    def work(first: int, stop: int) -> None:
        for n in range(first, stop):
            body = (images.grey[n] > air).view(np.uint8)
            opened = cv2.morphologyEx(body, cv2.MORPH_OPEN, disk, borderType=cv2.BORDER_REPLICATE)
            flesh[n] = opened > 0
            closed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, disk, borderType=cv2.BORDER_REPLICATE)
            filled = fill_holes(body[None] > 0)[0].view(np.uint8)
            wall[n] = near(closed, WALL_MM) & near(filled, SKIN_MM)

    in_threads(work, len(flesh), chunk=8)
    return flesh, wall


def _marrow_level(images: SeriesImages, dense: Bools) -> int:
    """Grey from which what touches bone is bone: above nearly all tissue away from it, organs with contrast, too."""
    every = slice(None, None, max(1, len(dense) // 50))
    away = images.grey[every][~grown(dense[every], 8.0 / images.pixel_mm)]
    flesh = np.cumsum(np.bincount(away, minlength=256)[images.grey_of(-50.0) :])
    highest = images.grey_of(-50.0) + int(np.searchsorted(flesh, 0.98 * flesh[-1]))
    return int(np.clip(highest + 2, images.grey_of(MARROW_HU[0]), images.grey_of(MARROW_HU[1])))


def _spread(bone: Bools, allowed: Bools, spacing_mm: tuple[float, float, float]) -> Bools:
    """Bone, and what is allowed and connected to it within a few millimetres."""
    from scipy import ndimage

    mm = min(spacing_mm)
    return np.asarray(ndimage.binary_dilation(bone, iterations=max(1, round(GROWN_MM / mm)), mask=allowed | bone))


def _filled(bone: Bools, images: SeriesImages) -> Bools:
    """Bone with its pores and marrow."""
    pores = close_ball(bone, ball_rows(images.pixel_mm, spacing=images.spacing_mm))
    reach_mm = max(JOINED_MM, 1.5 * images.pixel_mm)
    joined = close_ball(bone, ball_rows(reach_mm, spacing=images.spacing_mm))
    marrow = _marrow(joined, images)
    low, high = images.grey_of(TISSUE_HU[0]), images.grey_of(TISSUE_HU[1])
    tissue = (images.grey >= low) & (images.grey <= high)  # discs, between bones that the closing joins
    rim = grown(marrow, reach_mm / images.pixel_mm + 1) & joined & ~tissue
    return np.asarray(pores | marrow | rim | _marrow(pores, images))


def _marrow(bone: Bools, images: SeriesImages) -> Bools:
    """Holes of bone: those that two of three planes show closed.

    Of a hole of an axial slice all is filled, or nothing: where most of it is closed in another plane, too, or its
    content is not soft tissue.
    """
    seen = [_holes(bone, images, axis) for axis in range(3)]
    twice = (seen[0] & (seen[1] | seen[2])) | (seen[1] & seen[2])
    low, high = images.grey_of(TISSUE_HU[0]), images.grey_of(TISSUE_HU[1])

    def work(first: int, stop: int) -> None:
        from scipy import ndimage

        for n in range(first, stop):
            if not seen[0][n].any():
                continue
            count, labels, stats, _ = cv2.connectedComponentsWithStats(seen[0][n].view(np.uint8), connectivity=4)
            inside = labels > 0
            content = ndimage.median(images.grey[n][inside], labels[inside], np.arange(count))  # of label 0 nothing
            share = np.bincount(labels[twice[n]], minlength=count) / stats[:, cv2.CC_STAT_AREA]
            fine = (share >= LEAST_SHARE) | (content < low) | (content > high)
            twice[n] = np.where(labels > 0, fine[labels], twice[n])

    in_threads(work, len(bone), chunk=8)
    return twice


def _holes(bone: Bools, images: SeriesImages, axis: int) -> Bools:
    """Holes of all slices across an axis that are no larger than a bone and hold no gas."""
    holes = np.zeros(bone.shape, dtype=np.bool_)
    across = np.moveaxis(bone, axis, 0), np.moveaxis(images.grey, axis, 0), np.moveaxis(holes, axis, 0)
    a, b = (mm for k, mm in enumerate(images.spacing_mm) if k != axis)
    gas, most = images.grey_of(GAS_HU), LARGEST_HOLE_MM2 / (a * b)

    def work(first: int, stop: int) -> None:
        some = np.ascontiguousarray(across[0][first:stop])
        for n in range(first, stop):
            box = _box_of(some[n - first])
            if box is None:
                continue
            wide = np.pad((~some[n - first][box]).view(np.uint8), 1, constant_values=1)
            count, labels, stats, _ = cv2.connectedComponentsWithStats(wide, connectivity=4)
            if count > 2:
                area = stats[:, cv2.CC_STAT_AREA]
                total = np.bincount(labels[1:-1, 1:-1].ravel(), across[1][n][box].ravel(), minlength=count)
                fine = (area <= most) & (total >= gas * area)
                fine[[0, labels[0, 0]]] = False
                across[2][n][box] = fine[labels[1:-1, 1:-1]]

    in_threads(work, len(across[0]), chunk=16)
    return holes


def _box_of(mask: Bools) -> tuple[slice, slice] | None:
    """Rows and columns that hold all of a mask; None for an empty one."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _on_own_grid(array: NDArray[Any], images: SeriesImages, bone: Bools, implant: Bools) -> tuple[Bools, Bools]:
    """Bone and implant of every slice; at the edge of bone the slice's own HU decide."""
    if images.grey.shape == array.shape:
        return bone, implant
    maps = [mask.view(np.uint8) * np.uint8(255) for mask in (bone, implant)]
    found = np.zeros((2, *array.shape), dtype=np.bool_)
    used = [np.asarray(one.any(axis=(1, 2))) for one in maps]

    def work(first: int, stop: int) -> None:
        for k in range(first, stop):
            a, b, weight = neighbours(images.slices, k)
            for out, one, is_used in zip(found, maps, used, strict=True):
                if is_used[a] or is_used[b]:
                    back = images.frame.maps_back(between(one, a, b, weight)[None])[0]
                    out[k] = (back >= 128) | ((back > EDGE) & (array[k] >= DENSE_HU))
            found[0, k] &= ~found[1, k]

    in_threads(work, len(array), chunk=8)
    return found[0], found[1]
