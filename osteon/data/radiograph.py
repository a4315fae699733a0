"""An image of one plane: a radiograph, or a picture of one slice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from osteon.geometry import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.data.source import Source

__all__ = ["Radiograph"]


@dataclass(frozen=True, slots=True, eq=False)
class Radiograph:
    """Pixels of one plane. Bright is dense: how the file codes brightness has been applied, once.

    Attributes:
        pixels: (row, column); int16 of stored whole numbers that fit, float32 otherwise.
        modality: DICOM modality, as "DX"; "" of a picture.
        full_scale: largest number that the file could hold; None where its numbers have a unit of their own.
        spacing_mm: between (rows, columns); None where it is not known.
        spacing_plane: where the spacing holds: "detector" (larger than in the patient), "calibrated", or "" without.
        view: View Position, as "AP", or "".
        laterality: "L", "R" or "".
        source: where it came from; None when it was computed.
    """

    pixels: NDArray[np.int16] | NDArray[np.float32] = field(repr=False)
    modality: str = ""
    full_scale: float | None = None
    spacing_mm: tuple[float, float] | None = None
    spacing_plane: Literal["", "detector", "calibrated"] = ""
    view: str = ""
    laterality: str = ""
    source: Source | None = field(default=None, repr=False)

    @property
    def array(self) -> NDArray[np.int16] | NDArray[np.float32]:
        """(1, row, column): for what works slice by slice."""
        return self.pixels[None]

    @property
    def grid(self) -> Grid:
        """The grid of its pixels: a radiograph has no place in the patient, so it counts pixels."""
        rows, columns = self.pixels.shape
        return Grid.of_pixels(rows, columns)

    @property
    def unit(self) -> str:
        """Radiographs have no unit."""
        return ""

    def scaled(self) -> NDArray[np.float32]:
        """(row, column) float32, 0 to 1: against the full scale, or from the smallest value to the largest.

        Where there is no full scale a constant image is all 0.
        """
        if self.full_scale is not None:
            return np.asarray(self.pixels.astype(np.float32) / np.float32(self.full_scale)).clip(0.0, 1.0)
        low, high = float(self.pixels.min()), float(self.pixels.max())
        if low == high:
            return np.zeros(self.pixels.shape, dtype=np.float32)
        return np.asarray((self.pixels - np.float64(low)) / (high - low), dtype=np.float32)
