"""All folds of one setting, one after the other; what is done stays done."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from osteon.data import Predictions
from osteon.data.options import Progress, silent
from osteon.errors import InputError, OsteonError, OutputError
from osteon.io.split_file import SPLIT_NAME, read_split
from osteon.io.table import read_manifest
from osteon.train.counts import SegmentCounts
from osteon.train.fold import fit_fold
from osteon.train.objective import FoldData, untold
from osteon.train.objectives import OBJECTIVES, settings_of
from osteon.train.pixels import pictures_digest
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
    other_pictures,
    read_document,
    read_fold,
    split_digest,
    write_document,
    write_state,
)
from osteon.train.settings import NOT_DECISIVE, SegmentSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from osteon.data import Manifest, Split
    from osteon.train.objective import Objective
    from osteon.train.run_folder import OnEpoch
    from osteon.train.settings import Settings

__all__ = [
    "Run",
    "RunData",
    "RunOptions",
    "is_synthetic",
    "open_run",
    "read_run",
    "synthetic_share",
    "synthetic_text",
    "train_run",
]

_SYNTHETIC = frozenset({"yes", "true", "1"})


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its folder tells it.

    Attributes:
        folder: of the run.
        settings: of all its folds.
        classes: names of the classes, or of the maps, in the order of the network's output.
        folds: one entry for every fold of the split.
        document: run.json: versions, machine, split, unreadable images.
    """

    folder: Path
    settings: Any
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

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about the split and the settings that every table of this run must print."""
        return (*self.document["split"]["warnings"], *self.settings.warnings)

    def predictions(self) -> Predictions:
        """Of all folds of classifiers that are done, validation and test parts.

        Raises:
            InputError: no fold is done.
        """
        self._require_done()
        return Predictions.joined([fold.predictions for fold in self.done if fold.predictions is not None])

    def counts(self) -> SegmentCounts:
        """Of all folds of segmenters that are done, validation and test parts.

        Raises:
            InputError: no fold is done.
        """
        self._require_done()
        tables = [fold.counts for fold in self.done if fold.counts is not None]
        return SegmentCounts.joined(tables).warned(self.warnings)

    def members(self, wanted: Iterable[int] | None = None) -> tuple[FoldResult, ...]:
        """The folds whose networks become a model; None takes all that are done.

        Raises:
            InputError: no fold is done, or one that was asked for is not.
        """
        self._require_done()
        if wanted is None:
            return self.done
        numbers = sorted(set(wanted))
        for number in numbers:
            if not 0 <= number < len(self.folds):
                raise InputError(
                    f"fold {number} was asked for; {self.folder.name} has folds 0 to {len(self.folds) - 1}"
                )
            if self.folds[number].state != "done":
                state = self.folds[number].state
                raise InputError(f"fold {number} of {self.folder.name} is {state}, not done: train it first")
        if not numbers:
            raise InputError("no fold was asked for: a model needs at least one")
        return tuple(self.folds[number] for number in numbers)

    def _require_done(self) -> None:
        if not self.done:
            raise InputError(f"no fold of the run {self.folder.name} is done: train it first")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a run may be told beside its settings.

    Attributes:
        folds: which of the split; None for all.
        drops: rows of the manifest that curation leaves out of the training part, by fold. None finds them where the
            settings ask for curation.
        cache: folder for decoded images and vectors, for runs of the same data set to share; None keeps them in the
            run's folder until it is complete.
        shared: folder where networks that other networks begin with are shared between runs, as the bone networks of
            pairs; None keeps each in the folder of its fold.
        skip_unreadable: leave images out that cannot be read, name and count them; otherwise they are an error.
        pixels: of the manifest, where they were read already; None reads them.
        on_epoch: told (fold, record) after every epoch.
    """

    folds: Iterable[int] | None = None
    drops: Mapping[int, NDArray[np.int64]] | None = None
    cache: Path | None = None
    shared: Path | None = None
    skip_unreadable: bool = False
    pixels: Any = None
    on_epoch: OnEpoch = untold


def train_run(
    manifest: Manifest,
    split: Split,
    settings: Settings,
    folder: Path,
    *,
    options: RunOptions | None = None,
    objective: Objective | None = None,
    progress: Progress = silent,
) -> Run:
    """Train the folds of a split. A fold that is done is skipped, one that was interrupted goes on.

    A fold that fails is noted, and the others go on: look at ``failed`` of what is returned.

    Raises:
        InputError: the folder holds a run with other settings or data, a fold does not exist, an image is unreadable.
        OutputError: the folder cannot be written.
        BackendError: the device is not at hand.
    """
    import torch

    chosen, aim = options or RunOptions(), objective or OBJECTIVES[settings.objective]
    split.require_same(manifest)  # every fold would fail of it, in a folder that the right split could not use
    numbers = fold_numbers(split, chosen.folds)
    about = aim.describe(settings)  # before an hour is spent on decoding
    document = {
        "schema_version": 2,
        "settings": settings.document(),
        "classes": list(aim.outputs(manifest, settings)),
        "manifest_sha256": manifest.sha256,
        "split_sha256": split_digest(manifest, split),
        "pictures_sha256": _pictures(manifest, settings, [chosen.cache or folder], progress),
    }
    claim_folder(folder, document, free=NOT_DECISIVE)
    pending = [fold for fold in numbers if read_fold(fold_folder(folder, fold), fold).state != "done"]
    if not pending:
        return read_run(folder, objective=aim)
    cache = chosen.cache or folder / CACHE_NAME
    pixels = chosen.pixels or aim.load(
        manifest, settings, cache, skip_unreadable=chosen.skip_unreadable, progress=progress
    )
    about = {
        **describe_software(),
        **about,
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
        cache=cache,
        shared=chosen.shared,
        drops=chosen.drops,
        on_epoch=chosen.on_epoch,
        progress=progress,
    )
    for fold in pending:
        _train_one(aim, data, fold, settings, fold_folder(folder, fold))
        _write_run(folder, about)
    run = read_run(folder, objective=aim)
    if run.is_complete:
        del pixels, data
        shutil.rmtree(folder / CACHE_NAME, ignore_errors=True)
    return run


