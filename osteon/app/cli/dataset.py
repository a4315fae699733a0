"""``osteon dataset``: a data set to train on, of what a person has. One command a system that says how."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from osteon.app.cli.options import parameter, set_parameters
from osteon.app.cli.terminal import EXIT_SKIPPED, say, shown_progress
from osteon.data.options import choices, make_options
from osteon.systems.registry import SYSTEMS

if TYPE_CHECKING:
    from osteon.data.system import DatasetMaker, MadeDataset
    from osteon.train.datasets.case_builder import BuiltDataset

__all__ = ["build", "tell_made"]


def build() -> typer.Typer:
    """The verb and what may follow it."""
    group = typer.Typer(name="dataset", help="Data sets to train on, from labelled series or pictures.")
    for stem, system in SYSTEMS.items():
        if system.dataset is not None:
            _add(group, stem, system.dataset)
    return group


def _add(group: typer.Typer, stem: str, maker: DatasetMaker) -> None:
    def make(
        source: Path = typer.Argument(..., help=maker.source),
        out: Path = typer.Option(..., "-o", "--out", help="The data set folder to make, or to go on with."),
        workers: int = typer.Option(1, min=1, max=64, help="Processes."),
        quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
        **given: Any,  # noqa: ANN401 - options of the maker
    ) -> None:
        with shown_progress(quiet=quiet) as progress:
            made = maker.make(source, out, make_options(maker.options, given), workers, progress)
        tell_made(made, out, what=made.items or maker.items)

    set_parameters(make, [parameter(each) for each in choices(maker.options)], last=2)
    group.command(stem, help=maker.summary)(make)


def tell_made(made: MadeDataset, out: Path, *, what: str) -> None:
    """Print what was made and what was left out; leave with code 3 when something was."""
    for line in made.lines:
        say(line)
    built: BuiltDataset = made.built
    manifest = built.manifest
    counts = ", ".join(f"{sum(row.label == label for row in manifest.rows)} {label}" for label in manifest.labels)
    say(f"{len(manifest)} images of {len(manifest.patients)} patients: {counts}")
    say(f"manifest {out / 'manifest.csv'}")
    say(f"cohort   {out / 'cohort.md'}")
    for item in built.skipped:
        say(f"! {item.name} left out: {item.reason}")
    if built.skipped:
        say(f"{len(built.skipped)} {what} left out")
        raise typer.Exit(EXIT_SKIPPED)
