"""Where the body is in a CT series: the paper's opened foreground, block maps of it, and the table taken off.

Blocks of about 4 mm are enough to follow a leg through a series, and small enough in number to look at the whole series
at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon._compiled import compiled, in_threads
from osteon.ops.opening import disk_half_widths, erode_disk, histogram_range, otsu_of_histogram, reflected_indices

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from osteon.data import Volume

__all__ = ["BodyMaps", "basins", "grow_labels", "map_body", "opened_foreground", "remove_table", "two_largest"]


_INT16_OFFSET = 32768

_BLOCK_MM = 4.0
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

STILL_SHARE = 0.9
"""Of the slices, from which a filled block counts as still."""

SLAB_WIDTH_MM = 250.0
"""Wider than one leg, narrower than a table."""

SERIES_RADIUS_MM = 10.0
"""A radius of 10 px is at most this wide in series mode, or coarse voxels would lose the feet."""

LOWEST_HU = -1024
"""Padding outside the scanner's field may hold any lower number."""


@dataclass(frozen=True, slots=True, eq=False)
class BodyMaps:
    """Block maps of a series, all of shape (slice, block row, block column)."""

    factor: int  # pixels along a block
    spacing_mm: tuple[float, float, float]  # (slice, block row, block column)
    # opened foreground fills half of the block, table excluded after ``remove_table``
    body: NDArray[np.bool_] = field(repr=False)
    # HU above TISSUE_HU in half of the block, table excluded after ``remove_table``
    tissue: NDArray[np.bool_] = field(repr=False)
    table: NDArray[np.bool_] = field(repr=False)  # static things without bone
    bone: NDArray[np.float32] = field(repr=False)  # bone, metal: share of the block, 0 to 1
    metal: NDArray[np.float32] = field(repr=False)
    mean_hu: NDArray[np.float32] = field(repr=False)  # of the block

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
) -> None:
    """Opening with a disk, Otsu's threshold and the foreground above it, one slice after the other, in threads.

    Args:
        array: (slice, row, column) int16 HU.
        radius: of the disk, in pixels.
        limits: thresholds outside are moved to the nearer limit; None leaves them (the paper).
        receive: called with (slice, foreground) in any order, from several threads; the foreground is overwritten
            afterwards.
    """
    half_width = disk_half_widths(radius)
    rows_of = reflected_indices(array.shape[1], radius)
    columns_of = reflected_indices(array.shape[2], radius)

    def work(first: int, stop: int) -> None:
        eroded = np.empty(array.shape[1:], dtype=np.int16)
        opened = np.empty(array.shape[1:], dtype=np.int16)
        mask = np.empty(array.shape[1:], dtype=np.bool_)
        counts = np.zeros((2, 2 * _INT16_OFFSET), dtype=np.int32)
        for k in range(first, stop):
            erode_disk(array[k], eroded, half_width, rows_of, columns_of, 0)
            erode_disk(eroded, opened, half_width, rows_of, columns_of, 1)
            low, high = histogram_range(opened, counts, _INT16_OFFSET)
            used = counts[0, low + _INT16_OFFSET : high + _INT16_OFFSET + 1]
            threshold = otsu_of_histogram(used, low)
            used[:] = 0
            if limits is not None:
                threshold = min(max(threshold, limits[0]), limits[1])
            np.greater(opened, threshold, out=mask)
            receive(k, mask)

    in_threads(work, array.shape[0])


def _as_int16(array: NDArray[Any]) -> NDArray[np.int16]:
    if array.dtype == np.int16:
        return array
    return np.asarray(np.clip(np.rint(array), -32768, 32767), dtype=np.int16)


