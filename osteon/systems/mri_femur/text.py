"""What the system mri_femur says: finding, mask, headline and notices, and what its report calls things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import Finding, Label, Mask, Measurement, Notice
from osteon.data.finding import tracking_uid
from osteon.data.system import DEMO_LIMIT, NO_MODEL, OUTCOME_LIMIT, PERSON_LIMIT, TaskText, ood_notice
from osteon.geometry import Box
from osteon.labels import concept
from osteon.ops.hu_check import hu_faults
from osteon.ops.outlines import largest_distance_mm, outline_points_mm
from osteon.report.wording import probability

if TYPE_CHECKING:
    from osteon.data import RegionOod, SliceScores, Volume
    from osteon.ops.mr_region import MrRegion, PlaneBox

__all__ = [
    "BENIGN",
    "LESION_MASK",
    "MALIGNANT",
    "REGION",
    "TEXT",
    "box_on_slice",
    "describe",
    "headline",
    "lesion_mask",
    "lesion_uid",
    "modality_faults",
    "modality_notices",
    "ood_notices",
    "region_notices",
    "silent_headline",
]

TEXT: Final = TaskText(
    title="MRI of the femur: a marked lesion, benign or malignant",
    demo="What this report says about the lesion shows how the software works. It says nothing about this patient.",
    ood="What the model says here carries no weight. The size is measured without the model.",
    limits=(
        ("always", PERSON_LIMIT),
        ("always", "The lesion is not looked for: what a person marked on one slice is evaluated, and nothing else."),
        ("always", "MR has no unit: each slice is its own scale, and uneven brightness is not corrected."),
        ("always", "An outline found inside a drawn box rests on one threshold; size is that of the outline."),
        ("model", "Malignant and benign are the labels of the training images; neither names an entity."),
        ("model", OUTCOME_LIMIT),
        ("demo", DEMO_LIMIT),
    ),
    marked="Lesion",
    probability="Probability of malignant",
    masks={"lesion": "outline of the lesion"},
)

REGION: Final = "lesion"
LESION_MASK: Final = "lesion"
BENIGN: Final = "benign"
MALIGNANT: Final = "malignant"
_AIR_HU, _SOFT_HU = -500.0, 0.0
_COLOUR: Final = (214, 39, 40)


def box_on_slice(box: PlaneBox, slice_index: int) -> Box:
    """The same rows and columns as a block of one slice."""
    return Box(start=(slice_index, box.top, box.left), stop=(slice_index + 1, box.bottom, box.right))


def _size_mm(region: MrRegion, volume: Volume) -> tuple[float, float] | None:
    """Largest distance between two points of the outline, and area in mm2; None where nothing is known in millimetres.

    The distance is that between the middles of pixel faces, as for lesions of the trunk.
    """
    if not volume.grid.is_in_mm or not region.mask.any() or not region.is_reliable:
        return None
    _, row_mm, column_mm = volume.grid.spacing_mm
    points = outline_points_mm(region.mask, spacing_mm=(row_mm, column_mm), height_mm=0.0, slice_mm=0.0)
    return largest_distance_mm(points), float(np.count_nonzero(region.mask)) * row_mm * column_mm


def lesion_uid(region: MrRegion, volume: Volume, *, slice_index: int) -> str:
    """What mask and finding of one lesion share; another box is another lesion.

    To be asked once a reading: of an image without a series every answer is another.
    """
    return tracking_uid(volume, f"mri_femur/{slice_index}/{region.drawn}")


def lesion_mask(region: MrRegion, volume: Volume, *, slice_index: int, tracking: str, is_drawn: bool) -> Mask | None:
    """The outline on the volume's grid; None where there is none. ``tracking`` is of ``lesion_uid``."""
    if not region.mask.any():
        return None
    array = np.zeros(volume.grid.shape, dtype=np.uint8)
    array[slice_index][region.mask] = 1
    label = Label(
        value=1,
        name="Lesion",
        category=concept("morphologically_abnormal"),
        kind=concept("lesion"),
        colour=_COLOUR,
        tracking_uid=tracking,
    )
    opened = concept("morphological_operations")
    return Mask(array, volume.grid, labels=(label,), name=LESION_MASK, is_drawn=is_drawn, algorithm=opened)


def describe(
    region: MrRegion,
    said: str,
    volume: Volume,
    *,
    slice_index: int,
    tracking: str,
    probability: float | None = None,
) -> Finding:
    """The one finding: the lesion that was marked, what is said of it, and how large it is.

    ``tracking`` is of ``lesion_uid``.
    """
    measured, size = _size_mm(region, volume), _size_told(region, volume)
    measurements = []
    if measured is not None:
        measurements = [
            Measurement(concept("axial_diameter"), measured[0], concept("unit_mm")),
            Measurement(concept("area"), measured[1], concept("unit_mm2")),
        ]
    return Finding(
        identifier="lesion",
        tracking_uid=tracking,
        kind=concept("lesion"),
        statement=said if said.endswith(size) else f"{said} {size}",
        probability=probability,
        box=box_on_slice(region.box, slice_index),
        measurements=tuple(measurements),
        segment=(LESION_MASK, 1) if region.mask.any() else None,
    )


