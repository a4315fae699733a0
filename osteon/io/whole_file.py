"""A file that is there whole or not at all."""

from __future__ import annotations

import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from osteon.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["whole_file"]


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
            f"the file {path.name} cannot be written ({reason}): check the disk, or name another place"
        ) from error
    finally:
        with suppress(OSError):
            work.unlink()
