"""What the report of a CT of the trunk shows: the list of lesions, the skeleton, every lesion, the curve of slices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final, Literal

import numpy as np
from msgspec import Meta

from osteon import mesh
from osteon.ops.lesions import NOT_DETERMINED
from osteon.report import SystemReport
from osteon.report.blocks import Cell, Figure, Heading, KeyValues, Paragraph, Part, Row, SliceBrowsers, Table, Viewer3D
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
from osteon.report.orientation import direction_letters
from osteon.report.scores import curve_caption, draw_scores
from osteon.report.sections import findings_section, slice_note, trust_section
from osteon.report.sheet import INK, MUTED, Sheet, show_letters, show_picture, show_scale_bar
from osteon.report.slices import SliceLook, draw_overview, draw_slices
from osteon.report.surfaces import bone_scene, bone_surfaces, extent_mm
from osteon.report.wording import count, probability, upper, whole_range
from osteon.systems.ct_metastasis.text import LESION_MASK, PATTERNS, TEXT, LesionReading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Answer, Surface, Volume
    from osteon.report.blocks import Block, Drawing, Picture
    from osteon.report.findings import Findings
    from osteon.systems.ct_metastasis.text import Lesion

__all__ = ["MOST_PICTURES", "REPORT", "LesionEntries", "drawn_lesions", "largest", "pictures", "see_through"]


MOST_PICTURES: Final = 12
"""Lesions that get a picture, the largest ones; the list holds all."""

_COLOURS: Final = {"lytic": (255, 128, 48), "blastic": (86, 190, 245), "mixed": (240, 130, 205)}
"""Okabe and Ito's vermilion, sky blue and purple, lightened: distinguished on bone, in CT and on black."""
_UNDETERMINED: Final = (240, 228, 66)
"""Their yellow."""

_LOOK: Final = SliceLook(
    curve="Probability of metastasis along the body",
    map_curve="Highest value of the lesion map along the body",
    predicted="metastasis",
    margin_mm=45.0,
)
_COLUMNS: Final = (
    "No.", "Site", "Density pattern", "Volume, ml", "Largest diameter, mm", "Mean HU", "Probability", "Slices",
)  # fmt: skip
_WIDTHS_MM: Final = (10.0, 33.0, 30.0, 18.0, 23.0, 18.0, 19.0, 23.0)
_PROBABILITY: Final = (
    "mean of the upper half of the model's values in the lesion. It ranks the lesions of one result; it is not a "
    "calibrated chance that this is a metastasis."
)
_MEANS: Final = "What the columns mean"
_MINUS: Final = "\u2212"

_MARGIN, _GAP, _HEAD, _FOOT = 24.0, 30.0, 116.0, 62.0
_CALLOUT: Final = 58.0
"""Room for numbers on each side of a panel."""
_STEP: Final = 25.0
"""Least distance between two numbers, in pixels."""
_WIDEST, _TALLEST = 1560.0, 1120.0
_AROUND: Final = 1.1
_FLAT: Final = 0.25
"""Share of the width below which a skeleton is too low to be seen from the front."""
_THROUGH: Final = 0.72
"""How strongly a lesion shows through the bone before it."""


class LesionEntry(Entry, frozen=True):
    """A lesion of the list; codes, box and segment stand in the finding of the same identifier."""

    identifier: Text
    number: Number
    site: Annotated[str, Meta(min_length=1, description="named only where the images prove it, else not determined")]
    site_reason: str
    density_pattern: Literal["lytic", "blastic", "mixed", "not determined"]
    density_pattern_reason: str
    volume_ml: NotNegative
    diameter_mm: Annotated[float, Meta(ge=0, description="largest distance between two points, in 3D")]
    axial_diameter_mm: Annotated[float, Meta(ge=0, description="largest distance between two points in one slice")]
    mean_hu: float
    sd_hu: NotNegative
    probability: Annotated[float, Meta(ge=0, le=1, description="mean of the upper half of the model's values")]
    peak_probability: Share
    lytic_share: Share | None
    blastic_share: Share | None
    first_slice_number: Number
    last_slice_number: Number
    key_slice_number: Number
    near_metal: bool
    is_cut: Annotated[bool, Meta(description="reaches the edge of the images")]


