"""Compiled loops of the bone mask: Gaussian, packed closing, hole filling.

The plain counterparts (scipy's) are in ``tests/ops/test_bone.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from osteon._compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["best_intervals", "dilate_packed", "fill_slice", "smooth_slice"]


@compiled
def smooth_slice(
    image: NDArray[Any],
    weights_of_rows: NDArray[Any],
    weights_of_columns: NDArray[Any],
    row_of: NDArray[Any],
    column_of: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Gaussian of one slice along rows, then columns, rounded to whole HU.

    Sums run in float64 and the first pass is kept in float32, in scipy's order of additions: equal to rounding
    ``scipy.ndimage.gaussian_filter`` of a float32 slice.

    Args:
        image: (rows, columns) HU.
        weights_of_rows: (radius + 1,) float64 along the rows axis, the centre first.
        weights_of_columns: the same along the columns axis.
        row_of: mirrored source index of each row, padded by the radius.
        column_of: the same for columns.
        out: (rows, columns) int16, overwritten.
    """
    rows, columns = image.shape
    down = weights_of_rows.size - 1
    across = weights_of_columns.size - 1
    line = np.empty(columns, np.float64)
    padded = np.empty(columns + 2 * across, np.float64)
    result = np.empty(columns, np.float64)
    for row in range(rows):
        centre = image[row]
        for x in range(columns):
            line[x] = float(centre[x]) * weights_of_rows[0]
        # scipy adds the outermost pair first
        for reach in range(down, 0, -1):
            above = image[row_of[row + down - reach]]
            below = image[row_of[row + down + reach]]
            weight = weights_of_rows[reach]
            for x in range(columns):
                line[x] += (float(above[x]) + float(below[x])) * weight
        for x in range(columns):
            padded[across + x] = float(np.float32(line[x]))
        for x in range(across):
            padded[x] = float(np.float32(line[column_of[x]]))
            padded[across + columns + x] = float(np.float32(line[column_of[across + columns + x]]))
        for x in range(columns):
            result[x] = padded[across + x] * weights_of_columns[0]
        for reach in range(across, 0, -1):
            left = padded[across - reach : across - reach + columns]
            right = padded[across + reach : across + reach + columns]
            weight = weights_of_columns[reach]
            for x in range(columns):
                result[x] += (left[x] + right[x]) * weight
        target = out[row]
        for x in range(columns):
            target[x] = np.int16(np.rint(np.float32(result[x])))


@compiled
def _widened(row: NDArray[Any], width: int, out: NDArray[Any]) -> None:
    """``out |= row`` spread by ``width`` bits to both sides; bit i of word w is column 64 * w + i."""
    words = row.size
    for word in range(words):
        here = row[word]
        spread = here
        before = row[word - 1] if word > 0 else np.uint64(0)
        after = row[word + 1] if word + 1 < words else np.uint64(0)
        if here | before | after:
            for step in range(1, width + 1):
                up = np.uint64(step)
                rest = np.uint64(64 - step)
                spread |= (here << up) | (before >> rest) | (here >> up) | (after << rest)
            out[word] |= spread


@compiled
def dilate_packed(
    packed: NDArray[Any],
    offsets: NDArray[Any],
    complement: int,
    first: int,
    stop: int,
    out: NDArray[Any],
) -> None:
    """Dilation of a packed volume by a set of rows, for slices first to stop - 1.

    Args:
        packed: (slices, rows, words) uint64.
        offsets: (n, 3): slice offset, row offset, half width (at most 63) of each row of the footprint.
        complement: 1 to dilate what is not in the volume and return what is not reached: an erosion.
        first: first slice to do.
        stop: the slice after the last to do.
        out: as packed, overwritten in these slices.
    """
    slices, rows, words = packed.shape
    everything = np.uint64(0xFFFFFFFFFFFFFFFF)
    line = np.empty(words, np.uint64)
    for k in range(first, stop):
        for row in range(rows):
            target = out[k, row]
            target[:] = np.uint64(0)
            for i in range(offsets.shape[0]):
                z = k + offsets[i, 0]
                y = row + offsets[i, 1]
                if z < 0 or z >= slices or y < 0 or y >= rows:
                    continue
                if complement == 1:
                    for word in range(words):
                        line[word] = packed[z, y, word] ^ everything
                    _widened(line, offsets[i, 2], target)
                else:
                    _widened(packed[z, y], offsets[i, 2], target)
            if complement == 1:
                for word in range(words):
                    target[word] ^= everything


