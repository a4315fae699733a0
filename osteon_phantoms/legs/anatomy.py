"""One leg in reference millimetres of an adult: the knee joint is the origin, u lateral, v forward, w up.

The numbers (``tables/legs.json``) were drawn after anatomy plates and CT: a round femoral shaft with a forward bow,
flared trapezoid metaphysis, two condyles and a notch; a three-cornered tibial shaft under a broad plateau; the fibula
behind and outside; a foot that points forward and a little down.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon_phantoms.shapes import Ellipsoid, Loft, Profile, Rod, Solid, make_loft, shape_of, solid_of
from osteon_phantoms.spec import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osteon_phantoms.shapes import Simple

__all__ = ["HIP_W_MM", "Bone", "arm_bones", "arm_skin", "axis_point", "leg_bones", "muscles", "skin", "thin_parts"]

HIP_W_MM: Final = 425.0
_ANKLE_W_MM: Final = -362.0
_FOOT_DOWN: Final = np.deg2rad(20.0)


@dataclass(frozen=True, slots=True)
class Bone:
    """One bone and what it is made of.

    Attributes:
        name: "femur", "tibia", "fibula", "patella", "foot" or "pelvis".
        solid: its outer surface.
        cortex_mm: thickness of the cortex by height.
        spongiosa_hu: mean of the inside by height; about -60 is fatty marrow, 300 a dense epiphysis.
        plates: growth plates of a child, thin wavy sheets of cartilage: (mean height, height of the waves).
        axis: the tube that lesions are placed along, or None.
    """

    name: str
    solid: Solid
    cortex_mm: Profile
    spongiosa_hu: Profile
    plates: Profile = ()
    axis: Loft | None = None


def leg_bones(*, with_pelvis: bool = True) -> tuple[Bone, ...]:
    """All bones of a leg, those that come later lie over those before."""
    bones = (*(_bone(name) for name in ("femur", "tibia", "fibula", "patella")), *_foot())
    return (*bones, _bone("pelvis")) if with_pelvis else bones


@cache
def _bone(name: str) -> Bone:
    entry = table("legs")["bones"][name]
    solid = solid_of(entry)
    axis = solid.parts[0] if isinstance(solid.parts[0], Loft) else None
    return Bone(name, solid, entry["cortex_mm"], entry["spongiosa_hu"], entry.get("plates", ()), axis)


def axis_point(bone: Bone, height: float) -> tuple[float, float, float, float]:
    """Centre (u, v, w) and mean radius of a bone's tube at a height."""
    if bone.axis is None:
        return 0.0, 0.0, height, 10.0
    section = bone.axis.section(np.array([[height]], dtype=np.float32))
    u, v, width, depth = (float(column[0, 0]) for column in section[:4])
    return u, v, height, (width + depth) / 2


def _foot_rod(numbers: Sequence[float]) -> Rod:
    """A rod given in the foot's own frame (origin under the ankle on the sole): the toes point forward and down."""
    ends = []
    for side, forward, above in (numbers[:3], numbers[3:6]):
        up = above - 78.0
        v = forward * np.cos(_FOOT_DOWN) + up * np.sin(_FOOT_DOWN)
        w = -forward * np.sin(_FOOT_DOWN) + up * np.cos(_FOOT_DOWN)
        ends.append((side, float(v), float(w + _ANKLE_W_MM)))
    return Rod(ends[0], ends[1], numbers[6], numbers[7])


@cache
def _foot() -> tuple[Bone, ...]:
    bones = [
        Bone("foot", Solid(tuple(map(_foot_rod, rods)), blend_mm=6), ((0, 0.9),), ((0, 400),))
        for rods in table("legs")["tarsals"]
    ]
    for (base, head, joint, knuckle, tip), radius in table("legs")["rays"]:
        nearer = [k + 0.35 * (t - k) for k, t in zip(knuckle, tip, strict=True)]
        bones += [_ray_bone(base, head, radius), _ray_bone(joint, knuckle, radius * 0.8)]
        bones.append(_ray_bone(nearer, tip, radius * 0.65))
    return tuple(bones)


def _ray_bone(base: Sequence[float], head: Sequence[float], radius: float) -> Bone:
    """A small tubular bone: two thick ends and a slender shaft."""
    ends = (np.asarray(base), np.asarray(head))
    places = [ends[0], *(ends[0] + t * (ends[1] - ends[0]) for t in (0.18, 0.82)), ends[1]]
    points = [[float(number) for number in place] for place in places]
    shares = ((1.35, 0.95), (0.9, 0.85), (0.9, 1.3))
    rods = tuple(
        _foot_rod([*points[k], *points[k + 1], radius * first, radius * second])
        for k, (first, second) in enumerate(shares)
    )
    return Bone("foot", Solid(rods, blend_mm=2), ((0, 1.7),), ((0, 110),))


@cache
def skin(*, swelling: tuple[Ellipsoid, ...] = ()) -> Solid:
    """The outline of a leg from the hip to the toes."""
    foot = map(_foot_rod, table("legs")["skin_of_foot"])
    return Solid((shape_of(table("legs")["skin"]), *foot, *swelling), blend_mm=9)


@cache
def muscles() -> tuple[Loft, ...]:
    """The muscle bellies; where two would overlap, the nearer one wins and a fat plane is between."""
    return tuple(
        make_loft([(*row[:3], *(_belly(half) for half in row[3:])) for row in rows])
        for rows in table("legs")["muscles"].values()
    )


def _belly(half_mm: float) -> float:
    """A belly is drawn wider than in the table, so that neighbours meet and part along a plane; a tendon is not."""
    return half_mm * (1 + 0.24 * float(np.clip((half_mm - 5) / 8, 0, 1)))


@cache
def thin_parts() -> tuple[tuple[Simple | Solid, float], ...]:
    """Tendons and ligaments, vessels, the menisci, with their HU."""
    entry = table("legs")
    parts: list[tuple[Simple | Solid, float]] = [(shape_of(rows), 92.0) for rows in entry["tendons"]]
    parts += [(shape_of(rows), 44.0) for rows in entry["vessels"]]
    return (*parts, (solid_of(entry["menisci"]), 88.0))


@cache
def arm_skin() -> Solid:
    """A hand and forearm that rest on the thigh of a left leg."""
    return solid_of(table("legs")["arm"]["skin"])


@cache
def arm_bones() -> tuple[Rod, ...]:
    """The bones of that arm."""
    return tuple(bone for bone in map(shape_of, table("legs")["arm"]["bones"]) if isinstance(bone, Rod))
