"""Files read and written whole."""

from __future__ import annotations

import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from osteon.errors import InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["decoded_text", "file_bytes", "whole_file", "write_whole"]

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
        InputError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror or type(error).__name__}") from error


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        OutputError: cannot be written.
    """
    with whole_file(path) as work:
        work.write_bytes(data)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a name beside ``path`` whose file takes the place of ``path`` when the block ends well.

    When the block raises, or the program is interrupted, what was at ``path`` before is untouched and the new file is
    removed. The folder must be there.

    Args:
        path: of the file to be; an earlier file is replaced.

    Raises:
        OutputError: the system refuses to write there.
    """
    work = path.with_name(f".osteon-{uuid.uuid4().hex[:12]}.part")
    try:
        yield work
        work.replace(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(
            f"the file {path.name} cannot be written ({reason}): check the disk, or name another folder"
        ) from error
    finally:
        with suppress(OSError):
            work.unlink()
