"""What the system ct_osteosarcoma says: findings, masks and sentences of legs, and what its report calls things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osteon.data import Finding, Label, Mask, Measurement, Notice
from osteon.data.finding import tracking_uid
from osteon.data.system import DEMO_LIMIT, NO_MODEL, OUTCOME_LIMIT, PERSON_LIMIT, TaskText, ood_notice
from osteon.geometry import Box
from osteon.labels import concept
from osteon.report.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from osteon.data import Region, SliceScores, Status, Volume
    from osteon.labels import Concept

__all__ = [
    "TEXT",
    "LegReading",
    "bone_headline",
    "describe_bone",
    "describe_runs",
    "headline",
    "masks_of",
    "ood_notices",
    "run_box",
    "status_of",
]

TEXT = TaskText(
    title="CT of the legs: bone and osteosarcoma-like change",
    demo="What this report says about a tumour shows how the software works. It says nothing about this patient.",
    ood="What the model says here carries no weight. The bone is measured without the model.",
    limits=(
        ("always", PERSON_LIMIT),
        ("model", "The model scores single slices. It marks a range of slices, not the outline of a tumour."),
        ("model", "The box is the part of the image that was looked at in these slices, not the size of a tumour."),
        ("model", OUTCOME_LIMIT),
        ("demo", DEMO_LIMIT),
    ),
    masks={"bone": "bone", "affected": "slices with suspected tumour"},
)

BONE_MASK = "bone"
AFFECTED_MASK = "affected"
SKIN_HU = -300
"""Between air and fat: what is denser belongs to the body."""

_BONE_COLOURS = {"left": (230, 214, 170), "right": (196, 214, 236)}
_AFFECTED_COLOUR = (214, 39, 40)


@dataclass(frozen=True, slots=True, eq=False)
class LegReading:
    """What was computed for one leg.

    Attributes:
        side: "left", "right" or "unknown".
        region: where the leg is.
        territory: bool of the region's box: what belongs to this leg.
        scores: of its slices.
        bone_parts: uint16 of the region's box: 0 background, 1 the largest piece of bone, 2 the next...
    """

    side: str
    region: Region
    territory: NDArray[np.bool_]
    scores: SliceScores
    bone_parts: NDArray[np.uint16]


def status_of(readings: Sequence[LegReading], *, report_ood: bool) -> Status:
    """What the legs come to; abstained where the model may speak of none of them."""
    if any(reading.scores.runs for reading in readings):
        return "positive"
    return "abstained" if all(_is_withheld(reading, report_ood=report_ood) for reading in readings) else "negative"


def _is_ood(reading: LegReading) -> bool:
    return reading.region.ood is not None and reading.region.ood.is_ood


def _is_withheld(reading: LegReading, *, report_ood: bool) -> bool:
    return _is_ood(reading) and not report_ood


def run_box(reading: LegReading, run: tuple[int, int]) -> Box:
    """The leg's box, cut to the slices of a run (half-open, of the Volume)."""
    box = reading.region.box
    return Box(start=(run[0], *box.start[1:]), stop=(run[1], *box.stop[1:]))


def masks_of(readings: Sequence[LegReading], volume: Volume) -> tuple[Mask, ...]:
    """The bone of every leg and, when a slice is predicted tumour, the affected cross-sections.

    An affected region is everything of that leg inside the skin in the slices of one run: the classifier says which
    slices, not where in them.
    """
    bone = np.zeros(volume.grid.shape, dtype=np.uint8)
    affected = np.zeros(volume.grid.shape, dtype=np.uint8)
    bone_labels: list[Label] = []
    affected_labels: list[Label] = []
    for value, reading in enumerate(readings, start=1):
        bone[reading.region.box.slices][reading.bone_parts > 0] = value
        bone_labels.append(_label(reading, value, volume))
        for number, run in enumerate(reading.scores.runs, start=1):
            label = _label(reading, len(affected_labels) + 1, volume, number=number)
            block = run_box(reading, run)
            first = reading.region.box.start[0]
            inside = reading.territory[run[0] - first : run[1] - first] & (volume.array[block.slices] > SKIN_HU)
            affected[block.slices][inside] = label.value
            affected_labels.append(label)
    bone_chain = concept("cluster_analysis")
    masks = [Mask(bone, volume.grid, labels=tuple(bone_labels), name=BONE_MASK, algorithm=bone_chain)]
    if affected_labels:
        masks.append(Mask(affected, volume.grid, labels=tuple(affected_labels), name=AFFECTED_MASK))
    return tuple(masks)


