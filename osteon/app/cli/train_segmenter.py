"""``osteon train ct_metastasis``: what the verb does for segmenters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from osteon.app.cli.failure import EXIT_SKIPPED
from osteon.app.cli.progress import shown_progress
from osteon.app.cli.terminal import say

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.train.segmentation.history import SegmentEpoch
    from osteon.train.segmentation.run import SegmentRun
    from osteon.train.segmentation.settings import SegmentSettings

__all__ = ["TrainOrder", "run_lines", "train_segmenter"]

_TITLES = {"f1": "F1", "dice": "mean Dice", "iou": "IoU"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOrder:
    """What the command line asks for.

    Attributes:
        data: the data set.
        out: folder of the run.
        split: file of the split, or None.
        folds: only these; none means all.
        bone_networks: folder where bone networks of sequential pairs are shared, or None.
        skip_unreadable: leave out what cannot be read.
        quiet: no progress, no line an epoch.
    """

    data: Path
    out: Path
    split: Path | None
    folds: tuple[int, ...]
    bone_networks: Path | None
    skip_unreadable: bool
    quiet: bool


def train_segmenter(order: TrainOrder, settings: SegmentSettings) -> None:
    """Train, tell, and say what came out.

    Raises:
        typer.Exit: a fold failed, or images were left out.
    """
    from osteon.io.split_file import read_split
    from osteon.io.table import read_manifest
    from osteon.train.segmentation.run import SegmentOptions, train_segmenters

    manifest = read_manifest(order.data)
    divided = read_split(order.split or manifest.folder)

    def tell(number: int, record: SegmentEpoch) -> None:
        if not order.quiet:
            say(_epoch_line(number, record), err=True)

    options = SegmentOptions(
        folds=order.folds or None,
        skip_unreadable=order.skip_unreadable,
        bone_networks=order.bone_networks,
        on_epoch=tell,
    )
    with shown_progress(quiet=order.quiet) as progress:
        run = train_segmenters(manifest, divided, settings, order.out, options=options, progress=progress)
    for line in run_lines(run):
        say(line)
    if run.failed or run.document["unreadable"]:
        raise typer.Exit(EXIT_SKIPPED)


def run_lines(run: SegmentRun) -> list[str]:
    """Where each fold stands, and what the run is worth on its test parts."""
    lines = []
    for fold in run.folds:
        if fold.state == "done" and fold.validation_f1 is not None:
            lines.append(
                f"fold {fold.fold}: epoch {fold.best_epoch} of {len(fold.history)} kept, validation F1 "
                f"{fold.validation_f1:.4f}, {fold.seconds:.0f} s"
            )
        elif fold.state == "failed":
            lines.append(f"fold {fold.fold}: failed: {fold.error}")
        else:
            lines.append(f"fold {fold.fold}: not trained yet")
    if run.done:
        lines += _measures(run)
    unreadable = run.document["unreadable"]
    if unreadable:
        lines.append(f"! {len(unreadable)} image(s) could not be read and were left out: see run.json")
    lines.extend(f"! {warning}" for warning in run.warnings)
    lines.append(f"run {run.folder}")
    return lines


def _measures(run: SegmentRun) -> list[str]:
    from osteon.train.segmentation.judging import judge_counts

    counts = run.counts()
    lines = []
    for output in run.settings.outputs:
        judged = judge_counts(counts, output=output)
        images = len(counts.of(part="test", output=output))
        people = next(iter(judged.values())).patients
        lines.append(
            f"{output}, test part of {len(run.done)} fold(s): {images} images of {people} patients (95 % intervals "
            "over patients)"
        )
        for name, found in judged.items():
            # NaN where a measure is not defined, or patients are too few
            limits = "" if math.isnan(found.low) else f" ({found.low:.4f} to {found.high:.4f})"
            value = "not defined" if math.isnan(found.value) else f"{found.value:.4f}"
            lines.append(f"  {_TITLES.get(name, name):<12} {value}{limits}")
    return lines


def _epoch_line(fold: int, record: SegmentEpoch) -> str:
    f1 = [
        f"{name} {value:.4f}"
        for name, value in (("lesion", record.lesion_f1), ("bone", record.bone_f1))
        if not math.isnan(value)  # of a map that the network does not have
    ]
    return (
        f"fold {fold} epoch {record.epoch:>3} rate {record.rate:.1e}, loss {record.train_loss:.4f}, validation loss "
        f"{record.validation_loss:.4f} F1 {' '.join(f1)}, {record.seconds:.1f} s"
    )
