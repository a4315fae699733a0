"""``osteon consistency``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from osteon.app.cli.terminal import EXIT_SKIPPED, say
from osteon.errors import InputError

if TYPE_CHECKING:
    from osteon.metrics.consistency import Consistency

__all__ = ["consistency"]


def consistency(
    accuracy: str | None = typer.Option(None, help="As published: 98.34, 98.34% or 0.9834; trailing zeros count."),
    sensitivity: str | None = typer.Option(None, help="As published; also called recall or TPR."),
    specificity: str | None = typer.Option(None, help="As published; also called TNR."),
    precision: str | None = typer.Option(None, help="As published; also called PPV."),
    f1: str | None = typer.Option(None, help="As published."),
    auc: str | None = typer.Option(None, help="As published."),
    positives: int | None = typer.Option(None, help="Number of positive cases; goes with --negatives."),
    negatives: int | None = typer.Option(None, help="Number of negative cases; goes with --positives."),
    total: int | None = typer.Option(None, help="Number of all cases, where the split is not known."),
    prevalence: tuple[float, float] | None = typer.Option(
        None, help="Smallest and largest share of positives, where no number is known."
    ),
    allowance: float = typer.Option(
        0.0, help="Percentage points that every value may be off beyond rounding: for means over folds."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Say whether any confusion matrix gives published numbers; ends with 3 when none does."""
    from osteon.metrics.consistency import Classes, PublishedRates, check

    named = {
        "accuracy": accuracy,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "precision": precision,
        "f1": f1,
        "auc": auc,
    }
    published: PublishedRates = {name: text for name, text in named.items() if text is not None}  # type: ignore[assignment]
    try:
        found = check(
            classes=Classes(positives=positives, negatives=negatives, total=total, prevalence=prevalence),
            allowance_points=allowance,
            **published,
        )
    except InputError as error:
        raise typer.BadParameter(str(error)) from error
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        _tell(found)
    if not found.possible:
        raise typer.Exit(EXIT_SKIPPED)


def _tell(found: Consistency) -> None:
    say("possible" if found.possible else "impossible")
    for violation in found.violations:
        say(f"  {violation.message}")
    if found.matrix is not None:
        tp, fn, fp, tn = found.matrix
        many = "" if found.matrices is None else f", one of {found.matrices} that fit"
        rest = "" if found.possible else " gives the rates, though not the AUC"
        say(f"  tp {tp}, fn {fn}, fp {fp}, tn {tn} ({tp + fn + fp + tn} cases{many}){rest}")
    if found.positive_share is not None:
        low, high = found.positive_share
        say(f"  share of positives: {low:.4f}" + (f" to {high:.4f}" if high > low else ""))
    if found.auc_range is not None:
        low, high = found.auc_range
        say(f"  AUC of a ROC curve through the point: {low:.4f} to {high:.4f}")
    for note in found.notes:
        say(f"  note: {note}")
