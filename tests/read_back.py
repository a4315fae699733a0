"""Measurement reports and NIfTI masks read back into values: the proof that nothing was lost on the way out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import nibabel
import numpy as np
from pydicom import dcmread

from osteon.data import Label, Manifest, Mask, Measurement
from osteon.geometry import Grid
from osteon.labels import Concept

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

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
CHARACTER: Final = "density-pattern"
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


def _concept(item: Dataset) -> Concept:
    value = item.get("CodeValue") or item.get("LongCodeValue") or item.get("URNCodeValue") or ""
    return Concept(value=str(value), scheme=str(item.get("CodingSchemeDesignator", "")), meaning=str(item.CodeMeaning))


def read_report_sr(path: Path) -> Report:
    """Read an Imaging Measurement Report (TID 1500) of a Comprehensive SR or Comprehensive 3D SR."""
    dataset = dcmread(path)
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


def read_mask_nifti(path: Path) -> Mask:
    """Read what ``write_mask_nifti`` wrote: the NIfTI file and the table of its labels beside it."""
    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    document = json.loads(path.with_name(f"{stem}.labels.json").read_text(encoding="utf-8"))
    image = nibabel.load(path)
    assert image.get_data_dtype() == np.uint8
    array = np.asarray(image.dataobj, dtype=np.uint8).transpose(2, 1, 0)
    affine = (np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine)[:, [2, 1, 0, 3]]
    labels = tuple(_label(item) for item in document["labels"])
    return Mask(array=array, grid=Grid(shape=array.shape, affine=affine), labels=labels, name=document["name"])


def _label(item: dict[str, Any]) -> Label:
    concepts = {
        key: None if item[key] is None else Concept(**item[key]) for key in ("category", "kind", "site", "laterality")
    }
    return Label(**{**item, **concepts, "colour": tuple(item["colour"])})


def missing_images(manifest: Manifest) -> tuple[str, ...]:
    """Paths, as in the manifest, of images and masks that are not files below its folder."""
    named = (path for row in manifest.rows for path in (row.image, row.bone_mask, row.lesion_mask) if path)
    return tuple(path for path in named if not (manifest.folder / path).is_file())
