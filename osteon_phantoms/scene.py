"""Everything that lies on the scanner table, placed in patient coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.errors import InputError
from osteon_phantoms.arm import Arm
from osteon_phantoms.infection import place_infection
from osteon_phantoms.limb import Limb
from osteon_phantoms.skeleton import HIP_W_MM, leg_bones
from osteon_phantoms.spec import COVERAGE_CENTRE_W_MM
from osteon_phantoms.table import Table
from osteon_phantoms.texture import make_textures
from osteon_phantoms.tumour import place_lesion

if TYPE_CHECKING:
    from osteon_phantoms.limb import Canvas, Plane
    from osteon_phantoms.spec import LegSpec, Side
    from osteon_phantoms.texture import Textures

__all__ = ["Scene", "build_scene"]

_KNEE_Z_LPS_MM: Final = -640.0
_KNEE_Y_LPS_MM: Final = -5.0
_AMPUTATION_W_MM: Final = 90.0
_BACK_W_MM: Final = (-430.0, -405.0, -360.0, -290.0, -110.0, 0.0, 80.0, 220.0, 330.0, 400.0, 560.0)
_BACK_V_MM: Final = (-78.0, -86.0, -54.0, -45.0, -72.0, -56.0, -64.0, -85.0, -98.0, -105.0, -106.0)
"""The back of the skin in the leg's frame, as ``flesh.skin`` draws it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The patient's legs, hands and the table.

    Attributes:
        spec: what was asked.
        limbs: right first.
        arms: hands and forearms.
        table: or None.
        middle_x_lps_mm: where the field's middle lies across the patient.
        middle_z_lps_mm: and along.
        jerk: (first slice, last slice, mm) of a movement, or None.
    """

    spec: LegSpec
    limbs: tuple[Limb, ...]
    arms: tuple[Arm, ...]
    table: Table | None
    middle_x_lps_mm: float
    middle_z_lps_mm: float
    jerk: tuple[int, int, float] | None

    def draw(self, canvas: Canvas, plane: Plane) -> None:
        """Draw one slice in place."""
        if self.table is not None:
            self.table.draw(canvas, plane)
        for limb in self.limbs:
            limb.draw(canvas, plane)
        for arm in self.arms:
            arm.draw(canvas, plane)

    def jerk_mm(self, index: int) -> float:
        """How far the legs moved while slice ``index`` was taken."""
        if self.jerk is None or not self.jerk[0] <= index <= self.jerk[1]:
            return 0.0
        return self.jerk[2]


def build_scene(spec: LegSpec) -> Scene:
    """Place everything that a spec asks for.

    Raises:
        InputError: a lesion in a leg that is not in the scene.
    """
    legs: list[Side] = [*(lesion.leg for lesion in spec.lesions), *(benign.leg for benign in spec.benign)]
    for leg in legs:
        if leg not in spec.sides:
            raise InputError(f"a finding in the {leg} leg was asked for, but the legs are: {', '.join(spec.sides)}")
    generator = np.random.default_rng(np.random.SeedSequence([spec.seed, 1]))
    textures = make_textures(generator)
    supine = spec.patient_position.endswith("S")
    rest_v = _rest_v_mm(spec, supine=supine)
    limbs = tuple(_limb(spec, side, textures, generator, rest_v=rest_v) for side in spec.sides)
    arms = tuple(Arm(limb) for limb in limbs) if spec.arms else ()
    knee_y = limbs[0].knee_lps_mm[1]
    table = None
    if spec.table != "none":
        surface_y = knee_y - rest_v * spec.scale
        table = Table(shape=spec.table, surface_y_lps_mm=surface_y, facing=1.0 if supine else -1.0, textures=textures)
    middle_x = 0.0 if spec.legs == "both" else limbs[0].knee_lps_mm[0] * 0.8
    jerk = None
    if spec.motion_mm > 0:
        first = int(generator.integers(0, max(spec.shape[0] - 12, 1)))
        jerk = (first, first + max(spec.shape[0] // 20, 3), spec.motion_mm)
    return Scene(
        spec=spec,
        limbs=limbs,
        arms=arms,
        table=table,
        middle_x_lps_mm=middle_x,
        middle_z_lps_mm=_KNEE_Z_LPS_MM + COVERAGE_CENTRE_W_MM[spec.coverage] * spec.scale,
        jerk=jerk,
    )


def _rest_v_mm(spec: LegSpec, *, supine: bool) -> float:
    """Where the table touches, in reference millimetres in front of the knee's middle.

    The lowest part of the leg in the field sinks a little into the mat; the rest hangs above it.
    """
    if not supine:
        return 72.0 * max(_girth(spec), 1.0)
    half = spec.shape[0] * spec.spacing_mm[0] / 2 / spec.scale
    middle = COVERAGE_CENTRE_W_MM[spec.coverage]
    heights = np.arange(max(middle - half, -430), min(middle + half, 560) + 10, 10.0)
    backs = np.interp(heights, _BACK_W_MM, _BACK_V_MM) * _girth(spec)
    fall = math.tan(math.radians(spec.knee_flexion_degrees)) * np.where(heights > 0, heights, -0.35 * heights)
    return float((backs - fall).min()) + 9.0


def _girth(spec: LegSpec) -> float:
    return 1.0 + 0.07 * (spec.body_fat - 1)


def _limb(
    spec: LegSpec,
    side: Side,
    textures: Textures,
    generator: np.random.Generator,
    *,
    rest_v: float,
) -> Limb:
    scale = spec.scale
    girth = _girth(spec)
    apart = (84.0 if not spec.touching else 56.0) * girth * scale + float(generator.uniform(0, 4))
    outward = 1.0 if side == "left" else -1.0
    z0 = _KNEE_Z_LPS_MM + float(generator.uniform(-3, 3))
    bones = leg_bones(with_pelvis=_reaches_pelvis(spec))
    by_name = {bone.name: bone for bone in bones}
    lesions = [
        (number, place_lesion(lesion, by_name[lesion.bone], scale=scale, generator=generator))
        for number, lesion in enumerate(spec.lesions)
        if lesion.leg == side
    ]
    infected = (finding for finding in spec.benign if finding.kind == "osteomyelitis")
    infections = [
        (
            number,
            # own generator: the same patient with and without it differs in nothing else
            place_infection(
                finding, by_name[finding.bone], scale=scale, generator=np.random.default_rng([spec.seed, 11, number])
            ),
        )
        for number, finding in enumerate(infected)
        if finding.leg == side
    ]
    facing = -1.0 if rest_v < 0 else 1.0
    return Limb(
        side=side,
        bones=bones,
        scale=scale,
        knee_lps_mm=(outward * apart, _KNEE_Y_LPS_MM * -facing, z0),
        turn_radians=float(np.deg2rad(generator.uniform(6, 16))),
        lean=float(generator.uniform(-0.02, 0.02)) - (0.09 if spec.touching else 0.0),
        slope=float(np.tan(np.deg2rad(spec.knee_flexion_degrees)) * (1 if rest_v < 0 else 0.3)),
        girth=girth,
        fat=spec.body_fat * (1.15 if spec.sex == "F" else 0.8),
        density=float(
            np.clip(1.05 - max(spec.age_years - 45, 0) * 0.009 - (0.12 if spec.has_growth_plates else 0), 0.5, 1.1)
        ),
        rest_v_mm=None if spec.table == "none" else (rest_v, facing),
        textures=textures,
        shift_mm=float(generator.uniform(0, 400)),
        plates=spec.has_growth_plates,
        cut_w_mm=_AMPUTATION_W_MM if spec.amputee == side else None,
        stays_on_its_side=spec.touching or _reaches_pelvis(spec),
        lesions=tuple(lesions),
        benign=tuple(finding for finding in spec.benign if finding.leg == side and finding.kind != "osteomyelitis"),
        infections=tuple(infections),
        metal=spec.metal if spec.metal_leg == side else None,
    )


def _reaches_pelvis(spec: LegSpec) -> bool:
    top = COVERAGE_CENTRE_W_MM[spec.coverage] + spec.shape[0] * spec.spacing_mm[0] / 2 / spec.scale
    return top > HIP_W_MM - 80
