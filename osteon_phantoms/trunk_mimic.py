"""Look-alikes of metastases: bone islands, worn discs and facets, Schmorl's nodes, haemangioma, fractures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon_phantoms.limb import share_inside
from osteon_phantoms.solid import Ellipsoid, Points
from osteon_phantoms.trunk_shapes import box_about
from osteon_phantoms.trunk_tissue import bone_distance

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from osteon_phantoms.trunk_brush import Brush, Near
    from osteon_phantoms.trunk_skeleton import Skeleton, TrunkBone
    from osteon_phantoms.trunk_spec import MimicKind, TrunkMimicSpec, TrunkSpec
    from osteon_phantoms.trunk_spine import Vertebra

__all__ = ["PlacedMimic", "draw_mimic", "place_mimic"]


@dataclass(frozen=True, slots=True)
class PlacedMimic:
    """One look-alike in its place, reference millimetres.

    Attributes:
        spec: what was asked.
        centre: (u, v, w).
        direction: along the bone there.
        reach_mm: nothing of it lies farther from the centre.
        shift_mm: its own place in the textures.
        gas: lenses of gas in a worn disc.
    """

    spec: TrunkMimicSpec
    centre: tuple[float, float, float]
    direction: tuple[float, float, float]
    reach_mm: float
    shift_mm: float
    gas: tuple[Ellipsoid, ...] = field(default=(), repr=False)


def place_mimic(mimic: TrunkMimicSpec, skeleton: Skeleton, patient: TrunkSpec, *, number: int) -> PlacedMimic:
    """Place one look-alike."""
    generator = np.random.default_rng([patient.seed, 29, number])
    shift = float(generator.uniform(0, 400))
    bone = skeleton.bone(mimic.bone)
    centre, direction = bone.place(mimic.position), bone.direction(mimic.position)
    size = mimic.size_mm / patient.scale
    gas: tuple[Ellipsoid, ...] = ()
    reach = size + 6
    if bone.structure == "vertebra":
        vertebra = skeleton.vertebra(mimic.bone)
        centre, reach = _vertebral_place(mimic, vertebra, size=size, generator=generator)
        if mimic.kind == "degenerative_disc" and mimic.degree > 0.55:
            wide, deep = 0.55 * vertebra.level.half_width, 0.4 * vertebra.level.half_depth
            thin = max(0.28 * vertebra.disc_height, 0.8)
            gas = (Ellipsoid(vertebra.disc.to_trunk((0, 3, 0)), (wide, deep, thin)),)
        if mimic.kind == "bone_island":
            centre, reach = bone.place(mimic.position), size + 6
    elif mimic.kind == "sacroiliac_sclerosis":
        side = -1.0 if mimic.bone.endswith("right") else 1.0
        centre, reach = (side * 60.0, -52.0, -22.0), 42.0
    elif mimic.kind == "rib_fracture":
        reach = 22.0
    return PlacedMimic(mimic, centre, direction, reach, shift, gas)


def _vertebral_place(
    mimic: TrunkMimicSpec, vertebra: Vertebra, *, size: float, generator: np.random.Generator
) -> tuple[tuple[float, float, float], float]:
    level = vertebra.level
    wide, deep, half = level.half_width, level.half_depth, level.height / 2
    across = float(generator.uniform(-0.4, 0.4)) * wide
    if mimic.kind == "degenerative_disc":
        return vertebra.disc.to_trunk((0, 0, 0)), wide + 22
    if mimic.kind == "schmorl_node":
        node = -half + 0.25 * size
        return vertebra.solid.to_trunk((across, float(generator.uniform(-0.3, 0.3)) * deep, node)), size + 5
    if mimic.kind == "facet_arthrosis":
        return vertebra.solid.to_trunk((0, vertebra.arch_y - 8, -half - 2)), level.canal + 26
    if mimic.kind == "wedge_fracture":
        return vertebra.solid.to_trunk((0, 0, 0.4 * half)), wide + 16
    room = max(min(0.5 * size, 0.8 * half), 3.0)
    return vertebra.solid.to_trunk((across, float(generator.uniform(-0.2, 0.3)) * deep, 0)), 2 * room + 6


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where one look-alike changes one bone.

    Attributes:
        brush: draws.
        mimic: what is drawn.
        near: (n,) points of the bone within reach.
        keep: (n,) 1 where the point is the bone's own, else 0.
        skeleton: of the trunk.
        bone: that is changed.
        size: of the look-alike in mm of an unscaled trunk.
    """

    brush: Brush
    mimic: PlacedMimic
    near: Near
    keep: NDArray[np.float32]
    skeleton: Skeleton
    bone: TrunkBone
    size: float


