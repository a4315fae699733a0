"""``osteon train``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from osteon.app.cli.options import hinted
from osteon.app.cli.terminal import EXIT_SKIPPED, say, shown_progress

if TYPE_CHECKING:
    from osteon.train.counts import SegmentCounts
    from osteon.train.run import Run
    from osteon.train.run_folder import EpochRecord
    from osteon.train.settings import Settings

__all__ = ["train"]


class Device(StrEnum):
    """Where a network runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


_CONFIGURATIONS = "C cross entropy, F focal loss; A with augmentation, E with curation: C F CA FA CE CAE FAE."
_TITLES = {"auc": "AUC", "macro_auc": "mean AUC", "f1": "F1", "dice": "mean Dice", "iou": "IoU"}


def train(
    task: str = typer.Argument(..., help=hinted("What is learnt.", "train")),
    data: Path = typer.Option(
        ..., "--data", help="The data set: its folder (manifest, images, splits.json), or a manifest."
    ),
    out: Path = typer.Option(
        ..., "-o", "--out", help="Folder of the run. One that is there with the same settings goes on."
    ),
    strategy: str | None = typer.Option(
        None,
        help=hinted("Classifiers: scratch, ft, lp, lp-ft or g-lf. Default: ft.", "train --strategy"),
    ),
    config: str | None = typer.Option(
        None,
        help=hinted(f"{_CONFIGURATIONS} Default: C.", "train --config"),
    ),
    arch: str | None = typer.Option(
        None, help=hinted("Network: osteon models arch lists them. Default: mobilenet_v2.", "train --arch")
    ),
    pretrained: str | None = typer.Option(
        None, help="embedded, hub, none, or a weights file. Default: embedded, from scratch none."
    ),
    fold: list[int] = typer.Option([], min=0, help="Only this fold, from 0. Repeatable."),
    settings: Path | None = typer.Option(None, help="TOML or YAML file of settings."),
    changes: list[str] = typer.Option([], "--set", help="One setting, as batch=8. Repeatable; beats the file."),
    split: Path | None = typer.Option(None, help="Another split file than splits.json of the data set."),
    seed: int | None = typer.Option(None, min=0, help="Of weights, order and augmentation. Default: 1."),
    device: Device = typer.Option(Device.AUTO, help="auto: as the file says, else a GPU where there is one."),
    devices: int | None = typer.Option(None, min=1, help="Processes that train together. Default: 1."),
    bone_networks: Path | None = typer.Option(
        None, help=hinted("Folder where bone networks are shared between runs.", "train --bone-networks")
    ),
    skip_unreadable: bool = typer.Option(
        False, "--skip-unreadable", help="Leave images out that cannot be read, name and count them."
    ),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress, no line an epoch."),
) -> None:
    """Train a network fold by fold. An interrupted run goes on with the same command, bit for bit."""
    from osteon.errors import UsageError
    from osteon.io.settings_file import parse_assignments, read_settings_file
    from osteon.io.split_file import read_split
    from osteon.io.table import read_manifest
    from osteon.systems.registry import recipe
    from osteon.train.run import RunOptions, train_run

    options = {
        "--strategy": ("strategy", strategy),
        "--config": ("configuration", config),
        "--arch": ("architecture", arch),
        "--pretrained": ("pretrained", pretrained),
        "--seed": ("seed", seed),
        "--device": ("device", None if device is Device.AUTO else device.value),
        "--devices": ("devices", devices),
    }
    own, given = recipe(task), {flag: entry for flag, entry in options.items() if entry[1] is not None}
    foreign = [flag for flag, (name, _) in given.items() if name not in own.kind.names()]
    if bone_networks is not None and "pair_mask" not in own.kind.names():
        foreign.append("--bone-networks")
    if foreign:
        raise UsageError(f"{', '.join(foreign)}: not of {task}; its settings are {', '.join(own.kind.names())}")
    from_file = read_settings_file(settings) if settings else {}
    wanted = own.settings({**from_file, **parse_assignments(changes), **dict(given.values())})
    manifest = read_manifest(data, positive=getattr(wanted, "positive", None))
    divided = read_split(split or manifest.folder)

    def tell(number: int, record: EpochRecord) -> None:
        if not quiet:
            say(_epoch_line(number, record, _looked_at(wanted)), err=True)

    asked = RunOptions(folds=tuple(fold) or None, shared=bone_networks, skip_unreadable=skip_unreadable, on_epoch=tell)
    with shown_progress(quiet=quiet) as progress:
        run = train_run(manifest, divided, wanted, out, options=asked, progress=progress)
    for line in _run_lines(run):
        say(line)
    if run.failed or run.document["unreadable"]:
        raise typer.Exit(EXIT_SKIPPED)


def _looked_at(settings: Settings) -> str:
    """What the curve is of."""
    return "training (its validation part)" if getattr(settings, "joins_validation", False) else "validation"


def _epoch_line(fold: int, record: EpochRecord, looked_at: str) -> str:
    measures = " ".join(f"{_title(name)} {value:.4f}" for name, value in record.measures.items())
    return (
        f"fold {fold} epoch {record.epoch:>3} {record.stage:<9} {len(record.free.split())} layer group(s) trainable, "
        f"rate {max(record.head_rate, record.backbone_rate):.1e}, loss {record.train_loss:.4f}, "
        f"{looked_at} loss {record.validation_loss:.4f} {measures}, {record.seconds:.1f} s"
    )


def _run_lines(run: Run) -> list[str]:
    """Where each fold stands, and what segmenters call right on their test parts."""
    lines = []
    for fold in run.folds:
        if fold.state == "done" and fold.monitored is not None:
            name = next(iter(fold.history[-1].measures))
            lines.append(
                f"fold {fold.fold}: epoch {fold.best_epoch} of {len(fold.history)} kept, {_looked_at(run.settings)} "
                f"{_title(name)} {fold.monitored:.4f}, {fold.seconds:.0f} s"
            )
        elif fold.state == "failed":
            lines.append(f"fold {fold.fold}: failed: {fold.error}")
        else:
            lines.append(f"fold {fold.fold}: not trained yet")
    if any(fold.counts is not None for fold in run.done):
        lines += _measure_lines(run.counts(), len(run.done))
    unreadable = run.document["unreadable"]
    if unreadable:
        lines.append(f"! {len(unreadable)} image(s) could not be read and were left out: see run.json")
    return [*lines, *(f"! {warning}" for warning in run.warnings), f"run {run.folder}"]


def _measure_lines(counts: SegmentCounts, folds: int) -> list[str]:
    from osteon.metrics.text import Scale
    from osteon.train.counts import evaluate_counts

    lines, scale = [], Scale(decimals=4, undefined="not defined", lacking="")
    for output in dict.fromkeys(counts.output.tolist()):
        evaluated = evaluate_counts(counts, output=output)
        images = len(counts.of(part="test", output=output))
        people = next(iter(evaluated.values())).patients
        lines.append(
            f"{output}, test part of {folds} fold(s): {images} images of {people} patients (95 % CIs over patients)"
        )
        for name, found in evaluated.items():
            # NaN where a measure is not defined, or patients are too few
            lines.append(f"  {_title(name):<12} {scale.estimate(found.value, found.low, found.high)}")
    return lines


def _title(name: str) -> str:
    first, _, last = name.rpartition("_")
    return _TITLES.get(name, f"{first} {_TITLES.get(last, last)}".strip())
