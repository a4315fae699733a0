"""Ribs with their cartilage, sternum, collar bones, shoulder blades."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon_phantoms.solid import Ellipsoid, Loft, Rod, make_loft
from osteon_phantoms.trunk_shapes import Framed, Joined, Plain, Plate, Tube, box_about, make_plate
from osteon_phantoms.trunk_spine import spine_v_mm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osteon_phantoms.trunk_shapes import Shape
    from osteon_phantoms.trunk_spine import Vertebra

__all__ = ["cage", "clavicle", "make_ribs", "scapula", "sternum", "sternum_v_mm", "upper_arm"]

_CAGE: Final = (
    # w, half width, half depth
    (120, 118, 92), (160, 124, 95), (200, 128, 97), (250, 132, 99), (300, 132, 98), (350, 128, 93), (400, 119, 83),
    (440, 102, 70), (470, 80, 56), (495, 54, 42), (515, 40, 36),
)  # fmt: skip
_DROP: Final = (28, 52, 68, 82, 95, 106, 112, 110, 102, 86, 60, 36)
_END_DEGREES: Final = (128, 142, 147, 149, 149, 147, 143, 134, 123, 110, 90, 64)
_STERNAL_W: Final = (455, 413, 392, 371, 352, 334, 318)
_TALL: Final = 1.65


@cache
def cage() -> Loft:
    """The surface in which the middles of the ribs lie."""
    rows = []
    for w, wide, deep in _CAGE:
        back = float(spine_v_mm(float(w))) - 44
        rows.append((w, 0.0, back + 0.92 * deep, wide, deep))
    return make_loft(rows)


def _on_cage(w: float, degrees: float) -> tuple[float, float]:
    """(u, v) of the cage at a height, turned from the back over the left to the front."""
    u0, v0, wide, deep, *_ = (float(value) for value in cage().section(np.array(w, dtype=np.float32)))
    turn = math.radians(degrees)
    return u0 + wide * math.sin(turn), v0 - deep * math.cos(turn)


def sternum_v_mm(w: float) -> float:
    """How far in front the sternum lies at a height."""
    return _on_cage(w, 180.0)[1] + 1.0


def make_ribs(spine: Sequence[Vertebra]) -> tuple[dict[str, Tube], tuple[Tube, ...]]:
    """Bony ribs by name ("rib 7 left"), and their cartilages."""
    by_name = {vertebra.level.name: vertebra for vertebra in spine}
    ribs: dict[str, Tube] = {}
    cartilages: list[Tube] = []
    for side, outward in (("right", -1.0), ("left", 1.0)):
        joined: Tube | None = None
        for number in range(1, 13):
            rib = _rib(by_name[f"T{number}"], number, outward)
            ribs[f"rib {number} {side}"] = rib
            if number <= 10:
                joined = _cartilage(rib, number, outward, joined)
                cartilages.append(joined)
    return ribs, tuple(cartilages)


def _rib(vertebra: Vertebra, number: int, outward: float) -> Tube:
    level = vertebra.level
    up = level.height / 2 - 3 if 1 < number < 11 else 0.0
    to_trunk = vertebra.solid.to_trunk
    head = to_trunk((outward * (level.half_width + 4.0), -0.72 * level.half_depth, up))
    knee = to_trunk((outward * 35.0, min(vertebra.arch_y - 10, -32.0), up - 4))
    drop, end = _DROP[number - 1], _END_DEGREES[number - 1]
    wide = float(cage().section(np.array(knee[2], dtype=np.float32))[2])
    start = max(22.0, math.degrees(math.asin(min(44.0 / wide, 0.95))))
    shares = np.linspace(0, 1, 17)
    points = [head, knee]
    for share in shares:
        w = knee[2] - 3 - drop * share**1.1
        u, v = _on_cage(w, start + (end - start) * share)
        points.append((outward * u, v, w))
    radii = np.interp(np.linspace(0, 1, len(points)), [0, 0.1, 0.5, 1], [4.0, 3.4, 3.7, 4.1])
    if number == 1:
        radii = radii + 0.8
    if number > 10:
        radii = np.minimum(radii, np.linspace(4.0, 2.6, len(points)))
    return Tube(np.asarray(points, dtype=np.float32), radii.astype(np.float32), tall=_TALL if number > 1 else 1.0)


def _cartilage(rib: Tube, number: int, outward: float, above: Tube | None) -> Tube:
    end = rib.points[-1]
    if number <= 7 or above is None:
        w = float(_STERNAL_W[min(number, 7) - 1])
        goal = np.array([outward * (20.0 if number == 1 else 15.0), sternum_v_mm(w), w])
    else:
        goal = above.points[len(above.points) // 2].astype(np.float64)
    points = []
    for share in np.linspace(0, 1, 9):
        u, w = (float(end[axis] + (goal[axis] - end[axis]) * share) for axis in (0, 2))
        straight = float(end[1] + (goal[1] - end[1]) * share)
        dip = -14.0 * math.sin(math.pi * share) if 4 <= number <= 7 else 0.0
        points.append((u, straight + 5.0 * math.sin(math.pi * share), w + dip))
    radii = np.full(len(points), 4.2 if number < 8 else 3.4, dtype=np.float32)
    return Tube(np.asarray(points, dtype=np.float32), radii, tall=1.4)


def sternum() -> Framed:
    """Manubrium, body and xiphoid, following the front of the cage."""
    rows = []
    for w, wide, deep in ((272, 4, 3), (296, 7, 3.5), (306, 15, 5), (330, 18, 5.5), (370, 15, 5.5), (408, 12, 5.5),
                          (414, 15, 6), (440, 24, 6.5), (462, 28, 7), (466, 24, 6)):  # fmt: skip
        rows.append((w, 0.0, sternum_v_mm(float(w)), wide, deep, 0.0, 0.5))
    front = [row[2] for row in rows]
    return Framed(
        parts=(make_loft(rows, round_mm=3.0),),
        cuts=(),
        origin=(0.0, 0.0, 0.0),
        pitch_radians=0.0,
        reach=((-30, 30), (min(front) - 9, max(front) + 9), (270, 468)),
    )


def clavicle(outward: float) -> Tube:
    """An s-shaped rod from the manubrium to the shoulder."""
    front = sternum_v_mm(462.0)
    points = [(27, front + 1, 468), (45, front + 6, 474), (75, front + 2, 482), (105, front - 26, 488),
              (130, front - 48, 490)]  # fmt: skip
    placed = np.array([(outward * u, v, w) for u, v, w in points], dtype=np.float32)
    return Tube(placed, np.array([9, 6, 5.2, 5.5, 6.5], dtype=np.float32))


@cache
def scapula(outward: float) -> Joined:
    """Blade, spine with acromion, socket."""
    blade: Plate = make_plate(
        [(2, 458), (-2, 425), (4, 375), (18, 330), (26, 330), (40, 375), (58, 425), (66, 452), (46, 456), (22, 462)],
        [
            (2, 458, 0, 2.5), (0, 425, -2, 2.5), (5, 375, -1, 3), (22, 332, 2, 4.5), (40, 380, 3, 4.5), (57, 428, 4, 5),
            (66, 450, 3, 8), (30, 420, 6, 1.3), (22, 380, 5, 1.4), (25, 452, 5, 1.6), (46, 452, 5, 4),
        ],
        origin=(70.0, -104.0),
        turn_degrees=58.0,
        mirrored=outward < 0,
    )  # fmt: skip
    spine = Tube(
        np.array([(outward * 75, -104, 432), (outward * 100, -98, 450), (outward * 128, -86, 474),
                  (outward * 142, -58, 490)], dtype=np.float32),
        np.array([3, 4, 5, 5.5], dtype=np.float32),
        tall=1.5,
    )  # fmt: skip
    return Joined((blade, spine), blend_mm=5.0)


def upper_arm(outward: float) -> Joined:
    """Head and shaft of the humerus, the arm beside the head."""
    head = Ellipsoid((outward * 148, -50, 462), (21, 21, 21))
    shaft = Rod((outward * 152, -44, 466), (outward * 168, -20, 545), 17, 11)
    parts: list[Shape] = [
        Plain(solid, box_about([solid.centre] if isinstance(solid, Ellipsoid) else [solid.start, solid.stop], 28.0))
        for solid in (head, shaft)
    ]
    return Joined(tuple(parts), blend_mm=6.0)
