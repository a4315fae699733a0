"""What a study plans: trainings, written down so that --resume finds them again; and what they have come to."""

from __future__ import annotations

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from osteon.curation.splits import make_split
from osteon.data import Fold, Predictions, Split
from osteon.data.options import Progress, silent
from osteon.errors import InputError, TrainingError
from osteon.train.counts import SegmentCounts
from osteon.train.objectives import settings_of
from osteon.train.objectives.segment import SEGMENT, Evaluator, kept_network
from osteon.train.run import Run, RunOptions, is_synthetic, read_run, train_run
from osteon.train.run_folder import (
    RUN_NAME,
    SETTINGS_NAME,
    FoldResult,
    digest,
    fold_folder,
    fold_numbers,
    make_folder,
    read_counts,
    read_document,
    read_fold,
    split_digest,
    write_document,
    write_text,
)
from osteon.train.settings import NOT_DECISIVE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Manifest
    from osteon.train.pixels import Pixels
    from osteon.train.settings import SegmentSettings

__all__ = [
    "MEMBERS",
    "Planned",
    "PlannedRun",
    "RunState",
    "Step",
    "Study",
    "StudyFolder",
    "evaluate_ensemble",
    "fold_of",
    "fold_weights",
    "inner_split",
    "joined_plan",
    "labelled",
    "member_run",
    "outer_folder",
    "read_plan",
    "train_nested",
]

MEMBERS = 5
"""Networks of the paper's ensemble."""

_LITERAL = (
    "The ensemble is scored in the literal reading: of the {members} networks averaged for a fold, up to {leaks} had "
    "learnt from its test images or chosen their epoch by them. These numbers are too good; the nested reading is the "
    "honest one."
)
_FEWEST = 3
_SEED_STEP = 1000


@dataclass(frozen=True, slots=True)
class Step:
    """A job of a run that is not done.

    Attributes:
        name: as "fold-0"; jobs of a name are begun once.
        phase: steps of a phase begin when those of the phases before have ended, and only where those of the same run
            did not fail.
    """

    name: str
    phase: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFolder:
    """Where a job finds what it needs.

    Attributes:
        manifest: of the data set.
        splits: by scheme: "folds", the cross-validation, and "holdout", one division, where a run asks for it; none
            where the runs divide the data themselves.
        folder: of the study.
        skip_unreadable: leave unreadable images out.
    """

    manifest: Manifest = field(repr=False)
    splits: Mapping[str, Split] = field(repr=False)
    folder: Path
    skip_unreadable: bool = False

    @property
    def cache(self) -> Path:
        """Folder of decoded images, vectors and features."""
        return self.folder / "cache"

    @property
    def runs(self) -> Path:
        """Folder of the runs' folders."""
        return self.folder / "runs"


@dataclass(frozen=True, slots=True)
class RunState:
    """One planned run and what its folds have come to.

    Attributes:
        plan: what was asked.
        folds: results, in order, each with its ``state``: "done", "failed", "running" or "absent", its ``images`` by
            part, its ``history`` and ``best_epoch``.
        outcome: of all folds, once all are done: predictions, or pixels of the lesion map of all test parts; else None.
    """

    plan: Planned
    folds: tuple[Any, ...] = field(repr=False)
    outcome: Predictions | SegmentCounts | None = field(default=None, repr=False)

    @property
    def pending(self) -> list[int]:
        """Numbers of the folds that are not done."""
        return [number for number, fold in enumerate(self.folds) if fold.state != "done"]

    @property
    def word(self) -> str:
        """How far a run is that has no result, for a table."""
        return "failed" if any(fold.state == "failed" for fold in self.folds) else "not trained yet"


