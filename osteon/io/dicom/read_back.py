"""Read DICOM Segmentations back into Masks.

Reading is tolerant of who wrote the object: the segment order, the frame order and left out frames do not matter, only
what the functional groups say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from highdicom.color import CIELabColor
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from osteon.data import Label, Mask
from osteon.errors import GeometryMismatchError, InputError, UnsupportedError
from osteon.geometry import ANGLE_TOLERANCE, POSITION_TOLERANCE_MM, SPACING_TOLERANCE, Grid
from osteon.labels import Concept

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

__all__ = ["read_segmentation", "segment_numbers"]

SEGMENTATION: Final = "1.2.840.10008.5.1.4.1.1.66.4"


def segment_numbers(path: Path) -> tuple[int, ...]:
    """Numbers of the segments of a DICOM Segmentation, ascending.

    Raises:
        InputError: not a DICOM Segmentation.
    """
    return tuple(sorted(int(item.SegmentNumber) for item in _read_seg(path).SegmentSequence))


def read_segmentation(path: Path, *, like: Grid | None = None, only: Collection[int] | None = None) -> Mask:
    """Read a binary DICOM Segmentation.

    Args:
        path: the file.
        like: grid to place the frames on, as the grid of the source volume. Without it the smallest grid that holds all
            frames is made: slices then ascend along the normal of the frames.
        only: numbers of the segments to read; the others may overlap them. None for all.

    Returns:
        A Mask whose label values are the segment numbers.

    Raises:
        InputError: not a DICOM Segmentation, or frames that are not on one grid.
        UnsupportedError: a fractional or compressed segmentation, or segments that overlap.
        GeometryMismatchError: a frame is not on a slice of ``like``.
    """
    dataset = _read_seg(path)
    if dataset.SegmentationType != "BINARY" or dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        raise UnsupportedError(f"only uncompressed BINARY segmentations are read, found {dataset.SegmentationType}")
    places = _frame_places(dataset)
    grid = _grid_of_frames(dataset, places) if like is None else like
    slices = _slices_on(grid, places, dataset)
    array = np.zeros(grid.shape, dtype=np.uint8)
    for (number, _), index, plane in zip(places, slices, _planes(dataset), strict=True):
        if only is not None and number not in only:
            continue
        if (array[index][plane] != 0).any():
            raise UnsupportedError("the segments overlap: a Mask holds one label at each voxel")
        array[index][plane] = number
    labels = tuple(_label(item) for item in sorted(dataset.SegmentSequence, key=lambda item: item.SegmentNumber))
    return Mask(array=array, grid=grid, labels=labels, name=str(dataset.get("ContentLabel") or "mask").lower())


def _read_seg(path: Path) -> Dataset:
    try:
        dataset = dcmread(path)
    except (OSError, InvalidDicomError, EOFError) as error:
        raise InputError(f"asked to read {path.name} as DICOM, found {type(error).__name__}") from error
    if dataset.get("SOPClassUID") != SEGMENTATION:
        raise InputError(f"asked for a DICOM Segmentation, found SOP class {dataset.get('SOPClassUID', 'none')}")
    return dataset


def _functional(dataset: Dataset, frame: Dataset, name: str) -> Dataset:
    """Item of a functional group: of the frame, else the shared one."""
    groups = (frame, dataset.SharedFunctionalGroupsSequence[0])
    for group in groups:
        if group.get(name):
            return group[name].value[0]
    raise InputError(f"the segmentation has no {name}")


def _frame_places(dataset: Dataset) -> list[tuple[int, NDArray[np.float64]]]:
    """Segment number and LPS position of every frame."""
    places = []
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        number = int(_functional(dataset, frame, "SegmentIdentificationSequence").ReferencedSegmentNumber)
        position = _functional(dataset, frame, "PlanePositionSequence").ImagePositionPatient
        places.append((number, np.array(position, dtype=np.float64)))
    return places


def _axes(dataset: Dataset) -> tuple[NDArray[np.float64], float, float]:
    """(3, 3) unit vectors of slice normal, row index and column index; spacing between rows and between columns."""
    frame = dataset.PerFrameFunctionalGroupsSequence[0]
    cosines = np.array(_functional(dataset, frame, "PlaneOrientationSequence").ImageOrientationPatient, dtype=float)
    measures = _functional(dataset, frame, "PixelMeasuresSequence")
    right, down = cosines[:3], cosines[3:]
    row_mm, column_mm = (float(v) for v in measures.PixelSpacing)
    return np.stack([np.cross(right, down), down, right]), row_mm, column_mm


def _grid_of_frames(dataset: Dataset, places: Sequence[tuple[int, NDArray[np.float64]]]) -> Grid:
    axes, row_mm, column_mm = _axes(dataset)
    positions = np.array([position for _, position in places])
    along = positions @ axes[0]
    measures = _functional(dataset, dataset.PerFrameFunctionalGroupsSequence[0], "PixelMeasuresSequence")
    gaps = np.diff(np.unique(np.round(along, 3)))
    step = float(
        measures.get("SpacingBetweenSlices") or (gaps.min() if gaps.size else measures.get("SliceThickness") or 1)
    )
    count = round(float(np.ptp(along)) / step) + 1
    return Grid.from_axes(
        shape=(count, int(dataset.Rows), int(dataset.Columns)),
        spacing_mm=(step, row_mm, column_mm),
        directions=axes,
        origin_lps_mm=positions[int(along.argmin())].tolist(),
    )


def _slices_on(grid: Grid, places: Sequence[tuple[int, NDArray[np.float64]]], dataset: Dataset) -> list[int]:
    """Slice index of every frame on the grid."""
    axes, row_mm, column_mm = _axes(dataset)
    spacing = np.abs(np.array([row_mm, column_mm]) / grid.spacing_mm[1:] - 1).max()
    turned = np.abs(axes[1:] - grid.directions[1:]).max()
    if (
        (int(dataset.Rows), int(dataset.Columns)) != grid.shape[1:]
        or spacing > SPACING_TOLERANCE
        or turned > ANGLE_TOLERANCE
    ):
        raise GeometryMismatchError(f"the segmentation's planes are not on the asked-for grid: {grid}")
    positions = np.array([position for _, position in places])
    indices = np.rint(grid.to_vox(positions)[:, 0]).astype(int)
    inside = (indices >= 0) & (indices < grid.shape[0])
    expected = grid.to_lps_mm(np.stack([indices, np.zeros_like(indices), np.zeros_like(indices)], axis=1))
    limit_mm = max(POSITION_TOLERANCE_MM, 2 * SPACING_TOLERANCE * grid.spacing_mm[0])
    if not inside.all() or np.abs(expected - positions).max() > limit_mm:
        raise GeometryMismatchError(f"a frame of the segmentation is not on a slice of the asked-for grid: {grid}")
    return [int(index) for index in indices]


def _planes(dataset: Dataset) -> Iterator[NDArray[np.bool_]]:
    """The frames, unpacked one at a time; frames follow each other bit by bit (PS3.5 8.2)."""
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    size = rows * columns
    packed = np.frombuffer(dataset.PixelData, dtype=np.uint8)
    for frame in range(int(dataset.NumberOfFrames)):
        first, last = frame * size, (frame + 1) * size
        bits = np.unpackbits(packed[first // 8 : -(-last // 8)], bitorder="little")
        yield bits[first % 8 : first % 8 + size].reshape(rows, columns).astype(np.bool_)


def _concept(item: Dataset) -> Concept:
    value = item.get("CodeValue") or item.get("LongCodeValue") or item.get("URNCodeValue") or ""
    return Concept(value=str(value), scheme=str(item.get("CodingSchemeDesignator", "")), meaning=str(item.CodeMeaning))


def _label(item: Dataset) -> Label:
    site = item.AnatomicRegionSequence[0] if item.get("AnatomicRegionSequence") else None
    kind = item.SegmentedPropertyTypeCodeSequence[0]
    sides = (
        (site.get("AnatomicRegionModifierSequence") if site is not None else None)
        or kind.get("SegmentedPropertyTypeModifierCodeSequence")
        or []
    )
    colour = (230, 220, 190)
    if item.get("RecommendedDisplayCIELabValue"):
        red, green, blue = CIELabColor.from_dicom_value(item.RecommendedDisplayCIELabValue).to_rgb(clip=True)
        colour = (int(red), int(green), int(blue))
    return Label(
        value=int(item.SegmentNumber),
        name=str(item.SegmentLabel),
        category=_concept(item.SegmentedPropertyCategoryCodeSequence[0]),
        kind=_concept(kind),
        site=None if site is None else _concept(site),
        laterality=_concept(sides[0]) if sides else None,
        colour=colour,
        tracking_uid=str(item.get("TrackingUID", "")),
    )
