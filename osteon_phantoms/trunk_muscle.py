"""Muscles of the trunk as bellies with fat between them."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from osteon_phantoms.solid import Ellipsoid, Rod
from osteon_phantoms.trunk_spine import spine_v_mm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from osteon_phantoms.trunk_brush import Brush

__all__ = ["draw_muscles"]

_FAT_HU: Final = -88.0
_MUSCLE_HU: Final = 57.0
_PLANE_MM: Final = 1.7
"""Thickness of the fat about a belly."""


@cache
def _bellies() -> tuple[Ellipsoid | Rod, ...]:
    """Of both sides: back, buttock, hip, thigh, chest, shoulder."""
    bellies: list[Ellipsoid | Rod] = []
    for side in (-1.0, 1.0):
        bellies += _back(side)
        bellies += [
            # gluteus maximus, medius, minimus, iliacus, obturator internus, piriformis
            Rod((side * 52, -88, -10), (side * 112, -62, -135), 24, 27),
            Rod((side * 122, -36, 10), (side * 138, -20, -78), 13, 17),
            Rod((side * 116, -22, -20), (side * 130, -12, -82), 9, 11),
            Rod((side * 92, -8, 18), (side * 84, 32, -70), 10, 15),
            Rod((side * 58, 12, -84), (side * 60, -24, -100), 7, 8),
            Rod((side * 40, -58, -62), (side * 100, -48, -90), 8, 7),
            # rectus femoris with sartorius, tensor, vastus, adductors, hamstrings
            Rod((side * 96, 36, -52), (side * 100, 44, -340), 12, 24),
            Rod((side * 138, 26, -20), (side * 146, 16, -150), 11, 10),
            Rod((side * 142, 8, -128), (side * 140, 6, -340), 12, 26),
            Rod((side * 40, 30, -128), (side * 62, 16, -340), 17, 30),
            Rod((side * 62, 2, -140), (side * 78, -16, -340), 18, 26),
            Rod((side * 66, -52, -146), (side * 88, -50, -340), 15, 26),
        ]
        bellies += _shoulder(side)
    return tuple(bellies)


def _back(side: float) -> list[Ellipsoid | Rod]:
    """Erector spinae with multifidus, quadratus lumborum."""
    heights = (-40.0, 20.0, 90.0, 170.0, 260.0, 360.0, 450.0)
    out = (22.0, 32.0, 38.0, 36.0, 28.0, 24.0, 22.0)
    behind = (-52.0, -56.0, -54.0, -50.0, -48.0, -46.0, -42.0)
    radii = (14.0, 19.0, 22.0, 18.0, 11.0, 9.0, 8.0)
    places = [
        ((side * u, float(spine_v_mm(w)) + v, w), r) for w, u, v, r in zip(heights, out, behind, radii, strict=True)
    ]
    outer: list[Ellipsoid | Rod] = [Rod(a, b, ra, rb) for (a, ra), (b, rb) in pairwise(places)]
    inner = [
        Rod((side * 12, a[1] - 4, a[2]), (side * 12, b[1] - 4, b[2]), 0.55 * ra, 0.55 * rb)
        for (a, ra), (b, rb) in pairwise(places)
    ]
    return [*outer, *inner, Rod((side * 62, -42, 45), (side * 52, -48, 170), 11, 8)]


def _shoulder(side: float) -> list[Ellipsoid | Rod]:
    """Pectorals, subscapularis, infraspinatus, latissimus with teres, trapezius, deltoid."""
    return [
        Rod((side * 45, 66, 400), (side * 118, 10, 452), 9, 13),
        Rod((side * 70, 62, 390), (side * 112, 0, 462), 6, 8),
        Rod((side * 92, -78, 390), (side * 122, -60, 440), 8, 10),
        Rod((side * 86, -106, 385), (side * 122, -84, 445), 9, 11),
        Rod((side * 122, -70, 330), (side * 138, -50, 440), 10, 14),
        Rod((side * 20, -88, 470), (side * 96, -84, 490), 10, 11),
        Rod((side * 168, -58, 478), (side * 166, -40, 430), 15, 10),
    ]


def draw_muscles(brush: Brush, *, fascia: NDArray[np.float32], marbling: float) -> None:
    """Lay the bellies one over the other, each in a thin sheet of fat, where the fascia holds them.

    Args:
        brush: the block.
        fascia: distance to the inner border of the fat below the skin.
        marbling: 0 to 1, fat within the bellies.
    """
    low, high = float(brush.block.w.min()), float(brush.block.w.max())
    for belly in _bellies():
        lowest, highest = belly.w_range
        if lowest > high + 5 or highest < low - 5:
            continue
        brush.lay(_grown(belly), _FAT_HU, rough_mm=1.3, within=fascia)
        brush.lay(belly, _MUSCLE_HU - 16 * marbling, rough_mm=1.3, within=fascia)


@cache
def _grown(belly: Ellipsoid | Rod) -> Ellipsoid | Rod:
    if isinstance(belly, Ellipsoid):
        a, b, c = (radius + _PLANE_MM for radius in belly.radii)
        return Ellipsoid(belly.centre, (a, b, c))
    return Rod(belly.start, belly.stop, belly.radius_start + _PLANE_MM, belly.radius_stop + _PLANE_MM)
