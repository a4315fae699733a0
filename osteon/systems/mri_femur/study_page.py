"""The tables of the femur study and its page, written anew from what is done so far."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from osteon.metrics.classification import confusion_at, roc_auc, roc_curve
from osteon.report.results_page import ResultsPage, Section, write_results_page
from osteon.report.roc_chart import PrintedPoint, RocLine, draw_roc
from osteon.report.study_charts import Curve, Estimate, draw_estimates, draw_learning_curves
from osteon.study.page import SYNTHETIC, shown_warnings, state_notes, write_tables
from osteon.systems.mri_femur.dataset import INTERMEDIATE, LOOK_COLUMN
from osteon.systems.mri_femur.published import MEASURES, printed_femur
from osteon.systems.mri_femur.study import HOLDOUT_SUFFIX, PAPER_NETWORKS, TITLE
from osteon.systems.mri_femur.study_tables import TRIVIAL, femur_tables, network_words
from osteon.train.baselines import fields_only, majority_class
from osteon.train.fold_job import classes_of
from osteon.train.judging import judge_folds
from osteon.train.run_data import is_synthetic, synthetic_words
from osteon.train.settings import TrainSettings

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Predictions, Split
    from osteon.metrics.bootstrap import Resampling
    from osteon.report.results_page import Picture
    from osteon.report.tables import Table
    from osteon.study.run import RunState, Study

__all__ = ["write_femur"]

_PAPER_FOLDS: Final = 10
_PAPER: Final = ("image_size", "batch", "epochs", "learning_rate", "optimiser", "schedule", "configuration", "patience")
_SHOWN: Final = {"accuracy": "Accuracy", "auc": "ROC AUC"}
_OURS: Final = (
    "GoogLeNet is torchvision's, without auxiliary heads. Both networks of the paper begin with random weights; "
    "{others} begins with {start}."
)


def write_femur(study: Study, *, resampling: Resampling | None = None) -> tuple[Table, ...]:
    """Write tables, comparisons, index.html and the pictures into the study's folder.

    Returns:
        The tables, as written.

    Raises:
        OutputError: a file cannot be written.
    """
    predictions = {**study.predictions, **_trivial(study)}
    notes = {"folds": _notes(study, "folds"), "holdout": _notes(study, "holdout")}
    states = {run.plan.name: _word(run) for run in study.runs}
    plans = [run.plan for run in study.runs]
    tables = femur_tables(plans, predictions, states, notes=notes, resampling=resampling)
    links = write_tables(study.folder, tables)
    *results, comparisons, checks = tables
    figures = study.folder / "figures"
    figures.mkdir(exist_ok=True)
    pictures = _pictures(study, predictions, figures, resampling)
    against = (
        Section("Comparisons", tables=(comparisons,))
        if comparisons.rows
        else Section("Comparisons", ("Fewer than two networks are complete: there is nothing to compare.",))
    )
    page = ResultsPage(
        title=TITLE,
        lead=_lead(study),
        warnings=tuple(dict.fromkeys(w for some in notes.values() for w in shown_warnings(study, some))),
        sections=(
            Section("Results at a glance", pictures=pictures[:-1]),
            Section("The paper's table, in both of its protocols", tables=tuple(results)),
            against,
            Section("What the paper prints", tables=(checks,)),
            Section("How the trainings went", pictures=pictures[-1:]),
        ),
        links=links,
    )
    write_results_page(study.folder / "index.html", page)
    return tables


def _notes(study: Study, scheme: str) -> tuple[str, ...]:
    """Sentences for the tables of a scheme; what kind of data these are comes first."""
    manifest = study.manifest
    said = [SYNTHETIC] if is_synthetic(manifest) else list(synthetic_words(manifest))
    split = study.split if scheme == "folds" else study.holdout
    runs = [run for run in study.runs if run.plan.scheme == scheme]
    if split is None or not runs:
        return tuple(said)
    malignant = sum(row.label == runs[0].plan.settings.positive for row in manifest.rows)
    images = f"{len(manifest)} images ({malignant} malignant) of {len(manifest.patients)} patients"
    said += split.warnings
    if scheme == "folds":
        going = "the validation part" if split.scheme == "holdout" else "the test part"
        other = "" if len(split.folds) == _PAPER_FOLDS else f" (paper: {_PAPER_FOLDS})"
        said.append(f"{images}; {len(split.folds)} folds{other} by {split.unit}, {split.scheme}: {going} goes round.")
    else:
        fold = split.folds[0]
        said.append(
            f"{images}: {len(fold.train)} patients to learn from, {len(fold.validation)} to choose the epoch by, "
            f"{len(fold.test)} to judge by (paper: 300 and 200 images)."
        )
    count = sum(row.extra.get(LOOK_COLUMN) == INTERMEDIATE for row in manifest.rows)
    said += [f"{count} images of intermediate lesions count as benign."] if count else []
    said += _other_settings(runs)
    return tuple(dict.fromkeys((*said, *state_notes(study, [fold for run in runs for fold in run.folds]))))


def _other_settings(runs: list[RunState]) -> list[str]:
    """What differs from the paper's settings, and how the networks begin that are not the paper's."""
    said: list[str] = []
    for run in runs:
        settings = run.plan.settings
        if settings.architecture in PAPER_NETWORKS:
            paper = TrainSettings(task=settings.task, architecture=settings.architecture)
            other = [
                f"{name} {getattr(settings, name)} (paper or its reading: {getattr(paper, name)})"
                for name in _PAPER
                if getattr(settings, name) != getattr(paper, name)
            ]
            said += [f"Other than in the paper: {'; '.join(other)}."] if other else []
        else:
            start = {"embedded": "ImageNet weights", "none": "random weights"}.get(settings.pretrained, "other weights")
            said.append(
                _OURS.format(others=settings.architecture, start=start)
                + f" It is trained with {settings.optimiser}, rate {settings.learning_rate:g}, at most "
                f"{settings.epochs} epochs, batch {settings.batch}."
            )
    return list(dict.fromkeys(said))


def _trivial(study: Study) -> dict[str, Predictions]:
    """The baselines that look at no image, in both schemes."""
    positive = study.runs[0].plan.settings.positive
    classes = classes_of(study.manifest, positive)
    found: dict[str, Predictions] = {}
    schemes: dict[str, Split | None] = {"": study.split, HOLDOUT_SUFFIX: study.holdout}
    for suffix, split in schemes.items():
        if split is not None:
            found[f"majority{suffix}"] = majority_class(study.manifest, split, classes=classes, positive=positive)
            fields = fields_only(study.manifest, split, classes=classes, positive=positive)
            if fields is not None:
                found[f"fields{suffix}"] = fields
    return found


def _word(run: RunState) -> str:
    """How far a run is that has no result."""
    return "failed" if any(fold.state == "failed" for fold in run.folds) else "not trained yet"


def _lead(study: Study) -> str:
    done, planned = len(study.predictions), len(study.runs)
    return f"{done} of {planned} planned rows are complete{'.' if done else ': nothing to show yet.'}"


def _pictures(
    study: Study, predictions: dict[str, Predictions], folder: Path, resampling: Resampling | None
) -> tuple[Picture, ...]:
    """ROC curves, measures with their intervals, and how the trainings went, which comes last."""
    mark = "SYNTHETIC DATA" if is_synthetic(study.manifest) else ""
    pictures = []
    for scheme, words in (("folds", "cross-validation"), ("holdout", "one division")):
        runs = [run for run in study.runs if run.plan.scheme == scheme and run.plan.name in predictions]
        if runs:
            lines = [_line(run, predictions[run.plan.name]) for run in runs]
            path = folder / f"roc_{scheme}.png"
            pictures.append(draw_roc(path, f"ROC, {words} by patient", lines, _points(), mark=mark))
            pictures += _estimates(runs, scheme, words, predictions, folder, mark, resampling)
    curves = [
        Curve(run.plan.name, tuple(record.validation_auc for record in fold.history), fold.best_epoch)
        for run in study.runs
        for fold in run.folds
        if fold.history
    ]
    return (*pictures, draw_learning_curves(folder / "learning.png", curves, mark=mark))


def _line(run: RunState, table: Predictions) -> RocLine:
    test = table.of(part="test")
    curve = roc_curve(test.is_positive, test.probability)
    at = confusion_at(test.is_positive, test.probability, 0.5)
    return RocLine(
        network_words(run.plan.settings.architecture),
        curve.false_positive_rate,
        curve.true_positive_rate,
        (1 - at.specificity, at.sensitivity),
        f"AUC {roc_auc(test.is_positive, test.probability):.3f}",
    )


def _points() -> list[PrintedPoint]:
    return [
        PrintedPoint(
            row.name,
            float(row.values["sensitivity"]) / 100,
            float(row.values["specificity"]) / 100,
            float(row.values["auc"]),
        )
        for row in printed_femur().values()
    ]


def _estimates(
    runs: list[RunState],
    scheme: str,
    words: str,
    predictions: dict[str, Predictions],
    folder: Path,
    mark: str,
    resampling: Resampling | None,
) -> list[Picture]:
    """Accuracy and AUC of the networks and of what needs no image, printed values beneath."""
    suffix = HOLDOUT_SUFFIX if scheme == "holdout" else ""
    named = {run.plan.name: network_words(run.plan.settings.architecture) for run in runs}
    named |= {f"{name}{suffix}": text for name, text in TRIVIAL.items() if f"{name}{suffix}" in predictions}
    of_network = {run.plan.name: run.plan.settings.architecture for run in runs}
    measures = tuple(MEASURES[name] for name in _SHOWN)
    judged = {name: judge_folds(predictions[name], measures=measures, resampling=resampling) for name in named}
    printed = printed_femur()
    pictures = []
    for name, title in _SHOWN.items():
        rows = []
        for run, text in named.items():
            found = judged[run][MEASURES[name]]
            row = printed.get(of_network.get(run, ""))
            value = math.nan if row is None else float(row.values[name]) / (1 if name == "auc" else 100)
            folds = (found.over_folds.low, found.over_folds.high)
            patients = (found.over_patients.low, found.over_patients.high)
            rows.append(
                Estimate(text, found.over_folds.mean, folds, patients, None if row is None else (value, value, value))
            )
        pictures.append(draw_estimates(folder / f"{name}_{scheme}.png", f"{title}, {words}", rows, mark=mark))
    return pictures
