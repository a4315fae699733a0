"""report.pdf: the same words and pictures as the page, on A4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osteon.report.content import Row, report_content
from osteon.report.lesion_pdf import lesion_details, lesion_table
from osteon.report.lesion_words import PICTURE_WORDS
from osteon.report.paper import (
    build_pdf,
    bullet,
    card_block,
    demo_block,
    pair_block,
    paper_styles,
    paragraph,
    patient_block,
    picture_block,
    rows_block,
)
from osteon.report.wording import DEMO_MARK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from osteon.data import Answer, Volume
    from osteon.report.content import Content
    from osteon.report.lesion_words import LesionList
    from osteon.report.run import Run
    from osteon.report.view import View

__all__ = ["write_pdf"]


def write_pdf(path: Path, answer: Answer, volume: Volume, views: Sequence[View], *, run: Run) -> None:
    """Write the PDF: patient block, headline, findings, pictures, what was done, limits; the disclaimer on every page.

    Args:
        path: of the PDF.
        answer: of the system.
        volume: that was read.
        views: of ``draw_views``.
        run: as it was started.

    Raises:
        OutputError: a number is not finite, or the file cannot be written.
    """
    content = report_content(answer, volume, run=run)
    build_pdf(
        path,
        lambda: _story(content, {view.name: view for view in views}),
        title=content.title,
        who=" · ".join(row.value for row in content.patient[:3]),
        mark=DEMO_MARK if content.demo else "",
    )


def _story(content: Content, views: dict[str, View]) -> list[Any]:
    from reportlab.platypus import KeepTogether

    styles = paper_styles()
    heading, soft = styles["heading"], styles["soft"]
    story: list[Any] = []
    if content.patient:
        story.append(patient_block(content.patient, styles))
    story.append(paragraph(content.headline, styles["headline"]))
    story += [paragraph(text, styles["demo"]) for text in content.unlike]
    if content.demo:
        story.append(demo_block(DEMO_MARK, content.words.demo, content.demo, styles))
    story += [paragraph(text, styles["body"]) for text in content.statements]
    if content.lesions is not None:
        story += _lesions(content.lesions, views, styles)
    else:
        story.append(KeepTogether(picture_block(views, "overview", soft)))
    if content.lesions is None or content.findings:
        story.append(paragraph("Findings" if content.lesions is None else "Also measured", heading))
    if content.nothing:
        story.append(paragraph(content.nothing, styles["body"]))
    story += [KeepTogether(card_block(card, styles)) for card in content.findings]
    story.append(paragraph(content.slice_note, soft))
    for title, name in (
        (content.curve, "scores"),
        ("Slices", "slices"),
        ("Where the model looked", "heat_maps"),
    ):
        if name in views:
            story.append(KeepTogether([paragraph(title, heading), *picture_block(views, name, soft)]))
    if "bone_anterior" in views or "bone_lateral" in views:
        story.append(
            KeepTogether(
                [paragraph("Bone in 3D", heading), *pair_block(views, ("bone_anterior", "bone_lateral"), soft)]
            )
        )
    story.append(paragraph("What was done", heading))
    notices = [("Take care: " if level == "warning" else "") + text for level, text in content.notices]
    story += [bullet(text, styles) for text in notices or ["Nothing had to be chosen or corrected."]]
    for title, rows in (
        *((f"How far the model may be believed: {part}", rows) for part, rows in content.trust),
        ("Images", content.series),
        *(("Model", model) for model in content.models),
        ("Software", content.software),
    ):
        story.append(KeepTogether([paragraph(title, heading), rows_block(rows, styles)]))
    story.append(KeepTogether([paragraph("Limits", heading), *(bullet(text, styles) for text in content.limits)]))
    return story


def _lesions(lesions: LesionList, views: dict[str, View], styles: dict[str, Any]) -> list[Any]:
    """The list, the skeleton, every lesion that has a picture, and what the columns mean."""
    from reportlab.platypus import KeepTogether

    def write(text: str, style: str) -> Any:  # noqa: ANN401 - reportlab has no types
        return paragraph(text, styles[style])

    heading, soft = styles["heading"], styles["soft"]
    if not lesions.rows:
        return [write(lesions.nothing, "body"), KeepTogether(picture_block(views, "overview", soft))]
    parts = [paragraph("Lesions", heading), lesion_table(lesions, write)]
    parts.append(KeepTogether(picture_block(views, "overview", soft)))
    head = [
        paragraph("Lesion by lesion", heading),
        write(" ".join(text for text in (PICTURE_WORDS, lesions.pictures) if text), "body"),
    ]
    first, *others = lesion_details(lesions, views, write, lambda name: picture_block(views, name, soft)[:-1]) or [[]]
    parts += [KeepTogether([*head, *first]), *(KeepTogether(block) for block in others)]
    means = tuple(Row(name, words) for name, words in lesions.definitions)
    parts.append(KeepTogether([paragraph("What the columns mean", heading), rows_block(means, styles)]))
    return parts
