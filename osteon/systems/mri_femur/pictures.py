"""What the report of a marked lesion shows: where it is, how it is outlined, and what the model says of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.data import SliceReading
from osteon.geometry import Box
from osteon.report import SystemReport, sheet
from osteon.report.blocks import Figure, Heading, Paragraph, Part
from osteon.report.findings import SliceEntries, finished, slice_entries
from osteon.report.orientation import Display
from osteon.report.sections import findings_section, trust_section
from osteon.report.slices import SliceLook, affected_boxes, crop_window, draw_heat_maps
from osteon.report.wording import probability
from osteon.systems.mri_femur.text import TEXT

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from osteon.data import Answer, Radiograph, Region, SliceScores, Volume
    from osteon.report.blocks import Block, Drawing, Picture
    from osteon.report.findings import Findings

__all__ = ["REPORT", "draw_marked_slice", "draw_probability", "pictures"]

_TITLE: Final = "Probability of malignant"
_LOOK: Final = SliceLook(
    curve=_TITLE,
    map_curve=_TITLE,
    predicted="malignant",
    margin_mm=0.0,
    explained="malignant",
    not_predicted="not predicted malignant",
)
_HEAT: Final = (
    "A heat map shows what the model used for its score. It is neither a segmentation nor an outline of a tumour."
)
_SIDE, _EDGE, _GAP, _HEAD, _FOOT = 620.0, 24.0, 26.0, 112.0, 24.0
_PERCENTILES: Final = (1.0, 99.5)
_WIDTH, _HEIGHT = 1100.0, 300.0
_GREY: Final = "#69707a"
_BENIGN: Final = "#0072b2"
_MALIGNANT: Final = "#d55e00"


def pictures(answer: Answer, volume: Volume | Radiograph, findings: Findings) -> Part:
    """The marked lesion on its slice, the probability, and where the model looked."""
    reading = answer.detail_as(SliceReading)
    entries = finished(slice_entries(reading, volume))
    drawings: dict[str, Drawing] = {
        "overview": partial(draw_marked_slice, answer=answer, volume=volume),
    }
    if reading.scores:
        drawings["scores"] = partial(draw_probability, answer=answer, scores=reading.scores[0])
    blocks: list[Block] = [
        Heading("Key pictures", anchor="pictures", only="page"),
        Figure("overview", tallest_mm=92),
        Figure("scores", only="page"),
        *findings_section(findings, TEXT),
        *((Heading(_TITLE, only="paper"),) if reading.scores else ()),
        Figure("scores", tallest_mm=70, only="paper"),
        *trust_section(findings, entries.scores),
    ]
    if reading.heat_maps:
        drawings["heat_maps"] = partial(draw_heat_maps, reading=reading, volume=volume, look=_LOOK, demo=answer.is_demo)
        blocks += [Heading("Model attention (Grad-CAM)", anchor="heat"), Paragraph(_HEAT), Figure("heat_maps")]
    return Part(tuple(blocks), drawings, entries)


def draw_marked_slice(path: Path, answer: Answer, volume: Volume | Radiograph) -> Picture:
    """The whole slice with the lesion's box and what the model was shown, and beside it that part enlarged.

    Raises:
        OutputError: the picture cannot be written.
    """
    display, region = Display.of(volume.grid), answer.regions[0]
    index = int(np.flatnonzero(region.present)[0])
    whole = Box(start=(index, 0, 0), stop=(index + 1, *volume.grid.shape[1:]))
    near = crop_window(region, volume.grid, margin_mm=0.0)
    low, high = (float(value) for value in np.percentile(volume.array[index], _PERCENTILES))
    sizes = [display.extent_mm(box) for box in (whole, near)]
    scales = [min(_SIDE / across, _SIDE / down) for across, down in sizes]
    widths = [across * scale for (across, _), scale in zip(sizes, scales, strict=True)]
    height = max(down * scale for (_, down), scale in zip(sizes, scales, strict=True))
    canvas = sheet.Sheet(max(2 * _EDGE + sum(widths) + _GAP, 1000), _HEAD + height + _FOOT)
    is_shown = bool(answer.models)
    title = "The lesion that was evaluated" if is_shown else "The lesion that was marked"
    canvas.head(title, demo=answer.is_demo)
    left = _EDGE
    titles = (f"Slice {index + 1} of {volume.grid.shape[0]}", "What the model was shown" if is_shown else "Enlarged")
    for words, box, extent, scale in zip(titles, (whole, near), sizes, scales, strict=True):
        axes = canvas.panel(left, _HEAD, extent[0] * scale, extent[1] * scale, extent_mm=extent)
        canvas.text(left, 74, words, size=20, colour=sheet.MUTED)
        sheet.show_image(axes, display.crop(volume.array, box, index), low=low, high=max(high, low + 1e-6))
        _outline(axes, answer, volume, box)
        for lesion in affected_boxes(answer):
            _frame(
                axes,
                display.place_mm(lesion, box),
                sheet.AFFECTED,
                dashes=(5, 2),
                label="lesion" if box is whole else "",
            )
        if box is whole:
            place = display.place_mm(region.box, box)
            _frame(
                axes,
                place,
                sheet.REGION,
                dashes=(1, 3),
                label="shown to the model" if is_shown else "enlarged",
                below=True,
            )
        if volume.grid.is_in_mm:
            sheet.show_letters(axes, display.edge_letters(display.slice_axis))
            sheet.show_scale_bar(axes)
        left += extent[0] * scale + _GAP
    return canvas.picture(path, title, _slice_caption(answer, volume))


def draw_probability(path: Path, answer: Answer, scores: SliceScores) -> Picture:
    """The probability of malignant on a line from 0 to 1, with the threshold and the spread of the networks.

    Raises:
        OutputError: the picture cannot be written.
    """
    region = answer.regions[0]
    canvas = sheet.Sheet(_WIDTH, _HEIGHT, ground=sheet.LIGHT)
    canvas.head(_TITLE, demo=answer.is_demo, light=True)
    axes = canvas.axes(_EDGE + 30, 112, _WIDTH - 2 * _EDGE - 60, 92)
    is_ood = region.ood is not None and region.ood.is_ood
    _draw_line(axes, scores, is_ood=is_ood)
    canvas.text(
        _EDGE,
        256,
        _probability_text(scores, region),
        size=19,
        colour=sheet.DARK_AFFECTED if is_ood else sheet.DARK_INK,
    )
    spread = "" if scores.spread is None else " Bar: standard deviation over the networks."
    sets = " The prediction set names what cannot be ruled out at its error rate." if scores.sets else ""
    caption = (
        "Diamond: the model's calibrated probability of malignant. Dashed: the threshold from which a lesion is "
        f"predicted malignant.{spread}{sets} An empty diamond: the image is out of distribution."
    )
    return canvas.picture(path, _TITLE, caption)


def _draw_line(axes: Axes, scores: SliceScores, *, is_ood: bool) -> None:
    value, threshold = float(scores.probability[0]), scores.threshold
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.axvspan(0, threshold, 0.3, 0.7, facecolor=_BENIGN, alpha=0.14, linewidth=0)
    axes.axvspan(threshold, 1, 0.3, 0.7, facecolor=_MALIGNANT, alpha=0.14, linewidth=0)
    axes.axvspan(threshold, 1, 0.3, 0.7, fill=False, hatch="//", edgecolor=_MALIGNANT, alpha=0.3, linewidth=0)
    axes.plot([threshold, threshold], [0.2, 0.8], color=sheet.DARK_INK, linewidth=1.6, linestyle=(0, (5, 3)))
    size: dict[str, Any] = {"fontsize": sheet.Sheet.points(18), "va": "bottom"}
    for text, place, align in (("benign", 0.0, "left"), ("malignant", 1.0, "right")):
        axes.text(place, 0.76, text, ha=align, color=_GREY, **size)
    if 0.12 < threshold < 0.85:
        axes.text(threshold, 0.84, f"threshold {threshold:.2f}", ha="center", color=sheet.DARK_INK, **size)
    if scores.spread is not None:
        ends = np.clip([value - float(scores.spread[0]), value + float(scores.spread[0])], 0, 1)
        axes.plot(ends, [0.5, 0.5], color=sheet.DARK_INK, linewidth=5, alpha=0.45, solid_capstyle="butt")
    axes.plot(
        [value],
        [0.5],
        marker="D",
        markersize=13,
        color=sheet.LIGHT if is_ood else _MALIGNANT if value >= threshold else _BENIGN,
        markeredgecolor=sheet.DARK_INK,
        markeredgewidth=1.6,
        clip_on=False,
    )
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_yticks([])
    axes.tick_params(colors=_GREY, labelsize=sheet.Sheet.points(18), length=4)
    axes.patch.set_alpha(0)
    sheet.plain_axes(axes, without=("top", "right", "left"))
    axes.spines["bottom"].set_color("#b7bdc5")


def _probability_text(scores: SliceScores, region: Region) -> str:
    if region.ood is not None and region.ood.is_ood:
        return (
            f"Not reported as an answer: outside the model's training range (score {region.ood.score:.2f}, "
            f"threshold {region.ood.threshold:.2f})"
        )
    words = f"Probability {probability(float(scores.probability[0]))}"
    if scores.spread is not None:
        words += f", spread of the networks {scores.spread[0]:.2f}"
    if scores.sets and scores.error_rate is not None:
        kept = {"either": "benign and malignant", "neither": "neither class"}.get(scores.sets[0], scores.sets[0])
        words += f"; at an error rate of {100 * scores.error_rate:g} %: {kept}"
    return words


def _slice_caption(answer: Answer, volume: Volume | Radiograph) -> str:
    drawn = any(mask.is_drawn for mask in answer.masks.values())
    line = (
        f" Blue line: the outline{' as it was drawn' if drawn else ' found inside the drawn box'}."
        if answer.masks
        else ""
    )
    scale = "" if volume.grid.is_in_mm else " The size of a pixel and the side of the patient are not known."
    shown = " that the model was shown" if answer.models else ""
    return (
        "Left: the slice, from its 1st to its 99.5th percentile. Dashed frame: the box of the lesion; "
        f"dotted frame: the part with its margin{shown}, enlarged on the right.{line}{scale}"
    )


def _frame(
    axes: Axes,
    place_mm: tuple[float, float, float, float],
    colour: str,
    *,
    dashes: tuple[int, int],
    label: str,
    below: bool = False,
) -> None:
    """A frame that hides nothing of what is in it, seen on any ground; its word stands above or below it."""
    from matplotlib.patches import Rectangle

    left, top, right, bottom = place_mm
    size = (left, top), right - left, bottom - top
    axes.add_patch(Rectangle(*size, fill=False, ec="#000000", lw=3.4, alpha=0.55, clip_on=False))
    axes.add_patch(Rectangle(*size, fill=False, ec=colour, lw=1.8, ls=(0, dashes), clip_on=False))
    if label:
        height = axes.get_ylim()[0]
        place = (left, min(bottom + 0.045 * height, height)) if below else (left, top)
        sheet.show_word(axes, label, place, colour=colour, size=17)


def _outline(axes: Axes, answer: Answer, volume: Volume | Radiograph, box: Box) -> None:
    """Line around the lesion, as far as it is in the box."""
    display = Display.of(volume.grid)
    row, column = display.plane_axes()
    for mask in answer.masks.values():
        if mask.grid.same_as(volume.grid):
            inside = display.crop(mask.array, box, box.start[0]) > 0
            sheet.show_outline(
                axes, inside, (display.spacing_mm[row], display.spacing_mm[column]), colour=sheet.BONE, width=1.4
            )


REPORT: Final = SystemReport(TEXT, pictures, SliceEntries)
