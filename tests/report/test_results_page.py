"""A page of results: whole in one file, nothing executed, every picture inside."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from osteon.errors import OutputError
from osteon.report.blocks import Picture, Section, Table, results_document
from osteon.report.charts import Curve, Estimate, draw_estimates, draw_learning_curves
from osteon.report.page import write_page


def _pictures(folder: Path) -> tuple[Picture, ...]:
    estimates = [
        Estimate("CAE-ft", 0.9, (0.8, 1.02), (0.82, 0.95), (0.948, 0.93, 0.966)),
        Estimate("majority class", 0.5, (math.nan, math.nan), (0.5, 0.5)),
    ]
    curves = [
        Curve("CAE-ft", (0.5, 0.7, 0.8), 3),
        Curve("CAE-g-lf", (0.4, math.nan, 0.9), 3, (2,)),
        Curve("C-ft", (), 0),
    ]
    return (
        draw_estimates(folder / "auc.png", "ROC AUC", estimates, mark="SYNTHETIC DATA"),
        draw_learning_curves(folder / "learning.png", curves),
    )


def test_a_page_holds_its_pictures_and_escapes_its_text(tmp_path: Path) -> None:
    table = Table("table1", "One <b>", ("a",), (("<i>",), ("b",)), notes=("Trust & verify.",), strong=frozenset({1}))
    page = results_document(
        "T & T",
        "Lead <script>alert(1)</script>",
        warnings=("SYNTHETIC",),
        sections=(Section("Pictures", pictures=_pictures(tmp_path)), Section("Tables", ("Words <x>.",), (table,))),
        links=(("table1.csv", "numbers"),),
    )
    write_page(tmp_path / "index.html", page)
    text = (tmp_path / "index.html").read_text("utf-8")
    assert text.count("data:image/png;base64,") == 2
    assert "<script" not in text
    assert "default-src 'none'" in text
    assert not re.search(r'(?:src|href)="https?:', text)
    assert "&lt;i&gt;" in text
    assert "Trust &amp; verify." in text
    assert text.count("<tr") == 3
    assert text.count('class="strong"') == 1
    assert "Words &lt;x&gt;." in text
    assert "decision" in text.lower(), "the disclaimer stands on every page"


def test_equal_pictures_are_equal_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for one, two in zip(_pictures(tmp_path / "a"), _pictures(tmp_path / "b"), strict=True):
        assert one.path.read_bytes() == two.path.read_bytes()


def test_a_picture_that_is_gone_is_an_error(tmp_path: Path) -> None:
    lost = Picture(tmp_path / "none.png", "t", "c")
    page = results_document("t", "l", warnings=(), sections=(Section("s", pictures=(lost,)),))
    with pytest.raises(OutputError, match=r"none\.png"):
        write_page(tmp_path / "index.html", page)
    assert not (tmp_path / "index.html").exists()
