"""One fold of a planned run of segmenters: trained, read back, whatever its kind is.

RUNS/unet/fold-K/                   one network a fold, or a pair (``osteon.train.segmentation.run``)
RUNS/ensemble_nested/outer-K/       the members of fold K, a run of their own
RUNS/ensemble_nested/fold-K.csv     what they call together on its test part; also of the literal ensemble
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from osteon.data.options import Progress, silent
from osteon.errors import TrainingError
from osteon.train.run_folder import RUN_NAME, fold_folder
from osteon.train.segmentation.counts import SegmentCounts, read_counts
from osteon.train.segmentation.ensemble import EnsembleOptions, judge_ensemble, outer_folder, train_nested
from osteon.train.segmentation.fold_files import SegmentFold, read_segment_fold
from osteon.train.segmentation.run import SegmentOptions, SegmentRun, read_segment_run, train_segmenters

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from osteon.data import Manifest, Split
    from osteon.study.plan import PlannedSegmenter

__all__ = [
    "LESION_LABEL",
    "SegmentPlace",
    "SegmentState",
    "lesion_images",
    "member_run",
    "read_segmenters",
    "train_segmenter_fold",
]

LESION_LABEL = "metastasis"
"""Label of the images that segmenters are trained and judged on: the published set has no other."""

_BONE_NETWORKS = "bone-networks"


@dataclass(frozen=True, slots=True)
class SegmentState:
    """One planned run of segmenters and what its folds have come to.

    Attributes:
        plan: what was asked.
        folder: of the run.
        folds: results, in order; a fold that never began is "absent".
    """

    plan: PlannedSegmenter
    folder: Path
    folds: tuple[SegmentFold, ...] = field(repr=False)

    @property
    def pending(self) -> list[int]:
        """Numbers of the folds that are not done."""
        return [fold.fold for fold in self.folds if fold.state != "done"]

    @property
    def counts(self) -> SegmentCounts | None:
        """Pixels of the lesion map of all test parts; None until every fold is done."""
        tables = [fold.counts for fold in self.folds if fold.counts is not None]
        if self.pending or len(tables) != len(self.folds):
            return None
        return SegmentCounts.joined(tables).of(part="test", output="lesion")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentPlace:
    """Where a job finds what it needs.

    Attributes:
        manifest: of the data set.
        split: folds of it.
        runs: folder of the study's runs.
        cache: of decoded images.
        skip_unreadable: leave unreadable images out.
    """

    manifest: Manifest = field(repr=False)
    split: Split = field(repr=False)
    runs: Path
    cache: Path
    skip_unreadable: bool = False


def lesion_images(manifest: Manifest) -> Manifest:
    """The images with a lesion, which alone the published set holds."""
    return manifest.select([number for number, row in enumerate(manifest.rows) if row.label == LESION_LABEL])


def train_segmenter_fold(
    planned: PlannedSegmenter, fold: int, place: SegmentPlace, *, progress: Progress = silent
) -> None:
    """Train one fold, or go on with it.

    Raises:
        TrainingError: it failed.
        InputError: an ensemble's networks are not trained.
    """
    images, folder = lesion_images(place.manifest), place.runs / planned.name
    options = SegmentOptions(
        folds=(fold,),
        cache=place.cache,
        skip_unreadable=place.skip_unreadable,
        bone_networks=place.runs.parent / _BONE_NETWORKS,
    )
    if planned.kind == "literal":
        _judge(planned, fold, place, read_segment_run(place.runs / planned.source), progress)
        return
    if planned.kind == "nested":
        runs = train_nested(
            images,
            place.split,
            planned.settings,
            folder,
            members=planned.members,
            options=options,
            progress=progress,
        )
        for run in runs:
            _require_done(run.folds)
        _judge(planned, fold, place, runs, progress)
        return
    run = train_segmenters(images, place.split, planned.settings, folder, options=options, progress=progress)
    _require_done(run.folds[fold : fold + 1])


def _judge(
    planned: PlannedSegmenter,
    fold: int,
    place: SegmentPlace,
    runs: SegmentRun | Sequence[SegmentRun],
    progress: Progress,
) -> None:
    """Score an ensemble on the test part of a fold; the counts stay in its folder."""
    options = EnsembleOptions(
        folds=(fold,),
        keep=place.runs / planned.name,
        cache=place.cache,
        skip_unreadable=place.skip_unreadable,
        device=planned.settings.device,
        threads=planned.settings.threads,
    )
    judge_ensemble(lesion_images(place.manifest), place.split, runs, options=options, progress=progress)


def _require_done(folds: Sequence[SegmentFold]) -> None:
    for fold in folds:
        if fold.state == "failed":
            raise TrainingError(fold.error)


def read_segmenters(planned: PlannedSegmenter, folder: Path, folds: int) -> SegmentState:
    """What lies there, whether it is complete or not.

    Args:
        planned: what was asked.
        folder: of the run.
        folds: of the study's split.

    Raises:
        InputError: a file of it is damaged.
    """
    if planned.kind in {"nested", "literal"}:
        return SegmentState(planned, folder, tuple(_read_ensemble(folder, fold) for fold in range(folds)))
    return SegmentState(planned, folder, tuple(read_segment_fold(fold_folder(folder, k), k) for k in range(folds)))


def member_run(state: SegmentState, fold: int) -> SegmentRun | None:
    """The members of a fold of a nested ensemble; None where there are none yet."""
    folder = outer_folder(state.folder, fold)
    return read_segment_run(folder) if (folder / RUN_NAME).exists() else None


def _read_ensemble(folder: Path, fold: int) -> SegmentFold:
    """A fold of an ensemble: done when it is judged."""
    counts = folder / f"fold-{fold}.csv"
    if counts.exists() and counts.with_suffix(".json").exists():
        return SegmentFold(fold=fold, folder=folder, state="done", counts=read_counts(counts))
    members = outer_folder(folder, fold)
    if not (members / RUN_NAME).exists():
        return SegmentFold(fold=fold, folder=folder, state="absent")
    failed = [one.error for one in read_segment_run(members).folds if one.state == "failed"]
    state: Literal["failed", "running"] = "failed" if failed else "running"
    return SegmentFold(fold=fold, folder=folder, state=state, error=failed[0] if failed else "")
