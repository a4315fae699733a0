"""What a synthetic MR of the femur shall show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from osteon.errors import InputError, UnknownLabelError, nearest_names

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "KINDS",
    "LONGEST_MM",
    "SHORTEST_MM",
    "FemurMrSpec",
    "Kind",
    "Look",
    "MrLesionSpec",
    "MrPlane",
    "SequenceName",
    "random_femur_mr_spec",
    "random_mr_lesion",
]

Look = Literal["benign", "intermediate", "malignant"]
Kind = Literal[
    "cyst",
    "enchondroma",
    "fibrous",
    "lipoma",
    "giant cell",
    "atypical cartilage",
    "sarcoma",
    "round cell",
    "metastasis",
]
SequenceName = Literal["t1", "t2", "stir", "t1_contrast"]
MrPlane = Literal["axial", "coronal", "sagittal"]

KINDS: Final[dict[Look, tuple[Kind, ...]]] = {
    "benign": ("cyst", "enchondroma", "fibrous", "lipoma"),
    "intermediate": ("giant cell", "atypical cartilage"),
    "malignant": ("sarcoma", "round cell", "metastasis"),
}
"""Kinds of lesion by look."""

SHORTEST_MM: Final = 7.0
LONGEST_MM: Final = 39.0
"""Sizes of the masses in the study that the system is built after (spec mri-femur, section 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MrLesionSpec:
    """One lesion.

    Attributes:
        kind: one of ``KINDS``.
        size_mm: largest diameter.
        height_mm: of its middle above the knee joint.
        direction_degrees: towards which side of the bone it lies; 0 lateral, 90 posterior.
        eccentricity: 0 in the middle of the bone, 1 at its wall.
        irregularity: of the outline, 1 usual for the kind.
        oedema: around it, 1 usual for the kind.
        activity: how much of it is cellular and takes up contrast, 1 usual for the kind.
    """

    kind: Kind = "enchondroma"
    size_mm: float = 25.0
    height_mm: float = 60.0
    direction_degrees: float = 0.0
    eccentricity: float = 0.3
    irregularity: float = 1.0
    oedema: float = 1.0
    activity: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no lesion."""
        kinds = get_args(Kind)
        if self.kind not in kinds:
            raise UnknownLabelError(f"no kind of lesion {self.kind!r}: {nearest_names(self.kind, kinds)}")
        if not (SHORTEST_MM <= self.size_mm <= LONGEST_MM and 35 <= self.height_mm <= 260):
            raise InputError(
                f"a lesion is {SHORTEST_MM:g} to {LONGEST_MM:g} mm long and lies 35 to 260 mm above the joint, found "
                f"{self.size_mm:g} and {self.height_mm:g}"
            )
        if not (
            0 <= self.eccentricity <= 1 and all(0 <= v <= 2 for v in (self.irregularity, self.oedema, self.activity))
        ):
            raise InputError(
                "eccentricity lies from 0 to 1; irregularity, oedema and activity from 0 to 2; found "
                f"{self.eccentricity:g}, {self.irregularity:g}, {self.oedema:g}, {self.activity:g}"
            )

    @property
    def look(self) -> Look:
        """Benign, intermediate or malignant."""
        return next(look for look, kinds in KINDS.items() if self.kind in kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class FemurMrSpec:
    """One series of one thigh.

    Attributes:
        seed: of everything that is not named here.
        lesion: None for a healthy femur.
        sequence: see ``osteon_phantoms.femur_mr_physics.SEQUENCES``.
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
    size: tuple[int, int] = (320, 320)
    pixel_mm: float = 0.7
    slices: int = 1
    slice_mm: float = 4.0
    gap_mm: float = 0.4
    off_centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    side: Literal["left", "right"] = "left"
    thigh_scale: float = 1.0
    fat_mm: float = 12.0
    red_marrow: float = 0.3
    field_tesla: float = 1.5
    shading: float = 0.5
    noise: float = 0.015
    contrast_mmol: float = 1.0
    age_years: float = 66.0
    sex: Literal["F", "M"] = "F"

    def __post_init__(self) -> None:
        """Refuse what no scanner does."""
        for name, value, names in (
            ("sequence", self.sequence, get_args(SequenceName)),
            ("plane", self.plane, get_args(MrPlane)),
        ):
            if value not in names:
                raise UnknownLabelError(f"no {name} {value!r}: {nearest_names(value, names)}")
        if not (
            all(16 <= side <= 1024 for side in self.size) and 0.2 <= self.pixel_mm <= 5 and 1 <= self.slices <= 200
        ):
            raise InputError(
                "an MR series has 16 to 1024 rows and columns of 0.2 to 5 mm and 1 to 200 slices, found "
                f"{self.size[0]} x {self.size[1]} of {self.pixel_mm:g} mm, {self.slices}"
            )
        if not (0.5 <= self.slice_mm <= 15 and 0 <= self.gap_mm <= 10 and 0 <= self.noise <= 0.5):
            raise InputError(
                "slices are 0.5 to 15 mm thick with gaps of 0 to 10 mm, noise lies from 0 to 0.5; found "
                f"{self.slice_mm:g}, {self.gap_mm:g} and {self.noise:g}"
            )
        if not (0.7 <= self.thigh_scale <= 1.4 and 2 <= self.fat_mm <= 50 and 0.5 <= self.field_tesla <= 7):
            raise InputError(
                "a thigh is drawn at 0.7 to 1.4 of the usual width with 2 to 50 mm of fat, in 0.5 to 7 tesla; found "
                f"{self.thigh_scale:g}, {self.fat_mm:g} and {self.field_tesla:g}"
            )


def random_mr_lesion(generator: np.random.Generator, look: Look) -> MrLesionSpec:
    """A lesion of a look. Sizes and places are drawn alike for all looks, so that neither tells it."""
    kinds = KINDS[look]
    return MrLesionSpec(
        kind=kinds[int(generator.integers(len(kinds)))],
        size_mm=float(generator.uniform(SHORTEST_MM + 3, LONGEST_MM)),
        height_mm=float(generator.choice([generator.uniform(42, 90), generator.uniform(90, 240)])),
        direction_degrees=float(generator.uniform(0, 360)),
        eccentricity=float(generator.uniform(0, 0.9)),
        irregularity=float(generator.uniform(0.6, 1.5)),
        oedema=float(generator.uniform(0.3, 1.6)),
        activity=float(generator.uniform(0.6, 1.4)),
    )


def random_femur_mr_spec(
    generator: np.random.Generator, *, look: Look | None = "malignant", size: int = 320
) -> FemurMrSpec:
    """A patient, a scanner and a series; a healthy femur for None."""
    lesion = None if look is None else random_mr_lesion(generator, look)
    field_mm = float(generator.uniform(150, 230))
    slice_mm = float(generator.choice([3.0, 3.5, 4.0, 5.0]))
    reach = min(2.5, 0.2 * (lesion.size_mm if lesion else 10))
    plane: MrPlane = get_args(MrPlane)[int(generator.integers(3))]
    sequence: SequenceName = get_args(SequenceName)[int(generator.integers(4))]
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
            float(generator.uniform(-reach, reach)),
            float(generator.normal(0, 0.08)) * field_mm,
            float(generator.normal(0, 0.08)) * field_mm,
        ),
        side="left" if generator.random() < 0.5 else "right",
        thigh_scale=float(generator.uniform(0.85, 1.15)),
        fat_mm=float(generator.uniform(5, 28)),
        red_marrow=float(generator.uniform(0, 0.8)),
        field_tesla=float(generator.choice([1.5, 3.0], p=[0.65, 0.35])),
        shading=float(generator.uniform(0.1, 0.9)),
        noise=float(generator.uniform(0.008, 0.035)),
        contrast_mmol=float(generator.uniform(0.6, 1.4)),
        age_years=float(generator.integers(59, 88)),
        sex="F" if generator.random() < 0.5 else "M",
    )
