"""Colours of the stains, and from light to grey levels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - numba ignores annotations, readers do not

from osteon._compiled import compiled
from osteon_phantoms.slide_noise import chance, mixed

if TYPE_CHECKING:
    from osteon_phantoms.slide_spec import StainSpec

__all__ = ["develop", "stain_table"]

_HAEMATOXYLIN: Final = (0.650, 0.704, 0.286)
_EOSIN: Final = (0.072, 0.990, 0.105)
"""Optical densities of red, green and blue: Ruifrok and Johnston 2001, Analytical and Quantitative Cytology and
Histology 23, 291, as in ImageJ and scikit-image."""

_RED_EOSIN: Final = (0.10, 0.86, 0.50)
"""Eosin as most laboratories' slides show it: it absorbs blue too."""

_BLOOD: Final = (0.14, 0.80, 0.60)
_NOISE: Final = 91


def stain_table(stain: StainSpec) -> NDArray[np.float64]:
    """Densities of red, green and blue for one of haematoxylin, eosin and blood, and the wash; (4, 3)."""
    blue, purple = np.array([0.80, 0.56, 0.16]), np.array([0.55, 0.78, 0.30])
    bluish, orange = np.array([0.16, 0.93, 0.28]), np.array([0.05, 0.84, 0.54])
    haematoxylin = _mixed(np.array(_HAEMATOXYLIN), blue, purple, stain.haematoxylin_hue)
    eosin = _mixed(0.2 * np.array(_EOSIN) + 0.8 * np.array(_RED_EOSIN), bluish, orange, stain.eosin_hue)
    blood = np.array(_BLOOD)
    table = [_unit(haematoxylin) * stain.haematoxylin, _unit(eosin) * stain.eosin, _unit(blood) * stain.eosin**0.5]
    return np.array([*table, _unit(eosin) * stain.wash])


def _mixed(
    middle: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], hue: float
) -> NDArray[np.float64]:
    """A hue between a middle one and the ends, which are reached at -1 and 1."""
    end = high if hue > 0 else low
    share = min(1.0, abs(hue)) * 0.7
    return middle * (1 - share) + end * share


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vector / math.sqrt(float(vector @ vector)))


@compiled
def develop(
    light: NDArray[np.float32],
    place: tuple[int, int, int],
    camera: NDArray[np.float64],
    out: NDArray[np.uint8],
) -> None:
    """Grey levels of the light, with the noise of the scanner.

    Args:
        light: (rows, columns, 3) transmission.
        place: first row, first column, and a number that belongs to slide and level.
        camera: (5,) red, green, blue of empty glass; gamma; standard deviation of the noise.
        out: (rows, columns, 3).
    """
    top, left, number = place
    for i in range(light.shape[0]):
        for j in range(light.shape[1]):
            bits = mixed(number + _NOISE, top + i, left + j)
            common = chance(bits, 7) + chance(bits, 8) - 1
            for c in range(3):
                level = camera[c] * min(1.0, max(0.0, float(light[i, j, c]))) ** camera[3]
                # two uniform numbers make a triangle of standard deviation 0.41
                level += camera[4] * 2.45 * (0.5 * common + 0.85 * (chance(bits, 2 * c) + chance(bits, 2 * c + 1) - 1))
                out[i, j, c] = np.uint8(min(255.0, max(0.0, level + 0.5)))
