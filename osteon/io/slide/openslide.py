"""Slides that openslide reads: the formats of the scanners, and DICOM."""

from __future__ import annotations

import ctypes
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon._optional import require
from osteon.data.slide import SlideLevel, SlideSource
from osteon.errors import InputError
from osteon.io.slide.microns import choose_microns, openslide_scale
from osteon.io.slide.pixels import WHITE, profile_notice, read_window

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


__all__ = ["OpenSlideSlide", "open_openslide", "openslide_format"]


def openslide_format(path: Path) -> str:
    """The word of openslide for the format of a file, as "aperio"; "" where it does not know it.

    Raises:
        MissingPackageError: the extra "slides" is not installed.
    """
    try:
        return str(_openslide().OpenSlide.detect_format(path) or "")
    except _openslide().OpenSlideError:
        return ""


def open_openslide(path: Path, *, name: str, microns_per_pixel: float | None, cache_bytes: int) -> OpenSlideSlide:
    """Open a slide through openslide.

    Args:
        path: of the file; of a DICOM series, one of its files.
        name: for errors.
        microns_per_pixel: what the person says, or None.
        cache_bytes: of decoded tiles that are kept.

    Raises:
        InputError: damaged, truncated, not known, without pixels, or nobody says how large a pixel is.
        MissingPackageError: the extra "slides" is not installed.
    """
    cache = _openslide().OpenSlideCache(cache_bytes)
    handle = _handle(path, name, cache)
    try:
        properties = dict(handle.properties)
        levels = tuple(
            SlideLevel(int(rows), int(columns), float(downsample))
            for (columns, rows), downsample in zip(handle.level_dimensions, handle.level_downsamples, strict=True)
        )
    except _openslide().OpenSlideError as error:
        raise InputError(f"{name} is a damaged or truncated slide: copy it again") from error
    if not levels or not (levels[0].rows and levels[0].columns):
        raise InputError(f"{name} is empty: it has no pixels; export it again")
    known = choose_microns(name, openslide_scale(properties), microns_per_pixel)
    has_profile = properties.get("openslide.icc-size", "0") != "0"
    source = SlideSource(
        path,
        properties.get("openslide.vendor", "openslide"),
        microns_from=known.known_from,
        notices=(*([profile_notice()] if has_profile else []), *known.notices),
    )
    return OpenSlideSlide(path, (handle, cache), levels, known.per_pixel, source, name=name)


class OpenSlideSlide:
    """A slide behind openslide; see ``osteon.data.slide.Slide``.

    A handle of openslide that met damage refuses everything from then on, other threads' reads included. So damage is
    believed only when a handle of its own meets it too, and the slide goes on with one that met none: damage in one
    place leaves the rest readable.

    Where a level is not a whole number of times smaller than level 0, openslide interpolates its pixels, by less than
    half a pixel of level 0.
    """

    def __init__(
        self,
        path: Path,
        opened: tuple[Any, Any],
        levels: tuple[SlideLevel, ...],
        microns_per_pixel: tuple[float, float],
        source: SlideSource,
        *,
        name: str,
    ) -> None:
        """Take over a handle and its cache of tiles, which further handles of the file share."""
        self.levels = levels
        self.microns_per_pixel = microns_per_pixel
        self.source = source
        self._path = path
        self._name = name
        self._handle, self._cache = opened
        self._lock = threading.Lock()

    def read(self, level: int, row: int, column: int, rows: int, columns: int) -> NDArray[np.uint8]:
        """Pixels of a rectangle, white outside; see ``osteon.data.slide.Slide``."""
        return read_window(self.levels, level, (row, column, rows, columns), self._inside)

    def close(self) -> None:
        """Let go of the file; a read in another thread ends first, as it holds the handle."""
        with self._lock:
            self._handle = None

    def _inside(self, level: int, row: int, column: int, rows: int, columns: int) -> NDArray[np.uint8]:
        handle = self._handle
        if handle is None:
            raise InputError(f"{self._name} was closed: open it again")
        downsample = self.levels[level].downsample
        window = (round(column * downsample), round(row * downsample), level, columns, rows)
        try:
            return _on_white(handle, window)
        except _openslide().OpenSlideError:
            fresh = _handle(self._path, self._name, self._cache)
            try:
                region = _on_white(fresh, window)
            except _openslide().OpenSlideError as error:
                self._replace(handle, _handle(self._path, self._name, self._cache))
                raise InputError(
                    f"{self._name} is damaged at level {level}, within rows {row} to {row + rows} and columns {column} "
                    f"to {column + columns}: copy it again"
                ) from error
            self._replace(handle, fresh)
            return region

    def _replace(self, old: Any, new: Any) -> None:  # noqa: ANN401 - openslide ships no types
        """Go on with another handle, unless another thread has seen to it or the slide was closed."""
        with self._lock:
            if self._handle is old:
                self._handle = new


def _on_white(handle: Any, window: tuple[int, int, int, int, int]) -> NDArray[np.uint8]:  # noqa: ANN401 - openslide ships no types
    """Pixels of a window (x and y of level 0, level, columns, rows) as RGB on white.

    openslide gives colours multiplied with alpha, in the byte order blue, green, red, alpha. Its Python package makes a
    Pillow image of them; taking the bytes as they are saves half of the time beyond decoding, and the interpreter lock.
    """
    import cv2
    from openslide import lowlevel

    columns, rows = window[3:]
    stored = np.empty((rows, columns, 4), dtype=np.uint8)
    pointer = stored.ctypes.data_as(ctypes.POINTER(ctypes.c_uint32))
    lowlevel._read_region(handle._osr, pointer, *window)  # noqa: SLF001 - see above; openslide-python is held below 2
    rgb: NDArray[np.uint8] = cv2.cvtColor(stored, cv2.COLOR_BGRA2RGB)
    alpha = stored[:, :, 3]
    if int(alpha.min()) < WHITE:
        rgb = cv2.add(rgb, cv2.merge([WHITE - alpha] * 3))
    return rgb


def _handle(path: Path, name: str, cache: Any) -> Any:  # noqa: ANN401 - openslide ships no types
    try:
        handle = _openslide().OpenSlide(path)
        handle.set_cache(cache)
    except _openslide().OpenSlideError as error:
        raise InputError(f"{name} is a damaged or truncated slide, or none that is known: copy it again") from error
    return handle


def _openslide() -> Any:  # noqa: ANN401 - openslide ships no types
    return require("openslide", extra="slides", purpose="to read slides")
