"""Two processes train one network: the same weights on both, evaluated on all images."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from osteon.data import Manifest, Split
from osteon.errors import InputError, TrainingError
from osteon.metrics.classification import roc_auc
from osteon.train import processes
from osteon.train.engine import FoldModule
from osteon.train.run_folder import EpochRecord, read_fold
from tests.train.quick import QUICK, fit

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

    from osteon.train.objective import FoldJob

TWO = replace(
    QUICK, devices=2, strategy="g-lf", pretrained="none", stagnation=1, plateau_patience=9, patience=99, epochs=12
)
HERE = "tests.train.test_ddp"
"""The name under which a new process finds this file."""


def _train_unsynchronised(rank: int, job: FoldJob, count: int, port: int, said: Queue[Any]) -> None:
    """As the real one, but freed parts are not told to DDP."""
    FoldModule._synchronise_anew = lambda self: None  # type: ignore[method-assign]
    processes._train(rank, job, count, port, said)


@pytest.mark.slow
def test_two_processes_learn_free_parts_and_are_judged_by_all_images(
    manifest: Manifest, split: Split, tmp_path: Path
) -> None:
    """After each epoch the processes compare their weights."""
    told: list[EpochRecord] = []
    steps: list[tuple[str, int, int]] = []
    result = fit(
        manifest,
        split,
        0,
        TWO,
        tmp_path / "f",
        cache=tmp_path / "cache",
        on_epoch=lambda _, record: told.append(record),
        progress=lambda *step: steps.append(step),
    )
    assert told == list(result.history)
    assert ("fold 0: epochs", 12, 12) in steps
    assert len(result.history[-1].free.split()) > 1
    assert result.history[-1].train_loss < result.history[0].train_loss
    assert result.predictions is not None
    validation = result.predictions.of(part="validation")
    assert roc_auc(validation.is_positive, validation.probability) == pytest.approx(result.monitored, abs=0.02)


@pytest.mark.slow
def test_without_a_new_wrapper_a_freed_part_drifts_apart(
    manifest: Manifest, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test above proves, seen to fail."""
    sys.modules.setdefault(HERE, sys.modules[__name__])
    monkeypatch.setattr(_train_unsynchronised, "__module__", HERE)
    monkeypatch.setattr(processes, "_train", _train_unsynchronised)
    with pytest.raises(TrainingError, match="different weights"):
        fit(manifest, split, 0, TWO, tmp_path / "bad")
    assert read_fold(tmp_path / "bad", 0).state == "failed"


def test_more_processes_than_validation_images_are_refused(manifest: Manifest, split: Split, tmp_path: Path) -> None:
    settings = replace(QUICK, batch=50, devices=50)
    with pytest.raises(InputError, match="fewer validation images than devices"):
        fit(manifest, split, 0, settings, tmp_path / "f")
