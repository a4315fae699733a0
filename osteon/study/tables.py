"""Tables of results that the studies share: measured beside published, runs against runs, confusion matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.errors import InputError
from osteon.metrics.classification import confusion_at
from osteon.metrics.folds import corrected_t_test, fold_interval, holm
from osteon.metrics.segmentation import MASK_MEASURES, pooled_difference
from osteon.metrics.text import PERCENT, SHARE, Scale
from osteon.report.blocks import Table
from osteon.train.counts import evaluate_counts, measures_by_fold
from osteon.train.performance import Difference, Measured, compare_runs, evaluate_folds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from osteon.data import Predictions
    from osteon.metrics.bootstrap import Resampling
    from osteon.study.published import PublishedRow
    from osteon.train.counts import SegmentCounts

__all__ = [
    "MEAN_OF_FOLDS",
    "PAIRED_NOTES",
    "TRIVIAL",
    "Contrast",
    "ResultRow",
    "ResultTable",
    "compare_masks",
    "comparison_table",
    "contrast_table",
    "evaluate_classifier",
    "evaluate_masks",
    "measure_heads",
    "measured_record",
    "over_folds",
    "over_patients",
    "predicted_counts",
    "result_table",
]

TRIVIAL: Final = {"majority": "majority class", "fields": "fields only"}
"""The baselines that look at no image."""

_HEADS: Final = {
    "accuracy": "Accuracy", "precision": "Precision", "sensitivity": "Sensitivity", "specificity": "Specificity",
    "f1": "F1", "auc": "AUC", "dice": "Dice", "iou": "IoU",
}  # fmt: skip

MEAN_OF_FOLDS: Final = "mean of {folds} folds"

PAIRED_NOTES: Final = (
    "Paired: the same resampled patients and the same folds for both runs.",
    "Holm adjusts the bootstrap's p for the number of rows; the corrected t test is Nadeau and Bengio's.",
)

_KNOWN_AS: Final = {"sensitivity": "tpr", "specificity": "tnr"}
"""Name in the tables -> name in ``osteon.metrics.classification`` where it differs."""

_READ: Final[Mapping[str, Callable[[Measured], object]]] = {
    **dict.fromkeys(("mean", "value"), lambda one: one.over_folds.mean),
    "t_low": lambda one: one.over_folds.low,
    "t_high": lambda one: one.over_folds.high,
    "folds": lambda one: one.over_folds.folds,
    **dict.fromkeys(("all_images", "measured"), lambda one: one.over_patients.value),
    "bootstrap_low": lambda one: one.over_patients.low,
    "bootstrap_high": lambda one: one.over_patients.high,
    "patients": lambda one: one.over_patients.patients,
    "images": lambda one: one.over_patients.images,
}
"""What a record may hold of a measure."""


# ------------------------------------------------------------------------------------------------------------- results


Line = tuple[str, "Callable[[Measured, Scale], str]"]
"""Words of the column "What", {folds} for the number of folds, and the cell of a measure, where there is a result."""


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A run in a table of results.

    Attributes:
        heads: cells before the column "What".
        run: its name.
        measured: by measure; None where there is no result.
        state: how far it is then.
        published: what the paper publishes of it.
        extra: further entries of its records; None leaves them out.
    """

    heads: tuple[str, ...]
    run: str
    measured: Mapping[str, Measured] | None = field(repr=False)
    state: str = "not run"
    published: PublishedRow | None = None
    extra: Mapping[str, object] | None = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultTable:
    """How a table of results looks.

    Attributes:
        name: of its files.
        title: one line.
        heads: of the columns before "What".
        measures: head of a column by measure.
        lines: of a row that has a result.
        record: entries of a record, in order, as ``_READ`` has them; "published" and "published_corrected" follow where
            they are named.
        shares: measures that are written as shares, the others in percent.
        named: this many of the heads stand in the records too.
    """

    name: str
    title: str
    heads: tuple[str, ...]
    measures: Mapping[str, str]
    lines: tuple[Line, ...]
    record: tuple[str, ...]
    shares: frozenset[str] = frozenset()
    named: int = 1


def measure_heads(*names: str) -> dict[str, str]:
    """Head of a column by measure."""
    return {name: _HEADS[name] for name in names}


