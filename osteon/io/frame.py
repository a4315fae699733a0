"""One image plane of a DICOM file: where its pixels are and how they become values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Frame", "PixelFormat"]


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How the numbers of a frame are stored.

    Attributes:
        rows: of the frame.
        columns: of the frame.
        samples: per pixel; 1 is grey.
        bits_allocated: 8, 16 or 32.
        bits_stored: of these, used.
        high_bit: position of the highest used bit.
        signed: two's complement.
        transfer_syntax: UID of the encoding.
    """

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    transfer_syntax: str

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        return self.rows * self.columns * self.samples * self.bits_allocated // 8


@dataclass(frozen=True, slots=True)
class Frame:
    """A plane of pixels with its place, all numbers as the file says them; unreadable numbers are NaN.

    Attributes:
        path: the file.
        number: 1-based frame number of a multi-frame image, else None.
        frames_in_file: how many planes the file holds.
        sop_instance_uid: of the image.
        pixels: storage format.
        offset: byte where the pixel data begin in the file (deflated: in the inflated data set); -1 when there are
        none.
        length: bytes of the pixel data; -1 when encapsulated.
        position: Image Position (Patient), LPS mm, or None when absent.
        orientation: Image Orientation (Patient), six cosines, or None.
        spacing: Pixel Spacing, mm between (rows, columns), or None.
        thickness: Slice Thickness, mm, or None.
        step: Spacing Between Slices, mm, or None.
        rescale: (slope, intercept); None when the file has none.
        padding: smallest and largest stored value that means "no data", or None.
        image_type: upper case values of Image Type.
        frame_of_reference_uid: or "".
        split_keys: values that may tell two acquisitions of one place apart, in the order of
        ``dicom.header.SPLIT_KEYS``.
        lossy: whether the pixels went through lossy compression.
        damage: why the pixels cannot be read, or None.
        is_inverted: whether the lowest value is white (MONOCHROME1).
    """

    path: Path = field(repr=False)
    number: int | None
    frames_in_file: int
    sop_instance_uid: str
    pixels: PixelFormat
    offset: int
    length: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    thickness: float | None
    step: float | None
    rescale: tuple[float, float] | None
    padding: tuple[int, int] | None
    image_type: tuple[str, ...]
    frame_of_reference_uid: str
    split_keys: tuple[str, ...]
    lossy: bool
    damage: str | None = None
    is_inverted: bool = False
