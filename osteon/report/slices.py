"""Which slices, masks and regions a picture shows; overview.png, slices.png and heat_maps.png."""

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
from osteon.report.wording import count, position, probability, upper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from osteon.data import Answer, HeatMap, Mask, Radiograph, SliceReading, SliceScores, Volume
    from osteon.geometry import Grid
    from osteon.report.blocks import Picture

__all__ = [
    "BONE_SHADES",
    "MOST_HEAT_MAPS",
    "Shades",
    "SliceLook",
    "affected_boxes",
    "bone_mask",
    "bone_values",
    "crop_window",
    "draw_heat_maps",
    "draw_overview",
    "draw_slices",
    "in_a_run",
    "is_of_map",
    "projection",
    "regions_or_whole",
    "scores_of",
    "telling_slices",
]

_WIDEST, _TALLEST, _NARROWEST = 500.0, 540.0, 410.0
_GAP, _EDGE, _HEAD, _FOOT = 24.0, 24.0, 70.0, 92.0

_LOWEST_HU: Final = -50.0
"""Fat and air would only veil the bone."""
_HIGHEST_HU: Final = 1300.0
"""Metal would outshine everything."""
_FRONT_MARGIN, _FRONT_GAP, _FRONT_HEAD = 24.0, 26.0, 112.0

MOST_HEAT_MAPS: Final = 6
_HEAT_SIDE, _HEAT_GAP, _HEAT_HEAD, _BETWEEN = 330.0, 10.0, 104.0, 44.0
_COLUMNS: Final = 2
_NOT_OUTLINE: Final = "A heat map shows what the model used. It is not an outline of a tumour."


@dataclass(frozen=True, slots=True)
class Shades:
    """Values that are shown black and white, and what a caption calls that."""

    low: float
    high: float
    words: str


