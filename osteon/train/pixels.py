"""The pixels of a data set as classifiers take them, decoded once: one array that epochs, folds and processes share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.data.options import Progress, silent
from osteon.errors import InputError
from osteon.io.image import read_image
from osteon.ops.crops import nearest_indices
from osteon.ops.series_images import SliceFrame
from osteon.train.decoded import DecodedRows, Unreadable, decoded_array, files_key, require_readable

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import ImageRow, Manifest

__all__ = ["FULL_SCALE", "Pixels", "Unreadable", "load_pixels", "pixels_key", "prepare_image"]

FULL_SCALE = 65535
"""The stored value of 1.0."""

_WHITE = 255


@dataclass(frozen=True, slots=True)
class Pixels:
    """The images of a manifest, row by row.

    Attributes:
        values: (images, size, size) uint16, 0 to ``FULL_SCALE``; read-only. A row that could not be read is all 0.
        unreadable: the rows that could not be read; empty unless they were to be skipped.
    """

    values: NDArray[np.uint16] = field(repr=False)
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def size(self) -> int:
        """Rows and columns of an image."""
        return int(self.values.shape[1])

    def crops(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Images (n, size, size) float32 in 0..1, as a classifier takes them."""
        return np.asarray(self.values[rows].astype(np.float32) / np.float32(FULL_SCALE))

    def usable(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those rows that could be read, in their order."""
        return rows[~np.isin(rows, [entry.row for entry in self.unreadable])]


def prepare_image(image: NDArray[np.float32], size: int, *, is_stretched: bool = True) -> NDArray[np.float32]:
    """An image as the networks see it: smallest value 0, largest 1, nearest neighbour to ``size``.

    A crop of ``osteon.ops.crops.leg_crops`` of that size comes back unchanged. What is not to be stretched is a slice
    in a window, whose grey values mean HU: it is resized as a whole, by area where it shrinks, in 256 steps, as for
    segmenters (``osteon.ops.series_images``).

    Args:
        image: (row, column), any unit, finite; 0 to 1 where it is not to be stretched.
        size: rows and columns wanted.
        is_stretched: see above.

    Returns:
        (size, size) float32; all 0 when the image is constant.

    Raises:
        InputError: the image holds values that are not finite.
    """
    if not np.isfinite(image).all():
        raise InputError("the image holds values that are not finite")
    if not is_stretched:
        frame = SliceFrame(source=(image.shape[0], image.shape[1]), scaled=(size, size), size=(size, size))
        grey = frame.images(np.rint(image * _WHITE).astype(np.uint8)[None])[0]
        return np.asarray(grey, dtype=np.float32) / np.float32(_WHITE)
    low, high = float(image.min()), float(image.max())
    small = image[np.ix_(nearest_indices(image.shape[0], size), nearest_indices(image.shape[1], size))]
    if high == low:
        return np.zeros((size, size), dtype=np.float32)
    return np.asarray((small - np.float32(low)) / np.float32(high - low), dtype=np.float32)


def load_pixels(
    manifest: Manifest,
    *,
    size: int,
    cache: Path | None,
    is_stretched: bool = True,
    skip_unreadable: bool = False,
    progress: Progress = silent,
) -> Pixels:
    """Decode every image of a manifest, or map what an earlier call decoded.

    Args:
        manifest: its images lie in ``manifest.folder``.
        size: rows and columns of the prepared images.
        cache: folder for the mapped array; None keeps it in memory.
        is_stretched: as of ``prepare_image``.
        skip_unreadable: leave images out that cannot be read, and name them; otherwise they are an error.
        progress: told about every block of images.

    Raises:
        InputError: an image is missing or unreadable and is not to be skipped, or none can be read.
        OutputError: the cache cannot be written.
    """
    file = None if cache is None else cache / f"pixels-{pixels_key(manifest, size, is_stretched=is_stretched)}.npy"

    def decode(row: ImageRow, place: NDArray[np.uint16]) -> None:
        image = read_image(manifest.folder / row.image)
        place[:] = np.rint(prepare_image(image, size, is_stretched=is_stretched) * FULL_SCALE)

    asked = DecodedRows(
        manifest=manifest, row_axis=0, shape=(len(manifest), size, size), dtype=np.uint16, decode=decode
    )
    values, unreadable = decoded_array(asked, file, progress)
    require_readable(manifest, unreadable, skip=skip_unreadable)
    if values.flags.writeable:
        values.setflags(write=False)
    return Pixels(values, tuple(unreadable))


def pixels_key(manifest: Manifest, size: int, *, is_stretched: bool = True) -> str:
    """Name of everything that decides the pixels: names, lengths and times of the files, size, and the stretching."""
    words = str(size) if is_stretched else f"{size} as stored"
    return files_key(manifest.folder, (row.image for row in manifest.rows), words=words)