@dataclass(frozen=True, slots=True)
class Planned(ABC):
    """One training in all its folds.

    Attributes:
        name: of its folder, as "CAE-ft".
        table: in which it stands first, as "table1".
        settings: of all its folds: those of an objective, or of a kind of training that a system brings.
        scheme: in which of the study's splits: "folds", the cross-validation, or "holdout", one division by patient.
    """

    trains: ClassVar[str]
    """Name of the class in study.json."""

    name: str
    table: str
    settings: Any
    scheme: str = "folds"

    @property
    def division(self) -> object:
        """How it divides the data where the study does not: the same for all runs of a study."""
        return None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """What ``document`` gave.

        Raises:
            KeyError: an entry is missing.
            TypeError: an entry is of another kind.
        """
        return cls(**{**document, "settings": cls.read_settings(document["settings"])})

    @classmethod
    @abstractmethod
    def read_settings(cls, document: Mapping[str, Any]) -> Any:  # noqa: ANN401  # as the attribute
        """Settings as study.json holds them."""

    @abstractmethod
    def steps(self, place: StudyFolder) -> list[Step]:
        """Jobs that are not done."""

    @abstractmethod
    def train(self, step: str, place: StudyFolder, progress: Progress) -> None:
        """Do one job, or go on with it.

        Raises:
            TrainingError: it failed.
            InputError: something that it needs is not there.
        """

    @abstractmethod
    def state(self, place: StudyFolder) -> RunState:
        """What is there, whether it is complete or not.

        Raises:
            InputError: a file of it is damaged.
        """

    def with_threads(self, threads: int) -> Self:
        """The same with this many threads of torch where none were asked for."""
        return self if self.settings.threads else replace(self, settings=replace(self.settings, threads=threads))

    def joined(self, later: Planned) -> Planned:
        """What is left of this and of what a later call asks for under the same name.

        Raises:
            InputError: the later one leads to other weights.
        """
        if self._decisive() != later._decisive():
            raise InputError(f"{self.name} is there with other settings: name another folder, or the settings it has")
        return self

    def document(self) -> dict[str, Any]:
        """As study.json holds it."""
        own = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)}
        return {"trains": self.trains, **own, "settings": self.settings.document()}

    def _decisive(self) -> dict[str, Any]:
        """All but what changes speed, and rounding at most."""
        document = self.document()
        settings = {name: value for name, value in document["settings"].items() if name not in NOT_DECISIVE}
        return {**document, "settings": settings}


@dataclass(frozen=True, slots=True)
class PlannedRun(Planned):
    """One training of networks; of an ensemble what its networks say together.

    RUNS/unet/fold-K/                   one network a fold, or a pair (``osteon.train.run``)
    RUNS/ensemble_nested/outer-K/       the members of fold K, a run of their own
    RUNS/ensemble_nested/fold-K.csv     what they predict together on its test part; also of the literal ensemble

    Attributes:
        label: only images with this label are trained on and evaluated; "" for all.
        kind: "single": one training a fold. "pair": a first network that all pairs share, then a second. "nested": in
            each fold an ensemble of members trained inside its training part. "literal": the single networks of all
            folds together on each test part, which all but one of them were trained on.
        phase: of its jobs: pairs share a network, and the literal ensemble is made of another run.
        source: the run a literal ensemble is made of; "" otherwise.
        members: networks of a nested ensemble; 1 otherwise.
    """

    trains: ClassVar[str] = "networks"

    label: str = ""
    kind: Literal["single", "pair", "nested", "literal"] = "single"
    phase: int = 0
    source: str = ""
    members: int = 1

    @classmethod
    def read_settings(cls, document: Mapping[str, Any]) -> Any:  # noqa: ANN401  # one of the two
        """As of ``Planned``."""
        return settings_of(document)

    def steps(self, place: StudyFolder) -> list[Step]:
        """As of ``Planned``."""
        return [Step(f"fold-{number}", self.phase) for number in self.state(place).pending]

    def train(self, step: str, place: StudyFolder, progress: Progress) -> None:
        """As of ``Planned``."""
        images, split, folder = labelled(place.manifest, self.label), place.splits[self.scheme], place.runs / self.name
        fold = fold_of(step)
        options = RunOptions(
            folds=(fold,),
            cache=place.cache,
            shared=place.folder / "bone-networks",
            skip_unreadable=place.skip_unreadable,
        )
        runs: Run | tuple[Run, ...]
        if self.kind == "literal":
            runs = read_run(place.runs / self.source)
        elif self.kind == "nested":
            asked: dict[str, Any] = {"members": self.members, "options": options, "progress": progress}
            runs = train_nested(images, split, self.settings, folder, **asked)
            _require_done(result for run in runs for result in run.folds)
        else:
            run = train_run(images, split, self.settings, folder, options=options, progress=progress)
            _require_done(run.folds[fold : fold + 1])
            return
        evaluate_ensemble(images, split, runs, options=options, keep=folder, like=self.settings, progress=progress)

    def state(self, place: StudyFolder) -> RunState:
        """As of ``Planned``."""
        folder = place.runs / self.name
        read = _read_ensemble if self.kind in {"nested", "literal"} else _read_network
        folds = tuple(read(folder, number) for number in range(len(place.splits[self.scheme].folds)))
        if any(fold.state != "done" for fold in folds):
            return RunState(self, folds)
        predictions = [fold.predictions for fold in folds if fold.predictions is not None]
        counts = [fold.counts for fold in folds if fold.counts is not None]
        if predictions:
            return RunState(self, folds, Predictions.joined(predictions))
        return RunState(self, folds, SegmentCounts.joined(counts).of(part="test", output="lesion") if counts else None)


