"""report.pdf of a slide: the words and pictures of its page, on A4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osteon.report.paper import (
    build_pdf,
    bullet,
    card_block,
    demo_block,
    paper_styles,
    paragraph,
    picture_block,
    rows_block,
    table,
)
from osteon.systems.histology.report_text import AREA_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from osteon.report.view import View
    from osteon.systems.histology.report_text import SlideContent

__all__ = ["write_slide_pdf"]

_LINE = "#d9dde2"


def write_slide_pdf(path: Path, content: SlideContent, views: Sequence[View]) -> None:
    """Write the PDF; the disclaimer stands on every page.

    Raises:
        OutputError: the file cannot be written.
    """
    build_pdf(
        path,
        lambda: _story(content, {view.name: view for view in views}),
        title=content.title,
        who="",
        mark=content.mark,
    )


def _story(content: SlideContent, views: dict[str, View]) -> list[Any]:
    from reportlab.platypus import KeepTogether

    styles = paper_styles()
    heading, body, soft = styles["heading"], styles["body"], styles["soft"]
    story: list[Any] = [paragraph(content.headline, styles["headline"])]
    story += [demo_block(*box, styles) for box in content.boxes]
    story += [paragraph(text, body) for text in content.statements]
    if content.key:
        story += _key(content, styles)
    story.append(KeepTogether([paragraph("The slide and its map", heading), *picture_block(views, "overview", soft)]))
    necrosis = [*picture_block(views, "necrosis", soft), rows_block(content.key_rows, styles)] if content.key else []
    areas = [_areas(content, styles)] if content.areas else []
    if necrosis or areas:
        story.append(KeepTogether([paragraph("Necrosis and areas", heading), *necrosis, *areas]))
    for title, name in (
        ("Probability of each class", "probabilities"),
        ("Tiles the model is most and least certain of", "gallery"),
    ):
        if name in views:
            story.append(KeepTogether([paragraph(title, heading), *picture_block(views, name, soft)]))
    care = [paragraph("Where to take care", heading)]
    if content.flags:
        care.append(rows_block(content.flags, styles))
    story.append(KeepTogether([*care, *picture_block(views, "limits", soft)]))
    if content.findings:
        story.append(paragraph("Findings", heading))
        story += [KeepTogether(card_block(card, styles)) for card in content.findings]
    story.append(paragraph("What was done", heading))
    notices = [("Take care: " if level == "warning" else "") + text for level, text in content.notices]
    story += [bullet(text, styles) for text in notices or ["Nothing had to be chosen or corrected."]]
    for title, rows in (
        ("Slide", content.slide),
        *(("Model", model) for model in content.models),
        ("Software", content.software),
    ):
        story.append(KeepTogether([paragraph(title, heading), rows_block(rows, styles)]))
    story.append(KeepTogether([paragraph("Limits", heading), *(bullet(text, styles) for text in content.limits)]))
    return story


def _key(content: SlideContent, styles: dict[str, Any]) -> list[Any]:
    """The numbers that stand first, side by side."""
    cells = [
        [paragraph(row.label, styles["soft"]) for row in content.key],
        [paragraph(row.value, styles["headline"]) for row in content.key],
        [paragraph(row.interval, styles["soft"]) for row in content.key],
    ]
    first = 54.0  # its interval on one line
    widths = [first, *[(174 - first) / max(1, len(content.key) - 1)] * (len(content.key) - 1)]
    return [table(cells, widths, ("LINEABOVE", (0, 0), (-1, 0), 1.2, "#1b1f24"))]


def _areas(content: SlideContent, styles: dict[str, Any]) -> Any:  # noqa: ANN401 - reportlab has no types
    head = [paragraph(text, styles["soft"]) for text in AREA_COLUMNS]
    cells = [[paragraph(text, styles["body"]) for text in row] for row in content.areas]
    return table([head, *cells], (60, 40, 44, 30), ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE))
