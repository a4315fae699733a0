"""What the system says of tumours of a limb: values, findings, headline and notices, and what its report calls things.

It never says what a tumour is: neither benign nor malignant, nor its entity.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import Finding, Label, Measurement, Notice, SliceReading
from osteon.data.finding import tracking_uid
from osteon.data.system import DEMO_LIMIT, PERSON_LIMIT, TaskText, ood_notice
from osteon.geometry import Box
from osteon.labels import concept
from osteon.report.orientation import direction_letters
from osteon.report.skeleton import SKELETON_FILES
from osteon.report.wording import count, direction_text
from osteon.systems.limb_sarcoma.outline import LEAST_SHARE
from osteon.systems.limb_sarcoma.prepare import SLICE_MM

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from osteon.data import RegionOod, Volume
    from osteon.ops.nearest import Nearest
    from osteon.systems.limb_sarcoma.outline import FoundTumour, OutlinedTumours
    from osteon.systems.limb_sarcoma.prepare import Modality

__all__ = [
    "LEARNT",
    "REGION",
    "TEXT",
    "TUMOUR_MASK",
    "Distance",
    "LimbReading",
    "Tumour",
    "colour_of",
    "describe",
    "header_faults",
    "headline",
    "learnt_notice",
    "ood_notices",
    "outline_notices",
    "pieces_rule",
    "scan_notices",
    "tumour_labels",
]

TUMOUR_MASK: Final = "tumours"
REGION: Final = "field of view"
LEARNT: Final = "training-patient"
"""Code of the notice that the model has learnt from this patient."""

TEXT: Final = TaskText(
    title="Limb: tumour outlined and measured",
    demo="What this report says about tumours shows how the software works. It says nothing about this patient.",
    ood="What the model says here carries no weight.",
    limits=(
        ("always", PERSON_LIMIT),
        ("always", "It does not say what a tumour is: neither benign nor malignant, nor its entity."),
        (
            "model",
            "The model has only seen limbs that hold a sarcoma: it may outline something in a limb that holds none.",
        ),
        ("model", "Oedema, vessels, bowel or a joint with effusion can be outlined as tumour."),
        ("model", "Small tumours, and those that look like muscle, can be missed; an edge can be off by a centimetre."),
        ("model", "Two tumours that touch are one entry of the list, and one that the model sees in two parts is two."),
        ("model", "The outline is not made for planning an operation or radiation: a person draws that."),
        ("model", "The probability is the model's own value inside the outline, not the chance that this is a tumour."),
        ("demo", DEMO_LIMIT),
    ),
    marked="Tumour",
    probability="Mean probability inside the outline",
    masks={**SKELETON_FILES, TUMOUR_MASK: "tumours, one {} each"},
    files={"bone.glb": "tumour, and on CT bone, in 3D, for viewers (millimetres, patient space)"},
)

_COLOURS: Final = ((213, 94, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66), (86, 180, 233))
"""Okabe and Ito's; they come again after five."""
_THICK: Final = 1.5
"""Slices so many times as far apart as those of the network are thick."""
_SHARP: Final = r"B[5-9]\d|[BH]R[5-9]\d|QR[5-9]\d|YC|YD|FC[3-8]\d|BONE|LUNG|EDGE|SHARP|DETAIL"
"""Convolution kernels for bone and lung, as makers call them."""


_ELSEWHERE: Final = (
    r"HEAD|BRAIN|SKULL|ORBIT|NECK|CHEST|THORA|LUNG|HEART|CARDI|ABDOM|LIVER|KIDNEY|PANCREA|PROSTATE|BREAST|SPINE|CERVIX"
)
"""Parts of the body that are no limb, as Body Part Examined names them; a pelvis may hold the tumour of a thigh."""
_MOST_PIECES: Final = 3
"""Patients of the set have one to three of them (see the page on limbs); the trunk has more."""


def colour_of(number: int) -> tuple[int, int, int]:
    """Display colour of tumour 1, 2..."""
    return _COLOURS[(number - 1) % len(_COLOURS)]


