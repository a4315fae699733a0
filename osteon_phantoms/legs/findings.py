"""What is painted into a drawn bone: mimics, infections, tumours.

Tumours show the radiology of conventional osteosarcoma: permeative destruction, cloud-like mineral, cortical breach,
sunburst spicules, Codman triangles at both ends, a soft-tissue mass with necrosis. An infection is its hard negative:
lysis that stays in the marrow behind a sclerotic rim, a dense dead fragment inside it (sequestrum), a solid or layered
sleeve of new bone (involucrum), a channel through both (cloaca) with a tract to the skin, and soft tissue that is
swollen without a border; no clouds of tumour bone, no spicules, no mass.

References: Murphey et al., doi:10.1148/radiographics.17.5.9308111; Pineda, Espinosa and Pena,
doi:10.1055/s-0029-1214160.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon_phantoms.labels import INFECTION_VALUE, LESION_VALUE
from osteon_phantoms.legs.anatomy import axis_point
from osteon_phantoms.paint import blend, densify, soft
from osteon_phantoms.shapes import Ellipsoid, Points, Rod
from osteon_phantoms.spec import table, uniform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon_phantoms.legs.anatomy import Bone
    from osteon_phantoms.legs.spec import BenignSpec, LesionSpec
    from osteon_phantoms.paint import Values
    from osteon_phantoms.shapes import F32
    from osteon_phantoms.texture import Texture, Textures

__all__ = ["BoneView", "Infection", "Lesion", "Mimic", "Placed", "place_infection", "place_lesion", "place_mimic"]

_F = np.float32
_TRACT_BELOW: Final = 0.6
_SEQUESTRUM_BELOW: Final = 0.75
_MOST_LIFT_MM: Final = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class BoneView:
    """A drawn bone in a window of one slice.

    Attributes:
        hu: (row, column), painted into.
        points: of its pixels.
        away: signed distance to the surface of the bone.
        cortex_mm: thickness of its cortex.
        skin: signed distance to the skin.
        textures: of the patient.
        width_mm: pixel size.
    """

    hu: F32
    points: Points
    away: F32
    cortex_mm: F32
    skin: F32
    textures: Textures
    width_mm: float

    def grain(self, texture: Texture, shift_mm: float) -> F32:
        """A texture at the pixels."""
        return texture.of(self.points, shift_mm=shift_mm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A finding placed in a bone, in reference millimetres of the limb.

    Attributes:
        spec: what was asked.
        label: its value in the truth; 0 for none.
        at: (u, v, w) of the bone's axis there.
        radius: mean radius of the bone there.
        shift_mm: its own place in the textures.
    """

    spec: BenignSpec | LesionSpec
    label: int = 0
    at: tuple[float, float, float]
    radius: float
    shift_mm: float = 0.0

    @property
    def w_range(self) -> tuple[float, float]:
        """Heights that it can reach in its bone."""
        return -np.inf, np.inf

    @property
    def reach(self) -> tuple[float, float, float] | None:
        """Centre (u, v) and radius of a disc that holds it, where it leaves its bone."""
        return None

    @property
    def swelling(self) -> tuple[Ellipsoid, ...]:
        """What lifts the skin as a shape of its own."""
        return ()

    def lift_mm(self, w: F32) -> F32 | float:
        """How far it lifts the skin all around at heights w."""
        del w
        return 0.0

    def soak(self, tissue: F32, view: BoneView, fascia: F32) -> None:
        """Change the soft tissue around, in place; ``view`` is that of the limb, ``fascia`` the border of its fat."""

    def paint(self, view: BoneView) -> NDArray[np.bool_]:
        """Draw it in place; says where it is."""
        raise NotImplementedError

    def sector(self, points: Points) -> tuple[F32, F32, F32]:
        """Offsets from the bone's axis, and the share of them in the direction of the finding."""
        x, y = points.u - _F(self.at[0]), points.v - _F(self.at[1])
        turn = np.deg2rad(self.spec.direction_degrees)
        return x, y, x * _F(np.cos(turn)) + y * _F(np.sin(turn))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion(Placed):
    """A tumour.

    Attributes:
        core: the part inside the bone.
        mass: the part outside, or None.
    """

    spec: LesionSpec
    core: Ellipsoid
    mass: Ellipsoid | None

    @property
    def w_range(self) -> tuple[float, float]:
        """Heights that the lesion or its periosteal reaction can reach."""
        parts = [part.w_range for part in (self.core, self.mass) if part is not None]
        return min(low for low, _ in parts) - 24, max(high for _, high in parts) + 24

    @property
    def reach(self) -> tuple[float, float, float]:
        """Centre (u, v) and radius of a disc that holds the lesion."""
        u, v, _ = self.at
        far = self.radius + 20
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

    def paint(self, view: BoneView) -> NDArray[np.bool_]:
        """Draw the lesion; it is inside the bone, in the mass, and where mineral was laid down."""
        cloud, medium = view.textures.cloud, view.textures.medium
        rough = view.grain(cloud, self.shift_mm)
        bite = view.grain(medium, self.shift_mm + 31)
        inside = np.maximum(self.core.distance(view.points) + _F(2.2) * rough + _F(0.8) * bite, view.away)
        x, y, toward = self.sector(view.points)
        cosine = toward / (np.sqrt(x * x + y * y) + _F(0.1))
        eaten = view.grain(medium, self.shift_mm + 57)
        shell = np.clip((view.away + view.cortex_mm) / _F(0.8) + 0.5, 0, 1)
        attack = _F(self.spec.breach) * np.clip(0.55 + 0.9 * cosine, 0.05, 1.3)
        # 1 where whole cortex withstands the lesion, 0 where it is gone or was never there
        remaining = shell * np.clip(1.15 - 1.25 * attack - 0.35 * attack * eaten, 0, 1)
        permeates = soft(inside + 1.0, 4.0) * soft(view.away, view.width_mm)
        blend(view.hu, permeates * (1 - remaining), self._matrix_hu(view))
        found = inside < 0
        if self.mass is not None:
            outside = np.maximum(self.mass.distance(view.points) + _F(2.6) * rough, -view.away)
            blend(view.hu, soft(outside, view.width_mm), self._mass_hu(view))
            found |= outside < 0
        height = view.points.w - _F(self.at[2])
        if self.spec.periosteal in {"sunburst", "both"}:
            found |= self._spicules(view, cosine, np.arctan2(y, x), height)
        if self.spec.periosteal in {"codman", "both"}:
            self._triangles(view, cosine, height)
        return np.asarray(found)

    def _matrix_hu(self, view: BoneView) -> F32:
        """HU inside the bone."""
        cloud = view.grain(view.textures.cloud, self.shift_mm + 11)
        grain = view.grain(view.textures.medium, self.shift_mm + 83)
        fluff = cloud + 0.45 * grain
        soft_hu = 42 + 8 * grain
        if self.spec.matrix == "lytic":
            return np.asarray(soft_hu + 90 * np.clip(fluff - 1.6, 0, 2))
        if self.spec.matrix == "blastic":
            return np.asarray(np.clip(760 + 260 * fluff, 260, 1500))
        return np.asarray(soft_hu + np.clip(520 * (fluff + 0.25), 0, 1150))

    def _mass_hu(self, view: BoneView) -> F32:
        """HU of the mass outside the bone: soft, dying in places, clouded with mineral near the bone."""
        cloud = view.grain(view.textures.cloud, self.shift_mm + 23)
        grain = view.grain(view.textures.medium, self.shift_mm + 5)
        soft_hu = 52 + 5 * grain + 5 * cloud - 26 * np.clip(cloud - 0.7, 0, 1)
        near = np.exp(-np.maximum(view.away, 0) / _F(max(self.core.radii[2] * 0.32, 6)))
        if self.spec.mineralisation <= 0:
            return np.asarray(soft_hu)
        threshold = 2.1 - 2.2 * _F(self.spec.mineralisation) * (0.35 + 0.9 * near)
        return np.asarray(soft_hu + np.clip((-cloud + 0.5 * grain - threshold) * 1.1, 0, 1) * (340 + 330 * near))

    def _spicules(self, view: BoneView, cosine: Values, angle: F32, height: F32) -> NDArray[np.bool_]:
        """Sunburst spicules across the lesion: tumour bone."""
        half = _F(self.core.radii[2])
        round_ = np.sqrt(np.clip(1 - np.square(height / half), 0, 1))
        length = (5 + 9 * self.spec.soft_tissue_mass) * round_ * np.clip((cosine + 0.25) * 2.5, 0, 1)
        turned, flat = angle * _F(self.radius * 0.55), np.zeros_like(height)
        needles = view.textures.fine.at(turned, flat, height * _F(0.8), shift_mm=self.shift_mm + 41)
        length = length * np.clip(
            1 + 0.4 * view.textures.cloud.at(turned, flat, height, shift_mm=self.shift_mm), 0.2, 1.5
        )
        share = np.clip(needles * 1.1 - 0.15, 0, 1) * np.clip((length - view.away) / 3, 0, 1)
        share = share * np.clip(view.away + 0.8, 0, 1)
        densify(view.hu, share, 560)
        return np.asarray((share > 0.3) & (view.away > 0))

    def _triangles(self, view: BoneView, cosine: Values, height: F32) -> None:
        """Codman triangles at the ends of the lesion."""
        from_end = np.abs(height) - _F(self.core.radii[2]) * _F(0.82)
        lift = np.clip(1 - from_end / 16, 0, 1) * (from_end > 0) * 5.5 * np.clip((cosine - 0.1) * 4, 0, 1)
        shell = np.clip(1.1 - np.abs(view.away - lift), 0, 1) * (lift > 0.6)
        below = np.clip(lift - view.away, 0, 1) * (view.away > 0)
        blend(view.hu, below * 0.5, 170)
        densify(view.hu, shell * 0.85, 720)


