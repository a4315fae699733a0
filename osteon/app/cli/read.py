"""``osteon read``."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from osteon.app.cli.options import parameter, set_parameters
from osteon.app.cli.show import announce
from osteon.app.cli.terminal import EXIT_SKIPPED, say, shown_progress
from osteon.data.options import choices
from osteon.systems.registry import READERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from osteon.data.options import Choice
    from osteon.reading import CaseResult

__all__ = ["read", "tell"]


def read(
    study: Path = typer.Argument(
        ..., help="A DICOM folder (any layout), a zip of one, a DICOM or NIfTI file; a slide, or a picture of one."
    ),
    out: Path | None = typer.Option(None, "-o", "--out", help="The result folder. Default: NAME-result here."),
    series: str | None = typer.Option(None, help="Series Instance UID to read; default: the best one, with reasons."),
    task: str | None = typer.Option(
        None,
        help=f"System to run: {', '.join(READERS)} (`osteon info` says what each reads); default: the one that "
        "fits the image best.",
    ),
    microns: float | None = typer.Option(
        None, min=0.01, max=100.0, help="Micrometres a pixel, of a slide or tile whose file does not say it."
    ),
    rtstruct: bool = typer.Option(
        False, "--rtstruct", help="Also write every mask as contours, a DICOM RT Structure Set (rtstruct.dcm)."
    ),
    replace: bool = typer.Option(False, "--replace", help="Replace an earlier result in the same folder."),
    as_json: bool = typer.Option(False, "--json", help="Print findings.json to stdout and nothing else."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
    **given: Any,  # noqa: ANN401 - options of the systems
) -> None:
    """Read one study or slide: what was found, how sure it is, report and objects, all in one result folder."""
    from osteon.reading import CaseOptions, read_case

    own = {name: value for name, value in given.items() if value is not None and value is not False}
    options = CaseOptions(
        series_uid=series,
        task=task,
        replace=replace,
        microns_per_pixel=microns,
        rtstruct=rtstruct,
        options=own,
        command=_command(
            {"--series": series, "--task": task, "--microns": microns, "--rtstruct": rtstruct, "--replace": replace},
            own,
        ),
    )
    result = out if out is not None else Path(f"{_plain_name(study) or 'study'}-result")
    with shown_progress(quiet=quiet or as_json) as progress:
        case = read_case(study, result, options=options, progress=progress)
    tell(case, as_json=as_json)


def _command(general: Mapping[str, object], own: Mapping[str, object]) -> str:
    """The command line in one spelling; for files and folders, whose names may be those of patients, stands a word."""
    flags = {one.name: one.flag for each in READERS.values() for one in choices(each.options)}
    given = {**general, **{flags[name]: value for name, value in own.items()}}
    words = [
        flag if value is True else f"{flag} {'FILE' if isinstance(value, Path) else shlex.quote(str(value))}"
        for flag, value in given.items()
        if value is not None and value is not False
    ]
    return " ".join(["osteon read STUDY -o RESULT", *words])


def _system_parameters() -> list[inspect.Parameter]:
    """One parameter an option of any system; its help says whose it is where it is not everybody's."""
    found: dict[str, Choice] = {}
    having: dict[str, list[str]] = {}
    for stem, system in READERS.items():
        for choice in choices(system.options):
            found.setdefault(choice.name, choice)
            having.setdefault(choice.name, []).append(stem)
    notes = {name: "" if len(stems) == len(READERS) else f" [{', '.join(stems)}]" for name, stems in having.items()}
    return [parameter(choice, note=notes[name]) for name, choice in found.items()]


set_parameters(read, _system_parameters(), last=4)


def _plain_name(study: Path) -> str:
    """The name without the ending of an image file; a folder named by a UID keeps its dots."""
    return re.sub(
        r"\.(zip|dcm|nii|nii\.gz|svs|ndpi|mrxs|scn|bif|tiff?|jpe?g|png|bmp)$",
        "",
        study.name.lstrip("."),
        flags=re.IGNORECASE,
    )


def tell(case: CaseResult, *, as_json: bool) -> None:
    """Print what was found and where the result is; leave with code 3 when parts were skipped."""
    if as_json:
        typer.echo(json.dumps(case.findings, indent=2))
    else:
        say(case.answer.headline)
        if case.answer.is_demo:
            say("Demo model. Not valid for patients.")
        for notice in case.notices:
            say(f"{'! ' if notice.level == 'warning' else '- '}{notice.text}")
        typer.echo("")
        announce(case.folder)
    if case.skipped:
        raise typer.Exit(EXIT_SKIPPED)
