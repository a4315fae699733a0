"""DICOM RT Structure Set: Masks as contours along the edges of their voxels, which refer to the source images.

Contours run halfway between voxel centres inside and outside, so that reading them gives the same voxels and their area
is that of the voxels. A hole is a contour of its own within the outer one, as planning systems write it and every
reader that combines the contours of a plane by exclusive or reads it. CLOSEDPLANAR_XOR, which the standard has for it
since, is not written: programs (and dciodvfy of 2022) that do not know the type leave the whole ROI out.
"""

from __future__ import annotations

import math
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

from osteon.errors import InputError
from osteon.io.dicom import derived
from osteon.io.dicom.contours import CLOSED, CONTOUR_DATA, Spent, roi_mask
from osteon.io.dicom.derived import coded, long_string
from osteon.io.dicom.seg import REFERENCE_MM
from osteon.io.dicom.structure_set import require_series, rois_of
from osteon.io.whole_file import write_whole
from osteon.ops.polygons import patches

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Label, Mask, Notice, Source
    from osteon.geometry import Grid

__all__ = ["write_structure_set"]

STUDY_CLASS: Final = "1.2.840.10008.3.1.2.3.1"
"""Detached Study Management, retired: what the standard still wants as the class of a referenced study."""
LONGEST_NUMBER: Final = 16
DIGITS: Final = 4
"""Coordinates are written to this power of ten of the smallest spacing, or finer."""


def write_structure_set(
    path: Path,
    masks: Sequence[tuple[Mask, tuple[str, str] | None]],
    *,
    source: Source,
    grid_of_source: Grid,
    series: derived.DerivedSeries,
    headers: derived.SourceHeaders | None = None,
) -> None:
    """Write Masks as one DICOM RT Structure Set, one ROI for each declared label.

    It is read back before it is written: every ROI must give the voxels of its label, and every contour be on the image
    that it names. A label without a voxel is a ROI without contours. The structure set is UNAPPROVED.

    Args:
        path: file to write.
        masks: each with name and version of what made it; None where a person drew it.
        source: of the volume; its files are read again for their headers.
        grid_of_source: grid of the volume.
        series: where it goes.
        headers: of ``read_source_headers``, when several objects of one source are written; read again by default.

    Raises:
        InputError: the source is not DICOM or lacks an identifying UID, no mask declares a label, or the contours do
            not give the masks.
        OutputError: the file cannot be written.

    References:
        DICOM PS3.3 A.19 RT Structure Set IOD, C.8.8.5, C.8.8.6, C.8.8.8.
    """
    rois = [(mask, label) for mask, _ in masks for label in mask.labels]
    makers = [maker for mask, maker in masks for _ in mask.labels]
    if not rois:
        raise InputError("no mask declares a label: an RT Structure Set needs at least one ROI")
    headers = headers or derived.read_source_headers(source)
    dataset = derived.new_object(
        headers,
        series,
        sop_class_uid=RTStructureSetStorage,
        modality="RTSTRUCT",
        purpose="contours of masks",
        transfer_syntax_uid=ImplicitVRLittleEndian,  # the other ones have no room for contours of many points
    )
    schemes = derived.private_schemes(label.kind for _, label in rois)
    if schemes is not None:
        dataset.CodingSchemeIdentificationSequence = schemes
    _describe(dataset, series, headers)
    dataset.StructureSetROISequence = [
        _described(number, mask, label, maker, str(headers.first.FrameOfReferenceUID))
        for number, ((mask, label), maker) in enumerate(zip(rois, makers, strict=True), start=1)
    ]
    drawn = [_drawn(number, mask, label, headers) for number, (mask, label) in enumerate(rois, start=1)]
    dataset.ROIContourSequence = drawn
    dataset.RTROIObservationsSequence = [_observed(number, label) for number, (_, label) in enumerate(rois, start=1)]
    dataset.ApprovalStatus = "UNAPPROVED"
    data = BytesIO()
    dataset.save_as(data, enforce_file_format=True)
    _require_same(data, rois, source, grid_of_source)
    write_whole(path, data.getvalue())


def _describe(dataset: Dataset, series: derived.DerivedSeries, headers: derived.SourceHeaders) -> None:
    """What the structure set is, and which images it is of."""
    first = headers.first
    dataset.OperatorsName = ""
    dataset.FrameOfReferenceUID = first.FrameOfReferenceUID
    dataset.PositionReferenceIndicator = first.get("PositionReferenceIndicator") or ""
    dataset.StructureSetLabel = derived.MANUFACTURER
    dataset.StructureSetName = long_string(series.description)
    dataset.StructureSetDate, dataset.StructureSetTime = dataset.SeriesDate, dataset.SeriesTime
    of_series = []
    for each in derived.series_references(headers.images):
        item = Dataset()
        item.SeriesInstanceUID = each.SeriesInstanceUID
        item.ContourImageSequence = each.ReferencedInstanceSequence
        of_series.append(item)
    of_study = Dataset()
    of_study.ReferencedSOPClassUID = STUDY_CLASS
    of_study.ReferencedSOPInstanceUID = first.StudyInstanceUID
    of_study.RTReferencedSeriesSequence = of_series
    of_frame = Dataset()
    of_frame.FrameOfReferenceUID = first.FrameOfReferenceUID
    of_frame.RTReferencedStudySequence = [of_study]
    dataset.ReferencedFrameOfReferenceSequence = [of_frame]


