"""``osteon dataset``: from labelled series to a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from osteon.app.cli.failure import EXIT_SKIPPED
from osteon.app.cli.progress import shown_progress
from osteon.app.cli.terminal import say

if TYPE_CHECKING:
    from osteon.training.datasets.ct_osteosarcoma import BuiltDataset

__all__ = ["build", "told_skipped", "wanted_planes"]


def build() -> typer.Typer:
    """The verb and what may follow it."""
    group = typer.Typer(name="dataset", help="Data sets to train on, from labelled series.")

    @group.callback()
    def _group() -> None:
        """Keep ``ct_osteosarcoma`` a word of its own while it is the only one."""

    group.command("ct_osteosarcoma")(_ct_osteosarcoma)
    return group


def wanted_planes(text: str) -> tuple[str, ...]:
    """Names between commas."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def told_skipped(built: BuiltDataset, out: Path) -> None:
    """Print what was made and what was left out; leave with code 3 when something was."""
    manifest = built.manifest
    counts = ", ".join(f"{sum(row.label == label for row in manifest.rows)} {label}" for label in manifest.labels)
    say(f"{len(manifest)} images of {len(manifest.patients)} patients: {counts}")
    say(f"manifest {out / 'manifest.csv'}")
    say(f"cohort   {out / 'cohort.md'}")
    for item in built.skipped:
        say(f"! {item.name} left out: {item.reason}")
    if built.skipped:
        say(f"{len(built.skipped)} series left out")
        raise typer.Exit(EXIT_SKIPPED)


def _ct_osteosarcoma(
    series: Path = typer.Argument(..., help="A folder with the series (DICOM in any layout, NIfTI), or a zip of one."),
    labels: Path = typer.Option(
        ...,
        "--labels",
        help="CSV: series, patient, and boxes (slice_first ... column_last), or slice and label, or label healthy. "
        "Voxels are counted from 0 as osteon read counts them; last is inside.",
    ),
    out: Path = typer.Option(..., "-o", "--out", help="The data set folder to make, or to go on with."),
    planes: str = typer.Option("axial,sagittal,coronal", help="Planes of the pictures, with commas."),
    every: int = typer.Option(1, min=1, help="Use each so-manieth slice of a leg and plane."),
    most: int = typer.Option(0, min=0, help="At most so many pictures of a leg and plane, evenly spaced; 0: all."),
    size: int = typer.Option(256, min=16, max=1024, help="Rows and columns of a picture."),
    workers: int = typer.Option(1, min=1, max=64, help="Processes."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
) -> None:
    """Cut labelled CT series of the legs into pictures, patients kept together, with manifest and cohort table."""
    from osteon.training.datasets.ct_osteosarcoma import BuildOptions
    from osteon.training.datasets.labelled_series import build_labelled

    options = BuildOptions(planes=wanted_planes(planes), every=every, most=most or None, size=size)
    with shown_progress(quiet=quiet) as progress:
        built, unused = build_labelled(series, labels, out, options=options, workers=workers, progress=progress)
    if unused:
        say(f"- {unused} series there are not in {labels.name}: not used")
    told_skipped(built, out)
