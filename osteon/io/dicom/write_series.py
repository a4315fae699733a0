"""Write a CT or MR series of single-frame images, one file a slice, explicit little endian. For synthetic patients.

Reference: DICOM PS3.3 A.3 (CT Image IOD), A.4 (MR Image IOD), C.7.6.2 (Image Plane), C.8.2.1 (CT Image module).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from osteon.data import Patient
from osteon.errors import InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Volume

__all__ = [
    "CtSeriesInfo",
    "MrSeriesInfo",
    "SlicePlanes",
    "planes_of",
    "seeded_uid",
    "write_ct_series",
    "write_mr_series",
]

_SYNTHETIC: Final = "SYNTHETIC - osteon phantom"
_INTERCEPT_HU: Final = -1024
_CT_SERIES_NUMBER: Final = 2
_LONGEST_UID: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class CtSeriesInfo:
    """What the headers of a CT series say besides patient, pixels and geometry."""

    uid_seed: str = "osteon"  # UIDs follow from this text alone, so that the same phantom has the same UIDs
    series_description: str = _SYNTHETIC  # free text
    body_part: str = "LEG"  # Body Part Examined
    patient_position: str = "HFS"  # as "HFS"
    laterality: str = "B"  # Image Laterality: "L", "R", "B" (both) or "U" (the part is not paired)
    tilt_degrees: float = 0.0  # Gantry/Detector Tilt


@dataclass(frozen=True, slots=True, kw_only=True)
class MrSeriesInfo:
    """What the headers of an MR series say besides patient, pixels and geometry."""

    # UIDs follow from this text alone; series of one patient share it and differ in their number
    uid_seed: str = "osteon"
    series_number: int = 1  # of the series in the study
    description: str = _SYNTHETIC  # Series Description
    repetition_ms: float = 560.0  # TR
    echo_ms: float = 13.0  # TE
    inversion_ms: float | None = None  # TI; None without inversion
    is_fat_saturated: bool = False  # whether fat was pulsed away
    has_contrast: bool = False  # whether contrast medium was given
    field_tesla: float = 1.5  # of the magnet
    slice_mm: float = 4.0  # thickness of a slice; their distance is that of the Volume
    body_part: str = "THIGH"  # Body Part Examined
    laterality: str = "L"  # "L" or "R"


@dataclass(frozen=True, slots=True, eq=False)
class SlicePlanes:
    """Slices as stored: also of a tilted gantry, which is not a Grid."""

    array: NDArray[Any] = field(repr=False)  # (slice, row, column), int16 HU of a CT
    positions_lps_mm: NDArray[np.float64] = field(repr=False)  # (slice, 3) centre of the first pixel
    row_direction: Sequence[float]  # in which the column index grows, LPS unit vector
    column_direction: Sequence[float]  # in which the row index grows
    pixel_mm: tuple[float, float]  # between rows, between columns
    thickness_mm: float  # Slice Thickness


def planes_of(volume: Volume) -> SlicePlanes:
    """The slices of a CT Volume.

    Raises:
        InputError: the volume is not a CT in whole HU.
    """
    if volume.modality != "CT" or volume.array.dtype != np.int16:
        raise InputError(f"a CT series is written from int16 HU, found {volume.modality} {volume.array.dtype}")
    return _planes(volume)


def _planes(volume: Volume) -> SlicePlanes:
    grid = volume.grid
    slice_mm, row_mm, column_mm = grid.spacing_mm
    return SlicePlanes(
        array=volume.array,
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
    info = info or CtSeriesInfo()
    count = len(planes.array)
    names = list(file_names) if file_names is not None else [f"ct_{k + 1:04d}.dcm" for k in range(count)]
    if len(set(names)) != count:
        raise InputError(f"a series of {count} slices needs as many different file names, found {len(set(names))}")
    header = _shared_header(planes, patient, seed=info.uid_seed, number=_CT_SERIES_NUMBER)
    header.SOPClassUID, header.Modality = CTImageStorage, "CT"
    header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    header.InstitutionName = ""
    header.SeriesDescription = info.series_description
    header.BodyPartExamined = info.body_part
    header.ImageLaterality = info.laterality
    header.PatientPosition = info.patient_position
    header.KVP = 120
    header.SliceThickness = round(planes.thickness_mm, 4)
    header.GantryDetectorTilt = info.tilt_degrees
    header.ConvolutionKernel = "SYNTHETIC"
    header.WindowCenter, header.WindowWidth = 300, 1500
    header.RescaleIntercept, header.RescaleSlope, header.RescaleType = _INTERCEPT_HU, 1, "HU"
    return _write(header, planes, folder, names, seed=info.uid_seed)


def write_mr_series(
    volume: Volume, folder: Path, *, patient: Patient | None = None, info: MrSeriesInfo | None = None
) -> tuple[str, ...]:
    """Write ``mr_0001.dcm`` and on.

    Args:
        volume: modality "MR", whole numbers from 0 to 65535, any orientation.
        folder: made when it is not there; must hold no file of the same name.
        patient: who; empty fields when None.
        info: the rest of the headers.

    Returns:
        SOP Instance UIDs, one a slice, in slice order.

    Raises:
        InputError: another modality or other numbers.
        OutputError: the folder cannot be written, or a file is there.
    """
    array = volume.array
    low, high = float(array.min()), float(array.max())
    if volume.modality != "MR" or low < 0 or high > 65535 or (array != np.rint(array)).any():
        raise InputError(
            f"an MR series is written from whole numbers of 0 to 65535, found {volume.modality} from {low:g} to "
            f"{high:g}"
        )
    info = info or MrSeriesInfo()
    planes = _planes(volume)
    header = _shared_header(planes, patient, seed=info.uid_seed, number=info.series_number)
    header.SOPClassUID, header.Modality = MRImageStorage, "MR"
    header.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    header.SeriesDescription = info.description
    header.BodyPartExamined = info.body_part
    header.Laterality = info.laterality
    header.PatientPosition = "FFS"
    header.ScanningSequence = ["SE", "IR"] if info.inversion_ms is not None else "SE"
    header.SequenceVariant = "SK"
    header.ScanOptions = "FS" if info.is_fat_saturated else ""
    header.MRAcquisitionType = "2D"
    header.RepetitionTime = info.repetition_ms
    header.EchoTime = info.echo_ms
    header.EchoTrainLength = 1
    if info.inversion_ms is not None:
        header.InversionTime = info.inversion_ms
    if info.has_contrast:
        header.ContrastBolusAgent = "SYNTHETIC gadolinium"
    header.MagneticFieldStrength = info.field_tesla
    header.SliceThickness = _decimal(info.slice_mm)
    header.SpacingBetweenSlices = _decimal(planes.thickness_mm)
    top = float(np.percentile(array, 99.7))
    header.WindowCenter, header.WindowWidth = round(top / 2), max(2, round(top))
    names = [f"mr_{k + 1:04d}.dcm" for k in range(len(array))]
    return _write(header, planes, folder, names, seed=info.uid_seed)


def seeded_uid(*words: object) -> str:
    """A UID under the 2.25 root that follows from the words alone.

    Example:
        >>> seeded_uid("study", 1) == seeded_uid("study", 1)
        True
    """
    digest = hashlib.sha256("/".join(str(word) for word in words).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"[:_LONGEST_UID]


def _shared_header(planes: SlicePlanes, patient: Patient | None, *, seed: str, number: int) -> Dataset:
    """What all slices of every series have in common."""
    patient = patient or Patient()
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    for prefix in ("Study", "Series", "Acquisition", "Content"):
        setattr(header, f"{prefix}Date", "20240101")
        setattr(header, f"{prefix}Time", "120000")
    header.AccessionNumber = header.ReferringPhysicianName = header.PositionReferenceIndicator = ""
    header.Manufacturer = "osteon"
    header.ManufacturerModelName = "phantom"
    header.SoftwareVersions = "osteon phantoms"
    header.StudyDescription = _SYNTHETIC
    header.ImageComments = f"{_SYNTHETIC}. Not a patient."
    header.PatientName, header.PatientID = patient.name, patient.identifier
    header.PatientBirthDate, header.PatientSex = patient.birth_date, patient.sex
    if patient.age_years is not None:
        header.PatientAge = f"{round(patient.age_years):03d}Y"
    header.StudyInstanceUID = seeded_uid(seed, "study")
    header.SeriesInstanceUID = seeded_uid(seed, "series", number)
    header.FrameOfReferenceUID = seeded_uid(seed, "frame of reference")
    header.StudyID, header.SeriesNumber, header.AcquisitionNumber = "1", number, 1
    header.ImageOrientationPatient = [_decimal(v) for v in (*planes.row_direction, *planes.column_direction)]
    header.PixelSpacing = [_decimal(v) for v in planes.pixel_mm]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.Rows, header.Columns = planes.array.shape[1:]
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 0
    return header


def _write(header: Dataset, planes: SlicePlanes, folder: Path, names: Sequence[str], *, seed: str) -> tuple[str, ...]:
    is_ct = header.Modality == "CT"
    what = f"{'a CT' if is_ct else 'an MR'} series"
    uids = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for index, (name, stored, position) in enumerate(
            zip(names, planes.array, planes.positions_lps_mm, strict=True)
        ):
            image = Dataset(header)  # the shared elements are the same objects, which are only read while writing
            image.SOPInstanceUID = seeded_uid(seed, "image", header.SeriesNumber, index)
            image.InstanceNumber = index + 1
            image.ImagePositionPatient = [_decimal(v) for v in position]
            if is_ct:
                image.SliceLocation = _decimal(position[2])
                stored = np.clip(stored.astype(np.int32) - _INTERCEPT_HU, 0, 65535)  # noqa: PLW2901 - as stored
            image.PixelData = stored.astype("<u2").tobytes()
            image["PixelData"].VR = "OW"
            image.file_meta = FileMetaDataset()
            image.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
            image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
            image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            image.save_as(folder / name, enforce_file_format=True, overwrite=False)
            uids.append(str(image.SOPInstanceUID))
    except FileExistsError as error:
        there = f"file of that name is there: {error.filename}" if is_ct else "file is there: name another one"
        raise OutputError(f"{what} was to be written to {folder}, but a {there}") from error
    except OSError as error:
        raise OutputError(f"{what} could not be written to {folder}: {error.strerror}") from error
    return tuple(uids)


def _decimal(value: float) -> str:
    """A number as a DICOM decimal string: at most 16 characters."""
    text = f"{float(value):.10f}".rstrip("0").rstrip(".")[:16]
    return "0" if text in {"-0", ""} else text