def result_table(layout: ResultTable, rows: Sequence[ResultRow], notes: Iterable[str]) -> Table:
    """Each run in lines: measured, published, and published as it must be where that differs."""
    lines = tuple(line for row in rows for line in _lines(layout, row))
    records = tuple(
        measured_record(layout, row, key) for row in rows if row.extra is not None for key in layout.measures
    )
    heads = (*layout.heads, "What", *layout.measures.values())
    return Table(layout.name, layout.title, heads, lines, notes=tuple(notes), records=records)


def _lines(layout: ResultTable, row: ResultRow) -> list[tuple[str, ...]]:
    keys, blank = tuple(layout.measures), tuple("" for _ in row.heads)
    found, published = row.measured, row.published
    if found is None:
        lines = [(row.heads, row.state, ["" for _ in keys])]
    else:
        over = found[keys[0]].over_folds
        lines = [
            (
                blank if number else row.heads,
                what.format(folds=over.folds + over.undefined_folds),
                [cell(found[key], SHARE if key in layout.shares else PERCENT) for key in keys],
            )
            for number, (what, cell) in enumerate(layout.lines)
        ]
    if published is not None:
        lines.append((blank, "published", [published.marked(key) for key in keys]))
        if published.corrected:
            lines.append((blank, "published, corrected", [published.corrected.get(key, "") for key in keys]))
    return [(*heads, what, *cells) for heads, what, cells in lines]


def measured_record(layout: ResultTable, row: ResultRow, key: str) -> dict[str, object]:
    """The numbers of one measure of a run, published ones beside them."""
    one = row.measured[key] if row.measured else None
    named = [head.lower() for head in layout.heads[: layout.named]]
    record: dict[str, object] = dict(zip(named, row.heads, strict=False))
    record |= {"run": row.run, "measure": key}
    for name in layout.record:
        if name in _READ:
            record[name] = None if one is None else _READ[name](one)
        elif row.published is None:
            record[name] = None
        else:
            record[name] = row.published.value(key, corrected=name != "published")
    return {**record, **(row.extra or {})}


def over_folds(one: Measured, scale: Scale) -> str:
    """Mean over folds with Student's t, and * where that leaves the range."""
    found = one.over_folds
    return scale.estimate(found.mean, found.low, found.high, mark="*" if found.leaves_range else "")


def over_patients(one: Measured, scale: Scale) -> str:
    """The bootstrap's value with its interval."""
    found = one.over_patients
    return scale.estimate(found.value, found.low, found.high)


def evaluate_classifier(
    predictions: Predictions, names: Iterable[str], *, resampling: Resampling | None = None
) -> dict[str, Measured]:
    """Measures of a classifier under the names that the tables have for them."""
    measures = {name: _KNOWN_AS.get(name, name) for name in names}
    evaluated = evaluate_folds(predictions, measures=tuple(measures.values()), resampling=resampling)
    return {name: evaluated[known] for name, known in measures.items()}


def predicted_counts(predictions: Predictions) -> dict[str, int]:
    """True and false predictions of the test part from a probability of 0.5 on: tp, fn, fp, tn."""
    test = predictions.of(part="test")
    found = confusion_at(test.is_positive, test.probability, 0.5)
    return {"tp": found.tp, "fn": found.fn, "fp": found.fp, "tn": found.tn}


# --------------------------------------------------------------------------------------------------------------- masks


def evaluate_masks(found: SegmentCounts, *, resampling: Resampling | None = None) -> dict[str, Measured]:
    """All measures of a method by name of ``MASK_MEASURES``; of all test images together over patients.

    Only the lesion map of the test parts is looked at.
    """
    by_fold = measures_by_fold(found).values()
    whole = evaluate_counts(found, resampling=resampling)
    evaluated = {}
    for name in MASK_MEASURES:
        values = tuple(measures[name] for measures in by_fold)
        evaluated[name] = Measured(name, values, fold_interval(values), whole[name])
    return evaluated


