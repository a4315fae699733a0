"""tiles.csv: every cell that was read, with its place, probabilities and flags."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data.slide import TILE_CLASSES
from osteon.errors import OutputError
from osteon.systems.histology.map_cells import any_flag, cell_flags, centre_um, shown_classes

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.systems.histology.detail import SlideReading

__all__ = ["TILE_COLUMNS", "write_tiles_csv"]

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
