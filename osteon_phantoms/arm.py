"""A hand and forearm that rest on the thigh."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from osteon_phantoms.labels import ARM_BONE_VALUE, ARM_VALUE
from osteon_phantoms.limb import share_inside
from osteon_phantoms.solid import Rod, Solid

if TYPE_CHECKING:
    from osteon_phantoms.limb import Canvas, Limb, Plane

__all__ = ["Arm"]


@cache
def _skin() -> Solid:
    fingers = tuple(Rod((20 + 17 * k, 92, 146), (18 + 17 * k, 84, 78 - 8 * (k in {1, 2})), 9.5, 8) for k in range(4))
    return Solid(
        (
            Rod((66, 128, 470), (52, 110, 262), 36, 25),
            Rod((52, 108, 262), (48, 100, 225), 26, 22),
            Rod((60, 98, 220), (66, 92, 158), 17, 15),
            Rod((32, 98, 220), (28, 92, 158), 17, 14),
            Rod((16, 102, 215), (2, 98, 150), 14, 10),
            *fingers,
        ),
        blend_mm=8,
    )


@cache
def _bones() -> tuple[Rod, ...]:
    rays = []
    for k in range(4):
        u = 22 + 16 * k
        rays += [
            Rod((u + 4 - k, 98, 208), (u, 93, 160), 5, 5),
            Rod((u, 92, 152), (u - 1, 88, 118), 4.5, 4),
            Rod((u - 1, 87, 112), (u - 2, 85, 88), 3.6, 3),
        ]
    wrist = [
        Rod(
            (30 + 11 * (k % 4), 100 + 3 * (k // 4), 232 - 12 * (k // 4)),
            (31 + 11 * (k % 4), 100, 229 - 12 * (k // 4)),
            6,
            6,
        )
        for k in range(8)
    ]
    forearm = [
        Rod((58, 130, 460), (40, 108, 250), 7, 8),
        Rod((40, 108, 250), (40, 106, 242), 11, 12),
        Rod((80, 126, 460), (62, 108, 246), 8, 6),
    ]
    return (*rays, *wrist, *forearm)


@dataclass(frozen=True, slots=True)
class Arm:
    """The arm of the same side as a leg, lying on its thigh."""

    limb: Limb

    def draw(self, canvas: Canvas, plane: Plane) -> None:
        """Draw the arm into a slice, in place."""
        limb = self.limb
        points = limb.points(plane)
        low, high = points.w_range
        skin = _skin()
        if low > skin.w_range[1] + 5 or high < skin.w_range[0] - 5:
            return
        width = plane.pixel_mm / limb.scale
        surface = skin.distance(points)
        grain = limb.textures.medium.at(points.u, points.v, points.w, shift_mm=limb.shift_mm + 200)
        cloud = limb.textures.cloud.at(points.u, points.v, points.w, shift_mm=limb.shift_mm + 200)
        tissue = -95 + share_inside(surface + 4 + cloud, 1.5) * (150 - 70 * np.clip(grain - 0.9, 0, 1))
        canvas.hu[...] += share_inside(surface, width) * (tissue - canvas.hu)
        if canvas.label is not None:
            canvas.label[surface < 0] = ARM_VALUE
        for bone in _bones():
            if bone.w_range[0] > high or bone.w_range[1] < low:
                continue
            away = bone.distance(points)
            hollow = share_inside(away + max(0.22 * bone.radius_stop, 1.0), width + 0.6)
            value = 1150 + hollow * (120 + 40 * grain - 1150)
            canvas.hu[...] += share_inside(away, width) * (value - canvas.hu)
            if canvas.label is not None:
                canvas.label[away < 0] = ARM_BONE_VALUE
