"""What is there to read: one door for a folder of any layout, a file, a zip.

A zip that came from anywhere is unpacked into a folder of our own, under names of our own, within limits.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from osteon.errors import InputError, OsteonError, ThirdParty
from osteon.io.dicom.series import DicomFile, build_entries, read_dicom_file
from osteon.io.image import is_picture, picture_entry
from osteon.io.inventory import PICTURE, Inventory, SkippedFile
from osteon.io.limits import RATIO, RATIO_FROM_BYTES, UNPACKED_BYTES, UNPACKED_FILES, VARIABLE, limit
from osteon.io.nifti import is_nifti_name, nifti_entry

if TYPE_CHECKING:
    from osteon.io.inventory import Progress, SeriesEntry

__all__ = ["UnpackLimits", "files_below", "find_images", "is_zip", "unpack_zip"]


PROGRESS_EVERY = 32

GIB: Final = 1024**3
CHUNK_BYTES: Final = 1024 * 1024
NAME_LENGTH: Final = 80
_TRUSTED: Final = f"unpack it by hand if you trust it, or raise the limits ({VARIABLE})"


def find_images(path: str | Path, *, progress: Progress | None = None) -> Inventory:
    """Look through a folder, a zip or a file for images.

    File names and folders mean nothing: every file is opened and its content decides (NIfTI by its name as well). A
    DICOMDIR and other files are skipped and counted; a picture (PNG, JPEG) is read where it is named itself, not where
    it is in a folder. Nothing is decoded and nothing below ``path`` is written.

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
    paths, closed = files_below(root)
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
        location=location, entries=tuple(entries), skipped=tuple(skipped), n_files=len(paths), unpacked=unpacked
    )


