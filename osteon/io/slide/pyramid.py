"""Write a slide as a tiled pyramidal TIFF, tile by tile."""

from __future__ import annotations

import tempfile
import zlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from osteon._optional import require
from osteon.errors import InputError
from osteon.io.slide.tiff import SYNTHETIC_MARK
from osteon.io.whole_file import whole_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data.slide import Slide

__all__ = ["PyramidOptions", "write_pyramid"]

BIG_TIFF_BYTES: Final = 3 * 2**30
"""Bytes of pixels before compression from which offsets of 64 bits are written; those of 32 bits end at 4 GiB."""

UM_A_CENTIMETRE: Final = 10000.0
STEP: Final = "writing the slide"


@dataclass(frozen=True, slots=True, kw_only=True)
class PyramidOptions:
    """How a pyramid is stored.

    Raises:
        InputError: another tile, quality or size.
    """

    tile: int = 256  # rows and columns of a tile, a multiple of 16
    # "jpeg" (RGB only), "deflate" (nothing is lost), or None: deflate where there is alpha, else jpeg
    compression: Literal["jpeg", "deflate"] | None = None
    quality: int = 90  # of JPEG, 1 to 100; colours are kept at full resolution
    smallest: int = 512  # levels are halved until the longer side is at most this

    def __post_init__(self) -> None:
        """Refuse what no reader takes."""
        if self.tile < 16 or self.tile % 16 or not 1 <= self.quality <= 100 or self.smallest < 1:
            raise InputError(
                f"a pyramid with tiles of {self.tile}, quality {self.quality} and a smallest level of {self.smallest} "
                "cannot be written: tiles are a multiple of 16, quality is 1 to 100, a level has at least one pixel"
            )


@dataclass(frozen=True, slots=True)
class _Source:
    """What is written: ``read`` gives (rows, columns, channels) from row, column, rows and columns that are inside."""

    rows: int
    columns: int
    channels: int
    microns: float
    is_synthetic: bool
    read: Callable[[int, int, int, int], NDArray[np.uint8]] = field(repr=False)


@dataclass(slots=True)
class _Level:
    """A level, filled from the one above it by bands as high as a tile; its encoded tiles wait in a nameless file."""

    rows: int
    columns: int
    band: NDArray[np.uint8] = field(repr=False)
    spool: Any = None
    filled: int = 0
    done: int = 0
    lengths: list[int] = field(default_factory=list, repr=False)


