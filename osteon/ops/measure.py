"""Numbers of a mask: volume, attenuation, extent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import GeometryMismatchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.geometry import Grid

__all__ = ["MaskMeasures", "measure_mask"]


@dataclass(frozen=True, slots=True)
class MaskMeasures:
    """What a mask holds.

    Attributes:
        volume_mm3: voxels times voxel volume.
        mean_hu: of the image inside; NaN for an empty mask.
        sd_hu: population standard deviation; NaN for an empty mask.
        extent_mm: outer size along (slice, row, column), voxel faces included; zeros for an empty mask.
    """

    volume_mm3: float
    mean_hu: float
    sd_hu: float
    extent_mm: tuple[float, float, float]


def measure_mask(mask: NDArray[np.bool_], *, array: NDArray[Any], grid: Grid) -> MaskMeasures:
    """Measure one mask on an image.

    Args:
        mask: (slice, row, column) bool.
        array: image of the same shape, HU.
        grid: of both.

    Raises:
        GeometryMismatchError: the shapes differ.

    Example:
        >>> from osteon.geometry import Grid
        >>> grid = Grid.from_axes(shape=(1, 2, 2), spacing_mm=(3.0, 1.0, 1.0))
        >>> image = np.array([[[100, 300], [0, 0]]], dtype=np.int16)
        >>> measure_mask(image > 50, array=image, grid=grid)
        MaskMeasures(volume_mm3=6.0, mean_hu=200.0, sd_hu=100.0, extent_mm=(3.0, 1.0, 2.0))
    """
    if mask.shape != array.shape or mask.shape != grid.shape:
        raise GeometryMismatchError(f"mask {mask.shape}, image {array.shape} and grid {grid.shape} must have one shape")
    values = np.asarray(array[mask], dtype=np.float64)
    if values.size == 0:
        return MaskMeasures(volume_mm3=0.0, mean_hu=float("nan"), sd_hu=float("nan"), extent_mm=(0.0, 0.0, 0.0))
    spans = []
    for axis, step_mm in enumerate(grid.spacing_mm):
        used = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        spans.append(float(used[-1] - used[0] + 1) * step_mm)
    return MaskMeasures(
        volume_mm3=values.size * grid.voxel_volume_mm3,
        mean_hu=float(values.mean()),
        sd_hu=float(values.std()),
        extent_mm=(spans[0], spans[1], spans[2]),
    )
