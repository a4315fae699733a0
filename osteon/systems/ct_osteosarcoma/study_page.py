"""A study's tables and its page, written anew from what is done so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon.report.results_page import ResultsPage, Section, write_results_page
from osteon.report.study_charts import Curve, Estimate, draw_estimates, draw_learning_curves
from osteon.study.page import SYNTHETIC, shown_warnings, state_notes, write_tables
from osteon.systems.ct_osteosarcoma.study import TITLE, printed_values, study_tables
from osteon.train.baselines import fields_only, known_fields, majority_class
from osteon.train.fold_job import classes_of
from osteon.train.judging import judge_folds
from osteon.train.run_data import is_synthetic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osteon.data import Predictions
    from osteon.metrics.bootstrap import Resampling
    from osteon.report.results_page import Picture
    from osteon.report.tables import Table
    from osteon.study.run import RunState, Study

__all__ = ["study_notes", "write_study"]

_MEASURES = {"auc": "ROC AUC", "tpr": "Sensitivity (TPR)", "tnr": "Specificity (TNR)"}


def study_notes(study: Study) -> tuple[str, ...]:
    """Sentences that every table of results carries."""
    split, manifest = study.split, study.manifest
    notes = []
    if is_synthetic(manifest):
        notes.append(SYNTHETIC)
    notes += split.warnings
    going_round = "the validation part" if split.scheme == "holdout" else "the test part"
    notes.append(
        f"{len(manifest)} images of {len(manifest.patients)} patients; {len(split.folds)} folds by {split.unit}, "
        f"{split.scheme}: {going_round} goes round."
    )
    return (*notes, *state_notes(study, [fold for run in study.runs for fold in run.folds]))


def write_study(study: Study, *, resampling: Resampling | None = None) -> tuple[Table, ...]:
    """Write tableN.md, tableN.csv, comparisons.*, index.html and the pictures into the study's folder.

    Returns:
        The tables, as written.

    Raises:
        OutputError: a file cannot be written.
    """
    predictions = {**study.predictions, **_trivial(study)}
    notes = study_notes(study)
    tables = study_tables(tuple(run.plan for run in study.runs), predictions, notes=notes, resampling=resampling)
    links = write_tables(study.folder, tables)
    pictures = _pictures(study, predictions, resampling)
    page = ResultsPage(
        title=TITLE,
        lead=_lead(study, predictions),
        warnings=shown_warnings(study, notes),
        sections=(
            Section("Results at a glance", pictures=pictures[:-1]),
            Section("The paper's tables", tables=tables[:3]),
            _comparisons(tables[3:]),
            Section("How the trainings went", pictures=pictures[-1:]),
        ),
        links=links,
    )
    write_results_page(study.folder / "index.html", page)
    return tables


def _trivial(study: Study) -> dict[str, Predictions]:
    """The baselines that look at no image."""
    settings = study.runs[0].plan.settings
    classes = classes_of(study.manifest, settings.positive)
    found = {
        "majority": majority_class(study.manifest, study.split, classes=classes, positive=settings.positive),
        "fields": fields_only(study.manifest, study.split, classes=classes, positive=settings.positive),
    }
    return {name: table for name, table in found.items() if table is not None}


def _comparisons(tables: Sequence[Table]) -> Section:
    """Run against run, or the reason why there is nothing to compare."""
    if any(table.rows for table in tables):
        return Section("Comparisons", tables=tuple(tables))
    return Section("Comparisons", ("Fewer than two runs are complete: there is nothing to compare.",))


def _lead(study: Study, predictions: dict[str, Predictions]) -> str:
    done = [name for name in predictions if name not in {"majority", "fields"}]
    planned = len(study.runs)
    said = f"1 planned run: {'complete' if done else 'not complete'}" if planned == 1 else ""
    said = said or f"{len(done)} of {planned} planned runs are complete"
    return said + ("." if done else ": nothing to show yet.")


def _pictures(study: Study, predictions: dict[str, Predictions], resampling: Resampling | None) -> tuple[Picture, ...]:
    mark = "SYNTHETIC DATA" if is_synthetic(study.manifest) else ""
    folder = study.folder / "figures"
    folder.mkdir(exist_ok=True)
    judged = {name: judge_folds(table, resampling=resampling) for name, table in predictions.items()}
    titles = {"majority": "majority class", "fields": f"fields only ({len(known_fields(study.manifest))})"}
    printed = printed_values()
    pictures = []
    for key, title in _MEASURES.items():
        rows = [
            Estimate(
                titles.get(name, name),
                measured[key].over_folds.mean,
                (measured[key].over_folds.low, measured[key].over_folds.high),
                (measured[key].over_patients.low, measured[key].over_patients.high),
                printed.get((name, key)),
            )
            for name, measured in judged.items()
        ]
        pictures.append(draw_estimates(folder / f"{key}.png", title, rows, mark=mark))
    curves = [curve for run in study.runs for curve in _curves(run)]
    pictures.append(draw_learning_curves(folder / "learning.png", curves, mark=mark))
    return tuple(pictures)


def _curves(run: RunState) -> list[Curve]:
    curves = []
    for fold in run.folds:
        stages = [record.stage for record in fold.history]
        begun = tuple(
            record.epoch for record, before in zip(fold.history[1:], stages, strict=False) if record.stage != before
        )
        aucs = tuple(record.validation_auc for record in fold.history)
        curves.append(Curve(run.plan.name, aucs, fold.best_epoch, begun))
    return curves
