"""A study from DICOM files to the result folder and back: the same masks, boxes and numbers everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from osteon.errors import InputError, NotThisTaskError, OutputError
from osteon.io import open_volume
from osteon.io.dicom.read_back import read_segmentation
from osteon.reading import CaseOptions, CaseResult, read_case
from tests.read_back import read_report_sr

FILES = {
    "bone.glb", "bone.stl", "bone_stl.dcm", "findings.json", "report.html", "report.pdf", "report_pdf.dcm", "run.json",
    "seg.dcm", "seg_affected.dcm", "sr.dcm",
}  # fmt: skip


@pytest.fixture(scope="module")
def findings(lesion_case: CaseResult) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((lesion_case.folder / "findings.json").read_text("utf-8"))
    return document


def test_the_folder_is_whole(lesion_case: CaseResult) -> None:
    found = {p.name for p in lesion_case.folder.iterdir() if p.is_file()}
    assert found == FILES
    pictures = {p.stem for p in (lesion_case.folder / "views").iterdir()}
    assert pictures == {"overview", "slices", "scores", "heat_maps", "bone_anterior", "bone_lateral"}
    assert lesion_case.skipped == ()


def test_every_object_is_valid_dicom(
    lesion_case: CaseResult, dciodvfy: Callable[[Path], tuple[list[str], list[str]]]
) -> None:
    for path in sorted(lesion_case.folder.glob("*.dcm")):
        errors, _ = dciodvfy(path)
        assert errors == [], path.name


def test_the_segmentations_give_the_same_masks(lesion_case: CaseResult, lesion_series: Path) -> None:
    grid = open_volume(lesion_series).grid
    for mask in lesion_case.answer.masks.values():
        name = "seg.dcm" if mask.name == "bone" else f"seg_{mask.name}.dcm"
        read = read_segmentation(lesion_case.folder / name, like=grid)
        assert np.array_equal(read.array, mask.array)
        assert [label.tracking_uid for label in read.labels] == [label.tracking_uid for label in mask.labels]
        assert [label.laterality for label in read.labels] == [label.laterality for label in mask.labels]


def test_the_report_gives_the_same_numbers(lesion_case: CaseResult, findings: dict[str, Any]) -> None:
    report = read_report_sr(lesion_case.folder / "sr.dcm")
    groups = {group.tracking_uid: group for group in report.groups}
    assert len(groups) == len(findings["findings"])
    for finding in findings["findings"]:
        group = groups[finding["tracking_uid"]]
        assert group.probability == pytest.approx(finding["probability"], abs=1e-6)
        sent = {(m["concept"]["value"], m["unit"]["value"]): m["value"] for m in finding["measurements"]}
        received = {(m.concept.value, m.unit.value): m.value for m in group.measurements}
        assert {key: received[key] for key in sent} == pytest.approx(sent, rel=1e-6)
        if finding["box"] is not None:
            assert group.box_lps_mm is not None
            assert np.allclose(group.box_lps_mm, finding["box"]["corners_lps_mm"], atol=1e-2)
    assert report.flags == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")


def test_the_surfaces_lie_where_the_masks_do(lesion_case: CaseResult) -> None:
    surfaces = trimesh.load_scene(str(lesion_case.folder / "bone.glb"), process=False).geometry
    boxes = [name for name in surfaces if name.startswith("tumour_box")]
    runs = [f for f in lesion_case.answer.findings if f.box is not None]
    assert len(boxes) == len(runs)
    assert any("_affected_" in name for name in surfaces)
    mask = lesion_case.answer.masks["bone"]
    inside = np.argwhere(mask.array > 0)
    low, high = mask.grid.to_lps_mm(inside).min(axis=0), mask.grid.to_lps_mm(inside).max(axis=0)
    bone = np.concatenate([s.vertices for name, s in surfaces.items() if name.startswith("bone")])
    step = max(mask.grid.spacing_mm)
    assert np.allclose(bone.min(axis=0), low, atol=step)
    assert np.allclose(bone.max(axis=0), high, atol=step)


def test_numbers_add_up(lesion_case: CaseResult, findings: dict[str, Any]) -> None:
    slice_mm = lesion_case.answer.masks["bone"].grid.spacing_mm[0]
    for finding in findings["findings"]:
        if finding["box"] is None:
            continue
        values = {m["concept"]["value"]: m["value"] for m in finding["measurements"]}
        count = finding["box"]["stop_vox"][0] - finding["box"]["start_vox"][0]
        assert values["axis-extent"] == pytest.approx(count * slice_mm, rel=1e-5)
        assert values["118565006"] <= values["121219"]  # what is inside the skin fits into the box


def test_no_patient_text_leaves_but_in_the_report(lesion_case: CaseResult) -> None:
    for name in ("findings.json", "run.json"):
        text = (lesion_case.folder / name).read_text("utf-8")
        assert "PHANTOM^" not in text
        assert str(lesion_case.folder.parent) not in text


def test_reading_again_gives_the_same(lesion_case: CaseResult, lesion_series: Path, tmp_path: Path) -> None:
    again = read_case(lesion_series, tmp_path / "again", options=CaseOptions())
    first, second = dict(lesion_case.findings), dict(again.findings)
    assert first.pop("created") is not None
    assert second.pop("created") is not None
    assert first == second


@pytest.mark.parametrize("stop_at", ["scan", "finding the legs", "classifying slices", "writing the result"])
def test_an_interruption_leaves_nothing(lesion_series: Path, tmp_path: Path, stop_at: str) -> None:
    def interrupt(step: str, done: int, total: int) -> None:
        if step == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_case(lesion_series, tmp_path / "result", options=CaseOptions(), progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_result_is_kept(lesion_case: CaseResult, lesion_series: Path) -> None:
    before = (lesion_case.folder / "findings.json").read_bytes()
    with pytest.raises(OutputError, match="already holds a result"):
        read_case(lesion_series, lesion_case.folder, options=CaseOptions())
    assert (lesion_case.folder / "findings.json").read_bytes() == before


def test_nifti_gives_nifti_masks(lesion_series: Path, tmp_path: Path) -> None:
    import nibabel as nib

    volume = open_volume(lesion_series)
    to_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.grid.affine[:, [2, 1, 0, 3]]
    nib.save(nib.Nifti1Image(np.asarray(volume.array).transpose(2, 1, 0), to_ras), tmp_path / "leg.nii.gz")
    case = read_case(tmp_path / "leg.nii.gz", tmp_path / "result", options=CaseOptions())
    names = {p.name for p in case.folder.iterdir()}
    assert {"bone.nii.gz", "findings.json", "report.html"} <= names
    assert not [name for name in names if name.endswith(".dcm")]
    mask = nib.load(tmp_path / "result" / "bone.nii.gz")
    assert np.allclose(mask.affine, to_ras, atol=1e-4)
    assert np.array_equal(np.asarray(mask.dataobj).transpose(2, 1, 0), case.answer.masks["bone"].array)


def test_what_is_not_a_leg_is_refused_unless_forced(torso_series: Path, tmp_path: Path) -> None:
    with pytest.raises(NotThisTaskError, match="does not look like legs"):
        read_case(torso_series, tmp_path / "r", options=CaseOptions())
    assert list(tmp_path.iterdir()) == []


def test_a_task_and_an_image_must_fit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="empty"):
        (tmp_path / "empty").mkdir()
        read_case(tmp_path / "empty", tmp_path / "r", options=CaseOptions(task="ct_osteosarcoma"))