def labelled(manifest: Manifest, label: str) -> Manifest:
    """The images with a label; all where it is ""."""
    return manifest.select([number for number, row in enumerate(manifest.rows) if label in ("", row.label)])


def member_run(run: str, place: StudyFolder, fold: int) -> Run | None:
    """The members of a fold of a nested ensemble; None where there are none yet."""
    folder = outer_folder(place.runs / run, fold)
    return read_run(folder) if (folder / RUN_NAME).exists() else None


def fold_weights(state: RunState, place: StudyFolder, fold: int) -> list[Path]:
    """Files of the networks that scored a fold."""
    if isinstance(state.plan, PlannedRun) and state.plan.kind == "nested":
        members = member_run(state.plan.name, place, fold)
        return [] if members is None else [one.weights for one in members.folds]
    return [state.folds[fold].weights]


def _require_done(folds: Iterable[FoldResult]) -> None:
    for fold in folds:
        if fold.state == "failed":
            raise TrainingError(fold.error)


def _read_network(folder: Path, fold: int) -> FoldResult:
    return read_fold(fold_folder(folder, fold), fold)


def _read_ensemble(folder: Path, fold: int) -> FoldResult:
    """A fold of an ensemble: done when it is evaluated."""
    counts = folder / f"fold-{fold}.csv"
    if counts.exists() and counts.with_suffix(".json").exists():
        return FoldResult(fold=fold, folder=folder, state="done", table=read_counts(counts))
    members = outer_folder(folder, fold)
    if not (members / RUN_NAME).exists():
        return FoldResult(fold=fold, folder=folder, state="absent")
    failed = [one.error for one in read_run(members).folds if one.state == "failed"]
    state: Literal["failed", "running"] = "failed" if failed else "running"
    return FoldResult(fold=fold, folder=folder, state=state, error=failed[0] if failed else "")


@dataclass(frozen=True, slots=True)
class Study:
    """A study as its folder tells it: runs in the order of the plan, and a sentence for each job that failed last.

    Attributes:
        also: further data sets that were asked for this time, on which networks are evaluated.
    """

    place: StudyFolder
    runs: tuple[RunState, ...] = field(repr=False)
    errors: tuple[str, ...] = ()
    also: tuple[Manifest, ...] = ()

    @property
    def manifest(self) -> Manifest:
        """Of the data set."""
        return self.place.manifest

    @property
    def figures(self) -> Path:
        """Folder of the pictures."""
        return self.place.folder / "figures"

    @property
    def mark(self) -> str:
        """Words in the corner of every picture."""
        return "SYNTHETIC DATA" if is_synthetic(self.manifest) else ""

    @property
    def predictions(self) -> dict[str, Predictions]:
        """Of the runs of classifiers that have ended, by name."""
        return {run.plan.name: run.outcome for run in self.runs if isinstance(run.outcome, Predictions)}

    @property
    def counts(self) -> dict[str, SegmentCounts]:
        """Pixels of the lesion map of all test parts, of the runs of segmenters that have ended, by name."""
        return {run.plan.name: run.outcome for run in self.runs if isinstance(run.outcome, SegmentCounts)}

    def trained(self, objective: str) -> list[RunState]:
        """The runs of an objective, as "classify", in the order of the plan."""
        return [run for run in self.runs if run.plan.settings.objective == objective]

    @property
    def states(self) -> dict[str, str]:
        """Word of each run, by name: how far it is where it has no result."""
        return {run.plan.name: run.word for run in self.runs}


def fold_of(step: str) -> int:
    """Number of the fold that a step is of.

    Example:
        >>> fold_of("fold-3")
        3
    """
    return int(step.rpartition("-")[2])


