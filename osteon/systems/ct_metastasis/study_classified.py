"""Tables 5.1 and 5.2 of the metastasis thesis: classifiers of slices, measured, printed, and printed as it must be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon.metrics.bootstrap import patient_bootstraps
from osteon.metrics.classification import confusion_at
from osteon.report.tables import Table
from osteon.study.comparison import PAIRED_NOTES, Contrast, contrast_rows
from osteon.study.wording import percent, percent_range
from osteon.systems.ct_metastasis.published import (
    CLASSIFIED,
    DAGGER,
    PrintedRow,
    classified_rows,
    printed_document,
    reconstructed_classes,
)
from osteon.systems.ct_metastasis.study_rows import CLASSIFIERS
from osteon.train.judging import compare_runs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from osteon.data import Predictions
    from osteon.metrics.bootstrap import BootstrapInterval, Resampling
    from osteon.systems.ct_metastasis.study_rows import ClassifierRow

__all__ = ["CLASSIFICATION_MEASURES", "classification_comparisons", "classification_tables", "judge_classifier"]

CLASSIFICATION_MEASURES = {
    "accuracy": "accuracy",
    "f1": "f1",
    "sensitivity": "tpr",
    "precision": "precision",
    "specificity": "tnr",
    "auc": "auc",
}
"""Name in the tables -> name in ``osteon.metrics.classification``; the first four are the thesis's."""

_HEADS = ("Accuracy", "F1", "Recall", "Precision", "Specificity", "AUC")
_HOW_MEASURED = (
    "Percent, on the test part of one division; positive is metastasis, from a probability of 0.5 on; recall "
    "is sensitivity. In brackets: 95 % patient bootstrap. The printed tables have no specificity and no AUC: the "
    "specificity shown was worked out from the thesis's test set."
)
_NOT_THE_SAME = (
    "The printed values were measured on 12,041 of the thesis's own slices, by networks that had seen ImageNet (as far "
    "as it says), and are no target here."
)
_AS_IT_MUST_BE = (
    f"{DAGGER} cannot be as printed: recall and precision stand exchanged, and 45.17 is a misprint, as the checks of "
    "the printed values show."
)
_JOINED = "classify_vit_tiny_resnext50"
_BEST_SINGLE = "classify_vit_tiny"
_OVER_FOLDS = ("t_low", "t_high", "p_corrected_t")
_TRIVIAL = {"majority": "majority class", "fields": "fields only"}


def judge_classifier(predictions: Predictions, *, resampling: Resampling | None = None) -> dict[str, BootstrapInterval]:
    """The measures of ``CLASSIFICATION_MEASURES`` on the test part, with intervals over patients."""
    test = predictions.of(part="test")
    found = patient_bootstraps(
        CLASSIFICATION_MEASURES.values(), test.is_positive, test.probability, test.patient, resampling=resampling
    )
    return {name: found[measure] for name, measure in CLASSIFICATION_MEASURES.items()}


def classification_tables(
    predictions: Mapping[str, Predictions],
    states: Mapping[str, str],
    *,
    notes: tuple[str, ...] = (),
    resampling: Resampling | None = None,
) -> tuple[Table, ...]:
    """Tables 5.1 and 5.2, and the confusion matrices.

    Args:
        predictions: by run that has ended; and of "majority" and "fields", the baselines without images.
        states: word by run for those that have not, as "failed"; "not run" where there is none.
        notes: sentences for every table.
        resampling: of the patient bootstrap.
    """
    judged = {name: judge_classifier(table, resampling=resampling) for name, table in predictions.items()}
    return (
        _table("table5_1", "Table 5.1: single classifiers of slices", judged, states, notes=notes),
        _table("table5_2", "Table 5.2: the joined classifier and its parts", judged, states, notes=notes),
        _matrices(predictions, states, notes=notes),
    )


def _table(
    name: str,
    title: str,
    judged: Mapping[str, Mapping[str, BootstrapInterval]],
    states: Mapping[str, str],
    *,
    notes: tuple[str, ...],
) -> Table:
    printed = {row.model: row for row in classified_rows(name)}
    rows: list[tuple[str, ...]] = []
    records: list[dict[str, object]] = []
    for row in CLASSIFIERS:
        if name in row.tables:
            rows += _lines(row.printed, judged.get(row.run), states.get(row.run, "not run"), printed[row.printed])
            records += [_record(row, key, judged.get(row.run), printed[row.printed]) for key in CLASSIFICATION_MEASURES]
    for run, words in _TRIVIAL.items():
        if run in judged:
            rows += _lines(words, judged[run], "", None)
    heads = ("Model", "What", *_HEADS)
    remarks = (_HOW_MEASURED, _NOT_THE_SAME, _AS_IT_MUST_BE)
    return Table(name, title, heads, tuple(rows), notes=(*remarks, *notes), records=tuple(records))


