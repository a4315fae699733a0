"""A study carried out: every fold of every planned run, in one process or on Ray, resumable, one failing alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osteon._compiled import available_threads
from osteon.curation.splits import make_split
from osteon.data.options import Progress, silent
from osteon.errors import InputError, OutputError, TrainingError
from osteon.io.split_file import read_split, write_split
from osteon.io.table import read_manifest
from osteon.study.plan import Plan, Planned, PlannedRun, PlannedSegmenter
from osteon.study.segment_jobs import SegmentPlace, read_segmenters, train_segmenter_fold
from osteon.train.curated import dataset_vectors
from osteon.train.launch import Job, launch
from osteon.train.run import RunOptions, train_run
from osteon.train.run_folder import fold_folder, make_folder, read_document, read_fold, split_digest, write_document

if TYPE_CHECKING:
    from osteon.data import Manifest, Predictions, Split
    from osteon.study.segment_jobs import SegmentState
    from osteon.train.launch import Cluster, Outcome
    from osteon.train.run_folder import FoldResult

__all__ = ["Division", "FoldTask", "RunState", "Study", "StudyJobs", "open_study", "train_study", "train_study_fold"]

_PLAN_NAME = "study.json"
_SPLIT_NAME = "splits.json"
_HOLDOUT_NAME = "holdout.json"
_CACHE_NAME = "cache"
_RUNS_NAME = "runs"
_FAILURES_NAME = "failures.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """How a study divides a data set for which nobody has made splits.json.

    Attributes:
        folds: of the cross-validation.
        test_share: of the patients, for the runs of one division, where the manifest marks no test part.
        goes_round: the test part goes round although the manifest marks one, which is then of the one division alone.
    """

    folds: int = 5
    test_share: float = 0.2
    goes_round: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyJobs:
    """How the folds are made and trained.

    Attributes:
        division: of a data set without splits.json.
        cluster: None trains them here, one after the other.
        resume: go on with a study that is there.
        skip_unreadable: leave images out that cannot be read, and count them.
    """

    division: Division = field(default_factory=Division)
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
    """One planned run of classifiers and what its folds have come to.

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
        runs: of classifiers, in the order of the plan.
        errors: of the jobs that failed when the study was last worked on, one sentence each.
        segmenters: their runs, in the order of the plan.
        holdout: one division by patient, for the runs that ask for it; None where none does.
    """

    folder: Path
    manifest: Manifest = field(repr=False)
    split: Split = field(repr=False)
    runs: tuple[RunState, ...] = field(repr=False)
    errors: tuple[str, ...] = ()
    segmenters: tuple[SegmentState, ...] = field(default=(), repr=False)
    holdout: Split | None = field(default=None, repr=False)

    @property
    def predictions(self) -> dict[str, Predictions]:
        """Of the runs that have ended, by name."""
        found = {run.plan.name: run.predictions for run in self.runs}
        return {name: table for name, table in found.items() if table is not None}


def train_study(
    dataset: Path,
    folder: Path,
    runs: tuple[Planned, ...],
    *,
    jobs: StudyJobs | None = None,
    progress: Progress = silent,
) -> Study:
    """Train what is not trained yet.

    Args:
        dataset: folder of the manifest; its splits.json decides the folds, or they are made as ``jobs`` says.
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
    manifest, split = _data(dataset, folder, how.division)
    split.require_same(manifest)
    plan = _keep_plan(folder, manifest, split, runs, how)
    planned = [plan.named(run.name) for run in runs]
    if any(run.settings.curates for run in planned if isinstance(run, PlannedRun)):
        dataset_vectors(manifest, folder / _CACHE_NAME, progress=progress)  # here once, not in every worker
    outcomes: list[Outcome] = []
    phases = sorted({run.phase for run in planned})
    queues = [_queue(folder, [run for run in planned if run.phase == phase], split, dataset, how) for phase in phases]
    total = sum(map(len, queues))
    for queue in queues:
        outcomes += launch(queue, train_study_fold, cluster=how.cluster, progress=_counted(progress, outcomes, total))
    write_document(folder / _FAILURES_NAME, {outcome.name: outcome.error for outcome in outcomes if outcome.error})
    return open_study(dataset, folder)


def _queue(folder: Path, runs: list[Planned], split: Split, dataset: Path, how: StudyJobs) -> list[Job]:
    """The jobs of a phase that are not done."""
    jobs = []
    for run in runs:
        place = folder / _RUNS_NAME / run.name
        if isinstance(run, PlannedSegmenter):
            folds = read_segmenters(run, place, len(split.folds)).pending
        else:
            numbers = range(len(split.folds) if run.scheme == "folds" else 1)
            folds = [fold for fold in numbers if read_fold(fold_folder(place, fold), fold).state != "done"]
        jobs += [
            Job(f"{run.name}/fold-{fold}", (FoldTask(str(dataset), str(folder), run.name, fold, how.skip_unreadable),))
            for fold in folds
        ]
    return jobs


