"""Where on a histology slide there is tissue: a mask of a thumbnail, with pen marks, dust and glass left out.

Tissue stained with haematoxylin and eosin absorbs green most and one other colour least, so the difference between the
largest and the smallest optical density of a pixel is high in it and near zero on glass, in shadows and on grey dirt.
That difference is cut by Otsu's threshold, kept within limits so that an empty slide gives nothing and a slide full
of tissue gives all.

References:
    Otsu, IEEE Trans. SMC 9 (1979), doi:10.1109/TSMC.1979.4310076. Ruifrok, Johnston, Anal. Quant. Cytol. Histol. 23
    (2001) 291-299 (optical density of the stains).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np

from osteon.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "FLAGS",
    "check_rgb",
    "fold_share",
    "green_density",
    "optical_density",
    "pen_mask",
    "pen_share",
    "sharpness",
    "tile_flags",
    "tissue_mask",
    "white_level",
]


_Value = TypeVar("_Value", np.uint8, np.float32)

CONTRAST_LIMITS = (0.02, 0.035)
"""Otsu's threshold of the difference of optical densities is kept within these. Glass of the public osteosarcoma tiles
is below 0.01, nine tenths of their palest matrix above 0.03."""
SMOOTHING_UM = 15.0
BRIDGED_UM = 40.0
FILLED_HOLE_MM2 = 1.0
FILLED_AT_EDGE_MM2 = 0.05
LEAST_PART_MM2 = 0.05
PEN_WIDTH_UM = 40.0
PEN_RIM_UM = 30.0

_BRIGHT, _BRIGHT_SPREAD = 200, 14
_UNLIT = 60
_LEAST_BRIGHT = 0.002
_LEAST_WHITE, _USUAL_WHITE = 225.0, 245.0
# Of pens, in optical densities (natural logarithm). Haematoxylin absorbs red 0.8 to 0.95 times as much as green, eosin
# far less; blue and green ink absorb red more than green. Blood has the hue of red ink, but is never as saturated over
# the width of a stroke.
_BLUE_PEN_RATIO, _BLUE_PEN_DENSITY = 1.2, 0.5
_RED_PEN_RATIO, _RED_PEN_DENSITY, _RED_PEN_RED = 0.75, 1.5, 0.25
_BLACK_PEN_DENSITY, _BLACK_PEN_SPREAD = 1.0, 0.25


def check_rgb(rgb: NDArray[np.uint8]) -> None:
    """Refuse what is not a picture of (rows, columns, 3) bytes.

    Raises:
        InputError: another shape or type, or no pixels.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise InputError(f"a picture of (rows, columns, 3) bytes is needed, found {rgb.shape} {rgb.dtype}: convert it")


