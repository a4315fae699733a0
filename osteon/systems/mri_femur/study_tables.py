"""The table of the paper on femoral tumours, once in ten folds and once in one division: measured, and as printed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from osteon.metrics.classification import confusion_at
from osteon.report.tables import Table
from osteon.study.comparison import comparison_table
from osteon.study.wording import limits, number, percent, percent_range
from osteon.systems.mri_femur.published import MEASURES, femur_checks, printed_femur
from osteon.systems.mri_femur.study import HOLDOUT_SUFFIX, PAPER_NETWORKS
from osteon.train.judging import judge_folds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from osteon.data import Predictions
    from osteon.metrics.bootstrap import Resampling
    from osteon.study.plan import PlannedRun
    from osteon.train.judging import Measured

__all__ = ["TRIVIAL", "femur_tables", "network_words"]

TRIVIAL: Final = {"majority": "majority class", "fields": "fields only"}
"""The baselines that look at no image."""

_HEADS: Final = ("Accuracy", "Precision", "Sensitivity", "Specificity", "F1", "AUC")
_OF_FOLDS: Final = (
    "Percent, AUC as a share; positive is malignant, from a probability of 0.5 on. Mean over folds of each fold's "
    "measure on its test part; 95 % Student's t over folds (with * where it leaves 0 to 100, as a t interval may) and "
    "95 % patient bootstrap of the same mean. The ROC curves are in the picture."
)
_OF_DIVISION: Final = (
    "Percent, AUC as a share; positive is malignant, from a probability of 0.5 on, on the test part of one division by "
    "patient; 95 % patient bootstrap. One training a network: there is no spread over trainings."
)
_PRINTED: Final = (
    "Printed: on the paper's own 500 images, which are private. Its numbers cannot be true together (see the printed "
    "values held against arithmetic) and are no target."
)
_REFERENCE: Final = PAPER_NETWORKS[0]


def femur_tables(
    runs: Sequence[PlannedRun],
    predictions: Mapping[str, Predictions],
    states: Mapping[str, str],
    *,
    notes: Mapping[str, tuple[str, ...]],
    resampling: Resampling | None = None,
) -> tuple[Table, ...]:
    """Ten folds, one division, confusion matrices, comparisons, and the printed values held against arithmetic.

    Args:
        runs: planned.
        predictions: by run that has ended; the baselines as "majority", "fields", and with "-holdout" behind.
        states: word by run for those that have not, as "failed".
        notes: sentences for the tables, by scheme, "folds" and "holdout".
        resampling: of the patient bootstrap.
    """
    tables = []
    for scheme, title in (("folds", "Table: cross-validation by patient"), ("holdout", "Table: one division")):
        planned = [run for run in runs if run.scheme == scheme]
        if planned:
            tables.append(_results(scheme, title, planned, predictions, states, notes[scheme], resampling))
    suffix = "" if any(run.scheme == "folds" for run in runs) else HOLDOUT_SUFFIX
    compared = {
        run.name: predictions[run.name]
        for run in runs
        if run.name in predictions and run.name.endswith(HOLDOUT_SUFFIX) == bool(suffix)
    }
    of_scheme = notes["holdout" if suffix else "folds"]
    return (
        *tables,
        _matrices(runs, predictions, notes["folds"][:1]),
        comparison_table(compared, reference=f"{_REFERENCE}{suffix}", notes=of_scheme, resampling=resampling),
        femur_checks(),
    )


def network_words(network: str) -> str:
    """A network as a row of a table calls it."""
    printed = printed_femur().get(network)
    return printed.name if printed else f"{network} (reference)"


def _results(
    scheme: str,
    title: str,
    runs: Sequence[PlannedRun],
    predictions: Mapping[str, Predictions],
    states: Mapping[str, str],
    notes: tuple[str, ...],
    resampling: Resampling | None,
) -> Table:
    printed = printed_femur()
    rows: list[tuple[str, ...]] = []
    records: list[dict[str, object]] = []
    suffix = HOLDOUT_SUFFIX if scheme == "holdout" else ""
    lines = [(run.settings.architecture, run.name, network_words(run.settings.architecture)) for run in runs]
    lines += [("", f"{name}{suffix}", words) for name, words in TRIVIAL.items() if f"{name}{suffix}" in predictions]
    for network, run, words in lines:
        table = predictions.get(run)
        judged = None if table is None else judge_folds(table, measures=tuple(MEASURES.values()), resampling=resampling)
        values = printed[network].values if network in printed else {}
        rows += _lines(words, judged, states.get(run, "not run"), scheme)
        if values:
            rows.append(("", "printed", *(values.get(name, "") for name in MEASURES)))
        records += [_record(words, run, name, judged, values.get(name)) for name in MEASURES]
    how = _OF_FOLDS if scheme == "folds" else _OF_DIVISION
    return Table(
        f"table_{scheme}",
        title,
        ("Network", "What", *_HEADS),
        tuple(rows),
        notes=(how, _PRINTED, *notes),
        records=tuple(records),
    )


def _lines(words: str, judged: Mapping[str, Measured] | None, state: str, scheme: str) -> list[tuple[str, ...]]:
    """The lines of a network: its measures and one or two intervals."""
    if judged is None:
        return [(words, state, *("" for _ in MEASURES))]
    found = [judged[measure] for measure in MEASURES.values()]
    folds = found[0].over_folds.folds + found[0].over_folds.undefined_folds
    values = tuple(_value(one.over_folds.mean, name) for name, one in zip(MEASURES, found, strict=True))
    patients = tuple(
        _range(one.over_patients.low, one.over_patients.high, name) for name, one in zip(MEASURES, found, strict=True)
    )
    if scheme == "holdout":
        return [(words, "measured", *values), ("", "patients, 95 %", *patients)]
    over_folds = tuple(
        _range(one.over_folds.low, one.over_folds.high, name) + ("*" if one.over_folds.leaves_range else "")
        for name, one in zip(MEASURES, found, strict=True)
    )
    return [
        (words, f"mean of {folds} folds", *values),
        ("", "folds, 95 %", *over_folds),
        ("", "patients, 95 %", *patients),
    ]


def _value(value: float, name: str) -> str:
    return number(value) if name == "auc" else percent(value)


def _range(low: float, high: float, name: str) -> str:
    return limits(low, high) if name == "auc" else percent_range(low, high)


def _record(
    words: str, run: str, name: str, judged: Mapping[str, Measured] | None, printed: str | None
) -> dict[str, object]:
    one = None if judged is None else judged[MEASURES[name]]
    scale = 1.0 if name == "auc" else 100.0
    return {
        "network": words,
        "run": run,
        "measure": name,
        "value": one.over_folds.mean if one else None,
        "t_low": one.over_folds.low if one else None,
        "t_high": one.over_folds.high if one else None,
        "bootstrap_low": one.over_patients.low if one else None,
        "bootstrap_high": one.over_patients.high if one else None,
        "folds": one.over_folds.folds if one else None,
        "patients": one.over_patients.patients if one else None,
        "images": one.over_patients.images if one else None,
        "printed": float(printed) / scale if printed else None,
    }


def _matrices(runs: Sequence[PlannedRun], predictions: Mapping[str, Predictions], notes: tuple[str, ...]) -> Table:
    """True and false calls of each network; in folds the test parts of all of them together."""
    rows, records = [], []
    for run in runs:
        if run.name not in predictions:
            continue
        test = predictions[run.name].of(part="test")
        found = confusion_at(test.is_positive, test.probability, 0.5)
        what = "all folds together" if run.scheme == "folds" else "one division"
        counts = (found.tp, found.fn, found.fp, found.tn)
        rows.append((network_words(run.settings.architecture), what, *map(str, counts), percent(_accuracy(counts))))
        records.append({"run": run.name, **dict(zip(("tp", "fn", "fp", "tn"), counts, strict=True))})
    heads = ("Network", "What", "Malignant, called", "Malignant, missed", "Benign, called", "Benign, not called")
    remark = "Images of the test parts; called from a probability of 0.5 on. Percent of all that are right last."
    return Table(
        "confusion",
        "Confusion matrices",
        (*heads, "Right"),
        tuple(rows),
        notes=(remark, *notes),
        records=tuple(records),
    )


def _accuracy(counts: tuple[int, int, int, int]) -> float:
    tp, _, _, tn = counts
    return (tp + tn) / sum(counts) if sum(counts) else math.nan
