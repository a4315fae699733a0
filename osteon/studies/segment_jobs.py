"""One fold of a planned run of segmenters: trained, read back, whatever its kind is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from osteon.errors import TrainingError
from osteon.inference.options import Progress, silent
from osteon.training.run_folder import fold_folder
from osteon.training.segmentation.counts import SegmentCounts
from osteon.training.segmentation.fold_files import SegmentFold, read_segment_fold
from osteon.training.segmentation.run import SegmentOptions, train_segmenters

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Manifest, Split
    from osteon.studies.plan import PlannedSegmenter

__all__ = ["LESION_LABEL", "SegmentPlace", "SegmentState", "lesion_images", "read_segmenters", "train_segmenter_fold"]

LESION_LABEL = "metastasis"
"""Label of the images that segmenters are trained and judged on: the published set has no other."""

_BONE_NETWORKS = "bone-networks"


@dataclass(frozen=True, slots=True)
class SegmentState:
    """One planned run of segmenters and what its folds have come to.

    Attributes:
        plan: what was asked.
        folds: results, in order; a fold that never began is "absent".
    """

    plan: PlannedSegmenter
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
    """
    options = SegmentOptions(
        folds=(fold,),
        cache=place.cache,
        skip_unreadable=place.skip_unreadable,
        bone_networks=place.runs.parent / _BONE_NETWORKS,
    )
    run = train_segmenters(
        lesion_images(place.manifest),
        place.split,
        planned.settings,
        place.runs / planned.name,
        options=options,
        progress=progress,
    )
    if run.folds[fold].state == "failed":
        raise TrainingError(run.folds[fold].error)


def read_segmenters(planned: PlannedSegmenter, folder: Path, folds: int) -> SegmentState:
    """What lies there, whether it is complete or not.

    Raises:
        InputError: a file of it is damaged.
    """
    return SegmentState(planned, tuple(read_segment_fold(fold_folder(folder, k), k) for k in range(folds)))
