"""``osteon evaluate``."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from osteon.app.cli.terminal import say

__all__ = ["evaluate"]


def evaluate(
    run: Path = typer.Argument(..., help="Folder of a run (osteon train)."),
    data: Path = typer.Option(..., "--data", help="The data set that the run was trained on: folder or manifest."),
    out: Path | None = typer.Option(None, "--out", "-o", help="Folder to write to. Default: RUN/evaluation."),
    by: list[str] = typer.Option([], help="One more column of the manifest for the subgroups. Repeatable."),
    split: Path | None = typer.Option(None, help="splits.json, when it is elsewhere."),
    repeats: int = typer.Option(2000, min=1, help="Resamples of the patient bootstrap."),
    seed: int = typer.Option(1, min=0, help="Of the bootstrap."),
    as_json: bool = typer.Option(False, "--json", help="Print metrics.json instead of a table."),
) -> None:
    """Evaluate a run on its test part: measures with intervals, calibration, decisions, subgroups, baselines.

    Of segmenters: the measures of each map by fold and by patient, and the images with the lowest Dice.
    """
    from osteon.metrics.bootstrap import Resampling
    from osteon.report.evaluation import REPORT_NAME
    from osteon.study.evaluate import evaluate_into
    from osteon.train.run import open_run

    found = open_run(run, data, split=split)
    done = evaluate_into(found, out, by=by, resampling=Resampling(repeats=repeats, seed=seed))
    if as_json:
        typer.echo(json.dumps(done.document, indent=1))
        return
    table = done.table
    say(table.title)
    widths = [max(len(row[k]) for row in (table.columns, *table.rows)) for k in range(len(table.columns))]
    for row in (table.columns, *table.rows):
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for warning in done.document["warnings"]:
        say(f"! {warning}")
    say(f"report {done.folder / REPORT_NAME}")
