"""Files of a slide's result for other programs: heatmap.tif, to lie over the slide, and tiles.csv, every cell."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data.slide import TILE_CLASSES
from osteon.errors import OutputError
from osteon.io.slide.pyramid import write_pyramid
from osteon.ops.tile_plan import slide_size_um
from osteon.systems.histology.detail import (
    LEFT_OUT,
    LEFT_OUT_LOOK,
    LOOKS,
    UNCLAIMED,
    UNCLAIMED_LOOK,
    any_flag,
    cell_flags,
    centre_um,
    rgb_of,
    shown_classes,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data.slide import Slide
    from osteon.systems.histology.detail import SlideReading

__all__ = ["TILE_COLUMNS", "heat_map_picture", "write_heat_map", "write_tiles_csv"]

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


TILE_COLUMNS: Final = (
    "row", "column", "x_um", "y_um", "tissue_share", *(f"p_{name}" for name in TILE_CLASSES), "called", "counted",
    "novelty", "flags",
)  # fmt: skip


def write_tiles_csv(path: Path, reading: SlideReading) -> int:
    """Write a row a cell that was read or flagged, in reading order.

    ``x_um`` and ``y_um`` are the middle of the cell from the upper left corner of the slide. ``called`` is the most
    probable class, empty where no class is claimed; ``counted`` is 1 where the cell is in the areas, 0 where a flag
    leaves it out. Flags are separated by a semicolon.

    Returns:
        rows below the heading.

    Raises:
        OutputError: it cannot be written.
    """
    slide_map = reading.map
    plan = slide_map.plan
    shown = shown_classes(reading)
    read = plan.is_tissue & np.isfinite(slide_map.probability).all(axis=-1)
    places = np.argwhere(read | any_flag(slide_map)).tolist()
    try:
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(TILE_COLUMNS)
            for row, column in places:
                x_um, y_um = centre_um(plan, row, column)
                probabilities = slide_map.probability[row, column]
                best = int(probabilities.argmax()) if read[row, column] and not reading.is_unlike else -1
                novelty = math.nan if slide_map.novelty is None else float(slide_map.novelty[row, column])
                writer.writerow([
                    row,
                    column,
                    f"{x_um:.1f}",
                    f"{y_um:.1f}",
                    f"{plan.tissue_share[row, column]:.4f}",
                    *(_number(value) for value in probabilities),
                    TILE_CLASSES[best] if best >= 0 else "",
                    int(shown[row, column] >= 0),
                    _number(novelty),
                    ";".join(cell_flags(slide_map, row, column)),
                ])  # fmt: skip
    except OSError as error:
        raise OutputError(f"{path.name} cannot be written: {error.strerror}") from error
    return len(places)


def _number(value: float) -> str:
    return f"{value:.6f}" if math.isfinite(value) else ""
