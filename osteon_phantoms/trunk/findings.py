"""Bones of the trunk and what is in them: metastases, mimics, implants, and their order of drawing.

What metastases look like on CT: cancellous bone replaced by soft tissue, with thinned or lost cortex (lytic); dense
bone with a fuzzy border (blastic); both beside each other. Discs are spared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon_phantoms.block_shapes import box_about
from osteon_phantoms.paint import share_inside
from osteon_phantoms.shapes import Ellipsoid, Rod, profile_at
from osteon_phantoms.spec import uniform
from osteon_phantoms.trunk.skeleton import HIP_UVW_MM
from osteon_phantoms.trunk.spec import MIMIC_BONES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from osteon_phantoms.block_shapes import Window
    from osteon_phantoms.paint import Near, Rasterizer, Values
    from osteon_phantoms.shapes import F32
    from osteon_phantoms.trunk.skeleton import Skeleton, TrunkBone, Vertebra
    from osteon_phantoms.trunk.spec import MimicKind, TrunkLesionSpec, TrunkMimicSpec, TrunkSpec

__all__ = ["Findings", "PlacedLesion", "PlacedMimic", "draw_bones", "draw_findings", "place_findings"]

_F = np.float32
Place = tuple[float, float, float]
_METAL_HU: Final = 7000.0
_SCREWED: Final = ("L3", "L4", "L5")
_ROUGH_MM: Final = 0.3
_MASS_MM: Final = 8.0
"""How far a lesion with a full breach grows beyond its bone."""


@dataclass(frozen=True, slots=True, eq=False)
class PlacedLesion:
    """One metastasis in its place, reference millimetres.

    Attributes:
        spec: what was asked.
        number: its value in the lesion map.
        bone: that it is in.
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
    bone: TrunkBone
    centre: Place
    axes: F32 = field(repr=False)
    radii: Place
    rough_mm: float
    shift_mm: float
    hu: tuple[float, float]
    fuzz_mm: float

    def distance(self, raster: Rasterizer, window: Window) -> F32:
        """Signed distance bound on a window, before the bone limits it."""
        here = raster.block.part(window).points
        u, v, w = (axis - _F(at) for axis, at in zip((here.u, here.v, here.w), self.centre, strict=True))
        scaled = steep = np.zeros((), dtype=np.float32)
        for axis, radius in zip(self.axes, self.radii, strict=True):
            along = np.square((axis[0] * u + axis[1] * v + axis[2] * w) / _F(radius))
            scaled = scaled + along
            steep = steep + along / _F(radius * radius)
        length = np.sqrt(scaled)
        away = length * (length - 1) / (np.sqrt(steep) + _F(1e-6))
        if self.rough_mm:
            stretch = max(2 * max(self.radii) / 22, 0.5)
            away = away + _F(self.rough_mm) * raster.tile(
                raster.textures.cloud, window, stretch=stretch, shift_mm=self.shift_mm
            )
        return np.asarray(away, dtype=np.float32)

    def limit(self, raster: Rasterizer, skeleton: Skeleton, window: Window) -> F32:
        """Distance to what bounds it: its bone, below the cortex or beyond it; discs are spared."""
        asked, bone = self.spec, self.bone
        inset = 0.0
        if asked.type != "blastic" and asked.breach <= 0.5:
            inset = 0.9 * float(profile_at(bone.cortex_mm, self.centre[2])) * (1 - 2 * asked.breach)
        elif asked.type != "blastic":
            inset = -_MASS_MM * (asked.breach - 0.5) * 2 * min(asked.size_mm / 25, 1.0)
        limit = _bone_distance(raster, bone, window) + _F(inset)
        if bone.structure == "vertebra" and asked.breach > 0.5:
            vertebra = skeleton.vertebra(bone.name)
            here = vertebra.solid.local(raster.block.part(window).points)
            slab = np.asarray(np.abs(here.w) - _F(vertebra.level.height / 2), dtype=np.float32)
            limit = np.maximum(limit, slab)
        return limit


