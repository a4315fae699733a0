"""overview.png: the whole series from the front and every leg from the side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.geometry import Box
from osteon.report.orientation import Display
from osteon.report.sheet import MUTED, Sheet, show_box, show_image, show_letters, show_scale_bar
from osteon.report.slices import affected_boxes

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from osteon.data import Answer, Region, Volume
    from osteon.report.blocks import Picture

__all__ = ["draw_overview", "projection"]

_LOWEST_HU: Final = -50.0
"""Fat and air would only veil the bone."""
_HIGHEST_HU: Final = 1300.0
"""Metal would outshine everything."""
_MARGIN, _GAP, _HEAD = 24.0, 26.0, 112.0


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
    scale = _scale(sizes_mm)
    width = sum(across for across, _ in sizes_mm) * scale + _GAP * (len(panels) - 1) + 2 * _MARGIN
    sheet = Sheet(max(width, 900), max(down for _, down in sizes_mm) * scale + _HEAD + _MARGIN)
    sheet.head("Overview", demo=answer.is_demo)
    images = [projection(volume, display, box=box, axis=axis) for _, axis, box, _ in panels]
    white = {
        axis: max(_white(image) for (_, other, *_), image in zip(panels, images, strict=True) if other == axis)
        for axis in {axis for _, axis, *_ in panels}
    }
    left = _MARGIN
    for (title, axis, box, regions), (across, down), image in zip(panels, sizes_mm, images, strict=True):
        sheet.text(left, 74, title, size=20, colour=MUTED)
        axes = sheet.panel(left, _HEAD, across * scale, down * scale, extent_mm=(across, down))
        show_image(axes, image, low=0.0, high=white[axis])
        _mark(axes, answer, display, window=box, axis=axis, regions=regions)
        show_letters(axes, display.edge_letters(axis))
        show_scale_bar(axes)
        left += across * scale + _GAP
    return sheet.picture(path, "Overview", _caption(answer))


def projection(volume: Volume, display: Display, *, box: Box, axis: int) -> NDArray[np.float32]:
    """Mean of the clipped values along one display axis, inside a box; a simulated radiograph.

    Args:
        volume: any orientation.
        display: of its grid.
        box: on the grid.
        axis: display axis the rays run along.

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


def _white(image: NDArray[np.float32]) -> float:
    return max(float(np.percentile(image, 99.7)), 1.0)


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


def _scale(sizes_mm: list[tuple[float, float]]) -> float:
    """Pixels a millimetre that fill 1600 x 1200."""
    room = 1600 - 2 * _MARGIN - _GAP * (len(sizes_mm) - 1)
    return min(room / sum(across for across, _ in sizes_mm), 1100 / max(down for _, down in sizes_mm))


def _mark(axes: Axes, answer: Answer, display: Display, *, window: Box, axis: int, regions: tuple[Region, ...]) -> None:
    """Draw the regions and the affected extents that belong to a panel."""
    for region in regions if axis == 1 else ():
        show_box(axes, _place(display, region.box, window, axis), affected=False, label=region.name)
    wanted = (
        [box for region in regions for box in affected_boxes(answer, region.name)]
        if regions
        else affected_boxes(answer)
    )
    for box in wanted:
        show_box(axes, _place(display, box, window, axis), affected=True, label="affected")


def _place(display: Display, box: Box, window: Box, axis: int) -> tuple[float, float, float, float]:
    """Where a box lies on a panel, cut at its edges."""
    left, top, right, bottom = display.place_mm(box, window, axis)
    across, down = display.extent_mm(window, axis)
    return max(left, 0.0), max(top, 0.0), min(right, across), min(bottom, down)


def _caption(answer: Answer) -> str:
    affected = affected_boxes(answer)
    marks = (
        "Dashed frames with hatched sides mark the affected extent." if affected else "No affected extent is marked."
    )
    return (
        "Simulated radiographs from the CT (mean attenuation along parallel rays), in true proportions and "
        f"radiological orientation. Dotted frames: the parts that were looked at. {marks}"
    )
