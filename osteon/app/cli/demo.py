"""``osteon demo``."""

from __future__ import annotations

from pathlib import Path

import typer

from osteon.app.cli.progress import shown_progress
from osteon.app.cli.read import tell
from osteon.app.cli.terminal import say

__all__ = ["register"]


def register(program: typer.Typer) -> None:
    """Add the verb."""

    @program.command()
    def demo(
        out: Path = typer.Option(Path("demo-result"), "-o", "--out", help="The result folder."),
        seed: int = typer.Option(1, min=0, help="Another seed makes another patient."),
        replace: bool = typer.Option(False, "--replace", help="Replace an earlier result at the same place."),
        quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
    ) -> None:
        """Make a synthetic patient as a DICOM series, read it, and leave the full result folder."""
        from osteon_phantoms.patient import read_demo

        say(f"A synthetic patient (seed {seed}) is made and read; it stands for no real one.")
        with shown_progress(quiet=quiet) as progress:
            case = read_demo(out, seed=seed, replace_old=replace, progress=progress)
        tell(case, as_json=False)
