"""All bones of the trunk in their places, and what they are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon_phantoms import trunk_cage, trunk_pelvis
from osteon_phantoms.trunk_shapes import Joined
from osteon_phantoms.trunk_spec import TrunkSpec
from osteon_phantoms.trunk_spine import make_spine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon_phantoms.trunk_shapes import Shape, Tube
    from osteon_phantoms.trunk_spine import Vertebra

__all__ = ["STRUCTURES", "Skeleton", "TrunkBone", "bone_extents", "make_skeleton", "trunk_bones"]

STRUCTURES: Final[dict[str, int]] = {
    "vertebra": 1,
    "rib": 2,
    "hip": 3,
    "sacrum": 4,
    "sternum": 5,
    "femur": 6,
    "shoulder": 7,
}
"""Values of the structures in the label map of bone. Hip is the hip bone; hip and sacrum make the pelvis."""

_Rows = tuple[tuple[float, float], ...]
_SIDES: Final = (("right", -1.0), ("left", 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class TrunkBone:
    """One bone.

    Attributes:
        name: "L3", "rib 7 left", "hip right", "sacrum", "sternum", "femur left", ...
        structure: key of ``STRUCTURES``.
        shape: its surface.
        cortex_mm: rows of (w, thickness).
        cortex_hu: of the compact bone.
        spongiosa_hu: rows of (w, mean of the inside) in an adult of mean density.
        marrow: places where something may grow, in order (see ``TrunkLesionSpec.position``).
    """

    name: str
    structure: str
    shape: Shape = field(repr=False)
    cortex_mm: _Rows
    cortex_hu: float
    spongiosa_hu: _Rows
    marrow: tuple[tuple[float, float, float], ...] = field(repr=False)

    def cortex_at(self, w: NDArray[np.float32] | float) -> NDArray[np.float32]:
        """Thickness of the cortex at heights w."""
        return _rows_at(self.cortex_mm, w)

    def spongiosa_at(self, w: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean HU of the inside at heights w."""
        return _rows_at(self.spongiosa_hu, w)

    def place(self, position: float) -> tuple[float, float, float]:
        """The point at a share of the way along the marrow."""
        at = position * (len(self.marrow) - 1)
        u, v, w = (float(np.interp(at, np.arange(len(self.marrow)), axis)) for axis in zip(*self.marrow, strict=True))
        return u, v, w

    def direction(self, position: float) -> tuple[float, float, float]:
        """How the marrow runs there, as a unit vector."""
        before, after = (np.asarray(self.place(min(max(position + step, 0), 1))) for step in (-0.04, 0.04))
        u, v, w = (float(value) for value in (after - before) / max(np.linalg.norm(after - before), 1e-6))
        return u, v, w


def _rows_at(rows: _Rows, w: NDArray[np.float32] | float) -> NDArray[np.float32]:
    heights, values = zip(*sorted(rows), strict=True)
    return np.asarray(np.interp(w, heights, values), dtype=np.float32)


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

    def vertebra(self, name: str) -> Vertebra:
        """The vertebra of a name."""
        return next(vertebra for vertebra in self.spine if vertebra.level.name == name)


def make_skeleton(spec: TrunkSpec) -> Skeleton:
    """The bones of a patient, with what degeneration and fractures have done to their shape."""
    worn = {mimic.bone: mimic for mimic in spec.mimics if mimic.kind == "degenerative_disc"}
    broken = {mimic.bone: 0.18 + 0.3 * mimic.degree for mimic in spec.mimics if mimic.kind == "wedge_fracture"}
    spine = make_spine(
        scoliosis_mm=spec.scoliosis_mm,
        disc_shares={name: 1 - 0.65 * mimic.degree for name, mimic in worn.items()},
        wedges=broken,
        lumps={name: mimic.size_mm for name, mimic in worn.items()},
    )
    ribs, cartilages = trunk_cage.make_ribs(spine)
    bones = [_vertebra(vertebra) for vertebra in spine]
    for name, tube in ribs.items():
        places = tuple(tube.at(share) for share in np.linspace(0.12, 0.96, 12))
        bones.append(_bone(name, "rib", tube, cortex=1.1, inside=120, marrow=places, hu=900))
    bones += _pelvis()
    front = tuple((0.0, trunk_cage.sternum_v_mm(w), w) for w in (312.0, 345.0, 390.0, 430.0, 455.0))
    bones.append(_bone("sternum", "sternum", trunk_cage.sternum(), cortex=0.9, inside=95, marrow=front, hu=750))
    for side, outward in _SIDES:
        blade = trunk_cage.scapula(outward)
        socket = tuple((outward * u, v, w) for u, v, w in ((118.0, -70.0, 448.0), (120.0, -74.0, 440.0)))
        collar, arm = trunk_cage.clavicle(outward), trunk_cage.upper_arm(outward)
        bones.append(_bone(f"scapula {side}", "shoulder", blade, cortex=1.2, inside=130, marrow=socket))
        bones.append(
            _bone(f"clavicle {side}", "shoulder", collar, cortex=1.6, inside=130, marrow=(collar.at(0.1), collar.at(1)))
        )
        places = ((outward * 148.0, -50.0, 462.0), (outward * 153.0, -42.0, 480.0))
        bones.append(_bone(f"humerus {side}", "shoulder", arm, cortex=1.4, inside=140, marrow=places))
    return Skeleton(tuple(bones), spine, cartilages)


def _bone(
    name: str,
    structure: str,
    shape: Shape,
    *,
    cortex: float,
    inside: float,
    marrow: tuple[tuple[float, float, float], ...],
    hu: float = 950.0,
) -> TrunkBone:
    return TrunkBone(name, structure, shape, ((0.0, cortex),), hu, ((0.0, inside),), marrow)


def _vertebra(vertebra: Vertebra) -> TrunkBone:
    level = vertebra.level
    inside = 150.0 if level.lumbar > 0.5 else 170.0
    return _bone(level.name, "vertebra", vertebra.solid, cortex=0.95, inside=inside, marrow=vertebra.marrow, hu=850)


def _pelvis() -> list[TrunkBone]:
    bones = []
    middle = trunk_pelvis.sacrum()
    for side, outward in _SIDES:
        shape = trunk_pelvis.hip_bone(outward)
        places = trunk_pelvis.hip_marrow(outward)
        bones.append(_bone(f"hip {side}", "hip", shape, cortex=1.5, inside=140, marrow=places))
        thigh = ((88, -5, -88), (112, -10, -108), (136, -22, -115), (131, -14, -150))
        bones.append(
            TrunkBone(
                name=f"femur {side}",
                structure="femur",
                shape=trunk_pelvis.femur(outward),
                cortex_mm=((-330, 6), (-200, 5), (-165, 3.2), (-140, 1.6), (-60, 1.2)),
                cortex_hu=1100.0,
                spongiosa_hu=((-330, -50), (-190, 0), (-150, 90), (-115, 140), (-88, 250), (-60, 250)),
                marrow=tuple((outward * u, float(v), float(w)) for u, v, w in thigh),
            )
        )
    joint = Joined((middle,), (trunk_pelvis.hip_bone(-1.0), trunk_pelvis.hip_bone(1.0)), gap_mm=2.4)
    bones.append(_bone("sacrum", "sacrum", joint, cortex=1.1, inside=120, marrow=trunk_pelvis.sacrum_marrow(), hu=800))
    return bones


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
