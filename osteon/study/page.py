"""The files of a study that show what it has come to: tables, pictures, the page, written anew each time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from osteon.report.blocks import Section, results_document, table_csv, table_markdown
from osteon.report.charts import Curve, Estimate, draw_estimates, draw_learning_curves
from osteon.report.page import write_page
from osteon.train.objectives.classify import classes_of
from osteon.train.performance import fields_only, majority_class
from osteon.train.run import is_synthetic, synthetic_text
from osteon.train.run_folder import write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from osteon.data import Manifest, Predictions, Split
    from osteon.metrics.bootstrap import Resampling
    from osteon.report.blocks import Picture, Table
    from osteon.study.plan import RunState, Study
    from osteon.study.protocol import StudyProtocol
    from osteon.study.tables import ResultRow

__all__ = [
    "SYNTHETIC",
    "data_notes",
    "division_note",
    "draw_measures",
    "draw_trainings",
    "other_settings",
    "shown_warnings",
    "state_notes",
    "training_curves",
    "trivial_predictions",
    "write_study",
]

SYNTHETIC = (
    "SYNTHETIC: these are phantoms. The numbers prove the protocol and its software; they say nothing of patients."
)
"""Stands in every table of a study of phantoms."""


def write_study(protocol: StudyProtocol, study: Study, *, resampling: Resampling | None = None) -> tuple[Table, ...]:
    """Write the tables as NAME.md and NAME.csv, the pictures, and index.html into the study's folder.

    Raises:
        InputError: an image that is shown is not there any more.
        OutputError: a file cannot be written.
    """
    study.figures.mkdir(exist_ok=True)
    results = protocol.results(study, resampling)
    tables = tuple(table for section in results.sections for table in section.tables)
    writers = {"md": table_markdown, "csv": table_csv}
    files = [(f"{table.name}.{suffix}", write(table)) for table in tables for suffix, write in writers.items()]
    for name, text in files:
        write_text(study.place.folder / name, text)
    sections = []
    for part in results.sections:
        is_empty = part.empty and not any(table.rows for table in part.tables)
        words, shown = ((part.empty,), ()) if is_empty else ((), part.tables)
        sections.append(Section(part.title, words, shown, part.pictures))
    done = f"{results.done} of {results.planned} planned rows are complete"
    page = results_document(
        protocol.title,
        f"{done}{results.said or ('.' if results.done else ': nothing to show yet.')}",
        warnings=dict.fromkeys(results.warnings),
        sections=sections,
        links=[(name, "") for name, _ in files],
    )
    write_page(study.place.folder / "index.html", page)
    return tables


# --------------------------------------------------------------------------------------------------------------- notes


def data_notes(manifest: Manifest) -> tuple[str, ...]:
    """What kind of data these are, where that must be said."""
    return (SYNTHETIC,) if is_synthetic(manifest) else synthetic_text(manifest)


def division_note(images: str, split: Split, *, other: str = "") -> str:
    """How the folds are made of what is divided, in words, with ``other`` words behind their number."""
    going = "the validation part" if split.scheme == "holdout" else "the test part"
    return f"{images}; {len(split.folds)} folds{other} by {split.unit}, {split.scheme}: {going} goes round."


def other_settings(settings: Any, paper: Any, names: Iterable[str], *, source: str = "paper") -> list[str]:  # noqa: ANN401  # of either kind
    """Settings that are not the paper's, as "epochs 1 (paper: 60)"."""
    return [
        f"{name} {getattr(settings, name)} ({source}: {getattr(paper, name)})"
        for name in names
        if getattr(settings, name) != getattr(paper, name)
    ]


def state_notes(study: Study, runs: Iterable[RunState]) -> tuple[str, ...]:
    """What was left out, what failed, what is not trained yet."""
    folds = [fold for run in runs for fold in run.folds]
    notes = []
    unreadable = max((fold.images.get("unreadable", 0) for fold in folds), default=0)
    if unreadable:
        notes.append(f"{unreadable} image(s) could not be read and were left out (--skip-unreadable).")
    notes += [f"FAILED: {error}" for error in study.errors]
    waiting = sum(fold.state in {"absent", "running"} for fold in folds)
    if waiting:
        notes.append(f"{waiting} fold(s) are not trained yet: --resume goes on.")
    return tuple(notes)


def shown_warnings(study: Study, notes: Sequence[str]) -> tuple[str, ...]:
    """Of the notes those that nobody may miss."""
    known = study.place.splits["folds"].warnings
    return tuple(note for note in notes if note.startswith(("SYNTHETIC", "FAILED")) or note in known)


def trivial_predictions(study: Study, split: Split) -> dict[str, Predictions]:
    """The baselines that look at no image: "majority", and "fields" where any is known."""
    positive = next(run.plan.settings.positive for run in study.runs if hasattr(run.plan.settings, "positive"))
    classes = classes_of(study.manifest, positive)
    found = {
        "majority": majority_class(study.manifest, split, classes=classes, positive=positive),
        "fields": fields_only(study.manifest, split, classes=classes, positive=positive),
    }
    return {name: table for name, table in found.items() if table is not None}


# ------------------------------------------------------------------------------------------------------------- pictures


def draw_measures(
    study: Study,
    rows: Sequence[ResultRow],
    titles: Mapping[str, str],
    *,
    file: str = "{}",
    folds: bool = True,
    whole: bool = False,
) -> list[Picture]:
    """A picture a measure: each run that has a result with its intervals, what is published beneath it.

    Args:
        study: of the runs.
        rows: of its tables; the first of their heads names a run.
        titles: of the pictures, by measure.
        file: name of a picture's file, with {} for the measure.
        folds: show the mean over folds.
        whole: the bootstrap is of all test images together, not of the mean over folds.

    Raises:
        OutputError: a picture cannot be written.
    """
    pictures = []
    for key, title in titles.items():
        estimates = []
        for row in rows:
            if row.measured is None:
                continue
            over, patients = row.measured[key].over_folds, row.measured[key].over_patients
            estimates.append(
                Estimate(
                    row.heads[0],
                    over.mean if folds else math.nan,
                    (over.low, over.high) if folds else (math.nan, math.nan),
                    (patients.low, patients.high),
                    row.published.interval(key) if row.published else None,
                    patients.value if whole else None,
                )
            )
        if estimates:
            path = study.figures / f"{file.format(key)}.png"
            pictures.append(draw_estimates(path, title, estimates, mark=study.mark))
    return pictures


def draw_trainings(study: Study, runs: Iterable[RunState], *, name: str = "learning") -> list[Picture]:
    """The monitored measure by epoch, of all folds of runs of one kind; no picture where no epoch has ended.

    Raises:
        OutputError: the picture cannot be written.
    """
    curves, words = training_curves(runs)
    path = study.figures / f"{name}.png"
    return [draw_learning_curves(path, curves, measure=words, mark=study.mark)] if curves else []


def training_curves(runs: Iterable[RunState]) -> tuple[list[Curve], str]:
    """The monitored measure by epoch of all folds of runs of one kind, and its name in capitals; "" where none is."""
    curves, measure = [], ""
    for run in runs:
        for fold in run.folds:
            stages = [record.stage for record in fold.history]
            changes = zip(fold.history[1:], stages, stages[1:], strict=False)
            begun = tuple(record.epoch for record, before, now in changes if now != before)
            values = tuple(record.monitored for record in fold.history)
            if values:
                measure = next(iter(fold.history[0].measures))
                curves.append(Curve(run.plan.name, values, fold.best_epoch, begun))
    return curves, measure.rpartition("_")[2].upper()
