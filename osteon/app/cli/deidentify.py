"""``osteon deidentify``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from osteon.app.cli.terminal import EXIT_SKIPPED, say, shown_progress

if TYPE_CHECKING:
    from osteon.io.deidentify_files import DeidentifiedFiles

__all__ = ["deidentify"]


def deidentify(
    source: Path = typer.Argument(..., help="A folder, a DICOM file or a zip; never changed."),
    out: Path = typer.Option(..., "-o", "--out", help="Folder for the copies: PATIENT/STUDY/SERIES/INSTANCE."),
    key: Path = typer.Option(
        ..., "--key", help="The secret that pseudonyms follow from; made when it and the output are not there yet."
    ),
    keep: str = typer.Option(
        "descriptions,patient,dates",
        help="What stays, with commas between: descriptions (known words), patient (sex, age, size), dates (shifted), "
        "real-dates, device, institution, uids, private (safe numbers); none for nothing of these.",
    ),
    pixels_checked: bool = typer.Option(
        False, "--pixels-checked", help="You have looked for burnt-in text in every image; each copy will say so."
    ),
    table: bool = typer.Option(False, "--table", help="Write who is who beside the key: KEY.patients.csv."),
    as_json: bool = typer.Option(False, "--json", help="Print the counts as JSON."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
) -> None:
    """Copy DICOM files without what tells who the patient is (PS3.15 E.1-1). The same key gives the same pseudonyms."""
    from osteon.io.deidentify_files import deidentify_files
    from osteon.io.dicom.deidentify import DeidentifyOptions, keep_of

    options = DeidentifyOptions(keep=keep_of(keep), pixels_checked=pixels_checked)
    with shown_progress(quiet=quiet) as progress:
        done = deidentify_files(source, out, key, options, with_table=table, progress=progress)
    if as_json:
        typer.echo(json.dumps(done.document(), indent=1))
    else:
        _tell(done, out, key)
    if done.left_out:
        raise typer.Exit(EXIT_SKIPPED)


def _tell(done: DeidentifiedFiles, out: Path, key: Path) -> None:
    say(f"{len(done.files)} files of {len(done.pseudonyms)} patients in {out}")
    for what, count in sorted(done.counts.items()):
        say(f"{what:<10}{count:>10} elements")
    if done.unchecked:
        say(f"! {done.unchecked} files have pixels that nobody has checked for burnt-in text: each says so of itself")
    for name, reason in done.left_out:
        say(f"! {name} left out: {reason}")
    say(f"key {key}: keep it apart from the copies; a lost key cannot be made again")
