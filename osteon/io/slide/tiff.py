"""TIFF slides that are of no scanner: what their tags say, and their pixels piece by piece.

openslide reads tiled ones too. Through tifffile and imagecodecs it takes half of the time (1024 x 1024 pixels of a JPEG
pyramid: 47 ms instead of 94 on a busy machine), every pixel of every level is the stored one, and damage in one place
hurts no other.
"""

from __future__ import annotations

import struct
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from osteon._optional import require
from osteon.data.slide import SlideLevel, SlideSource
from osteon.errors import InputError, ThirdParty, UnsupportedError
from osteon.io.limits import TIFF_DIRECTORIES, VARIABLE, limit
from osteon.io.picture_header import CAMERA_COUNTS
from osteon.io.slide.microns import StoredScale, choose_microns, imagej_scale, ome_scale, tiff_scale
from osteon.io.slide.pixels import check_brightness, pixel_notices, profile_notice, read_window, to_rgb8

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


__all__ = ["SYNTHETIC_MARK", "TiffFacts", "TiffSlide", "check_all_there", "open_tiff"]


SYNTHETIC_MARK: Final = "osteon synthetic slide"
"""In the description of a file that shows no person's tissue."""

MOST_SEGMENT_BYTES: Final = 2**30
ICC_PROFILE: Final = 34675
PREMULTIPLIED: Final = 1
SAMPLES: Final = {"MINISBLACK": 1, "RGB": 3, "YCBCR": 3}
UNITS: Final = {2: "inch", 3: "centimeter"}


@dataclass(frozen=True, slots=True)
class TiffFacts:
    """What the tags of the largest picture in a TIFF say."""

    bits: int  # of a channel
    channels: int  # 1 to 4, alpha counted
    premultiplied: bool  # whether the colours were multiplied with alpha
    levels: tuple[SlideLevel, ...]  # of its pyramid
    scale: StoredScale  # of a pixel
    has_profile: bool  # whether there is an ICC profile
    is_synthetic: bool  # whether osteon wrote it as synthetic


def open_tiff(path: Path, *, microns_per_pixel: float | None, cache_bytes: int) -> TiffSlide:
    """Open a TIFF through tifffile: strips or tiles, 8 or 16 bits, pyramids in sub-files too.

    Raises:
        InputError: damaged, truncated, several pictures of one size, no pixel; nobody says how large a pixel is; 16-bit
            values of which white is not known.
        UnsupportedError: CMYK, a palette, channels in separate planes, other bit depths, a piece of more than 1 GiB.
        MissingPackageError: the extra "slides" is not installed.
    """
    file = _opened(path)
    try:
        with _damaged_tiff(path):
            facts = _facts(path, file)
        known = choose_microns(path.name, facts.scale, microns_per_pixel)
        notices = [*pixel_notices(bits=facts.bits, channels=facts.channels), *known.notices]
        source = SlideSource(
            path,
            "tiff",
            microns_from=known.known_from,
            notices=(*notices, *([profile_notice()] if facts.has_profile else [])),
            is_synthetic=facts.is_synthetic,
        )
        slide = TiffSlide(file, facts, known.per_pixel, source, cache_bytes=cache_bytes)
        slide.check()
    except BaseException:
        file.close()
        raise
    return slide


