"""Two processes train one network: the same weights on both, judged by all images."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from osteon.curation.splits import make_split
from osteon.data import Manifest, Split
from osteon.errors import InputError, TrainingError
from osteon.io.table import read_manifest
from osteon.metrics.classification import roc_auc
from osteon.training import processes
from osteon.training.fit import FoldOptions, fit_fold
from osteon.training.history import EpochRecord
from osteon.training.module import FoldModule
from osteon.training.run_folder import read_fold
from osteon.training.settings import TrainSettings

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

    from osteon.training.fold_job import FoldJob

TWO = TrainSettings(
    architecture="densenet_small",
    strategy="scratch",
    epochs=5,
    image_size=32,
    batch=8,
    learning_rate=1e-3,
    threads=1,
    device="cpu",
    devices=2,
)
FREEING = TrainSettings.of(
    {**TWO.document(), "strategy": "g-lf", "pretrained": "none", "stagnation": 1, "plateau_patience": 9, "epochs": 4}
)
HERE = "tests.training.test_ddp"
"""The name under which a new process finds this file."""


@pytest.fixture(scope="module")
def manifest(toy_dataset: Path) -> Manifest:
    return read_manifest(toy_dataset, positive="tumour")


@pytest.fixture(scope="module")
def split(manifest: Manifest) -> Split:
    return make_split(manifest, folds=2, seed=1)


def _train_unsynchronised(rank: int, job: FoldJob, count: int, port: int, said: Queue[Any]) -> None:
    """As the real one, but freed parts are not told to DDP."""
    FoldModule._synchronise_anew = lambda self: None  # type: ignore[method-assign]
    processes._train(rank, job, count, port, said)


@pytest.mark.slow
def test_two_processes_learn_and_are_judged_by_all_images(manifest: Manifest, split: Split, tmp_path: Path) -> None:
    told: list[EpochRecord] = []
    steps: list[tuple[str, int, int]] = []
    options = FoldOptions(cache=tmp_path / "cache", on_epoch=lambda _, record: told.append(record))
    result = fit_fold(
        manifest, split, 0, TWO, tmp_path / "f", options=options, progress=lambda *step: steps.append(step)
    )
    assert told == list(result.history)
    assert ("fold 0: epochs", 5, 5) in steps
    assert result.history[-1].train_loss < result.history[0].train_loss
    assert result.predictions is not None
    validation = result.predictions.of(part="validation")
    assert roc_auc(validation.is_positive, validation.probability) == pytest.approx(result.validation_auc, abs=0.02)


@pytest.mark.slow
def test_freed_parts_are_averaged_too(
    manifest: Manifest, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each epoch the processes compare their weights; without a new DDP wrapper a freed part drifts apart."""
    result = fit_fold(manifest, split, 0, FREEING, tmp_path / "good")
    assert len(result.history[-1].free.split()) > 1
    module = sys.modules[__name__]
    sys.modules.setdefault(HERE, module)
    monkeypatch.setattr(_train_unsynchronised, "__module__", HERE)
    monkeypatch.setattr(processes, "_train", _train_unsynchronised)
    with pytest.raises(TrainingError, match="different weights"):
        fit_fold(manifest, split, 0, FREEING, tmp_path / "bad")
    assert read_fold(tmp_path / "bad", 0).state == "failed"


def test_more_processes_than_validation_images_are_refused(manifest: Manifest, split: Split, tmp_path: Path) -> None:
    settings = replace(TWO, batch=50, devices=50)
    with pytest.raises(InputError, match="fewer validation images than devices"):
        fit_fold(manifest, split, 0, settings, tmp_path / "f")
