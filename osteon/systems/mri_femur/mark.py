"""Where the lesion is: what a person drew, checked against the image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.data import Notice
from osteon.errors import InputError
from osteon.io import read_mask_volume
from osteon.io.image import is_picture, read_mask_image
from osteon.ops.mr_region import PlaneBox, box_with_margin, largest_part

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Volume
    from osteon.systems.mri_femur.options import Options

__all__ = ["LesionMark", "mark_lesion"]

_BOX_WORDS = "--box R0,C0,R1,C1 (first row and column inside, first row and column outside, counted from 0)"
_MASK_WORDS = "--mask FILE (a PNG of the slice, or a NIfTI or DICOM SEG of the series)"


@dataclass(frozen=True, slots=True, eq=False)
class LesionMark:
    """One lesion on one slice, as a person marked it: a box or a mask.

    Attributes:
        slice_index: into the volume.
        box: that was drawn; None of a mask.
        mask: (row, column) bool of the slice, one connected part; None of a box.
        notices: what was chosen.
    """

    slice_index: int
    box: PlaneBox | None = None
    mask: NDArray[np.bool_] | None = field(default=None, repr=False)
    notices: tuple[Notice, ...] = ()


def mark_lesion(volume: Volume, options: Options) -> LesionMark:
    """Find the slice and the lesion that are meant; nothing is guessed.

    A box on a series of several slices needs the slice's number. A mask of the series finds its slice itself: that on
    which it marks the largest area.

    Args:
        volume: that was read.
        options: box, mask and slice number.

    Raises:
        InputError: neither box nor mask, or both; no such slice; a box that is empty or reaches outside the image; a
            mask that cannot be read, marks nothing or is of another size.
        GeometryMismatchError: a mask on another grid.
    """
    slices, rows, columns = volume.grid.shape
    if options.box is None and options.mask is None:
        number = f", with --slice N (1 to {slices})" if slices > 1 else ""
        raise InputError(
            "there is no lesion box: this task judges one lesion on one slice, and a person says where it is. Give "
            f"{_BOX_WORDS}{number}, or {_MASK_WORDS}. The image has {rows} rows and {columns} columns"
            f"{f' on each of {slices} slices' if slices > 1 else ''}"
        )
    if options.box is not None and options.mask is not None:
        raise InputError("--box and --mask were both given, and both say where the lesion is: give one of them")
    if options.slice_number is not None and not 1 <= options.slice_number <= slices:
        raise InputError(
            f"--slice {options.slice_number} was asked for; the series has {slices} "
            f"slice{'s' if slices > 1 else ''}, counted from 1"
        )
    if options.mask is not None:
        return _mask(volume, options.mask, options.slice_number)
    box = PlaneBox(*(options.box or ()))
    box_with_margin(box, (rows, columns), margin_px=0)
    return LesionMark(_slice(volume, options.slice_number, "a box"), box)


def _slice(volume: Volume, number: int | None, drawn: str) -> int:
    slices = volume.grid.shape[0]
    if number is None and slices > 1:
        raise InputError(
            f"{drawn} lies on one slice, the series has {slices}: say which with --slice N (1 to {slices})"
        )
    return 0 if number is None else number - 1


def _mask(volume: Volume, path: Path, number: int | None) -> LesionMark:
    try:
        flat = is_picture(path)
    except OSError as error:
        raise InputError(f"the mask {path.name} cannot be read: {error.strerror or type(error).__name__}") from error
    if flat:
        index = _slice(volume, number, "a mask that is a picture")
        return _marked(read_mask_image(path, shape=volume.grid.shape[1:]), index, path)
    if not volume.grid.is_in_mm:
        raise InputError(
            f"the mask {path.name} has a place in the patient, the image has none: give the mask as a PNG of "
            f"{volume.grid.shape[1]} x {volume.grid.shape[2]} pixels"
        )
    whole = read_mask_volume(path, like=volume.grid, image="image")
    areas = np.count_nonzero(whole, axis=(1, 2))
    seen = np.flatnonzero(areas)
    if not seen.size:
        raise InputError(f"the mask {path.name} marks no lesion: every voxel of it is 0")
    index = int(np.argmax(areas)) if number is None else number - 1
    if not areas[index]:
        raise InputError(
            f"the mask {path.name} marks nothing on slice {index + 1}; it marks slices {seen[0] + 1} to {seen[-1] + 1}"
        )
    text = (
        f"The mask marks {seen.size} slices; slice {index + 1}, on which it marks the largest area, was judged. "
        "Another one is chosen with --slice."
    )
    told = (Notice("slice-chosen", text),) if number is None and seen.size > 1 else ()
    return _marked(whole[index], index, path, told)


def _marked(mask: NDArray[np.bool_], index: int, path: Path, told: tuple[Notice, ...] = ()) -> LesionMark:
    """One connected part of what is marked on a slice."""
    part, count = largest_part(mask)
    if not count:
        raise InputError(f"the mask {path.name} marks no lesion: every pixel of it is 0")
    if count > 1:
        text = f"The mask marks {count} separate parts on slice {index + 1}; the largest was judged."
        told = (*told, Notice("largest-part", text, "warning"))
    return LesionMark(index, mask=part, notices=told)
