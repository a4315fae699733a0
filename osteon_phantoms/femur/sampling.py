"""Many different lesions of the femur on MR, and a study of one slice a patient, from several centres."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, get_args

import numpy as np

from osteon.data import LabelledImage
from osteon_phantoms.ct import CENTRES
from osteon_phantoms.femur.painter import make_femur_mr
from osteon_phantoms.femur.spec import KINDS, SIZES_MM, FemurMrSpec, MrLesionSpec, MrPlane, SequenceName
from osteon_phantoms.spec import chance, in_turn, one_of, uniform
from osteon_phantoms.study import Person

if TYPE_CHECKING:
    from collections.abc import Iterator

    from osteon_phantoms.femur.spec import Look
    from osteon_phantoms.study import FemurStudy

__all__ = ["draw_images", "draw_person", "random_femur_mr_spec"]

_PATIENT, _ORDER = 21, 22
_LOOKS: Final[tuple[Look, ...]] = (
    "benign", "malignant", "benign", "benign", "malignant", "intermediate", "benign", "benign", "malignant",
)  # fmt: skip
"""Of nine patients in a row, in drawn order: benign to malignant as 335 to 165 in the study (spec mri-femur), and some
that are neither."""
_FIELD_TESLA: Final = {name: 3.0 if index % 3 == 1 else 1.5 for index, name in enumerate(CENTRES)}
"""A centre has one magnet."""


def _random_lesion(generator: np.random.Generator, look: Look) -> MrLesionSpec:
    """A lesion of a look. Sizes and places are drawn alike for all looks, so that neither tells it."""
    return MrLesionSpec(
        kind=one_of(generator, KINDS[look]),
        size_mm=uniform(generator, SIZES_MM.low + 3, SIZES_MM.high),
        height_mm=float(generator.choice([generator.uniform(42, 90), generator.uniform(90, 240)])),
        direction_degrees=uniform(generator, 0, 360),
        eccentricity=uniform(generator, 0, 0.9),
        irregularity=uniform(generator, 0.6, 1.5),
        oedema=uniform(generator, 0.3, 1.6),
        activity=uniform(generator, 0.6, 1.4),
    )


def random_femur_mr_spec(
    generator: np.random.Generator, *, look: Look | None = "malignant", size: int = 320
) -> FemurMrSpec:
    """A patient, a scanner and a series; a healthy femur for None."""
    lesion = None if look is None else _random_lesion(generator, look)
    field_mm = uniform(generator, 150, 230)
    slice_mm = float(generator.choice([3.0, 3.5, 4.0, 5.0]))
    reach = min(2.5, 0.2 * (lesion.size_mm if lesion else 10))
    planes: tuple[MrPlane, ...] = get_args(MrPlane)
    sequences: tuple[SequenceName, ...] = get_args(SequenceName)
    plane, sequence = one_of(generator, planes), one_of(generator, sequences)
    return FemurMrSpec(
        seed=int(generator.integers(1, 10**6)),
        lesion=lesion,
        sequence=sequence,
        plane=plane,
        size=(size, size),
        pixel_mm=field_mm / size,
        slice_mm=slice_mm,
        gap_mm=float(generator.choice([0.0, 0.3, 0.5, 1.0])),
        off_centre_mm=(
            uniform(generator, -reach, reach),
            float(generator.normal(0, 0.08)) * field_mm,
            float(generator.normal(0, 0.08)) * field_mm,
        ),
        side="left" if chance(generator, 0.5) else "right",
        thigh_scale=uniform(generator, 0.85, 1.15),
        fat_mm=uniform(generator, 5, 28),
        red_marrow=uniform(generator, 0, 0.8),
        field_tesla=float(generator.choice([1.5, 3.0], p=[0.65, 0.35])),
        shading=uniform(generator, 0.1, 0.9),
        noise=uniform(generator, 0.008, 0.035),
        contrast_mmol=uniform(generator, 0.6, 1.4),
        age_years=float(generator.integers(59, 88)),
        sex="F" if chance(generator, 0.5) else "M",
    )


def draw_person(number: int, seed: int, options: FemurStudy) -> Person[FemurMrSpec]:
    """One patient, whose specification is a single slice.

    Sequence, plane, size, place, centre and patient are drawn alike for all looks, so that nothing but the lesion tells
    what it is.
    """
    look = in_turn(_LOOKS, number, seeds=(seed, _ORDER, 0))
    generator = np.random.default_rng([seed, _PATIENT, number])
    drawn = random_femur_mr_spec(generator, look=look, size=options.size)
    centre = one_of(generator, CENTRES)
    own_seed = int(generator.integers(1, 10**5)) * 10_000 + number
    spec = replace(drawn, seed=own_seed, field_tesla=_FIELD_TESLA[centre])
    columns = {
        "sequence": spec.sequence,
        "mm_per_pixel": f"{spec.pixel_mm:.4g}",
        "field_tesla": f"{spec.field_tesla:g}",
        "kind": "" if spec.lesion is None else spec.lesion.kind,
        "size_mm": "" if spec.lesion is None else f"{spec.lesion.size_mm:.1f}",
    }
    return Person(patient_id=f"F{number + 1:04d}", spec=spec, label=look, centre=centre, columns=columns)


def draw_images(person: Person[FemurMrSpec], options: FemurStudy, threads: int) -> Iterator[LabelledImage]:
    """The images of a patient, drawn when they are asked for."""
    del options, threads
    phantom = make_femur_mr(person.spec)
    yield LabelledImage(
        image=phantom.volume,
        masks={"lesion": phantom.masks["lesion"].array},
        label=person.label,
        name=person.patient_id,
        plane=person.spec.plane,
    )
