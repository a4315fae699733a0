"""One fold: its network trained (of a pair both, the bone network first), kept at one epoch, judged in pixels."""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from osteon.data.options import Progress, silent
from osteon.errors import InputError, OsteonError, OutputError
from osteon.io.whole_file import whole_file
from osteon.train.fit import as_training_error
from osteon.train.run_folder import BEST_NAME, LAST_NAME, make_folder
from osteon.train.segmentation.counts import SegmentCounts
from osteon.train.segmentation.fold_files import (
    SegmentFold,
    read_segment_fold,
    write_judgement,
    write_segment_state,
)
from osteon.train.segmentation.job import bone_job, plan_segment_fold

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from osteon.data import Manifest, Split
    from osteon.train.segmentation.history import SegmentEpoch
    from osteon.train.segmentation.job import SegmentJob
    from osteon.train.segmentation.mask_pixels import MaskPixels
    from osteon.train.segmentation.settings import SegmentSettings

__all__ = ["FoldData", "fit_segment_fold"]


def _untold(fold: int, record: SegmentEpoch) -> None:
    del fold, record


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldData:
    """What all folds of a run share.

    Attributes:
        manifest: of the data set.
        split: folds of it.
        pixels: of the manifest.
        areas: of ``mask_areas``.
        cache: of the decoded images; several processes map it.
        bone_networks: folder where the bone networks of pairs are shared between runs; None keeps each in its fold.
        on_epoch: told (fold, record) after every epoch.
        progress: told about every step.
    """

    manifest: Manifest = field(repr=False)
    split: Split = field(repr=False)
    pixels: MaskPixels = field(repr=False)
    areas: dict[str, NDArray[np.int64]] = field(repr=False)
    cache: Path | None = None
    bone_networks: Path | None = None
    on_epoch: Callable[[int, SegmentEpoch], None] = _untold
    progress: Progress = silent


def fit_segment_fold(data: FoldData, fold: int, settings: SegmentSettings, folder: Path) -> SegmentFold:
    """Train one fold, or go on where it was interrupted; a fold that is done is read and returned.

    After an interruption the fold goes on with the epoch that was running. On the same machine with the same settings
    its weights are then bit-equal to those of a training that was not interrupted.

    Args:
        data: images, split, who is told.
        fold: number, from 0.
        settings: of the training.
        folder: of this fold's files; made when it is not there.

    Returns:
        The fold with its history and counts; ``state`` is "done".

    Raises:
        InputError: a part lacks lesions or bone, or the folder belongs to other settings or data.
        TrainingError: the loss is no number, or torch gave up; the folder's state says so.
        OutputError: the disk is full or not writable; what was kept before is intact.
        BackendError: device or precision is not at hand.
    """
    job = plan_segment_fold(
        data.manifest, data.split, fold, settings, folder, pixels=data.pixels, areas=data.areas, cache=data.cache
    )
    if job.role == "lesion":
        if read_segment_fold(folder, fold).state == "done":
            job = replace(job, bone_weights=folder / BEST_NAME)  # in the pair; nothing is trained any more
        else:
            job = replace(job, bone_weights=_bone_weights(bone_job(job, data.areas), data))
    return _fit(job, data, _judged)


def _bone_weights(job: SegmentJob, data: FoldData) -> Path:
    """Weights of the bone network of a pair: those that another run left, or trained now.

    Two runs at the same time may both train it: each in its own folder, and what they leave is the same.
    """
    shared = None if data.bone_networks is None else data.bone_networks / job.shared_name
    if shared is not None and shared.exists():
        return shared
    trained = _fit(job, data, _nothing_to_judge).weights
    if shared is None:
        return trained
    make_folder(shared.parent)
    with whole_file(shared) as work:
        shutil.copyfile(trained, work)
    return shared


def _fit(job: SegmentJob, data: FoldData, judge: Callable[[SegmentJob, FoldData], SegmentCounts | None]) -> SegmentFold:
    """Train and judge one network, with its state in its folder."""
    before = read_segment_fold(job.folder, job.fold)
    if before.identity not in {"", job.identity}:
        raise InputError(
            f"{job.folder.name} holds fold {before.fold} of a training with other settings or data: name another folder"
        )
    if before.state == "done":
        return before
    make_folder(job.folder)
    started = time.perf_counter()
    running = SegmentFold(
        fold=job.fold,
        folder=job.folder,
        state="running",
        images=job.images,
        seconds=before.seconds,
        identity=job.identity,
    )
    write_segment_state(running)
    try:
        return _finish(job, data, running, started, judge)
    except (OsteonError, RuntimeError, MemoryError) as error:
        known = error if isinstance(error, OsteonError) else as_training_error(job.fold, error)
        failed = replace(
            running,
            state="failed",
            error=f"{type(known).__name__}: {known}",
            seconds=round(running.seconds + time.perf_counter() - started, 3),
        )
        with contextlib.suppress(OutputError):  # a full disk: the error itself is told anyway
            write_segment_state(failed)
        if known is error:
            raise
        raise known from error


def _finish(
    job: SegmentJob,
    data: FoldData,
    running: SegmentFold,
    started: float,
    judge: Callable[[SegmentJob, FoldData], SegmentCounts | None],
) -> SegmentFold:
    from osteon.train.engine import choose_device
    from osteon.train.processes import train_in_processes
    from osteon.train.segmentation.trainer import train_segmenter_from_cache, train_segmenter_here

    choose_device(job.settings)
    if job.settings.devices > 1:
        history = train_in_processes(job, train_segmenter_from_cache, on_epoch=data.on_epoch, progress=data.progress)
    else:
        history = train_segmenter_here(job, data.pixels, on_epoch=data.on_epoch, progress=data.progress)
    best = max(history, key=lambda record: record.worth(job.steers))  # the first of equals, as it was kept
    if job.settings.selection == "last":
        best = history[-1]
    judge(job, data)
    write_segment_state(
        replace(
            running,
            state="done",
            best_epoch=best.epoch,
            validation_f1=best.worth(job.steers)[0],
            seconds=round(running.seconds + time.perf_counter() - started, 3),
        )
    )
    (job.folder / LAST_NAME).unlink(missing_ok=True)  # two thirds of the space, and of no use any more
    return read_segment_fold(job.folder, job.fold)


def _judged(job: SegmentJob, data: FoldData) -> SegmentCounts:
    """Judge the kept network on its validation and test part."""
    from osteon.train.engine import choose_device, torch_threads
    from osteon.train.segmentation.judge import Judge
    from osteon.train.segmentation.networks import kept_network

    settings = job.settings
    judge = Judge(
        networks=[kept_network(settings, job.folder / BEST_NAME)],
        outputs=settings.outputs,
        manifest=job.manifest,
        pixels=data.pixels,
        channels=settings.channels,
        device=choose_device(settings),
        progress=data.progress,
    )
    with torch_threads(settings.threads):
        validation, sweeps = judge.judged(
            job.rows.validation, fold=job.fold, part="validation", threshold=settings.threshold
        )
        test, _ = judge.judged(job.rows.test, fold=job.fold, part="test", threshold=settings.threshold)
    counts = SegmentCounts.joined([validation, test])
    write_judgement(job.folder, counts, sweeps)
    return counts


def _nothing_to_judge(job: SegmentJob, data: FoldData) -> None:
    """The bone network of a pair is judged with the pair."""
    del job, data
