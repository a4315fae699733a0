"""A made-up study: patients with osteosarcoma and patients whose scans only look like it, from several centres."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon_phantoms.centres import CENTRES, SCANNERS, scan_with
from osteon_phantoms.draws import in_turn
from osteon_phantoms.sampling import random_leg_spec
from osteon_phantoms.spec import COVERAGE_CENTRE_W_MM, SITES, BenignSpec, LegSpec

if TYPE_CHECKING:
    from osteon_phantoms.spec import BoneName, Side, SiteName

__all__ = ["PRESETS", "CohortKind", "CohortPatient", "Preset", "cohort"]

Preset = Literal["tiny", "coarse", "fine"]
CohortKind = Literal["osteosarcoma", "osteomyelitis", "callus", "bone_island", "metal", "plain"]

PRESETS: Final[dict[Preset, tuple[tuple[int, int, int], tuple[float, float, float]]]] = {
    "tiny": ((24, 128, 128), (9.0, 3.2, 3.2)),
    "coarse": ((84, 256, 256), (4.0, 1.6, 1.6)),
    "fine": ((224, 512, 512), (1.5, 0.8, 0.8)),
}
"""Shape and spacing (mm) before the scanner's own: tiny for tests, coarse to learn from, fine as a patient's series."""

_HEALTHY_KINDS: Final[tuple[CohortKind, ...]] = (
    "osteomyelitis",
    "osteomyelitis",
    "osteomyelitis",
    "callus",
    "callus",
    "bone_island",
    "metal",
    "plain",
)
"""What eight healthy patients in a row have, in drawn order: the look-alikes in most."""

_PATIENT, _ORDER = 1, 2
_FOCUS_SITES: Final[tuple[tuple[BoneName, SiteName], ...]] = (
    ("femur", "distal_metaphysis"),
    ("femur", "diaphysis"),
    ("tibia", "proximal_metaphysis"),
    ("tibia", "diaphysis"),
    ("tibia", "distal_metaphysis"),
    ("femur", "proximal_metaphysis"),
    ("fibula", "diaphysis"),
)
_FOCUS_SHARES: Final = (0.34, 0.16, 0.22, 0.14, 0.06, 0.05, 0.03)
_SHAFTS: Final[tuple[tuple[BoneName, SiteName], ...]] = (
    ("femur", "diaphysis"),
    ("tibia", "diaphysis"),
    ("femur", "distal_metaphysis"),
    ("tibia", "proximal_metaphysis"),
)
_Coverage = Literal["hip", "femur", "knee", "tibia", "ankle", "feet"]
_FIELDS: Final[tuple[_Coverage, ...]] = ("hip", "femur", "knee", "tibia", "ankle")


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortPatient:
    """One patient of a made-up study.

    Attributes:
        patient_id: "P0001" and on.
        spec: to be drawn with ``make_leg_ct``.
        label: whether there is a tumour.
        kind: the main finding; "plain" for none. Tumour patients may also have metal or look-alikes in the other leg.
        centre: name of the hospital.
        scanner: name of the scanner.
        age_years: as in the spec.
        sex: as in the spec.
    """

    patient_id: str
    spec: LegSpec
    label: Literal["tumour", "healthy"]
    kind: CohortKind
    centre: str
    scanner: str
    age_years: float
    sex: Literal["F", "M"]


def cohort(patients: int = 96, *, seed: int = 20260331, preset: Preset = "coarse") -> tuple[CohortPatient, ...]:
    """Draw a study.

    Of two patients in a row one has a tumour; centres follow each other in drawn order among the tumours and among the
    healthy alike, so that a centre says nothing about the label. A patient depends on seed and number only: a longer
    cohort begins with the shorter one, and a preset changes nothing but the grid.

    Args:
        patients: how many.
        seed: of everything.
        preset: a key of ``PRESETS``.

    Raises:
        InputError: fewer than one patient or more than 9999.
        UnknownLabelError: no such preset.

    Example:
        >>> first, second = cohort(2, preset="tiny")
        >>> sorted((first.label, second.label)), first.patient_id
        (['healthy', 'tumour'], 'P0001')
    """
    if not 1 <= patients <= 9999:
        raise InputError(f"a cohort has 1 to 9999 patients, found {patients}")
    if preset not in PRESETS:
        raise UnknownLabelError(f"no cohort preset {preset!r}: {nearest_names(preset, PRESETS)}")
    return tuple(_patient(number, seed=seed, preset=preset) for number in range(patients))


def _patient(number: int, *, seed: int, preset: Preset) -> CohortPatient:
    pair = number // 2
    has_tumour = in_turn((True, False), number, seeds=(seed, _ORDER, 0))
    # each pair of patients holds one of each label, so that the pair counts the patients of either label
    kind = "osteosarcoma" if has_tumour else in_turn(_HEALTHY_KINDS, pair, seeds=(seed, _ORDER, 1))
    centre = in_turn(CENTRES, pair, seeds=(seed, _ORDER, 3 if has_tumour else 2))
    generator = np.random.default_rng([seed, _PATIENT, number])
    there = [scanner for scanner in SCANNERS if scanner.centre == centre]
    scanner = there[int(generator.integers(len(there)))]
    shape, spacing_mm = PRESETS[preset]
    drawn = random_leg_spec(generator, with_lesion=has_tumour)
    spec = replace(
        drawn,
        seed=int(generator.integers(1, 10**5)) * 10_000 + number,
        shape=shape,
        spacing_mm=spacing_mm,
    )
    spec = _with_tumour(spec, generator) if has_tumour else _without_tumour(spec, kind, generator)
    spec = scan_with(spec, scanner, generator)
    return CohortPatient(
        patient_id=f"P{number + 1:04d}",
        spec=spec,
        label="tumour" if has_tumour else "healthy",
        kind=kind,
        centre=scanner.centre,
        scanner=scanner.name,
        age_years=spec.age_years,
        sex=spec.sex,
    )


def _with_tumour(spec: LegSpec, generator: np.random.Generator) -> LegSpec:
    """A field about the tumour, which is one that shows; sometimes metal in the other leg."""
    (lesion,) = spec.lesions
    other: Side = "right" if lesion.leg == "left" else "left"
    metal = _metal(generator) if spec.amputee is None and generator.random() < 0.15 else None
    reaction: Literal["sunburst", "codman"] = "sunburst" if generator.random() < 0.5 else "codman"
    if lesion.soft_tissue_mass == 0 and lesion.periosteal == "none":
        # without mass and reaction a lytic one shows nothing that a reader could call an osteosarcoma
        lesion = replace(lesion, periosteal=reaction, breach=max(lesion.breach, 0.5))
    return replace(
        spec,
        lesions=(lesion,),
        coverage=_field(lesion.bone, lesion.site, lesion.position, generator),
        metal=metal,
        metal_leg=other,
    )


def _without_tumour(spec: LegSpec, kind: CohortKind, generator: np.random.Generator) -> LegSpec:
    """A healthy patient with one main finding in one leg, and sometimes metal in the other."""
    side: Side = "left" if generator.random() < 0.5 else "right"
    other: Side = "right" if side == "left" else "left"
    spec = replace(spec, benign=(), metal=None, metal_leg=other)
    if kind == "plain":
        rare: _Coverage = "hip" if generator.random() < 0.5 else "feet"
        return replace(spec, coverage=rare) if generator.random() < 0.6 else spec
    spec = replace(spec, amputee=None)
    if kind == "metal":
        metal = _metal(generator)
        seen: _Coverage = "femur" if metal == "nail" and generator.random() < 0.6 else "knee"
        return replace(spec, metal=metal, metal_leg=side, coverage=seen)
    finding = _finding(kind, side, generator)
    return replace(
        spec,
        benign=(finding,),
        metal=_metal(generator) if generator.random() < 0.12 else None,
        coverage=_field(finding.bone, finding.site, finding.position, generator),
    )


def _finding(kind: CohortKind, side: Side, generator: np.random.Generator) -> BenignSpec:
    """What lies in the leg of a healthy patient."""
    position = float(generator.uniform(0, 1))
    direction = float(generator.uniform(0, 360))
    if kind == "osteomyelitis":
        bone, site = _FOCUS_SITES[int(generator.choice(len(_FOCUS_SITES), p=_FOCUS_SHARES))]
        return BenignSpec(
            kind="osteomyelitis",
            leg=side,
            bone=bone,
            site=site,
            position=position,
            size_mm=float(generator.uniform(35, 80 if bone == "fibula" else 120)),
            direction_degrees=direction,
            activity=float(generator.uniform(0, 1)),
            swelling=float(generator.uniform(0.2, 1)),
        )
    if kind == "callus":
        bone, site = _SHAFTS[int(generator.integers(len(_SHAFTS)))]
        young = generator.random() < 0.65
        return BenignSpec(
            kind="callus",
            leg=side,
            bone=bone,
            site=site if young else "diaphysis",
            position=position,
            size_mm=float(generator.uniform(40, 110) if young else generator.uniform(20, 55)),
            gap_mm=float(generator.uniform(1.5, 7)) if young else 0.0,
            direction_degrees=direction,
        )
    bone, site = _FOCUS_SITES[int(generator.choice(len(_FOCUS_SITES), p=_FOCUS_SHARES))]
    return BenignSpec(leg=side, bone=bone, site=site, position=position, size_mm=float(generator.uniform(6, 16)))


def _metal(generator: np.random.Generator) -> Literal["nail", "prosthesis"]:
    return "nail" if generator.random() < 0.5 else "prosthesis"


def _field(bone: BoneName, site: SiteName, position: float, generator: np.random.Generator) -> _Coverage:
    """A field that shows a finding, not always in the middle; at times the hip or the feet when they are near."""
    low, high = SITES[bone, site]
    height = low + position * (high - low)
    if bone != "femur" and site == "distal_metaphysis" and generator.random() < 0.3:
        return "feet"
    wanted = height + float(generator.uniform(-25, 25))
    return min(_FIELDS, key=lambda name: abs(COVERAGE_CENTRE_W_MM[name] - wanted))
