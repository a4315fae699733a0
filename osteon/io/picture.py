"""A picture as a Volume of one slice: no patient, no modality, no millimetres."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.data import Notice, Patient, Series, Source, Study, Volume
from osteon.errors import InputError, OsteonError
from osteon.geometry import Grid
from osteon.io.image import JPEG, PNG, stored_picture
from osteon.io.inventory import SeriesEntry

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.io.inventory import Progress

__all__ = ["is_picture", "load_picture", "picture_entry"]

INT16_MAX = 32767

_NOT_KNOWN = Notice(
    "picture-without-scale",
    "A picture says neither its modality nor how large a pixel is: no length is given, left and right are not named, "
    "and no DICOM object is written.",
    "warning",
)


def is_picture(path: Path) -> bool:
    """Whether the file begins as a PNG or a JPEG.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(len(PNG)).startswith((PNG, JPEG))


def picture_entry(path: Path, *, location: Path) -> SeriesEntry:
    """What a PNG or JPEG holds.

    Returns:
        An entry whose ``problem`` says when it is damaged, in colour or of another kind.
    """
    grid, problem = None, None
    try:
        rows, columns = _grey(path).shape
        grid = Grid.from_axes(shape=(1, rows, columns), spacing_mm=(1.0, 1.0, 1.0))
    except OsteonError as error:
        problem = str(error)
    return SeriesEntry(
        kind="picture",
        series=Series(uid=path.name, modality=""),
        patient=Patient(),
        study=Study(uid=""),
        location=location,
        n_images=1,
        grid=grid,
        problem=problem,
        notices=(_NOT_KNOWN,),
        path=path,
        is_in_mm=False,
    )


def load_picture(entry: SeriesEntry, *, progress: Progress | None = None) -> Volume:
    """Read a grey picture.

    Args:
        entry: from ``picture_entry``.
        progress: called as ``progress("decode", done, total)``.

    Returns:
        One slice, its pixels as stored: int16, or float32 where 16 bits are used to the full. The modality is "".

    Raises:
        InputError: a problem of the entry, or one value everywhere.
    """
    if entry.path is None or entry.grid is None:
        raise InputError(f"the picture cannot be read: {entry.problem or 'it is none'}")
    grey = _grey(entry.path)
    low, high = int(grey.min()), int(grey.max())
    if low == high:
        raise InputError(f"{entry.path.name}: every pixel has the value {low}; it shows nothing")
    array: NDArray[Any] = grey.astype(np.int16 if high <= INT16_MAX else np.float32)[None]
    if progress is not None:
        progress("decode", 1, 1)
    source = Source(
        kind="picture",
        location=entry.location,
        patient=entry.patient,
        study=entry.study,
        series=entry.series,
        notices=entry.notices,
    )
    return Volume(array=array, grid=entry.grid, modality="", source=source, is_in_mm=False)


def _grey(path: Path) -> NDArray[Any]:
    """(row, column), as stored.

    Raises:
        InputError: damaged, or in colour.
        UnsupportedError: other bit depths.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror or type(error).__name__}") from error
    stored = stored_picture(data, path.name)
    if stored.ndim == 2:
        return stored
    colours = stored[:, :, : 3 if stored.shape[2] >= 3 else 1]
    if (colours != colours[:, :, :1]).any():
        raise InputError(
            f"{path.name} is a colour picture: a slice is grey; export the image itself, without overlays or colour "
            "tables"
        )
    return np.asarray(colours[:, :, 0])
