"""A run of segmenters together with the data set that it was trained on, proven to be the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from osteon.train.run_data import matched_data
from osteon.train.segmentation.run import read_segment_run

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Manifest, Split
    from osteon.train.segmentation.run import SegmentRun

__all__ = ["SegmentData", "open_segment_run"]


@dataclass(frozen=True, slots=True)
class SegmentData:
    """A run, its images and its split.

    Attributes:
        run: as its folder tells it.
        manifest: of the data set.
        split: of the patients.
        split_sha256: of who is in which part with which labels.
    """

    run: SegmentRun
    manifest: Manifest = field(repr=False)
    split: Split = field(repr=False)
    split_sha256: str


def open_segment_run(folder: Path, dataset: Path, *, split: Path | None = None) -> SegmentData:
    """Read a run of segmenters and its data set, and refuse what does not belong together.

    Args:
        folder: of the run.
        dataset: folder of the data set, or its manifest.
        split: file of the split; None looks beside the manifest, in the run, and in the study that the run is of.

    Raises:
        InputError: a file is missing or damaged, or manifest and split are not those of the run.
    """
    return SegmentData(read_segment_run(folder), *matched_data(folder, dataset, split=split))
