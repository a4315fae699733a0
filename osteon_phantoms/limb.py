"""One leg placed in the scanner, drawn slice by slice."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon_phantoms import flesh
from osteon_phantoms.labels import BONE_VALUES, INFECTION_VALUE, LESION_VALUE, METAL_VALUE, SOFT_VALUES
from osteon_phantoms.solid import FAR_MM, Points, Solid, smooth_max
from osteon_phantoms.tumour import paint_benign

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon_phantoms.infection import Infection
    from osteon_phantoms.skeleton import Bone
    from osteon_phantoms.solid import Ellipsoid, Loft, Rod
    from osteon_phantoms.spec import BenignSpec, Side
    from osteon_phantoms.texture import Textures
    from osteon_phantoms.tumour import Lesion

__all__ = ["Canvas", "Limb", "Plane", "share_inside"]

_FAT_HU: Final = -102.0
_MUSCLE_HU: Final = 56.0
_CARTILAGE_HU: Final = 85.0
_CROTCH_W_MM: Final = 385.0
_SHANK_SLOPE: Final = 0.35
_CARTILAGE_MM: Final[dict[str, tuple[tuple[float, float, float], ...]]] = {
    # rows of (lowest w, highest w, thickness): where a bone carries cartilage
    "femur": ((-5, 30, 2.2), (404, 460, 1.8)),
    "tibia": ((-9, 5, 2.0), (-372, -358, 1.4)),
    "patella": ((0, 60, 1.6),),
    "fibula": ((-20, -5, 1.0), (-380, -362, 1.0)),
    "foot": ((-600, -300, 0.9),),
    "pelvis": ((400, 452, 1.2),),
}


@dataclass(frozen=True, slots=True)
class Plane:
    """Where the pixels of one slice lie, LPS mm; y and z both change with the row when the gantry is tilted."""

    x_lps_mm: NDArray[np.float32]
    y_lps_mm: NDArray[np.float32]
    z_lps_mm: NDArray[np.float32]
    pixel_mm: float

    def window(self, x_range: tuple[float, float], y_range: tuple[float, float]) -> tuple[slice, slice] | None:
        """Rows and columns that hold a rectangle, or None when it lies outside."""
        rows = _span(self.y_lps_mm, y_range)
        columns = _span(self.x_lps_mm, x_range)
        return None if rows is None or columns is None else (rows, columns)


@dataclass(frozen=True, slots=True)
class Canvas:
    """A slice in the making: HU (row, column) float32 and, unless None, truth labels uint8."""

    hu: NDArray[np.float32]
    label: NDArray[np.uint8] | None


def share_inside(distance: NDArray[np.float32], width_mm: float) -> NDArray[np.float32]:
    """Share of a voxel that lies inside a shape, from the signed distance of its centre."""
    return np.asarray(np.clip(np.float32(0.5) - distance * np.float32(1 / width_mm), 0, 1))


@dataclass(frozen=True, slots=True)
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
        rest_v_mm: where the table flattens the skin (reference mm): (v of the plane, +1 when it lies in front).
        textures: shared by both legs.
        shift_mm: this leg's own place in the textures.
        plates: whether growth plates are open.
        cut_w_mm: height of an amputation, or None.
        stays_on_its_side: whether the legs touch, and the midline parts them.
        lesions: with the number that gives their label.
        benign: bone islands and calluses.
        infections: with the number that gives their label.
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
    plates: bool = False
    cut_w_mm: float | None = None
    stays_on_its_side: bool = False
    lesions: tuple[tuple[int, Lesion], ...] = ()
    benign: tuple[BenignSpec, ...] = ()
    infections: tuple[tuple[int, Infection], ...] = ()
    metal: str | None = None

    @property
    def outward(self) -> float:
        """+1 where lateral is +x (left leg), -1 on the right."""
        return 1.0 if self.side == "left" else -1.0

    def points(self, plane: Plane) -> Points:
        """The plane's pixels in the frame of this leg."""
        x0, y0, z0 = self.knee_lps_mm
        scale = np.float32(1 / self.scale)
        z = plane.z_lps_mm
        w = ((z[:1] if np.ptp(z) < 1e-6 else z) - np.float32(z0)) * scale
        w = w[:, None].astype(np.float32)
        side, front = self._offset(w)
        across = (plane.x_lps_mm[None, :] - np.float32(x0)) * np.float32(self.outward) * scale - side
        forward = -(plane.y_lps_mm[:, None] - np.float32(y0)) * scale - front
        cosine, sine = np.float32(np.cos(self.turn_radians)), np.float32(np.sin(self.turn_radians))
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
        """Draw flesh, bones, metal and lesions of this leg into a slice, in place."""
        low, high = self._heights(plane)
        disc = self._skin.disc(low, high)
        if disc is None or (self.cut_w_mm is not None and high < self.cut_w_mm - 20):
            return
        inside = self._window(plane, (disc[0], disc[1], disc[2] * max(self.girth, 1.0) + 6), low, high)
        if inside is None:
            return
        part = Plane(plane.x_lps_mm[inside[1]], plane.y_lps_mm[inside[0]], plane.z_lps_mm[inside[0]], plane.pixel_mm)
        view = Canvas(canvas.hu[inside], None if canvas.label is None else canvas.label[inside])
        points = self.points(part)
        skin = self._draw_flesh(view, part, points)
        self._draw_bones(view, part, points, skin)

    @property
    def _skin(self) -> Solid:
        return flesh.skin(swelling=tuple(lump for _, lesion in self.lesions for lump in lesion.swelling))

    def _offset(self, w: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """How far the leg's axis lies outward and forward of the knee at heights w."""
        side = -np.float32(self.lean) * np.minimum(w, 0)
        steep = np.float32(self.slope) * np.where(w > 0, np.float32(1), np.float32(_SHANK_SLOPE))
        front = -steep * (np.sqrt(w * w + 900) - 30)
        return side, front

    def _heights(self, plane: Plane) -> tuple[float, float]:
        w = (plane.z_lps_mm[[0, -1]] - self.knee_lps_mm[2]) / self.scale
        return float(w.min()), float(w.max())

    def _window(
        self,
        plane: Plane,
        disc: tuple[float, float, float],
        low: float,
        high: float,
    ) -> tuple[slice, slice] | None:
        """The part of a plane that holds a disc of the leg's frame between two heights."""
        ends = [self.to_lps_mm(disc[0], disc[1], w) for w in (low, high)]
        reach = disc[2] * self.scale + 2 * plane.pixel_mm
        x_range, y_range = ((min(e[axis] for e in ends) - reach, max(e[axis] for e in ends) + reach) for axis in (0, 1))
        return plane.window(x_range, y_range)

    def _skin_distance(self, plane: Plane, points: Points) -> NDArray[np.float32]:
        """Signed distance to the skin, after the table has flattened it and a surgeon or the other leg has cut it."""
        warp = self.textures.cloud.at(points.u * 0.5, points.v * 0.5, points.w * 0.5, shift_mm=self.shift_mm)
        slim = np.float32(self.girth)
        slack = Points(points.u / slim, points.v / slim, points.w)
        skin = self._skin.distance(slack) * slim + np.float32(0.9) * warp
        for _, infection in self.infections:
            skin = skin - infection.lift_mm(points.w)
        forward = (self.knee_lps_mm[1] - plane.y_lps_mm[:, None]) / np.float32(self.scale)
        if self.rest_v_mm is not None:
            level, facing = self.rest_v_mm
            skin = smooth_max(skin, (facing * (forward - np.float32(level))).astype(np.float32), 7.0)
        if self.cut_w_mm is not None:
            skin = smooth_max(skin, np.float32(self.cut_w_mm) - points.w + np.zeros_like(skin), 45.0)
        return skin

    def _share(self, plane: Plane, points: Points, skin: NDArray[np.float32]) -> NDArray[np.float32]:
        """Signed distance to the border of what this leg may fill: below the crotch its skin, above it the midline."""
        if not self.stays_on_its_side:
            return skin
        midline = -np.float32(self.outward / self.scale) * plane.x_lps_mm[None, :]
        return np.asarray(np.maximum(skin, midline - np.where(points.w > _CROTCH_W_MM, np.float32(1), np.float32(0))))

    def _is_joined(self, points: Points) -> bool:
        """Whether the plane lies above the crotch, where no skin parts the legs."""
        return points.w_range[0] > _CROTCH_W_MM

    def _draw_flesh(self, view: Canvas, plane: Plane, points: Points) -> NDArray[np.float32]:
        width = plane.pixel_mm / self.scale
        skin = self._skin_distance(plane, points)
        if not self._is_joined(points):
            skin = self._share(plane, points, skin)
        shift = self.shift_mm
        cloud = self.textures.cloud.at(points.u, points.v, points.w, shift_mm=shift + 7)
        fibre = self.textures.medium.at(points.u, points.v, points.w * 0.4, shift_mm=shift)
        fat = _FAT_HU + 5 * fibre + 34 * np.clip(fibre - 1.7, 0, 1.2)
        tissue = fat + share_inside(-(skin + np.float32(1.5)), 1.2) * (18 - fat)
        front, back = flesh.fat_at(points.w)
        thickness = np.where(points.v > -8, front, back) * np.float32(self.fat) + 1.2 * cloud
        fascia = skin + thickness
        warped = Points(points.u + 1.8 * cloud, points.v + 1.6 * np.roll(cloud, 9, axis=1), points.w)
        belly = self._muscle_distance(plane, warped, fascia=fascia)
        streaks = np.clip(fibre - 1.25, 0, 1.5)
        muscle = _MUSCLE_HU + 3 * fibre + 4 * cloud - 45 * streaks * np.float32(0.5 + 0.5 * self.fat)
        tissue += share_inside(belly, width + 0.5) * (muscle - tissue)
        for _, infection in self.infections:
            infection.soak(tissue, points, fascia=fascia, skin=skin, textures=self.textures, width_mm=width)
        for solid, value in ((flesh.tendons(), 92.0), (flesh.vessels(), 44.0), (flesh.menisci(), 88.0)):
            shapes = solid.parts if not solid.cuts else (solid,)
            for shape in shapes:
                self._lay(tissue, plane, points, shape, value=value, limit=skin)
        border = self._share(plane, points, skin)
        view.hu[...] += share_inside(border, width) * (tissue - view.hu)
        if view.label is not None:
            view.label[border < 0] = SOFT_VALUES[self.side]
        return border

    def _muscle_distance(
        self,
        plane: Plane,
        points: Points,
        *,
        fascia: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Signed distance to the nearest muscle belly, held apart from its neighbour by a fat plane."""
        low, high = points.w_range
        first = np.full(points.u.shape, FAR_MM, dtype=np.float32)
        second = first.copy()
        for muscle in flesh.muscles():
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
        apart = np.float32(0.75) - (second - first) * np.float32(0.5)
        return np.asarray(np.maximum(np.maximum(first, apart), fascia))

    def _lay(
        self,
        tissue: NDArray[np.float32],
        plane: Plane,
        points: Points,
        shape: Loft | Rod | Ellipsoid | Solid,
        *,
        value: float,
        limit: NDArray[np.float32],
    ) -> None:
        """Draw one thin structure over the soft tissue, where the skin holds it."""
        low, high = points.w_range
        disc = shape.disc(low, high)
        if disc is None or shape.w_range[0] > high or shape.w_range[1] < low:
            return
        window = self._window(plane, disc, low, high)
        if window is None:
            return
        distance = np.maximum(shape.distance(points.window(*window)), limit[window] + 1.5)
        tissue[window] += share_inside(distance, plane.pixel_mm / self.scale) * (np.float32(value) - tissue[window])

    def _draw_bones(self, view: Canvas, plane: Plane, points: Points, skin: NDArray[np.float32]) -> None:
        low, high = points.w_range
        drawn: list[tuple[Bone, tuple[slice, slice], NDArray[np.float32]]] = []
        for bone in self.bones:
            window = self._bone_window(plane, bone, low, high)
            if window is None:
                continue
            here = points.window(*window)
            distance = bone.solid.distance(here) + 0.35 * self.textures.cloud.at(
                here.u, here.v, here.w, shift_mm=self.shift_mm + 19
            )
            if self.cut_w_mm is not None:
                distance = np.maximum(distance, np.float32(self.cut_w_mm + 35) - here.w)
            drawn.append((bone, window, np.maximum(distance, skin[window] + 1.5)))
        for bone, window, distance in drawn:
            self._draw_cartilage(
                view.hu[window], bone, distance, points.window(*window), width=plane.pixel_mm / self.scale
            )
        for bone, window, distance in drawn:
            part = Canvas(view.hu[window], None if view.label is None else view.label[window])
            here = points.window(*window)
            inner = self._draw_bone(part, bone, distance, here, width=plane.pixel_mm / self.scale)
            self._draw_findings(
                part, bone, distance, here, cortex_mm=inner, skin=skin[window], width=plane.pixel_mm / self.scale
            )
        for bone, window, distance in drawn:
            part = Canvas(view.hu[window], None if view.label is None else view.label[window])
            self._draw_metal(part, bone, distance, points.window(*window), width=plane.pixel_mm / self.scale)

    def _bone_window(self, plane: Plane, bone: Bone, low: float, high: float) -> tuple[slice, slice] | None:
        discs = [bone.solid.disc(low, high)]
        discs += [
            lesion.reach
            for _, lesion in self.lesions
            if lesion.spec.bone == bone.name and lesion.w_range[0] < high and lesion.w_range[1] > low
        ]
        discs += [
            infection.reach
            for _, infection in self.infections
            if infection.spec.bone == bone.name and infection.w_range[0] < high and infection.w_range[1] > low
        ]
        windows = [self._window(plane, (d[0], d[1], d[2] + 4), low, high) for d in discs if d is not None]
        if bone.solid.disc(low, high) is None:
            return None
        found = [w for w in windows if w is not None]
        if not found:
            return None
        rows = slice(min(r.start for r, _ in found), max(r.stop for r, _ in found))
        columns = slice(min(c.start for _, c in found), max(c.stop for _, c in found))
        return rows, columns

    def _draw_cartilage(
        self,
        hu: NDArray[np.float32],
        bone: Bone,
        distance: NDArray[np.float32],
        points: Points,
        *,
        width: float,
    ) -> None:
        if bone.name == "foot":  # ligaments and tendons wrap the foot's bones everywhere
            hu += share_inside(distance - np.float32(4.5), 3.0) * np.float32(0.8) * (np.float32(30) - hu)
        for lowest, highest, thickness in _CARTILAGE_MM.get(bone.name, ()):
            cover = np.clip(np.minimum(points.w - lowest, highest - points.w) / 2, 0, 1)
            if not cover.any():
                continue
            share = share_inside(distance - np.float32(thickness), width) * cover
            hu += share * (np.float32(_CARTILAGE_HU) - hu)

    def _draw_bone(
        self,
        part: Canvas,
        bone: Bone,
        distance: NDArray[np.float32],
        points: Points,
        *,
        width: float,
    ) -> NDArray[np.float32]:
        """Draw one bone; returns the thickness of its cortex."""
        textures, shift = self.textures, self.shift_mm
        cloud = textures.cloud.at(points.u, points.v, points.w, shift_mm=shift + 29)
        uneven = textures.cloud.at(points.u, points.v, points.w * np.float32(0.4), shift_mm=shift + 29)
        cortex_mm = bone.cortex_at(points.w) * np.float32(0.55 + 0.45 * self.density)
        cortex_mm = cortex_mm * np.clip(1 + (0.05 + 0.3 * np.exp(-cortex_mm / 2)) * uneven, 0.4, 1.7)
        fine = textures.fine.at(points.u, points.v, points.w, shift_mm=shift)
        medium = textures.medium.at(points.u, points.v, points.w, shift_mm=shift + 3)
        mean = bone.spongiosa_at(points.w)
        mean = np.where(mean > 0, mean * np.float32(self.density), mean)
        rim = np.clip(1 + distance / 11, 0, 1) * np.clip(mean / 150, 0, 1)
        grain = 12 + 0.24 * np.clip(mean + 60, 0, None)
        mean = mean + np.clip(mean, 0, None) * (0.16 * cloud - 0.18)
        inner = mean + (110 + 0.35 * np.clip(mean, 0, None)) * np.square(rim) + grain * (0.75 * fine + 0.5 * medium)
        cortical = np.float32(1180 + 220 * self.density) + 45 * medium
        hollow = share_inside(distance + cortex_mm + np.float32(0.3) * medium, width + 0.9)
        bone_hu = cortical + hollow * (inner - cortical)
        if self.plates:
            self._open_plates(bone_hu, bone, points)
        part.hu[...] += share_inside(distance, width) * (bone_hu - part.hu)
        if part.label is not None:
            part.label[distance < 0] = BONE_VALUES[bone.name, self.side]
        return np.asarray(cortex_mm)

    def _draw_findings(
        self,
        part: Canvas,
        bone: Bone,
        distance: NDArray[np.float32],
        points: Points,
        *,
        cortex_mm: NDArray[np.float32],
        skin: NDArray[np.float32],
        width: float,
    ) -> None:
        """Draw what lies in one bone: look-alikes, then infections, then tumours."""
        textures, (low, high) = self.textures, points.w_range
        for spec in self.benign:
            if spec.bone == bone.name:
                paint_benign(
                    part.hu, points, distance, spec=spec, bone=bone, scale=self.scale, textures=textures, skin=skin
                )

        def is_here(finding: Infection | Lesion) -> bool:
            return finding.spec.bone == bone.name and finding.w_range[0] <= high and finding.w_range[1] >= low

        for number, infection in self.infections:
            if is_here(infection):
                where = infection.paint(
                    part.hu, points, distance, cortex_mm=cortex_mm, textures=textures, width_mm=width, skin=skin
                )
                if part.label is not None:
                    part.label[where & (part.label > 0)] = INFECTION_VALUE + number
        for number, lesion in self.lesions:
            if is_here(lesion):
                where = lesion.paint(part.hu, points, distance, cortex_mm=cortex_mm, textures=textures, width_mm=width)
                if part.label is not None:
                    part.label[where & (part.label > 0)] = LESION_VALUE + number

    def _open_plates(self, bone_hu: NDArray[np.float32], bone: Bone, points: Points) -> None:
        for plate in bone.plates:
            wave = plate.wave_mm * np.sin(points.u * np.float32(0.16)) * np.cos(points.v * np.float32(0.14))
            away = np.abs(points.w - np.float32(plate.w_mm) - wave.astype(np.float32))
            if float(away.min()) > 8:
                continue
            zone = np.clip(1 - np.abs(away - 2.6) / 1.4, 0, 1)
            bone_hu += 260 * zone
            bone_hu += share_inside(away - 1.5, 0.9) * (_CARTILAGE_HU - bone_hu)

    def _draw_metal(
        self,
        part: Canvas,
        bone: Bone,
        distance: NDArray[np.float32],
        points: Points,
        *,
        width: float,
    ) -> None:
        metal: NDArray[np.float32] | None = None
        if self.metal == "nail" and bone.name == "femur" and bone.axis is not None:
            u0, v0 = bone.axis.section(points.w)[:2]
            metal = np.hypot(points.u - u0, points.v - v0) - np.float32(5.2)
            metal = np.maximum(metal, np.maximum(points.w - 400, 45 - points.w))
        elif self.metal == "prosthesis" and bone.name == "femur":
            metal = np.maximum(np.maximum(distance - 0.8, -distance - 7.0), points.w - 36)
            metal = np.maximum(metal, -(points.v + 46))
        elif self.metal == "prosthesis" and bone.name == "tibia":
            tray = np.maximum(np.abs(points.w + 8) - 2.0, distance)
            stem = np.maximum(np.hypot(points.u, points.v - 1) - 6.5, np.abs(points.w + 28) - 22)
            metal = np.minimum(tray, stem)
        if metal is None or float(metal.min()) > width:
            return
        value = 6500.0 if self.metal == "nail" else 9000.0
        part.hu[...] += share_inside(metal.astype(np.float32), width) * (np.float32(value) - part.hu)
        if part.label is not None:
            part.label[metal < 0] = METAL_VALUE


def _span(values: NDArray[np.float32], wanted: tuple[float, float]) -> slice | None:
    """The run of monotone values that lies in a range."""
    hits = np.flatnonzero((values >= wanted[0]) & (values <= wanted[1]))
    return slice(int(hits[0]), int(hits[-1]) + 1) if len(hits) else None
