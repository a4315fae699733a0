"""The series that the CT bench runs on: a phantom of the legs, written as plain uncompressed DICOM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Volume

__all__ = ["make_series", "phantom_legs"]


def phantom_legs(shape: tuple[int, int, int]) -> Volume:
    """Two legs on a table, of the shape asked for."""
    from osteon_phantoms import LegSpec, make_leg_ct

    pixel_mm = 0.8 * 512 / shape[1]
    return make_leg_ct(LegSpec(seed=1, shape=shape, spacing_mm=(1.5, pixel_mm, pixel_mm))).volume


def make_series(volume: Volume, folder: Path) -> None:
    """Write a volume as one DICOM file a slice, Explicit VR Little Endian.

    Args:
        volume: int16 HU, axial.
        folder: made when it is not there.
    """
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    directions = volume.grid.directions
    for k, image in enumerate(np.asarray(volume.array, dtype=np.int16)):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"{k:04d}.dcm"
        one = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        one.PatientID, one.PatientName, one.Modality = "BENCH", "Bench^Phantom", "CT"
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, frame
        one.StudyDate, one.SeriesNumber, one.InstanceNumber = "20260101", 1, k + 1
        one.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
        one.PatientPosition = "HFS"
        one.ImagePositionPatient = [f"{v:.6f}" for v in volume.grid.to_lps_mm((k, 0, 0))]
        one.ImageOrientationPatient = [f"{v:.6f}" for v in (*directions[2], *directions[1])]
        one.PixelSpacing = [f"{v:.6f}" for v in volume.grid.spacing_mm[1:]]
        one.SliceThickness = f"{volume.grid.spacing_mm[0]:.6f}"
        one.Rows, one.Columns = image.shape
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
        one.RescaleSlope, one.RescaleIntercept, one.RescaleType = "1", "0", "HU"
        one.PixelData = image.tobytes()
        one.save_as(path, enforce_file_format=True)
