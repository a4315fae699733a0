"""Pictures of an evaluation, drawn from the content of its metrics.json, and the curve of lesions found."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.errors import InputError
from osteon.report.sheet import DARK, DARK_INK, INK, Sheet, chart_sheet, plain_axes, show_image
from osteon.report.wording import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from osteon.metrics.lesion_detection import Froc
    from osteon.report.blocks import Picture

__all__ = [
    "draw_curves",
    "draw_decision",
    "draw_failures",
    "draw_froc",
    "draw_histogram",
    "draw_reliability",
    "draw_subgroups",
]

_GREY: Final = "#69707a"
_BLUE: Final = "#0072b2"
_ORANGE: Final = "#d55e00"
_GREEN: Final = "#009e73"
_MARKS: Final = {"youden": "s", "sensitivity_0.95": "^", "specificity_0.95": "v"}
_ROW: Final = 30
_LINEAR_COUNTS: Final = 60
"""Bars up to here are drawn on a linear axis."""

_COLOURS: Final = (_BLUE, _ORANGE, _GREEN, "#cc79a7")
_FEWEST_A_SCAN: Final = 1 / 16
"""Where the axis of false positives, in powers of two, begins."""


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
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=(0, (4, 3)))
    for fold in roc["by_fold"]:
        axes.plot(fold["false_positive_rate"], fold["true_positive_rate"], color=_GREY, linewidth=0.8)
    axes.plot(roc["false_positive_rate"], roc["true_positive_rate"], color=_BLUE, linewidth=2)
    for point in document["operating_points"]:
        found = point["test"]
        if found is None or None in (found["tpr"]["over_patients"]["value"], found["tnr"]["over_patients"]["value"]):
            continue
        place = (1 - found["tnr"]["over_patients"]["value"], found["tpr"]["over_patients"]["value"])
        axes.plot(
            *place,
            _MARKS.get(point["name"], "o"),
            color=_ORANGE,
            markersize=9,
            label=point["name"].replace("_", " >= "),
            markeredgecolor="white",
            clip_on=False,
            zorder=5,
        )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", fontsize=Sheet.points(14), frameon=False)
    _dress(axes, "1 - specificity", "sensitivity", title="ROC, 95 % band over patients")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    right = sheet.axes(630, 90, 430, 430)
    right.axhline(other["prevalence"], color=_GREY, linewidth=1, linestyle=(0, (4, 3)))
    right.step(other["recall"], other["precision"], where="pre", color=_BLUE, linewidth=2)
    _dress(right, "recall (sensitivity)", "precision", title="Precision over recall")
    right.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return sheet.picture(
        path,
        "ROC and precision-recall curves",
        "Blue: one probability an image, the mean of the folds' networks where several judged it; band: pointwise, "
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
        axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=(0, (4, 3)))
        predicted, observed = _numbers(curve["mean_predicted"]), _numbers(curve["observed"])
        errors = np.abs(np.stack([observed - _numbers(curve["low"]), _numbers(curve["high"]) - observed]))
        axes.errorbar(predicted, observed, yerr=errors, fmt="o-", color=_BLUE, capsize=3, markersize=6, linewidth=1.5)
        ece = entry["ece_equal_mass"]["value"]
        title = f"{words}: ECE {ece:.3f}, Brier {entry['brier']['value']:.3f}"
        _dress(axes, "", "observed share", title=title)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
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
    """The most confidently wrong test images.

    Args:
        path: of the PNG.
        images: (row, column) in 0..1, worst first.
        words: below each image.
        mark: words in the upper corner.
    """
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

    Args:
        path: of the PNG.
        curves: by name of the method, at most four.
        matching: the rule in words (``osteon.metrics.lesion_detection.Matching.words``).
        mark: words in the upper corner, as that the data are synthetic.

    Raises:
        InputError: no curve, or more than four.
        OutputError: the picture cannot be written.
    """
    if not 1 <= len(curves) <= len(_COLOURS):
        raise InputError(f"a picture of {len(curves)} curves was asked for; give 1 to {len(_COLOURS)}")
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
