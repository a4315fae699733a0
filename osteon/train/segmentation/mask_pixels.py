"""Images with their masks as segmenters take them, decoded once: one array that epochs, folds and processes share.

An image is resized as a whole, by area where it shrinks, as in the thesis. A mask is cut to inside and outside in its
own pixels and resized after that, the same way, and a pixel is inside when at least half of it is. The public code
does it the other way round: it resizes first and takes every pixel above 0, which thickens each mask by up to a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.data.options import Progress, silent
from osteon.errors import InputError
from osteon.io.image import read_image
from osteon.io.mask_image import read_mask_image
from osteon.ops.series_images import SliceFrame
from osteon.train.decoded import DecodedRows, Unreadable, decoded_array, files_key, require_readable

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import ImageRow, Manifest

__all__ = ["MaskPixels", "load_mask_pixels"]

_FORMAT = "masks 1"
_IMAGE, _LESION, _BONE = range(3)
_WHITE = 255
_HALF = 128


@dataclass(frozen=True, slots=True)
class MaskPixels:
    """The images of a manifest with their masks, row by row; read-only.

    Attributes:
        images: (n, size, size) uint8, 0 to 255 for the 0 to 1 of ``osteon.io.image.read_image``: nothing is stretched,
            as grey values of the reading window mean HU. A row that could not be read is all 0.
        lesion: (n, size, size) bool.
        bone: (n, size, size) bool; all False where there is no mask of it.
        has_bone: (n,) bool, whether there is a bone mask.
        unreadable: the rows that could not be read; empty unless they were to be skipped.
    """

    images: NDArray[np.uint8] = field(repr=False)
    lesion: NDArray[np.bool_] = field(repr=False)
    bone: NDArray[np.bool_] = field(repr=False)
    has_bone: NDArray[np.bool_] = field(repr=False)
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def size(self) -> int:
        """Rows and columns of an image."""
        return int(self.images.shape[1])

    def usable(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those rows that could be read, in their order."""
        return rows[~np.isin(rows, [entry.row for entry in self.unreadable])]


def load_mask_pixels(
    manifest: Manifest,
    *,
    size: int,
    cache: Path | None = None,
    need_bone: bool = True,
    skip_unreadable: bool = False,
    progress: Progress = silent,
) -> MaskPixels:
    """Decode every image of a manifest with its masks, or map what an earlier call decoded.

    Args:
        manifest: its images and masks lie in ``manifest.folder``; every row needs a lesion mask.
        size: rows and columns wanted.
        cache: folder for the mapped array; None keeps it in memory.
        need_bone: an image without a bone mask cannot be used; False for a network without a map of the bone. A mask
            that is named must be readable in both cases.
        skip_unreadable: leave images out that cannot be used, and name them; otherwise they are an error.
        progress: told about every block of images.

    Raises:
        InputError: an image or mask is missing, unreadable, of another size than its image or no mask, and is not to
            be skipped, or none can be used.
        OutputError: the cache cannot be written.
    """
    names = (name for row in manifest.rows for name in (row.image, row.lesion_mask, row.bone_mask))
    words = f"{_FORMAT} {size} {need_bone}"
    file = None if cache is None else cache / f"masks-{files_key(manifest.folder, names, words=words)}.npy"

    def decode(row: ImageRow, place: NDArray[np.uint8]) -> None:
        _decode(manifest.folder, row, place, need_bone=need_bone)

    asked = DecodedRows(
        manifest=manifest, row_axis=1, shape=(3, len(manifest), size, size), dtype=np.uint8, decode=decode
    )
    values, unreadable = decoded_array(asked, file, progress)
    require_readable(manifest, unreadable, skip=skip_unreadable)
    if values.flags.writeable:
        values.setflags(write=False)
    return MaskPixels(
        images=values[_IMAGE],
        lesion=values[_LESION].view(np.bool_),
        bone=values[_BONE].view(np.bool_),
        has_bone=np.array([bool(row.bone_mask) for row in manifest.rows]),
        unreadable=tuple(unreadable),
    )


def _decode(folder: Path, row: ImageRow, place: NDArray[np.uint8], *, need_bone: bool) -> None:
    """An image and its masks into (3, size, size): grey, lesion 0 or 1, bone 0 or 1."""
    if not row.lesion_mask:
        raise InputError("the manifest names no lesion mask for it: fill the column lesion_mask")
    if need_bone and not row.bone_mask:
        raise InputError("the manifest names no bone mask for it: fill the column bone_mask, or learn no bone")
    image = read_image(folder / row.image)
    size = place.shape[1]
    frame = SliceFrame(source=(image.shape[0], image.shape[1]), scaled=(size, size), size=(size, size))
    place[_IMAGE] = frame.images(np.rint(image * _WHITE).astype(np.uint8)[None])[0]
    for index, name in ((_LESION, row.lesion_mask), (_BONE, row.bone_mask)):
        if name:
            mask = read_mask_image(folder / name, shape=frame.source).astype(np.uint8) * np.uint8(_WHITE)
            place[index] = frame.images(mask[None])[0] >= _HALF
