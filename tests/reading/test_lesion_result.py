"""The result folder of a system that lists lesions, from DICOM and from NIfTI; the segmenter knows the truth."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import pytest

from osteon.data import Patient
from osteon.io.dicom.read_back import read_segmentation
from osteon.io.dicom.write_series import write_ct_series
from osteon.reading import CaseOptions, case, read_case
from osteon.report.run import validate_document
from osteon.systems.ct_metastasis.pictures import LesionEntries
from osteon.systems.ct_metastasis.read import answer
from osteon.systems.ct_metastasis.text import LesionReading
from osteon.systems.registry import system
from tests.read_back import read_mask_nifti, read_report_sr
from tests.trunk_truth import make_trunk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from osteon.data import Answer, Volume
    from osteon.data.options import Progress
    from osteon.data.system import System
    from osteon.reading import CaseResult
    from osteon.systems.ct_metastasis.options import Options

    Check = Callable[[Path], tuple[list[str], list[str]]]

trunk = cache(make_trunk)


def _answer(volume: Volume, options: Options, progress: Progress) -> Answer:
    return answer(volume, options, segmenter=trunk().segmenter(), progress=progress)


@pytest.fixture(scope="module")
def truthful() -> System:
    return replace(system("ct_metastasis"), read=_answer)


@pytest.fixture(scope="module")
def from_dicom(truthful: System, tmp_path_factory: pytest.TempPathFactory) -> CaseResult:
    folder = tmp_path_factory.mktemp("trunk")
    write_ct_series(trunk().volume, folder / "series", patient=Patient(identifier="T-1", name="Trunk^True"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(case, "reader", lambda _: truthful)
        return read_case(folder / "series", folder / "result", options=CaseOptions(task="ct_metastasis"))


def _files(result: CaseResult) -> set[str]:
    return {path.name for path in result.folder.iterdir() if path.is_file()}


def test_the_folder_is_whole_and_valid(from_dicom: CaseResult, dciodvfy: Check) -> None:
    assert from_dicom.skipped == ()
    assert _files(from_dicom) == {
        "bone.glb", "bone.stl", "bone_stl.dcm", "findings.json", "report.html", "report.pdf", "report_pdf.dcm",
        "run.json", "seg.dcm", "seg_lesions.dcm", "sr.dcm",
    }  # fmt: skip
    for path in from_dicom.folder.glob("*.dcm"):
        assert dciodvfy(path)[0] == [], path.name
    pictures = {path.stem for path in (from_dicom.folder / "views").iterdir()}
    assert pictures == {"overview", "lesion_01", "lesion_02", "scores"}
    page = (from_dicom.folder / "report.html").read_text("utf-8")
    assert "lesions, one segment each, as DICOM Segmentation" in page


def test_list_segments_and_groups_are_the_same_lesions(from_dicom: CaseResult) -> None:
    document: Any = json.loads((from_dicom.folder / "findings.json").read_text("utf-8"))
    validate_document(document, kind="findings", entries=LesionEntries)
    mask = read_segmentation(from_dicom.folder / "seg_lesions.dcm")
    groups = {group.identifier: group for group in read_report_sr(from_dicom.folder / "sr.dcm").groups}
    findings = {finding["identifier"]: finding for finding in document["findings"]}
    assert [lesion["identifier"] for lesion in document["lesions"]] == ["lesion-1", "lesion-2"]
    for lesion in document["lesions"]:
        finding, group = findings[lesion["identifier"]], groups[lesion["identifier"]]
        assert group.tracking_uid == finding["tracking_uid"]
        assert group.segment is not None
        label = mask.label(group.segment[1])
        assert label.tracking_uid == group.tracking_uid
        volume_ml = np.count_nonzero(mask.of(label.value)) * mask.grid.voxel_volume_mm3 / 1000
        assert volume_ml == pytest.approx(lesion["volume_ml"], rel=1e-4)
        assert group.character is not None
        assert group.character.meaning.lower() == lesion["density_pattern"]


def test_nifti_gets_masks_with_their_labels(truthful: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = trunk().volume.grid
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(trunk().array.transpose(2, 1, 0), affine)
    image.set_sform(affine, code=1)
    nibabel.save(image, tmp_path / "trunk.nii.gz")
    monkeypatch.setattr(case, "reader", lambda _: truthful)
    result = read_case(tmp_path / "trunk.nii.gz", tmp_path / "result", options=CaseOptions(task="ct_metastasis"))
    assert _files(result) == {
        "bone.glb", "bone.labels.json", "bone.nii.gz", "bone.stl", "findings.json", "lesions.labels.json",
        "lesions.nii.gz", "report.html", "report.pdf", "run.json",
    }  # fmt: skip
    back = read_mask_nifti(result.folder / "lesions.nii.gz")
    assert [label.name for label in back.labels] == [label.name for label in result.answer.masks["lesions"].labels]
    for lesion, label in zip(result.answer.detail_as(LesionReading).lesions, back.labels, strict=True):
        volume_ml = np.count_nonzero(back.of(label.value)) * back.grid.voxel_volume_mm3 / 1000
        assert volume_ml == pytest.approx(lesion.volume_ml, rel=1e-4)
