"""What is drawn of the tumours of a limb: key slices with outline and map, a montage, and surfaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from osteon import mesh
from osteon.geometry import Box
from osteon.report.lesions import colour_hex
from osteon.report.orientation import Display, direction_letters, slice_positions_mm
from osteon.report.sheet import MUTED, Sheet, show_image, show_letters, show_outline, show_picture, show_scale_bar
from osteon.report.surfaces import bone_surfaces, extent_mm
from osteon.report.wording import position
from osteon.systems.limb_sarcoma.text import LimbReading, colour_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from osteon.data import Answer, Mask, Volume
    from osteon.report.blocks import Picture
    from osteon.report.lesions import DrawnLesion
    from osteon.report.slices import Shades

__all__ = ["draw_in_3d", "draw_key_slices", "draw_montage"]

_TILE, _GAP, _EDGE, _HEAD, _FOOT = 470.0, 14.0, 24.0, 72.0, 34.0
_LEAST_MM: Final = 120.0
"""Side of the part of a slice that is shown at least, with a margin around the tumour."""
_AROUND_MM: Final = 30.0
_MONTAGE: Final = (4, 6)
_SMALL: Final = 250.0
_SHOT: Final = 620


def _window(boxes: Sequence[Box], volume: Volume) -> Box:
    """The part of the plane that holds the boxes with a margin, not too small; all slices."""
    start, stop = [0, 0, 0], list(volume.grid.shape)
    for axis in (1, 2):
        mm, size = volume.grid.spacing_mm[axis], volume.grid.shape[axis]
        low, high = min(box.start[axis] for box in boxes), max(box.stop[axis] for box in boxes)
        wide = max((high - low) * mm + 2 * _AROUND_MM, _LEAST_MM)
        first = round((low + high) / 2 - wide / mm / 2)
        start[axis], stop[axis] = max(first, 0), min(first + round(wide / mm), size)
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def draw_key_slices(
    path: Path, answer: Answer, volume: Volume, mask: Mask, shades: Shades, tumour: DrawnLesion
) -> Picture:
    """Draw the ends of a tumour and the slice that shows most of it, with the outline, and below with the map.

    Raises:
        OutputError: the picture cannot be written.
    """
    display, reading = Display.of(volume.grid), answer.detail_as(LimbReading)
    window = _window([tumour.box], volume)
    across, down = display.extent_mm(window)
    scale = min(_TILE / across, _TILE / down)
    width, height = across * scale, down * scale
    ends = tumour.box.start[0], tumour.box.stop[0] - 1
    indices = tuple(dict.fromkeys((ends[0], tumour.key_slice, ends[1])))
    rows = 1 if reading.probability is None else 2
    sheet = Sheet(
        max(2 * _EDGE + len(indices) * width + (len(indices) - 1) * _GAP, 900),
        _HEAD + rows * (height + _GAP) + _FOOT,
    )
    sheet.head(f"{tumour.name}: its ends and most of it", demo=answer.is_demo)
    positions = slice_positions_mm(volume.grid)
    for column, index in enumerate(indices):
        left = _EDGE + column * (width + _GAP)
        for row in range(rows):
            axes = sheet.panel(left, _HEAD + row * (height + _GAP), width, height, extent_mm=(across, down))
            show_image(axes, display.crop(volume.array, window, index), low=shades.low, high=shades.high)
            if row and reading.probability is not None:
                _show_map(axes, display.crop(reading.probability, window, index))
            _outlines(axes, mask, display, window, index)
            show_letters(axes, display.edge_letters(display.slice_axis), size=17)
            show_scale_bar(axes, size=16)
        where = f"slice {index + 1} of {volume.grid.shape[0]}, {position(float(positions[index]))}"
        most = " (most of it)" if index == tumour.key_slice else ""
        sheet.text(left, _HEAD + rows * (height + _GAP) + 2, f"{where}{most}", size=18, colour=MUTED)
    map_told = " Below, the same with the model's map: the warmer, the higher its value." if rows == 2 else ""
    caption = (
        f"The first and the last slice of {tumour.name.lower()} and the one that shows most of it, {shades.words}. "
        f"Coloured line: outline of the tumour.{map_told}"
    )
    return sheet.picture(path, "Key slices", caption)


def draw_montage(
    path: Path, answer: Answer, volume: Volume, mask: Mask, shades: Shades, tumours: Sequence[DrawnLesion]
) -> Picture:
    """Draw slices from the first to the last that hold tumour, evenly apart, with all outlines.

    Raises:
        OutputError: the picture cannot be written.
    """
    display, window = Display.of(volume.grid), _window([one.box for one in tumours], volume)
    across, down = display.extent_mm(window)
    scale = min(_SMALL / across, _SMALL / down)
    width, height = across * scale, down * scale
    first, last = min(one.box.start[0] for one in tumours), max(one.box.stop[0] for one in tumours) - 1
    rows, columns = _MONTAGE
    chosen = np.unique(np.linspace(first, last, min(rows * columns, last - first + 1)).round().astype(int))
    rows = -(-len(chosen) // columns)
    sheet = Sheet(max(2 * _EDGE + columns * (width + _GAP) - _GAP, 900), _HEAD + rows * (height + _FOOT) + _GAP)
    sheet.head("Slices from the first to the last with tumour", demo=answer.is_demo)
    for place, index in enumerate(chosen.tolist()):
        left, top = _EDGE + place % columns * (width + _GAP), _HEAD + place // columns * (height + _FOOT)
        axes = sheet.panel(left, top, width, height, extent_mm=(across, down))
        show_image(axes, display.crop(volume.array, window, index), low=shades.low, high=shades.high)
        _outlines(axes, mask, display, window, index)
        sheet.text(left, top + height + 5, f"slice {index + 1}", size=17, colour=MUTED)
    every = "every slice" if len(chosen) == last - first + 1 else f"{len(chosen)} of {last - first + 1} slices"
    caption = (
        f"{every.capitalize()} from {first + 1} to {last + 1}, {shades.words}. Coloured lines: outlines of tumours."
    )
    return sheet.picture(path, "Slice after slice", caption)


def draw_in_3d(path: Path, answer: Answer, tumours: Sequence[DrawnLesion]) -> Picture:
    """Draw tumours, and bone where it was found, from the front and from the left.

    Raises:
        OutputError: the picture cannot be written.
    """
    bones, seen = bone_surfaces(answer), tuple(one.surface for one in tumours if one.surface is not None)
    bodies, through = (bones, seen) if bones else (seen, ())
    views: tuple[tuple[str, mesh.View], ...] = (("From the front", "anterior"), ("From the left", "left"))
    sizes = [extent_mm([*bodies, *through], view) for _, view in views]
    scale = _SHOT / (1.15 * max(max(size) for size in sizes))
    sheet = Sheet(2 * _SHOT + 2 * _EDGE + _GAP, _HEAD + 40 + _SHOT + _EDGE)
    sheet.head(
        "Tumour and bone" if bones and seen else "Tumour" if seen else "Bone", demo=answer.is_demo and bool(seen)
    )
    for place, (title, view) in enumerate(views):
        left = _EDGE + place * (_SHOT + _GAP)
        sheet.text(left, _HEAD, title, size=20, colour=MUTED)
        shot = mesh.render(bodies, view=view, size=(_SHOT, _SHOT), outlines=through, mm_per_px=1 / scale)
        axes = sheet.panel(left, _HEAD + 34, _SHOT, _SHOT, extent_mm=(_SHOT / scale, _SHOT / scale))
        show_picture(axes, shot.rgb)
        right, up, _ = shot.camera.axes
        letters = tuple(direction_letters(vector) for vector in (-right, right, up, -up))
        show_letters(axes, (letters[0], letters[1], letters[2], letters[3]))
        show_scale_bar(axes)
    shine = " Tumours shine through the bone before them." if bones and seen else ""
    return sheet.picture(path, "In 3D", f"Surfaces in parallel projection, to scale.{shine}")


def _outlines(axes: Axes, mask: Mask, display: Display, window: Box, index: int) -> None:
    """The outline of every tumour in its colour."""
    shown = display.crop(mask.array, window, index)
    row, column = display.plane_axes()
    steps = display.spacing_mm[row], display.spacing_mm[column]
    for value in np.unique(shown[shown > 0]).tolist():
        show_outline(axes, shown == value, steps, colour=colour_hex(colour_of(value)), width=1.6)


def _show_map(axes: Axes, values: NDArray[np.uint8]) -> None:
    """The model's map as warm colours, the stronger the higher."""
    from matplotlib import colormaps

    share = values.astype(np.float32) / 255
    colours = colormaps["inferno"](share)
    colours[..., 3] = np.clip(1.6 * share, 0, 0.62)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    axes.imshow(colours, extent=(left, right, bottom, top), aspect="auto", interpolation="bilinear")
