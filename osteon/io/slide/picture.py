"""A plain picture of tissue (JPEG, PNG, ...): one level, in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from osteon.data.slide import SlideLevel, SlideSource
from osteon.errors import InputError, UnsupportedError
from osteon.io.dicom.decode import claimed_shape
from osteon.io.image import JPEG, PNG, stored_picture
from osteon.io.slide.microns import StoredScale, choose_microns
from osteon.io.slide.pixels import check_brightness, pixel_notices, profile_notice, read_window, to_rgb8
from osteon.io.whole_file import file_bytes

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from osteon.data.provenance import Notice

__all__ = ["PictureSlide", "open_picture"]


@dataclass(frozen=True, slots=True, eq=False)
class PictureSlide:
    """A picture as a slide of one level."""

    pixels: NDArray[np.uint8] = field(repr=False)  # (row, column, 3) uint8 RGB
    microns_per_pixel: tuple[float, float]  # (row, column)
    source: SlideSource  # where it came from

    @property
    def levels(self) -> tuple[SlideLevel, ...]:
        """The only one."""
        return (SlideLevel(self.pixels.shape[0], self.pixels.shape[1], 1.0),)

    def read(self, level: int, row: int, column: int, rows: int, columns: int) -> NDArray[np.uint8]:
        """Pixels of a rectangle, white outside; see ``osteon.data.slide.Slide``."""
        return read_window(self.levels, level, (row, column, rows, columns), self._inside)

    def close(self) -> None:
        """There is no open file."""

    def _inside(self, _: int, row: int, column: int, rows: int, columns: int) -> NDArray[np.uint8]:
        return self.pixels[row : row + rows, column : column + columns].copy()


def open_picture(path: Path, *, microns_per_pixel: float | None) -> PictureSlide:
    """A plain picture as a slide. The resolution that a JPEG or PNG may carry is a screen's and is not used.

    Raises:
        InputError: nobody says how large a pixel is, the file is damaged, or no picture.
        UnsupportedError: CMYK, or another bit depth.
    """
    data, rgb, notices = _decoded(path)
    known = choose_microns(path.name, StoredScale(), microns_per_pixel)
    source = SlideSource(
        path,
        "picture",
        sha256=hashlib.sha256(data).hexdigest(),
        microns_from=known.known_from,
        notices=(*notices, *known.notices),
    )
    return PictureSlide(rgb, known.per_pixel, source)


def _decoded(path: Path) -> tuple[bytes, NDArray[np.uint8], tuple[Notice, ...]]:
    """The file, its pixels in 8-bit RGB, and what was done to them."""
    data = file_bytes(path)
    if not data:
        raise InputError(f"{path.name} is empty, it holds not one byte: copy it again")
    if data.startswith(JPEG) and (claimed_shape(data) or (0,))[-1] == 4:
        raise UnsupportedError(
            f"{path.name} is stored in CMYK, for a printing press: its colours cannot be determined without it; "
            "export it as RGB"
        )
    stored: NDArray[Any] = stored_picture(data, path.name)
    values = stored[:, :, None] if stored.ndim == 2 else stored
    channels = values.shape[2]
    if channels >= 3:
        values = values[:, :, [2, 1, 0, 3][:channels]]
    bits = 8 * values.dtype.itemsize
    if bits > 8:
        check_brightness(path.name, int(values[:, :, : 3 if channels >= 3 else 1].max()))
    notices = pixel_notices(bits=bits, channels=channels)
    return data, to_rgb8(values), (*notices, *([profile_notice()] if _has_profile(data) else []))


def _has_profile(data: bytes) -> bool:
    if data.startswith(PNG):
        return b"iCCP" in data[: max(data.find(b"IDAT"), 0)]
    return data.startswith(JPEG) and b"ICC_PROFILE\0" in data[: max(data.find(b"\xff\xda"), 0)]
