"""Runs that several tests look at: a tiny one that was trained, and a larger one that was made up."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from osteon.curation.splits import make_split
from osteon.data import ImageRow, Manifest, Predictions, Split
from osteon.io.split_file import write_split
from osteon.io.table import read_manifest
from osteon.train.run import Run, RunData, train_run
from osteon.train.run_folder import FoldResult
from tests.train.quick import QUICK, legs


@pytest.fixture(scope="session")
def manifest(toy_dataset: Path) -> Manifest:
    """The toy images."""
    return read_manifest(toy_dataset, positive="tumour")


@pytest.fixture(scope="session")
def split(manifest: Manifest) -> Split:
    """Two folds of them."""
    return make_split(manifest, folds=2, seed=1)


@pytest.fixture(scope="session")
def toy_run(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of a run (two folds, two epochs) and of its data set with splits.json. Do not write into them."""
    place = tmp_path_factory.mktemp("toy-run")
    dataset = shutil.copytree(toy_dataset, place / "toy")
    manifest = read_manifest(dataset)
    split = make_split(manifest, folds=2, seed=1)
    write_split(split, dataset / "splits.json")
    train_run(manifest, split, replace(QUICK, epochs=2), place / "run")
    return place / "run", dataset


@pytest.fixture(scope="session")
def synthetic_run(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """A run of three folds whose predictions were drawn, not trained: 60 patients of 8 images, holdout by patient."""
    generator = np.random.default_rng(7)
    folder = tmp_path_factory.mktemp("synthetic")
    rows = [_synthetic_row(number, image) for number in range(60) for image in range(8)]
    manifest = Manifest(folder, tuple(rows))
    split = make_split(manifest, folds=3, seed=1)
    ease = {row.patient: generator.normal(0, 0.7) for row in rows}
    folds = []
    for fold in range(3):
        parts = split.rows(manifest, fold)
        tables = []
        for part in ("validation", "test"):
            chosen = [rows[int(k)] for k in getattr(parts, part)]
            truth = np.array([int(row.label == "tumour") for row in chosen])
            margin = 3.2 * truth - 2.0 + np.array([ease[row.patient] for row in chosen])
            margin = 2 * (margin + generator.normal(0, 1.2, len(chosen)))  # twice as sure as it may be
            tables.append(
                Predictions(
                    image=np.array([row.image for row in chosen]),
                    patient=np.array([row.patient for row in chosen]),
                    series=np.array([row.series for row in chosen]),
                    truth=truth,
                    logits=np.stack([-margin / 2, margin / 2], axis=1).astype(np.float32),
                    fold=np.full(len(chosen), fold),
                    part=np.full(len(chosen), part),
                    temperature=np.full(len(chosen), 1.9 + 0.1 * fold),
                    classes=("healthy", "tumour"),
                    positive="tumour",
                )
            )
        folds.append(FoldResult(fold=fold, folder=folder, state="done", best_epoch=1, table=Predictions.joined(tables)))
    settings = legs(architecture="densenet_small", strategy="scratch")
    run = Run(folder, settings, ("healthy", "tumour"), tuple(folds), {"versions": {"osteon": "test"}})
    return RunData(run, manifest, split, "0" * 64)


def _synthetic_row(number: int, image: int) -> ImageRow:
    return ImageRow(
        image=f"p{number}-{image}.png",
        patient=f"p{number}",
        label="tumour" if number % 2 == 0 and image < 5 else "healthy",
        series=f"s{image // 4}",
        plane=("axial", "coronal")[image % 2],
        split="test" if number >= 36 else "train",
        centre=("north", "south", "east")[number % 3],
        sex="FM"[(number // 2) % 2],
        age_years=float(8 + number),
        extra={"synthetic": "yes", "dose": "low" if number % 4 else "high"},
    )
