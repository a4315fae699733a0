"""Open a slide: formats of scanners, DICOM, TIFF and plain pictures. `pyramid` writes one as a TIFF.

Everything comes as 8-bit RGB on white. Colours are those that the file stores: no profile and no stain correction is
applied. How large a pixel is comes from the file or from a person and is never guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from osteon._optional import has_package
from osteon.errors import InputError, ThirdParty
from osteon.io.whole_file import require_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from osteon.data.slide import Slide

__all__ = ["is_slide", "open_slide"]


TIFF_MAGIC: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

CACHE_BYTES: Final = 64 * 2**20
"""Decoded tiles that an open slide keeps, unless another number is asked for."""

SLIDE_SUFFIXES: Final = (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".czi")
"""Endings that only slides have."""

GENERIC_TIFF: Final = "generic-tiff"
HAMAMATSU: Final = "hamamatsu"
"""Its TIFF counts bytes in 32 bits beyond 4 GiB, so that ends cannot be determined."""

_WHOLE_SLIDE: Final = b"1.2.840.10008.5.1.4.1.1.77.1.6"
"""VL Whole Slide Microscopy Image Storage."""

HEAD_BYTES: Final = 1024
SOP_CLASS_IN_META: Final = b"\x02\x00\x02\x00UI"
FILES_LOOKED_AT: Final = 8
FOLDERS_LOOKED_AT: Final = 64


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
        file = _whole_slide_file(path)
        return open_openslide(file, name=path.name, microns_per_pixel=microns_per_pixel, cache_bytes=cache_bytes)
    head = _head(path)
    if not head:
        raise InputError(f"{path.name} is empty, it holds not one byte: copy it again")
    if head.startswith(TIFF_MAGIC):
        return _open_tiff(path, microns_per_pixel, cache_bytes)
    if _is_dicom(head) and not _is_whole_slide(path):
        raise InputError(f"{path.name} is a DICOM file, but no whole-slide image: give a slide")
    if _is_dicom(head) or path.suffix.lower() in SLIDE_SUFFIXES:
        return open_openslide(path, name=path.name, microns_per_pixel=microns_per_pixel, cache_bytes=cache_bytes)
    return open_picture(path, microns_per_pixel=microns_per_pixel)


def is_slide(path: Path) -> bool:
    """Whether a file or folder is a slide, by its first bytes and its ending; it may still be damaged.

    Plain pictures are not recognised: a JPEG may be a tile or a radiograph, and only a person knows.

    Args:
        path: a file, or a folder that may hold a DICOM whole-slide image.
    """
    if path.is_dir():
        return _holds_whole_slide(path)
    try:
        head = _head(path) if path.is_file() else b""  # a pipe would be waited for
    except InputError:
        return False
    if path.suffix.lower() in SLIDE_SUFFIXES:
        return bool(head)
    if _is_dicom(head):
        return _is_whole_slide(path)
    if not head.startswith(TIFF_MAGIC) or not has_package("openslide"):
        return False
    from osteon.io.slide.openslide import openslide_format

    return bool(openslide_format(path))


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
    require_file(path)
    try:
        with path.open("rb") as file:
            return file.read(256)
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror or type(error).__name__}") from error


def _is_dicom(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a DICOM file."""
    return head[128:132] == b"DICM"


def _is_whole_slide(path: Path) -> bool:
    """Whether a file is a DICOM whole-slide image, by its meta information; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False
    place = head.find(SOP_CLASS_IN_META, 132)
    if not _is_dicom(head) or place < 0:
        return False
    start = place + len(SOP_CLASS_IN_META) + 2
    length = int.from_bytes(head[start - 2 : start], "little")
    return head[start : start + length].rstrip(b"\0 ") == _WHOLE_SLIDE


def _holds_whole_slide(folder: Path) -> bool:
    """Whether a folder holds a DICOM whole-slide image, by a few files of it and of the folders in it."""
    return any(_is_whole_slide(path) for path in _files(folder, most=FILES_LOOKED_AT, folders=FOLDERS_LOOKED_AT))


def _whole_slide_file(folder: Path) -> Path:
    """A file of the only whole-slide series in a folder; openslide finds the other files of the series beside it."""
    import pydicom

    series: dict[str, list[Path]] = {}
    for path in _files(folder):
        if _is_whole_slide(path):
            with ThirdParty(f"{path.name} is a damaged DICOM whole-slide image: send it again"):
                header = pydicom.dcmread(path, specific_tags=["SeriesInstanceUID"], stop_before_pixels=True)
                uid = str(header.get("SeriesInstanceUID", ""))
            series.setdefault(uid, []).append(path)
    if not series:
        raise InputError(
            f"the folder {folder.name} is not a slide: no file in it is a DICOM whole-slide image; give the slide file "
            "itself (SVS, NDPI, TIFF, ...)"
        )
    if len(series) > 1:
        raise InputError(
            f"the folder {folder.name} holds {len(series)} DICOM slides: give a file or the folder of the one you mean"
        )
    (files,) = series.values()
    if len({path.parent for path in files}) > 1:
        raise InputError(
            f"the {len(files)} files of the DICOM slide in {folder.name} lie in several folders: put them into one"
        )
    return files[0]


def _files(folder: Path, *, most: int | None = None, folders: int | None = None) -> Iterator[Path]:
    """Files of a folder and of the folders in it, sorted, hidden ones left out."""
    waiting = [folder]
    seen = 0
    while waiting and (folders is None or seen < folders):
        place = waiting.pop(0)
        seen += 1
        try:
            inside = sorted(path for path in place.iterdir() if not path.name.startswith("."))
        except OSError:
            continue
        waiting += [path for path in inside if path.is_dir() and not path.is_symlink()]
        yield from [path for path in inside if path.is_file()][:most]
