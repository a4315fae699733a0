"""What the system ct_metastasis says: lesions, labels, headline, notices, and what its report calls things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import Finding, Label, Measurement, Notice, SliceReading
from osteon.data.finding import tracking_uid
from osteon.data.system import DEMO_LIMIT, OUTCOME_LIMIT, PERSON_LIMIT, TaskText, ood_notice
from osteon.geometry import Box
from osteon.labels import concept
from osteon.ops.lesions import NOT_DETERMINED
from osteon.report.skeleton import SKELETON_FILES
from osteon.report.wording import count
from osteon.systems.ct_metastasis.search import colour_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from osteon.data import RegionOod, SliceScores, Volume
    from osteon.geometry import Turn
    from osteon.ops.lesions import DensityPattern, OwnBone
    from osteon.systems.ct_metastasis.search import FoundLesion, TrunkSearch

__all__ = [
    "LESION_MASK",
    "PATTERNS",
    "TEXT",
    "Lesion",
    "LesionReading",
    "describe",
    "headline",
    "lesion_labels",
    "metal_notice",
    "ood_notices",
    "slices_notice",
]


TEXT: Final = TaskText(
    title="CT of the trunk: bone and lesions like metastases",
    demo="What this report says about lesions shows how the software works. It says nothing about this patient.",
    ood="What the model says here carries no weight.",
    limits=(
        ("always", PERSON_LIMIT),
        (
            "model",
            "Two metastases that touch are one entry of the list, and one that the model sees in two parts is two.",
        ),
        (
            "model",
            "Bone islands, degenerative change, fractures, haemangiomas and vessels can look like a metastasis.",
        ),
        ("model", "Small or faint metastases, and those without a change of bone, can be missed."),
        (
            "model",
            "Density pattern and site describe what was measured and seen in these images; neither names a disease.",
        ),
        ("model", OUTCOME_LIMIT),
        ("demo", DEMO_LIMIT),
    ),
    masks={**SKELETON_FILES, "lesions": "lesions, one {} each"},
)

LESION_MASK = "lesions"
LEAST_AGREEMENT: Final = 0.8
"""With less, classifier and outlines contradict each other."""


def lesion_labels(search: TrunkSearch, volume: Volume) -> tuple[Label, ...]:
    """A label a lesion, so that each becomes a segment of its own."""
    return tuple(
        Label(
            value=one.shape.label,
            name=f"Lesion {one.shape.label}",
            category=concept("morphologically_abnormal"),
            kind=concept("neoplasm_secondary"),
            site=concept(one.site.name) if one.site.name in {"vertebra", "rib", "pelvis"} else None,
            colour=colour_of(one.shape.label),
            tracking_uid=tracking_uid(volume, f"lesion-{one.shape.label}"),
        )
        for one in search.lesions
    )


def describe(
    search: TrunkSearch, labels: Sequence[Label], volume: Volume, *, turn: Turn
) -> tuple[tuple[Lesion, ...], tuple[Finding, ...]]:
    """Every lesion as a value and as a finding."""
    lesions, findings = [], []
    for one, label in zip(search.lesions, labels, strict=True):
        box = turn.box_before(Box(one.shape.start, one.shape.stop), volume.grid.shape)
        lesion = _lesion(one, volume, box)
        lesions.append(lesion)
        findings.append(_finding(lesion, label, box))
    return tuple(lesions), tuple(findings)


def _lesion(one: FoundLesion, volume: Volume, box: Box) -> Lesion:
    shape = one.shape
    slices = volume.grid.shape[0]
    in_plane = zip(box.start[1:], box.stop[1:], volume.grid.shape[1:], strict=True)
    ends_early = slices > 1 and (box.start[0] == 0 or box.stop[0] == slices)
    return Lesion(
        identifier=f"lesion-{shape.label}",
        volume_ml=shape.voxels * volume.grid.voxel_volume_mm3 / 1000,
        diameter_mm=shape.diameter_mm,
        axial_diameter_mm=shape.axial_diameter_mm,
        mean_hu=shape.mean_hu,
        sd_hu=shape.sd_hu,
        probability=one.probability,
        peak_probability=one.peak,
        density_pattern=one.density_pattern,
        density_pattern_reason=one.density_pattern_reason,
        lytic_share=one.lytic_share,
        blastic_share=one.blastic_share,
        site=one.site.name,
        site_reason=one.site.reason,
        slices=(box.start[0], box.stop[0]),
        key_slice=box.start[0] + int(shape.areas.argmax()),
        near_metal=one.near_metal,
        is_cut=ends_early or any(a == 0 or b == n for a, b, n in in_plane),
    )


def _finding(lesion: Lesion, label: Label, box: Box) -> Finding:
    measured = [
        Measurement(concept("volume"), lesion.volume_ml, concept("unit_cm3"), method=concept("volume_of_voxels")),
        Measurement(concept("largest_diameter"), lesion.diameter_mm, concept("unit_mm")),
        Measurement(concept("axial_diameter"), lesion.axial_diameter_mm, concept("unit_mm")),
        Measurement(concept("attenuation"), lesion.mean_hu, concept("unit_hu"), derivation=concept("mean")),
        Measurement(concept("attenuation"), lesion.sd_hu, concept("unit_hu"), derivation=concept("standard_deviation")),
    ]
    if lesion.lytic_share is not None and lesion.blastic_share is not None:
        measured += [
            Measurement(concept("lytic_share"), lesion.lytic_share, concept("unit_ratio")),
            Measurement(concept("blastic_share"), lesion.blastic_share, concept("unit_ratio")),
        ]
    density_pattern = (
        "density_pattern_not_determined" if lesion.density_pattern == NOT_DETERMINED else lesion.density_pattern
    )
    return Finding(
        identifier=lesion.identifier,
        tracking_uid=label.tracking_uid,
        kind=concept("bone_metastasis"),
        statement=_statement(lesion, label.value),
        site=label.site,
        probability=lesion.probability,
        box=box,
        measurements=tuple(measured),
        segment=(LESION_MASK, label.value),
        qualities=((concept("lesion_density_pattern"), concept(density_pattern)),),
    )


def _statement(lesion: Lesion, number: int) -> str:
    first, last = lesion.slices[0] + 1, lesion.slices[1]
    where = f"slice {first}" if first == last else f"slices {first} to {last}"
    words = (
        f"Lesion {number} in {where}: {lesion.volume_ml:.1f} ml, largest diameter {lesion.diameter_mm:.0f} mm, mean "
        f"{lesion.mean_hu:.0f} HU; {PATTERNS[lesion.density_pattern]}, {_or_words(lesion.site, 'site')}."
    )
    if lesion.near_metal:
        words += " It is near metal and may be an artefact."
    if lesion.is_cut:
        words += " It reaches the edge of the images: there may be more of it."
    return words


def _or_words(value: str, what: str) -> str:
    return f"{what} not determined" if value == NOT_DETERMINED else value


def headline(lesions: Sequence[Lesion], *, least_mm3: float = 0.0, not_listed: int = 0) -> str:
    """The first sentence of the report: how many lesions of which pattern, their volume and the largest diameter.

    Args:
        lesions: that are listed.
        least_mm3: smaller lesions are not listed.
        not_listed: how many of those there were.
    """
    if not lesions:
        verb = "is" if not_listed == 1 else "are"
        smaller = f"; {count(not_listed, 'smaller one')} {verb} not listed" if not_listed else ""
        return f"No bone lesion of {least_mm3:.0f} mm3 or more detected{smaller}."
    kinds = [lesion.density_pattern for lesion in lesions]
    shown = [kind for kind in ("blastic", "lytic", "mixed", NOT_DETERMINED) if kind in kinds]
    counted = ", ".join(f"{kinds.count(kind)} {PATTERNS[kind]}" for kind in shown)
    noun = "suspected bone metastasis" if len(lesions) == 1 else "suspected bone metastases"
    total = sum(lesion.volume_ml for lesion in lesions)
    largest = max(lesion.diameter_mm for lesion in lesions)
    return f"{len(lesions)} {noun} ({counted}), {total:.1f} ml in total, largest diameter {largest:.0f} mm."


def slices_notice(scores: SliceScores) -> Iterator[Notice]:
    """How far the classifier of slices and the outlines agree; that they contradict each other is said as that."""
    if scores.agreement is None or scores.by_segmentation is None:
        return
    predicted, outlined = scores.smoothed >= scores.threshold, scores.by_segmentation
    one_sided = bool(predicted.any()) != bool(outlined.any())
    counted = (
        f"the classifier suspects {np.count_nonzero(predicted)} of {predicted.size} slices, the outlines "
        f"{np.count_nonzero(outlined)}; they agree in {scores.agreement:.0%} of the slices"
    )
    if one_sided or scores.agreement < LEAST_AGREEMENT:
        said = (
            f"The two models contradict each other: {counted}. At least one of them is wrong; neither proves the other."
        )
        yield Notice("slices-contradict-outlines", said, level="warning")
    else:
        yield Notice("slices-and-outlines", f"Slices: {counted}.")


def ood_notices(ood: RegionOod | None, *, report_ood: bool) -> tuple[Notice, ...]:
    """What must be said of a series that is outside the training range."""
    if ood is None or not ood.is_ood:
        return ()
    tail = "" if report_ood else "No lesion was looked for; the classifier's scores stand in findings.json."
    return (ood_notice("series", "the median distance of its slices from the training images", ood, tail),)


def metal_notice(lesions: Sequence[Lesion]) -> Notice:
    """Which lesions are near metal."""
    near = [lesion.identifier.removeprefix("lesion-") for lesion in lesions if lesion.near_metal]
    told = "No listed lesion is within 10 mm of metal."
    if near:
        noun, verb = ("Lesion", "is") if len(near) == 1 else ("Lesions", "are")
        told = f"{noun} {', '.join(near)} {verb} within 10 mm of metal and may be an artefact."
    return Notice("lesions-near-metal", told, level="warning" if near else "info")


PATTERNS: Final = {"lytic": "lytic", "blastic": "sclerotic", "mixed": "mixed", NOT_DETERMINED: "indeterminate"}
"""What a report calls the density patterns."""


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
        density_pattern: lytic, blastic or mixed against the patient's reference bone, or "not determined".
        density_pattern_reason: why, in a sentence.
        lytic_share: share of its pixels below ``OwnBone.lytic_below_hu``; None where there is nothing to compare with.
        blastic_share: share of its pixels above ``OwnBone.blastic_above_hu``; likewise.
        site: as "vertebra", or "not determined".
        site_reason: what proves it, or what is missing, in a sentence.
        slices: half-open range of Volume slice indices.
        key_slice: the slice that shows most of it.
        near_metal: whether metal is so near that artefacts may have made it.
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
    density_pattern: DensityPattern
    density_pattern_reason: str
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
        reference_bone: what the lesions were compared with; None without lesions, or where too little was seen.
        not_listed: lesions that were outlined and are too small for the list.
    """

    lesions: tuple[Lesion, ...] = ()
    reference_bone: OwnBone | None = None
    not_listed: int = 0
