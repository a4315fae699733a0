"""Lesions in DICOM: one segment and one measurement group each; they come back, and the files are valid."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import highdicom
import numpy as np
import pydicom
import pytest

from osteon.data import Volume
from osteon.io.dicom.derived import DerivedSeries, derived_uid
from osteon.io.dicom.read_back import read_segmentation
from osteon.io.dicom.seg import write_segmentation
from osteon.io.dicom.sr import write_report_sr
from osteon.labels import concept
from osteon.systems.ct_metastasis.text import LesionReading
from tests.read_back import read_report_sr

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from osteon.data import Answer, Finding, Source

    Make = Callable[..., Source]
    Check = Callable[[Path], tuple[list[str], list[str]]]
    Case = tuple[Answer, Volume]


@pytest.fixture(scope="module")
def dicom_case(metastasis_case: Case, make_ct_series: Make, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The case made by hand, its images as DICOM."""
    answer, volume = metastasis_case
    return answer, replace(volume, source=make_ct_series(tmp_path_factory.mktemp("ct") / "series", volume.grid))


def write(answer: Answer, volume: Volume, folder: Path) -> tuple[dict[str, Path], Path]:
    """One SEG a mask, and the SR."""
    assert volume.source is not None
    files = {}
    for number, mask in enumerate(answer.masks.values()):
        files[mask.name] = folder / f"{mask.name}.dcm"
        series = DerivedSeries(number=101 + number, description=f"osteon {mask.name}")
        write_segmentation(
            files[mask.name],
            mask,
            source=volume.source,
            grid_of_source=volume.grid,
            algorithm=("ct_metastasis", "1.0"),
            series=series,
        )
    report = folder / "sr.dcm"
    series = DerivedSeries(number=109, description="osteon findings")
    write_report_sr(report, answer, volume, segmentations=files, series=series)
    return files, report


def test_every_lesion_is_a_segment_of_its_own(dicom_case: Case, tmp_path: Path, dciodvfy: Check) -> None:
    answer, volume = dicom_case
    files, _ = write(answer, volume, tmp_path)
    back = read_segmentation(files["lesions"], like=volume.grid)
    np.testing.assert_array_equal(back.array, answer.masks["lesions"].array)
    secondary = concept("neoplasm_secondary")
    assert [(label.value, label.name, label.kind) for label in back.labels] == [
        (n, f"Lesion {n}", secondary) for n in (1, 2, 3)
    ]
    assert {label.category for label in back.labels} == {concept("morphologically_abnormal")}
    assert [label.site for label in back.labels] == [concept("vertebra"), None, None]
    by_uid = {finding.tracking_uid: finding.identifier for finding in answer.findings}
    assert [by_uid[label.tracking_uid] for label in back.labels] == ["lesion-1", "lesion-2", "lesion-3"]
    assert [label.kind for label in read_segmentation(files["bone"], like=volume.grid).labels] == [concept("bone")]
    for path in files.values():
        errors, warnings = dciodvfy(path)
        assert errors == []
        assert warnings == []
    items = pydicom.dcmread(files["lesions"]).SegmentSequence
    families = {
        item.SegmentationAlgorithmIdentificationSequence[0].AlgorithmFamilyCodeSequence[0].CodeValue for item in items
    }
    assert families == {"123110"}  # artificial intelligence


def test_every_lesion_is_a_measurement_group(dicom_case: Case, tmp_path: Path, dciodvfy: Check) -> None:
    answer, volume = dicom_case
    files, path = write(answer, volume, tmp_path)
    report = read_report_sr(path)
    assert dciodvfy(path)[0] == []
    groups = report.groups[:3]
    segmentation = pydicom.dcmread(files["lesions"])
    for number, (group, finding, lesion) in enumerate(
        zip(groups, answer.findings, answer.detail_as(LesionReading).lesions, strict=False), start=1
    ):
        assert (group.identifier, group.tracking_uid, group.kind) == (
            finding.identifier,
            finding.tracking_uid,
            finding.kind,
        )
        assert group.template == "1411"
        assert group.site == finding.site
        assert group.probability == pytest.approx(lesion.probability)
        assert group.segment == (segmentation.SOPInstanceUID, number)
        assert segmentation.SegmentSequence[number - 1].TrackingUID == group.tracking_uid
        values = {(m.concept.value, m.derivation.value if m.derivation else ""): m for m in group.measurements}
        assert values["118565006", ""].value == pytest.approx(lesion.volume_ml)
        assert values["118565006", ""].unit == concept("unit_cm3")
        assert values["L0JK", ""].value == pytest.approx(lesion.diameter_mm)
        assert values["112031", concept("mean").value].value == pytest.approx(lesion.mean_hu)
        assert values["112031", concept("mean").value].unit == concept("unit_hu")
    assert [group.character for group in groups] == [
        concept("lytic"),
        concept("blastic"),
        concept("density_pattern_not_determined"),
    ]
    assert [group.statement for group in groups] == [finding.statement for finding in answer.findings[:3]]
    assert report.groups[3].character is None
    assert report.summary is not None
    assert report.summary.value == "111242"
    theirs = highdicom.sr.srread(path).content.get_volumetric_roi_measurement_groups(tracking_uid="2.25.101")
    assert theirs[0].referenced_segment[0].referenced_segment_numbers == [1]


def test_without_lesions_the_report_says_so(dicom_case: Case, tmp_path: Path, dciodvfy: Check) -> None:
    answer, volume = dicom_case
    nothing = replace(
        answer, findings=answer.findings[3:], masks={"bone": answer.masks["bone"]}, headline="No lesion was detected."
    )
    _, path = write(nothing, volume, tmp_path)
    report = read_report_sr(path)
    assert [group.identifier for group in report.groups] == ["bone"]
    assert report.summary is not None
    assert report.summary.value == "111241"
    assert dciodvfy(path)[0] == []


def test_as_many_lesions_as_a_mask_can_hold_stay_a_small_report(
    dicom_case: Case, tmp_path: Path, dciodvfy: Check
) -> None:
    """254 lesions of a few voxels: one segment and one group each, a report of less than 3 MB."""
    answer, volume = dicom_case
    array = np.zeros(volume.grid.shape, dtype=np.uint8)
    array.reshape(-1)[: 254 * 200 : 200] = np.arange(1, 255, dtype=np.uint8)
    findings: list[Finding] = []
    labels = []
    for number in range(1, 255):
        uid = derived_uid("many", str(number))
        name = f"lesion-{number}"
        findings.append(replace(answer.findings[1], identifier=name, tracking_uid=uid, segment=("lesions", number)))
        labels.append(
            replace(answer.masks["lesions"].labels[1], value=number, name=f"Lesion {number}", tracking_uid=uid)
        )
    mask = replace(answer.masks["lesions"], array=array, labels=tuple(labels))
    many = replace(answer, findings=tuple(findings), masks={"lesions": mask})
    files, path = write(many, volume, tmp_path)
    assert path.stat().st_size < 3e6
    assert len(read_report_sr(path).groups) == 254
    np.testing.assert_array_equal(read_segmentation(files["lesions"], like=volume.grid).array, array)
    assert dciodvfy(path)[0] == []
    assert dciodvfy(files["lesions"])[0] == []
