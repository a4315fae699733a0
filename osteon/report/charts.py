"""Pictures of studies and of evaluations: measures with intervals, folds, trainings, curves, images with outlines."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.errors import InputError
from osteon.report.sheet import (
    AFFECTED,
    DARK,
    DARK_INK,
    INK,
    MUTED,
    Sheet,
    chart_sheet,
    plain_axes,
    show_image,
    show_outline,
)
from osteon.report.wording import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from osteon.metrics.lesion_detection import Froc
    from osteon.report.blocks import Picture

__all__ = [
    "Curve",
    "Estimate",
    "FoldDots",
    "OutlinedImage",
    "PointGroup",
    "PublishedPoint",
    "RocLine",
    "draw_agreement",
    "draw_curves",
    "draw_decision",
    "draw_estimates",
    "draw_failures",
    "draw_folds",
    "draw_froc",
    "draw_histogram",
    "draw_joint_curves",
    "draw_learning_curves",
    "draw_outlines",
    "draw_reliability",
    "draw_roc",
    "draw_subgroups",
    "thumbnail",
]

_GREY: Final = "#69707a"
_LINE: Final = "#b8c0c8"
_BLUE: Final = "#0072b2"
_ORANGE: Final = "#d55e00"
_COLOURS: Final = (_BLUE, _ORANGE, "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_MARKS: Final = ("s", "^", "D", "v")
_ON_TOP: Final[dict[str, Any]] = {"markeredgecolor": "white", "clip_on": False}
_ROW: Final = 30
_SIDE: Final = 520
_FOLD_ROW: Final = 40
_PANEL: Final = 176
_GAP: Final = 10
_TOP: Final = 96
_LEFT: Final = 20
_THUMBNAIL: Final = 168

_POINT_MARKS: Final = {"youden": "s", "sensitivity_0.95": "^", "specificity_0.95": "v"}
_LINEAR_COUNTS: Final = 60
"""Bars up to here are drawn on a linear axis."""

_MOST_CURVES: Final = 4
_TICKS: Final = tuple(step * 10.0**power for power in range(-3, 7) for step in (1, 3))
_FEWEST_A_SCAN: Final = 1 / 16
"""Where the axis of false positives, in powers of two, begins."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A row of the chart: a name, a mean and its intervals; NaN or None where there is none.

    Attributes:
        mean: over folds, or of the one division.
        published: the paper's value and its interval; an interval of no width where it gives none.
        whole: of all test images together, where the bootstrap is of that and not of the mean.
    """

    name: str
    mean: float
    folds: tuple[float, float]
    patients: tuple[float, float]
    published: tuple[float, float, float] | None = None
    whole: float | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """One fold's training: a measure of the validation part by epoch, the epoch kept, epochs at which a stage began."""

    panel: str
    values: tuple[float, ...] = field(repr=False)
    best_epoch: int
    stage_epochs: tuple[int, ...] = ()


def _row_axes(sheet: Sheet, names: Sequence[str], left: float, across: float, height: float) -> Axes:
    """A row a name, on an axis from 0 to 1."""
    axes = sheet.axes(left, 60, across, height)
    axes.set(xlim=(-0.02, 1.02), ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), names, fontsize=Sheet.points(15))
    axes.tick_params(axis="x", labelsize=Sheet.points(14))
    axes.grid(axis="x", color="#d9dde2")
    axes.set_axisbelow(True)
    plain_axes(axes, without=("top", "right", "left"))
    return axes


def _unit_square(axes: Axes, *, diagonal: bool = False) -> None:
    """Two axes from 0 to 1."""
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    if diagonal:
        axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=(0, (4, 3)))


