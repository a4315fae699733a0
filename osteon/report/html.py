"""report.html: one file that needs nothing else, with pictures, a slice browser and the bone in 3D."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as package_files
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

import osteon
from osteon.errors import OutputError
from osteon.report.content import report_content
from osteon.report.lesion_words import COLUMNS, NUMERIC, PICTURE_WORDS, PROBABILITY_WORDS
from osteon.report.scene import bone_scene
from osteon.report.strips import slice_browsers
from osteon.report.wording import DEMO_MARK, DISCLAIMER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from markupsafe import Markup

    from osteon.data import Answer, Volume
    from osteon.report.run import Run
    from osteon.report.strips import SliceBrowser
    from osteon.report.view import View

__all__ = ["write_html"]


@dataclass(frozen=True, slots=True)
class _Picture:
    """A View with its bytes inside."""

    name: str
    title: str
    caption: str
    width: int
    height: int
    source: str


def write_html(
    path: Path,
    answer: Answer,
    volume: Volume,
    views: Sequence[View],
    *,
    run: Run,
    files: Sequence[tuple[str, str]] = (),
) -> None:
    """Write the page.

    Everything is inside the file; a content security policy forbids it to load anything. Text from DICOM is escaped
    by the template. Without a script the pictures and curves remain.

    Args:
        path: of the page.
        answer: of the system.
        volume: that was read.
        views: of ``draw_views``.
        run: as it was started.
        files: (name, words) of the files beside the page, for links.

    Raises:
        OutputError: a number is not finite, or the file cannot be written.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from jinja2.utils import htmlsafe_json_dumps

    content = report_content(answer, volume, run=run)
    one_image = content.words.one_image  # no curve that a browser of slices would show
    environment = Environment(
        loader=FunctionLoader(_static), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    pictures = {view.name: _picture(view) for view in views}
    browsers, scene = slice_browsers(answer, volume), bone_scene(answer, volume)
    page = environment.get_template("report.html").render(
        content=content,
        version=osteon.__version__,
        disclaimer=DISCLAIMER,
        demo_mark=DEMO_MARK,
        css=_own("report.css"),
        slices_js=_own("slices.js"),
        pictures=pictures,
        lesion_columns=COLUMNS,
        numeric=NUMERIC,
        key_views=[
            pictures[name] for name in ("overview", "slices", *(("scores",) if one_image else ())) if name in pictures
        ],
        chart_view=pictures.get("scores"),
        limits_view=pictures.get("scores")
        if content.trust and not one_image
        else None,  # band and strips are drawn in the picture only
        lesion_note=PICTURE_WORDS,
        probability_words=PROBABILITY_WORDS,
        heat_view=pictures.get("heat_maps"),
        bone_views=[pictures[name] for name in ("bone_anterior", "bone_lateral") if name in pictures],
        browsers=browsers,
        browser_data=htmlsafe_json_dumps([browser.payload() for browser in browsers]),
        skipped=_skipped(browsers),
        scene=htmlsafe_json_dumps(scene) if scene else None,
        viewer_js=_own("viewer.js"),
        files=files,
    )
    try:
        path.write_bytes(page.encode("utf-8", errors="replace"))  # a broken header may hold half a character
    except OSError as error:
        raise OutputError(f"{path.name} cannot be written: {error.strerror}") from error


def _skipped(browsers: Sequence[SliceBrowser]) -> str:
    """Which slices the browser shows, as an ordinal: "second" when every other one is there, "" when all are."""
    steps = [b[0] - a[0] for browser in browsers for a, b in pairwise(browser.frames)]
    step = round(median(steps)) if steps else 1
    return {0: "", 1: "", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}.get(step, f"{step}th")


@cache
def _static(name: str) -> str:
    return package_files("osteon.report.static").joinpath(name).read_text(encoding="utf-8")


def _own(name: str) -> Markup:
    """Style and scripts of this package, which must not be escaped."""
    from markupsafe import Markup

    return Markup(_static(name))  # noqa: S704 - files of this package, no text from outside


def _picture(view: View) -> _Picture:
    try:
        data = view.path.read_bytes()
    except OSError as error:
        raise OutputError(f"the picture {view.path.name} cannot be read back: {error.strerror}") from error
    source = f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}"
    return _Picture(
        name=view.name, title=view.title, caption=view.caption, width=view.width, height=view.height, source=source
    )
