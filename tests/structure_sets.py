"""RT Structure Sets with contours of every kind, made without the writer that is tested."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from osteon.data import Source
from osteon.geometry import Grid


@dataclass(frozen=True)
class Drawn:
    """A contour: where it is, its type, and the image that it names ("" for none)."""

    points_lps_mm: NDArray[np.float64]
    kind: str = "CLOSED_PLANAR"
    image: str = ""


def on_slice(
    grid: Grid, index: float, corners: ArrayLike, *, kind: str = "CLOSED_PLANAR", source: Source | None = None
) -> Drawn:
    """A contour of (row, column) corners on a slice of a grid; it names the image of the slice of a source."""
    corners = np.asarray(corners, dtype=np.float64)
    places = np.column_stack([np.full(len(corners), float(index)), corners])
    image = "" if source is None else source.slices[round(index)].sop_instance_uid
    return Drawn(grid.to_lps_mm(places), kind, image)


def square(top: float, left: float, bottom: float, right: float) -> list[tuple[float, float]]:
    """Corners of a rectangle."""
    return [(top, left), (top, right), (bottom, right), (bottom, left)]


def contour_item(drawn: Drawn) -> Dataset:
    item = Dataset()
    item.ContourGeometricType = drawn.kind
    item.NumberOfContourPoints = len(drawn.points_lps_mm)
    item.ContourData = [f"{value:.10g}" for value in drawn.points_lps_mm.ravel()]
    if drawn.image:
        image = Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = CTImageStorage, drawn.image
        item.ContourImageSequence = [image]
    return item


def structure_set(
    rois: Mapping[str, Sequence[Drawn]], *, series: str = "", frame_of_reference: str = "1.2.3.4"
) -> Dataset:
    """A structure set whose ROIs are numbered from 1; one without contours has no ROI Contour item."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = RTStructureSetStorage, generate_uid()
    dataset.Modality = "RTSTRUCT"
    dataset.PatientName, dataset.PatientID = "ZZPATIENT^Anna", "ZZIDENT77"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", generate_uid()
    dataset.StructureSetLabel = "test"
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    if series:
        of_series, of_study, of_frame = Dataset(), Dataset(), Dataset()
        of_series.SeriesInstanceUID = series
        of_study.ReferencedSOPInstanceUID, of_study.RTReferencedSeriesSequence = "1.2.3", [of_series]
        of_frame.FrameOfReferenceUID, of_frame.RTReferencedStudySequence = frame_of_reference, [of_study]
        dataset.ReferencedFrameOfReferenceSequence = [of_frame]
    for number, (name, contours) in enumerate(rois.items(), start=1):
        described = Dataset()
        described.ROINumber, described.ROIName = number, name
        described.ReferencedFrameOfReferenceUID = frame_of_reference
        described.ROIGenerationAlgorithm = "MANUAL"
        dataset.StructureSetROISequence.append(described)
        if contours:
            drawn = Dataset()
            drawn.ReferencedROINumber = number
            drawn.ContourSequence = [contour_item(contour) for contour in contours]
            dataset.ROIContourSequence.append(drawn)
    return dataset


def saved(
    path: Path,
    dataset: Dataset,
    *,
    syntax: str = ImplicitVRLittleEndian,
    edit: Callable[[Dataset], object] = lambda _: None,
) -> Path:
    """The file of a structure set, changed first."""
    edit(dataset)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)
    return path
