"""Pixels of a slide for its pictures: read once, resized for every panel, and in grey to lay colours over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.ops.tile_plan import slide_size_um, slide_thumbnail

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.data.slide import Slide

__all__ = ["fitting", "grey_ground", "resized", "slide_picture"]

_LONGEST: Final = 1600
"""Pixels along the longer side of the largest panel."""


def fitting(extent: tuple[float, float], box: tuple[float, float]) -> tuple[int, int]:
    """Largest (rows, columns) with the proportions of an extent (height, width) in a box (height, width).

    Example:
        >>> fitting((10.0, 20.0), (600, 800))
        (400, 800)
    """
    scale = min(box[0] / extent[0], box[1] / extent[1])
    return max(1, round(extent[0] * scale)), max(1, round(extent[1] * scale))


def slide_picture(slide: Slide) -> NDArray[np.uint8]:
    """The whole slide in at least the pixels of the largest panel, as far as it has them; (rows, columns, 3) RGB.

    Raises:
        InputError: the slide is damaged.
    """
    size_um = slide_size_um(slide)
    picture, (row_um, column_um) = slide_thumbnail(slide, um_per_pixel=max(size_um) / _LONGEST)
    rows, columns = max(1, round(size_um[0] / row_um)), max(1, round(size_um[1] / column_um))
    return picture[:rows, :columns]  # without the white that fills up the last row and column


def resized(picture: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture in another number of (rows, columns); averaged over areas where it becomes smaller."""
    import cv2

    smaller = picture.shape[0] >= shape[0] and picture.shape[1] >= shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (shape[1], shape[0]), interpolation=how), dtype=np.uint8)


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
