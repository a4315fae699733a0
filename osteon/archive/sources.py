"""Which files a person means: of folders, single files, zips and the folder of a DICOMDIR."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from osteon.errors import InputError
from osteon.io.find import files_below, is_zip, unpack_zip

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from osteon.data.options import Progress

__all__ = ["SourceFile", "open_sources"]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to take in.

    Attributes:
        path: where it can be read now.
        name: how the catalogue calls it: its absolute path, or ZIP!/MEMBER.
        bytes: its size.
        mtime_ns: when it was changed last; of a member, when its zip was.
        problem: why it cannot be looked at; "" where it can.
    """

    path: Path = field(repr=False)
    name: str = field(repr=False)
    bytes: int = 0
    mtime_ns: int = 0
    problem: str = ""


@contextmanager
def open_sources(sources: Sequence[Path], *, leave_out: Path, progress: Progress) -> Iterator[list[SourceFile]]:
    """List the files of all sources in a stable order, each once; zips are unpacked until the block ends.

    A damaged or refused zip, and a folder that cannot be opened, are in the list with their problem.

    Args:
        sources: folders, zips, files; of a DICOMDIR its whole folder is looked through.
        leave_out: a folder whose files are not meant, the archive itself.
        progress: called as of ``unpack_zip``.

    Raises:
        InputError: a source does not exist or cannot be opened.
    """
    found: dict[str, SourceFile] = {}
    with ExitStack() as unpacked:
        for source in sources:
            for each in _files_of(source.absolute(), leave_out.resolve(), unpacked, progress):
                found.setdefault(each.name, each)
        yield list(found.values())


def _files_of(source: Path, leave_out: Path, unpacked: ExitStack, progress: Progress) -> Iterator[SourceFile]:
    try:
        if not source.is_file() and not source.is_dir():
            raise InputError(f"{source.name} does not exist, or is neither a file nor a folder")
        if source.is_file() and source.name.upper() == "DICOMDIR":
            source = source.parent
        if source.is_file() and is_zip(source):
            yield from _members(source, unpacked, progress)
            return
        paths, closed = files_below(source)
    except OSError as error:
        raise InputError(f"{source.name} cannot be opened: {error.strerror or type(error).__name__}") from error
    for folder in closed:
        yield SourceFile(folder, _readable(folder), problem="a folder that cannot be opened")
    for path in paths:
        if leave_out not in path.resolve().parents:
            yield _plain(path)


def _plain(path: Path) -> SourceFile:
    try:
        status = path.stat()
    except OSError as error:
        return SourceFile(path, _readable(path), problem=f"cannot be read: {error.strerror or type(error).__name__}")
    return SourceFile(path, _readable(path), status.st_size, status.st_mtime_ns)


def _members(source: Path, unpacked: ExitStack, progress: Progress) -> Iterator[SourceFile]:
    whole = _plain(source)
    try:
        folder = unpacked.enter_context(unpack_zip(source, progress=progress))
    except InputError as error:
        yield SourceFile(source, whole.name, whole.bytes, whole.mtime_ns, str(error))
        return
    for path in files_below(Path(folder))[0]:
        yield SourceFile(path, f"{whole.name}!/{path.name}", path.stat().st_size, whole.mtime_ns)


def _readable(path: Path) -> str:
    """A path as text that every database takes; bytes that are no UTF-8 become escapes."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
