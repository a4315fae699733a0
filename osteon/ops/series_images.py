"""A whole CT series as the small grey images that a 2D network sees, with what must be known of it beforehand.

512 x 512 x 600 HU values (315 MB) become 600 images of about 240 x 240 bytes (35 MB): everything that looks at the
series as a whole looks at these. Slices are taken in threads, one at a time, so nothing larger is ever held.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import numpy as np

from osteon._compiled import in_threads
from osteon.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "BONE_WINDOW_HU",
    "METAL_HU",
    "PIXEL_MM",
    "SeriesImages",
    "SliceFrame",
    "neighbour_indices",
    "padded_part",
    "series_images",
    "slice_frame",
    "slice_step",
    "windowed",
    "with_neighbours",
]


METAL_HU = 2800
"""Denser than any bone; 12-bit scanners end at 3071."""


BONE_WINDOW_HU = (-450.0, 1050.0)
"""Lowest and highest HU of the window: level 300, width 1500."""

PIXEL_MM = 1.75
"""Side of a pixel: 224 of them are 392 mm, about the field of a trunk, as in the thesis."""


@dataclass(frozen=True, slots=True, eq=False)
class SeriesImages:
    """Images of the slices of a series."""

    grey: NDArray[np.uint8] = field(repr=False)  # (n, row, column) uint8, windowed
    slices: NDArray[np.int64] = field(repr=False)  # (n,) int64, index of each image's slice in the series, ascending
    frame: SliceFrame  # how slices become images
    window_hu: tuple[float, float]  # HU of grey 0 and 255
    pixel_mm: float  # side of a pixel
    slice_mm: float  # between neighbouring images
    lowest_hu: NDArray[np.float32] = field(repr=False)  # (n,) of each whole slice
    highest_hu: NDArray[np.float32] = field(repr=False)  # (n,) of each whole slice
    # (n, row, column) bool; None where the series holds none
    metal: NDArray[np.bool_] | None = field(default=None, repr=False)
    metal_mm3: float = 0.0  # in all slices taken

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


def padded_part(used: NDArray[np.bool_], *, margin: int, step: int) -> slice:
    """From the first to the last place that is used, with a margin, in multiples of a step; all where none is.

    Example:
        >>> padded_part(np.arange(40) == 20, margin=2, step=8), padded_part(np.zeros(40, dtype=bool), margin=2, step=8)
        (slice(18, 26, None), slice(0, 40, None))
    """
    places = np.flatnonzero(used)
    if not places.size:
        return slice(0, used.size)
    first, stop = max(0, int(places[0]) - margin), min(used.size, int(places[-1]) + 1 + margin)
    length = min(used.size, -(-(stop - first) // step) * step)
    first = min(first, used.size - length)
    return slice(first, first + length)


def slice_step(slice_mm: float, *, pixel_mm: float = PIXEL_MM) -> int:
    """Every how many-th slice is taken: neighbours are never further apart than pixels, unless slices are.

    Example:
        >>> slice_step(0.6), slice_step(1.0), slice_step(5.0)
        (2, 1, 1)
    """
    return max(1, int(pixel_mm / slice_mm + 1e-6))


def neighbour_indices(numbers: NDArray[np.integer], neighbours: int) -> NDArray[np.int64]:
    """Which slices of a series stand around each, for networks that see several (2.5-D).

    Args:
        numbers: (n,) of the slices, ascending, none twice.
        neighbours: how many on either side.

    Returns:
        (n, 2 * neighbours + 1) indices, from the lowest slice to the highest. Where a number is missing, and beyond the
        ends, the last slice before that stands again.

    Example:
        >>> neighbour_indices(np.array([4, 5, 7]), 1).tolist()
        [[0, 0, 1], [0, 1, 1], [2, 2, 2]]
    """
    places = np.arange(len(numbers), dtype=np.int64)
    columns = [places]
    for way in (-1, 1):
        last, is_open = places, np.ones(len(places), dtype=np.bool_)
        for step in range(1, neighbours + 1):
            there = np.searchsorted(numbers, numbers + way * step)
            is_open = is_open & (numbers[np.minimum(there, len(places) - 1)] == numbers + way * step)
            last = np.where(is_open, there, last)
            columns = [last, *columns] if way < 0 else [*columns, last]
    return np.stack(columns, axis=1)


def with_neighbours(images: NDArray[_Map], neighbours: int) -> NDArray[_Map]:
    """The slices of a whole series (n, row, column), each among its neighbours: (n, 2 * neighbours + 1, row, column).

    With 0 neighbours they are as they were, (n, row, column): what a ``Predictor`` takes of its card's ``neighbours``.
    """
    return images[neighbour_indices(np.arange(len(images)), neighbours)] if neighbours else images


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
        InputError: a value that is not a number.
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
                    f"slice {slices[n] + 1} holds values that are not numbers (NaN, infinite): the series is damaged, "
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


_Map = TypeVar("_Map", np.float32, np.uint8)


@dataclass(frozen=True, slots=True)
class SliceFrame:
    """How slices of one grid become images of one size, and back."""

    source: tuple[int, int]  # rows and columns of a slice
    scaled: tuple[int, int]  # rows and columns of the slice at the pixel size of the images
    size: tuple[int, int]  # rows and columns of an image

    def images(self, slices: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Slices as images.

        Args:
            slices: (n, row, column) uint8 of ``source`` size: windowed values, or 0 and 255 of a mask.

        Returns:
            (n, *size) uint8. Threshold a mask at 128: a pixel is inside when at least half of it is.
        """
        if slices.shape[1:] != self.source:
            raise InputError(f"slices of {slices.shape[1:]} pixels for a frame of {self.source}: make a frame for them")
        out = np.zeros((len(slices), *self.size), dtype=np.uint8)
        here, there = self._overlap()
        shrinks = self.scaled[0] * self.scaled[1] < self.source[0] * self.source[1]
        way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        for image, one in zip(out, slices, strict=True):
            image[here] = cv2.resize(one, self.scaled[::-1], interpolation=way)[there]
        return out

    def maps_back(self, maps: NDArray[_Map]) -> NDArray[_Map]:
        """Maps of a network on the grid of the slices; 0 where an image did not reach.

        Args:
            maps: (n, *size) float32, or uint8 of maps that are kept as bytes.

        Returns:
            (n, *source) of the same type, linear between pixels.
        """
        if maps.shape[1:] != self.size:
            raise InputError(f"maps of {maps.shape[1:]} pixels for a frame of {self.size}: make a frame for them")
        here, there = self._overlap()
        out = np.empty((len(maps), *self.source), dtype=maps.dtype)
        whole = np.zeros(self.scaled, dtype=maps.dtype)
        for target, one in zip(out, maps, strict=True):
            whole[there] = one[here]
            cv2.resize(whole, self.source[::-1], dst=target, interpolation=cv2.INTER_LINEAR)
        return out

    def _overlap(self) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """The shared part, in the image and in the scaled slice."""
        image, scaled = [], []
        for size, length in zip(self.size, self.scaled, strict=True):
            shared = min(size, length)
            image.append(slice((size - shared) // 2, (size - shared) // 2 + shared))
            scaled.append(slice((length - shared) // 2, (length - shared) // 2 + shared))
        return (image[0], image[1]), (scaled[0], scaled[1])


def slice_frame(
    source: tuple[int, int],
    spacing_mm: tuple[float, float],
    *,
    pixel_mm: float = PIXEL_MM,
    size: tuple[int, int] | None = None,
    step: int = 16,
) -> SliceFrame:
    """The frame of slices.

    Args:
        source: rows and columns of a slice.
        spacing_mm: between its rows and between its columns.
        pixel_mm: side of a pixel of the images.
        size: rows and columns of an image; None for the smallest multiples of ``step`` that hold the whole slice.
        step: of a network with four halvings.

    Raises:
        InputError: a slice or a pixel without extent.

    Example:
        >>> slice_frame((512, 512), (0.78, 0.78)).size
        (240, 240)
    """
    if min(source) < 1 or min(spacing_mm) <= 0 or pixel_mm <= 0:
        raise InputError(f"slices of {source} pixels of {spacing_mm} mm at {pixel_mm} mm: all must be above 0")
    rows, columns = (max(1, round(n * mm / pixel_mm)) for n, mm in zip(source, spacing_mm, strict=True))
    fitting = (-(-rows // step) * step, -(-columns // step) * step)
    return SliceFrame(source=source, scaled=(rows, columns), size=size or fitting)


def windowed(
    hu: NDArray[np.integer] | NDArray[np.floating], window_hu: tuple[float, float] = BONE_WINDOW_HU
) -> NDArray[np.uint8]:
    """Finite HU of any shape as grey values: 0 at and below the window, 255 at and above it.

    Example:
        >>> import numpy as np
        >>> windowed(np.array([-1000.0, -450.0, 300.0, 1050.0, 3000.0])).tolist()
        [0, 0, 128, 255, 255]
    """
    low, high = window_hu
    scaled = (np.asarray(hu, dtype=np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    return np.asarray(np.clip(scaled + np.float32(0.5), 0, 255)).astype(np.uint8)
