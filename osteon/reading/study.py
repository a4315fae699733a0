"""One study, volume or slide, from file to result folder: the function behind ``osteon read``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon.errors import InputError
from osteon.io.slide import is_slide
from osteon.reading.case import read_case
from osteon.reading.slide_case import read_slide_case
from osteon.systems.registry import slide_system_names

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data.options import Progress
    from osteon.reading.case import CaseOptions, CaseResult
    from osteon.reading.slide_case import SlideResult

__all__ = ["read_study"]


def read_study(
    path: Path, result: Path, *, options: CaseOptions, progress: Progress | None = None
) -> CaseResult | SlideResult:
    """Read a volume or a slide, whichever it is, and leave one result folder, whole or not at all.

    Args:
        path: as ``read_case`` or ``read_slide_case`` take it. Without a task a file or folder that can only be a slide
            is read as one; a plain picture needs the task.
        result: the folder to be.
        options: what to read and how.
        progress: told about every step.

    Raises:
        OutputError: the result cannot be written there; checked before anything is read.
        InputError: the input cannot be used, or ``microns_per_pixel`` was given for a volume.
        OsteonError: anything else that stops the reading; what was there before is untouched.
    """
    is_there = path.is_file() or path.is_dir()  # what is neither, as a pipe, would be waited for
    if options.task in slide_system_names() or (options.task is None and is_there and is_slide(path)):
        return read_slide_case(path, result, options=options, progress=progress)
    if options.microns_per_pixel is not None:
        raise InputError(
            f"--microns {options.microns_per_pixel:g} was given for {path.name}, which is no slide: leave it out, or "
            "add --task histology for a picture of a slide"
        )
    return read_case(path, result, options=options, progress=progress)
