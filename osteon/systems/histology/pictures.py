"""What the report of a slide shows: its map, necrosis and areas, tiles, and where the model is not reliable.

Every number is taken from what findings.json holds, so page, PDF and findings.json cannot differ.
"""

from __future__ import annotations

import math
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast

import numpy as np
from msgspec import Meta

from osteon.data.slide import TILE_CLASSES
from osteon.labels import concept
from osteon.report import SystemReport
from osteon.report.blocks import Callout, Cards, Cell, Figure, Heading, KeyValues, Paragraph, Part, Row, Table
from osteon.report.findings import CodeEntry, Count, Entry, Number, Positive, Share, Text, finished, like
from osteon.report.sections import OOD_MARK, finding_card, shown_rows
from osteon.report.wording import count, percent, upper
from osteon.systems.histology import detail
from osteon.systems.histology.drawings import (
    SYNTHETIC_MARK,
    draw_gallery,
    draw_limits,
    draw_necrosis,
    draw_overview,
    draw_probabilities,
    gallery_groups,
    marks,
    slide_picture,
)
from osteon.systems.histology.files import write_heat_map, write_regions, write_tiles_csv
from osteon.systems.histology.text import TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from osteon.data import Answer, Slide
    from osteon.report.blocks import Block, Drawing
    from osteon.report.findings import Findings

__all__ = ["REPORT", "SlideEntries", "SlideEntry", "pictures", "slide_entries"]


_PROPOSAL: Final = (
    "A proposal for this slide, not for the patient: grading needs the whole mapped specimen, and a pathologist."
)
_SYNTHETIC: Final = "The slide was computed. No person's tissue is shown, and no number describes a person."
_AREA_COLUMNS: Final = ("", "Area", "Share of the tissue", "Tiles")

Grade = Literal["I", "II", "III", "IV"]


def pictures(answer: Answer, slide: Slide, findings: Findings) -> Part:
    """Everything that there is something for.

    Of a slide that is out of distribution there is neither necrosis nor a map of probabilities, and without
    tumour no necrosis.
    """
    reading = answer.detail_as(detail.SlideReading)
    entries = finished(slide_entries(reading, slide))
    pixels, words, about = cache(partial(slide_picture, slide)), marks(answer, slide), entries.slide
    shared: dict[str, Any] = {"reading": reading, "slide": slide, "marks": words}
    drawings: dict[str, Drawing] = {"overview": partial(draw_overview, pixels=pixels, **shared)}
    if reading.is_silent:
        picture = (Heading("The slide", anchor="map"), Figure("overview", tallest_mm=92))
        found = (*picture, *_findings(findings))
        return Part(
            found, drawings, entries, image=_slide_rows(about), mark=SYNTHETIC_MARK if about.is_synthetic else ""
        )
    if not reading.is_ood and reading.necrosis.fraction is not None:
        drawings["necrosis"] = partial(draw_necrosis, reading=reading, marks=words)
    if gallery_groups(reading):
        drawings["gallery"] = partial(draw_gallery, **shared)
    if not reading.is_ood and np.isfinite(reading.map.probability).any():
        drawings["probabilities"] = partial(draw_probabilities, pixels=pixels, **shared)
    drawings["limits"] = partial(draw_limits, pixels=pixels, **shared)
    return Part(
        blocks=tuple(_blocks(about, findings, drawings, words[0] if words else "")),
        drawings=drawings,
        entries=entries,
        summary=tuple(_boxes(about)),
        image=_slide_rows(about),
        files={
            "tiles.csv": partial(write_tiles_csv, reading=reading),
            "regions.geojson": partial(write_regions, reading=reading, slide=slide),
            "heatmap.tif": partial(write_heat_map, reading=reading, slide=slide),
        },
        mark=SYNTHETIC_MARK if about.is_synthetic else "",
        skip=("map", "map"),
    )


