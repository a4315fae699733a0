"""The whole result folder of a slide."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon._optional import MissingPackageError
from osteon.data.provenance import Notice
from osteon.errors import OutputError
from osteon.report.document import write_document
from osteon.report.run import file_records, run_document
from osteon.systems.histology.detail import SlideReading
from osteon.systems.histology.gallery import draw_gallery, gallery_groups
from osteon.systems.histology.geojson import write_regions
from osteon.systems.histology.heatmap_file import write_heat_map
from osteon.systems.histology.maps import draw_limits, draw_probabilities
from osteon.systems.histology.overview import draw_necrosis, draw_slide_overview
from osteon.systems.histology.pixels import slide_picture
from osteon.systems.histology.report_findings import slide_findings_document
from osteon.systems.histology.report_page import write_slide_page
from osteon.systems.histology.report_pdf import write_slide_pdf
from osteon.systems.histology.report_text import slide_content
from osteon.systems.histology.sheet import marks
from osteon.systems.histology.tiles_table import write_tiles_csv

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from osteon.data import Answer
    from osteon.data.slide import Slide
    from osteon.report.run import Run
    from osteon.report.view import View

__all__ = ["SLIDE_FILE_WORDS", "SlideReport", "draw_slide_views", "write_slide_report"]

_STEP: Final = "writing the result"

SLIDE_FILE_WORDS: Final = {
    "report.pdf": "this report on paper",
    "heatmap.tif": "the map as a pyramidal TIFF with the slide's extent and micrometres, to lie over the slide",
    "regions.geojson": "regions of each class and flagged cells, for QuPath",
    "tiles.csv": "every cell that was read: place, probabilities, flags",
    "findings.json": "every number, unit and code",
    "run.json": "versions, hashes, settings and times",
}
"""What each file of a slide's result is, in words."""


@dataclass(frozen=True, slots=True)
class SlideReport:
    """What was written.

    Attributes:
        answer: as written, with the notices of writing.
        findings: content of findings.json.
        views: pictures.
        skipped: parts that could not be made, in words; the result is valid without them.
    """

    answer: Answer
    findings: Mapping[str, object] = field(repr=False)
    views: tuple[View, ...]
    skipped: tuple[str, ...] = ()


def write_slide_report(
    folder: Path,
    answer: Answer,
    slide: Slide,
    *,
    run: Run,
    progress: Callable[[str, int, int], None] | None = None,
) -> SlideReport:
    """Write every file of a slide's result into a folder.

    Args:
        folder: of the result; made when it is missing.
        answer: of the system.
        slide: that was read; its pixels are read again for the pictures.
        run: as it was started.
        progress: told about every step.

    Raises:
        InputError: the slide is damaged where a picture needs it.
        OutputError: a number is not finite, or a file cannot be written.
    """
    start = time.perf_counter()
    steps = 5

    def tell(done: int) -> None:
        if progress is not None:
            progress(_STEP, done, steps)

    tell(0)
    reading = answer.detail_as(SlideReading)
    views = draw_slide_views(folder / "views", answer, slide)
    tell(1)
    write_tiles_csv(folder / "tiles.csv", reading)
    write_regions(folder / "regions.geojson", reading, slide)
    tell(2)
    skipped: tuple[str, ...] = ()
    try:
        write_heat_map(folder / "heatmap.tif", reading, slide)
    except MissingPackageError as error:
        skipped = (f"heatmap.tif was not written: {error}",)
    answer = replace(
        answer,
        notices=(*answer.notices, *(Notice("heat-map-skipped", text, level="warning") for text in skipped)),
    )
    tell(3)
    content = slide_content(answer, slide, run=run)
    write_slide_pdf(folder / "report.pdf", content, views)
    tell(4)
    there = {path.name for path in folder.iterdir() if path.is_file()} | {"findings.json", "run.json"}
    files = [(name, words) for name, words in SLIDE_FILE_WORDS.items() if name in there]
    write_slide_page(folder / "report.html", content, views, files=files)
    findings = slide_findings_document(answer, slide, run=run)
    write_document(folder / "findings.json", findings, kind="findings")
    outputs = file_records(sorted(path for path in folder.rglob("*") if path.is_file()))
    seconds = {"write result": time.perf_counter() - start}
    write_document(
        folder / "run.json", run_document(answer, slide, run=run, outputs=outputs, seconds=seconds), kind="run"
    )
    tell(steps)
    return SlideReport(answer=answer, findings=findings, views=views, skipped=skipped)


def draw_slide_views(folder: Path, answer: Answer, slide: Slide) -> tuple[View, ...]:
    """Draw every picture the answer has material for.

    Returns:
        overview, necrosis, gallery, probabilities, limits: those that were drawn. Of a slide that is unlike the
        training tiles there is neither necrosis nor a map of probabilities, and without tumour no necrosis.

    Raises:
        InputError: the slide is damaged.
        OutputError: the folder or a picture cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder.name} for the pictures cannot be made: {error.strerror}") from error
    pixels, reading, words = slide_picture(slide), answer.detail_as(SlideReading), marks(answer, slide)
    views = [draw_slide_overview(folder / "overview.png", reading, slide, pixels=pixels, marks=words)]
    if not reading.is_unlike and reading.necrosis.fraction is not None:
        views.append(draw_necrosis(folder / "necrosis.png", reading, marks=words))
    if gallery_groups(reading):
        views.append(draw_gallery(folder / "gallery.png", reading, slide, marks=words))
    if not reading.is_unlike and np.isfinite(reading.map.probability).any():
        views.append(draw_probabilities(folder / "probabilities.png", reading, slide, pixels=pixels, marks=words))
    views.append(draw_limits(folder / "limits.png", reading, slide, pixels=pixels, marks=words))
    return tuple(views)
