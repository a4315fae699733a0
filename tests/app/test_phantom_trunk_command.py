"""`osteon phantom trunk` and `osteon phantom cohort --task ct_metastasis` from outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osteon.io.table import read_manifest

Run = Callable[..., Any]


def test_a_trunk_is_written_with_its_truth_and_not_over_something_else(osteon: Run, tmp_path: Path) -> None:
    out = tmp_path / "patient"
    words = ("phantom", "trunk", "-o", out, "--coverage", "pelvis", "--size", 48, "--spacing", 15, "--seed", 5)
    ran = osteon(*words, "--no-mimics", "--contrast", "none")
    assert ran.code == 0
    truth = json.loads((out / "truth" / "truth.json").read_text("utf-8"))
    assert f"{sum(lesion['volume_ml'] > 0 for lesion in truth['lesions'])} metastases, 0 mimics" in ran.out
    assert truth["spec"]["coverage"] == "pelvis"
    assert truth["spec"]["contrast"] == "none"
    assert len(list((out / "dicom").iterdir())) == truth["grid"]["shape"][0]
    again = osteon(*words)
    assert again.code == 1
    assert "not empty" in again.err


def test_a_healthy_trunk_has_no_lesion(osteon: Run, tmp_path: Path) -> None:
    out = tmp_path / "well"
    ran = osteon("phantom", "trunk", "-o", out, "--no-lesions", "--size", 32, "--spacing", 20, "-q")
    assert ran.code == 0
    assert json.loads((out / "truth" / "truth.json").read_text("utf-8"))["lesions"] == []


def test_a_cohort_of_trunks_lies_in_the_public_layout(osteon: Run, tmp_path: Path) -> None:
    out = tmp_path / "set"
    words = ("--task", "ct_metastasis", "--patients", 4, "--preset", "tiny", "--workers", 1)
    ran = osteon("phantom", "cohort", "-o", out, *words, "--healthy", 0.5, "--lesion-slices", 4, "--normal-slices", 2)
    assert ran.code == 0
    manifest = read_manifest(out)
    assert {row.label for row in manifest.rows} == {"normal", "metastasis"}
    for name in ("image", "bone mask", "lesion mask"):
        assert len(list((out / name).glob("*.png"))) == len(manifest.rows)
    most = dict.fromkeys(manifest.patients, 0)
    for row in manifest.rows:
        most[row.patient] += 1
    assert max(most.values()) <= 6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--task", "ct_metastasis", "--planes", "axial"), "--planes has no meaning for --task ct_metastasis"),
        (("--healthy", 0.5), "--healthy has no meaning for --task ct_osteosarcoma"),
        (("--task", "ct_metastasis", "--most", 3, "--every", 2), "--every, --most has no meaning"),
        (("--task", "ct_metastases"), "ct_metastases"),
    ],
)
def test_options_of_the_other_task_are_refused(
    osteon: Run, tmp_path: Path, words: tuple[object, ...], said: str
) -> None:
    ran = osteon("phantom", "cohort", "-o", tmp_path / "set", *words)
    assert ran.code == 2
    assert said in " ".join(ran.err.replace("│", " ").split())
    assert not (tmp_path / "set").exists()
