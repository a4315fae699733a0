"""The program ``osteon`` and its verbs."""

from __future__ import annotations

import sys

import typer

from osteon import __version__
from osteon.app.cli import (
    consistency,
    curate,
    dataset,
    demo,
    evaluate,
    info,
    models,
    phantom,
    read,
    show,
    split,
    study,
    train,
)
from osteon.app.cli.failure import clean_up_when_stopped, run_guarded
from osteon.app.cli.logs import keep_libraries_quiet
from osteon.app.cli.terminal import tolerate_any_text

__all__ = ["build", "main"]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"osteon {__version__}")
        raise typer.Exit


def build() -> typer.Typer:
    """The program with all its verbs."""
    program = typer.Typer(
        name="osteon",
        help="Open software for bone-tumour imaging. Decision support for research: it never gives a diagnosis.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @program.callback()
    def _root(
        version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    ) -> None:
        del version

    for verb in (read, show, demo, info, curate, split, study, evaluate, consistency, train):
        verb.register(program)
    for group in (models, phantom, dataset):
        program.add_typer(group.build())
    return program


def main() -> None:
    """Entry point of the ``osteon`` command."""
    keep_libraries_quiet()
    tolerate_any_text()
    clean_up_when_stopped()
    sys.exit(run_guarded(build()))
