"""A made-up study of bone metastases: patients with metastases and patients who only have look-alikes, some centres."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon_phantoms.centres import CENTRES, SCANNERS
from osteon_phantoms.draws import in_turn
from osteon_phantoms.trunk_sampling import random_trunk_spec

if TYPE_CHECKING:
    from osteon_phantoms.centres import Scanner
    from osteon_phantoms.trunk_spec import Coverage, TrunkSpec

__all__ = ["TRUNK_PRESETS", "TrunkPatient", "TrunkPreset", "scan_trunk_with", "trunk_cohort"]

TrunkPreset = Literal["tiny", "coarse", "fine"]
TrunkLabel = Literal["metastasis", "normal"]

TRUNK_PRESETS: Final[dict[TrunkPreset, tuple[int, float, float]]] = {
    "tiny": (64, 6.25, 8.0),
    "coarse": (224, 1.8, 3.0),
    "fine": (512, 0.79, 1.5),
}
"""Rows and columns, pixel and slice in mm before the scanner's own: tiny for tests, coarse to learn from, fine as a
patient's series."""

_COVERAGES: Final[tuple[Coverage, ...]] = (
    "abdomen", "pelvis", "thorax", "abdomen", "pelvis", "thorax", "trunk", "abdomen",
)  # fmt: skip
_STEPS: Final = (1.0, 1.0, 0.5, 1.65)
"""Distance of slices against that of the preset, as protocols have it: 1.5 to 5 mm for 3 mm."""

_PATIENT, _ORDER = 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkPatient:
    """One patient of a made-up study.

    Attributes:
        patient_id: "M0001" and on.
        spec: to be drawn with ``make_trunk``.
        label: whether there are metastases.
        centre: name of the hospital.
        scanner: name of the scanner.
    """

    patient_id: str
    spec: TrunkSpec
    label: TrunkLabel
    centre: str
    scanner: str


def trunk_cohort(
    patients: int = 80, *, seed: int = 20260401, preset: TrunkPreset = "coarse", healthy: float = 0.0
) -> tuple[TrunkPatient, ...]:
    """Draw a study.

    Centres and coverages follow each other in drawn order among the patients with metastases and among the healthy
    alike, so that neither says anything about the label. A patient depends on seed, number and share only: a longer
    cohort begins with the shorter one, and a preset changes nothing but the grid.

    Args:
        patients: how many.
        seed: of everything.
        preset: a key of ``TRUNK_PRESETS``.
        healthy: share of the patients without metastases: 0 as in the public segmentation set, 0.5 to classify.

    Raises:
        InputError: fewer than one patient or more than 9999, or a share outside 0 to 1.
        UnknownLabelError: no such preset.

    Example:
        >>> [patient.label for patient in trunk_cohort(2, preset="tiny", healthy=0.5)]
        ['metastasis', 'normal']
    """
    if not 1 <= patients <= 9999:
        raise InputError(f"a cohort has 1 to 9999 patients, found {patients}")
    if not 0 <= healthy <= 1:
        raise InputError(f"the share of healthy patients lies from 0 to 1, found {healthy:g}")
    if preset not in TRUNK_PRESETS:
        raise UnknownLabelError(f"no cohort preset {preset!r}: {nearest_names(preset, TRUNK_PRESETS)}")
    people = []
    counts = {"metastasis": 0, "normal": 0}
    for number in range(patients):
        # the healthy are spread evenly: after n patients there are n times the share of them, rounded down
        label: TrunkLabel = "normal" if int((number + 1) * healthy) > int(number * healthy) else "metastasis"
        people.append(_patient(number, counts[label], label=label, seed=seed, preset=preset))
        counts[label] += 1
    return tuple(people)


def _patient(number: int, count: int, *, label: TrunkLabel, seed: int, preset: TrunkPreset) -> TrunkPatient:
    apart = 10 * (label == "normal")
    centre = in_turn(CENTRES, count, seeds=(seed, _ORDER, 1 + apart))
    coverage = in_turn(_COVERAGES, count, seeds=(seed, _ORDER, 2 + apart))
    step_share = in_turn(_STEPS, count, seeds=(seed, _ORDER, 3 + apart))
    generator = np.random.default_rng([seed, _PATIENT, number])
    there = [scanner for scanner in SCANNERS if scanner.centre == centre]
    scanner = there[int(generator.integers(len(there)))]
    drawn = random_trunk_spec(generator, with_lesions=label == "metastasis", coverage=coverage)
    size, pixel_mm, slice_mm = TRUNK_PRESETS[preset]
    spec = replace(
        drawn,
        seed=int(generator.integers(1, 10**5)) * 10_000 + number,
        size=(size, size),
        pixel_mm=pixel_mm,
        slice_mm=slice_mm * (step_share if preset != "tiny" else 1.0),
    )
    return TrunkPatient(
        patient_id=f"M{number + 1:04d}",
        spec=scan_trunk_with(spec, scanner, generator),
        label=label,
        centre=scanner.centre,
        scanner=scanner.name,
    )


def scan_trunk_with(spec: TrunkSpec, scanner: Scanner, generator: np.random.Generator) -> TrunkSpec:
    """The same patient on a scanner; noise and calibration vary a little by day.

    Args:
        spec: the patient, in the spacing of a preset.
        scanner: takes the scan.
        generator: draws the day's noise and drift.
    """
    return replace(
        spec,
        pixel_mm=spec.pixel_mm * scanner.pixel_share,
        thickness_mm=spec.slice_mm * scanner.thickness_share,
        kernel_sharpness=scanner.kernel_sharpness,
        noise_hu=scanner.noise_hu * float(generator.uniform(0.75, 1.3)),
        hu_scale=scanner.hu_scale + float(generator.uniform(-0.003, 0.003)),
        hu_offset=scanner.hu_offset + float(generator.uniform(-2, 2)),
        beam_hardening=scanner.beam_hardening,
        table=scanner.table,
        patient_position=scanner.patient_position,
    )
