"""From the bytes of a frame to its pixel values, for every transfer syntax a decoder knows: Hounsfield units for a CT.

Uncompressed pixels are read straight into the caller's memory. Compressed ones go to imagecodecs (libjpeg-turbo,
CharLS,
OpenJPEG, OpenJPH); what it cannot do goes to the decoders that pydicom finds (GDCM, pylibjpeg).
"""

from __future__ import annotations

import sys
from functools import lru_cache
from struct import unpack_from
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.errors import InputError, ThirdParty, UnsupportedError
from osteon.io.dicom.elements import DEFLATED, EXPLICIT_BIG, ITEM, NATIVE, SEQUENCE_END, inflate, meta_end

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.io.inventory import Frame


__all__ = [
    "AIR_AT_MOST_HU",
    "AIR_HU",
    "RangeError",
    "claimed_shape",
    "is_decodable",
    "is_whole",
    "same_pixels",
    "stored_values",
    "to_float32",
    "to_int16",
]


CODECS: Final[dict[str, str]] = {
    "1.2.840.10008.1.2.4.50": "jpeg8",  # JPEG baseline
    "1.2.840.10008.1.2.4.51": "jpeg8",  # JPEG extended, 8 and 12 bits
    "1.2.840.10008.1.2.4.57": "ljpeg",  # JPEG lossless
    "1.2.840.10008.1.2.4.70": "ljpeg",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.80": "jpegls",
    "1.2.840.10008.1.2.4.81": "jpegls",  # near-lossless
    "1.2.840.10008.1.2.4.90": "jpeg2k",  # lossless only
    "1.2.840.10008.1.2.4.91": "jpeg2k",
    "1.2.840.10008.1.2.4.201": "htj2k",  # lossless only
    "1.2.840.10008.1.2.4.202": "htj2k",  # lossless, resolution levels first
    "1.2.840.10008.1.2.4.203": "htj2k",
    "1.2.840.10008.1.2.5": "dicomrle",
}
"""Transfer syntax -> decoder of imagecodecs."""

SAFE_PLUGINS: Final = {"jpeg2k": "pylibjpeg", "htj2k": "pylibjpeg", "dicomrle": "pydicom"}
"""Decoder of imagecodecs -> the one of pydicom's that is asked next: GDCM ends the process on damaged JPEG 2000."""

TRUNCATED: Final = "truncated, the pixels end before they should; send the series again"

AIR_HU: Final = -1024
"""What "no data" becomes in a CT: air, the lowest value of the usual scale."""

AIR_AT_MOST_HU: Final = -500
"""A CT of a body holds air or lung below this; MR and label maps do not."""

LOWEST_TISSUE_HU: Final = -1000
HIGHEST_METAL_HU: Final = 30710
"""The extended CT scale ends here; a padding value above it cannot be a measurement."""

INT16_MIN, INT16_MAX = -32768, 32767


def is_decodable(transfer_syntax: str) -> bool:
    """Whether pixels of this encoding can be read at all."""
    return transfer_syntax in NATIVE or transfer_syntax in CODECS


def stored_values(frame: Frame, *, into: NDArray[np.int16] | None = None) -> NDArray[Any]:
    """Pixel values of one frame as stored, before the modality rescale.

    Args:
        frame: a grey frame.
        into: contiguous (rows, columns) memory that may be used for 16-bit pixels instead of new memory.

    Returns:
        (rows, columns), an integer type of the allocated size with the sign of the pixels. Unused high bits are
        cleared, signs are extended.

    Raises:
        InputError: truncated or damaged pixels, or other pixels than the header says.
        UnsupportedError: no decoder for this encoding.
    """
    pixels = frame.pixels
    if pixels.transfer_syntax in NATIVE:
        stored = _native(frame, into)
    elif pixels.transfer_syntax in CODECS:
        stored = _decoded(frame)
    else:
        raise UnsupportedError(
            f"{frame.path.name}: no decoder for transfer syntax {pixels.transfer_syntax}; convert the series"
        )
    return _significant_bits(stored, frame)


def same_pixels(first: Frame, second: Frame) -> bool:
    """Whether two frames show the same values: equal bytes, or equal pixels after decoding.

    Raises:
        InputError, UnsupportedError: as ``stored_values``.
    """
    if first.pixels == second.pixels and _raw_bytes(first) == _raw_bytes(second):
        return first.rescale == second.rescale
    slope_a, intercept_a = first.rescale or (1.0, 0.0)
    slope_b, intercept_b = second.rescale or (1.0, 0.0)
    a = stored_values(first) * slope_a + intercept_a
    b = stored_values(second) * slope_b + intercept_b
    return bool(np.array_equal(a, b))


