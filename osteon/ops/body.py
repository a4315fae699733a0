"""Where the body is in a CT series: the paper's opened foreground, block maps of it, and the table taken off.

Blocks of about 4 mm are enough to follow a leg through a series, and small enough in number to look at the whole series
at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon._compiled import in_threads
from osteon.ops.body_kernel import above, block_shares
from osteon.ops.opening import INT16_OFFSET, disk_half_widths, reflected_indices
from osteon.ops.opening_kernel import erode_disk, histogram_range, otsu_of_histogram

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from osteon.data import Volume

__all__ = ["BLOCK_MM", "BodyMaps", "map_body", "opened_foreground", "remove_table"]

BLOCK_MM = 4.0
"""Edge of a block in the picture plane; a calf is about 25 blocks wide."""

TISSUE_HU = -300
"""Between fat (-120) and foam, clothes and air (below -500); also the middle of the range allowed to Otsu."""

OTSU_LIMITS_HU = (-600, -200)
"""A threshold outside parts table from air, or muscle from fat: then the nearer limit is taken."""

BONE_HU = 200
"""Above muscle, contrast-free vessels and most of the marrow."""

METAL_HU = 2500
"""Above enamel-free bone; implants reach the end of the scale."""

MOST_BONE_SHARE = 0.7
"""A still part that is as bright as bone in more than this share is a dense table; the tarsus has half."""

SLAB_WIDTH_MM = 250.0
"""Wider than one leg, narrower than a table."""

SERIES_RADIUS_MM = 10.0
"""A radius of 10 px is at most this wide in series mode, or coarse voxels would lose the feet."""


@dataclass(frozen=True, slots=True, eq=False)
class BodyMaps:
    """Block maps of a series, all of shape (slice, block row, block column).

    Attributes:
        factor: pixels along a block.
        spacing_mm: (slice, block row, block column).
        body: opened foreground fills half of the block, table excluded after ``remove_table``.
        tissue: HU above TISSUE_HU in half of the block, table excluded after ``remove_table``.
        table: static things without bone.
        bone, metal: share of the block, 0 to 1.
        mean_hu: of the block.
        thresholds_hu: (slice,) as used.
        clamped: (slice,) where Otsu's threshold was outside the limits.
    """

    factor: int
    spacing_mm: tuple[float, float, float]
    body: NDArray[np.bool_] = field(repr=False)
    tissue: NDArray[np.bool_] = field(repr=False)
    table: NDArray[np.bool_] = field(repr=False)
    bone: NDArray[np.float32] = field(repr=False)
    metal: NDArray[np.float32] = field(repr=False)
    mean_hu: NDArray[np.float32] = field(repr=False)
    thresholds_hu: NDArray[np.int16] = field(repr=False)
    clamped: NDArray[np.bool_] = field(repr=False)

    @property
    def block_area_mm2(self) -> float:
        """Area of a block in the picture plane."""
        return self.spacing_mm[1] * self.spacing_mm[2]


def opened_foreground(
    array: NDArray[np.int16],
    *,
    radius: int,
    limits: tuple[int, int] | None,
    receive: Callable[[int, NDArray[np.bool_]], None],
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Opening with a disk, Otsu's threshold and the foreground above it, one slice after the other, in threads.

    Args:
        array: (slice, row, column) int16 HU.
        radius: of the disk, in pixels.
        limits: thresholds outside are moved to the nearer limit; None leaves them (the paper).
        receive: called with (slice, foreground) in any order, from several threads; the foreground is overwritten
            afterwards.

    Returns:
        (slice,) int16 thresholds as used, and (slice,) bool where they were moved.
    """
    half_width = disk_half_widths(radius)
    rows_of = reflected_indices(array.shape[1], radius)
    columns_of = reflected_indices(array.shape[2], radius)
    thresholds = np.empty(array.shape[0], dtype=np.int16)
    clamped = np.zeros(array.shape[0], dtype=np.bool_)

    def work(first: int, stop: int) -> None:
        eroded = np.empty(array.shape[1:], dtype=np.int16)
        opened = np.empty(array.shape[1:], dtype=np.int16)
        mask = np.empty(array.shape[1:], dtype=np.bool_)
        counts = np.zeros((2, 2 * INT16_OFFSET), dtype=np.int32)
        for k in range(first, stop):
            erode_disk(array[k], eroded, half_width, rows_of, columns_of, 0)
            erode_disk(eroded, opened, half_width, rows_of, columns_of, 1)
            low, high = histogram_range(opened, counts, INT16_OFFSET)
            used = counts[0, low + INT16_OFFSET : high + INT16_OFFSET + 1]
            threshold = otsu_of_histogram(used, low)
            used[:] = 0
            if limits is not None:
                within = min(max(threshold, limits[0]), limits[1])
                clamped[k] = within != threshold
                threshold = within
            thresholds[k] = threshold
            above(opened, threshold, mask)
            receive(k, mask)

    in_threads(work, array.shape[0])
    return thresholds, clamped


