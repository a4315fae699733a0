"""A planned run of segmenters: trained, read back, whatever its kind is.

RUNS/unet/fold-K/                   one network a fold, or a pair (``osteon.train.run``)
RUNS/ensemble_nested/outer-K/       the members of fold K, a run of their own
RUNS/ensemble_nested/fold-K.csv     what they call together on its test part; also of the literal ensemble
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from osteon.errors import TrainingError
from osteon.study.plan import Planned, RunState, Step, StudyPlace, fold_of
from osteon.train.counts import SegmentCounts
from osteon.train.ensemble import EnsembleOptions, judge_ensemble, outer_folder, train_nested
from osteon.train.run import Run, RunOptions, read_run, train_run
from osteon.train.run_folder import RUN_NAME, FoldResult, fold_folder, read_counts, read_fold
from osteon.train.settings import SegmentSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from osteon.data import Manifest
    from osteon.data.options import Progress

__all__ = ["LESION_LABEL", "PlannedSegmenter", "fold_weights", "lesion_images", "member_run"]

LESION_LABEL = "metastasis"
"""Label of the images that segmenters are trained and judged on: the published set has no other."""


def lesion_images(manifest: Manifest) -> Manifest:
    """The images with a lesion, which alone the published set holds."""
    return manifest.select([number for number, row in enumerate(manifest.rows) if row.label == LESION_LABEL])


@dataclass(frozen=True, slots=True)
class PlannedSegmenter(Planned):
    """One training of segmenters, always in the study's folds.

    Attributes:
        kind: "single": one training a fold. "pair": a bone network that all pairs share, then a lesion network.
            "nested": in each fold an ensemble of members trained inside its training part. "literal": the single
            networks of all folds together on each test part, which all but one of them were trained on.
        phase: pairs share the first of their two networks, and the literal ensemble is made of another run.
        source: the run a literal ensemble is made of; "" otherwise.
        members: networks of a nested ensemble; 1 otherwise.
    """

    trains: ClassVar[str] = "segmenters"

    settings: SegmentSettings
    kind: Literal["single", "pair", "nested", "literal"] = "single"
    phase: int = 0
    source: str = ""
    members: int = 1

    @classmethod
    def read_settings(cls, document: Mapping[str, Any]) -> SegmentSettings:
        """As of ``Planned``."""
        return SegmentSettings.of(document)

    def steps(self, place: StudyPlace) -> list[Step]:
        """As of ``Planned``."""
        return [Step(f"fold-{number}", self.phase) for number in self.state(place).pending]

    def train(self, step: str, place: StudyPlace, progress: Progress) -> None:
        """As of ``Planned``."""
        images, folder, fold = lesion_images(place.manifest), place.runs / self.name, fold_of(step)
        split = place.splits["folds"]
        options = RunOptions(
            folds=(fold,),
            cache=place.cache,
            skip_unreadable=place.skip_unreadable,
            shared=place.folder / "bone-networks",
        )
        if self.kind == "literal":
            self._judge(fold, place, read_run(place.runs / self.source), progress)
        elif self.kind == "nested":
            runs = train_nested(
                images, split, self.settings, folder, members=self.members, options=options, progress=progress
            )
            for run in runs:
                _require_done(run.folds)
            self._judge(fold, place, runs, progress)
        else:
            run = train_run(images, split, self.settings, folder, options=options, progress=progress)
            _require_done(run.folds[fold : fold + 1])

    def _judge(self, fold: int, place: StudyPlace, runs: Run | Sequence[Run], progress: Progress) -> None:
        """Score an ensemble on the test part of a fold; the counts stay in its folder."""
        options = EnsembleOptions(
            folds=(fold,),
            keep=place.runs / self.name,
            cache=place.cache,
            skip_unreadable=place.skip_unreadable,
            device=self.settings.device,
            threads=self.settings.threads,
        )
        judge_ensemble(lesion_images(place.manifest), place.splits["folds"], runs, options=options, progress=progress)

    def state(self, place: StudyPlace) -> RunState:
        """As of ``Planned``."""
        folder, numbers = place.runs / self.name, range(len(place.splits["folds"].folds))
        if self.kind in {"nested", "literal"}:
            folds = tuple(_read_ensemble(folder, number) for number in numbers)
        else:
            folds = tuple(read_fold(fold_folder(folder, number), number) for number in numbers)
        tables = [fold.counts for fold in folds if fold.state == "done" and fold.counts is not None]
        complete = SegmentCounts.joined(tables).of(part="test", output="lesion") if len(tables) == len(folds) else None
        return RunState(self, folds, complete)


def member_run(run: str, place: StudyPlace, fold: int) -> Run | None:
    """The members of a fold of a nested ensemble; None where there are none yet."""
    folder = outer_folder(place.runs / run, fold)
    return read_run(folder) if (folder / RUN_NAME).exists() else None


def fold_weights(state: RunState, place: StudyPlace, fold: int) -> list[Path]:
    """Files of the networks that scored a fold."""
    if isinstance(state.plan, PlannedSegmenter) and state.plan.kind == "nested":
        members = member_run(state.plan.name, place, fold)
        return [] if members is None else [one.weights for one in members.folds]
    return [state.folds[fold].weights]


def _require_done(folds: Sequence[FoldResult]) -> None:
    for fold in folds:
        if fold.state == "failed":
            raise TrainingError(fold.error)


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