class OwnBoneEntry(Entry, frozen=True):
    """The patient's reference bone outside lesions, which lesions are compared with."""

    median_hu: float
    spread_hu: NotNegative
    pixels: Count
    lytic_below_hu: float
    blastic_above_hu: float


class LesionEntries(SliceEntries, frozen=True):
    """Fields of a system that lists lesions."""

    lesions: tuple[LesionEntry, ...]
    reference_bone: OwnBoneEntry | None


def _lesion_entries(reading: LesionReading, volume: Volume) -> LesionEntries:
    """The system's own fields of findings.json.

    Raises:
        OutputError: a number is NaN or infinite.
    """
    scored = slice_entries(reading, volume)
    return finished(
        LesionEntries(
            scores=scored.scores,
            heat_maps=scored.heat_maps,
            lesions=tuple(_entry(lesion, number) for number, lesion in enumerate(reading.lesions, start=1)),
            reference_bone=None if reading.reference_bone is None else like(reading.reference_bone, OwnBoneEntry),
        )
    )


def _entry(lesion: Lesion, number: int) -> LesionEntry:
    """Fields of the same names, and slices by their numbers."""
    return filled(
        LesionEntry,
        lesion,
        number=number,
        first_slice_number=lesion.slices[0] + 1,
        last_slice_number=lesion.slices[1],
        key_slice_number=lesion.key_slice + 1,
    )


def drawn_lesions(answer: Answer) -> tuple[DrawnLesion, ...]:
    """Every lesion that has a finding with a box, in the order of the list."""
    findings = {finding.identifier: finding for finding in answer.findings}
    found = []
    for number, lesion in enumerate(answer.detail_as(LesionReading).lesions, start=1):
        finding = findings.get(lesion.identifier)
        if finding is None or finding.box is None:
            continue
        value = 0 if finding.segment is None else finding.segment[1]
        surface, colour = answer.surfaces.get(f"lesion_{value}"), _colour(lesion.density_pattern)
        is_seen = surface is not None and len(surface.faces)
        kind = lesion.density_pattern
        found.append(
            DrawnLesion(
                number=number,
                box=finding.box,
                value=value,
                key_slice=lesion.key_slice,
                volume_ml=lesion.volume_ml,
                colour=colour,
                kind=kind,
                group=f"{PATTERNS[kind].capitalize()} lesions",
                surface=replace(surface, colour=(*colour, 255)) if surface is not None and is_seen else None,
            )
        )
    return tuple(found)


def _colour(density_pattern: str) -> tuple[int, int, int]:
    return _COLOURS.get(density_pattern, _UNDETERMINED)


def largest(lesions: Sequence[DrawnLesion], *, most: int = MOST_PICTURES) -> tuple[DrawnLesion, ...]:
    """The lesions that get a picture: the ``most`` with the largest volume, in the order of the list."""
    ranked = sorted(lesions, key=lambda item: (-item.volume_ml, item.number))[:most]
    return tuple(sorted(ranked, key=lambda item: item.number))


