"""The packaged models of ct_metastasis from DICOM to a result folder: plumbing, not performance."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from osteon.data.system import DEMO_MARK, NO_MODEL
from osteon.errors import NotThisTaskError
from osteon.io.dicom.read_back import read_segmentation
from osteon.io.settings_file import read_settings_file
from osteon.ops.skeleton import DENSE_HU
from osteon.reading import CaseOptions, CaseResult, read_case
from osteon.systems.ct_metastasis.read import DEFAULT_SEGMENTER, DEFAULT_SLICE_MODEL
from osteon.systems.ct_metastasis.recipe import SEGMENTER, SLICES
from osteon.systems.ct_metastasis.text import LesionReading
from osteon.weights import find_card
from osteon_phantoms import Phantom, TrunkSpec, make_trunk, random_trunk_spec
from osteon_phantoms.files import write_ct_phantom

OPTIONS = CaseOptions(task="ct_metastasis")
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def phantom() -> Phantom[TrunkSpec]:
    drawn = random_trunk_spec(np.random.default_rng(3), with_lesions=True, coverage="abdomen")
    return make_trunk(replace(drawn, seed=3, size=(224, 224), pixel_mm=400 / 224, slice_mm=5.0))


@pytest.fixture(scope="module")
def case(phantom: Phantom[TrunkSpec], tmp_path_factory: pytest.TempPathFactory) -> CaseResult:
    folder = tmp_path_factory.mktemp("trunk")
    write_ct_phantom(phantom, folder / "patient")
    return read_case(folder / "patient" / "dicom", folder / "result", options=OPTIONS)


def test_the_largest_lesion_is_outlined_where_it_is(phantom: Phantom[TrunkSpec], case: CaseResult) -> None:
    true = np.asarray(phantom.masks["lesions"].array)
    largest = true == np.argmax(np.bincount(true.ravel())[1:]) + 1
    predicted = case.answer.masks["lesions"].array > 0
    assert (largest & predicted).sum() > 0.5 * largest.sum()
    bone = case.answer.masks["bone"].array > 0
    own = np.asarray(phantom.masks["structures"].array) > 0
    assert (bone & own).sum() > 0.97 * own.sum()
    rim = ndimage.binary_dilation(own) & np.asarray(
        phantom.volume.array >= np.float32(DENSE_HU)
    )  # at 5 mm half a voxel is bone
    assert 2 * (bone & (own | rim)).sum() / (bone.sum() + (own | rim).sum()) > 0.9


def test_everything_says_that_the_models_are_demos(case: CaseResult) -> None:
    assert case.answer.is_demo
    assert {use.name for use in case.answer.models} == {DEFAULT_SEGMENTER, DEFAULT_SLICE_MODEL}
    page = (case.folder / "report.html").read_text("utf-8")
    for name in (DEFAULT_SEGMENTER, DEFAULT_SLICE_MODEL):
        assert find_card(name).statement in page


def test_the_dicom_objects_are_valid_and_hold_every_listed_lesion(
    case: CaseResult, dciodvfy: Callable[[Path], tuple[list[str], list[str]]]
) -> None:
    findings: dict[str, Any] = json.loads((case.folder / "findings.json").read_text("utf-8"))
    assert len(findings["lesions"]) == len(case.answer.detail_as(LesionReading).lesions) >= 1
    for name in ("seg.dcm", "seg_lesions.dcm", "sr.dcm", "report_pdf.dcm", "bone_stl.dcm"):
        errors, _ = dciodvfy(case.folder / name)
        assert errors == [], name
    read = read_segmentation(case.folder / "seg_lesions.dcm")
    assert len(read.labels) == len(case.answer.detail_as(LesionReading).lesions)


@pytest.mark.shared_data
@pytest.mark.parametrize("number", [1, 5])
def test_a_real_patch_is_read_and_nothing_is_claimed_of_its_site(
    shared_data: Path, tmp_path: Path, number: int
) -> None:
    patch = shared_data / "blds_bone_mets_ct" / f"{number}.nii.gz"
    with pytest.raises(NotThisTaskError, match="the images are 96 mm wide: a part of the trunk, cut out"):
        read_case(patch, tmp_path / "result", options=OPTIONS)
    options = {"demo_on_patient": True, "force": True}
    found = read_case(patch, tmp_path / "result", options=replace(OPTIONS, options=options))
    codes = {notice.code for notice in found.notices}
    assert {"asked-force", "asked-demo_on_patient", "check-failed-forced"} <= codes
    assert {lesion.site for lesion in found.answer.detail_as(LesionReading).lesions} <= {"not determined"}
    assert (found.folder / "report.html").is_file()
    assert found.answer.is_demo


@pytest.mark.shared_data
def test_of_a_real_torso_only_the_bone_and_the_implant_are_told(shared_data: Path, tmp_path: Path) -> None:
    found = read_case(shared_data / "totalseg_ct" / "example_ct.nii.gz", tmp_path / "result", options=OPTIONS)
    findings: dict[str, Any] = json.loads((found.folder / "findings.json").read_text("utf-8"))
    assert found.answer.headline.startswith(f"{NO_MODEL} Bone in the field of view: ")
    assert [one["identifier"] for one in findings["findings"]] == ["bone", "implant"]
    assert not found.answer.is_demo
    page = (found.folder / "report.html").read_text("utf-8")
    assert DEMO_MARK not in page
    assert "No lesion" not in page
    assert {"bone.stl", "bone.glb", "report.pdf"} <= {path.name for path in found.folder.iterdir()}


def test_the_scripts_that_make_them_have_their_settings() -> None:
    words = (SCRIPTS / "trunk_model.sh").read_text("utf-8")
    recipes = ((DEFAULT_SEGMENTER, SEGMENTER, "trunk_model.toml"), (DEFAULT_SLICE_MODEL, SLICES, "trunk_slices.toml"))
    for name, recipe, file in recipes:
        card = find_card(name)
        asked: dict[str, Any] = recipe.settings(read_settings_file(SCRIPTS / file)).decisive
        kept = card.training.details["settings"]
        assert {key: value for key, value in asked.items() if kept.get(key, value) != value} == {}
        assert f"--name {card.name} --version {card.version}" in words
        assert card.statement in words
        assert card.is_demo
        assert all(result.is_synthetic for result in card.results)