BONE_SHADES: Final = Shades(-500.0, 1300.0, "in bone window (level 400 HU, width 1,800 HU)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceLook:
    """How a system that scores slices has them shown.

    Attributes:
        curve: heading of the probability over the slices.
        map_curve: the same where the highest value of a map stands in for a classifier.
        predicted: what a slice is predicted at or above the threshold.
        margin_mm: flesh shown around the parts that were looked at.
        explained: what a heat map explains the score of.
        not_predicted: what is said of a heat map's slice that was not predicted.
        shades: of every slice that is shown.
    """

    curve: str
    map_curve: str
    predicted: str
    margin_mm: float
    explained: str = "tumour"
    not_predicted: str = ""
    shades: Shades = BONE_SHADES

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
    """Whether a slice is in a positive run."""
    return any(first <= slice_index < stop for first, stop in scores.runs)


def telling_slices(scored: Sequence[SliceScores], region: Region, *, most: int = 3) -> list[int]:
    """Slices worth showing first, at most this many, in ascending order; none when the region is seen in no slice.

    With scores: those with the highest smoothed probability, apart from each other by at least a fifteenth of the
    region so that neighbours do not crowd out a second place. Without: evenly spread over the region.
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
    path: Path, answer: Answer, volume: Volume, scores: Sequence[SliceScores], *, look: SliceLook
) -> Picture:
    """Draw up to three slices a region, in bone window, with the outline of bone and the affected region.

    Raises:
        OutputError: the picture cannot be written.
    """
    display = Display.of(volume.grid)
    rows = [(region, telling_slices(scores, region)) for region in regions_or_whole(answer, volume)]
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
            place = region, index
            _draw_one(axes, answer, volume, window=window, place=place, mask=mask, shades=look.shades)
            below = left, top + 36 + down * scale + 8
            _write_below(sheet, below, volume, index, scores_of(scores, region.name), predicted=look.predicted)
        top += height
    return sheet.picture(path, "Slices", _caption(answer, mask, scores, look.shades))


def _draw_one(
    axes: Axes,
    answer: Answer,
    volume: Volume,
    *,
    window: Box,
    place: tuple[Region, int],
    mask: Mask | None,
    shades: Shades,
) -> None:
    """One slice of a region."""
    display, (region, index) = Display.of(volume.grid), place
    row, column = display.plane_axes()
    show_image(axes, display.crop(volume.array, window, index), low=shades.low, high=shades.high)
    if mask is not None:
        inside = np.isin(display.crop(mask.array, window, index), bone_values(mask, region.name))
        show_outline(axes, inside, (display.spacing_mm[row], display.spacing_mm[column]))
    for box in affected_boxes(answer, region.name):
        if box.start[0] <= index < box.stop[0]:
            show_box(axes, display.place_mm(box, window), affected=True, label="affected")
    show_letters(axes, display.edge_letters(display.slice_axis))
    show_scale_bar(axes)


def _write_below(
    sheet: Sheet, place: tuple[float, float], volume: Volume, index: int, scores: SliceScores | None, *, predicted: str
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
    verdict = f"predicted {predicted}" if inside else f"below the threshold of {scores.threshold:.2f}"
    if not inside and scores.smoothed[at] >= scores.threshold:
        is_withheld = any(first <= index < stop for first, stop in scores.withheld_runs)
        verdict = "not reported: out of distribution" if is_withheld else "above the threshold, in no run"
    sheet.text(left, top + 28, measured, size=19, colour=INK)
    sheet.text(left, top + 54, upper(verdict), size=19, colour=AFFECTED if inside else MUTED)


def _caption(answer: Answer, mask: Mask | None, scores: Sequence[SliceScores], shades: Shades) -> str:
    highest = "value of the lesion map" if is_of_map(scores) else "smoothed probability"
    which = f"For each part that was looked at, the slices with the highest {highest}"
    which = which if scores else "Slices spread evenly over each part that was looked at"
    outline = " Blue line: outline of the bone." if mask is not None else ""
    box = " Dashed frame with hatched sides: affected region." if affected_boxes(answer) else ""
    return f"{which}, {shades.words}.{outline}{box}"


def draw_overview(path: Path, answer: Answer, volume: Volume) -> Picture:
    """Draw simulated radiographs: the mean attenuation along straight rays.

    Raises:
        OutputError: the picture cannot be written.
    """
    display = Display.of(volume.grid)
    whole = Box(start=(0, 0, 0), stop=volume.grid.shape)
    front = _window(answer.regions, whole, display)
    panels = [("From the front", 1, front, answer.regions)]
    panels += [(f"{region.name.capitalize()}, from the side", 2, region.box, (region,)) for region in answer.regions]
    sizes_mm = [display.extent_mm(box, axis) for _, axis, box, _ in panels]
    room = 1600 - 2 * _FRONT_MARGIN - _FRONT_GAP * (len(sizes_mm) - 1)  # 1600 x 1200 pixels are filled
    scale = min(room / sum(across for across, _ in sizes_mm), 1100 / max(down for _, down in sizes_mm))
    width = sum(across for across, _ in sizes_mm) * scale + _FRONT_GAP * (len(panels) - 1) + 2 * _FRONT_MARGIN
    sheet = Sheet(max(width, 900), max(down for _, down in sizes_mm) * scale + _FRONT_HEAD + _FRONT_MARGIN)
    sheet.head("Overview", demo=answer.is_demo)
    images = [projection(volume, display, box=box, axis=axis) for _, axis, box, _ in panels]
    white: dict[int, float] = {}
    for (_, axis, *_), image in zip(panels, images, strict=True):
        white[axis] = max(white.get(axis, 1.0), float(np.percentile(image, 99.7)))
    left = _FRONT_MARGIN
    for (title, axis, box, regions), (across, down), image in zip(panels, sizes_mm, images, strict=True):
        sheet.text(left, 74, title, size=20, colour=MUTED)
        axes = sheet.panel(left, _FRONT_HEAD, across * scale, down * scale, extent_mm=(across, down))
        show_image(axes, image, low=0.0, high=white[axis])
        _mark(axes, answer, display, window=box, axis=axis, regions=regions)
        show_letters(axes, display.edge_letters(axis))
        show_scale_bar(axes)
        left += across * scale + _FRONT_GAP
    return sheet.picture(path, "Overview", _front_caption(answer))


def projection(volume: Volume, display: Display, *, box: Box, axis: int) -> NDArray[np.float32]:
    """Mean of the clipped values along one display axis, inside a box of the grid; a simulated radiograph.

    Returns:
        (rows, columns) of the display plane without that axis; 0 for soft rays.
    """
    part = volume.array[box.slices]
    along = display.order[axis]
    slabs = []
    total = np.zeros(part.shape[1:], dtype=np.float32)
    for slab in part:  # slice by slice: the volume is never copied whole
        clipped = np.clip(slab, _LOWEST_HU, _HIGHEST_HU).astype(np.float32) - np.float32(_LOWEST_HU)
        if along == 0:
            total += clipped
        else:
            slabs.append(clipped.mean(axis=along - 1))
    flat = total / np.float32(len(part)) if along == 0 else np.stack(slabs)
    turned: NDArray[np.float32] = display.turn(np.expand_dims(flat, axis=along)).squeeze(axis=axis)
    return turned


def _window(regions: tuple[Region, ...], whole: Box, display: Display) -> Box:
    """What the picture from the front shows: all regions with a margin, so the table is left out where it can be."""
    if not regions:
        return whole
    start = [min(region.box.start[axis] for region in regions) for axis in range(3)]
    stop = [max(region.box.stop[axis] for region in regions) for axis in range(3)]
    for axis, step_mm in zip(display.order, display.spacing_mm, strict=True):
        margin = 0 if axis == 0 else round(12 / step_mm)
        start[axis], stop[axis] = max(start[axis] - margin, 0), min(stop[axis] + margin, whole.stop[axis])
    start[0], stop[0] = 0, whole.stop[0]
    return Box(start=(start[0], start[1], start[2]), stop=(stop[0], stop[1], stop[2]))


def _mark(axes: Axes, answer: Answer, display: Display, *, window: Box, axis: int, regions: tuple[Region, ...]) -> None:
    """Draw the regions and the affected extents that belong to a panel."""
    for region in regions if axis == 1 else ():
        show_box(axes, _place(display, region.box, window, axis), affected=False, label=region.name)
    names: list[str | None] = [region.name for region in regions] or [None]
    for box in [box for name in names for box in affected_boxes(answer, name)]:
        show_box(axes, _place(display, box, window, axis), affected=True, label="affected")


def _place(display: Display, box: Box, window: Box, axis: int) -> tuple[float, float, float, float]:
    """Where a box is on a panel, cut at its edges."""
    left, top, right, bottom = display.place_mm(box, window, axis)
    across, down = display.extent_mm(window, axis)
    return max(left, 0.0), max(top, 0.0), min(right, across), min(bottom, down)


def _front_caption(answer: Answer) -> str:
    marks = "Dashed frames with hatched sides mark the affected extent."
    marks = marks if affected_boxes(answer) else "No affected extent is marked."
    return (
        "Simulated radiographs from the CT (mean attenuation along parallel rays), in true proportions and "
        f"radiological orientation. Dotted frames: the parts that were looked at. {marks}"
    )


def draw_heat_maps(
    path: Path, reading: SliceReading, volume: Volume | Radiograph, *, look: SliceLook, demo: bool
) -> Picture:
    """Draw the crop of every explained slice, plain and with its heat; at most ``MOST_HEAT_MAPS``, suspected first.

    Raises:
        OutputError: the picture cannot be written.
    """
    chosen = sorted(reading.heat_maps, key=lambda heat: not heat.is_predicted)[:MOST_HEAT_MAPS]
    display = Display.of(volume.grid)
    columns = min(_COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
    cell = 2 * _HEAT_SIDE + _HEAT_GAP
    sheet = Sheet(
        max(2 * _EDGE + columns * cell + (columns - 1) * _BETWEEN, 1000), _HEAT_HEAD + rows * (_HEAT_SIDE + _FOOT) + 8
    )
    sheet.head("Model attention (Grad-CAM)", demo=demo)
    sheet.text(_EDGE, 60, _NOT_OUTLINE, size=20, colour=AFFECTED)
    letters = display.edge_letters(display.slice_axis)
    for number, heat in enumerate(chosen):
        left = _EDGE + number % columns * (cell + _BETWEEN)
        top = _HEAT_HEAD + number // columns * (_HEAT_SIDE + _FOOT)
        rows_axis, columns_axis = (axis for axis in display.order if axis != 0)
        extent_mm = heat.extent_mm[columns_axis - 1], heat.extent_mm[rows_axis - 1]  # as it is shown
        across, down = (side * _HEAT_SIDE / max(extent_mm) for side in extent_mm)
        for place, shows_heat in ((left, False), (left + _HEAT_SIDE + _HEAT_GAP, True)):
            axes = sheet.panel(place, top, across, down, extent_mm=extent_mm)
            show_image(axes, _turned(heat.crop, display), low=0.0, high=1.0)
            if shows_heat:
                _show_heat(axes, _turned(heat.heat, display))
            if volume.grid.is_in_mm:
                show_letters(axes, letters, size=17)
        _write_below_heat(sheet, (left, top + down + 8), reading, heat, look)
    left_out = len(reading.heat_maps) - len(chosen)
    return sheet.picture(path, "Model attention (Grad-CAM)", _heat_caption(reading, look.explained, left_out=left_out))


def _turned(image: NDArray[np.float32], display: Display) -> NDArray[np.float32]:
    """A crop is as the volume does; the picture is turned as every other of the report."""
    turned: NDArray[np.float32] = display.turn(image[None]).squeeze(axis=display.slice_axis)
    return turned


def _show_heat(axes: Axes, heat: NDArray[np.float32]) -> None:
    """Warm and translucent where the heat is high; a line at half of it, for those who do not see the colours."""
    from matplotlib import colormaps

    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    colours = colormaps["inferno"](heat)
    colours[..., 3] = np.clip(1.6 * heat, 0, 0.62)
    axes.imshow(colours, extent=(left, right, bottom, top), aspect="auto", interpolation="bilinear")
    if heat.min() < 0.5 < heat.max():
        rows, columns = heat.shape
        x = (np.arange(columns) + 0.5) / columns * (right - left) + left
        y = (np.arange(rows) + 0.5) / rows * (bottom - top) + top
        axes.contour(x, y, heat, levels=[0.5], colors=["#ffffff"], linewidths=1.1, linestyles="dashed")


def _write_below_heat(
    sheet: Sheet, place: tuple[float, float], reading: SliceReading, heat: HeatMap, look: SliceLook
) -> None:
    left, top = place
    sheet.text(left, top, f"{heat.region.capitalize()}, slice {heat.slice_index + 1}", size=19, colour=INK)
    scores = scores_of(reading.scores, heat.region)
    if scores is not None and heat.slice_index in scores.slices:
        at = int((scores.slices == heat.slice_index).argmax())
        words = f"Probability {probability(float(scores.probability[at]))}"
        if scores.spread is not None:
            words += f", spread of the networks {scores.spread[at]:.2f}"
        sheet.text(left, top + 26, words, size=19, colour=INK)
    verdict = f"predicted {look.predicted}" if heat.is_predicted else look.not_predicted
    if scores is not None and any(first <= heat.slice_index < stop for first, stop in scores.withheld_runs):
        verdict = "not reported: out of distribution"
    sheet.text(left, top + 52, upper(verdict), size=19, colour=AFFECTED if heat.is_predicted else MUTED)


def _heat_caption(reading: SliceReading, explained: str, *, left_out: int) -> str:
    members = max(heat.members for heat in reading.heat_maps)
    mean = f", the mean over {members} networks" if members > 1 else ""
    more = f" {count(left_out, 'further map')} left out." if left_out else ""
    return (
        f"Grad-CAM{mean}: left the part of the slice that the model was given, right the same with the places that "
        f"raised its score for {explained} in warm colours; the dashed line is half of the highest value. It is as "
        "coarse as the model's last layer and shows what the model used: it is not a segmentation and no outline of a "
        f"tumour.{more}"
    )
