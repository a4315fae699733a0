"""Masks of volumes, whatever program drew them, on the grid of the image: NIfTI, NRRD, DICOM SEG and RTSTRUCT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import GeometryMismatchError, InputError, ThirdParty
from osteon.geometry import turn_onto, turn_towards
from osteon.io.nifti import is_nifti_name, nifti_entry, nifti_voxels
from osteon.io.nrrd import is_nrrd_name, read_nrrd

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Notice, Source
    from osteon.geometry import Grid

__all__ = ["parse_labels", "read_mask_volume"]

_WHITE = 255
_OFF_GRID_VOX = 0.1
"""A mask may be this far from the voxels of its image: programs round positions."""

_FAR_VOX = 2**40


def parse_labels(text: str) -> tuple[int | str, ...] | None:
    """What a person says of the parts of a mask that count: numbers with spaces, one name, or "all".

    Returns:
        As ``read_mask_volume`` takes it: () for all, None of an empty text.

    Example:
        >>> parse_labels("1 3"), parse_labels("GTV primary"), parse_labels("all"), parse_labels(" ")
        ((1, 3), ('GTV primary',), (), None)
    """
    words = text.split()
    if not words or words == ["all"]:
        return () if words else None
    return tuple(map(int, words)) if all(word.isdecimal() for word in words) else (text.strip(),)


def _unheard(notice: Notice) -> None:
    """Nobody is told."""
    del notice


def read_mask_volume(
    path: Path,
    *,
    like: Grid,
    labels: Collection[int | str] | None = None,
    image: str = "CT",
    source: Source | None = None,
    tell: Callable[[Notice], None] = _unheard,
) -> NDArray[np.bool_]:
    """Read what is marked, brought onto the volume's own grid without a voxel resampled.

    Args:
        path: NIfTI or NRRD (as .seg.nrrd of 3D Slicer), by its name, or else a DICOM Segmentation (binary,
            fractional, which is cut at one half, or label map) or a DICOM RT Structure Set.
        like: grid of the volume. A NIfTI or NRRD mask may have its axes in another order or direction; it may not have
            other voxels, and each must be less than a tenth of a voxel from its place. An NRRD segmentation may be
            a part of the volume. The frames of a SEG, and the contours of a structure set, must be on slices of the
            volume; slices without one are empty.
        labels: values, or numbers or names of segments or ROIs, that count; none named: every value above 0, every
            segment or ROI. None: a NIfTI mask must hold 0 and 1 (or 0 and 255), every segment counts, and of ROIs with
            contours there must be one.
        image: what the volume is called in errors.
        source: of the volume; a structure set must have been drawn on it.
        tell: called with each notice of reading, as that a structure set has no contour on a slice between others.

    Returns:
        (slice, row, column) of ``like``, True inside.

    Raises:
        InputError: no such file, damaged, other values, NaN, no part of a number or name, ROIs of another series, or
            several ROIs of which none was named.
        GeometryMismatchError: another grid.
        UnsupportedError: an encoding that is not read.
    """
    if not path.is_file():
        raise InputError(f"there is no mask {path.name}: write its path as it is from the table's folder")
    if is_nifti_name(path):
        array, grid, _ = nifti_voxels(nifti_entry(path, location=path))
        return _placed(_inside(array, _values(labels, path.name), image, path.name), grid, like, image, path.name)
    if is_nrrd_name(path):
        found = read_nrrd(path)
        every = () if labels is None and found.is_segmentation else _values(labels, path.name)
        inside = _inside(found.layers, every, image, path.name)
        return _placed(
            np.asarray(inside.any(axis=0)), found.grid, like, image, path.name, is_part=found.is_segmentation
        )
    from osteon.io.dicom.read_back import RT_STRUCTURES, sop_class

    if sop_class(path) != RT_STRUCTURES:
        return _segmentation(path, like, labels)
    from osteon.io.dicom.structure_set import read_structure_set

    return read_structure_set(path, like=like, labels=labels, source=source, tell=tell, image=image)


def _values(labels: Collection[int | str] | None, name: str) -> Collection[int] | None:
    """Labels of a mask whose parts have numbers only."""
    if labels is None:
        return None
    named = [label for label in labels if isinstance(label, str)]
    if named:
        raise InputError(f"the mask {name} has no names: say with numbers which of its values count, not {named[0]!r}")
    return [label for label in labels if isinstance(label, int)]


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


def _segmentation(path: Path, like: Grid, labels: Collection[int | str] | None) -> NDArray[np.bool_]:
    from osteon.io.dicom.read_back import read_segmentation, segment_names
    from osteon.io.dicom.structure_set import chosen_parts

    with ThirdParty(f"{path.name} is a damaged DICOM Segmentation: send it again"):
        names = segment_names(path)
        inside = np.zeros(like.shape, dtype=np.bool_)
        # one at a time: lesions may overlap each other, and lie in bone
        for number in chosen_parts(labels, names, what="segment", name=path.name) if labels else names:
            inside |= read_segmentation(path, like=like, only=(number,)).array != 0
    return inside
