"""Runs of one study compared with one another, by tests that know that patients and folds are shared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from osteon.metrics.folds import holm
from osteon.report.tables import Table
from osteon.study.wording import limits, number, points
from osteon.train.judging import compare_runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from osteon.data import Predictions
    from osteon.metrics.bootstrap import Resampling
    from osteon.metrics.folds import CorrectedTTest

__all__ = ["PAIRED_NOTES", "Contrast", "comparison_table", "contrast_rows"]

PAIRED_NOTES = (
    "Paired: the same resampled patients and the same folds for both runs.",
    "Holm adjusts the bootstrap's p for the number of rows; the corrected t test is Nadeau and Bengio's.",
)


class Resampled(Protocol):
    """A difference over resampled patients."""

    @property
    def value(self) -> float:
        """On the patients as they are."""

    @property
    def low(self) -> float:
        """Lower limit."""

    @property
    def high(self) -> float:
        """Upper limit."""

    @property
    def p_value(self) -> float | None:
        """Against 0."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """One run minus another.

    Attributes:
        words: for the table.
        run: name of the first.
        reference: name of the second.
        over_patients: the difference, patients drawn for both at once.
        over_folds: the corrected t test, where there are folds.
        printed: the same difference in the paper, in percentage points; "" where it prints none.
    """

    words: str
    run: str
    reference: str
    over_patients: Resampled
    over_folds: CorrectedTTest | None
    printed: str = ""


def contrast_rows(
    contrasts: Sequence[Contrast], *, in_points: bool = False
) -> tuple[tuple[tuple[str, ...], ...], tuple[dict[str, object], ...]]:
    """Rows and records of differences with Holm's correction over all of them.

    Args:
        contrasts: the family of tests.
        in_points: differences as percentage points instead of shares.
    """
    p_values = [_p(entry.over_patients.p_value) for entry in contrasts]
    adjusted = holm(p_values).tolist() if p_values else []
    rows: list[tuple[str, ...]] = []
    records: list[dict[str, object]] = []
    for entry, p, p_holm in zip(contrasts, p_values, adjusted, strict=True):
        patients, folds = entry.over_patients, entry.over_folds
        t_low, t_high, t_p = (folds.low, folds.high, folds.p_value) if folds else (math.nan,) * 3
        written = points(patients.value) if in_points else f"{patients.value:+.3f}"
        rows.append(
            (
                entry.words,
                written,
                _range(patients.low, patients.high, in_points=in_points),
                number(p),
                number(p_holm),
                _range(t_low, t_high, in_points=in_points),
                number(t_p),
            )
        )
        records.append(
            {
                "run": entry.run,
                "reference": entry.reference,
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
    return tuple(rows), tuple(records)


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
    rows, records = contrast_rows(
        [Contrast(name, name, reference, found.over_patients, found.over_folds) for name, found in differences.items()]
    )
    named = f"run {reference}" if reference else "another run"
    return Table(
        "comparisons",
        f"Comparisons: AUC minus that of {named}",
        ("Run", "Difference", "Patient bootstrap 95 %", "p", "p (Holm)", "Corrected t over folds 95 %", "p"),
        rows,
        notes=(*PAIRED_NOTES, *notes),
        records=records,
    )


def _range(low: float, high: float, *, in_points: bool) -> str:
    if not in_points:
        return limits(low, high)
    return f"{points(low)} to {points(high)}" if math.isfinite(low) and math.isfinite(high) else "no interval"


def _p(value: float | None) -> float:
    return math.nan if value is None else value