def _raw_bytes(frame: Frame) -> bytes:
    """The bytes of a frame as they are in the file: native pixels, or one encapsulated frame."""
    number = (frame.number or 1) - 1
    size = frame.pixels.frame_bytes
    if frame.pixels.transfer_syntax == DEFLATED:
        whole = frame.path.read_bytes()
        inflated, _ = inflate(whole[meta_end(whole) :], most=frame.offset + (number + 1) * size)
        data = inflated[frame.offset + number * size :][:size]
    elif frame.length < 0:
        return _encapsulated(frame)
    else:
        with frame.path.open("rb", buffering=0) as file:
            file.seek(frame.offset + number * size)
            data = file.read(size)
    if len(data) != size:
        raise InputError(f"{frame.path.name}: {TRUNCATED}")
    return data


def _native(frame: Frame, into: NDArray[np.int16] | None) -> NDArray[Any]:
    pixels = frame.pixels
    order = ">" if pixels.transfer_syntax == EXPLICIT_BIG else "<"
    sign = "f" if pixels.is_float else "i" if pixels.signed else "u"
    kind = np.dtype(f"{order}{sign}{pixels.bits_allocated // 8}")
    shape = (pixels.rows, pixels.columns)
    plain = pixels.transfer_syntax != DEFLATED and kind.itemsize == 2
    if into is None or not plain or not into.flags.c_contiguous or into.shape != shape:
        data = np.frombuffer(bytearray(_raw_bytes(frame)), dtype=kind).reshape(shape)
        return data.astype(kind.newbyteorder("="), copy=False)
    target = into.view(np.uint8).data.cast("B")
    with frame.path.open("rb", buffering=0) as file:
        file.seek(frame.offset + ((frame.number or 1) - 1) * pixels.frame_bytes)
        read = file.readinto(target)
    if read != pixels.frame_bytes:
        raise InputError(f"{frame.path.name}: {TRUNCATED}")
    if kind.byteorder == ">":
        into.byteswap(inplace=True)
    return into.view(kind.newbyteorder("="))


def _decoded(frame: Frame) -> NDArray[Any]:
    """Decompress one frame; imagecodecs first."""
    data = _raw_bytes(frame)
    pixels = frame.pixels
    kind = np.dtype(f"{'i' if pixels.signed else 'u'}{pixels.bits_allocated // 8}")
    claimed = claimed_shape(data)
    if claimed is not None and claimed != (pixels.rows, pixels.columns, pixels.samples):
        raise _other_size(frame, claimed)
    try:
        image = _imagecodecs(CODECS[pixels.transfer_syntax], data, kind)
    except (RuntimeError, ValueError, TypeError) as first:
        image = _pydicom_decoders(frame, first)
    image = np.squeeze(image)
    if image.size == pixels.rows * pixels.columns and image.ndim == 1:
        image = image.reshape(pixels.rows, pixels.columns)
    if image.shape != (pixels.rows, pixels.columns):
        raise _other_size(frame, image.shape)
    if image.dtype.itemsize > kind.itemsize:
        raise InputError(f"{frame.path.name}: the compressed image has more bits than the header allows")
    if image.dtype.itemsize < kind.itemsize:
        image = image.astype(kind)
    return np.ascontiguousarray(image).view(kind)


def _other_size(frame: Frame, found: tuple[int, ...]) -> InputError:
    size = " x ".join(str(n) for n in (found[:-1] if len(found) == 3 and found[-1] == 1 else found))
    return InputError(
        f"{frame.path.name}: its header says {frame.pixels.rows} x {frame.pixels.columns} pixels, the compressed image "
        f"holds {size}; the file is damaged, send the series again"
    )


def _imagecodecs(codec: str, data: bytes, kind: np.dtype[Any]) -> NDArray[Any]:
    import imagecodecs

    if codec == "dicomrle":
        if max(unpack_from("<15I", data.ljust(64, b"\0"), 4)) > len(data):  # it would read there, whatever is there
            raise ValueError("a segment begins behind the end")
        return np.frombuffer(bytearray(imagecodecs.dicomrle_decode(data, kind.newbyteorder("<").str)), dtype=kind)
    decode: Callable[[bytes], NDArray[Any]] = getattr(imagecodecs, f"{codec}_decode")
    return decode(data)


