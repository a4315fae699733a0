"""regions.geojson: the classes and the flagged cells as polygons that QuPath reads, in pixels of level 0."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import NAMESPACE_OID, uuid5

import numpy as np

from osteon.errors import OutputError
from osteon.systems.histology.map_cells import LOOKS, cell_edges_px, flag_look, rgb_of, shown_classes
from osteon.systems.histology.outlines import patches

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data.slide import Slide
    from osteon.systems.histology.detail import SlideReading
    from osteon.systems.histology.map_cells import Look
    from osteon.systems.histology.outlines import Patch

__all__ = ["regions_document", "write_regions"]


def regions_document(reading: SlideReading, slide: Slide) -> dict[str, object]:
    """A FeatureCollection: one annotation a connected region of each class, and one a region of each flag.

    Coordinates are (x, y) in pixels of level 0 from the upper left corner, cut at the edge of the slide; rings are
    closed, the outer ring first, then the holes. The identifiers depend on the slide and the place only, so reading
    the slide again gives the same ones.
    """
    shown = shown_classes(reading)
    features: list[dict[str, object]] = []
    for index, look in reversed(tuple(enumerate(LOOKS))):
        features += _features(shown == index, look, reading, slide, class_index=index)
    for name, cells in reading.map.flags.items():
        look = flag_look(name)
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
    edges = cell_edges_px(reading.map.plan, slide)
    title = look.title if class_index is not None else f"Left out: {look.title}"
    found: list[dict[str, object]] = []
    for patch in patches(cells):
        rings = [_ring(ring, edges) for ring in (patch.outer, *patch.holes)]
        number = len(found) + 1
        red, green, blue = rgb_of(look.colour)
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
        "Cells": float(len(patch.rows)),
    }
    if class_index is not None:
        values["Mean probability"] = float(reading.map.probability[places][:, class_index].mean())
    elif reading.map.novelty is not None and np.isfinite(reading.map.novelty[places]).any():
        values["Mean novelty"] = float(np.nanmean(reading.map.novelty[places]))
    return {name: round(value, 6) for name, value in values.items()}
