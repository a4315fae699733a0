"""The pixels of a data set as networks take them, decoded once: one array that epochs, folds and processes share.

Decoding PNG costs more than a training step of a small network; a mapped array costs a copy. The array is a cache: it
can be deleted at any time and is made again from the files.

A slice in a window is resized as a whole, by area where it shrinks, as in the thesis. A mask is cut to inside and
outside in its own pixels and resized after that, the same way, and a pixel is inside when at least half of it is. The
public code does it the other way round: it resizes first and takes every pixel above 0, which thickens each mask by up
to a pixel.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from osteon._compiled import available_threads
from osteon.data.options import Progress, silent
from osteon.errors import InputError, OutputError, UnsupportedError
from osteon.io.image import read_image, read_mask_image
from osteon.io.whole_file import write_whole
from osteon.ops.crops import nearest_indices
from osteon.ops.series_images import SliceFrame
from osteon.train.views import blanked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from osteon.data import ImageRow, Manifest

__all__ = [
    "FULL_SCALE",
    "Pixels",
    "Readable",
    "Unreadable",
    "files_state",
    "load_pixels",
    "pictures_digest",
    "pixels_key",
    "prepare_image",
]

FULL_SCALE = 65535
"""The stored value of 1.0 where images are stretched; that of others is 255."""

_WHITE, _HALF = 255, 128
_HASH = re.compile(r"[0-9a-f]{64}")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Readable:
    """What is known of the images of a manifest, row by row; a row that could not be read is all 0.

    Attributes:
        unreadable: the rows that could not be read; empty unless they were to be skipped.
    """

    unreadable: tuple[Unreadable, ...] = ()

    def usable(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those rows that could be read, in their order."""
        return rows[~np.isin(rows, [entry.row for entry in self.unreadable])]


@dataclass(frozen=True, slots=True)
class Pixels(Readable):
    """The images of a manifest; read-only.

    Attributes:
        values: (images, size, size) unsigned integers, the largest of their type being 1.
        masks: (images, size, size) bool by name; all False where there is no such mask.
        around: (images, channel) rows whose images are the channels of an image; None: its own alone.
        views: (images, 4) the part of each image that is shown (``osteon.train.views``); None: all of it.
    """

    values: NDArray[np.unsignedinteger[Any]] = field(repr=False)
    masks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict, repr=False)
    around: NDArray[np.int64] | None = field(default=None, repr=False)
    views: NDArray[np.float64] | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """Rows and columns of an image."""
        return int(self.values.shape[1])

    def crops(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Images (n, size, size) float32 in 0..1, as they are, without what is around them."""
        return np.asarray(self.values[rows].astype(np.float32) / np.float32(np.iinfo(self.values.dtype).max))

    def shown(self, rows: NDArray[np.integer], views: NDArray[np.float64] | None = None) -> NDArray[np.float32]:
        """Images (n, channel, size, size) float32 in 0..1, as a network takes them; 0 outside their views.

        Args:
            rows: (n,) of the manifest.
            views: (n, 4), in place of those that are known.
        """
        channels = np.asarray(rows)[:, None] if self.around is None else self.around[rows]
        images = self.crops(channels.reshape(-1)).reshape(*channels.shape, self.size, self.size)
        if views is None and self.views is not None:
            views = self.views[rows]
        return images if views is None else blanked(images, views)

    def outlined(self, names: Iterable[str], rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Masks (n, name, size, size) uint8, 0 or 1, in the order of the names."""
        return np.stack([self.masks[name][rows].view(np.uint8) for name in names], axis=1)

    def areas(self, name: str) -> NDArray[np.int64]:
        """(images,) pixels of a mask in each image."""
        masks = self.masks[name]
        blocks = [masks[start : start + _BLOCK] for start in range(0, len(masks), _BLOCK)]
        return np.concatenate([np.count_nonzero(block, axis=(1, 2)) for block in blocks]).astype(np.int64)


def prepare_image(image: NDArray[np.float32], size: int, *, is_stretched: bool = True) -> NDArray[np.float32]:
    """An image as the networks see it: smallest value 0, largest 1, nearest neighbour to ``size``.

    A crop of ``osteon.ops.crops.leg_crops`` of that size comes back unchanged. What is not to be stretched is a slice
    in a window, whose grey values mean HU: it is resized as a whole, by area where it shrinks, in 256 steps
    (``osteon.ops.series_images``).

    Returns:
        (size, size) float32; all 0 when the image is constant.

    Raises:
        InputError: the image holds values that are not finite.
    """
    if not np.isfinite(image).all():
        raise InputError("the image holds values that are not finite")
    if not is_stretched:
        return np.asarray(_grey(image, size), dtype=np.float32) / np.float32(_WHITE)
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
    is_stretched: bool = True,
    masks: Mapping[str, bool] | None = None,
    skip_unreadable: bool = False,
    progress: Progress = silent,
) -> Pixels:
    """Decode every image of a manifest, with masks where they are wanted, or map what an earlier call decoded.

    Args:
        manifest: its images and masks are in ``manifest.folder``.
        size: rows and columns of the prepared images.
        cache: folder for the mapped array; None keeps it in memory.
        is_stretched: as of ``prepare_image``; images with masks are not.
        masks: names ("lesion": the manifest's ``lesion_mask``), and whether an image without this mask cannot be used;
            a mask that is named must be readable in both cases.
        skip_unreadable: leave images out that cannot be used, and name them; otherwise they are an error.
        progress: called at every block of images.

    Raises:
        InputError: an image or mask is missing, unreadable, of another size than its image or no mask, and is not to
            be skipped, or none can be used.
        OutputError: the cache cannot be written.
    """
    wanted = masks or {}
    if wanted:
        names = (name for row in manifest.rows for name in (row.image, *(_mask_name(row, one) for one in wanted)))
        words = f"masks 2 {size} {sorted(wanted.items())}"
        key = f"masks-{_files_key(manifest.folder, names, words=words)}"
    else:
        key = f"pixels-{pixels_key(manifest, size, is_stretched=is_stretched)}"

    def decode(row: ImageRow, place: NDArray[Any]) -> None:
        if wanted:
            _decode_masked(manifest.folder, row, place, wanted)
        else:
            image = read_image(manifest.folder / row.image, any_scale=is_stretched)
            place[0] = np.rint(prepare_image(image, size, is_stretched=is_stretched) * FULL_SCALE)

    shape = (1 + len(wanted), len(manifest), size, size)
    asked = _Decoding(manifest, shape, np.dtype(np.uint8 if wanted else np.uint16), decode)
    values, unreadable = asked.array(None if cache is None else cache / f"{key}.npy", progress)
    _require_readable(manifest, unreadable, skip=skip_unreadable)
    if values.flags.writeable:
        values.setflags(write=False)
    outlined = {name: values[number].view(np.bool_) for number, name in enumerate(wanted, start=1)}
    return Pixels(values[0], outlined, unreadable=tuple(unreadable))