def draw_estimates(path: Path, title: str, estimates: Sequence[Estimate], *, mark: str = "") -> Picture:
    """A mean with both intervals a row, the published value beneath it, on an axis from 0 to 1.

    ``mark`` are words in the upper corner, as that the data are synthetic.

    Raises:
        OutputError: the picture cannot be written.
    """
    height = _ROW * len(estimates)
    sheet = chart_sheet(1100, height + 150, title, mark)
    left = max(210, 9 * max((len(one.name) for one in estimates), default=0))
    axes = _row_axes(sheet, [one.name for one in estimates], left, 1070 - left, height)
    lowest = min((e.folds[0] for e in estimates if math.isfinite(e.folds[0])), default=0.0)
    highest = max((e.folds[1] for e in estimates if math.isfinite(e.folds[1])), default=1.0)
    axes.set_xlim(min(-0.02, lowest - 0.02), max(1.02, highest + 0.02))
    axes.axvspan(0, 1, color="#f4f6f8", zorder=0)
    for row, one in enumerate(estimates):
        whole = one.mean if one.whole is None else one.whole
        marks = ((-0.16, one.mean, one.folds, _BLUE), (0.04, whole, one.patients, _ORANGE))
        for offset, value, (low, high), colour in marks:
            if math.isfinite(low) and math.isfinite(high):
                axes.plot([low, high], [row + offset] * 2, color=colour, linewidth=3, solid_capstyle="butt")
            if math.isfinite(value):
                axes.plot(value, row + offset, "o", color=colour, markersize=6)
        if one.published:
            mean, low, high = one.published
            axes.plot([low, high], [row + 0.26] * 2, color=_GREY, linewidth=1.2, linestyle=(0, (3, 2)))
            axes.plot(mean, row + 0.26, "|", color=_GREY, markersize=8)
    legend = (("folds, Student's t", _BLUE), ("patients, bootstrap", _ORANGE), ("published in the paper", _GREY))
    for number, (words, colour) in enumerate(legend[: 3 if any(e.published for e in estimates) else 2]):
        sheet.text(left + 250 * number, height + 104, f"● {words}", size=15, colour=colour)
    resampled = "of all test images together" if any(e.whole is not None for e in estimates) else ""
    caption = (
        "Mean over folds; blue: 95 % CI over folds (Student's t, may leave 0 to 1), orange: 95 % patient "
        f"bootstrap{resampled and ' ' + resampled}, grey: the paper's published values on other data."
    )
    return sheet.picture(path, title, caption)


