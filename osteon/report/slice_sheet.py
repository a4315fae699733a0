"""slices.png: the slices of every leg that the model finds most suspicious."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.geometry import Box
from osteon.report.orientation import Display, slice_positions_mm
from osteon.report.reading_of import slice_reading
from osteon.report.selection import (
    affected_boxes,
    bone_mask,
    bone_values,
    in_a_run,
    regions_or_whole,
    scores_of,
    telling_slices,
)
from osteon.report.sheet import AFFECTED, BONE, INK, MUTED, Sheet, show_box, show_image, show_letters, show_scale_bar
from osteon.report.tasks import task_words
from osteon.report.view import View
from osteon.report.wording import position, probability

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from osteon.data import Answer, Mask, Region, SliceScores, Volume
    from osteon.geometry import Grid

__all__ = ["BONE_WINDOW_HU", "crop_window", "draw_slices"]

BONE_WINDOW_HU: Final = (-500.0, 1300.0)
"""Level 400, width 1800."""

_WIDEST, _TALLEST, _NARROWEST = 500.0, 540.0, 410.0
_GAP, _EDGE, _HEAD, _FOOT = 24.0, 24.0, 70.0, 92.0


def crop_window(region: Region, grid: Grid, *, margin_mm: float) -> Box:
    """The region with a margin in the plane of the slices, inside the image."""
    start, stop = list(region.box.start), list(region.box.stop)
    for axis in (1, 2):
        margin = round(margin_mm / grid.spacing_mm[axis])
        start[axis] = max(start[axis] - margin, 0)
        stop[axis] = min(stop[axis] + margin, grid.shape[axis])
    return Box(start=(start[0], start[1], start[2]), stop=(stop[0], stop[1], stop[2]))


def draw_slices(path: Path, answer: Answer, volume: Volume, *, most: int = 3) -> View:
    """Draw up to ``most`` slices a region, in bone window, with the outline of bone and the affected region.

    Raises:
        OutputError: the picture cannot be written.
    """
    display = Display.of(volume.grid)
    rows = [(region, telling_slices(answer, region, most=most)) for region in regions_or_whole(answer, volume)]
    rows = [(region, slices) for region, slices in rows if slices]
    words = task_words(answer.task)
    sizes_mm = [_extent_mm(display, crop_window(one, volume.grid, margin_mm=words.margin_mm)) for one, _ in rows]
    scale = min((min(_WIDEST / across, _TALLEST / down) for across, down in sizes_mm), default=1.0)
    cell = max([_NARROWEST, *(across * scale for across, _ in sizes_mm)])  # the words below need room too
    heights = [down * scale + _FOOT + 36 for _, down in sizes_mm]
    columns = max((len(slices) for _, slices in rows), default=1)
    sheet = Sheet(max(2 * _EDGE + columns * cell + (columns - 1) * _GAP, 900), _HEAD + sum(heights) + 8)
    of_map = any(scores.source == "segmentation" for scores in slice_reading(answer).scores)
    title = f"Slices with the highest {'value of the lesion map' if of_map else 'probability'}"
    sheet.text(_EDGE, 18, title if slice_reading(answer).scores else "Slices", size=26, weight="bold")
    if answer.is_demo:
        sheet.demo_mark()
    top, mask, called = _HEAD, bone_mask(answer, volume.grid), words.called
    for (region, slices), (across, down), height in zip(rows, sizes_mm, heights, strict=True):
        sheet.text(_EDGE, top + 4, region.name.capitalize(), size=21, colour=MUTED)
        for number, index in enumerate(slices):
            left = _EDGE + number * (cell + _GAP)
            axes = sheet.panel(left, top + 36, across * scale, down * scale, extent_mm=(across, down))
            _draw_one(axes, answer, volume, region=region, index=index, mask=mask)
            _write_below(
                sheet, (left, top + 36 + down * scale + 8), volume, index, scores_of(answer, region.name), called=called
            )
        top += height
    sheet.save(path)
    return View(
        name="slices", path=path, title="Slices", caption=_caption(answer, mask), width=sheet.width, height=sheet.height
    )


def _extent_mm(display: Display, window: Box) -> tuple[float, float]:
    shape = display.box(window).shape
    row, column = (k for k in range(3) if k != display.slice_axis)
    return shape[column] * display.spacing_mm[column], shape[row] * display.spacing_mm[row]


def _draw_one(axes: Axes, answer: Answer, volume: Volume, *, region: Region, index: int, mask: Mask | None) -> None:
    display = Display.of(volume.grid)
    row, column = (k for k in range(3) if k != display.slice_axis)
    outer = display.box(crop_window(region, volume.grid, margin_mm=task_words(answer.task).margin_mm))
    crop = (slice(outer.start[row], outer.stop[row]), slice(outer.start[column], outer.stop[column]))
    low, high = BONE_WINDOW_HU
    show_image(axes, display.plane(volume.array, index)[crop], low=low, high=high)
    if mask is not None:
        steps = (display.spacing_mm[row], display.spacing_mm[column])
        inside = np.isin(display.plane(mask.array, index)[crop], bone_values(mask, region.name))
        _outline(axes, inside, steps)
    for box in affected_boxes(answer, region.name):
        if not box.start[0] <= index < box.stop[0]:
            continue
        inner = display.box(box)
        place = [
            (inner_end - outer.start[k]) * display.spacing_mm[k]
            for inner_end, k in (
                (inner.start[column], column),
                (inner.start[row], row),
                (inner.stop[column], column),
                (inner.stop[row], row),
            )
        ]
        show_box(axes, (place[0], place[1], place[2], place[3]), affected=True, label="affected")
    show_letters(axes, display.edge_letters(display.slice_axis))
    show_scale_bar(axes)


def _outline(axes: Axes, plane: NDArray[np.bool_], steps_mm: tuple[float, float]) -> None:
    """Line around a mask, through the middle between inside and outside."""
    inside = np.pad(plane.astype(np.float32), 1)
    if not inside.any():
        return
    y = (np.arange(inside.shape[0]) - 0.5) * steps_mm[0]
    x = (np.arange(inside.shape[1]) - 0.5) * steps_mm[1]
    axes.contour(x, y, inside, levels=[0.5], colors=[BONE], linewidths=1.3)


def _write_below(
    sheet: Sheet, place: tuple[float, float], volume: Volume, index: int, scores: SliceScores | None, *, called: str
) -> None:
    left, top = place
    where = position(float(slice_positions_mm(volume.grid)[index]))
    sheet.text(left, top, f"Slice {index + 1} of {volume.grid.shape[0]}, position {where}", size=19)
    if scores is None:
        return
    at = int((scores.slices == index).argmax())
    raw, smoothed = probability(float(scores.probability[at])), probability(float(scores.smoothed[at]))
    measured = f"Probability {raw}, smoothed {smoothed}"
    if scores.source == "segmentation":
        measured = f"Highest value of the lesion map {raw}"
    inside = in_a_run(scores, index)
    verdict = f"called {called}" if inside else f"below the threshold of {scores.threshold:.2f}"
    if not inside and scores.smoothed[at] >= scores.threshold:
        is_withheld = any(first <= index < stop for first, stop in scores.withheld_runs)
        verdict = "not reported: unlike training" if is_withheld else "at the threshold, not called"
    sheet.text(left, top + 28, measured, size=19, colour=INK)
    sheet.text(left, top + 54, verdict[:1].upper() + verdict[1:], size=19, colour=AFFECTED if inside else MUTED)


def _caption(answer: Answer, mask: Mask | None) -> str:
    of_map = any(scores.source == "segmentation" for scores in slice_reading(answer).scores)
    highest = "value of the lesion map" if of_map else "smoothed probability"
    which = (
        f"For each part that was looked at, the slices with the highest {highest}"
        if slice_reading(answer).scores
        else "Slices spread evenly over each part that was looked at"
    )
    outline = " Blue line: outline of the bone." if mask is not None else ""
    box = " Dashed frame with hatched sides: affected region." if affected_boxes(answer) else ""
    return f"{which}, in bone window (level 400 HU, width 1,800 HU).{outline}{box}"
