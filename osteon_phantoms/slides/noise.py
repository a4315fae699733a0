"""Chance that depends on place alone, compiled: the same micron of a slide always draws the same numbers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from osteon._compiled import compiled

__all__ = ["CELLS_A_UNIT", "F32", "F64", "PERIOD", "chance", "make_tile", "mixed", "noise", "step"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

PERIOD = 512
"""Cells along a tile of noise; a power of two, so that wrapping is one bit mask."""

CELLS_A_UNIT = 4
"""Cells of the tile along one correlation length of the noise."""

_MASK = 0xFFFFFFFF


def make_tile(seed: int) -> F32:
    """A seamless field of mean 0 and standard deviation 1, ``CELLS_A_UNIT`` cells a correlation length."""
    from scipy import fft

    generator = np.random.default_rng([seed, 61])
    spectrum = fft.rfft2(generator.standard_normal((PERIOD, PERIOD), dtype=np.float32))
    sigma = CELLS_A_UNIT * 0.45
    rows, columns = fft.fftfreq(PERIOD)[:, None], fft.rfftfreq(PERIOD)[None, :]
    spectrum *= np.exp(-2 * (np.pi * sigma) ** 2 * (rows**2 + columns**2)).astype(np.float32)
    field = fft.irfft2(spectrum, s=(PERIOD, PERIOD))
    field -= field.mean()
    return np.ascontiguousarray(field / field.std(), dtype=np.float32)


@compiled
def mixed(first: int, second: int, third: int) -> int:
    """32 well mixed bits of three numbers."""
    value = ((first * 73856093) ^ (second * 19349663) ^ (third * 83492791)) & _MASK
    value = ((value ^ (value >> 16)) * 0x45D9F3B) & _MASK
    value = ((value ^ (value >> 16)) * 0x45D9F3B) & _MASK
    return value ^ (value >> 16)


@compiled
def chance(bits: int, number: int) -> float:
    """The N-th number from 0 to 1 that follows from mixed bits."""
    return mixed(bits, number, 977) * (1.0 / 4294967296.0)


@compiled
def noise(tile: F32, y: float, x: float) -> float:
    """The smooth field at a place given in correlation lengths; wraps after 128 of them."""
    y *= CELLS_A_UNIT
    x *= CELLS_A_UNIT
    low_y, low_x = math.floor(y), math.floor(x)
    wy, wx = y - low_y, x - low_x
    i, j = int(low_y) & (PERIOD - 1), int(low_x) & (PERIOD - 1)
    k, m = (i + 1) & (PERIOD - 1), (j + 1) & (PERIOD - 1)
    top = tile[i, j] + wx * (tile[i, m] - tile[i, j])
    bottom = tile[k, j] + wx * (tile[k, m] - tile[k, j])
    return float(top + wy * (bottom - top))


@compiled
def step(distance: float, width: float) -> float:
    """How much of a pixel is inside an edge: 0 outside, 1 inside, a ramp of ``width`` between them."""
    return min(1.0, max(0.0, 0.5 + distance / width))