def _described(
    number: int, mask: Mask, label: Label, algorithm: tuple[str, str] | None, frame_of_reference: str
) -> Dataset:
    """Item of the Structure Set ROI Sequence."""
    item = Dataset()
    item.ROINumber = number
    item.ReferencedFrameOfReferenceUID = frame_of_reference
    item.ROIName = long_string(label.name)
    item.ROIVolume = f"{float(mask.of(label.value).sum()) * mask.grid.voxel_volume_mm3 / 1000:.6g}"  # cm3
    item.ROIGenerationAlgorithm = "MANUAL" if algorithm is None else "AUTOMATIC"
    if algorithm is not None:
        item.ROIGenerationDescription = long_string(" ".join(algorithm))
    return item


def _observed(number: int, label: Label) -> Dataset:
    """Item of the RT ROI Observations Sequence: what it is, by its code; no role in a treatment is claimed."""
    item = Dataset()
    item.ObservationNumber = item.ReferencedROINumber = number
    item.RTROIIdentificationCodeSequence = [coded(label.kind)]
    item.RTROIInterpretedType = ""
    item.ROIInterpreter = ""
    return item


def _drawn(number: int, mask: Mask, label: Label, headers: derived.SourceHeaders) -> Dataset:
    """Item of the ROI Contour Sequence."""
    item = Dataset()
    item.ROIDisplayColor = list(label.colour)
    item.ReferencedROINumber = number
    inside = mask.of(label.value)
    contours: list[Dataset] = []
    references = _references(mask.grid, headers)
    for index in np.flatnonzero(inside.any(axis=(1, 2))).tolist():
        for patch in patches(inside[index]):
            for ring in (patch.outer, *patch.holes):
                corners = np.array(ring[:-1], dtype=np.float64) - 0.5
                points = mask.grid.to_lps_mm(np.column_stack([np.full(len(corners), float(index)), corners]))
                contour = _contour(points, references[index], min(mask.grid.spacing_mm))
                contour.ContourNumber = len(contours) + 1
                contours.append(contour)
    if contours:
        item.ContourSequence = contours
    return item


def _contour(points_lps_mm: NDArray[np.float64], plane: derived.SourcePlane | None, finest_mm: float) -> Dataset:
    """Item of the Contour Sequence."""
    item = Dataset()
    item.ContourGeometricType = CLOSED
    if plane is not None:
        item.ContourImageSequence = [plane.reference()]
    item.NumberOfContourPoints = len(points_lps_mm)
    digits = max(DIGITS, DIGITS - math.floor(math.log10(finest_mm)))
    texts = [_decimal(value, digits) for value in points_lps_mm.ravel().tolist()]
    data = "\\".join(texts).encode("ascii")
    # as it is in the file: a number by itself becomes an object, and there are millions
    item[CONTOUR_DATA] = RawDataElement(
        Tag(CONTOUR_DATA),
        "DS",
        length=len(data) + len(data) % 2,
        value=data + b" " * (len(data) % 2),
        value_tell=0,
        is_implicit_VR=True,
        is_little_endian=True,
    )
    item.set_original_encoding(is_implicit_vr=True, is_little_endian=True, character_encoding="iso8859")
    return item


def _decimal(value: float, digits: int) -> str:
    """A Decimal String of at most 16 characters (PS3.5 6.2)."""
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return text if len(text) <= LONGEST_NUMBER else f"{value:.9g}"


def _references(grid: Grid, headers: derived.SourceHeaders) -> list[derived.SourcePlane | None]:
    """The plane of the source that every slice of a grid is on; None of one that was interpolated between them."""
    planes = [plane for plane in headers.planes if plane.position_lps_mm is not None]
    if not planes:
        return [None] * grid.shape[0]
    normal = grid.directions[0]
    heights = np.array([np.dot(plane.position_lps_mm or (), normal) for plane in planes])
    found: list[derived.SourcePlane | None] = []
    for place in grid.to_lps_mm([(index, 0, 0) for index in range(grid.shape[0])]):
        off = np.abs(heights - place @ normal)
        nearest = int(off.argmin())
        found.append(planes[nearest] if off[nearest] <= REFERENCE_MM else None)
    return found


def _require_same(data: BytesIO, rois: Sequence[tuple[Mask, Label]], source: Source, grid_of_source: Grid) -> None:
    """Raise unless the file gives every mask and refers to the source."""
    data.seek(0)
    again = dcmread(data)
    found = rois_of(again)
    require_series(again, found, source, "the structure set", "source")
    spent = Spent()
    for roi, (mask, label) in zip(found, rois, strict=True):
        inside = mask.of(label.value)
        same = not inside.any()
        if roi.contours:
            drawn_on = source if mask.grid.same_as(grid_of_source) else None
            about: dict[str, Any] = {"name": "the structure set", "image": "source", "tell": _quiet, "spent": spent}
            back = roi_mask(roi, like=mask.grid, source=drawn_on, **about)
            same = bool(np.array_equal(back, inside))
        if not same:
            raise InputError(f"the contours of ROI {roi.number} would not give the voxels of the mask {mask.name}")


def _quiet(notice: Notice) -> None:
    """What contours are like is known here: masks may have gaps."""
    del notice
