"""Pages of the package's own templates that load and run nothing: the frame, the style and the way to the disk."""

from __future__ import annotations

from importlib.resources import files as package_files
from typing import TYPE_CHECKING, Any

import osteon
from osteon.io.whole_file import whole_file
from osteon.report.tables import Table, table_html
from osteon.report.wording import DISCLAIMER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["write_plain_page"]


def write_plain_page(
    path: Path,
    template: str,
    page: object,
    *,
    styles: tuple[str, ...] = ("results.css",),
    filters: dict[str, Callable[..., Any]] | None = None,
) -> None:
    """Write a page; a content security policy forbids it to load or run anything.

    Args:
        path: of the page.
        template: file of ``osteon/report/static`` that extends frame.html.
        page: what the template shows, with ``title``, ``lead`` and ``warnings``.
        styles: files of the same folder, one after the other.
        filters: of the template, beside ``table``.

    Raises:
        OutputError: it cannot be written.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    def table(value: Table) -> Markup:
        return Markup(table_html(value))  # noqa: S704  # table_html escapes every cell

    environment = Environment(
        loader=FunctionLoader(_static),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"table": table, **(filters or {})}
    text = environment.get_template(template).render(
        page=page,
        version=osteon.__version__,
        disclaimer=DISCLAIMER,
        css=Markup("\n".join(map(_static, styles))),  # noqa: S704  # files of this package
    )
    with whole_file(path) as work:
        work.write_bytes(text.encode("utf-8", errors="replace"))  # a file's name may hold half a character


def _static(name: str) -> str:
    return package_files("osteon.report.static").joinpath(name).read_text(encoding="utf-8")
