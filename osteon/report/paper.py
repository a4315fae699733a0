"""A4 pages: head and foot, fonts, styles, and the blocks that every PDF report is built of."""

from __future__ import annotations

import unicodedata
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

import osteon
from osteon.errors import OutputError
from osteon.report.wording import DISCLAIMER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from osteon.report.content import FindingCard, Row
    from osteon.report.view import View

__all__ = [
    "build_pdf",
    "bullet",
    "card_block",
    "demo_block",
    "pair_block",
    "paper_styles",
    "paragraph",
    "patient_block",
    "picture_block",
    "rows_block",
    "table",
]

_FONT, _BOLD = "OsteonSans", "OsteonSans-Bold"
_INK, _SOFT, _LINE, _AFFECTED = "#1b1f24", "#555e69", "#d9dde2", "#a84300"
_MARGIN_MM: Final = 18.0
_WIDEST_PAIR: Final = 2.6
"""Largest sum of width over height that still goes side by side."""
_TALLEST_MM: Final = {
    "overview": 92.0,
    "slices": 128.0,
    "scores": 70.0,
    "bone_anterior": 86.0,
    "bone_lateral": 86.0,
    "gallery": 200.0,
    "probabilities": 170.0,
    "limits": 120.0,
}


def build_pdf(path: Path, story: Callable[[], list[Any]], *, title: str, who: str, mark: str) -> None:
    """Lay out the document and write it.

    Args:
        path: of the PDF.
        story: gives the blocks, once the fonts are there.
        title: of the report; stands at the head of every page.
        who: whose images they are, at the head too; "" where nothing is known.
        mark: what must stand on every page because a demo model took part, else "".

    Raises:
        OutputError: the file cannot be written.
    """
    _register_fonts()
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
        pageTemplates=[PageTemplate(frames=[frame], onPageEnd=_Furniture(title, who, mark))],
        title=f"{title} - osteon report",
        author=f"osteon {osteon.__version__}",
        subject=DISCLAIMER,
        creator="osteon",
        invariant=True,
    )
    try:
        document.build(story(), canvasmaker=_numbering_canvas())
    except OSError as error:
        raise OutputError(f"{path.name} cannot be written: {error.strerror}") from error


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
    """Head and foot of every page; the arguments are those of ``build_pdf``."""

    def __init__(self, title: str, who: str, mark: str) -> None:
        """Take what is needed."""
        self.title, self.who, self.mark = title, who, mark

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
        if self.mark:
            canvas.setFillColor(_AFFECTED)
            canvas.drawCentredString(width / 2 + 12 * mm, 10 * mm, self.mark)
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


def paper_styles() -> dict[str, Any]:
    """Paragraph styles by name: body, soft, headline, heading, card, demo."""
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


def paragraph(text: str, style: Any) -> Any:  # noqa: ANN401 - reportlab has no types
    """Plain text as a paragraph; nothing in it is read as markup."""
    from reportlab.platypus import Paragraph

    return Paragraph(escape(_printable(text)), style)


def bullet(text: str, styles: dict[str, Any]) -> Any:  # noqa: ANN401 - reportlab has no types
    """A paragraph with a dash before it."""
    from reportlab.platypus import Paragraph

    return Paragraph(escape(_printable(text)), styles["body"], bulletText="\u2013")


def table(cells: list[list[Any]], widths_mm: Sequence[float], *extra: tuple[Any, ...]) -> Any:  # noqa: ANN401 - reportlab has no types
    """A table with top-aligned cells and no padding at the left; ``extra`` are commands of its style."""
    from reportlab.lib.units import mm
    from reportlab.platypus import Table

    table = Table(cells, colWidths=[width * mm for width in widths_mm], hAlign="LEFT")
    everywhere = ((0, 0), (-1, -1))
    plain = [("VALIGN", *everywhere, "TOP"), ("LEFTPADDING", *everywhere, 0), ("TOPPADDING", *everywhere, 2)]
    table.setStyle([*plain, ("BOTTOMPADDING", *everywhere, 1), *extra])
    return table


