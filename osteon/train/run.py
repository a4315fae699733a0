"""All folds of one setting, one after the other; what is done stays done."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.data import Predictions
from osteon.data.options import Progress, silent
from osteon.errors import InputError, OsteonError, OutputError
from osteon.train.fit import FoldOptions, fit_fold
from osteon.train.fold_job import NOT_DECISIVE, classes_of
from osteon.train.pixels import load_pixels
from osteon.train.run_folder import (
    CACHE_NAME,
    RUN_NAME,
    SETTINGS_NAME,
    FoldResult,
    claim_folder,
    describe_software,
    fold_folder,
    fold_numbers,
    make_folder,
    read_document,
    read_fold,
    split_digest,
    write_document,
)
from osteon.train.settings import TrainSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Manifest, Split
    from osteon.train.history import EpochRecord

__all__ = ["Run", "RunOptions", "read_run", "train_run"]


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its folder tells it.

    Attributes:
        folder: of the run.
        settings: of all its folds.
        classes: in the order of the logits.
        folds: one entry for every fold of the split.
        document: run.json: versions, machine, split, unreadable images.
    """

    folder: Path
    settings: TrainSettings
    classes: tuple[str, ...]
    folds: tuple[FoldResult, ...]
    document: Mapping[str, Any] = field(repr=False)

    @property
    def done(self) -> tuple[FoldResult, ...]:
        """The folds that are done."""
        return tuple(fold for fold in self.folds if fold.state == "done")

    @property
    def failed(self) -> tuple[FoldResult, ...]:
        """The folds that failed, each with its ``error``."""
        return tuple(fold for fold in self.folds if fold.state == "failed")

    @property
    def is_complete(self) -> bool:
        """Whether every fold is done."""
        return len(self.done) == len(self.folds)

    def predictions(self) -> Predictions:
        """Of all folds that are done, validation and test parts.

        Raises:
            InputError: no fold is done.
        """
        tables = [fold.predictions for fold in self.done if fold.predictions is not None]
        if not tables:
            raise InputError(f"no fold of the run {self.folder.name} is done: train it first")
        return Predictions.joined(tables)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a run may be told beside its settings.

    Attributes:
        folds: which of the split; None for all.
        drops: rows of the manifest that curation leaves out of the training part, by fold. None finds them where the
            configuration asks for curation.
        cache: folder for decoded images and vectors, for runs of the same data set to share; None keeps them in the
            run's folder until it is complete.
        skip_unreadable: leave images out that cannot be read, name and count them; otherwise they are an error.
        on_epoch: told (fold, record) after every epoch.
    """

    folds: Iterable[int] | None = None
    drops: Mapping[int, NDArray[np.int64]] | None = None
    cache: Path | None = None
    skip_unreadable: bool = False
    on_epoch: Callable[[int, EpochRecord], None] | None = None


def train_run(
    manifest: Manifest,
    split: Split,
    settings: TrainSettings,
    folder: Path,
    *,
    options: RunOptions | None = None,
    progress: Progress = silent,
) -> Run:
    """Train the folds of a split. A fold that is done is skipped, one that was interrupted goes on.

    A fold that fails is noted, and the others go on: look at ``failed`` of what is returned.

    Args:
        manifest: of the data set.
        split: folds of it.
        settings: of all folds.
        folder: of the run; made when it is not there.
        options: which folds, what to drop.
        progress: told about every step.

    Raises:
        InputError: the folder holds a run with other settings or data, a fold does not exist, an image is unreadable.
        OutputError: the folder cannot be written.
        BackendError: the device is not at hand.
    """
    import torch

    from osteon.train.engine import choose_device

    chosen = options or RunOptions()
    split.require_same(manifest)  # every fold would fail of it, in a folder that the right split could not use
    numbers = fold_numbers(split, chosen.folds)
    place = choose_device(settings)  # before an hour is spent on decoding
    _claim(folder, manifest, split, settings)
    pending = [fold for fold in numbers if read_fold(fold_folder(folder, fold), fold).state != "done"]
    if not pending:
        return read_run(folder)
    pretrained = _describe_weights(settings)  # weights that are not at hand are told before images are decoded
    cache = chosen.cache or folder / CACHE_NAME
    pixels = load_pixels(
        manifest,
        size=settings.image_size,
        cache=cache,
        is_stretched=settings.is_stretched,
        skip_unreadable=chosen.skip_unreadable,
        progress=progress,
    )
    about = {
        **describe_software(),
        "device": place,
        "threads": settings.threads or torch.get_num_threads(),
        "pretrained": pretrained,
        "started": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "folds": len(split.folds),
        "seeds": {"training": settings.seed, "split": split.seed},
        "split": {"scheme": split.scheme, "unit": split.unit, "warnings": list(split.warnings)},
        "skip_unreadable": chosen.skip_unreadable,
        "unreadable": [{"image": entry.image, "reason": entry.reason} for entry in pixels.unreadable],
    }
    _write_run(folder, about)
    for fold in pending:
        _train_one(manifest, split, fold, settings, folder, chosen=replace(chosen, cache=cache), progress=progress)
        _write_run(folder, about)
    run = read_run(folder)
    if run.is_complete and chosen.cache is None:
        del pixels
        shutil.rmtree(cache, ignore_errors=True)
    return run


def read_run(folder: Path) -> Run:
    """A run as it lies there, whether it is complete or not.

    Raises:
        InputError: the folder is no run, or a file of it is damaged.
    """
    kept = read_document(folder / SETTINGS_NAME)
    about = read_document(folder / RUN_NAME)
    try:
        settings, classes = TrainSettings.of(kept["settings"]), tuple(kept["classes"])
        count = int(about["folds"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder.name} is no run of this osteon: its {SETTINGS_NAME} lacks entries") from error
    folds = tuple(read_fold(fold_folder(folder, fold), fold) for fold in range(count))
    return Run(folder, settings, classes, folds, about)


def _train_one(
    manifest: Manifest,
    split: Split,
    fold: int,
    settings: TrainSettings,
    folder: Path,
    *,
    chosen: RunOptions,
    progress: Progress,
) -> None:
    """Train a fold; its own folder says when it failed."""
    place = fold_folder(folder, fold)
    drop = np.empty(0, dtype=np.int64)
    try:
        if chosen.drops is not None:
            drop = np.asarray(chosen.drops.get(fold, drop), dtype=np.int64)
        elif settings.curates and chosen.cache is not None:
            from osteon.curation.conflicts import conflict_drops
            from osteon.train.curated import dataset_vectors

            vectors = dataset_vectors(manifest, chosen.cache, progress=progress)
            drop = conflict_drops(manifest, split, fold, vectors, positive=settings.positive)
        options = FoldOptions(drop=drop, cache=chosen.cache, skip_unreadable=chosen.skip_unreadable)
        if chosen.on_epoch is not None:
            options = replace(options, on_epoch=chosen.on_epoch)
        fit_fold(manifest, split, fold, settings, place, options=options, progress=progress)
    except OutputError:
        raise  # the next fold would meet the same disk
    except OsteonError as error:
        _note_failure(place, fold, error)


def _note_failure(place: Path, fold: int, error: OsteonError) -> None:
    """Keep the error of a fold that failed before its own folder could say so."""
    from osteon.train.run_folder import write_state

    found = read_fold(place, fold)
    if found.state != "failed":
        make_folder(place)
        write_state(replace(found, state="failed", error=f"{type(error).__name__}: {error}"))


def _describe_weights(settings: TrainSettings) -> dict[str, str] | None:
    """Name, hash and licence of the weights that a training begins with; None for random ones."""
    if settings.weights_source is None:
        return None
    from osteon.weights.backbone import pretrained_weights

    found = pretrained_weights(settings.architecture, source=settings.weights_source)
    return {"name": found.name, "sha256": found.sha256, "licence": found.licence}


def _claim(folder: Path, manifest: Manifest, split: Split, settings: TrainSettings) -> None:
    """Write what the run is, or make sure that it is the same."""
    document = {
        "schema_version": 1,
        "settings": settings.document(),
        "classes": list(classes_of(manifest, settings.positive)),
        "manifest_sha256": manifest.sha256,
        "split_sha256": split_digest(manifest, split),
    }
    claim_folder(folder, document, free=NOT_DECISIVE)


def _write_run(folder: Path, about: Mapping[str, Any]) -> None:
    """Keep versions and states of all folds, whole after each fold."""
    states = {}
    for number in range(about["folds"]):
        fold = read_fold(fold_folder(folder, number), number)
        states[str(number)] = {
            "state": fold.state,
            "error": fold.error,
            "best_epoch": fold.best_epoch,
            "validation_auc": fold.validation_auc,
            "seconds": fold.seconds,
            "images": dict(fold.images),
        }
    write_document(folder / RUN_NAME, {**about, "fold_states": states})
