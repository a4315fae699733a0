"""What only an answer on a CT of the trunk has: the list of lesions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from osteon.data import SliceReading

if TYPE_CHECKING:
    from osteon.ops.lesions import Character, OwnBone

__all__ = ["Lesion", "LesionReading"]


@dataclass(frozen=True, slots=True)
class Lesion:
    """One connected lesion. The Finding of the same identifier carries codes, box, segment and tracking UID.

    Attributes:
        identifier: as "lesion-1"; numbered by falling volume.
        volume_ml: of its voxels on the grid of the Volume.
        diameter_mm: largest distance between two of its points, in 3D.
        axial_diameter_mm: largest distance between two of its points in one slice.
        mean_hu: of its voxels.
        sd_hu: of its voxels, population standard deviation.
        probability: mean of the upper half of the probabilities of its pixels; no calibrated chance of a metastasis.
        peak_probability: the highest of them.
        character: lytic, blastic or mixed against the patient's own bone, or "not determined".
        character_reason: why, in a sentence.
        lytic_share: share of its pixels below ``OwnBone.lytic_below_hu``; None where there is nothing to compare with.
        blastic_share: share of its pixels above ``OwnBone.blastic_above_hu``; likewise.
        site: as "vertebra", or "not determined".
        site_reason: what proves it, or what is missing, in a sentence.
        slices: half-open range of Volume slice indices.
        key_slice: the slice that shows most of it.
        near_metal: whether metal lies so near that artefacts may have made it.
        is_cut: whether it reaches the edge of the images, so that there may be more of it.
    """

    identifier: str
    volume_ml: float
    diameter_mm: float
    axial_diameter_mm: float
    mean_hu: float
    sd_hu: float
    probability: float
    peak_probability: float
    character: Character
    character_reason: str
    lytic_share: float | None
    blastic_share: float | None
    site: str
    site_reason: str
    slices: tuple[int, int]
    key_slice: int
    near_metal: bool = False
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class LesionReading(SliceReading):
    """The own part of an Answer that lists lesions.

    Attributes:
        lesions: connected lesions, the largest first; each has a Finding of the same identifier.
        own_bone: what the lesions were compared with; None where too little of it was seen, or no lesion is listed.
    """

    lesions: tuple[Lesion, ...] = ()
    own_bone: OwnBone | None = None
