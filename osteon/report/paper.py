"""The one writer of PDFs: a document on A4, with head and foot, the disclaimer on every page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import osteon
from osteon.errors import OutputError
from osteon.report.blocks import Bullets, Callout, Cards, Cell, Figure, Heading, KeyValues, Pair, Paragraph, Row, Table
from osteon.report.fonts import BOLD, FONT, draw_right, marked, printable, register_fonts
from osteon.report.wording import DISCLAIMER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from osteon.report.blocks import Block, Card, Document, Picture

__all__ = ["write_paper"]

_INK, _SOFT, _LINE, _AFFECTED, _BAND = "#1b1f24", "#555e69", "#d9dde2", "#a84300", "#f6f7f8"
_MARGIN_MM: Final = 18.0
_WIDTH_MM: Final = 174.0
_WIDEST_PAIR: Final = 2.6
"""Largest sum of width over height that still goes side by side."""

_SECTION: Final = 2
"""Level of the heading of a section."""

Flowable = Any
"""reportlab has no types."""


def write_paper(path: Path, document: Document, pictures: Mapping[str, Picture] | None = None) -> None:
    """Write the PDF: blocks of the page only, and figures whose picture was not drawn, are left out.

    Raises:
        OutputError: the file cannot be written.
    """
    register_fonts()
    from reportlab import rl_config
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.units import mm
    from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate

    rl_config.useA85 = 0  # streams as bytes: as text they are a quarter larger and take seconds to write
    width, height = A4
    edge, foot = _MARGIN_MM * mm, 18 * mm
    frame = Frame(edge, foot, width - 2 * edge, height - 18 * mm - foot, leftPadding=0, rightPadding=0)
    who = " \u00b7 ".join(row.value for row in document.patient[:3])
    about = {"title": f"{document.title} - osteon report", "subject": DISCLAIMER, "creator": "osteon"}
    about["author"] = f"osteon {osteon.__version__}"
    pages = [PageTemplate(frames=[frame], onPageEnd=_furniture(document.title, who, document.mark))]
    template = BaseDocTemplate(str(path), pagesize=A4, pageTemplates=pages, invariant=True, **about)
    try:
        template.build(_Story(document, pictures or {}).flowables, canvasmaker=_numbering_canvas())
    except OSError as error:
        raise OutputError(f"{path.name} cannot be written: {error.strerror}") from error


class _Story:
    """Blocks as what reportlab lays out."""

    def __init__(self, document: Document, pictures: Mapping[str, Picture]) -> None:
        """Take what is needed."""
        self.document, self.pictures, self.styles = document, pictures, _styles()

    @property
    def flowables(self) -> list[Flowable]:
        """A heading stays with what it is above, an article on one page where it can."""
        from reportlab.platypus import KeepTogether

        story = [_patient(self.document.patient, self.styles)] if self.document.patient else []
        story.append(_write(self.document.headline, self.styles["headline"]))
        kept: list[Flowable] = []  # headings, or the whole of an article
        is_article = False
        for block in self.document.blocks:
            groups = [] if block.only == "page" else list(self._groups(block))
            if isinstance(block, Heading) and is_article:
                story.append(KeepTogether(kept))
                kept, is_article = [], False
            if isinstance(block, Heading):
                is_article = bool(groups and block.anchor and block.level > _SECTION)
            if isinstance(block, Heading) or is_article:
                kept += [part for group in groups for part in group]
            elif groups:  # one in another would begin a page each time
                story += [KeepTogether([*kept, *groups[0]]), *map(KeepTogether, groups[1:])]
                kept = []
        return [*story, *([KeepTogether(kept)] if is_article else [])]

    def _groups(self, block: Block) -> Iterator[list[Flowable]]:
        """What a block becomes, in groups that stay on one page; the first stays with the heading above it."""
        styles = self.styles
        match block:
            case Heading():
                yield [_write(block.text, styles["heading" if block.level == _SECTION else "card"])]
            case Paragraph() if block.style != "mark":  # the paper carries its mark on every page
                care = "Caution: " if block.style == "warning" else ""
                yield [_write(care + block.text, styles["soft" if block.style in {"note", "small"} else "body"])]
            case Bullets():
                yield [_bullet(text, level, styles) for text, level in block.items]
            case Callout():
                yield [_callout(block, styles)]
            case KeyValues():
                yield [_key(block.rows, styles)] if block.style == "key" else _rows(block, styles)
            case Cards():
                yield from (_card(card, styles) for card in block.cards)
            case Table():
                yield _table(block, styles)
            case Figure():
                yield self._figure(block, block.tallest_mm)
            case Pair():
                yield from self._pair(block)

    def _figure(self, figure: Figure, tallest_mm: float) -> list[Flowable]:
        """A picture over the whole width with its caption; nothing where it was not drawn."""
        from reportlab.platypus import Spacer

        view = self.pictures.get(figure.picture) if isinstance(figure.picture, str) else figure.picture
        if view is None:
            return []
        image = _image(view, largest_mm=_WIDTH_MM, tallest_mm=tallest_mm)
        caption = [Spacer(1, 3), _write(view.caption, self.styles["soft"])] if figure.told else []
        return [Spacer(1, 6), image, *caption]

    def _pair(self, pair: Pair) -> Iterator[list[Flowable]]:
        """Side by side in equal height, or below each other where that would make them small."""
        shown = [self.pictures[name] for name in pair.names if name in self.pictures]
        aspects = [view.width / view.height for view in shown]
        if sum(aspects) > _WIDEST_PAIR:
            for view in shown:
                yield self._figure(Figure(view), pair.tallest_mm)
        elif shown:
            widths = [(_WIDTH_MM - 5 * (len(shown) - 1)) * aspect / sum(aspects) for aspect in aspects]
            sizes = zip(shown, widths, strict=True)
            images = [_image(view, largest_mm=width, tallest_mm=pair.tallest_mm) for view, width in sizes]
            captions = [_write(view.caption, self.styles["soft"]) for view in shown]
            yield [_grid([images, captions], [width + 5 for width in widths], ("RIGHTPADDING", (0, 0), (-1, -1), 12))]


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
                self.setFont(FONT, 8)
                self.setFillColor(_SOFT)
                words = f"Page {self.getPageNumber()} of {len(kept)}"
                self.drawRightString(self._pagesize[0] - _MARGIN_MM * mm, 10 * mm, words)
                super().showPage()
            super().save()

    return Numbering


def _furniture(title: str, who: str, mark: str) -> Callable[[Any, Any], None]:
    """Head and foot of every page."""

    def draw(canvas: Any, document: Any) -> None:  # noqa: ANN401 - reportlab has no types
        from reportlab.lib.units import mm

        width, height = document.pagesize
        edge = _MARGIN_MM * mm
        canvas.saveState()
        canvas.setFont(FONT, 8)
        canvas.setFillColor(_SOFT)
        canvas.drawString(edge, height - 12 * mm, f"osteon · {title}")
        draw_right(canvas, width - edge, height - 12 * mm, printable(who)[:90], size=8)
        canvas.setStrokeColor(_LINE)
        canvas.line(edge, height - 14 * mm, width - edge, height - 14 * mm)
        canvas.line(edge, 14 * mm, width - edge, 14 * mm)
        canvas.drawString(edge, 10 * mm, DISCLAIMER)
        if mark:
            canvas.setFillColor(_AFFECTED)
            canvas.drawCentredString(width / 2 + 12 * mm, 10 * mm, mark)
            canvas.setFillColor(_SOFT)
        canvas.restoreState()

    return draw


def _styles() -> dict[str, Any]:
    """Paragraph styles by name: body, soft, headline, heading, card, demo."""
    from reportlab.lib.styles import ParagraphStyle

    body = ParagraphStyle("body", fontName=FONT, fontSize=9, leading=13, textColor=_INK, spaceAfter=4)

    def bold(name: str, size: float, leading: float, before: float, after: float, colour: str = _INK) -> Any:  # noqa: ANN401 - numbers of a style
        space = {"spaceBefore": before, "spaceAfter": after, "textColor": colour}
        return ParagraphStyle(name, parent=body, fontName=BOLD, fontSize=size, leading=leading, **space)

    return {
        "body": body,
        "soft": ParagraphStyle("soft", parent=body, textColor=_SOFT, fontSize=8, leading=11),
        "headline": bold("headline", 16, 21, 8, 8),
        "heading": bold("heading", 11.5, 15, 10, 5),
        "card": bold("card", 9.5, 13, 4, 2),
        "demo": bold("demo", 12, 16, 0, 3, _AFFECTED),
    }


def _write(text: str, style: Any) -> Flowable:  # noqa: ANN401 - reportlab has no types
    """Plain text as a paragraph; nothing in it is read as markup."""
    from reportlab.platypus import Paragraph as Flow

    return Flow(marked(text), style)


def _bullet(text: str, level: str, styles: dict[str, Any]) -> Flowable:
    """A paragraph with a dash before it."""
    from reportlab.platypus import Paragraph as Flow

    care = "Caution: " if level == "warning" else ""
    return Flow(marked(care + text), styles["body"], bulletText="\u2013")


def _grid(cells: list[list[Any]], widths_mm: Sequence[float], *extra: tuple[Any, ...], repeat: int = 0) -> Flowable:
    """A table with top-aligned cells and no padding at the left; ``extra`` are commands of its style."""
    from reportlab.lib.units import mm
    from reportlab.platypus import Table as Flow

    table = Flow(cells, colWidths=[width * mm for width in widths_mm] or None, hAlign="LEFT", repeatRows=repeat)
    everywhere = ((0, 0), (-1, -1))
    plain = [("VALIGN", *everywhere, "TOP"), ("LEFTPADDING", *everywhere, 0), ("TOPPADDING", *everywhere, 2)]
    table.setStyle([*plain, ("BOTTOMPADDING", *everywhere, 1), *extra])
    return table


def _pairs(rows: Sequence[Row], styles: dict[str, Any]) -> list[list[Any]]:
    return [[_write(row.label, styles["soft"]), _write(row.value, styles["body"])] for row in rows]


def _patient(rows: Sequence[Row], styles: dict[str, Any]) -> Flowable:
    """Rows in two columns with a line below."""
    cells = _pairs(rows, styles)
    half = -(-len(cells) // 2)
    cells += [["", ""]] * (2 * half - len(cells))
    joined = [[*cells[k], *cells[k + half]] for k in range(half)]
    return _grid(joined, (26, 66, 32, 50), ("LINEBELOW", (0, -1), (-1, -1), 0.6, _LINE))


def _callout(block: Callout, styles: dict[str, Any]) -> Flowable:
    """A frame that nobody overlooks."""
    inside = [
        *([_write(block.title, styles["demo"])] if block.title else []),
        *([_write(block.text, styles["body"])] if block.text else []),
        *(_write(text, styles["soft"]) for text in block.small),
    ]
    padding = (("LEFTPADDING", 9), ("TOPPADDING", 6), ("BOTTOMPADDING", 5))
    box = [(name, (0, 0), (-1, -1), size) for name, size in padding]
    return _grid([[inside]], (_WIDTH_MM,), ("BOX", (0, 0), (-1, -1), 1.4, _AFFECTED), *box)


def _rows(block: KeyValues, styles: dict[str, Any]) -> list[Flowable]:
    """Rows of label and value, below their title where they have one."""
    line = ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE)
    table = _grid(_pairs(block.rows, styles) or [["", ""]], (40, 134), line)
    return [*([_write(block.folded, styles["heading"])] if block.folded else []), table]


def _key(rows: Sequence[Row], styles: dict[str, Any]) -> Flowable:
    """The numbers that stand first, side by side."""
    cells = [
        [_write(row.label, styles["soft"]) for row in rows],
        [_write(row.value, styles["headline"]) for row in rows],
        [_write(row.interval, styles["soft"]) for row in rows],
    ]
    first = 54.0  # its interval on one line
    widths = [first, *[(_WIDTH_MM - first) / max(1, len(rows) - 1)] * (len(rows) - 1)]
    return _grid(cells, widths, ("LINEABOVE", (0, 0), (-1, 0), 1.2, _INK))


def _card(card: Card, styles: dict[str, Any]) -> list[Flowable]:
    """One finding: title, sentence, and its numbers with their intervals."""
    parts = [_write(card.title, styles["card"]), _write(card.statement, styles["body"])]
    if card.rows:
        head = [_write(text, styles["soft"]) for text in ("Measure", "Value", "95 % CI")]
        cells = _pairs(card.rows, styles)
        for cell, row in zip(cells, card.rows, strict=True):
            cell.append(_write(row.interval, styles["soft"]))
        parts.append(_grid([head, *cells], (72, 54, 48), ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE)))
    return parts


def _table(block: Table, styles: dict[str, Any]) -> list[Flowable]:
    """A table; its head is repeated on every page."""
    texts = [[f"{text} !" if isinstance(text, Cell) and text.warning else text for text in row] for row in block.rows]
    cells = [[_write(name, styles["soft"]) for name in block.columns]]
    cells += [[_write(text, styles["body"]) for text in row] for row in texts]
    line = ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE)
    table = _grid(cells, block.widths_mm, line, ("ROWBACKGROUNDS", (0, 1), (-1, -1), ["#ffffff", _BAND]), repeat=1)
    title = [_write(block.title, styles["card"])] if block.title else []
    return [*title, table, *(_bullet(note, "info", styles) for note in block.notes)]


def _image(view: Picture, *, largest_mm: float, tallest_mm: float) -> Flowable:
    from reportlab.lib.units import mm
    from reportlab.platypus import Image

    scale = min(largest_mm / view.width, tallest_mm / view.height)
    image = Image(str(view.path), width=view.width * scale * mm, height=view.height * scale * mm)
    image.hAlign = "LEFT"
    return image
