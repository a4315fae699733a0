"""Files of a slide's result for other programs: heatmap.tif, tiles.csv, and regions.geojson as QuPath reads it."""

from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_OID, uuid5

import numpy as np

from osteon.data.slide import TILE_CLASSES
from osteon.errors import OutputError
from osteon.io.slide.pyramid import write_pyramid
from osteon.ops.polygons import patches
from osteon.ops.tile_plan import slide_size_um
from osteon.systems.histology import detail

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data.slide import Slide
    from osteon.ops.polygons import Patch
    from osteon.systems.histology.detail import Look, SlideReading

__all__ = [
    "TILE_COLUMNS",
    "heat_map_picture",
    "regions_document",
    "write_heat_map",
    "write_regions",
    "write_tiles_csv",
]


_PER_CELL: Final = 32
"""Pixels along a cell, unless the picture would become too large."""
_LONGEST: Final = 8192
_FAINTEST, _STRONGEST = 60, 215
"""Alpha of a probability of a third and of 1."""


def heat_map_picture(reading: SlideReading, slide: Slide) -> tuple[NDArray[np.uint8], float]:
    """Colour of the predicted class, the more opaque the more probable; transparent where nothing was read.

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
    shown = detail.shown_classes(reading)
    cells = np.full((*shown.shape, 4), (255, 255, 255, 0), dtype=np.uint8)
    for value, look in ((detail.LEFT_OUT, detail.LEFT_OUT_LOOK), (detail.UNCLAIMED, detail.UNCLAIMED_LOOK)):
        cells[shown == value] = (*detail.rgb_of(look.colour), 110)
    for index, look in enumerate(detail.LOOKS):
        here = shown == index
        sure = np.clip((reading.map.probability[here][:, index] - 1 / 3) * 1.5, 0, 1)
        cells[here, :3] = detail.rgb_of(look.colour)
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
    "row", "column", "x_um", "y_um", "tissue_share", *(f"p_{name}" for name in TILE_CLASSES), "predicted", "counted",
    "ood", "flags",
)  # fmt: skip


def write_tiles_csv(path: Path, reading: SlideReading) -> int:
    """Write a row a cell that was read or flagged, in reading order.

    ``x_um`` and ``y_um`` are the middle of the cell from the upper left corner of the slide. ``predicted`` is the most
    probable class, empty where no class is claimed; ``counted`` is 1 where the cell is in the areas, 0 where a flag
    leaves it out. Flags are separated by a semicolon.

    Returns:
        rows below the heading.

    Raises:
        OutputError: it cannot be written.
    """
    slide_map = reading.map
    plan = slide_map.plan
    shown = detail.shown_classes(reading)
    read = plan.is_tissue & np.isfinite(slide_map.probability).all(axis=-1)
    places = np.argwhere(read | detail.any_flag(slide_map)).tolist()
    try:
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(TILE_COLUMNS)
            for row, column in places:
                x_um, y_um = detail.centre_um(plan, row, column)
                probabilities = slide_map.probability[row, column]
                best = int(probabilities.argmax()) if read[row, column] and not reading.is_ood else -1
                ood = math.nan if slide_map.ood is None else float(slide_map.ood[row, column])
                writer.writerow([
                    row,
                    column,
                    f"{x_um:.1f}",
                    f"{y_um:.1f}",
                    f"{plan.tissue_share[row, column]:.4f}",
                    *(_number(value) for value in probabilities),
                    TILE_CLASSES[best] if best >= 0 else "",
                    int(shown[row, column] >= 0),
                    _number(ood),
                    ";".join(detail.cell_flags(slide_map, row, column)),
                ])  # fmt: skip
    except OSError as error:
        raise OutputError(f"{path.name} cannot be written: {error.strerror}") from error
    return len(places)


def _number(value: float) -> str:
    return f"{value:.6f}" if math.isfinite(value) else ""


def regions_document(reading: SlideReading, slide: Slide) -> dict[str, object]:
    """A FeatureCollection: one annotation a connected region of each class, and one a region of each flag.

    Coordinates are (x, y) in pixels of level 0 from the upper left corner, cut at the edge of the slide; rings are
    closed, the outer ring first, then the holes. The identifiers depend on the slide and the place only, so reading
    the slide again gives the same ones.
    """
    shown = detail.shown_classes(reading)
    features: list[dict[str, object]] = []
    for index, look in reversed(tuple(enumerate(detail.LOOKS))):
        features += _features(shown == index, look, reading, slide, class_index=index)
    for name, cells in reading.map.flags.items():
        look = detail.flag_look(name)
        features += _features(cells, look, reading, slide, class_index=None)
    return {"type": "FeatureCollection", "features": features}


def write_regions(path: Path, reading: SlideReading, slide: Slide) -> int:
    """Write the file.

    Returns:
        the number of regions.

    Raises:
        OutputError: it cannot be written.
    """
    document = regions_document(reading, slide)
    try:
        path.write_text(json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8")
    except (OSError, ValueError) as error:
        raise OutputError(f"{path.name} cannot be written: {error}") from error
    features = document["features"]
    return len(features) if isinstance(features, list) else 0


def _features(
    cells: NDArray[np.bool_], look: Look, reading: SlideReading, slide: Slide, *, class_index: int | None
) -> list[dict[str, object]]:
    edges = detail.cell_edges_px(reading.map.plan, slide)
    title = look.title if class_index is not None else f"Left out: {look.title}"
    found: list[dict[str, object]] = []
    for patch in patches(cells):
        rings = [_ring(ring, edges) for ring in (patch.outer, *patch.holes)]
        number = len(found) + 1
        red, green, blue = detail.rgb_of(look.colour)
        found.append(
            {
                "type": "Feature",
                "id": str(uuid5(NAMESPACE_OID, f"{slide.source.sha256}/{look.name}/{patch.outer[0]}")),
                "geometry": {"type": "Polygon", "coordinates": rings},
                "properties": {
                    "objectType": "annotation",
                    "name": f"{title} {number}",
                    "isLocked": True,
                    "classification": {
                        "name": title,
                        "color": [red, green, blue],
                        # older QuPath: one signed number of alpha, red, green and blue
                        "colorRGB": ((255 << 24) | (red << 16) | (green << 8) | blue) - (1 << 32),
                    },
                    "measurements": _measurements(patch, reading, slide, edges, class_index),
                },
            }
        )
    return found


def _ring(
    ring: tuple[tuple[int, int], ...], edges: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> list[list[float]]:
    y, x = edges
    return [[round(float(x[column]), 3), round(float(y[row]), 3)] for row, column in ring]


def _measurements(
    patch: Patch,
    reading: SlideReading,
    slide: Slide,
    edges: tuple[NDArray[np.float64], NDArray[np.float64]],
    class_index: int | None,
) -> dict[str, float]:
    """Area of the polygon, tissue in it, cells, and of a class its mean probability."""
    y, x = edges
    row_um, column_um = slide.microns_per_pixel
    places = (patch.rows, patch.columns)
    areas = np.diff(y)[patch.rows] * np.diff(x)[patch.columns] * row_um * column_um / 1e6
    values = {
        "Area mm^2": float(areas.sum()),
        "Tissue mm^2": float((areas * reading.map.plan.tissue_share[places]).sum()),
        "Tiles": float(len(patch.rows)),
    }
    if class_index is not None:
        values["Mean probability"] = float(reading.map.probability[places][:, class_index].mean())
    elif reading.map.ood is not None and np.isfinite(reading.map.ood[places]).any():
        values["Mean OOD score"] = float(np.nanmean(reading.map.ood[places]))
    return {name: round(value, 6) for name, value in values.items()}