def _pydicom_decoders(frame: Frame, first: Exception) -> NDArray[Any]:
    """Whatever pydicom finds (GDCM, pylibjpeg) for pixels that imagecodecs refused."""
    from pydicom import dcmread
    from pydicom.pixels import get_decoder

    reason = str(first).splitlines()[0] if str(first) else type(first).__name__
    with ThirdParty(
        f"{frame.path.name}: the compressed pixels cannot be decoded ({CODECS[frame.pixels.transfer_syntax]}: {reason})"
        "; the file is damaged or does not keep to its transfer syntax"
    ):
        decoder = get_decoder(frame.pixels.transfer_syntax)
        data_set = dcmread(frame.path, force=True)
        plugin = SAFE_PLUGINS.get(CODECS[frame.pixels.transfer_syntax], "")
        image, _ = decoder.as_array(data_set, index=(frame.number or 1) - 1, raw=True, decoding_plugin=plugin)
    return np.asarray(image)


def _encapsulated(frame: Frame) -> bytes:
    """The fragments of one frame, joined (PS3.5 A.4)."""
    table, fragments = _fragments(frame.path, frame.offset)
    number = (frame.number or 1) - 1
    if frame.frames_in_file == 1:
        mine = fragments
    elif len(fragments) == frame.frames_in_file:
        mine = fragments[number : number + 1]
    else:
        starts = [int.from_bytes(table[i : i + 4], "little") for i in range(0, len(table), 4)]
        if len(starts) != frame.frames_in_file or not fragments:
            raise UnsupportedError(
                f"{frame.path.name}: several fragments a frame without an offset table cannot be distinguished"
            )
        # the table counts from the first fragment's item tag, 8 bytes before its value
        origin = fragments[0][0]
        end = starts[number + 1] if number + 1 < len(starts) else sys.maxsize
        mine = tuple(part for part in fragments if starts[number] <= part[0] - origin < end)
    with frame.path.open("rb", buffering=0) as file:
        parts = []
        for offset, length in mine:
            file.seek(offset)
            parts.append(file.read(length))
    return b"".join(parts)


@lru_cache(maxsize=64)
def _fragments(path: Path, offset: int) -> tuple[bytes, tuple[tuple[int, int], ...]]:
    """The basic offset table, and where each fragment's value is, from the item headers alone.

    Cached, because every frame of a multi-frame file asks again.
    """
    found: list[tuple[int, int]] = []
    size = path.stat().st_size
    at = offset
    with path.open("rb") as file:
        while True:
            file.seek(at)
            header = file.read(8)
            if len(header) < 8:
                raise InputError(f"{path.name}: {TRUNCATED}")
            group, element, length = unpack_from("<HHI", header)
            tag = group << 16 | element
            if tag == SEQUENCE_END:
                break
            if tag != ITEM:
                raise InputError(
                    f"{path.name}: damaged, its compressed pixels cannot be followed; send the series again"
                )
            if at + 8 + length > size:
                raise InputError(f"{path.name}: {TRUNCATED}")
            found.append((at + 8, length))
            at += 8 + length
        if not found:
            raise InputError(f"{path.name}: {TRUNCATED}")
        file.seek(found[0][0])
        return file.read(found[0][1]), tuple(found[1:])


def _significant_bits(stored: NDArray[Any], frame: Frame) -> NDArray[Any]:
    """Clear what is above and below the stored bits, and extend the sign.

    What lossy compression moved above the largest number is that number: cleared, white would become black.
    """
    pixels = frame.pixels
    if pixels.is_float:
        return stored
    below = pixels.high_bit + 1 - pixels.bits_stored
    above = pixels.bits_allocated - 1 - pixels.high_bit
    if frame.lossy and pixels.transfer_syntax not in NATIVE and not pixels.signed and not below:
        return np.asarray(np.minimum(stored, stored.dtype.type((1 << pixels.bits_stored) - 1)))
    if above + below and not stored.flags.writeable:
        stored = stored.copy()
    if above:
        np.left_shift(stored, above, out=stored)
    if above + below:
        # the shift right keeps the sign of signed types
        np.right_shift(stored, above + below, out=stored)
    return stored


JPEG_2000_START: Final = b"\xff\x4f\xff\x51"
"""SOC and SIZ: every JPEG 2000 and HTJ2K code stream begins with them (T.800 A.5)."""

NO_FRAME: Final = frozenset({0xC4, 0xC8, 0xCC})
"""Markers among the frame headers (0xC0 to 0xCF) that are none."""

JPEG_LS_FRAME: Final = 0xF7
BOXES_BYTES: Final = 4096
"""Within this many bytes a boxed JPEG 2000 image shows its code stream."""


