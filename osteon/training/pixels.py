"""The pixels of a data set, decoded once: one memory-mapped array that epochs, folds and processes share.

Decoding 16-bit PNG costs more than a training step of a small network; a mapped array costs a copy. The array is a
cache: it can be deleted at any time and is made again from the images.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from osteon._compiled import available_threads
from osteon.errors import InputError, OutputError
from osteon.inference.options import Progress, silent
from osteon.io.image import read_image
from osteon.ops.crops import nearest_indices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.data import Manifest

__all__ = ["FULL_SCALE", "Pixels", "Unreadable", "load_pixels", "pixels_key", "prepare_image"]

FULL_SCALE = 65535
"""The stored value of 1.0."""

_BLOCK = 256  # images decoded between two words of progress


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


@dataclass(frozen=True, slots=True)
class Pixels:
    """The images of a manifest, row by row.

    Attributes:
        values: (images, size, size) uint16, 0 to ``FULL_SCALE``; read-only. A row that could not be read is all 0.
        unreadable: the rows that could not be read; empty unless they were to be skipped.
    """

    values: NDArray[np.uint16] = field(repr=False)
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def size(self) -> int:
        """Rows and columns of an image."""
        return int(self.values.shape[1])

    def crops(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Images (n, size, size) float32 in 0..1, as a classifier takes them."""
        return np.asarray(self.values[rows].astype(np.float32) / np.float32(FULL_SCALE))

    def usable(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those rows that could be read, in their order."""
        return rows[~np.isin(rows, [entry.row for entry in self.unreadable])]


def prepare_image(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """An image as the networks see it: smallest value 0, largest 1, nearest neighbour to ``size``.

    A crop of ``osteon.ops.crops.leg_crops`` of that size comes back unchanged.

    Args:
        image: (row, column), any unit, finite.
        size: rows and columns wanted.

    Returns:
        (size, size) float32; all 0 when the image is constant.

    Raises:
        InputError: the image holds values that are not finite.
    """
    if not np.isfinite(image).all():
        raise InputError("the image holds values that are not finite")
    low, high = float(image.min()), float(image.max())
    small = image[np.ix_(nearest_indices(image.shape[0], size), nearest_indices(image.shape[1], size))]
    if high == low:
        return np.zeros((size, size), dtype=np.float32)
    return np.asarray((small - np.float32(low)) / np.float32(high - low), dtype=np.float32)


def load_pixels(
    manifest: Manifest,
    *,
    size: int,
    cache: Path | None,
    skip_unreadable: bool = False,
    progress: Progress = silent,
) -> Pixels:
    """Decode every image of a manifest, or map what an earlier call decoded.

    Args:
        manifest: its images lie in ``manifest.folder``.
        size: rows and columns of the prepared images.
        cache: folder for the mapped array; None keeps it in memory.
        skip_unreadable: leave images out that cannot be read, and name them; otherwise they are an error.
        progress: told about every block of images.

    Raises:
        InputError: an image is missing or unreadable and is not to be skipped, or none can be read.
        OutputError: the cache cannot be written.
    """
    if cache is None:
        values = np.zeros((len(manifest), size, size), dtype=np.uint16)
        return _finished(values, _decode_all(manifest, values, progress), skip=skip_unreadable)
    file = cache / f"pixels-{pixels_key(manifest, size)}.npy"
    notes = file.with_suffix(".json")
    if not (file.exists() and notes.exists()):
        _fill(file, notes, manifest, size, progress)
    unreadable = [Unreadable(**entry) for entry in json.loads(notes.read_text(encoding="utf-8"))]
    return _finished(np.load(file, mmap_mode="r"), unreadable, skip=skip_unreadable)


def _fill(file: Path, notes: Path, manifest: Manifest, size: int, progress: Progress) -> None:
    """Decode into a temporary file of the same folder and rename it: another process may do the same at the time."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".decoding-") as temporary:
            part = Path(temporary) / file.name
            values = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint16, shape=(len(manifest), size, size))
            found = _decode_all(manifest, values, progress)
            values.flush()
            del values
            written = Path(temporary) / notes.name
            written.write_text(json.dumps([asdict(entry) for entry in found]), encoding="utf-8")
            part.replace(file)
            written.replace(notes)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(
            f"the decoded images could not be kept in {file.parent.name} ({reason}): "
            f"{len(manifest) * size * size * 2 / 1e6:.0f} MB are needed; free space or name another folder"
        ) from error


def _decode_all(manifest: Manifest, values: NDArray[np.uint16], progress: Progress) -> list[Unreadable]:
    size, total = values.shape[1], len(manifest)

    def decode(row: int) -> Unreadable | None:
        name = manifest.rows[row].image
        try:
            prepared = prepare_image(read_image(manifest.folder / name), size)
        except InputError as error:
            return Unreadable(row, name, str(error))
        values[row] = np.rint(prepared * FULL_SCALE).astype(np.uint16)
        return None

    found: list[Unreadable] = []
    progress("decoding images", 0, total)
    with ThreadPoolExecutor(max_workers=available_threads()) as pool:
        for start in range(0, total, _BLOCK):
            rows = range(start, min(start + _BLOCK, total))
            found += [entry for entry in pool.map(decode, rows) if entry is not None]
            progress("decoding images", rows.stop, total)
    return found


def _finished(values: NDArray[np.uint16], unreadable: list[Unreadable], *, skip: bool) -> Pixels:
    if unreadable and not skip:
        named = "; ".join(f"{entry.image} ({entry.reason})" for entry in unreadable[:3])
        more = f" and {len(unreadable) - 3} more" if len(unreadable) > 3 else ""
        raise InputError(
            f"{len(unreadable)} of {len(values)} images of the manifest cannot be read: {named}{more}. "
            "Repair or remove them, or pass --skip-unreadable to go on without them"
        )
    if len(unreadable) == len(values):
        raise InputError("no image of the manifest can be read: is it in its own folder, beside the images?")
    if values.flags.writeable:
        values.setflags(write=False)
    return Pixels(values, tuple(unreadable))


def pixels_key(manifest: Manifest, size: int) -> str:
    """Name of everything that decides the pixels: names, lengths and times of the files, and the size wanted."""
    digest = hashlib.sha256(f"{size}\n".encode())
    for row in manifest.rows:
        try:
            found = (manifest.folder / row.image).stat()
        except OSError:
            digest.update(f"{row.image}\n".encode())
        else:
            digest.update(f"{row.image} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:24]