def patient_block(rows: Sequence[Row], styles: dict[str, Any]) -> Any:  # noqa: ANN401 - reportlab has no types
    """Rows in two columns with a line below."""
    cells = [[paragraph(row.label, styles["soft"]), paragraph(row.value, styles["body"])] for row in rows]
    half = -(-len(cells) // 2)
    cells += [["", ""]] * (2 * half - len(cells))
    joined = [[*cells[k], *cells[k + half]] for k in range(half)]
    line = ("LINEBELOW", (0, -1), (-1, -1), 0.6, _LINE)
    return table(joined, (26, 66, 32, 50), line)


def demo_block(mark: str, text: str, statements: Sequence[str], styles: dict[str, Any]) -> Any:  # noqa: ANN401 - reportlab has no types
    """A frame that nobody overlooks: what a demo model's report must say of itself."""
    inside = [
        paragraph(mark[:1].upper() + mark[1:], styles["demo"]),
        paragraph(text, styles["body"]),
        *(paragraph(statement, styles["soft"]) for statement in statements),
    ]
    box = ("BOX", (0, 0), (-1, -1), 1.4, _AFFECTED)
    padding = (
        ("LEFTPADDING", (0, 0), (-1, -1), 9),
        ("TOPPADDING", (0, 0), (-1, -1), 6),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 5),
    )
    return table([[inside]], (174,), box, *padding)


def card_block(card: FindingCard, styles: dict[str, Any]) -> list[Any]:
    """One finding: title, sentence, and its numbers with their intervals."""
    parts = [paragraph(card.title, styles["card"]), paragraph(card.statement, styles["body"])]
    if card.rows:
        head = [paragraph(text, styles["soft"]) for text in ("Measure", "Value", "95 % interval")]
        cells = [
            [
                paragraph(row.label, styles["soft"]),
                paragraph(row.value, styles["body"]),
                paragraph(row.interval, styles["soft"]),
            ]
            for row in card.rows
        ]
        parts.append(table([head, *cells], (72, 54, 48), ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE)))
    return parts


def rows_block(rows: Sequence[Row], styles: dict[str, Any]) -> Any:  # noqa: ANN401 - reportlab has no types
    """Rows of label and value."""
    cells = [[paragraph(row.label, styles["soft"]), paragraph(row.value, styles["body"])] for row in rows]
    return table(cells or [["", ""]], (40, 134), ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE))


def _image(view: View, *, widest_mm: float) -> Any:  # noqa: ANN401 - reportlab has no types
    from reportlab.lib.units import mm
    from reportlab.platypus import Image

    scale = min(widest_mm / view.width, _TALLEST_MM.get(view.name, 100.0) / view.height)
    image = Image(str(view.path), width=view.width * scale * mm, height=view.height * scale * mm)
    image.hAlign = "LEFT"
    return image


def picture_block(views: dict[str, View], name: str, style: Any) -> list[Any]:  # noqa: ANN401 - reportlab has no types
    """A picture over the whole width with its caption; nothing where there is none of that name."""
    from reportlab.platypus import Spacer

    if name not in views:
        return []
    view = views[name]
    return [Spacer(1, 6), _image(view, widest_mm=174), Spacer(1, 3), paragraph(view.caption, style)]


def pair_block(views: dict[str, View], names: Sequence[str], style: Any) -> list[Any]:  # noqa: ANN401 - reportlab has no types
    """Side by side in equal height, or below each other where that would make them small."""
    shown = [views[name] for name in names if name in views]
    aspects = [view.width / view.height for view in shown]
    if sum(aspects) > _WIDEST_PAIR:
        return [part for view in shown for part in picture_block(views, view.name, style)]
    widths = [(174 - 5 * (len(shown) - 1)) * aspect / sum(aspects) for aspect in aspects]
    images = [_image(view, widest_mm=width) for view, width in zip(shown, widths, strict=True)]
    captions = [paragraph(view.caption, style) for view in shown]
    return [table([images, captions], [width + 5 for width in widths], ("RIGHTPADDING", (0, 0), (-1, -1), 12))]