def pictures(answer: Answer, volume: Volume, findings: Findings) -> Part:
    """The list, the skeleton, lesion by lesion, the curve of slices and all of it in 3D."""
    reading, lesions = answer.detail_as(LesionReading), drawn_lesions(answer)
    entries, mask, scores = _lesion_entries(reading, volume), answer.masks.get(LESION_MASK), reading.scores
    is_scored = any(len(each.slices) for each in scores)
    has_bone = bool(bone_surfaces(answer))
    drawings: dict[str, Drawing] = {
        "overview": partial(_draw_skeleton, answer=answer, lesions=lesions)
        if has_bone
        else partial(draw_overview, answer=answer, volume=volume)
    }
    if mask is not None and mask.grid.same_as(volume.grid):
        around, demo = around_regions(answer, volume, margin_mm=_LOOK.margin_mm), answer.is_demo
        for one in largest(lesions):
            drawn = partial(draw_lesion, lesion=one, mask=mask, volume=volume, around=around, demo=demo)
            drawings[_picture_name(one.number)] = drawn
    if len(drawings) == 1:
        drawings["slices"] = partial(draw_slices, answer=answer, volume=volume, scores=scores, look=_LOOK)
    if is_scored:
        drawings["scores"] = partial(
            draw_scores, answer=answer, volume=volume, scores=scores, look=_LOOK, lesions=lesions
        )
    mark = (Paragraph(TEXT.demo_mark, "mark", only="page"),) if answer.is_demo else ()
    means = KeyValues(tuple(_definitions(entries.reference_bone, answer.configuration.get("lesions"))), folded=_MEANS)
    looked = _looked(answer)
    blocks: list[Block] = [
        *(_list(entries, findings, means, mark, reading.not_listed) if looked else ()),
        Heading("Overview", anchor="pictures", only="page"),
        Figure("overview", tallest_mm=92),
        Figure("slices", tallest_mm=128),
        *_one_by_one(entries, drawings),
        *((replace(means, only="paper"),) if entries.lesions else ()),
    ]
    listed = [lesion.identifier for lesion in entries.lesions]
    if len(findings.findings) > len(listed) or not listed:
        blocks += findings_section(
            findings,
            TEXT,
            title="Also measured" if looked else "Findings",
            listed=listed,
            note="paper" if listed else "",
        )
    if has_browsers(answer, volume):
        browsers = partial(slice_browsers, answer, volume, scores, look=_LOOK, lesions=(mask, lesions))
        note = curve_caption(answer, volume, scores, predicted=_LOOK.predicted) if is_scored else ""
        title = f"{_LOOK.title(scores)}, slice by slice" if is_scored else "Slice by slice"
        blocks += [
            Heading(title, anchor="slices", only="page"),
            *mark,
            SliceBrowsers(browsers, note, "Lesions" if mask is not None else "Affected region"),
        ]
    if is_scored:
        blocks += [Heading(_LOOK.title(scores), only="paper"), Figure("scores", tallest_mm=70, only="paper")]
    blocks += trust_section(findings, entries.scores)
    if has_bone:
        scene = Viewer3D(partial(bone_scene, answer, volume, lesions))
        blocks += [Heading("Bone in 3D", anchor="bone", only="page"), *(mark if lesions else ()), scene]
    return Part(tuple(blocks), drawings, entries, skip=("lesions", "findings"))


def _looked(answer: Answer) -> bool:
    """Whether lesions were looked for: a model may speak, and the series is in its training range."""
    return bool(answer.models) and answer.status != "abstained"


def _picture_name(number: int) -> str:
    return f"lesion_{number:02d}"


def _list(
    entries: LesionEntries, findings: Findings, means: KeyValues, mark: tuple[Block, ...], not_listed: int
) -> Iterator[Block]:
    """The list, also when nothing is in it."""
    yield Heading("Lesions", anchor="lesions")
    if not entries.lesions:
        slices = count(findings.grid.shape[0] if findings.grid else 0, "slice")
        scored = [scores for scores in entries.scores if scores.source == "classifier"]
        predicted = sum(row.smoothed >= scores.threshold for scores in scored for row in scores.slices)
        words = f" The classifier of slices predicts {_LOOK.predicted} in {count(predicted, 'slice')} all the same."
        nothing = f"No lesion was detected in the {slices} that were read."
        if not_listed:
            verb = "is" if not_listed == 1 else "are"
            nothing = f"No lesion is large enough for the list; {count(not_listed, 'smaller one')} {verb} left out."
        yield Paragraph(
            f"{nothing} That a model lists nothing does not show that nothing is there.{words if predicted else ''}",
            "nothing",
        )
        return
    yield from mark
    rows = tuple(_row(lesion) for lesion in entries.lesions)
    yield Table("lesions", "", _COLUMNS, rows, numeric=(3, 4, 5, 6), widths_mm=_WIDTHS_MM)
    yield Paragraph(slice_note(findings), "note", only="page")
    yield Paragraph(f"Probability: {_PROBABILITY}", "note", only="page")
    yield replace(means, only="page")


def _row(lesion: LesionEntry) -> tuple[str, ...]:
    return (
        Cell(str(lesion.number), link=_anchor(lesion)),
        lesion.site,
        Cell(
            PATTERNS[lesion.density_pattern],
            dot=colour_hex(_colour(lesion.density_pattern)),
            warning=" ".join(_warnings(lesion)),
        ),
        _digits(lesion.volume_ml),
        _digits(lesion.diameter_mm),
        _signed(lesion.mean_hu),
        probability(lesion.probability),
        whole_range(lesion.first_slice_number, lesion.last_slice_number),
    )


