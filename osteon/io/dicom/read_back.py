"""Read DICOM Segmentations and measurement reports back into values: the proof that nothing was lost on the way out.

Reading is tolerant of who wrote the object: the segment order, the frame order and left out frames do not matter, only
what the functional groups say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from highdicom.color import CIELabColor
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from osteon.data import Label, Mask, Measurement
from osteon.errors import GeometryMismatchError, InputError, UnsupportedError
from osteon.geometry import ANGLE_TOLERANCE, POSITION_TOLERANCE_MM, SPACING_TOLERANCE, Grid
from osteon.labels import Concept

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

__all__ = ["Report", "ReportGroup", "read_report_sr", "read_segmentation", "segment_numbers"]

SEGMENTATION: Final = "1.2.840.10008.5.1.4.1.1.66.4"
REPORT_CLASSES: Final = ("1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.88.34")
FINDING: Final = "121071"
FINDING_SITE: Final = "363698007"
LATERALITY: Final = "272741003"
TRACKING_IDENTIFIER: Final = "112039"
TRACKING_UID: Final = "112040"
REFERENCED_SEGMENT: Final = "121191"
MEASUREMENTS: Final = "126010"
EVALUATIONS: Final = "C0034375"
MEASUREMENT_GROUP: Final = "125007"
PROCEDURE: Final = "121058"
SUMMARY: Final = "111017"
COMMENT: Final = "121106"
ALGORITHM_NAME: Final = "111001"
ALGORITHM_VERSION: Final = "111003"
METHOD: Final = "370129005"
DERIVATION: Final = "121401"
PROBABILITY: Final = "122157"
CHARACTER: Final = "lesion-character"
UPPER: Final = "371886008"
LOWER: Final = "371885007"


@dataclass(frozen=True, slots=True)
class ReportGroup:
    """One Measurement Group of a report.

    Attributes:
        identifier: Tracking Identifier.
        tracking_uid: Tracking Unique Identifier.
        template: "1410", "1411" or "1501".
        kind: the coded finding, or None.
        statement: the comments, one a line.
        site: coded site, or None.
        laterality: coded side, or None.
        probability: 0 to 1, or None.
        measurements: all numbers but the probability.
        box_lps_mm: (8, 3) corners in the order of ``Box.corners_lps_mm``, or None.
        segment: (SOP Instance UID, segment number) or None.
        algorithm: name and version.
        character: coded character of a lesion, or None.
    """

    identifier: str
    tracking_uid: str
    template: str
    kind: Concept | None
    statement: str
    site: Concept | None
    laterality: Concept | None
    probability: float | None
    measurements: tuple[Measurement, ...]
    box_lps_mm: NDArray[np.float64] | None = field(repr=False)
    segment: tuple[str, int] | None
    algorithm: tuple[str, str]
    character: Concept | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """An Imaging Measurement Report.

    Attributes:
        title: coded document title.
        procedure: coded procedure, or None.
        summary: coded summary of what was found, or None.
        texts: every sentence of the qualitative evaluations.
        groups: the Measurement Groups.
        flags: Completion, Verification and Preliminary Flag.
        images: SOP Instance UIDs of the image library, in order.
    """

    title: Concept
    procedure: Concept | None
    summary: Concept | None
    texts: tuple[str, ...]
    groups: tuple[ReportGroup, ...]
    flags: tuple[str, str, str]
    images: tuple[str, ...]


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
        InputError: not a DICOM Segmentation, or frames that do not lie on one grid.
        UnsupportedError: a fractional or compressed segmentation, or segments that overlap.
        GeometryMismatchError: a frame does not lie on a slice of ``like``.
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
    dataset = _read(path)
    if dataset.get("SOPClassUID") != SEGMENTATION:
        raise InputError(f"asked for a DICOM Segmentation, found SOP class {dataset.get('SOPClassUID', 'none')}")
    return dataset


def _read(path: Path) -> Dataset:
    try:
        return dcmread(path)
    except (OSError, InvalidDicomError, EOFError) as error:
        message = f"asked to read {path.name} as DICOM, found {type(error).__name__}"
        raise InputError(message) from error


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
        raise GeometryMismatchError(f"the segmentation's planes do not lie on the asked-for grid: {grid}")
    positions = np.array([position for _, position in places])
    indices = np.rint(grid.to_vox(positions)[:, 0]).astype(int)
    inside = (indices >= 0) & (indices < grid.shape[0])
    expected = grid.to_lps_mm(np.stack([indices, np.zeros_like(indices), np.zeros_like(indices)], axis=1))
    limit_mm = max(POSITION_TOLERANCE_MM, 2 * SPACING_TOLERANCE * grid.spacing_mm[0])
    if not inside.all() or np.abs(expected - positions).max() > limit_mm:
        raise GeometryMismatchError(
            f"a frame of the segmentation does not lie on a slice of the asked-for grid: {grid}"
        )
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


def read_report_sr(path: Path) -> Report:
    """Read an Imaging Measurement Report (TID 1500).

    Args:
        path: a Comprehensive SR or Comprehensive 3D SR.

    Raises:
        InputError: not such a report.
    """
    dataset = _read(path)
    template = dataset.get("ContentTemplateSequence") or [{}]
    if dataset.get("SOPClassUID") not in REPORT_CLASSES or template[0].get("TemplateIdentifier") != "1500":
        raise InputError("asked for an Imaging Measurement Report (TID 1500), found another DICOM object")
    measurements = _children(dataset, MEASUREMENTS)
    items = list(_walk(dataset))
    said = [item for part in _children(dataset, EVALUATIONS) for item in part.ContentSequence]
    groups = [_report_group(item) for part in measurements for item in _children(part, MEASUREMENT_GROUP)]
    return Report(
        title=_concept(dataset.ConceptNameCodeSequence[0]),
        procedure=_coded_child(dataset, PROCEDURE),
        summary=next((_concept(i.ConceptCodeSequence[0]) for i in items if _code(i) == SUMMARY), None),
        texts=tuple(str(item.TextValue) for item in said if item.ValueType == "TEXT"),
        groups=tuple(groups),
        flags=(str(dataset.CompletionFlag), str(dataset.VerificationFlag), str(dataset.get("PreliminaryFlag", ""))),
        images=tuple(_library_images(items)),
    )


def _walk(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence") or []:
        yield child
        yield from _walk(child)


def _library_images(items: Sequence[Dataset]) -> Iterator[str]:
    for group in items:
        if _code(group) == "126200":
            for image in _walk(group):
                if image.ValueType == "IMAGE":
                    yield str(image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)


def _code(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].get("CodeValue", "")) if names else ""


def _children(item: Dataset, code: str) -> list[Any]:
    return [child for child in item.get("ContentSequence") or [] if _code(child) == code]


def _coded_child(item: Dataset, code: str) -> Concept | None:
    found = _children(item, code)
    return _concept(found[0].ConceptCodeSequence[0]) if found else None


def _text_child(item: Dataset, code: str) -> str:
    found = _children(item, code)
    return str(found[0].get("TextValue") or found[0].get("UID") or "") if found else ""


def _report_group(item: Dataset) -> ReportGroup:
    numbers = [child for child in item.ContentSequence if child.ValueType == "NUM"]
    sites = _children(item, FINDING_SITE)
    segments = _children(item, REFERENCED_SEGMENT)
    probability = next((_value(number) for number in numbers if _code(number) == PROBABILITY), None)
    template = item.get("ContentTemplateSequence")
    side = _coded_child(sites[0], LATERALITY) if sites else None
    return ReportGroup(
        identifier=_text_child(item, TRACKING_IDENTIFIER),
        tracking_uid=_text_child(item, TRACKING_UID),
        template=str(template[0].TemplateIdentifier) if template else "",
        kind=_coded_child(item, FINDING),
        statement="\n".join(str(child.TextValue) for child in _children(item, COMMENT)),
        site=_coded_child(item, FINDING_SITE),
        laterality=side or _coded_child(item, LATERALITY),
        probability=probability,
        measurements=tuple(_measurement(number) for number in numbers if _code(number) != PROBABILITY),
        box_lps_mm=_box(numbers),
        segment=_segment(segments[0]) if segments else None,
        algorithm=(_text_child(item, ALGORITHM_NAME), _text_child(item, ALGORITHM_VERSION)),
        character=_coded_child(item, CHARACTER),
    )


def _segment(item: Dataset) -> tuple[str, int]:
    reference = item.ReferencedSOPSequence[0]
    number = reference.ReferencedSegmentNumber
    return str(reference.ReferencedSOPInstanceUID), int(number if isinstance(number, int) else number[0])


def _value(number: Dataset) -> float:
    measured = number.MeasuredValueSequence[0]
    exact = measured.get("FloatingPointValue")
    return float(measured.NumericValue if exact is None else exact)


def _measurement(number: Dataset) -> Measurement:
    value = _value(number)
    ends = [_value(_children(number, code)[0]) if _children(number, code) else None for code in (LOWER, UPPER)]
    lower, upper = ends
    return Measurement(
        concept=_concept(number.ConceptNameCodeSequence[0]),
        value=value,
        unit=_concept(number.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]),
        method=_coded_child(number, METHOD),
        derivation=_coded_child(number, DERIVATION),
        interval=None if lower is None or upper is None else (value - lower, value + upper),
    )


def _box(numbers: Sequence[Dataset]) -> NDArray[np.float64] | None:
    """The eight corners from the two faces that a number was inferred from."""
    for number in numbers:
        faces = [child for child in number.get("ContentSequence") or [] if child.ValueType == "SCOORD3D"]
        if len(faces) == 2:
            # around a face run (0,0) (0,1) (1,1) (1,0) of row and column; the corners count in binary
            rows = [np.array(face.GraphicData, dtype=np.float64).reshape(-1, 3)[[0, 1, 3, 2]] for face in faces]
            return np.concatenate(rows)
    return None
