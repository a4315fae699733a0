"""One table, two files: nothing lost. The page is tested with the pages of results."""

from __future__ import annotations

import csv
import io
import math

from osteon.report.blocks import Table, table_csv, table_markdown

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
