"""A marked lesion on MR from files to the result folder and back: the same box, outline and numbers everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import nibabel as nib
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, MRImageStorage, generate_uid

from osteon.app.cli.program import build
from osteon.app.cli.terminal import run_guarded
from osteon.data.phantom_mark import mark_grey
from osteon.errors import InputError
from osteon.geometry import Box
from osteon.io import open_volume
from osteon.io.dicom.read_back import read_segmentation
from osteon.reading import CaseOptions, CaseResult, read_case
from tests.femur_card import femur_card
from tests.read_back import read_report_sr
from tests.structure_sets import on_slice, saved, square, structure_set

Check = Callable[[Path], tuple[list[str], list[str]]]

SLICES, ROWS, COLUMNS = 5, 96, 112
STEP_MM, PIXEL_MM = 4.0, 0.75
BOX = (30, 34, 60, 74)
DRAWN = "30,34,60,74"


def stored() -> NDArray[np.int16]:
    """Marrow with a darker ellipse of 12 x 16 pixels radius on the third slice, smaller ones beside it."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    array = rng.normal(700, 25, (SLICES, ROWS, COLUMNS))
    for index, share in ((1, 0.6), (2, 1.0), (3, 0.7)):
        array[index][((y - 45) / 12) ** 2 + ((x - 54) / 16) ** 2 <= share**2] -= 450
    planes = np.asarray(np.rint(array), np.int16)
    mark_grey(planes)  # the demo model speaks of phantoms only
    return planes


def write_mr(folder: Path, *, spacing: bool = True) -> Path:
    """A sagittal MR series in big endian, as the real one."""
    folder.mkdir()
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for index, plane in enumerate(stored()):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
        ds.Modality, ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = "MR", 4, index + 1, 1
        ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
        ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Doe^Jo", "P-9", "19600203", "O"
        ds.StudyDate, ds.StudyTime, ds.StudyID = "20200304", "101112", "7"
        ds.AccessionNumber = ds.ReferringPhysicianName = ds.PositionReferenceIndicator = ""
        ds.Manufacturer, ds.PatientPosition, ds.BodyPartExamined = "Phantom Works", "HFS", "KNEE"
        ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = "SE", "NONE", "", "2D"
        ds.RepetitionTime, ds.EchoTime, ds.EchoTrainLength = 500, 15, 1
        ds.ImagePositionPatient = [-20 + STEP_MM * index, -40, 30]
        ds.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        if spacing:
            ds.PixelSpacing = [PIXEL_MM, PIXEL_MM]
        ds.SliceThickness = STEP_MM
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.Rows, ds.Columns = plane.shape
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, 1
        ds.PixelData = plane.astype(">i2").tobytes()
        ds["PixelData"].VR = "OW"
        ds.save_as(folder / f"{index}.dcm", enforce_file_format=True)
    return folder


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mr(tmp_path_factory.mktemp("mr") / "series")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(femur_card(tmp_path_factory.mktemp("models"), limit=1e6).folder)


def read(path: Path, result: Path, model: str, **options: Any) -> CaseResult:  # noqa: ANN401 - of Options
    system = dict(model=model, device="cpu", **options)
    return read_case(path, result, options=CaseOptions(task="mri_femur", options=system))


@pytest.fixture(scope="module")
def boxed(series: Path, model: str, tmp_path_factory: pytest.TempPathFactory) -> CaseResult:
    return read(series, tmp_path_factory.mktemp("results") / "boxed", model, box=BOX, slice_number=3)


def findings_of(case: CaseResult) -> Any:  # noqa: ANN401 - JSON
    return json.loads((case.folder / "findings.json").read_text("utf-8"))


def test_the_folder_is_whole(boxed: CaseResult) -> None:
    assert {path.name for path in boxed.folder.iterdir()} == {
        "findings.json", "report.html", "report.pdf", "report_pdf.dcm", "run.json", "seg_lesion.dcm", "sr.dcm", "views",
    }  # fmt: skip
    assert {path.stem for path in (boxed.folder / "views").iterdir()} == {"overview", "scores", "heat_maps"}
    assert boxed.skipped == ()
    page = (boxed.folder / "report.html").read_text("utf-8")
    for words in ("Probability of malignant", "Model attention (Grad-CAM)", "Distance from training", "Long axis"):
        assert words in page
    assert "Attenuation" not in page
    assert "this leg" not in page