@dataclass(frozen=True, slots=True)
class Distance:
    """The least distance of a tumour to something, and where in the tumour.

    Attributes:
        distance_mm: between the faces of the two nearest voxels; 0 where they touch.
        place_vox: the voxel of the tumour, (slice, row, column) of the Volume.
        other_vox: the voxel that it is nearest to.
        direction: from the tumour, as "back"; "" where they touch.
    """

    distance_mm: float
    place_vox: tuple[int, int, int]
    other_vox: tuple[int, int, int]
    direction: str


@dataclass(frozen=True, slots=True)
class Tumour:
    """One connected tumour. The Finding of the same identifier carries codes, box, segment and tracking UID.

    Attributes:
        identifier: as "tumour-1"; numbered by falling volume.
        volume_ml: of its voxels on the grid of the Volume; where ``is_cut``, at least.
        diameter_mm: largest distance between two of its points, in 3D.
        axial_mm: largest distance between two of its points in one axial plane.
        across_mm: its width across that line in that plane.
        along_mm: from its lowest to its highest axial plane, both included.
        probability: mean of the model's map inside.
        slices: half-open range of Volume slice indices.
        key_slice: the slice of the Volume that shows most of it.
        is_cut: whether it reaches the edge of the images, so that there may be more of it.
        ends: which edges, in words.
        to_skin: None where the outside of the body is not seen.
        to_bone: None where no bone was seen or looked for.
    """

    identifier: str
    volume_ml: float
    diameter_mm: float
    axial_mm: float
    across_mm: float
    along_mm: float
    probability: float
    slices: tuple[int, int]
    key_slice: int
    is_cut: bool = False
    ends: tuple[str, ...] = ()
    to_skin: Distance | None = None
    to_bone: Distance | None = None


@dataclass(frozen=True, slots=True)
class LimbReading(SliceReading):
    """The own part of an Answer on a limb.

    Attributes:
        modality: "mr" or "ct".
        tumours: connected tumours, the largest first; each has a Finding of the same identifier.
        not_listed: pieces that were left out, being too small.
        least_ml: smaller ones are left out.
        threshold: of the map, from which a voxel is tumour.
        probability: (slice, row, column) uint8 on the grid of the Volume, 255 for 1; None where nothing was looked for.
        has_learnt: whether the model was trained on this patient.
    """

    modality: Modality = "mr"
    tumours: tuple[Tumour, ...] = ()
    not_listed: int = 0
    least_ml: float = 0.0
    threshold: float = 0.5
    probability: NDArray[np.uint8] | None = field(default=None, repr=False)
    has_learnt: bool = False


def tumour_labels(outlined: OutlinedTumours, volume: Volume) -> tuple[Label, ...]:
    """A label a tumour, so that each becomes a segment and an ROI of its own."""
    return tuple(
        Label(
            value=one.shape.label,
            name=f"Tumour {one.shape.label}",
            category=concept("morphologically_abnormal"),
            kind=concept("neoplasm"),
            colour=colour_of(one.shape.label),
            tracking_uid=tracking_uid(volume, f"tumour-{one.shape.label}"),
        )
        for one in outlined.tumours
    )


def describe(
    outlined: OutlinedTumours, labels: Sequence[Label], volume: Volume
) -> tuple[tuple[Tumour, ...], tuple[Finding, ...]]:
    """Every tumour as a value and as a finding."""
    tumours, findings = [], []
    for one, label in zip(outlined.tumours, labels, strict=True):
        box = outlined.turn.box_before(Box(one.shape.start, one.shape.stop), volume.grid.shape)
        tumour = _tumour(one, outlined, volume, box)
        tumours.append(tumour)
        findings.append(_finding(tumour, label, box))
    return tuple(tumours), tuple(findings)


def _tumour(one: FoundTumour, outlined: OutlinedTumours, volume: Volume, box: Box) -> Tumour:
    shape, grid = one.shape, outlined.turn.grid(volume.grid)
    areas = np.count_nonzero(outlined.mask[box.slices] == shape.label, axis=(1, 2))
    ends = tuple(_ends(Box(shape.start, shape.stop), grid.shape))
    return Tumour(
        identifier=f"tumour-{shape.label}",
        volume_ml=shape.voxels * volume.grid.voxel_volume_mm3 / 1000,
        diameter_mm=shape.diameter_mm,
        axial_mm=shape.axial_diameter_mm,
        across_mm=shape.across_mm,
        along_mm=(shape.stop[0] - shape.start[0]) * grid.spacing_mm[0],
        probability=one.probability,
        slices=(box.start[0], box.stop[0]),
        key_slice=box.start[0] + int(areas.argmax()),
        is_cut=bool(ends),
        ends=ends,
        to_skin=_distance(one.to_skin, outlined, volume),
        to_bone=_distance(one.to_bone, outlined, volume),
    )


