"""Folders of pictures as people name them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from osteon.train.datasets.patients_table import PICTURE_SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["inner_folder", "pictures_below", "plain_name", "subfolders"]

_NOT_MEANT: Final = (".", "__MACOSX")
"""How names of files begin that a system made for itself."""


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, sorted; those that a system made for itself are none."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(_NOT_MEANT))


def inner_folder(source: Path) -> Path:
    """The folder itself, or the one that it is only wrapped around, however often."""
    place = source
    while len(inside := subfolders(place)) == 1 and not pictures_below(place, deep=False):
        place = inside[0]
    return place


def plain_name(name: str) -> str:
    """A name in small letters, words with single spaces, without a plural.

    Example:
        >>> plain_name("Lesion_Masks")
        'lesion mask'
    """
    return re.sub(r"[\s_-]+", " ", name.lower()).strip().removesuffix("s")


def pictures_below(folder: Path | None, *, deep: bool = True) -> dict[str, list[Path]]:
    """Path below the folder, with ``/`` and without its ending -> the pictures of that name.

    Args:
        folder: None has none.
        deep: folders in it too.
    """
    found: dict[str, list[Path]] = {}
    if folder is None:
        return found
    for path in sorted(folder.rglob("*") if deep else folder.iterdir()):
        inside = path.relative_to(folder)
        meant = not any(part.startswith(_NOT_MEANT) for part in inside.parts)
        if meant and path.suffix.lower() in PICTURE_SUFFIXES and path.is_file():
            found.setdefault(inside.with_suffix("").as_posix(), []).append(path)
    return found
