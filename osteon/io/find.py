"""What is there to read: one door for a folder of any layout, a file, a zip."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from osteon.errors import InputError
from osteon.io.archive import is_zip, unpack_zip
from osteon.io.dicom.series import DicomFile, build_entries, read_dicom_file
from osteon.io.image import is_picture, picture_entry
from osteon.io.inventory import Inventory, SkippedFile
from osteon.io.nifti import is_nifti_name, nifti_entry

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

    from osteon.io.inventory import Progress, SeriesEntry

__all__ = ["find_images"]

PROGRESS_EVERY = 32


def find_images(path: str | Path, *, progress: Progress | None = None) -> Inventory:
    """Look through a folder, a zip or a file for images.

    File names and folders mean nothing: every file is opened and judged by its content (NIfTI by its name as well). A
    DICOMDIR and other files are skipped and counted; a picture (PNG, JPEG) is read where it is named itself, not where
    it lies in a folder. Nothing is decoded and nothing below ``path`` is written.

    Args:
        path: what the user named.
        progress: called as ``progress("scan", done, total)`` (and "unpack" for a zip).

    Returns:
        The series found; a context manager, because a zip is unpacked into a temporary folder.

    Raises:
        InputError: the path does not exist or cannot be read, or the zip is refused.
    """
    location = Path(path)
    try:
        if not location.exists():
            raise InputError(f"{location} does not exist; give a folder, a DICOM or NIfTI file, or a zip")
        if not location.is_file() and not location.is_dir():
            raise InputError(
                f"{location} is neither a folder nor a file; give a folder, a DICOM or NIfTI file, or a zip"
            )
        if location.is_file() and not is_nifti_name(location) and is_zip(location):
            unpacked = unpack_zip(location, progress=progress)
            try:
                return _scan(Path(unpacked.name), location=location, progress=progress, unpacked=unpacked)
            except BaseException:
                unpacked.cleanup()
                raise
        return _scan(location, location=location, progress=progress, unpacked=None)
    except OSError as error:
        raise InputError(f"{location} cannot be read: {error.strerror or type(error).__name__}") from error


def _scan(
    root: Path, *, location: Path, progress: Progress | None, unpacked: TemporaryDirectory[str] | None
) -> Inventory:
    paths, closed = _files(root)
    images: list[DicomFile] = []
    entries: list[SeriesEntry] = []
    skipped: list[SkippedFile] = [SkippedFile(path, "a folder that cannot be read", damaged=True) for path in closed]
    for done, path in enumerate(paths, start=1):
        found = _look_at(path, location)
        if isinstance(found, DicomFile):
            images.append(found)
        elif isinstance(found, SkippedFile):
            skipped.append(found)
        else:
            entries.append(found)
        if progress is not None and (done % PROGRESS_EVERY == 0 or done == len(paths)):
            progress("scan", done, len(paths))
    entries = [*build_entries(images, location=location), *entries]
    return Inventory(
        location=location,
        entries=tuple(entries),
        skipped=tuple(skipped),
        n_files=len(paths),
        unpacked=unpacked,
    )


def _files(root: Path) -> tuple[list[Path], list[Path]]:
    """All files below a folder in a stable order, and the folders that could not be opened.

    Links to folders are not followed, so there are no loops.

    Raises:
        OSError: the folder itself cannot be opened.
    """
    if root.is_file():
        return [root], []
    closed: list[Path] = []

    def note(error: OSError) -> None:
        if Path(error.filename) == root:
            raise error
        closed.append(Path(error.filename))

    found = [Path(folder) / name for folder, _, names in os.walk(root, onerror=note) for name in names]
    return sorted(path for path in found if path.is_file()), closed


def _look_at(path: Path, location: Path) -> DicomFile | SkippedFile | SeriesEntry:
    if is_nifti_name(path):
        return nifti_entry(path, location=location)
    try:
        found = read_dicom_file(path)
        if found is not None:
            return found
        if is_zip(path):
            return SkippedFile(path, "an archive inside the input; archives are not opened twice", damaged=False)
        if path == location and is_picture(path):
            return picture_entry(path, location=location)
    except OSError as error:
        return SkippedFile(path, f"cannot be read: {error.strerror or type(error).__name__}", damaged=True)
    return SkippedFile(path, "neither DICOM nor NIfTI", damaged=False)
