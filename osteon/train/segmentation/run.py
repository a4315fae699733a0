"""All folds of one setting, one after the other; what is done stays done."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from osteon.data.options import Progress, silent
from osteon.errors import InputError, OsteonError, OutputError
from osteon.train.run_folder import (
    CACHE_NAME,
    RUN_NAME,
    SETTINGS_NAME,
    claim_folder,
    describe_software,
    fold_folder,
    fold_numbers,
    make_folder,
    read_document,
    split_digest,
    write_document,
)
from osteon.train.segmentation.counts import SegmentCounts
from osteon.train.segmentation.fold import FoldData, fit_segment_fold
from osteon.train.segmentation.fold_files import SegmentFold, read_segment_fold, write_segment_state
from osteon.train.segmentation.images import mask_areas
from osteon.train.segmentation.settings import NOT_DECISIVE, SEGMENT_TASK, SegmentSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from osteon.data import Manifest, Split
    from osteon.train.segmentation.history import SegmentEpoch
    from osteon.train.segmentation.mask_pixels import MaskPixels

__all__ = ["SegmentOptions", "SegmentRun", "is_segment_run", "read_pixels", "read_segment_run", "train_segmenters"]


@dataclass(frozen=True, slots=True)
class SegmentRun:
    """A run as its folder tells it.

    Attributes:
        folder: of the run.
        settings: of all its folds.
        folds: one entry for every fold of the split.
        document: run.json: versions, machine, split, unreadable images.
    """

    folder: Path
    settings: SegmentSettings
    folds: tuple[SegmentFold, ...]
    document: Mapping[str, Any] = field(repr=False)

    @property
    def done(self) -> tuple[SegmentFold, ...]:
        """The folds that are done."""
        return tuple(fold for fold in self.folds if fold.state == "done")

    @property
    def failed(self) -> tuple[SegmentFold, ...]:
        """The folds that failed, each with its ``error``."""
        return tuple(fold for fold in self.folds if fold.state == "failed")

    @property
    def is_complete(self) -> bool:
        """Whether every fold is done."""
        return len(self.done) == len(self.folds)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about the split that every table of this run must print."""
        return tuple(self.document["split"]["warnings"])

    def counts(self) -> SegmentCounts:
        """Of all folds that are done, validation and test parts.

        Raises:
            InputError: no fold is done.
        """
        tables = [fold.counts for fold in self.done if fold.counts is not None]
        if not tables:
            raise InputError(f"no fold of the run {self.folder.name} is done: train it first")
        return SegmentCounts.joined(tables).warned(self.warnings)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentOptions:
    """What a run may be told beside its settings.

    Attributes:
        folds: which of the split; None for all.
        cache: folder for decoded images, for runs of the same data set to share; None keeps them in the run's folder
            until it is complete.
        skip_unreadable: leave images out that cannot be read, name and count them; otherwise they are an error.
        bone_networks: folder where the bone networks of sequential pairs are shared between runs; None keeps each in
            the folder of its fold.
        pixels: of the manifest, where they were read already; None reads them.
        on_epoch: told (fold, record) after every epoch.
    """

    folds: Iterable[int] | None = None
    cache: Path | None = None
    skip_unreadable: bool = False
    bone_networks: Path | None = None
    pixels: MaskPixels | None = None
    on_epoch: Callable[[int, SegmentEpoch], None] | None = None


