"""Lesions of the femur as MR shows them: what makes a reader call one benign, intermediate or malignant.

Benign: sharp outline, one signal throughout or lobules, a dark rim, the cortex at most scalloped, no oedema.
Intermediate: sharp but without a rim, several signals, the bone blown up and its wall thin or gone at places, little
oedema. Malignant: outline lost in the marrow, wall eaten through, mass beside the bone, oedema, necrosis and blood.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon_phantoms.paint import soft

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon_phantoms.femur.anatomy import Thigh
    from osteon_phantoms.femur.physics import Matter
    from osteon_phantoms.femur.spec import MrLesionSpec
    from osteon_phantoms.shapes import F32, Points

__all__ = ["PlacedLesion", "draw_lesion", "place_lesion"]

_F = np.float32


@dataclass(frozen=True, slots=True, eq=False)
class PlacedLesion:
    """A lesion in its place.

    Attributes:
        spec: what was asked for.
        centre_mm: in the thigh's coordinates.
        radii_mm: along x, y and z.
        shift_mm: where in the textures it is.
        thigh: that it is in.
    """

    spec: MrLesionSpec
    centre_mm: tuple[float, float, float]
    radii_mm: tuple[float, float, float]
    shift_mm: float
    thigh: Thigh = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class _Around:
    """Fields about a lesion at points: distance from its outline (mm, negative inside), from the bone, noise."""

    outline: F32
    surface: F32
    wall: F32
    cloud: F32
    fine: F32
    medium: F32


def place_lesion(spec: MrLesionSpec, thigh: Thigh, generator: np.random.Generator) -> PlacedLesion:
    """Put a lesion into the bone: inside its cavity where it is benign, at its wall where it leaves the bone."""
    height = np.array([spec.height_mm], _F)
    half_x, half_y = (float(axis[0]) for axis in thigh.bone_axes_mm(height))
    wall = float(thigh.wall_mm(height)[0])
    radius = spec.size_mm / 2
    room = min(half_x, half_y) - wall
    across = radius * float(generator.uniform(0.8, 1.0))
    if spec.look == "benign":
        across = min(across, 0.92 * room)
    elif spec.look == "intermediate":
        across = min(across, room + 3)
    turn = np.radians(spec.direction_degrees)
    if spec.look == "benign":
        off = spec.eccentricity * max(0.0, room - 0.85 * across)
    elif spec.look == "intermediate":
        off = spec.eccentricity * max(0.0, room - 0.3 * across)
    else:
        # a malignant one that has grown enough to be found has reached the wall
        off = (0.55 + 0.45 * spec.eccentricity) * max(0.0, room - 0.15 * across)
    stretch = float(generator.uniform(0.85, 1.15))
    radii = (min(radius, across * stretch), min(radius, across / stretch), radius)
    centre = (float(thigh.bow_mm(height)[0] + off * np.cos(turn)), float(off * np.sin(turn)), spec.height_mm)
    return PlacedLesion(spec, centre, radii, float(generator.uniform(0, 400)), thigh)


def draw_lesion(lesion: PlacedLesion, matter: Matter, points: Points) -> NDArray[np.bool_]:
    """Draw a lesion and what it does to its surroundings, in place; gives which points belong to it."""
    around = _around(lesion, points)
    draw = {"benign": _benign, "intermediate": _intermediate, "malignant": _malignant}[lesion.spec.look]
    return draw(lesion, matter, around)


def _around(lesion: PlacedLesion, points: Points) -> _Around:
    textures, shift = lesion.thigh.textures, lesion.shift_mm
    places = zip((points.u, points.v, points.w), lesion.centre_mm, lesion.radii_mm, strict=True)
    x, y, z = ((axis - _F(middle)) / _F(radius) for axis, middle, radius in places)
    cloud = textures.cloud.at(points.w, points.v, points.u, shift_mm=shift)
    small = textures.medium.at(points.w, points.u, points.v, shift_mm=shift + 37)
    rough = {"benign": 0.07, "intermediate": 0.11, "malignant": 0.2}[lesion.spec.look] * lesion.spec.irregularity
    if lesion.spec.kind in {"enchondroma", "atypical cartilage"}:
        rough *= 1.7
    mean = float(np.cbrt(np.prod(lesion.radii_mm)))
    distance = np.sqrt(x * x + y * y + z * z) - 1 + _F(rough) * (np.clip(cloud, -2, 2) + 0.25 * np.clip(small, -2, 2))
    return _Around(
        outline=np.asarray(distance * _F(mean), _F),
        surface=lesion.thigh.from_surface_mm(points),
        wall=lesion.thigh.wall_mm(points.w),
        cloud=cloud,
        fine=textures.fine.at(points.v, points.w, points.u, shift_mm=shift + 91),
        medium=textures.medium.at(points.v, points.w, points.u, shift_mm=shift),
    )


def _oedema(lesion: PlacedLesion, matter: Matter, around: _Around, reach_mm: float, depth: float) -> None:
    """Water around a lesion, in marrow and soft tissue, that fades with distance; not in the cortex."""
    strength = lesion.spec.oedema
    far = reach_mm * (0.5 + 0.5 * strength)
    share = depth * min(1.3, strength) * np.clip(1 - around.outline / _F(far), 0, 1) ** 1.3 * (1 + 0.3 * around.cloud)
    in_cortex = soft(around.surface, 0.8) * (1 - soft(around.surface + around.wall, 0.8))
    matter.mix(np.clip(share, 0, 0.85) * (1 - in_cortex), "oedema")


_BENIGN: Final = {
    # how far it may eat into its wall from inside, as a share of the wall; width of its dark rim in mm; what it is
    "cyst": (0.35, 1.0, "fluid"),
    "enchondroma": (0.3, 0.6, "cartilage lobule"),
    "fibrous": (0.4, 1.8, "fibrous"),
    "lipoma": (0.2, 1.1, "lipoma"),
}


def _benign(lesion: PlacedLesion, matter: Matter, around: _Around) -> NDArray[np.bool_]:
    """What stays within the bone, with a dark seam where there is marrow."""
    kind, cloud, medium = lesion.spec.kind, around.cloud, around.medium
    scallop, rim_mm, tissue = _BENIGN[kind]
    outline = np.maximum(around.outline, around.surface + around.wall * _F(1 - scallop))
    seam = soft(np.abs(outline - _F(rim_mm / 2)) - _F(rim_mm / 2), 0.5) * soft(around.surface, 0.5)
    matter.mix(seam, "mineral")
    inside = soft(outline, 0.6)
    matter.mix(inside, tissue)
    if kind == "enchondroma":
        matter.mix(inside * np.clip(0.35 - np.abs(cloud + 0.3 * medium) * 1.6, 0, 0.5), "fibrous")
        matter.mix(inside * np.clip((medium - 1.35) * 2.5, 0, 0.9), "mineral")
    elif kind == "fibrous":
        matter.mix(inside * np.clip(0.25 * cloud, 0, 0.4), "cartilage lobule")
    elif kind == "lipoma":
        core = soft(around.outline + _F(0.68 * min(lesion.radii_mm)), 1.0)
        matter.mix(inside * core * np.clip(0.6 + medium, 0, 1), "mineral")
    return np.asarray(outline < 0)


def _intermediate(lesion: PlacedLesion, matter: Matter, around: _Around) -> NDArray[np.bool_]:
    """A giant cell tumour, which blows the bone up and leaves a thin shell, or an atypical cartilaginous one."""
    cloud, medium = around.cloud, around.medium
    if lesion.spec.kind == "giant cell":
        outline = np.maximum(around.outline, around.surface - _F(3.0))
        _oedema(lesion, matter, around, 6, 0.25)
        inside = soft(outline, 0.7)
        matter.mix(inside, "giant cell")
        matter.mix(inside * np.clip(cloud - 0.7, 0, 1), "fluid")
        matter.mix(inside * np.clip((medium - 0.7) * 0.9, 0, 0.85), "haemosiderin")
        out_there = 1 - soft(around.surface + around.wall, 0.8)
        seam = soft(np.abs(outline - 0.5) - 0.5, 0.4)
        matter.mix(seam * out_there * np.clip((0.6 - 0.5) * 2 + 0.8 + cloud, 0, 1), "cortex")
        return np.asarray(outline < 0)
    outline = np.maximum(around.outline, around.surface + _F(0.25) * around.wall)
    _oedema(lesion, matter, around, 5, 0.3)
    inside = soft(outline, 0.8)
    matter.mix(inside, "cartilage lobule")
    matter.mix(inside * np.clip(0.5 - np.abs(cloud + 0.3 * medium) * 1.7, 0, 0.7), "giant cell")
    matter.mix(inside * np.clip((medium - 1.6) * 2.5, 0, 0.9), "mineral")
    return np.asarray(outline < 0)


def _malignant(lesion: PlacedLesion, matter: Matter, around: _Around) -> NDArray[np.bool_]:
    """Marrow replaced without an edge, wall eaten through, mass beside the bone, necrosis."""
    kind, cloud, medium = lesion.spec.kind, around.cloud, around.medium
    eaten, tissue = {
        "sarcoma": (0.95, "solid tumour"), "round cell": (0.7, "round cells"), "metastasis": (0.9, "solid tumour"),
    }[kind]  # fmt: skip
    ragged = around.outline + _F(0.6 * lesion.spec.irregularity) * np.clip(medium, -2, 2)
    _oedema(lesion, matter, around, 16, 0.55)
    in_wall = soft(around.surface, 0.6) * (1 - soft(around.surface + around.wall, 0.6))
    holes = np.clip(1.5 * (eaten - 0.35 + 0.7 * cloud + 0.3 * medium), 0, 1)
    matter.mix(soft(ragged, 2.4) * (1 - in_wall * (1 - holes)), tissue)
    # new bone that the lifted periosteum lays down beside the mass
    lifted = soft(np.abs(around.surface - 2.2 - 0.6 * cloud) - 0.5, 0.5)
    lifted *= np.clip(1.2 - np.abs(around.outline - 2) / 4, 0, 1)
    matter.mix(0.8 * lifted, "mineral")
    inside = soft(around.outline + 1.0, 1.5)
    if kind == "sarcoma":
        dead = np.clip((cloud - 0.15 - 0.4 * lesion.spec.activity + 0.4) * 1.3, 0, 0.95)
        matter.mix(inside * dead, "necrosis")
        matter.mix(inside * np.clip((-cloud - 1.2) * 1.5, 0, 0.8), "old blood")
        matter.mix(inside * np.clip((medium - 0.9) * 0.9, 0, 0.8), "mineral")
    elif kind == "round cell":
        matter.mix(inside * np.clip((cloud - 0.9) * 0.9, 0, 0.6), "necrosis")
    else:
        middle = soft(around.outline + _F(0.45 * min(lesion.radii_mm)), 3.0)
        matter.mix(middle * np.clip(0.55 + 0.5 * cloud, 0, 0.9), "necrosis")
    return np.asarray(around.outline < 0)