def _ends(box: Box, shape: tuple[int, int, int]) -> Iterator[str]:
    """Edges of the images that a tumour reaches; the images are axial, feet first, rows to the back."""
    names = (("foot end", "head end"), ("front edge", "back edge"), ("right edge", "left edge"))
    for axis, (first, last) in enumerate(names):
        if box.start[axis] == 0:
            yield first
        if box.stop[axis] == shape[axis]:
            yield last


def _distance(found: Nearest | None, outlined: OutlinedTumours, volume: Volume) -> Distance | None:
    if found is None:
        return None
    place, other = (
        outlined.turn.box_before(Box(at, (at[0] + 1, at[1] + 1, at[2] + 1)), volume.grid.shape).start
        for at in (found.place, found.other)
    )
    away = volume.grid.to_lps_mm(other) - volume.grid.to_lps_mm(place)
    length = float(np.linalg.norm(away))
    direction = direction_text(direction_letters(away / length)) if found.distance_mm > 0 and length else ""
    return Distance(found.distance_mm, place, other, direction)


def _finding(tumour: Tumour, label: Label, box: Box) -> Finding:
    mm = concept("unit_mm")
    measured = [
        Measurement(concept("volume"), tumour.volume_ml, concept("unit_cm3"), method=concept("volume_of_voxels")),
        Measurement(concept("largest_diameter"), tumour.diameter_mm, mm),
        Measurement(concept("axial_diameter"), tumour.axial_mm, mm),
        Measurement(concept("across_diameter"), tumour.across_mm, mm),
        Measurement(concept("extent_along_body"), tumour.along_mm, mm),
    ]
    apart = (("distance_to_skin", tumour.to_skin), ("distance_to_bone", tumour.to_bone))
    measured += [Measurement(concept(name), one.distance_mm, mm) for name, one in apart if one is not None]
    return Finding(
        identifier=tumour.identifier,
        tracking_uid=label.tracking_uid,
        kind=label.kind,
        statement=_statement(tumour, label.value),
        probability=tumour.probability,
        box=box,
        measurements=tuple(measured),
        segment=(TUMOUR_MASK, label.value),
    )


def size_told(tumour: Tumour) -> str:
    """Volume and three diameters."""
    least = "at least " if tumour.is_cut else ""
    return (
        f"{least}{tumour.volume_ml:,.0f} ml, {tumour.axial_mm:.0f} x {tumour.across_mm:.0f} mm in the axial plane, "
        f"{tumour.along_mm:.0f} mm along the body"
    )


def cut_told(tumour: Tumour) -> str:
    """What must be said of a tumour that the field of view cuts; "" of another."""
    if not tumour.is_cut:
        return ""
    return (
        f"It reaches the {' and the '.join(tumour.ends)} of the images: there may be more of it, and volume and "
        "diameters are lower bounds."
    )


def distance_told(distance: Distance, what: str) -> str:
    """As "12 mm from the skin, towards the back (slice 7)"."""
    where = f"slice {distance.place_vox[0] + 1}"
    if distance.distance_mm == 0:
        return f"touching the {what} ({where})"
    return f"{distance.distance_mm:.0f} mm from the {what}, towards the {distance.direction} ({where})"


def _statement(tumour: Tumour, number: int) -> str:
    first, last = tumour.slices[0] + 1, tumour.slices[1]
    where = f"slice {first}" if first == last else f"slices {first} to {last}"
    words = [f"Tumour {number} outlined in {where}: {size_told(tumour)}."]
    apart = [(tumour.to_skin, "skin"), (tumour.to_bone, "bone")]
    told = [distance_told(one, what) for one, what in apart if one is not None]
    if told:
        words.append(f"At its nearest it is {' and '.join(told)}.")
    return " ".join([*words, *([cut_told(tumour)] if tumour.is_cut else [])])