@compiled
def fill_slice(mask: NDArray[Any], stack: NDArray[Any]) -> None:
    """Fill the holes of one slice: background that no 4-connected path joins to the edge. Changes ``mask`` in place.

    Args:
        mask: (rows, columns) uint8 of 0 and 1.
        stack: (at least rows * columns,) int32, scratch.
    """
    rows, columns = mask.shape
    depth = 0
    # outside background is marked 2, then everything that is not 2 is bone
    for row in range(rows):
        step = 1 if row in (0, rows - 1) else max(columns - 1, 1)
        for column in range(0, columns, step):
            if mask[row, column] == 0:
                mask[row, column] = 2
                stack[depth] = row * columns + column
                depth += 1
    while depth > 0:
        depth -= 1
        row = stack[depth] // columns
        column = stack[depth] % columns
        if row > 0 and mask[row - 1, column] == 0:
            mask[row - 1, column] = 2
            stack[depth] = (row - 1) * columns + column
            depth += 1
        if row < rows - 1 and mask[row + 1, column] == 0:
            mask[row + 1, column] = 2
            stack[depth] = (row + 1) * columns + column
            depth += 1
        if column > 0 and mask[row, column - 1] == 0:
            mask[row, column - 1] = 2
            stack[depth] = row * columns + column - 1
            depth += 1
        if column < columns - 1 and mask[row, column + 1] == 0:
            mask[row, column + 1] = 2
            stack[depth] = row * columns + column + 1
            depth += 1
    for row in range(rows):
        for column in range(columns):
            mask[row, column] = mask[row, column] != 2


@compiled
def _cost(weight: NDArray[Any], first: NDArray[Any], second: NDArray[Any], i: int, j: int) -> float:
    """Sum of squared distances to the mean of values i to j - 1."""
    total = weight[j] - weight[i]
    moment = first[j] - first[i]
    squares: float = second[j] - second[i] - moment * moment / total
    return max(squares, 0.0)


@compiled
def best_intervals(
    weight: NDArray[Any], first: NDArray[Any], second: NDArray[Any], clusters: int
) -> tuple[NDArray[np.int64], float]:
    """Starts of the best intervals and their cost.

    The best last start grows with the end of the range (the cost is Monge), so each row of the table is filled by
    halving: n log n costs a cluster instead of n squared.

    Args:
        weight: (n + 1,) prefix sums of the counts.
        first: of counts times values.
        second: of counts times squared values.
        clusters: k, at most n.

    Returns:
        (k,) index of the first value of each interval, and the sum of squares.
    """
    n = weight.size - 1
    best = np.empty(n + 1, np.float64)
    best[0] = 0.0
    for j in range(1, n + 1):
        best[j] = _cost(weight, first, second, 0, j)
    origin = np.zeros((clusters, n + 1), np.int64)
    stack = np.empty((2 * n + 64, 4), np.int64)
    for cluster in range(1, clusters):
        row = np.full(n + 1, np.inf)
        depth = 0
        stack[0] = (cluster + 1, n, cluster, n - 1)
        depth = 1
        while depth > 0:
            depth -= 1
            low, high, low_from, high_from = stack[depth]
            if low > high:
                continue
            middle = (low + high) // 2
            smallest = np.inf
            where = low_from
            for i in range(max(low_from, cluster), min(high_from, middle - 1) + 1):
                value = best[i] + _cost(weight, first, second, i, middle)
                if value < smallest:
                    smallest = value
                    where = i
            row[middle] = smallest
            origin[cluster, middle] = where
            stack[depth] = (low, middle - 1, low_from, where)
            stack[depth + 1] = (middle + 1, high, where, high_from)
            depth += 2
        best = row
    starts = np.zeros(clusters, np.int64)
    end = n
    for cluster in range(clusters - 1, 0, -1):
        starts[cluster] = origin[cluster, end]
        end = starts[cluster]
    return starts, best[n]