def _size_told(region: MrRegion, volume: Volume) -> str:
    measured = _size_mm(region, volume)
    if measured is not None:
        return f"It measures {measured[0]:.1f} mm across, {measured[1]:.0f} mm² on this slice."
    if not region.mask.any():
        return "It was not outlined and not measured."
    if not region.is_reliable:
        return "Its outline is not reliable: it was not measured."
    return f"It spans {region.box.height} x {region.box.width} pixels; its size in millimetres is not known."


def silent_headline(region: MrRegion, volume: Volume, *, slice_index: int) -> str:
    """The first sentence of a report where no model may speak: what was measured without one."""
    where = f" on slice {slice_index + 1}" if volume.grid.shape[0] > 1 else ""
    return f"{NO_MODEL} A lesion was marked{where}. {_size_told(region, volume)}"


def headline(scores: SliceScores, volume: Volume, *, ood: RegionOod | None, is_withheld: bool) -> str:
    """The first sentence of the report: the class of the lesion, or why it was not assessed."""
    where = f" on slice {int(scores.slices[0]) + 1}" if volume.grid.shape[0] > 1 else ""
    outside = ""
    if ood is not None and ood.is_ood:
        outside = f"outside the model's training range (score {ood.score:.2f}, threshold {ood.threshold:.2f})"
        if is_withheld:
            return f"No assessment of benign or malignant: the lesion{where} is {outside}."
        outside = f" Caution: it is {outside}; reported because that was asked for."
    chance = float(scores.probability[0])
    predicted = MALIGNANT if chance >= scores.threshold else BENIGN
    threshold = f"threshold {scores.threshold:.2f}"
    said = (
        f"Lesion{where}: predicted {predicted} (probability of malignant {probability(chance)}, {threshold}).{outside}"
    )
    if scores.sets and scores.error_rate is not None and scores.sets[0] in {"either", "neither"}:
        open_ = "neither can be ruled out" if scores.sets[0] == "either" else "neither fits"
        said += f" At an error rate of {100 * scores.error_rate:g} % {open_}."
    return said


def region_notices(region: MrRegion, volume: Volume) -> list[Notice]:
    """What must be said of the outline."""
    notices = []
    if not region.mask.any():
        text = "No region could be outlined in the box: the lesion is not measured. Draw a mask of it (--mask)."
        notices.append(Notice("no-outline", text, "warning"))
    elif region.polarity and not region.is_reliable:
        why = "covers little of it" if region.box_kept else "runs along its edge and goes on beyond it"
        kept = ": the box as drawn was kept for the model" if region.box_kept else ""
        text = (
            f"The outline is not reliable: the region outlined in the box {why}{kept}. No size is given from it; draw "
            "a mask (--mask)."
        )
        notices.append(Notice("outline-not-reliable", text, "warning"))
    elif region.polarity:
        size = ", and its size is measured on that outline" if volume.grid.is_in_mm else ""
        text = (
            f"The lesion was taken as {region.polarity} than its surround and outlined inside the drawn box by one "
            f"threshold{size}."
        )
        notices.append(Notice("outlined", text))
    return notices


def modality_faults(volume: Volume) -> list[str]:
    """Why the images are no MRI: another modality, or a file without one whose values are those of a CT."""
    if volume.modality not in {"MR", ""}:
        return [f"the images are {volume.modality}"]
    low, high = float(volume.array.min()), float(volume.array.max())
    if not volume.modality and low <= _AIR_HU and high > _SOFT_HU and not hu_faults(volume.array):
        return [f"the values go from {low:.0f} to {high:.0f}, as those of a CT in Hounsfield units"]
    return []


def modality_notices(volume: Volume) -> list[Notice]:
    """What must be said of images that are not known to be MR."""
    if volume.modality:
        return []
    return [
        Notice("modality-not-known", "The file does not say that the image is an MRI: it was taken for one.", "warning")
    ]


def ood_notices(ood: RegionOod | None, *, report_ood: bool) -> list[Notice]:
    """What must be said of a lesion that is outside the model's training range."""
    if ood is None or not ood.is_ood:
        return []
    tail = "" if report_ood else "No probability is reported; it stands in the scores of findings.json."
    return [ood_notice("lesion", "its distance from the training images", ood, tail)]
