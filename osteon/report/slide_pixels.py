"""Pixels of a slide for a picture: any rectangle in micrometres at any size, never more than a band in memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.report.slide_cells import slide_size_um

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.data.slide import Slide

__all__ = ["fitting", "grey_ground", "read_um", "thumbnail"]

_MOST_PIXELS: Final = 16_000_000
"""Read at once; 48 MB."""


def fitting(extent: tuple[float, float], box: tuple[float, float]) -> tuple[int, int]:
    """Largest (rows, columns) with the proportions of an extent (height, width) in a box (height, width).

    Example:
        >>> fitting((10.0, 20.0), (600, 800))
        (400, 800)
    """
    scale = min(box[0] / extent[0], box[1] / extent[1])
    return max(1, round(extent[0] * scale)), max(1, round(extent[1] * scale))


def thumbnail(slide: Slide, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The whole slide as (rows, columns, 3) uint8 RGB.

    Raises:
        InputError: the file is damaged.
    """
    height, width = slide_size_um(slide)
    return read_um(slide, corner_um=(0.0, 0.0), size_um=(height, width), shape=shape)


def read_um(
    slide: Slide, *, corner_um: tuple[float, float], size_um: tuple[float, float], shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """A rectangle of the slide at a wanted size, white outside the slide.

    Pixels come from the coarsest level that is not coarser than the picture, averaged over their area; of a slide
    with one huge level, in bands.

    Args:
        slide: to read.
        corner_um: (y, x) of the upper left corner.
        size_um: (height, width).
        shape: (rows, columns) of the picture.

    Returns:
        (rows, columns, 3) uint8 RGB.

    Raises:
        InputError: the file is damaged there.
    """
    import cv2

    rows, columns = shape
    wanted_um = (size_um[0] / rows, size_um[1] / columns)
    index, (row_um, column_um) = _level(slide, wanted_um)
    left, width = round(corner_um[1] / column_um), max(1, round(size_um[1] / column_um))
    step = max(1, math.floor(_MOST_PIXELS / (width * max(1.0, wanted_um[0] / row_um))))
    picture = np.empty((rows, columns, 3), dtype=np.uint8)
    for first in range(0, rows, step):
        end = min(rows, first + step)
        top, bottom = (round((corner_um[0] + k * wanted_um[0]) / row_um) for k in (first, end))
        pixels = slide.read(index, top, left, max(1, bottom - top), width)
        smaller = pixels.shape[0] >= end - first and pixels.shape[1] >= columns
        how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        picture[first:end] = cv2.resize(pixels, (columns, end - first), interpolation=how)
    return picture


def _level(slide: Slide, wanted_um: tuple[float, float]) -> tuple[int, tuple[float, float]]:
    """Index of the coarsest level that is fine enough, and the size of its pixels; level 0 where none is."""
    row_um, column_um = slide.microns_per_pixel
    best, downsample = 0, slide.levels[0].downsample
    for index, level in enumerate(slide.levels):
        fine = level.downsample * max(row_um, column_um) <= min(wanted_um) * 1.001
        if fine and level.downsample > downsample:
            best, downsample = index, level.downsample
    return best, (row_um * downsample, column_um * downsample)


def grey_ground(rgb: NDArray[np.uint8], *, darkest: float = 0.68) -> NDArray[np.float32]:
    """Brightness of a picture between ``darkest`` and 1, to be multiplied with colours laid over it.

    The structure of the tissue stays to be seen and its own pink and blue do not mix with the colours of the map.

    Args:
        rgb: (rows, columns, 3) uint8.
        darkest: of the answer.

    Returns:
        (rows, columns, 1) float32.
    """
    luminance = rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    low = float(np.quantile(luminance, 0.01))
    spread = np.clip((luminance - low) / max(255.0 - low, 1.0), 0.0, 1.0)
    ground: NDArray[np.float32] = (darkest + (1 - darkest) * spread)[..., None].astype(np.float32)
    return ground