def compare_masks(first: SegmentCounts, second: SegmentCounts, *, resampling: Resampling | None = None) -> Difference:
    """F1 of the first minus that of the second method on the same folds; over patients of all images together.

    Raises:
        InputError: they were not evaluated on the same images in the same folds.
    """
    parts = [found.of(part="test", output="lesion") for found in (first, second)]
    one, two = (found.where(np.lexsort((found.image, found.fold))) for found in parts)
    if not (np.array_equal(one.image, two.image) and np.array_equal(one.fold, two.fold)):
        raise InputError(
            "two methods can be compared only where both were evaluated on the same images in the same folds"
        )
    over = pooled_difference(one.counts, two.counts, one.patient, measure="f1", resampling=resampling)
    values = np.array([[fold["f1"] for fold in measures_by_fold(found).values()] for found in (one, two)])
    defined = values[:, np.isfinite(values).all(axis=0)]
    return Difference("f1", over, corrected_t_test(defined[0], defined[1]) if defined.shape[1] > 1 else None)


# ----------------------------------------------------------------------------------------------------------- contrasts


@dataclass(frozen=True, slots=True)
class Contrast:
    """One run minus another.

    Attributes:
        title: for the table.
        run: name of the first.
        reference: name of the second.
        difference: on the same patients and folds.
        published: the same difference in the paper, in percentage points with its sign; "" where it publishes none.
    """

    title: str
    run: str
    reference: str
    difference: Difference
    published: str = ""


def contrast_table(
    name: str,
    title: str,
    contrasts: Sequence[Contrast],
    notes: Iterable[str],
    *,
    head: str = "Claim",
    folds: bool = True,
    published: bool = True,
) -> Table:
    """Differences with Holm's correction over all of them.

    Args:
        name: of the table's files.
        title: one line.
        contrasts: the family of tests.
        notes: sentences for below the table.
        head: of the first column.
        folds: show the corrected t test too.
        published: show the paper's own differences, and all differences in percentage points instead of shares.
    """
    scale = PERCENT if published else SHARE
    p_values = [_nan(entry.difference.over_patients.p_value) for entry in contrasts]
    adjusted = holm(p_values).tolist() if p_values else []
    rows, records = [], []
    for entry, p, p_holm in zip(contrasts, p_values, adjusted, strict=True):
        patients, t_test = entry.difference.over_patients, entry.difference.over_folds
        cells = [entry.title, scale.signed(patients.value), scale.limits(patients.low, patients.high, signed=published)]
        cells += [SHARE.number(p), SHARE.number(p_holm)]
        record: dict[str, object] = {
            "run": entry.run,
            "reference": entry.reference,
            "difference": patients.value,
            "bootstrap_low": patients.low,
            "bootstrap_high": patients.high,
            "p_bootstrap": patients.p_value,
            "p_holm": p_holm,
        }
        if folds:
            low, high, t_p = (t_test.low, t_test.high, t_test.p_value) if t_test else (math.nan,) * 3
            cells += [scale.limits(low, high, signed=published), SHARE.number(t_p)]
            record |= {"t_low": low, "t_high": high, "p_corrected_t": t_p}
        if published:
            cells.append(entry.published)
            record["published_points"] = float(entry.published) if entry.published else None
        rows.append(tuple(cells))
        records.append(record)
    heads = [head, "Difference", "Patient bootstrap 95 %", "p", "p (Holm)"]
    heads += ["Corrected t over folds 95 %", "p"] if folds else []
    heads += ["published"] if published else []
    return Table(name, title, tuple(heads), tuple(rows), notes=tuple(notes), records=tuple(records))


def comparison_table(
    predictions: Mapping[str, Predictions],
    *,
    reference: str,
    notes: tuple[str, ...] = (),
    resampling: Resampling | None = None,
) -> Table:
    """AUC of every run minus that of the reference, by name; of the first run where the reference is not there."""
    if reference not in predictions:
        reference = next(iter(predictions), "")
    contrasts = [
        Contrast(name, name, reference, compare_runs(table, predictions[reference], name="auc", resampling=resampling))
        for name, table in predictions.items()
        if name != reference
    ]
    title = f"Comparisons: AUC minus that of {f'run {reference}' if reference else 'another run'}"
    return contrast_table("comparisons", title, contrasts, (*PAIRED_NOTES, *notes), head="Run", published=False)


def _nan(value: float | None) -> float:
    return math.nan if value is None else value
