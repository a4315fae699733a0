"""Encapsulated PDF and STL: the bytes come back, the patient is right, dciodvfy agrees."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest

from osteon.data import Patient, Series, Source, Study
from osteon.errors import InputError, OutputError
from osteon.io.dicom.derived import DerivedSeries
from osteon.io.dicom.encapsulated import write_encapsulated_pdf, write_encapsulated_stl

if TYPE_CHECKING:
    from collections.abc import Callable

    from osteon.geometry import Grid

    Make = Callable[..., Source]
    Check = Callable[[Path], tuple[list[str], list[str]]]

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
SERIES = DerivedSeries(number=103, description="osteon bone surface")


def tetrahedron() -> bytes:
    corners = np.array([(0, 0, 0), (30, 0, 0), (0, 30, 0), (0, 0, 30)], dtype="<f4")
    faces = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
    body = b"".join(struct.pack("<3f", 0, 0, 0) + corners[list(face)].tobytes() + b"\0\0" for face in faces)
    return b"osteon LPS mm".ljust(80, b" ") + struct.pack("<I", len(faces)) + body


@pytest.fixture
def source(tmp_path: Path, dicom_grids: dict[str, Grid], make_ct_series: Make) -> Source:
    return make_ct_series(
        tmp_path / "ct", dicom_grids["oblique"], PatientName="Müller^J", SpecificCharacterSet="ISO_IR 100"
    )


@pytest.mark.parametrize("document", [PDF, PDF + b"\n"])
def test_a_pdf_comes_back_to_the_byte(document: bytes, tmp_path: Path, source: Source, dciodvfy: Check) -> None:
    (tmp_path / "report.pdf").write_bytes(document)
    path = tmp_path / "pdf.dcm"
    write_encapsulated_pdf(path, tmp_path / "report.pdf", source=source, title="Bone report", series=SERIES)
    dataset = pydicom.dcmread(path)
    assert dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength] == document
    assert str(dataset.PatientName) == "Müller^J"
    assert (dataset.Modality, dataset.MIMETypeOfEncapsulatedDocument) == ("DOC", "application/pdf")
    assert dataset.BurnedInAnnotation == "YES"
    assert dataset.DocumentTitle == "Bone report"
    assert dataset.StudyInstanceUID == source.study.uid
    assert dataset.SeriesInstanceUID != source.series.uid
    references = [item.ReferencedSOPInstanceUID for item in dataset.SourceInstanceSequence]
    assert references == [piece.sop_instance_uid for piece in source.slices]
    assert dciodvfy(path) == ([], [])


def test_an_stl_comes_back_to_the_byte_with_its_units_and_frame(
    tmp_path: Path, source: Source, dciodvfy: Check
) -> None:
    (tmp_path / "bone.stl").write_bytes(tetrahedron())
    path = tmp_path / "stl.dcm"
    write_encapsulated_stl(path, tmp_path / "bone.stl", source=source, title="Bone surface", series=SERIES)
    dataset, image = pydicom.dcmread(path), pydicom.dcmread(source.slices[0].path)
    assert dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength] == tetrahedron()
    assert (dataset.Modality, dataset.MIMETypeOfEncapsulatedDocument) == ("M3D", "model/stl")
    assert dataset.FrameOfReferenceUID == image.FrameOfReferenceUID
    assert dataset.MeasurementUnitsCodeSequence[0].CodeValue == "mm"
    assert dataset.ConceptNameCodeSequence[0].CodeValue == "85040-4"
    assert dataset.ContentDescription == "osteon bone surface"
    assert (dataset.Manufacturer, dataset.DeviceSerialNumber[:7]) == ("osteon", "osteon-")
    assert len(dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == len(source.slices)
    errors, warnings = dciodvfy(path)
    assert errors == []
    # the colour is in PS3.3 C.35.1 since 2019; Debian's checker is older
    assert [w for w in warnings if "CIELab" not in w and "Standard Extended SOP Class" not in w] == []


def test_what_is_not_such_a_document_is_refused(tmp_path: Path, source: Source) -> None:
    path, document = tmp_path / "out.dcm", tmp_path / "document"
    document.write_bytes(b"solid ascii\nendsolid")
    with pytest.raises(InputError, match="not begin"):
        write_encapsulated_pdf(path, document, source=source, title="t", series=SERIES)
    for model in (b"solid ascii\nendsolid", tetrahedron()[:-1], b"\0" * 84):
        document.write_bytes(model)
        with pytest.raises(InputError, match="binary STL"):
            write_encapsulated_stl(path, document, source=source, title="t", series=SERIES)
    with pytest.raises(InputError, match="write it first"):
        write_encapsulated_stl(path, tmp_path / "none.stl", source=source, title="t", series=SERIES)
    document.write_bytes(PDF)
    nifti = Source("nifti", tmp_path, Patient(), Study(uid=""), Series(uid="", modality="CT"))
    with pytest.raises(InputError, match="NIfTI"):
        write_encapsulated_pdf(path, document, source=nifti, title="t", series=SERIES)
    assert not path.exists()
    with pytest.raises(OutputError, match="can be written"):
        write_encapsulated_pdf(tmp_path / "no" / "x.dcm", document, source=source, title="t", series=SERIES)