def pixels_key(manifest: Manifest, size: int, *, is_stretched: bool = True) -> str:
    """Name of everything that decides the pixels: names, lengths and times of the files, size, and the stretching."""
    words = f"{size} planes" if is_stretched else f"{size} planes as stored"
    return _files_key(manifest.folder, (row.image for row in manifest.rows), words=words)


def _grey(image: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    """Resized as a whole, in 256 steps."""
    return np.asarray(_frame(image.shape, size).images(np.rint(image * _WHITE).astype(np.uint8)[None])[0])


def _frame(shape: tuple[int, ...], size: int) -> SliceFrame:
    return SliceFrame(source=(shape[0], shape[1]), scaled=(size, size), size=(size, size))


def _mask_name(row: ImageRow, name: str) -> str:
    return str(getattr(row, f"{name}_mask"))


def _decode_masked(folder: Path, row: ImageRow, place: NDArray[np.uint8], masks: Mapping[str, bool]) -> None:
    """An image and its masks into (1 + masks, size, size): grey, then 0 or 1."""
    for name, is_needed in masks.items():
        if is_needed and not _mask_name(row, name):
            raise InputError(f"the manifest names no {name} mask for it: fill the column {name}_mask")
    image, size = read_image(folder / row.image), place.shape[1]
    place[0] = _grey(image, size)
    frame = _frame(image.shape, size)
    for number, name in enumerate(masks, start=1):
        if file := _mask_name(row, name):
            mask = read_mask_image(folder / file, shape=frame.source).astype(np.uint8) * np.uint8(_WHITE)
            place[number] = frame.images(mask[None])[0] >= _HALF


@dataclass(frozen=True, slots=True)
class _Decoding:
    """What is to be decoded: ``decode`` writes a row of the manifest into (planes, size, size); it runs in threads."""

    manifest: Manifest
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    decode: Callable[[ImageRow, NDArray[Any]], None]

    def array(self, file: Path | None, progress: Progress) -> tuple[NDArray[Any], list[Unreadable]]:
        """(planes, images, size, size), 0 where a row cannot be read, and those rows; mapped where there is a file."""
        if file is None:
            values = np.zeros(self.shape, dtype=self.dtype)
            return values, self._decode_all(values, progress)
        notes = file.with_suffix(".json")
        if not (file.exists() and notes.exists()):
            self._fill(file, notes, progress)
        return np.load(file, mmap_mode="r"), msgspec.json.decode(notes.read_bytes(), type=list[Unreadable])

    def _fill(self, file: Path, notes: Path, progress: Progress) -> None:
        """Decode into a temporary file of the same folder and rename it: another process may do the same."""
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=file.parent, prefix=".decoding-") as temporary:
                part, written = Path(temporary) / file.name, Path(temporary) / notes.name
                values = np.lib.format.open_memmap(part, mode="w+", dtype=self.dtype, shape=self.shape)
                written.write_bytes(msgspec.json.encode(self._decode_all(values, progress)))
                values.flush()
                del values
                part.replace(file)
                written.replace(notes)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            needed = np.prod(self.shape, dtype=np.float64) * self.dtype.itemsize / 1e6
            raise OutputError(
                f"the decoded images could not be kept in {file.parent.name} ({reason}): {needed:.0f} MB are needed; "
                "free space or name another folder"
            ) from error

    def _decode_all(self, values: NDArray[Any], progress: Progress) -> list[Unreadable]:
        rows, total = self.manifest.rows, len(self.manifest)

        def decode(row: int) -> Unreadable | None:
            try:
                self.decode(rows[row], values[:, row])
            except (InputError, UnsupportedError) as error:
                values[:, row] = 0
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


