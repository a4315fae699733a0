"""Images of one plane (PNG, JPEG, a DICOM image, a NIfTI slice) as a Radiograph, masks, and pictures to write."""

from __future__ import annotations

import io
import math
import struct
import warnings
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.data import Notice, Radiograph, Series
from osteon.errors import InputError, OsteonError, ThirdParty, UnsupportedError
from osteon.geometry import Grid
from osteon.io.dicom.decode import claimed_shape
from osteon.io.inventory import SeriesEntry, require_memory
from osteon.io.limits import PICTURE_BYTES, VARIABLE, limit
from osteon.io.nifti import is_nifti_name, open_nifti
from osteon.io.picture_header import CAMERA_COUNTS, picture_header, used_bits
from osteon.io.whole_file import file_bytes, require_file, write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.io.dicom.elements import Elements
    from osteon.io.inventory import Progress


__all__ = [
    "check_used_bits",
    "is_picture",
    "load_film",
    "load_picture",
    "load_radiograph",
    "picture_entry",
    "read_image",
    "read_mask_image",
    "stored_picture",
    "write_colour",
    "write_png8",
    "write_png16",
]


PNG: Final = b"\x89PNG\r\n\x1a\n"
PNG_CHANNELS: Final = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
"""By the colour type of its header; a palette is decoded."""

JPEG: Final = b"\xff\xd8\xff"
BLUE_GREEN_RED: Final = np.array([0.114, 0.587, 0.299], dtype=np.float32)
"""Luminance of a colour, ITU-R BT.601."""

HIGHEST_16: Final = 65535.0
INT16_MAX: Final = 32767

_NOT_KNOWN = Notice(
    "picture-without-scale",
    "A picture says neither its modality nor how large a pixel is: no length is given, left and right are not named, "
    "and no DICOM object is written.",
    "warning",
)

_ALL_BITS: Final = struct.pack(">I5sI", 1, b"sBIT\x10", zlib.crc32(b"sBIT\x10"))

_JPEG_NOISE: Final = 63
"""How far JPEG moves a pixel of 0 or 255 (measured on ellipses: by 43 at quality 75, by 8 at 95)."""


def read_image(path: Path, *, frame: int | None = None, any_scale: bool = False) -> NDArray[np.float32]:
    """The pixels of :func:`load_radiograph` as numbers from 0 to 1.

    Returns:
        (row, column) float32; a picture against the largest number of its bit depth, an image with a unit of its own
        (DICOM, NIfTI) from its smallest value to its largest.
    """
    return load_radiograph(path, frame=frame, any_scale=any_scale).scaled()


def load_radiograph(
    path: Path, *, frame: int | None = None, any_scale: bool = False, window: int | None = None, raw: bool = False
) -> Radiograph:
    """Read one grey image: the function behind data sets and readings.

    Of a picture (PNG, JPEG and what else OpenCV decodes) colour becomes luminance, transparency is ignored, and pixels
    are turned as EXIF says, as a viewer shows them. The full scale of 16 bits is that of the bits that PNG's sBIT
    declares where the values were not moved to the upper ones.

    A DICOM radiograph (CR, DX, RF, XA, secondary capture) is read by the rule book of ``osteon.io.dicom.film``: its
    window applied, bright is dense, and its source says what was left out. Of another DICOM image the rescaled values
    are given; stored as MONOCHROME1 (low is white) it is turned over.

    Args:
        path: recognised by its content; NIfTI by its name.
        frame: which image of a multi-frame DICOM file or slice of a NIfTI volume, counted from 0; None demands that
            there is only one.
        any_scale: the picture will be stretched, so that it does not matter how many of 16 bits it uses.
        window: of a DICOM radiograph, which of its VOI LUTs and then windows, from 0; None takes the first.
        raw: a DICOM radiograph FOR PROCESSING is read too, and marked by a notice.

    Raises:
        InputError: no such file, truncated or damaged, several images in it and no frame named, a DICOM radiograph FOR
            PROCESSING, or 16 bits of which only the lowest sixteenth is used and nothing says how many were meant.
        UnsupportedError: a kind of image that cannot be read.
    """
    try:
        require_file(path)
        if is_nifti_name(path):
            path.stat()
            return Radiograph(_nifti(path, frame))
        data = file_bytes(path)
        if data.startswith((PNG, JPEG)):
            return _picture(data, path.name, frame, any_scale=any_scale)
        grey = _dicom(path, frame, window=window, raw=raw)
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror or type(error).__name__}") from error
    return _picture(data, path.name, frame, any_scale=any_scale) if grey is None else grey


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
    whole, end = data.tobytes(), len(PNG) + 25
    write_whole(path, whole[:end] + _ALL_BITS + whole[end:])  # after the header: a dark picture uses 16 bits too


