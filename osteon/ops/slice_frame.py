"""CT slices as a 2D network sees them: one window, one pixel size, one frame; and masks back on the CT's own grid.

Data sets that are made from CT series and the reading of a new CT both go through here, so that a network meets the
same pixels in both. A slice is brought to ``pixel_mm`` as a whole (area average when it shrinks), then cut or padded
around its centre. No single window shows every metastasis (thesis, L517): the one taken keeps soft tissue, spongy bone
and dense bone apart, and leaves only cortex and metal above its top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np

from osteon.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BONE_WINDOW_HU", "PIXEL_MM", "SliceFrame", "slice_frame", "windowed"]

_Map = TypeVar("_Map", np.float32, np.uint8)

BONE_WINDOW_HU = (-450.0, 1050.0)
"""Lowest and highest HU of the window: level 300, width 1500."""

PIXEL_MM = 1.75
"""Side of a pixel: 224 of them are 392 mm, about the field of a trunk, as in the thesis."""


@dataclass(frozen=True, slots=True)
class SliceFrame:
    """How slices of one grid become images of one size, and back.

    Attributes:
        source: rows and columns of a slice.
        scaled: rows and columns of the slice at the pixel size of the images.
        size: rows and columns of an image.
    """

    source: tuple[int, int]
    scaled: tuple[int, int]
    size: tuple[int, int]

    def images(self, slices: NDArray[np.uint8], *, fill: int = 0) -> NDArray[np.uint8]:
        """Slices as images.

        Args:
            slices: (n, row, column) uint8 of ``source`` size: windowed values, or 0 and 255 of a mask.
            fill: what lies outside the slice.

        Returns:
            (n, *size) uint8. Threshold a mask at 128: a pixel is inside when at least half of it is.
        """
        if slices.shape[1:] != self.source:
            raise InputError(f"slices of {slices.shape[1:]} pixels for a frame of {self.source}: make a frame for them")
        out = np.full((len(slices), *self.size), fill, dtype=np.uint8)
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
    """HU as grey values: 0 at and below the window, 255 at and above it.

    Args:
        hu: of any shape, finite.
        window_hu: lowest and highest HU.

    Example:
        >>> import numpy as np
        >>> windowed(np.array([-1000.0, -450.0, 300.0, 1050.0, 3000.0])).tolist()
        [0, 0, 128, 255, 255]
    """
    low, high = window_hu
    scaled = (np.asarray(hu, dtype=np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    return np.asarray(np.clip(scaled + np.float32(0.5), 0, 255)).astype(np.uint8)
