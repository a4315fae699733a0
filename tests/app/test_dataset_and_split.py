"""`osteon phantom cohort`, `osteon dataset` and `osteon split` from outside."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from osteon.io.split_file import read_split
from osteon.io.table import read_manifest

Run = Callable[..., SimpleNamespace]


@pytest.fixture
def dataset(toy_dataset: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_dataset, tmp_path / "toy"))


def test_a_split_is_written_and_its_parts_are_counted(osteon: Run, dataset: Path, tmp_path: Path) -> None:
    ran = osteon("split", dataset, "--folds", 5, "--group", "patient", "--stratify", "label", "--seed", 1)
    assert ran.code == 0
    split = read_split(dataset)
    assert (split.scheme, split.unit, split.seed, len(split.folds)) == ("holdout", "patient", 1, 5)
    # of ten patients eight are learnt from; of two of each kind a tumour patient has 3 tumour images
    assert ran.out.splitlines()[2].split("  ")[-1].strip() == "2 / 12 / 3"
    assert "8 / 48 / 12" in ran.out
    assert "Leakage audit: nothing found in two parts of a fold (compared by names only)." in ran.out
    audit = json.loads((dataset / "splits.json").read_text("utf-8"))["audit"]
    assert [fold["patients"] for fold in audit["folds"]] == [0] * 5
    assert osteon("split", dataset / "manifest.csv", "--out", tmp_path / "other.json").code == 0
    assert (tmp_path / "other.json").read_bytes() == (dataset / "splits.json").read_bytes()


def test_dividing_by_image_warns(osteon: Run, dataset: Path) -> None:
    manifest = dataset / "manifest.csv"
    manifest.write_text(manifest.read_text("utf-8").replace(",test,", ",,").replace(",train,", ",,"), encoding="utf-8")
    ran = osteon("split", dataset, "--group", "image", "--folds", 3)
    assert ran.code == 0
    assert ran.out.count("! Divided by image, not by patient") == 1
    assert "Leakage audit: 3 of 3 fold(s) leak" in ran.out
    assert "! LEAK: 12 patient(s) with images in two parts" in ran.out
    document = json.loads((dataset / "splits.json").read_text("utf-8"))
    assert "too good" in document["warnings"][0]
    assert any(warning.startswith("LEAK") for warning in document["audit"]["warnings"])


def test_a_study_under_two_patients_and_a_telling_centre_are_reported(osteon: Run, dataset: Path) -> None:
    """Patients are whole, and the split leaks all the same: the fold is written, and the audit says so."""
    file = dataset / "manifest.csv"
    lines = file.read_text("utf-8").splitlines()
    mixed = [line.replace("study-h", "study-t") for line in lines]
    lonely = [line.replace(",south,", ",north,") if line.split(",")[1][0] == "t" else line for line in mixed]
    told = [line.replace(",north,", ",south,") if line.split(",")[1][:1] == "h" else line for line in lonely]
    file.write_text("\n".join(told) + "\n", encoding="utf-8")
    ran = osteon("split", dataset, "--folds", 3)
    assert ran.code == 0
    assert "studies with images in two parts" in ran.out
    assert "! The centre predicts the label (Cramér's V 1.00" in ran.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--folds", "6"], 1, "use at most 5 folds"),
        (["--folds", "1"], 2, "folds"),
        (["--test", "0.3"], 1, "leave the share for the test out"),
        (["--stratify", "lable"], 1, "did you mean 'label'"),
        (["--group", "people"], 2, "people"),
    ],
)
def test_what_cannot_be_divided_is_reported(osteon: Run, dataset: Path, words: list[str], code: int, said: str) -> None:
    ran = osteon("split", dataset, *words)
    assert ran.code == code
    assert said in ran.err
    assert not (dataset / "splits.json").exists()


def test_a_cohort_is_made_divided_and_refused_elsewhere(osteon: Run, tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    words = (
        "--patients",
        2,
        "--preset",
        "tiny",
        "--most",
        3,
        "--size",
        32,
        "--planes",
        "axial, coronal",
        "--workers",
        1,
        "--test",
        0,
    )
    ran = osteon("phantom", "cohort", "-o", out, *words)
    assert ran.code == 0
    assert "images of 2 patients" in ran.out
    manifest = read_manifest(out)
    assert {row.plane for row in manifest.rows} == {"axial", "coronal"}
    assert {row.split for row in manifest.rows} == {""}
    for text in ("synthetic", "SYNTHETIC"):
        assert any(text in path.read_text("utf-8") for path in (out / "manifest.csv", out / "dataset.json"))
    ran = osteon("phantom", "cohort", "-o", tmp_path, *words)
    assert ran.code == 1
    assert "not empty and holds no data set" in ran.err
    ran = osteon("phantom", "cohort", "-o", out, "--planes", "axail")
    assert ran.code == 1
    assert "did you mean 'axial'" in ran.err


def test_labels_without_a_series_and_series_that_are_no_legs_end_with_a_word(osteon: Run, tmp_path: Path) -> None:
    assert osteon("phantom", "ct", "-o", tmp_path / "p", "--slices", 24, "--size", 128, "--spacing", 9).code == 0
    labels = tmp_path / "labels.csv"
    labels.write_text("series,patient,label\ndicom,1,healthy\n", encoding="utf-8")
    words = ("dataset", "ct_osteosarcoma", tmp_path / "p", "--labels", labels, "--most", 2, "--size", 32)
    ran = osteon(*words, "-o", tmp_path / "set")
    assert ran.code == 0
    assert "- 1 series there are not in labels.csv: not used" in ran.out
    # one series of two cannot be used: made and told, with the code for that
    header = "series,patient,label,slice_first,slice_last,row_first,row_last,column_first,column_last\n"
    labels.write_text(f"{header}dicom,1,healthy,,,,,,\ntruth,2,healthy,,,,,,\n", encoding="utf-8")
    ran = osteon(*words, "-o", tmp_path / "two")
    assert ran.code == 3
    assert "! 2-1 left out: " in ran.out
    labels.write_text("series,patient,label\nnobody,1,healthy\n", encoding="utf-8")
    ran = osteon(*words, "-o", tmp_path / "three")
    assert ran.code == 1
    assert "no series 'nobody' there" in ran.err


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_cohort_that_was_stopped_goes_on(tmp_path: Path, how: signal.Signals) -> None:
    out = tmp_path / "cohort"
    words = ["phantom", "cohort", "-o", str(out), "--patients", "4", "--preset", "tiny", "--most", "3", "--size", "32"]
    command = [sys.executable, "-m", "osteon", *words, "--planes", "axial", "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as running:
        while not list((out / "cases").glob("P*")) and running.poll() is None:
            time.sleep(0.02)
        running.send_signal(how)
        _, said = running.communicate(timeout=120)
    assert running.returncode in {143, -how}
    done = {path.name for path in (out / "cases").glob("P*")}
    assert 1 <= len(done) < 4
    assert not (out / "manifest.csv").exists()
    if how == signal.SIGTERM:
        assert b"the same command starts again" in said
        assert not list(out.rglob(".osteon*"))
    before = {name: (out / "cases" / name).stat().st_mtime_ns for name in done}
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    assert before == {name: (out / "cases" / name).stat().st_mtime_ns for name in done}
    assert len(read_manifest(out).patients) == 4
