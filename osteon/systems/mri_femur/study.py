"""The protocol of the paper on femoral tumours in MRI: which trainings its table takes, and the table beside it.

The text says ten-fold cross-validation, the table 300 training and 200 test images: both are run, by patient. Beside
the paper's two networks stands one that begins with ImageNet weights.

References:
    Spec mri-femur, sections 1, 3 and 4.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from osteon.metrics.classification import confusion_at, roc_auc, roc_curve
from osteon.metrics.text import PERCENT
from osteon.report.blocks import Table
from osteon.report.charts import PublishedPoint, RocLine, draw_roc
from osteon.study import page, tables
from osteon.study.plan import PlannedRun
from osteon.study.protocol import Division, Results, StudyProtocol, StudySection, check_parts, check_settings
from osteon.study.published import read_published
from osteon.systems.mri_femur.dataset import INTERMEDIATE, LOOK_COLUMN
from osteon.systems.mri_femur.recipe import RECIPE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from osteon.data import Manifest, Predictions
    from osteon.metrics.bootstrap import Resampling
    from osteon.metrics.text import Scale
    from osteon.report.blocks import Picture
    from osteon.study.plan import RunState, Study
    from osteon.study.protocol import Choices
    from osteon.train.performance import Measured
    from osteon.train.settings import ClassifySettings

__all__ = ["STUDY", "femur_tables", "plan_femur", "result_rows"]

_PAPER_NETWORKS: Final = ("alexnet_femur", "googlenet")
_NETWORKS: Final = (*_PAPER_NETWORKS, "mobilenet_v2")
"""The paper's, and the reference with ImageNet weights."""

_SUFFIXES: Final = {"folds": "", "holdout": "-holdout"}
"""Of the names of runs, by scheme."""

_PAPER_FOLDS: Final = 10
_PAPER: Final = ("image_size", "batch", "epochs", "learning_rate", "optimiser", "schedule", "configuration", "patience")
_HEADS: Final = tables.measure_heads("accuracy", "precision", "sensitivity", "specificity", "f1", "auc")
_TITLES: Final = {
    "folds": ("Table: cross-validation by patient", "cross-validation"),
    "holdout": ("Table: one division", "one division"),
}


def plan_femur(choices: Choices, _: Manifest | None = None) -> tuple[PlannedRun, ...]:
    """The trainings, those in folds first.

    Raises:
        UnknownLabelError: no such part, network or setting.
        InputError: a setting out of range, or one that is each run's own.
    """
    check_parts(choices.only, _SUFFIXES)
    for values in (choices.values, choices.baseline_values):
        check_settings(values, ("task", "architecture"), instead="choose networks with --network")
    runs = []
    for scheme, suffix in _SUFFIXES.items():
        networks = dict.fromkeys(choices.networks or _NETWORKS)
        for network in networks if scheme in (choices.only or _SUFFIXES) else ():
            own = {} if network in _PAPER_NETWORKS else choices.baseline_values
            values = {**choices.values, "task": STUDY.stem, "architecture": network, **own}
            runs.append(PlannedRun(f"{network}{suffix}", scheme, RECIPE.settings(values), scheme))
    return tuple(runs)


# -------------------------------------------------------------------------------------------------------------- tables


def _network(network: str) -> str:
    """A network as a row of a table calls it."""
    published = read_published(__package__).row(network)
    return published.title if published else f"{network} (reference)"


def result_rows(
    scheme: str,
    runs: Sequence[PlannedRun],
    predictions: Mapping[str, Predictions],
    states: Mapping[str, str],
    resampling: Resampling | None = None,
) -> list[tables.ResultRow]:
    """The networks of a scheme and the baselines without images, with what they come to."""
    suffix = _SUFFIXES[scheme]
    names = {
        run.name: (run.settings.architecture, _network(run.settings.architecture))
        for run in runs
        if run.scheme == scheme
    }
    names |= {
        f"{name}{suffix}": ("", words) for name, words in tables.TRIVIAL.items() if f"{name}{suffix}" in predictions
    }
    rows = []
    for run, (network, words) in names.items():
        found = (
            tables.evaluate_classifier(predictions[run], _HEADS, resampling=resampling) if run in predictions else None
        )
        published = read_published(__package__).row(network)
        rows.append(tables.ResultRow((words,), run, found, states.get(run, "not run"), published))
    return rows