def claimed_shape(data: bytes) -> tuple[int, int, int] | None:
    r"""Rows, columns and components that one encapsulated frame of JPEG, JPEG-LS or JPEG 2000 claims.

    Returns:
        None when the stream does not say (or says it behind the picture, as JPEG may).

    References:
        ITU-T T.81 B.2.2, T.87 C.2.2, T.800 A.5.1.

    Example:
        >>> claimed_shape(b"\xff\xd8\xff\xf7\x00\x0b\x08\x00\x10\x00\x20\x01\x01\x11\x00")
        (16, 32, 1)
    """
    start = data.find(JPEG_2000_START, 0, BOXES_BYTES)
    if start >= 0:
        if len(data) < start + 42:
            return None
        right, bottom, left, top = unpack_from(">4I", data, start + 8)
        (components,) = unpack_from(">H", data, start + 40)
        return bottom - top, right - left, components
    at = 2 if data[:2] == b"\xff\xd8" else len(data)
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # filling
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # of no length
            at += 2
        elif marker == JPEG_LS_FRAME or (0xC0 <= marker <= 0xCF and marker not in NO_FRAME):
            rows, columns, components = unpack_from(">HHB", data, at + 5)
            return (rows, columns, components) if rows else None
        else:
            at += 2 + int(unpack_from(">H", data, at + 2)[0])
    return None


class RangeError(Exception):
    """Values do not fit in int16."""


def is_whole(frame: Frame) -> bool:
    """Whether stored integers stay integers after the rescale."""
    slope, intercept = frame.rescale or (1.0, 0.0)
    return not frame.pixels.is_float and float(slope).is_integer() and float(intercept).is_integer()


def to_int16(stored: NDArray[Any], frame: Frame, *, out: NDArray[np.int16], is_ct: bool) -> tuple[int, int, int]:
    """Rescale into int16.

    Args:
        stored: integer pixels; may share memory with ``out`` and is then overwritten.
        frame: its slope, intercept and padding; whole numbers.
        out: (rows, columns) int16, written.
        is_ct: whether padding becomes air.

    Returns:
        Smallest and largest value written, and how many pixels were padding.

    Raises:
        RangeError: a value does not fit.
    """
    slope, intercept = (int(value) for value in frame.rescale or (1.0, 0.0))
    empty = _padding(stored, frame) if is_ct else None
    real = stored if empty is None else stored[~empty]
    if real.size:
        ends = int(real.min()) * slope + intercept, int(real.max()) * slope + intercept
        low, high = min(ends), max(ends)
    else:
        low = high = AIR_HU
    if low < INT16_MIN or high > INT16_MAX:
        raise RangeError
    # the results fit, so arithmetic modulo 2^16 gives them exactly, whatever the intermediate values
    narrow = stored.view(np.int16) if stored.dtype.itemsize == 2 else stored.astype(np.int16)
    if slope != 1:
        narrow = np.multiply(narrow, _modulo(slope), out=out)
    np.add(narrow, _modulo(intercept), out=out)
    if empty is None:
        return low, high, 0
    out[empty] = AIR_HU
    return min(low, AIR_HU), max(high, AIR_HU), int(np.count_nonzero(empty))


def to_float32(
    stored: NDArray[Any], frame: Frame, *, out: NDArray[np.float32], is_ct: bool
) -> tuple[float, float, int]:
    """Rescale into float32; as ``to_int16`` for scales that are not whole numbers or do not fit."""
    slope, intercept = frame.rescale or (1.0, 0.0)
    empty = _padding(stored, frame) if is_ct else None
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused by the caller
        out[...] = stored * np.float64(slope) + intercept
    count = 0
    if empty is not None:
        out[empty] = AIR_HU
        count = int(np.count_nonzero(empty))
    return float(out.min()), float(out.max()), count


def _modulo(value: int) -> np.int16:
    return np.int16((value + 32768) % 65536 - 32768)


def _padding(stored: NDArray[Any], frame: Frame) -> NDArray[np.bool_] | None:
    """Where a CT holds no data; None when nowhere.

    A padding value that is also a tissue's value (as 0 HU in a file that sets the tag without meaning it) is no
    padding.
    """
    if frame.padding is None:
        return None
    slope, intercept = frame.rescale or (1.0, 0.0)
    first, last = frame.padding
    ends = first * slope + intercept, last * slope + intercept
    if not (max(ends) <= LOWEST_TISSUE_HU or min(ends) > HIGHEST_METAL_HU):
        return None
    empty = np.asarray(stored == first if first == last else (stored >= first) & (stored <= last))
    return empty if empty.any() else None
