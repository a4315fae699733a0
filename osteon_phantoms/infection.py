"""An osteomyelitis-like focus: the hard negative of an osteosarcoma, painted into a drawn bone.

What it shows and a tumour does not: lysis that stays in the marrow behind a sclerotic rim, a dense dead fragment
inside it (sequestrum), a solid or laminated sleeve of new bone (involucrum), a channel through both (cloaca) with a
tract to the skin, and flesh that is swollen without a border. What it does not show: clouds of tumour bone, spicules,
a mass. Reference: Pineda, Espinosa and Pena, doi:10.1055/s-0029-1214160.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon_phantoms.solid import Ellipsoid, Points, Rod
from osteon_phantoms.spec import SITES
from osteon_phantoms.tumour import axis_point

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon_phantoms.skeleton import Bone
    from osteon_phantoms.spec import BenignSpec
    from osteon_phantoms.texture import Textures

__all__ = ["Infection", "place_infection"]

_PERIOSTEUM_W_MM: Final = {"femur": (32.0, 385.0), "tibia": (-348.0, -26.0), "fibula": (-350.0, -26.0)}
"""Heights between the joints, where bone has a periosteum that can make new bone."""

_TRACT_BELOW: Final = 0.6
_SEQUESTRUM_BELOW: Final = 0.75
_MOST_LIFT_MM: Final = 5.0


@dataclass(frozen=True, slots=True)
class Infection:
    """A focus placed in a bone, in reference millimetres of the limb.

    Attributes:
        spec: what was asked.
        cavities: the lysis; their union.
        sequestrum: the dead fragment, or None in a fresh infection.
        cloaca: the channel through cortex and sleeve, or None in a fresh infection.
        tract: from the cloaca through the skin, or None likewise.
        oedema: where flesh is swollen.
        bone_centre: (u, v, w) of the bone's axis at the focus.
        bone_radius: mean radius of the bone there.
        half_mm: half its length.
        shift_mm: place in the textures.
    """

    spec: BenignSpec
    cavities: tuple[Ellipsoid, ...]
    sequestrum: Ellipsoid | None
    cloaca: Rod | None
    tract: Rod | None
    oedema: Ellipsoid
    bone_centre: tuple[float, float, float]
    bone_radius: float
    half_mm: float
    shift_mm: float

    @property
    def w_range(self) -> tuple[float, float]:
        """Heights that the bone's part of the focus can reach."""
        return self.bone_centre[2] - self.half_mm - 12, self.bone_centre[2] + self.half_mm + 12

    @property
    def reach(self) -> tuple[float, float, float]:
        """Centre (u, v) and radius of a disc that holds bone and sleeve."""
        return self.bone_centre[0], self.bone_centre[1], self.bone_radius + 24

    def lift_mm(self, w: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far the swelling lifts the skin all around at heights w."""
        away = (w - np.float32(self.oedema.centre[2])) / np.float32(self.oedema.radii[2])
        return np.asarray(_MOST_LIFT_MM * self.spec.swelling * np.exp(-np.square(1.3 * away)), dtype=np.float32)

    def soak(
        self,
        tissue: NDArray[np.float32],
        points: Points,
        *,
        fascia: NDArray[np.float32],
        skin: NDArray[np.float32],
        textures: Textures,
        width_mm: float,
    ) -> None:
        """Blur the fat planes of drawn flesh, streak the fat under the skin, and open the tract; in place.

        Args:
            tissue: (row, column) HU of skin, fat and muscle.
            points: of its pixels.
            fascia: signed distance to the border of fat under the skin; negative in the muscles' compartment.
            skin: signed distance to the skin.
            textures: of the patient.
            width_mm: pixel size.
        """
        low, high = points.w_range
        if high < self.oedema.w_range[0] - 20 or low > self.oedema.w_range[1] + 20:
            return
        cloud = textures.cloud.at(points.u, points.v, points.w, shift_mm=self.shift_mm + 71)
        fibre = textures.medium.at(points.u, points.v, points.w * 0.4, shift_mm=self.shift_mm + 13)
        near = np.clip(0.5 - (self.oedema.distance(points) + 5 * cloud) / np.float32(18), 0, 1)
        deep = np.clip(0.5 - fascia / np.float32(4), 0, 1)
        weight = near * (0.8 * deep + (1 - deep) * (0.14 + 0.5 * np.clip(fibre - 0.1, 0, 1)))
        wet = 61 + 4 * cloud + 3 * fibre
        tissue += np.float32(self.spec.swelling) * weight * (wet - tissue)
        if self.tract is not None:
            tube = self.tract.distance(points) + 0.8 * cloud
            tube = np.maximum(tube, skin)
            wall = np.clip(0.5 - (tube - 2.5) / np.float32(width_mm + 1), 0, 1)
            tissue += wall * (74 - tissue)
            tissue += np.clip(0.5 - tube / np.float32(width_mm), 0, 1) * (18 - tissue)

    def paint(
        self,
        hu: NDArray[np.float32],
        points: Points,
        bone_distance: NDArray[np.float32],
        *,
        cortex_mm: NDArray[np.float32],
        textures: Textures,
        width_mm: float,
        skin: NDArray[np.float32],
    ) -> NDArray[np.bool_]:
        """Draw the focus into ``hu`` in place; the sleeve ends below the ``skin`` (signed distance).

        Returns:
            Where it is: lysis, sequestrum, channel, and the sleeve of new bone.
        """
        rough = textures.cloud.at(points.u, points.v, points.w, shift_mm=self.shift_mm)
        grain = textures.medium.at(points.u, points.v, points.w, shift_mm=self.shift_mm + 17)
        sleeve = self._sleeve(points, bone_distance, rough=rough, width_mm=width_mm)
        sleeve = np.asarray(sleeve * np.clip(0.5 - (skin + 2.5) / np.float32(width_mm), 0, 1))
        # layers thinner than two pixels would only alias into dots
        visible = float(np.clip(2 - width_mm, 0, 1))
        fresh = np.float32(self.spec.activity)
        layers = np.square(np.sin(bone_distance * np.float32(np.pi / 2.2)))
        new_bone = 860 + 90 * grain - 240 * fresh - 330 * visible * fresh * (1 - layers)
        hu += sleeve * (new_bone - hu) * (hu < new_bone)
        core = reduce(np.minimum, (cavity.distance(points) for cavity in self.cavities))
        core = core + np.float32(1.5) * rough + np.float32(0.6) * grain
        in_bone = np.clip(0.5 - bone_distance / np.float32(width_mm), 0, 1)
        dense = 380 + 520 * (1 - fresh) + 90 * grain
        rim = np.exp(-np.maximum(core, 0) / (1.5 + 4.5 * (1 - fresh))) * in_bone
        hu += rim * (dense - hu) * (hu < dense)
        pus = 32 + 6 * grain + 4 * rough
        inside = np.maximum(core, bone_distance + cortex_mm * (0.8 - 0.6 * fresh))
        hu += np.clip(0.5 - inside / np.float32(max(width_mm, 1.2)), 0, 1) * (pus - hu)
        eaten = np.clip(2 * (grain - 1.9 + 1.6 * fresh), 0, 1) * np.clip(0.5 - (core - 3 - 3 * fresh) / 4, 0, 1)
        eaten = eaten * in_bone
        hu += eaten * (pus - hu)
        found = (inside < 0) | (sleeve > 0.5)
        if self.cloaca is not None:
            channel = self.cloaca.distance(points) + np.float32(0.7) * grain
            share = np.clip(0.5 - channel / np.float32(width_mm), 0, 1)
            hu += share * (pus - hu)
            found |= (channel < 0) & (bone_distance < 0)
        if self.sequestrum is not None:
            dead = np.maximum(self.sequestrum.distance(points) + np.float32(0.9) * grain, inside + 1.2)
            hu += np.clip(0.5 - dead / np.float32(width_mm), 0, 1) * (1290 + 60 * grain - hu)
        return np.asarray(found)

    def _sleeve(
        self,
        points: Points,
        bone_distance: NDArray[np.float32],
        *,
        rough: NDArray[np.float32],
        width_mm: float,
    ) -> NDArray[np.float32]:
        """Share of each pixel that is new bone under the periosteum."""
        u, v, w = self.bone_centre
        turn = np.deg2rad(self.spec.direction_degrees)
        x, y = points.u - np.float32(u), points.v - np.float32(v)
        cosine = (x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn))) / (np.hypot(x, y) + np.float32(0.1))
        low, high = _PERIOSTEUM_W_MM[self.spec.bone]
        covered = np.clip(np.minimum(points.w - low, high - points.w) / 12, 0, 1)
        profile = np.sqrt(np.clip(1 - np.square((points.w - np.float32(w)) / np.float32(self.half_mm)), 0, 1)) * covered
        most = 2.6 + min(0.32 * self.bone_radius, 7.0) * (1 - 0.55 * self.spec.activity)
        wide = 0.75 if self.bone_radius > 20 else 0.3
        thick = most * profile * np.clip(1 - wide + wide * cosine, 0, 1) * np.clip(1 + 0.3 * rough, 0.3, 1.6)
        return np.asarray(
            np.clip(0.5 - (bone_distance - thick) / np.float32(width_mm), 0, 1)
            * np.clip(0.5 + bone_distance / np.float32(width_mm), 0, 1)
            * (thick > 0.5)
        )


def place_infection(spec: BenignSpec, bone: Bone, *, scale: float, generator: np.random.Generator) -> Infection:
    """Put a focus on the axis of its bone.

    Args:
        spec: what is asked; its millimetres are real ones.
        bone: with an axis.
        scale: real millimetres per reference millimetre.
        generator: draws cavities, fragment, channel and the place in the textures.
    """
    u, v, w, radius = axis_point(bone, SITES[spec.bone, spec.site], spec.position)
    turn = np.deg2rad(spec.direction_degrees)
    out = np.array([np.cos(turn), np.sin(turn)])
    half = spec.size_mm / scale / 2
    across = min(0.34 * half + 2.0, (0.68 + 0.12 * spec.activity) * radius)
    off = 0.6 * max(radius - across, 0.0) * (radius > 20)  # in a wide metaphysis the focus lies to one side

    def blob(along: float, share: float) -> Ellipsoid:
        sway = generator.uniform(-0.25, 0.25, size=2) * across
        near = np.array([u, v]) + out * off + sway
        a, b = (float(across * share * generator.uniform(0.8, 1.15)) for _ in range(2))
        return Ellipsoid((float(near[0]), float(near[1]), w + along * half), (a, b, half * share * 0.62))

    cavities = (
        blob(float(generator.uniform(-0.15, 0.15)), 1.0),
        blob(float(generator.uniform(0.35, 0.6)), float(generator.uniform(0.45, 0.75))),
        blob(float(generator.uniform(-0.6, -0.35)), float(generator.uniform(0.45, 0.75))),
    )
    main = cavities[0]
    sequestrum = cloaca = tract = None
    if spec.activity < _SEQUESTRUM_BELOW:
        a, b, c = main.radii
        thin = float(generator.uniform(0.3, 0.55))
        sequestrum = Ellipsoid(
            (main.centre[0] + 0.15 * a, main.centre[1] - 0.1 * b, main.centre[2]), (a * thin, b * thin * 0.8, c * 0.6)
        )
    if spec.activity < _TRACT_BELOW:
        at = w + half * float(generator.uniform(-0.3, 0.3))
        sink = half * float(generator.uniform(-0.2, 0.2))
        hole = float(generator.uniform(2.0, 3.6))
        ends = [np.array([u, v]) + out * far for far in (off, radius + 12.0, radius + 90.0)]
        inner, middle, outer = (
            (float(p[0]), float(p[1]), h) for p, h in zip(ends, (at, at + 0.2 * sink, at + sink), strict=True)
        )
        cloaca = Rod(inner, middle, hole, hole)
        tract = Rod(middle, outer, 0.8 * hole, 0.6 * hole)
    centre = np.array([u, v]) + out * 0.5 * radius
    spread = radius + 14.0 + 24.0 * spec.swelling
    return Infection(
        spec=spec,
        cavities=cavities,
        sequestrum=sequestrum,
        cloaca=cloaca,
        tract=tract,
        oedema=Ellipsoid((float(centre[0]), float(centre[1]), w), (spread, spread, 1.15 * half + 22.0)),
        bone_centre=(u, v, w),
        bone_radius=radius,
        half_mm=half,
        shift_mm=float(generator.uniform(0, 500)),
    )
