"""Compiled loops that find the body: parts of a mask, block shares, basins of a distance map, reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from osteon._compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOWEST_HU = -1024
"""Padding outside the scanner's field may hold any lower number."""

__all__ = ["above", "basins", "block_shares", "grow_labels", "two_largest"]


@compiled
def above(image: NDArray[Any], threshold: int, mask: NDArray[Any]) -> None:
    """``mask = image > threshold`` for one slice."""
    rows, columns = image.shape
    for row in range(rows):
        source = image[row]
        target = mask[row]
        for x in range(columns):
            target[x] = source[x] > threshold


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
def block_shares(
    image: NDArray[Any], mask: NDArray[Any], factor: int, limits: NDArray[Any], shares: NDArray[Any], mean: NDArray[Any]
) -> None:
    """What each block of factor x factor pixels of one slice holds.

    Pixels beyond the last whole block belong to the last block.

    Args:
        image: (rows, columns) int16 HU.
        mask: (rows, columns) bool, the opened foreground.
        factor: pixels along a block.
        limits: (3,) int16; tissue is above the first, bone above the second, metal above the third.
        shares: (4, block rows, block columns) float32, overwritten: share of mask, tissue, bone, metal.
        mean: (block rows, block columns) float32, overwritten: mean HU, each pixel at least -1024.
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
