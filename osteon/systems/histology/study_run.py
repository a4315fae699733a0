"""The histology study carried out: features once a row, then its folds, here or on Ray, resumable.

STUDY/study.json              rows with their settings, hash of the data
STUDY/cache/features-*.npz    features of a row's tiles and copies
STUDY/runs/ROW/patient-0.json what a fold came to; tile-K.json, literal-0.json
STUDY/failures.json           jobs that failed, one sentence each
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.data.options import Progress, silent
from osteon.errors import InputError, OutputError
from osteon.io.table import read_manifest
from osteon.systems.histology.study import HistologyRun
from osteon.train.launch import Job, launch
from osteon.train.run_folder import digest, make_folder, read_document, write_document
from osteon.train.tiles.features import tile_labels, tile_table
from osteon.train.tiles.protocol import judge_fold, judge_literally, outer_folds
from osteon.train.tiles.settings import TileSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from osteon.data import Manifest
    from osteon.systems.histology.study import Protocol
    from osteon.train.launch import Cluster, Outcome

__all__ = [
    "HistologyJob",
    "HistologyStudy",
    "kept_features",
    "open_histology",
    "run_histology",
    "run_histology_job",
]

_PLAN, _FAILURES, _CACHE, _RUNS = "study.json", "failures.json", "cache", "runs"


@dataclass(frozen=True, slots=True)
class HistologyJob:
    """What a worker needs to know.

    Attributes:
        dataset: folder of the manifest, seen from the worker.
        study: folder of the study, seen from the worker.
        run: name of the row.
        part: "features", or a protocol.
        fold: its number, from 0.
    """

    dataset: str
    study: str
    run: str
    part: str
    fold: int = 0


@dataclass(frozen=True, slots=True)
class HistologyStudy:
    """A study as its folder tells it.

    Attributes:
        folder: of its files.
        manifest: of the data set.
        labels: (n,) classes of its tiles.
        runs: rows, in the order of the plan.
        folds: by row and protocol, documents of the folds that are done, by number.
        planned: by protocol, how many folds there are.
        errors: of jobs that failed when the study was last worked on.
    """

    folder: Path
    manifest: Manifest = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    runs: tuple[HistologyRun, ...] = field(repr=False)
    folds: dict[tuple[str, str], dict[int, dict[str, Any]]] = field(repr=False)
    planned: dict[str, int] = field(repr=False)
    errors: tuple[str, ...] = ()

    def done(self, run: HistologyRun, protocol: Protocol) -> list[dict[str, Any]] | None:
        """The folds of a row by a protocol; None until all are done."""
        found = self.folds.get((run.name, protocol), {})
        return [found[number] for number in sorted(found)] if len(found) == self.planned[protocol] else None


def run_histology(
    dataset: Path,
    folder: Path,
    runs: tuple[HistologyRun, ...],
    *,
    cluster: Cluster | None = None,
    resume: bool = False,
    progress: Progress = silent,
) -> HistologyStudy:
    """Carry out what is not done yet.

    Args:
        dataset: folder of a manifest of tiles.
        folder: of the study.
        runs: rows; when resuming they join those that are there.
        cluster: None does all here.
        resume: go on with a study that is there.
        progress: told about jobs and steps.

    Raises:
        InputError: the study belongs to other data or settings, or is there and is not to be resumed.
        UnknownLabelError: a label that is no class of tiles.
        OutputError: it cannot be written.
        BackendError: the cluster is not at hand.
    """
    manifest = read_manifest(dataset)
    labels = tile_labels(manifest)
    _keep_plan(folder, manifest, runs, resume=resume)
    names = {run.name for run in runs}
    outcomes: list[Outcome] = []
    waiting = [run for run in runs if _pending(folder, manifest, labels, run)]
    features = [Job(f"{run.name}/features", (_job(dataset, folder, run, "features"),)) for run in waiting]
    outcomes += launch(features, run_histology_job, cluster=cluster, progress=progress)
    failed = {outcome.name.partition("/")[0] for outcome in outcomes if outcome.error}
    folds = [
        Job(f"{run.name}/{part}-{fold}", (_job(dataset, folder, run, part, fold),))
        for run in waiting
        if run.name in names - failed
        for part, fold in _pending(folder, manifest, labels, run)
    ]
    outcomes += launch(folds, run_histology_job, cluster=cluster, progress=progress)
    write_document(folder / _FAILURES, {outcome.name: outcome.error for outcome in outcomes if outcome.error})
    return open_histology(dataset, folder)


def run_histology_job(job: HistologyJob, *, progress: Progress = silent) -> None:
    """The work of one job, from the files of the study alone."""
    study = Path(job.study)
    manifest = read_manifest(job.dataset)
    run = next(run for run in _planned(study) if run.name == job.run)
    table = tile_table(manifest, run.settings, cache=study / _CACHE, progress=progress)
    if job.part == "features":
        return
    place = _fold_file(study, job.run, job.part, job.fold)
    make_folder(place.parent)
    if job.part == "literal":
        found = judge_literally(table, run.settings)
        document: dict[str, Any] = {
            "test": found.test.tolist(),
            "accuracy": np.round(found.accuracy, 6).tolist(),
            "best": list(found.best),
            "called": found.called.tolist(),
        }
    else:
        unit: Any = job.part
        test = _folds(table.labels, table.groups(unit), run.settings)[job.fold]
        outcome = judge_fold(table, test, run.settings, unit=unit, progress=progress)
        document = {
            "test": outcome.test.tolist(),
            "logits": np.round(outcome.logits.astype(float), 5).tolist(),
            "rate": outcome.choice.rate,
            "epochs": outcome.choice.epochs,
            "inner_accuracy": np.round(outcome.choice.accuracy, 6).tolist(),
            "note": outcome.choice.note,
        }
    write_document(place, document)


def open_histology(dataset: Path, folder: Path) -> HistologyStudy:
    """Read a study, whatever of it is done.

    Raises:
        InputError: a file of it is missing or damaged.
    """
    manifest = read_manifest(dataset)
    labels = tile_labels(manifest)
    runs = _planned(folder)
    planned = {"literal": 1} | {
        part: len(_folds(labels, _groups(manifest, part), runs[0].settings)) for part in ("patient", "tile")
    }
    folds: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    for run in runs:
        for part in run.protocols:
            files = {fold: _fold_file(folder, run.name, part, fold) for fold in range(planned[part])}
            folds[run.name, part] = {fold: read_document(file) for fold, file in files.items() if file.exists()}
    failures = read_document(folder / _FAILURES) if (folder / _FAILURES).exists() else {}
    errors = tuple(f"{name}: {error}" for name, error in failures.items())
    return HistologyStudy(folder, manifest, labels, runs, folds, planned, errors)


def kept_features(study: HistologyStudy) -> NDArray[np.float32] | None:
    """Features of the tiles as they are, of the first row whose features were computed; None where none were."""
    for run in study.runs:
        if any(study.folds[run.name, part] for part in run.protocols):
            return tile_table(study.manifest, run.settings, cache=study.folder / _CACHE).features
    return None


def _pending(folder: Path, manifest: Manifest, labels: NDArray[np.int64], run: HistologyRun) -> list[tuple[str, int]]:
    """Protocol and number of the folds that are not done."""
    found: list[tuple[str, int]] = []
    for part in run.protocols:
        count = 1 if part == "literal" else len(_folds(labels, _groups(manifest, part), run.settings))
        found += [(part, fold) for fold in range(count) if not _fold_file(folder, run.name, part, fold).exists()]
    return found


def _folds(
    labels: NDArray[np.int64], groups: NDArray[np.str_], settings: TileSettings
) -> tuple[NDArray[np.int64], ...]:
    return outer_folds(labels, groups, most=settings.outer_folds, seed=settings.seed)


def _groups(manifest: Manifest, unit: str) -> NDArray[np.str_]:
    return manifest.column("patient") if unit == "patient" else np.arange(len(manifest)).astype(str)


def _fold_file(study: Path, run: str, part: str, fold: int) -> Path:
    return study / _RUNS / run / f"{part}-{fold}.json"


def _job(dataset: Path, folder: Path, run: HistologyRun, part: str, fold: int = 0) -> HistologyJob:
    return HistologyJob(str(dataset), str(folder), run.name, part, fold)


def _keep_plan(folder: Path, manifest: Manifest, runs: tuple[HistologyRun, ...], *, resume: bool) -> None:
    """Write what is planned; with rows of an earlier call when resuming."""
    identity = digest([[row.image, row.patient, row.study, row.label] for row in manifest.rows])
    there = (folder / _PLAN).exists()
    if there and not resume:
        raise InputError(f"{folder.name} holds a study already: pass --resume to go on with it, or name another folder")
    if not there and folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder.name} is not empty and holds no study: name another folder")
    before = _planned(folder) if there else ()
    if there and read_document(folder / _PLAN)["data"] != identity:
        raise InputError(f"{folder.name} is a study of other tiles, labels or patients: name another folder")
    joined = {run.name: run for run in before}
    for run in runs:
        old = joined.get(run.name)
        if old is not None and old.settings != run.settings:
            raise InputError(f"{folder.name} has the row {run.name} with other settings: name another folder")
        kept = tuple(dict.fromkeys((*(old.protocols if old else ()), *run.protocols)))
        joined[run.name] = HistologyRun(run.settings, kept)
    folds = {(run.settings.outer_folds, run.settings.seed) for run in joined.values()}
    if len(folds) > 1:
        raise InputError(f"{folder.name} has rows of other folds or another seed: name another folder")
    make_folder(folder)
    rows = [run.document() for run in joined.values()]
    write_document(folder / _PLAN, {"schema_version": 1, "task": "histology", "data": identity, "runs": rows})


def _planned(folder: Path) -> tuple[HistologyRun, ...]:
    document = read_document(folder / _PLAN)
    try:
        entries: Iterable[dict[str, Any]] = document["runs"]
        return tuple(HistologyRun(TileSettings.of(one["settings"]), tuple(one["protocols"])) for one in entries)
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder.name}/{_PLAN} is of another version of osteon, or was changed") from error
