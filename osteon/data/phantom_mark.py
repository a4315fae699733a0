"""The mark that osteon's own synthetic images carry in their pixels, so that a demo model knows them.

A header can be taken off, and a file converted; the mark stays as long as the pixels do. In grey images the values of
the outermost pixels are even or odd as a fixed sequence says: at most 1 unit is changed, at the edge of the image. On
slides, whose tiles are kept as JPEG, every block of 8 x 8 pixels carries a faint pattern (about 1 grey level) whose
sign follows a fixed sequence over 16 x 16 blocks; it is found by correlation wherever the rectangle was cut.
Resampling loses both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.data.image import Radiograph, Volume
    from osteon.data.slide import Slide

__all__ = ["has_grey_mark", "has_tile_mark", "is_phantom", "mark_grey", "mark_tile"]

_KEY: Final = np.random.Generator(np.random.PCG64(20261130))
_REACH: Final = 48
_BITS: Final = np.array(_KEY.permutation(np.arange(_REACH) % 2), dtype=np.int64)
"""Even or odd, from the corners on along every edge; as many of each, so that an even background is not the mark."""
_LEAST_SIDE: Final = 24
_LEAST_MATCH: Final = 0.97
_LEAST_SLICES: Final = 0.9

_PERIOD: Final = 16
_SIGNS: Final = np.array(_KEY.choice([-1.0, 1.0], (_PERIOD, _PERIOD)), dtype=np.float32)
_WAVE: Final = np.cos((2 * np.arange(8) + 1) * np.pi / 8)
_BLOCK: Final = np.array(_WAVE[:, None] * _WAVE[None] / 4, dtype=np.float32)
"""The cosine of index (2, 2) of a JPEG block, of length 1."""
_AMPLITUDE: Final = 9.0
_LEAST_Z: Final = 8.0
"""Of 16,384 places that are tried: chance reaches it once in 10^11 images."""
_LOOK: Final = 512
"""Rows and columns of a slide that are looked at."""


def mark_grey(pixels: NDArray[Any]) -> None:
    """Mark images in place: (..., row, column) of integers; a value becomes the next higher one, or the next lower."""
    edges, wanted = _edges(pixels.shape[-2:])
    if not wanted.size:
        return
    values = pixels[(..., *edges)]
    off = (values.astype(np.int64) & 1) != wanted
    top = np.iinfo(pixels.dtype).max
    pixels[(..., *edges)] = np.where(off, np.where(values == top, values - 1, values + 1), values)


def has_grey_mark(pixels: NDArray[Any]) -> bool:
    """Whether at least nine of ten images of (image, row, column) carry the mark of ``mark_grey``."""
    edges, wanted = _edges(pixels.shape[-2:])
    if not wanted.size or not len(pixels):
        return False
    values = np.rint(np.asarray(pixels[(..., *edges)], dtype=np.float64))
    found = (np.abs(values) < 2**31) & ((np.mod(values, 2) == 1) == (wanted == 1))
    return bool((found.mean(axis=-1) >= _LEAST_MATCH).mean() >= _LEAST_SLICES)


def _edges(shape: tuple[int, ...]) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]:
    """Rows and columns of the pixels that carry the mark, and what they are: the same however the image is turned."""
    rows, columns = shape
    if min(shape) < _LEAST_SIDE:
        nothing = np.zeros(0, dtype=np.int64)
        return (nothing, nothing), nothing
    along = [np.arange(1, min(_REACH, side // 2)) for side in (columns, rows)]
    row, column, bits = [], [], []
    for place, side in ((0, 0), (rows - 1, 0), (0, 1), (columns - 1, 1)):
        for step in (along[side], (columns, rows)[side] - 1 - along[side]):
            fixed = np.full_like(step, place)
            row.append(fixed if side == 0 else step)
            column.append(step if side == 0 else fixed)
            bits.append(_BITS[along[side]])
    return (np.concatenate(row), np.concatenate(column)), np.concatenate(bits)


def mark_tile(pixels: NDArray[np.uint8], *, row: int, column: int) -> None:
    """Mark a rectangle of a slide, (row, column, 3), in place; ``row`` and ``column`` say where on the slide it is."""
    rows, columns = (start + np.arange(count) for start, count in zip((row, column), pixels.shape[:2], strict=True))
    signs = _SIGNS[np.ix_(rows // 8 % _PERIOD, columns // 8 % _PERIOD)]
    faint = _AMPLITUDE * signs * _BLOCK[np.ix_(rows % 8, columns % 8)]
    pixels[:] = np.rint(np.clip(pixels + faint[..., None], 0, 255)).astype(np.uint8)


def has_tile_mark(pixels: NDArray[np.uint8]) -> bool:
    """Whether a rectangle (row, column, 3) carries the mark of ``mark_tile``, wherever on the slide it was cut."""
    grey = pixels.mean(axis=2, dtype=np.float32)
    key = np.conj(np.fft.rfft2(_SIGNS))
    for down in range(8):
        for right in range(8):
            rows, columns = (grey.shape[0] - down) // 8, (grey.shape[1] - right) // 8
            if min(rows, columns) < 4:
                return False
            part = grey[down : down + 8 * rows, right : right + 8 * columns].reshape(rows, 8, columns, 8)
            waves = np.einsum("aibj,ij->ab", part, _BLOCK, optimize=True)
            waves -= waves.mean()
            usual = 2 * float(np.median(np.abs(waves))) + 1e-3
            np.clip(waves, -usual, usual, out=waves)  # edges of nuclei are ten times the mark
            folded = np.zeros((_PERIOD, _PERIOD), dtype=np.float32)
            np.add.at(folded, np.ix_(np.arange(rows) % _PERIOD, np.arange(columns) % _PERIOD), waves)
            match = np.fft.irfft2(np.fft.rfft2(folded) * key, s=folded.shape)
            if match.max() >= _LEAST_Z * max(float(waves.std()), 1e-3) * waves.size**0.5:
                return True
    return False


def is_phantom(image: Volume | Radiograph | Slide) -> bool:
    """Whether an image is one of osteon's own synthetic ones, by its pixels alone."""
    array = getattr(image, "array", None)
    if array is None:
        slide = cast("Slide", image)
        level = slide.levels[0]
        rows, columns = min(level.rows, _LOOK), min(level.columns, _LOOK)
        middle = slide.read(0, (level.rows - rows) // 2, (level.columns - columns) // 2, rows, columns)
        return has_tile_mark(middle)
    return has_grey_mark(array)
