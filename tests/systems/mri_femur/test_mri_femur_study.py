"""The femur study: its plan, its tables beside published values that cannot be, and one run from end to end."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from osteon.curation.splits import make_split
from osteon.data import Predictions
from osteon.errors import InputError, OsteonError
from osteon.io.settings_file import parse_assignments
from osteon.io.split_file import write_split
from osteon.io.table import read_manifest
from osteon.metrics.bootstrap import Resampling
from osteon.metrics.consistency import check
from osteon.study.protocol import Choices, Division
from osteon.study.published import read_published
from osteon.study.run import run_study, train_study
from osteon.systems.mri_femur.study import STUDY, femur_tables, plan_femur, result_rows

FEW = Resampling(repeats=50, seed=1)
NOTES = {"folds": ("SYNTHETIC: made up.", "In folds."), "holdout": ("SYNTHETIC: made up.", "In one division.")}


def test_every_network_is_trained_in_folds_and_in_one_division() -> None:
    runs = {run.name: run for run in plan_femur(Choices())}
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
    assert STUDY.division == Division(folds=10, test_share=0.4, goes_round=True)


def test_settings_reach_all_networks_and_those_of_the_reference_only_it() -> None:
    options = Choices(only=("folds",), values={"epochs": "7"}, baseline_values={"learning_rate": "2e-4"})
    runs = {run.name: run.settings for run in plan_femur(options)}
    assert {settings.epochs for settings in runs.values()} == {7}
    assert [settings.learning_rate for settings in runs.values()] == [0.01, 0.01, 2e-4]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (Choices(only=("fold",)), "did you mean 'folds'"),
        (Choices(networks=("alexnet",)), "alexnet_femur"),
        (Choices(values={"architecture": "resnet18"}), "choose networks with --network"),
        (Choices(values={"epoch": 3}), "did you mean 'epochs'"),
    ],
)
def test_what_cannot_be_planned_is_refused(options: Choices, says: str) -> None:
    with pytest.raises(OsteonError, match=says):
        plan_femur(options)


def test_the_published_values_are_those_of_the_paper_and_cannot_be() -> None:
    published = read_published("osteon.systems.mri_femur")
    rows = published.tables["table"]
    assert " ".join(rows["alexnet_femur"].values.values()) == "98.34 97.26 95.74 96.37 0.848"
    assert " ".join(rows["googlenet"].values.values()) == "96.58 96.27 92.58 93.69 0.688"
    (table,) = published.checks
    assert "at least sensitivity x specificity = 0.931" in table.rows[0][3]
    for row, record, shown in zip(rows.values(), table.records, table.rows, strict=True):
        found = check(**dict(row.values))  # type: ignore[arg-type]  # of names that it knows
        finding = " ".join(f"{one.message[0].upper()}{one.message[1:]}." for one in found.violations)
        words = ", ".join(f"{name} {text}" for name, text in row.values.items())
        assert shown == (row.title, words, "NO", finding)
        assert found.auc_range is not None
        assert record["least_auc"] == pytest.approx(found.auc_range[0])
        assert (record["can_be_true"], record["violations"]) == (found.possible, len(found.violations)) == (False, 3)
        least = row.numbers("sensitivity")[0] + row.numbers("specificity")[0] - 1
        assert f"{least:.3f} ({row.title})" in table.notes[1]


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
    runs = plan_femur(Choices(networks=("alexnet_femur", "googlenet")))
    whole = predictions_of(120, 10, seed=1)
    found = {"alexnet_femur": whole, "googlenet": predictions_of(120, 10, seed=2)}
    found["alexnet_femur-holdout"] = predictions_of(48, 1, seed=3)
    states = {"googlenet-holdout": "failed"}
    rows = {scheme: result_rows(scheme, runs, found, states, FEW) for scheme in ("folds", "holdout")}
    folds, holdout, confusion, comparisons, checks = femur_tables(runs, rows, found, NOTES, FEW)
    assert [row[:2] for row in folds.rows[:4]] == [
        ("optimised AlexNet", "mean of 10 folds"),
        ("", "folds, 95 %"),
        ("", "patients, 95 %"),
        ("", "published"),
    ]
    predicted, truth = whole.probability >= 0.5, whole.truth == 1
    by_fold = [np.mean((predicted == truth)[whole.fold == fold]) for fold in range(10)]
    assert folds.rows[0][2] == f"{100 * np.mean(by_fold):.2f}"
    assert folds.rows[3][2:] == ("98.34", "", "97.26", "95.74", "96.37", "0.848")
    assert holdout.rows[0][:2] == ("optimised AlexNet", "measured")
    assert holdout.rows[-2][:2] == ("GoogLeNet", "failed")
    matrix = [int(cell) for cell in confusion.rows[0][2:6]]
    assert sum(matrix) == 120
    assert matrix[0] == int((predicted & truth).sum())
    assert [row[0] for row in comparisons.rows] == ["googlenet"]
    assert checks.name == "published"
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
    values = parse_assignments(("image_size=32", "batch=16", "epochs=1", "threads=1", "device=cpu"))
    choices = Choices(networks=("densenet_small",), values=values)
    outcome = run_study(STUDY, dataset, tmp_path / "study", choices)
    assert outcome.errors == ()
    assert [table.name for table in outcome.tables] == [
        "table_folds",
        "table_holdout",
        "confusion",
        "comparisons",
        "published",
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
        run_study(STUDY, dataset, tmp_path / "study", choices)


def test_the_test_part_goes_round_though_one_is_marked(dataset: Path, tmp_path: Path) -> None:
    protocol = replace(STUDY, division=Division(folds=3, goes_round=True))
    study = train_study(protocol, dataset, tmp_path / "study", ())
    split = study.place.splits["folds"]
    assert (split.scheme, len(split.folds)) == ("nested", 3)
    tested = [patient for fold in split.folds for patient in fold.test]
    assert sorted(tested) == sorted(study.manifest.patients)
    kept = train_study(replace(STUDY, division=Division(folds=3)), dataset, tmp_path / "other", ())
    assert kept.place.splits["folds"].scheme == "holdout"
