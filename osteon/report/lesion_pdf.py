"""The list of lesions and their pictures as parts of the PDF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from osteon.report.lesion_words import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable

    from osteon.report.lesion_words import LesionList, LesionRow
    from osteon.report.view import View

__all__ = ["lesion_details", "lesion_table"]

_WIDTHS_MM: Final = (10.0, 33.0, 30.0, 18.0, 23.0, 18.0, 19.0, 23.0)
_LINE, _BAND = "#d9dde2", "#f6f7f8"

Paragraph = Any
"""reportlab has no types."""


def lesion_table(lesions: LesionList, write: Callable[[str, str], Paragraph]) -> Any:  # noqa: ANN401 - reportlab has no types
    """The list; its head is repeated on every page.

    Args:
        lesions: at least one.
        write: gives a paragraph of a text in a style, "body" or "soft".
    """
    from reportlab.lib.units import mm
    from reportlab.platypus import Table

    cells = [[write(name, "soft") for name in COLUMNS]]
    cells += [[write(_cell(row, place), "body") for place in range(len(COLUMNS))] for row in lesions.rows]
    table = Table(cells, colWidths=[width * mm for width in _WIDTHS_MM], hAlign="LEFT", repeatRows=1)
    everywhere = ((0, 0), (-1, -1))
    table.setStyle(
        [
            ("VALIGN", *everywhere, "MIDDLE"),
            ("LEFTPADDING", *everywhere, 2),
            ("RIGHTPADDING", *everywhere, 4),
            ("TOPPADDING", *everywhere, 1),
            ("BOTTOMPADDING", *everywhere, 0),
            ("LINEBELOW", *everywhere, 0.4, _LINE),
            ("ROWBACKGROUNDS", (0, 1), (-1, -1), ["#ffffff", _BAND]),
        ]
    )
    return table


def _cell(row: LesionRow, place: int) -> str:
    """An exclamation mark beside the character sends the reader to the lesion's own words."""
    return f"{row.cells[place]} !" if place == 2 and row.warnings else row.cells[place]


def lesion_details(
    lesions: LesionList,
    views: dict[str, View],
    write: Callable[[str, str], Paragraph],
    draw: Callable[[str], list[Any]],
) -> list[list[Any]]:
    """Lesion by lesion: one line, what weakens it, its picture and what was seen; each is to stay on one page.

    Args:
        lesions: of the report.
        views: by name.
        write: as for ``lesion_table``; also in style "card".
        draw: gives a picture with its caption.
    """
    blocks: list[list[Any]] = []
    for row in lesions.rows:
        if row.picture not in views and not row.warnings:
            continue
        _, site, character, volume, diameter, *_ = row.cells
        title = f"Lesion {row.number}: {volume} ml, {diameter} mm; character {character}, site {site}"
        parts = [write(title, "card"), *(write(f"Take care: {text}", "body") for text in row.warnings)]
        if row.picture in views:
            parts += draw(row.picture)
        parts += [write(" ".join(row.details), "soft")]
        blocks.append(parts)
    return blocks
