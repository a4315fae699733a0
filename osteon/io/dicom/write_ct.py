"""Write a CT series: CT Image Storage, one file a slice, explicit little endian.

Reference: DICOM PS3.3 A.3 (CT Image IOD), C.7.6.2 (Image Plane), C.8.2.1 (CT Image module).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from osteon.data import Patient
from osteon.errors import InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Volume

__all__ = [
    "CtSeriesInfo",
    "SlicePlanes",
    "decimal_text",
    "make_file",
    "planes_of",
    "seeded_uid",
    "tell_patient",
    "write_ct_series",
]

_INTERCEPT_HU: Final = -1024
_LONGEST_UID: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class CtSeriesInfo:
    """What the headers of a series say besides patient, pixels and geometry.

    Attributes:
        uid_seed: UIDs follow from this text alone, so that the same phantom has the same UIDs.
        study_date: YYYYMMDD.
        study_time: HHMMSS.
        study_description: free text.
        series_description: free text.
        image_comments: free text in every image.
        body_part: Body Part Examined.
        patient_position: as "HFS".
        laterality: Image Laterality: "L", "R", "B" (both) or "U" (the part is not paired).
        series_number: of the series in the study.
        manufacturer: of the scanner.
        tilt_degrees: Gantry/Detector Tilt.
        is_derived: ImageType says DERIVED rather than ORIGINAL.
    """

    uid_seed: str = "osteon"
    study_date: str = "20240101"
    study_time: str = "120000"
    study_description: str = "SYNTHETIC - osteon phantom"
    series_description: str = "SYNTHETIC - osteon phantom"
    image_comments: str = "SYNTHETIC - osteon phantom. Not a patient."
    body_part: str = "LEG"
    patient_position: str = "HFS"
    laterality: str = "B"
    series_number: int = 2
    manufacturer: str = "osteon"
    tilt_degrees: float = 0.0
    is_derived: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class SlicePlanes:
    """Slices as stored: also of a tilted gantry, which is no Grid.

    Attributes:
        array: (slice, row, column) int16 HU.
        positions_lps_mm: (slice, 3) centre of the first pixel.
        row_direction: in which the column index grows, LPS unit vector.
        column_direction: in which the row index grows.
        pixel_mm: between rows, between columns.
        thickness_mm: Slice Thickness.
    """

    array: NDArray[np.int16] = field(repr=False)
    positions_lps_mm: NDArray[np.float64] = field(repr=False)
    row_direction: Sequence[float]
    column_direction: Sequence[float]
    pixel_mm: tuple[float, float]
    thickness_mm: float


def planes_of(volume: Volume) -> SlicePlanes:
    """The slices of a Volume.

    Raises:
        InputError: the volume is no CT in whole HU.
    """
    if volume.modality != "CT" or volume.array.dtype != np.int16:
        raise InputError(f"a CT series is written from int16 HU, found {volume.modality} {volume.array.dtype}")
    grid = volume.grid
    slice_mm, row_mm, column_mm = grid.spacing_mm
    return SlicePlanes(
        array=np.asarray(volume.array, dtype=np.int16),
        positions_lps_mm=grid.to_lps_mm([(k, 0, 0) for k in range(grid.shape[0])]),
        row_direction=[float(v) for v in grid.directions[2]],
        column_direction=[float(v) for v in grid.directions[1]],
        pixel_mm=(row_mm, column_mm),
        thickness_mm=slice_mm,
    )


def write_ct_series(
    volume: Volume | SlicePlanes,
    folder: Path,
    *,
    patient: Patient | None = None,
    info: CtSeriesInfo | None = None,
    file_names: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """Write one file a slice.

    Args:
        volume: a CT Volume on a Grid, or slices as stored.
        folder: made when it is not there; must hold no file of the same name.
        patient: who; empty fields when None.
        info: the rest of the headers.
        file_names: one a slice; default "ct_0001.dcm"...

    Returns:
        SOP Instance UIDs, one a slice, in slice order.

    Raises:
        InputError: not a CT, or a wrong number of names.
        OutputError: the folder cannot be written, or a file is there.
    """
    planes = volume if isinstance(volume, SlicePlanes) else planes_of(volume)
    info = info if info is not None else CtSeriesInfo()
    count = len(planes.array)
    names = list(file_names) if file_names is not None else [f"ct_{k + 1:04d}.dcm" for k in range(count)]
    if len(set(names)) != count:
        raise InputError(f"a series of {count} slices needs as many different file names, found {len(set(names))}")
    shared = _shared_header(planes, patient if patient is not None else Patient(), info)
    uids = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for index, name in enumerate(names):
            image = _image(shared, planes, index, info)
            image.save_as(folder / name, enforce_file_format=True, overwrite=False)
            uids.append(str(image.SOPInstanceUID))
    except FileExistsError as error:
        raise OutputError(
            f"a CT series was to be written to {folder}, but a file of that name is there: {error.filename}"
        ) from error
    except OSError as error:
        raise OutputError(f"a CT series could not be written to {folder}: {error.strerror}") from error
    return tuple(uids)


def seeded_uid(*words: object) -> str:
    """A UID under the 2.25 root that follows from the words alone.

    Example:
        >>> seeded_uid("study", 1) == seeded_uid("study", 1)
        True
    """
    digest = hashlib.sha256("/".join(str(word) for word in words).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"[:_LONGEST_UID]


def _shared_header(planes: SlicePlanes, patient: Patient, info: CtSeriesInfo) -> Dataset:
    """What all slices have in common."""
    _, rows, columns = planes.array.shape
    seed = info.uid_seed
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.ImageType = ["DERIVED" if info.is_derived else "ORIGINAL", "PRIMARY", "AXIAL"]
    header.SOPClassUID = CTImageStorage
    for prefix in ("Study", "Series", "Acquisition", "Content"):
        setattr(header, f"{prefix}Date", info.study_date)
        setattr(header, f"{prefix}Time", info.study_time)
    header.AccessionNumber = ""
    header.Modality = "CT"
    header.Manufacturer = info.manufacturer
    header.ManufacturerModelName = "phantom"
    header.InstitutionName = ""
    header.ReferringPhysicianName = ""
    header.StudyDescription = info.study_description
    header.SeriesDescription = info.series_description
    tell_patient(header, patient)
    header.BodyPartExamined = info.body_part
    header.ImageLaterality = info.laterality
    header.KVP = 120
    header.SliceThickness = round(planes.thickness_mm, 4)
    header.SoftwareVersions = "osteon phantoms"
    header.GantryDetectorTilt = info.tilt_degrees
    header.ConvolutionKernel = "SYNTHETIC"
    header.PatientPosition = info.patient_position
    header.StudyInstanceUID = seeded_uid(seed, "study")
    header.SeriesInstanceUID = seeded_uid(seed, "series", info.series_number)
    header.StudyID = "1"
    header.SeriesNumber = info.series_number
    header.AcquisitionNumber = 1
    header.FrameOfReferenceUID = seeded_uid(seed, "frame of reference")
    header.PositionReferenceIndicator = ""
    header.ImageComments = info.image_comments
    header.ImageOrientationPatient = [decimal_text(v) for v in (*planes.row_direction, *planes.column_direction)]
    header.PixelSpacing = [decimal_text(v) for v in planes.pixel_mm]
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = "MONOCHROME2"
    header.Rows, header.Columns = rows, columns
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 0
    header.WindowCenter, header.WindowWidth = 300, 1500
    header.RescaleIntercept, header.RescaleSlope, header.RescaleType = _INTERCEPT_HU, 1, "HU"
    return header


def _image(shared: Dataset, planes: SlicePlanes, index: int, info: CtSeriesInfo) -> Dataset:
    """One slice; the shared elements are the same objects, which are only read while writing."""
    image = Dataset(shared)
    position = planes.positions_lps_mm[index]
    image.SOPInstanceUID = seeded_uid(info.uid_seed, "image", info.series_number, index)
    image.InstanceNumber = index + 1
    image.ImagePositionPatient = [decimal_text(v) for v in position]
    image.SliceLocation = decimal_text(position[2])
    stored = planes.array[index].astype(np.int32) - _INTERCEPT_HU
    image.PixelData = np.clip(stored, 0, 65535).astype("<u2").tobytes()
    image["PixelData"].VR = "OW"
    make_file(image, CTImageStorage)
    return image


def tell_patient(header: Dataset, patient: Patient) -> None:
    """Fill in who is shown."""
    header.PatientName = patient.name
    header.PatientID = patient.identifier
    header.PatientBirthDate = patient.birth_date
    header.PatientSex = patient.sex
    if patient.age_years is not None:
        header.PatientAge = f"{round(patient.age_years):03d}Y"


def make_file(image: Dataset, sop_class: str) -> None:
    """Give an image with a SOP Instance UID what a file of it needs."""
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = sop_class
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def decimal_text(value: float) -> str:
    """A number as a DICOM decimal string: at most 16 characters."""
    text = f"{float(value):.10f}".rstrip("0").rstrip(".")[:16]
    return "0" if text in {"-0", ""} else text
