"""Lesions of the femur as MR shows them: what makes a reader call one benign, intermediate or malignant.

Benign: sharp outline, one signal throughout or lobules, a dark rim, the cortex at most scalloped, no oedema.
Intermediate: sharp but without a rim, several signals, the bone blown up and its wall thin or gone at places, little
oedema. Malignant: outline lost in the marrow, wall eaten through, mass beside the bone, oedema, necrosis and blood.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon_phantoms.femur_mr_anatomy import soft

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon_phantoms.femur_mr_anatomy import Points, Thigh
    from osteon_phantoms.femur_mr_physics import Matter
    from osteon_phantoms.femur_mr_spec import MrLesionSpec

__all__ = ["PlacedLesion", "draw_lesion", "place_lesion"]

_F = np.float32


@dataclass(frozen=True, slots=True, eq=False)
class PlacedLesion:
    """A lesion in its place.

    Attributes:
        spec: what was asked for.
        centre_mm: in the thigh's coordinates.
        radii_mm: along x, y and z.
        shift_mm: where in the textures it lies.
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

    outline: NDArray[np.float32]
    surface: NDArray[np.float32]
    wall: NDArray[np.float32]
    cloud: NDArray[np.float32]
    fine: NDArray[np.float32]
    medium: NDArray[np.float32]


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
    draw = {
        "cyst": _cyst, "enchondroma": _enchondroma, "fibrous": _fibrous, "lipoma": _lipoma, "giant cell": _giant_cell,
        "atypical cartilage": _atypical_cartilage, "sarcoma": _sarcoma, "round cell": _round_cell,
        "metastasis": _metastasis,
    }[lesion.spec.kind]  # fmt: skip
    return draw(lesion, matter, around)


def _around(lesion: PlacedLesion, points: Points) -> _Around:
    textures, shift = lesion.thigh.textures, lesion.shift_mm
    x, y, z = (
        (axis - _F(middle)) / _F(radius)
        for axis, middle, radius in zip(
            (points.x, points.y, points.z), lesion.centre_mm, lesion.radii_mm, strict=True
        )
    )  # fmt: skip
    cloud = textures.cloud.at(points.z, points.y, points.x, shift_mm=shift)
    small = textures.medium.at(points.z, points.x, points.y, shift_mm=shift + 37)
    rough = {"benign": 0.07, "intermediate": 0.11, "malignant": 0.2}[lesion.spec.look] * lesion.spec.irregularity
    if lesion.spec.kind in {"enchondroma", "atypical cartilage"}:
        rough *= 1.7
    mean = float(np.cbrt(np.prod(lesion.radii_mm)))
    distance = np.sqrt(x * x + y * y + z * z) - 1 + _F(rough) * (np.clip(cloud, -2, 2) + 0.25 * np.clip(small, -2, 2))
    return _Around(
        outline=np.asarray(distance * _F(mean), _F),
        surface=lesion.thigh.from_surface_mm(points),
        wall=lesion.thigh.wall_mm(points.z),
        cloud=cloud,
        fine=textures.fine.at(points.y, points.z, points.x, shift_mm=shift + 91),
        medium=textures.medium.at(points.y, points.z, points.x, shift_mm=shift),
    )


def _in_cavity(around: _Around, scallop: float) -> NDArray[np.float32]:
    """Outline of what stays within the bone but may eat into its wall from inside, by a share of the wall."""
    return np.maximum(around.outline, around.surface + around.wall * _F(1 - scallop))


def _rim(matter: Matter, outline: NDArray[np.float32], around: _Around, width_mm: float) -> None:
    """A dark seam around a lesion, where there is marrow."""
    seam = soft(np.abs(outline - _F(width_mm / 2)) - _F(width_mm / 2), 0.5) * soft(around.surface, 0.5)
    matter.mix(np.asarray(seam, _F), "mineral")


def _oedema(lesion: PlacedLesion, matter: Matter, around: _Around, reach_mm: float, depth: float) -> None:
    """Water around a lesion, in marrow and flesh, that fades with distance; not in the cortex."""
    strength = lesion.spec.oedema
    far = reach_mm * (0.5 + 0.5 * strength)
    share = depth * min(1.3, strength) * np.clip(1 - around.outline / _F(far), 0, 1) ** 1.3 * (1 + 0.3 * around.cloud)
    in_cortex = soft(around.surface, 0.8) * (1 - soft(around.surface + around.wall, 0.8))
    matter.mix(np.asarray(np.clip(share, 0, 0.85) * (1 - in_cortex), _F), "oedema")


def _cyst(_: PlacedLesion, matter: Matter, around: _Around) -> NDArray[np.bool_]:
    outline = _in_cavity(around, 0.35)
    _rim(matter, outline, around, 1.0)
    matter.mix(soft(outline, 0.6), "fluid")
    return np.asarray(outline < 0)


def _enchondroma(_: PlacedLesion, matter: Matter, around: _Around) -> NDArray[np.bool_]:
    outline = _in_cavity(around, 0.3)
    _rim(matter, outline, around, 0.6)
    inside = soft(outline, 0.6)
    matter.mix(inside, "cartilage lobule")
    walls = np.clip(0.35 - np.abs(around.cloud + 0.3 * around.medium) * 1.6, 0, 0.5)
    matter.mix(np.asarray(inside * walls, _F), "fibrous")
    dots = np.clip((around.medium - 1.35) * 2.5, 0, 0.9)
    matter.mix(np.asarray(inside * dots, _F), "mineral")
    return np.asarray(outline < 0)