def describe_bone(reading: LegReading, bone: Mask, volume: Volume) -> Finding:
    """How much bone the mask of one leg holds."""
    label = next(label for label in bone.labels if label.name == _name(reading))
    box = reading.region.box
    inside = volume.array[box.slices][reading.bone_parts > 0]
    volume_mm3 = inside.size * volume.grid.voxel_volume_mm3
    pieces = int(reading.bone_parts.max(initial=0))
    measurements = [Measurement(concept("volume"), volume_mm3, concept("unit_mm3"), method=concept("volume_of_voxels"))]
    if inside.size:
        mean = float(inside.mean(dtype=np.float64))
        measurements.append(Measurement(concept("attenuation"), mean, concept("unit_hu"), derivation=concept("mean")))
    noun = "piece" if pieces == 1 else "pieces"
    return Finding(
        identifier=f"{_stem(reading)}-bone",
        tracking_uid=label.tracking_uid,
        kind=concept("bone"),
        statement=f"Bone of the {reading.region.name}: {volume_mm3 / 1000:.0f} ml in {pieces} {noun}.",
        site=concept("lower_limb"),
        laterality=_laterality(reading),
        measurements=tuple(measurements),
        segment=(BONE_MASK, label.value),
        is_abnormal=False,
    )


def describe_runs(reading: LegReading, masks: Sequence[Mask], volume: Volume) -> Iterator[Finding]:
    """One finding for every separate run of slices predicted tumour, from the first slice on."""
    step_mm, voxel_mm3 = volume.grid.spacing_mm[0], volume.grid.voxel_volume_mm3
    for number, run in enumerate(reading.scores.runs, start=1):
        mask = next(mask for mask in masks if mask.name == AFFECTED_MASK)
        label = next(label for label in mask.labels if label.name == _name(reading, number))
        box, slices = run_box(reading, run), run[1] - run[0]
        seen = (reading.scores.slices >= run[0]) & (reading.scores.slices < run[1])
        volume_mm3 = int(np.count_nonzero(mask.array[box.slices] == label.value)) * voxel_mm3
        yield Finding(
            identifier=f"{_stem(reading)}-run-{number}",
            tracking_uid=label.tracking_uid,
            kind=concept("neoplasm"),
            statement=(
                f"Suspected tumour, {reading.region.name}: slices {run[0] + 1}-{run[1]}, "
                f"{slices * step_mm:.1f} mm along the slice axis."
            ),
            site=concept("lower_limb"),
            laterality=_laterality(reading),
            probability=float(reading.scores.smoothed[seen].max()),
            box=box,
            measurements=(
                Measurement(concept("extent_along_axis"), slices * step_mm, concept("unit_mm")),
                Measurement(concept("slice_count"), float(slices), concept("unit_one")),
                Measurement(concept("box_volume"), box.volume_mm3(volume.grid), concept("unit_mm3")),
                Measurement(concept("volume"), volume_mm3, concept("unit_mm3"), method=concept("volume_of_voxels")),
            ),
            segment=(AFFECTED_MASK, label.value),
        )


