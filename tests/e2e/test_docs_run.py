"""The commands of the tutorials and the Python blocks of the docs are run, at small sizes."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from osteon.app.cli.program import build
from osteon.app.cli.terminal import run_guarded
from osteon.io.slide.pyramid import PyramidOptions, write_pyramid
from osteon.reading import CaseResult
from tests.film_files import film, save

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SMALL = {("phantom", "ct"): ["--slices", "24", "--size", "128"], ("show",): [], ("read",): ["--device", "cpu"]}
"""What makes a command of a tutorial small."""


def blocks(language: str) -> dict[Path, list[str]]:
    """The blocks of a language by page, in their order."""
    found = {page: [m[1] for m in BLOCK.findall(page.read_text("utf-8")) if m[0] == language] for page in PAGES}
    return {page: texts for page, texts in found.items() if texts}


PAGES = sorted(DOCS.rglob("*.md"))
TUTORIALS = [page for page in PAGES if page.parent.name == "tutorials"]


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_the_commands_of_a_tutorial_run(
    page: Path, lesion_case: CaseResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BROWSER", "true")
    shutil.copytree(lesion_case.folder, "demo-result")  # of `make demo`
    lines = [line for text in blocks("")[page] for line in text.splitlines() if line.startswith("osteon ")]
    assert lines
    for line in lines:
        words = shlex.split(line, comments=True)
        small = next((more for start, more in SMALL.items() if tuple(words[1 : 1 + len(start)]) == start), None)
        assert small is not None, f"say how {line!r} is made small"
        monkeypatch.setattr("sys.argv", [*words, *small])
        assert run_guarded(build()) == 0, line


@pytest.mark.slow
@pytest.mark.parametrize("page", blocks("python"), ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(
    page: Path, lesion_series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(lesion_series, "study")
    picture = np.random.default_rng(1).integers(0, 255, (2400, 2400, 3), dtype=np.uint8)
    cv2.imwrite("tile.png", picture[:512, :512])
    write_pyramid(Path("slide.svs"), picture, microns_per_pixel=0.5, options=PyramidOptions())
    save(film(np.arange(64, dtype=np.uint16).reshape(8, 8)), Path("film.dcm"))
    Path("films").mkdir()
    shutil.copy("film.dcm", "films")
    names = {"rgba": np.zeros((64, 64, 4), dtype=np.uint8)}
    for text in blocks("python")[page]:
        exec(compile(text.replace("40_000", "10_000"), page.name, "exec"), names)  # noqa: S102 - our own docs
    assert len(names) > 1
