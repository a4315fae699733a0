"""Pictures of studies: measures with their intervals, fold by fold, how trainings went, ROC curves, outlines."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.report.sheet import (
    AFFECTED,
    DARK_INK,
    INK,
    MUTED,
    Sheet,
    chart_sheet,
    plain_axes,
    show_image,
    show_outline,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.report.blocks import Picture

__all__ = [
    "Curve",
    "Estimate",
    "FoldDots",
    "OutlinedImage",
    "PrintedPoint",
    "RocLine",
    "draw_estimates",
    "draw_folds",
    "draw_learning_curves",
    "draw_outlines",
    "draw_roc",
    "thumbnail",
]

_GREY: Final = "#69707a"
_LINE: Final = "#b8c0c8"
_FOLDS: Final = "#0072b2"
_PATIENTS: Final = "#d55e00"
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_MARKS: Final = ("s", "^", "D", "v")
_ROW: Final = 30
_SIDE: Final = 520
_FOLD_ROW: Final = 40
_PANEL: Final = 176
_GAP: Final = 10
_TOP: Final = 96
_LEFT: Final = 20
_THUMBNAIL: Final = 168


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
    sheet = chart_sheet(1100, height + 150, title, mark)
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
            axes.plot([low, high], [row + 0.26] * 2, color=_GREY, linewidth=1.2, linestyle=(0, (3, 2)))
            axes.plot(mean, row + 0.26, "|", color=_GREY, markersize=8)
    axes.set_yticks(range(len(estimates)), [one.name for one in estimates], fontsize=Sheet.points(15))
    axes.tick_params(axis="x", labelsize=Sheet.points(14))
    axes.grid(axis="x", color="#d9dde2")
    axes.set_axisbelow(True)
    plain_axes(axes, without=("top", "right", "left"))
    legend = (("folds, Student's t", _FOLDS), ("patients, bootstrap", _PATIENTS), ("printed in the paper", _GREY))
    for number, (words, colour) in enumerate(legend[: 3 if any(e.printed for e in estimates) else 2]):
        sheet.text(left + 250 * number, height + 104, f"● {words}", size=15, colour=colour)
    resampled = "of all test images together" if any(e.whole is not None for e in estimates) else ""
    caption = (
        "Mean over folds; blue: 95 % interval over folds (Student's t, may leave 0 to 1), orange: 95 % patient "
        f"bootstrap{resampled and ' ' + resampled}, grey: the paper's printed values on other data."
    )
    return sheet.picture(path, title, caption)


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
    title = f"Validation {measure} by epoch"
    sheet = chart_sheet(1100, 60 + tall * down, title, mark)
    for number, name in enumerate(panels):
        axes = sheet.axes(number % across * width + 48, 60 + number // across * tall + 26, width - 66, tall - 66)
        axes.set_title(name, fontsize=Sheet.points(15), color=DARK_INK, loc="left")
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
    caption = (
        "A line a fold; the dot is the epoch whose weights were kept. A short tick marks the first epoch of "
        "a new stage. The validation part chose the epoch, so these values are not results."
    )
    return sheet.picture(path, title, caption)


@dataclass(frozen=True, slots=True)
class FoldDots:
    """A row of the chart.

    Attributes:
        name: of the method.
        values: one a fold, as shares; NaN where there is none.
        printed: as ``values``, of the paper; empty where it prints none.
    """

    name: str
    values: tuple[float, ...] = field(repr=False)
    printed: tuple[float, ...] = field(default=(), repr=False)


def draw_folds(path: Path, title: str, rows: Sequence[FoldDots], *, mark: str = "") -> Picture:
    """A dot a fold, a line from the least to the most, a tick at the mean; the paper's folds in grey below.

    Args:
        path: of the PNG.
        title: of the measure.
        rows: from the top.
        mark: words in the upper corner, as that the data are synthetic.

    Raises:
        OutputError: the picture cannot be written.
    """
    height = _FOLD_ROW * max(1, len(rows))
    sheet = chart_sheet(1100, height + 150, title, mark)
    axes = sheet.axes(290, 60, 780, height)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    for number, row in enumerate(rows):
        found = [value for value in row.values if math.isfinite(value)]
        if found:
            axes.plot([min(found), max(found)], [number - 0.14] * 2, color=_LINE, linewidth=2, zorder=1)
            axes.plot(sum(found) / len(found), number - 0.14, "|", color=DARK_INK, markersize=17, zorder=3)
        for fold, value in enumerate(row.values):
            if math.isfinite(value):
                colour = _COLOURS[fold % len(_COLOURS)]
                axes.plot(value, number - 0.14, "o", color=colour, markersize=6, zorder=2)
        if row.printed:
            axes.plot(row.printed, [number + 0.22] * len(row.printed), "d", color=_GREY, markersize=4)
    axes.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=Sheet.points(15))
    axes.tick_params(axis="x", labelsize=Sheet.points(14))
    axes.grid(axis="x", color="#d9dde2")
    axes.set_axisbelow(True)
    plain_axes(axes, without=("top", "right", "left"))
    folds = max((len(row.values) for row in rows), default=0)
    for fold in range(folds):
        sheet.text(290 + 100 * fold, height + 104, f"● fold {fold + 1}", size=15, colour=_COLOURS[fold % len(_COLOURS)])
    if any(row.printed for row in rows):
        sheet.text(290 + 100 * folds, height + 104, "◆ printed in the paper", size=15, colour=_GREY)
    caption = (
        "A dot a fold on its own test part, a tick at their mean, a line from the least to the most. Grey, below: the "
        "folds that the paper prints, on other data."
    )
    return sheet.picture(path, title, caption)


@dataclass(frozen=True, slots=True, eq=False)
class RocLine:
    """A classifier's curve.

    Attributes:
        name: for the legend.
        false_positive_rate: (points,) rising from 0 to 1.
        true_positive_rate: (points,) as that.
        point: (false positive rate, true positive rate) at which it was judged.
        words: behind the name, as its AUC.
    """

    name: str
    false_positive_rate: NDArray[np.float64] = field(repr=False)
    true_positive_rate: NDArray[np.float64] = field(repr=False)
    point: tuple[float, float]
    words: str = ""


@dataclass(frozen=True, slots=True)
class PrintedPoint:
    """Sensitivity and specificity that a paper prints, and its AUC, as shares."""

    name: str
    sensitivity: float
    specificity: float
    auc: float


def draw_roc(
    path: Path, title: str, lines: Sequence[RocLine], points: Sequence[PrintedPoint] = (), *, mark: str = ""
) -> Picture:
    """Curves with the point of each, and printed points with the rectangle that any curve through them covers.

    Args:
        path: of the PNG.
        title: of the picture.
        lines: measured.
        points: printed.
        mark: words in the upper corner, as that the data are synthetic.

    Raises:
        OutputError: the picture cannot be written.
    """
    sheet = chart_sheet(1100, _SIDE + 150, title, mark)
    axes = sheet.axes(90, 66, _SIDE, _SIDE)
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=(0, (4, 3)))
    for number, line in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        label = f"{line.name}{line.words and ', ' + line.words}"
        axes.plot(line.false_positive_rate, line.true_positive_rate, color=colour, linewidth=2, label=label)
        axes.plot(*line.point, "o", color=colour, markersize=8, markeredgecolor="white", clip_on=False, zorder=5)
    for number, point in enumerate(points):
        place = 1 - point.specificity, point.sensitivity
        least = point.sensitivity * point.specificity
        axes.fill_between([place[0], 1], 0, place[1], color=_GREY, alpha=0.07, linewidth=0)
        label = f"printed: {point.name}\nAUC {point.auc:.3f}; through this point at least {least:.3f}"
        form = _MARKS[number % len(_MARKS)]
        axes.plot(
            *place, form, color=_GREY, markersize=8, markeredgecolor="white", clip_on=False, zorder=4, label=label
        )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_xlabel("1 - specificity", fontsize=Sheet.points(15))
    axes.set_ylabel("sensitivity", fontsize=Sheet.points(15))
    axes.tick_params(labelsize=Sheet.points(14))
    plain_axes(axes, grid="#e3e6ea")
    if lines or points:
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.03, 1.0), labelspacing=0.8, fontsize=Sheet.points(14), frameon=False
        )
    caption = (
        "Test parts; where there are folds, of all of them together, each image judged by the network that never saw "
        "its patient. Dots: at a probability of 0.5."
    )
    if points:
        caption += (
            " Grey: points that the paper prints, on other data. The shaded rectangle below and to the right of one "
            "lies under every ROC curve through it: its area is the least AUC."
        )
    return sheet.picture(path, title, caption)


@dataclass(frozen=True, slots=True, eq=False)
class OutlinedImage:
    """A row of the picture.

    Attributes:
        name: of the image.
        image: (row, column) float, 0 black to 1 white.
        truth: (row, column) bool.
        called: method -> (row, column) bool.
        scores: method -> words below its panel, as "F1 77.4".
    """

    name: str
    image: NDArray[np.float32] = field(repr=False)
    truth: NDArray[np.bool_] = field(repr=False)
    called: Mapping[str, NDArray[np.bool_]] = field(repr=False)
    scores: Mapping[str, str] = field(default_factory=dict)


def draw_outlines(path: Path, title: str, rows: Sequence[OutlinedImage], *, caption: str, mark: str = "") -> Picture:
    """The image alone, the image with the truth, then one panel a method with its outline above the truth's.

    Args:
        path: of the PNG.
        title: of the picture.
        rows: from the top, all with the same methods; at least one.
        caption: how to read it; what the colours mean is added.
        mark: words in the upper corner, as that the data are synthetic.

    Raises:
        OutputError: the picture cannot be written.
    """
    methods = list(rows[0].called)
    columns = ["image", "truth", *methods]
    step = _PANEL + _GAP
    tall = _PANEL + 34
    sheet = Sheet(2 * _LEFT + step * len(columns) - _GAP, _TOP + tall * len(rows) + 10)
    sheet.text(_LEFT, 14, title, size=22, weight="bold")
    if mark:
        sheet.text(sheet.width - _LEFT, 16, mark, size=16, colour=AFFECTED, ha="right", weight="bold")
    for number, name in enumerate(columns):
        words = name.replace(*((" (", "\n(") if " (" in name else (", ", ",\n")), 1) if len(name) > 18 else name
        sheet.text(_LEFT + step * number, _TOP - 12, words, size=14, colour=INK, va="bottom")
    for place, row in enumerate(rows):
        top = _TOP + tall * place
        for number, name in enumerate(columns):
            extent = (float(row.image.shape[1]), float(row.image.shape[0]))
            axes = sheet.panel(_LEFT + step * number, top, _PANEL, _PANEL * extent[1] / extent[0], extent_mm=extent)
            show_image(axes, row.image, low=0.0, high=1.0)
            if name != "image":
                show_outline(
                    axes,
                    row.truth,
                    width=1.6 if name == "truth" else 1.0,
                    style="solid" if name == "truth" else "dashed",
                )
            if name in row.called:
                show_outline(axes, row.called[name], colour=AFFECTED, width=1.6)
                sheet.text(_LEFT + step * number, top + _PANEL + 4, row.scores.get(name, ""), size=14, colour=MUTED)
        sheet.text(_LEFT, top + _PANEL + 4, row.name, size=13, colour=MUTED)
    told = f"{caption} Blue: the lesion as it is drawn in the data; orange: as the method calls it."
    return sheet.picture(path, title, told)


def thumbnail(image: NDArray[np.float32], *, size: int = _THUMBNAIL) -> str:
    """A small JPEG as a data URI.

    Args:
        image: (row, column), 0 to 1.
        size: of the longer side in pixels; smaller images stay as they are.
    """
    import cv2

    rows, columns = image.shape
    scale = min(1.0, size / max(rows, columns))
    small = image
    if scale < 1:
        shape = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        small = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 82])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode('ascii')}"
