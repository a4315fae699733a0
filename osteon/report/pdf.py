"""report.pdf: the same words and pictures as the page, on A4."""

from __future__ import annotations

import unicodedata
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

import osteon
from osteon.errors import OutputError
from osteon.report.content import Row, report_content
from osteon.report.lesion_pdf import lesion_details, lesion_table
from osteon.report.lesion_words import PICTURE_WORDS
from osteon.report.wording import DEMO_MARK, DISCLAIMER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osteon.data import Answer, Volume
    from osteon.report.content import Content, FindingCard
    from osteon.report.lesion_words import LesionList
    from osteon.report.run import Run
    from osteon.report.view import View

__all__ = ["write_pdf"]

_FONT, _BOLD = "OsteonSans", "OsteonSans-Bold"
_INK, _SOFT, _LINE, _AFFECTED = "#1b1f24", "#555e69", "#d9dde2", "#a84300"
_MARGIN_MM: Final = 18.0
_WIDEST_PAIR: Final = 2.6
"""Largest sum of width over height that still goes side by side."""
_TALLEST_MM: Final = {"overview": 92.0, "slices": 128.0, "scores": 70.0, "bone_anterior": 86.0, "bone_lateral": 86.0}


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
    _register_fonts()
    content = report_content(answer, volume, run=run)
    try:
        _build(path, content, {view.name: view for view in views})
    except OSError as error:
        raise OutputError(f"{path.name} cannot be written: {error.strerror}") from error


def _build(path: Path, content: Content, views: dict[str, View]) -> None:
    """Lay out the document."""
    from reportlab import rl_config
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.units import mm
    from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate

    rl_config.useA85 = 0  # streams as bytes: as text they are a quarter larger and take seconds to write
    width, height = A4
    edge, foot = _MARGIN_MM * mm, 18 * mm
    frame = Frame(edge, foot, width - 2 * edge, height - 18 * mm - foot, leftPadding=0, rightPadding=0)
    document = BaseDocTemplate(
        str(path),
        pagesize=A4,
        pageTemplates=[PageTemplate(frames=[frame], onPageEnd=_Furniture(content))],
        title=f"{content.title} - osteon report",
        author=f"osteon {osteon.__version__}",
        subject=DISCLAIMER,
        creator="osteon",
        invariant=True,
    )
    document.build(_story(content, views), canvasmaker=_numbering_canvas())


def _numbering_canvas() -> Any:  # noqa: ANN401 - reportlab has no types
    """A canvas that writes "Page 1 of 4" when it knows the last page: pages are kept back until the end."""
    from reportlab.lib.units import mm
    from reportlab.pdfgen.canvas import Canvas

    class Numbering(Canvas):  # type: ignore[misc] # reportlab has no types
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)
            self.kept: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802 - reportlab's name
            self.kept.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            kept = self.kept
            for state in kept:
                self.__dict__.update(state)
                self.setFont(_FONT, 8)
                self.setFillColor(_SOFT)
                words = f"Page {self.getPageNumber()} of {len(kept)}"
                self.drawRightString(self._pagesize[0] - _MARGIN_MM * mm, 10 * mm, words)
                super().showPage()
            super().save()

    return Numbering


class _Furniture:
    """Head and foot of every page.

    Args:
        content: gives title, patient and whether a demo model took part.
    """

    def __init__(self, content: Content) -> None:
        """Take what is needed."""
        self.title = content.title
        self.who = " · ".join(row.value for row in content.patient[:3])
        self.demo = bool(content.demo)

    def __call__(self, canvas: Any, document: Any) -> None:  # noqa: ANN401 - reportlab has no types
        from reportlab.lib.units import mm

        width, height = document.pagesize
        edge = _MARGIN_MM * mm
        canvas.saveState()
        canvas.setFont(_FONT, 8)
        canvas.setFillColor(_SOFT)
        canvas.drawString(edge, height - 12 * mm, f"osteon · {self.title}")
        canvas.drawRightString(width - edge, height - 12 * mm, _printable(self.who)[:90])
        canvas.setStrokeColor(_LINE)
        canvas.line(edge, height - 14 * mm, width - edge, height - 14 * mm)
        canvas.line(edge, 14 * mm, width - edge, 14 * mm)
        canvas.drawString(edge, 10 * mm, DISCLAIMER)
        if self.demo:
            canvas.setFillColor(_AFFECTED)
            canvas.drawCentredString(width / 2 + 12 * mm, 10 * mm, DEMO_MARK)
            canvas.setFillColor(_SOFT)
        canvas.restoreState()


@cache
def _register_fonts() -> None:
    """DejaVu Sans, which matplotlib brings (Bitstream Vera licence): Latin, Greek, Cyrillic, Arabic, Hebrew."""
    import matplotlib as mpl
    from reportlab.pdfbase.pdfmetrics import registerFont, registerFontFamily
    from reportlab.pdfbase.ttfonts import TTFont

    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    registerFont(TTFont(_FONT, str(folder / "DejaVuSans.ttf")))
    registerFont(TTFont(_BOLD, str(folder / "DejaVuSans-Bold.ttf")))
    registerFontFamily(_FONT, normal=_FONT, bold=_BOLD, italic=_FONT, boldItalic=_BOLD)


