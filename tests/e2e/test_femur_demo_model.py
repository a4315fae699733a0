"""The packaged model of mri_femur from an MR of a phantom to a result: plumbing, not performance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from osteon.data import SliceReading
from osteon.io.settings_file import read_settings_file
from osteon.reading import CaseOptions, CaseResult, read_case
from osteon.systems.mri_femur.read import DEFAULT_MODEL
from osteon.systems.mri_femur.recipe import RECIPE
from osteon.weights import find_card
from osteon_phantoms.femur.sampling import random_femur_mr_spec
from osteon_phantoms.femur.spec import Look
from osteon_phantoms.files import write_femur_mr

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SEED = 91_000
"""Far from the seeds of the training cohort."""


def read_phantom(folder: Path, look: Look, number: int) -> CaseResult:
    drawn = random_femur_mr_spec(np.random.default_rng([SEED, number]), look=look, size=192)
    spec = replace(drawn, slices=3, off_centre_mm=(0.0, 0.0, 0.0))
    write_femur_mr(spec, folder / "thigh")
    series = folder / "thigh" / "dicom" / spec.sequence
    system = {"mask": folder / "thigh" / "truth" / "lesion.nii.gz", "device": "cpu"}
    return read_case(series, folder / "result", options=CaseOptions(task="mri_femur", options=system))


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, CaseResult]]:
    looks: tuple[Look, ...] = ("benign", "malignant", "benign", "malignant")
    return [(look, read_phantom(tmp_path_factory.mktemp("femur"), look, number)) for number, look in enumerate(looks)]


def test_malignant_looking_phantoms_come_out_above_benign_ones(cases: list[tuple[str, CaseResult]]) -> None:
    said = [(name, case.answer.detail_as(SliceReading).scores[0].probability[0]) for name, case in cases]
    found = {look: [float(value) for name, value in said if name == look] for look in ("benign", "malignant")}
    assert np.mean(found["malignant"]) > np.mean(found["benign"])


def test_everything_says_that_the_model_is_a_demo(cases: list[tuple[str, CaseResult]]) -> None:
    for _, case in cases:
        assert case.answer.is_demo
        assert [use.name for use in case.answer.models] == [DEFAULT_MODEL]
        assert find_card(DEFAULT_MODEL).statement in (case.folder / "report.html").read_text("utf-8")


def test_an_answer_has_a_set_a_distance_and_a_heat_map(cases: list[tuple[str, CaseResult]]) -> None:
    for _, case in cases:
        (scores,) = case.answer.detail_as(SliceReading).scores
        assert scores.sets
        assert scores.distance is not None
        (heat,) = case.answer.detail_as(SliceReading).heat_maps
        assert heat.heat.shape == (224, 224)


def test_the_script_that_makes_it_has_its_settings() -> None:
    card = find_card(DEFAULT_MODEL)
    asked = RECIPE.settings(read_settings_file(SCRIPTS / "femur_mr_model.toml")).decisive
    kept = card.training.details["settings"]
    assert {key: value for key, value in asked.items() if kept.get(key, value) != value} == {}
    words = (SCRIPTS / "femur_mr_model.sh").read_text("utf-8")
    assert f"--name {card.name} --version {card.version}" in words
    assert card.statement in words
    assert card.is_demo
    assert card.image.preprocessing.parameters["size"] == 224
    assert all(result.is_synthetic for result in card.results)
