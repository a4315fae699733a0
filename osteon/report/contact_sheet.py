"""A contact sheet: images side by side for a person to judge, in one file that needs nothing else."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.report.plain_page import write_plain_page

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.report.tables import Table

__all__ = ["ContactSheet", "SheetGroup", "SheetImage", "SheetSection", "thumbnail", "write_contact_sheet"]

_THUMBNAIL = 168


@dataclass(frozen=True, slots=True)
class SheetImage:
    """One image.

    Attributes:
        name: its path in the manifest.
        patient: whose.
        label: of the manifest.
        note: what else a person must know, or "".
        picture: data URI of ``thumbnail``; "" where the image cannot be read.
    """

    name: str
    patient: str = field(repr=False)
    label: str
    note: str = ""
    picture: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class SheetGroup:
    """Images that are judged together, under one line."""

    title: str
    images: tuple[SheetImage, ...]


@dataclass(frozen=True, slots=True)
class SheetSection:
    """A part of the sheet under a heading.

    Attributes:
        title: heading.
        words: what to look for.
        groups: shown.
        total: groups there are; more than shown when there are too many for a page.
        more: the file that lists all of them.
        tables: below the words.
    """

    title: str
    words: str
    groups: tuple[SheetGroup, ...] = field(default=(), repr=False)
    total: int = 0
    more: str = ""
    tables: tuple[Table, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ContactSheet:
    """The whole page."""

    title: str
    lead: str
    warnings: tuple[str, ...]
    sections: tuple[SheetSection, ...] = field(repr=False)
    links: tuple[tuple[str, str], ...] = ()


def thumbnail(image: NDArray[np.float32], *, size: int = _THUMBNAIL) -> str:
    """A small JPEG as a data URI.

    Args:
        image: (row, column), 0 to 1.
        size: of the longer side in pixels; smaller images stay as they are.
    """
    import cv2

    rows, columns = image.shape
    scale = min(1.0, size / max(rows, columns))
    small = image
    if scale < 1:
        shape = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        small = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 82])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


def write_contact_sheet(path: Path, sheet: ContactSheet) -> None:
    """Write the page; a content security policy forbids it to load or run anything.

    Raises:
        OutputError: it cannot be written.
    """
    write_plain_page(path, "contact.html", sheet, styles=("results.css", "contact.css"))
