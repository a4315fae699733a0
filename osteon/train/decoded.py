"""What the files of a data set hold, decoded once: a memory-mapped array that epochs, folds and processes share.

Decoding PNG costs more than a training step of a small network; a mapped array costs a copy. The array is a cache: it
can be deleted at any time and is made again from the files.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from osteon._compiled import available_threads
from osteon.errors import InputError, OutputError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from osteon.data import ImageRow, Manifest
    from osteon.data.options import Progress

__all__ = ["DecodedRows", "Unreadable", "decoded_array", "files_key", "require_readable"]

_BLOCK = 256  # images decoded between two words of progress
Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An image that could not be used.

    Attributes:
        row: index in the manifest.
        image: its path in the manifest.
        reason: one sentence.
    """

    row: int
    image: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedRows(Generic[Value]):
    """What is to be decoded.

    Attributes:
        manifest: its files lie in ``manifest.folder``.
        row_axis: axis of the array that counts the rows of the manifest.
        shape: of the array.
        dtype: of the array.
        decode: writes a row of the manifest into its place of the array; raises InputError where it cannot. Called
            in threads.
    """

    manifest: Manifest
    row_axis: int
    shape: tuple[int, ...]
    dtype: type[Value]
    decode: Callable[[ImageRow, NDArray[Value]], None]


def decoded_array(
    asked: DecodedRows[Value], file: Path | None, progress: Progress
) -> tuple[NDArray[Value], list[Unreadable]]:
    """Decode every row of a manifest, or map what an earlier call decoded.

    Args:
        asked: what.
        file: of the mapped array; named after all that decides it. None keeps the array in memory.
        progress: told about every block of images.

    Returns:
        The array, 0 where a row cannot be read, and those rows.

    Raises:
        OutputError: the file cannot be written.
    """
    if file is None:
        values = np.zeros(asked.shape, dtype=asked.dtype)
        return values, _decode_all(asked, values, progress)
    notes = file.with_suffix(".json")
    if not (file.exists() and notes.exists()):
        _fill(asked, file, notes, progress)
    unreadable = [Unreadable(**entry) for entry in json.loads(notes.read_text(encoding="utf-8"))]
    return np.load(file, mmap_mode="r"), unreadable


def require_readable(manifest: Manifest, unreadable: Sequence[Unreadable], *, skip: bool) -> None:
    """Refuse rows that cannot be read.

    Args:
        manifest: whose rows.
        unreadable: of them.
        skip: some may be missing, not all.

    Raises:
        InputError: naming the first three.
    """
    if unreadable and not skip:
        named = "; ".join(f"{entry.image} ({entry.reason})" for entry in unreadable[:3])
        more = f" and {len(unreadable) - 3} more" if len(unreadable) > 3 else ""
        raise InputError(
            f"{len(unreadable)} of {len(manifest)} images of the manifest cannot be read: {named}{more}. "
            "Repair or remove them, or pass --skip-unreadable to go on without them"
        )
    if len(unreadable) == len(manifest):
        raise InputError("no image of the manifest can be read: is it in its own folder, beside the images?")


def files_key(folder: Path, names: Iterable[str], *, words: str) -> str:
    """Name of everything that decides what is decoded: names, lengths and times of the files, and the words."""
    digest = hashlib.sha256(f"{words}\n".encode())
    for name in names:
        try:
            found = (folder / name).stat()
        except OSError:
            digest.update(f"{name}\n".encode())
        else:
            digest.update(f"{name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:24]


def _fill(asked: DecodedRows[Any], file: Path, notes: Path, progress: Progress) -> None:
    """Decode into a temporary file of the same folder and rename it: another process may do the same at the time."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".decoding-") as temporary:
            part = Path(temporary) / file.name
            values = np.lib.format.open_memmap(part, mode="w+", dtype=asked.dtype, shape=asked.shape)
            found = _decode_all(asked, values, progress)
            values.flush()
            del values
            written = Path(temporary) / notes.name
            written.write_text(json.dumps([asdict(entry) for entry in found]), encoding="utf-8")
            part.replace(file)
            written.replace(notes)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        needed = np.prod(asked.shape, dtype=np.float64) * np.dtype(asked.dtype).itemsize / 1e6
        raise OutputError(
            f"the decoded images could not be kept in {file.parent.name} ({reason}): {needed:.0f} MB are needed; "
            "free space or name another folder"
        ) from error


def _decode_all(asked: DecodedRows[Any], values: NDArray[Any], progress: Progress) -> list[Unreadable]:
    rows, total = asked.manifest.rows, len(asked.manifest)
    places = np.moveaxis(values, asked.row_axis, 0)

    def decode(row: int) -> Unreadable | None:
        try:
            asked.decode(rows[row], places[row])
        except (InputError, UnsupportedError) as error:
            places[row] = 0
            return Unreadable(row, rows[row].image, str(error))
        return None

    found: list[Unreadable] = []
    progress("decoding images", 0, total)
    with ThreadPoolExecutor(max_workers=available_threads()) as pool:
        for start in range(0, total, _BLOCK):
            block = range(start, min(start + _BLOCK, total))
            found += [entry for entry in pool.map(decode, block) if entry is not None]
            progress("decoding images", block.stop, total)
    return found
