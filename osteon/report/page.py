"""The one writer of pages: a document as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files as package_files
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

import osteon
from osteon.errors import OutputError
from osteon.io.whole_file import whole_file
from osteon.report.blocks import Cell, Figure, Heading, Pair, SliceBrowsers, Viewer3D
from osteon.report.wording import DISCLAIMER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from markupsafe import Markup

    from osteon.report.blocks import Block, Document, Picture
    from osteon.report.browser import SliceBrowser

__all__ = ["write_page"]


@dataclass(slots=True)
class _Part:
    """A section: its heading, and blocks or articles, each of which begins with its heading."""

    title: str
    anchor: str
    items: list[Block | list[Block]] = field(default_factory=list)


def write_page(path: Path, document: Document, pictures: Mapping[str, Picture] | None = None) -> None:
    """Write the page; a figure whose picture was not drawn is left out.

    Everything is inside the file; a content security policy forbids it to load anything, and to run anything where no
    block has a script. All text is escaped by the template. Without a script pictures and curves remain, and a picture
    opens in full size at a click, through its own address in the page.

    Raises:
        OutputError: a picture cannot be read back, or the page cannot be written.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    drawn = pictures or {}
    blocks = [block for block in document.blocks if block.only != "paper" and _is_there(block, drawn)]
    made: dict[int, Any] = {id(block): block.make() for block in blocks if isinstance(block, SliceBrowsers | Viewer3D)}
    environment = Environment(
        loader=FunctionLoader(_static), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filters: dict[str, Callable[..., Any]] = {
        "kind": lambda block: type(block).__name__,
        "cell": lambda text: text if isinstance(text, Cell) else Cell(text),
        "picture": lambda figure: drawn[figure.picture] if isinstance(figure.picture, str) else figure.picture,
        "pair": lambda pair: [Figure(name) for name in pair.names if name in drawn],
        "made": lambda block: made[id(block)],
        "skipped": _skipped,
        "source": _source,
    }
    environment.filters |= filters
    summary, parts = _parts(blocks)
    own = {"version": osteon.__version__, "disclaimer": DISCLAIMER, "css": _own("page.css")}
    template, scripts = environment.get_template("page.html"), _scripts(blocks, made)
    page = template.render(document=document, summary=summary, parts=parts, scripts=scripts, **own)
    with whole_file(path) as work:
        work.write_bytes(page.encode("utf-8", errors="replace"))  # a broken header may hold half a character


def _is_there(block: Block, drawn: Mapping[str, Picture]) -> bool:
    if isinstance(block, Figure):
        return not isinstance(block.picture, str) or block.picture in drawn
    return not isinstance(block, Pair) or any(name in drawn for name in block.names)


def _parts(blocks: Iterable[Block]) -> tuple[list[Block], list[_Part]]:
    """What stands before the first section, and the sections; an anchored heading of level 3 begins an article."""
    summary: list[Block] = []
    parts: list[_Part] = []
    article: list[Block] | None = None
    for block in blocks:
        if isinstance(block, Heading) and block.level == 2:
            parts.append(_Part(block.text, block.anchor or _slug(block.text, parts)))
            article = None
        elif isinstance(block, Heading) and block.anchor:
            article = [block]
            parts[-1].items.append(article)
        elif article is not None:
            article.append(block)
        else:
            (parts[-1].items if parts else summary).append(block)
    return summary, parts


def _slug(text: str, parts: Sequence[_Part]) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "part"
    return f"{slug}-{len(parts)}" if any(part.anchor == slug for part in parts) else slug


def _scripts(blocks: Iterable[Block], made: Mapping[int, Any]) -> list[tuple[str, Markup, Markup]]:
    """Identifier and data of a block that is worked by a script, and the script."""
    from jinja2.utils import htmlsafe_json_dumps

    scripts = []
    for block in blocks:
        if isinstance(block, SliceBrowsers):
            data = [browser.payload() for browser in made[id(block)]]
            scripts.append(("slice-data", htmlsafe_json_dumps(data), _own("slices.js")))
        elif isinstance(block, Viewer3D):
            scripts.append(("scene-data", htmlsafe_json_dumps(made[id(block)]), _own("viewer.js")))
    return scripts


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


def _source(picture: Picture) -> str:
    try:
        data = picture.path.read_bytes()
    except OSError as error:
        raise OutputError(f"the picture {picture.path.name} cannot be read back: {error.strerror}") from error
    return f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}"
