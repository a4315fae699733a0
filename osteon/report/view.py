"""A picture of the result folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["View"]


@dataclass(frozen=True, slots=True)
class View:
    """A picture of the result folder.

    Attributes:
        name: stem, as "overview".
        path: of the PNG.
        title: a few words.
        caption: what is seen and how it was made; also the text for those who do not see it.
        width: pixels.
        height: pixels.
    """

    name: str
    path: Path
    title: str
    caption: str
    width: int
    height: int