def draw_mimic(brush: Brush, spec: TrunkSpec, skeleton: Skeleton, mimic: PlacedMimic) -> None:
    """Draw one look-alike into the bones it changes."""
    window = brush.block.window(box_about([mimic.centre], mimic.reach_mm))
    if window is None:
        return
    size = mimic.spec.size_mm / spec.scale
    for bone in _changed(mimic, skeleton):
        away = bone_distance(brush, bone, window)
        if mimic.spec.kind == "rib_fracture":
            _callus(brush, mimic, bone, skeleton, away=away)
            continue
        near = brush.near(window, away, reach_mm=0.8)
        owner = brush.owner.reshape(-1)
        number = skeleton.bones.index(bone) + 1
        keep = owner[near.index] == number
        if keep.any():
            _PAINT[mimic.spec.kind](_Place(brush, mimic, near, keep.astype(np.float32), skeleton, bone, size))


def _changed(mimic: PlacedMimic, skeleton: Skeleton) -> list[TrunkBone]:
    own = skeleton.bone(mimic.spec.bone)
    names = [bone.name for bone in skeleton.bones]
    if mimic.spec.kind in {"degenerative_disc", "facet_arthrosis"}:
        levels = [vertebra.level.name for vertebra in skeleton.spine]
        at = levels.index(own.name)
        below = levels[at - 1] if at else "sacrum"
        return [own, skeleton.bones[names.index(below)]]
    if mimic.spec.kind == "sacroiliac_sclerosis":
        return [own, skeleton.bone("sacrum")]
    return [own]


def _from_centre(mimic: PlacedMimic, near: Near) -> NDArray[np.float32]:
    u, v, w = mimic.centre
    return np.asarray(np.sqrt(np.square(near.u - u) + np.square(near.v - v) + np.square(near.w - w)))


def _island(at: _Place) -> None:
    """Compact bone with brush-like edges."""
    spikes = at.near.of(at.brush.textures.medium, shift_mm=at.mimic.shift_mm)
    away = _from_centre(at.mimic, at.near) - np.float32(at.size / 2) + np.float32(0.07 * at.size + 0.3) * spikes
    at.brush.blend(at.near, share_inside(away, at.brush.width_mm + 0.3) * at.keep, 1080.0, only_up=True)


def _worn_end_plates(at: _Place) -> None:
    """Bands of dense bone along both sides of a worn disc, most at the front; osteophytes are part of the bones."""
    vertebra = at.skeleton.vertebra(at.mimic.spec.bone)
    local = vertebra.disc.local(_points(at.near))
    cloud = at.near.of(at.brush.textures.cloud, shift_mm=at.mimic.shift_mm)
    band = np.abs(local.w) - np.float32(vertebra.disc_height / 2 + 0.55 * at.size) + 1.5 * cloud
    front = np.clip(0.75 + 0.5 * local.v / np.float32(vertebra.level.half_depth) + 0.4 * cloud, 0, 1)
    body = np.clip((local.v + np.float32(vertebra.level.half_depth)) / 2, 0, 1)
    share = share_inside(band, 4.0) * at.keep * front * body
    at.brush.blend(at.near, share, 250 + 480 * np.float32(at.mimic.spec.degree) + 60 * cloud, only_up=True)


def _facets(at: _Place) -> None:
    vertebra = at.skeleton.vertebra(at.mimic.spec.bone)
    rc, y, half = vertebra.level.canal, vertebra.arch_y, vertebra.level.height / 2
    cloud = at.near.of(at.brush.textures.cloud, shift_mm=at.mimic.shift_mm)
    for side, amount in ((-1.0, 1.0), (1.0, 0.4 + 0.6 * (at.mimic.shift_mm % 1))):
        u, v, w = vertebra.solid.to_trunk((side * (rc + 4.5), y - 7, -half - 1))
        away = np.sqrt(np.square(at.near.u - u) + np.square(at.near.v - v) + np.square((at.near.w - w) * 0.7))
        share = share_inside(away - np.float32(0.5 * at.size + 5) + cloud, 4.0) * at.keep
        at.brush.blend(at.near, share, 450 + 550 * np.float32(at.mimic.spec.degree * amount), only_up=True)


def _node(at: _Place) -> None:
    """Disc pressed into an end plate: disc HU with a dense rim."""
    cloud = at.near.of(at.brush.textures.cloud, shift_mm=at.mimic.shift_mm)
    away = _from_centre(at.mimic, at.near) - np.float32(at.size / 2) + 0.6 * cloud
    rim = np.clip(1 - np.abs(away - 1.0) / 1.8, 0, 1) * at.keep
    at.brush.blend(at.near, rim, 300 + 350 * np.float32(at.mimic.spec.degree), only_up=True)
    at.brush.blend(at.near, share_inside(away, at.brush.width_mm) * at.keep, 80.0)


