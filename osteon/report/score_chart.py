"""scores.png: the model's probability along each leg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.report.area_chart import draw_areas
from osteon.report.lesions import lesions_of
from osteon.report.orientation import axis_letters, slice_positions_mm
from osteon.report.reading_of import slice_reading
from osteon.report.sheet import LIGHT, Sheet
from osteon.report.tasks import curve_title, task_words
from osteon.report.trust_strip import half_step_mm, strip_rows, strip_words
from osteon.report.view import View
from osteon.report.wording import direction_words

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from osteon.data import Answer, SliceScores, Volume
    from osteon.report.trust_strip import Stretch

__all__ = ["draw_scores"]

_WIDTH, _ROW, _HEAD, _FOOT = 1400.0, 330.0, 74.0, 84.0
_LEFT: Final = 168.0
_STRIP: Final = 37.0
"""Height of one strip under a curve, with its words."""
_AREA: Final = 150.0
"""Height of the curve of areas, with its words."""
_INK: Final = "#1b1f24"
_GREY: Final = "#69707a"
_RAW: Final = "#8b949e"
_SMOOTHED: Final = "#0072b2"
_RUN: Final = "#d55e00"
_DARK_RUN: Final = "#a84300"
_KINDS: Final = {
    "healthy": ("#e3e6ea", ""),
    "positive": ("#d55e00", ""),
    "either": ("#f0b98d", "////"),
    "neither": ("#1b1f24", ""),
    "called": ("#d55e00", ""),
    "free": ("#e3e6ea", ""),
    "differ": ("#1b1f24", ""),
    "same": ("#f4f5f6", ""),
    "like": ("#e3e6ea", ""),
    "unlike": ("#1b1f24", ""),
}
"""Colour and hatch of a stretch of slices."""


def draw_scores(path: Path, answer: Answer, volume: Volume) -> View:
    """Draw raw and smoothed probability, the threshold and the affected runs over the position in the patient.

    Raises:
        OutputError: the picture cannot be written.
    """
    curves = [scores for scores in slice_reading(answer).scores if len(scores.slices)]
    words, positions = task_words(answer.task), slice_positions_mm(volume.grid)
    half = max(half_step_mm(scores, volume.grid) for scores in curves)
    regions = {region.name: region for region in answer.regions}
    strips = [strip_rows(scores, regions.get(scores.region), positions, half) for scores in curves]
    strip = _STRIP * max(len(rows) for rows in strips)
    area = _AREA if any(scores.lesion_area_mm2 is not None for scores in curves) else 0.0
    row = _ROW + area + strip
    sheet = Sheet(_WIDTH, _HEAD + row * len(curves) + _FOOT, ground=LIGHT)
    curve = curve_title(answer)
    title = curve if len(curves) == 1 else f"{curve}s"
    sheet.text(24, 16, title, size=26, colour=_INK, weight="bold")
    if answer.is_demo:
        sheet.demo_mark(colour=_DARK_RUN)
    shown = [positions[scores.slices] for scores in curves]
    limits = (min(float(x.min()) for x in shown) - half, max(float(x.max()) for x in shown) + half)
    for number, (scores, rows) in enumerate(zip(curves, strips, strict=True)):
        top, region = _HEAD + number * row, regions.get(scores.region)
        axes = sheet.axes(_LEFT, top + 40, _WIDTH - _LEFT - 30, _ROW - 66)
        sheet.text(_LEFT, top + 8, scores.region.capitalize(), size=21, colour=_INK)
        if region is not None and region.novelty is not None and region.novelty.is_unlike:
            sheet.text(_LEFT + 130, top + 8, "unlike training", size=19, colour=_DARK_RUN, weight="bold")
        axes.set_xlim(*limits)
        _draw_curve(axes, scores, positions, half, called=words.called)
        lowest = [axes]
        if area:
            lowest.append(sheet.axes(_LEFT, top + _ROW + 2, _WIDTH - _LEFT - 30, area - 34))
            draw_areas(lowest[-1], scores, positions, half, lesions_of(answer))
        if rows:
            lowest.append(sheet.axes(_LEFT, top + _ROW + area - 18, _WIDTH - _LEFT - 30, _STRIP * len(rows) - 22))
            _draw_strips(lowest[-1], rows)
        _dress(axes)
        for one in lowest:
            one.set_xlim(*limits)
            is_last = one is lowest[-1] and number == len(curves) - 1
            one.tick_params(axis="x", labelbottom=is_last, colors=_GREY, labelsize=Sheet.points(18), length=4)
    start, end = (direction_words(letters) for letters in axis_letters(volume.grid))
    bottom = _HEAD + row * len(curves) + 14
    sheet.text(_LEFT, bottom + 10, f"towards the {start}", size=19, colour=_GREY)
    sheet.text(
        (_WIDTH + _LEFT - 30) / 2,
        bottom + 10,
        "position along the slice axis, mm in patient space",
        size=19,
        colour=_GREY,
        ha="center",
    )
    sheet.text(_WIDTH - 30, bottom + 10, f"towards the {end}", size=19, colour=_GREY, ha="right")
    sheet.save(path)
    return View(
        name="scores",
        path=path,
        title=curve,
        caption=_caption(curves, {name for rows in strips for name, _ in rows}, called=words.called),
        width=sheet.width,
        height=sheet.height,
    )


def _draw_curve(
    axes: Axes, scores: SliceScores, positions: NDArray[np.float64], half_mm: float, *, called: str
) -> None:
    """The curve inside limits that are set already: a word stands only where there is room for it."""
    low, high = axes.get_xlim()
    x = positions[scores.slices]
    for first, stop in scores.runs:
        ends = sorted((float(positions[first]), float(positions[stop - 1])))
        axes.axvspan(ends[0] - half_mm, ends[1] + half_mm, facecolor=_RUN, alpha=0.13, linewidth=0)
        axes.axvspan(
            ends[0] - half_mm, ends[1] + half_mm, fill=False, hatch="//", edgecolor=_RUN, alpha=0.35, linewidth=0
        )
        if (ends[1] - ends[0] + 2 * half_mm) / (high - low) < 0.011 * len(called):
            continue
        axes.text(
            sum(ends) / 2,
            0.07,
            called,
            ha="center",
            va="bottom",
            color=_DARK_RUN,
            fontsize=Sheet.points(19),
            weight="bold",
        )
    for first, stop in scores.withheld_runs:
        ends = sorted((float(positions[first]), float(positions[stop - 1])))
        axes.axvspan(ends[0] - half_mm, ends[1] + half_mm, fill=False, hatch="..", edgecolor=_GREY, alpha=0.35, lw=0)
        axes.text(sum(ends) / 2, 0.07, "not reported", ha="center", va="bottom", color=_GREY, fontsize=Sheet.points(19))
    if scores.spread is not None:
        least, most = (np.clip(scores.probability + sign * scores.spread, 0, 1) for sign in (-1, 1))
        axes.fill_between(x, least, most, color=_RAW, alpha=0.35, linewidth=0, label="spread of the networks")
    axes.axhline(scores.threshold, color=_INK, linewidth=1.3, linestyle=(0, (6, 4)))
    axes.plot(x, scores.probability, color=_RAW, linewidth=1.2, marker=".", markersize=3.5, label="each slice")
    if not np.array_equal(scores.probability, scores.smoothed):
        axes.plot(x, scores.smoothed, color=_SMOOTHED, linewidth=2.6, label="smoothed")
    axes.plot([], [], color=_INK, linewidth=1.3, linestyle=(0, (6, 4)), label=f"threshold {scores.threshold:.2f}")
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=4,
        frameon=False,
        fontsize=Sheet.points(18),
        labelcolor=_INK,
        borderaxespad=0.1,
    )


def _draw_strips(axes: Axes, rows: list[tuple[str, list[Stretch]]]) -> None:
    """Rows under a curve, as the prediction set of each slice, or what classifier and segmentation call."""
    for height, (_, stretches) in zip(range(len(rows) - 1, -1, -1), rows, strict=True):
        for stretch in stretches:
            colour, hatch = _KINDS[stretch.kind]
            axes.broken_barh(
                [(stretch.low_mm, stretch.high_mm - stretch.low_mm)],
                (height + 0.12, 0.76),
                facecolor=colour,
                edgecolor="#a84300" if hatch else colour,
                hatch=hatch,
                linewidth=0,
            )
    axes.set_ylim(0, len(rows))
    axes.set_yticks([len(rows) - 0.5 - place for place in range(len(rows))], [name for name, _ in rows])
    axes.tick_params(axis="y", colors=_GREY, labelsize=Sheet.points(18), length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def _dress(axes: Axes) -> None:
    axes.set_ylim(-0.02, 1.05)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.tick_params(colors=_GREY, labelsize=Sheet.points(18), length=4)
    axes.grid(visible=True, axis="y", color="#e3e6ea", linewidth=1)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#b7bdc5")


def _caption(curves: list[SliceScores], names: set[str], *, called: str) -> str:
    runs = sum(len(scores.runs) for scores in curves)
    shaded = f"Hatched: the runs of slices called {called}." if runs else f"No run of slices is called {called}."
    smoothed = any(not np.array_equal(scores.probability, scores.smoothed) for scores in curves)
    lines = "The model's probability for each slice (thin, dots) and smoothed (thick), with the threshold (dashed)."
    if not smoothed:
        lines = "The model's probability for each slice (dots), with the threshold (dashed)."
    if any(scores.source == "segmentation" for scores in curves):
        lines = "The highest value of the lesion map in each slice (dots), with the threshold (dashed)."
    agreed = [scores.agreement for scores in curves if scores.agreement is not None]
    alike = [f"Classifier and segmentation agree in {min(agreed):.0%} of slices."] if agreed else []
    return " ".join([lines, shaded, *strip_words(curves, names), *alike])
