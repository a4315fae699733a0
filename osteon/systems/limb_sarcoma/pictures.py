"""What the report of a limb shows: the list of tumours, key slices with their outline and map, a montage, all in 3D."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final, Literal

import numpy as np
from msgspec import Meta

from osteon.data.system import DEMO_MARK
from osteon.report import SystemReport
from osteon.report.blocks import (
    Callout,
    Cell,
    Figure,
    Heading,
    KeyValues,
    Paragraph,
    Part,
    Row,
    SliceBrowsers,
    Table,
    Viewer3D,
)
from osteon.report.browser import has_browsers, slice_browsers
from osteon.report.findings import (
    Count,
    Entry,
    NotNegative,
    Number,
    Share,
    SliceEntries,
    Text,
    filled,
    finished,
    like,
    slice_entries,
)
from osteon.report.lesions import DrawnLesion, around_regions, colour_hex, draw_lesion, lesion_picture
from osteon.report.scores import curve_caption, draw_scores
from osteon.report.sections import findings_section, slice_note, trust_section
from osteon.report.slices import Shades, SliceLook, draw_slices
from osteon.report.surfaces import bone_scene, bone_surfaces
from osteon.report.wording import count, probability, whole_range
from osteon.systems.limb_sarcoma.drawings import draw_in_3d, draw_key_slices, draw_montage
from osteon.systems.limb_sarcoma.prepare import WINDOW_HU
from osteon.systems.limb_sarcoma.text import LEARNT, TEXT, TUMOUR_MASK, LimbReading, colour_of, cut_told, pieces_rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from osteon.data import Answer, Volume
    from osteon.report.blocks import Block, Drawing
    from osteon.report.findings import Findings
    from osteon.systems.limb_sarcoma.text import Tumour

__all__ = ["MOST_PICTURES", "REPORT", "LimbEntries", "drawn_tumours", "pictures", "shades_of"]

MOST_PICTURES: Final = 6
"""Tumours that get pictures, the largest ones; the list holds all."""

_COLUMNS: Final = (
    "No.", "Volume, ml", "Axial, mm", "Along the body, mm", "Largest (3D), mm", "To skin, mm", "To bone, mm",
    "Probability", "Slices",
)  # fmt: skip
_WIDTHS_MM: Final = (10.0, 20.0, 24.0, 22.0, 20.0, 18.0, 18.0, 20.0, 22.0)
_MEANS: Final = (
    ("Tumour", "A connected group of voxels that the model outlines, numbered by volume. Holes are left as they are."),
    ("Outline", "The model's map, brought to the pixels and slices of the scan (linear) and cut at its threshold."),
    ("Volume", "Sum of its voxels. With a sign ≥ it reaches the edge of the images, and numbers are lower bounds."),
    ("Axial", "Largest distance between two points in one axial plane, and the width across that line in that plane."),
    ("Along the body", "From its lowest to its highest axial plane, both included, along the scan's own axis."),
    ("Largest (3D)", "Largest distance between two of its points."),
    ("To skin", "Least distance to where the image is as dark as air. A cushion that is as bright as skin hides it."),
    ("To bone", "On CT, least distance to bone, which is found without the model. Not measured on MR."),
    ("Probability", "Mean of the model's map inside the outline; not the chance that this is a tumour."),
)
_LOOK: Final = SliceLook(
    curve="Tumour along the body",
    map_curve="Highest value of the tumour map along the slices",
    predicted="tumour",
    margin_mm=0.0,
)
_WHITE_PERCENT: Final = 99.7


class DistanceEntry(Entry, frozen=True):
    """The least distance of a tumour to something."""

    distance_mm: NotNegative
    place_vox: tuple[Count, Count, Count]
    other_vox: tuple[Count, Count, Count]
    direction: str


class TumourEntry(Entry, frozen=True):
    """A tumour of the list; codes, box and segment stand in the finding of the same identifier."""

    identifier: Text
    number: Number
    volume_ml: Annotated[float, Meta(ge=0, description="at least, where is_cut")]
    diameter_mm: Annotated[float, Meta(ge=0, description="largest distance between two points, in 3D")]
    axial_mm: Annotated[float, Meta(ge=0, description="largest distance between two points in one axial plane")]
    across_mm: Annotated[float, Meta(ge=0, description="width across that line in that plane")]
    along_mm: NotNegative
    probability: Share
    first_slice_number: Number
    last_slice_number: Number
    key_slice_number: Number
    is_cut: Annotated[bool, Meta(description="reaches the edge of the images")]
    ends: tuple[Text, ...]
    to_skin: DistanceEntry | None
    to_bone: DistanceEntry | None


class LimbEntries(SliceEntries, frozen=True):
    """Fields of a system that outlines tumours of a limb."""

    modality: Literal["mr", "ct"]
    tumours: tuple[TumourEntry, ...]
    not_listed: Count
    least_ml: NotNegative
    map_threshold: Share
    has_learnt: Annotated[bool, Meta(description="the model was trained on this patient")]


def _entries(reading: LimbReading, volume: Volume) -> LimbEntries:
    """The system's own fields of findings.json.

    Raises:
        OutputError: a number is NaN or infinite.
    """
    scored = slice_entries(reading, volume)
    return finished(
        LimbEntries(
            scores=scored.scores,
            heat_maps=scored.heat_maps,
            modality=reading.modality,
            tumours=tuple(_entry(tumour, number) for number, tumour in enumerate(reading.tumours, start=1)),
            not_listed=reading.not_listed,
            least_ml=reading.least_ml,
            map_threshold=reading.threshold,
            has_learnt=reading.has_learnt,
        )
    )


def _entry(tumour: Tumour, number: int) -> TumourEntry:
    apart = (tumour.to_skin, tumour.to_bone)
    to_skin, to_bone = (None if one is None else like(one, DistanceEntry) for one in apart)
    return filled(
        TumourEntry,
        tumour,
        number=number,
        first_slice_number=tumour.slices[0] + 1,
        last_slice_number=tumour.slices[1],
        key_slice_number=tumour.key_slice + 1,
        to_skin=to_skin,
        to_bone=to_bone,
    )


def shades_of(volume: Volume, modality: str) -> Shades:
    """How slices are shown: CT in a window of soft tissue, MR from 0 to a high percentile."""
    if modality == "ct":
        return Shades(*WINDOW_HU, "in soft-tissue window (level 40 HU, width 400 HU)")
    step = max(1, volume.array.size // 2_000_000)
    white = float(np.percentile(volume.array.reshape(-1)[::step], _WHITE_PERCENT))
    return Shades(0.0, max(white, 1.0), f"from 0 to their {_WHITE_PERCENT:g}th percentile")


def drawn_tumours(answer: Answer) -> tuple[DrawnLesion, ...]:
    """Every tumour that has a finding with a box, in the order of the list."""
    findings = {finding.identifier: finding for finding in answer.findings}
    found = []
    for number, tumour in enumerate(answer.detail_as(LimbReading).tumours, start=1):
        finding = findings.get(tumour.identifier)
        if finding is None or finding.box is None:
            continue
        surface = answer.surfaces.get(f"lesion_{number}")
        found.append(
            DrawnLesion(
                number=number,
                box=finding.box,
                value=number,
                key_slice=tumour.key_slice,
                volume_ml=tumour.volume_ml,
                colour=colour_of(number),
                kind="tumour",
                group="Tumours",
                surface=surface if surface is not None and len(surface.faces) else None,
                noun="Tumour",
            )
        )
    return tuple(found)


def pictures(answer: Answer, volume: Volume, findings: Findings) -> Part:
    """The list, key slices, a montage, tumour by tumour, the curve of slices and all of it in 3D."""
    reading, tumours = answer.detail_as(LimbReading), drawn_tumours(answer)
    entries, mask = _entries(reading, volume), answer.masks.get(TUMOUR_MASK)
    shades = shades_of(volume, reading.modality)
    look = replace(_LOOK, shades=shades)
    drawings: dict[str, Drawing] = {}
    if mask is not None and tumours:
        drawings["overview"] = partial(
            draw_key_slices, answer=answer, volume=volume, mask=mask, shades=shades, tumour=tumours[0]
        )
        drawings["montage"] = partial(
            draw_montage, answer=answer, volume=volume, mask=mask, shades=shades, tumours=tumours
        )
        around = around_regions(answer, volume, margin_mm=0.0)
        for one in tumours[:MOST_PICTURES]:
            drawings[_name(one.number)] = partial(
                draw_lesion, lesion=one, mask=mask, volume=volume, around=around, demo=answer.is_demo, shades=shades
            )
    else:
        drawings["overview"] = partial(draw_slices, answer=answer, volume=volume, scores=reading.scores, look=look)
    if any(each.surface is not None for each in tumours) or bone_surfaces(answer):
        drawings["in_3d"] = partial(draw_in_3d, answer=answer, tumours=tumours)
    if reading.scores:
        drawings["scores"] = partial(
            draw_scores, answer=answer, volume=volume, scores=reading.scores, look=look, lesions=tumours
        )
    blocks: list[Block] = [
        *(_list(reading, entries, findings, demo=answer.is_demo) if _looked(answer) else ()),
        Heading("Key slices", anchor="pictures", only="page"),
        Figure("overview", tallest_mm=128),
        *_one_by_one(reading, tumours, drawings, shades),
        *_rest(answer, volume, findings, entries, look, tumours),
    ]
    learnt = [one.text for one in answer.notices if one.code == LEARNT]
    summary = tuple(Callout("This patient was in the training set", words, style="ood") for words in learnt)
    return Part(tuple(blocks), drawings, entries, summary=summary, skip=("tumours", "tumours"))


def _rest(
    answer: Answer,
    volume: Volume,
    findings: Findings,
    entries: LimbEntries,
    look: SliceLook,
    tumours: Sequence[DrawnLesion],
) -> Iterator[Block]:
    """What follows the tumours: bone, the montage, slice by slice, how far the model is to be trusted, 3D."""
    reading, mask = answer.detail_as(LimbReading), answer.masks.get(TUMOUR_MASK)
    mark = (Paragraph(TEXT.demo_mark, "mark", only="page"),) if answer.is_demo else ()
    listed = [tumour.identifier for tumour in reading.tumours]
    if len(findings.findings) > len(listed):
        yield from findings_section(findings, TEXT, title="Also measured", listed=listed, note="paper")
    elif not _looked(answer):
        yield from findings_section(findings, TEXT)
    if tumours:
        yield Heading("Slice after slice", anchor="montage")
        yield Figure("montage", tallest_mm=150)
    if has_browsers(answer, volume):
        browsers = partial(slice_browsers, answer, volume, reading.scores, look=look, lesions=(mask, tumours))
        note = curve_caption(answer, volume, reading.scores, predicted=look.predicted) if reading.scores else ""
        yield Heading("Slice by slice", anchor="slices", only="page")
        yield from mark
        yield SliceBrowsers(browsers, note, "Tumours")
    if reading.scores:
        yield Heading(look.title(reading.scores), only="paper")
        yield Figure("scores", tallest_mm=70, only="paper")
    yield from trust_section(findings, entries.scores)
    if tumours or bone_surfaces(answer):
        yield Heading("In 3D", anchor="bone")
        yield from mark
        yield Figure("in_3d", tallest_mm=90, only="paper")
        yield Viewer3D(partial(bone_scene, answer, volume, tumours))


def _looked(answer: Answer) -> bool:
    """Whether tumours were looked for: a model may speak, and the scan is in its training range."""
    return bool(answer.models) and answer.status != "abstained"


def _name(number: int) -> str:
    return f"tumour_{number:02d}"


def _list(reading: LimbReading, entries: LimbEntries, findings: Findings, *, demo: bool) -> Iterator[Block]:
    """The list, also when nothing is in it."""
    yield Heading("Tumours", anchor="tumours")
    if not reading.tumours:
        smaller = f" {count(reading.not_listed, 'smaller piece')} left out." if reading.not_listed else ""
        text = f"Nothing of {reading.least_ml:g} ml or more was outlined.{smaller}"
        yield Paragraph(f"{text} That a model outlines nothing does not show that nothing is there.", "nothing")
        return
    if demo:
        yield Paragraph(DEMO_MARK, "mark", only="page")
    rows = tuple(_row(tumour) for tumour in entries.tumours)
    yield Table("tumours", "", _COLUMNS, rows, numeric=(1, 2, 3, 4, 5, 6, 7), widths_mm=_WIDTHS_MM)
    yield Paragraph(slice_note(findings), "note", only="page")
    means = tuple(Row(label, words) for label, words in _MEANS)
    rule = f"A voxel is tumour from a value of {reading.threshold:.2f} of the map on. {pieces_rule(reading.least_ml)}."
    yield KeyValues((*means, Row("Rules", rule)), folded="What the columns mean")


def _row(tumour: TumourEntry) -> tuple[str, ...]:
    least = "≥ " if tumour.is_cut else ""
    return (
        Cell(
            str(tumour.number),
            dot=colour_hex(colour_of(tumour.number)),
            link=f"tumour-{tumour.number}",
            warning="It reaches the edge of the images: numbers are lower bounds." if tumour.is_cut else "",
        ),
        f"{least}{tumour.volume_ml:,.0f}" if tumour.volume_ml >= 10 else f"{least}{tumour.volume_ml:.1f}",
        f"{tumour.axial_mm:.0f} x {tumour.across_mm:.0f}",
        f"{least}{tumour.along_mm:.0f}",
        f"{least}{tumour.diameter_mm:.0f}",
        "not seen" if tumour.to_skin is None else f"{tumour.to_skin.distance_mm:.0f}",
        "not measured" if tumour.to_bone is None else f"{tumour.to_bone.distance_mm:.0f}",
        probability(tumour.probability),
        whole_range(tumour.first_slice_number, tumour.last_slice_number),
    )


def _one_by_one(
    reading: LimbReading, tumours: Sequence[DrawnLesion], drawings: dict[str, Drawing], shades: Shades
) -> Iterator[Block]:
    """An article a tumour: what weakens it, its picture and what was measured."""
    if not tumours:
        return
    shown = [one for one in tumours if _name(one.number) in drawings]
    some = "" if len(shown) == len(tumours) else f" Pictures are drawn of the {len(shown)} largest."
    yield Heading("Tumour by tumour", anchor="tumour-pictures")
    yield Paragraph(f"{lesion_picture(shades, 'tumour')}{some}")
    for one, tumour in zip(tumours, reading.tumours, strict=True):
        yield Heading(one.name, 3, f"tumour-{one.number}", colour_hex(one.colour))
        if tumour.is_cut:
            yield Paragraph(cut_told(tumour), "warning")
        yield Figure(_name(one.number), told=False)


REPORT: Final = SystemReport(TEXT, pictures, LimbEntries)
"""What the system limb_sarcoma adds to a report."""