def femur_tables(
    runs: Sequence[PlannedRun],
    rows: Mapping[str, Sequence[tables.ResultRow]],
    predictions: Mapping[str, Predictions],
    notes: Mapping[str, tuple[str, ...]],
    resampling: Resampling | None = None,
) -> tuple[Table, ...]:
    """Ten folds, one division, confusion matrices, comparisons, and the published values held against arithmetic."""
    published = read_published(__package__)
    schemes = [scheme for scheme in _SUFFIXES if any(run.scheme == scheme for run in runs)]
    shown = [
        tables.result_table(
            _layout(scheme), rows[scheme], (*published.said(f"how_{scheme}", "published"), *notes[scheme])
        )
        for scheme in schemes
    ]
    main = schemes[0] if schemes else "folds"
    compared = {run.name: predictions[run.name] for run in runs if run.name in predictions and run.scheme == main}
    reference = f"{_PAPER_NETWORKS[0]}{_SUFFIXES[main]}"
    return (
        *shown,
        _matrices(runs, predictions, notes["folds"][:1]),
        tables.comparison_table(compared, reference=reference, notes=notes[main], resampling=resampling),
        *published.checks,
    )


def _layout(scheme: str) -> tables.ResultTable:
    lines: list[tables.Line] = [
        (
            tables.MEAN_OF_FOLDS if scheme == "folds" else "measured",
            lambda one, scale: scale.number(one.over_folds.mean),
        ),
        ("folds, 95 %", _t_limits),
        ("patients, 95 %", lambda one, scale: scale.limits(one.over_patients.low, one.over_patients.high)),
    ]
    record = ("value", "t_low", "t_high", "bootstrap_low", "bootstrap_high", "folds", "patients", "images", "published")
    return tables.ResultTable(
        name=f"table_{scheme}",
        title=_TITLES[scheme][0],
        heads=("Network",),
        measures=_HEADS,
        lines=tuple(lines if scheme == "folds" else (lines[0], lines[2])),
        record=record,
        shares=frozenset({"auc"}),
    )


def _t_limits(one: Measured, scale: Scale) -> str:
    return scale.limits(one.over_folds.low, one.over_folds.high) + ("*" if one.over_folds.leaves_range else "")


def _matrices(runs: Sequence[PlannedRun], predictions: Mapping[str, Predictions], notes: tuple[str, ...]) -> Table:
    """True and false predictions of each network; in folds the test parts of all of them together."""
    rows, records = [], []
    for run in runs:
        if run.name in predictions:
            counts = tables.predicted_counts(predictions[run.name])
            what = "all folds together" if run.scheme == "folds" else "one division"
            total = sum(counts.values())
            right = (counts["tp"] + counts["tn"]) / total if total else math.nan
            cells = (*map(str, counts.values()), PERCENT.number(right))
            rows.append((_network(run.settings.architecture), what, *cells))
            records.append({"run": run.name, **counts})
    heads = (
        "Network",
        "What",
        "True positives",
        "False negatives",
        "False positives",
        "True negatives",
        "Right",
    )
    remark = "Images of the test parts; predicted from a probability of 0.5 on. Percent of all that are right last."
    return Table("confusion", "Confusion matrices", heads, tuple(rows), notes=(remark, *notes), records=tuple(records))


# --------------------------------------------------------------------------------------------------------------- notes


def _notes(study: Study, scheme: str) -> tuple[str, ...]:
    """Sentences for the tables of a scheme; what kind of data these are comes first."""
    manifest, split = study.manifest, study.place.splits.get(scheme)
    said = list(page.data_notes(manifest))
    runs = [run for run in study.runs if run.plan.scheme == scheme]
    if split is None or not runs:
        return tuple(said)
    malignant = sum(row.label == runs[0].plan.settings.positive for row in manifest.rows)
    images = f"{len(manifest)} images ({malignant} malignant) of {len(manifest.patients)} patients"
    said += split.warnings
    if scheme == "folds":
        other = "" if len(split.folds) == _PAPER_FOLDS else f" (paper: {_PAPER_FOLDS})"
        said.append(page.division_note(images, split, other=other))
    else:
        fold = split.folds[0]
        said.append(
            f"{images}: {len(fold.train)} patients to learn from, {len(fold.validation)} to choose the epoch by, "
            f"{len(fold.test)} to evaluate on (paper: 300 and 200 images)."
        )
    count = sum(row.extra.get(LOOK_COLUMN) == INTERMEDIATE for row in manifest.rows)
    said += [f"{count} images of intermediate lesions count as benign."] if count else []
    return tuple(dict.fromkeys((*said, *(_differs(run.plan.settings) for run in runs), *page.state_notes(study, runs))))