def write_pyramid(
    path: Path,
    source: Slide | NDArray[np.uint8],
    *,
    microns_per_pixel: float | None = None,
    options: PyramidOptions | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Write a pyramidal TIFF (BigTIFF above 3 GiB of pixels), whole or not at all, that openslide reads.

    Level 0 is read once, tile by tile. A pixel of a further level is the mean of the 2 x 2 pixels above it, colours
    weighted by alpha; an odd last row or column has no pixel there. In memory is one row of tiles of each level.
    What a synthetic slide became is marked as such in the description of the file.

    Args:
        path: of the file to be; an earlier file is replaced.
        source: a slide, or (row, column, 3 or 4) uint8, RGB or RGB and alpha (not premultiplied).
        microns_per_pixel: of level 0; None takes that of the slide.
        options: how it is stored.
        progress: told after every row of tiles of level 0.

    Raises:
        InputError: no pixel, another kind of array, the size of a pixel not told, JPEG with alpha; the slide is
            damaged.
        OutputError: cannot be written.
        MissingPackageError: the extra "slides" is not installed.
    """
    chosen = options or PyramidOptions()
    what = _source(path.name, source, microns_per_pixel)
    if what.channels == 4 and chosen.compression == "jpeg":
        raise InputError(f"{path.name}: JPEG holds no alpha channel: ask for deflate, or give RGB")
    tifffile = require("tifffile", extra="slides", purpose="to write a pyramidal TIFF")
    is_jpeg = (chosen.compression or ("jpeg" if what.channels == 3 else "deflate")) == "jpeg"
    encode = _jpeg_encoder(chosen.quality) if is_jpeg else _deflated
    levels = _levels(what, chosen)
    is_big = what.rows * what.columns * what.channels > BIG_TIFF_BYTES
    with whole_file(path) as work, ExitStack() as stack:
        for level in levels[1:]:
            level.spool = stack.enter_context(tempfile.TemporaryFile(dir=path.parent))
        file = stack.enter_context(tifffile.TiffWriter(work, bigtiff=is_big))
        for number, level in enumerate(levels):
            scale = UM_A_CENTIMETRE / (what.microns * 2**number)
            file.write(
                _spooled(level) if number else _first_level(what, levels, chosen.tile, encode, progress),
                shape=(level.rows, level.columns, what.channels),
                dtype=np.uint8,
                tile=(chosen.tile, chosen.tile),
                subfiletype=1 if number else 0,
                resolution=(scale, scale),
                resolutionunit="CENTIMETER",
                description=(SYNTHETIC_MARK if what.is_synthetic else "osteon slide") if number == 0 else None,
                software="osteon",
                metadata=None,
                **_tags(channels=what.channels, is_jpeg=is_jpeg),
            )


def _source(name: str, source: Slide | NDArray[np.uint8], microns: float | None) -> _Source:
    """One face for slides and arrays."""
    if isinstance(source, np.ndarray):
        array = source
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] not in (3, 4):
            raise InputError(
                f"{name}: a pyramid is written of (row, column, 3 or 4) uint8, found {array.shape} {array.dtype}"
            )
        rows, columns, channels = array.shape
        is_synthetic = False

        def read(row: int, column: int, high: int, wide: int) -> NDArray[np.uint8]:
            return array[row : row + high, column : column + wide]
    else:
        slide = source
        rows, columns, channels = slide.levels[0].rows, slide.levels[0].columns, 3
        microns = microns or float(np.mean(slide.microns_per_pixel))
        is_synthetic = slide.source.is_synthetic

        def read(row: int, column: int, high: int, wide: int) -> NDArray[np.uint8]:
            return slide.read(0, row, column, high, wide)

    if not rows or not columns:
        raise InputError(f"{name}: a pyramid needs at least one pixel, found {rows} x {columns}")
    if microns is None or not 0 < microns < float("inf"):
        raise InputError(f"{name}: the size of a pixel is not known: give microns_per_pixel, above 0")
    return _Source(rows, columns, channels, microns, is_synthetic, read)


def _levels(what: _Source, options: PyramidOptions) -> list[_Level]:
    """All levels of the pyramid, empty."""
    rows, columns = what.rows, what.columns
    levels = []
    while True:
        levels.append(_Level(rows, columns, np.empty((options.tile, columns, what.channels), dtype=np.uint8)))
        if max(rows, columns) <= options.smallest or min(rows, columns) < 2:
            return levels
        rows, columns = rows // 2, columns // 2


def _tags(*, channels: int, is_jpeg: bool) -> dict[str, object]:
    if is_jpeg:
        return {"compression": "jpeg", "photometric": "ycbcr", "subsampling": (1, 1)}
    alpha = {"extrasamples": ("unassalpha",)} if channels == 4 else {}
    return {"compression": "adobe_deflate", "photometric": "rgb", "predictor": 2, "planarconfig": "contig", **alpha}


def _first_level(
    what: _Source,
    levels: list[_Level],
    tile: int,
    encode: Callable[[NDArray[np.uint8]], bytes],
    progress: Callable[[str, int, int], None] | None,
) -> Iterator[bytes]:
    """Encoded tiles of level 0; the other levels are made on the way."""
    band = levels[0].band
    bands = -(-what.rows // tile)
    for number in range(bands):
        high = min(tile, what.rows - number * tile)
        encoded = []
        for column in range(0, what.columns, tile):
            wide = min(tile, what.columns - column)
            piece = what.read(number * tile, column, high, wide)
            band[:high, column : column + wide] = piece
            encoded.append(encode(_filled_up(piece, tile)))
        # before the last tile is taken: nobody asks after it
        _hand_down(levels, 1, band[:high], tile, encode)
        if progress is not None:
            progress(STEP, number + 1, bands)
        yield from encoded


def _hand_down(
    levels: list[_Level], number: int, above: NDArray[np.uint8], tile: int, encode: Callable[[NDArray[np.uint8]], bytes]
) -> None:
    """Put a band of the level above, halved, into a level; a band that is full is encoded and handed on."""
    if number == len(levels):
        return
    level = levels[number]
    half = _halved(above)
    level.band[level.filled : level.filled + half.shape[0]] = half
    level.filled += half.shape[0]
    level.done += half.shape[0]
    if not level.filled or (level.filled < tile and level.done < level.rows):
        return
    full = level.band[: level.filled]
    for column in range(0, level.columns, tile):
        data = encode(_filled_up(full[:, column : column + tile], tile))
        level.spool.write(data)
        level.lengths.append(len(data))
    level.filled = 0
    _hand_down(levels, number + 1, full, tile, encode)


def _spooled(level: _Level) -> Iterator[bytes]:
    """Encoded tiles of a further level, as they were made."""
    level.spool.seek(0)
    for length in level.lengths:
        yield level.spool.read(length)


def _halved(band: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Means of 2 x 2 pixels, rounded half up; colours weighted by alpha where there is one."""
    rows, columns = band.shape[0] // 2, band.shape[1] // 2
    four = band[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2, band.shape[2]).astype(np.uint32)
    if band.shape[2] == 3:
        return np.asarray((four.sum(axis=(1, 3)) + 2) // 4, dtype=np.uint8)
    alpha = four[..., 3:]
    total = alpha.sum(axis=(1, 3))
    colours = ((four[..., :3] * alpha).sum(axis=(1, 3)) + total // 2) // np.maximum(total, 1)
    return np.concatenate([colours, (total + 2) // 4], axis=2).astype(np.uint8)


def _filled_up(piece: NDArray[np.uint8], tile: int) -> NDArray[np.uint8]:
    """A full tile; beyond the edge of the picture its last pixels go on, so that JPEG makes no rim."""
    missing = (tile - piece.shape[0], tile - piece.shape[1])
    if missing == (0, 0):
        return np.ascontiguousarray(piece)
    return np.pad(piece, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")


def _jpeg_encoder(quality: int) -> Callable[[NDArray[np.uint8]], bytes]:
    import imagecodecs

    def encode(tile: NDArray[np.uint8]) -> bytes:
        return bytes(imagecodecs.jpeg8_encode(tile, level=quality, colorspace="RGB", subsampling="444"))

    return encode


def _deflated(tile: NDArray[np.uint8]) -> bytes:
    """Differences of neighbours along a row (TIFF predictor 2), compressed."""
    step = tile.copy()
    step[:, 1:] -= tile[:, :-1]
    return zlib.compress(step.tobytes(), 6)