def _anchor(lesion: LesionEntry) -> str:
    return f"lesion-{lesion.number}"


def _warnings(lesion: LesionEntry) -> list[str]:
    return [
        *(["It reaches the edge of the images: there may be more of it."] if lesion.is_cut else []),
        *(["Metal is near: it may be an artefact."] if lesion.near_metal else []),
    ]


def _one_by_one(entries: LesionEntries, drawings: Mapping[str, Drawing]) -> Iterator[Block]:
    """An article a lesion: what weakens it, its picture and what was seen; on paper of those that have one of both."""
    lesions = entries.lesions
    if not lesions:
        return
    drawn = [lesion for lesion in lesions if _picture_name(lesion.number) in drawings]
    many = count(len(lesions), "lesion")
    some = f"Pictures are drawn of the {len(drawn)} largest of {many}; the list holds all of them."
    yield Heading("Lesion by lesion", anchor="lesion-pictures")
    yield Paragraph(lesion_picture() if len(drawn) == len(lesions) else f"{lesion_picture()} {some}")
    for lesion in lesions:
        warnings = _warnings(lesion)
        only: Literal["", "page"] = "" if lesion in drawn or warnings else "page"
        site = "site not determined" if lesion.site == NOT_DETERMINED else lesion.site
        what = f"{PATTERNS[lesion.density_pattern]}, {site}"
        title = f"Lesion {lesion.number}: {_digits(lesion.volume_ml)} ml, {_digits(lesion.diameter_mm)} mm, {what}"
        yield Heading(title, 3, _anchor(lesion), colour_hex(_colour(lesion.density_pattern)), only=only)
        yield from (Paragraph(text, "warning") for text in warnings)
        yield Figure(_picture_name(lesion.number), told=False)
        yield Paragraph(" ".join(_details(lesion)), "small", ("lesions", "Back to the list"), only=only)


def _details(lesion: LesionEntry) -> Iterator[str]:
    """What proves site and density pattern, and the spread of HU."""
    for what, value, reason in (
        ("Site", lesion.site, lesion.site_reason),
        ("Density pattern", PATTERNS[lesion.density_pattern], lesion.density_pattern_reason),
    ):
        if reason:  # one that begins with the value does not say it twice
            told = reason[len(value) :].lstrip(" :,") if reason.lower().startswith(value) else reason
            yield f"{what} {value}: {told}"
    yield (
        f"{_signed(lesion.mean_hu)} ± {lesion.sd_hu:,.0f} HU; largest diameter in one slice "
        f"{lesion.axial_diameter_mm:.1f} mm; highest probability {probability(lesion.peak_probability)}; "
        f"most of it in slice {lesion.key_slice_number}."
    )


def _digits(value: float) -> str:
    """One decimal; two below 1, so that a small lesion is not 0.0."""
    return f"{value:,.1f}" if value >= 1 else f"{value:.2f}"


def _signed(value: float) -> str:
    return f"{value:,.0f}".replace("-", _MINUS)


def _thresholds(options: object) -> str:
    """From which values the maps count, where the system tells."""
    told = (
        ("threshold", "A pixel belongs to a lesion from a value of {:.2f} in the lesion map on."),
        ("bone_threshold", "Bone begins at {:.2f} in the bone map."),
        ("min_volume_mm3", "Lesions smaller than {:.0f} mm³ are not listed."),
    )
    known = options if isinstance(options, dict) else {}
    return " ".join(words.format(known[name]) for name, words in told if name in known)


def _definitions(bone: OwnBoneEntry | None, options: object) -> Iterator[Row]:
    """What the columns mean, and how they were made."""
    against = "Too little of the patient's reference bone was seen to compare the lesions with."
    if bone is not None:
        against = (
            f"Compared with the patient's reference bone outside lesions (median {_signed(bone.median_hu)} HU, "
            f"spread {bone.spread_hu:,.0f} HU): below {_signed(bone.lytic_below_hu)} HU it counts as lytic, "
            f"above {_signed(bone.blastic_above_hu)} HU as sclerotic. The density pattern follows from the shares "
            "of the lesion."
        )
    group = (
        "A connected group of pixels that the model predicts as metastasis, in three dimensions; numbered by volume."
    )
    yield Row("Lesion", group)
    if thresholds := _thresholds(options):
        yield Row("Thresholds", thresholds)
    yield Row("Site", "Named only where the anatomy seen in these images proves it, else not determined.")
    yield Row("Density pattern", against)
    yield Row("Volume", "Sum of its voxels.")
    yield Row("Largest diameter", "Largest distance between two of its points, in three dimensions.")
    yield Row("Mean HU", "Mean attenuation of its voxels.")
    yield Row("Probability", upper(_PROBABILITY))


