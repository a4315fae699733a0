"""The femur study: its plan, its tables beside printed values that cannot be, and one run from end to end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from osteon.curation.splits import make_split
from osteon.data import Predictions
from osteon.errors import InputError, OsteonError
from osteon.io.split_file import write_split
from osteon.io.table import read_manifest
from osteon.metrics.bootstrap import Resampling
from osteon.metrics.consistency import check
from osteon.study.run import Division, StudyJobs, train_study
from osteon.study.start import StudyCall, start_study
from osteon.systems.mri_femur.published import femur_checks, printed_femur
from osteon.systems.mri_femur.study import FEMUR_DIVISION, FemurStudy, plan_femur
from osteon.systems.mri_femur.study_tables import femur_tables

FEW = Resampling(repeats=50, seed=1)
NOTES = {"folds": ("SYNTHETIC: made up.", "In folds."), "holdout": ("SYNTHETIC: made up.", "In one division.")}


def test_every_network_is_trained_in_folds_and_in_one_division() -> None:
    runs = {run.name: run for run in plan_femur(FemurStudy())}
    assert list(runs) == [
        "alexnet_femur",
        "googlenet",
        "mobilenet_v2",
        "alexnet_femur-holdout",
        "googlenet-holdout",
        "mobilenet_v2-holdout",
    ]
    assert [run.scheme for run in runs.values()] == ["folds"] * 3 + ["holdout"] * 3
    assert runs["alexnet_femur"].settings == runs["alexnet_femur-holdout"].settings
    assert runs["googlenet"].settings.optimiser == "sgd"
    assert (runs["mobilenet_v2"].settings.pretrained, runs["mobilenet_v2"].settings.optimiser) == ("embedded", "adam")
    assert (FEMUR_DIVISION.folds, FEMUR_DIVISION.test_share) == (10, 0.4)


def test_settings_reach_all_networks_and_those_of_the_reference_only_it() -> None:
    options = FemurStudy(only=("folds",), values={"epochs": "7"}, reference_values={"learning_rate": "2e-4"})
    runs = {run.name: run.settings for run in plan_femur(options)}
    assert {settings.epochs for settings in runs.values()} == {7}
    assert [settings.learning_rate for settings in runs.values()] == [0.01, 0.01, 2e-4]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (FemurStudy(only=("fold",)), "did you mean 'folds'"),
        (FemurStudy(networks=("alexnet",)), "alexnet_femur"),
        (FemurStudy(values={"architecture": "resnet18"}), "choose networks with --network"),
        (FemurStudy(values={"epoch": 3}), "did you mean 'epochs'"),
    ],
)
def test_what_cannot_be_planned_is_refused(options: FemurStudy, says: str) -> None:
    with pytest.raises(OsteonError, match=says):
        plan_femur(options)


def test_the_printed_values_are_those_of_the_paper_and_cannot_be() -> None:
    rows = printed_femur()
    assert dict(rows["alexnet_femur"].values) == {
        "accuracy": "98.34",
        "sensitivity": "97.26",
        "specificity": "95.74",
        "f1": "96.37",
        "auc": "0.848",
    }
    assert dict(rows["googlenet"].values) == {
        "accuracy": "96.58",
        "sensitivity": "96.27",
        "specificity": "92.58",
        "f1": "93.69",
        "auc": "0.688",
    }
    table = femur_checks()
    assert [row[2] for row in table.rows] == ["NO", "NO"]
    assert "accuracy lies between 95.7350 % and 97.2650 %" in table.rows[0][3]
    assert "at least sensitivity x specificity = 0.931" in table.rows[0][3]
    assert "here 0.930 (optimised AlexNet) and 0.889 (GoogLeNet)" in table.notes[1]


def predictions_of(patients: int, folds: int, *, seed: int) -> Predictions:
    """One image a patient, every patient in the test part of one fold, scores that part the classes in most."""
    generator = np.random.default_rng(seed)
    truth = np.arange(patients) % 3 == 0
    margin = 2.0 * truth - 1.0 + generator.normal(0, 1.0, patients)
    return Predictions(
        image=np.array([f"{number}.png" for number in range(patients)]),
        patient=np.array([f"p{number}" for number in range(patients)]),
        series=np.full(patients, ""),
        truth=truth.astype(np.int64),
        logits=np.stack([-margin / 2, margin / 2], axis=1).astype(np.float32),
        fold=np.arange(patients) // 3 % folds,
        part=np.full(patients, "test"),
        temperature=np.ones(patients),
        classes=("benign", "malignant"),
        positive="malignant",
    )


def test_the_tables_show_what_was_measured_beside_what_is_printed() -> None:
    runs = plan_femur(FemurStudy(networks=("alexnet_femur", "googlenet")))
    whole = predictions_of(120, 10, seed=1)
    found = {"alexnet_femur": whole, "googlenet": predictions_of(120, 10, seed=2)}
    found["alexnet_femur-holdout"] = predictions_of(48, 1, seed=3)
    states = {"googlenet-holdout": "failed"}
    folds, holdout, confusion, comparisons, checks = femur_tables(runs, found, states, notes=NOTES, resampling=FEW)
    assert [row[:2] for row in folds.rows[:4]] == [
        ("optimised AlexNet", "mean of 10 folds"),
        ("", "folds, 95 %"),
        ("", "patients, 95 %"),
        ("", "printed"),
    ]
    called, truth = whole.probability >= 0.5, whole.truth == 1
    by_fold = [np.mean((called == truth)[whole.fold == fold]) for fold in range(10)]
    assert folds.rows[0][2] == f"{100 * np.mean(by_fold):.2f}"
    assert folds.rows[3][2:] == ("98.34", "", "97.26", "95.74", "96.37", "0.848")
    assert holdout.rows[0][:2] == ("optimised AlexNet", "measured")
    assert holdout.rows[-2][:2] == ("GoogLeNet", "failed")
    matrix = [int(cell) for cell in confusion.rows[0][2:6]]
    assert sum(matrix) == 120
    assert matrix[0] == int((called & truth).sum())
    assert [row[0] for row in comparisons.rows] == ["googlenet"]
    assert checks.name == "printed"
    assert "In folds." in folds.notes
    assert "In one division." in holdout.notes
    # our own numbers come from confusion matrices: what refuses the paper's does not refuse them
    rates = dict(
        zip(("accuracy", "precision", "sensitivity", "specificity", "f1", "auc"), holdout.rows[0][2:], strict=True)
    )
    assert check(**rates).possible  # type: ignore[arg-type]


@pytest.fixture
def dataset(toy_dataset: Path, tmp_path: Path) -> Path:
    """The toy images as crops of lesions; t5 and h5 are marked as test."""
    folder = shutil.copytree(toy_dataset, tmp_path / "toy")
    table = folder / "manifest.csv"
    words = table.read_text(encoding="utf-8").replace(",tumour", ",malignant").replace(",healthy", ",benign")
    table.write_text(words, encoding="utf-8")
    return folder


def test_a_study_is_trained_and_written(dataset: Path, tmp_path: Path) -> None:
    marked = read_manifest(dataset)
    write_split(make_split(marked, folds=2, seed=1), dataset / "splits.json")
    changes = ("image_size=32", "batch=16", "epochs=1", "threads=1", "device=cpu")
    call = StudyCall(
        task="mri_femur", dataset=dataset, folder=tmp_path / "study", networks=("densenet_small",), changes=changes
    )
    outcome = start_study(call)
    assert outcome.errors == ()
    assert [table.name for table in outcome.tables] == [
        "table_folds",
        "table_holdout",
        "confusion",
        "comparisons",
        "printed",
    ]
    folds = outcome.tables[0]
    assert [row[0] for row in folds.rows if row[0]] == ["densenet_small (reference)", "majority class", "fields only"]
    assert "2 folds (paper: 10)" in " ".join(folds.notes)
    page = (tmp_path / "study" / "index.html").read_text(encoding="utf-8")
    assert "cannot be true together" in page
    for name in ("roc_folds", "roc_holdout", "accuracy_folds", "auc_holdout", "learning"):
        assert (tmp_path / "study" / "figures" / f"{name}.png").stat().st_size > 2000
    document = json.loads((tmp_path / "study" / "study.json").read_text(encoding="utf-8"))
    assert [run["scheme"] for run in document["runs"]] == ["folds", "holdout"]
    with pytest.raises(InputError, match="--resume"):
        start_study(call)


def test_options_of_other_studies_are_refused(dataset: Path, tmp_path: Path) -> None:
    call = StudyCall(task="mri_femur", dataset=dataset, folder=tmp_path / "study", strategies=("ft",))
    with pytest.raises(InputError, match="--strategy: not of the study mri_femur"):
        start_study(call)


def test_the_test_part_goes_round_though_one_is_marked(dataset: Path, tmp_path: Path) -> None:
    division = Division(folds=3, goes_round=True)
    study = train_study(dataset, tmp_path / "study", (), jobs=StudyJobs(division=division))
    assert (study.split.scheme, len(study.split.folds)) == ("nested", 3)
    tested = [patient for fold in study.split.folds for patient in fold.test]
    assert sorted(tested) == sorted(study.manifest.patients)
    kept = train_study(dataset, tmp_path / "other", (), jobs=StudyJobs(division=Division(folds=3)))
    assert kept.split.scheme == "holdout"
