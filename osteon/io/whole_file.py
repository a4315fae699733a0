"""Files read and written whole."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import re
import shutil
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from osteon.errors import InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "decoded_text",
    "file_bytes",
    "part_name",
    "remove_leftovers",
    "require_file",
    "whole_file",
    "write_whole",
]

_log = logging.getLogger(__name__)
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
_UTF_16 = ("utf-16-le", "utf-16-be")
_LOOKED_AT = 64


def decoded_text(data: bytes, name: str) -> str:
    """The text of a file as editors and spreadsheets write it: UTF-8 or UTF-16, with a mark at its beginning or not.

    Raises:
        InputError: another encoding; ``name`` is that of the file.

    Example:
        >>> decoded_text("a = 1".encode("utf-16"), "x.toml")
        'a = 1'
    """
    # without a mark, every second byte of a text that begins in ASCII is 0
    halves = (data[1:_LOOKED_AT:2], data[0:_LOOKED_AT:2])
    marked = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
    bare = next((code for code, half in zip(_UTF_16, halves, strict=True) if half and not any(half)), "")
    try:
        return data.decode(marked or bare or "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 text: save it again as UTF-8 (in a spreadsheet: CSV UTF-8)") from error


def file_bytes(path: Path) -> bytes:
    """What a file holds.

    Raises:
        InputError: it cannot be read, or is a pipe or a device, of which nobody knows when it ends.
    """
    try:
        require_file(path)
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror or type(error).__name__}") from error


def require_file(path: Path) -> None:
    """Raise when a path is there and is neither a file nor a folder: reading it might never end.

    Raises:
        InputError: it is a pipe, a socket or a device.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"{path.name} is a pipe, a socket or a device: write what it holds into a file, and give that")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        OutputError: cannot be written.
    """
    with whole_file(path) as work:
        work.write_bytes(data)


@contextmanager
def whole_file(path: Path, *, suffix: str = "") -> Iterator[Path]:
    """Give a name beside ``path`` whose file takes the place of ``path`` when the block ends well.

    When the block raises, or the program is interrupted, what was at ``path`` before is untouched and the new file is
    removed. The folder must be there.

    Args:
        path: of the file to be; an earlier file is replaced.
        suffix: that the given name must end with, for writers that go by it.

    Raises:
        OutputError: the system refuses to write there.
    """
    work = path.with_name(part_name() + suffix)
    try:
        yield work
        work.replace(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(
            f"the file {path.name} cannot be written ({reason}): check the disk, or choose a folder that can be written"
        ) from error
    finally:
        with suppress(OSError):
            work.unlink()


def part_name(kind: str = "part") -> str:
    """A name of work that is not done, which nobody else takes; it says on which machine which process does it."""
    return f".osteon-{_HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}.{kind}"


def remove_leftovers(folder: Path, *, deep: bool = False) -> tuple[str, ...]:
    """Remove what stopped processes left half done in a folder, and say so in the log.

    What a process that runs on this machine, or any process of another machine, is at work on stays.

    Args:
        folder: to look in; it need not be there.
        deep: look in the folders in it too.

    Returns:
        The names of what was removed.
    """
    removed = []
    for left in sorted(folder.rglob(".osteon-*.part*") if deep else folder.glob(".osteon-*.part*")):
        if _is_at_work(left.name):
            continue
        shutil.rmtree(left, ignore_errors=True)
        with suppress(OSError):
            left.unlink(missing_ok=True)
        if not left.exists():
            removed.append(left.name)
    if removed:
        _log.warning("removed what a stopped run left half done in %s: %s", folder.name or ".", ", ".join(removed))
    return tuple(removed)


def _is_at_work(name: str) -> bool:
    """Whether the process that a part is named after may still be at work on it."""
    found = re.match(r"\.osteon-([0-9a-f]{6})-(\d+)-", name)
    if found is None:  # of an earlier version
        return False
    if found[1] != _HOST:
        return True
    try:
        os.kill(int(found[2]), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
