"""The frames of a DICOM Segmentation of any type: binary, fractional, label map; plain, deflated or compressed."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydicom.encaps import generate_frames

from osteon.errors import InputError, UnsupportedError
from osteon.io.dicom.decode import claimed_shape, stored_values
from osteon.io.dicom.elements import read_elements
from osteon.io.dicom.header import WANTED, read_frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

__all__ = ["seg_planes"]

DEFLATED_FRAMES: Final = "1.2.840.10008.1.2.8.1"
JPEG_2000: Final = "1.2.840.10008.1.2.4.9"
"""So begin both transfer syntaxes of JPEG 2000, in which single bits are written too."""


def seg_planes(dataset: Dataset, path: Path) -> Iterator[NDArray[Any]]:
    """The frames one at a time, (row, column), above 0 where a segment is; in a label map, the number of the segment.

    A fractional segmentation is cut at one half.

    Args:
        dataset: the segmentation.
        path: its file.

    Raises:
        InputError: damaged or truncated pixels.
        UnsupportedError: no decoder for this encoding.
    """
    if dataset.SegmentationType == "BINARY":
        yield from _bits(dataset, path)
        return
    elements = read_elements(path, wanted=WANTED)
    whole = None if elements is None else read_frame(path, elements)
    if whole is None or whole.damage is not None:
        raise InputError(f"{path.name} cannot be read: {'damaged' if whole is None else whole.damage}")
    half = int(dataset.get("MaximumFractionalValue") or 1) / 2
    for number in range(1, int(dataset.NumberOfFrames) + 1):
        plane = stored_values(replace(whole, number=number))
        yield plane >= half if dataset.SegmentationType == "FRACTIONAL" else plane


def _bits(dataset: Dataset, path: Path) -> Iterator[NDArray[np.bool_]]:
    """Binary frames, which follow each other bit by bit (PS3.5 8.2), or are each deflated by itself (A.4.13)."""
    rows, columns, frames = int(dataset.Rows), int(dataset.Columns), int(dataset.NumberOfFrames)
    size = rows * columns
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == DEFLATED_FRAMES:
        for frame in generate_frames(dataset.PixelData, number_of_frames=frames):
            data = zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(frame, -(-size // 8))
            packed = np.frombuffer(data, dtype=np.uint8)
            yield np.unpackbits(packed, bitorder="little")[:size].reshape(rows, columns).astype(np.bool_)
        return
    if syntax.is_encapsulated:
        if not syntax.startswith(JPEG_2000):
            name = syntax.name
            raise UnsupportedError(f"{path.name} is a binary segmentation encoded as {name}: export it uncompressed")
        import imagecodecs

        for data in generate_frames(dataset.PixelData, number_of_frames=frames):
            if claimed_shape(data) != (rows, columns, 1):
                raise InputError(
                    f"{path.name}: a compressed frame is not of {rows} x {columns} pixels: export it again"
                )
            yield np.asarray(imagecodecs.jpeg2k_decode(data)).reshape(rows, columns) > 0
        return
    packed = np.frombuffer(dataset.PixelData, dtype=np.uint8)
    for frame in range(frames):
        start, last = frame * size, (frame + 1) * size
        bits = np.unpackbits(packed[start // 8 : -(-last // 8)], bitorder="little")
        yield bits[start % 8 : start % 8 + size].reshape(rows, columns).astype(np.bool_)