def map_body(volume: Volume) -> BodyMaps:
    """Block maps of a CT series, the table still in them; float HU are rounded."""
    array = _as_int16(volume.array)
    slice_mm, row_mm, column_mm = volume.grid.spacing_mm
    pixel_mm = min(row_mm, column_mm)
    factor = max(1, round(_BLOCK_MM / pixel_mm))
    radius = max(1, min(10, int(SERIES_RADIUS_MM / pixel_mm)))
    depth = array.shape[0]
    blocks = (depth, max(1, array.shape[1] // factor), max(1, array.shape[2] // factor))
    shares = np.empty((depth, 4, *blocks[1:]), dtype=np.float32)
    mean = np.empty(blocks, dtype=np.float32)
    limits = np.array([TISSUE_HU, BONE_HU, METAL_HU], dtype=np.int16)

    def receive(k: int, mask: NDArray[np.bool_]) -> None:
        _block_shares(array[k], mask, factor, limits, shares[k], mean[k])

    opened_foreground(array, radius=radius, limits=OTSU_LIMITS_HU, receive=receive)
    return BodyMaps(
        factor=factor,
        spacing_mm=(slice_mm, row_mm * factor, column_mm * factor),
        body=shares[:, 0] >= 0.5,
        tissue=shares[:, 1] >= 0.5,
        table=np.zeros(blocks, dtype=np.bool_),
        bone=shares[:, 2],
        metal=shares[:, 3],
        mean_hu=mean,
    )


def _static_parts(maps: BodyMaps) -> NDArray[np.bool_]:
    """(block row, block column) filled in nearly every slice, by things that are not a leg."""
    from scipy import ndimage

    always = maps.tissue.mean(axis=0) >= STILL_SHARE
    bone_share = (maps.bone > 0.3).mean(axis=0)
    ever_bone, always_bone = np.asarray(bone_share > 0.02), np.asarray(bone_share >= STILL_SHARE)
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
    """Rows of a still part that are a table under (or over) the legs that are on it all the way.

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
    """Take off what is still through the series and is not a leg: the table, a cushion, a bar.

    A leg holds bone in its middle wherever it is; a table has the same cross-section in every slice. A leg that is on
    the table touches it in some slices only, so what is filled in nearly all of them is table alone. In a series of a
    few slices nothing can be recognised as still by that; parts without bone fall away later in any case.
    """
    from scipy import ndimage

    static = _static_parts(maps)
    if not static.any():
        return maps
    # a block of margin: the table's edge blocks are half air and not filled in every slice
    grown = ndimage.binary_dilation(static, structure=np.ones((3, 3), dtype=np.bool_))
    edge = grown & (maps.mean_hu.mean(axis=0) < 0) & ~static
    table = np.broadcast_to(static | edge, maps.body.shape)
    return replace(maps, body=maps.body & ~table, tissue=maps.tissue & ~table, table=maps.tissue & table)


@compiled
def _root(parent: NDArray[Any], item: int) -> int:
    while parent[item] != item:
        parent[item] = parent[parent[item]]
        item = parent[item]
    return item


@compiled
def _join_row(first_run: int, last_run: int, above: int, ends: NDArray[Any], parent: NDArray[Any]) -> None:
    """Join the runs of a row to those of the row above that they touch, corners included.

    Runs first_run to last_run - 1 are the row's, above to first_run - 1 those of the row above; ``ends`` holds their
    first column and the column after, ``parent`` the tree of joined runs.
    """
    candidate = above
    for run in range(first_run, last_run):
        while candidate < first_run and ends[candidate, 1] < ends[run, 0]:
            candidate += 1
        other = candidate
        while other < first_run and ends[other, 0] <= ends[run, 1]:
            a, b = _root(parent, run), _root(parent, other)
            # the smaller index is the root: a part is known by its first pixel
            parent[max(a, b)] = min(a, b)
            other += 1


@compiled
def _runs(mask: NDArray[Any], row_of: NDArray[Any], ends: NDArray[Any], parent: NDArray[Any]) -> int:
    """Runs of True pixels, joined into 8-connected parts; returns how many runs there are."""
    rows, columns = mask.shape
    runs = 0
    above = 0
    for row in range(rows):
        here = runs
        line = mask[row]
        x = 0
        while x < columns:
            if line[x]:
                first = x
                while x < columns and line[x]:
                    x += 1
                row_of[runs], ends[runs, 0], ends[runs, 1], parent[runs] = row, first, x, runs
                runs += 1
            else:
                x += 1
        _join_row(here, runs, above, ends, parent)
        above = here
    return runs


@compiled
def _note_run(entry: NDArray[Any], row: int, first: int, stop: int) -> None:
    """Add a run to the table row of its part."""
    size = stop - first
    if entry[0] == 0:
        entry[1], entry[3], entry[4] = row, first, stop
    entry[0] += size
    entry[2] = row + 1
    entry[3] = min(entry[3], first)
    entry[4] = max(entry[4], stop)
    entry[5] += row * size
    entry[6] += (first + stop - 1) * size // 2


@compiled
def two_largest(mask: NDArray[Any], labels: NDArray[Any], table: NDArray[Any]) -> None:
    """Label the two largest 8-connected parts of one slice: 1 the largest, 2 the next.

    Parts are runs of pixels joined row by row. Of equal parts the one whose first pixel comes first wins.

    Args:
        mask: (rows, columns) bool.
        labels: (rows, columns) uint8, overwritten.
        table: (2, 7) int64, overwritten: area, first row, row after, first column, column after, sum of rows, sum of
            columns; zeros where there is no such part.
    """
    rows, columns = mask.shape
    capacity = rows * ((columns + 1) // 2)
    row_of = np.empty(capacity, np.int32)
    ends = np.empty((capacity, 2), np.int32)
    parent = np.empty(capacity, np.int32)
    runs = _runs(mask, row_of, ends, parent)
    area = np.zeros(runs + 1, np.int64)
    for run in range(runs):
        area[_root(parent, run)] += ends[run, 1] - ends[run, 0]
    # area[runs] is 0 and stands for "none"
    best = runs
    second = runs
    for run in range(runs):
        if area[run] > area[best]:
            best, second = run, best
        elif area[run] > area[second]:
            second = run
    labels[:] = 0
    table[:] = 0
    for run in range(runs):
        root = _root(parent, run)
        if root in (best, second):
            rank = 0 if root == best else 1
            labels[row_of[run], ends[run, 0] : ends[run, 1]] = rank + 1
            _note_run(table[rank], row_of[run], ends[run, 0], ends[run, 1])


@compiled
def _add_row(
    line: NDArray[Any], mask: NDArray[Any], limits: NDArray[Any], counts: NDArray[Any], total: NDArray[Any]
) -> None:
    """Add one row of pixels to the counters of its columns."""
    tissue, bone, metal = limits[0], limits[1], limits[2]
    in_mask, in_tissue, in_bone, in_metal = counts[0], counts[1], counts[2], counts[3]
    for x in range(line.size):
        in_mask[x] += mask[x]
        in_tissue[x] += line[x] > tissue
    for x in range(line.size):
        in_bone[x] += line[x] > bone
        in_metal[x] += line[x] > metal
    for x in range(line.size):
        total[x] += max(np.int32(line[x]), np.int32(LOWEST_HU))


@compiled
def _block_shares(
    image: NDArray[Any], mask: NDArray[Any], factor: int, limits: NDArray[Any], shares: NDArray[Any], mean: NDArray[Any]
) -> None:
    """What each block of factor x factor pixels of one slice holds.

    Pixels beyond the last whole block belong to the last block.
    """
    rows, columns = image.shape
    block_rows, block_columns = mean.shape
    counts = np.empty((4, columns), np.int16)
    total = np.empty(columns, np.int32)
    for y in range(block_rows):
        first_row = y * factor
        stop_row = rows if y == block_rows - 1 else first_row + factor
        counts[:] = 0
        total[:] = 0
        for row in range(first_row, stop_row):
            _add_row(image[row], mask[row], limits, counts, total)
        for block in range(block_columns):
            first = block * factor
            stop = columns if block == block_columns - 1 else first + factor
            size = np.float32((stop_row - first_row) * (stop - first))
            mean[y, block] = total[first:stop].sum() / size
            for kind in range(4):
                shares[kind, y, block] = counts[kind, first:stop].sum() / size


@compiled
def basins(distance: NDArray[Any], peak: NDArray[Any]) -> None:
    """Flat index of the local maximum that steepest ascent reaches from each pixel; -1 where the distance is 0."""
    rows, columns = distance.shape
    for row in range(rows):
        for column in range(columns):
            best_row, best_column = row, column
            best = distance[row, column]
            if best <= 0:
                peak[row, column] = -1
                continue
            for y in range(max(row - 1, 0), min(row + 2, rows)):
                for x in range(max(column - 1, 0), min(column + 2, columns)):
                    if distance[y, x] > best:
                        best, best_row, best_column = distance[y, x], y, x
            peak[row, column] = best_row * columns + best_column
    for row in range(rows):
        for column in range(columns):
            here = peak[row, column]
            while here >= 0:
                onward = peak[here // columns, here % columns]
                if onward == here:
                    break
                here = onward
            peak[row, column] = here


@compiled
def _neighbour(index: int, way: int, shape: tuple[int, int, int]) -> int:
    """Flat index of one of the six face neighbours, or the index itself at the array's border."""
    depth, rows, columns = shape
    axis = way // 2
    stride = 1 if axis == 0 else (columns if axis == 1 else rows * columns)
    count = columns if axis == 0 else (rows if axis == 1 else depth)
    position = (index // stride) % count
    if way % 2:
        return index + stride if position < count - 1 else index
    return index - stride if position > 0 else index


@compiled
def grow_labels(labels: NDArray[Any], allowed: NDArray[Any], steps: int) -> None:
    """Spread labels into allowed voxels, face by face, at most ``steps`` voxels far; the first to arrive stays.

    Args:
        labels: (slice, row, column) uint8, 0 where free; changed in place.
        allowed: (slice, row, column) bool.
        steps: how far.
    """
    flat = labels.reshape(labels.size)
    open_ = allowed.reshape(allowed.size)
    front = np.empty(labels.size, np.int32)
    last = 0
    for index in range(labels.size):
        if flat[index] != 0:
            front[last] = index
            last += 1
    first = 0
    for _step in range(steps):
        count = last
        for place in range(first, last):
            for way in range(6):
                neighbour = _neighbour(front[place], way, labels.shape)
                if flat[neighbour] == 0 and open_[neighbour]:
                    flat[neighbour] = flat[front[place]]
                    front[count] = neighbour
                    count += 1
        first, last = last, count
