"""The result folder of the system limb_sarcoma, from an oblique MR, a CT and NIfTI; the segmenter knows the grey."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import pydicom
import pytest

from osteon.data import Patient, RegionOod
from osteon.errors import InputError, NotThisTaskError
from osteon.io import open_volume, read_mask_volume
from osteon.io.dicom.read_back import read_segmentation
from osteon.io.dicom.write_series import CtSeriesInfo, MrSeriesInfo, write_ct_series, write_mr_series
from osteon.reading import CaseOptions, case, read_case
from osteon.report.run import validate_document
from osteon.systems.limb_sarcoma.pictures import LimbEntries
from osteon.systems.limb_sarcoma.read import answer
from osteon.systems.limb_sarcoma.text import LimbReading
from osteon.systems.registry import system
from tests.limb_truth import GreySegmenter, limb_grid, make_limb
from tests.read_back import read_mask_nifti, read_report_sr
from tests.report_writing import page_text, paper_text
from tests.systems.limb_sarcoma.test_limb_read import FAR, tilted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from osteon.data import Answer, Volume
    from osteon.data.options import Progress
    from osteon.data.system import System
    from osteon.reading import CaseResult
    from osteon.systems.limb_sarcoma.options import Options

    Check = Callable[[Path], tuple[list[str], list[str]]]


def reader(ood: RegionOod | None = None) -> System:
    """The system with a segmenter of the scan's modality."""

    def read(volume: Volume, options: Options, progress: Progress) -> Answer:
        segmenter = GreySegmenter("ct" if volume.modality == "CT" else "mr", ood=ood)
        return answer(volume, options, progress, segmenter=segmenter)

    return replace(system("limb_sarcoma"), read=read)


def read_with(chosen: System, path: Path, result: Path, **options: Any) -> CaseResult:  # noqa: ANN401 - of CaseOptions
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(case, "reader", lambda _: chosen)
        return read_case(path, result, options=CaseOptions(task="limb_sarcoma", **options))


@pytest.fixture(scope="module")
def oblique(tmp_path_factory: pytest.TempPathFactory) -> CaseResult:
    """An oblique MR whose patient the model knows; the tumour reaches the end of the field."""
    folder = tmp_path_factory.mktemp("limb")
    limb = make_limb("mr", limb_grid((24, 110, 120), directions=tilted(), middle_lps_mm=(0.0, 0.0, 45.0)))
    patient = Patient(identifier="SYN_1", name="Limb^True")
    write_mr_series(limb.volume, folder / "series", patient=patient, info=MrSeriesInfo(description="AX T1 SE"))
    return read_with(reader(), folder / "series", folder / "result")


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> CaseResult:
    folder = tmp_path_factory.mktemp("limb_ct")
    write_ct_series(make_limb("ct").volume, folder / "series", info=CtSeriesInfo(uid_seed="limb"))
    return read_with(reader(), folder / "series", folder / "result", rtstruct=True)


def document_of(result: CaseResult) -> Any:  # noqa: ANN401 - JSON
    return json.loads((result.folder / "findings.json").read_text("utf-8"))


def files(result: CaseResult) -> set[str]:
    return {path.name for path in result.folder.iterdir() if path.is_file()}


def test_the_folder_of_an_mr_is_whole_and_valid(oblique: CaseResult, dciodvfy: Check) -> None:
    assert oblique.skipped == ()
    assert files(oblique) == {
        "bone.glb", "findings.json", "report.html", "report.pdf", "report_pdf.dcm", "rtstruct.dcm", "run.json",
        "seg_tumours.dcm", "sr.dcm",
    }  # fmt: skip
    for path in oblique.folder.glob("*.dcm"):
        assert dciodvfy(path)[0] == [], path.name
    pictures = {path.stem for path in (oblique.folder / "views").iterdir()}
    assert pictures == {"overview", "montage", "tumour_01", "in_3d", "scores"}


def test_segments_contours_groups_and_the_list_are_the_same_tumour(oblique: CaseResult) -> None:
    document = document_of(oblique)
    validate_document(document, kind="findings", entries=LimbEntries)
    (tumour,), finding = document["tumours"], document["findings"][0]
    volume = open_volume(oblique.folder.parent / "series", modality="MR")
    mask = oblique.answer.masks["tumours"]
    assert np.array_equal(read_segmentation(oblique.folder / "seg_tumours.dcm", like=volume.grid).array, mask.array)
    drawn = read_mask_volume(oblique.folder / "rtstruct.dcm", like=volume.grid, source=volume.source)
    assert np.count_nonzero(drawn ^ (mask.array > 0)) <= 0.002 * np.count_nonzero(mask.array)
    (group,) = [one for one in read_report_sr(oblique.folder / "sr.dcm").groups if one.identifier == "tumour-1"]
    assert group.tracking_uid == finding["tracking_uid"] == mask.labels[0].tracking_uid
    said = {one.concept.value: one.value for one in group.measurements}
    assert said["118565006"] == pytest.approx(tumour["volume_ml"], rel=1e-4)
    assert said["103339001"] == pytest.approx(tumour["axial_mm"], rel=1e-4)
    assert said["103340004"] == pytest.approx(tumour["across_mm"], rel=1e-4)
    assert said["skin-distance"] == pytest.approx(tumour["to_skin"]["distance_mm"], rel=1e-4)
    assert "bone-distance" not in said
    (roi,) = pydicom.dcmread(oblique.folder / "rtstruct.dcm").StructureSetROISequence
    assert roi.ROIName == "Tumour 1"


