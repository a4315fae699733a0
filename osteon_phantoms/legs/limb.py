"""One leg placed in the scanner, drawn slice by slice; a hand and forearm that rest on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon_phantoms.labels import ARM_BONE_VALUE, ARM_VALUE, BONE_VALUES, METAL_VALUE, SOFT_VALUES
from osteon_phantoms.legs import anatomy
from osteon_phantoms.legs.findings import BoneView
from osteon_phantoms.paint import Canvas, blend, share_inside
from osteon_phantoms.shapes import FAR_MM, Points, Solid, profile_at, smooth_max
from osteon_phantoms.spec import table

if TYPE_CHECKING:
    from osteon_phantoms.legs.anatomy import Bone
    from osteon_phantoms.legs.findings import Placed
    from osteon_phantoms.legs.spec import Side
    from osteon_phantoms.paint import Plane
    from osteon_phantoms.shapes import F32, Simple
    from osteon_phantoms.texture import Textures

__all__ = ["Limb"]

_Window = tuple[slice, slice]
_F = np.float32
_FAT_HU: Final = -102.0
_MUSCLE_HU: Final = 56.0
_CARTILAGE_HU: Final = 85.0
_CROTCH_W_MM: Final = 385.0
_SHANK_SLOPE: Final = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Limb:
    """One leg of one patient.

    Attributes:
        side: whose.
        bones: in drawing order.
        scale: real millimetres per reference millimetre.
        knee_lps_mm: the knee joint's middle.
        turn_radians: outward rotation of the leg.
        lean: how much the shank moves outward per millimetre downward.
        slope: how much the thigh falls back from the knee, per millimetre; the shank falls a third of it.
        girth: soft tissue against the reference.
        fat: fat against the reference.
        density: bone density against a young adult.
        rest_v_mm: where the table flattens the skin (reference mm): (v of the plane, +1 when it is in front).
        textures: shared by both legs.
        shift_mm: this leg's own place in the textures.
        plates: whether growth plates are open.
        cut_w_mm: height of an amputation, or None.
        stays_on_its_side: whether the legs touch, and the midline parts them.
        findings: in the order of painting.
        metal: "nail", "prosthesis" or None.
    """

    side: Side
    bones: tuple[Bone, ...]
    scale: float
    knee_lps_mm: tuple[float, float, float]
    turn_radians: float
    lean: float
    slope: float
    girth: float
    fat: float
    density: float
    rest_v_mm: tuple[float, float] | None
    textures: Textures = field(repr=False)
    shift_mm: float
    plates: bool
    cut_w_mm: float | None
    stays_on_its_side: bool
    findings: tuple[Placed, ...]
    metal: str | None

    @property
    def outward(self) -> float:
        """+1 where lateral is +x (left leg), -1 on the right."""
        return 1.0 if self.side == "left" else -1.0

    def points(self, plane: Plane) -> Points:
        """The plane's pixels in the frame of this leg."""
        x0, y0, z0 = self.knee_lps_mm
        scale = _F(1 / self.scale)
        z = plane.z_lps_mm
        w = ((z[:1] if np.ptp(z) < 1e-6 else z) - _F(z0)) * scale
        w = w[:, None].astype(np.float32)
        # how far the leg's axis is outward and forward of the knee
        side = -_F(self.lean) * np.minimum(w, 0)
        steep = _F(self.slope) * np.where(w > 0, _F(1), _F(_SHANK_SLOPE))
        front = -steep * (np.sqrt(w * w + 900) - 30)
        across = (plane.x_lps_mm[None, :] - _F(x0)) * _F(self.outward) * scale - side
        forward = -(plane.y_lps_mm[:, None] - _F(y0)) * scale - front
        cosine, sine = _F(np.cos(self.turn_radians)), _F(np.sin(self.turn_radians))
        return Points(cosine * across - sine * forward, sine * across + cosine * forward, w)

    def to_lps_mm(self, u: float, v: float, w: float) -> tuple[float, float, float]:
        """A point of the leg's frame in the patient."""
        cosine, sine = math.cos(self.turn_radians), math.sin(self.turn_radians)
        side = -self.lean * min(w, 0.0)
        front = -self.slope * (1.0 if w > 0 else _SHANK_SLOPE) * (math.sqrt(w * w + 900) - 30)
        across, forward = cosine * u + sine * v + side, -sine * u + cosine * v + front
        x0, y0, z0 = self.knee_lps_mm
        return x0 + self.outward * across * self.scale, y0 - forward * self.scale, z0 + w * self.scale

    def draw(self, canvas: Canvas, plane: Plane) -> None:
        """Draw soft tissue, bones, metal and findings of this leg into a slice, in place."""
        w = (plane.z_lps_mm[[0, -1]] - self.knee_lps_mm[2]) / self.scale
        low, high = float(w.min()), float(w.max())
        disc = self._skin.disc(low, high)
        if disc is None or (self.cut_w_mm is not None and high < self.cut_w_mm - 20):
            return
        inside = self._window(plane, (disc[0], disc[1], disc[2] * max(self.girth, 1.0) + 6), low, high)
        if inside is None:
            return
        part = plane.part(*inside)
        drawn = Canvas(*canvas.part(inside).layers, plane.pixel_mm / self.scale)
        points = self.points(part)
        skin = self._draw_soft_tissue(drawn, part, points)
        self._draw_bones(drawn, part, points, skin)

    @property
    def _skin(self) -> Solid:
        return anatomy.skin(swelling=tuple(lump for finding in self.findings for lump in finding.swelling))

    def _window(self, plane: Plane, disc: tuple[float, float, float], low: float, high: float) -> _Window | None:
        """The part of a plane that holds a disc of the leg's frame between two heights."""
        ends = [self.to_lps_mm(disc[0], disc[1], w) for w in (low, high)]
        reach = disc[2] * self.scale + 2 * plane.pixel_mm
        x_range, y_range = ((min(e[axis] for e in ends) - reach, max(e[axis] for e in ends) + reach) for axis in (0, 1))
        return plane.window(x_range, y_range)

    def _skin_distance(self, plane: Plane, points: Points) -> F32:
        """Signed distance to the skin, after the table has flattened it and a surgeon or the other leg has cut it."""
        warp = self.textures.cloud.at(points.u * 0.5, points.v * 0.5, points.w * 0.5, shift_mm=self.shift_mm)
        slim = _F(self.girth)
        slack = Points(points.u / slim, points.v / slim, points.w)
        skin = self._skin.distance(slack) * slim + _F(0.9) * warp
        for finding in self.findings:
            skin = skin - finding.lift_mm(points.w)
        if self.rest_v_mm is not None:
            level, facing = self.rest_v_mm
            forward = (self.knee_lps_mm[1] - plane.y_lps_mm[:, None]) / _F(self.scale)
            skin = smooth_max(skin, (facing * (forward - _F(level))).astype(np.float32), 7.0)
        if self.cut_w_mm is not None:
            skin = smooth_max(skin, _F(self.cut_w_mm) - points.w + np.zeros_like(skin), 45.0)
        return skin

    def _share(self, plane: Plane, points: Points, skin: F32) -> F32:
        """Signed distance to the border of what this leg may fill: below the crotch its skin, above it the midline."""
        if not self.stays_on_its_side:
            return skin
        midline = -_F(self.outward / self.scale) * plane.x_lps_mm[None, :]
        return np.asarray(np.maximum(skin, midline - np.where(points.w > _CROTCH_W_MM, _F(1), _F(0))))

    def _draw_soft_tissue(self, canvas: Canvas, plane: Plane, points: Points) -> F32:
        """Draw skin, fat, muscle and what is thin; returns the distance to the border of the leg."""
        width, textures, shift = canvas.width_mm, self.textures, self.shift_mm
        skin = self._skin_distance(plane, points)
        if points.w_range[0] <= _CROTCH_W_MM:  # above the crotch no skin parts the legs
            skin = self._share(plane, points, skin)
        cloud = textures.cloud.of(points, shift_mm=shift + 7)
        fibre = textures.medium.at(points.u, points.v, points.w * 0.4, shift_mm=shift)
        fat = _FAT_HU + 5 * fibre + 34 * np.clip(fibre - 1.7, 0, 1.2)
        tissue = fat + share_inside(-(skin + _F(1.5)), 1.2) * (18 - fat)
        rows = table("legs")["fat_mm"]
        front, back = (profile_at(tuple((row[0], row[k]) for row in rows), points.w) for k in (1, 2))
        fascia = skin + (np.where(points.v > -8, front, back) * _F(self.fat) + 1.2 * cloud)
        warped = Points(points.u + 1.8 * cloud, points.v + 1.6 * np.roll(cloud, 9, axis=1), points.w)
        belly = np.maximum(self._muscle_distance(plane, warped), fascia)
        streaks = np.clip(fibre - 1.25, 0, 1.5)
        muscle = _MUSCLE_HU + 3 * fibre + 4 * cloud - 45 * streaks * _F(0.5 + 0.5 * self.fat)
        blend(tissue, share_inside(belly, width + 0.5), muscle)
        view = BoneView(tissue, points, skin, skin, skin, textures, width)
        for finding in self.findings:
            finding.soak(tissue, view, fascia)
        for shape, value in anatomy.thin_parts():
            self._lay(Canvas(tissue, None, width), plane, points, shape, value=value, limit=skin)
        border = self._share(plane, points, skin)
        canvas.lay(border, tissue, SOFT_VALUES[self.side])
        return border

    def _muscle_distance(self, plane: Plane, points: Points) -> F32:
        """Signed distance to the nearest muscle belly, held apart from its neighbour by a fat plane."""
        low, high = points.w_range
        first = np.full(points.u.shape, FAR_MM, dtype=np.float32)
        second = first.copy()
        for muscle in anatomy.muscles():
            lowest, highest = muscle.w_range
            if lowest > high or highest < low:
                continue
            u, v, radius = muscle.disc(low, high)
            window = self._window(plane, (u, v, radius + 10), low, high)
            if window is None:
                continue
            here = muscle.distance(points.window(*window))
            nearest, next_nearest = first[window], second[window]
            np.minimum(next_nearest, np.maximum(nearest, here), out=next_nearest)
            np.minimum(nearest, here, out=nearest)
        return np.asarray(np.maximum(first, _F(0.75) - (second - first) * _F(0.5)))

    def _lay(
        self, tissue: Canvas, plane: Plane, points: Points, shape: Simple | Solid, *, value: float, limit: F32
    ) -> None:
        """Draw one thin structure over the soft tissue, where the skin holds it."""
        low, high = points.w_range
        disc = shape.disc(low, high)
        if disc is None or shape.w_range[0] > high or shape.w_range[1] < low:
            return
        window = self._window(plane, disc, low, high)
        if window is not None:
            distance = np.maximum(shape.distance(points.window(*window)), limit[window] + 1.5)
            tissue.part(window).lay(distance, _F(value))

    def _draw_bones(self, canvas: Canvas, plane: Plane, points: Points, skin: F32) -> None:
        """Cartilage of all bones first, then bones with what is in them, then metal."""
        low, high = points.w_range
        drawn: list[tuple[Bone, Canvas, Points, F32, F32]] = []
        for bone in self.bones:
            window = self._bone_window(plane, bone, low, high)
            if window is None:
                continue
            here = points.window(*window)
            away = bone.solid.distance(here) + 0.35 * self.textures.cloud.of(here, shift_mm=self.shift_mm + 19)
            if self.cut_w_mm is not None:
                away = np.maximum(away, _F(self.cut_w_mm + 35) - here.w)
            drawn.append((bone, canvas.part(window), here, np.maximum(away, skin[window] + 1.5), skin[window]))
        for bone, part, here, away, _ in drawn:
            _draw_cartilage(part, bone, away, here)
        for bone, part, here, away, border in drawn:
            cortex_mm = self._draw_bone(part, bone, away, here)
            view = BoneView(part.hu, here, away, cortex_mm, border, self.textures, part.width_mm)
            for finding in self.findings:
                lowest, highest = finding.w_range
                if finding.spec.bone == bone.name and lowest <= high and highest >= low:
                    where = finding.paint(view)
                    if part.label is not None and finding.label:
                        part.label[where & (part.label > 0)] = finding.label
        for bone, part, here, away, _ in drawn:
            self._draw_metal(part, bone, away, here)

    def _bone_window(self, plane: Plane, bone: Bone, low: float, high: float) -> _Window | None:
        """The part of a plane that holds a bone and what grows out of it."""
        own = bone.solid.disc(low, high)
        if own is None:
            return None
        discs = [own]
        for finding in self.findings:
            reach, (lowest, highest) = finding.reach, finding.w_range
            if reach is not None and finding.spec.bone == bone.name and lowest < high and highest > low:
                discs.append(reach)
        windows = [self._window(plane, (d[0], d[1], d[2] + 4), low, high) for d in discs]
        found = [w for w in windows if w is not None]
        if not found:
            return None
        rows = slice(min(r.start for r, _ in found), max(r.stop for r, _ in found))
        return rows, slice(min(c.start for _, c in found), max(c.stop for _, c in found))

    def _draw_bone(self, part: Canvas, bone: Bone, away: F32, points: Points) -> F32:
        """Draw one bone; returns the thickness of its cortex."""
        textures, shift, width = self.textures, self.shift_mm, part.width_mm
        cloud = textures.cloud.of(points, shift_mm=shift + 29)
        uneven = textures.cloud.at(points.u, points.v, points.w * _F(0.4), shift_mm=shift + 29)
        cortex_mm = profile_at(bone.cortex_mm, points.w) * _F(0.55 + 0.45 * self.density)
        cortex_mm = cortex_mm * np.clip(1 + (0.05 + 0.3 * np.exp(-cortex_mm / 2)) * uneven, 0.4, 1.7)
        fine = textures.fine.of(points, shift_mm=shift)
        medium = textures.medium.of(points, shift_mm=shift + 3)
        mean = profile_at(bone.spongiosa_hu, points.w)
        mean = np.where(mean > 0, mean * _F(self.density), mean)
        rim = np.clip(1 + away / 11, 0, 1) * np.clip(mean / 150, 0, 1)
        grain = 12 + 0.24 * np.clip(mean + 60, 0, None)
        mean = mean + np.clip(mean, 0, None) * (0.16 * cloud - 0.18)
        inner = mean + (110 + 0.35 * np.clip(mean, 0, None)) * np.square(rim) + grain * (0.75 * fine + 0.5 * medium)
        cortical = _F(1180 + 220 * self.density) + 45 * medium
        hollow = share_inside(away + cortex_mm + _F(0.3) * medium, width + 0.9)
        bone_hu = cortical + hollow * (inner - cortical)
        if self.plates:
            _open_plates(bone_hu, bone, points)
        part.lay(away, bone_hu, BONE_VALUES[bone.name, self.side])
        return np.asarray(cortex_mm)

    def _draw_metal(self, part: Canvas, bone: Bone, away: F32, points: Points) -> None:
        metal: F32 | None = None
        if self.metal == "nail" and bone.name == "femur" and bone.axis is not None:
            u0, v0 = bone.axis.section(points.w)[:2]
            metal = np.hypot(points.u - u0, points.v - v0) - _F(5.2)
            metal = np.maximum(metal, np.maximum(points.w - 400, 45 - points.w))
        elif self.metal == "prosthesis" and bone.name == "femur":
            metal = np.maximum(np.maximum(away - 0.8, -away - 7.0), points.w - 36)
            metal = np.maximum(metal, -(points.v + 46))
        elif self.metal == "prosthesis" and bone.name == "tibia":
            tray = np.maximum(np.abs(points.w + 8) - 2.0, away)
            stem = np.maximum(np.hypot(points.u, points.v - 1) - 6.5, np.abs(points.w + 28) - 22)
            metal = np.minimum(tray, stem)
        if metal is not None and float(metal.min()) <= part.width_mm:
            part.lay(metal.astype(np.float32), _F(6500.0 if self.metal == "nail" else 9000.0), METAL_VALUE)

    def draw_arm(self, canvas: Canvas, plane: Plane) -> None:
        """Draw the arm of the same side, lying on the thigh, into a slice, in place."""
        points = self.points(plane)
        low, high = points.w_range
        skin = anatomy.arm_skin()
        if low > skin.w_range[1] + 5 or high < skin.w_range[0] - 5:
            return
        whole = Canvas(*canvas.layers, plane.pixel_mm / self.scale)
        surface = skin.distance(points)
        grain = self.textures.medium.of(points, shift_mm=self.shift_mm + 200)
        cloud = self.textures.cloud.of(points, shift_mm=self.shift_mm + 200)
        tissue = -95 + share_inside(surface + 4 + cloud, 1.5) * (150 - 70 * np.clip(grain - 0.9, 0, 1))
        whole.lay(surface, tissue, ARM_VALUE)
        for bone in anatomy.arm_bones():
            if bone.w_range[0] > high or bone.w_range[1] < low:
                continue
            away = bone.distance(points)
            hollow = share_inside(away + max(0.22 * bone.radius_stop, 1.0), whole.width_mm + 0.6)
            whole.lay(away, 1150 + hollow * (120 + 40 * grain - 1150), ARM_BONE_VALUE)


def _draw_cartilage(part: Canvas, bone: Bone, away: F32, points: Points) -> None:
    if bone.name == "foot":  # ligaments and tendons wrap the foot's bones everywhere
        blend(part.hu, share_inside(away - _F(4.5), 3.0) * _F(0.8), _F(30))
    for lowest, highest, thickness in table("legs")["cartilage_mm"].get(bone.name, ()):
        cover = np.clip(np.minimum(points.w - lowest, highest - points.w) / 2, 0, 1)
        if cover.any():
            blend(part.hu, share_inside(away - _F(thickness), part.width_mm) * cover, _F(_CARTILAGE_HU))


def _open_plates(bone_hu: F32, bone: Bone, points: Points) -> None:
    for height, depth in bone.plates:
        wave = depth * np.sin(points.u * _F(0.16)) * np.cos(points.v * _F(0.14))
        away = np.abs(points.w - _F(height) - wave.astype(np.float32))
        if float(away.min()) <= 8:
            bone_hu += 260 * np.clip(1 - np.abs(away - 2.6) / 1.4, 0, 1)
            blend(bone_hu, share_inside(away - 1.5, 0.9), _CARTILAGE_HU)