@cache
def _glyphs() -> frozenset[int]:
    from reportlab.pdfbase.pdfmetrics import getFont

    return frozenset(getFont(_FONT).face.charToGlyph)


def _printable(text: str) -> str:
    """Text without control characters; characters the font lacks become their number, so nothing vanishes unseen."""
    kept = []
    for character in text:
        if unicodedata.category(character) in {"Cc", "Cs"}:
            kept.append(" ")
        elif ord(character) in _glyphs():
            kept.append(character)
        else:
            kept.append(f"[U+{ord(character):04X}]")
    return "".join(kept)


def _styles() -> dict[str, Any]:
    from reportlab.lib.styles import ParagraphStyle

    body = ParagraphStyle("body", fontName=_FONT, fontSize=9, leading=13, textColor=_INK, spaceAfter=4)
    return {
        "body": body,
        "soft": ParagraphStyle("soft", parent=body, textColor=_SOFT, fontSize=8, leading=11),
        "headline": ParagraphStyle(
            "headline", parent=body, fontName=_BOLD, fontSize=16, leading=21, spaceBefore=8, spaceAfter=8
        ),
        "heading": ParagraphStyle(
            "heading", parent=body, fontName=_BOLD, fontSize=11.5, leading=15, spaceBefore=10, spaceAfter=5
        ),
        "card": ParagraphStyle(
            "card", parent=body, fontName=_BOLD, fontSize=9.5, leading=13, spaceBefore=4, spaceAfter=2
        ),
        "demo": ParagraphStyle(
            "demo", parent=body, fontName=_BOLD, fontSize=12, leading=16, textColor=_AFFECTED, spaceAfter=3
        ),
    }


def _paragraph(text: str, style: Any) -> Any:  # noqa: ANN401 - reportlab has no types
    from reportlab.platypus import Paragraph

    return Paragraph(escape(_printable(text)), style)


def _story(content: Content, views: dict[str, View]) -> list[Any]:
    from reportlab.platypus import KeepTogether

    styles = _styles()
    heading, soft = styles["heading"], styles["soft"]
    story: list[Any] = []
    if content.patient:
        story.append(_patient_block(content.patient, styles))
    story.append(_paragraph(content.headline, styles["headline"]))
    story += [_paragraph(text, styles["demo"]) for text in content.unlike]
    if content.demo:
        story.append(_demo_block(content, styles))
    story += [_paragraph(text, styles["body"]) for text in content.statements]
    if content.lesions is not None:
        story += _lesions(content.lesions, views, styles)
    else:
        story.append(KeepTogether(_picture(views, "overview", soft)))
    if content.lesions is None or content.findings:
        story.append(_paragraph("Findings" if content.lesions is None else "Also measured", heading))
    if content.nothing:
        story.append(_paragraph(content.nothing, styles["body"]))
    story += [KeepTogether(_card(card, styles)) for card in content.findings]
    story.append(_paragraph(content.slice_note, soft))
    for title, name in (
        (content.curve, "scores"),
        ("Slices", "slices"),
        ("Where the model looked", "heat_maps"),
    ):
        if name in views:
            story.append(KeepTogether([_paragraph(title, heading), *_picture(views, name, soft)]))
    if "bone_anterior" in views or "bone_lateral" in views:
        story.append(
            KeepTogether([_paragraph("Bone in 3D", heading), *_pair(views, ("bone_anterior", "bone_lateral"), soft)])
        )
    story.append(_paragraph("What was done", heading))
    notices = [("Take care: " if level == "warning" else "") + text for level, text in content.notices]
    story += [_bullet(text, styles) for text in notices or ["Nothing had to be chosen or corrected."]]
    for title, rows in (
        *((f"How far the model may be believed: {part}", rows) for part, rows in content.trust),
        ("Images", content.series),
        *(("Model", model) for model in content.models),
        ("Software", content.software),
    ):
        story.append(KeepTogether([_paragraph(title, heading), _rows(rows, styles)]))
    story.append(KeepTogether([_paragraph("Limits", heading), *(_bullet(text, styles) for text in content.limits)]))
    return story


def _lesions(lesions: LesionList, views: dict[str, View], styles: dict[str, Any]) -> list[Any]:
    """The list, the skeleton, every lesion that has a picture, and what the columns mean."""
    from reportlab.platypus import KeepTogether

    def write(text: str, style: str) -> Any:  # noqa: ANN401 - reportlab has no types
        return _paragraph(text, styles[style])

    heading, soft = styles["heading"], styles["soft"]
    if not lesions.rows:
        return [write(lesions.nothing, "body"), KeepTogether(_picture(views, "overview", soft))]
    parts = [_paragraph("Lesions", heading), lesion_table(lesions, write)]
    parts.append(KeepTogether(_picture(views, "overview", soft)))
    head = [
        _paragraph("Lesion by lesion", heading),
        write(" ".join(text for text in (PICTURE_WORDS, lesions.pictures) if text), "body"),
    ]
    first, *others = lesion_details(lesions, views, write, lambda name: _picture(views, name, soft)[:-1]) or [[]]
    parts += [KeepTogether([*head, *first]), *(KeepTogether(block) for block in others)]
    means = tuple(Row(name, words) for name, words in lesions.definitions)
    parts.append(KeepTogether([_paragraph("What the columns mean", heading), _rows(means, styles)]))
    return parts


