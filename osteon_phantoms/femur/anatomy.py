"""The thigh that MR phantoms show: what is at a point, told by tissue.

``Points`` are those of a thigh, in mm: u lateral, v posterior, w above the knee joint; the bone is about u = v = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon_phantoms.femur.physics import Matter
from osteon_phantoms.paint import soft

if TYPE_CHECKING:
    from osteon_phantoms.shapes import F32, Points
    from osteon_phantoms.texture import Textures

__all__ = ["Thigh", "draw_thigh"]

_F = np.float32
_BONE_X_MM, _BONE_Y_MM = 8.0, -6.0
"""Where the bone is in the thigh: a little lateral and in front of its middle."""
_SEPTA: Final = ((38.0, 1.0), (148.0, 0.9), (205.0, 0.8), (262.0, 0.7), (318.0, 0.8))
"""Directions of the walls between muscles as seen from the bone, degrees from lateral by posterior, and width in mm."""
_VESSELS: Final = (("artery", -21.0, 13.0, 3.4), ("vein", -18.0, 20.0, 4.6), ("nerve", -2.0, 33.0, 4.8))


_CONDYLE_Z_MM: Final = 26.0
"""Where the shaft ends in the condyles."""
_CONDYLES: Final = ((-20.0, 6.0, 20.0, 17.0, 30.0, 20.5), (19.5, 5.0, 20.5, 17.5, 31.0, 20.0))
"""Middle and half axes of the inner and the outer one."""
_PLATEAU_Z_MM: Final = -6.0


@dataclass(frozen=True, slots=True, eq=False)
class Thigh:
    """One patient's thigh.

    Attributes:
        scale: factor of its width.
        fat_mm: thickness of the fat below the skin.
        red_marrow: how much of the marrow of the shaft is red.
        turn_degrees: by which the septa differ from the usual.
        shift_mm: where in the textures this patient is.
        textures: of all patients.
    """

    scale: float
    fat_mm: float
    red_marrow: float
    turn_degrees: float
    shift_mm: float
    textures: Textures = field(repr=False)

    def bone_axes_mm(self, z: F32) -> tuple[F32, F32]:
        """Half widths of the femur from side to side and from front to back at heights above the joint."""
        near = np.maximum(z, 0)
        flare = np.exp(-((near / 46) ** 1.7))
        return np.asarray(13.5 + 24 * flare, dtype=_F), np.asarray(14.2 + 15 * flare, dtype=_F)

    def wall_mm(self, z: F32) -> F32:
        """Thickness of the cortex at heights above the joint."""
        return np.asarray(1.5 + 4.3 * np.clip((z - 35) / 95, 0, 1) ** 1.3, dtype=_F)

    def from_surface_mm(self, points: Points) -> F32:
        """Distance from the surface of the bone, negative inside; exact on the surface, near it elsewhere."""
        x, y = points.u - self.bow_mm(points.w), points.v
        shaft = self._shaft_mm(x, y, points.w)
        if float(points.w.min()) > _CONDYLE_Z_MM + 30:
            return shaft
        cut = np.maximum(shaft, _F(_CONDYLE_Z_MM) - points.w)
        return _joined(np.asarray(cut, _F), _condyles_mm(x, y, points.w), 9.0)

    def _shaft_mm(self, x: F32, y: F32, z: F32) -> F32:
        a, b = self.bone_axes_mm(z)
        # the shaft has its ridge behind, the condyles a hollow
        ridge = np.exp(-((x / 5) ** 2)) * np.where(y > 0, 1, 0) * np.clip((z - 60) / 60, 0, 1)
        u, v = x / a, y / (b * (1 + 0.13 * ridge))
        return np.asarray((np.sqrt(u * u + v * v) - 1) * np.sqrt(a * b), dtype=_F)

    def bow_mm(self, z: F32) -> F32:
        """How far the axis of the shaft leans towards the side with height."""
        return np.asarray(0.055 * np.maximum(z - 40, 0), dtype=_F)


def _ball_mm(x: F32, y: F32, z: F32, ball: tuple[float, ...]) -> F32:
    """Distance from an ellipsoid, negative inside; near it."""
    at_x, at_y, at_z, half_x, half_y, half_z = ball
    radius = np.sqrt(((x - at_x) / half_x) ** 2 + ((y - at_y) / half_y) ** 2 + ((z - at_z) / half_z) ** 2)
    return np.asarray((radius - 1) * float(np.cbrt(half_x * half_y * half_z)), _F)


def _condyles_mm(x: F32, y: F32, z: F32) -> F32:
    return _joined(_ball_mm(x, y, z, _CONDYLES[0]), _ball_mm(x, y, z, _CONDYLES[1]), 4.0)


def _joined(first: F32, second: F32, width: float) -> F32:
    """Distance from two bodies that run into each other over a width."""
    share = np.clip(0.5 + 0.5 * (second - first) / _F(width), 0, 1)
    return np.asarray(second + share * (first - second) - _F(width) * share * (1 - share), _F)


def _tibia_mm(x: F32, y: F32, z: F32) -> F32:
    """Distance from the surface of the tibia, negative inside."""
    below = np.maximum(_PLATEAU_Z_MM - z, 0)
    flare = np.exp(-((below / 34) ** 1.6))
    a, b = 13 + 25 * flare, 14 + 13 * flare
    radius = (np.sqrt((x / a) ** 2 + ((y - 4) / b) ** 2) - 1) * np.sqrt(a * b)
    dished = z - _PLATEAU_Z_MM - 1.5 + 2.2 * np.exp(-(((np.abs(x) - 19) / 12) ** 2))
    return np.asarray(np.maximum(radius, dished), _F)


def draw_thigh(thigh: Thigh, points: Points) -> Matter:
    """What is at points of a thigh without a lesion."""
    shift = thigh.shift_mm
    cloud = thigh.textures.cloud.at(points.w, points.v, points.u, shift_mm=shift)
    medium = thigh.textures.medium.at(points.u, points.v, points.w * _F(0.16), shift_mm=shift)
    matter = Matter.of(points.u.shape, "air")
    bow = thigh.bow_mm(points.w)
    x, y = points.u + _F(_BONE_X_MM) - bow, points.v + _F(_BONE_Y_MM)
    grown = _F(thigh.scale) * (1 + 0.0009 * (points.w - 60))
    radius = np.sqrt((x / (67 * grown)) ** 2 + (y / (63 * grown)) ** 2)
    inside = (radius - 1) * 65 * grown + 1.5 * np.sin(np.arctan2(y, x) * 3 + thigh.shift_mm) + 0.25 * cloud
    matter.mix(soft(inside - _F(thigh.fat_mm) - 2, 1.0), "skin")
    matter.mix(soft(inside - _F(thigh.fat_mm), 1.0), "fat")
    strands = 0.7 * soft(np.abs(cloud + 0.25 * medium) - _F(0.02), 0.08) * soft(inside - _F(thigh.fat_mm), 1.0)
    matter.mix(strands, "tendon")
    matter.mix(soft(inside - 0.9, 0.8), "tendon")
    _draw_muscles(thigh, matter, points, (x, y, inside, cloud, medium))
    _draw_vessels(thigh, matter, x, y, points.w)
    _draw_bone(thigh, matter, points, cloud)
    return matter


def _draw_muscles(thigh: Thigh, matter: Matter, points: Points, where: tuple[F32, ...]) -> None:
    """Muscles within their wall: streaks of fat, septa between them, fat behind the knee."""
    x, y, inside, cloud, medium = where
    within = soft(inside, 0.8)
    matter.mix(within, "muscle")
    bx, by = points.u - thigh.bow_mm(points.w), points.v
    distance = np.sqrt(bx * bx + by * by)
    angle = np.degrees(np.arctan2(by, bx)) % 360 + 4.5 * cloud
    for number, (direction, width) in enumerate(_SEPTA):
        off = (angle - direction - thigh.turn_degrees * (1 + 0.2 * number) + 180) % 360 - 180
        apart = np.abs(np.radians(off)) * np.minimum(distance, 60) + np.where(np.abs(off) > 80, 99, 0)
        matter.mix(within * soft(apart - _F(width), 1.2), "septum")
    # the straight muscle in front, the tailor's muscle and a hamstring: round ones with walls of their own
    for middle_x, middle_y, half_x, half_y in ((4, -42, 17, 9), (-42, -4, 8, 13), (-20, 44, 15, 11), (22, 44, 14, 12)):
        u, v = (x - middle_x * thigh.scale) / half_x, (y - middle_y * thigh.scale) / half_y
        wall = np.abs((np.sqrt(u * u + v * v) - 1) * np.sqrt(half_x * half_y)) + 0.25 * np.abs(cloud)
        matter.mix(within * soft(wall - 0.55, 1.1), "septum")
    streaks = np.clip((medium - 1.4) * 0.9, 0, 0.6) * within + 0.05 * within * np.clip(medium, 0, 1)
    matter.mix(streaks, "septum")
    # behind the knee there is fat, and around the vessels above it
    low = np.clip((75 - points.w) / 40, 0, 1)
    hollow = np.sqrt((x / 22) ** 2 + ((y - 30) / 16) ** 2) - low * 1.1 + 0.05 * cloud
    matter.mix(within * soft(hollow * 18, 1.5), "fat")
    canal = np.sqrt(((x + 19) / 11) ** 2 + ((y - 17) / 10) ** 2) - 1 + 0.08 * cloud
    matter.mix(within * soft(canal * 10, 1.5), "septum")


def _draw_vessels(thigh: Thigh, matter: Matter, x: F32, y: F32, z: F32) -> None:
    low = np.clip((110 - z) / 80, 0, 1)
    for name, middle_x, middle_y, radius in _VESSELS:
        # above the knee the vessels come to be behind the bone
        at_x, at_y = middle_x * (1 - 0.75 * low), middle_y + (12 if name != "nerve" else 4) * low
        apart = np.sqrt((x - at_x * thigh.scale) ** 2 + (y - at_y * thigh.scale) ** 2) - radius
        matter.mix(soft(apart - 0.8, 0.7), "tendon")
        matter.mix(soft(apart, 0.7), name)


def _draw_bone(thigh: Thigh, matter: Matter, points: Points, cloud: F32) -> None:
    surface = thigh.from_surface_mm(points)
    if float(points.w.min()) < _CONDYLE_Z_MM + 20:
        _draw_knee(thigh, matter, points, surface, cloud)
    wall = thigh.wall_mm(points.w)
    fine = thigh.textures.fine.of(points, shift_mm=thigh.shift_mm)
    matter.mix(soft(surface - 0.7, 0.7), "tendon")
    matter.mix(soft(surface, 0.5), "cortex")
    cavity = soft(surface + wall * (1 + 0.1 * cloud), 0.7)
    _fill_marrow(matter, cavity, fine, np.asarray(np.clip(0.14 * (1 - points.w / 110), 0.0, 0.14), _F))
    red = np.clip(thigh.red_marrow * np.clip((points.w - 45) / 60, 0, 1.2) + 0.2 * cloud - 0.1, 0, 1)
    matter.mix(cavity * red, "red marrow")
    # what is left of the growth plate
    scar = np.abs(points.w - 33 - 1.5 * cloud - 0.004 * points.u**2) - 0.35
    matter.mix(0.6 * cavity * soft(scar, 0.8), "cortex")


def _fill_marrow(matter: Matter, cavity: F32, fine: F32, dense: F32) -> None:
    """Yellow marrow with its trabeculae, which only darken it at this width of a pixel."""
    matter.mix(cavity, "yellow marrow")
    trabeculae = dense * np.clip(0.9 + 0.45 * fine, 0, 2) + 0.03 * np.clip(fine + 0.3, 0, 1)
    matter.mix(cavity * np.clip(trabeculae, 0, 0.5), "cortex")


def _draw_knee(thigh: Thigh, matter: Matter, points: Points, femur: F32, cloud: F32) -> None:
    """What is about the lower end of the femur: capsule, cartilage, menisci, tibia, patella."""
    x, y, z = points.u, points.v, points.w
    tibia = _tibia_mm(x, y, z)
    patella = _ball_mm(x, y, z, (2.0, -41.0, 30.0, 20.0, 9.0, 19.0))
    # muscles give way to fat and capsule at the joint
    at_joint = np.exp(-(((z - 4) / 30) ** 2)) * soft(np.minimum(np.minimum(femur, tibia), patella) - 26, 14)
    matter.mix(0.9 * at_joint * soft(np.hypot(x, y - 2) - 58 * thigh.scale, 6), "septum")
    joint = np.maximum(np.minimum(femur, np.minimum(tibia, patella)) - 4, np.abs(z - 4) - 34)
    matter.mix(soft(joint + 0.8 * cloud, 1.2), "tendon")
    between = soft(np.maximum(np.maximum(femur, tibia) - 7, np.abs(z) - 9), 1.0)
    matter.mix(between, "muscle")
    for distance in (femur, tibia):
        matter.mix(soft(distance - 2.2, 0.6) * soft(np.abs(z + 2) - 14, 3), "cartilage")
    rim = np.clip((np.abs(x) - 14) / 10, 0, 1) * soft(np.abs(z + 2.5) - 2.6, 0.8)
    matter.mix(between * rim, "tendon")
    fine = thigh.textures.fine.at(x, z, y, shift_mm=thigh.shift_mm + 11)
    for distance, wall in ((tibia, 1.6), (patella, 1.6)):
        matter.mix(soft(distance, 0.5), "cortex")
        _fill_marrow(matter, soft(distance + _F(wall), 0.7), fine, np.full(x.shape, 0.12, _F))
    # the tendons of the patella
    band = np.maximum(np.abs(y + 43 - 0.02 * (z - 30)) - 3, np.abs(x - 2) - 13)
    matter.mix(soft(np.maximum(band, -patella), 0.8) * soft(np.abs(z - 25) - 55, 8), "tendon")