def _as_int16(array: NDArray[Any]) -> NDArray[np.int16]:
    if array.dtype == np.int16:
        return array
    return np.asarray(np.clip(np.rint(array), -32768, 32767), dtype=np.int16)


def map_body(volume: Volume) -> BodyMaps:
    """Block maps of a CT series, the table still in them.

    Args:
        volume: HU; float values are rounded to whole HU.
    """
    array = _as_int16(volume.array)
    slice_mm, row_mm, column_mm = volume.grid.spacing_mm
    pixel_mm = min(row_mm, column_mm)
    factor = max(1, round(BLOCK_MM / pixel_mm))
    radius = max(1, min(10, int(SERIES_RADIUS_MM / pixel_mm)))
    depth = array.shape[0]
    blocks = (depth, max(1, array.shape[1] // factor), max(1, array.shape[2] // factor))
    shares = np.empty((depth, 4, *blocks[1:]), dtype=np.float32)
    mean = np.empty(blocks, dtype=np.float32)
    limits = np.array([TISSUE_HU, BONE_HU, METAL_HU], dtype=np.int16)

    def receive(k: int, mask: NDArray[np.bool_]) -> None:
        block_shares(array[k], mask, factor, limits, shares[k], mean[k])

    thresholds, clamped = opened_foreground(array, radius=radius, limits=OTSU_LIMITS_HU, receive=receive)
    return BodyMaps(
        factor=factor,
        spacing_mm=(slice_mm, row_mm * factor, column_mm * factor),
        body=shares[:, 0] >= 0.5,
        tissue=shares[:, 1] >= 0.5,
        table=np.zeros(blocks, dtype=np.bool_),
        bone=shares[:, 2],
        metal=shares[:, 3],
        mean_hu=mean,
        thresholds_hu=thresholds,
        clamped=clamped,
    )


def _static_parts(maps: BodyMaps, *, share: float = 0.9) -> NDArray[np.bool_]:
    """(block row, block column) filled in nearly every slice, by things that are no leg."""
    from scipy import ndimage

    always = maps.tissue.mean(axis=0) >= share
    bone_share = (maps.bone > 0.3).mean(axis=0)
    ever_bone, always_bone = np.asarray(bone_share > 0.02), np.asarray(bone_share >= share)
    labels, _ = ndimage.label(always, structure=np.ones((3, 3)))
    static = np.zeros(always.shape, dtype=np.bool_)
    for number, window in enumerate(ndimage.find_objects(labels), start=1):
        part = labels[window] == number
        bone = ever_bone[window] & part
        dense = np.count_nonzero(always_bone[window] & part) > MOST_BONE_SHARE * np.count_nonzero(part)
        # a leg is soft tissue with some bone in its middle
        if dense or not bone.any():
            static[window] |= part
        else:
            static[window] |= _slab(part, bone, column_mm=maps.spacing_mm[2])
    return static


def _slab(part: NDArray[np.bool_], bone: NDArray[np.bool_], *, column_mm: float) -> NDArray[np.bool_]:
    """Rows of a still part that are a table under (or over) the legs that lie on it all the way.

    From the outermost row inwards, as long as a row is wider than a leg and holds no bone. Legs are round: their own
    outermost rows are narrow.
    """
    wide = np.asarray(part.sum(axis=1) * column_mm >= SLAB_WIDTH_MM)
    boneless = np.asarray(~bone.any(axis=1))
    slab = np.zeros(part.shape, dtype=np.bool_)
    for order in (range(part.shape[0]), range(part.shape[0] - 1, -1, -1)):
        for row in order:
            if not (wide[row] and boneless[row]):
                break
            slab[row] = part[row]
    return slab


def remove_table(maps: BodyMaps) -> BodyMaps:
    """Take off what lies still through the series and is no leg: the table, a cushion, a bar.

    A leg holds bone in its middle wherever it is; a table has the same cross-section in every slice. A leg that lies on
    the table touches it in some slices only, so what is filled in nearly all of them is table alone. In a series of a
    few slices nothing can be called still by that; parts without bone fall away later in any case.
    """
    from scipy import ndimage

    static = _static_parts(maps)
    if not static.any():
        return maps
    # a block of margin: the table's edge blocks are half air and not filled in every slice
    grown = ndimage.binary_dilation(static, structure=np.ones((3, 3), dtype=np.bool_))
    edge = grown & (maps.mean_hu.mean(axis=0) < 0) & ~static
    table = np.broadcast_to(static | edge, maps.body.shape)
    return BodyMaps(
        factor=maps.factor,
        spacing_mm=maps.spacing_mm,
        body=maps.body & ~table,
        tissue=maps.tissue & ~table,
        table=maps.tissue & table,
        bone=maps.bone,
        metal=maps.metal,
        mean_hu=maps.mean_hu,
        thresholds_hu=maps.thresholds_hu,
        clamped=maps.clamped,
    )
