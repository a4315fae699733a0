"""Reports of answers made by hand, for tests: pictures, page and PDF, and the words of both."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING, Any

import pypdf

from osteon.report.findings import make_findings
from osteon.report.page import write_page
from osteon.report.paper import write_paper
from osteon.report.result import draw_all
from osteon.report.sections import make_document
from osteon.systems.registry import system

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from osteon.data import Answer, Image
    from osteon.report import Run
    from osteon.report.blocks import Document, Part, Picture

__all__ = ["content", "document_of", "drawn", "page_text", "paper_text", "part_of", "plain_text", "write_both"]


def part_of(answer: Answer, image: Image, run: Run) -> Part:
    """What the system of the answer adds to its report."""
    part: Part = system(answer.task).report().pictures(answer, image, make_findings(answer, image, created=run.created))
    return part


def content(answer: Answer, image: Image, run: Run) -> dict[str, Any]:
    """Content of findings.json; valid."""
    from osteon.report import result_document

    return result_document(answer, image, system(answer.task).report(), run=run)


def drawn(answer: Answer, image: Image, run: Run, folder: Path) -> dict[str, Picture]:
    """Every picture."""
    return draw_all(folder, part_of(answer, image, run).drawings)


def document_of(answer: Answer, image: Image, run: Run, files: Sequence[tuple[str, str]] = ()) -> Document:
    """The report as blocks."""
    findings = make_findings(answer, image, created=run.created)
    text, part = system(answer.task).report().text, part_of(answer, image, run)
    return make_document(answer, image, text=text, part=part, findings=findings, run=run, files=files)


def write_both(
    answer: Answer,
    image: Image,
    run: Run,
    folder: Path,
    *,
    pictures: dict[str, Picture] | None = None,
    files: Sequence[tuple[str, str]] = (),
) -> None:
    """Page and PDF."""
    document = document_of(answer, image, run, files)
    write_page(folder / "report.html", document, pictures)
    write_paper(folder / "report.pdf", document, pictures)


def page_text(folder: Path) -> str:
    """What a person reads of report.html."""
    return plain_text((folder / "report.html").read_text(encoding="utf-8"))


def plain_text(page: str) -> str:
    """What a person reads: no script, no style, no tags, entities resolved, one space between words."""
    bare = re.sub(r"<(script|style).*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", bare)))


def paper_text(folder: Path) -> str:
    """What a person reads of report.pdf."""
    reader = pypdf.PdfReader(folder / "report.pdf")
    return re.sub(r"\s+", " ", " ".join(page.extract_text() for page in reader.pages))
