"""One table, three forms: nothing lost, nothing executed."""

from __future__ import annotations

import csv
import io
import math

from osteon.report.tables import Table, table_csv, table_html, table_markdown

TABLE = Table(
    "table9",
    "A <title>",
    ("name", "AUC"),
    (("a|b", "0.9 (0.8 to 1.0)"), ("<script>", "0.5")),
    notes=("Trust & verify.",),
    records=({"name": "a|b", "auc": 0.9000001, "low": None}, {"name": "<script>", "auc": math.nan, "low": 0.25}),
    strong=frozenset({1}),
)


def test_markdown_escapes_bars_and_sets_rows_off() -> None:
    lines = table_markdown(TABLE).splitlines()
    assert lines[0] == "### A <title>"
    assert lines[4] == r"| a\|b | 0.9 (0.8 to 1.0) |"
    assert lines[5] == "| **<script>** | **0.5** |"
    assert lines[-1] == "* Trust & verify."
    assert len({line.replace(r"\|", "").count("|") for line in lines[2:6]}) == 1


def test_csv_holds_the_numbers_and_the_notes() -> None:
    text = table_csv(TABLE)
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[:3] == [["name", "auc", "low"], ["a|b", "0.9", ""], ["<script>", "", "0.25"]]
    assert text.endswith("# Trust & verify.\n")
    cells = Table("t", "t", ("a", "b"), (("1", "x,y"),))
    assert list(csv.reader(io.StringIO(table_csv(cells)))) == [["a", "b"], ["1", "x,y"]]


def test_html_escapes_everything() -> None:
    page = table_html(TABLE)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "Trust &amp; verify." in page
    assert page.count("<tr") == 3
    assert page.count("class=strong") == 1
