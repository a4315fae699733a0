"""A colour picture as a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError
from osteon.io.whole_file import whole_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["write_colour"]


def write_colour(path: Path, picture: NDArray[np.uint8], *, quality: int = 90) -> None:
    """Write a colour picture, whole or not at all.

    Args:
        path: of the file, ending in .png or .jpg; its folder must be there.
        picture: (row, column, 3) uint8 RGB, at least one pixel.
        quality: of a JPEG, 1 to 100.

    Raises:
        InputError: another ending or another kind of array.
        OutputError: cannot be written.
    """
    import cv2

    if path.suffix not in {".png", ".jpg"} or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise InputError(
            f"{path.name}: a colour picture is written as .png or .jpg from three colours, found {picture.shape}"
        )
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == ".jpg" else []
    _, data = cv2.imencode(path.suffix, np.ascontiguousarray(picture[:, :, ::-1]), options)
    with whole_file(path) as work:
        work.write_bytes(data.tobytes())
