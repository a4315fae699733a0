"""Tiles as pixels: read once, larger than the network sees them, and their transformed copies."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.data.options import Progress, silent
from osteon.errors import InputError, UnsupportedError
from osteon.io.image import stored_picture
from osteon.ops.stain import augment_stain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Manifest
    from osteon.train.tiles.settings import TileAugmentation

__all__ = ["Tiles", "draw_copies", "load_tiles", "read_tile", "seen_tiles"]

_OVERSAMPLED = 2  # tiles are kept this many times larger than the network sees them: copies are zoomed into
_LEAST_SIDE = 64


@dataclass(frozen=True, slots=True)
class Tiles:
    """Pixels of a manifest's tiles.

    Attributes:
        pixels: that the network sees.
        rgb: (n, 2 * pixels, 2 * pixels, 3) uint8.
    """

    pixels: int
    rgb: NDArray[np.uint8] = field(repr=False)


def read_tile(path: Path, *, side: int) -> NDArray[np.uint8]:
    """A picture of a tile, resized as a whole by area.

    Args:
        path: PNG, JPEG or TIFF; a grey one becomes equal channels, a transparent one lies on white.
        side: rows and columns of the answer.

    Returns:
        (side, side, 3) uint8 RGB.

    Raises:
        InputError: the file cannot be read, is damaged, is not square, or is too small.
        UnsupportedError: other than 8 or 16 bits a channel.
    """
    import cv2

    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"the tile {path.name} cannot be read ({error.strerror or type(error).__name__})") from error
    picture = stored_picture(data, path.name)
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    if channels not in (1, 3, 4):
        raise UnsupportedError(f"{path.name} has {channels} channels: grey, RGB or RGBA tiles are read")
    rows, columns = picture.shape[:2]
    if min(rows, columns) < _LEAST_SIDE or max(rows, columns) > 1.1 * min(rows, columns):
        raise InputError(
            f"the tile {path.name} has {rows} x {columns} pixels: square tiles from {_LEAST_SIDE} on are read"
        )
    values = picture.astype(np.float32) * np.float32(255 / np.iinfo(picture.dtype).max)
    if channels == 1:
        values = np.repeat(values.reshape(rows, columns, 1), 3, axis=2)
    if channels == 4:
        alpha = values[..., 3:] / 255
        values = values[..., :3] * alpha + 255 * (1 - alpha)
    resized = cv2.resize(values, (side, side), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.rint(resized[..., ::-1]).clip(0, 255).astype(np.uint8))


def load_tiles(manifest: Manifest, *, pixels: int, progress: Progress = silent) -> Tiles:
    """Read all tiles of a manifest.

    Raises:
        InputError: a tile that cannot be read.
        UnsupportedError: a tile of another kind.
    """
    side = _OVERSAMPLED * pixels
    found = np.empty((len(manifest), side, side, 3), dtype=np.uint8)
    for number, row in enumerate(manifest.rows):
        found[number] = read_tile(manifest.folder / row.image, side=side)
        progress("tiles", number + 1, len(manifest))
    return Tiles(pixels, found)


def seen_tiles(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Tiles (n, 2 r, 2 r, 3) as the network sees them, (n, r, r, 3): means of two by two pixels."""
    count, side = rgb.shape[:2]
    blocks = rgb.reshape(count, side // 2, 2, side // 2, 2, 3).astype(np.uint16).sum(axis=(2, 4))
    return np.asarray((blocks + 2) // 4, dtype=np.uint8)


def draw_copies(
    rgb: NDArray[np.uint8], rows: Sequence[int], augmentation: TileAugmentation, *, seed: int
) -> NDArray[np.uint8]:
    """One transformed copy of each tile as the network sees it; what is drawn depends on seed and number alone.

    Args:
        rgb: (n, side, side, 3).
        rows: (n,) a number of each tile that its draw depends on; several copies of a tile have several numbers.
        augmentation: what is drawn.
        seed: of the draws.

    Returns:
        (n, side / 2, side / 2, 3); what comes from beyond the border is mirrored.
    """
    import cv2

    side = rgb.shape[1]
    copies = np.empty((len(rgb), side // 2, side // 2, 3), dtype=np.uint8)
    low, high = augmentation.zoom_range
    for number, (tile, row) in enumerate(zip(rgb, rows, strict=True)):
        generator = np.random.default_rng((seed, int(row)))
        angle = generator.uniform(-1, 1) * augmentation.rotation_degrees
        mirrored = augmentation.flip and generator.random() < 0.5
        factor = generator.uniform(low, high) if augmentation.zoom else 1.0
        matrix = _about_centre(angle, factor, side, mirrored=mirrored)
        border = cv2.BORDER_REFLECT_101
        moved = cv2.warpAffine(tile, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=border)
        copy = seen_tiles(np.asarray(moved, dtype=np.uint8)[None])[0]
        stained = augmentation.stain > 0
        copies[number] = augment_stain(copy, generator, strength=augmentation.stain) if stained else copy
    return copies


def _about_centre(angle_degrees: float, factor: float, side: int, *, mirrored: bool) -> NDArray[np.float64]:
    """Where a pixel (column, row) goes: turned, mirrored left to right, enlarged by a factor."""
    angle = math.radians(angle_degrees)
    turn = factor * np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    if mirrored:
        turn = turn @ np.diag([-1.0, 1.0])
    centre = np.full(2, (side - 1) / 2)
    return np.column_stack([turn, centre - turn @ centre])
