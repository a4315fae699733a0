"""scores.png: the model's probability along each leg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.report.orientation import axis_letters, slice_positions_mm
from osteon.report.sheet import LIGHT, Sheet
from osteon.report.trust_strip import has_strips, novelty_stretches, set_stretches, strip_words
from osteon.report.view import View
from osteon.report.wording import direction_words

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from osteon.data import Answer, Region, SliceScores, Volume

__all__ = ["draw_scores"]

_WIDTH, _ROW, _HEAD, _FOOT = 1400.0, 330.0, 74.0, 84.0
_LEFT: Final = 168.0
_STRIPS: Final = 74.0
"""Height of the strips under a curve, with their words."""
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
    "like": ("#e3e6ea", ""),
    "unlike": ("#1b1f24", ""),
}
"""Colour and hatch of a stretch of slices."""


def draw_scores(path: Path, answer: Answer, volume: Volume) -> View:
    """Draw raw and smoothed probability, the threshold and the affected runs over the position in the patient.

    Raises:
        OutputError: the picture cannot be written.
    """
    curves = [scores for scores in answer.scores if len(scores.slices)]
    strips = _STRIPS if any(has_strips(scores) for scores in curves) else 0.0
    row = _ROW + strips
    sheet = Sheet(_WIDTH, _HEAD + row * len(curves) + _FOOT, ground=LIGHT)
    sheet.text(
        24,
        16,
        "Probability along the leg" if len(curves) == 1 else "Probability along the legs",
        size=26,
        colour=_INK,
        weight="bold",
    )
    if any(model.is_demo for model in answer.models):
        sheet.demo_mark(colour=_DARK_RUN)
    positions = slice_positions_mm(volume.grid)
    shown = [positions[scores.slices] for scores in curves]
    low, high = min(float(x.min()) for x in shown), max(float(x.max()) for x in shown)
    half = volume.grid.spacing_mm[0] / 2
    regions = {region.name: region for region in answer.regions}
    for number, scores in enumerate(curves):
        top, region = _HEAD + number * row, regions.get(scores.region)
        axes = sheet.axes(_LEFT, top + 40, _WIDTH - _LEFT - 30, _ROW - 66)
        sheet.text(_LEFT, top + 8, scores.region.capitalize(), size=21, colour=_INK)
        if region is not None and region.novelty is not None and region.novelty.is_unlike:
            sheet.text(_LEFT + 130, top + 8, "unlike training", size=19, colour=_DARK_RUN, weight="bold")
        _draw_curve(axes, scores, positions, half)
        axes.set_xlim(low - half, high + half)
        is_last = number == len(curves) - 1
        _dress(axes, labels=is_last and not strips)
        if strips:
            strip = sheet.axes(_LEFT, top + _ROW - 18, _WIDTH - _LEFT - 30, strips - 22)
            _draw_strips(strip, scores, region, positions, half)
            strip.set_xlim(low - half, high + half)
            strip.tick_params(axis="x", labelbottom=is_last, colors=_GREY, labelsize=Sheet.points(18), length=4)
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
        title="Probability along the leg",
        caption=_caption(curves),
        width=sheet.width,
        height=sheet.height,
    )


def _draw_curve(axes: Axes, scores: SliceScores, positions: NDArray[np.float64], half_mm: float) -> None:
    x = positions[scores.slices]
    for first, stop in scores.runs:
        ends = sorted((float(positions[first]), float(positions[stop - 1])))
        axes.axvspan(ends[0] - half_mm, ends[1] + half_mm, facecolor=_RUN, alpha=0.13, linewidth=0)
        axes.axvspan(
            ends[0] - half_mm, ends[1] + half_mm, fill=False, hatch="//", edgecolor=_RUN, alpha=0.35, linewidth=0
        )
        axes.text(
            sum(ends) / 2,
            0.07,
            "affected",
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
        low, high = np.clip(scores.probability - scores.spread, 0, 1), np.clip(scores.probability + scores.spread, 0, 1)
        axes.fill_between(x, low, high, color=_RAW, alpha=0.35, linewidth=0, label="spread of the networks")
    axes.axhline(scores.threshold, color=_INK, linewidth=1.3, linestyle=(0, (6, 4)))
    axes.plot(x, scores.probability, color=_RAW, linewidth=1.2, marker=".", markersize=3.5, label="each slice")
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


def _draw_strips(
    axes: Axes, scores: SliceScores, region: Region | None, positions: NDArray[np.float64], half_mm: float
) -> None:
    """Two rows under a curve: the prediction set of each slice, and whether it is unlike the training images."""
    rows = (set_stretches(scores, positions, half_mm), novelty_stretches(scores, region, positions, half_mm))
    for height, stretches in zip((1.0, 0.0), rows, strict=True):
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
    axes.set_ylim(0, 2)
    axes.set_yticks([1.5, 0.5], ["set", "unlike training"])
    axes.tick_params(axis="y", colors=_GREY, labelsize=Sheet.points(18), length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def _dress(axes: Axes, *, labels: bool) -> None:
    axes.set_ylim(-0.02, 1.05)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.tick_params(colors=_GREY, labelsize=Sheet.points(18), length=4)
    axes.tick_params(axis="x", labelbottom=labels)
    axes.grid(visible=True, axis="y", color="#e3e6ea", linewidth=1)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#b7bdc5")


def _caption(curves: list[SliceScores]) -> str:
    runs = sum(len(scores.runs) for scores in curves)
    shaded = "Hatched: the runs of slices called affected." if runs else "No run of slices is called affected."
    lines = "The model's probability for each slice (thin, dots) and smoothed (thick), with the threshold (dashed)."
    return " ".join([lines, shaded, *strip_words(curves)])
