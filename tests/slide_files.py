"""Small slides for tests: a picture of which every pixel says where it is, and a DICOM whole-slide image of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"


def chart(rows: int, columns: int) -> NDArray[np.uint8]:
    """RGB: red gives the row, green the column, blue the tile of 64 x 64; smooth enough for JPEG."""
    row, column = np.mgrid[:rows, :columns]
    blue = 40 * ((row // 64 + column // 64) % 2) + 100
    return np.stack([row * 255 // rows, column * 255 // columns, blue], axis=2).astype(np.uint8)


def write_dicom_slide(
    folder: Path,
    levels: list[NDArray[np.uint8]],
    *,
    spacing_mm: tuple[float, float] | None = (0.0005, 0.0005),
    jpeg: bool = False,
    series: str | None = None,
) -> list[Path]:
    """Write a whole-slide series, a file a level, TILED_FULL in tiles of 64 x 64.

    Args:
        folder: made where it is not there.
        levels: RGB, the largest first.
        spacing_mm: (row, column) of level 0; None leaves it out.
        jpeg: JPEG baseline of quality 95, else uncompressed.
        series: its UID.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study, frame_of_reference, pyramid = generate_uid(), generate_uid(), generate_uid()
    common = {"SeriesInstanceUID": series or generate_uid(), "StudyInstanceUID": study}
    common |= {"FrameOfReferenceUID": frame_of_reference, "PyramidUID": pyramid}
    paths = []
    for number, pixels in enumerate(levels):
        scale = levels[0].shape[0] / pixels.shape[0]
        spacing = None if spacing_mm is None else [spacing_mm[0] * scale, spacing_mm[1] * scale]
        dataset = _level(pixels, spacing, jpeg=jpeg)
        for keyword, value in common.items():
            setattr(dataset, keyword, value)
        dataset.InstanceNumber = number + 1
        dataset.ImageType = [
            "ORIGINAL" if number == 0 else "DERIVED",
            "PRIMARY",
            "VOLUME",
            "NONE" if number == 0 else "RESAMPLED",
        ]
        paths.append(folder / f"level-{number}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def _level(pixels: NDArray[np.uint8], spacing: list[float] | None, *, jpeg: bool) -> pydicom.FileDataset:
    import imagecodecs

    rows, columns = pixels.shape[:2]
    down, across = -(-rows // 64), -(-columns // 64)
    full = np.pad(pixels, ((0, down * 64 - rows), (0, across * 64 - columns), (0, 0)), mode="edge")
    tiles = [full[64 * i : 64 * i + 64, 64 * j : 64 * j + 64] for i in range(down) for j in range(across)]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = WHOLE_SLIDE
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = JPEGBaseline8Bit if jpeg else ExplicitVRLittleEndian
    dataset = pydicom.FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = WHOLE_SLIDE, meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.PatientID, dataset.PatientName = "SM", "test", "test"
    dataset.Rows = dataset.Columns = 64
    dataset.TotalPixelMatrixRows, dataset.TotalPixelMatrixColumns = rows, columns
    dataset.TotalPixelMatrixFocalPlanes, dataset.NumberOfOpticalPaths = 1, 1
    dataset.NumberOfFrames = len(tiles)
    dataset.DimensionOrganizationType = "TILED_FULL"
    dataset.ImagedVolumeWidth, dataset.ImagedVolumeHeight, dataset.ImagedVolumeDepth = 1.0, 1.0, 0.001
    dataset.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    dataset.SamplesPerPixel, dataset.PlanarConfiguration, dataset.PixelRepresentation = 3, 0, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PhotometricInterpretation = "YBR_FULL_422" if jpeg else "RGB"
    dataset.LossyImageCompression = "01" if jpeg else "00"
    dataset.SpecimenLabelInImage, dataset.FocusMethod, dataset.ExtendedDepthOfField = "NO", "AUTO", "NO"
    optical = Dataset()
    optical.OpticalPathIdentifier = "1"
    dataset.OpticalPathSequence = [optical]
    if spacing is not None:
        measures = Dataset()
        measures.PixelSpacing, measures.SliceThickness = spacing, 0.001
        shared = Dataset()
        shared.PixelMeasuresSequence = [measures]
        dataset.SharedFunctionalGroupsSequence = [shared]
    if jpeg:
        frames = [imagecodecs.jpeg8_encode(tile, level=95, colorspace="RGB", subsampling="422") for tile in tiles]
        dataset.PixelData = encapsulate([bytes(frame) for frame in frames])
    else:
        dataset.PixelData = b"".join(tile.tobytes() for tile in tiles)
    return dataset