def _boxes(about: SlideEntry) -> Iterator[Block]:
    """What nobody may miss."""
    ood, more = about.ood, tuple[str, ...]()
    if ood is not None and ood.threshold is not None and ood.share_above is not None:
        numbers = f"median {ood.median:.2f}, threshold {ood.threshold:.2f}"
        above = f"{percent(ood.share_above)} of the tiles are above the threshold of a single tile"
        more = (f"Distance from the training tiles: {numbers}; {above}.",)
    if about.is_ood:
        yield Callout(upper(OOD_MARK), TEXT.ood, more, style="ood")
    if about.is_synthetic:
        yield Callout(upper(SYNTHETIC_MARK), _SYNTHETIC)


def _blocks(about: SlideEntry, findings: Findings, drawings: dict[str, Drawing], mark: str) -> Iterator[Block]:
    key, areas = tuple(_key(about)), tuple(_areas(about))
    if key:
        yield from ((Paragraph(mark, "mark", only="page"),) if mark else ())
        yield KeyValues(key, style="key")
    yield Heading("The slide and its map", anchor="map")
    yield Figure("overview", tallest_mm=92)
    if key or areas:
        yield Heading("Necrosis and areas", anchor="areas")
        yield Figure("necrosis")
        yield from ((KeyValues(tuple(_key_rows(about))),) if key else ())
        yield from (
            (Table("areas", "", _AREA_COLUMNS, areas, numeric=(1, 2, 3), widths_mm=(60, 40, 44, 30)),) if areas else ()
        )
    for name, title, tallest_mm in (
        ("gallery", "Tiles the model is most and least certain of", 200.0),
        ("probabilities", "Probability of each class", 170.0),
    ):
        if name in drawings:
            yield Heading(title, anchor="tiles" if name == "gallery" else name)
            yield Figure(name, tallest_mm=tallest_mm)
    yield Heading("Caution", anchor="care")
    total = about.grid.rows * about.grid.columns
    found = [(detail.flag_look(name).title, cells) for name, cells in about.grid.flags.items()]
    flags = tuple(Row(upper(title), f"{count(cells, 'tile')} of {total:,}") for title, cells in found)
    yield from ((KeyValues(flags),) if flags else ())
    yield Figure("limits", tallest_mm=120)
    yield from _findings(findings)


def _findings(findings: Findings) -> Iterator[Block]:
    if findings.findings:
        yield Heading("Findings", anchor="findings")
        yield Cards(tuple(finding_card(one, findings, TEXT, title=one.kind.meaning) for one in findings.findings))


def _key(about: SlideEntry) -> Iterator[Row]:
    """Necrosis, grade and the two areas of tumour."""
    if about.is_ood:
        return
    necrosis, grade = about.necrosis, about.grade
    if necrosis.fraction is None:
        is_single = necrosis.method.startswith(detail.NO_FRACTION)
        yield Row("Necrosis", "none given", necrosis.method if is_single else "no tumour was detected")
    else:
        interval = necrosis.interval
        small = f"95 % CI {percent(interval[0])} to {percent(interval[1])}" if interval else "no interval"
        yield Row("Necrosis", percent(necrosis.fraction), small)
    if grade is not None:
        others = [name for name in grade.possible if name != grade.proposed]
        reaches = f"the interval also reaches {' and '.join(others)}" if others else "the whole interval is in it"
        yield Row("Proposed grade (Huvos)", grade.proposed, reaches)
    for item in reversed(about.classes):
        if item.name != "non_tumour" and item.area is not None:
            yield Row(item.title, _area(item.area), count(item.tiles, "tile"))


def _key_rows(about: SlideEntry) -> Iterator[Row]:
    """Where they come from."""
    necrosis, grade = about.necrosis, about.grade
    rows = [
        Row("Necrosis fraction", "non-viable divided by viable and non-viable tumour area"),
        Row("Interval", necrosis.method),
        Row("Tumour detected", f"{count(necrosis.tiles, 'tile')} in {count(necrosis.regions, 'region')}"),
    ]
    if grade is not None:
        rows += [
            Row("Grade", f"{_PROPOSAL} Grades in the interval: {', '.join(grade.possible)}."),
            Row("Source of the grade", grade.source),
        ]
    yield from (row for row in rows if row.value)


