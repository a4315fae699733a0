"""Open a slide: formats of scanners, DICOM, TIFF and plain pictures. `pyramid` writes one as a TIFF.

Everything comes as 8-bit RGB on white. Colours are those that the file stores: no profile and no stain correction is
applied. How large a pixel is comes from the file or from a person and is never guessed.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from osteon._optional import has_package
from osteon.errors import InputError
from osteon.io.slide.dicom import holds_whole_slide, is_dicom, is_whole_slide, whole_slide_file

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data.slide import Slide

__all__ = ["CACHE_BYTES", "hash_slide", "is_slide", "open_slide"]

TIFF_MAGIC: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

CACHE_BYTES: Final = 64 * 2**20
"""Decoded tiles that an open slide keeps, unless another number is asked for."""

SLIDE_SUFFIXES: Final = (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".czi")
"""Endings that only slides have."""

GENERIC_TIFF: Final = "generic-tiff"
HAMAMATSU: Final = "hamamatsu"
"""Its TIFF counts bytes in 32 bits beyond 4 GiB, so that ends cannot be told."""


def open_slide(path: Path, *, microns_per_pixel: float | None = None, cache_bytes: int = CACHE_BYTES) -> Slide:
    """Open a slide.

    openslide reads the formats of the scanners and DICOM whole-slide images; other TIFF (tiles or strips, pyramids,
    also in sub-files) is read through tifffile; plain pictures (JPEG, PNG, ...) are read whole.

    Args:
        path: of the file, or of a folder with one DICOM slide.
        microns_per_pixel: of the largest level, where the file does not say it or says it wrongly.
        cache_bytes: of decoded tiles that are kept in memory; a plain picture is in memory as a whole.

    Returns:
        The slide; close it after use. Its reads may come from several threads.

    Raises:
        InputError: no such file, empty, damaged, truncated, no slide; nobody says how large a pixel is; pixels that
            are not square by more than 5 %; 16-bit values of which white is not known.
        UnsupportedError: CMYK, a palette, or another way of storing colours that cannot be shown without a guess.
        MissingPackageError: the extra "slides" is not installed.
    """
    from osteon.io.slide.openslide import open_openslide
    from osteon.io.slide.picture import open_picture

    if path.is_dir():
        file = whole_slide_file(path)
        return open_openslide(file, name=path.name, microns_per_pixel=microns_per_pixel, cache_bytes=cache_bytes)
    head = _head(path)
    if not head:
        raise InputError(f"{path.name} is empty, it holds not one byte: copy it again")
    if head.startswith(TIFF_MAGIC):
        return _open_tiff(path, microns_per_pixel, cache_bytes)
    if is_dicom(head) and not is_whole_slide(path):
        raise InputError(f"{path.name} is a DICOM file, but no whole-slide image: give a slide")
    if is_dicom(head) or path.suffix.lower() in SLIDE_SUFFIXES:
        return open_openslide(path, name=path.name, microns_per_pixel=microns_per_pixel, cache_bytes=cache_bytes)
    return open_picture(path, microns_per_pixel=microns_per_pixel)


def is_slide(path: Path) -> bool:
    """Whether a file or folder is a slide, by its first bytes and its ending; it may still be damaged.

    Plain pictures are not recognised: a JPEG may be a tile or a radiograph, and only a person knows.

    Args:
        path: a file, or a folder that may hold a DICOM whole-slide image.
    """
    if path.is_dir():
        return holds_whole_slide(path)
    try:
        head = _head(path) if path.is_file() else b""  # a pipe would be waited for
    except InputError:
        return False
    if path.suffix.lower() in SLIDE_SUFFIXES:
        return bool(head)
    if is_dicom(head):
        return is_whole_slide(path)
    if not head.startswith(TIFF_MAGIC) or not has_package("openslide"):
        return False
    from osteon.io.slide.openslide import openslide_format

    return bool(openslide_format(path))


def hash_slide(path: Path) -> str:
    """SHA-256 of a slide: of the file; of a folder, that of the hashes of its files in the order of their names.

    Raises:
        InputError: cannot be read.
    """
    try:
        if path.is_dir():
            files = sorted(inside for inside in path.rglob("*") if inside.is_file())
            return hashlib.sha256("".join(hash_slide(file) for file in files).encode()).hexdigest()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror or type(error).__name__}") from error


def _open_tiff(path: Path, microns_per_pixel: float | None, cache_bytes: int) -> Slide:
    """A TIFF: of a scanner by openslide, else by tifffile."""
    from osteon.io.slide.openslide import open_openslide, openslide_format
    from osteon.io.slide.tiff import check_all_there, open_tiff

    vendor = openslide_format(path)
    if vendor != HAMAMATSU:
        check_all_there(path)
    if vendor in ("", GENERIC_TIFF):
        return open_tiff(path, microns_per_pixel=microns_per_pixel, cache_bytes=cache_bytes)
    return open_openslide(path, name=path.name, microns_per_pixel=microns_per_pixel, cache_bytes=cache_bytes)


def _head(path: Path) -> bytes:
    """The first bytes of a file."""
    try:
        with path.open("rb") as file:
            return file.read(256)
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror or type(error).__name__}") from error
