"""Skin, fat, muscle, lungs, heart, vessels and organs of the trunk: plain, but where a reader expects them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon_phantoms.shapes import Ellipsoid, Loft, Points, Rod, make_loft, profile_at, shape_of, smooth_max
from osteon_phantoms.spec import table, uniform
from osteon_phantoms.trunk.skeleton import spine_v_mm, thorax

if TYPE_CHECKING:
    from osteon_phantoms.paint import Rasterizer
    from osteon_phantoms.shapes import F32
    from osteon_phantoms.trunk.spec import TrunkSpec

__all__ = ["BACK_V_MM", "Organs", "draw_soft_tissue", "make_organs"]

BACK_V_MM: Final = -112.0
"""Where the table flattens the back."""

_F = np.float32
_TABLE: Final = table("trunk")
_FASCIA_MM: Final = 1.7
"""Thickness of the fat about a muscle."""
_GAS: Final = -920.0

Organ = tuple[Ellipsoid | Rod, float, float]
"""A shape, its HU, how uneven it is in mm."""


@cache
def _loft(name: str) -> Loft:
    shape = shape_of(_TABLE[name])
    if not isinstance(shape, Loft):
        raise TypeError(name)
    return shape


@cache
def _mediastinum() -> Loft:
    rows = []
    for w, wide, front in _TABLE["mediastinum"]:
        back = float(spine_v_mm(float(w))) - 60
        rows.append((w, 5.0 if w < 400 else 0.0, (front + back) / 2, wide, (front - back) / 2 + 6, 0.0, 3.0))
    return make_loft(rows)


@cache
def _muscles() -> tuple[Ellipsoid | Rod, ...]:
    """Bellies of both sides: back, then buttock, hip, thigh, chest, shoulder."""
    bellies: list[Ellipsoid | Rod] = []
    for side in (-1.0, 1.0):
        # erector spinae, and multifidus inside it
        back = [
            ((side * u, float(spine_v_mm(float(w))) + v, float(w)), float(r))
            for w, u, v, r in _TABLE["muscles_of_the_back"]
        ]
        bellies += [Rod(a, b, ra, rb) for (a, ra), (b, rb) in pairwise(back)]
        bellies += [
            Rod((side * 12, a[1] - 4, a[2]), (side * 12, b[1] - 4, b[2]), 0.55 * ra, 0.55 * rb)
            for (a, ra), (b, rb) in pairwise(back)
        ]
        bellies += [_simple(entry, side) for entry in _TABLE["muscles"]]
    return tuple(bellies)


def _simple(entry: list[float], side: float = 1.0) -> Ellipsoid | Rod:
    shape = shape_of(entry, outward=side)
    if isinstance(shape, Loft):
        raise TypeError(entry)
    return shape


@dataclass(frozen=True, slots=True)
class Organs:
    """Soft shapes of one patient, drawn in order.

    Attributes:
        heart: drawn over the lungs; the whole heart first.
        airways: drawn over the heart.
        belly: below the diaphragm, kept within the cavity.
        vessels: tubes and their HU.
        bowel: loops and the HU of their contents.
    """

    heart: tuple[Organ, ...] = field(repr=False)
    airways: tuple[Organ, ...] = field(repr=False)
    belly: tuple[Organ, ...] = field(repr=False)
    vessels: tuple[tuple[Rod, float], ...] = field(repr=False)
    bowel: tuple[tuple[Ellipsoid | Rod, float], ...] = field(repr=False)


def make_organs(spec: TrunkSpec, generator: np.random.Generator) -> Organs:
    """Place organs, a little elsewhere in every patient."""
    hu = _enhancement(spec)
    grown = uniform(generator, 0.9, 1.1)

    def shifted(centre: list[float], spread: float) -> tuple[float, float, float]:
        u, v, w = (float(c + generator.uniform(-spread, spread)) for c in centre)
        return u, v, w

    def organ(entry: list[Any]) -> Organ:
        at, spread, radii, grows, value, rough = entry
        centre = shifted(at, spread) if spread else (at[0], at[1], at[2])
        a, b, c = (
            uniform(generator, *radius) if isinstance(radius, list) else radius * (grown if k < grows else 1)
            for k, radius in enumerate(radii)
        )
        return Ellipsoid(centre, (a, b, c)), value[1] * hu[value[0]] if isinstance(value, list) else value, rough

    heart = [organ(entry) for entry in _TABLE["heart"]]
    belly = [organ(entry) for entry in _TABLE["upper_belly"]]
    belly.append((_simple(_TABLE["pancreas"]), 45.0 + 0.3 * (hu["vein"] - 45), 2.0))
    for side in (-1, 1):
        u, v, w = shifted([side * 62.0, -44.0, 158.0 + 8 * side], 5)
        belly += [
            (Ellipsoid((u, v, w), (27, 29, 53)), hu["kidney"], 1.0),
            (Ellipsoid((u - side * 12, v + 4, w), (12, 12, 26)), -60.0, 2.0),
        ]
    belly += [organ(entry) for entry in _TABLE["pelvic_organs"]]
    airways = [(_simple(entry), -990.0, 0.0) for entry in _TABLE["airways"]]
    return Organs(tuple(heart), tuple(airways), tuple(belly), tuple(_vessels(hu)), tuple(_bowel(generator)))


def _enhancement(spec: TrunkSpec) -> dict[str, float]:
    """HU of arteries, veins, liver, spleen, kidneys."""
    hu = spec.contrast_hu
    values = {
        "none": (44.0, 44.0, 58.0, 50.0, 34.0),
        "arterial": (hu, 0.35 * hu + 40, 70.0, 60 + 0.25 * hu, 60 + 0.4 * hu),
        "venous": (hu, 0.95 * hu, 65 + 0.28 * hu, 65 + 0.3 * hu, 70 + 0.6 * hu),
    }[spec.contrast]
    return dict(zip(("blood", "vein", "liver", "spleen", "kidney"), values, strict=True))


def _vessels(hu: dict[str, float]) -> list[tuple[Rod, float]]:
    def before_spine(name: str) -> list[tuple[float, float, float]]:
        return [(u, float(spine_v_mm(w)) + away, w) for w, u, away in _TABLE[name]]

    def rods(name: str, value: float, side: float) -> list[tuple[Rod, float]]:
        found = (_simple(entry, side) for entry in _TABLE[name])
        return [(rod, value) for rod in found if isinstance(rod, Rod)]

    blood, vein = hu["blood"], hu["vein"]
    aorta, cava = before_spine("aorta"), before_spine("cava")
    tubes = [(Rod(a, b, 12.5 - k * 0.7, 12.3 - k * 0.7), blood) for k, (a, b) in enumerate(pairwise(aorta))]
    tubes.append((Rod(aorta[0], (8, -4, 428), 12.5, 13), blood))
    for entry, (name, share) in _TABLE["great_vessels"]:
        rod = _simple(entry)
        tubes += [(rod, share * hu[name])] if isinstance(rod, Rod) else []
    tubes += [(Rod(a, b, 11, 11.5), vein) for a, b in pairwise(cava)]
    for side in (-1, 1):
        tubes += [(Rod(aorta[-1], (side * 34, 0, -25), 6, 5.5), blood), *rods("arteries", blood, side)]
        tubes += [(Rod(cava[-1], (side * 33, -9, -28), 7, 6.5), vein), *rods("veins", vein, side)]
        tubes += rods("carotid", blood, side)
    return tubes


def _bowel(generator: np.random.Generator) -> list[tuple[Ellipsoid | Rod, float]]:
    """Colon and loops of the small bowel; some with gas, some with contrast by mouth."""

    def content() -> float:
        drawn = float(generator.random())
        if drawn < 0.22:
            return _GAS
        return uniform(generator, 150, 320) if drawn < 0.27 else uniform(generator, 5, 45)

    loops: list[tuple[Ellipsoid | Rod, float]] = []
    for ends in pairwise(_TABLE["colon"]):
        (a, b, c), (d, e, f) = ([float(v + generator.uniform(-5, 5)) for v in end] for end in ends)
        radius = uniform(generator, 13, 20)
        loops.append((Rod((a, b, c), (d, e, f), radius, radius), content()))
    for _ in range(34):
        u, v, w = (uniform(generator, low, high) for low, high in ((-66, 66), (12, 66), (-60, 125)))
        a, b, c = (uniform(generator, 9, 19) for _ in range(3))
        loops.append((Ellipsoid((u, v, w), (a, b, c)), content()))
    return loops


def _skin_distance(raster: Rasterizer, spec: TrunkSpec) -> F32:
    """Signed distance to the skin on the whole block; the table has flattened it."""
    extra = _F((spec.body_fat - 1) * 12)
    facing = _F(1.0 if spec.patient_position.endswith("S") else -1.0)

    def envelope(here: Points) -> F32:
        away = _loft("skin").distance(here) - extra
        if float(here.w.min()) < -150:
            parted = np.maximum(2 - np.abs(here.u), -60) - np.maximum(here.w + 166, -60) * _F(0.9)
            parted = np.where(here.w < -150, parted, _F(-60)) + 0 * away
            away = smooth_max(away, np.asarray(parted, dtype=np.float32), 16.0)
        beyond = _F(BACK_V_MM) - facing * here.v
        return smooth_max(away, np.asarray(beyond + 0 * away, dtype=np.float32), 14.0)

    return raster.smooth(envelope)


def draw_soft_tissue(raster: Rasterizer, spec: TrunkSpec, organs: Organs) -> None:
    """Everything but bone, cartilage and metal."""
    block = raster.block
    cloud = raster.tile(raster.textures.cloud, stretch=1.6)
    skin = _skin_distance(raster, spec) + _F(1.0) * cloud
    fibre = raster.tile(raster.textures.medium, stretch=1.4)
    fat = _F(-103) + 6 * fibre
    fat += np.clip(0.5 - np.abs(skin + 1.2), 0, 1) * _F(100)
    raster.fill(skin, fat)
    layer = profile_at(_TABLE["fat_mm"], block.w)[:, None, None] * _F(spec.body_fat)
    belly = np.clip(block.v / 60, 0, 1)[None, :, None] * np.clip((260 - block.w) / 80, 0, 1)[:, None, None]
    fascia = skin + layer * (1 + _F(0.5) * belly) + _F(1.5) * cloud
    marbling = min(0.25 * spec.body_fat + max(spec.age_years - 50, 0) * 0.012, 1.0)
    muscle = _F(56 - 12 * marbling) + 4 * fibre - _F(38 * marbling) * np.clip(fibre - 1.1, 0, 1.5)
    raster.fill(fascia, muscle)
    low, high = float(block.w.min()), float(block.w.max())
    for one in _muscles():
        lowest, highest = one.w_range
        if lowest <= high + 5 and highest >= low - 5:
            raster.lay(one.grown(_FASCIA_MM), -88.0, rough_mm=1.3, within=fascia)
            raster.lay(one, 57.0 - 16 * marbling, rough_mm=1.3, within=fascia)
    thoracic = raster.smooth(thorax().distance)
    if low < 300:
        _draw_belly(raster, organs, thoracic=thoracic, fascia=fascia, fibre=fibre)
    for side in (-1, 1):
        for entry in _TABLE["psoas"]:
            raster.lay(_simple(entry, side), 58.0, rough_mm=1.5)
    if high > 175:
        _draw_chest(raster, organs, thoracic=thoracic, cloud=cloud, fibre=fibre)
    for tube, value in organs.vessels:
        raster.lay(tube, value)


def _draw_belly(raster: Rasterizer, organs: Organs, *, thoracic: F32, fascia: F32, fibre: F32) -> None:
    heights = raster.block.w
    inside = np.maximum(raster.smooth(_loft("cavity").distance), fascia + 9)
    if float(heights.max()) > 175:
        above = np.clip((heights - 150) / 40, 0, 1)[:, None, None]
        inside = inside + above * (np.maximum(thoracic + 9, heights[:, None, None] - 300) - inside)
    inside = np.asarray(inside, dtype=np.float32)
    raster.fill(inside, _F(-98) + 9 * fibre)
    for solid, value in organs.bowel:
        raster.lay(solid, 48.0, rough_mm=2.5, within=inside + 1)
        raster.lay(solid.grown(-2.6, least=1.0), value, rough_mm=2.5, within=inside + 4)
    for organ, value, rough in organs.belly:
        raster.lay(organ, value, rough_mm=rough, within=inside)


def _draw_chest(raster: Rasterizer, organs: Organs, *, thoracic: F32, cloud: F32, fibre: F32) -> None:
    here = raster.block.points
    lowest = 208 + 45 * np.clip((here.v + 60) / 130, 0, 1)
    chest = np.maximum(thoracic + 9, lowest - here.w)
    chest = np.maximum(chest, -raster.smooth(_domes)).astype(np.float32)
    middle = raster.smooth(_mediastinum().distance)
    raster.fill(chest, _F(-70) + 9 * fibre)
    for solid, value, rough in organs.heart:
        raster.lay(solid, value, rough_mm=rough, within=np.asarray(chest - 4))
    lung = np.maximum(np.maximum(chest, 2 - middle), 4 - raster.smooth(organs.heart[0][0].distance))
    vessels = np.clip(fibre + 0.6 * cloud - 1.45, 0, 1.2)
    raster.fill(lung.astype(np.float32), _F(-860) + 22 * cloud + 620 * vessels)
    for solid, value, rough in organs.airways:
        raster.lay(solid, value, rough_mm=rough)


def _domes(points: Points) -> F32:
    """Distance to the two domes of the diaphragm."""
    right, left = (_simple(entry) for entry in _TABLE["domes"])
    return np.minimum(right.distance(points), left.distance(points))
