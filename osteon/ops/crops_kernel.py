"""Compiled loop that scales and resamples one crop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from osteon._compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["scaled_crop"]


@compiled
def _extremes(image: NDArray[Any], keep: NDArray[Any]) -> tuple[Any, Any]:
    """Smallest value of an image, and the largest where kept (``keep`` of one element: everywhere)."""
    low = image[0, 0]
    for row in range(image.shape[0]):
        line = image[row]
        for x in range(line.size):
            low = min(line[x], low)
    high = low
    for row in range(image.shape[0]):
        line = image[row]
        if keep.size == 1:
            for x in range(line.size):
                high = max(line[x], high)
        else:
            kept = keep[row]
            for x in range(line.size):
                high = max(line[x], high) if kept[x] else high
    return low, high


@compiled
def scaled_crop(
    image: NDArray[Any], keep: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any], out: NDArray[Any]
) -> None:
    """Scale one slice to 0..1 by its own extremes and gather the given rows and columns.

    Args:
        image: (rows, columns) of the box.
        keep: the same shape, or (1, 1) for "all"; other pixels count as the smallest value of the image.
        rows: source row of each output row.
        columns: source column of each output column.
        out: (size, size) float32, overwritten.
    """
    low, high = _extremes(image, keep)
    bottom = np.float32(low)
    span = np.float32(high) - bottom
    if span <= 0:
        out[:] = 0
        return
    for i in range(rows.size):
        line = image[rows[i]]
        target = out[i]
        for j in range(columns.size):
            target[j] = (np.float32(line[columns[j]]) - bottom) / span
        if keep.size != 1:
            kept = keep[rows[i]]
            for j in range(columns.size):
                target[j] = target[j] if kept[columns[j]] else np.float32(0)
