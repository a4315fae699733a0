"""``osteon curate``."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from osteon.app.cli.failure import EXIT_SKIPPED
from osteon.app.cli.progress import shown_progress
from osteon.app.cli.terminal import say

if TYPE_CHECKING:
    from osteon.curation.search import Curation

__all__ = ["register"]


class ConflictRule(StrEnum):
    """What is done about label conflicts."""

    REVIEW = "review"
    DROP_HEALTHY = "drop-healthy"


def register(program: typer.Typer) -> None:
    """Add the verb."""
    program.command("curate")(_curate)


def _curate(
    dataset: Path = typer.Argument(..., help="A data set folder, or its manifest."),
    out: Path = typer.Option(..., "-o", "--out", help="The report folder to make; with --apply the new manifest."),
    threshold: float = typer.Option(0.95, min=-1, max=1, help="Least cosine of a label conflict."),
    rule: ConflictRule = typer.Option(
        ConflictRule.REVIEW,
        help="review: a person decides. drop-healthy: also list what the paper would drop from training.",
    ),
    near: float = typer.Option(0.995, min=-1, max=1, help="Least cosine of near duplicates."),
    positive: str = typer.Option("tumour", help="The label that drop-healthy keeps."),
    backbone: str = typer.Option("mobilenet_v2.imagenet", help="Shipped network that makes the vectors."),
    cache: Path | None = typer.Option(None, help="Folder of vectors to go on with. Default: REPORT.cache."),
    apply: Path | None = typer.Option(None, "--apply", help="A filled-in review.csv: write a new manifest to --out."),
    skip_unreadable: bool = typer.Option(False, "--skip-unreadable", help="Go on without images that cannot be read."),
    as_json: bool = typer.Option(False, "--json", help="Print the counts as JSON."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
) -> None:
    """Look for label conflicts, duplicates, faulty images and leakage; write a list to review. Nothing is deleted."""
    if apply is not None:
        from osteon.study.curate import apply_review

        done = apply_review(dataset, apply, out)
        if as_json:
            counts = {"kept": done.kept, "dropped": done.dropped, "relabelled": done.relabelled}
            typer.echo(json.dumps({**counts, "images": len(done.manifest)}, indent=1))
        else:
            say(f"{done.dropped} dropped, {done.relabelled} relabelled, {done.kept} kept after a look")
            say(f"manifest {out} ({len(done.manifest)} images); the given one is as it was")
        return
    from osteon.curation.search import CurateOptions
    from osteon.study.curate import curate_dataset

    options = CurateOptions(
        threshold=threshold,
        rule=rule.value,
        near=near,
        positive=positive,
        backbone=backbone,
        skip_unreadable=skip_unreadable,
        cache=cache,
    )
    with shown_progress(quiet=quiet) as progress:
        found = curate_dataset(dataset, out, options, progress)
    if as_json:
        typer.echo(json.dumps(found.counts(), indent=1))
    else:
        _tell(found, out)
    if found.unreadable:
        raise typer.Exit(EXIT_SKIPPED)


def _tell(found: Curation, out: Path) -> None:
    for name, count in found.counts().items():
        say(f"{name.replace('_', ' '):<34}{count:>8}")
    for row, reason in found.unreadable:
        say(f"! {found.manifest.rows[row].image} left out: {reason}")
    for warning in (*(found.leakage.warnings if found.leakage else ()), *found.notes):
        say(f"! {warning}")
    say(f"report {out / 'index.html'}")
    say(f"to fill in {out / 'review.csv'}")
