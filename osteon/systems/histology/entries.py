"""A slide in findings.json: every number with its unit. The single tiles are in tiles.csv."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, cast

import numpy as np
from msgspec import Meta

from osteon.data.slide import TILE_CLASSES
from osteon.labels import concept
from osteon.report.findings import CodeEntry, Count, Entry, Number, Positive, Share, Text, like
from osteon.systems.histology.detail import LEFT_OUT, LOOKS, cell_flags, centre_um, shown_classes

if TYPE_CHECKING:
    from osteon.data.slide import Slide
    from osteon.systems.histology.detail import SlideReading

__all__ = ["SlideEntries", "SlideEntry", "slide_entries"]

Grade = Literal["I", "II", "III", "IV"]


class LevelEntry(Entry, frozen=True):
    """A level of the pyramid."""

    rows: Number
    columns: Number
    downsample: Annotated[float, Meta(ge=1)]


class CellsEntry(Entry, frozen=True):
    """The grid; a tile is centred on its cell, and cell (row, column) begins at both times ``step_um``."""

    tile_um: Positive
    step_um: Positive
    tile_pixels: Number
    rows: Number
    columns: Number
    cells_read: Count
    cells_left_out: Annotated[int, Meta(ge=0, description="read or not, flagged and in no area")]
    flags: dict[str, Count]


class AreaEntry(Entry, frozen=True):
    """An area."""

    value: Annotated[float, Meta(ge=0)]
    unit: CodeEntry


class ClassEntry(Entry, frozen=True):
    """A class; without an area where no class is claimed."""

    name: Text
    title: Text
    colour: Annotated[str, Meta(pattern="^#[0-9a-f]{6}$")]
    cells: Count
    area: AreaEntry | None


class OtherAreaEntry(Entry, frozen=True):
    """Tissue, or what was left out."""

    name: Text
    area: AreaEntry


class NecrosisEntry(Entry, frozen=True):
    """Non-viable divided by viable and non-viable tumour area."""

    fraction: Share | None
    interval: tuple[Share, Share] | None
    interval_level: float
    method: str
    regions: Count
    tiles: Count


class GradeEntry(Entry, frozen=True):
    """A proposal for this slide, not for the patient."""

    proposed: Grade
    possible: tuple[Grade, ...]
    source: Text
    scope: Literal["slide"]


class DistanceEntry(Entry, frozen=True):
    """Distance of the tiles from those of training."""

    threshold: float | None
    median: float
    share_above: Share | None


class TileEntry(Entry, frozen=True):
    """One cell of the grid and what was said of the tile around it; its centre from the left and the upper edge."""

    row: Count
    column: Count
    x_um: float
    y_um: float
    tissue_share: Share
    probabilities: Annotated[tuple[Share, Share, Share], Meta(description="in the order of classes")]
    called: Annotated[str | None, Meta(description="null where no class is claimed")]
    novelty: float | None
    flags: tuple[Text, ...]


class GalleryEntry(Entry, frozen=True):
    """The most and the least certain tiles."""

    certain: tuple[TileEntry, ...]
    uncertain: tuple[TileEntry, ...]


class SlideEntry(Entry, frozen=True):
    """A histology slide; lengths in micrometres, rows downwards."""

    format: Text
    sha256: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$", description="empty where it was not computed")]
    is_synthetic: bool
    microns_per_pixel: Annotated[tuple[Positive, Positive], Meta(description="of level 0: row, column")]
    microns_from: Literal["file", "person"]
    levels: tuple[LevelEntry, ...]
    grid: CellsEntry
    classes: tuple[ClassEntry, ClassEntry, ClassEntry]
    areas: tuple[OtherAreaEntry, ...]
    necrosis: NecrosisEntry
    grade: GradeEntry | None
    is_unlike_training: Annotated[bool, Meta(description="the slide as a whole; no class is claimed then")]
    novelty: DistanceEntry | None
    gallery: GalleryEntry


class SlideEntries(Entry, frozen=True):
    """Fields of a system that reads slides."""

    slide: SlideEntry


def slide_entries(reading: SlideReading, slide: Slide) -> SlideEntries:
    """The system's own fields of findings.json, not yet finished. Neither path nor name of the file is told."""
    source, grade, necrosis = slide.source, reading.grade, reading.necrosis
    others = [(name, area) for name, area in necrosis.area_mm2.items() if name not in TILE_CLASSES]
    is_claimed = not reading.is_unlike
    return SlideEntries(
        slide=SlideEntry(
            format=source.format,
            sha256=source.sha256,
            is_synthetic=source.is_synthetic,
            microns_per_pixel=slide.microns_per_pixel,
            microns_from=source.microns_from,
            levels=like(slide.levels, tuple[LevelEntry, ...]),
            grid=_grid(reading),
            classes=_classes(reading),
            areas=tuple(OtherAreaEntry(name=name, area=_area(area)) for name, area in others),
            necrosis=NecrosisEntry(
                fraction=necrosis.fraction if is_claimed else None,
                interval=necrosis.interval if is_claimed else None,
                interval_level=0.95,
                method=necrosis.method,
                regions=necrosis.regions,
                tiles=necrosis.tiles,
            ),
            grade=None
            if grade is None
            else GradeEntry(
                proposed=cast("Grade", grade.grade),
                possible=cast("tuple[Grade, ...]", grade.possible),
                source=grade.source,
                scope="slide",
            ),
            is_unlike_training=reading.is_unlike,
            novelty=_novelty(reading),
            gallery=GalleryEntry(
                certain=tuple(_tile(reading, *cell) for cell in reading.certain),
                uncertain=tuple(_tile(reading, *cell) for cell in reading.uncertain),
            ),
        )
    )


