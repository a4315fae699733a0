"""The spine of the trunk phantom: vertebrae with arch and canal, discs, and where they stand.

Sizes follow the morphometry of adult vertebrae (Panjabi et al., doi:10.1097/00007632-199103000-00012 and
doi:10.1097/00007632-199203000-00010), rounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon_phantoms.solid import Ellipsoid, Loft, Rod, make_loft
from osteon_phantoms.trunk_shapes import Framed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["LEVELS", "Level", "Vertebra", "make_spine", "spine_v_mm"]


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


LEVELS: Final[tuple[Level, ...]] = (
    Level("L5", 26, 17.5, 26, 9, 9.0, 1.0),
    Level("L4", 25.5, 17.5, 28, 10, 8.5, 1.0),
    Level("L3", 25, 17.5, 28, 10, 8.5, 1.0),
    Level("L2", 23.5, 17, 28, 9, 8.5, 1.0),
    Level("L1", 22, 16.5, 26, 8, 8.5, 0.9),
    Level("T12", 21, 16, 24, 7, 8.5, 0.5),
    Level("T11", 20, 16, 24, 6, 8.0, 0.25),
    Level("T10", 18.5, 16, 22, 5, 7.5, 0.0),
    Level("T9", 17.5, 16, 22, 4.5, 7.5, 0.0),
    Level("T8", 17, 15.5, 22, 4.5, 7.5, 0.0),
    Level("T7", 16.5, 15, 20, 4.5, 7.5, 0.0),
    Level("T6", 16, 14.5, 20, 4.5, 7.5, 0.0),
    Level("T5", 15.5, 13.5, 20, 4, 7.5, 0.0),
    Level("T4", 15.5, 12.5, 20, 4, 7.5, 0.0),
    Level("T3", 16, 12, 18, 4, 7.5, 0.0),
    Level("T2", 17, 11, 18, 4, 8.0, 0.0),
    Level("T1", 18, 10.5, 18, 4, 8.5, 0.0),
    Level("C7", 15, 9.5, 16, 5, 9.0, 0.0),
    Level("C6", 14, 9, 14, 5, 9.0, 0.0),
)
"""From below."""

_CURVE: Final = (
    (-20, -35), (0, -29), (45, -20), (95, -17), (140, -20), (185, -29), (250, -43), (320, -50), (380, -48), (440, -38),
    (485, -26), (524, -16),
)  # fmt: skip
"""(w, v) of the middle of the bodies: lumbar lordosis, thoracic kyphosis."""


def spine_v_mm(w: float | NDArray[np.floating]) -> NDArray[np.float64]:
    """How far in front the middles of the bodies stand at heights w."""
    from scipy.interpolate import PchipInterpolator

    heights, values = zip(*_CURVE, strict=True)
    return np.asarray(PchipInterpolator(heights, values)(np.clip(w, heights[0], heights[-1])))


@dataclass(frozen=True, slots=True)
class Vertebra:
    """One vertebra in its place.

    Attributes:
        level: its sizes.
        solid: body and arch.
        disc: below it.
        disc_height: as it is in this patient.
        arch_y: where the middle of the canal lies in the own frame.
    """

    level: Level
    solid: Framed = field(repr=False)
    disc: Framed = field(repr=False)
    disc_height: float
    arch_y: float

    @property
    def marrow(self) -> tuple[tuple[float, float, float], ...]:
        """Places from the spinous process along the arch through the body, right to left."""
        level, y, rc = self.level, self.arch_y, self.level.canal
        wide = 0.5 * level.half_width
        steep = -5.0 if level.lumbar > 0.5 else -14.0
        places = (
            (0.0, y - rc - 15, steep),
            (-(rc + 3), y - 5, -1.0),
            (-(rc + 3), -level.half_depth + 1, 4.0),
            (-wide, 0.0, 0.0),
            (0.0, 0.2 * level.half_depth, 0.0),
            (wide, 0.0, 0.0),
            (rc + 3, -level.half_depth + 1, 4.0),
        )
        return tuple(self.solid.to_trunk(place) for place in places)


def make_spine(
    *, scoliosis_mm: float, disc_shares: Mapping[str, float], wedges: Mapping[str, float], lumps: Mapping[str, float]
) -> tuple[Vertebra, ...]:
    """All vertebrae from L5 upwards.

    Args:
        scoliosis_mm: largest distance from the middle.
        disc_shares: share of its height that a disc (named after the vertebra above) still has.
        wedges: share of the height that a body has lost at its front.
        lumps: size of osteophytes (mm) at the disc below a vertebra, by its name.
    """
    spine: list[Vertebra] = []
    w = 0.0
    for k, level in enumerate(LEVELS):
        gap = level.disc * disc_shares.get(level.name, 1.0)
        if k:
            w += gap
        middle = w + level.height / 2
        above = LEVELS[k + 1].name if k + 1 < len(LEVELS) else ""
        spurs = [*_spurs(level, lumps.get(level.name, 0.0), -1.0), *_spurs(level, lumps.get(above, 0.0), 1.0)]
        spine.append(
            _vertebra(level, middle, spurs, gap=gap, wedge=wedges.get(level.name, 0.0), scoliosis_mm=scoliosis_mm)
        )
        w += level.height
    return tuple(spine)


def _place(w: float, scoliosis_mm: float) -> tuple[tuple[float, float, float], float]:
    u = scoliosis_mm * math.sin(math.pi * max(w, 0.0) / 380)
    before, here, after = (float(value) for value in spine_v_mm(np.array([w - 6, w, w + 6])))
    return (u, here, w), math.atan2(after - before, 12.0)


def _vertebra(
    level: Level, middle: float, spurs: Sequence[Ellipsoid], *, gap: float, wedge: float, scoliosis_mm: float
) -> Vertebra:
    origin, pitch = _place(middle, scoliosis_mm)
    y = -level.half_depth - level.canal - 0.5
    reach = 44.0 if level.lumbar > 0.5 else 36.0
    half = level.height / 2
    solid = Framed(
        parts=(*_body(level), *_arch(level, y), *spurs),
        cuts=(
            Rod((-2.5, y, -60), (-2.5, y, 60), level.canal - 1.5, level.canal - 1.5),
            Rod((2.5, y, -60), (2.5, y, 60), level.canal - 1.5, level.canal - 1.5),
        ),
        origin=origin,
        pitch_radians=pitch,
        reach=((-reach, reach), (y - level.canal - 40, level.half_depth + 8), (-half - 20, half + 12)),
        wedge=wedge,
        depth_mm=level.half_depth,
    )
    below, disc_pitch = _place(middle - half - gap / 2, scoliosis_mm)
    wide, deep = level.half_width * 1.0, level.half_depth * 1.02
    disc = Framed(
        parts=(make_loft([(-8, 0, 0, wide, deep, 0, 1), (0, 0, 0, wide, deep, 0, 1), (8, 0, 0, wide, deep, 0, 1)]),),
        cuts=(),
        origin=below,
        pitch_radians=disc_pitch,
        reach=((-wide, wide), (-deep, deep), (-8, 8)),
    )
    return Vertebra(level=level, solid=solid, disc=disc, disc_height=gap, arch_y=y)


def _body(level: Level) -> tuple[Loft, ...]:
    half, wide, deep = level.height / 2, level.half_width, level.half_depth
    body = make_loft(
        [
            (-half, 0, 0, wide, deep, 0, 1.0),
            (-half + 3, 0, 0, wide * 0.96, deep * 0.97, 0, 1.0),
            (0, 0, -0.4, wide * 0.86, deep * 0.9, 0, 0.8),
            (half - 3, 0, 0, wide * 0.94, deep * 0.96, 0, 1.0),
            (half, 0, 0, wide * 0.98, deep * 0.99, 0, 1.0),
        ],
        round_mm=2.0,
    )
    return (body,)


def _arch(level: Level, y: float) -> list[Rod | Ellipsoid]:
    rc, half, lumbar = level.canal, level.height / 2, level.lumbar > 0.5
    thick = 1.0 if lumbar else 0.85
    parts: list[Rod | Ellipsoid] = []
    for side in (-1.0, 1.0):
        inner, outer = (side * 0.6 * level.half_width, -level.half_depth * 0.6), (side * (rc + 3.5), y - 2)
        heights = (0.18 * half, 0.5 * half)
        parts += [Rod((*inner, up), (*outer, up), 4.0 * thick, 4.0 * thick) for up in heights]
        parts.append(Rod((side * (rc + 3), y - 4, 0), (0, y - rc - 3.5, -5), 3.6 * thick, 3.6 * thick))
        parts.append(Rod((side * (rc + 3), y - 6, -7), (0, y - rc - 4, -12), 3.4 * thick, 3.4 * thick))
        parts.append(Rod((side * (rc + 6), y - 3, 2), (side * (rc + 7), y - 4, half + 4), 4.2 * thick, 3.6 * thick))
        parts.append(
            Rod((side * (rc + 2), y - 8, -4), (side * (rc + 2.5), y - 11, -half - 7), 4.2 * thick, 3.8 * thick)
        )
        if lumbar:
            parts.append(Rod((side * (rc + 6), y - 2, 4), (side * 40, y - 7, 5), 4.4, 2.8))
        else:
            parts.append(Rod((side * (rc + 5), y - 6, 4), (side * 28, min(y - 17, -38), 6), 4.4, 4.8))
    if lumbar:
        parts += [Rod((0, y - rc - 4, z), (0, y - rc - 30, z - 3), 3.0, 3.8) for z in (-4, -9, -14)]
    else:
        parts += [Rod((0, y - rc - 4, z), (0, y - rc - 24, z - 18), 3.0, 3.2) for z in (-4, -8)]
    return parts


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
