"""What every synthetic CT has in common: its specification, its grid, and the scanners of synthetic hospitals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal, TypeVar

import numpy as np

from osteon.geometry import Grid
from osteon_phantoms.spec import Range, Spec, table, uniform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["CENTRES", "SCANNERS", "CtSpec", "Position", "Scanner", "TableShape", "position_axes", "upright_grid"]

Position = Literal["HFS", "HFP", "FFS", "FFP"]
TableShape = Literal["curved", "flat", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CtSpec(Spec):
    """A CT to be made; the same specification gives the same voxels.

    Attributes:
        seed: everything random follows from it.
        age_years: of the patient.
        sex: decides the size.
        patient_position: of DICOM.
        table: shape of the scanner table.
        body_fat: thickness of the fat against an ordinary adult.
        noise_hu: standard deviation of the noise in the middle of the body.
        beam_hardening: 0 none, 1 as an ordinary scanner.
        kernel_sharpness: of the reconstruction: -1 very soft, 0 ordinary, 1 sharp with edges that overshoot.
        hu_scale: a badly calibrated scanner multiplies attenuation (HU + 1000) by this.
        hu_offset: and adds this.
    """

    seed: int = 1
    age_years: Annotated[float, Range(18.0, 100.0)] = 58.0
    sex: Literal["F", "M"] = "F"
    patient_position: Position = "HFS"
    table: TableShape = "curved"
    body_fat: Annotated[float, Range(0.3, 3.0)] = 1.0
    noise_hu: Annotated[float, Range(0.0, 200.0)] = 12.0
    beam_hardening: Annotated[float, Range(0.0, 3.0)] = 1.0
    kernel_sharpness: Annotated[float, Range(-1.0, 1.0)] = 0.0
    hu_scale: Annotated[float, Range(0.9, 1.1)] = 1.0
    hu_offset: Annotated[float, Range(-50.0, 50.0)] = 0.0

    title: ClassVar[str] = ""
    """Of the kind of phantom."""

    @property
    def body_part(self) -> str:
        """DICOM Body Part Examined."""
        return "LEG"

    @property
    def laterality(self) -> str:
        """DICOM Image Laterality; "U" where the part is not paired."""
        return "U"

    @property
    def tilt_degrees(self) -> float:
        """DICOM Gantry/Detector Tilt."""
        return 0.0


def position_axes(patient_position: str) -> NDArray[np.float64]:
    """(3, 3) LPS directions of (slice, row, column) for a DICOM Patient Position; slices along DICOM's normal."""
    column, row = {
        "HFS": ((1, 0, 0), (0, 1, 0)),
        "HFP": ((-1, 0, 0), (0, -1, 0)),
        "FFS": ((-1, 0, 0), (0, 1, 0)),
        "FFP": ((1, 0, 0), (0, -1, 0)),
    }[patient_position]
    return np.array([np.cross(column, row), row, column], dtype=np.float64)


def upright_grid(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], position: str, middle_lps_mm: Sequence[float]
) -> Grid:
    """The grid of a patient position about a point."""
    axes = position_axes(position)
    half = (np.asarray(shape) - 1) / 2 * np.asarray(spacing_mm)
    origin = tuple(np.round(np.asarray(middle_lps_mm) - half @ axes, 3))
    return Grid.from_axes(shape=shape, spacing_mm=spacing_mm, directions=axes, origin_lps_mm=origin)


_CtSpec = TypeVar("_CtSpec", bound=CtSpec)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """How one scanner of one centre takes and reconstructs.

    Attributes:
        centre: name of the hospital.
        name: of the scanner.
        kernel_sharpness: -1 very soft, 0 ordinary, 1 sharp.
        noise_hu: usual noise in the middle of the body.
        hu_scale: factor of attenuation.
        hu_offset: added HU.
        beam_hardening: 0 none, 1 ordinary.
        thickness_share: slice thickness against the distance of slices.
        step_share: distance of slices against that of the preset.
        pixel_share: pixel size against that of the preset.
        table: its shape.
        patient_position: how patients are usually laid.
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
    table: TableShape = "curved"
    patient_position: Position = "HFS"

    def takes(self, spec: _CtSpec, generator: np.random.Generator, **grid: object) -> _CtSpec:
        """The same patient on this scanner; noise and calibration vary a little by day.

        Args:
            spec: the patient.
            generator: draws the day's noise and drift.
            grid: further fields of the specification, as its spacing.
        """
        return replace(
            spec,
            **grid,  # type: ignore[arg-type]  # the caller's own fields
            kernel_sharpness=self.kernel_sharpness,
            noise_hu=self.noise_hu * uniform(generator, 0.75, 1.3),
            hu_scale=self.hu_scale + uniform(generator, -0.003, 0.003),
            hu_offset=self.hu_offset + uniform(generator, -2, 2),
            beam_hardening=self.beam_hardening,
            table=self.table,
        )


SCANNERS: Final[tuple[Scanner, ...]] = tuple(Scanner(**entry) for entry in table("scanners"))
"""Five scanners of four centres."""

CENTRES: Final[tuple[str, ...]] = tuple(dict.fromkeys(scanner.centre for scanner in SCANNERS))
