"""What laboratory and scanner do to a slide: colours of the stains, folds, ink, and from light to grey levels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - numba ignores annotations, readers do not

from osteon._compiled import compiled
from osteon_phantoms.slides.noise import F32, F64, chance, mixed

if TYPE_CHECKING:
    from osteon_phantoms.slides.spec import SlideSpec, StainSpec

__all__ = ["Artefacts", "develop", "draw_artefacts", "make_artefacts", "stain_table"]

_HAEMATOXYLIN: Final = (0.650, 0.704, 0.286)
_EOSIN: Final = (0.072, 0.990, 0.105)
"""Optical densities of red, green and blue: Ruifrok and Johnston 2001, Analytical and Quantitative Cytology and
Histology 23, 291, as in ImageJ and scikit-image."""

_RED_EOSIN: Final = (0.10, 0.86, 0.50)
"""Eosin as most laboratories' slides show it: it absorbs blue too."""

_BLOOD: Final = (0.14, 0.80, 0.60)
_NOISE: Final = 91


def stain_table(stain: StainSpec) -> F64:
    """Densities of red, green and blue for one of haematoxylin, eosin and blood, and the wash; (4, 3)."""
    blue, purple = np.array([0.80, 0.56, 0.16]), np.array([0.55, 0.78, 0.30])
    bluish, orange = np.array([0.16, 0.93, 0.28]), np.array([0.05, 0.84, 0.54])
    haematoxylin = _mixed(np.array(_HAEMATOXYLIN), blue, purple, stain.haematoxylin_hue)
    eosin = _mixed(0.2 * np.array(_EOSIN) + 0.8 * np.array(_RED_EOSIN), bluish, orange, stain.eosin_hue)
    blood = np.array(_BLOOD)
    table = [_unit(haematoxylin) * stain.haematoxylin, _unit(eosin) * stain.eosin, _unit(blood) * stain.eosin**0.5]
    return np.array([*table, _unit(eosin) * stain.wash])


def _mixed(middle: F64, low: F64, high: F64, hue: float) -> F64:
    """A hue between a middle one and the ends, which are reached at -1 and 1."""
    end = high if hue > 0 else low
    share = min(1.0, abs(hue)) * 0.7
    return middle * (1 - share) + end * share


def _unit(vector: F64) -> F64:
    return np.asarray(vector / math.sqrt(float(vector @ vector)))


@compiled
def develop(light: F32, place: tuple[int, int, int], camera: F64, out: NDArray[np.uint8]) -> None:
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


_INKS: Final = ((0.10, 0.22, 0.72), (0.08, 0.45, 0.20), (0.07, 0.07, 0.09), (0.75, 0.10, 0.12))
"""Transmission of blue, green, black and red markers."""


class Artefacts(NamedTuple):
    """Where they are, in um.

    Attributes:
        pens: (n, 9) first and second point (row, column), bend, half width, ink's red, green, blue.
        folds: (n, 6) first and second point, bend, half width.
    """

    pens: F64
    folds: F64


def make_artefacts(spec: SlideSpec) -> Artefacts:
    """Draw where pens and folds go; neither changes anything else of the slide."""
    generator = np.random.default_rng([spec.seed, 63])
    height, width = (side * spec.microns_per_pixel for side in spec.size)
    small = min(height, width)
    pens = np.zeros((spec.pens, 9))
    for pen in pens:
        pen[:4] = generator.uniform(0.08, 0.92, 4) * (height, width, height, width)
        pen[4] = generator.normal(0, 0.12) * small
        pen[5] = generator.uniform(0.6, 1.4) * min(220.0, small / 16)
        pen[6:] = _INKS[int(generator.integers(len(_INKS)))]
    folds = np.zeros((spec.folds, 6))
    for fold in folds:
        middle = generator.uniform(0.3, 0.7, 2) * (height, width)
        turn, half = generator.uniform(0, math.pi), generator.uniform(0.08, 0.2) * small
        reach = half * np.array([math.sin(turn), math.cos(turn)])
        fold[:2], fold[2:4] = middle - reach, middle + reach
        fold[4] = generator.normal(0, 0.1) * half
        fold[5] = generator.uniform(25, 70)
    return Artefacts(pens, folds)


@compiled
def _off(line: F64, y: float, x: float) -> tuple[float, float]:
    """Distance from a bent line, and how far along it, 0 to 1."""
    dy, dx = line[2] - line[0], line[3] - line[1]
    length = max(1e-6, math.sqrt(dy * dy + dx * dx))
    along = ((y - line[0]) * dy + (x - line[1]) * dx) / (length * length)
    across = ((y - line[0]) * dx - (x - line[1]) * dy) / length - line[4] * 4 * along * (1 - along)
    beyond = max(0.0, -along, along - 1) * length
    return math.sqrt(across * across + beyond * beyond), along


@compiled
def draw_artefacts(artefacts: Artefacts, place: tuple[int, int, float], light: F32) -> None:
    """Lay folds, where tissue is seen twice, and ink over the light."""
    if len(artefacts.pens) + len(artefacts.folds) == 0:
        return
    top, left, pitch = place
    for i in range(light.shape[0]):
        y = (top + i + 0.5) * pitch
        for j in range(light.shape[1]):
            x = (left + j + 0.5) * pitch
            for index in range(len(artefacts.folds)):
                line = artefacts.folds[index]
                distance, along = _off(line, y, x)
                taper = max(0.15, min(1.0, 6 * min(along, 1 - along))) if 0 < along < 1 else 0.15
                cover = min(1.0, max(0.0, (line[5] * taper - distance) / 12 + 0.5))
                if cover > 0:
                    for c in range(3):
                        light[i, j, c] = float(light[i, j, c]) ** (1 + 1.3 * cover)
            for index in range(len(artefacts.pens)):
                line = artefacts.pens[index]
                distance, along = _off(line, y, x)
                cover = 0.93 * min(1.0, max(0.0, (line[5] - distance) / 15 + 0.5))
                if cover > 0:
                    streak = 0.85 + 0.15 * math.cos(distance / 17)
                    for c in range(3):
                        light[i, j, c] *= 1 - cover * streak * (1 - line[6 + c])