def _only(frame: int | None, count: int, name: str) -> int:
    """Which of several images is meant."""
    if frame is None and count != 1:
        raise InputError(f"{name} holds {count} images: extract one, or say which")
    wanted = frame or 0
    if not 0 <= wanted < count:
        raise InputError(f"{name}: image {wanted} was asked for, it holds {count}, counted from 0")
    return wanted


def _picture(data: bytes, name: str, frame: int | None, *, any_scale: bool) -> Radiograph:
    image, declared = stored_picture(data, name, frame=frame), picture_header(data).bits
    if not (declared or any_scale):
        check_used_bits(image, name)
    full_scale = _full_scale(image, declared)
    if image.ndim == 3 and image.shape[2] >= 3:
        # summed first: equal channels give their own value back to the last digit but one
        return Radiograph(image[:, :, :3].astype(np.float32) @ BLUE_GREEN_RED, full_scale=full_scale)
    grey = image if image.ndim == 2 else image[:, :, 0]
    return Radiograph(grey.astype(np.float32), full_scale=full_scale)


def _full_scale(image: NDArray[Any], declared: int = 0) -> float:
    return 255.0 if image.dtype == np.uint8 else float((1 << used_bits(image, declared)) - 1)


def check_used_bits(image: NDArray[Any], name: str) -> None:
    """Refuse 16-bit values of which nobody can say what is white.

    Raises:
        InputError: all values are in the lowest sixteenth, and not all are 0.
    """
    highest = int(image.max(initial=0))
    if image.dtype == np.uint16 and 0 < highest < CAMERA_COUNTS:
        raise InputError(
            f"{name} has 16 bits and nothing above {highest}, as a detector of {highest.bit_length()} to 12 bits "
            "counts, and does not say so: which value is white is not known. Multiply its values (of 12 bits by 16), "
            "write PNG's sBIT, or export 8 bits"
        )


