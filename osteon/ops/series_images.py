"""A whole CT series as the small grey images that a 2D network sees, with what must be known of it beforehand.

512 x 512 x 600 HU values (315 MB) become 600 images of about 240 x 240 bytes (35 MB): everything that looks at the
series as a whole looks at these. Slices are taken in threads, one at a time, so nothing larger is ever held.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon._compiled import in_threads
from osteon.errors import InputError
from osteon.ops.slice_frame import BONE_WINDOW_HU, PIXEL_MM, SliceFrame, slice_frame, windowed

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["METAL_HU", "SeriesImages", "series_images", "slice_step"]

METAL_HU = 2800
"""Denser than any bone; 12-bit scanners end at 3071."""


@dataclass(frozen=True, slots=True, eq=False)
class SeriesImages:
    """Images of the slices of a series.

    Attributes:
        grey: (n, row, column) uint8, windowed.
        slices: (n,) int64, index of each image's slice in the series, ascending.
        frame: how slices become images.
        window_hu: HU of grey 0 and 255.
        pixel_mm: side of a pixel.
        slice_mm: between neighbouring images.
        lowest_hu: (n,) of each whole slice.
        highest_hu: (n,) of each whole slice.
        metal: (n, row, column) bool; None where the series holds none.
        metal_mm3: in all slices taken.
    """

    grey: NDArray[np.uint8] = field(repr=False)
    slices: NDArray[np.int64] = field(repr=False)
    frame: SliceFrame
    window_hu: tuple[float, float]
    pixel_mm: float
    slice_mm: float
    lowest_hu: NDArray[np.float32] = field(repr=False)
    highest_hu: NDArray[np.float32] = field(repr=False)
    metal: NDArray[np.bool_] | None = field(default=None, repr=False)
    metal_mm3: float = 0.0

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Between images, rows and columns."""
        return self.slice_mm, self.pixel_mm, self.pixel_mm

    def hu(self, grey: float) -> float:
        """HU in the middle of a grey level."""
        low, high = self.window_hu
        return low + grey * (high - low) / 255

    def grey_of(self, hu: float) -> int:
        """Grey level of HU, 0 to 255."""
        return int(windowed(np.array([hu]), self.window_hu)[0])


def slice_step(slice_mm: float, *, pixel_mm: float = PIXEL_MM) -> int:
    """Every how many-th slice is taken: neighbours are never further apart than pixels, unless slices are.

    Example:
        >>> slice_step(0.6), slice_step(1.0), slice_step(5.0)
        (2, 1, 1)
    """
    return max(1, int(pixel_mm / slice_mm + 1e-6))


def series_images(
    array: NDArray[Any],
    spacing_mm: tuple[float, float, float],
    *,
    window_hu: tuple[float, float] = BONE_WINDOW_HU,
    pixel_mm: float = PIXEL_MM,
    size_step: int = 16,
    step: int = 1,
) -> SeriesImages:
    """The images of a series.

    Args:
        array: (slice, row, column) HU, int16 or float.
        spacing_mm: of it.
        window_hu: lowest and highest HU.
        pixel_mm: side of a pixel.
        size_step: sides of an image are multiples of it.
        step: every how many-th slice is taken.

    Raises:
        InputError: a value that is no number.
    """
    frame = slice_frame(array.shape[1:], spacing_mm[1:], pixel_mm=pixel_mm, size=None, step=size_step)
    slices = np.arange(0, array.shape[0], step, dtype=np.int64)
    grey = np.empty((slices.size, *frame.size), dtype=np.uint8)
    extremes = np.empty((2, slices.size), dtype=np.float32)
    metal: dict[int, NDArray[np.bool_]] = {}
    metal_voxels = np.zeros(slices.size, dtype=np.int64)
    table = _table(window_hu) if array.dtype == np.int16 else None

    def work(first: int, stop: int) -> None:
        for n in range(first, stop):
            one = array[slices[n]]
            low, high = one.min(), one.max()
            if not np.isfinite(low) or not np.isfinite(high):
                raise InputError(
                    f"slice {slices[n] + 1} holds values that are no numbers (NaN or infinite): the series is damaged, "
                    "or was computed from an image with gaps; fill or leave out these slices"
                )
            extremes[:, n] = low, high
            shades = windowed(one, window_hu) if table is None else table[one.view(np.uint16)]
            grey[n] = frame.images(shades[None])[0]
            if high > METAL_HU:
                where = one > METAL_HU
                metal_voxels[n] = np.count_nonzero(where)
                metal[n] = frame.images(np.where(where, np.uint8(255), np.uint8(0))[None])[0] > 0

    in_threads(work, slices.size, chunk=8)
    voxel_mm3 = float(np.prod(spacing_mm)) * step
    return SeriesImages(
        grey=grey,
        slices=slices,
        frame=frame,
        window_hu=window_hu,
        pixel_mm=pixel_mm,
        slice_mm=spacing_mm[0] * step,
        lowest_hu=extremes[0],
        highest_hu=extremes[1],
        metal=_stack(metal, grey.shape) if metal else None,
        metal_mm3=float(metal_voxels.sum()) * voxel_mm3,
    )


def _table(window_hu: tuple[float, float]) -> NDArray[np.uint8]:
    """Grey of every int16, at its bit pattern as uint16."""
    every = np.arange(1 << 16, dtype=np.uint16).view(np.int16)
    return windowed(every, window_hu)


def _stack(parts: dict[int, NDArray[np.bool_]], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    whole = np.zeros(shape, dtype=np.bool_)
    for n, part in parts.items():
        whole[n] = part
    return whole
