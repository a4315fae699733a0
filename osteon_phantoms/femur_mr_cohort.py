"""A made-up study of lesions of the femur on MR: one slice of one lesion a patient, from several centres."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.errors import InputError
from osteon_phantoms.centres import CENTRES
from osteon_phantoms.draws import in_turn
from osteon_phantoms.femur_mr_spec import random_femur_mr_spec

if TYPE_CHECKING:
    from osteon_phantoms.femur_mr_spec import FemurMrSpec, Look

__all__ = ["FemurMrPatient", "femur_mr_cohort"]

_PATIENT, _ORDER = 21, 22
_LOOKS: Final[tuple[Look, ...]] = (
    "benign", "malignant", "benign", "benign", "malignant", "intermediate", "benign", "benign", "malignant",
)  # fmt: skip
"""Of nine patients in a row, in drawn order: benign to malignant as 335 to 165 in the study (spec mri-femur), and some
that are neither."""
_FIELD_TESLA: Final = {name: 3.0 if index % 3 == 1 else 1.5 for index, name in enumerate(CENTRES)}
"""A centre has one magnet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FemurMrPatient:
    """One patient of a made-up study.

    Attributes:
        patient_id: "F0001" and on.
        spec: to be drawn with ``make_femur_mr``; a single slice.
        look: of the lesion.
        centre: name of the hospital.
    """

    patient_id: str
    spec: FemurMrSpec
    look: Look
    centre: str


def femur_mr_cohort(patients: int = 150, *, seed: int = 20260601, size: int = 320) -> tuple[FemurMrPatient, ...]:
    """Draw a study.

    Sequence, plane, size, place, centre and patient are drawn alike for all looks, so that nothing but the lesion tells
    what it is. A patient depends on seed and number only: a longer cohort begins with the shorter one.

    Args:
        patients: how many.
        seed: of everything.
        size: rows and columns of a slice.

    Raises:
        InputError: fewer than one patient or more than 9999.

    Example:
        >>> [patient.patient_id for patient in femur_mr_cohort(2, size=64)]
        ['F0001', 'F0002']
    """
    if not 1 <= patients <= 9999:
        raise InputError(f"a cohort has 1 to 9999 patients, found {patients}")
    return tuple(_patient(number, seed, size) for number in range(patients))


def _patient(number: int, seed: int, size: int) -> FemurMrPatient:
    look: Look = in_turn(_LOOKS, number, seeds=(seed, _ORDER, 0))
    generator = np.random.default_rng([seed, _PATIENT, number])
    drawn = random_femur_mr_spec(generator, look=look, size=size)
    centre = CENTRES[int(generator.integers(len(CENTRES)))]
    spec = replace(
        drawn,
        seed=int(generator.integers(1, 10**5)) * 10_000 + number,
        field_tesla=_FIELD_TESLA[centre],
    )
    return FemurMrPatient(patient_id=f"F{number + 1:04d}", spec=spec, look=look, centre=centre)
