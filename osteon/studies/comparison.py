"""Runs of one study compared with one of them, by tests that know that patients and folds are shared."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from osteon.metrics.folds import holm
from osteon.report.tables import Table
from osteon.studies.wording import limits, number
from osteon.training.judging import compare_runs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from osteon.data import Predictions
    from osteon.metrics.bootstrap import Resampling

__all__ = ["comparison_table"]


def comparison_table(
    predictions: Mapping[str, Predictions],
    *,
    reference: str,
    notes: tuple[str, ...] = (),
    resampling: Resampling | None = None,
) -> Table:
    """AUC of every run minus that of the reference.

    Args:
        predictions: of the runs, by name.
        reference: the run to compare with; the first one where it is not there.
        notes: sentences for below the table.
        resampling: of the patient bootstrap.
    """
    if reference not in predictions:
        reference = next(iter(predictions), "")
    differences = {
        name: compare_runs(table, predictions[reference], name="auc", resampling=resampling)
        for name, table in predictions.items()
        if name != reference
    }
    p_values = [_p(entry.over_patients.p_value) for entry in differences.values()]
    adjusted = holm(p_values).tolist() if p_values else []
    rows: list[tuple[str, ...]] = []
    records: list[dict[str, object]] = []
    for (name, entry), p_holm in zip(differences.items(), adjusted, strict=True):
        patients, folds = entry.over_patients, entry.over_folds
        t_low, t_high, t_p = (folds.low, folds.high, folds.p_value) if folds else (math.nan,) * 3
        rows.append(
            (
                name,
                f"{patients.value:+.3f}",
                limits(patients.low, patients.high),
                number(_p(patients.p_value)),
                number(p_holm),
                limits(t_low, t_high),
                number(t_p),
            )
        )
        records.append(
            {
                "run": name,
                "reference": reference,
                "difference": patients.value,
                "bootstrap_low": patients.low,
                "bootstrap_high": patients.high,
                "p_bootstrap": patients.p_value,
                "p_holm": p_holm,
                "t_low": t_low,
                "t_high": t_high,
                "p_corrected_t": t_p,
            }
        )
    named = f"run {reference}" if reference else "another run"
    return Table(
        "comparisons",
        f"Comparisons: AUC minus that of {named}",
        ("Run", "Difference", "Patient bootstrap 95 %", "p", "p (Holm)", "Corrected t over folds 95 %", "p"),
        tuple(rows),
        notes=(
            "Paired: the same resampled patients and the same folds for both runs.",
            "Holm adjusts the bootstrap's p for the number of rows; the corrected t test is Nadeau and Bengio's.",
            *notes,
        ),
        records=tuple(records),
    )


def _p(value: float | None) -> float:
    return math.nan if value is None else value