def _haemangioma(at: _Place) -> None:
    """Fat between few thick upright trabeculae: polka dots in axial slices, stripes in sagittal ones."""
    vertebra = at.skeleton.vertebra(at.bone.name)
    local = vertebra.solid.local(_points(at.near))
    columns = at.brush.textures.medium.at(local.u * 1.4, local.v * 1.4, local.w * 0.03, shift_mm=at.mimic.shift_mm)
    cloud = at.near.of(at.brush.textures.cloud, shift_mm=at.mimic.shift_mm)
    flat = np.square((at.near.w - at.mimic.centre[2]) * np.float32(0.8))
    radial = np.sqrt(np.square(at.near.u - at.mimic.centre[0]) + np.square(at.near.v - at.mimic.centre[1]) + flat)
    away = np.maximum(radial - np.float32(at.size / 2) + 1.2 * cloud, at.near.distance + 1.4)
    value = 20 - 70 * np.float32(at.mimic.spec.degree) + 620 * np.clip(columns - 0.7, 0, 1)
    at.brush.blend(at.near, share_inside(np.asarray(away), at.brush.width_mm + 0.8) * at.keep, value)


def _wedge(at: _Place) -> None:
    """Impacted trabeculae below the upper end plate of a body that has lost height at its front."""
    vertebra = at.skeleton.vertebra(at.bone.name)
    local = vertebra.solid.local(_points(at.near))
    cloud = at.near.of(at.brush.textures.cloud, shift_mm=at.mimic.shift_mm)
    below = np.float32(vertebra.level.height / 2 - 4) - local.w
    band = np.maximum(
        np.abs(below - 2) - np.float32(max(0.35 * at.size, 2.0)) + cloud, -local.v - vertebra.level.half_depth
    )
    share = share_inside(np.asarray(band), 3.0) * at.keep
    at.brush.blend(at.near, share, 330 + 260 * np.float32(at.mimic.spec.degree) + 50 * cloud, only_up=True)


def _joint(at: _Place) -> None:
    """Dense bone on both sides of a sacroiliac joint."""
    other = at.skeleton.bone("sacrum") if at.bone.structure == "hip" else at.skeleton.bone(at.mimic.spec.bone)
    window = at.brush.block.window(box_about([at.mimic.centre], at.mimic.reach_mm))
    if window is None:
        return
    away = bone_distance(at.brush, other, window)
    _, rows, columns = at.brush.block.shape
    k, rest = np.divmod(at.near.index, rows * columns)
    r, c = np.divmod(rest, columns)
    across = away[k - window[0].start, r - window[1].start, c - window[2].start]
    cloud = at.near.of(at.brush.textures.cloud, shift_mm=at.mimic.shift_mm)
    inside = _from_centre(at.mimic, at.near) - np.float32(at.mimic.reach_mm - 10)
    band = np.maximum(across - np.float32(0.6 * at.size + 2) + 2 * cloud, inside)
    at.brush.blend(
        at.near,
        share_inside(band, 5.0) * at.keep,
        320 + 520 * np.float32(at.mimic.spec.degree) + 60 * cloud,
        only_up=True,
    )


def _callus(
    brush: Brush, mimic: PlacedMimic, bone: TrunkBone, skeleton: Skeleton, *, away: NDArray[np.float32]
) -> None:
    """A spindle of new bone about a rib and the line of the fracture in it."""
    window = brush.block.window(box_about([mimic.centre], mimic.reach_mm))
    if window is None:
        return
    here = brush.block.part(window).points
    u, v, w = (axis - np.float32(at) for axis, at in zip((here.u, here.v, here.w), mimic.centre, strict=True))
    du, dv, dw = (np.float32(value) for value in mimic.direction)
    along = u * du + v * dv + w * dw
    length = np.float32(9 + 0.3 * mimic.spec.size_mm)
    thick = np.float32(1.5 + 4.0 * mimic.spec.degree) * np.clip(1 - np.square(along / length), 0, 1)
    spindle = np.maximum(away - thick, np.abs(along) - length)
    near = brush.near(window, np.asarray(spindle, dtype=np.float32), reach_mm=brush.width_mm + 1)
    if not len(near):
        return
    owner = brush.owner.reshape(-1)
    number = skeleton.bones.index(bone) + 1
    mine = (owner[near.index] == 0) | (owner[near.index] == number)
    cloud = near.of(brush.textures.cloud, shift_mm=mimic.shift_mm)
    medium = near.of(brush.textures.medium, shift_mm=mimic.shift_mm)
    value = 330 + 250 * np.float32(mimic.spec.degree) + 90 * cloud + 60 * medium
    brush.blend(near, share_inside(near.distance, brush.width_mm + 1) * mine, value)
    at = (near.u - mimic.centre[0]) * du + (near.v - mimic.centre[1]) * dv + (near.w - mimic.centre[2]) * dw
    line = np.clip(1 - np.abs(at + 0.8 * cloud) / 1.1, 0, 1) * mine * np.float32(0.8 * (1 - mimic.spec.degree))
    brush.blend(near, line * (near.distance < 0), 110.0)
    owner[near.index[(near.distance < 0) & mine]] = number


def _points(near: Near) -> Points:
    return Points(near.u, near.v, near.w)


_PAINT: dict[MimicKind, Callable[[_Place], None]] = {
    "bone_island": _island,
    "degenerative_disc": _worn_end_plates,
    "facet_arthrosis": _facets,
    "schmorl_node": _node,
    "haemangioma": _haemangioma,
    "wedge_fracture": _wedge,
    "sacroiliac_sclerosis": _joint,
}
