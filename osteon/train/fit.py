"""One fold: trained by lightning, kept at its best epoch, judged by the runtime that will deploy it."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from osteon.data.options import Progress, silent
from osteon.errors import InputError, OsteonError, OutputError, TrainingError
from osteon.io.predictions_file import write_predictions
from osteon.metrics.temperature import fit_temperature
from osteon.train.fold_job import plan_fold
from osteon.train.pixels import load_pixels
from osteon.train.run_folder import (
    LAST_NAME,
    PREDICTIONS_NAME,
    FoldResult,
    make_folder,
    read_fold,
    write_state,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Manifest, Split
    from osteon.train.fold_job import FoldJob
    from osteon.train.history import EpochRecord
    from osteon.train.pixels import Pixels
    from osteon.train.settings import TrainSettings

__all__ = ["FoldOptions", "as_training_error", "fit_fold"]


def _untold(fold: int, record: EpochRecord) -> None:
    del fold, record


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldOptions:
    """What a fold may be told beside its settings.

    Attributes:
        drop: rows of the manifest that curation leaves out of the training part.
        cache: folder for decoded images; None decodes into memory.
        skip_unreadable: leave images out that cannot be read, and count them; otherwise they are an error.
        on_epoch: told (fold, record) after every epoch.
    """

    drop: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    cache: Path | None = None
    skip_unreadable: bool = False
    on_epoch: Callable[[int, EpochRecord], None] = _untold


def fit_fold(
    manifest: Manifest,
    split: Split,
    fold: int,
    settings: TrainSettings,
    folder: Path,
    *,
    options: FoldOptions | None = None,
    progress: Progress = silent,
) -> FoldResult:
    """Train one fold, or go on where it was interrupted; a fold that is done is read and returned.

    After an interruption the fold goes on with the epoch that was running. On the same machine with the same settings
    its weights are then bit-equal to those of a training that was not interrupted.

    Args:
        manifest: of the data set.
        split: folds of it.
        fold: number, from 0.
        settings: of the training.
        folder: of this fold's files; made when it is not there.
        options: rows to drop, cache, unreadable images.
        progress: told about images decoded, epochs, images of an epoch, images judged.

    Returns:
        The fold with its history and predictions; ``state`` is "done".

    Raises:
        InputError: an unreadable image, a class missing in a part, or a folder that belongs to other settings or data.
        TrainingError: the loss is no number, or torch gave up; the folder's state says so.
        OutputError: the disk is full or not writable; what was kept before is intact.
        BackendError: device, precision or pretrained weights are not at hand.
    """
    chosen = options or FoldOptions()
    pixels = load_pixels(
        manifest,
        size=settings.image_size,
        cache=chosen.cache,
        is_stretched=settings.is_stretched,
        skip_unreadable=chosen.skip_unreadable,
        progress=progress,
    )
    job = plan_fold(
        manifest, split, fold, settings, folder, pixels=pixels, drop=np.asarray(chosen.drop), cache=chosen.cache
    )
    before = read_fold(folder, fold)
    if before.identity not in {"", job.identity}:
        raise InputError(
            f"{folder.name} holds fold {before.fold} of a training with other settings or data: name another folder"
        )
    if before.state == "done":
        return before
    make_folder(folder)
    started = time.perf_counter()
    running = FoldResult(
        fold=fold, folder=folder, state="running", images=job.images, seconds=before.seconds, identity=job.identity
    )
    write_state(running)
    try:
        return _finish(job, pixels, running, started, options=chosen, progress=progress)
    except (OsteonError, RuntimeError, MemoryError) as error:
        known = error if isinstance(error, OsteonError) else as_training_error(fold, error)
        _note_failure(running, known, started)
        if known is error:
            raise
        raise known from error


def _finish(
    job: FoldJob, pixels: Pixels, running: FoldResult, started: float, *, options: FoldOptions, progress: Progress
) -> FoldResult:
    """Train, judge and write."""
    from osteon.train.engine import choose_device
    from osteon.train.processes import train_in_processes
    from osteon.train.trainer import judge_fold, train_from_cache, train_here

    choose_device(job.settings)
    if job.settings.devices > 1:
        history = train_in_processes(job, train_from_cache, on_epoch=options.on_epoch, progress=progress)
    else:
        history = train_here(job, pixels, on_epoch=options.on_epoch, progress=progress)
    best = max(history, key=lambda record: record.validation_auc)  # the first of equals, as the strategy keeps it
    logits = judge_fold(job, pixels, progress=progress)
    truth = job.labels[job.rows.validation]
    fitted = fit_temperature(logits["validation"], truth)
    # where every validation image is right no finite temperature is best: 1 does not make the model surer than it was
    temperature = 1.0 if fitted.at_bound else fitted.temperature
    predictions = job.predictions(logits, temperature)
    write_predictions(predictions, job.folder / PREDICTIONS_NAME)
    done = replace(
        running,
        state="done",
        best_epoch=best.epoch,
        validation_auc=best.validation_auc,
        temperature=temperature,
        seconds=round(running.seconds + time.perf_counter() - started, 3),
    )
    write_state(done)
    (job.folder / LAST_NAME).unlink(missing_ok=True)  # two thirds of the space, and of no use any more
    return replace(done, history=history, predictions=predictions)


def as_training_error(fold: int, error: Exception) -> TrainingError:
    """What torch or the system said, as an error of a fold."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return TrainingError(
        f"fold {fold} could not be trained ({type(error).__name__}: {reason[:200]}): a smaller batch or image_size "
        "needs less memory; OSTEON_DEBUG=1 shows where it happened"
    )


def _note_failure(running: FoldResult, error: OsteonError, started: float) -> None:
    """Say in the folder what happened, if it can still be written."""
    failed = replace(
        running,
        state="failed",
        error=f"{type(error).__name__}: {error}",
        seconds=round(running.seconds + time.perf_counter() - started, 3),
    )
    with contextlib.suppress(OutputError):  # a full disk: the error itself is told anyway
        write_state(failed)
