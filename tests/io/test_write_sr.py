"""Comprehensive 3D SR: the numbers, the box and the references come back; the file is valid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes

from osteon.data import Answer, Finding, Label, Mask, Measurement, ModelUse, Notice, Source, Volume, named
from osteon.errors import InputError, UnknownLabelError
from osteon.geometry import Box, Grid
from osteon.io.dicom.derived import DerivedSeries, derived_uid
from osteon.io.dicom.seg import write_segmentation
from osteon.io.dicom.sr import DISCLAIMER, write_report_sr
from osteon.labels import concept
from tests.read_back import read_report_sr

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., Source]
    Check = Callable[[Path], tuple[list[str], list[str]]]

UID = derived_uid("test", "left-run-1")
MODEL = ModelUse(
    name="densenet121.demo",
    version="1.0",
    sha256="ab" * 32,
    runtime="openvino float32",
    device="cpu",
    is_demo=True,
    statement="Has never seen a patient.",
)


def mask_on(grid: Grid) -> Mask:
    array = np.zeros(grid.shape, dtype=np.uint8)
    array[2:5, 10:20, 10:30] = 3
    array[6, 10:20, 10:30] = 5
    bone = Label(3, "Bone", concept("anatomical_structure"), concept("bone"), tracking_uid=derived_uid("test", "bone"))
    region = Label(5, "Region", concept("morphologically_abnormal"), concept("neoplasm"), tracking_uid=UID)
    return Mask(array=array, grid=grid, labels=(bone, region), name="affected")


def answer_on(grid: Grid) -> Answer:
    box = Box(start=(2, 8, 5), stop=(6, 30, 41))
    run = Finding(
        identifier="left-run-1",
        tracking_uid=UID,
        kind=concept("neoplasm"),
        statement="Slices 3 to 6 of the left leg: 10 mm \u2013 read with care.",
        site=concept("femur"),
        laterality=concept("left"),
        probability=0.9712345678901234,
        box=box,
        measurements=(
            Measurement(concept("extent_along_axis"), 10.0, concept("unit_mm")),
            Measurement(
                concept("volume"),
                1234567.890123456,
                concept("unit_mm3"),
                method=concept("volume_of_voxels"),
                interval=(1200000.0, 1300000.5),
            ),
            Measurement(concept("attenuation"), -12.5, concept("unit_hu"), derivation=concept("mean")),
        ),
        segment=("affected", 5),
    )
    other = Finding(
        identifier="right-run-1",
        tracking_uid=derived_uid("test", "right-run-1"),
        kind=concept("lesion"),
        statement="A second run.",
        laterality=concept("right"),
        box=Box(start=(1, 0, 0), stop=(3, 9, 9)),
    )
    return Answer(
        task="ct_osteosarcoma",
        headline="Two runs of slices look affected.",
        findings=(run, other),
        masks=named((mask_on(grid),)),
        models=(MODEL,),
        notices=(Notice("metal", "Metal in 4 slices.", "warning"), Notice("series", "The first series.", "info")),
    )


@dataclass(frozen=True)
class Case:
    """A volume on disk, its segmentation and where the report goes."""

    volume: Volume
    segmentation: Path
    report: Path

    def write(self, answer: Answer) -> Path:
        series = DerivedSeries(number=102, description="osteon report")
        files = {"affected": self.segmentation}
        write_report_sr(self.report, answer, self.volume, segmentations=files, series=series)
        return self.report


@pytest.fixture(params=["axial", "oblique"])
def case(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    dicom_grids: dict[str, Grid],
    make_ct_series: Make,
) -> Case:
    grid = dicom_grids[request.param]
    source = make_ct_series(tmp_path / "ct", grid)
    volume = Volume(np.zeros(grid.shape, dtype=np.int16), grid, "CT", "HU", source)
    path = tmp_path / "seg.dcm"
    series = DerivedSeries(number=101, description="osteon segmentation")
    write_segmentation(
        path,
        mask_on(grid),
        source=source,
        grid_of_source=grid,
        algorithm=("a", "1"),
        series=series,
    )
    return Case(volume, path, tmp_path / "sr.dcm")


def test_everything_a_finding_says_comes_back(case: Case, dciodvfy: Check) -> None:
    grid = case.volume.grid
    answer = answer_on(grid)
    report = read_report_sr(case.write(answer))
    assert [(g.identifier, g.tracking_uid) for g in report.groups] == [
        (f.identifier, f.tracking_uid) for f in answer.findings
    ]
    for group, finding in zip(report.groups, answer.findings, strict=True):
        assert (group.kind, group.site, group.laterality) == (finding.kind, finding.site, finding.laterality)
        assert group.probability == finding.probability
        assert finding.box is not None
        assert group.box_lps_mm is not None
        np.testing.assert_allclose(group.box_lps_mm, finding.box.corners_lps_mm(grid), atol=1e-4)
        *numbers, box_volume = group.measurements
        assert box_volume.concept == concept("box_volume")
        assert box_volume.value == pytest.approx(finding.box.volume_mm3(grid), rel=1e-15)
        for number, expected in zip(numbers, finding.measurements, strict=True):
            assert replace(number, interval=None) == replace(expected, interval=None)
            assert number.interval == pytest.approx(expected.interval)
    first, second = report.groups
    assert first.statement == "Slices 3 to 6 of the left leg: 10 mm - read with care."
    assert (first.template, second.template) == ("1411", "1501")
    segmentation = pydicom.dcmread(case.segmentation)
    assert first.segment == (segmentation.SOPInstanceUID, 2)
    assert segmentation.SegmentSequence[1].TrackingUID == first.tracking_uid
    assert second.segment is None
    assert first.algorithm == ("ct_osteosarcoma (densenet121.demo)", "1.0")
    assert dciodvfy(case.report)[0] == []


def test_the_document_says_what_it_is_and_what_it_is_not(case: Case, dciodvfy: Check) -> None:
    report = read_report_sr(case.write(answer_on(case.volume.grid)))
    assert report.title.value == "126000"
    assert report.procedure == concept("procedure_ct")
    assert report.flags == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")
    assert report.summary is not None
    assert report.summary.value == "111242"
    assert report.texts == (
        "Two runs of slices look affected.",
        DISCLAIMER,
        "Model densenet121.demo 1.0: Demonstration model, trained on synthetic data only. Has never seen a patient.",
        "Metal in 4 slices.",
    )
    source = case.volume.source
    assert source is not None
    assert report.images == tuple(piece.sop_instance_uid for piece in source.slices)
    dataset = pydicom.dcmread(case.report)
    assert dataset.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99OSTEON"
    evidence = dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert sorted(len(series.ReferencedSOPSequence) for series in evidence) == [1, 9]
    assert dciodvfy(case.report)[0] == []


def test_highdicom_reads_the_same_groups(case: Case) -> None:
    answer = answer_on(case.volume.grid)
    document = highdicom.sr.srread(case.write(answer))
    volumetric = document.content.get_volumetric_roi_measurement_groups(tracking_uid=UID)
    assert len(volumetric) == 1
    group = volumetric[0]
    assert group.referenced_segment[0].referenced_segment_numbers == [2]
    assert group.finding_type == codes.SCT.Tumor
    volumes = group.get_measurements(name=highdicom.sr.CodedConcept("118565006", "SCT", "Volume"))
    assert [m.value for m in volumes] == [1234567.890123456]
    others = document.content.get_image_measurement_groups()
    assert [g.tracking_identifier for g in others] == ["right-run-1"]
    observers = document.content.get_observer_contexts()
    assert [o.observer_identifying_attributes.name for o in observers] == ["osteon"]


def test_nothing_found_is_a_statement(case: Case, dciodvfy: Check) -> None:
    path = case.write(Answer(task="ct_osteosarcoma", headline="No slice looks affected."))
    report = read_report_sr(path)
    assert report.groups == ()
    assert report.summary is not None
    assert report.summary.value == "111241"
    assert report.texts == ("No slice looks affected.", DISCLAIMER)
    errors, warnings = dciodvfy(path)
    assert errors == []
    assert warnings == []


def test_a_finding_that_shows_a_segment_needs_its_file(case: Case, tmp_path: Path) -> None:
    answer = answer_on(case.volume.grid)
    series = DerivedSeries(number=102, description="osteon report")
    with pytest.raises(InputError, match="'affected'"):
        write_report_sr(case.report, answer, case.volume, segmentations={}, series=series)
    with pytest.raises(InputError, match="write it first"):
        files = {"affected": tmp_path / "none.dcm"}
        write_report_sr(case.report, answer, case.volume, segmentations=files, series=series)
    with pytest.raises(UnknownLabelError, match="no label 4"):
        case.write(replace(answer, findings=(replace(answer.findings[0], segment=("affected", 4)),)))
    with pytest.raises(InputError, match=r"findings\.json"):
        write_report_sr(case.report, answer, replace(case.volume, source=None), segmentations={}, series=series)
    assert not case.report.exists()
