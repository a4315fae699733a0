"""heatmap.tif: the called classes as a pyramid with the slide's corner, extent and micrometres, to lie over it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.io.slide.pyramid import write_pyramid
from osteon.ops.tile_plan import slide_size_um
from osteon.systems.histology.map_cells import LEFT_OUT, LOOKS, UNCLAIMED, rgb_of, shown_classes
from osteon.systems.histology.sheet import LEFT_OUT_LOOK, UNCLAIMED_LOOK

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data.slide import Slide
    from osteon.systems.histology.detail import SlideReading

__all__ = ["heat_map_picture", "write_heat_map"]

_PER_CELL: Final = 32
"""Pixels along a cell, unless the picture would become too large."""
_LONGEST: Final = 8192
_FAINTEST, _STRONGEST = 60, 215
"""Alpha of a probability of a third and of 1."""


def heat_map_picture(reading: SlideReading, slide: Slide) -> tuple[NDArray[np.uint8], float]:
    """Colour of the called class, the more opaque the more probable; transparent where nothing was read.

    Returns:
        (row, column, 4) uint8 RGBA, not premultiplied, from the slide's upper left corner to at most a pixel beyond its
        lower right one; and the micrometres of a pixel.
    """
    plan = reading.map.plan
    per_cell = max(1, min(_PER_CELL, _LONGEST // max(plan.shape)))
    micron = plan.step_um / per_cell
    cells = _cell_colours(reading)
    rows, columns = (max(1, math.ceil(size / micron - 1e-6)) for size in slide_size_um(slide))
    picture = np.zeros((rows, columns, 4), dtype=np.uint8)
    picture[..., :3] = 255
    spread = cells.repeat(per_cell, axis=0)[:rows].repeat(per_cell, axis=1)[:, :columns]
    picture[: spread.shape[0], : spread.shape[1]] = spread
    return picture, micron


def _cell_colours(reading: SlideReading) -> NDArray[np.uint8]:
    shown = shown_classes(reading)
    cells = np.full((*shown.shape, 4), (255, 255, 255, 0), dtype=np.uint8)
    for value, look in ((LEFT_OUT, LEFT_OUT_LOOK), (UNCLAIMED, UNCLAIMED_LOOK)):
        cells[shown == value] = (*rgb_of(look.colour), 110)
    for index, look in enumerate(LOOKS):
        here = shown == index
        sure = np.clip((reading.map.probability[here][:, index] - 1 / 3) * 1.5, 0, 1)
        cells[here, :3] = rgb_of(look.colour)
        cells[here, 3] = np.rint(_FAINTEST + sure * (_STRONGEST - _FAINTEST)).astype(np.uint8)
    return cells


def write_heat_map(path: Path, reading: SlideReading, slide: Slide) -> None:
    """Write the overlay.

    Raises:
        OutputError: it cannot be written.
        MissingPackageError: the extra "slides" is not installed.
    """
    picture, micron = heat_map_picture(reading, slide)
    write_pyramid(path, picture, microns_per_pixel=micron)
