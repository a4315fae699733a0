"""Lesions as they are drawn; and lesion_01.png and so on: one in its slice and enlarged in three planes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.geometry import Box
from osteon.report.orientation import Display, slice_positions_mm
from osteon.report.sheet import DARK, INK, MUTED, Sheet, show_image, show_letters, show_scale_bar
from osteon.report.slices import BONE_SHADES, crop_window, regions_or_whole
from osteon.report.wording import position

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from osteon.data import Answer, Mask, Surface, Volume
    from osteon.report.blocks import Picture
    from osteon.report.slices import Shades

__all__ = ["DrawnLesion", "around_regions", "colour_hex", "draw_lesion", "lesion_picture"]

_SIDE: Final = 310
"""Height of every panel, and width of the enlarged ones, in pixels."""
_EDGE, _GAP, _HEAD, _FOOT = 20.0, 14.0, 62.0, 40.0
_LEAST_ZOOM_MM: Final = 60.0
_PLANES: Final = ("axial", "coronal", "sagittal")


@dataclass(frozen=True, slots=True, eq=False)
class DrawnLesion:
    """A lesion of a list and what draws it.

    Attributes:
        number: from 1; what a person calls it.
        value: its label in the mask of lesions; 0 where no mask shows it.
        colour: in every picture, RGB; ``kind`` is what it stands for, as "lytic".
        group: what it is switched with in 3D when there are many, as "Lytic lesions".
        surface: in 3D, in its colour; None without.
        noun: what it is called.
    """

    number: int
    box: Box
    value: int
    key_slice: int
    volume_ml: float
    colour: tuple[int, int, int]
    kind: str
    group: str
    surface: Surface | None = field(default=None, repr=False)
    noun: str = "Lesion"

    @property
    def name(self) -> str:
        """As "Lesion 1"."""
        return f"{self.noun} {self.number}"


def colour_hex(colour: tuple[int, int, int]) -> str:
    """As "#rrggbb".

    Example:
        >>> colour_hex((255, 128, 48))
        '#ff8030'
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)


@dataclass(frozen=True, slots=True)
class _Cut:
    """A rectangle of the plane at ``index`` of a display axis, in display indices that may reach beyond the image."""

    axis: int
    index: int
    rows: tuple[int, int]
    columns: tuple[int, int]

    def of(self, turned: NDArray[Any], *, fill: int) -> NDArray[Any]:
        """The rectangle of a turned array; what is beyond the image is ``fill``."""
        # no take(): that copies a turned array whole before it takes
        plane = np.moveaxis(turned, self.axis, 0)[self.index]
        out = np.full((self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]), fill, dtype=plane.dtype)
        inside = [
            (max(low, 0), min(high, size))
            for (low, high), size in zip((self.rows, self.columns), plane.shape, strict=True)
        ]
        (top, bottom), (left, right) = inside
        if top < bottom and left < right:
            place = (
                slice(top - self.rows[0], bottom - self.rows[0]),
                slice(left - self.columns[0], right - self.columns[0]),
            )
            out[place] = plane[top:bottom, left:right]
        return out


def around_regions(answer: Answer, volume: Volume, *, margin_mm: float) -> Box:
    """All bone with the flesh about it: the air and the table beside the patient need no room."""
    windows = [crop_window(one, volume.grid, margin_mm=margin_mm) for one in regions_or_whole(answer, volume)]
    start = [min(window.start[axis] for window in windows) for axis in range(3)]
    stop = [max(window.stop[axis] for window in windows) for axis in range(3)]
    return Box(start=(start[0], start[1], start[2]), stop=(stop[0], stop[1], stop[2]))


def lesion_picture(shades: Shades = BONE_SHADES, noun: str = "lesion") -> str:
    """What a picture of a lesion shows."""
    return (
        f"In the slice that shows most of it and enlarged in three planes, {shades.words}. Coloured line: outline of "
        f"the {noun}. Dotted frame: what is enlarged."
    )


def draw_lesion(
    path: Path,
    lesion: DrawnLesion,
    mask: Mask,
    volume: Volume,
    *,
    around: Box,
    demo: bool,
    shades: Shades = BONE_SHADES,
) -> Picture:
    """Draw one lesion of a mask on the volume's grid; ``around`` is what the whole slice shows.

    Raises:
        OutputError: the picture cannot be written.
    """
    display = Display.of(volume.grid)
    centre = _centre(lesion, mask, display)
    body = display.box(around)
    whole = _Cut(0, centre[0], (body.start[1], body.stop[1]), (body.start[2], body.stop[2]))
    cuts = [whole, *(_zoomed(lesion, display, axis, centre) for axis in range(3))]
    widths = [_extent_mm(cut, display)[0] * _SIDE / _extent_mm(cut, display)[1] for cut in cuts]
    sheet = Sheet(max(sum(widths) + 3 * _GAP + 2 * _EDGE, 900), _HEAD + _SIDE + _FOOT)
    colour = colour_hex(lesion.colour)
    sheet.text(_EDGE, 18, lesion.name, size=24, weight="bold", colour=colour)
    stack = centre[display.slice_axis]
    number = stack if not display.flipped[display.slice_axis] else display.shape[display.slice_axis] - 1 - stack
    where = f"slice {number + 1} of {volume.grid.shape[0]}"
    away = position(float(slice_positions_mm(volume.grid)[number]))
    sheet.text(_EDGE + 140, 21, f"{where}, position {away}", size=19, colour=MUTED)
    if demo:
        sheet.demo_mark()
    left = _EDGE
    titles = ("axial, whole slice", *(f"{plane}, enlarged" for plane in _PLANES))
    for cut, width, title in zip(cuts, widths, titles, strict=True):
        axes = sheet.panel(left, _HEAD, width, _SIDE, extent_mm=_extent_mm(cut, display))
        _show(axes, cut, lesion, mask, volume, display, size=(round(width), _SIDE), shades=shades)
        if cut is whole:
            _frame(axes, cuts[1], whole, display)
        show_letters(axes, display.edge_letters(cut.axis), size=17)
        show_scale_bar(axes, size=16)
        sheet.text(left, _HEAD + _SIDE + 9, title, size=18, colour=MUTED)
        left += width + _GAP
    caption = f"{lesion.name}, {where}. {lesion_picture(shades, lesion.noun.lower())}"
    return sheet.picture(path, lesion.name, caption)


