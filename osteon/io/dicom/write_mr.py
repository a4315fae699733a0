"""Write an MR series: one MR Image Storage file a slice. For synthetic patients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from osteon.data import Patient
from osteon.errors import InputError, OutputError
from osteon.io.dicom.write_ct import decimal_text, make_file, seeded_uid, tell_patient

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Volume

__all__ = ["MrSeriesInfo", "write_mr_series"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MrSeriesInfo:
    """What the headers of a series say besides patient, pixels and geometry.

    Attributes:
        uid_seed: UIDs follow from this text alone; series of one patient share it and differ in their number.
        series_number: of the series in the study.
        description: Series Description.
        repetition_ms: TR.
        echo_ms: TE.
        inversion_ms: TI; None without inversion.
        is_fat_saturated: whether fat was pulsed away.
        has_contrast: whether contrast medium was given.
        field_tesla: of the magnet.
        slice_mm: thickness of a slice; their distance is that of the Volume.
        body_part: Body Part Examined.
        laterality: "L" or "R".
    """

    uid_seed: str = "osteon"
    series_number: int = 1
    description: str = "SYNTHETIC - osteon phantom"
    repetition_ms: float = 560.0
    echo_ms: float = 13.0
    inversion_ms: float | None = None
    is_fat_saturated: bool = False
    has_contrast: bool = False
    field_tesla: float = 1.5
    slice_mm: float = 4.0
    body_part: str = "THIGH"
    laterality: str = "L"


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
    if (
        volume.modality != "MR"
        or float(array.min()) < 0
        or float(array.max()) > 65535
        or (array != np.rint(array)).any()
    ):
        raise InputError(
            f"an MR series is written from whole numbers of 0 to 65535, found {volume.modality} from "
            f"{float(array.min()):g} to {float(array.max()):g}"
        )
    info = info or MrSeriesInfo()
    shared = _shared_header(volume, patient or Patient(), info)
    uids = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(volume.grid.shape[0]):
            image = _image(shared, volume, index, info)
            image.save_as(folder / f"mr_{index + 1:04d}.dcm", enforce_file_format=True, overwrite=False)
            uids.append(str(image.SOPInstanceUID))
    except FileExistsError as error:
        raise OutputError(
            f"an MR series was to be written to {folder}, but a file is there: name another one"
        ) from error
    except OSError as error:
        raise OutputError(f"an MR series could not be written to {folder}: {error.strerror}") from error
    return tuple(uids)


def _shared_header(volume: Volume, patient: Patient, info: MrSeriesInfo) -> Dataset:
    """What all slices have in common."""
    seed, grid = info.uid_seed, volume.grid
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    header.SOPClassUID = MRImageStorage
    for prefix in ("Study", "Series", "Acquisition", "Content"):
        setattr(header, f"{prefix}Date", "20240101")
        setattr(header, f"{prefix}Time", "120000")
    header.AccessionNumber = ""
    header.Modality = "MR"
    header.Manufacturer = "osteon"
    header.ManufacturerModelName = "phantom"
    header.SoftwareVersions = "osteon phantoms"
    header.ReferringPhysicianName = ""
    header.StudyDescription = "SYNTHETIC - osteon phantom"
    header.SeriesDescription = info.description
    tell_patient(header, patient)
    header.BodyPartExamined = info.body_part
    header.Laterality = info.laterality
    header.PatientPosition = "FFS"
    _tell_sequence(header, volume, info)
    header.StudyInstanceUID = seeded_uid(seed, "study")
    header.SeriesInstanceUID = seeded_uid(seed, "series", info.series_number)
    header.FrameOfReferenceUID = seeded_uid(seed, "frame of reference")
    header.PositionReferenceIndicator = ""
    header.StudyID = "1"
    header.SeriesNumber = info.series_number
    header.AcquisitionNumber = 1
    header.ImageComments = "SYNTHETIC - osteon phantom. Not a patient."
    directions = [*grid.directions[2], *grid.directions[1]]
    header.ImageOrientationPatient = [decimal_text(float(value)) for value in directions]
    header.PixelSpacing = [decimal_text(step) for step in grid.spacing_mm[1:]]
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = "MONOCHROME2"
    header.Rows, header.Columns = grid.shape[1:]
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 0
    top = float(np.percentile(volume.array, 99.7))
    header.WindowCenter, header.WindowWidth = round(top / 2), max(2, round(top))
    return header


def _tell_sequence(header: Dataset, volume: Volume, info: MrSeriesInfo) -> None:
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
    header.SliceThickness = decimal_text(info.slice_mm)
    header.SpacingBetweenSlices = decimal_text(volume.grid.spacing_mm[0])


def _image(shared: Dataset, volume: Volume, index: int, info: MrSeriesInfo) -> Dataset:
    image = Dataset(shared)
    image.SOPInstanceUID = seeded_uid(info.uid_seed, "image", info.series_number, index)
    image.InstanceNumber = index + 1
    image.ImagePositionPatient = [decimal_text(float(value)) for value in volume.grid.to_lps_mm([index, 0, 0])]
    image.PixelData = np.ascontiguousarray(volume.array[index]).astype("<u2").tobytes()
    image["PixelData"].VR = "OW"
    make_file(image, MRImageStorage)
    return image
