"""scores.png: the model's probability along each region, what is known of its limits, and the areas of lesions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.report.orientation import axis_letters, slice_positions_mm
from osteon.report.sheet import DARK_AFFECTED, DARK_INK, LIGHT, Sheet, plain_axes
from osteon.report.wording import direction_text

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from osteon.data import Answer, Region, SliceScores, Volume
    from osteon.geometry import Grid
    from osteon.report.blocks import Picture
    from osteon.report.lesions import DrawnLesion
    from osteon.report.slices import SliceLook

__all__ = [
    "Stretch",
    "call_stretches",
    "curve_caption",
    "draw_scores",
    "half_step_mm",
    "ood_stretches",
    "run_ends_mm",
    "set_stretches",
]

_WIDTH, _ROW, _HEAD, _FOOT = 1400.0, 330.0, 74.0, 84.0
_LEFT: Final = 168.0
_STRIP: Final = 37.0
"""Height of one strip under a curve, with its words."""
_AREA: Final = 150.0
"""Height of the curve of areas, with its words."""
_GREY: Final = "#69707a"
_RAW: Final = "#8b949e"
_SMOOTHED: Final = "#0072b2"
_RUN: Final = "#d55e00"
_FILL: Final = "#cc79a7"
_DARK: Final = "#8f3d6c"
_LEAST_SHARE: Final = 0.024
"""Least distance between two numbers of lesions, as a share of the width."""
_KINDS: Final = {
    "healthy": ("#e3e6ea", ""),
    "positive": ("#d55e00", ""),
    "either": ("#f0b98d", "////"),
    "neither": ("#1b1f24", ""),
    "predicted": ("#d55e00", ""),
    "free": ("#e3e6ea", ""),
    "differ": ("#1b1f24", ""),
    "same": ("#f4f5f6", ""),
    "like": ("#e3e6ea", ""),
    "ood": ("#1b1f24", ""),
}
"""Colour and hatch of a stretch of slices."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring slices of one kind, between the outer faces along the slice axis."""

    low_mm: float
    high_mm: float
    kind: str


def draw_scores(
    path: Path,
    answer: Answer,
    volume: Volume,
    scores: Sequence[SliceScores],
    *,
    look: SliceLook,
    lesions: Sequence[DrawnLesion] = (),
) -> Picture:
    """Draw raw and smoothed probability, the threshold and the affected runs over the position in the patient.

    Raises:
        OutputError: the picture cannot be written.
    """
    curves = [each for each in scores if len(each.slices)]
    positions = slice_positions_mm(volume.grid)
    half = max(half_step_mm(each, volume.grid) for each in curves)
    regions = {region.name: region for region in answer.regions}
    strips = [_strip_rows(each, regions.get(each.region), positions, half) for each in curves]
    strip = _STRIP * max(len(rows) for rows in strips)
    area = _AREA if any(each.lesion_area_mm2 is not None for each in curves) else 0.0
    row = _ROW + area + strip
    sheet = Sheet(_WIDTH, _HEAD + row * len(curves) + _FOOT, ground=LIGHT)
    title = look.title(scores)
    sheet.head(title if len(curves) == 1 else f"{title}s", demo=answer.is_demo, light=True)
    shown = [positions[each.slices] for each in curves]
    limits = (min(float(x.min()) for x in shown) - half, max(float(x.max()) for x in shown) + half)
    for number, (each, rows) in enumerate(zip(curves, strips, strict=True)):
        top, region = _HEAD + number * row, regions.get(each.region)
        axes = sheet.axes(_LEFT, top + 40, _WIDTH - _LEFT - 30, _ROW - 66)
        sheet.text(_LEFT, top + 8, each.region.capitalize(), size=21, colour=DARK_INK)
        if region is not None and region.ood is not None and region.ood.is_ood:
            sheet.text(_LEFT + 130, top + 8, "out of distribution", size=19, colour=DARK_AFFECTED, weight="bold")
        axes.set_xlim(*limits)
        _draw_curve(axes, each, positions, half, predicted=look.predicted)
        lowest = [axes]
        if area:
            lowest.append(sheet.axes(_LEFT, top + _ROW + 2, _WIDTH - _LEFT - 30, area - 34))
            _draw_areas(lowest[-1], each, positions, half, lesions)
        if rows:
            lowest.append(sheet.axes(_LEFT, top + _ROW + area - 18, _WIDTH - _LEFT - 30, _STRIP * len(rows) - 22))
            _draw_strips(lowest[-1], rows)
        _dress(axes)
        for one in lowest:
            one.set_xlim(*limits)
            is_last = one is lowest[-1] and number == len(curves) - 1
            one.tick_params(axis="x", labelbottom=is_last, colors=_GREY, labelsize=Sheet.points(18), length=4)
    bottom = _HEAD + row * len(curves) + 14
    start, end = (direction_text(letters) for letters in axis_letters(volume.grid))
    words = "position along the slice axis, mm in patient space"
    sheet.text(_LEFT, bottom + 10, f"towards the {start}", size=19, colour=_GREY)
    sheet.text((_WIDTH + _LEFT - 30) / 2, bottom + 10, words, size=19, colour=_GREY, ha="center")
    sheet.text(_WIDTH - 30, bottom + 10, f"towards the {end}", size=19, colour=_GREY, ha="right")
    return sheet.picture(path, title, curve_caption(answer, volume, scores, predicted=look.predicted))


