"""The one preparation of a limb, for data sets and readings: axial slices at one pixel size and one distance, grey.

MR has no scale. Its fat is the brightest tissue of a T1-weighted scan, and nearly every slice of a limb has some: the
97th percentile of what is not air in a slice stands for it, the median over slices keeps what a coil brightens near it
out. The square root gives muscle and tumour, which are dark on T1, more steps of grey. CT is shown in a window of soft
tissue.

A scan whose pixels and slices are within a hundredth of the wanted ones is not resampled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from osteon.errors import InputError, NotThisTaskError
from osteon.geometry import Grid, axial_turn
from osteon.io.dicom.resample import interpolate_slices
from osteon.ops.hu_check import hu_faults
from osteon.ops.series_images import windowed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.data import Volume
    from osteon.geometry import Turn

__all__ = ["PICTURE", "PIXEL_MM", "SLICE_MM", "WINDOW_HU", "Modality", "PreparedLimb", "mr_air", "prepare_limb"]

PIXEL_MM: Final = 500 / 256
"""Side of a pixel: a field of 500 mm in 256 pixels, about 1.95 mm."""

SLICE_MM: Final = 3.27
"""Distance of slices: what a PET/CT gives, and between those of most MR scans of a limb."""

WINDOW_HU: Final = (-160.0, 240.0)
"""Level 40, width 400: soft tissue."""

PICTURE: Final = 160
"""Rows and columns of a picture in training: 312 mm, the largest tumour of the set with its margins."""

Modality: TypeAlias = Literal["mr", "ct"]

_ALIKE: Final = 0.01
_FAT_PERCENT: Final = 97.0
_AIR: Final = 0.05
"""Of the brightest voxels: what is darker is air."""

_WHITE_TO_FAT: Final = 4 / 3
"""White is so much brighter than fat: vessels and coils are."""

_LEAST_TISSUE: Final = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class PreparedLimb:
    """A scan as slices of grey values, (slice, row, column), feet first, rows to the back, columns to the left.

    Attributes:
        grid: of the slices; their pixels are still those of the scan.
        grey: uint8, in the pixels of the scan; ``osteon.ops.series_images.SliceFrame`` brings it to ``PIXEL_MM``.
        turn: from the scan to these axes.
        ratio: distance of these slices in slices of the scan.
    """

    grid: Grid
    grey: NDArray[np.uint8] = field(repr=False)
    turn: Turn
    ratio: float

    def placed(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask on the grid of the scan, on that of the slices; between slices it is inside from one half on."""
        turned = self.turn.array(mask)
        if self.ratio == 1:
            return np.asarray(turned)
        return np.asarray(_between(turned.astype(np.float32), self.ratio, len(self.grey)) >= 0.5)


def prepare_limb(volume: Volume, modality: Modality) -> PreparedLimb:
    """Prepare a scan.

    Raises:
        InputError: values that are not finite, a single slice, or an image without contrast.
        NotThisTaskError: a CT whose values are not Hounsfield units.
    """
    array = volume.array
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(
            "the scan holds values that are not numbers (NaN, infinite): replace them by 0, or -1024 in a CT"
        )
    turn = axial_turn(volume.grid)
    grid, turned = turn.grid(volume.grid), turn.array(array)
    if min(turned.shape) < 2:
        raise InputError("the scan has one slice: the tumour is outlined in a stack of slices; choose the whole series")
    grey = _ct_grey(turned) if modality == "ct" else _mr_grey(turned)
    ratio = SLICE_MM / grid.spacing_mm[0]
    if abs(ratio - 1) <= _ALIKE:
        return PreparedLimb(grid, np.ascontiguousarray(grey), turn, 1.0)
    slices = int((len(turned) - 1) / ratio + 1e-6) + 1
    affine = grid.affine.copy()
    affine[:3, 0] *= ratio
    between = np.rint(_between(grey.astype(np.float32), ratio, slices)).astype(np.uint8)
    return PreparedLimb(Grid(shape=(slices, *grid.shape[1:]), affine=affine), between, turn, ratio)


def _between(array: NDArray[np.float32], ratio: float, slices: int) -> NDArray[np.float32]:
    """Slices at 0, ratio, 2 ratio ... of the scan's own."""
    found: NDArray[np.float32] = interpolate_slices(array, np.arange(len(array)) / ratio, slices)
    return found


def _ct_grey(hu: NDArray[Any]) -> NDArray[np.uint8]:
    if faults := hu_faults(hu):
        raise NotThisTaskError(f"the values of this CT are not Hounsfield units: {'; '.join(faults)}")
    return windowed(hu, WINDOW_HU)


def mr_air(values: NDArray[Any]) -> float:
    """The value up to which voxels of an MR are air."""
    return _AIR * float(np.percentile(values, 99.5))


def _mr_grey(values: NDArray[Any]) -> NDArray[np.uint8]:
    air = mr_air(values)
    tissue = [one[one > air] for one in values]
    if air <= 0 or sum(one.size for one in tissue) < _LEAST_TISSUE * values.size:
        raise InputError("the MR shows nothing: fewer than 2 % of its voxels are brighter than air")
    seen = [one for one in tissue if one.size >= _LEAST_TISSUE * values[0].size]
    fat = float(np.median([np.percentile(one, _FAT_PERCENT) for one in seen]))
    share = np.clip(values.astype(np.float32) / np.float32(fat * _WHITE_TO_FAT), 0, 1)
    return np.asarray(np.rint(np.sqrt(share) * 255)).astype(np.uint8)
