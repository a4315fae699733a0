"""Binary closing with a disk or a ball, exact, on 64 voxels at a time; and hole filling.

The footprint is the set of voxels whose centres are within the radius; in millimetres it is a ball of the world and an
ellipsoid of voxels. Beyond the array is background that the closing may use and never keeps: the result is that of the
array in an endless empty space, so nothing at the border is lost (scipy's own border rule erodes it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from osteon._compiled import compiled, in_threads
from osteon.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ball_rows", "close_ball", "fill_holes"]

MOST_REACH = 60
"""Voxels; a footprint row must fit into one word to each side."""


def ball_rows(
    radius: float, *, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), flat: bool = False
) -> NDArray[np.int64]:
    """Rows of a ball of voxels: slice offset, row offset, half width.

    Args:
        radius: in the unit of spacing.
        spacing: of (slice, row, column).
        flat: only the rows of its middle slice: a disk.

    Raises:
        InputError: a negative radius, or one of more than 60 voxels.

    Example:
        >>> ball_rows(1).tolist()
        [[-1, 0, 0], [0, -1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]
    """
    if radius < 0 or radius > MOST_REACH * min(spacing[1:] if flat else spacing):
        raise InputError(
            f"the radius of a closing must be between 0 and {MOST_REACH} voxels, found {radius} at spacing {spacing}"
        )
    # a hair more than the radius, so that a voxel exactly on it counts whatever the rounding of the spacing
    limit = radius * radius * (1 + 1e-9)
    reach = [int(radius * (1 + 1e-9) / s) for s in spacing]
    rows = []
    for dz in range(0 if flat else -reach[0], 1 if flat else reach[0] + 1):
        for dy in range(-reach[1], reach[1] + 1):
            left = limit - (dz * spacing[0]) ** 2 - (dy * spacing[1]) ** 2
            if left >= 0:
                rows.append((dz, dy, int(np.sqrt(left) / spacing[2])))
    return np.array(rows, dtype=np.int64)


def close_ball(mask: NDArray[np.bool_], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Binary closing of (slice, row, column) with a footprint as ``ball_rows`` gives it; holds the mask."""
    if not mask.any():
        return np.zeros_like(mask)
    pads = [int(np.abs(rows[:, axis]).max()) for axis in range(3)]
    shape = [n + 2 * pad for n, pad in zip(mask.shape, pads, strict=True)]
    words = -(-shape[2] // 64)
    bits = np.zeros((shape[0], shape[1], words * 8), dtype=np.uint8)
    packed = bits.view(np.uint64)
    reached = np.empty_like(packed)
    inner = tuple(slice(pad, pad + n) for pad, n in zip(pads, mask.shape, strict=True))

    def pack(first: int, stop: int) -> None:
        for k in range(first, stop):
            wide = np.zeros((mask.shape[1], words * 64), dtype=np.bool_)
            wide[:, inner[2]] = mask[k]
            bits[pads[0] + k, inner[1]] = np.packbits(wide, axis=1, bitorder="little")

    in_threads(pack, mask.shape[0], chunk=16)
    in_threads(lambda a, b: _dilate_packed(packed, rows, 0, a, b, reached), shape[0], chunk=16)
    in_threads(lambda a, b: _dilate_packed(reached, rows, 1, a, b, packed), shape[0], chunk=16)
    closed = np.empty(mask.shape, dtype=np.bool_)

    def unpack(first: int, stop: int) -> None:
        for k in range(first, stop):
            wide = np.unpackbits(bits[pads[0] + k, inner[1]], axis=1, bitorder="little")
            closed[k] = wide[:, inner[2]]

    in_threads(unpack, mask.shape[0], chunk=16)
    return closed


def fill_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill the holes of every slice of a 3D mask; background is 4-connected, as in scipy's ``binary_fill_holes``."""
    import cv2

    filled = np.empty(mask.shape, dtype=np.bool_)

    def work(first: int, stop: int) -> None:
        for k in range(first, stop):
            wide = np.pad(mask[k].astype(np.uint8, order="C"), 1)  # a turned scan lies along its columns
            cv2.floodFill(wide, None, (0, 0), 2)  # what is outside becomes 2
            np.not_equal(wide[1:-1, 1:-1], 2, out=filled[k])

    in_threads(work, mask.shape[0], chunk=16)
    return filled


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
def _dilate_packed(
    packed: NDArray[Any], offsets: NDArray[Any], complement: int, first: int, stop: int, out: NDArray[Any]
) -> None:
    """Dilation of a packed volume by a set of rows, for slices first to stop - 1."""
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