def _draw_curve(
    axes: Axes, scores: SliceScores, positions: NDArray[np.float64], half_mm: float, *, predicted: str
) -> None:
    """The curve inside limits that are set already: a word stands only where there is room for it."""
    low, high = axes.get_xlim()
    x = positions[scores.slices]
    middle: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": Sheet.points(19)}
    hatched: dict[str, Any] = {"fill": False, "alpha": 0.35, "linewidth": 0}
    for run in scores.runs:
        start, end = run_ends_mm(positions, run, half_mm)
        axes.axvspan(start, end, facecolor=_RUN, alpha=0.13, linewidth=0)
        axes.axvspan(start, end, hatch="//", edgecolor=_RUN, **hatched)
        if (end - start) / (high - low) >= 0.011 * len(predicted):
            axes.text((start + end) / 2, 0.07, predicted, color=DARK_AFFECTED, weight="bold", **middle)
    for run in scores.withheld_runs:
        start, end = run_ends_mm(positions, run, half_mm)
        axes.axvspan(start, end, hatch="..", edgecolor=_GREY, **hatched)
        axes.text((start + end) / 2, 0.07, "not reported", color=_GREY, **middle)
    if scores.spread is not None:
        least, most = (np.clip(scores.probability + sign * scores.spread, 0, 1) for sign in (-1, 1))
        axes.fill_between(x, least, most, color=_RAW, alpha=0.35, linewidth=0, label="spread of the networks")
    axes.axhline(scores.threshold, color=DARK_INK, linewidth=1.3, linestyle=(0, (6, 4)))
    axes.plot(x, scores.probability, color=_RAW, linewidth=1.2, marker=".", markersize=3.5, label="each slice")
    if not np.array_equal(scores.probability, scores.smoothed):
        axes.plot(x, scores.smoothed, color=_SMOOTHED, linewidth=2.6, label="smoothed")
    axes.plot([], [], color=DARK_INK, linewidth=1.3, linestyle=(0, (6, 4)), label=f"threshold {scores.threshold:.2f}")
    above: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "ncols": 4, "borderaxespad": 0.1}
    axes.legend(frameon=False, fontsize=Sheet.points(18), labelcolor=DARK_INK, **above)


def _draw_strips(axes: Axes, rows: list[tuple[str, list[Stretch]]]) -> None:
    """Rows under a curve, as the prediction set of each slice, or what classifier and segmentation predict."""
    for height, (_, stretches) in zip(range(len(rows) - 1, -1, -1), rows, strict=True):
        for stretch in stretches:
            colour, hatch = _KINDS[stretch.kind]
            edge, place = DARK_AFFECTED if hatch else colour, [(stretch.low_mm, stretch.high_mm - stretch.low_mm)]
            axes.broken_barh(place, (height + 0.12, 0.76), facecolor=colour, edgecolor=edge, hatch=hatch, linewidth=0)
    axes.set_ylim(0, len(rows))
    axes.set_yticks([len(rows) - 0.5 - place for place in range(len(rows))], [name for name, _ in rows])
    axes.tick_params(axis="y", colors=_GREY, labelsize=Sheet.points(18), length=0)
    plain_axes(axes, without=("top", "right", "left", "bottom"))