def test_page_and_paper_say_whom_the_model_knows(oblique: CaseResult) -> None:
    for words in (page_text(oblique.folder), paper_text(oblique.folder)):
        assert "This patient was in the training set" in words
        assert "Research model, not a medical device" in words
        assert "cross-validated Dice 0.5 (0.4 to 0.6); not a medical device." in words
        assert "lower bounds" in words
        assert "demo model" not in words.casefold()
        for word in ("benign nor malignant", "not measured"):
            assert word in words
        assert "osteosarcoma" not in words.casefold()
    assert document_of(oblique)["has_learnt"] is True


def test_the_folder_of_a_ct_holds_the_bone_too(ct: CaseResult, dciodvfy: Check) -> None:
    assert ct.skipped == ()
    assert files(ct) == {
        "bone.glb", "bone.stl", "bone_stl.dcm", "findings.json", "report.html", "report.pdf", "report_pdf.dcm",
        "rtstruct.dcm", "run.json", "seg.dcm", "seg_tumours.dcm", "sr.dcm",
    }  # fmt: skip
    for path in ct.folder.glob("*.dcm"):
        assert dciodvfy(path)[0] == [], path.name
    names = [roi.ROIName for roi in pydicom.dcmread(ct.folder / "rtstruct.dcm").StructureSetROISequence]
    assert names == ["Bone", "Tumour 1"]
    assert document_of(ct)["tumours"][0]["to_bone"]["distance_mm"] > 5
    assert "This patient was in the training set" not in page_text(ct.folder)


def save_nifti(volume: Volume, path: Path) -> Path:
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.grid.affine[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(volume.array.transpose(2, 1, 0), affine)
    image.set_sform(affine, code=1)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("modality", ["mr", "ct"])
def test_the_values_of_a_nifti_say_which_modality_it_is(tmp_path: Path, modality: Any) -> None:  # noqa: ANN401
    limb = make_limb(modality)
    result = read_with(reader(), save_nifti(limb.volume, tmp_path / "SYN_1_limb.nii.gz"), tmp_path / "result")
    assert result.answer.detail_as(LimbReading).modality == modality
    assert ("bone.nii.gz" in files(result)) == (modality == "ct")
    assert "rtstruct.dcm" not in files(result)
    back = read_mask_nifti(result.folder / "tumours.nii.gz")
    assert np.array_equal(back.array, result.answer.masks["tumours"].array)
    assert document_of(result)["has_learnt"] is True  # by the name of its file


def test_an_abstained_reading_is_a_whole_result(tmp_path: Path, dciodvfy: Check) -> None:
    write_mr_series(make_limb().volume, tmp_path / "series", info=MrSeriesInfo(description="T1"))
    result = read_with(reader(FAR), tmp_path / "series", tmp_path / "result")
    assert result.answer.status == "abstained"
    words = page_text(result.folder)
    assert "No assessment: the scan is outside the model's training range" in words
    assert "Tumour 1" not in words
    assert "seg_tumours.dcm" not in files(result)
    assert "rtstruct.dcm" not in files(result)
    assert dciodvfy(result.folder / "sr.dcm")[0] == []
    document = document_of(result)
    assert document["tumours"] == []
    assert document["scores"][0]["withheld_runs"]


def test_a_limb_without_an_outline_is_a_whole_result(tmp_path: Path) -> None:
    write_mr_series(make_limb(tumours=()).volume, tmp_path / "series", info=MrSeriesInfo(description="T1"))
    result = read_with(reader(), tmp_path / "series", tmp_path / "result")
    words = page_text(result.folder)
    assert "Nothing of 1 ml or more was outlined" in words
    assert "does not show that nothing is there" in words
    assert {path.stem for path in (result.folder / "views").iterdir()} == {"overview", "scores"}


def test_a_series_that_is_not_t1_or_mixed_or_a_single_slice_is_refused(tmp_path: Path) -> None:
    volume = make_limb().volume
    write_mr_series(volume, tmp_path / "t2", info=MrSeriesInfo(description="AX T2 TSE"))
    with pytest.raises(NotThisTaskError, match="this MR is T2 by its header, not T1"):
        read_with(reader(), tmp_path / "t2", tmp_path / "result")
    thin = replace(volume, array=volume.array[:1], grid=volume.grid.crop((0, 0, 0), (1, *volume.grid.shape[1:])))
    write_mr_series(thin, tmp_path / "one", info=MrSeriesInfo(description="T1"))
    with pytest.raises(InputError, match="the scan has one slice"):
        read_with(reader(), tmp_path / "one", tmp_path / "result")
    turned = make_limb("mr", limb_grid((8, 110, 120), directions=tilted())).volume
    write_mr_series(volume, tmp_path / "mixed" / "a", info=MrSeriesInfo(description="T1"))
    write_mr_series(turned, tmp_path / "mixed" / "b", info=MrSeriesInfo(description="T1"))
    for number, path in enumerate(sorted((tmp_path / "mixed" / "b").iterdir())):
        header = pydicom.dcmread(path)
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = f"2.25.77{number}"
        header.save_as(path)
    assert not (tmp_path / "result").exists()
    mixed = read_with(reader(), tmp_path / "mixed", tmp_path / "result")
    (told,) = [notice.text for notice in mixed.notices if notice.code == "mixed-images-dropped"]
    assert told.startswith("8 of 48 images have another size, orientation")
    assert told in page_text(mixed.folder)
