"""Metastases: lytic, blastic and mixed, in any bone of the trunk.

What they look like on CT: spongy bone replaced by soft tissue, with thinned or lost cortex; dense bone with a fuzzy
border; both beside each other. Discs are spared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon_phantoms.limb import share_inside
from osteon_phantoms.trunk_shapes import box_about
from osteon_phantoms.trunk_tissue import bone_distance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon_phantoms.trunk_brush import Brush, Near
    from osteon_phantoms.trunk_shapes import Window
    from osteon_phantoms.trunk_skeleton import Skeleton, TrunkBone
    from osteon_phantoms.trunk_spec import TrunkLesionSpec, TrunkSpec

__all__ = ["PlacedLesion", "draw_lesion", "place_trunk_lesion"]

_MASS_MM: Final = 8.0
"""How far a lesion with a full breach grows beyond its bone."""


@dataclass(frozen=True, slots=True, eq=False)
class PlacedLesion:
    """One metastasis in its place, reference millimetres.

    Attributes:
        spec: what was asked.
        number: its value in the lesion map.
        centre: (u, v, w).
        axes: (3, 3) unit vectors of its own axes, one a row.
        radii: along them.
        rough_mm: how ragged its outline is.
        shift_mm: its own place in the textures.
        hu: of soft tissue, of dense bone.
        fuzz_mm: width of its border.
    """

    spec: TrunkLesionSpec
    number: int
    centre: tuple[float, float, float]
    axes: NDArray[np.float32] = field(repr=False)
    radii: tuple[float, float, float]
    rough_mm: float
    shift_mm: float
    hu: tuple[float, float]
    fuzz_mm: float

    def distance(self, brush: Brush, window: Window) -> NDArray[np.float32]:
        """Signed distance bound on a window, before the bone limits it."""
        here = brush.block.part(window).points
        u, v, w = (axis - np.float32(at) for axis, at in zip((here.u, here.v, here.w), self.centre, strict=True))
        scaled = np.zeros((), dtype=np.float32)
        steep = np.zeros((), dtype=np.float32)
        for axis, radius in zip(self.axes, self.radii, strict=True):
            along = np.square((axis[0] * u + axis[1] * v + axis[2] * w) / np.float32(radius))
            scaled = scaled + along
            steep = steep + along / np.float32(radius * radius)
        length = np.sqrt(scaled)
        away = length * (length - 1) / (np.sqrt(steep) + np.float32(1e-6))
        if self.rough_mm:
            size = 2 * max(self.radii)
            stretch = max(size / 22, 0.5)
            away = away + np.float32(self.rough_mm) * brush.tile(
                brush.textures.cloud, window, stretch=stretch, shift_mm=self.shift_mm
            )
        return np.asarray(away, dtype=np.float32)


def place_trunk_lesion(spec: TrunkLesionSpec, bone: TrunkBone, patient: TrunkSpec, *, number: int) -> PlacedLesion:
    """Draw what the spec leaves open; the same patient with and without other lesions has the same one."""
    generator = np.random.default_rng([patient.seed, 23, number])
    base = bone.place(spec.position)
    u, v, w = (a + b / patient.scale for a, b in zip(base, spec.offset_mm, strict=True))
    first = np.asarray(bone.direction(spec.position)) if bone.structure == "rib" else generator.standard_normal(3)
    axes, _ = np.linalg.qr(np.column_stack([first, generator.standard_normal((3, 2))]))
    radius = spec.size_mm / 2 / patient.scale
    stretch = spec.elongation ** np.array([2 / 3, -1 / 3, -1 / 3])
    a, b, c = (float(radius * share) for share in stretch)
    ragged = spec.irregularity
    return PlacedLesion(
        spec=spec,
        number=number,
        centre=(u, v, w),
        axes=axes.T.astype(np.float32),
        radii=(a, b, c),
        rough_mm=0.09 * spec.size_mm * ragged,
        shift_mm=float(generator.uniform(0, 400)),
        hu=(float(generator.uniform(30, 80)), float(generator.uniform(480, 980))),
        fuzz_mm=float(0.3 + generator.uniform(0.8, 4.0) * ragged),
    )


def draw_lesion(brush: Brush, skeleton: Skeleton, lesion: PlacedLesion) -> None:
    """Draw one metastasis into its bone and number its voxels.

    It stays within its bone, leaves the cortex alone unless it breaches it, never takes a voxel of another bone or of a
    lesion drawn before; what it takes beyond the cortex belongs to the bone from then on.
    """
    asked = lesion.spec
    bone = skeleton.bone(asked.bone)
    reach = max(lesion.radii) + 3 * lesion.rough_mm + 4
    window = brush.block.window(box_about([lesion.centre], reach))
    if window is None:
        return
    shape = lesion.distance(brush, window)
    host = bone_distance(brush, bone, window)
    limit = host + np.float32(_inset_mm(lesion, bone))
    if bone.structure == "vertebra" and asked.breach > 0.5:
        limit = np.maximum(limit, _beyond_end_plates(brush, skeleton, bone, window))
    near = brush.near(window, np.maximum(shape, limit), reach_mm=lesion.fuzz_mm + brush.width_mm + 3)
    if not len(near):
        return
    owner, mask = brush.owner.reshape(-1), brush.lesion.reshape(-1)
    host_number = skeleton.bones.index(bone) + 1
    mine = (owner[near.index] == host_number) | (owner[near.index] == 0)
    mine &= mask[near.index] == 0
    if asked.type != "blastic" and asked.breach == 0:
        mine &= owner[near.index] == host_number
    _paint(brush, lesion, near, mine=mine)
    taken = near.index[(near.distance < 0) & mine]
    mask[taken] = lesion.number
    owner[taken] = host_number


def _inset_mm(lesion: PlacedLesion, bone: TrunkBone) -> float:
    """How far below the surface of its bone a lesion ends; negative when it grows beyond."""
    if lesion.spec.type == "blastic":
        return 0.0
    breach = lesion.spec.breach
    cortex = 0.9 * float(bone.cortex_at(lesion.centre[2]))
    if breach <= 0.5:
        return cortex * (1 - 2 * breach)
    return -_MASS_MM * (breach - 0.5) * 2 * min(lesion.spec.size_mm / 25, 1.0)


def _beyond_end_plates(brush: Brush, skeleton: Skeleton, bone: TrunkBone, window: Window) -> NDArray[np.float32]:
    """Distance to the slab between the end plates of a vertebra: discs are spared."""
    vertebra = skeleton.vertebra(bone.name)
    here = vertebra.solid.local(brush.block.part(window).points)
    return np.asarray(np.abs(here.w) - np.float32(vertebra.level.height / 2), dtype=np.float32)


def _paint(brush: Brush, lesion: PlacedLesion, near: Near, *, mine: NDArray[np.bool_]) -> None:
    asked, textures = lesion.spec, brush.textures
    shift = lesion.shift_mm + brush.shift_mm
    medium = near.of(textures.medium, shift_mm=shift)
    cloud = near.of(textures.cloud, stretch=0.8, shift_mm=shift)
    soft_hu, dense_hu = lesion.hu
    soft = soft_hu + 9 * medium + np.float32(70) * np.clip(medium - 1.5, 0, 2)
    dense = dense_hu + 110 * cloud + 80 * medium
    share = share_inside(near.distance, brush.width_mm + lesion.fuzz_mm) * mine
    if asked.type == "lytic":
        sharp = share_inside(near.distance, brush.width_mm + 0.5 * lesion.fuzz_mm) * mine
        if asked.rim_hu > 0:
            rim = np.clip(1 - np.abs(near.distance - 0.8) / 1.6, 0, 1) * mine
            brush.blend(near, rim, asked.rim_hu, only_up=True)
        brush.blend(near, sharp, soft)
    elif asked.type == "blastic":
        brush.blend(near, share, np.maximum(dense, 420), only_up=True)
    else:
        patch = np.clip(0.5 + 1.6 * (cloud + 0.4 * medium), 0, 1)
        brush.blend(near, share, soft + patch * (np.clip(0.85 * dense, 400, 1000) - soft))
