"""Which slices, masks and regions a picture shows; and slices.png: those that the model finds most suspicious."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import Region
from osteon.geometry import Box
from osteon.labels import concept
from osteon.report.findings import region_of
from osteon.report.orientation import Display, slice_positions_mm
from osteon.report.sheet import (
    AFFECTED,
    INK,
    MUTED,
    Sheet,
    show_box,
    show_image,
    show_letters,
    show_outline,
    show_scale_bar,
)
from osteon.report.wording import position, probability, upper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from osteon.data import Answer, Mask, SliceScores, Volume
    from osteon.geometry import Grid
    from osteon.report.blocks import Picture

__all__ = [
    "BONE_WINDOW_HU",
    "SliceLook",
    "affected_boxes",
    "bone_mask",
    "bone_values",
    "crop_window",
    "draw_slices",
    "in_a_run",
    "is_of_map",
    "regions_or_whole",
    "scores_of",
    "telling_slices",
]

BONE_WINDOW_HU: Final = (-500.0, 1300.0)
"""Level 400, width 1800."""

_WIDEST, _TALLEST, _NARROWEST = 500.0, 540.0, 410.0
_GAP, _EDGE, _HEAD, _FOOT = 24.0, 24.0, 70.0, 92.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceLook:
    """How a system that scores slices has them shown.

    Attributes:
        curve: heading of the probability over the slices.
        map_curve: the same where the highest value of a map stands in for a classifier.
        called: what a slice is called at or above the threshold.
        margin_mm: flesh shown around the parts that were looked at.
        explained: what a heat map explains the score of.
        not_called: what is said of a heat map's slice that was not called.
    """

    curve: str
    map_curve: str
    called: str
    margin_mm: float
    explained: str = "tumour"
    not_called: str = ""

    def title(self, scores: Sequence[SliceScores]) -> str:
        """Heading of what is drawn over the slices."""
        return self.map_curve if is_of_map(scores) else self.curve


def is_of_map(scores: Sequence[SliceScores]) -> bool:
    """Whether the highest value of a map stands in for a classifier."""
    return any(each.source == "segmentation" for each in scores)


def bone_mask(answer: Answer, grid: Grid) -> Mask | None:
    """The mask that holds bone on the volume's grid, or None."""
    bone = concept("bone")
    for mask in answer.masks.values():
        if any(label.kind == bone for label in mask.labels) and mask.grid.same_as(grid):
            return mask
    return None


def bone_values(mask: Mask, region: str) -> tuple[int, ...]:
    """Label values of the bone of one region; of all bone when no label names the region, as "Bone, left leg"."""
    bone = [label for label in mask.labels if label.kind == concept("bone")]
    named = [label for label in bone if region in label.name]
    return tuple(label.value for label in named or bone)


def affected_boxes(answer: Answer, region: str | None = None) -> list[Box]:
    """Boxes of abnormal findings; of one region only when it is named and the answer has regions."""
    boxes = [finding.box for finding in answer.findings if finding.is_abnormal and finding.box is not None]
    if region is None or not answer.regions:
        return boxes
    return [box for box in boxes if region_of(box, answer.regions) == region]


def regions_or_whole(answer: Answer, volume: Volume) -> tuple[Region, ...]:
    """The answer's regions, or one that is the whole image when it has none."""
    if answer.regions:
        return answer.regions
    present = np.ones(volume.grid.shape[0], dtype=np.bool_)
    return (Region(name="whole image", box=Box(start=(0, 0, 0), stop=volume.grid.shape), present=present),)


def scores_of(scores: Sequence[SliceScores], region: str) -> SliceScores | None:
    """The scores along a region, or None."""
    return next((each for each in scores if each.region == region and len(each.slices)), None)


def in_a_run(scores: SliceScores, slice_index: int) -> bool:
    """Whether a slice lies in a positive run."""
    return any(first <= slice_index < stop for first, stop in scores.runs)


