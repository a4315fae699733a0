"""What a synthetic MR of the femur shall show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from osteon_phantoms.spec import Range, Share, Spec

__all__ = ["KINDS", "SIZES_MM", "FemurMrSpec", "Kind", "Look", "MrLesionSpec", "MrPlane", "SequenceName"]

Look = Literal["benign", "intermediate", "malignant"]
Kind = Literal[
    "cyst", "enchondroma", "fibrous", "lipoma", "giant cell", "atypical cartilage", "sarcoma", "round cell",
    "metastasis",
]  # fmt: skip
SequenceName = Literal["t1", "t2", "stir", "t1_contrast"]
MrPlane = Literal["axial", "coronal", "sagittal"]

KINDS: Final[dict[Look, tuple[Kind, ...]]] = {
    "benign": ("cyst", "enchondroma", "fibrous", "lipoma"),
    "intermediate": ("giant cell", "atypical cartilage"),
    "malignant": ("sarcoma", "round cell", "metastasis"),
}
"""Kinds of lesion by look."""

SIZES_MM: Final = Range(7.0, 39.0)
"""Sizes of the masses in the study that the system is built after (spec mri-femur, section 1), in mm."""

_Factor = Annotated[float, Range(0.0, 2.0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class MrLesionSpec(Spec):
    """One lesion.

    Attributes:
        kind: one of ``KINDS``.
        size_mm: largest diameter.
        height_mm: of its middle above the knee joint.
        direction_degrees: towards which side of the bone it is; 0 lateral, 90 posterior.
        eccentricity: 0 in the middle of the bone, 1 at its wall.
        irregularity: of the outline, 1 usual for the kind.
        oedema: around it, 1 usual for the kind.
        activity: how much of it is cellular and takes up contrast, 1 usual for the kind.
    """

    kind: Kind = "enchondroma"
    size_mm: Annotated[float, SIZES_MM] = 25.0
    height_mm: Annotated[float, Range(35.0, 260.0)] = 60.0
    direction_degrees: float = 0.0
    eccentricity: Share = 0.3
    irregularity: _Factor = 1.0
    oedema: _Factor = 1.0
    activity: _Factor = 1.0

    @property
    def look(self) -> Look:
        """Benign, intermediate or malignant."""
        return next(look for look, kinds in KINDS.items() if self.kind in kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class FemurMrSpec(Spec):
    """One series of one thigh.

    Attributes:
        seed: of everything that is not named here.
        lesion: None for a healthy femur.
        sequence: see ``osteon_phantoms.femur.physics.SEQUENCES``.
        plane: of the slices.
        size: rows and columns.
        pixel_mm: width of a pixel.
        slices: how many, about the middle of the lesion.
        slice_mm: thickness, and distance of slices but for the gap.
        gap_mm: between slices.
        off_centre_mm: of the middle of the field from the middle of the lesion: along slices, rows, columns.
        side: which thigh.
        thigh_scale: factor of the thigh's width.
        fat_mm: thickness of the fat below the skin.
        red_marrow: 0 all yellow, 1 much red marrow in the shaft.
        field_tesla: of the magnet.
        shading: how uneven the coil sees, 0 even.
        noise: standard deviation in each channel, as a share of the brightest tissue.
        contrast_mmol: what reaches a well perfused tissue, in mmol/l; for "t1_contrast".
        age_years: of the patient.
        sex: of the patient.
    """

    seed: int = 1
    lesion: MrLesionSpec | None = MrLesionSpec()
    sequence: SequenceName = "t1"
    plane: MrPlane = "coronal"
    size: Annotated[tuple[int, int], Range(16, 1024)] = (320, 320)
    pixel_mm: Annotated[float, Range(0.2, 5.0)] = 0.7
    slices: Annotated[int, Range(1, 200)] = 1
    slice_mm: Annotated[float, Range(0.5, 15.0)] = 4.0
    gap_mm: Annotated[float, Range(0.0, 10.0)] = 0.4
    off_centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    side: Literal["left", "right"] = "left"
    thigh_scale: Annotated[float, Range(0.7, 1.4)] = 1.0
    fat_mm: Annotated[float, Range(2.0, 50.0)] = 12.0
    red_marrow: float = 0.3
    field_tesla: Annotated[float, Range(0.5, 7.0)] = 1.5
    shading: float = 0.5
    noise: Annotated[float, Range(0.0, 0.5)] = 0.015
    contrast_mmol: float = 1.0
    age_years: float = 66.0
    sex: Literal["F", "M"] = "F"
