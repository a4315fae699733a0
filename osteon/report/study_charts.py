"""Pictures of a study: measures with their intervals side by side, and how the trainings went."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from osteon.report.results_page import Picture
from osteon.report.sheet import LIGHT, Sheet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Curve", "Estimate", "draw_estimates", "draw_learning_curves"]

_INK: Final = "#1b1f24"
_GREY: Final = "#69707a"
_FOLDS: Final = "#0072b2"
_PATIENTS: Final = "#d55e00"
_PRINTED: Final = "#69707a"
_ROW: Final = 30
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A row of the chart: a name, a mean and its intervals; NaN or None where there is none.

    Attributes:
        name: of the run.
        mean: over folds, or of the one division.
        folds: Student's t interval.
        patients: bootstrap interval.
        printed: the paper's value and its interval; an interval of no width where it gives none.
        whole: of all test images together, where the bootstrap is of that and not of the mean.
    """

    name: str
    mean: float
    folds: tuple[float, float]
    patients: tuple[float, float]
    printed: tuple[float, float, float] | None = None
    whole: float | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """One fold's training: a measure of the validation part by epoch, the epoch kept, epochs at which a stage began."""

    panel: str
    values: tuple[float, ...] = field(repr=False)
    best_epoch: int
    stage_epochs: tuple[int, ...] = ()


def draw_estimates(path: Path, title: str, estimates: Sequence[Estimate], *, mark: str = "") -> Picture:
    """A mean with both intervals a row, the printed value beneath it, on an axis from 0 to 1.

    Args:
        path: of the PNG.
        title: of the measure.
        estimates: rows from the top.
        mark: words in the upper corner, as that the data are synthetic.

    Raises:
        OutputError: the picture cannot be written.
    """
    height = _ROW * len(estimates)
    sheet = Sheet(1100, height + 150, ground=LIGHT)
    sheet.text(20, 14, title, size=24, colour=_INK, weight="bold")
    if mark:
        sheet.text(1080, 18, mark, size=16, colour="#a84300", ha="right", weight="bold")
    left = max(210, 9 * max((len(one.name) for one in estimates), default=0))
    axes = sheet.axes(left, 60, 1070 - left, height)
    lowest = min((e.folds[0] for e in estimates if math.isfinite(e.folds[0])), default=0.0)
    highest = max((e.folds[1] for e in estimates if math.isfinite(e.folds[1])), default=1.0)
    axes.set_xlim(min(-0.02, lowest - 0.02), max(1.02, highest + 0.02))
    axes.set_ylim(len(estimates) - 0.5, -0.5)
    axes.axvspan(0, 1, color="#f4f6f8", zorder=0)
    for row, one in enumerate(estimates):
        whole = one.mean if one.whole is None else one.whole
        marks = ((-0.16, one.mean, one.folds, _FOLDS), (0.04, whole, one.patients, _PATIENTS))
        for offset, value, (low, high), colour in marks:
            if math.isfinite(low) and math.isfinite(high):
                axes.plot([low, high], [row + offset] * 2, color=colour, linewidth=3, solid_capstyle="butt")
            if math.isfinite(value):
                axes.plot(value, row + offset, "o", color=colour, markersize=6)
        if one.printed:
            mean, low, high = one.printed
            axes.plot([low, high], [row + 0.26] * 2, color=_PRINTED, linewidth=1.2, linestyle=(0, (3, 2)))
            axes.plot(mean, row + 0.26, "|", color=_PRINTED, markersize=8)
    axes.set_yticks(range(len(estimates)), [one.name for one in estimates], fontsize=Sheet.points(15))
    axes.tick_params(axis="x", labelsize=Sheet.points(14))
    axes.grid(axis="x", color="#d9dde2")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    legend = (("folds, Student's t", _FOLDS), ("patients, bootstrap", _PATIENTS), ("printed in the paper", _PRINTED))
    for number, (words, colour) in enumerate(legend[: 3 if any(e.printed for e in estimates) else 2]):
        sheet.text(left + 250 * number, height + 104, f"● {words}", size=15, colour=colour)
    sheet.save(path)
    resampled = "of all test images together" if any(e.whole is not None for e in estimates) else ""
    caption = (
        "Mean over folds; blue: 95 % interval over folds (Student's t, may leave 0 to 1), orange: 95 % patient "
        f"bootstrap{resampled and ' ' + resampled}, grey: the paper's printed values on other data."
    )
    return Picture(path, title, caption)


def draw_learning_curves(path: Path, curves: Sequence[Curve], *, measure: str = "AUC", mark: str = "") -> Picture:
    """A validation measure by epoch, a panel a run, a line a fold; a dot where weights were kept, a tick for a stage.

    Args:
        path: of the PNG.
        curves: of all folds of all runs.
        measure: what they show, between 0 and 1.
        mark: as of ``draw_estimates``.

    Raises:
        OutputError: the picture cannot be written.
    """
    panels = list(dict.fromkeys(curve.panel for curve in curves))
    across = min(3, max(1, len(panels)))
    down = math.ceil(len(panels) / across)
    width, tall = 1100 / across, 210
    sheet = Sheet(1100, 60 + tall * down, ground=LIGHT)
    title = f"Validation {measure} by epoch"
    sheet.text(20, 14, title, size=24, colour=_INK, weight="bold")
    if mark:
        sheet.text(1080, 18, mark, size=16, colour="#a84300", ha="right", weight="bold")
    for number, name in enumerate(panels):
        axes = sheet.axes(number % across * width + 48, 60 + number // across * tall + 26, width - 66, tall - 66)
        axes.set_title(name, fontsize=Sheet.points(15), color=_INK, loc="left")
        shown = [curve for curve in curves if curve.panel == name]
        for index, curve in enumerate(shown):
            colour = _COLOURS[index % len(_COLOURS)]
            axes.plot(range(1, len(curve.values) + 1), curve.values, color=colour, linewidth=1.3)
            if 1 <= curve.best_epoch <= len(curve.values):
                axes.plot(curve.best_epoch, curve.values[curve.best_epoch - 1], "o", color=colour, markersize=4)
            for epoch in curve.stage_epochs:
                axes.axvline(epoch - 0.5, ymax=0.06, color=colour, linewidth=1)
        axes.set_ylim(0, 1.03)
        axes.locator_params(axis="x", integer=True)  # an epoch is whole, also when there are few
        axes.set_xlim(0.5, max([1, *(len(curve.values) for curve in shown)]) + 0.5)  # a run that failed has no epoch
        axes.grid(color="#e6e9ec")
        axes.tick_params(labelsize=Sheet.points(12), colors=_GREY)
    sheet.save(path)
    caption = (
        "A line a fold; the dot is the epoch whose weights were kept. A short tick marks the first epoch of "
        "a new stage. The validation part chose the epoch, so these values are not results."
    )
    return Picture(path, title, caption)
