"""What goes wrong with slides: strokes of a marker, folds of the section."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - numba ignores annotations, readers do not

from osteon._compiled import compiled

if TYPE_CHECKING:
    from osteon_phantoms.slide_spec import SlideSpec

__all__ = ["Artefacts", "artefact_at", "draw_artefacts", "make_artefacts"]

_INKS: Final = ((0.10, 0.22, 0.72), (0.08, 0.45, 0.20), (0.07, 0.07, 0.09), (0.75, 0.10, 0.12))
"""Transmission of blue, green, black and red markers."""


class Artefacts(NamedTuple):
    """Where they lie, in um.

    Attributes:
        pens: (n, 9) first and second point (row, column), bend, half width, ink's red, green, blue.
        folds: (n, 6) first and second point, bend, half width.
    """

    pens: NDArray[np.float64]
    folds: NDArray[np.float64]


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
def _off(line: NDArray[np.float64], y: float, x: float) -> tuple[float, float]:
    """Distance from a bent line, and how far along it, 0 to 1."""
    dy, dx = line[2] - line[0], line[3] - line[1]
    length = max(1e-6, math.sqrt(dy * dy + dx * dx))
    along = ((y - line[0]) * dy + (x - line[1]) * dx) / (length * length)
    across = ((y - line[0]) * dx - (x - line[1]) * dy) / length - line[4] * 4 * along * (1 - along)
    beyond = max(0.0, -along, along - 1) * length
    return math.sqrt(across * across + beyond * beyond), along


@compiled
def artefact_at(artefacts: Artefacts, y: float, x: float) -> int:
    """0 none, 1 a fold, 2 ink."""
    for index in range(len(artefacts.pens)):
        if _off(artefacts.pens[index], y, x)[0] < artefacts.pens[index, 5]:
            return 2
    for index in range(len(artefacts.folds)):
        if _off(artefacts.folds[index], y, x)[0] < artefacts.folds[index, 5]:
            return 1
    return 0


@compiled
def draw_artefacts(artefacts: Artefacts, place: tuple[int, int, float], light: NDArray[np.float32]) -> None:
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