def _require_readable(manifest: Manifest, unreadable: Sequence[Unreadable], *, skip: bool) -> None:
    """Refuse rows that cannot be read, naming the first three; of those to be skipped not all."""
    if unreadable and not skip:
        named = "; ".join(f"{entry.image} ({entry.reason})" for entry in unreadable[:3])
        more = f" and {len(unreadable) - 3} more" if len(unreadable) > 3 else ""
        raise InputError(
            f"{len(unreadable)} of {len(manifest)} images of the manifest cannot be read: {named}{more}. "
            "Repair or remove them, or pass --skip-unreadable to go on without them"
        )
    if len(unreadable) == len(manifest):
        raise InputError("no image of the manifest can be read: is it in its own folder, beside the images?")


def _files_key(folder: Path, names: Iterable[str], *, words: str) -> str:
    return files_state(folder, names, words=words)[:24]


def files_state(folder: Path, names: Iterable[str], *, words: str = "") -> str:
    """SHA-256 of what the system says of files, and of the words: names, lengths, times of content and of any change.

    The last cannot be set back, so that files of one state have one content.
    """
    digest = hashlib.sha256(f"{words}\n".encode())
    for name in names:
        try:
            found = (folder / name).stat()
        except OSError:
            digest.update(f"{name}\n".encode())
        else:
            digest.update(f"{name} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}\n".encode())
    return digest.hexdigest()


def pictures_digest(
    manifest: Manifest, kept: Sequence[Path], *, masks: bool = False, progress: Progress = silent
) -> str:
    """SHA-256 of the content of all images of a manifest, in its order, and of their masks where they matter.

    The files are read once: what came out is kept, and holds until the system says that one of them was touched.

    Args:
        manifest: its images are in ``manifest.folder``; one that cannot be read counts by its name.
        kept: folders where an earlier call may have kept what came out; this one keeps it in the first, if it can.
        masks: whether the files of masks count too.
        progress: told about files.
    """
    names = [row.image for row in manifest.rows]
    if masks:
        names += [name for row in manifest.rows for name in (row.bone_mask, row.lesion_mask) if name]
    state = files_state(manifest.folder, names)
    notes = [folder / f"pictures-{state[:24]}.txt" for folder in kept]
    for file in notes:
        if file.is_file() and _HASH.fullmatch(found := file.read_text(encoding="ascii", errors="replace")):
            return found
    digest = hashlib.sha256()
    with ThreadPoolExecutor(max_workers=available_threads()) as pool:
        for start in range(0, len(names), _BLOCK):
            block = names[start : start + _BLOCK]
            for name, content in zip(block, pool.map(partial(_content, manifest.folder), block), strict=True):
                digest.update(f"{name} {content}\n".encode())
            progress("hashing images", start + len(block), len(names))
    with suppress(OSError, OutputError):  # a folder that cannot be written costs time only
        if files_state(manifest.folder, names) == state:
            notes[0].parent.mkdir(parents=True, exist_ok=True)
            write_whole(notes[0], digest.hexdigest().encode())
    return digest.hexdigest()


def _content(folder: Path, name: str) -> str:
    try:
        with (folder / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
