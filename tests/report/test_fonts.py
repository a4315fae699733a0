"""Letters that the usual font of the PDF lacks: an open font of the system, else their numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pypdf
import pytest
from reportlab.pdfgen.canvas import Canvas

from osteon.report import fonts

NAMES = ("山田^太郎", "김^철수", "王小明", "やまだ")


@pytest.fixture(autouse=True)
def _fresh() -> None:
    fonts.register_fonts()
    fonts._font_of.cache_clear()


@pytest.mark.parametrize("name", NAMES)
def test_east_asian_letters_are_written_and_embedded(tmp_path: Path, name: str) -> None:
    if "[U+" in fonts.printable(name):
        pytest.skip("no open font with these letters is installed (Debian: fonts-droid-fallback, fonts-nanum)")
    assert fonts.printable(f"Patient {name}, é") == f"Patient {name}, é"
    path = tmp_path / "page.pdf"
    canvas = Canvas(str(path))
    fonts.draw_right(canvas, 500, 700, f"Patient {name}, é", size=8)
    canvas.save()
    page = pypdf.PdfReader(path).pages[0]
    assert page.extract_text().replace("\n", "") == f"Patient {name}, é"
    # a subset of each font is in the file: its name begins with six letters and a plus
    names = re.findall(r"/FontName /([A-Z]{6}\+\S+)", path.read_bytes().decode("latin-1"))
    assert len(names) >= 2


def test_without_such_a_font_nothing_vanishes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_system_fonts", dict)
    assert fonts.printable("山 é") == "[U+5C71] é"
    fonts._font_of.cache_clear()


def test_text_is_never_markup() -> None:
    assert fonts.marked("<b>&") == "&lt;b&gt;&amp;"
