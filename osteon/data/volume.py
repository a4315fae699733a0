"""A three-dimensional image on a Grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from osteon.errors import GeometryMismatchError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from osteon.data.source import Source
    from osteon.geometry import Grid

__all__ = ["Volume"]


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Intensities on a Grid.

    Attributes:
        array: (slice, row, column), read-only by agreement; int16 for CT in whole HU, float32 otherwise.
        grid: of the same shape.
        modality: DICOM modality, as "CT".
        unit: as "HU", or "" when the scale has no unit.
        source: where it came from; None for a synthetic volume.

    Raises:
        GeometryMismatchError: array and grid differ in shape.
    """

    array: NDArray[np.int16] | NDArray[np.float32] = field(repr=False)
    grid: Grid
    modality: str
    unit: str = ""
    source: Source | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check the shape."""
        _require_shape(self.array, self.grid)


def _require_shape(array: NDArray[Any], grid: Grid) -> None:
    if array.shape != grid.shape:
        raise GeometryMismatchError(f"the array has shape {array.shape}, its grid {grid.shape}: they must be equal")
