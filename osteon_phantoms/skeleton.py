"""The bones of one leg, in reference millimetres of an adult: the knee joint is the origin, u lateral, v forward, w up.

Sections were drawn after anatomy plates and CT: a round femoral shaft with a forward bow, flared trapezoid
metaphysis, two condyles and a notch; a three-cornered tibial shaft under a broad plateau; the fibula behind and
outside; a foot that points forward and a little down.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from osteon_phantoms.solid import Ellipsoid, Loft, Rod, Solid, make_loft

__all__ = ["ANKLE_W_MM", "HIP_W_MM", "KNEE_W_MM", "Bone", "Plate", "leg_bones"]

HIP_W_MM: Final = 425.0
KNEE_W_MM: Final = 0.0
ANKLE_W_MM: Final = -362.0


@dataclass(frozen=True, slots=True)
class Plate:
    """A growth plate: a thin, gently wavy sheet of cartilage across a bone.

    Attributes:
        w_mm: mean height.
        wave_mm: height of its waves.
    """

    w_mm: float
    wave_mm: float = 2.0


@dataclass(frozen=True, slots=True)
class Bone:
    """One bone and what it is made of.

    Attributes:
        name: "femur", "tibia", "fibula", "patella", "foot" or "pelvis".
        solid: its outer surface.
        cortex_mm: rows of (w, thickness of the cortex).
        spongiosa_hu: rows of (w, mean of the inside); about -60 is fatty marrow, 300 a dense epiphysis.
        plates: growth plates of a child.
        axis: the tube that lesions are placed along, or None.
    """

    name: str
    solid: Solid
    cortex_mm: tuple[tuple[float, float], ...]
    spongiosa_hu: tuple[tuple[float, float], ...]
    plates: tuple[Plate, ...] = ()
    axis: Loft | None = None

    def cortex_at(self, w: np.typing.NDArray[np.float32]) -> np.typing.NDArray[np.float32]:
        """Cortex thickness in reference millimetres at heights w."""
        heights, values = zip(*sorted(self.cortex_mm), strict=True)
        return np.asarray(np.interp(w, heights, values), dtype=np.float32)

    def spongiosa_at(self, w: np.typing.NDArray[np.float32]) -> np.typing.NDArray[np.float32]:
        """Mean HU inside the cortex at heights w."""
        heights, values = zip(*sorted(self.spongiosa_hu), strict=True)
        return np.asarray(np.interp(w, heights, values), dtype=np.float32)


def leg_bones(*, with_pelvis: bool = True) -> tuple[Bone, ...]:
    """All bones of a leg, those that come later lie over those before."""
    bones = (_femur(), _tibia(), _fibula(), _patella(), *_foot())
    return (*bones, _pelvis()) if with_pelvis else bones


@cache
def _femur() -> Bone:
    shaft = make_loft(
        [
            # w, centre u, v, half width, half depth, triangle, square
            (24, 0, 2, 33, 20, 0, 1.0),
            (34, 0, 0, 36, 22, 0, 1.5),
            (44, 0, 0, 33, 20.5, 0, 1.8),
            (56, 1, 2, 27.5, 18, 0.8, 1.6),
            (70, 2.5, 4, 22.5, 16.5, 0.9, 1.0),
            (90, 5, 6, 18, 15.5, 0.6, 0.4),
            (120, 8, 8.5, 15.2, 14.8, 0.2, 0),
            (180, 15, 12, 13.6, 14.6, -0.7, 0),
            (250, 23, 12, 13.4, 14.4, -0.9, 0),
            (320, 31, 7, 14.6, 14.4, -0.5, 0),
            (350, 34, 3, 17.5, 16, 0, 0),
            (385, 40, -2, 20, 17, 0, 0.5),
            (408, 47, -7, 15.5, 15, 0, 0.5),
            (420, 49, -9, 11, 12, 0, 0),
            (428, 50, -10, 5, 6, 0, 0),
        ],
    )
    condyles = (
        Ellipsoid((-21.5, -10, 20.5), (15.5, 30, 21.5)),
        Ellipsoid((22.5, -8, 20.5), (15, 31, 20.5)),
        Ellipsoid((1, 9, 25), (31, 20, 19)),
        Ellipsoid((-34, -5, 34), (8, 11, 10)),
        Ellipsoid((34, -4, 32), (7, 10, 9)),
    )
    top = (
        Rod((34, -1, 375), (3, 2, 424), 15.5, 14.5),
        Ellipsoid((-1, 3, 427), (23.5, 23.5, 23.5)),
        Ellipsoid((22, -14, 356), (8, 8, 14)),
    )
    cuts = (
        Ellipsoid((1.5, -26, 6), (8.5, 26, 21)),
        Rod((2, 39, 4), (3, 41, 40), 11, 12),
        Ellipsoid((2, -32, 60), (17, 13, 24)),
    )
    return Bone(
        name="femur",
        solid=Solid((shaft, *condyles, *top), cuts, blend_mm=7, cut_blend_mm=4),
        cortex_mm=(
            (0, 1.0),
            (40, 1.1),
            (60, 1.5),
            (90, 3.0),
            (130, 5.2),
            (200, 6.4),
            (280, 6.2),
            (340, 3.8),
            (390, 1.4),
            (450, 1.1),
        ),
        spongiosa_hu=(
            (0, 330),
            (20, 270),
            (40, 220),
            (62, 150),
            (90, 50),
            (120, -20),
            (160, -65),
            (300, -65),
            (345, 10),
            (375, 130),
            (400, 210),
            (450, 340),
        ),
        plates=(Plate(33.0, 3.0), Plate(416.0, 2.0)),
        axis=shaft,
    )


@cache
def _tibia() -> Bone:
    shaft = make_loft(
        [
            (-5.5, 0, -3, 36, 21.5, 0, 1.0),
            (-12, 0, -3, 37.5, 23.5, 0, 1.0),
            (-20, 0, -2.5, 35.5, 23.5, 0.5, 1.0),
            (-32, 0, -1, 29, 21.5, 1.2, 0.5),
            (-48, -1, 1, 22, 20, 2.2, 0),
            (-70, -2, 2, 16.5, 18.5, 2.8, 0),
            (-110, -3, 2, 13.2, 16.5, 2.9, 0),
            (-170, -4, 1.5, 11.8, 14.5, 2.6, 0),
            (-240, -4.5, 0, 11, 12.6, 2.0, 0),
            (-300, -4, -1, 12.2, 12.6, 1.0, 0.2),
            (-330, -3, -1, 16, 15.2, 0.3, 0.8),
            (-348, -2, -1, 20, 18, 0, 1.6),
            (-358, -2, -1, 21.5, 19, 0, 1.9),
            (-362, -2, -1, 20.5, 18, 0, 1.9),
        ],
        apex_degrees=97,
    )
    lumps = (
        Ellipsoid((4, 19, -36), (10, 7.5, 15)),
        Ellipsoid((-6, -2, -6), (4.5, 8, 6)),
        Ellipsoid((6, -2, -6), (4.5, 8, 5)),
        Ellipsoid((-20.5, 1, -363), (6, 11.5, 14)),
    )
    cuts = (
        Ellipsoid((-21, -3, 5.5), (17, 22, 11.5)),
        Ellipsoid((21, -3, 6.5), (17, 20, 12)),
        Ellipsoid((0, -33, -14), (10, 10, 14)),
        Ellipsoid((-1, 2, -373), (15.5, 26, 12.5)),
    )
    return Bone(
        name="tibia",
        solid=Solid((shaft, *lumps), cuts, blend_mm=6, cut_blend_mm=2.5),
        cortex_mm=(
            (0, 1.1),
            (-20, 1.0),
            (-50, 1.8),
            (-90, 4.0),
            (-150, 5.6),
            (-220, 5.6),
            (-290, 3.6),
            (-330, 1.5),
            (-362, 1.1),
            (-380, 1.3),
        ),
        spongiosa_hu=(
            (0, 380),
            (-14, 290),
            (-30, 180),
            (-55, 90),
            (-90, -20),
            (-130, -65),
            (-270, -65),
            (-310, 40),
            (-335, 240),
            (-362, 420),
            (-380, 400),
        ),
        plates=(Plate(-19.0, 1.5), Plate(-349.0, 1.5)),
        axis=shaft,
    )


@cache
def _fibula() -> Bone:
    shaft = make_loft(
        [
            (-12, 33, -21, 5, 5, 0, 0),
            (-18, 34, -20, 10, 11, 0, 0.4),
            (-27, 34, -20, 10.5, 11.5, 0.4, 0.4),
            (-42, 32, -20, 7, 7.5, 0.7, 0),
            (-80, 29, -20, 5.6, 6.4, 0.9, 0),
            (-180, 27, -19, 6.2, 7.4, 1.2, 0),
            (-270, 24, -16, 6.2, 6.8, 1.0, 0),
            (-325, 24, -11, 7.2, 8.2, 0.6, 0),
            (-352, 26.5, -10, 7.6, 11, 0.6, 0),
            (-372, 27.5, -10, 7, 11.5, 0.4, 0),
            (-386, 27, -11, 4.5, 7, 0, 0),
            (-391, 27, -11, 2, 3, 0, 0),
        ],
        apex_degrees=70,
    )
    return Bone(
        name="fibula",
        solid=Solid((shaft,)),
        cortex_mm=((-12, 0.9), (-30, 1.0), (-60, 2.2), (-150, 3.2), (-260, 3.0), (-330, 1.7), (-350, 1.2), (-391, 1.0)),
        spongiosa_hu=((-12, 220), (-35, 120), (-70, -20), (-280, -30), (-330, 90), (-360, 220), (-391, 240)),
        plates=(Plate(-23.0, 1.0), Plate(-364.0, 1.0)),
        axis=shaft,
    )


@cache
def _patella() -> Bone:
    body = Ellipsoid((2, 41.5, 26), (22, 9, 21.5))
    ridge = Ellipsoid((-1, 37, 27), (10, 8, 15))
    return Bone(
        name="patella",
        solid=Solid((body, ridge), blend_mm=5),
        cortex_mm=((0, 1.2), (50, 1.2)),
        spongiosa_hu=((0, 310), (50, 310)),
    )


_FOOT_DOWN: Final = np.deg2rad(20.0)


def _foot_point(side: float, forward: float, up: float) -> tuple[float, float, float]:
    """From the foot's own frame (origin under the ankle on the sole) to the limb's: the toes point forward and down."""
    up -= 78.0
    v = forward * np.cos(_FOOT_DOWN) + up * np.sin(_FOOT_DOWN)
    w = -forward * np.sin(_FOOT_DOWN) + up * np.cos(_FOOT_DOWN)
    return side, float(v), float(w + ANKLE_W_MM)


def foot_rod(
    start: tuple[float, float, float],
    stop: tuple[float, float, float],
    radius_start: float,
    radius_stop: float,
) -> Rod:
    """A rod given in the foot's own frame."""
    return Rod(_foot_point(*start), _foot_point(*stop), radius_start, radius_stop)


