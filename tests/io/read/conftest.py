"""Writes small DICOM series, good and broken, for the tests of reading."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless, generate_uid

ENCODERS: dict[str, Callable[[NDArray[Any]], bytes | bytearray]] = {
    "1.2.840.10008.1.2.4.57": imagecodecs.ljpeg_encode,
    "1.2.840.10008.1.2.4.70": imagecodecs.ljpeg_encode,
    "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_encode,
    "1.2.840.10008.1.2.4.90": lambda image: imagecodecs.jpeg2k_encode(
        image, level=0, codecformat="j2k", reversible=True
    ),
    "1.2.840.10008.1.2.4.201": lambda image: imagecodecs.htj2k_encode(image, reversible=True),
}


@dataclass
class SeriesSpec:
    """What to write; ``stored`` are the pixel values as stored, (slice, row, column)."""

    stored: NDArray[Any]
    slope: float | None = 1
    intercept: float | None = -1024
    spacing: tuple[float, float] = (1.5, 1.0)
    step: tuple[float, float, float] = (0.0, 0.0, 2.0)
    origin: tuple[float, float, float] = (-10.0, 20.0, -300.0)
    orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0)
    thickness: float | None = 2.0
    modality: str = "CT"
    syntax: str = ExplicitVRLittleEndian
    bits_stored: int | None = None
    series_uid: str = field(default_factory=generate_uid)
    series_number: int = 1
    frame_of_reference: str = "1.2.3.4"
    patient_id: str = "P1"
    patient_name: str = "Test^One"
    prefix: str = "image"
    edit: Callable[[Dataset, int], None] | None = None
    file_edit: Callable[[bytes, int], bytes] | None = None


def data_set(spec: SeriesSpec, index: int) -> Dataset:
    """One slice as a data set."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = spec.syntax
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    ds = Dataset()
    ds.file_meta, ds.preamble = meta, b"\0" * 128
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", spec.series_uid
    ds.Modality, ds.SeriesNumber = spec.modality, spec.series_number
    ds.PatientID, ds.PatientName, ds.PatientSex = spec.patient_id, spec.patient_name, "F"
    ds.PatientBirthDate, ds.StudyDate = "20100101", "20200701"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.FrameOfReferenceUID = spec.frame_of_reference
    # the reverse of the geometry: instance numbers must not matter
    ds.InstanceNumber = len(spec.stored) - index
    ds.ImagePositionPatient = [o + index * s for o, s in zip(spec.origin, spec.step, strict=True)]
    ds.ImageOrientationPatient = list(spec.orientation)
    ds.PixelSpacing = list(spec.spacing)
    if spec.thickness is not None:
        ds.SliceThickness = spec.thickness
    if spec.slope is not None:
        ds.RescaleSlope, ds.RescaleIntercept = spec.slope, spec.intercept
    image = spec.stored[index]
    ds.Rows, ds.Columns = image.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = image.dtype.itemsize * 8
    ds.BitsStored = spec.bits_stored or ds.BitsAllocated
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(image.dtype.kind == "i")
    _put_pixels(ds, image, spec.syntax)
    return ds


def _put_pixels(ds: Dataset, image: NDArray[Any], syntax: str) -> None:
    if syntax in ENCODERS:
        # these codecs know unsigned numbers only; the header says how to read them
        unsigned = image.view(image.dtype.str.replace("i", "u")) & np.asarray((1 << ds.BitsStored) - 1).astype(
            f"u{image.itemsize}"
        )
        encoded = ENCODERS[syntax](np.ascontiguousarray(unsigned))
        ds.PixelData = encapsulate([bytes(encoded)])
        ds["PixelData"].VR = "OB"
        return
    big = syntax == "1.2.840.10008.1.2.2"
    ds.PixelData = image.astype(image.dtype.newbyteorder(">" if big else "<")).tobytes()
    ds["PixelData"].VR = "OW"


def write(folder: Path, spec: SeriesSpec) -> Path:
    """Write the series under shuffled names without an extension."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(range(len(spec.stored)))
    random.Random(7).shuffle(names)  # noqa: S311 - the order of file names
    for index, name in enumerate(names):
        ds = data_set(spec, index)
        if spec.syntax == RLELossless:
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            ds.compress(RLELossless, generate_instance_uid=False)
        if spec.edit is not None:
            spec.edit(ds, index)
        path = folder / f"{spec.prefix}{name:04d}"
        ds.save_as(path, enforce_file_format=True)
        if spec.file_edit is not None:
            path.write_bytes(spec.file_edit(path.read_bytes(), index))
    return folder


@pytest.fixture
def body() -> NDArray[np.int16]:
    """(6, 10, 8) stored values; every voxel differs from its neighbours, so an exchange of axes is seen."""
    slices, rows, columns = np.mgrid[0:6, 0:10, 0:8]
    return np.asarray(100 * slices + 10 * rows + columns, dtype=np.int16)


@pytest.fixture
def make_series(tmp_path: Path, body: NDArray[np.int16]) -> Callable[..., Path]:
    """``make_series(folder="a", **fields of SeriesSpec)`` writes a series and returns its folder."""

    def make(folder: str = "series", **fields: Any) -> Path:  # noqa: ANN401 - the fields of SeriesSpec
        fields.setdefault("stored", body)
        return write(tmp_path / folder, SeriesSpec(**fields))

    return make