def headline(readings: Sequence[LegReading], volume: Volume, *, report_ood: bool) -> str:
    """The first sentence of the report: the finding first, then which legs were not assessed."""
    ood = [reading for reading in readings if _is_ood(reading)]
    told = [reading for reading in readings if not _is_withheld(reading, report_ood=report_ood)]
    suspected = [reading for reading in told if reading.scores.runs]
    step_mm = volume.grid.spacing_mm[0]
    sentences = []
    if suspected:
        runs = [", ".join(f"{a + 1}-{b}, {(b - a) * step_mm:.1f} mm" for a, b in one.scores.runs) for one in suspected]
        parts = [f"{reading.region.name}: slices {run}" for reading, run in zip(suspected, runs, strict=True)]
        sentences.append(f"Suspected tumour, {'; '.join(parts)}.")
    elif told:
        highest = max(float(r.scores.smoothed.max(initial=0.0)) for r in told)
        how_high = f"highest smoothed probability {highest:.2f}, threshold {told[0].scores.threshold:.2f}"
        sentences.append(f"No suspected tumour, {' and '.join(one.region.name for one in told)} ({how_high}).")
    if ood:
        sentences.append(_ood_sentence(ood, report_ood=report_ood))
    if not told:
        sentences.append(_bone_told(readings, volume))
    return " ".join(sentences)


def bone_headline(readings: Sequence[LegReading], volume: Volume) -> str:
    """The first sentence of a report where no model may speak: what was measured without one."""
    return f"{NO_MODEL} {_bone_told(readings, volume)}"


def _bone_told(readings: Sequence[LegReading], volume: Volume) -> str:
    millilitres = [np.count_nonzero(one.bone_parts) * volume.grid.voxel_volume_mm3 / 1000 for one in readings]
    parts = [f"{_stem(one)} {bone:.0f} ml" for one, bone in zip(readings, millilitres, strict=True)]
    return f"Bone: {', '.join(parts)}."


def ood_notices(readings: Sequence[LegReading], *, report_ood: bool) -> Iterator[Notice]:
    """What must be said of legs that are outside the model's training range."""
    for reading in readings:
        ood = reading.region.ood
        if ood is None or not ood.is_ood:
            continue
        runs = len(reading.scores.withheld_runs)
        withheld = "No tumour is reported there."
        if runs:
            noun, verb = count(runs, "run of slices", "runs of slices"), "is" if runs == 1 else "are"
            withheld = f"{noun} above the threshold {verb} not reported, but shown in the curve and in findings.json."
        distance = "the median distance of its slices from the training images"
        yield ood_notice(reading.region.name, distance, ood, "" if report_ood else withheld)


def _ood_sentence(readings: Sequence[LegReading], *, report_ood: bool) -> str:
    """Which legs the model was not trained for."""
    known = [reading.region.ood for reading in readings if reading.region.ood]
    scores = " and ".join(f"{ood.score:.2f}" for ood in known)
    noun, verb = ("score", "is") if len(known) == 1 else ("scores", "are")
    names = " and ".join(f"the {reading.region.name}" for reading in readings)
    where = f"{verb} outside the model's training range ({noun} {scores}, threshold {known[0].threshold:.2f})"
    if report_ood:
        return f"Caution: {names} {where}; reported because that was asked for."
    return f"No tumour assessment: {names} {where}."


def _stem(reading: LegReading) -> str:
    return "leg" if reading.side == "unknown" else reading.side


def _name(reading: LegReading, number: int = 0) -> str:
    """Of the label of the bone of a leg, or of one of its runs, from 1."""
    return f"Affected slices {number}, {reading.region.name}" if number else f"Bone, {reading.region.name}"


def _label(reading: LegReading, value: int, volume: Volume, *, number: int = 0) -> Label:
    return Label(
        value=value,
        name=_name(reading, number),
        category=concept("morphologically_abnormal" if number else "anatomical_structure"),
        kind=concept("lesion" if number else "bone"),
        site=concept("lower_limb"),
        laterality=_laterality(reading),
        colour=_AFFECTED_COLOUR if number else _BONE_COLOURS.get(reading.side, (230, 220, 190)),
        tracking_uid=tracking_uid(volume, f"{_stem(reading)}-{f'run-{number}' if number else 'bone'}"),
    )


def _laterality(reading: LegReading) -> Concept | None:
    return concept(reading.side) if reading.side in {"left", "right"} else None
