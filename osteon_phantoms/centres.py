"""Scanners of made-up hospitals: the same patient looks different on each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    import numpy as np

    from osteon_phantoms.spec import LegSpec

__all__ = ["CENTRES", "SCANNERS", "Scanner", "scan_with"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """How one scanner of one centre takes and reconstructs legs.

    Attributes:
        centre: name of the hospital.
        name: of the scanner.
        kernel_sharpness: -1 very soft, 0 ordinary, 1 sharp.
        noise_hu: usual noise in the middle of a leg.
        hu_scale: factor of attenuation.
        hu_offset: added HU.
        beam_hardening: 0 none, 1 ordinary.
        thickness_share: slice thickness against the distance of slices.
        step_share: distance of slices against that of the preset.
        pixel_share: pixel size against that of the preset.
        table: its shape.
        patient_position: how legs are usually laid.
    """

    centre: str
    name: str
    kernel_sharpness: float
    noise_hu: float
    hu_scale: float = 1.0
    hu_offset: float = 0.0
    beam_hardening: float = 1.0
    thickness_share: float = 1.0
    step_share: float = 1.0
    pixel_share: float = 1.0
    table: Literal["curved", "flat", "none"] = "curved"
    patient_position: Literal["HFS", "FFS"] = "HFS"


SCANNERS: Final[tuple[Scanner, ...]] = (
    Scanner(centre="Northfield", name="Aster 16", kernel_sharpness=-0.5, noise_hu=13, hu_offset=-5, step_share=1.2),
    Scanner(
        centre="Eastport",
        name="Borealis 64",
        kernel_sharpness=0.1,
        noise_hu=10,
        pixel_share=1.06,
        patient_position="FFS",
    ),
    Scanner(
        centre="Westmoor",
        name="Cygnus 8",
        kernel_sharpness=0.9,
        noise_hu=24,
        hu_scale=1.012,
        hu_offset=4,
        beam_hardening=1.4,
        table="flat",
    ),
    Scanner(
        centre="Southgate",
        name="Dione 128",
        kernel_sharpness=0.45,
        noise_hu=8,
        hu_scale=0.99,
        beam_hardening=0.5,
        step_share=0.8,
        pixel_share=0.94,
        thickness_share=0.8,
    ),
    Scanner(
        centre="Southgate",
        name="Eos 4",
        kernel_sharpness=-0.25,
        noise_hu=20,
        hu_offset=8,
        thickness_share=1.3,
        pixel_share=1.1,
        table="flat",
        patient_position="FFS",
    ),
)
"""Five scanners of four centres."""

CENTRES: Final[tuple[str, ...]] = tuple(dict.fromkeys(scanner.centre for scanner in SCANNERS))


def scan_with(spec: LegSpec, scanner: Scanner, generator: np.random.Generator) -> LegSpec:
    """The same patient on a scanner; the field keeps its length, and noise and calibration vary a little by day.

    Args:
        spec: the patient, in the spacing of a preset.
        scanner: takes the scan.
        generator: draws the day's noise and drift.
    """
    slice_mm, row_mm, column_mm = spec.spacing_mm
    step_mm = slice_mm * scanner.step_share
    slices = max(round(spec.shape[0] * slice_mm / step_mm), 1)
    prone = spec.patient_position.endswith("P")
    return replace(
        spec,
        shape=(slices, *spec.shape[1:]),
        spacing_mm=(step_mm, row_mm * scanner.pixel_share, column_mm * scanner.pixel_share),
        slice_thickness_mm=step_mm * scanner.thickness_share,
        kernel_sharpness=scanner.kernel_sharpness,
        noise_hu=scanner.noise_hu * float(generator.uniform(0.75, 1.3)),
        hu_scale=scanner.hu_scale + float(generator.uniform(-0.003, 0.003)),
        hu_offset=scanner.hu_offset + float(generator.uniform(-2, 2)),
        beam_hardening=scanner.beam_hardening,
        table=scanner.table,
        patient_position="HFP" if prone else scanner.patient_position,
    )
