"""Which files are DICOM whole-slide images, and which of them belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from osteon.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["WHOLE_SLIDE", "holds_whole_slide", "is_dicom", "is_whole_slide", "whole_slide_file"]

WHOLE_SLIDE: Final = b"1.2.840.10008.5.1.4.1.1.77.1.6"
"""VL Whole Slide Microscopy Image Storage."""

HEAD_BYTES: Final = 1024
SOP_CLASS_IN_META: Final = b"\x02\x00\x02\x00UI"
FILES_LOOKED_AT: Final = 8
FOLDERS_LOOKED_AT: Final = 64


def is_dicom(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a DICOM file."""
    return head[128:132] == b"DICM"


def is_whole_slide(path: Path) -> bool:
    """Whether a file is a DICOM whole-slide image, by its meta information; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False
    place = head.find(SOP_CLASS_IN_META, 132)
    if not is_dicom(head) or place < 0:
        return False
    start = place + len(SOP_CLASS_IN_META) + 2
    length = int.from_bytes(head[start - 2 : start], "little")
    return head[start : start + length].rstrip(b"\0 ") == WHOLE_SLIDE


def holds_whole_slide(folder: Path) -> bool:
    """Whether a folder holds a DICOM whole-slide image, by a few files of it and of the folders in it."""
    return any(is_whole_slide(path) for path in _files(folder, most=FILES_LOOKED_AT, folders=FOLDERS_LOOKED_AT))


def whole_slide_file(folder: Path) -> Path:
    """A file of the only whole-slide series in a folder; openslide finds the other files of the series beside it.

    Raises:
        InputError: no such file, several series, or one whose files lie in several folders.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    series: dict[str, list[Path]] = {}
    for path in _files(folder):
        if is_whole_slide(path):
            try:
                header = pydicom.dcmread(path, specific_tags=["SeriesInstanceUID"], stop_before_pixels=True)
            except (InvalidDicomError, OSError, EOFError, ValueError) as error:
                raise InputError(f"{path.name} is a damaged DICOM whole-slide image: send it again") from error
            series.setdefault(str(header.get("SeriesInstanceUID", "")), []).append(path)
    if not series:
        raise InputError(
            f"the folder {folder.name} is no slide: no file in it is a DICOM whole-slide image; give the slide file "
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
    """Files of a folder and of the folders in it, sorted, hidden ones left out.

    Args:
        folder: where to look.
        most: files of each folder; None for all.
        folders: how many; None for all.
    """
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