class TiffSlide:
    """A TIFF as a slide; see ``osteon.data.slide.Slide``. Decoded pieces are kept up to a number of bytes."""

    def __init__(
        self,
        file: Any,  # noqa: ANN401 - tifffile ships no types
        facts: TiffFacts,
        microns_per_pixel: tuple[float, float],
        source: SlideSource,
        *,
        cache_bytes: int,
    ) -> None:
        """Take over an open ``tifffile.TiffFile``; pixels are (row, column), this many bytes of pieces are kept."""
        self.levels = facts.levels
        self.microns_per_pixel = microns_per_pixel
        self.source = source
        self._facts = facts
        self._file = file
        self._pages = [level.pages[0] for level in _largest(file).levels]
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()
        self._kept_bytes = 0
        self._capacity = cache_bytes
        self._is_closed = False
        weakref.finalize(self, file.close)  # as openslide does: a slide that is forgotten holds no file

    def read(self, level: int, row: int, column: int, rows: int, columns: int) -> NDArray[np.uint8]:
        """Pixels of a rectangle, white outside; see ``osteon.data.slide.Slide``."""
        return read_window(self.levels, level, (row, column, rows, columns), self._inside)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._is_closed = True
            self._file.close()
            self._kept.clear()
            self._kept_bytes = 0

    def check(self) -> None:
        """Refuse what cannot be shown without a guess.

        Raises:
            InputError: 16-bit values of which white is not known, by the smallest level.
            UnsupportedError: a piece of more than 1 GiB.
        """
        for page, level in zip(self._pages, self.levels, strict=True):
            rows, columns = _piece_shape(page)
            if min(rows, level.rows) * columns * self._facts.channels * (self._facts.bits // 8) > MOST_SEGMENT_BYTES:
                raise UnsupportedError(
                    f"{self._name} stores {level.rows} x {level.columns} pixels in one piece of more than 1 GiB: write "
                    "it in tiles, as with: vips tiffsave IN OUT --tile --pyramid --compression jpeg"
                )
        if self._facts.bits > 8:
            last = len(self._pages) - 1
            pieces = range(len(self._pages[last].dataoffsets))
            colours = 3 if self._facts.channels >= 3 else 1
            brightest = 0
            for piece in pieces:
                brightest = max(brightest, int(self._stored(last, piece)[..., :colours].max()))
                if brightest >= CAMERA_COUNTS:  # of a stained slide, the first piece: its background is bright
                    break
            check_brightness(self._name, brightest)

    @property
    def _name(self) -> str:
        return "the slide" if self.source.path is None else self.source.path.name

    def _inside(self, level: int, row: int, column: int, rows: int, columns: int) -> NDArray[np.uint8]:
        """A rectangle that is inside the level, put together from pieces."""
        high, wide = _piece_shape(self._pages[level])
        across = -(-self.levels[level].columns // wide)
        answer = np.full((rows, columns, 3), 255, dtype=np.uint8)
        for i in range(row // high, -(-(row + rows) // high)):
            for j in range(column // wide, -(-(column + columns) // wide)):
                piece = self._piece(level, i * across + j)
                top, left = max(row, i * high), max(column, j * wide)
                bottom = min(row + rows, i * high + piece.shape[0])
                right = min(column + columns, j * wide + piece.shape[1])
                inside = piece[top - i * high : bottom - i * high, left - j * wide : right - j * wide]
                answer[top - row : bottom - row, left - column : right - column] = inside
        return answer

    def _piece(self, level: int, piece: int) -> NDArray[np.uint8]:
        """A strip or tile in RGB, (rows, columns, 3), from what is kept or from the file."""
        with self._lock:
            kept = self._kept.get((level, piece))
            if kept is not None:
                self._kept.move_to_end((level, piece))
                return kept
        rgb = to_rgb8(self._stored(level, piece), premultiplied=self._facts.premultiplied)
        with self._lock:
            if (level, piece) not in self._kept and rgb.nbytes <= self._capacity and not self._is_closed:
                self._kept[level, piece] = rgb
                self._kept_bytes += rgb.nbytes
                while self._kept_bytes > self._capacity:
                    self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return rgb

    def _stored(self, level: int, piece: int) -> NDArray[Any]:
        """The values of a strip or tile as they are stored, (rows, columns, channels)."""
        page = self._pages[level]
        data = self._bytes(level, piece)
        if not data:  # a piece that was left out is background
            shape = (*_piece_shape(page), self._facts.channels)
            return np.full(shape, 2**self._facts.bits - 1, dtype=f"uint{self._facts.bits}")
        tables = {"jpegtables": page.jpegtables, "jpegheader": page.keyframe.jpegheader}
        with ThirdParty(self._damaged(level, piece)):
            values, _, shape = page.keyframe.decode(data, piece, **tables)
            decoded: NDArray[Any] = np.asarray(values).reshape(shape)[0]
        return decoded

    def _bytes(self, level: int, piece: int) -> bytes:
        page = self._pages[level]
        with self._lock:
            if self._is_closed:
                raise InputError(f"{self._name} was closed: open it again")
            with ThirdParty(self._damaged(level, piece)):
                offset, count = page.dataoffsets[piece], page.databytecounts[piece]
                self._file.filehandle.seek(offset)
                data: bytes = self._file.filehandle.read(count)
        if len(data) != count:
            raise InputError(self._damaged(level, piece))
        return data

    def _damaged(self, level: int, piece: int) -> str:
        rows, columns = _piece_shape(self._pages[level])
        i, j = divmod(piece, -(-self.levels[level].columns // columns))
        return f"{self._name} is damaged at level {level}, row {i * rows}, column {j * columns}: copy it again"


def _opened(path: Path) -> Any:  # noqa: ANN401 - tifffile ships no types
    tifffile = require("tifffile", extra="slides", purpose="to read TIFF slides")
    with _damaged_tiff(path):
        return tifffile.TiffFile(path)


def _damaged_tiff(path: Path) -> ThirdParty:
    return ThirdParty(f"{path.name} is a damaged or truncated TIFF file: copy it again")


def _largest(file: Any) -> Any:  # noqa: ANN401 - tifffile ships no types
    """Of several pictures the largest is the slide: others are its label, a thumbnail or an overview."""
    return max(file.series, key=lambda one: one.levels[0].pages[0].imagelength * one.levels[0].pages[0].imagewidth)


def _scale(file: Any, resolution: tuple[float, float], unit: str) -> StoredScale:  # noqa: ANN401 - tifffile ships no types
    """The size of a pixel: as OME-XML says it, or ImageJ, or the tags of TIFF."""
    found = StoredScale()
    if file.ome_metadata:
        found = ome_scale(file.ome_metadata)
    elif file.imagej_metadata:
        found = imagej_scale(resolution, str(file.imagej_metadata.get("unit", "")))
    return found if found.microns else tiff_scale(resolution, unit)


def _facts(path: Path, file: Any) -> TiffFacts:  # noqa: ANN401 - tifffile ships no types
    levels = list(_largest(file).levels)
    pages = [level.pages[0] for level in levels]
    several = max(len(level.pages) for level in levels)
    needed = max((end for page in pages for end in _ends(page)), default=0)
    _check_length(path, needed)
    if several > 1:
        raise InputError(f"{path.name} holds {several} pictures of one size, not one slide: extract one")
    page = pages[0]
    if not (page.imagelength and page.imagewidth):
        raise InputError(f"{path.name} is empty: it has {page.imagelength} x {page.imagewidth} pixels")
    channels = _checked_channels(path.name, page)
    if min(size for item in pages for size in (item.imagelength, item.imagewidth, *_piece_shape(item))) < 1:
        raise InputError(f"{path.name} is damaged, it is stored in pieces without a row or a column: copy it again")
    unit = UNITS.get(int(page.tags.valueof("ResolutionUnit", 2)), "")
    resolution = (_ratio(page.tags.valueof("YResolution")), _ratio(page.tags.valueof("XResolution")))
    rows, columns = page.imagelength, page.imagewidth
    return TiffFacts(
        bits=page.bitspersample,
        channels=channels,
        premultiplied=PREMULTIPLIED in tuple(map(int, page.extrasamples or ())),
        levels=tuple(
            SlideLevel(item.imagelength, item.imagewidth, (rows / item.imagelength + columns / item.imagewidth) / 2)
            for item in pages
        ),
        scale=_scale(file, resolution, unit),
        has_profile=ICC_PROFILE in page.tags,
        is_synthetic=SYNTHETIC_MARK in str(page.tags.valueof("ImageDescription", "")),
    )


def _checked_channels(name: str, page: Any) -> int:  # noqa: ANN401 - tifffile ships no types
    """How many channels a page has, after refusing what cannot be shown."""
    colours = getattr(page.photometric, "name", str(page.photometric))
    if colours == "SEPARATED":
        raise UnsupportedError(
            f"{name} is stored in CMYK, for a printing press: its colours cannot be determined without that press; "
            "export it as RGB"
        )
    extra = len(page.extrasamples or ())
    if colours not in SAMPLES or page.samplesperpixel - extra != SAMPLES[colours] or extra > 1:
        raise UnsupportedError(
            f"{name} has {page.samplesperpixel} channels stored as {colours}: grey or RGB, with or without alpha, are "
            "read; export it as RGB"
        )
    if page.bitspersample not in (8, 16) or page.sampleformat != 1:
        raise UnsupportedError(f"{name} has channels of {page.bitspersample} bits: 8 or 16 bits are read; convert it")
    if page.samplesperpixel > 1 and page.planarconfig != 1:
        raise UnsupportedError(f"{name} stores each channel by itself: export it with interleaved channels")
    return int(page.samplesperpixel)


def _piece_shape(page: Any) -> tuple[int, int]:  # noqa: ANN401 - tifffile ships no types
    """Rows and columns of a full tile or strip."""
    if page.is_tiled:
        return int(page.tilelength), int(page.tilewidth)
    return min(int(page.rowsperstrip), int(page.imagelength)), int(page.imagewidth)


def _ends(page: Any) -> Iterator[int]:  # noqa: ANN401 - tifffile ships no types
    """Where the pieces of a page end in the file."""
    return (offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False) if count)


def _ratio(value: Any) -> float:  # noqa: ANN401 - as tifffile gives it
    """A rational tag as a number; 0 where there is none."""
    if not isinstance(value, tuple) or len(value) != 2 or not value[1]:
        return 0.0
    return float(value[0]) / float(value[1])


VALUE_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 9: 4, 10: 8, 13: 4, 16: 8, 18: 8}
WHOLE_NUMBERS: Final = {3: "u2", 4: "u4", 16: "u8"}
PLACES: Final = {273: 279, 324: 325}
"""Tags of the places of strips and tiles, and those of their lengths."""

JPEG_TABLES: Final = 347


def check_all_there(path: Path) -> None:
    """Refuse a TIFF or BigTIFF that ends too early. Not for Hamamatsu's beyond 4 GiB, whose offsets lack bits.

    Raises:
        InputError: truncated, or its directories form a circle or are too many.
    """
    with _damaged_tiff(path), path.open("rb") as file:
        needed = _needed(file, path.stat().st_size, path.name)
    _check_length(path, needed)


def _check_length(path: Path, needed: int) -> None:
    """Refuse a file shorter than it must be."""
    size = path.stat().st_size
    if needed > size:
        raise InputError(f"{path.name} is truncated: {size} of at least {needed} bytes are there; copy it again")


def _needed(file: BinaryIO, size: int, name: str) -> int:
    """The last byte that a directory or a picture needs; looking ends with the first that is beyond ``size``."""
    head = file.read(16).ljust(16, b"\0")
    order = "<" if head.startswith(b"II") else ">"
    is_big = head[2:4] in (b"+\0", b"\0+")
    count, offset = ("Q", "Q") if is_big else ("H", "I")
    wide, long = struct.calcsize(f"<{count}"), struct.calcsize(f"<{offset}")
    start = int(struct.unpack_from(order + offset, head, 8 if is_big else 4)[0])
    needed = 0
    seen: set[int] = set()
    while start and needed <= size:
        if start in seen or len(seen) >= limit(TIFF_DIRECTORIES):
            many = f"are more than {limit(TIFF_DIRECTORIES)} ({VARIABLE} allows more)"
            what = "form a circle" if start in seen else many
            raise InputError(f"{name} is a damaged TIFF file, its directories {what}: copy it again")
        seen.add(start)
        needed = max(needed, start + wide)
        if needed > size:
            break
        file.seek(start)
        entries = int(struct.unpack(order + count, file.read(wide))[0])
        length = entries * (4 + 2 * long)
        needed = max(needed, start + wide + length + long)
        if needed > size:
            break
        table = file.read(length)
        start = int(struct.unpack(order + offset, file.read(long))[0])
        needed = max(needed, _pixels_end(file, table, order, offset, size))
    return needed


def _pixels_end(file: BinaryIO, table: bytes, order: str, offset: str, size: int) -> int:
    """Where the pixels of a directory end, and what is needed to find and decode them."""
    long = struct.calcsize(f"<{offset}")
    entry = struct.Struct(f"{order}HH{offset}")
    needed = 0
    found: dict[int, NDArray[Any]] = {}
    for place in range(0, len(table), 4 + 2 * long):
        tag, kind, count = entry.unpack_from(table, place)
        if tag not in (*PLACES, *PLACES.values(), JPEG_TABLES) or kind not in VALUE_BYTES:
            continue
        inline = table[place + 4 + long : place + 4 + 2 * long]
        length = int(count) * VALUE_BYTES[kind]
        if length > long:
            at = int(struct.unpack(order + offset, inline)[0])
            needed = max(needed, at + length)
            if needed > size:
                return needed
            file.seek(at)
            inline = file.read(length)
        if kind in WHOLE_NUMBERS:
            found[tag] = np.frombuffer(inline[:length], dtype=order + WHOLE_NUMBERS[kind]).astype(np.int64)
    for places, lengths in PLACES.items():
        if places in found and lengths in found and found[places].size == found[lengths].size > 0:
            needed = max(needed, int((found[places] + found[lengths])[found[lengths] > 0].max(initial=0)))
    return needed
