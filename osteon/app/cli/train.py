"""``osteon train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from osteon.app.cli.choices import Device
from osteon.app.cli.failure import EXIT_SKIPPED
from osteon.app.cli.progress import shown_progress
from osteon.app.cli.terminal import say
from osteon.app.cli.train_segmenter import TrainOrder, train_segmenter

if TYPE_CHECKING:
    from osteon.train.history import EpochRecord
    from osteon.train.run import Run
    from osteon.train.segmentation.settings import SegmentSettings
    from osteon.train.settings import TrainSettings

__all__ = ["register"]


def register(program: typer.Typer) -> None:
    """Add the verb."""
    program.command("train")(_train)


def _train(
    task: str = typer.Argument(
        ...,
        help="What is learnt: ct_osteosarcoma or ct_metastasis_slices (classes of slices), ct_metastasis (maps of "
        "lesions and bone), mri_femur (benign or malignant).",
    ),
    data: Path = typer.Option(
        ..., "--data", help="The data set: its folder (manifest, images, splits.json), or a manifest."
    ),
    out: Path = typer.Option(
        ..., "-o", "--out", help="Folder of the run. One that is there with the same settings goes on."
    ),
    strategy: str | None = typer.Option(
        None,
        help="Classifiers: scratch, ft, lp, lp-ft or g-lf. Default: ft; for mri_femur scratch, but ft of mobilenet_v2.",
    ),
    config: str | None = typer.Option(
        None,
        help="C cross entropy, F focal loss; A with augmentation, E with curation: C F CA FA CE CAE FAE. Default: C, "
        "for ct_metastasis_slices FA, for mri_femur CA.",
    ),
    arch: str | None = typer.Option(
        None, help="Network: osteon models arch lists them. Default: mobilenet_v2; hybrid_attunetpp for maps."
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
        None, help="ct_metastasis: folder where the bone networks of sequential pairs are shared between runs."
    ),
    skip_unreadable: bool = typer.Option(
        False, "--skip-unreadable", help="Leave images out that cannot be read, name and count them."
    ),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress, no line an epoch."),
) -> None:
    """Train a network fold by fold. An interrupted run goes on with the same command, bit for bit."""
    given = {
        "task": task,
        "strategy": strategy,
        "configuration": config,
        "architecture": arch,
        "pretrained": pretrained,
        "seed": seed,
        "device": None if device is Device.AUTO else device.value,
        "devices": devices,
    }
    named = {name: value for name, value in given.items() if value is not None}
    order = TrainOrder(
        data=data,
        out=out,
        split=split,
        folds=tuple(fold),
        bone_networks=bone_networks,
        skip_unreadable=skip_unreadable,
        quiet=quiet,
    )
    if task == "ct_metastasis":
        train_segmenter(order, _segment_settings(settings, changes, named))
    else:
        _train_classifier(order, _settings(settings, changes, named))


def _train_classifier(order: TrainOrder, settings: TrainSettings) -> None:
    """Train, tell, and say what came out.

    Raises:
        typer.Exit: a fold failed, or images were left out.
    """
    from osteon.io.split_file import read_split
    from osteon.io.table import read_manifest
    from osteon.train.run import RunOptions, train_run

    manifest = read_manifest(order.data, positive=settings.positive)
    divided = read_split(order.split or manifest.folder)

    def tell(number: int, record: EpochRecord) -> None:
        if not order.quiet:
            say(_epoch_line(number, record), err=True)

    options = RunOptions(folds=order.folds or None, skip_unreadable=order.skip_unreadable, on_epoch=tell)
    with shown_progress(quiet=order.quiet) as progress:
        run = train_run(manifest, divided, settings, order.out, options=options, progress=progress)
    for line in _summary(run):
        say(line)
    if run.failed or run.document["unreadable"]:
        raise typer.Exit(EXIT_SKIPPED)


def _settings(file: Path | None, changes: list[str], given: dict[str, Any]) -> TrainSettings:
    """Settings of the file, then those of --set, then those that have an option of their own."""
    from osteon.train.settings import TrainSettings, parse_assignments, read_settings_file

    return TrainSettings.of({**(read_settings_file(file) if file else {}), **parse_assignments(changes), **given})


def _segment_settings(file: Path | None, changes: list[str], given: dict[str, Any]) -> SegmentSettings:
    """The same for segmenters.

    Raises:
        InputError: an option that only classifiers have.
    """
    from osteon.errors import InputError
    from osteon.train.segmentation.settings import SegmentSettings
    from osteon.train.settings import parse_assignments, read_settings_file

    for option, name in (("--strategy", "strategy"), ("--config", "configuration"), ("--pretrained", "pretrained")):
        if name in given:
            raise InputError(
                f"{option} was given; segmenters begin with random weights and have one strategy: leave it out, and "
                "choose by --set, as loss=focal or augments=no"
            )
    return SegmentSettings.of({**(read_settings_file(file) if file else {}), **parse_assignments(changes), **given})


def _epoch_line(fold: int, record: EpochRecord) -> str:
    parts = len(record.free.split())
    return (
        f"fold {fold} epoch {record.epoch:>3} {record.stage:<9} {parts} part(s) trained, "
        f"rate {max(record.head_rate, record.backbone_rate):.1e}, loss {record.train_loss:.4f}, "
        f"validation loss {record.validation_loss:.4f} AUC {record.validation_auc:.4f}, {record.seconds:.1f} s"
    )


def _summary(run: Run) -> list[str]:
    lines = []
    for fold in run.folds:
        if fold.state == "done" and fold.validation_auc is not None:
            lines.append(
                f"fold {fold.fold}: best epoch {fold.best_epoch} of {len(fold.history)}, validation AUC "
                f"{fold.validation_auc:.4f}, {fold.seconds:.0f} s"
            )
        elif fold.state == "failed":
            lines.append(f"fold {fold.fold}: failed: {fold.error}")
        else:
            lines.append(f"fold {fold.fold}: not trained yet")
    unreadable = run.document["unreadable"]
    if unreadable:
        lines.append(f"! {len(unreadable)} image(s) could not be read and were left out: see run.json")
    lines.extend(f"! {warning}" for warning in run.document["split"]["warnings"])
    lines.append(f"run {run.folder}")
    return lines
