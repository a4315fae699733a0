"""What a CT of the legs shall be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

from osteon_phantoms.ct import CtSpec
from osteon_phantoms.spec import Range, Share, Spec, table

__all__ = [
    "COVERAGE_CENTRE_W_MM", "SITES", "BenignSpec", "BoneName", "LegCoverage", "LegMetal", "LegSpec", "LesionSpec",
    "Side", "SiteName",
]  # fmt: skip

Side = Literal["left", "right"]
BoneName = Literal["femur", "tibia", "fibula"]
SiteName = Literal["distal_metaphysis", "proximal_metaphysis", "diaphysis"]
LegCoverage = Literal["hip", "femur", "knee", "tibia", "ankle", "feet"]
LegMetal = Literal["nail", "prosthesis"]

SITES: Final[dict[tuple[BoneName, SiteName], tuple[float, float]]] = {
    (bone, site): (low, high) for bone, site, low, high in table("legs")["sites"]
}
"""Heights of each site along the leg, in reference millimetres of an adult from the knee joint."""

COVERAGE_CENTRE_W_MM: Final[dict[LegCoverage, float]] = table("legs")["coverage"]
"""What the middle slice shows; how far the scan reaches follows from shape and spacing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlacedSpec(Spec):
    """Something in one bone of one leg.

    Attributes:
        leg: whose.
        bone: in which it starts.
        site: in which part.
        position: 0 (lower end of the site) to 1 (upper end).
        direction_degrees: where it breaks out, drains or rises; 0 lateral, 90 forward, 180 medial, 270 back.
    """

    leg: Side = "left"
    bone: BoneName = "femur"
    site: SiteName = "distal_metaphysis"
    position: Share = 0.5
    direction_degrees: float = 200.0

    @property
    def height_w_mm(self) -> float:
        """Where along the leg, in reference millimetres."""
        low, high = SITES[self.bone, self.site]
        return low + self.position * (high - low)


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionSpec(_PlacedSpec):
    """One osteosarcoma-like lesion.

    Attributes:
        size_mm: length inside the bone along its axis.
        matrix: what fills it.
        breach: 0 (cortex whole) to 1 (cortex gone on one side).
        periosteal: reaction of the periosteum.
        soft_tissue_mass: size of the mass outside the bone; 0 none, 1 about 40 % of ``size_mm`` thick.
        mineralisation: how much of the mass is ossified.
    """

    size_mm: Annotated[float, Range(15.0, 200.0)] = 70.0
    matrix: Literal["lytic", "blastic", "mixed"] = "mixed"
    breach: Share = 0.7
    periosteal: Literal["none", "sunburst", "codman", "both"] = "both"
    soft_tissue_mass: Share = 0.6
    mineralisation: Share = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class BenignSpec(_PlacedSpec):
    """A finding that looks like a tumour and is none.

    Attributes:
        kind: a bone island, the callus of a fracture, or a focus of osteomyelitis.
        size_mm: length along the bone: of a bone island or callus up to 60, of osteomyelitis 20 to 120. A young callus
            (``gap_mm`` above 0) may reach 120 too.
        gap_mm: width of a fracture gap that is still open; the callus is then young and fluffy. 0 for a healed one.
        activity: of osteomyelitis: 0 (old: rim, sequestrum, solid sleeve, tract) to 1 (fresh: moth-eaten, layered).
        swelling: of the soft tissue around osteomyelitis.
    """

    kind: Literal["bone_island", "callus", "osteomyelitis"] = "bone_island"
    size_mm: Annotated[float, Range(3.0, 120.0)] = 9.0
    gap_mm: Annotated[float, Range(0.0, 15.0)] = 0.0
    activity: Share = 0.4
    swelling: Share = 0.6

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        Spec.__post_init__(self)
        infected = self.kind == "osteomyelitis"
        large = infected or (self.kind == "callus" and self.gap_mm > 0)
        Range(20.0 if infected else 3.0, 120.0 if large else 60.0).check("size_mm", self.size_mm)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegSpec(CtSpec):
    """A CT of the legs to be made; below 16 years the growth plates are open and the leg is smaller.

    Attributes:
        legs: which legs are in the field.
        coverage: what the middle slice shows.
        shape: (slice, row, column).
        spacing_mm: along the same axes.
        touching: whether the thighs touch.
        amputee: the side of an amputation through the thigh, or None.
        arms: whether a hand and forearm lie beside each thigh.
        metal: a femoral nail or a knee prosthesis in ``metal_leg``, or None.
        metal_leg: whose.
        motion_mm: how far the legs jerked during a few slices.
        gantry_tilt_degrees: the acquisition's planes lean by this angle.
        knee_flexion_degrees: how much thigh and shank slope down from the knee.
        slice_thickness_mm: what a slice averages over; None for the distance of the slices.
        lesions: tumours.
        benign: harmless mimics.
    """

    legs: Literal["both", "left", "right"] = "both"
    age_years: Annotated[float, Range(4.0, 100.0)] = 34.0
    coverage: LegCoverage = "knee"
    shape: Annotated[tuple[int, int, int], Range(1, 10_000)] = (280, 512, 512)
    spacing_mm: Annotated[tuple[float, float, float], Range(1e-3, 1e3)] = (1.5, 0.8, 0.8)
    touching: bool = False
    amputee: Side | None = None
    arms: bool = False
    metal: LegMetal | None = None
    metal_leg: Side = "right"
    motion_mm: float = 0.0
    gantry_tilt_degrees: Annotated[float, Range(-30.0, 30.0)] = 0.0
    knee_flexion_degrees: Annotated[float, Range(0.0, 15.0)] = 4.0
    slice_thickness_mm: Annotated[float, Range(0.1, 20.0)] | None = None
    lesions: tuple[LesionSpec, ...] = ()
    benign: tuple[BenignSpec, ...] = ()

    title: ClassVar[str] = "leg"

    @property
    def laterality(self) -> str:
        """DICOM Image Laterality."""
        return {"both": "B", "left": "L", "right": "R"}[self.legs]

    @property
    def tilt_degrees(self) -> float:
        """DICOM Gantry/Detector Tilt."""
        return self.gantry_tilt_degrees

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