def _lines(
    title: str, found: Mapping[str, BootstrapInterval] | None, state: str, printed: PrintedRow | None
) -> list[tuple[str, ...]]:
    """The lines of a model: measured, printed, printed as it must be."""
    if found is None:
        lines = [(title, state, *("" for _ in _HEADS))]
    else:
        lines = [(title, "measured", *(_cell(found[key]) for key in CLASSIFICATION_MEASURES))]
    if printed:
        lines.append(("", "printed", *(printed.marked(key) for key in CLASSIFIED), "", ""))
        corrected = (printed.corrected.get(key, "") for key in CLASSIFIED)
        lines.append(("", "printed, as it must be", *corrected, printed.specificity, ""))
    return lines


def _cell(found: BootstrapInterval) -> str:
    return f"{percent(found.value)} ({percent_range(found.low, found.high)})"


def _record(
    row: ClassifierRow, key: str, judged: Mapping[str, BootstrapInterval] | None, printed: PrintedRow
) -> dict[str, object]:
    one = judged[key] if judged else None
    meant = float(printed.specificity) / 100 if key == "specificity" and printed.specificity else None
    return {
        "model": row.printed,
        "run": row.run,
        "measure": key,
        "measured": one.value if one else None,
        "bootstrap_low": one.low if one else None,
        "bootstrap_high": one.high if one else None,
        "patients": one.patients if one else None,
        "images": one.images if one else None,
        "printed": float(printed.printed[key]) / 100 if key in CLASSIFIED else None,
        "printed_as_it_must_be": printed.value(key) if key in CLASSIFIED else meant,
    }


def _matrices(predictions: Mapping[str, Predictions], states: Mapping[str, str], *, notes: tuple[str, ...]) -> Table:
    """True and false calls of each model, and the matrix that follows from the thesis's figure 5.7."""
    rows: list[tuple[str, ...]] = []
    records: list[dict[str, object]] = []
    for row in CLASSIFIERS:
        if row.run not in predictions:
            rows.append((row.printed, states.get(row.run, "not run"), "", "", "", ""))
            continue
        test = predictions[row.run].of(part="test")
        found = confusion_at(test.is_positive, test.probability, 0.5)
        rows.append((row.printed, "measured", *map(str, (found.tp, found.fn, found.fp, found.tn))))
        counts = {"tp": found.tp, "fn": found.fn, "fp": found.fp, "tn": found.tn}
        records.append({"model": row.printed, "run": row.run, **counts})
    named, classes = printed_document()["classification"]["matrix"], reconstructed_classes()
    tp, tn = named["true_positive"], named["true_negative"]
    misses, alarms = (classes.positives or 0) - tp, (classes.negatives or 0) - tn
    rows.append((named["model"], "thesis", str(tp), f"{misses} (worked out)", f"{alarms} (worked out)", str(tn)))
    records.append({"model": named["model"], "run": "thesis", "tp": tp, "fn": misses, "fp": alarms, "tn": tn})
    heads = ("Model", "What", "Metastasis, called", "Metastasis, missed", "Normal, called", "Normal, not called")
    remarks = ("Slices of the test part; called from a probability of 0.5 on.",)
    return Table(
        "confusion5", "Confusion matrices", heads, tuple(rows), notes=(*remarks, *notes), records=tuple(records)
    )


def classification_comparisons(
    predictions: Mapping[str, Predictions],
    *,
    notes: tuple[str, ...] = (),
    resampling: Resampling | None = None,
) -> Table:
    """Whether the joined classifier beats its parts, and ViT-Tiny the other single models, as the thesis claims."""
    by_run = {row.run: row for row in CLASSIFIERS}
    printed = {row.model: row for table in ("table5_1", "table5_2") for row in classified_rows(table)}
    claims = [(_JOINED, other) for other in ("classify_resnext50", _BEST_SINGLE)]
    claims += [(_BEST_SINGLE, row.run) for row in CLASSIFIERS if row.run not in (_BEST_SINGLE, _JOINED)]
    contrasts = []
    for one, two in claims:
        if one in predictions and two in predictions:
            found = compare_runs(predictions[one], predictions[two], name="f1", resampling=resampling)
            better, worse = by_run[one].printed, by_run[two].printed
            gain = 100 * (printed[better].value("f1") - printed[worse].value("f1"))
            words = f"{better} minus {worse}"
            contrasts.append(Contrast(words, one, two, found.over_patients, None, f"{gain:+.2f}"))
    rows, records = contrast_rows(contrasts, in_points=True)
    return Table(
        "comparisons5",
        "Comparisons: what the thesis claims to be better, F1 of slices in points",
        ("Claim", "Difference", "Patient bootstrap 95 %", "p", "p (Holm)", "printed"),
        tuple((*row[:5], entry.printed) for row, entry in zip(rows, contrasts, strict=True)),
        notes=(PAIRED_NOTES[0], "Holm adjusts p for the number of rows. Printed: the thesis gives no test.", *notes),
        records=tuple(
            {name: value for name, value in record.items() if name not in _OVER_FOLDS}
            | {"printed_points": float(entry.printed)}
            for record, entry in zip(records, contrasts, strict=True)
        ),
    )
