"""What a study plans: trainings, written down so that --resume finds them again; and what they have come to."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from osteon.data import Predictions
from osteon.errors import InputError, TrainingError
from osteon.train.counts import SegmentCounts
from osteon.train.ensemble import EnsembleOptions, judge_ensemble, outer_folder, train_nested
from osteon.train.objectives import settings_of
from osteon.train.run import Run, RunOptions, read_run, train_run
from osteon.train.run_data import is_synthetic
from osteon.train.run_folder import RUN_NAME, FoldResult, fold_folder, read_counts, read_fold
from osteon.train.settings import NOT_DECISIVE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from osteon.data import Manifest, Split
    from osteon.data.options import Progress

__all__ = [
    "Planned",
    "PlannedRun",
    "RunState",
    "Step",
    "Study",
    "StudyPlace",
    "fold_of",
    "fold_weights",
    "joined_plan",
    "labelled",
    "member_run",
    "read_plan",
]


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
class StudyPlace:
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
    def steps(self, place: StudyPlace) -> list[Step]:
        """Jobs that are not done."""

    @abstractmethod
    def train(self, step: str, place: StudyPlace, progress: Progress) -> None:
        """Do one job, or go on with it.

        Raises:
            TrainingError: it failed.
            InputError: something that it needs is not there.
        """

    @abstractmethod
    def state(self, place: StudyPlace) -> RunState:
        """What lies there, whether it is complete or not.

        Raises:
            InputError: a file of it is damaged.
        """

    def with_threads(self, threads: int) -> Self:
        """The same with so many threads of torch where none were asked for."""
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
    RUNS/ensemble_nested/fold-K.csv     what they call together on its test part; also of the literal ensemble

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

    def steps(self, place: StudyPlace) -> list[Step]:
        """As of ``Planned``."""
        return [Step(f"fold-{number}", self.phase) for number in self.state(place).pending]

    def train(self, step: str, place: StudyPlace, progress: Progress) -> None:
        """As of ``Planned``."""
        images, split, folder = labelled(place.manifest, self.label), place.splits[self.scheme], place.runs / self.name
        fold = fold_of(step)
        shared: dict[str, Any] = {"cache": place.cache, "skip_unreadable": place.skip_unreadable, "folds": (fold,)}
        options = RunOptions(**shared, shared=place.folder / "bone-networks")
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
        how = EnsembleOptions(**shared, keep=folder, device=self.settings.device, threads=self.settings.threads)
        judge_ensemble(images, split, runs, options=how, progress=progress)

    def state(self, place: StudyPlace) -> RunState:
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


def member_run(run: str, place: StudyPlace, fold: int) -> Run | None:
    """The members of a fold of a nested ensemble; None where there are none yet."""
    folder = outer_folder(place.runs / run, fold)
    return read_run(folder) if (folder / RUN_NAME).exists() else None


def fold_weights(state: RunState, place: StudyPlace, fold: int) -> list[Path]:
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
    """A fold of an ensemble: done when it is judged."""
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
    """A study as its folder tells it.

    Attributes:
        place: of its files, with data set and splits.
        runs: in the order of the plan.
        errors: of the jobs that failed when the study was last worked on, one sentence each.
    """

    place: StudyPlace
    runs: tuple[RunState, ...] = field(repr=False)
    errors: tuple[str, ...] = ()

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
    """A plan with further runs; one that is there already must be the same.

    Args:
        before: the plan as it was.
        added: the further runs.
        threads: of torch, where settings leave them open.

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
