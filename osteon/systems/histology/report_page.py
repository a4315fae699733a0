"""report.html of a slide: one file that needs nothing else and runs nothing."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from osteon.errors import OutputError
from osteon.report.plain_page import write_plain_page
from osteon.systems.histology.map_cells import LOOKS
from osteon.systems.histology.report_text import AREA_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from osteon.report.view import View
    from osteon.systems.histology.report_text import SlideContent

__all__ = ["write_slide_page"]


@dataclass(frozen=True, slots=True)
class _Page:
    """What the template shows."""

    content: SlideContent
    pictures: Mapping[str, View]
    files: tuple[tuple[str, str], ...]
    area_columns: tuple[str, ...] = AREA_COLUMNS
    colours: Mapping[str, str] = field(default_factory=lambda: {look.title: look.colour for look in LOOKS})


def write_slide_page(
    path: Path, content: SlideContent, views: Sequence[View], *, files: Sequence[tuple[str, str]] = ()
) -> None:
    """Write the page; a content security policy forbids it to load or run anything.

    A picture opens in full size at a click, through its own address in the page.

    Args:
        path: of the page.
        content: its words.
        views: its pictures.
        files: (name, words) of the files beside the page, for links.

    Raises:
        OutputError: a picture cannot be read back, or the page cannot be written.
    """
    page = _Page(content=content, pictures={view.name: view for view in views}, files=tuple(files))
    write_plain_page(path, "slide.html", page, styles=("report.css", "slide.css"), filters={"source": _source})


def _source(view: View) -> str:
    try:
        data = view.path.read_bytes()
    except OSError as error:
        raise OutputError(f"the picture {view.path.name} cannot be read back: {error.strerror}") from error
    return f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}"
