"""``osteon split``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from osteon.app.cli.terminal import say

if TYPE_CHECKING:
    from osteon.data import Manifest, Split

__all__ = ["split"]


class Group(StrEnum):
    """What stays whole."""

    PATIENT = "patient"
    IMAGE = "image"


def split(
    dataset: Path = typer.Argument(..., help="A data set folder, or its manifest."),
    folds: int = typer.Option(5, min=2, max=100, help="Folds of the cross-validation."),
    group: Group = typer.Option(
        Group.PATIENT, help="What stays whole. image leaks between the parts: only to repeat a paper that did so."
    ),
    stratify: str = typer.Option("label", help="Column whose values are spread evenly; '' for none."),
    seed: int = typer.Option(1, min=0, help="Another seed divides in another way."),
    test: float | None = typer.Option(
        None, help="Share of the patients to keep for the test. Default: as the manifest marks, else nested."
    ),
    positive: str | None = typer.Option(
        None, help="The label that the table counts. Default: tumour or metastasis, whichever is there."
    ),
    out: Path | None = typer.Option(None, "--out", help="The file to write. Default: splits.json in the data set."),
) -> None:
    """Divide a data set into folds: patients whole, labels spread evenly, the same again for the same seed.

    What the folds let through is looked for by the names of patients and studies; osteon curate compares the
    images too.
    """
    from osteon.curation.leakage import audit_split
    from osteon.curation.splits import make_split
    from osteon.io.split_file import write_split
    from osteon.io.table import read_manifest

    manifest = read_manifest(dataset)
    made = make_split(manifest, folds=folds, unit=group.value, stratify=stratify, seed=seed, test=test)
    audit = audit_split(manifest, made)
    target = write_split(made, out or manifest.folder, audit=audit.document())
    for line in _table(manifest, made, _counted(manifest, positive)):
        say(line)
    say(audit.headline)
    for warning in dict.fromkeys((*made.warnings, *audit.warnings)):
        say(f"! {warning}")
    say(f"{made.scheme} split written to {target}")


def _counted(manifest: Manifest, asked: str | None) -> str:
    """The label to count: the one that was asked for, else what this program looks for, else the last."""
    wanted = [asked] if asked else ["tumour", "metastasis"]
    return next((label for label in wanted if label in manifest.labels), manifest.labels[-1])


def _table(manifest: Manifest, made: Split, positive: str) -> list[str]:
    """A line a fold: patients, images and positives of each part."""
    patients, truth = manifest.column("patient"), manifest.truth(positive)
    lines = [f"patients / images / {positive} images", f"{'fold':<5}{'train':>20}{'validation':>20}{'test':>20}"]
    for number in range(len(made.folds)):
        rows = made.rows(manifest, number)
        cells = [
            f"{len(set(patients[part].tolist()))} / {part.size} / {int(truth[part].sum())}"
            for part in (rows.train, rows.validation, rows.test)
        ]
        lines.append(f"{number:<5}" + "".join(f"{cell:>20}" for cell in cells))
    return lines