def stored_picture(data: bytes, name: str, *, frame: int | None = None) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The numbers of a picture file, turned as EXIF says; ``name`` is for errors.

    Args:
        data: of the file.
        name: of the file.
        frame: which of several pictures, from 0; None demands that there is only one.

    Returns:
        (row, column), or (row, column, channel) with blue first; 8 or 16 bits.

    Raises:
        InputError: truncated or damaged, no picture, or several and none chosen.
        UnsupportedError: other bit depths.
    """
    import cv2

    if not _is_whole(data):
        raise InputError(f"{name} is truncated or damaged: copy it again")
    damaged = f"{name} is damaged, or no image that can be read (PNG, JPEG, DICOM, NIfTI)"
    first = frame or 0
    with ThirdParty(damaged):
        size = _decoded_bytes(data, first)
    if size > limit(PICTURE_BYTES):
        most = f"{limit(PICTURE_BYTES) / 2**30:.3g} GiB"
        raise InputError(
            f"{name} would decode to {size / 2**30:.3g} GiB, more than the {most} that a picture may have: cut or "
            f"shrink it, write a slide as a tiled TIFF, or raise the limits ({VARIABLE})"
        )
    header, encoded = picture_header(data), np.frombuffer(data, dtype=np.uint8)
    if data.startswith((PNG, JPEG)):
        _only(frame, header.pictures, name)
    with ThirdParty(damaged):
        if data.startswith((PNG, JPEG)):
            image = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
        else:  # the first two are decoded: how many follow is not asked
            _, pages = cv2.imdecodemulti(encoded, cv2.IMREAD_UNCHANGED, range=(first, first + 2))
            if frame is None and len(pages) > 1:
                shapes = " and ".join(f"{page.shape[0]} x {page.shape[1]}" for page in pages)
                raise InputError(f"{name} holds several images (the first: {shapes}): extract one, or say which")
            image = pages[0] if pages else cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED) if not first else None
    if image is None:
        raise InputError(damaged)
    if image.dtype not in (np.uint8, np.uint16):
        raise UnsupportedError(f"{name} holds {image.dtype} pixels: 8 or 16 bits are read; convert it")
    return header.upright(np.asarray(image))


def _decoded_bytes(data: bytes, first: int) -> int:
    """How many bytes are decoded of a picture, by its header alone; 0 where that does not say it.

    Args:
        data: of the file.
        first: of several pictures the number of one, from 0, which is decoded with the one behind it.

    Raises:
        Exception: of Pillow, when it is not a picture.
    """
    if data.startswith(PNG):
        columns, rows, bits, colours = struct.unpack_from(">IIBB", data, 16)
        return int(columns * rows * PNG_CHANNELS.get(colours, 4) * max(1, bits // 8))
    if data.startswith(JPEG):
        return math.prod(claimed_shape(data) or (0,))
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # measured here
        with Image.open(io.BytesIO(data)) as image:
            size = 0
            for number in (first, first + 1):
                try:
                    image.seek(number)
                except EOFError:  # no picture of that number
                    break
                deep = 1 if image.mode in {"1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LA"} else 4
                size += image.width * image.height * len(image.getbands()) * deep
            return size


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


def _dicom(path: Path, frame: int | None, *, window: int | None, raw: bool) -> Radiograph | None:
    """A DICOM image, or None when the file is none."""
    from osteon.io.dicom.decode import stored_values, to_float32
    from osteon.io.dicom.elements import read_elements
    from osteon.io.dicom.film import read_film, require_film
    from osteon.io.dicom.header import WANTED, is_film, modality_of, read_frame, split_frames

    elements = read_elements(path, wanted=WANTED)
    if elements is None:
        return None
    if elements.damage is not None or elements.pixel_offset < 0:
        raise InputError(f"{path.name} is DICOM without readable pixels: {elements.damage or _no_image(elements)}")
    if is_film(elements):
        require_film(path, elements, raw=raw)
    whole = read_frame(path, elements)
    if whole.damage is not None:
        raise InputError(f"{path.name} cannot be read: {whole.damage}")
    if whole.pixels.samples != 1 and not is_film(elements):
        raise UnsupportedError(f"{path.name} is a colour DICOM image: only grey ones are read; convert it")
    wanted = _only(frame, whole.frames_in_file, path.name)
    chosen = split_frames(whole)[wanted] if whole.frames_in_file > 1 else whole
    if is_film(elements):
        return read_film(chosen, elements, window=window)
    stored = stored_values(chosen)
    values = np.empty(stored.shape, dtype=np.float32)
    to_float32(stored, chosen, out=values, is_ct=modality_of(elements) == "CT")
    if not np.isfinite(values).all():
        raise InputError(f"{path.name}: its Rescale Slope or Intercept is broken, the values are not finite")
    if chosen.is_inverted:
        values = np.float32(float(values.min()) + float(values.max())) - values
    return Radiograph(values, modality=modality_of(elements))


def _no_image(elements: Elements) -> str:
    """What a DICOM file without an image is, in words."""
    from osteon.io.dicom.header import sop_class_of

    if not sop_class_of(elements):
        return "it holds no image"
    from pydicom.uid import UID

    name = UID(sop_class_of(elements)).name
    return f"it holds no image, but is of {name if name[:1].isalpha() else 'a class that is not known'}"


def _nifti(path: Path, frame: int | None) -> NDArray[np.float32]:
    """A slice in index order (row, column): NIfTI counts columns first."""
    image = open_nifti(path)
    require_memory(image.shape, what=path.name)
    with ThirdParty(f"{path.name} is damaged, or no NIfTI file: send it again"):
        values = np.asarray(image.dataobj, dtype=np.float32).T
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
        grid = Grid.of_pixels(rows, columns)
    except OsteonError as error:
        problem = str(error)
    return SeriesEntry(
        kind="picture",
        series=Series(uid=path.name, modality=""),
        location=location,
        n_images=1,
        grid=grid,
        problem=problem,
        notices=(_NOT_KNOWN,),
        path=path,
    )


def load_picture(entry: SeriesEntry, *, progress: Progress | None = None) -> Radiograph:
    """Read a grey picture.

    Args:
        entry: from ``picture_entry``.
        progress: called as ``progress("decode", done, total)``.

    Returns:
        Its pixels as stored: int16, or float32 where 16 bits are used to the full. The modality is "".

    Raises:
        InputError: a problem of the entry, or one value everywhere.
    """
    if entry.path is None or entry.grid is None:
        raise InputError(f"the picture cannot be read: {entry.problem or 'it is none'}")
    grey = _grey(entry.path)
    low, high = int(grey.min()), int(grey.max())
    if low == high:
        raise InputError(f"{entry.path.name}: every pixel has the value {low}; it shows nothing")
    pixels: NDArray[Any] = grey.astype(np.int16 if high <= INT16_MAX else np.float32)
    if progress is not None:
        progress("decode", 1, 1)
    return Radiograph(pixels, full_scale=_full_scale(grey), source=entry.source())


def load_film(entry: SeriesEntry, *, progress: Progress | None = None) -> Radiograph:
    """Read the DICOM radiograph of an entry by :func:`load_radiograph`.

    Args:
        entry: a film, as ``find_images`` finds it.
        progress: called as ``progress("decode", done, total)``.

    Raises:
        InputError: a problem of the entry, or as ``load_radiograph``.
        UnsupportedError: as ``load_radiograph``.
    """
    if entry.path is None or entry.problem is not None:
        raise InputError(f"the radiograph cannot be read: {entry.problem or 'it is none'}")
    film = load_radiograph(entry.path)
    if progress is not None:
        progress("decode", 1, 1)
    if film.source is None:
        return film
    known = {notice.code for notice in entry.notices}
    told = (*entry.notices, *(notice for notice in film.source.notices if notice.code not in known))
    return replace(film, source=replace(film.source, location=entry.location, notices=told))


def _grey(path: Path) -> NDArray[Any]:
    """(row, column), as stored."""
    return _one_channel(
        stored_picture(file_bytes(path), path.name),
        f"{path.name} is a colour picture: a slice is grey; export the image itself, without overlays or colour tables",
    )


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
    write_whole(path, data.tobytes())


def read_mask_image(path: Path, *, shape: tuple[int, int] | None = None) -> NDArray[np.bool_]:
    """Read a mask as it was drawn: nothing is resized, nothing is guessed.

    A mask holds 0 outside and one other value inside: 1, or the largest number of its bits (255, 65535). JPEG blurs
    what it stores: there every pixel must be nearer than 64 to 0 or to 255, and a mask that is not empty must reach
    the bright part. A coloured file is a mask when its channels are equal; transparency is ignored.

    Args:
        path: PNG, JPEG or what else OpenCV decodes; recognised by its content.
        shape: rows and columns that it must have, those of its image.

    Returns:
        (row, column), True inside.

    Raises:
        InputError: no such file, damaged, other values, colours, or another size.
        UnsupportedError: a kind of image that cannot be read.
    """
    data = file_bytes(path)
    stored = stored_picture(data, f"the mask {path.name}")
    if shape is not None and stored.shape[:2] != shape:
        raise InputError(
            f"the mask {path.name} has {stored.shape[0]} x {stored.shape[1]} pixels, its image has "
            f"{shape[0]} x {shape[1]}: draw it on that image, or export both at one size"
        )
    coloured = f"the mask {path.name} is coloured: write it in grey, 0 outside and 255 inside"
    values = _one_channel(stored, coloured)
    return _blurred(values, path.name) if data.startswith(JPEG) else _exact(values, path.name)


def _one_channel(stored: NDArray[Any], refusal: str) -> NDArray[Any]:
    """(row, column) of a grey picture, or of a coloured one whose channels are equal; else an InputError."""
    if stored.ndim == 2:
        return stored
    colours = stored[:, :, : 3 if stored.shape[2] >= 3 else 1]
    if (colours != colours[:, :, :1]).any():
        raise InputError(refusal)
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
            f"the JPEG mask {name} holds values up to {highest} and none near 255: its labels cannot be "
            "distinguished from the noise of JPEG; export it as PNG, or as 0 and 255"
        )
    return np.asarray(values > 127)


def write_png8(path: Path, picture: NDArray[np.uint8] | NDArray[np.bool_]) -> None:
    """Write a grey picture, or a mask as 0 and 255, (row, column), as an 8-bit PNG, whole or not at all.

    Raises:
        InputError: no pixel.
        OutputError: cannot be written.
    """
    import cv2

    if picture.ndim != 2 or not picture.size:
        raise InputError(f"{path.name}: a picture to be written needs two axes and a pixel, found {picture.shape}")
    grey: NDArray[Any] = picture.astype(np.uint8) * np.uint8(255) if picture.dtype == np.bool_ else picture
    _, data = cv2.imencode(".png", np.ascontiguousarray(grey))
    write_whole(path, data.tobytes())
