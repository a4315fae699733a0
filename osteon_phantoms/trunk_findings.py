"""Where metastases, look-alikes and implants lie in one patient, and their order of drawing."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon_phantoms.limb import share_inside
from osteon_phantoms.solid import Ellipsoid, Rod
from osteon_phantoms.trunk_brush import solid_box
from osteon_phantoms.trunk_lesion import PlacedLesion, draw_lesion, place_trunk_lesion
from osteon_phantoms.trunk_mimic import PlacedMimic, draw_mimic, place_mimic
from osteon_phantoms.trunk_pelvis import HIP_LPS_MM
from osteon_phantoms.trunk_spec import MIMIC_BONES

if TYPE_CHECKING:
    from collections.abc import Callable

    from osteon_phantoms.trunk_brush import Brush
    from osteon_phantoms.trunk_skeleton import Skeleton
    from osteon_phantoms.trunk_spec import TrunkMimicSpec, TrunkSpec

__all__ = ["Findings", "MimicTruth", "TruthOfMimic", "draw_findings", "place_findings"]

_METAL_HU: Final = 7000.0
_SCREWED: Final = ("L3", "L4", "L5")


@dataclass(frozen=True, slots=True)
class MimicTruth:
    """Where a look-alike is.

    Attributes:
        spec: what was asked.
        structure: kind of bone.
        centre_lps_mm: its middle.
    """

    spec: TrunkMimicSpec
    structure: str
    centre_lps_mm: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class TruthOfMimic:
    """A placed look-alike and the bone it is in."""

    placed: PlacedMimic
    structure: str

    def truth(self, to_lps: Callable[[tuple[float, float, float]], tuple[float, float, float]]) -> MimicTruth:
        """What is true about it, in LPS."""
        return MimicTruth(self.placed.spec, self.structure, to_lps(self.placed.centre))


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is not healthy.

    Attributes:
        lesions: metastases, in the order of the spec.
        mimics: look-alikes, in the order of the spec.
        gas: lenses of gas in discs.
        metal: implants.
    """

    lesions: tuple[PlacedLesion, ...] = field(repr=False)
    mimics: tuple[TruthOfMimic, ...] = field(repr=False)
    gas: tuple[Ellipsoid, ...] = field(repr=False)
    metal: tuple[Ellipsoid | Rod, ...] = field(repr=False)


def place_findings(spec: TrunkSpec, skeleton: Skeleton) -> Findings:
    """Place what a spec asks for.

    Raises:
        UnknownLabelError: no bone of that name.
        InputError: a mimic in a bone that cannot have it.
    """
    names = [bone.name for bone in skeleton.bones]
    for asked in (*(item.bone for item in spec.lesions), *(item.bone for item in spec.mimics)):
        if asked not in names:
            raise UnknownLabelError(f"no bone {asked!r} in a trunk: {nearest_names(asked, names)}")
    lesions = tuple(
        place_trunk_lesion(lesion, skeleton.bone(lesion.bone), spec, number=number)
        for number, lesion in enumerate(spec.lesions, start=1)
    )
    mimics = []
    for number, mimic in enumerate(spec.mimics):
        structure = skeleton.bone(mimic.bone).structure
        if structure not in MIMIC_BONES[mimic.kind]:
            wanted = " or ".join(MIMIC_BONES[mimic.kind])
            raise InputError(f"a {mimic.kind} lies in a {wanted}, but {mimic.bone!r} is a {structure}: name another")
        mimics.append(TruthOfMimic(place_mimic(mimic, skeleton, spec, number=number), structure))
    gas = [lens for mimic in mimics for lens in mimic.placed.gas]
    return Findings(lesions, tuple(mimics), tuple(gas), tuple(_metal(spec, skeleton)))


def draw_findings(brush: Brush, spec: TrunkSpec, skeleton: Skeleton, findings: Findings) -> None:
    """Look-alikes first, then metastases, then metal, each over the ones before."""
    for mimic in findings.mimics:
        draw_mimic(brush, spec, skeleton, mimic.placed)
    for lesion in findings.lesions:
        draw_lesion(brush, skeleton, lesion)
    for solid in findings.metal:
        window = brush.block.window(solid_box(solid, 2))
        if window is None:
            continue
        part = brush.block.part(window)
        away = np.broadcast_to(solid.distance(part.points), part.shape)
        brush.fill(window, away, _METAL_HU)
        inside = share_inside(np.asarray(away), brush.width_mm) > 0.5
        brush.owner[window][inside] = 0
        brush.lesion[window][inside] = 0


def _metal(spec: TrunkSpec, skeleton: Skeleton) -> list[Ellipsoid | Rod]:
    """Pedicle screws with rods, or the head, stem and cup of a hip prosthesis on the right."""
    if spec.metal == "hip_prosthesis":
        u, v, w = HIP_LPS_MM
        return [
            Ellipsoid((-u, v, w), (15, 15, 15)),
            Rod((-u - 4, v, w - 4), (-126, -14, -118), 7, 8),
            Rod((-126, -14, -118), (-127, -9, -235), 9, 6),
        ]
    if spec.metal != "spine_screws":
        return []
    solids: list[Ellipsoid | Rod] = []
    for side in (-1.0, 1.0):
        heads = []
        for name in _SCREWED:
            vertebra = skeleton.vertebra(name)
            rc, y = vertebra.level.canal, vertebra.arch_y
            tip = vertebra.solid.to_trunk((side * 10, 6, 3))
            head = vertebra.solid.to_trunk((side * (rc + 6), y - 20, 5))
            solids += [Rod(tip, head, 2.6, 3.0), Ellipsoid(head, (5.5, 5.5, 5.5))]
            heads.append(head)
        solids += [Rod(a, b, 2.8, 2.8) for a, b in pairwise(heads)]
    return solids
