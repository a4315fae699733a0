"""Leg regions cut out, scaled to 0..1 slice by slice, and brought to one size without making up values."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon._compiled import in_threads
from osteon.errors import GeometryMismatchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.geometry import Box

__all__ = ["leg_crops", "nearest_indices"]


@cache
def nearest_indices(count: int, size: int) -> NDArray[np.int64]:
    """Which of ``count`` samples nearest-neighbour resizing puts at each of ``size`` places.

    The samples keep their centres: place i looks at ``(i + 0.5) * count / size - 0.5``, rounded half up, as
    ``skimage.transform.resize(order=0)`` does.

    Returns:
        (size,) int64, read-only.

    Example:
        >>> nearest_indices(2, 4).tolist()
        [0, 0, 1, 1]
    """
    position = (np.arange(size, dtype=np.float64) + 0.5) * (count / size) - 0.5
    indices = np.clip(np.floor(position + 0.5).astype(np.int64), 0, count - 1)
    indices.setflags(write=False)
    return indices


def leg_crops(
    array: NDArray[Any], box: Box, present: NDArray[np.bool_], *, size: int = 256, keep: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Crops of one leg for the slice classifier.

    Args:
        array: (slice, row, column) HU.
        box: the leg's box in the array.
        present: (slice,) bool over the whole array; slices inside the box where it is False give no crop.
        size: rows and columns of a crop.
        keep: bool of the box's shape: pixels outside take the slice's smallest value inside the box, so that a part of
            the other leg in this box does not show. None keeps every pixel (the paper).

    Returns:
        (n, size, size) float32: each slice scaled so that its smallest value is 0 and its largest 1; a constant slice
        is all 0. Row i belongs to ``np.flatnonzero(present[box])[i] + box.start[0]``.

    Raises:
        GeometryMismatchError: present or keep do not fit the array and the box.
    """
    if present.shape != array.shape[:1]:
        raise GeometryMismatchError(
            f"present must have one entry a slice ({array.shape[0]}), found shape {present.shape}"
        )
    if keep is not None and keep.shape != box.shape:
        raise GeometryMismatchError(f"keep must have the shape of the box {box.shape}, found {keep.shape}")
    inside = array[box.slices]
    chosen = np.flatnonzero(present[box.start[0] : box.stop[0]])
    rows = nearest_indices(inside.shape[1], size)
    columns = nearest_indices(inside.shape[2], size)
    crops = np.empty((chosen.size, size, size), dtype=np.float32)

    def work(first: int, stop: int) -> None:
        for i in range(first, stop):
            image = inside[chosen[i]]
            low = image.min()
            kept = image if keep is None else np.where(keep[chosen[i]], image, low)
            bottom = np.float32(low)
            span = np.float32(kept.max()) - bottom
            crops[i] = (kept[rows][:, columns].astype(np.float32) - bottom) / span if span > 0 else 0

    in_threads(work, chosen.size, chunk=8)
    return crops
