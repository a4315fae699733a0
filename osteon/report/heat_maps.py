"""heat_maps.png: where the model looked, beside what it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.report.orientation import Display
from osteon.report.sheet import AFFECTED, INK, MUTED, Sheet, show_image, show_letters
from osteon.report.slices import scores_of
from osteon.report.wording import count, probability, upper

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from osteon.data import HeatMap, Radiograph, SliceReading, Volume
    from osteon.report.blocks import Picture
    from osteon.report.slices import SliceLook

__all__ = ["MOST_HEAT_MAPS", "draw_heat_maps"]

MOST_HEAT_MAPS: Final = 6
_SIDE, _GAP, _EDGE, _HEAD, _FOOT, _BETWEEN = 330.0, 10.0, 24.0, 104.0, 92.0, 44.0
_COLUMNS: Final = 2
_NOT_OUTLINE: Final = "A heat map shows what the model used. It is not an outline of a tumour."


def draw_heat_maps(
    path: Path, reading: SliceReading, volume: Volume | Radiograph, *, look: SliceLook, demo: bool
) -> Picture:
    """Draw the crop of every explained slice, plain and with its heat; at most ``MOST_HEAT_MAPS``, called ones first.

    Raises:
        OutputError: the picture cannot be written.
    """
    chosen = sorted(reading.heat_maps, key=lambda heat: not heat.is_called)[:MOST_HEAT_MAPS]
    display = Display.of(volume.grid)
    columns = min(_COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
    cell = 2 * _SIDE + _GAP
    sheet = Sheet(max(2 * _EDGE + columns * cell + (columns - 1) * _BETWEEN, 1000), _HEAD + rows * (_SIDE + _FOOT) + 8)
    sheet.head("Where the model looked", demo=demo)
    sheet.text(_EDGE, 60, _NOT_OUTLINE, size=20, colour=AFFECTED)
    letters = display.edge_letters(display.slice_axis)
    for number, heat in enumerate(chosen):
        left = _EDGE + number % columns * (cell + _BETWEEN)
        top = _HEAD + number // columns * (_SIDE + _FOOT)
        extent_mm = _extent_mm(heat, display)
        across, down = (side * _SIDE / max(extent_mm) for side in extent_mm)
        for place, shows_heat in ((left, False), (left + _SIDE + _GAP, True)):
            axes = sheet.panel(place, top, across, down, extent_mm=extent_mm)
            show_image(axes, _turned(heat.crop, display), low=0.0, high=1.0)
            if shows_heat:
                _show_heat(axes, _turned(heat.heat, display))
            if volume.grid.is_in_mm:
                show_letters(axes, letters, size=17)
        _write_below(sheet, (left, top + down + 8), reading, heat, look)
    left_out = len(reading.heat_maps) - len(chosen)
    return sheet.picture(path, "Where the model looked", _caption(reading, look.explained, left_out=left_out))


def _extent_mm(heat: HeatMap, display: Display) -> tuple[float, float]:
    """(width, height) of the crop as it is shown."""
    down, across = (axis for axis in display.order if axis != 0)
    return heat.extent_mm[across - 1], heat.extent_mm[down - 1]


def _turned(image: NDArray[np.float32], display: Display) -> NDArray[np.float32]:
    """A crop lies as the volume does; the picture is turned as every other of the report."""
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


def _write_below(
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
    verdict = f"called {look.called}" if heat.is_called else look.not_called
    if scores is not None and any(first <= heat.slice_index < stop for first, stop in scores.withheld_runs):
        verdict = "not reported: unlike training"
    sheet.text(left, top + 52, upper(verdict), size=19, colour=AFFECTED if heat.is_called else MUTED)


def _caption(reading: SliceReading, explained: str, *, left_out: int) -> str:
    members = max(heat.members for heat in reading.heat_maps)
    mean = f", the mean over {members} networks" if members > 1 else ""
    more = f" {count(left_out, 'further map')} left out." if left_out else ""
    return (
        f"Grad-CAM{mean}: left the part of the slice that the model was given, right the same with the places that "
        f"raised its score for {explained} in warm colours; the dashed line is half of the highest value. It is as "
        "coarse as the model's last layer and shows what the model used: it is not a segmentation and no outline of a "
        f"tumour.{more}"
    )
