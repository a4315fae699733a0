"""Hip bones, sacrum, upper ends of the femora."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon_phantoms.solid import Ellipsoid, Rod
from osteon_phantoms.trunk_shapes import Framed, Joined, Plain, Tube, box_about, make_plate

if TYPE_CHECKING:
    from osteon_phantoms.trunk_shapes import Shape

__all__ = ["HIP_LPS_MM", "femur", "hip_bone", "hip_marrow", "sacrum", "sacrum_marrow"]

HIP_LPS_MM: Final = (88.0, -5.0, -88.0)
"""Middle of the left hip joint: u, v, w."""

_OUTLINE: Final = (
    (33, -6), (26, 14), (8, 34), (-16, 46), (-40, 44), (-63, 29), (-80, 8), (-88, -14), (-78, -38), (-60, -48),
    (-47, -64), (-40, -84), (-30, -100), (0, -108), (20, -84), (31, -50), (28, -32),
)  # fmt: skip
_WING: Final = (
    # v, w, u, half thickness
    (33, -6, 116, 5.5), (26, 14, 122, 6), (8, 34, 127, 6), (-16, 46, 122, 6), (-40, 44, 104, 6), (-63, 29, 78, 7),
    (-80, 8, 54, 8), (-88, -14, 42, 8), (-78, -38, 50, 8), (-60, -48, 66, 7), (-47, -64, 78, 8), (-38, -88, 80, 10),
    (0, 0, 106, 2.6), (-28, 12, 98, 3.0), (-52, -12, 73, 7.5), (-20, -38, 88, 9), (12, -28, 103, 5), (0, -80, 80, 12),
    (28, -48, 102, 8), (-28, -15, 92, 5.0), (8, -60, 92, 11),
)  # fmt: skip


def _plain(solid: Ellipsoid | Rod) -> Plain:
    if isinstance(solid, Ellipsoid):
        return Plain(solid, box_about([solid.centre], max(solid.radii) + 4))
    reach = max(solid.radius_start, solid.radius_stop) + 4
    return Plain(solid, box_about([solid.start, solid.stop], reach))


@cache
def hip_bone(outward: float) -> Joined:
    """Ilium, ischium, pubis with the socket."""

    def at(u: float, v: float, w: float) -> tuple[float, float, float]:
        return outward * u, v, w

    wing = make_plate(_OUTLINE, [(v, w, u, t) for v, w, u, t in _WING], mirrored=outward < 0)
    u, v, w = HIP_LPS_MM
    solids = (
        Ellipsoid(at(u - 4, v, w), (31, 33, 33)),
        Rod(at(80, -28, -96), at(60, -42, -142), 13, 15),
        Rod(at(60, -40, -142), at(56, -36, -154), 15, 12),
        Rod(at(54, -30, -154), at(24, 24, -146), 7.5, 6.5),
        Rod(at(74, 14, -80), at(22, 44, -110), 10, 8.5),
        Ellipsoid(at(13, 41, -122), (9.5, 10, 20)),
        Rod(at(15, 38, -136), at(30, 15, -149), 8, 6.5),
    )
    cuts = (
        _plain(Ellipsoid(at(u, v, w), (27.0, 27.0, 27.0))),
        _plain(Rod(at(u + 16, v + 4, w - 6), at(u + 44, v + 14, w - 20), 25, 30)),
    )
    parts: tuple[Shape, ...] = (wing, *(_plain(solid) for solid in solids))
    return Joined(parts, cuts, blend_mm=9.0)


def hip_marrow(outward: float) -> tuple[tuple[float, float, float], ...]:
    """From the back of the wing over the crest to the roof of the socket, then to the ischium, then the pubis."""
    places = ((58, -68, -18), (80, -58, 16), (112, -28, 38), (122, 6, 26), (112, 24, -10), (98, 10, -44),
              (86, -22, -52), (72, -34, -112), (58, -38, -148), (13, 41, -122), (45, 30, -96))  # fmt: skip
    return tuple((outward * u, v, w) for u, v, w in places)


_SACRAL: Final = ((-33, -15, 25, 15), (-50, -41, 20, 13), (-64, -63, 17, 10), (-73, -82, 14, 8), (-75, -98, 11, 6.5))
"""v, w, half width and half depth of the bodies S1 to S5."""


@cache
def sacrum() -> Framed:
    """Five joined vertebrae with wings, canal and foramina; the tail bone."""
    parts: list[Ellipsoid | Rod] = []
    cuts: list[Ellipsoid | Rod] = []
    for k, (v, w, wide, deep) in enumerate(_SACRAL):
        parts.append(Ellipsoid((0, v, w), (wide * 1.15, deep * 1.15, 15.5)))
        if k < 3:
            out, radii = ((40, (24, 16, 21)), (34, (20, 14, 17)), (26, (14, 10, 14)))[k]
            parts += [Ellipsoid((side * out, v - 9, w - 5), radii) for side in (-1, 1)]
        parts.append(Rod((0, v - 22 + 2 * k, w - 6), (0, v - 30 + 3 * k, w - 10), 6 - 0.6 * k, 4))
        parts += [
            Rod((side * wide * 0.8, v - 8, w), (side * 9, v - 24 + 2 * k, w - 8), 5.5 - 0.6 * k, 5) for side in (-1, 1)
        ]
        if k < 4:
            below = _SACRAL[k + 1]
            for side in (-1, 1):
                start = (side * (wide * 0.95), (v + below[0]) / 2 + 18, (w + below[1]) / 2 - 2)
                stop = (side * (wide * 0.95), (v + below[0]) / 2 - 26, (w + below[1]) / 2 - 8)
                cuts.append(Rod(start, stop, 5.2 - 0.6 * k, 4.0 - 0.4 * k))
    canal = [(0.0, -53.0, 12.0), (0.0, -66.0, -40.0), (0.0, -80.0, -80.0)]
    cuts += [Rod(canal[0], canal[1], 8.5, 7), Rod(canal[1], canal[2], 7, 4)]
    parts += [Ellipsoid((0, -69, -114), (9, 5, 8)), Ellipsoid((0, -60, -126), (6, 4.5, 6.5))]
    return Framed(
        parts=tuple(parts),
        cuts=tuple(cuts),
        origin=(0.0, 0.0, 0.0),
        pitch_radians=0.0,
        reach=((-66, 66), (-92, -8), (-136, 8)),
        blend_mm=7.0,
    )


def sacrum_marrow() -> tuple[tuple[float, float, float], ...]:
    """From the right wing through the bodies to the left wing, then down."""
    return ((-44, -44, -20), (-32, -58, -44), (0, -36, -16), (0, -52, -40), (32, -58, -44), (44, -44, -20),
            (0, -64, -62), (0, -73, -82))  # fmt: skip


@cache
def femur(outward: float) -> Joined:
    """Head, neck, trochanters, upper shaft."""

    def at(u: float, v: float, w: float) -> tuple[float, float, float]:
        return outward * u, v, w

    solids = (
        Ellipsoid(at(*HIP_LPS_MM), (24, 24, 24)),
        Rod(at(94, -6, -93), at(126, -14, -122), 15.5, 17),
        Ellipsoid(at(140, -24, -112), (13, 17, 21)),
        Ellipsoid(at(118, -26, -150), (9, 9, 13)),
    )
    shaft = Tube(
        np.array([at(131, -15, -128), at(130, -13, -160), at(127, -9, -220), at(122, -5, -330)], dtype=np.float32),
        np.array([19, 17, 15, 14.5], dtype=np.float32),
    )
    return Joined((*(_plain(solid) for solid in solids), shaft), blend_mm=7.0)