def test_the_lesion_is_measured(boxed: CaseResult) -> None:
    (finding,) = boxed.answer.findings
    assert finding.box == Box((2, 33, 38), (3, 58, 71))
    sizes = {m.concept.value: m.value for m in finding.measurements}
    assert sizes["103339001"] == pytest.approx(33 * PIXEL_MM, abs=PIXEL_MM)
    assert sizes["42798000"] == pytest.approx(np.pi * 12 * 16 * PIXEL_MM**2, rel=0.03)


def test_objects_say_the_same_and_are_valid(boxed: CaseResult, series: Path, dciodvfy: Check) -> None:
    for path in sorted(boxed.folder.glob("*.dcm")):
        assert dciodvfy(path)[0] == [], path.name
    (mask,) = boxed.answer.masks.values()
    found = read_segmentation(boxed.folder / "seg_lesion.dcm", like=open_volume(series, modality="MR").grid)
    assert np.array_equal(found.array, mask.array)
    segment = pydicom.dcmread(boxed.folder / "seg_lesion.dcm").SegmentSequence[0]
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    (group,) = read_report_sr(boxed.folder / "sr.dcm").groups
    (entry,) = findings_of(boxed)["findings"]
    assert group.tracking_uid == entry["tracking_uid"] == mask.labels[0].tracking_uid
    assert group.probability == pytest.approx(entry["probability"], abs=1e-6)
    sent = {m["concept"]["value"]: m["value"] for m in entry["measurements"]}
    received = {m.concept.value: m.value for m in group.measurements}
    assert {key: received[key] for key in sent} == pytest.approx(sent, rel=1e-6)


def test_a_mask_of_the_series_is_kept_as_it_was_drawn(
    series: Path, model: str, tmp_path: Path, dciodvfy: Check
) -> None:
    grid = open_volume(series, modality="MR").grid
    drawn = np.zeros(grid.shape, np.uint8)
    drawn[1, 40:50, 50:60] = 1
    drawn[2, 34:57, 40:70] = 1
    to_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine[:, [2, 1, 0, 3]]
    nib.save(nib.Nifti1Image(drawn.transpose(2, 1, 0), to_ras), tmp_path / "mask.nii.gz")
    case = read(series, tmp_path / "result", model, mask=tmp_path / "mask.nii.gz")
    assert "Lesion on slice 3: predicted" in case.answer.headline
    path = case.folder / "seg_lesion.dcm"
    found = read_segmentation(path, like=grid)
    assert not found.array[[0, 1, 3, 4]].any()
    assert np.array_equal(found.array[2], drawn[2])
    segment = pydicom.dcmread(path).SegmentSequence[0]
    assert segment.SegmentAlgorithmType == "MANUAL"
    assert "SegmentAlgorithmName" not in segment
    for item in sorted(case.folder.glob("*.dcm")):
        assert dciodvfy(item)[0] == [], item.name
    run = json.loads((case.folder / "run.json").read_text("utf-8"))
    assert len(run["inputs"]) == SLICES + 1  # the mask is an input too
    # what osteon wrote can be read again as a mask
    again = read(series, tmp_path / "again", model, mask=path)
    assert again.answer.findings[0].box == case.answer.findings[0].box


def test_contours_are_written_when_asked_for_and_read_as_a_mask(
    series: Path, model: str, boxed: CaseResult, tmp_path: Path, dciodvfy: Check
) -> None:
    asked = {"model": model, "device": "cpu", "box": BOX, "slice_number": 3}
    case = read_case(series, tmp_path / "result", options=CaseOptions(task="mri_femur", rtstruct=True, options=asked))
    path = case.folder / "rtstruct.dcm"
    assert case.skipped == ()
    assert dciodvfy(path)[0] == []
    assert "outlines of the masks, as DICOM RT Structure Set" in (case.folder / "report.html").read_text("utf-8")
    assert findings_of(case)["findings"] == findings_of(boxed)["findings"]
    again = read(series, tmp_path / "again", model, mask=path)
    assert np.array_equal(again.answer.masks["lesion"].array, case.answer.masks["lesion"].array)
    named = read(series, tmp_path / "named", model, mask=path, mask_label=case.answer.masks["lesion"].labels[0].name)
    assert named.answer.findings[0].box == case.answer.findings[0].box
    with pytest.raises(InputError, match="has no ROI bone: it has 1 "):
        read(series, tmp_path / "none", model, mask=path, mask_label="bone")
    with pytest.raises(InputError, match="there is no --mask: leave it out"):
        read(series, tmp_path / "none", model, box=BOX, slice_number=3, mask_label="1")