def _grid(reading: SlideReading) -> CellsEntry:
    plan = reading.map.plan
    read = plan.is_tissue & np.isfinite(reading.map.probability).all(axis=-1)
    return CellsEntry(
        tile_um=plan.tile_um,
        step_um=plan.step_um,
        tile_pixels=plan.pixels,
        rows=plan.shape[0],
        columns=plan.shape[1],
        cells_read=int(read.sum()),
        cells_left_out=int((shown_classes(reading) == LEFT_OUT).sum()),
        flags={name: int(cells.sum()) for name, cells in reading.map.flags.items()},
    )


def _area(value: float) -> AreaEntry:
    return AreaEntry(value=float(value), unit=like(concept("unit_mm2"), CodeEntry))


def _classes(reading: SlideReading) -> tuple[ClassEntry, ClassEntry, ClassEntry]:
    """In the order of TILE_CLASSES; without areas where no class is claimed."""
    shown = shown_classes(reading)
    areas = {} if reading.is_unlike else reading.necrosis.area_mm2
    first, second, third = (
        ClassEntry(
            name=look.name,
            title=look.title,
            colour=look.colour,
            cells=int((shown == index).sum()),
            area=_area(areas[look.name]) if look.name in areas else None,
        )
        for index, look in enumerate(LOOKS)
    )
    return first, second, third


def _novelty(reading: SlideReading) -> DistanceEntry | None:
    distance, threshold = reading.map.novelty, reading.map.novelty_threshold
    known = np.array([]) if distance is None else distance[np.isfinite(distance)]
    if not len(known):
        return None
    above = None if threshold is None else float((known > threshold).mean())
    return DistanceEntry(threshold=threshold, median=float(np.median(known)), share_above=above)


def _tile(reading: SlideReading, row: int, column: int) -> TileEntry:
    slide_map = reading.map
    x_um, y_um = centre_um(slide_map.plan, row, column)
    first, second, third = slide_map.probability[row, column].tolist()
    novelty = math.nan if slide_map.novelty is None else float(slide_map.novelty[row, column])
    return TileEntry(
        row=row,
        column=column,
        x_um=x_um,
        y_um=y_um,
        tissue_share=float(slide_map.plan.tissue_share[row, column]),
        probabilities=(first, second, third),
        called=None if reading.is_unlike else TILE_CLASSES[int(slide_map.probability[row, column].argmax())],
        novelty=novelty if math.isfinite(novelty) else None,
        flags=cell_flags(slide_map, row, column),
    )
