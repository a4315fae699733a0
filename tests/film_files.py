"""Writes one small DICOM radiograph at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from osteon.data import Radiograph, Source

CR = "1.2.840.10008.5.1.4.1.1.1"
DX = "1.2.840.10008.5.1.4.1.1.1.1"


def film(stored: NDArray[Any], *, sop_class: str = CR, **attributes: object) -> Dataset:
    """A CR without a window, spacing or side; attributes by keyword, None removes one."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, "1.2.3.9"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    ds.Modality, ds.PatientID, ds.PatientName = "CR", "P1", "Test^One"
    ds.Rows, ds.Columns = stored.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = stored.dtype.itemsize * 8
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    ds.PixelData = stored.tobytes() + b"\0" * (stored.nbytes % 2)
    for keyword, value in attributes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    if "HighBit" not in attributes:
        ds.HighBit = ds.BitsStored - 1
    return ds


def save(ds: Dataset, path: Path, *, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write it with the meta information of the syntax; big endian and implicit too."""
    if "PixelData" in ds:
        ds["PixelData"].VR = "OW" if ds.BitsAllocated > 8 else "OB"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPInstanceUID = "1.2.3.9"
    meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", CR)
    ds.file_meta, ds.preamble = meta, b"\0" * 128
    ds.save_as(path, enforce_file_format=True)
    return path


def lut(
    entries: NDArray[Any] | bytes, *, first: int = 0, count: int | None = None, bits: int = 16, signed: bool = False
) -> Dataset:
    """An item of a LUT sequence, its descriptor as said and its data as words, or as the bytes that are given."""
    item = Dataset()
    vr = "SS" if signed else "US"
    item.add_new(0x00283002, vr, [len(entries) if count is None else count, first, bits])
    data = entries if isinstance(entries, bytes) else np.asarray(entries, dtype="<u2").tobytes()
    item.add_new(0x00283006, "OW", data)
    return item


def codes(value: str, scheme: str, meaning: str) -> Sequence:
    """A code sequence of one item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


def notices(image: Radiograph) -> set[str]:
    """Codes of what was said of reading it."""
    assert isinstance(image.source, Source)
    return {notice.code for notice in image.source.notices}


def written(
    path: Path,
    stored: NDArray[Any],
    *,
    syntax: str = ExplicitVRLittleEndian,
    **attributes: Any,  # noqa: ANN401
) -> Path:
    """A film of these attributes as a file."""
    return save(film(stored, **attributes), path, syntax=syntax)