def read_plan(document: Mapping[str, Any], kinds: Iterable[type[Planned]]) -> tuple[Planned, ...]:
    """The runs of study.json, each of one of some kinds.

    Raises:
        KeyError: an entry is missing, or of none of the kinds.
        TypeError: an entry is of another kind.
    """
    known = {kind.trains: kind for kind in kinds}
    return tuple(
        known[entry["trains"]].of({k: v for k, v in entry.items() if k != "trains"}) for entry in document["runs"]
    )


def joined_plan(before: Iterable[Planned], added: Iterable[Planned], *, threads: int) -> tuple[Planned, ...]:
    """A plan with further runs; one that is there already must be the same. Settings that leave threads open get these.

    Raises:
        InputError: a run of that name has other settings, or runs divide the data differently.
    """
    entries = {entry.name: entry for entry in before}
    for entry in added:
        known = entries.get(entry.name)
        entries[entry.name] = known.joined(entry) if known else entry.with_threads(threads)
    if len({entry.division for entry in entries.values()}) > 1:
        raise InputError("these runs are of other folds or another seed than those that are there: name another folder")
    return tuple(entries.values())


@dataclass(frozen=True, slots=True)
class _Team:
    """The members that score the ``test`` rows of a fold, and the rows that each learnt from or chose by."""

    fold: int
    settings: SegmentSettings
    weights: tuple[Path, ...]
    seen: tuple[NDArray[np.int64], ...] = field(repr=False)
    test: NDArray[np.int64] = field(repr=False)


def inner_split(manifest: Manifest, split: Split, outer: int, *, members: int = MEMBERS) -> Split:
    """Divide all but the test part of a fold: each of the folds that come out trains one member.

    A member learns from all but one of the inner parts and chooses its epoch by that one; its test part is that of the
    outer fold.

    Raises:
        InputError: no such fold, fewer than three members, or too few patients for this many.
    """
    fold_numbers(split, [outer])
    if members < _FEWEST:
        raise InputError(f"an ensemble of {members} was asked for; nested members are at least {_FEWEST}")
    whole = split.folds[outer]
    rows = split.rows(manifest, outer)
    rest = manifest.select(np.sort(np.concatenate([rows.train, rows.validation])))
    seed = split.seed * _SEED_STEP + outer
    divided = make_split(rest, folds=members, unit=split.unit, stratify=split.stratify, seed=seed)
    everyone = {*whole.train, *whole.validation}
    folds = tuple(Fold(tuple(sorted(everyone - {*part.test})), part.test, whole.test) for part in divided.folds)
    divided = replace(divided, manifest_sha256=split.manifest_sha256, warnings=split.warnings)
    return replace(divided, scheme="holdout", folds=folds)


def outer_folder(folder: Path, outer: int) -> Path:
    """Where the members of a fold lie."""
    return folder / f"outer-{outer}"


def train_nested(
    manifest: Manifest,
    split: Split,
    settings: SegmentSettings,
    folder: Path,
    *,
    members: int = MEMBERS,
    options: RunOptions | None = None,
    progress: Progress = silent,
) -> tuple[Run, ...]:
    """Train the members of every outer fold, or of those that options name, each as a run of its own in the folder.

    What is done is skipped, what was interrupted goes on.

    Raises:
        InputError: as ``inner_split`` and ``train_run``.
        OutputError: a folder cannot be written.
        BackendError: the device is not at hand.
    """
    chosen = options or RunOptions()
    numbers = fold_numbers(split, chosen.folds)
    if chosen.cache is None:
        chosen = replace(chosen, cache=folder / "cache")
    return tuple(
        train_run(
            manifest,
            inner_split(manifest, split, outer, members=members),
            settings,
            outer_folder(folder, outer),
            options=replace(chosen, folds=None),
            progress=progress,
        )
        for outer in numbers
    )


