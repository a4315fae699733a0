"""findings.json of a slide: every number with unit, code, model hash and warning."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

import osteon
from osteon.data.slide import TILE_CLASSES
from osteon.labels import concept
from osteon.report.findings import SCHEMA_VERSION, finding_entry, model_entry, notice_entries
from osteon.report.lesion_entries import finite
from osteon.report.wording import DISCLAIMER
from osteon.systems.histology.detail import SlideReading
from osteon.systems.histology.map_cells import LEFT_OUT, LOOKS, cell_flags, centre_um, shown_classes

if TYPE_CHECKING:
    from osteon.data import Answer
    from osteon.data.slide import Slide
    from osteon.report.run import Run

__all__ = ["slide_findings_document"]


def slide_findings_document(answer: Answer, slide: Slide, *, run: Run) -> dict[str, object]:
    """Content of findings.json of a slide; validates against ``schema/findings-1.json``.

    What only a volume has (grid, regions, scores, lesions, masks, surfaces, heat maps) is null or empty; the numbers of
    the slide stand under "slide". The single tiles are in tiles.csv. Neither path nor name of the file is told.

    Args:
        answer: of the system.
        slide: that was read.
        run: when and with which version.

    Raises:
        OutputError: a number is NaN or infinite.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "disclaimer": DISCLAIMER,
        "osteon_version": osteon.__version__,
        "created": run.created,
        "task": answer.task,
        "headline": answer.headline,
        "is_demo": answer.is_demo,
        "source": None,
        "grid": None,
        "regions": [],
        "scores": [],
        "findings": [finding_entry(finding) for finding in answer.findings],
        "lesions": [],
        "own_bone": None,
        "masks": [],
        "surfaces": [],
        "models": [model_entry(model) for model in answer.models],
        "heat_maps": [],
        "notices": notice_entries(slide.source.notices, answer.notices),
        "slide": _slide(answer.detail_as(SlideReading), slide),
    }


def _slide(reading: SlideReading, slide: Slide) -> dict[str, object]:
    source = slide.source
    return {
        "format": source.format,
        "sha256": source.sha256,
        "is_synthetic": source.is_synthetic,
        "microns_per_pixel": [finite(value, what="the slide's microns per pixel") for value in slide.microns_per_pixel],
        "microns_from": source.microns_from,
        "levels": [
            {"rows": level.rows, "columns": level.columns, "downsample": finite(level.downsample, what="a level")}
            for level in slide.levels
        ],
        "grid": _grid(reading),
        "classes": _classes(reading),
        "areas": [
            {"name": name, "area": _area(value, name)}
            for name, value in reading.necrosis.area_mm2.items()
            if name not in TILE_CLASSES
        ],
        "necrosis": _necrosis(reading),
        "grade": None
        if reading.grade is None
        else {
            "proposed": reading.grade.grade,
            "possible": list(reading.grade.possible),
            "source": reading.grade.source,
            "scope": "slide",
        },
        "is_unlike_training": reading.is_unlike,
        "novelty": _novelty(reading),
        "gallery": {
            "certain": [_tile(reading, *cell) for cell in reading.certain],
            "uncertain": [_tile(reading, *cell) for cell in reading.uncertain],
        },
    }


def _grid(reading: SlideReading) -> dict[str, object]:
    plan = reading.map.plan
    read = plan.is_tissue & np.isfinite(reading.map.probability).all(axis=-1)
    return {
        "tile_um": finite(plan.tile_um, what="the side of a tile"),
        "step_um": finite(plan.step_um, what="the side of a cell"),
        "tile_pixels": plan.pixels,
        "rows": plan.shape[0],
        "columns": plan.shape[1],
        "cells_read": int(read.sum()),
        "cells_left_out": int((shown_classes(reading) == LEFT_OUT).sum()),
        "flags": {name: int(cells.sum()) for name, cells in reading.map.flags.items()},
    }


def _area(value: float, name: str) -> dict[str, object]:
    unit = concept("unit_mm2")
    return {
        "value": finite(value, what=f"the area of {name}"),
        "unit": {"value": unit.value, "scheme": unit.scheme, "meaning": unit.meaning},
    }


def _classes(reading: SlideReading) -> list[dict[str, object]]:
    """In the order of TILE_CLASSES; without areas where no class is claimed."""
    shown = shown_classes(reading)
    areas = {} if reading.is_unlike else reading.necrosis.area_mm2
    return [
        {
            "name": look.name,
            "title": look.title,
            "colour": look.colour,
            "cells": int((shown == index).sum()),
            "area": _area(areas[look.name], look.name) if look.name in areas else None,
        }
        for index, look in enumerate(LOOKS)
    ]


def _necrosis(reading: SlideReading) -> dict[str, object]:
    necrosis = reading.necrosis
    claimed = not reading.is_unlike
    return {
        "fraction": finite(necrosis.fraction, what="the necrosis fraction")
        if claimed and necrosis.fraction is not None
        else None,
        "interval": [finite(value, what="the interval of the necrosis fraction") for value in necrosis.interval]
        if claimed and necrosis.interval is not None
        else None,
        "interval_level": 0.95,
        "method": necrosis.method,
        "regions": necrosis.regions,
        "tiles": necrosis.tiles,
    }


def _novelty(reading: SlideReading) -> dict[str, object] | None:
    if reading.map.novelty is None:
        return None
    known = reading.map.novelty[np.isfinite(reading.map.novelty)]
    if not len(known):
        return None
    threshold = reading.map.novelty_threshold
    return {
        "threshold": None if threshold is None else finite(threshold, what="the threshold of novelty"),
        "median": finite(float(np.median(known)), what="the median novelty"),
        "share_above": None if threshold is None else finite(float((known > threshold).mean()), what="a share"),
    }


def _tile(reading: SlideReading, row: int, column: int) -> dict[str, object]:
    slide_map = reading.map
    what = f"a value of the tile in row {row}, column {column}"
    x_um, y_um = centre_um(slide_map.plan, row, column)
    probabilities = [finite(float(value), what=what) for value in slide_map.probability[row, column]]
    novelty = None if slide_map.novelty is None else float(slide_map.novelty[row, column])
    best = int(np.argmax(probabilities))
    return {
        "row": row,
        "column": column,
        "x_um": finite(x_um, what=what),
        "y_um": finite(y_um, what=what),
        "tissue_share": finite(float(slide_map.plan.tissue_share[row, column]), what=what),
        "probabilities": probabilities,
        "called": None if reading.is_unlike else TILE_CLASSES[best],
        "novelty": finite(novelty, what=what) if novelty is not None and math.isfinite(novelty) else None,
        "flags": list(cell_flags(slide_map, row, column)),
    }
