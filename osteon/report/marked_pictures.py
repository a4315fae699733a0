"""Pictures of one marked lesion on one slice: where it lies, how it is outlined, and what the model says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.geometry import Box
from osteon.report.orientation import Display
from osteon.report.reading_of import slice_reading
from osteon.report.selection import affected_boxes
from osteon.report.sheet import (
    AFFECTED,
    BONE,
    LIGHT,
    MUTED,
    REGION,
    Sheet,
    show_image,
    show_letters,
    show_scale_bar,
    show_word,
)
from osteon.report.slice_sheet import crop_window
from osteon.report.view import View
from osteon.report.wording import probability

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from osteon.data import Answer, Region, SliceScores, Volume

__all__ = ["draw_marked_slice", "draw_probability"]

_SIDE, _EDGE, _GAP, _HEAD, _FOOT = 620.0, 24.0, 26.0, 112.0, 24.0
_PERCENTILES: Final = (1.0, 99.5)
_WIDTH, _HEIGHT = 1100.0, 300.0
_DARK: Final = "#1b1f24"
_GREY: Final = "#69707a"
_BENIGN: Final = "#0072b2"
_MALIGNANT: Final = "#d55e00"


def draw_marked_slice(path: Path, answer: Answer, volume: Volume) -> View:
    """The whole slice with the lesion's box and what the model was shown, and beside it that part enlarged.

    Raises:
        OutputError: the picture cannot be written.
    """
    display, region = Display.of(volume.grid), answer.regions[0]
    index = int(np.flatnonzero(region.present)[0])
    whole = Box(start=(index, 0, 0), stop=(index + 1, *volume.grid.shape[1:]))
    near = crop_window(region, volume.grid, margin_mm=0.0)
    low, high = (float(value) for value in np.percentile(volume.array[index], _PERCENTILES))
    sizes = [_extent_mm(display, box) for box in (whole, near)]
    scales = [min(_SIDE / across, _SIDE / down) for across, down in sizes]
    widths = [across * scale for (across, _), scale in zip(sizes, scales, strict=True)]
    height = max(down * scale for (_, down), scale in zip(sizes, scales, strict=True))
    sheet = Sheet(max(2 * _EDGE + sum(widths) + _GAP, 1000), _HEAD + height + _FOOT)
    sheet.text(_EDGE, 18, "The lesion that was judged", size=26, weight="bold")
    if answer.is_demo:
        sheet.demo_mark()
    left = _EDGE
    titles = (f"Slice {index + 1} of {volume.grid.shape[0]}", "What the model was shown")
    for title, box, extent, scale in zip(titles, (whole, near), sizes, scales, strict=True):
        axes = sheet.panel(left, _HEAD, extent[0] * scale, extent[1] * scale, extent_mm=extent)
        sheet.text(left, 74, title, size=20, colour=MUTED)
        show_image(axes, _plane(display, volume.array, box), low=low, high=max(high, low + 1e-6))
        _outline(axes, answer, volume, display, box)
        for lesion in affected_boxes(answer):
            _frame(axes, _place(display, lesion, box), AFFECTED, dashes=(5, 2), label="lesion" if box is whole else "")
        if box is whole:
            place = _place(display, region.box, box)
            _frame(axes, place, REGION, dashes=(1, 3), label="shown to the model", below=True)
        if volume.grid.is_in_mm:
            show_letters(axes, display.edge_letters(display.slice_axis))
            show_scale_bar(axes)
        left += extent[0] * scale + _GAP
    sheet.save(path)
    return View(
        name="overview",
        path=path,
        title="The lesion that was judged",
        caption=_slice_caption(answer, volume),
        width=sheet.width,
        height=sheet.height,
    )


def draw_probability(path: Path, answer: Answer) -> View:
    """The probability of malignant on a line from 0 to 1, with the threshold and the spread of the networks.

    Raises:
        OutputError: the picture cannot be written.
    """
    scores, region = slice_reading(answer).scores[0], answer.regions[0]
    sheet = Sheet(_WIDTH, _HEIGHT, ground=LIGHT)
    sheet.text(_EDGE, 16, "Probability of malignant", size=26, colour=_DARK, weight="bold")
    if answer.is_demo:
        sheet.demo_mark(colour="#a84300")
    axes = sheet.axes(_EDGE + 30, 112, _WIDTH - 2 * _EDGE - 60, 92)
    is_unlike = region.novelty is not None and region.novelty.is_unlike
    _draw_line(axes, scores, is_unlike=is_unlike)
    sheet.text(_EDGE, 256, _probability_words(scores, region), size=19, colour="#a84300" if is_unlike else _DARK)
    sheet.save(path)
    return View(
        name="scores",
        path=path,
        title="Probability of malignant",
        caption=_probability_caption(scores),
        width=sheet.width,
        height=sheet.height,
    )


def _draw_line(axes: Axes, scores: SliceScores, *, is_unlike: bool) -> None:
    value, threshold = float(scores.probability[0]), scores.threshold
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.axvspan(0, threshold, 0.3, 0.7, facecolor=_BENIGN, alpha=0.14, linewidth=0)
    axes.axvspan(threshold, 1, 0.3, 0.7, facecolor=_MALIGNANT, alpha=0.14, linewidth=0)
    axes.axvspan(threshold, 1, 0.3, 0.7, fill=False, hatch="//", edgecolor=_MALIGNANT, alpha=0.3, linewidth=0)
    axes.plot([threshold, threshold], [0.2, 0.8], color=_DARK, linewidth=1.6, linestyle=(0, (5, 3)))
    size: dict[str, Any] = {"fontsize": Sheet.points(18), "va": "bottom"}
    for text, place, align in (("benign", 0.0, "left"), ("malignant", 1.0, "right")):
        axes.text(place, 0.76, text, ha=align, color=_GREY, **size)
    if 0.12 < threshold < 0.85:
        axes.text(threshold, 0.84, f"threshold {threshold:.2f}", ha="center", color=_DARK, **size)
    if scores.spread is not None:
        ends = np.clip([value - float(scores.spread[0]), value + float(scores.spread[0])], 0, 1)
        axes.plot(ends, [0.5, 0.5], color=_DARK, linewidth=5, alpha=0.45, solid_capstyle="butt")
    axes.plot(
        [value],
        [0.5],
        marker="D",
        markersize=13,
        color=LIGHT if is_unlike else _MALIGNANT if value >= threshold else _BENIGN,
        markeredgecolor=_DARK,
        markeredgewidth=1.6,
        clip_on=False,
    )
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_yticks([])
    axes.tick_params(colors=_GREY, labelsize=Sheet.points(18), length=4)
    axes.patch.set_alpha(0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#b7bdc5")


def _probability_words(scores: SliceScores, region: Region) -> str:
    if region.novelty is not None and region.novelty.is_unlike:
        return (
            f"Not reported as an answer: unlike anything this model was trained on (score {region.novelty.score:.2f}, "
            f"threshold {region.novelty.threshold:.2f})"
        )
    words = f"Probability {probability(float(scores.probability[0]))}"
    if scores.spread is not None:
        words += f", spread of the networks {scores.spread[0]:.2f}"
    if scores.sets and scores.error_rate is not None:
        kept = {"either": "benign and malignant", "neither": "neither class"}.get(scores.sets[0], scores.sets[0])
        words += f"; at an error rate of {100 * scores.error_rate:g} %: {kept}"
    return words


def _probability_caption(scores: SliceScores) -> str:
    spread = "" if scores.spread is None else " Bar: standard deviation over the networks."
    sets = " The prediction set names what cannot be ruled out at its error rate." if scores.sets else ""
    return (
        "Diamond: the model's calibrated probability of malignant. Dashed: the threshold from which a lesion is called "
        f"malignant.{spread}{sets} An empty diamond: the image is unlike those of training."
    )


def _slice_caption(answer: Answer, volume: Volume) -> str:
    drawn = any(mask.is_drawn for mask in answer.masks.values())
    line = (
        f" Blue line: the outline{' as it was drawn' if drawn else ' found inside the drawn box'}."
        if answer.masks
        else ""
    )
    scale = "" if volume.grid.is_in_mm else " The size of a pixel and the side of the patient are not known."
    return (
        "Left: the slice, from its 1st to its 99.5th percentile. Dashed frame: the box of the lesion; "
        f"dotted frame: the part with its margin that the model was shown, enlarged on the right.{line}{scale}"
    )


def _extent_mm(display: Display, box: Box) -> tuple[float, float]:
    shape = display.box(box).shape
    row, column = (k for k in range(3) if k != display.slice_axis)
    return shape[column] * display.spacing_mm[column], shape[row] * display.spacing_mm[row]


def _plane(display: Display, array: NDArray[Any], box: Box) -> NDArray[Any]:
    """One slice of the array inside the box, as it is shown."""
    inside = display.box(box)
    row, column = (k for k in range(3) if k != display.slice_axis)
    whole = display.plane(array, box.start[0])
    return whole[inside.start[row] : inside.stop[row], inside.start[column] : inside.stop[column]]


def _place(display: Display, box: Box, window: Box) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a box in millimetres of the window's panel."""
    inner, outer = display.box(box), display.box(window)
    row, column = (k for k in range(3) if k != display.slice_axis)
    left, right = (
        (end - outer.start[column]) * display.spacing_mm[column] for end in (inner.start[column], inner.stop[column])
    )
    top, bottom = ((end - outer.start[row]) * display.spacing_mm[row] for end in (inner.start[row], inner.stop[row]))
    return left, top, right, bottom


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
        show_word(axes, label, place, colour=colour, size=17)


def _outline(axes: Axes, answer: Answer, volume: Volume, display: Display, box: Box) -> None:
    """Line around the lesion, halfway between pixels inside and outside."""
    row, column = (k for k in range(3) if k != display.slice_axis)
    for mask in answer.masks.values():
        inside = np.pad(_plane(display, mask.array, box) > 0, 1).astype(np.float32)
        if not inside.any() or not mask.grid.same_as(volume.grid):
            continue
        y = (np.arange(inside.shape[0]) - 0.5) * display.spacing_mm[row]
        x = (np.arange(inside.shape[1]) - 0.5) * display.spacing_mm[column]
        axes.contour(x, y, inside, levels=[0.5], colors=[BONE], linewidths=1.4)