def run_ends_mm(positions_mm: NDArray[np.float64], run: tuple[int, int], half_mm: float) -> tuple[float, float]:
    """The outer faces of the first and the last slice of a run, the lower one first."""
    low, high = sorted((float(positions_mm[run[0]]), float(positions_mm[run[1] - 1])))
    return low - half_mm, high + half_mm


def _dress(axes: Axes) -> None:
    axes.set_ylim(-0.02, 1.05)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.grid(visible=True, axis="y", color="#e3e6ea", linewidth=1)
    _dress_sides(axes)


def _dress_sides(axes: Axes) -> None:
    axes.tick_params(colors=_GREY, labelsize=Sheet.points(18), length=4)
    axes.set_axisbelow(True)
    plain_axes(axes)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#b7bdc5")


def _draw_areas(
    axes: Axes, scores: SliceScores, positions_mm: NDArray[np.float64], half_mm: float, lesions: Sequence[DrawnLesion]
) -> None:
    """Fill the area of lesions in each slice, where it is known, and write the numbers of the largest ones above it."""
    areas = scores.lesion_area_mm2
    if areas is None:
        return
    x, y = positions_mm[scores.slices], areas.astype(np.float64) / 100
    order = np.argsort(x)
    axes.bar(x, y, width=2 * half_mm, color=_FILL, linewidth=0)
    top = max(float(y.max(initial=0.0)), 1.0)
    axes.set_ylim(0, 1.35 * top)
    width = float(np.ptp(x)) + 2 * half_mm
    written: list[float] = []
    for item in sorted(lesions, key=lambda item: -item.volume_ml):
        at = float(positions_mm[item.key_slice])
        if all(abs(at - other) >= _LEAST_SHARE * width for other in written):
            written.append(at)
            height = float(np.interp(at, x[order], y[order])) + 0.04 * top
            axes.text(at, height, str(item.number), ha="center", va="bottom", color=_DARK, fontsize=Sheet.points(17))
    axes.set_ylabel("lesions, cm²", color=_GREY, fontsize=Sheet.points(18))
    axes.locator_params(axis="y", nbins=3)
    _dress_sides(axes)


def curve_caption(answer: Answer, volume: Volume, scores: Sequence[SliceScores], *, predicted: str) -> str:
    """How the curves are read."""
    curves = [each for each in scores if len(each.slices)]
    positions, regions = slice_positions_mm(volume.grid), {region.name: region for region in answer.regions}
    names = {name for each in curves for name, _ in _strip_rows(each, regions.get(each.region), positions, 1.0)}
    runs = sum(len(scores.runs) for scores in curves)
    shaded = (
        f"Hatched: the runs of slices predicted {predicted}." if runs else f"No run of slices is predicted {predicted}."
    )
    smoothed = any(not np.array_equal(scores.probability, scores.smoothed) for scores in curves)
    lines = "The model's probability for each slice (thin, dots) and smoothed (thick), with the threshold (dashed)."
    if not smoothed:
        lines = "The model's probability for each slice (dots), with the threshold (dashed)."
    if any(scores.source == "segmentation" for scores in curves):
        lines = "The highest value of the lesion map in each slice (dots), with the threshold (dashed)."
    agreed = [scores.agreement for scores in curves if scores.agreement is not None]
    alike = [f"Classifier and segmentation agree in {min(agreed):.0%} of slices."] if agreed else []
    return " ".join([lines, shaded, *_strip_text(curves, names), *alike])


