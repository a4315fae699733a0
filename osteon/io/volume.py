"""From a chosen series to a Volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon.io.choose import choose_series
from osteon.io.dicom.load import load_series
from osteon.io.find import find_images
from osteon.io.nifti import load_nifti
from osteon.io.picture import load_picture

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Volume
    from osteon.io.inventory import Progress, SeriesEntry

__all__ = ["load_volume", "open_volume"]


def load_volume(
    entry: SeriesEntry,
    *,
    modality: str = "",
    progress: Progress | None = None,
    workers: int | None = None,
) -> Volume:
    """Decode a series into a Volume.

    Args:
        entry: from ``choose_series``; its inventory must still be open when it came from a zip.
        modality: for NIfTI, what the user says it is; "" lets the values decide whether it is a CT.
        progress: called as ``progress("decode", done, total)``.
        workers: threads that decode; default one per usable processor, at most 8.

    Returns:
        The volume in the modality's own values (HU for CT), int16 where every value is a whole number that fits.

    Raises:
        InputError: damaged pixels, one value everywhere, values that are no CT, a series that is no volume.
        UnsupportedError: no decoder for the encoding.
    """
    if entry.kind == "nifti":
        return load_nifti(entry, modality=modality, progress=progress)
    if entry.kind == "picture":
        return load_picture(entry, progress=progress)
    return load_series(entry, progress=progress, workers=workers)


def open_volume(
    path: str | Path,
    *,
    modality: str | None = None,
    series_uid: str | None = None,
    progress: Progress | None = None,
) -> Volume:
    """Find, choose and load in one step.

    Args:
        path: DICOM folder or file, zip, NIfTI; with modality "" also a picture (PNG, JPEG).
        modality: of the series; None asks for a CT and lets NIfTI prove by its values that it is one. "" is what a
            picture has.
        series_uid: this series and no other; "UID#echo-2" for one echo of an MR series that holds several.
        progress: called as ``progress(step, done, total)``.

    Returns:
        The volume. What was unpacked for it is gone again; its ``source`` still names the files.

    Raises:
        InputError, UnsupportedError: as ``find_images``, ``choose_series`` and ``load_volume``.
    """
    with find_images(path, progress=progress) as inventory:
        entry = choose_series(inventory, modality="CT" if modality is None else modality, series_uid=series_uid)
        return load_volume(entry, modality=modality or "", progress=progress)
