"""What a CT of the trunk shall be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

from osteon.errors import InputError
from osteon_phantoms.ct import CtSpec
from osteon_phantoms.spec import Range, Share, Spec, table

__all__ = [
    "MIMIC_BONES", "Contrast", "LesionType", "MimicKind", "TrunkCoverage", "TrunkLesionSpec", "TrunkMetal",
    "TrunkMimicSpec", "TrunkSpec",
]  # fmt: skip

TrunkCoverage = Literal["thorax", "abdomen", "pelvis", "trunk"]
LesionType = Literal["lytic", "blastic", "mixed"]
MimicKind = Literal[
    "bone_island", "degenerative_disc", "facet_arthrosis", "schmorl_node", "haemangioma", "wedge_fracture",
    "rib_fracture", "sacroiliac_sclerosis",
]  # fmt: skip
Contrast = Literal["none", "arterial", "venous"]
TrunkMetal = Literal["spine_screws", "hip_prosthesis"]

MIMIC_BONES: Final[dict[MimicKind, tuple[str, ...]]] = {
    kind: tuple(entry["bones"]) for kind, entry in table("trunk")["mimics"].items()
}
"""In which kinds of bone each mimic occurs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkLesionSpec(Spec):
    """One metastasis.

    Attributes:
        bone: which, as ``trunk_bones()`` names them: "L3", "rib 7 left", "hip right", "sacrum", "sternum", ...
        position: 0 to 1 along the marrow of that bone (vertebra: spinous process, arch, then the body from right to
            left; rib: from the spine to the front; hip: from the crest at the back to the front and down to the pubis).
        offset_mm: moves the centre from there, to the left, forward, up.
        size_mm: diameter before bone, cortex and irregularity shape it; a whole bone is taken by 60 and more.
        type: lytic (soft tissue in place of cancellous bone), blastic (dense) or mixed.
        breach: 0 leaves the cortex alone; up to 1: cortex gone and a soft-tissue mass beyond it (lytic and mixed).
        irregularity: 0 is a smooth ellipsoid, 1 a ragged outline.
        elongation: longest against shortest axis; 1 is a ball.
        rim_hu: HU of a sclerotic rim of a lytic lesion; 0 for none.
    """

    bone: str
    position: Share = 0.75
    offset_mm: Annotated[tuple[float, float, float], Range(-60.0, 60.0)] = (0.0, 0.0, 0.0)
    size_mm: Annotated[float, Range(3.0, 150.0)] = 18.0
    type: LesionType = "lytic"
    breach: Share = 0.0
    irregularity: Share = 0.5
    elongation: Annotated[float, Range(1.0, 2.5)] = 1.2
    rim_hu: Annotated[float, Range(0.0, 1200.0)] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkMimicSpec(Spec):
    """Something that looks like a metastasis and is none.

    Attributes:
        kind: what.
        bone: where; a degenerative disc and its end plates are named after the vertebra above.
        position: as of a lesion (bone island, haemangioma, rib fracture).
        size_mm: diameter of an island or node, width of a sclerotic band or osteophyte.
        degree: 0 slight to 1 severe: lost height, density, vacuum in the disc.
    """

    kind: MimicKind
    bone: str
    position: Share = 0.7
    size_mm: Annotated[float, Range(2.0, 40.0)] = 8.0
    degree: Share = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkSpec(CtSpec):
    """A CT of the trunk to be made.

    Attributes:
        coverage: what the slices show.
        length_mm: shorter than the coverage, about ``centre_share`` of it; None for all of it.
        centre_share: 0 (lowest) to 1: where the middle of a shorter scan is.
        size: rows and columns of a slice.
        pixel_mm: between them.
        slice_mm: between slices.
        thickness_mm: of a slice; None for ``slice_mm``.
        body_scale: size of the skeleton against the mean of the sex.
        bone_density: against a mean adult of that age.
        contrast: of the vessels.
        contrast_hu: of the aorta when there is contrast.
        metal: implants.
        scoliosis_mm: how far the spine leaves the middle.
        lesions: metastases.
        mimics: of metastases.
    """

    sex: Literal["F", "M"] = "M"
    coverage: TrunkCoverage = "abdomen"
    length_mm: Annotated[float, Range(1.0, 1000.0)] | None = None
    centre_share: Share = 0.5
    size: Annotated[tuple[int, int], Range(16, 10_000)] = (224, 224)
    pixel_mm: Annotated[float, Range(0.3, 25.0)] = 1.75
    slice_mm: Annotated[float, Range(0.3, 20.0)] = 3.0
    thickness_mm: Annotated[float, Range(0.3, 20.0)] | None = None
    body_scale: Annotated[float, Range(0.8, 1.2)] = 1.0
    body_fat: Annotated[float, Range(0.3, 2.5)] = 1.0
    bone_density: Annotated[float, Range(0.4, 1.6)] = 1.0
    contrast: Contrast = "venous"
    contrast_hu: Annotated[float, Range(60.0, 700.0)] = 170.0
    metal: TrunkMetal | None = None
    beam_hardening: Annotated[float, Range(0.0, 3.0)] = 0.6
    scoliosis_mm: Annotated[float, Range(-25.0, 25.0)] = 0.0
    lesions: tuple[TrunkLesionSpec, ...] = ()
    mimics: tuple[TrunkMimicSpec, ...] = ()

    title: ClassVar[str] = "trunk"

    @property
    def body_part(self) -> str:
        """DICOM Body Part Examined."""
        parts = {"thorax": "CHEST", "abdomen": "ABDOMEN", "pelvis": "PELVIS", "trunk": "CHESTABDPELVIS"}
        return parts[self.coverage]

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        Spec.__post_init__(self)
        if len(self.lesions) > 250:
            raise InputError(f"a phantom holds at most 250 lesions, found {len(self.lesions)}: use larger ones")

    @property
    def scale(self) -> float:
        """Real millimetres per reference millimetre."""
        return self.body_scale * (1.0 if self.sex == "M" else 0.92)

    @property
    def w_range_mm(self) -> tuple[float, float]:
        """Lowest and highest slice, in reference millimetres above the lower end plate of L5."""
        low, high = table("trunk")["coverage"][self.coverage]
        whole = high - low
        length = whole if self.length_mm is None else min(self.length_mm / self.scale, whole)
        start = low + self.centre_share * (whole - length)
        return start, start + length

    @property
    def slices(self) -> int:
        """How many slices."""
        low, high = self.w_range_mm
        return max(1, round((high - low) * self.scale / self.slice_mm))
