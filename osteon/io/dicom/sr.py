"""DICOM Structured Report: an Answer as an Imaging Measurement Report (TID 1500) in a Comprehensive 3D SR."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from highdicom import sr as hd
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.sr.codedict import codes

from osteon import __version__
from osteon.data import Measurement as Number
from osteon.errors import InputError
from osteon.io.dicom import derived
from osteon.io.dicom.derived import coded, long_string, plain_text
from osteon.io.dicom.seg import segment_number
from osteon.labels import concept

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from osteon.data import Answer, Finding, Radiograph, Volume
    from osteon.geometry import Box, Grid
    from osteon.labels import Concept

__all__ = ["DISCLAIMER", "write_report_sr"]

DISCLAIMER: Final = "Research decision support; not a diagnosis."

_BOX_FACES: Final = ((0, 1, 3, 2), (4, 5, 7, 6))
"""Rows of ``Box.corners_lps_mm`` around the face of the lowest and of the highest slice index."""

PROCEDURE_OF_MODALITY: Final = {"CT": "procedure_ct", "MR": "procedure_mr"}
SEG_TAGS: Final = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "NumberOfFrames"]
HAS_CONCEPT_MOD: Final = hd.RelationshipTypeValues.HAS_CONCEPT_MOD
HAS_ACQ: Final = hd.RelationshipTypeValues.HAS_ACQ_CONTEXT
CONTAINS: Final = hd.RelationshipTypeValues.CONTAINS
INFERRED_FROM: Final = hd.RelationshipTypeValues.INFERRED_FROM
HAS_PROPERTIES: Final = hd.RelationshipTypeValues.HAS_PROPERTIES


def write_report_sr(
    path: Path,
    answer: Answer,
    volume: Volume | Radiograph,
    *,
    segmentations: Mapping[str, Path],
    series: derived.DerivedSeries,
    headers: derived.SourceHeaders | None = None,
) -> None:
    """Write an Answer as a Comprehensive 3D SR: complete, unverified, preliminary.

    Every Finding is one Measurement Group: TID 1411 with the Referenced Segment when it has one, TID 1501 otherwise.
    The group of a lesion also says its character, as a coded evaluation.
    The box of a finding stands as two polygons (its first and last slice face) from which its volume is inferred. The
    headline, what was and was not found, the disclaimer, the models and the warnings are qualitative evaluations.

    Args:
        path: file to write.
        answer: what is said.
        volume: what it is said about; must come from DICOM.
        segmentations: for each mask name, the file that ``write_segmentation`` wrote from the mask of this answer.
        series: where it goes.
        headers: of ``read_source_headers``, when several objects of one source are written; read again by default.

    Raises:
        InputError: the volume did not come from DICOM, or a finding shows a segment whose file was not given.
        UnknownLabelError: a finding shows a label that its mask does not declare.
        OutputError: the file cannot be written.

    References:
        DICOM PS3.16 TID 1500, 1411, 1501, 300, 4019; PS3.3 A.35.13.
    """
    if volume.source is None:
        raise InputError(
            "asked to write a DICOM report, but the volume has no DICOM source: write findings.json instead"
        )
    source = headers or derived.read_source_headers(volume.source)
    images = source.images
    segment_files = {name: _segmentation_header(file) for name, file in segmentations.items()}
    groups = [
        _group(finding, answer=answer, source=source, segment_files=segment_files, grid=volume.grid)
        for finding in answer.findings
    ]
    dataset = hd.Comprehensive3DSR(
        evidence=[*images, *segment_files.values()],
        content=_root(answer, images, groups),
        is_complete=True,
        is_final=False,
        is_verified=False,
        performed_procedure_codes=[_procedure(images[0])],
        contributing_equipment=derived.contributing_equipment(series, purpose="automatic reading"),
        coding_schemes=derived.private_schemes(_all_codes(answer)),
        **derived.equipment(series),
    )
    derived.complete(dataset, series, source)
    derived.save_object(dataset, path)


def _all_codes(answer: Answer) -> Iterator[Concept | None]:
    for finding in answer.findings:
        yield from _codes(finding)


def _codes(finding: Finding) -> Iterator[Concept | None]:
    yield from (finding.kind, finding.site, finding.laterality)
    for number in finding.measurements:
        yield from (number.concept, number.unit, number.method, number.derivation)
    yield from (what for what, _ in finding.qualities)


def _segmentation_header(path: Path) -> Dataset:
    try:
        return dcmread(path, specific_tags=SEG_TAGS)
    except (OSError, InvalidDicomError) as error:
        message = f"asked to refer to the segmentation {path.name}, found {type(error).__name__}: write it first"
        raise InputError(message) from error


def _procedure(header: Dataset) -> hd.CodedConcept:
    return coded(concept(PROCEDURE_OF_MODALITY.get(str(header.Modality), "procedure_ct")))


def _root(answer: Answer, headers: Sequence[Dataset], groups: Sequence[hd.ContentSequence]) -> Dataset:
    root = hd.ContainerContentItem(name=codes.DCM.ImagingMeasurementReport, template_id="1500")
    content = hd.ContentSequence()
    english = hd.CodedConcept("en-US", "RFC5646", "English (United States)")
    content.extend(hd.LanguageOfContentItemAndDescendants(english))
    name = derived.MANUFACTURER
    device = hd.DeviceObserverIdentifyingAttributes(
        uid=derived.DEVICE_UID,
        name=name,
        manufacturer_name=name,
        model_name=name,
        serial_number=f"{name}-{__version__}",
    )
    content.extend(hd.ObservationContext(observer_device_context=hd.ObserverContext(codes.DCM.Device, device)))
    content.append(_code(codes.DCM.ProcedureReported, _procedure(headers[0]), HAS_CONCEPT_MOD))
    content.append(_image_library(headers))
    if groups:
        content.append(_container(codes.DCM.ImagingMeasurements, [item for group in groups for item in group]))
    content.append(_evaluations(answer))
    root.ContentSequence = content
    return root


def _container(name: Any, items: Iterable[Dataset]) -> hd.ContainerContentItem:  # noqa: ANN401 - highdicom's codes
    found = hd.ContainerContentItem(name, relationship_type=CONTAINS)
    found.ContentSequence = hd.ContentSequence(items)
    return found


def _code(name: Any, value: Any, relation: hd.RelationshipTypeValues) -> hd.CodeContentItem:  # noqa: ANN401 - as above
    return hd.CodeContentItem(name, value, relationship_type=relation)


def _comment(text: str) -> hd.TextContentItem:
    return hd.TextContentItem(codes.DCM.Comment, plain_text(text), relationship_type=CONTAINS)


def _image_library(headers: Sequence[Dataset]) -> hd.ContainerContentItem:
    """TID 1600 with one group (TID 1602): what the images share stands once, each image is one reference."""
    first = headers[0]
    modality = codes.cid33.ComputedTomography if first.Modality == "CT" else codes.cid33.MagneticResonance
    numbers = [(codes.DCM.PixelDataRows, first.Rows, concept("unit_pixels"))]
    numbers += [(codes.DCM.PixelDataColumns, first.Columns, concept("unit_pixels"))]
    if "PixelSpacing" in first:
        row_mm, column_mm = first.PixelSpacing
        numbers += [(codes.DCM.HorizontalPixelSpacing, float(column_mm), concept("unit_mm"))]
        numbers += [(codes.DCM.VerticalPixelSpacing, float(row_mm), concept("unit_mm"))]
    if first.get("SliceThickness"):
        numbers += [(codes.DCM.SliceThickness, float(first.SliceThickness), concept("unit_mm"))]
    uid = hd.UIDRefContentItem(codes.DCM.FrameOfReferenceUID, first.FrameOfReferenceUID, relationship_type=HAS_ACQ)
    items = [_code(codes.DCM.Modality, modality, HAS_ACQ), uid]
    items += [hd.NumContentItem(name, value, coded(unit), relationship_type=HAS_ACQ) for name, value, unit in numbers]
    items += [
        hd.ImageContentItem(codes.SCT.Source, header.SOPClassUID, header.SOPInstanceUID, relationship_type=CONTAINS)
        for header in headers
    ]
    return _container(codes.DCM.ImageLibrary, [_container(codes.DCM.ImageLibraryGroup, items)])


def _evaluations(answer: Answer) -> hd.ContainerContentItem:
    """Rows 12 to 14 of TID 1500: what was found in one code, and the sentences a reader must see."""
    is_ood = any(region.ood is not None and region.ood.is_ood for region in answer.regions)
    is_found = any(finding.is_abnormal for finding in answer.findings)
    done = "NotAllAlgorithmsSucceeded" if is_ood else "AllAlgorithmsSucceeded"
    summary = getattr(codes.DCM, f"{done}{'With' if is_found else 'Without'}Findings")
    sentences = [DISCLAIMER]
    for model in answer.models:
        trained = "Demonstration model, trained on synthetic data only. " if model.is_demo else ""
        sentences.append(f"Model {model.name} {model.version}: {trained}{model.statement}")
    sentences += [notice.text for notice in answer.notices if notice.level == "warning"]
    headline = plain_text(answer.headline) or "No headline."
    items = [
        _code(codes.DCM.CADProcessingAndFindingsSummary, summary, CONTAINS),
        hd.TextContentItem(codes.DCM.NarrativeSummary, headline, relationship_type=CONTAINS),
        *(_comment(sentence) for sentence in sentences),
    ]
    return _container(hd.CodedConcept("C0034375", "UMLS", "Qualitative Evaluations"), items)


def _group(
    finding: Finding,
    *,
    answer: Answer,
    source: derived.SourceHeaders,
    segment_files: Mapping[str, Dataset],
    grid: Grid,
) -> hd.ContentSequence:
    """One Measurement Group for a finding."""
    algorithm, headers = _algorithm(answer), source.images
    shared = {
        "tracking_identifier": hd.TrackingIdentifier(
            uid=finding.tracking_uid
            or derived.derived_uid(headers[0].SeriesInstanceUID, "finding", finding.identifier),
            identifier=plain_text(finding.identifier),
        ),
        "finding_type": coded(finding.kind),
        "algorithm_id": algorithm,
        "finding_sites": None if finding.site is None else [_site(finding)],
        "qualitative_evaluations": _qualities(finding) or None,
    }
    if finding.segment is None:
        group = hd.MeasurementsAndQualitativeEvaluations(source_images=_sources(finding, source, grid), **shared)
    else:
        group = hd.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=_referenced_segment(finding.segment, answer, headers[0], segment_files), **shared
        )
    content = group[0].ContentSequence
    for measurement in _measurements(finding, grid):
        content.extend(_number(measurement, finding.box, grid, headers[0].FrameOfReferenceUID))
    if finding.statement:
        content.append(_comment(finding.statement))
    return group


def _qualities(finding: Finding) -> list[hd.QualitativeEvaluation]:
    """The side of a finding without a site, and its own qualities."""
    found = [hd.QualitativeEvaluation(coded(what), coded(which)) for what, which in finding.qualities]
    if finding.site is None and finding.laterality is not None:
        found.insert(0, hd.QualitativeEvaluation(codes.SCT.Laterality, coded(finding.laterality)))
    return found


def _algorithm(answer: Answer) -> hd.AlgorithmIdentification:
    """TID 4019: the model that took part, or osteon's task itself."""
    model = answer.models[0] if answer.models else None
    name, version = (answer.task, __version__) if model is None else (f"{answer.task} ({model.name})", model.version)
    parameters = [f"{item.name} sha256 {item.sha256}" for item in answer.models]
    return hd.AlgorithmIdentification(
        name=long_string(name),
        version=long_string(version),
        parameters=[*parameters, f"osteon {__version__}"],
        family=None if model is None else coded(concept("artificial_intelligence")),
        manufacturer=derived.MANUFACTURER,
    )