def _bullet(text: str, styles: dict[str, Any]) -> Any:  # noqa: ANN401 - reportlab has no types
    from reportlab.platypus import Paragraph

    return Paragraph(escape(_printable(text)), styles["body"], bulletText="\u2013")


def _table(cells: list[list[Any]], widths_mm: Sequence[float], *extra: tuple[Any, ...]) -> Any:  # noqa: ANN401 - reportlab has no types
    from reportlab.lib.units import mm
    from reportlab.platypus import Table

    table = Table(cells, colWidths=[width * mm for width in widths_mm], hAlign="LEFT")
    everywhere = ((0, 0), (-1, -1))
    plain = [("VALIGN", *everywhere, "TOP"), ("LEFTPADDING", *everywhere, 0), ("TOPPADDING", *everywhere, 2)]
    table.setStyle([*plain, ("BOTTOMPADDING", *everywhere, 1), *extra])
    return table


def _patient_block(rows: Sequence[Row], styles: dict[str, Any]) -> Any:  # noqa: ANN401 - reportlab has no types
    cells = [[_paragraph(row.label, styles["soft"]), _paragraph(row.value, styles["body"])] for row in rows]
    half = -(-len(cells) // 2)
    cells += [["", ""]] * (2 * half - len(cells))
    joined = [[*cells[k], *cells[k + half]] for k in range(half)]
    line = ("LINEBELOW", (0, -1), (-1, -1), 0.6, _LINE)
    return _table(joined, (26, 66, 32, 50), line)


def _demo_block(content: Content, styles: dict[str, Any]) -> Any:  # noqa: ANN401 - reportlab has no types
    inside = [
        _paragraph(DEMO_MARK[:1].upper() + DEMO_MARK[1:], styles["demo"]),
        _paragraph(content.words.demo, styles["body"]),
        *(_paragraph(text, styles["soft"]) for text in content.demo),
    ]
    box = ("BOX", (0, 0), (-1, -1), 1.4, _AFFECTED)
    padding = (
        ("LEFTPADDING", (0, 0), (-1, -1), 9),
        ("TOPPADDING", (0, 0), (-1, -1), 6),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 5),
    )
    return _table([[inside]], (174,), box, *padding)


def _card(card: FindingCard, styles: dict[str, Any]) -> list[Any]:
    parts = [_paragraph(card.title, styles["card"]), _paragraph(card.statement, styles["body"])]
    if card.rows:
        head = [_paragraph(text, styles["soft"]) for text in ("Measure", "Value", "95 % interval")]
        cells = [
            [
                _paragraph(row.label, styles["soft"]),
                _paragraph(row.value, styles["body"]),
                _paragraph(row.interval, styles["soft"]),
            ]
            for row in card.rows
        ]
        parts.append(_table([head, *cells], (72, 54, 48), ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE)))
    return parts


def _rows(rows: Sequence[Row], styles: dict[str, Any]) -> Any:  # noqa: ANN401 - reportlab has no types
    cells = [[_paragraph(row.label, styles["soft"]), _paragraph(row.value, styles["body"])] for row in rows]
    return _table(cells or [["", ""]], (40, 134), ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE))


def _image(view: View, *, widest_mm: float) -> Any:  # noqa: ANN401 - reportlab has no types
    from reportlab.lib.units import mm
    from reportlab.platypus import Image

    scale = min(widest_mm / view.width, _TALLEST_MM.get(view.name, 100.0) / view.height)
    image = Image(str(view.path), width=view.width * scale * mm, height=view.height * scale * mm)
    image.hAlign = "LEFT"
    return image


def _picture(views: dict[str, View], name: str, style: Any) -> list[Any]:  # noqa: ANN401 - reportlab has no types
    from reportlab.platypus import Spacer

    if name not in views:
        return []
    view = views[name]
    return [Spacer(1, 6), _image(view, widest_mm=174), Spacer(1, 3), _paragraph(view.caption, style)]


def _pair(views: dict[str, View], names: Sequence[str], style: Any) -> list[Any]:  # noqa: ANN401 - reportlab has no types
    """Side by side in equal height, or below each other where that would make them small."""
    shown = [views[name] for name in names if name in views]
    aspects = [view.width / view.height for view in shown]
    if sum(aspects) > _WIDEST_PAIR:
        return [part for view in shown for part in _picture(views, view.name, style)]
    widths = [(174 - 5 * (len(shown) - 1)) * aspect / sum(aspects) for aspect in aspects]
    images = [_image(view, widest_mm=width) for view, width in zip(shown, widths, strict=True)]
    captions = [_paragraph(view.caption, style) for view in shown]
    return [_table([images, captions], [width + 5 for width in widths], ("RIGHTPADDING", (0, 0), (-1, -1), 12))]
