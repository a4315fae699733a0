"""One image of a data set as numbers from 0 to 1: PNG, JPEG, a DICOM image or a NIfTI slice."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.errors import InputError, UnsupportedError
from osteon.io.nifti import is_nifti_name
from osteon.io.whole_file import whole_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["read_image", "stored_picture", "write_png16"]

PNG: Final = b"\x89PNG\r\n\x1a\n"
JPEG: Final = b"\xff\xd8\xff"
BLUE_GREEN_RED: Final = np.array([0.114, 0.587, 0.299], dtype=np.float32)
"""Luminance of a colour, ITU-R BT.601."""

PHOTOMETRIC: Final = 0x00280004
MODALITY: Final = 0x00080060
HIGHEST_16: Final = 65535.0


def read_image(path: Path, *, frame: int | None = None) -> NDArray[np.float32]:
    """Read one grey image.

    A picture (PNG, JPEG and what else OpenCV decodes) is divided by the largest number of its bit depth (255 or 65535);
    colour becomes luminance, transparency is ignored, pixels stay as stored (no EXIF rotation). A DICOM image or NIfTI
    slice has units of its own (HU) and no largest number: it is scaled so that its smallest value is 0 and its largest
    1; a constant one is all 0. A DICOM image stored as MONOCHROME1 (radiographs: white is low) is inverted.

    Args:
        path: judged by its content; NIfTI by its name.
        frame: which image of a multi-frame DICOM file or slice of a NIfTI volume, counted from 0; None demands that
            there is only one.

    Returns:
        (row, column) float32, 0 to 1.

    Raises:
        InputError: no such file, truncated or damaged, several images in it and no frame named.
        UnsupportedError: a kind of image that cannot be read.
    """
    try:
        if is_nifti_name(path):
            path.stat()
            return _spread(_nifti(path, frame))
        data = path.read_bytes()
        if data.startswith((PNG, JPEG)):
            return _picture(data, path.name, frame)
        grey = _dicom(path, frame)
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror or type(error).__name__}") from error
    return _picture(data, path.name, frame) if grey is None else grey


def write_png16(path: Path, picture: NDArray[np.floating[Any]]) -> None:
    """Write a grey picture as a 16-bit PNG, whole or not at all.

    Args:
        path: of the file; its folder must be there.
        picture: (row, column), 0 to 1; read back it differs by at most half a 65535th.

    Raises:
        InputError: values outside 0 to 1.
        OutputError: cannot be written.
    """
    import cv2

    if not (picture.size and float(picture.min()) >= 0.0 and float(picture.max()) <= 1.0):
        raise InputError(f"{path.name}: a picture to be written must hold values from 0 to 1 and at least one pixel")
    _, data = cv2.imencode(".png", np.rint(picture.astype(np.float64) * HIGHEST_16).astype(np.uint16))
    with whole_file(path) as work:
        work.write_bytes(data.tobytes())


def _spread(values: NDArray[Any]) -> NDArray[np.float32]:
    """Smallest value to 0, largest to 1."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.zeros(values.shape, dtype=np.float32)
    return np.asarray((values - np.float64(low)) / (high - low), dtype=np.float32)


def _only(frame: int | None, count: int, name: str) -> int:
    """Which of several images is meant."""
    if frame is None and count != 1:
        raise InputError(f"{name} holds {count} images: extract one, or say which")
    wanted = frame or 0
    if not 0 <= wanted < count:
        raise InputError(f"{name}: image {wanted} was asked for, it holds {count}, counted from 0")
    return wanted


def _picture(data: bytes, name: str, frame: int | None) -> NDArray[np.float32]:
    _only(frame, 1, name)
    image = stored_picture(data, name)
    highest = np.float32(255.0 if image.dtype == np.uint8 else HIGHEST_16)
    if image.ndim == 3 and image.shape[2] >= 3:
        # summed first: equal channels give their own value back to the last digit but one
        return np.asarray(image[:, :, :3].astype(np.float32) @ BLUE_GREEN_RED / highest).clip(0.0, 1.0)
    grey = image if image.ndim == 2 else image[:, :, 0]
    return np.asarray(grey.astype(np.float32) / highest)


