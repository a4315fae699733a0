"""A page of measured results: paragraphs, tables and pictures in sections, one file that needs nothing else."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from osteon.errors import OutputError
from osteon.report.plain_page import write_plain_page

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.report.tables import Table

__all__ = ["Picture", "ResultsPage", "Section", "write_results_page"]


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG for a page.

    Attributes:
        path: of the file; its bytes go into the page.
        title: what it shows; also read out in place of the picture.
        caption: how to read it.
    """

    path: Path
    title: str
    caption: str


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page under one heading."""

    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = field(default=(), repr=False)
    pictures: tuple[Picture, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ResultsPage:
    """A whole page.

    Attributes:
        title: of the page.
        lead: the most important sentence.
        warnings: sentences that nobody may miss, as that the data are synthetic.
        sections: in order.
        links: (file name, words) of files beside the page.
    """

    title: str
    lead: str
    warnings: tuple[str, ...]
    sections: tuple[Section, ...] = field(repr=False)
    links: tuple[tuple[str, str], ...] = ()


def write_results_page(path: Path, page: ResultsPage) -> None:
    """Write the page; a content security policy forbids it to load or run anything.

    Raises:
        OutputError: a picture cannot be read back, or the page cannot be written.
    """
    write_plain_page(path, "results.html", page, filters={"source": _source})


def _source(picture: Picture) -> str:
    try:
        data = picture.path.read_bytes()
    except OSError as error:
        raise OutputError(f"the picture {picture.path.name} cannot be read back: {error.strerror}") from error
    return f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}"
