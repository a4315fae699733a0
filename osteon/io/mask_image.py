"""Masks and grey pictures of 8 bits as image files: strictly read, exactly written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import InputError
from osteon.io.whole_file import whole_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["write_png8"]


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