def train_segmenters(
    manifest: Manifest,
    split: Split,
    settings: SegmentSettings,
    folder: Path,
    *,
    options: SegmentOptions | None = None,
    progress: Progress = silent,
) -> SegmentRun:
    """Train the folds of a split. A fold that is done is skipped, one that was interrupted goes on.

    A fold that fails is noted, and the others go on: look at ``failed`` of what is returned.

    Args:
        manifest: of the data set, with masks.
        split: folds of it.
        settings: of all folds.
        folder: of the run; made when it is not there.
        options: which folds, where to keep decoded images and bone networks.
        progress: told about every step.

    Raises:
        InputError: the folder holds a run with other settings or data, a fold does not exist, an image is unreadable.
        OutputError: the folder cannot be written.
        BackendError: the device is not at hand.
    """
    import torch

    from osteon.train.engine import choose_device

    chosen = options or SegmentOptions()
    split.require_same(manifest)  # every fold would fail of it, in a folder that the right split could not use
    numbers = fold_numbers(split, chosen.folds)
    place = choose_device(settings)  # before an hour is spent on decoding
    document = {
        "schema_version": 1,
        "settings": settings.document(),
        "manifest_sha256": manifest.sha256,
        "split_sha256": split_digest(manifest, split),
    }
    claim_folder(folder, document, free=NOT_DECISIVE)
    pending = [fold for fold in numbers if read_segment_fold(fold_folder(folder, fold), fold).state != "done"]
    if not pending:
        return read_segment_run(folder)
    cache = chosen.cache or folder / CACHE_NAME
    pixels = chosen.pixels or read_pixels(
        manifest,
        settings,
        cache,
        skip_unreadable=chosen.skip_unreadable,
        progress=progress,
    )
    about = {
        **describe_software(),
        "device": place,
        "threads": settings.threads or torch.get_num_threads(),
        "started": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "folds": len(split.folds),
        "seeds": {"training": settings.seed, "split": split.seed},
        "split": {"scheme": split.scheme, "unit": split.unit, "warnings": list(split.warnings)},
        "skip_unreadable": chosen.skip_unreadable,
        "unreadable": [{"image": entry.image, "reason": entry.reason} for entry in pixels.unreadable],
    }
    _write_run(folder, about)
    data = FoldData(
        manifest=manifest,
        split=split,
        pixels=pixels,
        areas=mask_areas(pixels),
        cache=cache,
        bone_networks=chosen.bone_networks,
        progress=progress,
    )
    if chosen.on_epoch is not None:
        data = replace(data, on_epoch=chosen.on_epoch)
    for fold in pending:
        _train_one(data, fold, settings, fold_folder(folder, fold))
        _write_run(folder, about)
    run = read_segment_run(folder)
    if run.is_complete:
        del pixels, data
        shutil.rmtree(folder / CACHE_NAME, ignore_errors=True)
    return run


def read_segment_run(folder: Path) -> SegmentRun:
    """A run as it lies there, whether it is complete or not.

    Raises:
        InputError: the folder is no run of a segmenter, or a file of it is damaged.
    """
    kept = read_document(folder / SETTINGS_NAME)
    about = read_document(folder / RUN_NAME)
    try:
        settings = SegmentSettings.of(kept["settings"])
        count = int(about["folds"])
    except (KeyError, TypeError, ValueError, OsteonError) as error:
        raise InputError(
            f"{folder.name} is no run of a segmenter of this osteon: its {SETTINGS_NAME} holds other entries"
        ) from error
    folds = tuple(read_segment_fold(fold_folder(folder, fold), fold) for fold in range(count))
    return SegmentRun(folder, settings, folds, about)


def is_segment_run(folder: Path) -> bool:
    """Whether a folder holds a run of segmenters; False for any other folder."""
    try:
        return bool(read_document(folder / SETTINGS_NAME)["settings"]["task"] == SEGMENT_TASK)
    except (InputError, KeyError, TypeError):
        return False


def _train_one(data: FoldData, fold: int, settings: SegmentSettings, place: Path) -> None:
    """Train a fold; its own folder says when it failed."""
    try:
        fit_segment_fold(data, fold, settings, place)
    except OutputError:
        raise  # the next fold would meet the same disk
    except OsteonError as error:
        found = read_segment_fold(place, fold)
        if found.state != "failed":
            make_folder(place)
            write_segment_state(replace(found, state="failed", error=f"{type(error).__name__}: {error}"))


def read_pixels(
    manifest: Manifest,
    settings: SegmentSettings,
    cache: Path | None,
    *,
    skip_unreadable: bool = False,
    progress: Progress = silent,
) -> MaskPixels:
    """Images and masks as networks of these settings take them.

    Args:
        manifest: of the data set.
        settings: size, and whether bone masks are needed.
        cache: folder for decoded images; None keeps them in memory.
        skip_unreadable: leave images out that cannot be read.
        progress: told about every block of images.

    Raises:
        InputError: an image or mask cannot be used and is not to be skipped.
        OutputError: the cache cannot be written.
    """
    from osteon.train.segmentation.mask_pixels import load_mask_pixels

    return load_mask_pixels(
        manifest,
        size=settings.image_size,
        cache=cache,
        need_bone="bone" in settings.outputs,
        skip_unreadable=skip_unreadable,
        progress=progress,
    )


def _write_run(folder: Path, about: Mapping[str, Any]) -> None:
    """Keep versions and states of all folds, whole after each fold."""
    states = {}
    for number in range(about["folds"]):
        fold = read_segment_fold(fold_folder(folder, number), number)
        names = ("state", "error", "best_epoch", "validation_f1", "seconds", "images")
        states[str(number)] = {name: getattr(fold, name) for name in names}
    write_document(folder / RUN_NAME, {**about, "fold_states": states})