def _areas(about: SlideEntry) -> Iterator[tuple[str, ...]]:
    """Classes from viable to non-tumour, then what else was measured."""
    others = {item.name: item.area for item in about.areas}
    tissue = others.get("tissue")
    for item in reversed(about.classes):
        if item.area is not None:
            title = Cell(item.title, dot=item.colour)
            yield title, _area(item.area), _of(item.area, tissue), f"{item.tiles:,}"
    ood, read = about.is_ood, about.grid.tiles_read
    names = {"tissue": "Tissue", "left_out": "Left out" if ood else "Left out (flagged)"}
    cells = {"tissue": read, "left_out": read if ood else about.grid.tiles_left_out}
    for name, area in others.items():
        counted = f"{cells[name]:,}" if name in cells else ""
        yield names.get(name, upper(name.replace("_", " "))), _area(area), _of(area, tissue), counted


def _area(area: AreaEntry) -> str:
    """Always in mm², so that areas are compared at a glance."""
    return f"{area.value:,.2f} mm²" if area.value < 10 else f"{area.value:,.1f} mm²"


def _of(area: AreaEntry, tissue: AreaEntry | None) -> str:
    return "" if tissue is None or not tissue.value else percent(min(1.0, area.value / tissue.value))


def _slide_rows(about: SlideEntry) -> tuple[Row, ...]:
    level, (row_um, column_um), grid = about.levels[0], about.microns_per_pixel, about.grid
    height_mm, width_mm = level.rows * row_um / 1000, level.columns * column_um / 1000
    told = "from the file" if about.microns_from == "file" else "given by a person"
    size = f"{column_um:.4g}" if abs(row_um / column_um - 1) < 1e-3 else f"{row_um:.4g} x {column_um:.4g}"
    seen = f"seen at {grid.tile_pixels} x {grid.tile_pixels} pixels"
    return shown_rows(
        (
            Row("Read from", about.format),
            Row("Size", f"{width_mm:.1f} x {height_mm:.1f} mm, {level.columns:,} x {level.rows:,} pixels"),
            Row("Pixel", f"{size} µm, {told}"),
            Row("Levels", ", ".join(f"{item.columns:,} x {item.rows:,}" for item in about.levels)),
            Row("Tiles", f"{grid.tile_um:,.0f} µm, {seen}, one every {grid.step_um:,.0f} µm"),
            Row("Tiles read", f"{grid.tiles_read:,} of {grid.rows * grid.columns:,}, those with tissue"),
            Row("SHA-256", about.sha256),
        )
    )


class LevelEntry(Entry, frozen=True):
    """A level of the pyramid."""

    rows: Number
    columns: Number
    downsample: Annotated[float, Meta(ge=1)]


class TilesEntry(Entry, frozen=True):
    """The grid of tiles; the middle of tile (row, column) begins at both times ``step_um``."""

    tile_um: Positive
    step_um: Positive
    tile_pixels: Number
    rows: Number
    columns: Number
    tiles_read: Count
    tiles_left_out: Annotated[int, Meta(ge=0, description="read or not, flagged and in no area")]
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
    tiles: Count
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
    """A tile of the grid and what was said of it; its centre from the left and the upper edge."""

    row: Count
    column: Count
    x_um: float
    y_um: float
    tissue_share: Share
    probabilities: Annotated[tuple[Share, Share, Share], Meta(description="in the order of classes")]
    predicted: Annotated[str | None, Meta(description="null where no class is claimed")]
    ood: float | None
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
    grid: TilesEntry
    classes: tuple[ClassEntry, ClassEntry, ClassEntry]
    areas: tuple[OtherAreaEntry, ...]
    necrosis: NecrosisEntry
    grade: GradeEntry | None
    is_ood: Annotated[bool, Meta(description="the slide as a whole; no class is claimed then")]
    ood: DistanceEntry | None
    gallery: GalleryEntry


