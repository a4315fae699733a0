"""A small, valid CT series on any grid, and Debian's DICOM checker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from osteon.data import Patient, Series, SliceSource, Source, Study
from osteon.geometry import Grid

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class MakeSeries(Protocol):
    """Writes a CT series and says where it came from."""

    def __call__(self, folder: Path, grid: Grid, **attributes: object) -> Source: ...


def _rotation() -> NDArray[np.float64]:
    """Slice, row and column directions of an oblique, right-handed grid."""
    a, b = np.deg2rad(17.0), np.deg2rad(-9.0)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    axes = np.array([(0, 0, 1), (0, 1, 0), (1, 0, 0)], dtype=float)
    return np.asarray(axes @ (about_x @ about_z).T)


GRIDS = {
    "axial": Grid.from_axes(shape=(9, 64, 48), spacing_mm=(2.5, 0.8, 0.8), origin_lps_mm=(-100.0, -80.5, -900.25)),
    "descending": Grid.from_axes(
        shape=(9, 64, 48),
        spacing_mm=(2.5, 0.8, 0.8),
        directions=[(0, 0, -1), (0, 1, 0), (1, 0, 0)],
        origin_lps_mm=(-100.0, -80.5, -900.25),
    ),
    "oblique": Grid.from_axes(shape=(9, 64, 48), spacing_mm=(1.25, 0.7, 0.9), directions=_rotation()),
    "mirrored": Grid.from_axes(
        shape=(9, 64, 48),
        spacing_mm=(3.0, 0.5, 0.5),
        directions=[(0, 0, 1), (0, 1, 0), (-1, 0, 0)],
        origin_lps_mm=(50.0, 20.0, 10.0),
    ),
}


@pytest.fixture(scope="session")
def dicom_grids() -> dict[str, Grid]:
    """Small grids of every kind: axial, descending, oblique, left-handed by a mirrored row direction."""
    return GRIDS


def _image(grid: Grid, index: int, attributes: dict[str, object]) -> Dataset:
    _, row, column = grid.directions
    image = Dataset()
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = generate_uid()
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.Modality = "CT"
    image.Manufacturer = "Phantom Works"
    image.PatientName = "Doe^Jane"
    image.PatientID = "P-1"
    image.PatientBirthDate = "19800203"
    image.PatientSex = "F"
    image.PatientAge = "040Y"
    image.PatientPosition = "HFS"
    image.StudyDate = "20200304"
    image.StudyTime = "101112"
    image.StudyDescription = "CT legs"
    image.StudyID = "7"
    image.AccessionNumber = "A77"
    image.ReferringPhysicianName = ""
    image.SeriesNumber = 3
    image.InstanceNumber = index + 1
    image.AcquisitionNumber = 1
    image.PositionReferenceIndicator = ""
    image.ImagePositionPatient = [round(float(v), 6) for v in grid.to_lps_mm([index, 0, 0])]
    image.ImageOrientationPatient = [round(float(v), 9) for v in (*column, *row)]
    image.PixelSpacing = [grid.spacing_mm[1], grid.spacing_mm[2]]
    image.SliceThickness = grid.spacing_mm[0]
    image.KVP = 120
    image.RescaleIntercept = -1024
    image.RescaleSlope = 1
    image.RescaleType = "HU"
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows, image.Columns = grid.shape[1:]
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = 1
    image.PixelData = np.full(grid.shape[1:], 1024, dtype=np.int16).tobytes()
    for keyword, value in attributes.items():
        if value is None:
            delattr(image, keyword)
        else:
            setattr(image, keyword, value)
    return image


def _write(image: Dataset, path: Path) -> None:
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.save_as(path, enforce_file_format=True)


@pytest.fixture(scope="session")
def make_ct_series() -> MakeSeries:
    """A function that writes a CT series, slice k of the grid as file k; attributes replace (None: remove) defaults."""

    def make(folder: Path, grid: Grid, **attributes: object) -> Source:
        folder.mkdir(parents=True, exist_ok=True)
        shared = {
            "StudyInstanceUID": generate_uid(),
            "SeriesInstanceUID": generate_uid(),
            "FrameOfReferenceUID": generate_uid(),
        } | attributes
        slices = []
        for index in range(grid.shape[0]):
            image = _image(grid, index, shared)
            path = folder / f"{index:03d}.dcm"
            _write(image, path)
            slices.append(SliceSource(sop_instance_uid=str(image.SOPInstanceUID), path=path))
        return Source(
            kind="dicom",
            location=folder,
            patient=Patient(),
            study=Study(uid=str(shared["StudyInstanceUID"])),
            series=Series(uid=str(shared["SeriesInstanceUID"]), modality="CT"),
            slices=tuple(slices),
        )

    return make
