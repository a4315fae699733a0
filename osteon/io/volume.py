"""The door for images: whatever a path holds, as a Volume, a Radiograph or a Slide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from osteon.data import Volume
from osteon.errors import InputError
from osteon.io.choose import choose_series
from osteon.io.dicom.load import load_series
from osteon.io.find import find_images
from osteon.io.image import load_film, load_picture
from osteon.io.nifti import load_nifti
from osteon.io.slide import is_slide, open_slide

if TYPE_CHECKING:
    from osteon.data import Image, Radiograph
    from osteon.io.inventory import Progress, SeriesEntry

__all__ = ["load_image", "load_volume", "open_image", "open_volume"]


def load_image(
    entry: SeriesEntry,
    *,
    modality: str = "",
    or_ct: bool = False,
    progress: Progress | None = None,
    workers: int | None = None,
) -> Volume | Radiograph:
    """Decode a series into a Volume, or a picture or a DICOM radiograph into a Radiograph.

    Args:
        entry: from ``choose_series``; its inventory must still be open when it came from a zip.
        modality: for NIfTI, what the user says it is; "" lets the values decide whether it is a CT.
        or_ct: for NIfTI, whether values that no other modality has make it a CT all the same.
        progress: called as ``progress("decode", done, total)``.
        workers: threads that decode; default one per usable processor, at most 8.

    Returns:
        The image in the modality's own values (HU for CT), int16 where every value is a whole number that fits.

    Raises:
        InputError: damaged pixels, one value everywhere, values that are not CT, a series that is not a volume.
        UnsupportedError: no decoder for the encoding.
    """
    if entry.kind == "nifti":
        return load_nifti(entry, modality=modality, or_ct=or_ct, progress=progress)
    if entry.kind == "picture":
        return load_picture(entry, progress=progress)
    if entry.is_film:
        return load_film(entry, progress=progress)
    return load_series(entry, progress=progress, workers=workers)


def load_volume(
    entry: SeriesEntry, *, modality: str = "", progress: Progress | None = None, workers: int | None = None
) -> Volume:
    """As :func:`load_image` of what is not a picture.

    Raises:
        InputError: as ``load_image``; a picture.
    """
    if entry.is_film:
        kind = entry.series.modality or "these"
        raise InputError(f"{entry.location.name}: {kind} images are projections (radiographs), not slices of a volume")
    image = load_image(entry, modality=modality, progress=progress, workers=workers)
    if not isinstance(image, Volume):
        raise InputError(f"{entry.location.name} is a picture of one plane, not a volume: give a series or NIfTI")
    return image


def open_image(
    path: str | Path,
    *,
    kind: Literal["volume", "radiograph", "slide"] | None = None,
    modality: str | None = None,
    series_uid: str | None = None,
    microns_per_pixel: float | None = None,
    progress: Progress | None = None,
) -> Image:
    """Open whatever a path holds: ``osteon.io.open``, the one door for reading, training and programs.

    Args:
        path: DICOM folder or file, zip, NIfTI, a slide, a picture (PNG, JPEG), a DICOM radiograph.
        kind: what it is to be opened as; None lets the file say it. A picture is a Radiograph unless it is asked for
            as a slide.
        modality: of the series; None takes a CT where there is one, else whatever is there.
        series_uid: this series and no other.
        microns_per_pixel: of a slide whose file does not say it.
        progress: called as ``progress(step, done, total)``.

    Returns:
        A Slide keeps its file open: close it after use. Of the others what was unpacked is gone again.

    Raises:
        InputError, UnsupportedError: as ``open_slide``, ``find_images``, ``choose_series`` and ``load_image``.
    """
    place = Path(path)
    is_there = place.is_file() or place.is_dir()  # what is neither, as a pipe, would be waited for
    if kind == "slide" or (kind is None and is_there and is_slide(place)):
        return open_slide(place, microns_per_pixel=microns_per_pixel)
    with find_images(place, progress=progress) as inventory:
        there = {entry.series.modality for entry in inventory.entries}
        wanted = modality if modality is not None else ("CT" if "CT" in there else None)
        if wanted is None and len(inventory.entries) == 1 and inventory.entries[0].kind == "picture":
            wanted = ""
        entry = choose_series(inventory, modality=wanted, series_uid=series_uid)
        image = load_image(entry, modality=modality or "", progress=progress)
    if kind is not None and kind != ("volume" if isinstance(image, Volume) else "radiograph"):
        raise InputError(f"{place.name} was to be opened as a {kind}, and it is none")
    return image


def open_volume(path: str | Path, *, modality: str | None = None) -> Volume:
    """Find, choose and load in one step.

    Args:
        path: DICOM folder or file, zip, NIfTI.
        modality: of the series; None asks for a CT and lets NIfTI prove by its values that it is one. "" is what a
            picture has.

    Returns:
        The volume. What was unpacked for it is gone again; its ``source`` still names the files.

    Raises:
        InputError, UnsupportedError: as ``find_images``, ``choose_series`` and ``load_volume``.
    """
    with find_images(path) as inventory:
        entry = choose_series(inventory, modality="CT" if modality is None else modality)
        return load_volume(entry, modality=modality or "")