@dataclass(frozen=True, slots=True)
class _Panel:
    """One side of the skeleton and the millimetres that it needs."""

    title: str
    view: mesh.View
    extent_mm: tuple[float, float]


def _draw_skeleton(path: Path, answer: Answer, lesions: Sequence[DrawnLesion]) -> Picture:
    """Draw the skeleton from the front and from the left; one that is flat, of a few slices, from the feet.

    Only what a model outlined carries its mark; the bone is found without one.

    Raises:
        OutputError: the picture cannot be written.
    """
    bones = bone_surfaces(answer)
    bodies = [*bones, *(lesion.surface for lesion in lesions if lesion.surface is not None)]
    front = _Panel("From the front", "anterior", _extent_mm(bodies, "anterior"))
    panels = [front, _Panel("From the left", "left", _extent_mm(bodies, "left"))]
    if front.extent_mm[1] < _FLAT * front.extent_mm[0]:
        panels = [_Panel("From the feet, as in a slice", "inferior", _extent_mm(bodies, "inferior"))]
    across, down = sum(p.extent_mm[0] for p in panels), max(p.extent_mm[1] for p in panels)
    room = _WIDEST - 2 * _MARGIN - _GAP * (len(panels) - 1) - 2 * _CALLOUT * len(panels)
    scale = min(room / across, _TALLEST / down)
    tall = down * scale
    used = across * scale + _GAP * (len(panels) - 1) + 2 * _CALLOUT * len(panels)
    sheet = Sheet(max(used + 2 * _MARGIN, 1000), tall + _HEAD + _FOOT)
    title = "Lesions in the skeleton" if lesions else "Skeleton"
    sheet.head(title, demo=answer.is_demo and bool(lesions))
    left, numbered = (sheet.width - used) / 2, 0
    for panel in panels:
        width = panel.extent_mm[0] * scale
        place = (left + _CALLOUT, _HEAD, width, tall)
        sheet.text(place[0], 76, panel.title, size=20, colour=MUTED)
        numbered = max(numbered, _draw_panel(sheet, place, panel, bones, lesions, mm_per_px=1 / scale))
        left += width + 2 * _CALLOUT + _GAP
    _legend(sheet, lesions)
    return sheet.picture(path, title, _caption(panels, lesions, numbered, looked=_looked(answer)))


def see_through(bones: Sequence[Surface], lesions: Sequence[Surface], camera: mesh.Camera) -> NDArray[np.uint8]:
    """A picture of bones through which the lesions shine.

    Returns:
        (height, width, 3) uint8, sRGB, on black.
    """
    whole = mesh.render([*bones, *lesions], camera=camera).rgb
    if not lesions:
        return whole
    dark = mesh.render(lesions, camera=camera).rgb.astype(np.float32)
    bright = mesh.render(lesions, camera=camera, background=(255, 255, 255)).rgb.astype(np.float32)
    covered = 1 - (bright - dark).mean(axis=2, keepdims=True) / 255
    share = _THROUGH * covered
    mixed = whole * (1 - share) + _THROUGH * dark
    return np.asarray(np.rint(np.clip(mixed, 0, 255)), dtype=np.uint8)


def _extent_mm(bodies: Sequence[Surface], view: mesh.View) -> tuple[float, float]:
    across, down = extent_mm(bodies, view)
    return max(across, 5.0) * _AROUND, max(down, 5.0) * _AROUND