def _differs(settings: ClassifySettings) -> str:
    """What differs from the paper's settings, or how a network begins that is not the paper's."""
    if settings.architecture in _PAPER_NETWORKS:
        paper = RECIPE.settings({"architecture": settings.architecture})
        other = page.other_settings(settings, paper, _PAPER, source="paper or its reading")
        return f"Other than in the paper: {'; '.join(other)}." if other else ""
    start = {"embedded": "ImageNet weights", "none": "random weights"}.get(settings.pretrained, "other weights")
    (ours,) = read_published(__package__).said("ours")
    return (
        f"{ours.format(others=settings.architecture, start=start)} It is trained with {settings.optimiser}, rate "
        f"{settings.learning_rate:g}, at most {settings.epochs} epochs, batch {settings.batch}."
    )


# ------------------------------------------------------------------------------------------------------------- results


def _results(study: Study, resampling: Resampling | None) -> Results:
    predictions = dict(study.predictions)
    for scheme, split in study.place.splits.items():
        trivial = page.trivial_predictions(study, split)
        predictions |= {f"{name}{_SUFFIXES[scheme]}": table for name, table in trivial.items()}
    plans = [run.plan for run in study.runs if isinstance(run.plan, PlannedRun)]
    rows = {scheme: result_rows(scheme, plans, predictions, study.states, resampling) for scheme in _SUFFIXES}
    notes = {scheme: tuple(note for note in _notes(study, scheme) if note) for scheme in _SUFFIXES}
    *results, comparisons, checks = femur_tables(plans, rows, predictions, notes, resampling)
    pictures: list[Picture] = []
    names, published = ("sensitivity", "specificity", "auc"), read_published(__package__).tables["table"].values()
    points = [
        PublishedPoint(row.title, *(number for name in names for number in row.numbers(name))) for row in published
    ]
    for scheme, (_, words) in _TITLES.items():
        done = [run for run in study.runs if run.plan.scheme == scheme and run.plan.name in predictions]
        if done:
            path, title = study.figures / f"roc_{scheme}.png", f"ROC, {words} by patient"
            lines = [_line(run, predictions) for run in done]
            pictures.append(draw_roc(path, title, lines, points, mark=study.mark))
            titles = {"accuracy": f"Accuracy, {words}", "auc": f"ROC AUC, {words}"}
            pictures += page.draw_measures(study, rows[scheme], titles, file=f"{{}}_{scheme}")
    empty = "Fewer than two networks are complete: there is nothing to compare."
    return Results(
        sections=(
            StudySection("Results at a glance", pictures=tuple(pictures)),
            StudySection("The paper's table, in both of its protocols", tuple(results)),
            StudySection("Comparisons", (comparisons,), empty=empty),
            StudySection("Published values", (checks,)),
            StudySection("How the trainings went", pictures=tuple(page.draw_trainings(study, study.runs))),
        ),
        warnings=tuple(warning for some in notes.values() for warning in page.shown_warnings(study, some)),
        done=len(study.predictions),
        planned=len(study.runs),
    )


def _line(run: RunState, predictions: Mapping[str, Predictions]) -> RocLine:
    test = predictions[run.plan.name].of(part="test")
    curve = roc_curve(test.is_positive, test.probability)
    at = confusion_at(test.is_positive, test.probability, 0.5)
    return RocLine(
        _network(run.plan.settings.architecture),
        curve.false_positive_rate,
        curve.true_positive_rate,
        (1 - at.specificity, at.sensitivity),
        f"AUC {roc_auc(test.is_positive, test.probability):.3f}",
    )


STUDY: Final = StudyProtocol(
    stem="mri_femur",
    title="MRI of the femur: benign or malignant",
    takes=frozenset({"networks", "baseline_values", "skip_unreadable"}),
    instead="choose its networks with --network",
    kinds=(PlannedRun,),
    plan=plan_femur,
    results=_results,
    division=Division(folds=_PAPER_FOLDS, test_share=0.4, goes_round=True),
)
