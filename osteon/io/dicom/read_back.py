"""Read DICOM Segmentations back into Masks.

Reading is tolerant of who wrote the object: the segment order, the frame order and left out frames do not matter, only
what the functional groups say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from highdicom.color import CIELabColor
from pydicom import dcmread

from osteon.data import Label, Mask
from osteon.errors import GeometryMismatchError, InputError, ThirdParty, UnsupportedError
from osteon.geometry import Grid
from osteon.io.dicom.elements import read_elements
from osteon.io.dicom.seg_frames import seg_planes
from osteon.io.inventory import require_memory
from osteon.labels import Concept

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

__all__ = ["RT_STRUCTURES", "read_segmentation", "segment_names", "sop_class"]

SEGMENTATION: Final = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP: Final = "1.2.840.10008.5.1.4.1.1.66.7"
RT_STRUCTURES: Final = "1.2.840.10008.5.1.4.1.1.481.3"
SOP_CLASS: Final = 0x00080016
OFF_GRID_VOX: Final = 0.1
"""A frame may be this far from its slice: programs round positions."""


def sop_class(path: Path) -> str:
    """SOP Class UID of a mask that is a DICOM file, measured before it is parsed; "" where it names none.

    Raises:
        InputError: not DICOM, or damaged.
    """
    with ThirdParty(f"{path.name} cannot be read as DICOM: give a DICOM Segmentation or RT Structure Set"):
        found = read_elements(path, wanted=frozenset({SOP_CLASS}))  # measured, before it is inflated
    if found is None:
        raise InputError(
            f"{path.name} is not a mask that is read: give NIfTI (.nii, .nii.gz), NRRD (.nrrd, .seg.nrrd), a DICOM "
            "Segmentation or a DICOM RT Structure Set"
        )
    if found.damage is not None:
        raise InputError(f"{path.name} is a damaged DICOM file, {found.damage}: send it again")
    return found.values.get(SOP_CLASS, b"").strip(b"\0 ").decode("ascii", "replace")


def segment_names(path: Path) -> dict[int, str]:
    """Labels of the segments of a DICOM Segmentation by their numbers, ascending.

    Raises:
        InputError: not a DICOM Segmentation.
    """
    segments = {
        int(item.SegmentNumber): str(item.get("SegmentLabel") or "") for item in _read_seg(path).SegmentSequence
    }
    return {
        number: segments[number] for number in sorted(segments) if number > 0
    }  # a label map may describe its background as 0


def read_segmentation(path: Path, *, like: Grid | None = None, only: Collection[int] | None = None) -> Mask:
    """Read a DICOM Segmentation: binary, fractional (inside is one half and more), or a label map.

    Args:
        path: the file.
        like: grid to place the frames on, as the grid of the source volume. Without it the smallest grid that holds all
            frames is made: slices then ascend along the normal of the frames.
        only: numbers of the segments to read; the others may overlap them. None for all.

    Returns:
        A Mask whose label values are the segment numbers.

    Raises:
        InputError: not a DICOM Segmentation, or frames that are not on one grid.
        UnsupportedError: an encoding without a decoder, or segments that overlap.
        GeometryMismatchError: a frame is not on a slice of ``like``.
    """
    dataset = _read_seg(path)
    places = _frame_places(dataset)
    grid = _grid_of_frames(dataset, places) if like is None else like
    require_memory(grid.shape, what=path.name, voxel_bytes=1)
    with np.errstate(all="ignore"):  # a place beyond all numbers is not on a slice
        slices = _slices_on(grid, places, dataset)
    array = np.zeros(grid.shape, dtype=np.uint8)
    for (segment, _), index, plane in zip(places, slices, seg_planes(dataset, path), strict=True):
        # a frame of a label map is of no segment: its values are the numbers
        for number in np.unique(plane[plane > 0]).tolist() if segment is None else [segment]:
            if only is not None and number not in only:
                continue
            inside = plane == number if segment is None else plane > 0
            if (array[index][inside] != 0).any():
                raise UnsupportedError("the segments overlap: a Mask holds one label at each voxel")
            array[index][inside] = number
    described = sorted(dataset.SegmentSequence, key=lambda item: item.SegmentNumber)
    labels = tuple(_label(item) for item in described if item.SegmentNumber > 0)
    return Mask(array=array, grid=grid, labels=labels, name=str(dataset.get("ContentLabel") or "mask").lower())


def _read_seg(path: Path) -> Dataset:
    sop_class(path)
    with ThirdParty(f"{path.name} cannot be read as DICOM: give a DICOM Segmentation"):
        dataset = dcmread(path)
        kind = dataset.get("SOPClassUID", "none")
    if kind not in {SEGMENTATION, LABEL_MAP}:
        raise InputError(f"asked for a DICOM Segmentation, found SOP class {kind}")
    return dataset


def _functional(dataset: Dataset, frame: Dataset, name: str) -> Dataset:
    """Item of a functional group: of the frame, else the shared one."""
    groups = (frame, dataset.SharedFunctionalGroupsSequence[0])
    for group in groups:
        if group.get(name):
            return group[name].value[0]
    raise InputError(f"the segmentation has no {name}")


def _frame_places(dataset: Dataset) -> list[tuple[int | None, NDArray[np.float64]]]:
    """Segment number (None in a label map) and LPS position of every frame."""
    is_map = dataset.SegmentationType == "LABELMAP"
    places = []
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        number = None
        if not is_map:
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


def _grid_of_frames(dataset: Dataset, places: Sequence[tuple[int | None, NDArray[np.float64]]]) -> Grid:
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


def _slices_on(grid: Grid, places: Sequence[tuple[int | None, NDArray[np.float64]]], dataset: Dataset) -> list[int]:
    """Slice index of every frame on the grid."""
    axes, row_mm, column_mm = _axes(dataset)
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if (rows, columns) != grid.shape[1:]:
        raise GeometryMismatchError(
            f"the segmentation's planes have {rows} x {columns} pixels, they are not on the asked-for grid: {grid}"
        )
    first = np.array([position for _, position in places])
    last = first + (rows - 1) * row_mm * axes[1] + (columns - 1) * column_mm * axes[2]
    indices = np.rint(grid.to_vox(first)[:, 0]).astype(int)
    zero = np.zeros_like(indices)
    expected = np.concatenate(
        [np.stack([indices, zero, zero], axis=1), np.stack([indices, zero + rows - 1, zero + columns - 1], axis=1)]
    )
    off = np.abs(grid.to_vox(np.concatenate([first, last])) - expected).max()
    if not ((indices >= 0) & (indices < grid.shape[0])).all() or not off <= OFF_GRID_VOX:
        raise GeometryMismatchError(
            f"a frame of the segmentation is not on a slice of the asked-for grid: {grid}; off by up to {off:.2g} "
            f"voxels, {OFF_GRID_VOX:g} is allowed"
        )
    return [int(index) for index in indices]


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