def _fibrous(_: PlacedLesion, matter: Matter, around: _Around) -> NDArray[np.bool_]:
    outline = _in_cavity(around, 0.4)
    _rim(matter, outline, around, 1.8)
    inside = soft(outline, 0.6)
    matter.mix(inside, "fibrous")
    matter.mix(np.asarray(inside * np.clip(0.25 * around.cloud, 0, 0.4), _F), "cartilage lobule")
    return np.asarray(outline < 0)


def _lipoma(lesion: PlacedLesion, matter: Matter, around: _Around) -> NDArray[np.bool_]:
    outline = _in_cavity(around, 0.2)
    _rim(matter, outline, around, 1.1)
    inside = soft(outline, 0.6)
    matter.mix(inside, "lipoma")
    core = soft(around.outline + _F(0.68 * min(lesion.radii_mm)), 1.0)
    matter.mix(np.asarray(inside * core * np.clip(0.6 + around.medium, 0, 1), _F), "mineral")
    return np.asarray(outline < 0)


def _blown(around: _Around, by_mm: float) -> NDArray[np.float32]:
    """Outline of what blows the bone up by some millimetres."""
    return np.asarray(np.maximum(around.outline, around.surface - _F(by_mm)), _F)


def _shell(matter: Matter, outline: NDArray[np.float32], around: _Around, left: float) -> None:
    """What is left of a thin new wall about a lesion that blows up the bone."""
    out_there = 1 - soft(around.surface + around.wall, 0.8)
    whole = np.clip((left - 0.5) * 2 + 0.8 + around.cloud, 0, 1)
    seam = soft(np.abs(outline - 0.5) - 0.5, 0.4)
    matter.mix(np.asarray(seam * out_there * whole, _F), "cortex")


def _giant_cell(lesion: PlacedLesion, matter: Matter, around: _Around) -> NDArray[np.bool_]:
    outline = _blown(around, 3.0)
    _oedema(lesion, matter, around, 6, 0.25)
    inside = soft(outline, 0.7)
    matter.mix(inside, "giant cell")
    matter.mix(np.asarray(inside * np.clip(around.cloud - 0.7, 0, 1), _F), "fluid")
    matter.mix(np.asarray(inside * np.clip((around.medium - 0.7) * 0.9, 0, 0.85), _F), "haemosiderin")
    _shell(matter, outline, around, 0.6)
    return np.asarray(outline < 0)


def _atypical_cartilage(lesion: PlacedLesion, matter: Matter, around: _Around) -> NDArray[np.bool_]:
    outline = np.maximum(around.outline, around.surface + _F(0.25) * around.wall)
    _oedema(lesion, matter, around, 5, 0.3)
    inside = soft(outline, 0.8)
    matter.mix(inside, "cartilage lobule")
    walls = np.clip(0.5 - np.abs(around.cloud + 0.3 * around.medium) * 1.7, 0, 0.7)
    matter.mix(np.asarray(inside * walls, _F), "giant cell")
    matter.mix(np.asarray(inside * np.clip((around.medium - 1.6) * 2.5, 0, 0.9), _F), "mineral")
    return np.asarray(outline < 0)


def _mass(lesion: PlacedLesion, matter: Matter, around: _Around, tissue: str, *, eaten: float) -> NDArray[np.bool_]:
    """A malignant growth: marrow replaced without an edge, wall eaten through, mass beside the bone."""
    ragged = around.outline + _F(0.6 * lesion.spec.irregularity) * np.clip(around.medium, -2, 2)
    _oedema(lesion, matter, around, 16, 0.55)
    in_wall = soft(around.surface, 0.6) * (1 - soft(around.surface + around.wall, 0.6))
    holes = np.clip(1.5 * (eaten - 0.35 + 0.7 * around.cloud + 0.3 * around.medium), 0, 1)
    inside = soft(ragged, 2.4) * (1 - in_wall * (1 - holes))
    matter.mix(np.asarray(inside, _F), tissue)
    # new bone that the lifted periosteum lays down beside the mass
    lifted = soft(np.asarray(np.abs(around.surface - 2.2 - 0.6 * around.cloud) - 0.5, _F), 0.5)
    lifted *= np.clip(1.2 - np.abs(around.outline - 2) / 4, 0, 1)
    matter.mix(np.asarray(0.8 * lifted, _F), "mineral")
    return np.asarray(around.outline < 0)


def _sarcoma(lesion: PlacedLesion, matter: Matter, around: _Around) -> NDArray[np.bool_]:
    found = _mass(lesion, matter, around, "solid tumour", eaten=0.95)
    inside = soft(around.outline + 1.0, 1.5)
    dead = np.clip((around.cloud - 0.15 - 0.4 * lesion.spec.activity + 0.4) * 1.3, 0, 0.95)
    matter.mix(np.asarray(inside * dead, _F), "necrosis")
    matter.mix(np.asarray(inside * np.clip((-around.cloud - 1.2) * 1.5, 0, 0.8), _F), "old blood")
    matter.mix(np.asarray(inside * np.clip((around.medium - 0.9) * 0.9, 0, 0.8), _F), "mineral")
    return found


def _round_cell(lesion: PlacedLesion, matter: Matter, around: _Around) -> NDArray[np.bool_]:
    found = _mass(lesion, matter, around, "round cells", eaten=0.7)
    inside = soft(around.outline + 1.0, 1.5)
    matter.mix(np.asarray(inside * np.clip((around.cloud - 0.9) * 0.9, 0, 0.6), _F), "necrosis")
    return found


def _metastasis(lesion: PlacedLesion, matter: Matter, around: _Around) -> NDArray[np.bool_]:
    found = _mass(lesion, matter, around, "solid tumour", eaten=0.9)
    middle = soft(around.outline + _F(0.45 * min(lesion.radii_mm)), 3.0)
    matter.mix(np.asarray(middle * np.clip(0.55 + 0.5 * around.cloud, 0, 0.9), _F), "necrosis")
    return found