def _pictures(manifest: Manifest, settings: Settings, kept: list[Path], progress: Progress = silent) -> str:
    """Hash of the pictures that a run of these settings learns from, with masks where it draws maps."""
    return pictures_digest(manifest, kept, masks=settings.objective == SegmentSettings.objective, progress=progress)


def read_run(folder: Path, *, objective: Objective | None = None) -> Run:
    """A run as it is there, whether it is complete or not; without an objective, of one of ``OBJECTIVES``.

    Raises:
        InputError: the folder is not a run, or a file of it is damaged or of another version.
    """
    kept = read_document(folder / SETTINGS_NAME)
    about = read_document(folder / RUN_NAME)
    try:
        settings = settings_of(kept["settings"]) if objective is None else objective.settings.of(kept["settings"])
        classes = tuple(kept["classes"])
        count = int(about["folds"])
    except (KeyError, TypeError, ValueError, AttributeError, OsteonError) as error:
        raise InputError(
            f"{folder.name} is not a valid run of this version of osteon ({SETTINGS_NAME}: {error}): train it again"
        ) from error
    folds = tuple(read_fold(fold_folder(folder, fold), fold) for fold in range(count))
    return Run(folder, settings, classes, folds, about)


def _train_one(objective: Objective, data: FoldData, fold: int, settings: Settings, place: Path) -> None:
    """Train a fold; its own folder says when it failed, also where it failed before that folder was there."""
    try:
        fit_fold(objective, data, fold, settings, place)
    except OutputError:
        raise  # the next fold would meet the same disk
    except OsteonError as error:
        found = read_fold(place, fold)
        if found.state != "failed":
            make_folder(place)
            write_state(replace(found, state="failed", error=f"{type(error).__name__}: {error}"))


def _write_run(folder: Path, about: Mapping[str, Any]) -> None:
    """Keep versions and states of all folds, whole after each fold."""
    states = {}
    for number in range(about["folds"]):
        fold = read_fold(fold_folder(folder, number), number)
        names = ("state", "error", "best_epoch", "monitored", "seconds", "images")
        states[str(number)] = {name: getattr(fold, name) for name in names}
    write_document(folder / RUN_NAME, {**about, "fold_states": states})


@dataclass(frozen=True, slots=True)
class RunData:
    """A run as its folder tells it, its images and its split; the hash is of who is in which part with which labels."""

    run: Run
    manifest: Manifest = field(repr=False)
    split: Split = field(repr=False)
    split_sha256: str


def open_run(folder: Path, dataset: Path, *, split: Path | None = None) -> RunData:
    """Read a run and its data set, and refuse what does not belong together.

    Without a file of the split it is looked for beside the manifest, in the run, and in the study that the run is of.

    Raises:
        InputError: a file is missing or damaged, or manifest, split and pictures are not those of the run.
    """
    run, document = read_run(folder), read_document(folder / SETTINGS_NAME)
    expected, pictures = str(document.get("split_sha256")), document.get("pictures_sha256")
    manifest = read_manifest(dataset)
    study = folder.absolute().parent.parent
    if split is not None:
        places = [split]
    else:
        places = [place / SPLIT_NAME for place in (manifest.folder, folder, study)]
        places = [place for place in places if place.exists()]
    if not places:
        raise InputError(
            f"no {SPLIT_NAME} beside the manifest of {manifest.folder.name} nor in the run: name the split that "
            f"{folder.name} was trained with (--split)"
        )
    for place in places:
        found = read_split(place)
        if split_digest(manifest, found) == expected:
            if pictures not in (None, _pictures(manifest, run.settings, [folder, study / CACHE_NAME])):
                raise InputError(other_pictures(folder, "its numbers are not of these: train again"))
            return RunData(run, manifest, found, expected)
    raise InputError(
        f"{folder.name} was trained with other patients, labels or folds than {manifest.folder.name} holds now (the "
        "hashes of manifest and split differ): give the data set as it was, or train again"
    )


def is_synthetic(manifest: Manifest) -> bool:
    """Whether the manifest says so of every image."""
    return synthetic_share(manifest) == 1.0


def synthetic_share(manifest: Manifest) -> float:
    """Which share of the images the manifest's column ``synthetic`` marks, 0 to 1."""
    flags = [row.extra.get("synthetic", "").strip().lower() in _SYNTHETIC for row in manifest.rows]
    return sum(flags) / len(flags)


def synthetic_text(manifest: Manifest) -> tuple[str, ...]:
    """The sentence that no page of numbers from synthetic images may lack; none where no image is synthetic."""
    share = synthetic_share(manifest)
    return (f"{share:.0%} of the images are SYNTHETIC: these numbers say nothing about patients.",) if share else ()