@cache
def _foot() -> tuple[Bone, ...]:
    tarsals: tuple[tuple[Rod, ...], ...] = (
        (  # talus: dome, neck, head
            foot_rod((-11, -6, 66), (-11, 8, 66), 10, 10),
            foot_rod((8, -6, 66), (8, 8, 66), 10, 10),
            foot_rod((0, -14, 56), (-2, 10, 56), 12, 14),
            foot_rod((-4, 16, 55), (-10, 34, 50), 12, 12.5),
        ),
        (  # calcaneus: tuber, body, the shelf under the talus
            foot_rod((3, -52, 22), (4, -40, 26), 14, 16),
            foot_rod((4, -40, 28), (8, 8, 30), 15, 13),
            foot_rod((8, 8, 30), (11, 28, 27), 13, 12),
            foot_rod((-4, 2, 37), (-14, 6, 38), 7, 5),
        ),
        (foot_rod((-22, 50, 45), (2, 50, 47), 10, 9),),  # navicular
        (foot_rod((20, 44, 24), (20, 62, 26), 11.5, 11),),  # cuboid
        (foot_rod((-24, 67, 38), (-22, 81, 38), 10.5, 11),),
        (foot_rod((-8, 67, 47), (-8, 78, 47), 8, 8),),
        (foot_rod((6, 66, 43), (6, 80, 42), 8.5, 8.5),),
    )
    rays = (
        # metatarsal base and head, proximal and distal phalanx ends; radius of the metatarsal shaft
        ((-22, 94, 36), (-26, 144, 18), (-27, 162, 16), (-27, 184, 13), (-26, 202, 11), 7.5),
        ((-8, 92, 44), (-12, 152, 18), (-12, 168, 17), (-12, 188, 14), (-12, 206, 10), 4.4),
        ((4, 92, 40), (1, 148, 17), (2, 163, 16), (2, 182, 13), (2, 198, 9), 4.2),
        ((15, 85, 33), (14, 141, 16), (15, 155, 15), (16, 172, 12), (17, 187, 9), 4.2),
        ((27, 76, 24), (28, 132, 14), (29, 146, 13), (30, 160, 11), (31, 174, 9), 4.4),
    )
    bones = [_tarsal(parts) for parts in tarsals]
    for base, head, joint, knuckle, tip, radius in rays:
        bones.append(_ray_bone(base, head, radius))
        bones.append(_ray_bone(joint, knuckle, radius * 0.8))
        nearer = tuple(k + 0.35 * (t - k) for k, t in zip(knuckle, tip, strict=True))
        bones.append(_ray_bone((nearer[0], nearer[1], nearer[2]), tip, radius * 0.65))
    return tuple(bones)