def white_level(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The light that comes through bare glass, by channel of (rows, columns, 3) uint8.

    Returns:
        The 95th percentile of bright colourless pixels, at least 225; 245 where fewer than 0.2 % are such.
    """
    check_rgb(rgb)
    rgb = np.ascontiguousarray(rgb)  # OpenCV takes no reversed axes
    largest, smallest = _extremes(rgb)
    bright = ((smallest >= _BRIGHT) & (largest - smallest <= _BRIGHT_SPREAD)).view(np.uint8)
    count = int(np.count_nonzero(bright))
    if count < _LEAST_BRIGHT * bright.size:
        return np.full(3, _USUAL_WHITE, dtype=np.float32)
    levels = []
    for channel in range(3):
        below = np.cumsum(cv2.calcHist([rgb], [channel], bright, [256], [0, 256]))
        levels.append(float(np.searchsorted(below, 0.95 * count)))
    return np.asarray(np.maximum(levels, _LEAST_WHITE), dtype=np.float32)


def _extremes(planes: NDArray[_Value]) -> tuple[NDArray[_Value], NDArray[_Value]]:
    """Largest and smallest of the three values of every pixel; (rows, columns) each of the type that was given."""
    first, second, third = cv2.split(planes)
    return cv2.max(cv2.max(first, second), third), cv2.min(cv2.min(first, second), third)


def optical_density(rgb: NDArray[np.uint8], *, white: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Natural logarithm of white over colour; 0 on glass, never negative.

    Args:
        rgb: (rows, columns, 3) uint8.
        white: by channel; None measures it by ``white_level``.

    Returns:
        (rows, columns, 3) float32, at most about 5.5.

    Raises:
        InputError: no RGB picture.

    Example:
        >>> (10 * optical_density(np.array([[[245, 24, 90]]], dtype=np.uint8))).round().tolist()
        [[[0.0, 23.0, 10.0]]]
    """
    check_rgb(rgb)
    level = white_level(rgb) if white is None else white
    return np.asarray(cv2.LUT(np.ascontiguousarray(rgb), _density_table(level)))


def green_density(rgb: NDArray[np.uint8], *, white: NDArray[np.float32]) -> NDArray[np.float32]:
    """The green part of ``optical_density`` alone, (rows, columns) float32."""
    table = np.ascontiguousarray(_density_table(white)[:, :, 1])
    return np.asarray(cv2.LUT(cv2.extractChannel(np.ascontiguousarray(rgb), 1), table))


def _density_table(white: NDArray[np.float32]) -> NDArray[np.float32]:
    """(1, 256, 3): the optical density of every grey level of every channel."""
    values = np.arange(256, dtype=np.float32)[:, np.newaxis] + 1
    return np.asarray(np.maximum(np.log((white + 1) / values), 0)[np.newaxis], dtype=np.float32)


def pen_mask(density: NDArray[np.float32], *, um_per_pixel: float) -> NDArray[np.bool_]:
    """Ink of markers: colours that haematoxylin and eosin do not give, in strokes at least 40 um wide.

    Blue and green ink absorb red more than green, red ink absorbs green and blue strongly while letting red through,
    and black ink absorbs all alike. Dark blue ink whose red and green are alike passes for haematoxylin, and
    faint red ink for blood.

    Args:
        density: (rows, columns, 3) float32 of ``optical_density``.
        um_per_pixel: of the picture.

    Returns:
        (rows, columns) bool, with a rim of 30 um.

    Raises:
        InputError: a pixel size that is not a size.
    """
    _check_pixel(um_per_pixel)
    red, green, blue = cv2.split(density)
    largest, smallest = _extremes(density)
    ink = (red > _BLUE_PEN_RATIO * green) & (red > _BLUE_PEN_DENSITY)
    ink |= (blue > _RED_PEN_RATIO * green) & (green > _RED_PEN_DENSITY) & (red < _RED_PEN_RED)
    ink |= (smallest > _BLACK_PEN_DENSITY) & (largest - smallest < _BLACK_PEN_SPREAD * largest)
    if not ink.any():
        return np.asarray(ink)
    strokes = cv2.morphologyEx(ink.view(np.uint8), cv2.MORPH_OPEN, _disk(PEN_WIDTH_UM / 2, um_per_pixel))
    rim = cv2.dilate(strokes, _disk(PEN_RIM_UM, um_per_pixel))
    return np.asarray(rim.astype(np.bool_))


def tissue_mask(rgb: NDArray[np.uint8], *, um_per_pixel: float = 10.0) -> NDArray[np.bool_]:
    """Tissue on a thumbnail of a slide.

    Fat is tissue whose cells are empty: gaps of up to 80 um between walls are bridged, and what is then closed on all
    sides and no larger than 1 mm2 is filled (at the picture's edge 0.05 mm2, the size of a few fat cells). A vessel or
    a tear of that size is filled too. Parts below 0.05 mm2 are taken for dust. Ink is left out, over tissue as well.

    Args:
        rgb: (rows, columns, 3) uint8.
        um_per_pixel: of the thumbnail; made for 8 to 16.

    Returns:
        (rows, columns) bool; all False on bare glass.

    Raises:
        InputError: no RGB picture, or a pixel size that is not a size.

    Example:
        >>> slide = np.full((80, 80, 3), 243, dtype=np.uint8)
        >>> slide[20:60, 20:60] = (225, 150, 190)
        >>> bool(tissue_mask(slide)[40, 40]), bool(tissue_mask(slide)[5, 5])
        (True, False)
    """
    check_rgb(rgb)
    _check_pixel(um_per_pixel)
    rgb = np.ascontiguousarray(rgb)
    white = white_level(rgb)
    smooth = cv2.GaussianBlur(rgb, (0, 0), sigmaX=max(0.5, SMOOTHING_UM / um_per_pixel))
    contrast = _contrast(optical_density(smooth, white=white))
    density = optical_density(rgb, white=white)
    pen = pen_mask(density, um_per_pixel=um_per_pixel) | _unlit(rgb, smooth, um_per_pixel)
    threshold = _otsu(contrast[~pen])
    mask = (contrast > threshold) & ~pen
    mask = _closed(mask, _disk(BRIDGED_UM, um_per_pixel))
    pixel_mm2 = (um_per_pixel / 1000) ** 2
    mask |= _parts(~mask, most=FILLED_HOLE_MM2 / pixel_mm2, inside=True)
    mask |= _parts(~mask, most=FILLED_AT_EDGE_MM2 / pixel_mm2, inside=False)
    # smoothing carries dark tissue over its edge: there a pixel must be coloured itself
    core = cv2.erode(mask.astype(np.uint8), _disk(2 * SMOOTHING_UM, um_per_pixel)) > 0
    mask &= core | (_contrast(density) > threshold)
    mask &= ~_parts(mask, most=LEAST_PART_MM2 / pixel_mm2, inside=False)
    return np.asarray(mask & ~pen)


def _unlit(rgb: NDArray[np.uint8], smooth: NDArray[np.uint8], um_per_pixel: float) -> NDArray[np.bool_]:
    """Where no light came through, as at the edge of a scanner's field, and the rim that smoothing gives it."""
    dark = (_extremes(smooth)[0] < _UNLIT) | (_extremes(rgb)[0] < _UNLIT)
    # specks are nuclei: what the scanner did not light is wide
    wide = cv2.morphologyEx(dark.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    return np.asarray(cv2.dilate(wide, _disk(3 * SMOOTHING_UM, um_per_pixel)) > 0)


def _check_pixel(um_per_pixel: float) -> None:
    if not (np.isfinite(um_per_pixel) and um_per_pixel > 0):
        raise InputError(f"a pixel cannot be {um_per_pixel} um: give the microns per pixel of the picture")


def _contrast(density: NDArray[np.float32]) -> NDArray[np.float32]:
    largest, smallest = _extremes(density)
    return largest - smallest


def _otsu(contrast: NDArray[np.float32]) -> float:
    """Otsu's threshold in steps of 1/256, within the limits."""
    low, high = CONTRAST_LIMITS
    if contrast.size == 0:
        return high
    steps = np.clip(contrast * 256, 0, 255).astype(np.uint8)
    found, _ = cv2.threshold(steps.reshape(1, -1), 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return float(np.clip((found + 1) / 256, low, high))


def _disk(radius_um: float, um_per_pixel: float) -> NDArray[np.uint8]:
    radius = max(1, round(radius_um / um_per_pixel))
    offset = np.arange(-radius, radius + 1)
    return (offset[:, np.newaxis] ** 2 + offset**2 <= radius * radius).astype(np.uint8)


def _closed(mask: NDArray[np.bool_], disk: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Closing; beyond the picture there is what its edge shows."""
    pad = disk.shape[0] // 2
    wide = cv2.copyMakeBorder(mask.view(np.uint8), pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, disk)
    return np.asarray(closed[pad:-pad, pad:-pad].astype(np.bool_))


def _parts(mask: NDArray[np.bool_], *, most: float, inside: bool) -> NDArray[np.bool_]:
    """Connected parts of at most this many pixels; ``inside``: only those that do not touch the edge."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(mask).view(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] <= most
    small[0] = False
    if inside:
        left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
        right, bottom = left + stats[:, cv2.CC_STAT_WIDTH], top + stats[:, cv2.CC_STAT_HEIGHT]
        rows, columns = mask.shape
        small &= (left > 0) & (top > 0) & (right < columns) & (bottom < rows)
    return np.asarray(small[labels])


FLAGS = ("blur", "pen", "fold")
"""Names that ``tile_flags`` may give, in its order."""
_TILE_UM_PER_PIXEL = 1024 / 224

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


def sharpness(green: NDArray[np.float32], *, um_per_pixel: float = _TILE_UM_PER_PIXEL) -> float | None:
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


def pen_share(density: NDArray[np.float32], *, um_per_pixel: float = _TILE_UM_PER_PIXEL) -> float:
    """Share of the tile that is ink, 0 to 1; ``osteon.ops.tissue.pen_mask`` says of which colours."""
    return float(pen_mask(density, um_per_pixel=um_per_pixel).mean())


def fold_share(density: NDArray[np.float32], *, um_per_pixel: float = _TILE_UM_PER_PIXEL) -> float:
    """Share of the tile that is so dark, and so much darker than the rest of its tissue, that it may be a fold.

    A fold doubles or trebles the thickness. In pale tissue that is not darker than ordinary cellular tissue and is not
    seen; it does not hide the cells there either. Ink is not a fold.

    Args:
        density: (rows, columns, 3) float32 of ``optical_density``.
        um_per_pixel: of the tile.
    """
    rows, columns = (max(1, round(side * um_per_pixel / _FOLD_SQUARE_UM)) for side in density.shape[:2])
    squares = cv2.resize(density, (columns, rows), interpolation=cv2.INTER_AREA).reshape(rows, columns, 3).mean(axis=2)
    if squares.max() <= FOLD_DENSITY:
        return 0.0
    mean = cv2.transform(density, np.full((1, 3), 1 / 3, dtype=np.float32))
    usual = float(np.median(mean[_extremes(density)[0] > _TISSUE_DENSITY]))
    dark = squares > max(FOLD_DENSITY, FOLD_RATIO * usual)
    ink = pen_mask(density, um_per_pixel=um_per_pixel).view(np.uint8)
    return float((dark & (cv2.resize(ink, (columns, rows), interpolation=cv2.INTER_NEAREST) == 0)).mean())


def tile_flags(rgb: NDArray[np.uint8], *, um_per_pixel: float = _TILE_UM_PER_PIXEL) -> tuple[str, ...]:
    """Names of what makes a tile unfit to be evaluated.

    Args:
        rgb: (rows, columns, 3) uint8, the tile as the network sees it.
        um_per_pixel: of the tile; 3 to 6.

    Returns:
        Some of ``FLAGS``, in its order; none for a tile without tissue.

    Raises:
        InputError: no RGB picture, or a pixel size that is not a size.

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
