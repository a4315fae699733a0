"""What a file says of itself: whose it is, of which study, its pixels as a hash and a small picture; or why not."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.archive.tables import UNKNOWN
from osteon.data import Patient, Radiograph, Series, Study
from osteon.errors import InputError, NotThisTaskError, ThirdParty, UnsupportedError
from osteon.io.dicom import header
from osteon.io.dicom.elements import read_elements
from osteon.io.dicom.film import is_raw
from osteon.io.find import is_zip
from osteon.io.image import load_radiograph
from osteon.io.limits import PICTURE_BYTES, VARIABLE, limit

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.io.dicom.elements import Elements

__all__ = ["Film", "NotAFilmError", "read_film"]

ADMISSION_ID: Final = 0x00380010
_WANTED: Final = header.WANTED | {ADMISSION_ID}

THUMBNAIL: Final = 256
"""Pixels of the longer side."""

_PICTURES: Final = {
    b"\x89PNG\r\n\x1a\n": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"BM": ".bmp",
}


class NotAFilmError(InputError):
    """A sound file, but not a single radiograph."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """One radiograph and what its file says. Texts that it does not say are "" here.

    Attributes:
        suffix: of its copy, by its content.
        case: number of the admission, or "".
        sop_uid: of the image.
        rows: of its pixels, as they are shown.
        columns: as rows.
        spacing_mm: between rows, or None.
        spacing_plane: "detector", "calibrated" or "".
        pixel_sha256: of the grey values; None where all pixels have one value, as two empty films are not one.
        thumbnail: (row, column, 3) uint8.
    """

    suffix: str
    patient: Patient = field(default_factory=Patient, repr=False)
    study: Study = field(default_factory=lambda: Study(uid=""), repr=False)
    series: Series = field(default_factory=lambda: Series(uid="", modality=""), repr=False)
    case: str = field(default="", repr=False)
    sop_uid: str = ""
    view: str = ""
    side: str = ""
    rows: int = 0
    columns: int = 0
    spacing_mm: float | None = None
    spacing_plane: str = ""
    pixel_sha256: str | None = None
    thumbnail: NDArray[np.uint8] = field(repr=False)


def read_film(path: Path) -> Film:
    """Read a file as a film of the archive.

    Raises:
        NotAFilmError: it is sound, but not a single radiograph; the reason is in the message.
        InputError: damaged, or cannot be read.
    """
    try:
        found = read_elements(path, wanted=_WANTED)
        if path.stat().st_size > limit(PICTURE_BYTES):
            raise NotAFilmError(f"larger than {limit(PICTURE_BYTES) // 2**20} MiB ({VARIABLE} allows more)")
        suffix = ".dcm" if found is not None else _picture_suffix(path)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or type(error).__name__}") from error
    if found is not None:
        _require_image(found)
    try:
        with ThirdParty("damaged, its content cannot be followed"):
            picture = load_radiograph(path, any_scale=True)
    except (UnsupportedError, NotThisTaskError) as error:
        raise NotAFilmError(str(error)) from error
    said = _said_by(found) if found is not None else {}
    rows, columns = picture.pixels.shape
    return Film(
        suffix=suffix,
        view=picture.view,
        side=picture.laterality,
        rows=rows,
        columns=columns,
        spacing_mm=picture.spacing_mm[0] if picture.spacing_mm else None,
        spacing_plane=picture.spacing_plane,
        pixel_sha256=_pixel_hash(picture),
        thumbnail=_thumbnail(picture),
        **said,  # type: ignore[arg-type]  # each of its own kind
    )


def _picture_suffix(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(8)
    if is_zip(path):
        raise NotAFilmError("an archive inside the source: name it itself to take it in")
    suffix = next((suffix for magic, suffix in _PICTURES.items() if start.startswith(magic)), "")
    if not suffix:
        raise NotAFilmError("neither DICOM nor a picture (PNG, JPEG, TIFF, BMP)")
    return suffix


def _require_image(found: Elements) -> None:
    if found.damage is not None:
        raise InputError(f"damaged DICOM: {found.damage}")
    if found.pixel_offset < 0:
        raise NotAFilmError(f"DICOM without pixels ({header.modality_of(found) or UNKNOWN})")
    count = (header.numbers(found.values.get(header.FRAMES)) or (1.0,))[0]
    if count > 1:
        raise NotAFilmError(f"DICOM of {count:.0f} images: a film is one")
    if not header.is_film(found):
        raise NotAFilmError(f"an image of {header.modality_of(found) or UNKNOWN}, not a radiograph")
    if is_raw(found):
        raise NotAFilmError("FOR PROCESSING, raw counts of the detector: take in the image FOR PRESENTATION")


def _said_by(found: Elements) -> dict[str, object]:
    get = found.values.get
    return {
        "patient": header.read_patient(found),
        "study": header.read_study(found) if _text(found, header.STUDY_UID) else Study(uid=""),
        "series": header.read_series(found),
        "case": header.text(get(ADMISSION_ID), get(header.CHARACTER_SET)),
        "sop_uid": _text(found, header.SOP_INSTANCE_UID) or _text(found, header.MEDIA_SOP_INSTANCE),
    }


def _text(found: Elements, tag: int) -> str:
    return header.text(found.values.get(tag))


def _pixel_hash(picture: Radiograph) -> str | None:
    pixels = np.ascontiguousarray(picture.pixels, dtype=np.float32)
    if (pixels == pixels.flat[0]).all():
        return None
    digest = hashlib.sha256(pixels.data)
    digest.update(repr(pixels.shape).encode())
    return digest.hexdigest()


def _thumbnail(picture: Radiograph) -> NDArray[np.uint8]:
    import cv2

    rows, columns = picture.pixels.shape
    factor = min(1.0, THUMBNAIL / max(rows, columns))
    size = (max(1, round(columns * factor)), max(1, round(rows * factor)))
    step = max(1, max(rows, columns) // (2 * THUMBNAIL))  # averaging all pixels takes three times as long
    pixels = picture.pixels[::step, ::step].astype(np.float32)
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    grey = np.rint(Radiograph(small, full_scale=picture.full_scale).scaled() * 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