def stored_picture(data: bytes, name: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The numbers of a picture as they are stored.

    Args:
        data: the file.
        name: of it, for errors.

    Returns:
        (row, column), or (row, column, channel) with blue first; 8 or 16 bits, pixels as stored (no EXIF rotation).

    Raises:
        InputError: truncated or damaged, or no picture.
        UnsupportedError: other bit depths.
    """
    import cv2

    if not _is_whole(data):
        raise InputError(f"{name} is truncated or damaged: copy it again")
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    except cv2.error:
        image = None
    if image is None:
        raise InputError(f"{name} is damaged, or no image that can be read (PNG, JPEG, DICOM, NIfTI)")
    if image.dtype not in (np.uint8, np.uint16):
        raise UnsupportedError(f"{name} holds {image.dtype} pixels: 8 or 16 bits are read; convert it")
    return np.asarray(image)


def _is_whole(data: bytes) -> bool:
    """Whether a PNG or JPEG is all there; decoders fill what is missing and say nothing."""
    if data.startswith(JPEG):
        return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda") > 0
    if not data.startswith(PNG):
        return True
    place = len(PNG)
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        body = data[place + 4 : place + 8 + length]
        check = data[place + 8 + length : place + 12 + length]
        if int.from_bytes(check, "big") != zlib.crc32(body) or len(check) != 4:
            return False
        if body[:4] == b"IEND":
            return True
        place += 12 + length
    return False


def _dicom(path: Path, frame: int | None) -> NDArray[np.float32] | None:
    """A DICOM image, or None when the file is none."""
    from osteon.io.dicom.decode import stored_values
    from osteon.io.dicom.elements import read_elements
    from osteon.io.dicom.header import WANTED, read_frame, text
    from osteon.io.dicom.multiframe import split_frames
    from osteon.io.dicom.rescale import to_float32

    elements = read_elements(path, wanted=WANTED | {PHOTOMETRIC})
    if elements is None:
        return None
    if elements.damage is not None or elements.pixel_offset < 0:
        raise InputError(f"{path.name} is DICOM without readable pixels: {elements.damage or 'it holds no image'}")
    whole = read_frame(path, elements)
    if whole.damage is not None:
        raise InputError(f"{path.name} cannot be read: {whole.damage}")
    if whole.pixels.samples != 1:
        raise UnsupportedError(f"{path.name} is a colour DICOM image: only grey ones are read; convert it")
    wanted = _only(frame, whole.frames_in_file, path.name)
    chosen = split_frames(whole)[wanted] if whole.frames_in_file > 1 else whole
    stored = stored_values(chosen)
    values = np.empty(stored.shape, dtype=np.float32)
    to_float32(stored, chosen, out=values, is_ct=text(elements.values.get(MODALITY)).strip() == "CT")
    if not np.isfinite(values).all():
        raise InputError(f"{path.name}: its Rescale Slope or Intercept is broken, the values are not finite")
    grey = _spread(values)
    inverted = text(elements.values.get(PHOTOMETRIC)).strip() == "MONOCHROME1"
    return np.asarray(np.float32(1.0) - grey) if inverted else grey


def _nifti(path: Path, frame: int | None) -> NDArray[np.float32]:
    """A slice in index order (row, column): NIfTI counts columns first."""
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        image = nib.load(path)
        values = np.asarray(image.dataobj, dtype=np.float32).T
    except (ImageFileError, HeaderDataError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path.name} is damaged, or no NIfTI file: send it again") from error
    while values.ndim > 3 and values.shape[0] == 1:
        values = values[0]
    if values.ndim == 2:
        values = values[None]
    if values.ndim != 3 or values.size == 0:
        raise InputError(f"{path.name} has {values.ndim} dimensions: an image has two, or three and one slice")
    if frame is None and 1 in values.shape[1:] and values.shape[0] != 1:
        values = values.transpose(1, 0, 2) if values.shape[1] == 1 else values.transpose(2, 0, 1)
    plane = values[_only(frame, values.shape[0], path.name)]
    if not np.isfinite(plane).all():
        raise InputError(f"{path.name} holds NaN or infinite pixels: replace them")
    return np.asarray(plane)