def _site(finding: Finding) -> hd.FindingSite:
    if finding.site is None:
        raise InputError(f"finding {finding.identifier} has no site")
    side = None if finding.laterality is None else coded(finding.laterality)
    return hd.FindingSite(anatomic_location=coded(finding.site), laterality=side)


def _sources(
    finding: Finding, source: derived.SourceHeaders, grid: Grid
) -> list[hd.SourceImageForMeasurementGroup] | None:
    """The images of the finding's slices, where each slice is one plane of the source."""
    if finding.box is None or len(source.planes) != grid.shape[0]:
        return None
    frames: dict[tuple[str, str], list[int]] = {}
    for plane in source.planes[finding.box.start[0] : finding.box.stop[0]]:
        key = (plane.header.SOPClassUID, plane.header.SOPInstanceUID)
        frames.setdefault(key, []).extend([] if plane.frame is None else [plane.frame])
    return [hd.SourceImageForMeasurementGroup(*uids, sorted(numbers) or None) for uids, numbers in frames.items()]


def _referenced_segment(
    segment: tuple[str, int], answer: Answer, header: Dataset, segment_files: Mapping[str, Dataset]
) -> hd.ReferencedSegment:
    name, value = segment
    mask = answer.masks.get(name)
    if mask is None or name not in segment_files:
        raise InputError(
            f"a finding shows a segment of mask {name!r}; given are the segmentations {sorted(segment_files)}: "
            "write the segmentation of that mask and pass its file"
        )
    file = segment_files[name]
    return hd.ReferencedSegment(
        sop_class_uid=file.SOPClassUID,
        sop_instance_uid=file.SOPInstanceUID,
        segment_number=segment_number(mask, value),
        source_series=hd.SourceSeriesForSegmentation(header.SeriesInstanceUID),
    )


