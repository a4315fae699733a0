"""Osteosarcoma-like lesions, bone islands and callus, painted into a drawn bone.

Features after the radiology of conventional osteosarcoma: permeative destruction, cloud-like mineral, cortical breach,
sunburst spicules, Codman triangles at both ends, a soft-tissue mass with necrosis.
Reference: Murphey et al., doi:10.1148/radiographics.17.5.9308111.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osteon_phantoms.solid import Ellipsoid, Points
from osteon_phantoms.spec import SITES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon_phantoms.skeleton import Bone
    from osteon_phantoms.spec import BenignSpec, LesionSpec
    from osteon_phantoms.texture import Textures

__all__ = ["Lesion", "axis_point", "paint_benign", "place_lesion"]


@dataclass(frozen=True, slots=True)
class Lesion:
    """A lesion placed in a bone, in reference millimetres of the limb.

    Attributes:
        spec: what was asked.
        core: the part inside the bone.
        mass: the part outside, or None.
        bone_centre: (u, v, w) of the bone's axis at the lesion.
        bone_radius: mean radius of the bone there.
        shift_mm: place in the textures.
    """

    spec: LesionSpec
    core: Ellipsoid
    mass: Ellipsoid | None
    bone_centre: tuple[float, float, float]
    bone_radius: float
    shift_mm: float

    @property
    def w_range(self) -> tuple[float, float]:
        """Heights that the lesion or its periosteal reaction can reach."""
        low, high = self.core.w_range
        if self.mass is not None:
            low, high = min(low, self.mass.w_range[0]), max(high, self.mass.w_range[1])
        return low - 24, high + 24

    @property
    def reach(self) -> tuple[float, float, float]:
        """Centre (u, v) and radius of a disc that holds the lesion."""
        u, v, _ = self.bone_centre
        far = self.bone_radius + 20
        if self.mass is not None:
            out = np.hypot(self.mass.centre[0] - u, self.mass.centre[1] - v) + max(self.mass.radii[:2])
            far = max(far, float(out) + 10)
        return u, v, far

    @property
    def swelling(self) -> tuple[Ellipsoid, ...]:
        """What lifts the skin."""
        if self.mass is None:
            return ()
        a, b, c = self.mass.radii
        return (Ellipsoid(self.mass.centre, (a + 11, b + 11, c + 14)),)

    def distances(
        self,
        points: Points,
        bone_distance: NDArray[np.float32],
        textures: Textures,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Signed distance of the part inside the bone, and of the part outside."""
        rough = textures.cloud.at(points.u, points.v, points.w, shift_mm=self.shift_mm)
        bite = textures.medium.at(points.u, points.v, points.w, shift_mm=self.shift_mm + 31)
        core = self.core.distance(points) + np.float32(2.2) * rough + np.float32(0.8) * bite
        inside = np.maximum(core, bone_distance)
        if self.mass is None:
            return inside, np.full_like(inside, 1e3)
        mass = self.mass.distance(points) + np.float32(2.6) * rough
        return inside, np.maximum(mass, -bone_distance)

    def paint(
        self,
        hu: NDArray[np.float32],
        points: Points,
        bone_distance: NDArray[np.float32],
        *,
        cortex_mm: NDArray[np.float32],
        textures: Textures,
        width_mm: float,
    ) -> NDArray[np.bool_]:
        """Draw the lesion into ``hu`` in place.

        Returns:
            Where tumour is: inside the bone, the mass, and the mineral it laid down.
        """
        inside, outside = self.distances(points, bone_distance, textures)
        frame = self._frame(points)
        remaining = self._cortex_left(points, bone_distance, frame[0], cortex_mm=cortex_mm, textures=textures)
        permeates = np.clip(0.5 - (inside + 1.0) / np.float32(4.0), 0, 1) * np.clip(
            0.5 - bone_distance / np.float32(width_mm), 0, 1
        )
        hu += permeates * (1 - remaining) * (self._matrix_hu(points, textures) - hu)
        mass_share = np.clip(0.5 - outside / np.float32(width_mm), 0, 1)
        if self.mass is not None:
            hu += mass_share * (self._mass_hu(points, bone_distance, textures) - hu)
        spicules = self._periosteal(hu, bone_distance, frame, textures=textures)
        return np.asarray((inside < 0) | (outside < 0) | spicules)

    def _frame(self, points: Points) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Cosine to the direction of breach, angle around the bone, height against the middle of the lesion."""
        x = points.u - np.float32(self.bone_centre[0])
        y = points.v - np.float32(self.bone_centre[1])
        turn = np.deg2rad(self.spec.direction_degrees)
        radius = np.sqrt(x * x + y * y) + np.float32(0.1)
        cosine = (x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn))) / radius
        return cosine, np.arctan2(y, x), points.w - np.float32(self.bone_centre[2])

    def _cortex_left(
        self,
        points: Points,
        bone_distance: NDArray[np.float32],
        cosine: NDArray[np.float32],
        *,
        cortex_mm: NDArray[np.float32],
        textures: Textures,
    ) -> NDArray[np.float32]:
        """1 where whole cortex withstands the lesion, 0 where it is gone or was never there."""
        eaten = textures.medium.at(points.u, points.v, points.w, shift_mm=self.shift_mm + 57)
        shell = np.clip((bone_distance + cortex_mm) / np.float32(0.8) + 0.5, 0, 1)
        attack = np.float32(self.spec.breach) * np.clip(0.55 + 0.9 * cosine, 0.05, 1.3)
        return np.asarray(shell * np.clip(1.15 - 1.25 * attack - 0.35 * attack * eaten, 0, 1))

    def _matrix_hu(self, points: Points, textures: Textures) -> NDArray[np.float32]:
        """HU inside the bone."""
        cloud = textures.cloud.at(points.u, points.v, points.w, shift_mm=self.shift_mm + 11)
        grain = textures.medium.at(points.u, points.v, points.w, shift_mm=self.shift_mm + 83)
        fluff = cloud + 0.45 * grain
        soft = 42 + 8 * grain
        if self.spec.matrix == "lytic":
            return np.asarray(soft + 90 * np.clip(fluff - 1.6, 0, 2))
        if self.spec.matrix == "blastic":
            return np.asarray(np.clip(760 + 260 * fluff, 260, 1500))
        return np.asarray(soft + np.clip(520 * (fluff + 0.25), 0, 1150))

    def _mass_hu(
        self,
        points: Points,
        bone_distance: NDArray[np.float32],
        textures: Textures,
    ) -> NDArray[np.float32]:
        """HU of the mass outside the bone: soft, dying in places, clouded with mineral near the bone."""
        cloud = textures.cloud.at(points.u, points.v, points.w, shift_mm=self.shift_mm + 23)
        grain = textures.medium.at(points.u, points.v, points.w, shift_mm=self.shift_mm + 5)
        soft = 52 + 5 * grain + 5 * cloud - 26 * np.clip(cloud - 0.7, 0, 1)
        near = np.exp(-np.maximum(bone_distance, 0) / np.float32(max(self.core.radii[2] * 0.32, 6)))
        threshold = 2.1 - 2.2 * np.float32(self.spec.mineralisation) * (0.35 + 0.9 * near)
        mineral = (
            np.clip((-cloud + 0.5 * grain - threshold) * 1.1, 0, 1) if self.spec.mineralisation > 0 else np.float32(0)
        )
        return np.asarray(soft + mineral * (340 + 330 * near))

    def _periosteal(
        self,
        hu: NDArray[np.float32],
        bone_distance: NDArray[np.float32],
        frame: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
        *,
        textures: Textures,
    ) -> NDArray[np.bool_]:
        """Sunburst spicules across the lesion, Codman triangles at its ends; returns the spicules: tumour bone."""
        cosine, angle, height = frame
        half = np.float32(self.core.radii[2])
        sector = np.clip((cosine + 0.25) * 2.5, 0, 1)
        spicules = np.zeros(hu.shape, dtype=np.bool_)
        if self.spec.periosteal in {"sunburst", "both"}:
            length = (
                (5 + 9 * self.spec.soft_tissue_mass) * np.sqrt(np.clip(1 - np.square(height / half), 0, 1)) * sector
            )
            turned = angle * np.float32(self.bone_radius * 0.55)
            flat = np.zeros_like(height)
            needles = textures.fine.at(turned, flat, height * np.float32(0.8), shift_mm=self.shift_mm + 41)
            length = length * np.clip(
                1 + 0.4 * textures.cloud.at(turned, flat, height, shift_mm=self.shift_mm), 0.2, 1.5
            )
            share = (
                np.clip(needles * 1.1 - 0.15, 0, 1)
                * np.clip((length - bone_distance) / 3, 0, 1)
                * np.clip(bone_distance + 0.8, 0, 1)
            )
            hu += share * (560 - hu) * (hu < 560)
            spicules = np.asarray((share > 0.3) & (bone_distance > 0))
        if self.spec.periosteal in {"codman", "both"}:
            from_end = np.abs(height) - half * np.float32(0.82)
            lift = np.clip(1 - from_end / 16, 0, 1) * (from_end > 0) * 5.5 * np.clip((cosine - 0.1) * 4, 0, 1)
            shell = np.clip(1.1 - np.abs(bone_distance - lift), 0, 1) * (lift > 0.6)
            below = np.clip(lift - bone_distance, 0, 1) * (bone_distance > 0)
            hu += below * 0.5 * (170 - hu)
            hu += shell * 0.85 * (720 - hu) * (hu < 720)
        return spicules


def place_lesion(spec: LesionSpec, bone: Bone, *, scale: float, generator: np.random.Generator) -> Lesion:
    """Put a lesion on the axis of its bone.

    Args:
        spec: what is asked; its millimetres are real ones.
        bone: with an axis.
        scale: real millimetres per reference millimetre.
        generator: draws the place in the textures.
    """
    u, v, w, radius = axis_point(bone, SITES[spec.bone, spec.site], spec.position)
    turn = np.deg2rad(spec.direction_degrees)
    out = np.array([np.cos(turn), np.sin(turn)])
    size = spec.size_mm / scale
    across = min(0.34 * size, 1.05 * radius) + 1.5
    core_uv = np.array([u, v]) + out * max(radius - across, 0.0) * 0.7
    core = Ellipsoid((float(core_uv[0]), float(core_uv[1]), w), (across, across, size / 2))
    mass = None
    if spec.soft_tissue_mass > 0:
        thick = 0.4 * size * spec.soft_tissue_mass
        mass_uv = np.array([u, v]) + out * (radius * 0.75 + thick * 0.32)
        wide = thick * 0.62 + radius * 0.42
        mass = Ellipsoid(
            (float(mass_uv[0]), float(mass_uv[1]), w), (wide, wide, min(0.34 * size + 0.3 * thick, 0.46 * size))
        )
    return Lesion(
        spec=spec,
        core=core,
        mass=mass,
        bone_centre=(u, v, w),
        bone_radius=radius,
        shift_mm=float(generator.uniform(0, 500)),
    )


def paint_benign(
    hu: NDArray[np.float32],
    points: Points,
    bone_distance: NDArray[np.float32],
    *,
    spec: BenignSpec,
    bone: Bone,
    scale: float,
    textures: Textures,
    skin: NDArray[np.float32],
) -> None:
    """Draw a bone island or a fracture with its callus into ``hu`` in place."""
    u, v, w, radius = axis_point(bone, SITES[spec.bone, spec.site], spec.position)
    size = spec.size_mm / scale
    grain = textures.medium.at(points.u, points.v, points.w, shift_mm=97)
    if spec.kind == "bone_island":
        spot = Ellipsoid((u + 0.4 * radius, v, w), (size / 2, size / 2, size * 0.6)).distance(points) + 0.4 * grain
        share = np.clip(0.5 - spot, 0, 1) * (bone_distance < 0)
        hu += share * (1050 - hu)
        return
    height = (points.w - np.float32(w)) / np.float32(size)
    if spec.gap_mm > 0:
        cover = np.clip(0.5 - (skin + np.float32(2.5)) / 1.5, 0, 1)
        _paint_young_callus(hu, points, bone_distance, cover, spec=spec, at=(u, v, w, radius, scale), textures=textures)
        return
    cuff = bone_distance - np.float32(0.28 * radius + 1) * np.exp(-np.square(height * 2)) + 0.5 * grain
    share = np.clip(0.5 - cuff, 0, 1) * (np.abs(height) < 1)
    new_bone = 760 + 120 * grain
    hu += share * (new_bone - hu) * (hu < new_bone)


def _paint_young_callus(
    hu: NDArray[np.float32],
    points: Points,
    bone_distance: NDArray[np.float32],
    cover: NDArray[np.float32],
    *,
    spec: BenignSpec,
    at: tuple[float, float, float, float, float],
    textures: Textures,
) -> None:
    """A fracture that heals: an oblique gap, and a fluffy cuff that is denser near the bone.

    ``cover`` is 1 below the skin; ``at`` is (u, v, w, radius, scale) of the bone.
    """
    u, v, w, radius, scale = at
    grain = textures.medium.at(points.u, points.v, points.w, shift_mm=97)
    cloud = textures.cloud.at(points.u, points.v, points.w, shift_mm=53)
    turn = np.deg2rad(spec.direction_degrees)
    across = (points.u - np.float32(u)) * np.float32(np.cos(turn)) + (points.v - np.float32(v)) * np.float32(
        np.sin(turn)
    )
    rise = points.w - np.float32(w) - np.float32(0.45) * across
    gap = np.abs(rise) - np.float32(spec.gap_mm / scale / 2) + 0.5 * grain
    open_share = np.clip(0.5 - gap / 1.5, 0, 1) * np.clip(0.5 - bone_distance, 0, 1)
    hu += open_share * (70 + 25 * grain - hu)
    height = (points.w - np.float32(w)) / np.float32(spec.size_mm / scale / 2)
    most = np.float32(min(0.45 * radius + 1.5, 9.5))
    thick = most * np.clip(1 - np.square(height), 0, 1) * np.clip(1 + 0.3 * cloud, 0.3, 1.5)
    cuff = bone_distance - thick + 0.7 * grain
    share = np.clip(0.5 - cuff / 1.5, 0, 1) * (bone_distance > -1) * (thick > 0.5) * cover
    depth = np.clip(bone_distance / np.maximum(thick, 1), 0, 1)
    new_bone = np.clip(640 - 330 * depth + 130 * cloud + 90 * grain, 90, 900)
    hu += share * (new_bone - hu) * (hu < new_bone)


def axis_point(bone: Bone, site: tuple[float, float], position: float) -> tuple[float, float, float, float]:
    """Centre (u, v, w) and mean radius of a bone's tube."""
    w = site[0] + position * (site[1] - site[0])
    if bone.axis is None:
        return 0.0, 0.0, w, 10.0
    section = bone.axis.section(np.array([[w]], dtype=np.float32))
    u, v, width, depth = (float(column[0, 0]) for column in section[:4])
    return u, v, w, (width + depth) / 2
