"""Two processes train one network: the same weights on both, evaluated on all images."""

from __future__ import annotations

import os
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


def test_processes_leave_the_variables_of_a_cluster_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}
    outer = {"SLURM_NTASKS": "4", "RANK": "3", "LOCAL_RANK": "3", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    monkeypatch.setattr(os, "environ", {"PATH": "/bin", **outer})

    class StopError(Exception):
        """Ends the process before it trains."""

    class Job:
        """Stands for a fold."""

        def __getattr__(self, name: str) -> object:
            seen.update(os.environ)
            raise StopError

    with pytest.raises(StopError):
        processes._train(1, Job(), 2, 29999, None)  # type: ignore[arg-type]
    assert (seen["LOCAL_RANK"], seen["WORLD_SIZE"], seen["NODE_RANK"]) == ("1", "2", "0")
    assert seen["PATH"] == "/bin"
    assert not {"SLURM_NTASKS", "RANK", "TORCHELASTIC_USE_AGENT_STORE"} & set(seen)


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