def _centre(lesion: DrawnLesion, mask: Mask, display: Display) -> tuple[int, int, int]:
    """Display index of a voxel in the middle of the lesion, in the slice that shows most of it."""
    inner, axis = display.box(lesion.box), display.slice_axis
    places = np.argwhere(display.turn(mask.array)[inner.slices] == lesion.value) + np.asarray(inner.start)
    in_key = places[places[:, axis] == display.index(lesion.key_slice)]
    places = in_key if len(in_key) else places
    if not len(places):
        places = (np.asarray(inner.start) + np.asarray(inner.stop))[None] // 2
    away = (places - places.mean(axis=0)) * display.spacing_mm
    nearest = places[int(np.square(away).sum(axis=1).argmin())]
    return int(nearest[0]), int(nearest[1]), int(nearest[2])


def _zoomed(lesion: DrawnLesion, display: Display, axis: int, centre: tuple[int, int, int]) -> _Cut:
    """A square in millimetres around the lesion, wide enough for the bone about it, narrower than an axial slice."""
    shape = display.box(lesion.box).shape
    largest = max(n * mm for n, mm in zip(shape, display.spacing_mm, strict=True))
    slice_mm = max(n * mm for n, mm in list(zip(display.shape, display.spacing_mm, strict=True))[1:])
    half_mm = min(max(_LEAST_ZOOM_MM, 2.2 * largest), max(0.7 * slice_mm, 1.2 * largest)) / 2
    row, column = (k for k in range(3) if k != axis)
    ranges = []
    for k in (row, column):
        half = max(round(half_mm / display.spacing_mm[k]), 1)
        length, size = 2 * half + 1, display.shape[k]
        first = centre[k] - half
        if length <= size:  # at the edge of the image the lesion leaves the middle, not the picture the image
            first = min(max(first, 0), size - length)
        ranges.append((first, first + length))
    return _Cut(axis, centre[axis], ranges[0], ranges[1])


def _extent_mm(cut: _Cut, display: Display) -> tuple[float, float]:
    """Width and height."""
    row, column = (k for k in range(3) if k != cut.axis)
    across = (cut.columns[1] - cut.columns[0]) * display.spacing_mm[column]
    return across, (cut.rows[1] - cut.rows[0]) * display.spacing_mm[row]


def _show(
    axes: Axes,
    cut: _Cut,
    lesion: DrawnLesion,
    mask: Mask,
    volume: Volume,
    display: Display,
    *,
    size: tuple[int, int],
    shades: Shades,
) -> None:
    """The grey picture, smooth between voxels, and the outline of this lesion."""
    import cv2
    from matplotlib.patheffects import withStroke

    grey = cut.of(display.turn(volume.array), fill=round(shades.low)).astype(np.float32)
    way = cv2.INTER_AREA if grey.shape[0] > size[1] else cv2.INTER_CUBIC
    show_image(axes, cv2.resize(grey, size, interpolation=way), low=shades.low, high=shades.high)
    inside = np.equal(cut.of(display.turn(mask.array), fill=0), lesion.value).astype(np.float32)
    if not inside.any():
        return
    across, down = _extent_mm(cut, display)
    smooth = cv2.resize(inside, size, interpolation=cv2.INTER_LINEAR)
    x = (np.arange(size[0]) + 0.5) * across / size[0]
    y = (np.arange(size[1]) + 0.5) * down / size[1]
    lines = axes.contour(x, y, smooth, levels=[0.5], colors=[colour_hex(lesion.colour)], linewidths=1.5)
    lines.set_path_effects([withStroke(linewidth=2.6, foreground=DARK, alpha=0.6)])


def _frame(axes: Axes, zoom: _Cut, whole: _Cut, display: Display) -> None:
    """The enlarged part in the whole slice."""
    from matplotlib.patches import Rectangle

    _, row_mm, column_mm = display.spacing_mm
    left, top = (zoom.columns[0] - whole.columns[0]) * column_mm, (zoom.rows[0] - whole.rows[0]) * row_mm
    across, down = _extent_mm(zoom, display)
    axes.add_patch(
        Rectangle((left, top), across, down, fill=False, edgecolor=INK, linewidth=0.9, linestyle=(0, (2, 3)), alpha=0.8)
    )