def evaluate_ensemble(
    manifest: Manifest,
    split: Split,
    runs: Run | Sequence[Run],
    *,
    options: RunOptions | None = None,
    keep: Path | None = None,
    like: SegmentSettings | None = None,
    progress: Progress = silent,
) -> SegmentCounts:
    """Average the probabilities of several networks and count what they predict on the test part of each fold.

    In the literal reading the networks of the folds of one run score every fold's test part, though all but one of them
    learnt from it or chose by it. The thesis can be read so; the numbers are too good, and say so. In the nested one
    members are trained, for each fold, on an inner division of everything but its test part, and score that.

    Args:
        manifest: of the data set.
        split: whose test parts are scored.
        runs: one run is read literally. Several are the nested reading: one for each outer fold that is evaluated, of
            ``train_nested``, in their order.
        options: which folds, and where decoded images are.
        keep: folder where the counts of each fold are kept, so that a assessment that was interrupted goes on.
        like: settings whose device and threads are used; None takes any device and leaves the threads.
        progress: told about images.

    Returns:
        Counts of part "test"; ``warnings`` says so where a network was evaluated on what it had seen.

    Raises:
        InputError: a member is not trained, or belongs to another split or data set.
        WeightsError: weights are missing or damaged.

    References:
        specs/bone-metastasis.md, sections 2.2 and 8.1 (1).
    """
    how = options or RunOptions()
    teams = _teams(manifest, split, runs, fold_numbers(split, how.folds))
    pixels = how.pixels or SEGMENT.load(
        manifest, teams[0].settings, how.cache, skip_unreadable=how.skip_unreadable, progress=progress
    )
    tables = []
    for team in teams:
        settings = replace(team.settings, device="auto", devices=1, precision="32", threads=0)
        if like is not None:
            settings = replace(settings, device=like.device, threads=like.threads)
        tables.append(_evaluated(manifest, replace(team, settings=settings), pixels, keep, progress))
    return SegmentCounts.joined(tables).warned([*split.warnings, *teams[0].settings.warnings, *_warnings(teams)])


def _teams(manifest: Manifest, split: Split, runs: Run | Sequence[Run], numbers: list[int]) -> list[_Team]:
    """Who scores which fold, in either reading."""
    listed = [runs] * len(numbers) if isinstance(runs, Run) else list(runs)
    if len(listed) != len(numbers):
        raise InputError(f"{len(listed)} runs of members were given for {len(numbers)} folds: one each is needed")
    teams = []
    for number, run in zip(numbers, listed, strict=True):
        own = split if isinstance(runs, Run) else inner_split(manifest, split, number, members=len(run.folds))
        _require_members(run, manifest, own)
        weights = tuple(fold.weights for fold in run.folds)
        teams.append(_Team(number, run.settings, weights, _seen(manifest, own), split.rows(manifest, number).test))
    return teams


def _seen(manifest: Manifest, split: Split) -> tuple[NDArray[np.int64], ...]:
    """Rows that the network of each fold learnt from or chose by."""
    parts = [split.rows(manifest, number) for number in range(len(split.folds))]
    return tuple(np.concatenate([rows.train, rows.validation]) for rows in parts)


def _require_members(run: Run, manifest: Manifest, split: Split) -> None:
    """Refuse a run that is not complete, or was divided otherwise."""
    if read_document(run.folder / SETTINGS_NAME).get("split_sha256") != split_digest(manifest, split):
        raise InputError(
            f"{run.folder.name} was trained on another split or data set: its networks are not members here"
        )
    if not run.is_complete:
        raise InputError(
            f"{len(run.done)} of {len(run.folds)} members of {run.folder.name} are trained: train all of them first"
        )


def _evaluated(manifest: Manifest, team: _Team, pixels: Pixels, keep: Path | None, progress: Progress) -> SegmentCounts:
    """The counts of one fold, kept where they may be."""
    rows, settings = pixels.usable(team.test), team.settings
    names = [manifest.rows[int(row)].image for row in rows]
    identity = digest(
        [settings.threshold, names, [hashlib.sha256(file.read_bytes()).hexdigest() for file in team.weights]]
    )
    notes = None if keep is None else keep / f"fold-{team.fold}.json"
    if notes is not None and notes.exists() and read_document(notes).get("identity") == identity:
        return read_counts(notes.with_suffix(".csv"))
    from osteon.train.engine import choose_device

    networks = [kept_network(settings, file) for file in team.weights]
    evaluate = Evaluator(networks, settings, manifest, pixels, choose_device(settings), progress)
    counts, _ = evaluate.evaluated(rows, fold=team.fold, part="test", threshold=settings.threshold)
    if notes is not None:
        make_folder(notes.parent)
        write_text(notes.with_suffix(".csv"), counts.text())
        write_document(notes, {"identity": identity, "members": len(team.weights)})
    return counts


def _warnings(teams: list[_Team]) -> list[str]:
    """What must be said where members had seen what they score."""
    leaks = [sum(bool(np.isin(team.test, seen).any()) for seen in team.seen) for team in teams]
    if not any(leaks):
        return []
    return [_LITERAL.format(members=len(teams[0].weights), leaks=max(leaks))]
