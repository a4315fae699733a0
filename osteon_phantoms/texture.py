"""Seamless random textures: trabeculae, muscle fibres, clouds of mineral."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from osteon_phantoms.shapes import F32, Points

__all__ = ["Texture", "Textures", "make_textures"]

_CELLS: Final = 128
"""Cells along each axis of a tile; a power of two, so that wrapping is one bit mask."""


@dataclass(frozen=True, slots=True)
class Texture:
    """A periodic random field of mean 0 and standard deviation 1.

    Attributes:
        tile: (128, 128, 128) float32.
        cell_mm: edge of one cell.
    """

    tile: F32
    cell_mm: float

    def at(self, first: F32, second: F32, third: F32, *, shift_mm: float = 0.0) -> F32:
        """Values of the nearest cells at broadcast coordinates in mm; ``shift_mm`` moves to an unrelated place."""
        indices = [
            np.floor((axis + shift_mm) * np.float32(1 / self.cell_mm)).astype(np.int32) & (_CELLS - 1)
            for axis in (third, second, first)
        ]
        flat = (indices[0] * _CELLS + indices[1]) * _CELLS + indices[2]
        return np.asarray(self.tile.ravel()[flat])

    def of(self, points: Points, *, stretch: float = 1.0, shift_mm: float = 0.0) -> F32:
        """Values at points; ``stretch`` makes it coarser."""
        if stretch == 1:
            return self.at(points.u, points.v, points.w, shift_mm=shift_mm)
        factor = np.float32(1 / stretch)
        return self.at(points.u * factor, points.v * factor, points.w * factor, shift_mm=shift_mm)


@dataclass(frozen=True, slots=True)
class Textures:
    """The three scales that tissue needs.

    Attributes:
        fine: structure below a millimetre, longer along the third axis: trabeculae.
        medium: about 2 mm: fibres, moth-eaten bone.
        cloud: about 7 mm, smooth: density clouds and the warp that makes shapes irregular.
    """

    fine: Texture
    medium: Texture
    cloud: Texture


def make_textures(generator: np.random.Generator) -> Textures:
    """Draw one set of textures."""
    return Textures(
        fine=Texture(_smooth_noise(generator, sigma_cells=(1.6, 0.75, 0.75)), cell_mm=0.7),
        medium=Texture(_smooth_noise(generator, sigma_cells=(3.0, 2.0, 2.0)), cell_mm=0.8),
        cloud=Texture(_smooth_noise(generator, sigma_cells=(6.0, 6.0, 6.0)), cell_mm=1.0),
    )


def _smooth_noise(generator: np.random.Generator, *, sigma_cells: tuple[float, float, float]) -> F32:
    """Gaussian noise smoothed with wrap-around, scaled to standard deviation 1."""
    from scipy import fft

    spectrum = fft.rfftn(generator.standard_normal((_CELLS,) * 3, dtype=np.float32))
    frequencies = [fft.fftfreq(_CELLS), fft.fftfreq(_CELLS), fft.rfftfreq(_CELLS)]
    for axis, (frequency, sigma) in enumerate(zip(frequencies, sigma_cells, strict=True)):
        shape = [1, 1, 1]
        shape[axis] = -1
        spectrum *= np.exp(-2 * (np.pi * frequency * sigma) ** 2).astype(np.float32).reshape(shape)
    field = fft.irfftn(spectrum, s=(_CELLS,) * 3)
    field -= field.mean()
    return np.asarray(field / field.std(), dtype=np.float32)