def _counted(progress: Progress, before: list[Outcome], total: int) -> Progress:
    """Jobs of a phase told as jobs of the whole."""
    done_before = len(before)

    def told(step: str, done: int, of: int) -> None:
        progress(step, *((done_before + done, total) if step == "jobs" else (done, of)))

    return told


def train_study_fold(task: FoldTask, *, progress: Progress = silent) -> None:
    """The work of one job: a fold of a run, from the files of the study alone."""
    study = Path(task.study)
    manifest = read_manifest(task.dataset)
    planned = _planned(study).named(task.run)
    folder = study / _RUNS_NAME / task.run
    if isinstance(planned, PlannedSegmenter):
        place = SegmentPlace(
            manifest=manifest,
            split=read_split(study / _SPLIT_NAME),
            runs=study / _RUNS_NAME,
            cache=study / _CACHE_NAME,
            skip_unreadable=task.skip_unreadable,
        )
        train_segmenter_fold(planned, task.fold, place, progress=progress)
        return
    split = read_split(study / (_SPLIT_NAME if planned.scheme == "folds" else _HOLDOUT_NAME))
    options = RunOptions(folds=(task.fold,), cache=study / _CACHE_NAME, skip_unreadable=task.skip_unreadable)
    run = train_run(manifest, split, planned.settings, folder, options=options, progress=progress)
    if run.folds[task.fold].state == "failed":
        raise TrainingError(run.folds[task.fold].error)


def open_study(dataset: Path, folder: Path) -> Study:
    """Read a study, whatever of it is done.

    Raises:
        InputError: a file of it is missing or damaged.
    """
    manifest, split = read_manifest(dataset), read_split(folder / _SPLIT_NAME)
    plan = _planned(folder)
    holdout = read_split(folder / _HOLDOUT_NAME) if (folder / _HOLDOUT_NAME).exists() else None
    states = []
    for run in plan.classifiers:
        place = folder / _RUNS_NAME / run.name
        numbers = range(len(split.folds) if run.scheme == "folds" else 1)
        states.append(RunState(run, tuple(read_fold(fold_folder(place, k), k) for k in numbers)))
    segmenters = tuple(
        read_segmenters(run, folder / _RUNS_NAME / run.name, len(split.folds)) for run in plan.segmenters
    )
    failures = read_document(folder / _FAILURES_NAME) if (folder / _FAILURES_NAME).exists() else {}
    errors = tuple(f"{name}: {error}" for name, error in failures.items())
    return Study(folder, manifest, split, tuple(states), errors, segmenters, holdout)


def _data(dataset: Path, folder: Path, division: Division) -> tuple[Manifest, Split]:
    """Manifest and folds: the study's own split first, so that it stays the same; then that of the data set."""
    manifest = read_manifest(dataset)
    for place in (folder, manifest.folder):
        if (place / _SPLIT_NAME).exists():
            return manifest, read_split(place / _SPLIT_NAME)
    divided = manifest
    if division.goes_round:
        divided = replace(manifest, rows=tuple(replace(row, split="") for row in manifest.rows))
    return manifest, make_split(divided, folds=division.folds)


def _holdout(manifest: Manifest, seed: int, share: float) -> Split:
    """One division by patient: a share to judge by, and of the rest a fifth to choose by."""
    marked = any(row.split == "test" for row in manifest.rows)
    split = make_split(manifest, folds=5, seed=seed, test=None if marked else share)
    return replace(split, folds=split.folds[:1])


def _keep_plan(folder: Path, manifest: Manifest, split: Split, runs: tuple[Planned, ...], how: StudyJobs) -> Plan:
    """Write what is planned; with runs of an earlier call when resuming."""
    identity = split_digest(manifest, split)
    there = (folder / _PLAN_NAME).exists()
    if there and not how.resume:
        raise InputError(f"{folder.name} holds a study already: pass --resume to go on with it, or name another folder")
    if not there and folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder.name} is not empty and holds no study: name another folder")
    before = _planned(folder) if there else Plan(())
    if there and read_document(folder / _PLAN_NAME)["data"] != identity:
        raise InputError(f"{folder.name} is a study of other images, labels or folds: name another folder")
    plan = before.joined(runs, where=folder.name, threads=available_threads())
    held_out = any(run.scheme == "holdout" for run in plan.classifiers)
    share = how.division.test_share
    holdout = (
        _holdout(manifest, split.seed, share) if held_out else None
    )  # before the folder is there: it may be refused
    make_folder(folder)
    write_split(split, folder / _SPLIT_NAME)
    if holdout is not None and not (folder / _HOLDOUT_NAME).exists():
        write_split(holdout, folder / _HOLDOUT_NAME)
    write_document(folder / _PLAN_NAME, {"schema_version": 1, "data": identity, **plan.document()})
    return plan


def _planned(folder: Path) -> Plan:
    document: dict[str, Any] = read_document(folder / _PLAN_NAME)
    try:
        return Plan.of(document)
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder.name}/{_PLAN_NAME} is of another version of osteon, or was changed") from error
