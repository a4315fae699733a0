"""Six configurations crossed with three strategies of fine-tuning: which runs there are, and their tables.

The protocol of the CT osteosarcoma paper; studies of other images take it from here.

References:
    Spec ct-osteosarcoma, sections 4 to 6 and 9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from osteon.metrics.text import SHARE
from osteon.report.blocks import Table
from osteon.study.protocol import check_parts
from osteon.study.tables import ResultTable, measured_record
from osteon.train.performance import TABLE_MEASURES
from osteon.train.settings import CONFIGURATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from osteon.study.protocol import Choices
    from osteon.study.tables import ResultRow
    from osteon.train.performance import Measured

__all__ = ["CROSSED_TITLES", "REFERENCE", "STRATEGIES", "configuration_table", "crossed_runs", "crossed_table"]

STRATEGIES: Final = ("ft", "lp-ft", "g-lf")
REFERENCE: Final = "CAE-ft"
"""The paper's best: what the others are compared with."""

CROSSED_TITLES: Final = {"auc": "ROC AUC", "tpr": "Sensitivity (TPR)", "tnr": "Specificity (TNR)"}
"""Of the pictures, by measure."""

_HEADS: Final = {"auc": "AUC", "tpr": "TPR (sensitivity)", "tnr": "TNR (specificity)"}
_RECORD: Final = ("mean", "t_low", "t_high", "bootstrap_low", "bootstrap_high", "folds", "patients", "images")
_IMPOSSIBLE: Final = (
    "Published, but cannot be a range of a share: {}. A t interval over five folds is not bounded; the patient "
    "bootstrap is."
)
_STAR: Final = "With a star: a t interval is not bounded and leaves 0 to 1; read the patient bootstrap."


def crossed_runs(choices: Choices, configurations: Iterable[str] = CONFIGURATIONS) -> list[tuple[str, str]]:
    """Configuration and strategy of each run, those of one configuration together.

    Raises:
        UnknownLabelError: no such strategy.

    Example:
        >>> from osteon.study.protocol import Choices
        >>> crossed_runs(Choices(strategies=("ft",)), ["C", "CAE"])
        [('C', 'ft'), ('CAE', 'ft')]
    """
    check_parts(choices.strategies, STRATEGIES, what="strategy")
    return [(one, strategy) for one in configurations for strategy in choices.strategies or STRATEGIES]


def configuration_table(name: str, title: str) -> Table:
    """What the six configurations are."""
    marks = [(one.startswith("F"), "A" in one, "E" in one) for one in CONFIGURATIONS]
    ticks = [tuple("yes" if mark else "" for mark in (not focal, focal, *more)) for focal, *more in marks]
    return Table(
        name,
        title,
        ("Configuration", "Cross entropy", "Focal loss", "Augmentation", "Curation by embeddings"),
        tuple((configuration, *cells) for configuration, cells in zip(CONFIGURATIONS, ticks, strict=True)),
        notes=("As the paper has them; these follow from osteon's settings of the same names.",),
    )


def crossed_table(
    name: str,
    title: str,
    heads: tuple[str, ...],
    shown: Sequence[ResultRow],
    notes: tuple[str, ...],
    *,
    published: bool = True,
    said: tuple[str, ...] = (),
) -> Table:
    """A line a run: each measure with both intervals.

    Args:
        name: of the table's files.
        title: one line.
        heads: of the columns before the measures.
        shown: the runs.
        notes: sentences for below the table.
        published: a column beside each measure for what the paper publishes.
        said: sentences that come before all others.
    """
    layout = ResultTable(
        name=name, title=title, heads=heads, measures=_HEADS, lines=(), record=_RECORD, named=len(heads)
    )
    rows, records, impossible = [], [], []
    for row in shown:
        cells: list[str] = []
        for key, head in _HEADS.items():
            cells.append(_cell(row.measured[key]) if row.measured else row.state)
            record = measured_record(layout, row, key)
            if published:
                cells.append(row.published.marked(key) if row.published else "")
                texts = row.published.texts(key) if row.published else (None, None, None)
                record |= dict(zip(("published", "published_low", "published_high"), texts, strict=True))
            records.append(record)
            if row.published and row.published.leaves_range(key):
                impossible.append(f"{' '.join(row.heads)} {head} {row.published.values[key]}")
        rows.append((*row.heads, *cells))
    remarks = [*said]
    if impossible:
        remarks.append(_IMPOSSIBLE.format("; ".join(impossible)))
    if any("*" in cell for row in rows for cell in row):
        remarks.append(_STAR)
    beside = ("published",) if published else ()
    columns = (*heads, *(text for key in TABLE_MEASURES for text in (_HEADS[key], *beside)))
    return Table(name, title, columns, tuple(rows), notes=(*remarks, *notes), records=tuple(records))


def _cell(measured: Measured) -> str:
    """Mean, t interval over folds (with * where it leaves 0 to 1), patient bootstrap."""
    folds, patients = measured.over_folds, measured.over_patients
    star = "*" if folds.leaves_range else ""
    return (
        f"{SHARE.number(folds.mean)} (folds {SHARE.limits(folds.low, folds.high)}{star}; "
        f"patients {SHARE.limits(patients.low, patients.high)})"
    )
