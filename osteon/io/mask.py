"""Masks of volumes, whatever program drew them: NIfTI, NRRD, DICOM Segmentation, brought onto the grid of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import GeometryMismatchError, InputError, ThirdParty
from osteon.geometry import turn_onto, turn_towards
from osteon.io.nifti import is_nifti_name, nifti_entry, nifti_voxels
from osteon.io.nrrd import is_nrrd_name, read_nrrd

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.geometry import Grid

__all__ = ["read_mask_volume"]

_WHITE = 255
_OFF_GRID_VOX = 0.1
"""A mask may be this far from the voxels of its image: programs round positions."""

_FAR_VOX = 2**40


def read_mask_volume(
    path: Path, *, like: Grid, labels: Collection[int] | None = None, image: str = "CT"
) -> NDArray[np.bool_]:
    """Read what is marked, brought onto the volume's own grid without a voxel resampled.

    Args:
        path: NIfTI or NRRD (as .seg.nrrd of 3D Slicer), by its name, or else a DICOM Segmentation (binary,
            fractional, which is cut at one half, or label map).
        like: grid of the volume. A NIfTI or NRRD mask may have its axes in another order or direction; it may not have
            other voxels, and each must be less than a tenth of a voxel from its place. An NRRD segmentation may be
            a part of the volume. The frames of a SEG must be on slices of the volume; slices without a frame are empty.
        labels: values, or segment numbers, that count; none named: every value above 0, every segment. None: a NIfTI
            mask must hold 0 and 1 (or 0 and 255), every segment counts.
        image: what the volume is called in errors.

    Returns:
        (slice, row, column) of ``like``, True inside.

    Raises:
        InputError: no such file, damaged, other values, NaN, or no segment of a number.
        GeometryMismatchError: another grid.
        UnsupportedError: an encoding that is not read.
    """
    if not path.is_file():
        raise InputError(f"there is no mask {path.name}: write its path as it is from the table's folder")
    if is_nifti_name(path):
        array, grid, _ = nifti_voxels(nifti_entry(path, location=path))
        return _placed(_inside(array, labels, image, path.name), grid, like, image, path.name)
    if is_nrrd_name(path):
        found = read_nrrd(path)
        every = () if labels is None and found.is_segmentation else labels
        inside = _inside(found.layers, every, image, path.name)
        return _placed(
            np.asarray(inside.any(axis=0)), found.grid, like, image, path.name, is_part=found.is_segmentation
        )
    return _segmentation(path, like, labels)


def _inside(array: NDArray[Any], labels: Collection[int] | None, image: str, name: str) -> NDArray[np.bool_]:
    """Which voxels count; an array of other values than those of a mask needs ``labels``."""
    values = np.unique(array)
    if labels is None and not (set(values.tolist()) <= {0, 1} or set(values.tolist()) <= {0, _WHITE}):
        shown = ", ".join(f"{value:g}" for value in values[:5]) + (", ..." if values.size > 5 else "")
        table = "Say in the table which labels count (columns lesion_labels, bone_labels: numbers, or all), or write"
        raise InputError(
            f"the mask {name} holds the values {shown}: a mask holds 0 and 1 (or 255). "
            f"{table if image == 'CT' else 'Write'} a mask of each"
        )
    if (values != np.rint(values)).any() or values[0] < 0:
        raise InputError(f"the mask {name} holds values that are not labels ({values[0]:g} to {values[-1]:g})")
    return np.isin(array, sorted(labels)) if labels else array != 0


def _placed(
    inside: NDArray[np.bool_], grid: Grid, like: Grid, image: str, name: str, *, is_part: bool = False
) -> NDArray[np.bool_]:
    """A mask on the grid of its image; ``is_part``: it may cover a part of it only."""
    what = f"the mask {name} and its {image}"
    if is_part:
        whole = np.zeros(like.shape, dtype=np.bool_)
        turn = turn_towards(grid, like)
        turned = turn.grid(grid)
        with np.errstate(all="ignore"):  # a place beyond all numbers is not on the volume
            start = np.clip(np.rint(like.to_vox(turned.origin_lps_mm)), -_FAR_VOX, _FAR_VOX).astype(int)
        stop = start + turned.shape
        if (start >= 0).all() and (stop <= like.shape).all():
            part = like.crop(start.tolist(), stop.tolist())
            turn_onto(turned, part, what=what, within_vox=_OFF_GRID_VOX)
            whole[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = turn.array(inside)
            return whole
    try:
        turn = turn_onto(grid, like, what=what, within_vox=_OFF_GRID_VOX)
    except GeometryMismatchError as error:
        raise GeometryMismatchError(f"{error}; draw it on that {image}, or resample it to the {image} first") from error
    return np.ascontiguousarray(turn.array(inside))


def _segmentation(path: Path, like: Grid, labels: Collection[int] | None) -> NDArray[np.bool_]:
    from osteon.io.dicom.read_back import read_segmentation, segment_numbers

    with ThirdParty(f"{path.name} is a damaged DICOM Segmentation: send it again"):
        numbers = segment_numbers(path)
        missing = sorted(set(labels or ()) - set(numbers))
        if missing:
            raise InputError(f"{path.name} has no segment {missing[0]}: it has {', '.join(map(str, numbers))}")
        inside = np.zeros(like.shape, dtype=np.bool_)
        # one at a time: lesions may overlap each other, and lie in bone
        for number in sorted(labels) if labels else numbers:
            inside |= read_segmentation(path, like=like, only=(number,)).array != 0
    return inside
