"""A tiny run that several tests look at."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from osteon.curation.splits import make_split
from osteon.io.split_file import write_split
from osteon.io.table import read_manifest
from osteon.training.run import train_run
from osteon.training.settings import TrainSettings


@pytest.fixture(scope="session")
def toy_run(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of a run (two folds, one epoch, 32 x 32) and of its data set with splits.json. Do not write into them."""
    place = tmp_path_factory.mktemp("toy-run")
    dataset = shutil.copytree(toy_dataset, place / "toy")
    manifest = read_manifest(dataset)
    split = make_split(manifest, folds=2, seed=1)
    write_split(split, dataset / "splits.json")
    settings = TrainSettings(
        architecture="densenet_small", strategy="scratch", image_size=32, epochs=2, batch=8, learning_rate=1e-3
    )
    train_run(manifest, split, settings, place / "run")
    return place / "run", dataset
