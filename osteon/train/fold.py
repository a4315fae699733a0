"""One fold: its network trained, kept at one epoch, and evaluated by the runtime that will deploy it."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from osteon.errors import InputError, OsteonError, OutputError, TrainingError
from osteon.train.processes import LESS_MEMORY, ran_out_of_memory, train_in_processes
from osteon.train.run_folder import LAST_NAME, FoldResult, make_folder, read_fold, write_state, write_table

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.train.objective import FoldData, FoldJob, Objective
    from osteon.train.settings import Settings

__all__ = ["fit_fold", "fit_job"]


def fit_fold(objective: Objective, data: FoldData, fold: int, settings: Settings, folder: Path) -> FoldResult:
    """Train one fold, or go on where it was interrupted; a fold that is done is read and returned.

    After an interruption the fold goes on with the epoch that was running. On the same machine with the same settings
    its weights are then bit-equal to those of a training that was not interrupted.

    Raises:
        InputError: a part lacks what it needs, or the folder belongs to other settings or data.
        TrainingError: the loss is not a number, or torch gave up; the folder's state says so.
        OutputError: the disk is full or not writable; what was kept before is intact.
        BackendError: device, precision or pretrained weights are not at hand.
    """
    return fit_job(objective.plan(data, fold, settings, folder), data)


def fit_job(job: FoldJob, data: FoldData) -> FoldResult:
    """Train and evaluate one network, with its state in its folder; raises as ``fit_fold``."""
    before = read_fold(job.folder, job.fold)
    if before.identity not in {"", job.identity}:
        raise InputError(
            f"{job.folder.name} holds fold {before.fold} of a training with other settings or data: name another folder"
        )
    if before.state == "done":
        return before
    make_folder(job.folder)
    started = time.perf_counter()
    running = FoldResult(
        fold=job.fold,
        folder=job.folder,
        state="running",
        images=job.images,
        seconds=before.seconds,
        identity=job.identity,
    )
    write_state(running)
    try:
        return _finish(job, data, running, started)
    except (OsteonError, RuntimeError, MemoryError) as error:
        known = error if isinstance(error, OsteonError) else _as_training_error(job.fold, error)
        failed = replace(
            running, state="failed", error=f"{type(known).__name__}: {known}", seconds=_spent(running, started)
        )
        with contextlib.suppress(OutputError):  # a full disk: the error itself is reported anyway
            write_state(failed)
        if known is error:
            raise
        raise known from error


def _finish(job: FoldJob, data: FoldData, running: FoldResult, started: float) -> FoldResult:
    """Train, evaluate and write."""
    objective = job.objective
    ready = objective.prepared(job, data)
    if getattr(job.settings, "devices", 1) > 1:
        history = train_in_processes(ready, on_epoch=data.on_epoch, progress=data.progress)
    else:
        history = objective.train(ready, data.pixels, on_epoch=data.on_epoch, progress=data.progress)
    best = objective.best(history, job.settings)
    evaluated = objective.evaluate(ready, data.pixels, data.progress)
    if evaluated is not None:
        write_table(job.folder, evaluated.table, evaluated.sweeps)
    done = replace(
        running,
        state="done",
        best_epoch=best.epoch,
        monitored=best.monitored,
        seconds=_spent(running, started),
        history=history,
        table=None if evaluated is None else evaluated.table,
    )
    write_state(done)
    (job.folder / LAST_NAME).unlink(missing_ok=True)  # two thirds of the space, and of no use any more
    return done


def _spent(running: FoldResult, started: float) -> float:
    return round(running.seconds + time.perf_counter() - started, 3)


def _as_training_error(fold: int, error: Exception) -> TrainingError:
    """What torch or the system said, as an error of a fold."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    hint = f"{LESS_MEMORY}; " if ran_out_of_memory(error) else ""
    return TrainingError(
        f"fold {fold} could not be trained ({type(error).__name__}: {reason[:200]}): {hint}"
        "OSTEON_DEBUG=1 shows where it happened"
    )