def _tarsal(parts: tuple[Rod, ...]) -> Bone:
    return Bone(
        name="foot",
        solid=Solid(parts, blend_mm=6),
        cortex_mm=((-600, 0.9), (0, 0.9)),
        spongiosa_hu=((-600, 400), (0, 400)),
    )


def _ray_bone(base: tuple[float, float, float], head: tuple[float, float, float], radius: float) -> Bone:
    """A small tubular bone: two thick ends and a slender shaft."""
    ends = (np.asarray(base), np.asarray(head))
    inner = [ends[0] + t * (ends[1] - ends[0]) for t in (0.18, 0.82)]
    points = [(float(p[0]), float(p[1]), float(p[2])) for p in (ends[0], *inner, ends[1])]
    parts = (
        foot_rod(points[0], points[1], radius * 1.35, radius * 0.95),
        foot_rod(points[1], points[2], radius * 0.9, radius * 0.85),
        foot_rod(points[2], points[3], radius * 0.9, radius * 1.3),
    )
    return Bone(
        name="foot",
        solid=Solid(parts, blend_mm=2),
        cortex_mm=((-600, 1.7), (0, 1.7)),
        spongiosa_hu=((-600, 110), (0, 110)),
    )


@cache
def _pelvis() -> Bone:
    """Half of a pelvis around the hip joint: socket, ischium, pubis and the lower ilium."""
    parts = (
        Ellipsoid((-6, 4, 438), (33, 32, 31)),
        Rod((-14, -24, 425), (-22, -38, 372), 15, 16),
        Rod((-22, -30, 370), (-62, 22, 384), 9, 8),
        Rod((-14, 24, 440), (-68, 38, 414), 10, 10),
        Rod((-66, 38, 414), (-62, 24, 388), 11, 8),
        Rod((-6, -8, 462), (14, -26, 540), 14, 12),
        Rod((-4, 16, 465), (36, 34, 540), 12, 11),
    )
    cuts = (Ellipsoid((-1, 3, 427), (26.5, 26.5, 26.5)), Rod((14, -4, 421), (30, -8, 414), 22, 26))
    return Bone(
        name="pelvis",
        solid=Solid(parts, cuts, blend_mm=14, cut_blend_mm=2),
        cortex_mm=((350, 1.6), (560, 1.6)),
        spongiosa_hu=((350, 170), (560, 170)),
    )
