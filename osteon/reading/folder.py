"""A result folder is there whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

from osteon.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["RESULT_MARK", "new_result", "require_free"]

RESULT_MARK = "findings.json"
"""The file that makes a folder a result."""

_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space or choose another place with -o",
    errno.EDQUOT: "the disk quota is used up: free some space or choose another place with -o",
    errno.EFBIG: "a file grew larger than this account may write: choose another place with -o",
    errno.EACCES: "it is not writable for this account: choose another place with -o",
    errno.EPERM: "it is not writable for this account: choose another place with -o",
    errno.EROFS: "it lies on a read-only disk: choose another place with -o",
    errno.ENOTDIR: "a part of the path is a file, not a folder: choose another place with -o",
    errno.EEXIST: "a part of the path is a file, not a folder: choose another place with -o",
}


def require_free(result: Path, *, replace: bool) -> None:
    """Raise unless a result may be written at this path.

    Args:
        result: the folder to be.
        replace: whether an earlier result there may be replaced. Anything else is never replaced.

    Raises:
        OutputError: something is there that must not be lost.
    """
    if not result.exists() and not result.is_symlink():
        return
    if not result.is_dir():
        raise OutputError(
            f"the result was to be the folder {result.name}, but a file of that name is there: choose another"
        )
    if not any(result.iterdir()):
        return
    if not (result / RESULT_MARK).is_file():
        raise OutputError(
            f"the folder {result.name} is not empty and holds no osteon result: choose another place with -o"
        )
    if not replace:
        raise OutputError(
            f"the folder {result.name} already holds a result: choose another place with -o, or add --replace"
        )


@contextmanager
def new_result(result: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside ``result`` that takes its place when the block ends well.

    When the block raises, or the program is interrupted, the temporary folder is removed and what was at
    ``result`` before is untouched.

    Args:
        result: the folder to be; its parents are made.
        replace: as :func:`require_free`.

    Yields:
        The folder to write into.

    Raises:
        OutputError: the place is taken, not writable, or the disk is full.
    """
    require_free(result, replace=replace)
    result = result.absolute()
    work = result.parent / f".{result.name}.{uuid.uuid4().hex[:8]}.part"
    try:
        work.mkdir(parents=True)
        yield work
        require_free(result, replace=replace)
        _put_in_place(work, result)
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0)
        if advice is None:
            raise
        raise OutputError(f"the result folder {result.name} cannot be written: {advice}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _put_in_place(work: Path, result: Path) -> None:
    if not result.exists():
        os.replace(work, result)  # noqa: PTH105 - the one rename that makes the result visible
        return
    old = result.parent / f".{result.name}.{uuid.uuid4().hex[:8]}.old"
    result.rename(old)
    try:
        work.rename(result)
    except OSError:
        old.rename(result)
        raise
    shutil.rmtree(old, ignore_errors=True)
