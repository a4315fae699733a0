"""What a synthetic patient shall be: every choice in one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from osteon.errors import InputError

__all__ = [
    "COVERAGE_CENTRE_W_MM",
    "SITES",
    "BenignSpec",
    "BoneName",
    "LegSpec",
    "LesionSpec",
    "Side",
    "SiteName",
    "require_range",
]

Side = Literal["left", "right"]
BoneName = Literal["femur", "tibia", "fibula"]
SiteName = Literal["distal_metaphysis", "proximal_metaphysis", "diaphysis"]

SITES: Final[dict[tuple[str, str], tuple[float, float]]] = {
    ("femur", "distal_metaphysis"): (48.0, 92.0),
    ("femur", "diaphysis"): (120.0, 290.0),
    ("femur", "proximal_metaphysis"): (320.0, 362.0),
    ("tibia", "proximal_metaphysis"): (-62.0, -30.0),
    ("tibia", "diaphysis"): (-270.0, -100.0),
    ("tibia", "distal_metaphysis"): (-342.0, -310.0),
    ("fibula", "proximal_metaphysis"): (-60.0, -30.0),
    ("fibula", "diaphysis"): (-290.0, -90.0),
    ("fibula", "distal_metaphysis"): (-350.0, -320.0),
}
"""Heights of each site along the leg, in reference millimetres of an adult from the knee joint."""

COVERAGE_CENTRE_W_MM: Final[dict[str, float]] = {
    "hip": 400.0,
    "femur": 215.0,
    "knee": 0.0,
    "tibia": -185.0,
    "ankle": -320.0,
    "feet": -400.0,
}
"""What the middle slice shows; how far the scan reaches follows from shape and spacing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionSpec:
    """One osteosarcoma-like lesion.

    Attributes:
        leg: whose.
        bone: in which it starts.
        site: in which part.
        position: 0 (lower end of the site) to 1 (upper end).
        size_mm: length inside the bone along its axis, 15 to 200.
        matrix: what fills it.
        breach: 0 (cortex whole) to 1 (cortex gone on one side).
        periosteal: reaction of the periosteum.
        soft_tissue_mass: size of the mass outside the bone; 0 none, 1 about 40 % of ``size_mm`` thick.
        mineralisation: 0 to 1, how much of the mass is ossified.
        direction_degrees: where it breaks out; 0 lateral, 90 forward, 180 medial, 270 back.

    Raises:
        InputError: the site does not exist in that bone, or a number lies outside its range.
    """

    leg: Side = "left"
    bone: BoneName = "femur"
    site: SiteName = "distal_metaphysis"
    position: float = 0.5
    size_mm: float = 70.0
    matrix: Literal["lytic", "blastic", "mixed"] = "mixed"
    breach: float = 0.7
    periosteal: Literal["none", "sunburst", "codman", "both"] = "both"
    soft_tissue_mass: float = 0.6
    mineralisation: float = 0.5
    direction_degrees: float = 200.0

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if (self.bone, self.site) not in SITES:
            known = ", ".join(f"{bone} {site}" for bone, site in SITES)
            raise InputError(f"no lesion site {self.site!r} in the {self.bone}; known: {known}")
        for name in ("position", "breach", "soft_tissue_mass", "mineralisation"):
            require_range(name, getattr(self, name), 0.0, 1.0)
        require_range("size_mm", self.size_mm, 15.0, 200.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenignSpec:
    """A finding that looks like a tumour and is none.

    Attributes:
        kind: a bone island, the callus of a fracture, or a focus of osteomyelitis.
        leg: whose.
        bone: in which it lies.
        site: in which part.
        position: 0 (lower end of the site) to 1 (upper end).
        size_mm: length along the bone: of a bone island or callus up to 60, of osteomyelitis 20 to 120. A young callus
            (``gap_mm`` above 0) may reach 120 too.
        gap_mm: width of a fracture gap that is still open; the callus is then young and fluffy. 0 for a healed one.
        direction_degrees: where a focus drains or a fracture rises; 0 lateral, 90 forward, 180 medial, 270 back.
        activity: of osteomyelitis: 0 (old: rim, sequestrum, solid sleeve, tract) to 1 (fresh: moth-eaten, layered).
        swelling: of the flesh around osteomyelitis, 0 to 1.

    Raises:
        InputError: the site does not exist in that bone, or a number lies outside its range.
    """

    kind: Literal["bone_island", "callus", "osteomyelitis"] = "bone_island"
    leg: Side = "left"
    bone: BoneName = "femur"
    site: SiteName = "distal_metaphysis"
    position: float = 0.5
    size_mm: float = 9.0
    gap_mm: float = 0.0
    direction_degrees: float = 200.0
    activity: float = 0.4
    swelling: float = 0.6

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if (self.bone, self.site) not in SITES:
            raise InputError(f"no site {self.site!r} in the {self.bone}")
        infected = self.kind == "osteomyelitis"
        large = infected or (self.kind == "callus" and self.gap_mm > 0)
        require_range("size_mm", self.size_mm, 20.0 if infected else 3.0, 120.0 if large else 60.0)
        for name, highest in (("position", 1.0), ("activity", 1.0), ("swelling", 1.0), ("gap_mm", 15.0)):
            require_range(name, getattr(self, name), 0.0, highest)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegSpec:
    """A CT of the legs to be made.

    Attributes:
        seed: everything random follows from it.
        legs: which legs lie in the field.
        age_years: below 16 the growth plates are open and the leg is smaller.
        sex: "F" or "M".
        coverage: what the middle slice shows; a key of ``COVERAGE_CENTRE_W_MM``.
        shape: (slice, row, column).
        spacing_mm: along the same axes.
        patient_position: DICOM Patient Position: HFS, HFP, FFS or FFP.
        table: shape of the scanner table.
        touching: whether the thighs touch.
        amputee: the side of an amputation through the thigh, or None.
        arms: whether a hand and forearm lie beside each thigh.
        metal: a femoral nail or a knee prosthesis in ``metal_leg``, or None.
        metal_leg: whose.
        noise_hu: standard deviation of the noise in the middle of a leg.
        beam_hardening: 0 none, 1 as an ordinary scanner.
        motion_mm: how far the legs jerked during a few slices.
        gantry_tilt_degrees: the acquisition's planes lean by this angle.
        knee_flexion_degrees: how much thigh and shank slope down from the knee.
        body_fat: 1 ordinary, 2 twice the fat under the skin.
        kernel_sharpness: of the reconstruction: -1 very soft, 0 ordinary, 1 sharp with edges that overshoot.
        hu_scale: a badly calibrated scanner multiplies attenuation (HU + 1000) by this.
        hu_offset: and adds this.
        slice_thickness_mm: what a slice averages over; None for the distance of the slices.
        lesions: tumours.
        benign: harmless look-alikes.

    Raises:
        InputError: a number outside its range.
    """

    seed: int = 1
    legs: Literal["both", "left", "right"] = "both"
    age_years: float = 34.0
    sex: Literal["F", "M"] = "F"
    coverage: Literal["hip", "femur", "knee", "tibia", "ankle", "feet"] = "knee"
    shape: tuple[int, int, int] = (280, 512, 512)
    spacing_mm: tuple[float, float, float] = (1.5, 0.8, 0.8)
    patient_position: Literal["HFS", "HFP", "FFS", "FFP"] = "HFS"
    table: Literal["curved", "flat", "none"] = "curved"
    touching: bool = False
    amputee: Side | None = None
    arms: bool = False
    metal: Literal["nail", "prosthesis"] | None = None
    metal_leg: Side = "right"
    noise_hu: float = 12.0
    beam_hardening: float = 1.0
    motion_mm: float = 0.0
    gantry_tilt_degrees: float = 0.0
    knee_flexion_degrees: float = 4.0
    body_fat: float = 1.0
    kernel_sharpness: float = 0.0
    hu_scale: float = 1.0
    hu_offset: float = 0.0
    slice_thickness_mm: float | None = None
    lesions: tuple[LesionSpec, ...] = ()
    benign: tuple[BenignSpec, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        if min(self.shape) < 1 or min(self.spacing_mm) <= 0:
            raise InputError(
                f"a phantom needs a positive shape and spacing, found {self.shape} at {self.spacing_mm} mm"
            )
        if self.coverage not in COVERAGE_CENTRE_W_MM:
            raise InputError(f"no coverage {self.coverage!r}; known: {', '.join(COVERAGE_CENTRE_W_MM)}")
        require_range("age_years", self.age_years, 4.0, 100.0)
        require_range("gantry_tilt_degrees", self.gantry_tilt_degrees, -30.0, 30.0)
        require_range("knee_flexion_degrees", self.knee_flexion_degrees, 0.0, 15.0)
        require_range("body_fat", self.body_fat, 0.3, 3.0)
        require_range("noise_hu", self.noise_hu, 0.0, 200.0)
        require_range("kernel_sharpness", self.kernel_sharpness, -1.0, 1.0)
        require_range("hu_scale", self.hu_scale, 0.9, 1.1)
        require_range("hu_offset", self.hu_offset, -50.0, 50.0)
        if self.slice_thickness_mm is not None:
            require_range("slice_thickness_mm", self.slice_thickness_mm, 0.1, 20.0)

    @property
    def has_growth_plates(self) -> bool:
        """Whether the patient still grows."""
        return self.age_years < 16

    @property
    def scale(self) -> float:
        """Size against the reference adult."""
        adult = 1.0 if self.sex == "M" else 0.93
        if not self.has_growth_plates:
            return adult
        return float(adult * (0.52 + 0.44 * (self.age_years - 4) / 12))

    @property
    def sides(self) -> tuple[Side, ...]:
        """The legs in the field, right (image left) first."""
        return ("right", "left") if self.legs == "both" else (self.legs,)


def require_range(name: str, value: float, low: float, high: float) -> None:
    """Refuse a number outside its range, or that is none.

    Raises:
        InputError: says what is allowed.
    """
    if not low <= value <= high:
        raise InputError(f"{name} must lie from {low:g} to {high:g}, found {value:g}")
