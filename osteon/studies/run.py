"""A study carried out: every fold of every planned run, in one process or on Ray, resumable, one failing alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osteon._compiled import available_threads
from osteon.curation.splits import make_split
from osteon.errors import InputError, OutputError, TrainingError
from osteon.inference.options import Progress, silent
from osteon.io.split_file import read_split, write_split
from osteon.io.table import read_manifest
from osteon.studies.ct_osteosarcoma import PlannedRun
from osteon.training.curated import dataset_vectors
from osteon.training.fold_job import NOT_DECISIVE
from osteon.training.launch import Job, launch
from osteon.training.run import RunOptions, train_run
from osteon.training.run_folder import fold_folder, make_folder, read_document, read_fold, split_digest, write_document
from osteon.training.settings import TrainSettings

if TYPE_CHECKING:
    from osteon.data import Manifest, Predictions, Split
    from osteon.training.launch import Cluster
    from osteon.training.run_folder import FoldResult

__all__ = ["FoldTask", "RunState", "Study", "StudyJobs", "open_study", "train_study", "train_study_fold"]

_PLAN_NAME = "study.json"
_SPLIT_NAME = "splits.json"
_CACHE_NAME = "cache"
_RUNS_NAME = "runs"
_FAILURES_NAME = "failures.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyJobs:
    """How the folds are trained.

    Attributes:
        cluster: None trains them here, one after the other.
        resume: go on with a study that is there.
        skip_unreadable: leave images out that cannot be read, and count them.
    """

    cluster: Cluster | None = None
    resume: bool = False
    skip_unreadable: bool = False


@dataclass(frozen=True, slots=True)
class FoldTask:
    """What a worker needs to know to train one fold.

    Attributes:
        dataset: folder of the manifest, seen from the worker.
        study: folder of the study, seen from the worker.
        run: name of the planned run.
        fold: its number, from 0.
        skip_unreadable: as of ``StudyJobs``.
    """

    dataset: str
    study: str
    run: str
    fold: int
    skip_unreadable: bool


@dataclass(frozen=True, slots=True)
class RunState:
    """One planned run and what its folds have come to.

    Attributes:
        plan: what was asked.
        folds: results, in order; a fold that never began is "absent".
    """

    plan: PlannedRun
    folds: tuple[FoldResult, ...] = field(repr=False)

    @property
    def predictions(self) -> Predictions | None:
        """Of all folds; None until every fold is done."""
        tables = [fold.predictions for fold in self.folds]
        done = [table for table in tables if table is not None]
        return type(done[0]).joined(done) if done and len(done) == len(tables) else None


@dataclass(frozen=True, slots=True)
class Study:
    """A study as its folder tells it.

    Attributes:
        folder: of its files.
        manifest: of the data set.
        split: folds of it.
        runs: in the order of the plan.
        errors: of the jobs that failed when the study was last worked on, one sentence each.
    """

    folder: Path
    manifest: Manifest = field(repr=False)
    split: Split = field(repr=False)
    runs: tuple[RunState, ...] = field(repr=False)
    errors: tuple[str, ...] = ()

    @property
    def predictions(self) -> dict[str, Predictions]:
        """Of the runs that have ended, by name."""
        found = {run.plan.name: run.predictions for run in self.runs}
        return {name: table for name, table in found.items() if table is not None}


def train_study(
    dataset: Path,
    folder: Path,
    runs: tuple[PlannedRun, ...],
    *,
    jobs: StudyJobs | None = None,
    progress: Progress = silent,
) -> Study:
    """Train what is not trained yet.

    Args:
        dataset: folder of the manifest; its splits.json decides the folds, or five nested ones are made.
        folder: of the study.
        runs: planned. When resuming they join those that are there; a run of the same name must have the same settings.
        jobs: where and how.
        progress: told about jobs and steps.

    Raises:
        InputError: the study belongs to other data or settings, or is there and is not to be resumed.
        OutputError: it cannot be written.
        BackendError: the cluster, device or weights are not at hand.
    """
    how = jobs or StudyJobs()
    manifest, split = _data(dataset, folder)
    split.require_same(manifest)
    planned = _keep_plan(folder, manifest, split, runs, resume=how.resume)
    if any(run.settings.curates for run in planned):
        dataset_vectors(manifest, folder / _CACHE_NAME, progress=progress)  # here once, not in every worker
    queue = [
        Job(f"{run.name}/fold-{fold}", (FoldTask(str(dataset), str(folder), run.name, fold, how.skip_unreadable),))
        for run in planned
        for fold in range(len(split.folds))
        if read_fold(fold_folder(folder / _RUNS_NAME / run.name, fold), fold).state != "done"
    ]
    outcomes = launch(queue, train_study_fold, cluster=how.cluster, progress=progress)
    write_document(folder / _FAILURES_NAME, {outcome.name: outcome.error for outcome in outcomes if outcome.error})
    return open_study(dataset, folder)


def train_study_fold(task: FoldTask, *, progress: Progress = silent) -> None:
    """The work of one job: a fold of a run, from the files of the study alone."""
    study = Path(task.study)
    manifest, split = read_manifest(task.dataset), read_split(study / _SPLIT_NAME)
    settings = _planned(study)[task.run].settings
    options = RunOptions(folds=(task.fold,), cache=study / _CACHE_NAME, skip_unreadable=task.skip_unreadable)
    run = train_run(manifest, split, settings, study / _RUNS_NAME / task.run, options=options, progress=progress)
    if run.folds[task.fold].state == "failed":
        raise TrainingError(run.folds[task.fold].error)


def open_study(dataset: Path, folder: Path) -> Study:
    """Read a study, whatever of it is done.

    Raises:
        InputError: a file of it is missing or damaged.
    """
    manifest, split = read_manifest(dataset), read_split(folder / _SPLIT_NAME)
    states = tuple(
        RunState(
            run,
            tuple(read_fold(fold_folder(folder / _RUNS_NAME / run.name, k), k) for k in range(len(split.folds))),
        )
        for run in _planned(folder).values()
    )
    failures = read_document(folder / _FAILURES_NAME) if (folder / _FAILURES_NAME).exists() else {}
    errors = tuple(f"{name}: {error}" for name, error in failures.items())
    return Study(folder, manifest, split, states, errors)


def _data(dataset: Path, folder: Path) -> tuple[Manifest, Split]:
    """Manifest and folds: the study's own split first, so that it stays the same; then that of the data set."""
    manifest = read_manifest(dataset)
    for place in (folder, manifest.folder):
        if (place / _SPLIT_NAME).exists():
            return manifest, read_split(place / _SPLIT_NAME)
    return manifest, make_split(manifest)