def place_lesion(spec: LesionSpec, bone: Bone, number: int, *, scale: float, generator: np.random.Generator) -> Lesion:
    """Put a tumour on the axis of its bone.

    Args:
        spec: what is asked; its millimetres are real ones.
        bone: with an axis.
        number: of the lesions, from 0.
        scale: real millimetres per reference millimetre.
        generator: draws the place in the textures.
    """
    u, v, w, radius = axis_point(bone, spec.height_w_mm)
    turn = np.deg2rad(spec.direction_degrees)
    out = np.array([np.cos(turn), np.sin(turn)])
    size = spec.size_mm / scale
    across = min(0.34 * size, 1.05 * radius) + 1.5
    core_uv = np.array([u, v]) + out * max(radius - across, 0.0) * 0.7
    mass = None
    if spec.soft_tissue_mass > 0:
        thick = 0.4 * size * spec.soft_tissue_mass
        mass_uv = np.array([u, v]) + out * (radius * 0.75 + thick * 0.32)
        wide = thick * 0.62 + radius * 0.42
        radii = (wide, wide, min(0.34 * size + 0.3 * thick, 0.46 * size))
        mass = Ellipsoid((float(mass_uv[0]), float(mass_uv[1]), w), radii)
    return Lesion(
        spec=spec,
        label=LESION_VALUE + number,
        core=Ellipsoid((float(core_uv[0]), float(core_uv[1]), w), (across, across, size / 2)),
        mass=mass,
        at=(u, v, w),
        radius=radius,
        shift_mm=uniform(generator, 0, 500),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mimic(Placed):
    """A bone island, or a fracture with its callus; ``scale`` is real millimetres per reference millimetre."""

    spec: BenignSpec
    scale: float

    def paint(self, view: BoneView) -> NDArray[np.bool_]:
        """Draw it; the truth knows nothing of it."""
        grain = view.grain(view.textures.medium, 97)
        size = self.spec.size_mm / self.scale
        if self.spec.kind == "bone_island":
            u, v, w = self.at
            spot = Ellipsoid((u + 0.4 * self.radius, v, w), (size / 2, size / 2, size * 0.6))
            blend(view.hu, soft(spot.distance(view.points) + 0.4 * grain, 1.0) * (view.away < 0), 1050)
        elif self.spec.gap_mm > 0:
            self._young_callus(view, grain)
        else:
            height = (view.points.w - _F(self.at[2])) / _F(size)
            cuff = view.away - _F(0.28 * self.radius + 1) * np.exp(-np.square(height * 2)) + 0.5 * grain
            densify(view.hu, soft(cuff, 1.0) * (np.abs(height) < 1), 760 + 120 * grain)
        return np.zeros(view.hu.shape, dtype=np.bool_)

    def _young_callus(self, view: BoneView, grain: F32) -> None:
        """A fracture that heals: an oblique gap, and a fluffy cuff below the skin that is denser near the bone."""
        cloud = view.grain(view.textures.cloud, 53)
        cover = soft(view.skin + _F(2.5), 1.5)
        rise = view.points.w - _F(self.at[2]) - _F(0.45) * self.sector(view.points)[2]
        gap = np.abs(rise) - _F(self.spec.gap_mm / self.scale / 2) + 0.5 * grain
        blend(view.hu, soft(gap, 1.5) * soft(view.away, 1.0), 70 + 25 * grain)
        height = (view.points.w - _F(self.at[2])) / _F(self.spec.size_mm / self.scale / 2)
        most = _F(min(0.45 * self.radius + 1.5, 9.5))
        thick = most * np.clip(1 - np.square(height), 0, 1) * np.clip(1 + 0.3 * cloud, 0.3, 1.5)
        cuff = view.away - thick + 0.7 * grain
        share = soft(cuff, 1.5) * (view.away > -1) * (thick > 0.5) * cover
        depth = np.clip(view.away / np.maximum(thick, 1), 0, 1)
        densify(view.hu, share, np.clip(640 - 330 * depth + 130 * cloud + 90 * grain, 90, 900))


def place_mimic(spec: BenignSpec, bone: Bone, *, scale: float) -> Mimic:
    """Put a bone island or a fracture on the axis of its bone."""
    u, v, w, radius = axis_point(bone, spec.height_w_mm)
    return Mimic(spec=spec, at=(u, v, w), radius=radius, scale=scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Infection(Placed):
    """A focus of osteomyelitis.

    Attributes:
        cavities: the lysis; their union.
        sequestrum: the dead fragment, or None in a fresh infection.
        cloaca: the channel through cortex and sleeve, or None in a fresh infection.
        tract: from the cloaca through the skin, or None likewise.
        oedema: where soft tissue is swollen.
        half_mm: half its length.
    """

    spec: BenignSpec
    cavities: tuple[Ellipsoid, ...] = field(repr=False)
    sequestrum: Ellipsoid | None
    cloaca: Rod | None
    tract: Rod | None
    oedema: Ellipsoid
    half_mm: float

    @property
    def w_range(self) -> tuple[float, float]:
        """Heights that the bone's part of the focus can reach."""
        return self.at[2] - self.half_mm - 12, self.at[2] + self.half_mm + 12

    @property
    def reach(self) -> tuple[float, float, float]:
        """Centre (u, v) and radius of a disc that holds bone and sleeve."""
        return self.at[0], self.at[1], self.radius + 24

    def lift_mm(self, w: F32) -> F32:
        """How far the swelling lifts the skin all around at heights w."""
        away = (w - _F(self.oedema.centre[2])) / _F(self.oedema.radii[2])
        return np.asarray(_MOST_LIFT_MM * self.spec.swelling * np.exp(-np.square(1.3 * away)), dtype=_F)

    def soak(self, tissue: F32, view: BoneView, fascia: F32) -> None:
        """Blur the fat planes, streak the fat under the skin, and open the tract."""
        points, textures = view.points, view.textures
        low, high = points.w_range
        if high < self.oedema.w_range[0] - 20 or low > self.oedema.w_range[1] + 20:
            return
        cloud = view.grain(textures.cloud, self.shift_mm + 71)
        fibre = textures.medium.at(points.u, points.v, points.w * 0.4, shift_mm=self.shift_mm + 13)
        near = soft(self.oedema.distance(points) + 5 * cloud, 18)
        deep = soft(fascia, 4)
        weight = near * (0.8 * deep + (1 - deep) * (0.14 + 0.5 * np.clip(fibre - 0.1, 0, 1)))
        blend(tissue, _F(self.spec.swelling) * weight, 61 + 4 * cloud + 3 * fibre)
        if self.tract is not None:
            tube = np.maximum(self.tract.distance(points) + 0.8 * cloud, view.skin)
            blend(tissue, soft(tube - 2.5, view.width_mm + 1), 74)
            blend(tissue, soft(tube, view.width_mm), 18)

    def paint(self, view: BoneView) -> NDArray[np.bool_]:
        """Draw the focus: lysis, sequestrum, channel, and the sleeve of new bone, which ends below the skin."""
        hu, away, width = view.hu, view.away, view.width_mm
        rough = view.grain(view.textures.cloud, self.shift_mm)
        grain = view.grain(view.textures.medium, self.shift_mm + 17)
        sleeve = self._sleeve(view, rough) * soft(view.skin + 2.5, width)
        # layers thinner than two pixels would only alias into dots
        visible = float(np.clip(2 - width, 0, 1))
        fresh = _F(self.spec.activity)
        layers = np.square(np.sin(away * _F(np.pi / 2.2)))
        densify(hu, sleeve, 860 + 90 * grain - 240 * fresh - 330 * visible * fresh * (1 - layers))
        core = reduce(np.minimum, (cavity.distance(view.points) for cavity in self.cavities))
        core = core + _F(1.5) * rough + _F(0.6) * grain
        in_bone = soft(away, width)
        rim = np.exp(-np.maximum(core, 0) / (1.5 + 4.5 * (1 - fresh))) * in_bone
        densify(hu, rim, 380 + 520 * (1 - fresh) + 90 * grain)
        pus = 32 + 6 * grain + 4 * rough
        inside = np.maximum(core, away + view.cortex_mm * (0.8 - 0.6 * fresh))
        blend(hu, soft(inside, max(width, 1.2)), pus)
        eaten = np.clip(2 * (grain - 1.9 + 1.6 * fresh), 0, 1) * np.clip(0.5 - (core - 3 - 3 * fresh) / 4, 0, 1)
        blend(hu, eaten * in_bone, pus)
        found = (inside < 0) | (sleeve > 0.5)
        if self.cloaca is not None:
            channel = self.cloaca.distance(view.points) + _F(0.7) * grain
            blend(hu, soft(channel, width), pus)
            found |= (channel < 0) & (away < 0)
        if self.sequestrum is not None:
            dead = np.maximum(self.sequestrum.distance(view.points) + _F(0.9) * grain, inside + 1.2)
            blend(hu, soft(dead, width), 1290 + 60 * grain)
        return np.asarray(found)

    def _sleeve(self, view: BoneView, rough: F32) -> F32:
        """Share of each pixel that is new bone under the periosteum."""
        x, y, toward = self.sector(view.points)
        cosine = toward / (np.hypot(x, y) + _F(0.1))
        w = view.points.w
        low, high = table("legs")["periosteum_w_mm"][self.spec.bone]
        covered = np.clip(np.minimum(w - low, high - w) / 12, 0, 1)
        profile = np.sqrt(np.clip(1 - np.square((w - _F(self.at[2])) / _F(self.half_mm)), 0, 1)) * covered
        most = 2.6 + min(0.32 * self.radius, 7.0) * (1 - 0.55 * self.spec.activity)
        wide = 0.75 if self.radius > 20 else 0.3
        thick = most * profile * np.clip(1 - wide + wide * cosine, 0, 1) * np.clip(1 + 0.3 * rough, 0.3, 1.6)
        share = soft(view.away - thick, view.width_mm) * np.clip(0.5 + view.away / _F(view.width_mm), 0, 1)
        return np.asarray(share * (thick > 0.5))


def place_infection(
    spec: BenignSpec, bone: Bone, number: int, *, scale: float, generator: np.random.Generator
) -> Infection:
    """Put a focus on the axis of its bone.

    Args:
        spec: what is asked; its millimetres are real ones.
        bone: with an axis.
        number: of the infections, from 0.
        scale: real millimetres per reference millimetre.
        generator: draws cavities, fragment, channel and the place in the textures.
    """
    u, v, w, radius = axis_point(bone, spec.height_w_mm)
    turn = np.deg2rad(spec.direction_degrees)
    out = np.array([np.cos(turn), np.sin(turn)])
    half = spec.size_mm / scale / 2
    across = min(0.34 * half + 2.0, (0.68 + 0.12 * spec.activity) * radius)
    off = 0.6 * max(radius - across, 0.0) * (radius > 20)  # in a wide metaphysis the focus is to one side

    def cavity(along: float, share: float) -> Ellipsoid:
        sway = generator.uniform(-0.25, 0.25, size=2) * across
        near = np.array([u, v]) + out * off + sway
        a, b = (float(across * share * generator.uniform(0.8, 1.15)) for _ in range(2))
        return Ellipsoid((float(near[0]), float(near[1]), w + along * half), (a, b, half * share * 0.62))

    cavities = (
        cavity(uniform(generator, -0.15, 0.15), 1.0),
        cavity(uniform(generator, 0.35, 0.6), uniform(generator, 0.45, 0.75)),
        cavity(uniform(generator, -0.6, -0.35), uniform(generator, 0.45, 0.75)),
    )
    sequestrum = cloaca = tract = None
    if spec.activity < _SEQUESTRUM_BELOW:
        (x, y, z), (a, b, c) = cavities[0].centre, cavities[0].radii
        thin = uniform(generator, 0.3, 0.55)
        sequestrum = Ellipsoid((x + 0.15 * a, y - 0.1 * b, z), (a * thin, b * thin * 0.8, c * 0.6))
    if spec.activity < _TRACT_BELOW:
        height = w + half * uniform(generator, -0.3, 0.3)
        sink = half * uniform(generator, -0.2, 0.2)
        hole = uniform(generator, 2.0, 3.6)
        ends = [np.array([u, v]) + out * far for far in (off, radius + 12.0, radius + 90.0)]
        inner, middle, outer = (
            (float(p[0]), float(p[1]), h)
            for p, h in zip(ends, (height, height + 0.2 * sink, height + sink), strict=True)
        )
        cloaca = Rod(inner, middle, hole, hole)
        tract = Rod(middle, outer, 0.8 * hole, 0.6 * hole)
    centre = np.array([u, v]) + out * 0.5 * radius
    spread = radius + 14.0 + 24.0 * spec.swelling
    return Infection(
        spec=spec,
        label=INFECTION_VALUE + number,
        cavities=cavities,
        sequestrum=sequestrum,
        cloaca=cloaca,
        tract=tract,
        oedema=Ellipsoid((float(centre[0]), float(centre[1]), w), (spread, spread, 1.15 * half + 22.0)),
        at=(u, v, w),
        radius=radius,
        half_mm=half,
        shift_mm=uniform(generator, 0, 500),
    )