def headline(tumours: Sequence[Tumour], *, least_ml: float, not_listed: int) -> str:
    """The first sentence of the report: what was outlined, its volume and diameters."""
    if not tumours:
        smaller = f" ({count(not_listed, 'smaller piece')} left out)" if not_listed else ""
        return f"Nothing outlined: no piece of {least_ml:g} ml or more{smaller}."
    if len(tumours) == 1:
        return f"One tumour outlined: {size_told(tumours[0])}."
    least = "at least " if any(one.is_cut for one in tumours) else ""
    total = sum(one.volume_ml for one in tumours)
    return f"{len(tumours)} tumours outlined, {least}{total:,.0f} ml in total. The largest: {size_told(tumours[0])}."


def header_faults(volume: Volume, modality: Modality) -> list[str]:
    """Why a scan is not what the models were trained on, as far as its header says it."""
    series = volume.source.series if volume.source else None
    if series is None:
        return []
    faults = []
    if modality == "mr" and series.weighting not in {"", "T1"}:
        is_dark = series.weighting.startswith("T1")
        weighting = f"this MR is {series.weighting} by its header, not T1"
        faults.append(f"the fat of this MR is suppressed ({series.weighting})" if is_dark else weighting)
    if re.search(_ELSEWHERE, series.body_part):
        faults.append(f"it shows {series.body_part} by its header (Body Part Examined)")
    return faults


def scan_notices(volume: Volume, modality: Modality, *, slice_mm: float) -> Iterator[Notice]:
    """What must be said of a scan before anything is looked for in it."""
    series = volume.source.series if volume.source else None
    if modality == "mr" and not (series and series.weighting):
        text = (
            "Nothing says that this MR is weighted to T1: it was taken for it. Of another one the outline is worthless."
        )
        yield Notice("weighting-not-known", text, level="warning")
    if modality == "ct" and series and re.search(_SHARP, series.kernel.upper()):
        text = (
            f"The CT was made with a sharp kernel ({series.kernel}), which is noisy in soft tissue: a series of the "
            "same study in a soft-tissue kernel is outlined more surely."
        )
        yield Notice("sharp-kernel", text, level="warning")
    if slice_mm > _THICK * SLICE_MM:
        text = (
            f"Slices are {slice_mm:.1f} mm apart: what is measured along the body is good to a slice at best, and the "
            "network saw slices that were interpolated between them."
        )
        yield Notice("thick-slices", text, level="warning")
    if modality == "mr":
        text = "Bone is not outlined on MR: the distance of a tumour to bone was not measured."
        yield Notice("bone-not-measured", text)


def outline_notices(tumours: Sequence[Tumour], not_listed: int, *, least_ml: float) -> Iterator[Notice]:
    """What must be said of what was outlined."""
    for number, tumour in enumerate(tumours, start=1):
        if tumour.is_cut:
            yield Notice("tumour-cut", f"Tumour {number}: {cut_told(tumour)}", level="warning")
    if len(tumours) > _MOST_PIECES:
        text = (
            f"{len(tumours)} pieces were outlined, more than in limbs with one sarcoma: the scan may show what the "
            "model has never seen."
        )
        yield Notice("many-pieces", text, level="warning")
    if not_listed:
        found = "one was" if not_listed == 1 else f"{not_listed} were"
        yield Notice("small-pieces", f"{pieces_rule(least_ml)}; {found} left out.")


def pieces_rule(least_ml: float) -> str:
    """Which pieces are listed."""
    share = f"{LEAST_SHARE:.0%} of the volume of the largest"
    return f"Connected pieces of less than {least_ml:g} ml, or of less than {share}, are not listed"


def learnt_notice() -> Notice:
    """That the model knows this patient."""
    text = (
        "This patient was in the training set: the model has seen these images with the outline that a person drew. "
        "What it outlines here says nothing about how good it is on others."
    )
    return Notice(LEARNT, text, level="warning")


def ood_notices(ood: RegionOod | None, *, report_ood: bool) -> tuple[Notice, ...]:
    """What must be said of a scan that is outside the training range."""
    if ood is None or not ood.is_ood:
        return ()
    tail = "" if report_ood else "No tumour is reported; the model's values stand in findings.json."
    return (ood_notice("scan", "the median distance of its slices from the training images", ood, tail),)