def files_below(root: Path) -> tuple[list[Path], list[Path]]:
    """All files below a folder in a stable order, and the folders that could not be opened.

    Links to folders are not followed, so there are no loops.

    Raises:
        OSError: ``root`` itself cannot be opened.
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
    """What a file is; whatever looking at it raises is its own damage and does not stop the folder."""
    try:
        with ThirdParty("damaged, its content cannot be followed"):
            return _recognised(path, location)
    except OsteonError as error:
        return SkippedFile(path, str(error), damaged=True)


def _recognised(path: Path, location: Path) -> DicomFile | SkippedFile | SeriesEntry:
    if is_nifti_name(path):
        return nifti_entry(path, location=location)
    try:
        found = read_dicom_file(path)
        if found is not None:
            return found
        if is_zip(path):
            return SkippedFile(path, "an archive inside the input; archives are not opened twice", damaged=False)
        if is_picture(path):
            is_named = path == location
            return picture_entry(path, location=location) if is_named else SkippedFile(path, PICTURE, damaged=False)
    except OSError as error:
        return SkippedFile(path, f"cannot be read: {error.strerror or type(error).__name__}", damaged=True)
    return SkippedFile(path, "neither DICOM nor NIfTI", damaged=False)


@dataclass(frozen=True, slots=True)
class UnpackLimits:
    """What an archive may hold at most; by default as ``osteon.io.limits`` has it."""

    files: int = field(default_factory=lambda: limit(UNPACKED_FILES))  # members
    total_bytes: int = field(default_factory=lambda: limit(UNPACKED_BYTES))  # of all members, unpacked
    ratio: float = field(default_factory=lambda: limit(RATIO))  # unpacked to packed bytes
    # unpacked size from which the ratio counts
    ratio_from_bytes: int = field(default_factory=lambda: limit(RATIO_FROM_BYTES))


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip archive does.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(4) in {b"PK\x03\x04", b"PK\x05\x06"}


def unpack_zip(
    path: Path, *, limits: UnpackLimits | None = None, progress: Progress | None = None
) -> TemporaryDirectory[str]:
    """Unpack an archive into a new temporary folder.

    Args:
        path: the archive; never changed.
        limits: of files, size and packing ratio.
        progress: called as ``progress("unpack", done, total)``.

    Returns:
        The folder; the caller removes it. Files lie flat in it as ``NUMBER_NAME``: nothing of a member's folder is
        used.

    Raises:
        InputError: damaged, encrypted, beyond the limits, or a member is a link or points outside.
    """
    limits = limits or UnpackLimits()
    with _damaged_zip(path):
        archive = zipfile.ZipFile(path)
    with archive:
        members = [member for member in archive.infolist() if not member.filename.endswith("/")]
        _check(path, members, limits)
        return _extract(path, archive, members, limits, progress)


def _damaged_zip(path: Path) -> ThirdParty:
    return ThirdParty(f"{path.name} is a damaged zip archive, or packed in a way that is not known; pack it again")


def _check(path: Path, members: list[zipfile.ZipInfo], limits: UnpackLimits) -> None:
    if len(members) > limits.files:
        raise InputError(
            f"{path.name} holds {len(members)} files, more than the {limits.files} that are read from an archive; "
            f"{_TRUSTED}"
        )
    for member in members:
        _check_member(path, member)
    total = sum(member.file_size for member in members)
    packed = max(1, min(sum(member.compress_size for member in members), path.stat().st_size))
    if total > limits.total_bytes:
        raise InputError(
            f"{path.name} would unpack to {total / GIB:.1f} GiB, more than the {limits.total_bytes / GIB:.1f} GiB "
            f"allowed; {_TRUSTED}"
        )
    if total > limits.ratio_from_bytes and total / packed > limits.ratio:
        raise InputError(
            f"{path.name} would unpack to {total / packed:.0f} times its size, which no images do: it looks like a "
            f"zip bomb; {_TRUSTED}"
        )


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    name = member.filename.replace("\\", "/")
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or ".." in PurePosixPath(name).parts:
        raise InputError(f"{path.name} holds a file that points outside the archive; such an archive is not opened")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in {0, stat.S_IFREG}:
        raise InputError(f"{path.name} holds a link or a device file; such an archive is not opened")
    if member.flag_bits & 0x1:
        raise InputError(f"{path.name} is encrypted; unpack it with its password first")


def _extract(
    path: Path,
    archive: zipfile.ZipFile,
    members: list[zipfile.ZipInfo],
    limits: UnpackLimits,
    progress: Progress | None,
) -> TemporaryDirectory[str]:
    folder = TemporaryDirectory(prefix="osteon-", ignore_cleanup_errors=True)
    total = sum(member.file_size for member in members)
    allowed = min(total, limits.total_bytes)
    try:
        _require_room(path, total, Path(folder.name))
        for number, member in enumerate(members, start=1):
            target = Path(folder.name) / f"{number:06d}_{_plain_name(member.filename)}"
            with _damaged_zip(path):
                source = archive.open(member)
            with source, target.open("xb") as sink:
                while True:
                    with _damaged_zip(path):
                        block = source.read(CHUNK_BYTES)
                    if not block:
                        break
                    # the directory of a zip may lie about sizes: count what really comes out
                    allowed -= len(block)
                    _require_honest(path, allowed)
                    sink.write(block)
            if progress is not None:
                progress("unpack", number, len(members))
    except BaseException:
        folder.cleanup()
        raise
    return folder


def _require_room(path: Path, total: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if total > free:
        raise InputError(
            f"{path.name} needs {total / GIB:.1f} GiB to unpack, the temporary folder has {free / GIB:.1f} GiB free; "
            "set TMPDIR to a larger disk"
        )


def _require_honest(path: Path, allowed: int) -> None:
    if allowed < 0:
        raise InputError(f"{path.name} unpacks to more than it says: it looks like a zip bomb and was not opened")


def _plain_name(name: str) -> str:
    """The base name with nothing in it that a file system could misread; the end is kept, for its extension."""
    base = PurePosixPath(name.replace("\\", "/")).name
    return re.sub(r"[^A-Za-z0-9._-]", "_", base)[-NAME_LENGTH:]
