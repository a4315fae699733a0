"""A study carried out: every fold of every planned run, in one process or on Ray, resumable, one failing alone.

STUDY/study.json      what is planned, hash of the data
STUDY/splits.json     folds; holdout.json the one division, where a run asks for it
STUDY/cache/          decoded images, vectors, features
STUDY/runs/NAME/      a planned run
STUDY/failures.json   jobs that failed, one sentence each
STUDY/index.html      the page; tables beside it, pictures in figures/
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osteon._compiled import available_threads
from osteon.curation.splits import make_split
from osteon.data.options import Progress, silent
from osteon.errors import InputError, OutputError
from osteon.io.split_file import read_split, write_split
from osteon.io.table import read_manifest
from osteon.report.blocks import Table, table_markdown
from osteon.study.page import write_study
from osteon.study.plan import Study, StudyFolder, joined_plan, read_plan
from osteon.train.curated import dataset_vectors
from osteon.train.launch import Job, launch
from osteon.train.pixels import pictures_digest
from osteon.train.run_folder import (
    CACHE_NAME,
    digest,
    make_folder,
    other_pictures,
    read_document,
    split_digest,
    write_document,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from osteon.data import Manifest, Split
    from osteon.study.plan import Planned
    from osteon.study.protocol import Choices, Division, StudyProtocol
    from osteon.train.launch import Cluster, Outcome

__all__ = ["StudyJobs", "StudyOutcome", "open_study", "run_study", "train_study"]

_PLAN_NAME = "study.json"
_SPLITS = {"folds": "splits.json", "holdout": "holdout.json"}
_FAILURES_NAME = "failures.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyJobs:
    """Where the folds are trained (None: here, one after the other), and whether a study that is there goes on."""

    cluster: Cluster | None = None
    resume: bool = False
    skip_unreadable: bool = False


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """Tables of the study, its index.html, and the errors of folds that failed."""

    tables: tuple[Table, ...] = field(repr=False)
    page: Path
    errors: tuple[str, ...]

    def lines(self) -> tuple[str, ...]:
        """The tables as Markdown, line by line; a table without rows is left out."""
        return tuple(line for table in self.tables if table.rows for line in [*table_markdown(table).splitlines(), ""])

    def document(self) -> dict[str, Any]:
        """The numbers by table, for JSON; what is not defined is None."""
        tables = {
            table.name: {
                "notes": list(table.notes),
                "records": [
                    {name: None if value != value else value for name, value in record.items()}  # noqa: PLR0124  # NaN
                    for record in table.records
                ],
            }
            for table in self.tables
        }
        return {"tables": tables, "errors": list(self.errors)}


def run_study(
    protocol: StudyProtocol,
    dataset: Path,
    folder: Path,
    choices: Choices,
    *,
    jobs: StudyJobs | None = None,
    progress: Progress = silent,
) -> StudyOutcome:
    """Plan, train what is not trained, write the tables.

    Raises:
        UnknownLabelError: no such part, strategy, network or setting.
        UsageError: a choice that the study does not take.
        InputError: the data, or a folder that belongs to something else.
        OutputError: the study cannot be written.
        BackendError: device, cluster or weights are not at hand.
    """
    protocol.check(choices)
    how = replace(jobs or StudyJobs(), skip_unreadable=choices.skip_unreadable)
    planned, also = protocol.plan(choices, read_manifest(dataset)), tuple(map(read_manifest, choices.also))
    study = train_study(protocol, dataset, folder, planned, jobs=how, progress=progress)
    tables = write_study(protocol, replace(study, also=also))
    return StudyOutcome(tables, folder / "index.html", study.errors)


def train_study(
    protocol: StudyProtocol,
    dataset: Path,
    folder: Path,
    runs: tuple[Planned, ...],
    *,
    jobs: StudyJobs | None = None,
    progress: Progress = silent,
) -> Study:
    """Train what is not trained yet.

    The splits.json of the data set decides the folds, or they are made as the protocol says. When resuming, runs join
    those that are there; one of the same name must have the same settings.

    Raises:
        InputError: the study belongs to other data or settings, or is there and is not to be resumed.
        OutputError: it cannot be written.
        BackendError: the cluster, device or weights are not at hand.
    """
    how = jobs or StudyJobs()
    plan = _keep_plan(protocol, dataset, folder, runs, resume=how.resume)
    place = replace(_place(dataset, folder), skip_unreadable=how.skip_unreadable)
    wanted = {run.name for run in runs}
    planned = [run for run in plan if run.name in wanted]
    if any(getattr(run.settings, "curates", False) for run in planned):
        dataset_vectors(place.manifest, place.cache, progress=progress)  # here once, not in every worker
    queue = [(step.phase, step.name, run) for run in planned for step in run.steps(place)]
    outcomes: list[Outcome] = []
    for phase in sorted({phase for phase, _, _ in queue}):
        failed = {outcome.name.rpartition("/")[0] for outcome in outcomes if outcome.error}
        tasks = [
            Job(f"{run.name}/{step}", (str(dataset), str(folder), run, step, how))
            for own, step, run in queue
            if own == phase and run.name not in failed
        ]
        told = _counted(progress, len(outcomes), len(queue))
        outcomes += launch(tasks, _train_step, cluster=how.cluster, progress=told)
    write_document(folder / _FAILURES_NAME, {outcome.name: outcome.error for outcome in outcomes if outcome.error})
    return open_study(protocol, dataset, folder)


def _counted(progress: Progress, before: int, total: int) -> Progress:
    """Jobs of a phase told as jobs of the whole."""
    return lambda step, done, of: progress(step, *((before + done, total) if step == "jobs" else (done, of)))


def _train_step(
    dataset: str, study: str, run: Planned, step: str, how: StudyJobs, *, progress: Progress = silent
) -> None:
    """The work of one job, from the files of the study alone; the folders are named as a worker sees them."""
    run.train(step, replace(_place(Path(dataset), Path(study)), skip_unreadable=how.skip_unreadable), progress)


def open_study(protocol: StudyProtocol, dataset: Path, folder: Path) -> Study:
    """Read a study, whatever of it is done.

    Raises:
        InputError: a file of it is missing or damaged.
    """
    place = _place(dataset, folder)
    states = tuple(run.state(place) for run in _planned(protocol, folder))
    failures = read_document(folder / _FAILURES_NAME) if (folder / _FAILURES_NAME).exists() else {}
    return Study(place, states, tuple(f"{name}: {error}" for name, error in failures.items()))


def _place(dataset: Path, folder: Path) -> StudyFolder:
    splits = {name: read_split(folder / file) for name, file in _SPLITS.items() if (folder / file).exists()}
    return StudyFolder(manifest=read_manifest(dataset), splits=splits, folder=folder)


def _splits(manifest: Manifest, folder: Path, division: Division, planned: Iterable[Planned]) -> dict[str, Split]:
    """The study's own splits first, so that they stay the same; then that of the data set; else new ones."""
    places = [place for place in (folder, manifest.folder) if (place / _SPLITS["folds"]).exists()]
    if places:
        splits = {"folds": read_split(places[0] / _SPLITS["folds"])}
    else:
        divided = manifest
        if division.goes_round:
            divided = replace(manifest, rows=tuple(replace(row, split="") for row in manifest.rows))
        splits = {"folds": make_split(divided, folds=division.folds)}
    splits["folds"].require_same(manifest)
    if any(run.scheme == "holdout" for run in planned) and not (folder / _SPLITS["holdout"]).exists():
        # a share to evaluate on, and of the rest a fifth to choose by
        marked = any(row.split == "test" for row in manifest.rows)
        share = None if marked else division.test_share
        split = make_split(manifest, folds=5, seed=splits["folds"].seed, test=share)
        splits["holdout"] = replace(split, folds=split.folds[:1])
    return splits


