"""The program ``osteon`` and its verbs."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

import typer

from osteon import __version__
from osteon.app.cli.terminal import clean_up_when_stopped, keep_libraries_quiet, run_guarded, tolerate_any_text

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["build", "main"]

VERBS: Final = (
    "read", "show", "demo", "info", "curate", "split", "study", "evaluate", "consistency", "train",
    "models", "phantom", "dataset", "archive", "deidentify",
)  # fmt: skip
"""Each is a module beside this one; it gives a command (a function of its name) or a group of commands (``build``)."""


def _version(value: bool) -> None:
    if value:
        typer.echo(f"osteon {__version__}")
        raise typer.Exit


def build(verbs: Sequence[str] = VERBS) -> typer.Typer:
    """The program with its verbs; only their modules are imported."""
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

    for verb in verbs:
        module = import_module(f"osteon.app.cli.{verb}")
        if hasattr(module, "build"):
            program.add_typer(module.build())
        else:
            program.command(verb)(getattr(module, verb))
    return program


def main() -> None:
    """Entry point of the ``osteon`` command."""
    keep_libraries_quiet()
    tolerate_any_text()
    clean_up_when_stopped()
    asked = [word for word in sys.argv[1:2] if word in VERBS]
    sys.exit(run_guarded(build(asked or VERBS)))