def _keep_plan(
    folder: Path, manifest: Manifest, split: Split, runs: tuple[PlannedRun, ...], *, resume: bool
) -> tuple[PlannedRun, ...]:
    """Write what is planned; with runs of an earlier call when resuming."""
    identity = split_digest(manifest, split)
    there = (folder / _PLAN_NAME).exists()
    if there and not resume:
        raise InputError(f"{folder.name} holds a study already: pass --resume to go on with it, or name another folder")
    if not there and folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder.name} is not empty and holds no study: name another folder")
    before = _planned(folder) if there else {}
    if there and read_document(folder / _PLAN_NAME)["data"] != identity:
        raise InputError(f"{folder.name} is a study of other images, labels or folds: name another folder")
    threads = available_threads()
    joined = dict(before)
    for run in runs:
        settings = run.settings if run.settings.threads else run.settings.changed({"threads": threads})
        wanted = PlannedRun(run.name, run.table, settings)
        if run.name in before and not _same(before[run.name].settings, run.settings):
            raise InputError(
                f"{folder.name} holds {run.name} with other settings: name another folder, or the settings it has"
            )
        joined.setdefault(run.name, wanted)
    make_folder(folder)
    write_split(split, folder / _SPLIT_NAME)
    document = {
        "schema_version": 1,
        "data": identity,
        "runs": [{"name": r.name, "table": r.table, "settings": r.settings.document()} for r in joined.values()],
    }
    write_document(folder / _PLAN_NAME, document)
    return tuple(joined[run.name] for run in runs)


def _same(one: TrainSettings, other: TrainSettings) -> bool:
    """Whether two settings lead to the same weights, up to rounding."""
    left, right = one.document(), other.document()
    return all(left[name] == right[name] for name in left if name not in NOT_DECISIVE)


def _planned(folder: Path) -> dict[str, PlannedRun]:
    document: dict[str, Any] = read_document(folder / _PLAN_NAME)
    try:
        entries = [PlannedRun(r["name"], r["table"], TrainSettings.of(r["settings"])) for r in document["runs"]]
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder.name}/{_PLAN_NAME} is of another version of osteon, or was changed") from error
    return {run.name: run for run in entries}
