"""``osteon phantom``: one command a kind of phantom, and ``cohort`` for a study of many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from osteon.app.cli.options import chosen, parameter, set_parameters
from osteon.app.cli.phantom_cohort import add_cohort
from osteon.app.cli.progress import shown_progress
from osteon.app.cli.terminal import say
from osteon.data.options import choices, make_options
from osteon_phantoms.commands import COMMANDS

if TYPE_CHECKING:
    from osteon_phantoms.commands import PhantomCommand

__all__ = ["build"]


def build() -> typer.Typer:
    """The verb and what may follow it."""
    group = typer.Typer(name="phantom", help="Synthetic patients with exact truth. They stand for no real one.")
    for name, command in COMMANDS.items():
        _add(group, name, command)
    add_cohort(group)
    return group


def _add(group: typer.Typer, name: str, command: PhantomCommand) -> None:
    word, place = command.image

    def make(
        out: Path = typer.Option(..., "-o", "--out", help=f"The folder to make: {place} and truth/ in it."),
        quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
        **given: Any,  # noqa: ANN401 - options of the command
    ) -> None:
        from osteon.reading import new_result, require_free

        own = choices(command.options)
        switches = {each.name: given.pop(each.name) for each in own if each.kind is bool}
        options: Any = make_options(command.options, chosen(given) | switches)
        require_free(out, replace=False)
        with shown_progress(quiet=quiet) as progress, new_result(out, replace=False) as work:
            lines = command.write(options, work, progress)
        for line in (f"{word} {out / place}", f"truth  {out / 'truth'}", *lines):
            say(line)

    set_parameters(make, [parameter(each) for each in choices(command.options)], last=1)
    group.command(name, help=command.summary)(make)
