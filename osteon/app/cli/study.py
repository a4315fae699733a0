"""``osteon study``."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from osteon.app.cli.terminal import EXIT_SKIPPED, say, shown_progress

__all__ = ["study"]


def study(
    task: str = typer.Argument(..., help="The study: ct_osteosarcoma, ct_metastasis, histology or mri_femur."),
    data: Path = typer.Option(
        ..., "--data", help="The data set: its folder (manifest, images, splits.json), or a manifest."
    ),
    out: Path = typer.Option(..., "-o", "--out", help="Folder of the study."),
    only: list[str] = typer.Option(
        [],
        help="Only this part. ct_osteosarcoma: a configuration (C F CA CE CAE FAE), or baselines; ct_metastasis: "
        "segmentation, classification, or a run, as hybrid_attunetpp; mri_femur: folds or holdout; "
        "histology: networks, augmentation, patient, tile or literal. Repeatable.",
    ),
    strategy: list[str] = typer.Option([], help="Only this strategy (ft, lp-ft, g-lf) of ct_osteosarcoma. Repeatable."),
    network: list[str] = typer.Option(
        [],
        help="Network of the baselines (default: the paper's four), or of mri_femur (default: three) and "
        "histology (default: those with weights at hand). Repeatable.",
    ),
    arch: str = typer.Option("", help="Network that is fine-tuned in ct_osteosarcoma; default: mobilenet_v2."),
    pretrained: str = typer.Option(
        "", help="embedded, hub, none, or a weights file; default: embedded, in ct_metastasis hub."
    ),
    settings: Path | None = typer.Option(None, help="TOML or YAML file of training settings."),
    changes: list[str] = typer.Option([], "--set", help="One training setting, as batch=8. Repeatable."),
    baseline_changes: list[str] = typer.Option(
        [], "--set-baseline", help="The same, for the baselines of table 1; of mri_femur for networks not its paper's."
    ),
    classifier_changes: list[str] = typer.Option(
        [], "--set-classifier", help="The same, for the classifiers of ct_metastasis."
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
    from osteon.study.protocol import Choices
    from osteon.study.run import StudyJobs, run_study
    from osteon.systems.registry import study_protocol
    from osteon.train.launch import Cluster
    from osteon.train.settings import parse_assignments, read_settings_file

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