def telling_slices(scored: Sequence[SliceScores], region: Region, *, most: int = 3) -> list[int]:
    """Slices worth showing first, in ascending order.

    With scores: those with the highest smoothed probability, apart from each other by at least a fifteenth of the
    region so that neighbours do not crowd out a second place. Without: evenly spread over the region.

    Args:
        scored: scores of the regions.
        region: where to look.
        most: how many at most.

    Returns:
        Slice indices into the volume; empty when the region is seen in no slice.
    """
    seen = np.flatnonzero(region.present)
    scores = scores_of(scored, region.name)
    if scores is None:
        if not len(seen):
            return []
        return sorted({int(seen[int(part * (len(seen) - 1) + 0.5)]) for part in (np.arange(most) + 0.5) / most})
    apart = max(len(scores.slices) // 15, 2)
    ranking = np.lexsort((-scores.probability, -np.round(scores.smoothed, 3)))
    chosen: list[int] = []
    for place in ranking:
        index = int(scores.slices[place])
        if all(abs(index - other) >= apart for other in chosen):
            chosen.append(index)
        if len(chosen) == most:
            break
    return sorted(chosen)


def crop_window(region: Region, grid: Grid, *, margin_mm: float) -> Box:
    """The region with a margin in the plane of the slices, inside the image."""
    start, stop = list(region.box.start), list(region.box.stop)
    for axis in (1, 2):
        margin = round(margin_mm / grid.spacing_mm[axis])
        start[axis] = max(start[axis] - margin, 0)
        stop[axis] = min(stop[axis] + margin, grid.shape[axis])
    return Box(start=(start[0], start[1], start[2]), stop=(stop[0], stop[1], stop[2]))


def draw_slices(
    path: Path, answer: Answer, volume: Volume, scores: Sequence[SliceScores], *, look: SliceLook, most: int = 3
) -> Picture:
    """Draw up to ``most`` slices a region, in bone window, with the outline of bone and the affected region.

    Raises:
        OutputError: the picture cannot be written.
    """
    display = Display.of(volume.grid)
    rows = [(region, telling_slices(scores, region, most=most)) for region in regions_or_whole(answer, volume)]
    rows = [(region, slices) for region, slices in rows if slices]
    windows = [crop_window(region, volume.grid, margin_mm=look.margin_mm) for region, _ in rows]
    sizes_mm = [display.extent_mm(window) for window in windows]
    scale = min((min(_WIDEST / across, _TALLEST / down) for across, down in sizes_mm), default=1.0)
    cell = max([_NARROWEST, *(across * scale for across, _ in sizes_mm)])  # the words below need room too
    heights = [down * scale + _FOOT + 36 for _, down in sizes_mm]
    columns = max((len(slices) for _, slices in rows), default=1)
    sheet = Sheet(max(2 * _EDGE + columns * cell + (columns - 1) * _GAP, 900), _HEAD + sum(heights) + 8)
    highest = "value of the lesion map" if is_of_map(scores) else "probability"
    sheet.head(f"Slices with the highest {highest}" if scores else "Slices", demo=answer.is_demo)
    top, mask = _HEAD, bone_mask(answer, volume.grid)
    for (region, slices), window, (across, down), height in zip(rows, windows, sizes_mm, heights, strict=True):
        sheet.text(_EDGE, top + 4, region.name.capitalize(), size=21, colour=MUTED)
        for number, index in enumerate(slices):
            left = _EDGE + number * (cell + _GAP)
            axes = sheet.panel(left, top + 36, across * scale, down * scale, extent_mm=(across, down))
            _draw_one(axes, answer, volume, window=window, place=(region, index), mask=mask)
            below = left, top + 36 + down * scale + 8
            _write_below(sheet, below, volume, index, scores_of(scores, region.name), called=look.called)
        top += height
    return sheet.picture(path, "Slices", _caption(answer, mask, scores))


def _draw_one(
    axes: Axes, answer: Answer, volume: Volume, *, window: Box, place: tuple[Region, int], mask: Mask | None
) -> None:
    """One slice of a region."""
    display, (region, index), (low, high) = Display.of(volume.grid), place, BONE_WINDOW_HU
    row, column = display.plane_axes()
    show_image(axes, display.crop(volume.array, window, index), low=low, high=high)
    if mask is not None:
        inside = np.isin(display.crop(mask.array, window, index), bone_values(mask, region.name))
        show_outline(axes, inside, (display.spacing_mm[row], display.spacing_mm[column]))
    for box in affected_boxes(answer, region.name):
        if box.start[0] <= index < box.stop[0]:
            show_box(axes, display.place_mm(box, window), affected=True, label="affected")
    show_letters(axes, display.edge_letters(display.slice_axis))
    show_scale_bar(axes)


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
    sheet.text(left, top + 54, upper(verdict), size=19, colour=AFFECTED if inside else MUTED)


def _caption(answer: Answer, mask: Mask | None, scores: Sequence[SliceScores]) -> str:
    highest = "value of the lesion map" if is_of_map(scores) else "smoothed probability"
    which = (
        f"For each part that was looked at, the slices with the highest {highest}"
        if scores
        else "Slices spread evenly over each part that was looked at"
    )
    outline = " Blue line: outline of the bone." if mask is not None else ""
    box = " Dashed frame with hatched sides: affected region." if affected_boxes(answer) else ""
    return f"{which}, in bone window (level 400 HU, width 1,800 HU).{outline}{box}"
