"""DICOM Segmentation: a Mask as coded, binary segments that refer to the source images."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
from highdicom import AlgorithmIdentificationSequence, Volume
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.seg.enum import SegmentAlgorithmTypeValues, SegmentationTypeValues
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pydicom.valuerep import DSfloat

from osteon.errors import InputError, UnknownLabelError
from osteon.geometry import ANGLE_TOLERANCE, POSITION_TOLERANCE_MM, SPACING_TOLERANCE, Grid
from osteon.io.dicom import derived
from osteon.io.dicom.derived import coded, long_string, plain_text
from osteon.labels import concept

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Label, Mask, Source
    from osteon.labels import Concept

__all__ = ["segment_number", "write_segmentation"]

MULTI_FRAME: Final = (
    "NumberOfFrames",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "DimensionIndexSequence",
    "DimensionOrganizationSequence",
)
OF_A_PLANE: Final = (
    "SOPClassUID",
    "SOPInstanceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
)
REFERENCE_MM: Final = 0.1
"""A frame and the image that it names may be this far apart: positions are rounded."""

_AUTOMATIC = SegmentAlgorithmTypeValues.AUTOMATIC


def segment_number(mask: Mask, value: int) -> int:
    """Number of the segment that a label value becomes: 1 for the first declared label, and so on.

    Raises:
        UnknownLabelError: the value is not declared.
    """
    return mask.labels.index(mask.label(value)) + 1


def write_segmentation(
    path: Path,
    mask: Mask,
    *,
    source: Source,
    grid_of_source: Grid,
    algorithm: tuple[str, str] | None,
    series: derived.DerivedSeries,
    headers: derived.SourceHeaders | None = None,
) -> None:
    """Write a Mask as a DICOM Segmentation (binary), one segment for each declared label.

    Frames without a voxel are left out; a Mask without any voxel keeps one empty frame for each segment, because the
    standard wants one.

    Args:
        path: file to write.
        mask: on the grid of the source, or on another grid in the same patient space (a tilted acquisition made
            orthogonal): then the frames have a geometry of their own and refer to the series only.
        source: of the volume; its files are read again for their headers.
        grid_of_source: grid of the volume.
        algorithm: name and version of what made the mask; None where a person drew it.
        series: where it goes.
        headers: of ``read_source_headers``, when several objects of one source are written; read again by default.

    Raises:
        InputError: the source is not DICOM or lacks an identifying UID, or the mask declares no label.
        UnknownLabelError: the array holds a value that is not declared.
        OutputError: the file cannot be written.

    References:
        DICOM PS3.3 A.51 Segmentation IOD, C.8.20.
    """
    if not mask.labels:
        raise InputError(f"mask {mask.name} declares no label: a DICOM Segmentation needs at least one segment")
    headers = headers or derived.read_source_headers(source)
    occupied = _occupied_slices(mask)
    pixels = _segment_numbers(mask)
    images = _source_images(headers, grid_of_source)
    if occupied.any() and mask.grid.same_as(grid_of_source) and _lies_on(headers.planes, grid_of_source):
        frames: object = pixels  # plane positions are copied from the headers, to the digit
    else:
        first = slice(None) if occupied.any() else slice(0, 1)
        frames = Volume(
            pixels[first],
            np.array(mask.grid.affine),
            coordinate_system="PATIENT",
            frame_of_reference_uid=headers.first.FrameOfReferenceUID,
        )
    dataset = Segmentation(
        source_images=images,
        pixel_array=frames,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=_descriptions(mask, algorithm=algorithm, series=series),
        content_label=re.sub(r"[^A-Z0-9_ ]", "_", plain_text(mask.name).upper())[:16] or "MASK",
        content_description=long_string(series.description),
        omit_empty_frames=True,
        contributing_equipment=derived.contributing_equipment(
            series, purpose="automatic segmentation" if algorithm else "segmentation by hand"
        ),
        coding_schemes=derived.private_schemes(code for label in mask.labels for code in _codes(label)),
        **derived.equipment(series),
    )
    _refer(dataset, headers, images)
    derived.complete(dataset, series, headers)
    derived.save_object(dataset, path)


def _source_images(headers: derived.SourceHeaders, grid: Grid) -> list[Dataset]:
    """Every plane of the source as an image of its own, which is all that highdicom can refer to.

    A file of several planes has one identifier: each plane is given its own, and the class of a single plane, for the
    while; ``_refer`` puts the true ones in. All planes
    have the orientation of the first: what differs in its last digits has been found to be one orientation.
    """
    given = Dataset()
    given.update(headers.first)  # the elements are the same objects: none of them may be set, only replaced
    for keyword in (*MULTI_FRAME, *OF_A_PLANE):
        given.pop(keyword, None)
    _, down, right = grid.directions
    images = []
    for plane in headers.planes:
        image = Dataset()
        image.update(given)
        image.SOPClassUID = plane.header.SOPClassUID
        image.SOPInstanceUID = plane.header.SOPInstanceUID
        if plane.frame is not None:
            image.SOPClassUID = CTImageStorage
            image.SOPInstanceUID = derived.derived_uid(plane.header.SOPInstanceUID, "frame", str(plane.frame))
        place = plane.header.get("ImagePositionPatient") if plane.frame is None else None
        image.ImagePositionPatient = place or [_decimal(value) for value in plane.position_lps_mm or (0.0,) * 3]
        turn = headers.first.get("ImageOrientationPatient")
        image.ImageOrientationPatient = turn or [_decimal(value) for value in (*right, *down)]
        image.PixelSpacing = headers.first.get("PixelSpacing") or [_decimal(value) for value in grid.spacing_mm[1:]]
        image.SliceThickness = headers.first.get("SliceThickness") or _decimal(grid.spacing_mm[0])
        images.append(image)
    return images


def _decimal(value: float) -> str:
    return str(DSfloat(float(value), auto_format=True))


def _refer(dataset: Dataset, headers: derived.SourceHeaders, images: Sequence[Dataset]) -> None:
    """Make every reference name the real image and frame, and prove that it shows the place of the frame that names it.

    Raises:
        InputError: a reference that is not the source of its frame.
    """
    planes = {image.SOPInstanceUID: plane for image, plane in zip(images, headers.planes, strict=True)}
    renamed: dict[int, derived.SourcePlane] = {}
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for group in dataset.PerFrameFunctionalGroupsSequence:
        place = np.array((group.get("PlanePositionSequence") or shared.PlanePositionSequence)[0].ImagePositionPatient)
        turn = (group.get("PlaneOrientationSequence") or shared.PlaneOrientationSequence)[0].ImageOrientationPatient
        normal = np.cross(np.array(turn[:3], dtype=float), np.array(turn[3:], dtype=float))
        for derivation in group.get("DerivationImageSequence", []):
            for item in derivation.SourceImageSequence:
                # an item may be shared by frames of several segments: it is renamed once and looked at for each
                plane = renamed[id(item)] if id(item) in renamed else planes[item.ReferencedSOPInstanceUID]
                renamed[id(item)] = plane
                off = np.subtract(place.astype(float), plane.position_lps_mm or np.nan)
                if not abs(float(off @ normal)) <= REFERENCE_MM:
                    raise InputError("a frame of the segmentation would refer to an image of another place")
                item.update(plane.reference())
    dataset.ReferencedSeriesSequence = derived.series_references(headers.images)


def _codes(label: Label) -> tuple[Concept | None, ...]:
    return label.category, label.kind, label.site, label.laterality


def _occupied_slices(mask: Mask) -> NDArray[np.bool_]:
    """(slices,) bool: where any label is; refuses values that no label declares."""
    present = np.zeros((mask.grid.shape[0], 256), dtype=np.bool_)
    for index, plane in enumerate(mask.array):
        present[index] = np.bincount(plane.ravel(), minlength=256) > 0
    found = {int(value) for value in np.flatnonzero(present.any(axis=0))} - {0}
    undeclared = sorted(found - {label.value for label in mask.labels})
    if undeclared:
        raise UnknownLabelError(
            f"mask {mask.name} holds the values {undeclared}, declared are {[label.value for label in mask.labels]}: "
            "declare a label for every value"
        )
    return np.asarray(present[:, 1:].any(axis=1))


def _segment_numbers(mask: Mask) -> NDArray[np.uint8]:
    """The array with label values renumbered 1, 2, 3...; the array itself where they already are."""
    values = [label.value for label in mask.labels]
    if values == list(range(1, len(values) + 1)):
        return mask.array
    numbers = np.zeros(256, dtype=np.uint8)
    numbers[values] = np.arange(1, len(values) + 1)
    return np.asarray(numbers[mask.array])


def _lies_on(planes: Sequence[derived.SourcePlane], grid: Grid) -> bool:
    """Whether every plane of the source is where the grid has the slice of the same number."""
    if len(planes) != grid.shape[0]:
        return False
    _, down, right = grid.directions
    limit_mm = max(POSITION_TOLERANCE_MM, SPACING_TOLERANCE * min(grid.spacing_mm))
    expected = grid.to_lps_mm([(index, 0, 0) for index in range(grid.shape[0])])
    return all(
        (plane.header.Rows, plane.header.Columns) == grid.shape[1:]
        and plane.orientation is not None
        and plane.position_lps_mm is not None
        and np.abs(np.subtract(plane.orientation, [*right, *down])).max() <= ANGLE_TOLERANCE
        and np.abs(np.subtract(plane.position_lps_mm, place)).max() <= limit_mm
        for plane, place in zip(planes, expected, strict=True)
    )


def _descriptions(
    mask: Mask, *, algorithm: tuple[str, str] | None, series: derived.DerivedSeries
) -> list[SegmentDescription]:
    identification = None
    if algorithm is not None:
        name, version = algorithm
        identification = AlgorithmIdentificationSequence(
            name=long_string(name),
            version=long_string(version),
            family=coded(mask.algorithm or concept("artificial_intelligence")),
            source="osteon",
        )
    return [
        _description(label, number, identification=identification, series=series)
        for number, label in enumerate(mask.labels, start=1)
    ]


def _description(
    label: Label, number: int, *, identification: AlgorithmIdentificationSequence | None, series: derived.DerivedSeries
) -> SegmentDescription:
    description = SegmentDescription(
        segment_number=number,
        segment_label=long_string(label.name),
        segmented_property_category=coded(label.category),
        segmented_property_type=coded(label.kind),
        algorithm_type=SegmentAlgorithmTypeValues.MANUAL if identification is None else _AUTOMATIC,
        algorithm_identification=identification,
        tracking_uid=label.tracking_uid or derived.derived_uid(series.instance_uid, "segment", str(number)),
        tracking_id=plain_text(label.name),
        anatomic_regions=None if label.site is None else [coded(label.site)],
        display_color=CIELabColor.from_rgb(*label.colour),
    )
    if label.site is not None and label.laterality is not None:
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [coded(label.laterality)]
    elif label.laterality is not None:
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            coded(label.laterality)
        ]
    return description
