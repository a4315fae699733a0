"""One slide from file to result folder."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from osteon.data.options import Progress, silent
from osteon.errors import InputError, OutputError
from osteon.io.slide import open_slide
from osteon.reading.folder import new_result, require_free
from osteon.report import file_records, start_run
from osteon.systems.registry import slide_system
from osteon.weights import find_card

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from osteon.data import Notice, Slide, SlideAnswer
    from osteon.reading.case import CaseOptions
    from osteon.systems.registry import SlideSystem

__all__ = ["SlideResult", "read_slide_case"]

_DEFAULT = "histology"
_WITH_A_FOLDER = ".mrxs"


@dataclass(frozen=True, slots=True)
class SlideResult:
    """What was read and where it lies; the fields of a ``CaseResult``.

    Attributes:
        folder: the result folder.
        answer: of the system.
        findings: content of findings.json.
        notices: of reading and of the system.
        skipped: parts of the result that could not be made, in words; the result is valid without them.
    """

    folder: Path
    answer: SlideAnswer
    findings: Mapping[str, object]
    notices: tuple[Notice, ...]
    skipped: tuple[str, ...] = ()


def read_slide_case(path: Path, result: Path, *, options: CaseOptions, progress: Progress | None = None) -> SlideResult:
    """Read one slide and leave one result folder, whole or not at all.

    Args:
        path: of an openslide format, a DICOM whole-slide image (folder or file), a pyramidal TIFF or a picture.
        result: the folder to be.
        options: ``microns_per_pixel`` where the file does not tell them; ``series_uid`` has no meaning here.
        progress: told about every step.

    Raises:
        OutputError: the result cannot be written there; checked before anything is read.
        InputError: the input cannot be used.
        OsteonError: anything else that stops the reading; what was there before is untouched.
    """
    tell = progress or silent
    require_free(result, replace=options.replace)
    chosen = slide_system(options.task or _DEFAULT)
    if options.system.model is not None:
        find_card(options.system.model)  # a wrong name is told before the slide is read
    if path.resolve().is_relative_to(result.resolve()):
        raise OutputError(f"the folder {result.name} holds the slide that was to be read: choose another place with -o")
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path.name} is neither a file nor a folder: give a slide")
    tell("opening the slide", 0, 1)
    slide = open_slide(path, microns_per_pixel=options.microns_per_pixel)
    tell("opening the slide", 1, 1)
    try:
        return _read(slide, path, result, options, chosen, tell)
    finally:
        slide.close()


def _read(
    slide: Slide,
    path: Path,
    result: Path,
    options: CaseOptions,
    chosen: SlideSystem,
    progress: Progress,
) -> SlideResult:
    """From an open slide to the folder."""
    from osteon.systems.histology.report import write_slide_report

    start = time.perf_counter()
    progress("hashing the slide", 0, 1)
    inputs = file_records(_files(path))
    progress("hashing the slide", 1, 1)
    seconds = {"hash the slide": time.perf_counter() - start}
    answer = chosen.load()(slide, options.system, progress)
    run = start_run(
        task=answer.task,
        device=answer.models[0].device if answer.models else "cpu",
        inputs=inputs,
        seconds=seconds,
        seeds=options.seeds,
    )
    with new_result(result, replace=options.replace) as folder:
        report = write_slide_report(folder, answer, slide, run=run, progress=progress)
    notices = (*slide.source.notices, *report.answer.notices)
    return SlideResult(result, report.answer, report.findings, notices, report.skipped)


def _files(path: Path) -> list[Path]:
    """All files of a slide: of a folder, and of a format that keeps its pixels in one beside its file."""
    beside = path.with_suffix("")
    folders = [path] if path.is_dir() else [beside] if path.suffix.lower() == _WITH_A_FOLDER and beside.is_dir() else []
    inside = sorted(file for folder in folders for file in folder.rglob("*") if file.is_file())
    return inside if path.is_dir() else [path, *inside]
