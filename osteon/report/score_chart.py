"""scores.png: the model's probability along each leg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from osteon.report.orientation import axis_letters, slice_positions_mm
from osteon.report.sheet import LIGHT, Sheet
from osteon.report.view import View
from osteon.report.wording import direction_words

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from osteon.data import Answer, SliceScores, Volume

__all__ = ["draw_scores"]

_WIDTH, _ROW, _HEAD, _FOOT = 1400.0, 330.0, 74.0, 84.0
_INK: Final = "#1b1f24"
_GREY: Final = "#69707a"
_RAW: Final = "#8b949e"
_SMOOTHED: Final = "#0072b2"
_RUN: Final = "#d55e00"


def draw_scores(path: Path, answer: Answer, volume: Volume) -> View:
    """Draw raw and smoothed probability, the threshold and the affected runs over the position in the patient.

    Raises:
        OutputError: the picture cannot be written.
    """
    curves = [scores for scores in answer.scores if len(scores.slices)]
    sheet = Sheet(_WIDTH, _HEAD + _ROW * len(curves) + _FOOT, ground=LIGHT)
    sheet.text(
        24,
        16,
        "Probability along the leg" if len(curves) == 1 else "Probability along the legs",
        size=26,
        colour=_INK,
        weight="bold",
    )
    if any(model.is_demo for model in answer.models):
        sheet.demo_mark(colour="#a84300")
    positions = slice_positions_mm(volume.grid)
    shown = [positions[scores.slices] for scores in curves]
    low, high = min(float(x.min()) for x in shown), max(float(x.max()) for x in shown)
    half = volume.grid.spacing_mm[0] / 2
    for number, scores in enumerate(curves):
        axes = sheet.axes(92, _HEAD + number * _ROW + 40, _WIDTH - 92 - 30, _ROW - 66)
        sheet.text(92, _HEAD + number * _ROW + 8, scores.region.capitalize(), size=21, colour=_INK)
        _draw_curve(axes, scores, positions, half)
        axes.set_xlim(low - half, high + half)
        _dress(axes, last=number == len(curves) - 1)
    start, end = (direction_words(letters) for letters in axis_letters(volume.grid))
    bottom = _HEAD + _ROW * len(curves) + 14
    sheet.text(92, bottom + 10, f"towards the {start}", size=19, colour=_GREY)
    sheet.text(
        (_WIDTH + 62) / 2,
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
            color="#a84300",
            fontsize=Sheet.points(19),
            weight="bold",
        )
    axes.axhline(scores.threshold, color=_INK, linewidth=1.3, linestyle=(0, (6, 4)))
    axes.plot(x, scores.probability, color=_RAW, linewidth=1.2, marker=".", markersize=3.5, label="each slice")
    axes.plot(x, scores.smoothed, color=_SMOOTHED, linewidth=2.6, label="smoothed")
    axes.plot([], [], color=_INK, linewidth=1.3, linestyle=(0, (6, 4)), label=f"threshold {scores.threshold:.2f}")
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=3,
        frameon=False,
        fontsize=Sheet.points(18),
        labelcolor=_INK,
        borderaxespad=0.1,
    )


def _dress(axes: Axes, *, last: bool) -> None:
    axes.set_ylim(-0.02, 1.05)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.tick_params(colors=_GREY, labelsize=Sheet.points(18), length=4)
    axes.tick_params(axis="x", labelbottom=last)
    axes.grid(visible=True, axis="y", color="#e3e6ea", linewidth=1)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#b7bdc5")


def _caption(curves: list[SliceScores]) -> str:
    runs = sum(len(scores.runs) for scores in curves)
    shaded = "Hatched: the runs of slices called affected." if runs else "No run of slices reaches the threshold."
    lines = "The model's probability for each slice (thin, dots) and smoothed (thick), with the threshold (dashed)."
    return f"{lines} {shaded}"
