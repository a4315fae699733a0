"""What a phantom of the trunk is asked to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon_phantoms.spec import require_range

__all__ = [
    "COVERAGE_W_MM",
    "Contrast",
    "Coverage",
    "LesionType",
    "MimicKind",
    "TrunkLesionSpec",
    "TrunkMetal",
    "TrunkMimicSpec",
    "TrunkSpec",
]

Coverage = Literal["thorax", "abdomen", "pelvis", "trunk"]
LesionType = Literal["lytic", "blastic", "mixed"]
MimicKind = Literal[
    "bone_island",
    "degenerative_disc",
    "facet_arthrosis",
    "schmorl_node",
    "haemangioma",
    "wedge_fracture",
    "rib_fracture",
    "sacroiliac_sclerosis",
]
Contrast = Literal["none", "arterial", "venous"]
TrunkMetal = Literal["spine_screws", "hip_prosthesis"]

COVERAGE_W_MM: Final[dict[Coverage, tuple[float, float]]] = {
    "thorax": (195.0, 495.0),
    "abdomen": (-15.0, 285.0),
    "pelvis": (-180.0, 70.0),
    "trunk": (-180.0, 495.0),
}
"""Lowest and highest slice of a coverage, in reference millimetres above the lower end plate of L5."""

MIMIC_BONES: Final[dict[MimicKind, tuple[str, ...]]] = {
    "bone_island": ("vertebra", "rib", "hip", "sacrum", "femur"),
    "degenerative_disc": ("vertebra",),
    "facet_arthrosis": ("vertebra",),
    "schmorl_node": ("vertebra",),
    "haemangioma": ("vertebra",),
    "wedge_fracture": ("vertebra",),
    "rib_fracture": ("rib",),
    "sacroiliac_sclerosis": ("hip",),
}
"""In which kinds of bone each mimic occurs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkLesionSpec:
    """One metastasis.

    Attributes:
        bone: which, as ``trunk_bones()`` names them: "L3", "rib 7 left", "hip right", "sacrum", "sternum", ...
        position: 0 to 1 along the marrow of that bone (vertebra: spinous process, arch, then the body from right to
            left; rib: from the spine to the front; hip: from the crest at the back to the front and down to the pubis).
        offset_mm: moves the centre from there, to the left, forward, up.
        size_mm: diameter before bone, cortex and irregularity shape it; a whole bone is taken by 60 and more.
        type: lytic (soft tissue in place of spongy bone), blastic (dense) or mixed.
        breach: 0 leaves the cortex alone; up to 1: cortex gone and a soft-tissue mass beyond it (lytic and mixed).
        irregularity: 0 is a smooth ellipsoid, 1 a ragged outline.
        elongation: longest against shortest axis; 1 is a ball.
        rim_hu: HU of a sclerotic rim of a lytic lesion; 0 for none.
    """

    bone: str
    position: float = 0.75
    offset_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    size_mm: float = 18.0
    type: LesionType = "lytic"
    breach: float = 0.0
    irregularity: float = 0.5
    elongation: float = 1.2
    rim_hu: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        _require_known("lesion type", self.type, get_args(LesionType))
        require_range("lesion position", self.position, 0.0, 1.0)
        require_range("lesion size_mm", self.size_mm, 3.0, 150.0)
        require_range("lesion breach", self.breach, 0.0, 1.0)
        require_range("lesion irregularity", self.irregularity, 0.0, 1.0)
        require_range("lesion elongation", self.elongation, 1.0, 2.5)
        require_range("lesion rim_hu", self.rim_hu, 0.0, 1200.0)
        for offset in self.offset_mm:
            require_range("lesion offset_mm", offset, -60.0, 60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkMimicSpec:
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
    position: float = 0.7
    size_mm: float = 8.0
    degree: float = 0.6

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        _require_known("mimic", self.kind, get_args(MimicKind))
        require_range("mimic position", self.position, 0.0, 1.0)
        require_range("mimic size_mm", self.size_mm, 2.0, 40.0)
        require_range("mimic degree", self.degree, 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkSpec:
    """All choices of one phantom of the trunk; the same spec gives the same voxels.

    Attributes:
        seed: of everything random.
        age_years: bone density falls with it.
        sex: "F" or "M"; decides size and width of the pelvis.
        coverage: what the slices show.
        length_mm: shorter than the coverage, about ``centre_share`` of it; None for all of it.
        centre_share: 0 (lowest) to 1: where the middle of a shorter scan lies.
        size: rows and columns of a slice.
        pixel_mm: between them.
        slice_mm: between slices.
        thickness_mm: of a slice; None for ``slice_mm``.
        patient_position: of DICOM.
        table: under the patient.
        body_scale: size of the skeleton against the mean of the sex.
        body_fat: thickness of fat against a normal adult.
        bone_density: against a mean adult of that age.
        contrast: of the vessels.
        contrast_hu: of the aorta when there is contrast.
        metal: implants.
        noise_hu: in the middle of the body.
        kernel_sharpness: -1 very soft, 0 ordinary, 1 sharp.
        beam_hardening: 0 none, 1 ordinary.
        hu_scale: factor of attenuation.
        hu_offset: added HU.
        scoliosis_mm: how far the spine leaves the middle.
        lesions: metastases.
        mimics: look-alikes.
    """

    seed: int = 1
    age_years: float = 58.0
    sex: Literal["F", "M"] = "M"
    coverage: Coverage = "abdomen"
    length_mm: float | None = None
    centre_share: float = 0.5
    size: tuple[int, int] = (224, 224)
    pixel_mm: float = 1.75
    slice_mm: float = 3.0
    thickness_mm: float | None = None
    patient_position: Literal["HFS", "FFS", "HFP", "FFP"] = "HFS"
    table: Literal["curved", "flat", "none"] = "curved"
    body_scale: float = 1.0
    body_fat: float = 1.0
    bone_density: float = 1.0
    contrast: Contrast = "venous"
    contrast_hu: float = 170.0
    metal: TrunkMetal | None = None
    noise_hu: float = 12.0
    kernel_sharpness: float = 0.0
    beam_hardening: float = 0.6
    hu_scale: float = 1.0
    hu_offset: float = 0.0
    scoliosis_mm: float = 0.0
    lesions: tuple[TrunkLesionSpec, ...] = ()
    mimics: tuple[TrunkMimicSpec, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        _require_known("coverage", self.coverage, COVERAGE_W_MM)
        _require_known("contrast", self.contrast, get_args(Contrast))
        _require_known("metal", self.metal or "none", ("none", *get_args(TrunkMetal)))
        _require_known("sex", self.sex, ("F", "M"))
        if min(self.size) < 16:
            raise InputError(f"a slice of the trunk needs at least 16 rows and columns, found {self.size}")
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is not None:
                require_range(name, value, low, high)
        if len(self.lesions) > 250:
            raise InputError(f"a phantom holds at most 250 lesions, found {len(self.lesions)}: use larger ones")

    @property
    def scale(self) -> float:
        """Real millimetres per reference millimetre."""
        return self.body_scale * (1.0 if self.sex == "M" else 0.92)

    @property
    def w_range_mm(self) -> tuple[float, float]:
        """Lowest and highest slice in reference millimetres."""
        low, high = COVERAGE_W_MM[self.coverage]
        whole = high - low
        length = whole if self.length_mm is None else min(self.length_mm / self.scale, whole)
        start = low + self.centre_share * (whole - length)
        return start, start + length

    @property
    def slices(self) -> int:
        """How many slices."""
        low, high = self.w_range_mm
        return max(1, round((high - low) * self.scale / self.slice_mm))


_RANGES: Final = (
    ("age_years", 18.0, 100.0),
    ("length_mm", 1.0, 1000.0),
    ("centre_share", 0.0, 1.0),
    ("pixel_mm", 0.3, 25.0),
    ("slice_mm", 0.3, 20.0),
    ("thickness_mm", 0.3, 20.0),
    ("body_scale", 0.8, 1.2),
    ("body_fat", 0.3, 2.5),
    ("bone_density", 0.4, 1.6),
    ("contrast_hu", 60.0, 700.0),
    ("noise_hu", 0.0, 200.0),
    ("kernel_sharpness", -1.0, 1.0),
    ("beam_hardening", 0.0, 3.0),
    ("hu_scale", 0.9, 1.1),
    ("hu_offset", -50.0, 50.0),
    ("scoliosis_mm", -25.0, 25.0),
)


def _require_known(what: str, name: str, known: object) -> None:
    names = list(known)  # type: ignore[call-overload]
    if name not in names:
        raise UnknownLabelError(f"no {what} {name!r}: {nearest_names(name, names)}")
