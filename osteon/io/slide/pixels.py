"""Whatever a slide stores as colours, as 8-bit RGB on white; and rectangles that leave the slide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.data.provenance import Notice
from osteon.errors import InputError
from osteon.io.picture_header import CAMERA_COUNTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from osteon.data.slide import SlideLevel

__all__ = ["WHITE", "check_brightness", "pixel_notices", "profile_notice", "read_window", "to_rgb8"]

WHITE: Final = 255
HIGHEST_16: Final = 65535


def to_rgb8(stored: NDArray[Any], *, premultiplied: bool = False) -> NDArray[np.uint8]:
    """Stored values as RGB on white.

    16 bits are divided by 257 and rounded, so that 65535 becomes 255. Grey goes to all three channels. A transparent
    pixel is white, one half transparent is mixed with white.

    Args:
        stored: (row, column) grey, or (row, column, channels): grey, grey and alpha, RGB, or RGB and alpha; uint8 or
            uint16.
        premultiplied: whether the colours were multiplied with alpha already.

    Returns:
        (row, column, 3) uint8.

    Example:
        >>> to_rgb8(np.array([[[10, 20, 30, 0]]], np.uint8)).tolist()
        [[[255, 255, 255]]]
    """
    values = stored[:, :, None] if stored.ndim == 2 else stored
    if values.dtype == np.uint16:
        values = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    channels = values.shape[2]
    colours = values[:, :, :3] if channels >= 3 else np.repeat(values[:, :, :1], 3, axis=2)
    if channels in (2, 4) and (alpha := values[:, :, channels - 1 :]).size and int(alpha.min()) < WHITE:
        wide, opaque = colours.astype(np.uint16), alpha.astype(np.uint16)
        if premultiplied:
            colours = np.minimum(wide + (WHITE - opaque), WHITE).astype(np.uint8)
        else:
            # at most 255 * 255 + 127, which 16 bits hold
            colours = ((wide * opaque + WHITE * (WHITE - opaque) + 127) // WHITE).astype(np.uint8)
    return np.ascontiguousarray(colours)


def check_brightness(name: str, brightest: int) -> None:
    """Refuse 16-bit values of which nobody can say what is white, by the highest value of a colour.

    Raises:
        InputError: all values are in the lowest sixteenth.
    """
    if brightest < CAMERA_COUNTS:
        raise InputError(
            f"{name} holds 16 bits a channel and nothing above {brightest}, as a camera of 12 bits or less counts: "
            "which value is white is not known; export it as 8-bit RGB"
        )


def pixel_notices(*, bits: int, channels: int) -> tuple[Notice, ...]:
    """What was done to the stored values; channels are 1 grey, 2 with alpha, 3 RGB, 4 with alpha."""
    told = []
    if bits > 8:
        text = "The slide stores 16 bits a channel; they were divided by 257, so that 65535 is white."
        told.append(Notice("slide-16-bit", text, "warning"))
    if channels <= 2:
        text = "The slide is grey: what was learnt from stained tissue says little about it."
        told.append(Notice("slide-grey", text, "warning"))
    if channels in (2, 4):
        told.append(Notice("slide-alpha", "The slide has an alpha channel; transparent pixels are shown on white."))
    return tuple(told)


def profile_notice() -> Notice:
    """That a colour profile was found and not applied."""
    text = "The file carries an ICC colour profile; it is not applied, colours are those that the scanner stored."
    return Notice("slide-colour-profile", text)


def read_window(
    levels: Sequence[SlideLevel],
    level: int,
    window: tuple[int, int, int, int],
    read: Callable[[int, int, int, int, int], NDArray[np.uint8]],
) -> NDArray[np.uint8]:
    """A rectangle of a level; what is outside the level is white.

    Args:
        levels: of the slide.
        level: index into them.
        window: row, column, rows, columns in pixels of the level.
        read: gives the pixels of a rectangle that is inside, from level, row, column, rows and columns.

    Returns:
        (rows, columns, 3) uint8.

    Raises:
        InputError: no such level, or a negative size; whatever ``read`` raises.
    """
    row, column, rows, columns = window
    if not 0 <= level < len(levels) or rows < 0 or columns < 0:
        raise InputError(
            f"level {level} with {rows} x {columns} pixels was asked for: the slide has levels 0 to {len(levels) - 1}, "
            "and a size is at least 0"
        )
    top, left = max(row, 0), max(column, 0)
    bottom, right = min(row + rows, levels[level].rows), min(column + columns, levels[level].columns)
    if (top, left, bottom, right) == (row, column, row + rows, column + columns) and rows and columns:
        return read(level, row, column, rows, columns)
    canvas = np.full((rows, columns, 3), WHITE, dtype=np.uint8)
    if top < bottom and left < right:
        inside = read(level, top, left, bottom - top, right - left)
        canvas[top - row : bottom - row, left - column : right - column] = inside
    return canvas