class SlideEntries(Entry, frozen=True):
    """Fields of a system that reads slides."""

    slide: SlideEntry


def slide_entries(reading: detail.SlideReading, slide: Slide) -> SlideEntries:
    """The system's own fields of findings.json, not yet finished. Neither path nor name of the file is reported."""
    source, grade, necrosis = slide.source, reading.grade, reading.necrosis
    others = [(name, area) for name, area in necrosis.area_mm2.items() if name not in TILE_CLASSES]
    is_claimed = not reading.is_ood
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
            areas=tuple(OtherAreaEntry(name=name, area=_area_entry(area)) for name, area in others),
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
            is_ood=reading.is_ood,
            ood=_ood(reading),
            gallery=GalleryEntry(
                certain=tuple(_tile(reading, *cell) for cell in reading.certain),
                uncertain=tuple(_tile(reading, *cell) for cell in reading.uncertain),
            ),
        )
    )


def _grid(reading: detail.SlideReading) -> TilesEntry:
    plan = reading.map.plan
    read = plan.is_tissue & np.isfinite(reading.map.probability).all(axis=-1)
    return TilesEntry(
        tile_um=plan.tile_um,
        step_um=plan.step_um,
        tile_pixels=plan.pixels,
        rows=plan.shape[0],
        columns=plan.shape[1],
        tiles_read=int(read.sum()),
        tiles_left_out=int((detail.shown_classes(reading) == detail.LEFT_OUT).sum()),
        flags={name: int(cells.sum()) for name, cells in reading.map.flags.items()},
    )


def _area_entry(value: float) -> AreaEntry:
    return AreaEntry(value=float(value), unit=like(concept("unit_mm2"), CodeEntry))


def _classes(reading: detail.SlideReading) -> tuple[ClassEntry, ClassEntry, ClassEntry]:
    """In the order of TILE_CLASSES; without areas where no class is claimed."""
    shown = detail.shown_classes(reading)
    areas = {} if reading.is_ood else reading.necrosis.area_mm2
    first, second, third = (
        ClassEntry(
            name=look.name,
            title=look.title,
            colour=look.colour,
            tiles=int((shown == index).sum()),
            area=_area_entry(areas[look.name]) if look.name in areas else None,
        )
        for index, look in enumerate(detail.LOOKS)
    )
    return first, second, third


def _ood(reading: detail.SlideReading) -> DistanceEntry | None:
    distance, threshold = reading.map.ood, reading.map.ood_threshold
    known = np.array([]) if distance is None else distance[np.isfinite(distance)]
    if not len(known):
        return None
    above = None if threshold is None else float((known > threshold).mean())
    if reading.ood is not None:  # of the slide as a whole, as in the headline
        return DistanceEntry(threshold=reading.ood.threshold, median=reading.ood.score, share_above=above)
    return DistanceEntry(threshold=threshold, median=float(np.median(known)), share_above=above)


def _tile(reading: detail.SlideReading, row: int, column: int) -> TileEntry:
    slide_map = reading.map
    x_um, y_um = detail.centre_um(slide_map.plan, row, column)
    first, second, third = slide_map.probability[row, column].tolist()
    ood = math.nan if slide_map.ood is None else float(slide_map.ood[row, column])
    return TileEntry(
        row=row,
        column=column,
        x_um=x_um,
        y_um=y_um,
        tissue_share=float(slide_map.plan.tissue_share[row, column]),
        probabilities=(first, second, third),
        predicted=None if reading.is_ood else TILE_CLASSES[int(slide_map.probability[row, column].argmax())],
        ood=ood if math.isfinite(ood) else None,
        flags=detail.cell_flags(slide_map, row, column),
    )


REPORT: Final = SystemReport(TEXT, pictures, SlideEntries)