def test_a_mask_with_gaps_says_so_in_the_report(series: Path, model: str, tmp_path: Path) -> None:
    volume = open_volume(series, modality="MR")
    corners = square(33.5, 39.5, 56.5, 69.5)
    drawn = [on_slice(volume.grid, index, corners, source=volume.source) for index in (0, 2)]
    path = saved(tmp_path / "rt.dcm", structure_set({"GTV": drawn, "other": drawn}, frame_of_reference=""))
    case = read(series, tmp_path / "result", model, mask=path, mask_label="GTV")
    assert "no contour is drawn on slice 2, between slices" in (case.folder / "report.html").read_text("utf-8")
    with pytest.raises(InputError, match=r"several ROIs with contours: .*: 1 GTV, 2 other"):
        read(series, tmp_path / "none", model, mask=path)


def test_a_picture_is_read_without_millimetres(model: str, tmp_path: Path) -> None:
    grey = cv2.normalize(stored()[2].astype(np.float32), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    assert cv2.imwrite(str(tmp_path / "slice.png"), grey)
    case = read(tmp_path / "slice.png", tmp_path / "result", model, box=BOX)
    assert {path.name for path in case.folder.iterdir()} == {
        "findings.json", "lesion.png", "report.html", "report.pdf", "run.json", "views",
    }  # fmt: skip
    assert case.skipped == ()
    outline = cv2.imread(str(case.folder / "lesion.png"), cv2.IMREAD_UNCHANGED)
    assert outline is not None
    assert np.array_equal(outline > 0, case.answer.masks["lesion"].array[0] > 0)
    document = findings_of(case)
    assert document["source"]["kind"] == "picture"
    assert document["source"]["modality"] == ""
    assert document["grid"]["spacing_mm"] is document["grid"]["affine"] is None
    assert document["findings"][0]["box"]["extent_mm"] is None
    assert document["findings"][0]["measurements"] == []
    page = (case.folder / "report.html").read_text("utf-8")
    assert "nothing is given in millimetres" in page
    assert "mm between slices" not in page
    assert {"picture-without-scale", "modality-not-known"} <= {notice.code for notice in case.notices}
    asked = {"model": model, "device": "cpu", "box": BOX}
    options = CaseOptions(task="mri_femur", rtstruct=True, options=asked)
    told = read_case(tmp_path / "slice.png", tmp_path / "asked", options=options).notices
    assert "no-structure-set" in {notice.code for notice in told}
    cv2.imwrite(str(tmp_path / "mask.png"), np.uint8(255) * np.ones(grey.shape, np.uint8))
    with pytest.raises(InputError, match="is a picture, which has no labels"):
        read(tmp_path / "slice.png", tmp_path / "none", model, mask=tmp_path / "mask.png", mask_label="1")


def test_dicom_without_a_pixel_size_gives_no_dicom_objects(model: str, tmp_path: Path) -> None:
    folder = write_mr(tmp_path / "series", spacing=False)
    case = read(folder, tmp_path / "result", model, box=BOX, slice_number=3)
    assert "do not say how large a pixel is" in case.skipped[0]
    assert (case.folder / "lesion.png").is_file()
    assert not list(case.folder.glob("*.dcm"))
    assert findings_of(case)["findings"][0]["measurements"] == []


def test_what_is_unlike_training_gets_no_word(series: Path, tmp_path: Path) -> None:
    strict = str(femur_card(tmp_path / "models", limit=1e-3).folder)
    case = read(series, tmp_path / "result", strict, box=BOX, slice_number=3)
    assert "No assessment of benign or malignant" in case.answer.headline
    page = (case.folder / "report.html").read_text("utf-8")
    assert "Outside the model&#39;s training range" in page
    assert "was predicted" not in page
    (group,) = read_report_sr(case.folder / "sr.dcm").groups
    assert group.probability is None


def test_a_series_without_a_box_says_what_to_give(
    series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # without a task, too: MR is read by this one
    with pytest.raises(InputError, match="there is no lesion box"):
        read_case(series, tmp_path / "result", options=CaseOptions())
    monkeypatch.setattr("sys.argv", ["osteon", "read", str(series), "-o", str(tmp_path / "result"), "-q"])
    assert run_guarded(build()) == 1
    assert "--box R0,C0,R1,C1" in capsys.readouterr().err
    assert not (tmp_path / "result").exists()


def test_the_command_takes_box_and_slice(
    series: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["osteon", "read", str(series), "--task", "mri_femur", "-o", str(tmp_path / "r"), "-q", "--model", model]
    monkeypatch.setattr("sys.argv", [*words, "--box", DRAWN, "--slice", "3", "--rtstruct"])
    assert run_guarded(build()) == 0
    assert (tmp_path / "r" / "findings.json").is_file()
    (tmp_path / "r" / "rtstruct.dcm").rename(tmp_path / "rt.dcm")
    monkeypatch.setattr("sys.argv", [*words, "--replace", "--mask", str(tmp_path / "rt.dcm"), "--mask-label", "1"])
    assert run_guarded(build()) == 0
    assert not (tmp_path / "r" / "rtstruct.dcm").exists()
    command = json.loads((tmp_path / "r" / "run.json").read_text("utf-8"))["command"]
    assert "--mask FILE --mask-label 1" in command
    monkeypatch.setattr("sys.argv", [*words, "--box", "1,2,3"])
    assert run_guarded(build()) == 2
    assert "whole numbers R0,C0,R1,C1" in capsys.readouterr().err


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic thigh in two sequences, five coronal slices through an enchondroma."""
    from osteon_phantoms.femur.spec import FemurMrSpec, MrLesionSpec
    from osteon_phantoms.files import write_femur_mr

    lesion = MrLesionSpec(kind="enchondroma", size_mm=30.0, height_mm=70.0)
    spec = FemurMrSpec(seed=3, lesion=lesion, size=(160, 160), pixel_mm=1.2, slices=5, noise=0.01)
    folder = tmp_path_factory.mktemp("femur") / "phantom"
    write_femur_mr(spec, folder, sequences=("t1", "t2"))
    return folder


def test_a_phantom_is_measured_as_it_was_made(phantom: Path, model: str, tmp_path: Path, dciodvfy: Check) -> None:
    truth = json.loads((phantom / "truth" / "truth.json").read_text("utf-8"))
    mask = phantom / "truth" / "lesion.nii.gz"
    with pytest.raises(InputError, match="belongs to one series, found 2; say which with --series UID"):
        read(phantom / "dicom", tmp_path / "both", model, mask=mask)
    drawn = read(phantom / "dicom" / "t2", tmp_path / "mask", model, mask=mask)
    (finding,) = drawn.answer.findings
    assert finding.box is not None
    index = finding.box.start[0]
    box = tuple(truth["boxes_by_slice"][str(index)])
    assert (*finding.box.start[1:], *finding.box.stop[1:]) == box
    wider = (box[0] - 2, box[1] - 2, box[2] + 2, box[3] + 2)
    found = read(phantom / "dicom" / "t1", tmp_path / "box", model, box=wider, slice_number=index + 1)
    a, b = (case.answer.masks["lesion"].array[index] > 0 for case in (drawn, found))
    assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.9
    long, measured = (
        next(m.value for m in case.answer.findings[0].measurements if m.concept.value == "103339001")
        for case in (drawn, found)
    )
    assert measured == pytest.approx(long, abs=4.0)
    assert measured == pytest.approx(truth["diameter_mm"], rel=0.2)
    for case in (drawn, found):
        for path in sorted(case.folder.glob("*.dcm")):
            assert dciodvfy(path)[0] == [], path.name


@pytest.mark.shared_data
@pytest.mark.parametrize("code", ["UNC", "RLE", "JPLL", "JLSL", "JLSN", "J2KR", "J2KI", "JPLY"])
def test_a_real_knee_asks_for_its_box_in_every_syntax(shared_data: Path, tmp_path: Path, code: str) -> None:
    path = shared_data / "nema_wg04_dicom" / f"MR3_{code}.dcm"
    rows, columns = open_volume(path, modality="MR").grid.shape[1:]
    with pytest.raises(InputError, match=rf"no lesion box.*has {rows} rows and {columns} columns"):
        read_case(path, tmp_path / "result", options=CaseOptions(task="mri_femur"))


@pytest.mark.shared_data
def test_a_real_knee_series(shared_data: Path, model: str, tmp_path: Path, dciodvfy: Check) -> None:
    folder = shared_data / "pymskt_knee_mri_dicom"
    with pytest.raises(InputError, match=r"--slice N \(1 to 24\).*256 rows and 256 columns on each of 24 slices"):
        read_case(folder, tmp_path / "result", options=CaseOptions(task="mri_femur"))
    case = read(folder, tmp_path / "result", model, box=(60, 90, 130, 160), slice_number=12)
    assert case.skipped == ()
    for path in sorted(case.folder.glob("*.dcm")):
        assert dciodvfy(path)[0] == [], path.name
