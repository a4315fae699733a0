"""Encapsulated PDF and Encapsulated STL: the report and the bone surface as DICOM objects of the patient."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from highdicom.color import CIELabColor
from pydicom.uid import EncapsulatedPDFStorage, EncapsulatedSTLStorage

from osteon.errors import InputError
from osteon.io.dicom import derived
from osteon.io.dicom.derived import coded, long_string
from osteon.labels import concept

if TYPE_CHECKING:
    from pathlib import Path

    from highdicom.base import SOPClass
    from pydicom.dataset import Dataset

    from osteon.data import Source
    from osteon.labels import Concept

__all__ = ["write_encapsulated_pdf", "write_encapsulated_stl"]

STL_HEADER: Final = 80
STL_TRIANGLE: Final = 50
MODEL_OF_MODALITY: Final = {"CT": "ct_model", "MR": "mr_model"}


def write_encapsulated_pdf(
    path: Path,
    pdf_path: Path,
    *,
    source: Source,
    title: str,
    series: derived.DerivedSeries,
    headers: derived.SourceHeaders | None = None,
) -> None:
    """Wrap a PDF report; it counts as carrying the patient's identity (Burned In Annotation YES).

    Args:
        path: file to write.
        pdf_path: the PDF.
        source: of the volume that the report is about.
        title: Document Title.
        series: where it goes.
        headers: of ``read_source_headers``, when several objects of one source are written; read again by default.

    Raises:
        InputError: the source is not DICOM, or the file is not a PDF.
        OutputError: the file cannot be written.

    References:
        DICOM PS3.3 A.45.1.
    """
    document = _read_bytes(pdf_path)
    if not document.startswith(b"%PDF-"):
        raise InputError(f"asked to wrap {pdf_path.name} as a PDF, but it does not begin as one")
    headers = headers or derived.read_source_headers(source)
    dataset = _document(headers, series, sop_class_uid=EncapsulatedPDFStorage, modality="DOC", purpose="report")
    dataset.ConversionType = "SYN"
    dataset.BurnedInAnnotation = "YES"
    _encapsulate(dataset, document, mime_type="application/pdf", title=title, name=concept("imaging_report"))
    derived.save_object(dataset, path)


def write_encapsulated_stl(
    path: Path,
    stl_path: Path,
    *,
    source: Source,
    title: str,
    series: derived.DerivedSeries,
    headers: derived.SourceHeaders | None = None,
) -> None:
    """Wrap a binary STL model whose coordinates are LPS millimetres of the source's frame of reference.

    Args:
        path: file to write.
        stl_path: the model, binary STL.
        source: of the volume that the model was made from.
        title: Document Title; the Series Description becomes the Content Description.
        series: where it goes.
        headers: of ``read_source_headers``, when several objects of one source are written; read again by default.

    Raises:
        InputError: the source is not DICOM, or the file is not a whole binary STL.
        OutputError: the file cannot be written.

    References:
        DICOM PS3.3 A.85.1, C.35.1 (Manufacturing 3D Model).
    """
    model = _read_bytes(stl_path)
    _require_binary_stl(model, stl_path.name)
    headers = headers or derived.read_source_headers(source)
    dataset = _document(headers, series, sop_class_uid=EncapsulatedSTLStorage, modality="M3D", purpose="surface model")
    dataset.FrameOfReferenceUID = headers.first.FrameOfReferenceUID
    dataset.PositionReferenceIndicator = headers.first.get("PositionReferenceIndicator") or ""
    dataset.BurnedInAnnotation = "NO"
    dataset.MeasurementUnitsCodeSequence = [coded(concept("unit_mm"))]
    dataset.ModelModification = "NO"
    dataset.ModelMirroring = "NO"
    dataset.ModelUsageCodeSequence = [coded(concept("diagnostic_intent"))]
    dataset.ContentDescription = long_string(series.description)
    dataset.RecommendedDisplayCIELabValue = list(CIELabColor.from_rgb(230, 220, 190).value)
    name = concept(MODEL_OF_MODALITY.get(str(headers.first.Modality), "ct_model"))
    _encapsulate(dataset, model, mime_type="model/stl", title=title, name=name)
    dataset.ReferencedSeriesSequence = derived.series_references(headers.images)
    derived.save_object(dataset, path)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"asked to wrap {path.name} in a DICOM object, found {type(error).__name__}: write it first"
        raise InputError(message) from error


def _require_binary_stl(model: bytes, name: str) -> None:
    whole = len(model) >= STL_HEADER + 4
    triangles = struct.unpack_from("<I", model, STL_HEADER)[0] if whole else 0
    if not whole or len(model) != STL_HEADER + 4 + triangles * STL_TRIANGLE or triangles == 0:
        raise InputError(
            f"asked to wrap {name} as binary STL, but its length ({len(model)} bytes) is not that of its triangle "
            f"count ({triangles}): write the surface as binary STL"
        )


def _document(
    headers: derived.SourceHeaders, series: derived.DerivedSeries, *, sop_class_uid: str, modality: str, purpose: str
) -> SOPClass:
    """Patient, study, series, equipment and references that both documents share."""
    dataset = derived.new_object(headers, series, sop_class_uid=sop_class_uid, modality=modality, purpose=purpose)
    dataset.AcquisitionDateTime = ""
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.SourceInstanceSequence = [_source_instance(header) for header in headers.images]
    return dataset


def _source_instance(header: Dataset) -> Dataset:
    reference = derived.reference_to(header)
    reference.PurposeOfReferenceCodeSequence = [coded(concept("source_image"))]
    return reference


def _encapsulate(dataset: SOPClass, document: bytes, *, mime_type: str, title: str, name: Concept) -> None:
    dataset.DocumentTitle = long_string(title)
    dataset.ConceptNameCodeSequence = [coded(name)]
    dataset.MIMETypeOfEncapsulatedDocument = mime_type
    dataset.EncapsulatedDocumentLength = len(document)
    dataset.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    dataset["EncapsulatedDocument"].VR = "OB"