def _draw_panel(
    sheet: Sheet,
    place: tuple[float, float, float, float],
    panel: _Panel,
    bones: Sequence[Surface],
    lesions: Sequence[DrawnLesion],
    *,
    mm_per_px: float,
) -> int:
    """Draw one side; gives how many lesions are numbered there."""
    left, top, width, height = place
    shown = [lesion.surface for lesion in lesions if lesion.surface is not None]
    camera = mesh.fit_camera([*bones, *shown], view=panel.view, size=(round(width), round(height)), mm_per_px=mm_per_px)
    axes = sheet.panel(left, top, width, height, extent_mm=(width * mm_per_px, height * mm_per_px))
    show_picture(axes, see_through(bones, shown, camera))
    right, up, _ = camera.axes
    show_letters(
        axes, (direction_letters(-right), direction_letters(right), direction_letters(up), direction_letters(-up))
    )
    show_scale_bar(axes)
    return _number(sheet, place, lesions, camera)


def _number(
    sheet: Sheet, place: tuple[float, float, float, float], lesions: Sequence[DrawnLesion], camera: mesh.Camera
) -> int:
    """Numbers in the margins with a line to the middle of each lesion; the first ones when not all find room."""
    left, top, width, height = place
    most = int((height - 20) // _STEP)
    points = {
        lesion.number: camera.project(lesion.surface.vertices_lps_mm.mean(axis=0, dtype=np.float64))[:2]
        for lesion in lesions[: 2 * most]
        if lesion.surface is not None
    }
    colours = {lesion.number: colour_hex(lesion.colour) for lesion in lesions}
    overlay = sheet.axes(left - _CALLOUT, top, width + 2 * _CALLOUT, height)
    overlay.set_xlim(-_CALLOUT, width + _CALLOUT)
    overlay.set_ylim(height, 0)
    overlay.set_axis_off()
    ranked = sorted(points, key=lambda number: float(points[number][0]))
    half = -(-len(ranked) // 2)
    for side, numbers in (("left", ranked[:half]), ("right", ranked[half:])):
        ordered = sorted(numbers, key=lambda number: float(points[number][1]))
        rows = _spread([float(points[number][1]) for number in ordered], low=12, high=height - 12)
        edge, text = (-6.0, -14.0) if side == "left" else (width + 6.0, width + 14.0)
        for number, row in zip(ordered, rows, strict=True):
            x, y = points[number]
            overlay.plot([x, edge], [y, row], color=colours[number], linewidth=0.9, alpha=0.75)
            overlay.plot([x], [y], marker="o", markersize=2.4, color=INK)
            overlay.text(
                text,
                row,
                str(number),
                ha="right" if side == "left" else "left",
                va="center",
                color=colours[number],
                fontsize=Sheet.points(20),
                weight="bold",
            )
    return len(points)


def _spread(wanted: Sequence[float], *, low: float, high: float) -> list[float]:
    """Ascending rows as near to the wanted ones as a least distance allows, inside two limits."""
    rows: list[float] = []
    for row in wanted:
        rows.append(max(row, low, rows[-1] + _STEP if rows else low))
    limit = high
    for place in range(len(rows) - 1, -1, -1):
        rows[place] = min(rows[place], limit)
        limit = rows[place] - _STEP
    return rows


def _legend(sheet: Sheet, lesions: Sequence[DrawnLesion]) -> None:
    """Which colour is which density pattern."""
    kinds = {item.kind: colour_hex(item.colour) for item in lesions}
    left = _MARGIN
    for density_pattern in ("lytic", "blastic", "mixed", NOT_DETERMINED):
        if density_pattern in kinds:
            words = PATTERNS[density_pattern]
            sheet.text(left, sheet.height - 40, "\u25cf", size=24, colour=kinds[density_pattern])
            sheet.text(left + 26, sheet.height - 38, words, size=20, colour=MUTED)
            left += 60 + 11.5 * len(words)


def _caption(panels: Sequence[_Panel], lesions: Sequence[DrawnLesion], numbered: int, *, looked: bool) -> str:
    sides = " and ".join(panel.title[:1].lower() + panel.title[1:] for panel in panels)
    told = f"Surface of the bone, parallel projection, to scale, seen {sides}."
    if not lesions:
        return f"{told} No lesion is listed." if looked else told
    through = "Lesions shine through the bone before them; a number is that of the list, a colour its density pattern."
    some = (
        ""
        if numbered >= len(lesions)
        else f" Only the first {numbered} of {count(len(lesions), 'lesion')} carry a number here."
    )
    return f"{told} {through}{some}"


REPORT: Final = SystemReport(TEXT, pictures, LesionEntries)
