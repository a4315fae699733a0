"""Skin, fat, muscle, lungs, heart, vessels and organs of the trunk: plain, but where a reader expects them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon_phantoms.solid import Ellipsoid, Loft, Points, Rod, make_loft, smooth_max
from osteon_phantoms.trunk_cage import cage
from osteon_phantoms.trunk_muscle import draw_muscles
from osteon_phantoms.trunk_spine import spine_v_mm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon_phantoms.trunk_brush import Brush
    from osteon_phantoms.trunk_spec import Contrast, TrunkSpec

__all__ = ["BACK_V_MM", "Organs", "draw_flesh", "make_organs", "skin_distance"]

BACK_V_MM: Final = -112.0
"""Where the table flattens the back."""

_FAT_ROWS: Final = ((-200, 20), (-120, 19), (-60, 17), (0, 14), (60, 13), (120, 11), (200, 8), (280, 6), (360, 6),
                    (420, 7), (470, 6))  # fmt: skip


@cache
def _skin() -> Loft:
    return make_loft(
        [
            (-345, 0, -4, 160, 90, 0, 8), (-200, 0, -8, 168, 94, 0, 6), (-120, 0, -14, 175, 106, 0, 6),
            (-60, 0, -13, 168, 108, 0, 5), (0, 0, -4, 154, 108, 0, 5), (60, 0, 0, 145, 106, 0, 5),
            (120, 0, 0, 147, 109, 0, 5), (200, 0, -2, 152, 115, 0, 5), (280, 0, -5, 157, 117, 0, 6),
            (360, 0, -13, 163, 111, 0, 7), (420, 0, -20, 172, 103, 0, 7), (460, 0, -26, 183, 96, 0, 6),
            (490, 0, -30, 182, 86, 0, 4), (515, 0, -28, 150, 74, 0, 0), (545, 0, -20, 100, 66, 0, 0),
        ],
        round_mm=10,
    )  # fmt: skip


@cache
def _cavity() -> Loft:
    return make_loft(
        [
            (-150, 0, -6, 30, 34), (-125, 0, -8, 45, 44), (-90, 0, -10, 58, 54), (-50, 0, -4, 76, 62),
            (-20, 0, 6, 96, 68), (20, 0, 16, 112, 72), (60, 0, 20, 118, 75), (120, 0, 22, 120, 78),
            (180, 0, 22, 122, 80), (240, 0, 22, 124, 82),
        ],
    )  # fmt: skip


@cache
def _mediastinum() -> Loft:
    rows = []
    for w, wide, front in ((180, 40, 70), (260, 46, 78), (320, 50, 70), (380, 38, 52), (430, 34, 40), (480, 38, 30),
                           (520, 50, 30)):  # fmt: skip
        back = float(spine_v_mm(float(w))) - 60
        rows.append((w, 5.0 if w < 400 else 0.0, (front + back) / 2, wide, (front - back) / 2 + 6, 0.0, 3.0))
    return make_loft(rows)


@dataclass(frozen=True, slots=True)
class Organs:
    """Soft shapes of one patient and their HU, drawn in order.

    Attributes:
        upper: in the thorax, drawn over the lungs.
        belly: below the diaphragm, kept within the cavity.
        vessels: tubes with blood.
        bowel: loops (shape, content HU).
        shift_mm: the patient's own place in the textures.
    """

    upper: tuple[tuple[Ellipsoid | Rod, float, float], ...] = field(repr=False)
    belly: tuple[tuple[Ellipsoid | Rod, float, float], ...] = field(repr=False)
    vessels: tuple[tuple[Rod, float], ...] = field(repr=False)
    bowel: tuple[tuple[Ellipsoid | Rod, float], ...] = field(repr=False)


def make_organs(spec: TrunkSpec, generator: np.random.Generator) -> Organs:
    """Place organs, a little elsewhere in every patient."""
    blood, vein, liver, spleen, kidney = _enhancement(spec.contrast, spec.contrast_hu)

    def shifted(centre: tuple[float, float, float], spread: float) -> tuple[float, float, float]:
        u, v, w = (float(c + generator.uniform(-spread, spread)) for c in centre)
        return u, v, w

    grown = float(generator.uniform(0.9, 1.1))
    upper: list[tuple[Ellipsoid | Rod, float, float]] = [
        (Ellipsoid(shifted((30, 34, 318), 5), (58 * grown, 46 * grown, 52 * grown)), 48.0, 1.5),
        (Ellipsoid((46, 38, 308), (25, 24, 32)), 0.85 * blood, 1.5),
        (Ellipsoid((8, 48, 318), (26, 22, 30)), 0.9 * vein, 1.5),
        (Ellipsoid((12, 4, 340), (28, 20, 20)), 0.85 * blood, 1.5),
        (Ellipsoid((-28, 22, 322), (20, 26, 30)), 0.95 * vein, 1.5),
    ]
    airway = ((0.0, -6.0, 540.0), (0.0, -14.0, 410.0), (34.0, -16.0, 380.0), (-32.0, -16.0, 384.0))
    upper += [
        (Rod(airway[0], airway[1], 8.5, 8.5), -990.0, 0.0),
        (Rod(airway[1], airway[2], 6.5, 4.5), -990.0, 0.0),
        (Rod(airway[1], airway[3], 7.0, 4.5), -990.0, 0.0),
    ]
    belly: list[tuple[Ellipsoid | Rod, float, float]] = [
        (Ellipsoid(shifted((-60, 12, 222), 6), (76 * grown, 80 * grown, 70 * grown)), liver, 2.0),
        (Ellipsoid(shifted((8, 48, 240), 6), (56, 36, 38)), liver, 2.0),
        (Ellipsoid(shifted((96, -34, 228), 5), (28 * grown, 42 * grown, 44)), spleen, 1.5),
        (Ellipsoid(shifted((58, 42, 212), 6), (42, 34, 46)), 38.0, 2.0),
        (Ellipsoid((60, 62, 218), (26, 10, 34)), -960.0, 1.0),
        (Rod((-30, 18, 150), (60, 4, 190), 13, 11), 45.0 + 0.3 * (vein - 45), 2.0),
    ]
    for side in (-1, 1):
        u, v, w = shifted((side * 62.0, -44.0, 158.0 + 8 * side), 5)
        belly += [
            (Ellipsoid((u, v, w), (27, 29, 53)), kidney, 1.0),
            (Ellipsoid((u - side * 12, v + 4, w), (12, 12, 26)), -60.0, 2.0),
        ]
    belly += [
        (Ellipsoid(shifted((0, 26, -98), 4), (36, 28, float(generator.uniform(14, 32)))), 8.0, 1.0),
        (Ellipsoid((0, 2, -126), (23, 18, 18)), 45.0, 1.0),
        (Ellipsoid((0, -44, -88), (17, 15, 38)), 35.0, 2.0),
    ]
    return Organs(
        upper=tuple(upper), belly=tuple(belly), vessels=tuple(_vessels(blood, vein)), bowel=tuple(_bowel(generator))
    )


def _enhancement(contrast: Contrast, hu: float) -> tuple[float, float, float, float, float]:
    """HU of arteries, veins, liver, spleen, kidneys."""
    if contrast == "none":
        return 44.0, 44.0, 58.0, 50.0, 34.0
    if contrast == "arterial":
        return hu, 0.35 * hu + 40, 70.0, 60 + 0.25 * hu, 60 + 0.4 * hu
    return hu, 0.95 * hu, 65 + 0.28 * hu, 65 + 0.3 * hu, 70 + 0.6 * hu


def _vessels(blood: float, vein: float) -> list[tuple[Rod, float]]:
    def before(w: float, u: float, away: float) -> tuple[float, float, float]:
        return u, float(spine_v_mm(w)) + away, w

    aorta = [before(400, 18, 22), before(340, 18, 26), before(270, 12, 29), before(190, 6, 31), before(100, 5, 31),
             before(22, 3, 31)]  # fmt: skip
    cava = [before(290, -22, 44), before(190, -20, 30), before(100, -19, 28), before(15, -16, 29)]
    tubes = [(Rod(a, b, 12.5 - k * 0.7, 12.3 - k * 0.7), blood) for k, (a, b) in enumerate(pairwise(aorta))]
    tubes += [
        (Rod(aorta[0], (8, -4, 428), 12.5, 13), blood),
        (Rod((8, -4, 428), (-14, 26, 405), 13, 14), blood),
        (Rod((-14, 26, 405), (2, 26, 345), 14.5, 15), blood),
        (Rod((0, 8, 385), (24, 2, 380), 12, 11), 0.9 * vein),
        (Rod((-26, 12, 460), (-27, 22, 345), 9.5, 10), vein),
    ]
    tubes += [(Rod(a, b, 11, 11.5), vein) for a, b in pairwise(cava)]
    for side in (-1, 1):
        tubes += [
            (Rod(aorta[-1], (side * 34, 0, -25), 6, 5.5), blood),
            (Rod((side * 34, 0, -25), (side * 62, 22, -66), 5.2, 5), blood),
            (Rod((side * 62, 22, -66), (side * 76, 52, -112), 5, 4.8), blood),
            (Rod((side * 76, 52, -112), (side * 82, 40, -200), 4.8, 4.2), blood),
            (Rod(cava[-1], (side * 33, -9, -28), 7, 6.5), vein),
            (Rod((side * 33, -9, -28), (side * 58, 12, -68), 6.2, 6), vein),
            (Rod((side * 58, 12, -68), (side * 66, 46, -112), 6, 5.6), vein),
            (Rod((side * 20, 10, 505), (side * 22, 4, 450), 3.8, 4.2), blood),
        ]
    return tubes


def _bowel(generator: np.random.Generator) -> list[tuple[Ellipsoid | Rod, float]]:
    """Colon and loops of the small bowel; some with gas, some with contrast by mouth."""

    def content() -> float:
        drawn = float(generator.random())
        return (
            -920.0
            if drawn < 0.22
            else float(generator.uniform(150, 320))
            if drawn < 0.27
            else float(generator.uniform(5, 45))
        )

    frame = ((-86, 6, 10), (-88, 0, 80), (-84, 8, 145), (-45, 58, 125), (0, 70, 105), (45, 60, 135), (86, 10, 185),
             (90, -4, 110), (84, 8, 30), (52, 16, -25), (16, -10, -48))  # fmt: skip
    loops: list[tuple[Ellipsoid | Rod, float]] = []
    for start, stop in pairwise(frame):
        a, b = (tuple(float(c + generator.uniform(-5, 5)) for c in end) for end in (start, stop))
        radius = float(generator.uniform(13, 20))
        loops.append((Rod((a[0], a[1], a[2]), (b[0], b[1], b[2]), radius, radius), content()))
    for _ in range(34):
        centre = (
            float(generator.uniform(-66, 66)),
            float(generator.uniform(12, 66)),
            float(generator.uniform(-60, 125)),
        )
        radii = tuple(float(generator.uniform(9, 19)) for _ in range(3))
        loops.append((Ellipsoid(centre, (radii[0], radii[1], radii[2])), content()))
    return loops


def skin_distance(brush: Brush, spec: TrunkSpec) -> NDArray[np.float32]:
    """Signed distance to the skin on the whole block; the table has flattened it."""
    extra = np.float32((spec.body_fat - 1) * 12)
    facing = np.float32(1.0 if spec.patient_position.endswith("S") else -1.0)

    def envelope(here: Points) -> NDArray[np.float32]:
        away = _skin().distance(here) - extra
        if float(here.w.min()) < -150:
            parted = np.maximum(2 - np.abs(here.u), -60) - np.maximum(here.w + 166, -60) * np.float32(0.9)
            parted = np.where(here.w < -150, parted, np.float32(-60)) + 0 * away
            away = smooth_max(away, np.asarray(parted, dtype=np.float32), 16.0)
        beyond = np.float32(BACK_V_MM) - facing * here.v
        return smooth_max(away, np.asarray(beyond + 0 * away, dtype=np.float32), 14.0)

    return brush.smooth(envelope)


def draw_flesh(brush: Brush, spec: TrunkSpec, organs: Organs) -> None:
    """Everything but bone, cartilage and metal."""
    block = brush.block
    whole = (slice(0, block.shape[0]), slice(0, block.shape[1]), slice(0, block.shape[2]))
    cloud = brush.tile(brush.textures.cloud, whole, stretch=1.6)
    skin = skin_distance(brush, spec) + np.float32(1.0) * cloud
    fibre = brush.tile(brush.textures.medium, whole, stretch=1.4)
    fat = np.float32(-103) + 6 * fibre
    fat += np.clip(0.5 - np.abs(skin + 1.2), 0, 1) * np.float32(100)
    brush.fill(whole, skin, fat)
    heights, values = zip(*_FAT_ROWS, strict=True)
    layer = np.interp(block.w, heights, values).astype(np.float32)[:, None, None] * np.float32(spec.body_fat)
    belly = np.clip(block.v / 60, 0, 1)[None, :, None] * np.clip((260 - block.w) / 80, 0, 1)[:, None, None]
    fascia = skin + layer * (1 + np.float32(0.5) * belly) + np.float32(1.5) * cloud
    marbling = min(0.25 * spec.body_fat + max(spec.age_years - 50, 0) * 0.012, 1.0)
    muscle = np.float32(56 - 12 * marbling) + 4 * fibre - np.float32(38 * marbling) * np.clip(fibre - 1.1, 0, 1.5)
    brush.fill(whole, fascia, muscle)
    draw_muscles(brush, fascia=fascia, marbling=marbling)
    _draw_cavities(brush, organs, fascia=fascia, cloud=cloud, fibre=fibre)


def _draw_cavities(
    brush: Brush,
    organs: Organs,
    *,
    fascia: NDArray[np.float32],
    cloud: NDArray[np.float32],
    fibre: NDArray[np.float32],
) -> None:
    block = brush.block
    whole = (slice(0, block.shape[0]), slice(0, block.shape[1]), slice(0, block.shape[2]))
    ribs = brush.smooth(cage().distance)
    high = float(block.w.max()) > 175
    if float(block.w.min()) < 300:
        wall = brush.smooth(_cavity().distance)
        inside = np.maximum(wall, fascia + 9)
        if high:
            above = np.clip((block.w - 150) / 40, 0, 1)[:, None, None]
            inside = inside + above * (np.maximum(ribs + 9, block.w[:, None, None] - 300) - inside)
        inside = np.asarray(inside, dtype=np.float32)
        brush.fill(whole, inside, np.float32(-98) + 9 * fibre)
        for solid, value in organs.bowel:
            brush.lay(solid, 48.0, rough_mm=2.5, within=inside + 1)
            brush.lay(_shrunk(solid, 2.6), value, rough_mm=2.5, within=inside + 4)
        for solid, value, rough in organs.belly:
            brush.lay(solid, value, rough_mm=rough, within=inside)
    for side in (-1, 1):
        psoas = (
            (side * 30.0, -24.0, 185.0),
            (side * 40.0, -16.0, 70.0),
            (side * 58.0, 2.0, -20.0),
            (side * 92.0, 22.0, -95.0),
        )
        for (a, b), r in zip(pairwise(psoas), ((9, 18), (18, 19), (18, 13)), strict=True):
            brush.lay(Rod(a, b, r[0], r[1]), 58.0, rough_mm=1.5)
    if high:
        _draw_chest(brush, organs, ribs=ribs, cloud=cloud, fibre=fibre)
    for tube, value in organs.vessels:
        brush.lay(tube, value)


def _draw_chest(
    brush: Brush,
    organs: Organs,
    *,
    ribs: NDArray[np.float32],
    cloud: NDArray[np.float32],
    fibre: NDArray[np.float32],
) -> None:
    block = brush.block
    here = block.points
    whole = (slice(0, block.shape[0]), slice(0, block.shape[1]), slice(0, block.shape[2]))
    lowest = 208 + 45 * np.clip((here.v + 60) / 130, 0, 1)
    chest = np.maximum(ribs + 9, lowest - here.w)
    dome = brush.smooth(_domes)
    middle = brush.smooth(_mediastinum().distance)
    chest = np.maximum(chest, -dome).astype(np.float32)
    brush.fill(whole, chest, np.float32(-70) + 9 * fibre)
    for solid, value, rough in organs.upper[:5]:
        brush.lay(solid, value, rough_mm=rough, within=np.asarray(chest - 4))
    heart = brush.smooth(organs.upper[0][0].distance)
    lung = np.maximum(np.maximum(chest, 2 - middle), 4 - heart)
    vessels = np.clip(fibre + 0.6 * cloud - 1.45, 0, 1.2)
    brush.fill(whole, lung.astype(np.float32), np.float32(-860) + 22 * cloud + 620 * vessels)
    for solid, value, rough in organs.upper[5:]:
        brush.lay(solid, value, rough_mm=rough)


def _domes(points: Points) -> NDArray[np.float32]:
    """Distance to the two domes of the diaphragm."""
    right, left = Ellipsoid((-62, 2, 190), (84, 98, 104)), Ellipsoid((66, 2, 190), (82, 98, 90))
    return np.minimum(right.distance(points), left.distance(points))


def _shrunk(solid: Ellipsoid | Rod, by_mm: float) -> Ellipsoid | Rod:
    if isinstance(solid, Ellipsoid):
        a, b, c = (max(radius - by_mm, 1.0) for radius in solid.radii)
        return Ellipsoid(solid.centre, (a, b, c))
    return Rod(solid.start, solid.stop, solid.radius_start - by_mm, solid.radius_stop - by_mm)
