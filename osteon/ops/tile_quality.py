"""What makes a tile unfit to be judged: out of focus, marked with a pen, folded.

Every measure is of the tissue of the tile alone. Thresholds were set on the 45 public osteosarcoma tiles (TCIA, 10x,
1024 um seen at 224 pixels) as they are and blurred, marked and folded by computation: of the tiles as they are none is
flagged. Sharpness is at least 4.4 in them; at most 6.1, 3.0 and 1.6 when the 1-um pixels are blurred by a Gaussian of
2, 3 and 4 um, and 4 um blurs nuclei into one another. They hold for tiles of 3 to 6 um a pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from osteon.ops.tissue import check_rgb, extremes, green_density, optical_density, pen_mask, white_level

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FLAGS", "TILE_UM_PER_PIXEL", "fold_share", "pen_share", "sharpness", "tile_flags"]

FLAGS = ("blur", "pen", "fold")
"""Names that ``tile_flags`` may give, in its order."""
TILE_UM_PER_PIXEL = 1024 / 224

LEAST_SHARPNESS = 2.0
MOST_PEN_SHARE = 0.02
MOST_FOLD_SHARE = 0.03
FOLD_DENSITY = 1.1
"""Mean natural optical density of red, green and blue, averaged over 60 um, above which a place may be a fold."""
FOLD_RATIO = 1.5
"""And times the median of the tile's tissue: a fold is dark beside what it is folded from."""

_FOLD_SQUARE_UM = 60.0
_DETAIL_UM = 40.0
_TISSUE_DENSITY = 0.1
_LEAST_TISSUE_PIXELS = 400


def sharpness(green: NDArray[np.float32], *, um_per_pixel: float = TILE_UM_PER_PIXEL) -> float | None:
    """Variance of the Laplacian over the variance of detail, which is what differs from the mean of 40 um around.

    Both are taken on tissue alone, so neither white gaps nor a pale stain count as blur.

    Args:
        green: (rows, columns) float32, optical density of green, the colour that both stains absorb.
        um_per_pixel: of the tile.

    Returns:
        About 20 for noise and near 0 for a picture without fine detail; None where there is too little tissue to say.
    """
    tissue = cv2.erode((green > _TISSUE_DENSITY).view(np.uint8), np.ones((5, 5), np.uint8))
    if cv2.countNonZero(tissue) < _LEAST_TISSUE_PIXELS:
        return None
    width = 2 * round(_DETAIL_UM / 2 / um_per_pixel) + 1
    spread = _deviation(green - cv2.blur(green, (width, width)), tissue)
    return (_deviation(cv2.Laplacian(green, cv2.CV_32F), tissue) / spread) ** 2 if spread > 0 else 0.0


def pen_share(density: NDArray[np.float32], *, um_per_pixel: float = TILE_UM_PER_PIXEL) -> float:
    """Share of the tile that is ink, 0 to 1; ``osteon.ops.tissue.pen_mask`` says of which colours."""
    return float(pen_mask(density, um_per_pixel=um_per_pixel).mean())


def fold_share(density: NDArray[np.float32], *, um_per_pixel: float = TILE_UM_PER_PIXEL) -> float:
    """Share of the tile that is so dark, and so much darker than the rest of its tissue, that it may be a fold.

    A fold doubles or trebles the thickness. In pale tissue that is no darker than ordinary cellular tissue and is not
    seen; it does not hide the cells there either. Ink is no fold.

    Args:
        density: (rows, columns, 3) float32 of ``optical_density``.
        um_per_pixel: of the tile.
    """
    rows, columns = (max(1, round(side * um_per_pixel / _FOLD_SQUARE_UM)) for side in density.shape[:2])
    squares = cv2.resize(density, (columns, rows), interpolation=cv2.INTER_AREA).reshape(rows, columns, 3).mean(axis=2)
    if squares.max() <= FOLD_DENSITY:
        return 0.0
    mean = cv2.transform(density, np.full((1, 3), 1 / 3, dtype=np.float32))
    usual = float(np.median(mean[extremes(density)[0] > _TISSUE_DENSITY]))
    dark = squares > max(FOLD_DENSITY, FOLD_RATIO * usual)
    ink = pen_mask(density, um_per_pixel=um_per_pixel).view(np.uint8)
    return float((dark & (cv2.resize(ink, (columns, rows), interpolation=cv2.INTER_NEAREST) == 0)).mean())


def tile_flags(rgb: NDArray[np.uint8], *, um_per_pixel: float = TILE_UM_PER_PIXEL) -> tuple[str, ...]:
    """Names of what makes a tile unfit to be judged.

    Args:
        rgb: (rows, columns, 3) uint8, the tile as the network sees it.
        um_per_pixel: of the tile; 3 to 6.

    Returns:
        Some of ``FLAGS``, in its order; none for a tile without tissue.

    Raises:
        InputError: no RGB picture, or a pixel size that is no size.

    Example:
        >>> tile_flags(np.full((224, 224, 3), 244, dtype=np.uint8))
        ()
    """
    check_rgb(rgb)
    # ink and folds are wide: half the pixels tell as much in a quarter of the time
    size = (max(1, rgb.shape[1] // 2), max(1, rgb.shape[0] // 2))
    half = cv2.resize(np.ascontiguousarray(rgb), size, interpolation=cv2.INTER_AREA)
    white = white_level(half)
    density = optical_density(half, white=white)
    sharp = sharpness(green_density(rgb, white=white), um_per_pixel=um_per_pixel)
    found = {
        "blur": sharp is not None and sharp < LEAST_SHARPNESS,
        "pen": pen_share(density, um_per_pixel=2 * um_per_pixel) > MOST_PEN_SHARE,
        "fold": fold_share(density, um_per_pixel=2 * um_per_pixel) > MOST_FOLD_SHARE,
    }
    return tuple(name for name in FLAGS if found[name])


def _deviation(values: NDArray[np.float32], where: NDArray[np.uint8]) -> float:
    """Standard deviation where a mask is not 0."""
    return float(cv2.meanStdDev(values, mask=where)[1][0, 0])
