"""Bones with cortex and spongy inside, discs, cartilage of ribs and joints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon_phantoms.limb import share_inside
from osteon_phantoms.solid import Ellipsoid
from osteon_phantoms.trunk_pelvis import HIP_LPS_MM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from osteon_phantoms.trunk_brush import Brush
    from osteon_phantoms.trunk_shapes import Window
    from osteon_phantoms.trunk_skeleton import Skeleton, TrunkBone
    from osteon_phantoms.trunk_spec import TrunkSpec

__all__ = ["bone_distance", "density", "draw_bones", "draw_soft_joints"]

_ROUGH_MM = 0.3


def density(spec: TrunkSpec) -> float:
    """Density of spongy bone against a mean adult of 58 years."""
    return float(np.clip(1.0 - 0.009 * (spec.age_years - 58), 0.6, 1.3)) * spec.bone_density


def bone_distance(brush: Brush, bone: TrunkBone, window: Window) -> NDArray[np.float32]:
    """Signed distance to the surface of a bone on a window, with the unevenness of real bone."""
    away = bone.shape.distance(brush.block.part(window))
    return away + np.float32(_ROUGH_MM) * brush.tile(brush.textures.cloud, window, shift_mm=19)


def draw_bones(brush: Brush, spec: TrunkSpec, skeleton: Skeleton) -> None:
    """All bones; where two meet, the one that comes first keeps its ground."""
    thick = density(spec)
    for number, bone in enumerate(skeleton.bones, start=1):
        window = brush.block.window(bone.shape.box)
        if window is not None:
            _draw_bone(brush, bone, window, number=number, dense=thick)


def _draw_bone(brush: Brush, bone: TrunkBone, window: Window, *, number: int, dense: float) -> None:
    near = brush.near(window, bone_distance(brush, bone, window), reach_mm=brush.width_mm)
    if not len(near):
        return
    shift = brush.shift_mm
    fine = near.of(brush.textures.fine, shift_mm=shift + 3)
    medium = near.of(brush.textures.medium, shift_mm=shift + 5)
    cloud = near.of(brush.textures.cloud, stretch=1.5, shift_mm=shift + 11)
    inside = bone.spongiosa_at(near.w) * np.float32(dense)
    inside += np.float32(34) * fine + np.float32(20) * medium + np.float32(14) * cloud
    cortex = bone.cortex_at(near.w) * (1 + np.float32(0.25) * cloud) * np.float32(0.75 + 0.25 * min(dense, 1.2))
    hollow = share_inside(near.distance + cortex, brush.width_mm + 0.5)
    value = bone.cortex_hu + hollow * (inside - bone.cortex_hu)
    owner = brush.owner.reshape(-1)
    free = owner[near.index] == 0
    brush.blend(near, share_inside(near.distance, brush.width_mm) * free, value)
    owner[near.index[(near.distance < 0) & free]] = number


def draw_soft_joints(brush: Brush, spec: TrunkSpec, skeleton: Skeleton, gas: Sequence[Ellipsoid]) -> None:
    """Discs (some with gas), cartilages of the ribs, the canal, joint cartilage of the hips."""
    cartilage = 95.0 + (spec.age_years > 60) * 30.0
    for tube in skeleton.cartilages:
        window = brush.block.window(tube.box)
        if window is not None:
            near = brush.near(window, tube.distance(brush.block.part(window)), reach_mm=brush.width_mm)
            brush.blend(near, share_inside(near.distance, brush.width_mm), cartilage)
    for outward in (-1.0, 1.0):
        u, v, w = HIP_LPS_MM
        brush.lay(Ellipsoid((outward * u, v, w), (27.5, 27.5, 27.5)), 75.0)
    for vertebra in skeleton.spine:
        window = brush.block.window(vertebra.disc.box)
        if window is None:
            continue
        near = brush.near(window, vertebra.disc.distance(brush.block.part(window)), reach_mm=brush.width_mm)
        medium = near.of(brush.textures.medium, shift_mm=brush.shift_mm)
        brush.blend(near, share_inside(near.distance, brush.width_mm), 82 + 5 * medium)
    for lens in gas:
        brush.lay(lens, -800.0, rough_mm=0.4)
