"""Every command in the README and the docs exists with the options it is shown with; links and pages exist."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest
import typer

from osteon.app.cli.program import build

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+?)(?:#[^)]*)?\)")


def commands() -> list[tuple[str, list[str]]]:
    """(page, words) of every line of a block that begins with ``osteon``; ``a | b`` and ``[x]`` notations are split."""
    return [
        (str(page.relative_to(ROOT)), shlex.split(line, comments=True)[1:])
        for page in PAGES
        for block in BLOCK.findall(page.read_text("utf-8"))
        for line in block.splitlines()
        if line.startswith("osteon ") and "|" not in line and "[" not in line
    ]


@pytest.mark.parametrize(("page", "words"), commands())
def test_every_command_is_understood(page: str, words: list[str]) -> None:
    command = typer.main.get_command(build())
    context = None
    while True:
        context = command.make_context(command.name or "osteon", list(words), parent=context)
        if not hasattr(command, "resolve_command"):
            break
        rest = [*context._protected_args, *context.args]
        _, command, words = command.resolve_command(context, rest)
    assert context.params is not None


def test_there_are_commands_to_check() -> None:
    assert len(commands()) > 15


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_command_reference_is_current() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "write_command_reference.py"))
    page = (ROOT / "docs" / "reference" / "commands.md").read_text("utf-8")
    assert page == script["reference"](), "run: python scripts/write_command_reference.py"


def test_the_navigation_lists_every_page() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    listed = set(re.findall(r"[\w/-]+\.md", navigation))
    assert listed == {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
