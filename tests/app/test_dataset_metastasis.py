"""`osteon dataset ct_metastasis` from outside, and what `osteon split` makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from osteon.curation.splits import UNKNOWN_PATIENTS_WARNING
from osteon.io.split_file import read_split
from osteon.io.table import read_manifest

Run = Callable[..., SimpleNamespace]


def put(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, values)[1].tobytes())


@pytest.fixture
def bm_seg(tmp_path: Path) -> Path:
    """Ten patients with two slices each in the public layout; every slice shows a lesion, as in BM-Seg, but one."""
    folder = tmp_path / "BM-Seg"
    lines = ["FILE,PATIENT,SEX,AGE"]
    for number in range(20):
        lesion = np.zeros((24, 24), np.uint8)
        lesion[4:9, 5:12] = 255 * (number != 7)
        put(
            folder / "image" / f"{number}.jpg",
            np.random.default_rng(number).integers(0, 256, (24, 24)).astype(np.uint8),
        )
        put(folder / "bone mask" / f"{number}.jpg", np.full((24, 24), 255, np.uint8))
        put(folder / "lesion mask" / f"{number}.jpg", lesion)
        lines.append(f"{number}.jpg,P{number // 2},F,60")
    (folder / "patients.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_the_public_layout_becomes_a_data_set_that_is_divided_by_patient_or_by_image(
    osteon: Run, bm_seg: Path, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    ran = osteon("dataset", "ct_metastasis", bm_seg, "-o", out, "--workers", 1, "-q")
    assert ran.code == 0, ran.err
    assert "source   pictures of slices with masks (layout of BM-Seg)" in ran.out
    assert "20 images of 10 patients: 19 metastasis, 1 normal" in ran.out
    assert len(read_manifest(out)) == 20
    ran = osteon("split", out, "--folds", 5)
    assert ran.code == 0, ran.err
    assert "patients / images / metastasis images" in ran.out
    assert "Leakage audit: nothing found" in ran.out
    split = read_split(out)
    assert (split.scheme, split.warnings) == ("nested", ())
    ran = osteon("split", out, "--folds", 5, "--group", "image")
    assert ran.code == 0, ran.err
    assert "! Divided by image, not by patient" in ran.out
    assert "leak" in ran.out
    assert "too good" in read_split(out).warnings[0]


def test_images_without_patients_carry_their_warning_into_the_split(osteon: Run, bm_seg: Path, tmp_path: Path) -> None:
    (bm_seg / "patients.csv").unlink()
    out = tmp_path / "set"
    ran = osteon("dataset", "ct_metastasis", bm_seg, "-o", out)
    assert ran.code == 1
    assert "nothing identifies the patients of 20 images" in ran.err
    assert not out.exists()
    ran = osteon("dataset", "ct_metastasis", bm_seg, "-o", out, "--own-patients")
    assert ran.code == 0
    assert f"! {UNKNOWN_PATIENTS_WARNING}" in ran.out
    ran = osteon("split", out, "--folds", 5)
    assert ran.code == 0
    assert f"! {UNKNOWN_PATIENTS_WARNING}" in ran.out
    assert read_split(out).warnings == (UNKNOWN_PATIENTS_WARNING,)


def test_what_is_wrong_is_named_with_the_code_for_it(osteon: Run, bm_seg: Path, tmp_path: Path) -> None:
    (bm_seg / "image" / "3.jpg").unlink()
    put(bm_seg / "lesion mask" / "4.jpg", np.zeros((24, 25), np.uint8))
    ran = osteon("dataset", "ct_metastasis", bm_seg, "-o", tmp_path / "set")
    assert ran.code == 3
    assert "! lesion mask/3.jpg left out: it is a mask without an image" in ran.out
    assert "! image/4.jpg left out: the mask 4.jpg has 24 x 25 pixels" in ran.out
    assert "4 images, masks or patients left out" in ran.out
    for words, code, said in (
        ((tmp_path / "nowhere",), 1, "no folder nowhere"),
        ((bm_seg / "image",), 1, "none of: folders image, bone mask and lesion mask"),
        ((bm_seg, "--lesion-slices", "some"), 2, "neither a number from 0 nor all"),
        ((bm_seg, "--lesion-slices", "0"), 1, "ask for at least one"),
        ((bm_seg, "--masks", bm_seg / "patients.csv"), 1, "no column 'series'"),
    ):
        ran = osteon("dataset", "ct_metastasis", *words, "-o", tmp_path / "other")
        assert (ran.code, said in ran.err) == (code, True), ran.err
        assert not (tmp_path / "other").exists()


def test_the_classification_set_is_recognised(osteon: Run, tmp_path: Path) -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for patient in "abc":
        put(tmp_path / "s" / "normal" / patient / "1.jpg", grey)
        put(tmp_path / "s" / "abnormal" / f"m{patient}" / "metastatic slices" / "1.jpg", grey)
        put(tmp_path / "s" / "abnormal" / f"m{patient}" / "normal slices" / "1.jpg", grey)
    ran = osteon("dataset", "ct_metastasis", tmp_path / "s", "-o", tmp_path / "set", "--drop-normal", "-q")
    assert ran.code == 0
    assert "6 images of 6 patients: 3 metastasis, 3 normal" in ran.out
    assert osteon("split", tmp_path / "set", "--folds", 3).code == 0
