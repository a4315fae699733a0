"""A result folder is there whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from osteon.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RESULT_MARK", "new_result", "require_free"]

RESULT_MARK = "findings.json"
"""The file that makes a folder a result."""

_ELSEWHERE = "choose another place with -o"

_ADVICE = {
    errno.ENOSPC: f"the disk is full: free some space or {_ELSEWHERE}",
    errno.EDQUOT: f"the disk quota is used up: free some space or {_ELSEWHERE}",
    errno.EFBIG: f"a file grew larger than this account may write: {_ELSEWHERE}",
    errno.EACCES: f"it is not writable for this account: {_ELSEWHERE}",
    errno.EPERM: f"it is not writable for this account: {_ELSEWHERE}",
    errno.EROFS: f"it lies on a read-only disk: {_ELSEWHERE}",
    errno.ENOTDIR: f"a part of the path is a file, not a folder: {_ELSEWHERE}",
    errno.EEXIST: f"a part of the path is a file, not a folder: {_ELSEWHERE}",
    errno.ENAMETOOLONG: f"its name is too long: {_ELSEWHERE}",
    errno.ENOTEMPTY: f"something was put there meanwhile: {_ELSEWHERE}",
}


def require_free(result: Path, *, replace: bool) -> None:
    """Raise unless a result may and can be written at this path.

    A folder is made beside it and removed again: that the disk refuses is learnt now, not after the work.

    Args:
        result: the folder to be.
        replace: whether an earlier result there may be replaced. Anything else is never replaced.

    Raises:
        OutputError: something is there that must not be lost, or nothing can be written there.
    """
    with _explained(result):
        _require_free(result, replace=replace)
        _remove_empty(_make_folders(_beside(result, "part")))


def _require_free(result: Path, *, replace: bool) -> None:
    if not result.exists() and not result.is_symlink():
        return
    if not result.is_dir():
        raise OutputError(
            f"the result was to be the folder {result.name}, but a file of that name is there: {_ELSEWHERE}"
        )
    # the result takes the place of the folder; neither a shell in it nor a mount would follow
    if Path.cwd().is_relative_to(result.resolve()):
        raise OutputError(
            f"the result was to be the current folder or one above it: {_ELSEWHERE}, as a new folder here"
        )
    if result.is_mount():
        raise OutputError(f"the folder {result.name} is a mount point: name a folder below it with -o")
    if not any(result.iterdir()):
        return
    if not (result / RESULT_MARK).is_file():
        raise OutputError(f"the folder {result.name} is not empty and holds no osteon result: {_ELSEWHERE}")
    if not replace:
        raise OutputError(f"the folder {result.name} already holds a result: {_ELSEWHERE}, or add --replace")


@contextmanager
def new_result(result: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside ``result`` that takes its place when the block ends well.

    When the block raises, or the program is interrupted, the temporary folder is removed and what was at
    ``result`` before is untouched.

    Args:
        result: the folder to be; its parents are made. A link to a folder is followed.
        replace: as :func:`require_free`.

    Yields:
        The folder to write into.

    Raises:
        OutputError: the place is taken, not writable, or the disk is full.
    """
    require_free(result, replace=replace)
    result = result.resolve()
    work = _beside(result, "part")
    made: list[Path] = []
    try:
        with _explained(result):
            made = _make_folders(work)
        with _explained(result, known_only=True):
            yield work
        with _explained(result):
            _require_free(result, replace=replace)
            _put_in_place(work, result)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        _remove_empty(made)


@contextmanager
def _explained(result: Path, *, known_only: bool = False) -> Iterator[None]:
    """Turn what the system says of a place into advice.

    Args:
        result: the folder to be.
        known_only: let errors pass that need not be about the place.
    """
    try:
        yield
    except (OSError, OutputError) as error:
        # a writer names its file; what the system said is its cause
        said = error.__cause__ if isinstance(error, OutputError) else error
        if not isinstance(said, OSError):
            raise
        advice = _ADVICE.get(said.errno or 0)
        if advice is None and known_only:
            raise
        advice = advice or f"{said.strerror or type(said).__name__}: {_ELSEWHERE}"
        raise OutputError(f"the result folder {result.name[:80]} cannot be written: {advice}") from error


def _beside(result: Path, kind: str) -> Path:
    """A name beside the result that nobody else takes."""
    return result.absolute().parent / f".osteon-{uuid.uuid4().hex[:12]}.{kind}"


def _make_folders(path: Path) -> list[Path]:
    """Make a folder and its missing parents; gives those that were made, the deepest first."""
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    made: list[Path] = []
    try:
        for folder in reversed(missing):
            folder.mkdir(exist_ok=folder != path)
            made.insert(0, folder)
    except BaseException:
        _remove_empty(made)
        raise
    return made


def _remove_empty(folders: list[Path]) -> None:
    """Remove those that are empty, in this order."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _put_in_place(work: Path, result: Path) -> None:
    if not result.exists():
        os.replace(work, result)  # noqa: PTH105 - the one rename that makes the result visible
        return
    old = _beside(result, "old")
    result.rename(old)
    try:
        work.rename(result)
    except BaseException:  # an interruption too must not cost the earlier result
        if not result.exists():
            old.rename(result)
        raise
    shutil.rmtree(old, ignore_errors=True)