def draw_learning_curves(path: Path, curves: Sequence[Curve], *, measure: str = "AUC", mark: str = "") -> Picture:
    """A validation measure by epoch, a panel a run, a line a fold; a dot where weights were kept, a tick for a stage.

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
        "a new stage. These values chose the epoch, or are of images that were learnt from: they are not results."
    )
    return sheet.picture(path, title, caption)


def draw_joint_curves(path: Path, curves: Sequence[Curve], *, measure: str = "AUC", mark: str = "") -> Picture:
    """A validation measure by epoch, all runs in one panel: a thin line a fold, a thick one the mean of a run's folds.

    Raises:
        OutputError: the picture cannot be written.
    """
    title = f"Validation {measure} by epoch"
    sheet = chart_sheet(1100, 520, title, mark)
    axes = sheet.axes(70, 66, 740, 390)
    for number, name in enumerate(dict.fromkeys(curve.panel for curve in curves)):
        colour = _COLOURS[number % len(_COLOURS)]
        values = [curve.values for curve in curves if curve.panel == name and curve.values]
        for each in values:
            axes.plot(range(1, len(each) + 1), each, color=colour, linewidth=0.8, alpha=0.5)
        shared = min(map(len, values), default=0)
        if shared:
            mean = np.mean([each[:shared] for each in values], axis=0)
            axes.plot(range(1, shared + 1), mean, color=colour, linewidth=2.6, label=name)
    axes.set_ylim(0, 1.03)
    axes.locator_params(axis="x", integer=True)
    _dress(axes, "epoch", measure)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", bbox_to_anchor=(1.03, 1.0), fontsize=Sheet.points(14), frameon=False)
    caption = (
        "Thin: a fold; thick: the mean of the folds, as far as all of them went. The validation part chose the epoch, "
        "so these values are not results."
    )
    return sheet.picture(path, title, caption)


@dataclass(frozen=True, slots=True, eq=False)
class PointGroup:
    """Points of one colour: what is true and what was measured, (n,) each, above 0."""

    name: str
    true: NDArray[np.float64] = field(repr=False)
    measured: NDArray[np.float64] = field(repr=False)


def draw_agreement(path: Path, title: str, unit: str, groups: Sequence[PointGroup], *, mark: str = "") -> Picture:
    """What was measured over what is true, both on logarithmic axes, with the line on which they are the same.

    Points that are not above 0 are drawn at the lower edge. There is at least one point.

    Raises:
        OutputError: the picture cannot be written.
    """
    from matplotlib.ticker import FixedLocator, NullLocator

    sheet = chart_sheet(1100, _SIDE + 150, title, mark)
    axes = sheet.axes(100, 66, _SIDE, _SIDE)
    positive = np.concatenate([each[each > 0] for one in groups for each in (one.true, one.measured)])
    low, high = float(positive.min()) / 1.5, float(positive.max()) * 1.5
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    axes.plot([low, high], [low, high], color=_GREY, linewidth=1, linestyle=(0, (4, 3)))
    for number, one in enumerate(groups):
        colour = _COLOURS[number % len(_COLOURS)]
        axes.plot(one.true, np.maximum(one.measured, low), "o", color=colour, markersize=7, label=one.name, **_ON_TOP)
    ticks = [each for each in _TICKS if low <= each <= high]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter("{x:g}")
    _dress(axes, f"true ({unit})", f"predicted ({unit})")
    axes.legend(loc="upper left", bbox_to_anchor=(1.03, 1.0), fontsize=Sheet.points(14), frameon=False)
    return sheet.picture(
        path, title, "A point a patient; on the broken line both are the same. Both axes are logarithmic."
    )


@dataclass(frozen=True, slots=True)
class FoldDots:
    """A row of the chart: a share a fold, NaN where there is none; and those that the paper prints, if it does."""

    name: str
    values: tuple[float, ...] = field(repr=False)
    published: tuple[float, ...] = field(default=(), repr=False)


def draw_folds(path: Path, title: str, rows: Sequence[FoldDots], *, mark: str = "") -> Picture:
    """A dot a fold, a line from the least to the most, a tick at the mean; the paper's folds in grey below.

    Raises:
        OutputError: the picture cannot be written.
    """
    height = _FOLD_ROW * max(1, len(rows))
    sheet = chart_sheet(1100, height + 150, title, mark)
    axes = _row_axes(sheet, [row.name for row in rows], 290, 780, height)
    for number, row in enumerate(rows):
        found = [value for value in row.values if math.isfinite(value)]
        if found:
            axes.plot([min(found), max(found)], [number - 0.14] * 2, color=_LINE, linewidth=2, zorder=1)
            axes.plot(sum(found) / len(found), number - 0.14, "|", color=DARK_INK, markersize=17, zorder=3)
        for fold, value in enumerate(row.values):
            if math.isfinite(value):
                colour = _COLOURS[fold % len(_COLOURS)]
                axes.plot(value, number - 0.14, "o", color=colour, markersize=6, zorder=2)
        if row.published:
            axes.plot(row.published, [number + 0.22] * len(row.published), "d", color=_GREY, markersize=4)
    folds = max((len(row.values) for row in rows), default=0)
    for fold in range(folds):
        sheet.text(290 + 100 * fold, height + 104, f"● fold {fold + 1}", size=15, colour=_COLOURS[fold % len(_COLOURS)])
    if any(row.published for row in rows):
        sheet.text(290 + 100 * folds, height + 104, "◆ published in the paper", size=15, colour=_GREY)
    caption = (
        "A dot a fold on its own test part, a tick at their mean, a line from the least to the most. Grey, below: the "
        "published folds, on other data."
    )
    return sheet.picture(path, title, caption)


@dataclass(frozen=True, slots=True, eq=False)
class RocLine:
    """A classifier's curve, (points,) rising from 0 to 1.

    Attributes:
        point: (false positive rate, true positive rate) at which it was evaluated.
        words: behind the name, as its AUC.
    """

    name: str
    false_positive_rate: NDArray[np.float64] = field(repr=False)
    true_positive_rate: NDArray[np.float64] = field(repr=False)
    point: tuple[float, float]
    words: str = ""


@dataclass(frozen=True, slots=True)
class PublishedPoint:
    """Published sensitivity, specificity and AUC of a paper, as shares."""

    name: str
    sensitivity: float
    specificity: float
    auc: float


def draw_roc(
    path: Path, title: str, lines: Sequence[RocLine], points: Sequence[PublishedPoint] = (), *, mark: str = ""
) -> Picture:
    """Curves with the point of each, and published points with the rectangle that any curve through them covers.

    Raises:
        OutputError: the picture cannot be written.
    """
    sheet = chart_sheet(1100, _SIDE + 150, title, mark)
    axes = sheet.axes(90, 66, _SIDE, _SIDE)
    _unit_square(axes, diagonal=True)
    for number, line in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        label = f"{line.name}{line.words and ', ' + line.words}"
        axes.plot(line.false_positive_rate, line.true_positive_rate, color=colour, linewidth=2, label=label)
        axes.plot(*line.point, "o", color=colour, markersize=8, zorder=5, **_ON_TOP)
    for number, point in enumerate(points):
        place = 1 - point.specificity, point.sensitivity
        least = point.sensitivity * point.specificity
        axes.fill_between([place[0], 1], 0, place[1], color=_GREY, alpha=0.07, linewidth=0)
        label = f"published: {point.name}\nAUC {point.auc:.3f}; through this point at least {least:.3f}"
        form = _MARKS[number % len(_MARKS)]
        axes.plot(*place, form, color=_GREY, markersize=8, zorder=4, label=label, **_ON_TOP)
    _dress(axes, "1 - specificity", "sensitivity")
    if lines or points:
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.03, 1.0), labelspacing=0.8, fontsize=Sheet.points(14), frameon=False
        )
    caption = (
        "Test parts; where there are folds, of all of them together, each image evaluated by the network that never "
        "saw its patient. Dots: at a probability of 0.5."
    )
    if points:
        caption += (
            " Grey: published points, on other data. The shaded rectangle below and to the right of one "
            "is under every ROC curve through it: its area is the least AUC."
        )
    return sheet.picture(path, title, caption)


@dataclass(frozen=True, slots=True, eq=False)
class OutlinedImage:
    """A row of the picture.

    Attributes:
        image: (row, column) float, 0 black to 1 white.
        truth: (row, column) bool.
        predicted: method -> (row, column) bool.
        scores: method -> words below its panel, as "F1 77.4".
    """

    name: str
    image: NDArray[np.float32] = field(repr=False)
    truth: NDArray[np.bool_] = field(repr=False)
    predicted: Mapping[str, NDArray[np.bool_]] = field(repr=False)
    scores: Mapping[str, str] = field(default_factory=dict)


def draw_outlines(path: Path, title: str, rows: Sequence[OutlinedImage], *, caption: str, mark: str = "") -> Picture:
    """The image alone, the image with the truth, then one panel a method with its outline above the truth's.

    There is at least one row, all with the same methods; to the caption is added what the colours mean.

    Raises:
        OutputError: the picture cannot be written.
    """
    methods = list(rows[0].predicted)
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
                width, style = (1.6, "solid") if name == "truth" else (1.0, "dashed")
                show_outline(axes, row.truth, width=width, style=style)
            if name in row.predicted:
                show_outline(axes, row.predicted[name], colour=AFFECTED, width=1.6)
                sheet.text(_LEFT + step * number, top + _PANEL + 4, row.scores.get(name, ""), size=14, colour=MUTED)
        sheet.text(_LEFT, top + _PANEL + 4, row.name, size=13, colour=MUTED)
    told = f"{caption} Blue: the lesion as it is drawn in the data; orange: as the method predicts it."
    return sheet.picture(path, title, told)


def thumbnail(image: NDArray[np.float32]) -> str:
    """A small JPEG of an image (row, column), 0 to 1, as a data URI; small images stay as they are."""
    import cv2

    rows, columns = image.shape
    scale = min(1.0, _THUMBNAIL / max(rows, columns))
    small = image
    if scale < 1:
        shape = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        small = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 82])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


def _dress(axes: Axes, across: str, up: str, *, title: str = "") -> None:
    axes.set_xlabel(across, fontsize=Sheet.points(15))
    axes.set_ylabel(up, fontsize=Sheet.points(15))
    axes.tick_params(labelsize=Sheet.points(14))
    plain_axes(axes, grid="#e3e6ea")
    if title:
        axes.set_title(title, fontsize=Sheet.points(17), loc="left", color=DARK_INK)


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def draw_curves(path: Path, document: Mapping[str, Any], *, mark: str = "") -> Picture | None:
    """ROC with band and operating points, precision over recall beside it; None when a class is missing."""
    curves = document["curves"]
    roc, other = curves["roc"], curves["precision_recall"]
    if roc is None:
        return None
    sheet = chart_sheet(1100, 590, "ROC and precision-recall, images", mark, size=22)
    axes = sheet.axes(80, 90, 430, 430)
    band = roc["band"]
    low, high = _numbers(band["low"]), _numbers(band["high"])
    if np.isfinite(low).all():
        axes.fill_between(band["false_positive_rate"], low, high, color=_BLUE, alpha=0.18, linewidth=0)
    _unit_square(axes, diagonal=True)
    for fold in roc["by_fold"]:
        axes.plot(fold["false_positive_rate"], fold["true_positive_rate"], color=_GREY, linewidth=0.8)
    axes.plot(roc["false_positive_rate"], roc["true_positive_rate"], color=_BLUE, linewidth=2)
    for point in document["operating_points"]:
        found = point["test"]
        if found is None or None in (found["tpr"]["over_patients"]["value"], found["tnr"]["over_patients"]["value"]):
            continue
        place = (1 - found["tnr"]["over_patients"]["value"], found["tpr"]["over_patients"]["value"])
        form, label = _POINT_MARKS.get(point["name"], "o"), point["name"].replace("_", " >= ")
        axes.plot(*place, form, color=_ORANGE, markersize=9, label=label, zorder=5, **_ON_TOP)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", fontsize=Sheet.points(14), frameon=False)
    _dress(axes, "1 - specificity", "sensitivity", title="ROC, 95 % band over patients")
    right = sheet.axes(630, 90, 430, 430)
    _unit_square(right)
    right.axhline(other["prevalence"], color=_GREY, linewidth=1, linestyle=(0, (4, 3)))
    right.step(other["recall"], other["precision"], where="pre", color=_BLUE, linewidth=2)
    _dress(right, "recall (sensitivity)", "precision", title="Precision over recall")
    return sheet.picture(
        path,
        "ROC and precision-recall curves",
        "Blue: one probability an image, the mean of the folds' networks where several evaluated it; band: pointwise, "
        "patients resampled. Grey: each fold's network alone. Orange: operating points of the single networks, fixed "
        "on validation, means over folds of what they give on the test part. Dashed: guessing.",
    )


def draw_reliability(path: Path, document: Mapping[str, Any], *, mark: str = "") -> Picture:
    """Predicted against observed before and after the temperature, with the histogram of the probabilities."""
    sheet = chart_sheet(1100, 660, "Calibration, images", mark, size=22)
    for number, (name, words) in enumerate((("before", "before temperature"), ("after", "after temperature"))):
        entry = document["calibration"][name]
        curve = entry["reliability_equal_mass"]
        left = 80 + 550 * number
        axes = sheet.axes(left, 90, 430, 380)
        _unit_square(axes, diagonal=True)
        predicted, observed = _numbers(curve["mean_predicted"]), _numbers(curve["observed"])
        errors = np.abs(np.stack([observed - _numbers(curve["low"]), _numbers(curve["high"]) - observed]))
        axes.errorbar(predicted, observed, yerr=errors, fmt="o-", color=_BLUE, capsize=3, markersize=6, linewidth=1.5)
        ece = entry["ece_equal_mass"]["value"]
        title = f"{words}: ECE {ece:.3f}, Brier {entry['brier']['value']:.3f}"
        _dress(axes, "", "observed share", title=title)
        axes.set_xticklabels([])
        lower = sheet.axes(left, 490, 430, 100)
        width = entry["reliability_equal_width"]
        lower.bar(_numbers(width["mean_predicted"]), width["count"], width=0.06, color=_BLUE, alpha=0.55)
        _dress(lower, "mean predicted probability", "images")
        lower.set_xlim(-0.02, 1.02)
    return sheet.picture(
        path,
        "Reliability diagrams",
        "Ten bins of equal mass; bars: Wilson intervals that count images as independent, so too narrow. Below: images "
        "in ten bins of equal width. The temperature was fitted on validation only.",
    )


def draw_decision(path: Path, document: Mapping[str, Any], *, mark: str = "") -> Picture:
    """Net benefit of the model, of acting on all and on none."""
    curve = document["decision_curve"]
    sheet = chart_sheet(900, 560, "Decision curve, images", mark, size=22)
    axes = sheet.axes(100, 80, 770, 400)
    low, high, model = (_numbers(curve[name]) for name in ("low", "high", "model"))
    at = _numbers(curve["thresholds"])
    if np.isfinite(low).all():
        axes.fill_between(at, low, high, color=_BLUE, alpha=0.18, linewidth=0)
    axes.plot(at, model, color=_BLUE, linewidth=2, label="model, 95 % band over patients")
    axes.plot(at, _numbers(curve["treat_all"]), color=_ORANGE, linewidth=1.5, linestyle=(0, (5, 2)), label="act on all")
    axes.axhline(0, color=_GREY, linewidth=1.2, linestyle=(0, (2, 2)), label="act on none")
    top = 1.2 * max(curve["prevalence"], float(np.nanmax([*model, *high])), 0.05)
    axes.set(ylim=(-0.4 * top, top), xlim=tuple(curve["range"]))
    _dress(axes, "threshold probability", "net benefit (true positives an image)")
    axes.legend(loc="upper right", fontsize=Sheet.points(15), frameon=False)
    low_end, high_end = curve["range"]
    return sheet.picture(
        path,
        "Decision curve",
        f"Net benefit for thresholds from {low_end:g} to {high_end:g}, a range stated before. The axis is cut below.",
    )


def draw_histogram(path: Path, document: Mapping[str, Any], *, mark: str = "") -> Picture:
    """Calibrated probabilities by true class."""
    found = document["curves"]["histogram"]
    edges = np.array(found["edges"])
    sheet = chart_sheet(900, 480, "Calibrated probability by true class, images", mark, size=22)
    axes = sheet.axes(100, 80, 770, 320)
    middle, wide = (edges[:-1] + edges[1:]) / 2, float(edges[1] - edges[0])
    for name, colour, shift in (("negative", _BLUE, -0.25), ("positive", _ORANGE, 0.25)):
        axes.bar(middle + shift * wide, found[name], width=0.46 * wide, color=colour, label=name)
    highest = max(*found["negative"], *found["positive"], 1)
    is_linear = highest <= _LINEAR_COUNTS
    if is_linear:
        axes.locator_params(axis="y", integer=True)
    else:  # a few positives must be seen beside thousands of negatives
        axes.set_yscale("symlog", linthresh=10)
        ticks = [t for t in (0, 5, 10, 30, 100, 300, 1000, 3000, 10000, 30000) if t <= highest]
        axes.set_yticks(ticks, [str(t) for t in ticks])
    axes.set_ylim(bottom=0)
    axes.margins(y=0.25)
    axes.axvline(0.5, color=_GREY, linewidth=1, linestyle=(0, (4, 3)))
    _dress(axes, "calibrated probability", "images")
    axes.legend(loc="upper center", fontsize=Sheet.points(15), framealpha=1, edgecolor="none")
    caption = "" if is_linear else "Counts are linear up to 10 and logarithmic above. "
    return sheet.picture(path, "Score histogram", caption + "Dashed: 0.5.")


def draw_subgroups(path: Path, document: Mapping[str, Any], *, mark: str = "") -> Picture:
    """AUC, sensitivity and specificity of each subgroup with intervals."""
    rows = document["subgroups"]["rows"]
    height = _ROW * len(rows)
    sheet = chart_sheet(1200, height + 140, "Subgroups, images", mark, size=22)
    names = [
        "everybody"
        if row["column"] == "all"
        else f"{row['column']}: {row['group']}  ({count(row['patients'], 'patient')}, {count(row['images'], 'image')})"
        for row in rows
    ]
    for number, (key, title) in enumerate((("auc", "ROC AUC"), ("tpr", "sensitivity"), ("tnr", "specificity"))):
        axes = sheet.axes(360 + 275 * number, 84, 255, height)
        for line, row in enumerate(rows):
            found = row[key]
            if found["value"] is None:
                axes.text(0.5, line, "not defined", ha="center", va="center", color=_GREY, fontsize=Sheet.points(13))
                continue
            colour = DARK_INK if line == 0 else _BLUE
            if found["low"] is not None:
                axes.plot([found["low"], found["high"]], [line, line], color=colour, linewidth=2)
            axes.plot(found["value"], line, "o", color=colour, markersize=6, clip_on=False)
        _dress(axes, "", "", title=title)
        axes.set(xlim=(-0.03, 1.03), ylim=(len(rows) - 0.5, -0.5))
        axes.set_yticks(range(len(rows)), names if number == 0 else [""] * len(rows), fontsize=Sheet.points(13))
    return sheet.picture(
        path,
        "Subgroups",
        "Calibrated probability, positive from 0.5 on. Lines: 95 % over patients (bootstrap; Wilson by patients where "
        "a rate is 0 or 1). With many groups some differ by chance.",
    )


def draw_failures(
    path: Path, images: Sequence[NDArray[np.float32]], words: Sequence[str], *, mark: str = ""
) -> Picture:
    """The most confidently wrong test images (row, column) in 0..1, worst first, with words below each."""
    columns = min(4, len(images))
    lines = -(-len(images) // columns)
    cell = 250
    sheet = Sheet(max(cell * columns + 20, 620), (cell + 46) * lines + 70, ground=DARK)
    sheet.text(16, 14, "Most confidently wrong", size=22, weight="bold")
    if mark:
        sheet.text(sheet.width - 16, 18, mark, size=15, colour="#e8641b", ha="right", weight="bold")
    for number, (image, word) in enumerate(zip(images, words, strict=True)):
        left, top = 16 + cell * (number % columns), 60 + (cell + 46) * (number // columns)
        across, down = image.shape[1], image.shape[0]
        scale = (cell - 16) / max(across, down)
        axes = sheet.panel(left, top, across * scale, down * scale, extent_mm=(float(across), float(down)))
        show_image(axes, image, low=0, high=1)
        sheet.text(left, top + cell - 12, word, size=14, colour=INK)
    return sheet.picture(
        path,
        "Most confidently wrong test images",
        "Largest distance of calibrated probability and truth, worst first. These are images of the data set: keep "
        "this page where the data set may be.",
    )


def draw_froc(path: Path, curves: Mapping[str, Froc], *, matching: str, mark: str = "") -> Picture:
    """Sensitivity for lesions over false positives a scan, in powers of two, with the points that are read off.

    The curves have the names of methods; ``matching`` is the rule in words (``lesion_detection.Matching.words``).

    Raises:
        InputError: no curve, or more than four.
        OutputError: the picture cannot be written.
    """
    if not 1 <= len(curves) <= _MOST_CURVES:
        raise InputError(f"a picture of {len(curves)} curves was asked for; give 1 to {_MOST_CURVES}")
    sheet = chart_sheet(900, 560, "Lesions found, over false positives a scan", mark, size=22)
    axes = sheet.axes(90, 80, 780, 390)
    most = 8.0
    for (name, curve), colour in zip(curves.items(), _COLOURS, strict=False):
        most = max(most, 1.1 * float(curve.false_positives[-1]))
        across = np.append(np.maximum(curve.false_positives, _FEWEST_A_SCAN), most)
        if np.isfinite(curve.low).all():
            low, high = (np.append(limit, limit[-1]) for limit in (curve.low, curve.high))
            axes.fill_between(across, low, high, step="post", color=colour, alpha=0.15, linewidth=0)
        found = f"{name}: {curve.lesions} lesions, {count(curve.scans, 'scan')}, {count(curve.patients, 'patient')}"
        axes.step(across, np.append(curve.sensitivity, curve.sensitivity[-1]), where="post", color=colour, linewidth=2)
        rates, values = zip(*((rate, rated.value) for rate, rated in curve.at_rates), strict=True)
        axes.plot(rates, values, "o", color=colour, markersize=6, label=found, clip_on=False)
    axes.set_xscale("log", base=2)
    ticks = [2.0**power for power in range(-4, math.ceil(math.log2(most)) + 1)]
    axes.set_xticks(ticks, [f"1/{round(1 / t)}" if t < 1 else f"{t:g}" for t in ticks])
    axes.set(xlim=(_FEWEST_A_SCAN, most), ylim=(0, 1.02))
    _dress(axes, "false positives a scan (1/16: that or fewer)", "sensitivity for lesions")
    axes.legend(loc="lower right", fontsize=Sheet.points(15), framealpha=1, edgecolor="none")
    return sheet.picture(
        path,
        "Free-response curve",
        f"A predicted lesion finds a true one by {matching}. Bands: 95 % over patients, at each threshold of the "
        "lesions' probability. Dots: the highest sensitivity with at most that many false positives.",
    )
