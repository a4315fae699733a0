"""``osteon curate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from osteon.app.cli.options import parameter, set_parameters
from osteon.app.cli.terminal import EXIT_SKIPPED, say, shown_progress
from osteon.curation.options import CurateOptions
from osteon.data.options import choices, make_options

if TYPE_CHECKING:
    from osteon.study.curate import Curation

__all__ = ["curate"]


def curate(
    dataset: Path = typer.Argument(..., help="A data set folder, or its manifest."),
    out: Path = typer.Option(..., "-o", "--out", help="The report folder to make; with --apply the new manifest."),
    apply: Path | None = typer.Option(None, "--apply", help="A filled-in review.csv: write a new manifest to --out."),
    as_json: bool = typer.Option(False, "--json", help="Print the counts as JSON."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
    **given: Any,  # noqa: ANN401 - options of the curation
) -> None:
    """Look for label conflicts, duplicates, faulty images and leakage; write a list to review. Nothing is deleted."""
    from osteon.study.curate import apply_review, curate_dataset

    if apply is not None:
        done = apply_review(dataset, apply, out)
        if as_json:
            counts = {"kept": done.kept, "dropped": done.dropped, "relabelled": done.relabelled}
            typer.echo(json.dumps({**counts, "images": len(done.manifest)}, indent=1))
        else:
            say(f"{done.dropped} dropped, {done.relabelled} relabelled, {done.kept} kept after a look")
            say(f"manifest {out} ({len(done.manifest)} images); the given one is as it was")
        return
    options = make_options(CurateOptions, given)
    with shown_progress(quiet=quiet) as progress:
        found = curate_dataset(dataset, out, options, progress)
    if as_json:
        typer.echo(json.dumps(found.counts(), indent=1))
    else:
        _tell(found, out)
    if found.unreadable:
        raise typer.Exit(EXIT_SKIPPED)


set_parameters(curate, [parameter(each) for each in choices(CurateOptions)], last=3)


def _tell(found: Curation, out: Path) -> None:
    for name, count in found.counts().items():
        say(f"{name.replace('_', ' '):<34}{count:>8}")
    for row, reason in found.unreadable:
        say(f"! {found.manifest.rows[row].image} left out: {reason}")
    for warning in (*(found.leakage.warnings if found.leakage else ()), *found.notes):
        say(f"! {warning}")
    say(f"report {out / 'index.html'}")
    say(f"to fill in {out / 'review.csv'}")