def _measurements(finding: Finding, grid: Grid) -> list[Number]:
    """The finding's numbers; a probability and the volume of the box are numbers too."""
    numbers = list(finding.measurements)
    if finding.probability is not None:
        numbers.insert(0, Number(concept("probability"), finding.probability, concept("unit_ratio")))
    box_volume = concept("box_volume")
    if finding.box is not None and all(number.concept.value != box_volume.value for number in numbers):
        numbers.append(Number(box_volume, finding.box.volume_mm3(grid), concept("unit_mm3")))
    return numbers


def _number(number: Number, box: Box | None, grid: Grid, frame_of_reference: str) -> hd.Measurement:
    """TID 300; the uncertainty is the distance to the ends of the interval, in the unit of the number."""
    measurement = hd.Measurement(
        name=coded(number.concept),
        value=float(number.value),
        unit=coded(number.unit),
        derivation=None if number.derivation is None else coded(number.derivation),
        method=None if number.method is None else coded(number.method),
    )
    extra = hd.ContentSequence()
    if number.interval is not None:
        low, high = number.interval
        for name, distance in (
            (codes.SCT.RangeOfUpperMeasurementUncertainty, high - number.value),
            (codes.SCT.RangeOfLowerMeasurementUncertainty, number.value - low),
        ):
            item = hd.NumContentItem(name, float(distance), coded(number.unit), relationship_type=HAS_PROPERTIES)
            extra.append(item)
    if box is not None and number.concept.value == concept("box_volume").value:
        extra.extend(_faces(box.corners_lps_mm(grid), frame_of_reference))
    if extra:
        measured = measurement[0]
        if "ContentSequence" in measured:
            measured.ContentSequence.extend(extra)
        else:
            measured.ContentSequence = extra
    return measurement


def _faces(corners_lps_mm: NDArray[np.float64], frame_of_reference: str) -> list[hd.Scoord3DContentItem]:
    return [
        hd.Scoord3DContentItem(
            name=codes.SCT.Source,
            graphic_type="POLYGON",
            graphic_data=corners_lps_mm[[*face, face[0]]],
            frame_of_reference_uid=frame_of_reference,
            relationship_type=INFERRED_FROM,
        )
        for face in _BOX_FACES
    ]