@dataclass(frozen=True, slots=True)
class PlacedMimic:
    """One mimic in its place, reference millimetres.

    Attributes:
        spec: what was asked.
        bone: that it is named after.
        centre: (u, v, w).
        direction: along the bone there.
        reach_mm: nothing of it is farther from the centre.
        shift_mm: its own place in the textures.
        gas: lenses of gas in a worn disc.
    """

    spec: TrunkMimicSpec
    bone: TrunkBone
    centre: Place
    direction: Place
    reach_mm: float
    shift_mm: float
    gas: tuple[Ellipsoid, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is not healthy.

    Attributes:
        lesions: metastases, in the order of the spec.
        mimics: in the order of the spec.
        metal: implants.
    """

    lesions: tuple[PlacedLesion, ...] = field(repr=False)
    mimics: tuple[PlacedMimic, ...] = field(repr=False)
    metal: tuple[Ellipsoid | Rod, ...] = field(repr=False)


def place_findings(spec: TrunkSpec, skeleton: Skeleton) -> Findings:
    """Place what a spec asks for.

    Raises:
        UnknownLabelError: no bone of that name.
        InputError: a mimic in a bone that cannot have it.
    """
    names = [bone.name for bone in skeleton.bones]
    for bone in [lesion.bone for lesion in spec.lesions] + [mimic.bone for mimic in spec.mimics]:
        if bone not in names:
            raise UnknownLabelError(f"no bone {bone!r} in a trunk: {nearest_names(bone, names)}")
    for mimic in spec.mimics:
        structure, fitting = skeleton.bone(mimic.bone).structure, MIMIC_BONES[mimic.kind]
        if structure not in fitting:
            wanted = " or ".join(fitting)
            raise InputError(f"a {mimic.kind} is in a {wanted}, but {mimic.bone!r} is a {structure}: name another")
    lesions = [_place_lesion(lesion, skeleton, spec, number=k) for k, lesion in enumerate(spec.lesions, start=1)]
    mimics = [_place_mimic(mimic, skeleton, spec, number=k) for k, mimic in enumerate(spec.mimics)]
    return Findings(tuple(lesions), tuple(mimics), tuple(_metal(spec, skeleton)))


def _place_lesion(spec: TrunkLesionSpec, skeleton: Skeleton, patient: TrunkSpec, *, number: int) -> PlacedLesion:
    """Draw what the spec leaves open; the same patient with and without other lesions has the same one."""
    generator = np.random.default_rng([patient.seed, 23, number])
    bone = skeleton.bone(spec.bone)
    u, v, w = (a + b / patient.scale for a, b in zip(bone.place(spec.position), spec.offset_mm, strict=True))
    first = np.asarray(bone.direction(spec.position)) if bone.structure == "rib" else generator.standard_normal(3)
    axes, _ = np.linalg.qr(np.column_stack([first, generator.standard_normal((3, 2))]))
    radius = spec.size_mm / 2 / patient.scale
    a, b, c = (float(radius * share) for share in spec.elongation ** np.array([2 / 3, -1 / 3, -1 / 3]))
    return PlacedLesion(
        spec=spec,
        number=number,
        bone=bone,
        centre=(u, v, w),
        axes=axes.T.astype(np.float32),
        radii=(a, b, c),
        rough_mm=0.09 * spec.size_mm * spec.irregularity,
        shift_mm=uniform(generator, 0, 400),
        hu=(uniform(generator, 30, 80), uniform(generator, 480, 980)),
        fuzz_mm=float(0.3 + generator.uniform(0.8, 4.0) * spec.irregularity),
    )


def _place_mimic(mimic: TrunkMimicSpec, skeleton: Skeleton, patient: TrunkSpec, *, number: int) -> PlacedMimic:
    generator = np.random.default_rng([patient.seed, 29, number])
    shift = uniform(generator, 0, 400)
    bone = skeleton.bone(mimic.bone)
    size = mimic.size_mm / patient.scale
    centre, reach = bone.place(mimic.position), size + 6
    gas: tuple[Ellipsoid, ...] = ()
    if mimic.kind == "sacroiliac_sclerosis":
        centre, reach = ((-1.0 if mimic.bone.endswith("right") else 1.0) * 60.0, -52.0, -22.0), 42.0
    elif mimic.kind == "rib_fracture":
        reach = 22.0
    elif mimic.kind != "bone_island":
        vertebra = skeleton.vertebra(mimic.bone)
        centre, reach = _vertebral_place(mimic, vertebra, size=size, generator=generator)
        if mimic.kind == "degenerative_disc" and mimic.degree > 0.55:
            wide, deep = 0.55 * vertebra.level.half_width, 0.4 * vertebra.level.half_depth
            lens = (wide, deep, max(0.28 * vertebra.disc_height, 0.8))
            gas = (Ellipsoid(vertebra.disc.to_trunk((0, 3, 0)), lens),)
    return PlacedMimic(mimic, bone, centre, bone.direction(mimic.position), reach, shift, gas)


def _vertebral_place(
    mimic: TrunkMimicSpec, vertebra: Vertebra, *, size: float, generator: np.random.Generator
) -> tuple[Place, float]:
    level, to_trunk = vertebra.level, vertebra.solid.to_trunk
    wide, deep, half = level.half_width, level.half_depth, level.height / 2
    across = uniform(generator, -0.4, 0.4) * wide
    if mimic.kind == "degenerative_disc":
        return vertebra.disc.to_trunk((0, 0, 0)), wide + 22
    if mimic.kind == "schmorl_node":
        return to_trunk((across, uniform(generator, -0.3, 0.3) * deep, -half + 0.25 * size)), size + 5
    if mimic.kind == "facet_arthrosis":
        return to_trunk((0, vertebra.arch_y - 8, -half - 2)), level.canal + 26
    if mimic.kind == "wedge_fracture":
        return to_trunk((0, 0, 0.4 * half)), wide + 16
    room = max(min(0.5 * size, 0.8 * half), 3.0)
    return to_trunk((across, uniform(generator, -0.2, 0.3) * deep, 0)), 2 * room + 6


def _metal(spec: TrunkSpec, skeleton: Skeleton) -> list[Ellipsoid | Rod]:
    """Pedicle screws with rods, or the head, stem and cup of a hip prosthesis on the right."""
    if spec.metal == "hip_prosthesis":
        u, v, w = HIP_UVW_MM
        return [
            Ellipsoid((-u, v, w), (15, 15, 15)),
            Rod((-u - 4, v, w - 4), (-126, -14, -118), 7, 8),
            Rod((-126, -14, -118), (-127, -9, -235), 9, 6),
        ]
    solids: list[Ellipsoid | Rod] = []
    for side in (-1.0, 1.0) if spec.metal == "spine_screws" else ():
        heads = []
        for vertebra in map(skeleton.vertebra, _SCREWED):
            tip = vertebra.solid.to_trunk((side * 10, 6, 3))
            head = vertebra.solid.to_trunk((side * (vertebra.level.canal + 6), vertebra.arch_y - 20, 5))
            solids += [Rod(tip, head, 2.6, 3.0), Ellipsoid(head, (5.5, 5.5, 5.5))]
            heads.append(head)
        solids += [Rod(a, b, 2.8, 2.8) for a, b in pairwise(heads)]
    return solids


def _bone_distance(raster: Rasterizer, bone: TrunkBone, window: Window) -> F32:
    """Signed distance to the surface of a bone on a window, with the unevenness of real bone."""
    away = bone.shape.distance(raster.block.part(window))
    return away + _F(_ROUGH_MM) * raster.tile(raster.textures.cloud, window, shift_mm=19)


def draw_bones(raster: Rasterizer, spec: TrunkSpec, skeleton: Skeleton, findings: Findings) -> None:
    """Cartilages, discs (some with gas), then all bones; where two meet, the one that comes first keeps its ground."""
    cartilage = 95.0 + (spec.age_years > 60) * 30.0
    for tube in skeleton.cartilages:
        window = raster.block.window(tube.box)
        if window is not None:
            near = raster.near(window, tube.distance(raster.block.part(window)), reach_mm=raster.width_mm)
            raster.blend(near, share_inside(near.distance, raster.width_mm), cartilage)
    for outward in (-1.0, 1.0):
        u, v, w = HIP_UVW_MM
        raster.lay(Ellipsoid((outward * u, v, w), (27.5, 27.5, 27.5)), 75.0)
    for vertebra in skeleton.spine:
        window = raster.block.window(vertebra.disc.box)
        if window is not None:
            near = raster.near(window, vertebra.disc.distance(raster.block.part(window)), reach_mm=raster.width_mm)
            medium = raster.textures.medium.of(near, shift_mm=raster.shift_mm)
            raster.blend(near, share_inside(near.distance, raster.width_mm), 82 + 5 * medium)
    for lens in (lens for mimic in findings.mimics for lens in mimic.gas):
        raster.lay(lens, -800.0, rough_mm=0.4)
    # density of cancellous bone against a mean adult of 58 years
    dense = float(np.clip(1.0 - 0.009 * (spec.age_years - 58), 0.6, 1.3)) * spec.bone_density
    for number, bone in enumerate(skeleton.bones, start=1):
        window = raster.block.window(bone.shape.box)
        if window is not None:
            near = raster.near(window, _bone_distance(raster, bone, window), reach_mm=raster.width_mm)
            _draw_bone(raster, bone, near, number=number, dense=dense)


def _draw_bone(raster: Rasterizer, bone: TrunkBone, near: Near, *, number: int, dense: float) -> None:
    if not len(near):
        return
    shift, textures = raster.shift_mm, raster.textures
    fine, medium = textures.fine.of(near, shift_mm=shift + 3), textures.medium.of(near, shift_mm=shift + 5)
    cloud = textures.cloud.of(near, stretch=1.5, shift_mm=shift + 11)
    inside = profile_at(bone.spongiosa_hu, near.w) * _F(dense)
    inside += _F(34) * fine + _F(20) * medium + _F(14) * cloud
    cortex = profile_at(bone.cortex_mm, near.w) * (1 + _F(0.25) * cloud) * _F(0.75 + 0.25 * min(dense, 1.2))
    hollow = share_inside(near.distance + cortex, raster.width_mm + 0.5)
    owner = raster.owner.reshape(-1)
    free = owner[near.index] == 0
    value = bone.cortex_hu + hollow * (inside - bone.cortex_hu)
    raster.blend(near, share_inside(near.distance, raster.width_mm) * free, value)
    owner[near.index[(near.distance < 0) & free]] = number


def draw_findings(raster: Rasterizer, spec: TrunkSpec, skeleton: Skeleton, findings: Findings) -> None:
    """Mimics first, then metastases, then metal, each over the ones before."""
    for mimic in findings.mimics:
        _draw_mimic(raster, skeleton, mimic, size=mimic.spec.size_mm / spec.scale)
    for lesion in findings.lesions:
        _draw_lesion(raster, skeleton, lesion)
    for solid in findings.metal:
        found = raster.distance(solid, 2)
        if found is not None:
            window, away = found
            raster.fill(away, _METAL_HU, window)
            inside = share_inside(np.asarray(away), raster.width_mm) > 0.5
            raster.owner[window][inside] = 0
            raster.lesion[window][inside] = 0


def _draw_lesion(raster: Rasterizer, skeleton: Skeleton, lesion: PlacedLesion) -> None:
    """Draw one metastasis into its bone and number its voxels.

    It stays within its bone, leaves the cortex alone unless it breaches it, never takes a voxel of another bone or of a
    lesion drawn before; what it takes beyond the cortex belongs to the bone from then on.
    """
    window = raster.block.window(box_about([lesion.centre], max(lesion.radii) + 3 * lesion.rough_mm + 4))
    if window is None:
        return
    bounded = np.maximum(lesion.distance(raster, window), lesion.limit(raster, skeleton, window))
    near = raster.near(window, bounded, reach_mm=lesion.fuzz_mm + raster.width_mm + 3)
    if not len(near):
        return
    owner, mask = raster.owner.reshape(-1), raster.lesion.reshape(-1)
    host = skeleton.number(lesion.bone)
    mine = (owner[near.index] == host) | (owner[near.index] == 0)
    mine &= mask[near.index] == 0
    if lesion.spec.type != "blastic" and lesion.spec.breach == 0:
        mine &= owner[near.index] == host
    _paint_lesion(raster, lesion, near, mine)
    taken = near.index[(near.distance < 0) & mine]
    mask[taken] = lesion.number
    owner[taken] = host


def _paint_lesion(raster: Rasterizer, lesion: PlacedLesion, near: Near, mine: NDArray[np.bool_]) -> None:
    asked, shift = lesion.spec, lesion.shift_mm + raster.shift_mm
    medium = raster.textures.medium.of(near, shift_mm=shift)
    cloud = raster.textures.cloud.of(near, stretch=0.8, shift_mm=shift)
    soft_hu, dense_hu = lesion.hu
    soft = soft_hu + 9 * medium + _F(70) * np.clip(medium - 1.5, 0, 2)
    dense = dense_hu + 110 * cloud + 80 * medium
    share = share_inside(near.distance, raster.width_mm + lesion.fuzz_mm) * mine
    if asked.type == "lytic":
        if asked.rim_hu > 0:
            rim = np.clip(1 - np.abs(near.distance - 0.8) / 1.6, 0, 1) * mine
            raster.blend(near, rim, asked.rim_hu, only_up=True)
        raster.blend(near, share_inside(near.distance, raster.width_mm + 0.5 * lesion.fuzz_mm) * mine, soft)
    elif asked.type == "blastic":
        raster.blend(near, share, np.maximum(dense, 420), only_up=True)
    else:
        patch = np.clip(0.5 + 1.6 * (cloud + 0.4 * medium), 0, 1)
        raster.blend(near, share, soft + patch * (np.clip(0.85 * dense, 400, 1000) - soft))


@dataclass(frozen=True, slots=True, eq=False)
class _Spot:
    """Where one mimic changes one bone: its points within reach, of which those to keep are the bone's own."""

    raster: Rasterizer
    mimic: PlacedMimic
    near: Near
    keep: F32
    skeleton: Skeleton
    bone: TrunkBone
    size: float
    degree: np.float32

    @property
    def cloud(self) -> F32:
        """Slow variation at the points."""
        return self.raster.textures.cloud.of(self.near, shift_mm=self.mimic.shift_mm)

    @property
    def medium(self) -> F32:
        """Finer variation at the points."""
        return self.raster.textures.medium.of(self.near, shift_mm=self.mimic.shift_mm)

    @property
    def vertebra(self) -> Vertebra:
        """That the mimic is named after."""
        return self.skeleton.vertebra(self.mimic.bone.name)

    def from_centre(self) -> F32:
        """Distance from the centre of the mimic."""
        return self.near.from_point(self.mimic.centre)

    def densify(self, share: Values, value: Values) -> None:
        """Mix a value in where it is the denser one."""
        self.raster.blend(self.near, share, value, only_up=True)


def _draw_mimic(raster: Rasterizer, skeleton: Skeleton, mimic: PlacedMimic, *, size: float) -> None:
    window = raster.block.window(box_about([mimic.centre], mimic.reach_mm))
    if window is None:
        return
    for bone in _changed(mimic, skeleton):
        away = _bone_distance(raster, bone, window)
        if mimic.spec.kind == "rib_fracture":
            _callus(raster, mimic, skeleton.number(bone), window, away)
            continue
        near = raster.near(window, away, reach_mm=0.8)
        keep = raster.owner.reshape(-1)[near.index] == skeleton.number(bone)
        if keep.any():
            degree = _F(mimic.spec.degree)
            spot = _Spot(raster, mimic, near, keep.astype(np.float32), skeleton, bone, size, degree)
            _PAINT[mimic.spec.kind](spot)


def _changed(mimic: PlacedMimic, skeleton: Skeleton) -> list[TrunkBone]:
    if mimic.spec.kind in {"degenerative_disc", "facet_arthrosis"}:
        levels = [vertebra.level.name for vertebra in skeleton.spine]
        at = levels.index(mimic.bone.name)
        return [mimic.bone, skeleton.bone(levels[at - 1] if at else "sacrum")]
    if mimic.spec.kind == "sacroiliac_sclerosis":
        return [mimic.bone, skeleton.bone("sacrum")]
    return [mimic.bone]


def _island(at: _Spot) -> None:
    """Compact bone with brush-like edges."""
    away = at.from_centre() - _F(at.size / 2) + _F(0.07 * at.size + 0.3) * at.medium
    at.densify(share_inside(away, at.raster.width_mm + 0.3) * at.keep, 1080.0)


def _worn_end_plates(at: _Spot) -> None:
    """Bands of dense bone along both sides of a worn disc, most at the front; osteophytes are part of the bones."""
    vertebra, cloud = at.vertebra, at.cloud
    local, deep = vertebra.disc.local(at.near), _F(vertebra.level.half_depth)
    band = np.abs(local.w) - _F(vertebra.disc_height / 2 + 0.55 * at.size) + 1.5 * cloud
    front = np.clip(0.75 + 0.5 * local.v / deep + 0.4 * cloud, 0, 1)
    body = np.clip((local.v + deep) / 2, 0, 1)
    at.densify(share_inside(band, 4.0) * at.keep * front * body, 250 + 480 * at.degree + 60 * cloud)


def _facets(at: _Spot) -> None:
    vertebra, cloud = at.vertebra, at.cloud
    rc, y, half = vertebra.level.canal, vertebra.arch_y, vertebra.level.height / 2
    for side, amount in ((-1.0, 1.0), (1.0, 0.4 + 0.6 * (at.mimic.shift_mm % 1))):
        away = at.near.from_point(vertebra.solid.to_trunk((side * (rc + 4.5), y - 7, -half - 1)), flat=0.7)
        share = share_inside(away - _F(0.5 * at.size + 5) + cloud, 4.0) * at.keep
        at.densify(share, 450 + 550 * _F(at.mimic.spec.degree * amount))


def _node(at: _Spot) -> None:
    """Disc pressed into an end plate: disc HU with a dense rim."""
    away = at.from_centre() - _F(at.size / 2) + 0.6 * at.cloud
    at.densify(np.clip(1 - np.abs(away - 1.0) / 1.8, 0, 1) * at.keep, 300 + 350 * at.degree)
    at.raster.blend(at.near, share_inside(away, at.raster.width_mm) * at.keep, 80.0)


def _haemangioma(at: _Spot) -> None:
    """Fat between few thick upright trabeculae: polka dots in axial slices, stripes in sagittal ones."""
    local = at.vertebra.solid.local(at.near)
    medium = at.raster.textures.medium
    columns = medium.at(local.u * 1.4, local.v * 1.4, local.w * 0.03, shift_mm=at.mimic.shift_mm)
    radial = at.near.from_point(at.mimic.centre, flat=0.8)
    away = np.maximum(radial - _F(at.size / 2) + 1.2 * at.cloud, at.near.distance + 1.4)
    value = 20 - 70 * at.degree + 620 * np.clip(columns - 0.7, 0, 1)
    at.raster.blend(at.near, share_inside(np.asarray(away), at.raster.width_mm + 0.8) * at.keep, value)


def _wedge(at: _Spot) -> None:
    """Impacted trabeculae below the upper end plate of a body that has lost height at its front."""
    level, cloud = at.vertebra.level, at.cloud
    local = at.vertebra.solid.local(at.near)
    below = _F(level.height / 2 - 4) - local.w
    band = np.maximum(np.abs(below - 2) - _F(max(0.35 * at.size, 2.0)) + cloud, -local.v - level.half_depth)
    at.densify(share_inside(np.asarray(band), 3.0) * at.keep, 330 + 260 * at.degree + 50 * cloud)


def _joint(at: _Spot) -> None:
    """Dense bone on both sides of a sacroiliac joint."""
    other = at.skeleton.bone("sacrum") if at.bone.structure == "hip" else at.mimic.bone
    block = at.raster.block
    window = block.window(box_about([at.mimic.centre], at.mimic.reach_mm))
    if window is None:
        return
    k, r, c = np.unravel_index(at.near.index, block.shape)
    away = _bone_distance(at.raster, other, window)
    across = away[k - window[0].start, r - window[1].start, c - window[2].start]
    cloud = at.cloud
    inside = at.from_centre() - _F(at.mimic.reach_mm - 10)
    band = np.maximum(across - _F(0.6 * at.size + 2) + 2 * cloud, inside)
    at.densify(share_inside(band, 5.0) * at.keep, 320 + 520 * at.degree + 60 * cloud)


def _callus(raster: Rasterizer, mimic: PlacedMimic, number: int, window: Window, away: F32) -> None:
    """A spindle of new bone about a rib and the line of the fracture in it."""
    here = raster.block.part(window).points
    u, v, w = (axis - _F(at) for axis, at in zip((here.u, here.v, here.w), mimic.centre, strict=True))
    du, dv, dw = (_F(value) for value in mimic.direction)
    along = u * du + v * dv + w * dw
    degree, length = mimic.spec.degree, _F(9 + 0.3 * mimic.spec.size_mm)
    thick = _F(1.5 + 4.0 * degree) * np.clip(1 - np.square(along / length), 0, 1)
    spindle = np.maximum(away - thick, np.abs(along) - length)
    near = raster.near(window, np.asarray(spindle, dtype=np.float32), reach_mm=raster.width_mm + 1)
    if not len(near):
        return
    owner = raster.owner.reshape(-1)
    mine = (owner[near.index] == 0) | (owner[near.index] == number)
    cloud = raster.textures.cloud.of(near, shift_mm=mimic.shift_mm)
    medium = raster.textures.medium.of(near, shift_mm=mimic.shift_mm)
    value = 330 + 250 * _F(degree) + 90 * cloud + 60 * medium
    raster.blend(near, share_inside(near.distance, raster.width_mm + 1) * mine, value)
    at = (near.u - mimic.centre[0]) * du + (near.v - mimic.centre[1]) * dv + (near.w - mimic.centre[2]) * dw
    line = np.clip(1 - np.abs(at + 0.8 * cloud) / 1.1, 0, 1) * mine * _F(0.8 * (1 - degree))
    raster.blend(near, line * (near.distance < 0), 110.0)
    owner[near.index[(near.distance < 0) & mine]] = number


_PAINT: Final[dict[MimicKind, Callable[[_Spot], None]]] = {
    "bone_island": _island,
    "degenerative_disc": _worn_end_plates,
    "facet_arthrosis": _facets,
    "schmorl_node": _node,
    "haemangioma": _haemangioma,
    "wedge_fracture": _wedge,
    "sacroiliac_sclerosis": _joint,
}
