"""Masks and grey pictures of 8 bits as image files: strictly read, exactly written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.errors import InputError
from osteon.io.image import JPEG, stored_picture
from osteon.io.whole_file import whole_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["read_mask_image", "write_png8"]

_JPEG_NOISE: Final = 63
"""How far JPEG moves a pixel of 0 or 255 (measured on ellipses: by 43 at quality 75, by 8 at 95)."""


def read_mask_image(path: Path, *, shape: tuple[int, int] | None = None) -> NDArray[np.bool_]:
    """Read a mask as it was drawn: nothing is resized, nothing is guessed.

    A mask holds 0 outside and one other value inside: 1, or the largest number of its bits (255, 65535). JPEG blurs
    what it stores: there every pixel must be nearer than 64 to 0 or to 255, and a mask that is not empty must reach
    the bright part. A coloured file is a mask when its channels are equal; transparency is ignored.

    Args:
        path: PNG, JPEG or what else OpenCV decodes; judged by its content.
        shape: rows and columns that it must have, those of its image.

    Returns:
        (row, column), True inside.

    Raises:
        InputError: no such file, damaged, other values, colours, or another size.
        UnsupportedError: a kind of image that cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror or type(error).__name__}") from error
    stored = stored_picture(data, f"the mask {path.name}")
    if shape is not None and stored.shape[:2] != shape:
        raise InputError(
            f"the mask {path.name} has {stored.shape[0]} x {stored.shape[1]} pixels, its image has "
            f"{shape[0]} x {shape[1]}: draw it on that image, or export both at one size"
        )
    values = _one_channel(stored, path.name)
    return _blurred(values, path.name) if data.startswith(JPEG) else _exact(values, path.name)


def _one_channel(stored: NDArray[Any], name: str) -> NDArray[Any]:
    if stored.ndim == 2:
        return stored
    colours = stored[:, :, : 3 if stored.shape[2] >= 3 else 1]
    if (colours != colours[:, :, :1]).any():
        raise InputError(f"the mask {name} is coloured: write it in grey, 0 outside and 255 inside")
    return np.asarray(colours[:, :, 0])


def _exact(values: NDArray[Any], name: str) -> NDArray[np.bool_]:
    top = int(np.iinfo(values.dtype).max)
    inside = np.unique(values[values != 0])
    if inside.size > 1 or (inside.size == 1 and int(inside[0]) not in (1, top)):
        shown = ", ".join(map(str, inside[:4])) + (", ..." if inside.size > 4 else "")
        raise InputError(
            f"the mask {name} holds {shown} beside 0: a mask has one value inside, 1 or {top}; make one file of each "
            "label, and cut a blurred or resized mask at one half"
        )
    return np.asarray(values != 0)


def _blurred(values: NDArray[Any], name: str) -> NDArray[np.bool_]:
    between = np.count_nonzero((values > _JPEG_NOISE) & (values < 255 - _JPEG_NOISE))
    if between:
        raise InputError(
            f"the JPEG mask {name} holds {between} pixels between black and white: its labels are not 0 and 255, or it "
            "was resized or compressed too much; export it as PNG"
        )
    highest = int(values.max())
    if 0 < highest <= _JPEG_NOISE:
        raise InputError(
            f"the JPEG mask {name} holds values up to {highest} and none near 255: its labels cannot be told from the "
            "noise of JPEG; export it as PNG, or as 0 and 255"
        )
    return np.asarray(values > 127)


def write_png8(path: Path, picture: NDArray[np.uint8] | NDArray[np.bool_]) -> None:
    """Write a grey picture, or a mask as 0 and 255, as an 8-bit PNG, whole or not at all.

    Args:
        path: of the file; its folder must be there.
        picture: (row, column), at least one pixel.

    Raises:
        InputError: no pixel.
        OutputError: cannot be written.
    """
    import cv2

    if picture.ndim != 2 or not picture.size:
        raise InputError(f"{path.name}: a picture to be written needs two axes and a pixel, found {picture.shape}")
    grey: NDArray[Any] = picture.astype(np.uint8) * np.uint8(255) if picture.dtype == np.bool_ else picture
    _, data = cv2.imencode(".png", np.ascontiguousarray(grey))
    with whole_file(path) as work:
        work.write_bytes(data.tobytes())
