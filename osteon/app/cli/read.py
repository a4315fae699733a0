"""``osteon read``."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from osteon.app.cli.failure import EXIT_SKIPPED
from osteon.app.cli.progress import shown_progress
from osteon.app.cli.show import announce
from osteon.app.cli.terminal import say
from osteon.data.options import choices
from osteon.systems.registry import SYSTEMS

if TYPE_CHECKING:
    from osteon.data.options import Choice
    from osteon.reading import CaseResult

__all__ = ["register", "tell"]


def register(program: typer.Typer) -> None:
    """Add the verb; the options of the systems are those of their options dataclasses."""

    def read(  # typer reads this signature, the options of the systems are put before the last three
        study: Path = typer.Argument(
            ..., help="A DICOM folder (any layout), a zip of one, a DICOM or NIfTI file; a slide, or a picture of one."
        ),
        out: Path | None = typer.Option(None, "-o", "--out", help="The result folder. Default: NAME-result here."),
        series: str | None = typer.Option(
            None, help="Series Instance UID to read; default: the best one, with reasons."
        ),
        task: str | None = typer.Option(
            None,
            help=f"System to run: {', '.join(SYSTEMS)} (`osteon info` says what each reads); default: the one that "
            "fits the image best.",
        ),
        microns: float | None = typer.Option(
            None, min=0.01, max=100.0, help="Micrometres a pixel, of a slide or tile whose file does not say it."
        ),
        replace: bool = typer.Option(False, "--replace", help="Replace an earlier result at the same place."),
        as_json: bool = typer.Option(False, "--json", help="Print findings.json to stdout and nothing else."),
        quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
        **given: Any,  # noqa: ANN401 - options of the systems
    ) -> None:
        """Read one study or slide: what was found, how sure it is, report and objects, all in one result folder."""
        from osteon.reading import CaseOptions, read_case

        options = CaseOptions(
            series_uid=series,
            task=task,
            replace=replace,
            microns_per_pixel=microns,
            options={name: value for name, value in given.items() if value not in (None, False)},
        )
        result = out if out is not None else Path(f"{_plain_name(study) or 'study'}-result")
        with shown_progress(quiet=quiet or as_json) as progress:
            case = read_case(study, result, options=options, progress=progress)
        tell(case, as_json=as_json)

    own = list(inspect.signature(read, eval_str=True).parameters.values())[:-1]
    parameters = [*own[:-3], *_system_parameters(), *own[-3:]]
    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    read.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    read.__annotations__ = {each.name: each.annotation for each in parameters}
    program.command()(read)


def _system_parameters() -> list[inspect.Parameter]:
    """One parameter an option of any system; its help says whose it is where it is not everybody's."""
    found: dict[str, Choice] = {}
    having: dict[str, list[str]] = {}
    for stem, system in SYSTEMS.items():
        for choice in choices(system.options):
            found.setdefault(choice.name, choice)
            having.setdefault(choice.name, []).append(stem)
    return [_parameter(choice, having[name]) for name, choice in found.items()]


def _parameter(choice: Choice, stems: list[str]) -> inspect.Parameter:
    whose = "" if len(stems) == len(SYSTEMS) else f" [{', '.join(stems)}]"
    default = f" Default: {choice.default}." if choice.values else ""
    values: dict[str, Any] = {"metavar": "|".join(choice.values)} if choice.values else {}
    if choice.metavar:
        values["metavar"] = choice.metavar
    kind: Any = str if choice.kind is tuple else choice.kind
    if kind in (int, float):
        values |= {"min": choice.low, "max": choice.high}
    if kind is bool:  # a switch: given or not
        switch = typer.Option(False, choice.flag, help=f"{choice.help}{whose}")
        return inspect.Parameter(choice.name, inspect.Parameter.KEYWORD_ONLY, default=switch, annotation=bool)
    shown = typer.Option(None, choice.flag, help=f"{choice.help}{default}{whose}", show_default=False, **values)
    return inspect.Parameter(choice.name, inspect.Parameter.KEYWORD_ONLY, default=shown, annotation=kind | None)


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
        for notice in case.notices:
            say(f"{'! ' if notice.level == 'warning' else '- '}{notice.text}")
        typer.echo("")
        announce(case.folder)
    if case.skipped:
        raise typer.Exit(EXIT_SKIPPED)
