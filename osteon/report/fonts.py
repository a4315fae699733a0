"""Fonts of the PDF: DejaVu Sans, and for letters that it lacks (East Asian ones) an open font of the system."""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BOLD", "FONT", "draw_right", "marked", "printable", "register_fonts"]

FONT, BOLD = "OsteonSans", "OsteonSans-Bold"

EAST_ASIAN: Final = (
    "droidsansfallbackfull",
    "droidsansfallback",
    "notosanssc",
    "notosanstc",
    "notosansjp",
    "notosanskr",
    "wqy-microhei",
    "wqy-zenhei",
    "ipaexg",
    "ipag",
    "takaogothic",
    "nanumgothic",
    "unifont",
)
"""Open fonts with TrueType outlines, which can be embedded, by the beginning of their file name; the widest first."""

FONT_PACKAGE: Final = "justmytype_intl_cjk"
"""Brings Noto Sans SC, TC, JP and KR (Open Font License) with pip."""


@cache
def register_fonts() -> None:
    """DejaVu Sans, which matplotlib brings (Bitstream Vera licence): Latin, Greek, Cyrillic, Arabic, Hebrew."""
    import matplotlib as mpl
    from reportlab.pdfbase.pdfmetrics import registerFont, registerFontFamily
    from reportlab.pdfbase.ttfonts import TTFont

    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    registerFont(TTFont(FONT, str(folder / "DejaVuSans.ttf")))
    registerFont(TTFont(BOLD, str(folder / "DejaVuSans-Bold.ttf")))
    registerFontFamily(FONT, normal=FONT, bold=BOLD, italic=FONT, boldItalic=BOLD)


@cache
def _system_fonts() -> dict[str, str]:
    """Files of open fonts with East Asian letters by the name they get here, in order; looked for when first needed."""
    from matplotlib.font_manager import findSystemFonts

    package = find_spec(FONT_PACKAGE)
    folders = [Path(folder) for folder in (package.submodule_search_locations or ())] if package else []
    paths = [*findSystemFonts(), *(str(path) for folder in folders for path in folder.rglob("*.ttf"))]
    found: dict[str, str] = {}
    for path in sorted(paths):
        stem = Path(path).stem.lower()
        known = next((name for name in EAST_ASIAN if stem.startswith(name)), None)
        if known is not None and path.lower().endswith((".ttf", ".ttc")):
            found.setdefault(known, path)
    return {f"Osteon-{known}": found[known] for known in sorted(found, key=EAST_ASIAN.index)}


@cache
def _glyphs(name: str) -> frozenset[int]:
    """Characters of a font, which is registered; none of one that cannot be embedded."""
    from reportlab.pdfbase.pdfmetrics import getFont, registerFont
    from reportlab.pdfbase.ttfonts import TTFError, TTFont

    if name != FONT:
        try:
            registerFont(TTFont(name, _system_fonts()[name]))
        except (TTFError, OSError):  # outlines of another kind, or no font at all
            return frozenset()
    return frozenset(getFont(name).face.charToGlyph)


@cache
def _font_of(character: str) -> str | None:
    """The font that a character needs beside the usual one, "" for none; None where no font has it."""
    if character == " " or ord(character) in _glyphs(FONT):
        return ""
    return next((name for name in _system_fonts() if ord(character) in _glyphs(name)), None)


def _runs(text: str) -> Iterator[tuple[str, str]]:
    """Text without control characters by font; what no font has becomes its number, so nothing vanishes unseen."""
    plain = (" " if unicodedata.category(each) in {"Cc", "Cs"} else each for each in text)
    fonts = ((_font_of(each), each) for each in plain)
    told = (("", f"[U+{ord(each):04X}]") if font is None else (font, each) for font, each in fonts)
    for font, pieces in groupby(told, key=lambda one: one[0]):
        yield font, "".join(piece for _, piece in pieces)


def printable(text: str) -> str:
    """The characters that are printed, whatever their font."""
    return "".join(piece for _, piece in _runs(text))


def marked(text: str) -> str:
    """Plain text as markup of a paragraph: only fonts are marked, nothing in the text is read as markup."""
    return "".join(
        f'<font name="{font}">{escape(piece)}</font>' if font else escape(piece) for font, piece in _runs(text)
    )


def draw_right(canvas: Any, right: float, y: float, text: str, *, size: float) -> None:  # noqa: ANN401 - reportlab has no types
    """Draw a line that ends at ``right``."""
    from reportlab.pdfbase.pdfmetrics import stringWidth

    runs = [(font or FONT, piece) for font, piece in _runs(text)]
    at = right - sum(stringWidth(piece, font, size) for font, piece in runs)
    for font, piece in runs:
        canvas.setFont(font, size)
        canvas.drawString(at, y, piece)
        at += stringWidth(piece, font, size)
    canvas.setFont(FONT, size)
