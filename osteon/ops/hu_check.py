"""Whether the values of a CT are Hounsfield units, and whether it shows the trunk: asked before any model.

What is asked holds for every body on every scanner: outside it is air near -1000 HU, fat and muscle are where they
belong, all slices have one scale, and nothing is cut off at a window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

from osteon.data import Notice
from osteon.errors import NotThisTaskError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from osteon.data import Volume

__all__ = ["hu_faults", "require_checks", "trunk_faults"]

_SIDE: Final = 128
"""Rows and columns that are looked at, at most; evenly spaced."""
_PADDING_HU: Final = -1500.0
_NO_TISSUE_HU: Final = -500.0
_AIR_HU: Final = (-1120.0, -780.0)
_SOFT_HU: Final = (-150.0, 200.0)
_FAT_HU: Final = (-150.0, -20.0)
_BONE_HU: Final = 200.0

_LEAST_SOFT: Final = 0.35
_LEAST_FAT: Final = 0.002
_PILED_LOW, _PILED_HIGH = 0.02, 0.002
_LEAST_FIELD_MM: Final = 180.0
_LEAST_AREA_CM2: Final = 150.0
_SKULL_CM2: Final = 40.0
_LIMB_LIKE: Final = 0.45
_MOST_SLICES: Final = 0.5


def hu_faults(array: NDArray[Any]) -> list[str]:
    """Why the values of a CT are not Hounsfield units, in words for a person; empty where nothing speaks against it.

    Args:
        array: (slice, row, column).
    """
    some = _thinned(array).astype(np.float32)
    seen = some[some > _PADDING_HU]
    if not seen.size:
        return [f"every voxel is below {_PADDING_HU:.0f}"]
    low, high = float(seen.min()), float(seen.max())
    if low == high:
        return [f"every voxel is {low + 0:g}"]
    body, dark = seen[seen > _NO_TISSUE_HU], seen[seen <= _NO_TISSUE_HU]
    faults = []
    if dark.size >= 0.02 * seen.size:
        air = float(np.percentile(dark, 5))  # where nothing but lung is dark it is above -1000
        if not _AIR_HU[0] <= air <= _AIR_HU[1]:
            faults.append(f"air is at about {air:.0f} HU and should be near -1000")
    elif _share(seen, _FAT_HU) < _LEAST_FAT:
        faults.append(f"nothing has the values of air (-1000 HU) or fat (-100 HU): values go from {low:g} to {high:g}")
    faults = faults or _cut_off(seen, low, high)
    if not faults and _share(body, _SOFT_HU) < _LEAST_SOFT:
        middle = float(np.median(body)) if body.size else low
        share = f"{_share(body, _SOFT_HU):.0%} of the body have the values of fat and muscle"
        faults.append(f"{share} (-150 to 200 HU): its median is {middle:.0f} HU")
    return faults or _other_scale(some)


def _cut_off(seen: NDArray[np.float32], low: float, high: float) -> list[str]:
    """Values that pile up at the ends, as of a picture of one window."""
    at_low, at_high = float((seen == low).mean()), float((seen == high).mean())
    # a drawn image of few values has nothing beside its extremes
    if low > _AIR_HU[1] and at_low >= _PILED_LOW and _share(seen, (low + 1e-3, low + 60)) >= 0.02 * at_low:
        return [f"the values are cut off at {low:g} HU, as in a picture of one window"]
    if high < 1000 and at_high >= _PILED_HIGH and _share(seen, (high - 60, high - 1e-3)) >= 0.1 * at_high:
        return [f"the values are cut off at {high:g} HU, as in a picture of one window"]
    return []


def _other_scale(some: NDArray[np.float32]) -> list[str]:
    """Slices that lack the air which their neighbours have."""
    air = ((some > _AIR_HU[0] - 300) & (some < _AIR_HU[1])).mean(axis=(1, 2))
    if len(air) < 3:
        return []
    usual = ndimage.median_filter(air, size=min(2 * (len(air) // 2) - 1, 15), mode="nearest")
    off = np.flatnonzero((usual >= 0.1) & (air < 0.1 * usual) & (some.max(axis=(1, 2)) > _NO_TISSUE_HU))
    if not off.size:
        return []
    which = ", ".join(str(index + 1) for index in off[:5]) + (", ..." if off.size > 5 else "")
    return [f"{off.size} of {len(air)} slices have another scale than the rest, without air (slice {which})"]


def trunk_faults(volume: Volume) -> list[str]:
    """Why a CT does not show the trunk: too small a field of view, a skull, limbs; empty where nothing is against it.

    Args:
        volume: HU, axial slices.
    """
    slices, rows, columns = volume.grid.shape
    _, row_mm, column_mm = volume.grid.spacing_mm
    field_mm = max(rows * row_mm, columns * column_mm)
    if field_mm < _LEAST_FIELD_MM:
        return [f"the images are {field_mm:.0f} mm wide: a part of the trunk, cut out"]
    step = max(1, max(rows, columns) // (2 * _SIDE))
    every = max(1, slices // 60)
    some = volume.array[::every, ::step, ::step]
    pixel_cm2 = row_mm * column_mm * step**2 / 100
    skull, limbs, areas = 0, 0, []
    for image in some:
        area_cm2, second_cm2 = _bodies(image, pixel_cm2)
        areas.append(area_cm2)
        limbs += second_cm2 >= _LIMB_LIKE * area_cm2 > 0 and second_cm2 >= 20
        skull += _holds_a_brain(image, pixel_cm2)
    faults, count = [], len(some)
    if skull >= max(2, 0.25 * count):
        faults.append(f"a skull is seen in {skull} of {count} slices")
    if limbs > _MOST_SLICES * count:
        faults.append(f"two parts of like size, as two legs, are seen in {limbs} of {count} slices")
    if float(np.median(areas)) < _LEAST_AREA_CM2 and not faults:
        area = f"the body fills {np.median(areas):.0f} cm2 of a slice"
        faults.append(f"{area}; a trunk fills {_LEAST_AREA_CM2:.0f} or more")
    return faults


def _bodies(image: NDArray[Any], pixel_cm2: float) -> tuple[float, float]:
    """Areas of the largest and of the second part of a slice that is not air, cavities filled."""
    labels, count = ndimage.label(ndimage.binary_opening(image > _NO_TISSUE_HU, iterations=2))
    if not count:
        return 0.0, 0.0
    sizes = sorted((ndimage.binary_fill_holes(labels == k).sum() for k in _largest(labels, 2)), reverse=True)
    return float(sizes[0]) * pixel_cm2, float(sizes[1]) * pixel_cm2 if len(sizes) > 1 else 0.0


def _largest(labels: NDArray[Any], most: int) -> NDArray[np.int64]:
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.array([k for k in np.argsort(sizes)[::-1][:most] if sizes[k]], dtype=np.int64)


def _holds_a_brain(image: NDArray[Any], pixel_cm2: float) -> bool:
    """Whether bone encloses a large piece of soft tissue in a slice."""
    bone = ndimage.binary_closing(np.pad(image > _BONE_HU, 4), iterations=2)[4:-4, 4:-4]
    labels, count = ndimage.label(ndimage.binary_fill_holes(bone) & ~bone)
    if not count:
        return False
    (largest,) = _largest(labels, 1)
    inside = image[labels == largest]
    return inside.size * pixel_cm2 >= _SKULL_CM2 and _share(inside, (-20.0, 120.0)) >= 0.6


def require_checks(faults: Sequence[str], *, wanted: str, force: bool) -> list[Notice]:
    """Nothing where there is no fault; else an error, or, forced, a notice that names every fault.

    Args:
        faults: in words.
        wanted: what was asked for, as "a CT of the trunk in Hounsfield units".
        force: go on all the same.

    Raises:
        NotThisTaskError: there is one, and it is not forced.
    """
    if not faults:
        return []
    told = "; ".join(faults)
    if not force:
        raise NotThisTaskError(
            f"asked for {wanted}, but {told}. Give such images, or read these all the same with --force if you know "
            "better"
        )
    return [Notice("check-failed-forced", f"Forced: {wanted} was asked for, but {told}.", level="warning")]


def _thinned(array: NDArray[Any]) -> NDArray[Any]:
    step = max(1, max(array.shape[1:]) // _SIDE)
    return array[:, ::step, ::step]


def _share(values: NDArray[Any], limits: tuple[float, float]) -> float:
    """Of values within limits; 0 of none."""
    return float(((values >= limits[0]) & (values <= limits[1])).mean()) if values.size else 0.0