def _strip_rows(
    scores: SliceScores, region: Region | None, positions_mm: NDArray[np.float64], half_mm: float
) -> list[tuple[str, list[Stretch]]]:
    """What is drawn under the curve, row by row with its name; arguments as ``ood_stretches``."""
    rows = [("set", set_stretches(scores, positions_mm, half_mm))]
    rows.append(("out of distribution", ood_stretches(scores, region, positions_mm, half_mm)))
    rows += call_stretches(scores, positions_mm, half_mm)
    return [(name, stretches) for name, stretches in rows if stretches]


def half_step_mm(scores: SliceScores, grid: Grid) -> float:
    """Half the distance between the slices that have a score: a network may be shown every second slice."""
    steps = np.diff(scores.slices)
    return float(steps.min() if len(steps) else 1) * grid.spacing_mm[0] / 2


def call_stretches(
    scores: SliceScores, positions_mm: NDArray[np.float64], half_mm: float
) -> list[tuple[str, list[Stretch]]]:
    """What classifier and segmentation predict, and where they differ: kinds "predicted", "free", "differ" and "same".

    ``positions_mm`` are those of all slices of the volume; empty without a segmentation.
    """
    outlined = scores.by_segmentation
    if outlined is None:
        return []

    def stretches(of: NDArray[np.bool_], yes: str, no: str) -> list[Stretch]:
        return _stretches([yes if one else no for one in of], scores, positions_mm, half_mm)

    segmentation = ("segmentation", stretches(outlined, "predicted", "free"))
    if scores.source != "classifier":
        return [segmentation]
    scored = scores.smoothed >= scores.threshold
    return [
        ("classifier", stretches(scored, "predicted", "free")),
        segmentation,
        ("they differ", stretches(scored != outlined, "differ", "same")),
    ]


def set_stretches(scores: SliceScores, positions_mm: NDArray[np.float64], half_mm: float) -> list[Stretch]:
    """Stretches of prediction sets along a region; arguments as of ``call_stretches``."""
    kinds = [words if words in {"healthy", "either", "neither"} else "positive" for words in scores.sets]
    return _stretches(kinds, scores, positions_mm, half_mm)


def ood_stretches(
    scores: SliceScores, region: Region | None, positions_mm: NDArray[np.float64], half_mm: float
) -> list[Stretch]:
    """Stretches of slices that are "like" the training images or "ood"; arguments as ``set_stretches``."""
    if scores.distance is None or region is None or region.ood is None:
        return []
    ood = scores.distance > region.ood.slice_threshold
    return _stretches(["ood" if one else "like" for one in ood], scores, positions_mm, half_mm)


def _strip_text(curves: Sequence[SliceScores], names: Collection[str]) -> list[str]:
    """Sentences that explain band and strips, of which those of these names are drawn."""
    found = []
    if any(scores.withheld_runs for scores in curves):
        found.append("Dotted: above the threshold, but not reported, because this part is out of distribution.")
    if any(scores.spread is not None for scores in curves):
        found.append("Band: one standard deviation of the networks of the model around each slice.")
    if "set" in names:
        rate = max(scores.error_rate or 0.0 for scores in curves)
        found.append(
            f"Set: what each slice may be at an error rate of {rate:g} - grey healthy, orange tumour, hatched either, "
            "black neither."
        )
    if "they differ" in names:
        found.append(
            "Orange strips: slices suspected by the classifier and by the lesions outlined; black: they differ."
        )
    elif "segmentation" in names:
        found.append("Orange strip: slices suspected by the lesions outlined.")
    if "out of distribution" in names:
        found.append("Out of distribution: black where a slice is out of distribution.")
    return found


def _stretches(
    kinds: Sequence[str], scores: SliceScores, positions_mm: NDArray[np.float64], half_mm: float
) -> list[Stretch]:
    found: list[Stretch] = []
    first, step = 0, int(np.diff(scores.slices).min(initial=len(positions_mm)))
    for place in range(1, len(kinds) + 1):
        goes_on = (
            place < len(kinds)
            and kinds[place] == kinds[first]
            and scores.slices[place] == scores.slices[place - 1] + step
        )
        if goes_on:
            continue
        ends = np.sort(positions_mm[scores.slices[[first, place - 1]]])
        found.append(Stretch(float(ends[0]) - half_mm, float(ends[1]) + half_mm, kinds[first]))
        first = place
    return found