def _keep_plan(
    protocol: StudyProtocol, dataset: Path, folder: Path, runs: Sequence[Planned], *, resume: bool
) -> tuple[Planned, ...]:
    """Write what is planned, with runs of an earlier call when resuming, and the splits that they need."""
    manifest, there = read_manifest(dataset), (folder / _PLAN_NAME).exists()
    if there and not resume:
        raise InputError(f"{folder.name} holds a study already: pass --resume to go on with it, or name another folder")
    if not there and folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder.name} is not empty and holds no study: name another folder")
    # splits are made before the folder is: they may be refused
    splits = {} if protocol.division is None else _splits(manifest, folder, protocol.division, runs)
    rows = [[row.image, row.patient, row.study, row.label] for row in manifest.rows]
    identity = split_digest(manifest, splits["folds"]) if splits else digest(rows)
    if there and read_document(folder / _PLAN_NAME).get("data") != identity:
        raise InputError(f"{folder.name} is a study of other images, labels or folds: name another folder")
    pictures = pictures_digest(manifest, [folder / CACHE_NAME], masks=True)
    if there and read_document(folder / _PLAN_NAME).get("pictures", pictures) != pictures:
        raise InputError(other_pictures(folder, "its runs would learn from different ones: name another folder"))
    before = _planned(protocol, folder) if there else ()
    plan = joined_plan(before, runs, threads=available_threads())
    make_folder(folder)
    for name, split in splits.items():
        write_split(split, folder / _SPLITS[name])
    document = {"task": protocol.stem, "data": identity, "pictures": pictures, "runs": [run.document() for run in plan]}
    write_document(folder / _PLAN_NAME, {"schema_version": 2, **document})
    return plan


def _planned(protocol: StudyProtocol, folder: Path) -> tuple[Planned, ...]:
    document = read_document(folder / _PLAN_NAME)
    try:
        return read_plan(document, protocol.kinds)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{folder.name}/{_PLAN_NAME} is of another study or another version of osteon, or was changed"
        ) from error
