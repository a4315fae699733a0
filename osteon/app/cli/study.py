"""``osteon study``."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from osteon.app.cli.options import hinted
from osteon.app.cli.terminal import EXIT_SKIPPED, say, shown_progress
from osteon.systems.registry import SYSTEMS

__all__ = ["study"]

_STUDIES = ", ".join(stem for stem, each in SYSTEMS.items() if each.study)


def study(
    task: str = typer.Argument(..., help=f"The study: {_STUDIES}."),
    data: Path = typer.Option(
        ..., "--data", help="The data set: its folder (manifest, images, splits.json), or a manifest."
    ),
    out: Path = typer.Option(..., "-o", "--out", help="Folder of the study."),
    only: list[str] = typer.Option([], help=hinted("Only this part; repeatable.", "study --only")),
    strategy: list[str] = typer.Option([], help=hinted("Only this strategy; repeatable.", "study --strategy")),
    network: list[str] = typer.Option([], help=hinted("Only this network; repeatable.", "study --network")),
    arch: str = typer.Option("", help=hinted("Network.", "study --arch")),
    pretrained: str = typer.Option("", help=hinted("embedded, hub, none, or a weights file.", "study --pretrained")),
    settings: Path | None = typer.Option(None, help="TOML or YAML file of training settings."),
    changes: list[str] = typer.Option([], "--set", help="One training setting, as batch=8. Repeatable."),
    baseline_changes: list[str] = typer.Option(
        [], "--set-baseline", help=hinted("The same, of some networks only.", "study --set-baseline")
    ),
    classifier_changes: list[str] = typer.Option(
        [], "--set-classifier", help=hinted("The same, of some networks only.", "study --set-classifier")
    ),
    also: list[Path] = typer.Option(
        [], "--also", help=hinted("A further data set to evaluate on, never to learn from. Repeatable.", "study --also")
    ),
    ray: str = typer.Option("", "--ray", help="Ray cluster: an address, auto, or local to start one here."),
    cpus: float = typer.Option(1.0, min=0.1, help="CPUs that a fold asks of Ray."),
    gpus: float = typer.Option(0.0, min=0.0, help="GPUs that a fold asks of Ray."),
    resume: bool = typer.Option(False, "--resume", help="Go on with a study that is there."),
    skip_unreadable: bool = typer.Option(False, "--skip-unreadable", help="Leave out and count unreadable images."),
    as_json: bool = typer.Option(False, "--json", help="Print the tables' numbers as JSON."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
) -> None:
    """Repeat a paper's study on a data set: its tables, with both kinds of interval, beside the published values."""
    from osteon.io.settings_file import parse_assignments, read_settings_file
    from osteon.study.protocol import Choices
    from osteon.study.run import StudyJobs, run_study
    from osteon.systems.registry import study_protocol
    from osteon.train.launch import Cluster

    protocol = study_protocol(task)
    values = read_settings_file(settings) if settings is not None else {}
    choices = Choices(
        only=tuple(only),
        strategies=tuple(strategy),
        networks=tuple(network),
        architecture=arch,
        pretrained=pretrained,
        values=values | parse_assignments(changes),
        baseline_values=parse_assignments(baseline_changes),
        classifier_values=parse_assignments(classifier_changes),
        skip_unreadable=skip_unreadable,
        also=tuple(also),
    )
    jobs = StudyJobs(cluster=Cluster(ray, cpus=cpus, gpus=gpus) if ray else None, resume=resume)
    with shown_progress(quiet=quiet) as progress:
        outcome = run_study(protocol, data, out, choices, jobs=jobs, progress=progress)
    if as_json:
        typer.echo(json.dumps(outcome.document(), indent=1))
    else:
        for line in outcome.lines():
            say(line)
        say(f"report {outcome.page}")
    for sentence in outcome.errors:
        say(f"! {sentence}", err=True)
    if outcome.errors:
        raise typer.Exit(EXIT_SKIPPED)
