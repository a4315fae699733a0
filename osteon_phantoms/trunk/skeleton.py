"""All bones of the trunk in their places, and what they are made of.

Sizes of vertebrae follow the morphometry of adults (Panjabi et al., doi:10.1097/00007632-199103000-00012 and
doi:10.1097/00007632-199203000-00010), rounded. Millimetres are those of a reference adult: u to the left, v forward,
w up from the lower end plate of L5. Right is the mirror image of left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon_phantoms.block_shapes import Framed, Joined, Tube, make_plate
from osteon_phantoms.shapes import Ellipsoid, Loft, Profile, Rod, Solid, make_loft, shape_of, solid_of
from osteon_phantoms.spec import table
from osteon_phantoms.trunk.spec import TrunkSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from osteon_phantoms.block_shapes import Shape

__all__ = [
    "HIP_UVW_MM", "Level", "Skeleton", "TrunkBone", "Vertebra", "bone_extents", "make_skeleton", "spine_v_mm", "thorax",
    "trunk_bones",
]  # fmt: skip

Place = tuple[float, float, float]
_TABLE: Final = table("trunk")
_SIDES: Final = (("right", -1.0), ("left", 1.0))

HIP_UVW_MM: Final = (88.0, -5.0, -88.0)
"""Middle of the left hip joint."""


def _mirrored(places: Sequence[Sequence[float]], outward: float) -> tuple[Place, ...]:
    return tuple((outward * u, float(v), float(w)) for u, v, w in places)


@dataclass(frozen=True, slots=True)
class Level:
    """Size of one vertebra in reference millimetres.

    Attributes:
        name: "C6" to "L5".
        half_width: of the body.
        half_depth: of the body.
        height: of the body; even, as the tables of a loft stand at whole millimetres.
        disc: height of the disc below.
        canal: half width of the canal.
        lumbar: 0 thoracic to 1 lumbar: shape of the arch.
    """

    name: str
    half_width: float
    half_depth: float
    height: float
    disc: float
    canal: float
    lumbar: float


_LEVELS: Final = tuple(Level(*row) for row in _TABLE["levels"])
"""From below."""


def spine_v_mm(w: float | NDArray[np.floating]) -> NDArray[np.float64]:
    """How far in front the middles of the bodies stand at heights w: lumbar lordosis, thoracic kyphosis."""
    from scipy.interpolate import PchipInterpolator

    heights, values = zip(*_TABLE["curve"], strict=True)
    return np.asarray(PchipInterpolator(heights, values)(np.clip(w, heights[0], heights[-1])))


@dataclass(frozen=True, slots=True)
class Vertebra:
    """One vertebra in its place.

    Attributes:
        level: its sizes.
        solid: body and arch.
        disc: below it.
        disc_height: as it is in this patient.
        arch_y: where the middle of the canal is in the own frame.
    """

    level: Level
    solid: Framed = field(repr=False)
    disc: Framed = field(repr=False)
    disc_height: float
    arch_y: float

    @property
    def marrow(self) -> tuple[Place, ...]:
        """Places from the spinous process along the arch through the body, right to left."""
        level, y, rc = self.level, self.arch_y, self.level.canal
        wide, front = 0.5 * level.half_width, -level.half_depth + 1
        places = (
            (0.0, y - rc - 15, -5.0 if level.lumbar > 0.5 else -14.0),
            (-(rc + 3), y - 5, -1.0),
            (-(rc + 3), front, 4.0),
            (-wide, 0.0, 0.0),
            (0.0, 0.2 * level.half_depth, 0.0),
            (wide, 0.0, 0.0),
            (rc + 3, front, 4.0),
        )
        return tuple(self.solid.to_trunk(place) for place in places)


def _make_spine(spec: TrunkSpec) -> tuple[Vertebra, ...]:
    """All vertebrae from L5 upwards, with what worn discs and fractures have done to their shape."""
    worn = {mimic.bone: mimic for mimic in spec.mimics if mimic.kind == "degenerative_disc"}
    wedges = {mimic.bone: 0.18 + 0.3 * mimic.degree for mimic in spec.mimics if mimic.kind == "wedge_fracture"}
    lumps = {name: mimic.size_mm for name, mimic in worn.items()}
    spine: list[Vertebra] = []
    w = 0.0
    for k, level in enumerate(_LEVELS):
        gap = level.disc * (1 - 0.65 * worn[level.name].degree if level.name in worn else 1.0)
        if k:
            w += gap
        above = _LEVELS[k + 1].name if k + 1 < len(_LEVELS) else ""
        spurs = [*_spurs(level, lumps.get(level.name, 0.0), -1.0), *_spurs(level, lumps.get(above, 0.0), 1.0)]
        wedge = wedges.get(level.name, 0.0)
        spine.append(
            _vertebra(level, w + level.height / 2, spurs, gap=gap, wedge=wedge, scoliosis_mm=spec.scoliosis_mm)
        )
        w += level.height
    return tuple(spine)


def _stand(w: float, scoliosis_mm: float) -> tuple[Place, float]:
    """Where the spine stands at a height, and how it leans."""
    u = scoliosis_mm * math.sin(math.pi * max(w, 0.0) / 380)
    before, here, after = (float(value) for value in spine_v_mm(np.array([w - 6, w, w + 6])))
    return (u, here, w), math.atan2(after - before, 12.0)


def _vertebra(
    level: Level, middle: float, spurs: Sequence[Ellipsoid], *, gap: float, wedge: float, scoliosis_mm: float
) -> Vertebra:
    origin, pitch = _stand(middle, scoliosis_mm)
    y = -level.half_depth - level.canal - 0.5
    reach = 44.0 if level.lumbar > 0.5 else 36.0
    half, rc = level.height / 2, level.canal - 1.5
    canal = Rod((-2.5, y, -60), (-2.5, y, 60), rc, rc), Rod((2.5, y, -60), (2.5, y, 60), rc, rc)
    box = (-reach, reach), (y - level.canal - 40, level.half_depth + 8), (-half - 20, half + 12)
    bone = Solid((_body(level), *_arch(level, y), *spurs), canal, cut_blend_mm=2.0)
    solid = Framed(bone, box, origin, pitch, wedge=wedge, depth_mm=level.half_depth)
    below, disc_pitch = _stand(middle - half - gap / 2, scoliosis_mm)
    wide, deep = level.half_width, level.half_depth * 1.02
    cushion = Solid((make_loft([(w, 0, 0, wide, deep, 0, 1) for w in (-8, 0, 8)]),))
    disc = Framed(cushion, ((-wide, wide), (-deep, deep), (-8, 8)), below, disc_pitch)
    return Vertebra(level=level, solid=solid, disc=disc, disc_height=gap, arch_y=y)


def _body(level: Level) -> Loft:
    half, wide, deep = level.height / 2, level.half_width, level.half_depth
    rows = (
        (-half, 0, 0, wide, deep, 0, 1.0),
        (-half + 3, 0, 0, wide * 0.96, deep * 0.97, 0, 1.0),
        (0, 0, -0.4, wide * 0.86, deep * 0.9, 0, 0.8),
        (half - 3, 0, 0, wide * 0.94, deep * 0.96, 0, 1.0),
        (half, 0, 0, wide * 0.98, deep * 0.99, 0, 1.0),
    )
    return make_loft(rows, round_mm=2.0)


def _arch(level: Level, y: float) -> list[Rod]:
    rc, half, lumbar = level.canal, level.height / 2, level.lumbar > 0.5
    t = 1.0 if lumbar else 0.85
    parts: list[Rod] = []
    for side in (-1.0, 1.0):
        inner, outer = (side * 0.6 * level.half_width, -level.half_depth * 0.6), (side * (rc + 3.5), y - 2)
        parts += [Rod((*inner, up), (*outer, up), 4.0 * t, 4.0 * t) for up in (0.18 * half, 0.5 * half)]
        parts += [
            Rod((side * (rc + 3), y - 4, 0), (0, y - rc - 3.5, -5), 3.6 * t, 3.6 * t),
            Rod((side * (rc + 3), y - 6, -7), (0, y - rc - 4, -12), 3.4 * t, 3.4 * t),
            Rod((side * (rc + 6), y - 3, 2), (side * (rc + 7), y - 4, half + 4), 4.2 * t, 3.6 * t),
            Rod((side * (rc + 2), y - 8, -4), (side * (rc + 2.5), y - 11, -half - 7), 4.2 * t, 3.8 * t),
            Rod((side * (rc + 6), y - 2, 4), (side * 40, y - 7, 5), 4.4, 2.8)
            if lumbar
            else Rod((side * (rc + 5), y - 6, 4), (side * 28, min(y - 17, -38), 6), 4.4, 4.8),
        ]
    if lumbar:
        return parts + [Rod((0, y - rc - 4, z), (0, y - rc - 30, z - 3), 3.0, 3.8) for z in (-4, -9, -14)]
    return parts + [Rod((0, y - rc - 4, z), (0, y - rc - 24, z - 18), 3.0, 3.2) for z in (-4, -8)]


def _spurs(level: Level, size_mm: float, side: float) -> list[Ellipsoid]:
    """Osteophytes about the rim of one end plate: at the front and the flanks, none at the canal."""
    if size_mm <= 0:
        return []
    out = 0.35 * size_mm
    places = []
    for degrees, share in ((25, 0.9), (60, 0.7), (95, 1.0), (130, 0.6), (160, 0.85)):
        turn = math.radians(degrees)
        u = (level.half_width - 1 + out * 0.5) * math.cos(turn)
        v = (level.half_depth - 1 + out * 0.5) * math.sin(turn)
        height = side * (level.height / 2 - 0.2 * size_mm)
        reach = max(out * share + 2.2, 2.5)
        places.append(Ellipsoid((u, v, height), (reach * 1.4, reach * 1.2, max(0.35 * size_mm * share, 2.0))))
    return places


@cache
def thorax() -> Loft:
    """The surface in which the middles of the ribs are."""
    return make_loft([
        (w, 0.0, float(spine_v_mm(float(w))) - 44 + 0.92 * deep, wide, deep) for w, wide, deep in _TABLE["thorax"]
    ])  # fmt: skip


def _on_thorax(w: float, degrees: float) -> tuple[float, float]:
    """(u, v) of the thorax at a height, turned from the back over the left to the front."""
    u0, v0, wide, deep, *_ = (float(value) for value in thorax().section(np.array(w, dtype=np.float32)))
    turn = math.radians(degrees)
    return u0 + wide * math.sin(turn), v0 - deep * math.cos(turn)


def _sternum_v_mm(w: float) -> float:
    """How far in front the sternum is at a height."""
    return _on_thorax(w, 180.0)[1] + 1.0


def _make_ribs(spine: Sequence[Vertebra]) -> tuple[dict[str, Tube], tuple[Tube, ...]]:
    """Bony ribs by name ("rib 7 left"), and their cartilages."""
    by_name = {vertebra.level.name: vertebra for vertebra in spine}
    ribs: dict[str, Tube] = {}
    cartilages: list[Tube] = []
    for side, outward in _SIDES:
        joined: Tube | None = None
        for number in range(1, 13):
            rib = _rib(by_name[f"T{number}"], number, outward)
            ribs[f"rib {number} {side}"] = rib
            if number <= 10:
                joined = _cartilage(rib, number, outward, joined)
                cartilages.append(joined)
    return ribs, tuple(cartilages)


def _rib(vertebra: Vertebra, number: int, outward: float) -> Tube:
    level = vertebra.level
    up = level.height / 2 - 3 if 1 < number < 11 else 0.0
    to_trunk = vertebra.solid.to_trunk
    head = to_trunk((outward * (level.half_width + 4.0), -0.72 * level.half_depth, up))
    knee = to_trunk((outward * 35.0, min(vertebra.arch_y - 10, -32.0), up - 4))
    drop, end = _TABLE["rib_drop"][number - 1], _TABLE["rib_end_degrees"][number - 1]
    wide = float(thorax().section(np.array(knee[2], dtype=np.float32))[2])
    start = max(22.0, math.degrees(math.asin(min(44.0 / wide, 0.95))))
    points = [head, knee]
    for share in np.linspace(0, 1, 17):
        w = knee[2] - 3 - drop * share**1.1
        u, v = _on_thorax(w, start + (end - start) * share)
        points.append((outward * u, v, w))
    radii = np.interp(np.linspace(0, 1, len(points)), [0, 0.1, 0.5, 1], [4.0, 3.4, 3.7, 4.1])
    if number == 1:
        radii = radii + 0.8
    if number > 10:
        radii = np.minimum(radii, np.linspace(4.0, 2.6, len(points)))
    return Tube.along(points, radii, tall=1.65 if number > 1 else 1.0)


def _cartilage(rib: Tube, number: int, outward: float, above: Tube | None) -> Tube:
    end = rib.points[-1]
    if number <= 7 or above is None:
        w = float(_TABLE["sternal_w"][min(number, 7) - 1])
        goal = np.array([outward * (20.0 if number == 1 else 15.0), _sternum_v_mm(w), w])
    else:
        goal = above.points[len(above.points) // 2].astype(np.float64)
    points = []
    for share in np.linspace(0, 1, 9):
        u, v, w = (float(end[axis] + (goal[axis] - end[axis]) * share) for axis in range(3))
        dip = -14.0 * math.sin(math.pi * share) if 4 <= number <= 7 else 0.0
        points.append((u, v + 5.0 * math.sin(math.pi * share), w + dip))
    return Tube.along(points, np.full(len(points), 4.2 if number < 8 else 3.4), tall=1.4)


def _sternum() -> Framed:
    """Manubrium, body and xiphoid, following the front of the thorax."""
    rows = [(w, 0.0, _sternum_v_mm(float(w)), wide, deep, 0.0, 0.5) for w, wide, deep in _TABLE["sternum"]]
    front = [row[2] for row in rows]
    reach = ((-30.0, 30.0), (min(front) - 9, max(front) + 9), (270.0, 468.0))
    return Framed(Solid((make_loft(rows, round_mm=3.0),)), reach)


def _clavicle(outward: float) -> Tube:
    """An s-shaped rod from the manubrium to the shoulder."""
    front = _sternum_v_mm(462.0)
    rows = [(outward * u, front + v, w, radius) for u, v, w, radius in _TABLE["clavicle"]]
    return Tube.along([row[:3] for row in rows], [row[3] for row in rows])


def _tube(rows: Sequence[Sequence[float]], outward: float, *, tall: float = 1.0) -> Tube:
    return Tube.along(_mirrored([row[:3] for row in rows], outward), [row[3] for row in rows], tall=tall)


def _simple(entries: Sequence[Sequence[float]], outward: float, reach: float | None = None) -> tuple[Framed, ...]:
    shapes = (shape_of(entry, outward=outward) for entry in entries)
    return tuple(Framed.of(shape, reach) for shape in shapes if not isinstance(shape, Loft))


@cache
def _scapula(outward: float) -> Joined:
    """Blade, spine with acromion, socket."""
    blade = make_plate(_TABLE["scapula"], outward=outward)
    return Joined((blade, _tube(_TABLE["scapular_spine"], outward, tall=1.5)), blend_mm=5.0)


@cache
def _hip_bone(outward: float) -> Joined:
    """Ilium, ischium, pubis with the socket."""
    wing = make_plate(_TABLE["hip_wing"], outward=outward)
    return Joined((wing, *_simple(_TABLE["hip"], outward)), _simple(_TABLE["hip_cuts"], outward), blend_mm=9.0)


@cache
def _sacrum() -> Framed:
    """Five joined vertebrae with wings, canal and foramina; the tail bone."""
    return Framed(solid_of(_TABLE["sacrum"]), ((-66.0, 66.0), (-92.0, -8.0), (-136.0, 8.0)))


@cache
def _femur(outward: float) -> Joined:
    """Head, neck, trochanters, upper shaft."""
    shaft = _tube(_TABLE["femur_shaft"], outward)
    return Joined((*_simple(_TABLE["femur"], outward), shaft), blend_mm=7.0)


@dataclass(frozen=True, slots=True, eq=False)
class TrunkBone:
    """One bone.

    Attributes:
        name: "L3", "rib 7 left", "hip right", "sacrum", "sternum", "femur left", ...
        structure: key of ``osteon_phantoms.labels.STRUCTURES``.
        shape: its surface.
        cortex_mm: thickness of the compact bone by height.
        cortex_hu: of the compact bone.
        spongiosa_hu: mean of the inside by height, in an adult of mean density.
        marrow: places where something may grow, in order (see ``TrunkLesionSpec.position``).
    """

    name: str
    structure: str
    shape: Shape = field(repr=False)
    cortex_mm: Profile
    cortex_hu: float
    spongiosa_hu: Profile
    marrow: tuple[Place, ...] = field(repr=False)

    def place(self, position: float) -> Place:
        """The point at a share of the way along the marrow."""
        at = position * (len(self.marrow) - 1)
        u, v, w = (float(np.interp(at, np.arange(len(self.marrow)), axis)) for axis in zip(*self.marrow, strict=True))
        return u, v, w

    def direction(self, position: float) -> Place:
        """How the marrow runs there, as a unit vector."""
        before, after = (np.asarray(self.place(min(max(position + step, 0), 1))) for step in (-0.04, 0.04))
        u, v, w = (float(value) for value in (after - before) / max(np.linalg.norm(after - before), 1e-6))
        return u, v, w


def _bone(
    name: str,
    structure: str,
    shape: Shape,
    marrow: tuple[Place, ...],
    *,
    cortex: float,
    inside: float,
    hu: float = 950.0,
) -> TrunkBone:
    return TrunkBone(name, structure, shape, ((0.0, cortex),), hu, ((0.0, inside),), marrow)


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """The bones of one patient.

    Attributes:
        bones: in drawing order.
        spine: from L5 upwards.
        cartilages: of the ribs.
    """

    bones: tuple[TrunkBone, ...]
    spine: tuple[Vertebra, ...]
    cartilages: tuple[Tube, ...]

    def bone(self, name: str) -> TrunkBone:
        """The bone of a name that ``trunk_bones()`` lists."""
        return next(bone for bone in self.bones if bone.name == name)

    def number(self, bone: TrunkBone) -> int:
        """Its place in drawing order, from 1."""
        return self.bones.index(bone) + 1

    def vertebra(self, name: str) -> Vertebra:
        """The vertebra of a name."""
        return next(vertebra for vertebra in self.spine if vertebra.level.name == name)


def make_skeleton(spec: TrunkSpec) -> Skeleton:
    """The bones of a patient, with what degeneration and fractures have done to their shape."""
    spine = _make_spine(spec)
    ribs, cartilages = _make_ribs(spine)
    bones = []
    for vertebra in spine:
        name, inside = vertebra.level.name, 150.0 if vertebra.level.lumbar > 0.5 else 170.0
        bones.append(_bone(name, "vertebra", vertebra.solid, vertebra.marrow, cortex=0.95, inside=inside, hu=850))
    for name, tube in ribs.items():
        places = tuple(tube.at(share) for share in np.linspace(0.12, 0.96, 12))
        bones.append(_bone(name, "rib", tube, places, cortex=1.1, inside=120, hu=900))
    for side, outward in _SIDES:
        marrow = _mirrored(_TABLE["hip_marrow"], outward)
        bones.append(_bone(f"hip {side}", "hip", _hip_bone(outward), marrow, cortex=1.5, inside=140))
        profiles = _TABLE["femur_cortex_mm"], 1100.0, _TABLE["femur_spongiosa_hu"]
        marrow = _mirrored(_TABLE["femur_marrow"], outward)
        bones.append(TrunkBone(f"femur {side}", "femur", _femur(outward), *profiles, marrow))
    joint = Joined((_sacrum(),), (_hip_bone(-1.0), _hip_bone(1.0)), gap_mm=2.4)
    middle = _mirrored(_TABLE["sacrum_marrow"], 1.0)
    bones.append(_bone("sacrum", "sacrum", joint, middle, cortex=1.1, inside=120, hu=800))
    front = tuple((0.0, _sternum_v_mm(w), w) for w in (312.0, 345.0, 390.0, 430.0, 455.0))
    bones.append(_bone("sternum", "sternum", _sternum(), front, cortex=0.9, inside=95, hu=750))
    for side, outward in _SIDES:
        socket = _mirrored(((118, -70, 448), (120, -74, 440)), outward)
        collar, arm = _clavicle(outward), Joined(_simple(_TABLE["upper_arm"], outward, 24.0), blend_mm=6.0)
        upper = _mirrored(((148, -50, 462), (153, -42, 480)), outward)
        bones += [
            _bone(f"scapula {side}", "shoulder", _scapula(outward), socket, cortex=1.2, inside=130),
            _bone(f"clavicle {side}", "shoulder", collar, (collar.at(0.1), collar.at(1)), cortex=1.6, inside=130),
            _bone(f"humerus {side}", "shoulder", arm, upper, cortex=1.4, inside=140),
        ]
    return Skeleton(tuple(bones), spine, cartilages)


@cache
def _reference() -> Skeleton:
    return make_skeleton(TrunkSpec())


def trunk_bones() -> tuple[str, ...]:
    """Names of all bones of a trunk phantom.

    Example:
        >>> "L3" in trunk_bones(), "rib 7 left" in trunk_bones()
        (True, True)
    """
    return tuple(bone.name for bone in _reference().bones)


@cache
def bone_extents() -> dict[str, tuple[str, float, float]]:
    """Of every bone: structure, lowest and highest w of its marrow in reference millimetres."""
    found = {}
    for bone in _reference().bones:
        heights = [place[2] for place in bone.marrow]
        found[bone.name] = (bone.structure, min(heights), max(heights))
    return found
