"""A mask of a volume from NIfTI or DICOM SEG, brought onto the volume's own grid without a voxel resampled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import GeometryMismatchError, InputError
from osteon.geometry.turn import turn_onto
from osteon.io.nifti import is_nifti_name, nifti_entry, nifti_voxels

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.geometry import Grid

__all__ = ["read_mask_volume"]

_WHITE = 255


def read_mask_volume(
    path: Path, *, like: Grid, labels: Collection[int] | None = None, image: str = "CT"
) -> NDArray[np.bool_]:
    """Read what is marked.

    Args:
        path: NIfTI, by its name, or else a DICOM Segmentation (binary).
        like: grid of the volume. A NIfTI mask may have its axes in another order or direction; it may not have other
            voxels. The frames of a SEG must lie on slices of the volume; slices without a frame are empty.
        labels: values, or segment numbers, that count; none named: every value above 0, every segment. None: a NIfTI
            mask must hold 0 and 1 (or 0 and 255), every segment counts.
        image: what the volume is called in errors.

    Returns:
        (slice, row, column) of ``like``, True inside.

    Raises:
        InputError: no such file, damaged, other values, NaN, or no segment of a number.
        GeometryMismatchError: another grid.
        UnsupportedError: a fractional or compressed segmentation.
    """
    if not path.is_file():
        raise InputError(f"there is no mask {path.name}: write its path as it is from the table's folder")
    return _nifti(path, like, labels, image) if is_nifti_name(path) else _segmentation(path, like, labels)


def _nifti(path: Path, like: Grid, labels: Collection[int] | None, image: str) -> NDArray[np.bool_]:
    array, grid = nifti_voxels(nifti_entry(path, location=path))
    values = np.unique(array)
    if labels is None and not (set(values.tolist()) <= {0, 1} or set(values.tolist()) <= {0, _WHITE}):
        shown = ", ".join(f"{value:g}" for value in values[:5]) + (", ..." if values.size > 5 else "")
        table = "Say in the table which labels count (columns lesion_labels, bone_labels: numbers, or all), or write"
        raise InputError(
            f"the mask {path.name} holds the values {shown}: a mask holds 0 and 1 (or 255). "
            f"{table if image == 'CT' else 'Write'} a mask of each"
        )
    if (values != np.rint(values)).any() or values[0] < 0:
        raise InputError(f"the mask {path.name} holds values that are no labels ({values[0]:g} to {values[-1]:g})")
    try:
        turn = turn_onto(grid, like, what=f"the mask {path.name} and its {image}")
    except GeometryMismatchError as error:
        raise GeometryMismatchError(f"{error}; draw it on that {image}, or resample it to the {image} first") from error
    inside = np.isin(array, sorted(labels)) if labels else array != 0
    return np.ascontiguousarray(turn.array(inside))


def _segmentation(path: Path, like: Grid, labels: Collection[int] | None) -> NDArray[np.bool_]:
    from osteon.io.dicom.read_back import read_segmentation, segment_numbers

    try:
        numbers = segment_numbers(path)
        missing = sorted(set(labels or ()) - set(numbers))
        if missing:
            raise InputError(f"{path.name} has no segment {missing[0]}: it has {', '.join(map(str, numbers))}")
        inside = np.zeros(like.shape, dtype=np.bool_)
        # one at a time: lesions may overlap each other, and lie in bone
        for number in sorted(labels) if labels else numbers:
            inside |= read_segmentation(path, like=like, only=(number,)).array != 0
    except (AttributeError, KeyError, IndexError, ValueError, TypeError) as error:
        raise InputError(
            f"{path.name} is a damaged DICOM Segmentation ({type(error).__name__}): send it again"
        ) from error
    return inside
