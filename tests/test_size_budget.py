"""The size budget of STYLE.md: small files, small functions, few parameters."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(p for folder in ("osteon", "osteon_phantoms", "bench", "scripts") for p in (ROOT / folder).rglob("*.py"))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def functions() -> list[tuple[str, int, int]]:
    """(place, lines, parameters) of every function of the package, docstring not counted."""
    rows = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, FUNCTIONS):
                first = node.body[0]
                text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
                documentation = (first.end_lineno or 0) - first.lineno + 1 if text else 0
                lines = (node.end_lineno or 0) - node.lineno + 1 - documentation
                arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
                count = sum(a.arg not in {"self", "cls"} for a in arguments)
                rows.append((f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", lines, count))
    return rows


@pytest.mark.parametrize(("share", "limit"), [(50, 200), (90, 450), (100, 700)])
def test_files_are_small(share: int, limit: int) -> None:
    lengths = {str(p.relative_to(ROOT)): len(p.read_text(encoding="utf-8").splitlines()) for p in FILES}
    longest = sorted(lengths.items(), key=lambda row: -row[1])[:5]
    assert np.percentile(list(lengths.values()), share) <= limit, longest


@pytest.mark.parametrize(("share", "limit"), [(90, 35), (100, 80)])
def test_functions_are_short(share: int, limit: int) -> None:
    rows = functions()
    longest = sorted(rows, key=lambda row: -row[1])[:8]
    assert np.percentile([lines for _, lines, _ in rows], share) <= limit, longest


def test_functions_take_few_parameters() -> None:
    # the options of a command line are parameters of its function: typer reads them there
    many = [row for row in functions() if row[2] > 8 and "osteon/app/cli/" not in row[0]]
    assert not many
