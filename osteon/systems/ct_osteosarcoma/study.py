"""The protocol of the CT osteosarcoma paper: which runs it takes, and its three tables beside the printed values.

Table 1 trains the baselines from scratch, table 2 says what the six configurations are, table 3 crosses them with the
three strategies. The paper's data are private: the protocol can be repeated, the numbers cannot.

References:
    Spec ct-osteosarcoma, sections 2, 4, 5, 6 and 9.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from osteon.errors import UnknownLabelError, nearest_names
from osteon.report.tables import Table
from osteon.study.comparison import comparison_table
from osteon.study.plan import PlannedRun
from osteon.study.wording import measured_cell, outside_range, printed_cell
from osteon.train.judging import TABLE_MEASURES, judge_folds
from osteon.train.settings import CONFIGURATIONS, TrainSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from osteon.data import Predictions
    from osteon.metrics.bootstrap import Resampling
    from osteon.train.judging import Measured

__all__ = [
    "BASELINES",
    "STRATEGIES",
    "TITLE",
    "StudyOptions",
    "plan_runs",
    "printed_values",
    "study_tables",
]

TITLE = "CT osteosarcoma: transfer learning on slices of the leg"
STRATEGIES = ("ft", "lp-ft", "g-lf")
BASELINES = "baselines"
"""The word that chooses table 1 with ``only``."""

_NETWORKS = ("densenet121", "densenet169", "resnet18", "resnet50")
_HEADS = {"auc": "AUC", "tpr": "TPR (sensitivity)", "tnr": "TNR (specificity)"}
_HOW_MEASURED = (
    "Measured: mean over folds of each fold's model on its test part (folds: Student's t over folds; patients: patient "
    "bootstrap of that mean), both 95 %. Positive from a probability of 0.5 on. Printed: the paper's mean, t interval."
)
_PRIVATE = "The paper's data are private: the printed values were measured on other images and are no target."
_TRIVIAL = {"majority": "majority class", "fields": "fields only"}
_REFERENCE = "CAE-ft"
"""The paper's best: what the others are compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOptions:
    """What of the study to run, and how.

    Attributes:
        only: configurations, and "baselines"; empty for everything.
        strategies: of table 3.
        networks: of table 1.
        values: training settings by name, as architecture, sizes, rates or seed; strategy and configuration are each
            run's own.
        baseline_values: settings of table 1 that differ.
    """

    only: tuple[str, ...] = ()
    strategies: tuple[str, ...] = STRATEGIES
    networks: tuple[str, ...] = _NETWORKS
    values: Mapping[str, Any] = field(default_factory=dict)
    baseline_values: Mapping[str, Any] = field(default_factory=dict)


def plan_runs(options: StudyOptions) -> tuple[PlannedRun, ...]:
    """The runs, table 1 first.

    Raises:
        UnknownLabelError: no such configuration, strategy or setting.
        InputError: a setting out of range.
    """
    for name in options.only:
        if name not in {*CONFIGURATIONS, BASELINES}:
            raise UnknownLabelError(
                f"no part {name!r} of the study: {nearest_names(name, [*CONFIGURATIONS, BASELINES])}"
            )
    for name in options.strategies:
        if name not in STRATEGIES:
            raise UnknownLabelError(f"no strategy {name!r} in the study: {nearest_names(name, STRATEGIES)}")
    wanted = options.only or (BASELINES, *CONFIGURATIONS)
    runs = []
    if BASELINES in wanted:
        for network in options.networks:
            own = {"architecture": network, "pretrained": "", "strategy": "scratch", "configuration": "C"}
            settings = TrainSettings.of({**options.values, **options.baseline_values, **own})
            runs.append(PlannedRun(f"baseline-{network}", "table1", settings))
    for configuration in CONFIGURATIONS:
        for strategy in options.strategies if configuration in wanted else ():
            settings = TrainSettings.of({**options.values, "strategy": strategy, "configuration": configuration})
            runs.append(PlannedRun(f"{configuration}-{strategy}", "table3", settings))
    return tuple(runs)


def study_tables(
    runs: tuple[PlannedRun, ...],
    predictions: Mapping[str, Predictions],
    *,
    notes: tuple[str, ...] = (),
    resampling: Resampling | None = None,
) -> tuple[Table, ...]:
    """Tables 1 to 3 of the paper, and the comparisons of table 3 with their tests.

    Args:
        runs: that were planned.
        predictions: of the runs that have ended, by name; and of "majority" and "fields", the baselines without images.
        notes: sentences for every table of results: warnings of the split, what kind of data these are.
        resampling: of the patient bootstrap.
    """
    judged = {name: judge_folds(table, resampling=resampling) for name, table in predictions.items()}
    return (
        _table1(runs, judged, notes),
        _table2(),
        _table3(runs, judged, notes),
        comparison_table(
            {run.name: predictions[run.name] for run in runs if run.table == "table3" and run.name in predictions},
            reference=_REFERENCE,
            notes=notes,
            resampling=resampling,
        ),
    )


@cache
def _printed() -> dict[str, Any]:
    text = files("osteon.systems.ct_osteosarcoma").joinpath("published.json").read_text(encoding="utf-8")
    printed: dict[str, Any] = json.loads(text)
    return printed


def printed_values() -> dict[tuple[str, str], tuple[float, float, float]]:
    """Mean, lower and upper end that the paper prints, by (run name, measure).

    Example:
        >>> printed_values()["CAE-ft", "auc"]
        (0.948, 0.93, 0.966)
    """
    rows = [(f"baseline-{row['network']}", row) for row in _printed()["table1"]]
    rows += [(f"{row['configuration']}-{row['strategy']}", row) for row in _printed()["table3"]]
    return {
        (name, key): (float(row[key][0]), float(row[key][1]), float(row[key][2]))
        for name, row in rows
        for key in TABLE_MEASURES
    }


def _table1(
    runs: tuple[PlannedRun, ...], judged: Mapping[str, Mapping[str, Measured]], notes: tuple[str, ...]
) -> Table:
    printed = {row["network"]: row for row in _printed()["table1"]}
    planned = {run.settings.architecture: run for run in runs if run.table == "table1"}
    lines = [
        _Line((network,), planned[network].name if network in planned else "", printed.get(network))
        for network in dict.fromkeys([*printed, *planned])
    ]
    return _results_table(
        "table1",
        "Table 1: baselines trained from scratch",
        ("Network",),
        [*lines, *_trivial_lines(judged, 1)],
        judged,
        notes=(*_protocol_notes(planned.values()), *notes),
    )


def _table2() -> Table:
    ticks = {
        configuration: (
            "" if configuration.startswith("F") else "yes",
            "yes" if configuration.startswith("F") else "",
            "yes" if "A" in configuration else "",
            "yes" if "E" in configuration else "",
        )
        for configuration in CONFIGURATIONS
    }
    return Table(
        "table2",
        "Table 2: configurations",
        ("Configuration", "Cross entropy", "Focal loss", "Augmentation", "Curation by embeddings"),
        tuple((configuration, *cells) for configuration, cells in ticks.items()),
        notes=("As the paper has them; these follow from osteon's settings of the same names.",),
    )


def _table3(
    runs: tuple[PlannedRun, ...], judged: Mapping[str, Mapping[str, Measured]], notes: tuple[str, ...]
) -> Table:
    planned = {run.name for run in runs}
    lines = [
        _Line((row["configuration"], row["strategy"].upper()), name if name in planned else "", row)
        for row in _printed()["table3"]
        for name in [f"{row['configuration']}-{row['strategy']}"]
    ]
    return _results_table(
        "table3",
        "Table 3: configurations and fine-tuning strategies",
        ("Configuration", "Strategy"),
        [*lines, *_trivial_lines(judged, 2)],
        judged,
        notes=(*_protocol_notes([run for run in runs if run.table == "table3"]), *notes),
    )


@dataclass(frozen=True, slots=True)
class _Line:
    """A row of a table of results: its headings, the run it shows ("" for none), what the paper prints."""

    heads: tuple[str, ...]
    run: str
    printed: Mapping[str, Any] | None


def _trivial_lines(judged: Mapping[str, Mapping[str, Measured]], heads: int) -> list[_Line]:
    return [_Line((title, *[""] * (heads - 1)), name, None) for name, title in _TRIVIAL.items() if name in judged]


def _results_table(
    name: str,
    title: str,
    heads: tuple[str, ...],
    lines: list[_Line],
    judged: Mapping[str, Mapping[str, Measured]],
    *,
    notes: tuple[str, ...],
) -> Table:
    rows: list[tuple[str, ...]] = []
    records: list[dict[str, object]] = []
    impossible: list[str] = []
    unbounded = False
    for line in lines:
        found = judged.get(line.run)
        cells: list[str] = []
        for key in TABLE_MEASURES:
            cells.append(measured_cell(found[key]) if found else ("failed" if line.run else "not run"))
            cells.append(printed_cell(line.printed[key]) if line.printed else "")
            records.append(_record(line, heads, key, found))
            unbounded |= found is not None and found[key].over_folds.leaves_range
            if line.printed and outside_range(line.printed[key]):
                impossible.append(f"{' '.join(line.heads)} {_HEADS[key]} {printed_cell(line.printed[key])}")
        rows.append((*line.heads, *cells))
    remarks = [_HOW_MEASURED, _PRIVATE]
    if impossible:
        remarks.append(
            f"Printed, but cannot be a range of a share: {'; '.join(impossible)}. A t interval over five folds is not "
            "bounded; the patient bootstrap is."
        )
    if unbounded:
        remarks.append("With a star: a t interval is not bounded and leaves 0 to 1; read the patient bootstrap.")
    columns = [text for key in TABLE_MEASURES for text in (_HEADS[key], "printed")]
    return Table(name, title, (*heads, *columns), tuple(rows), notes=(*remarks, *notes), records=tuple(records))


def _record(line: _Line, heads: tuple[str, ...], key: str, found: Mapping[str, Measured] | None) -> dict[str, object]:
    record: dict[str, object] = {name.lower(): text for name, text in zip(heads, line.heads, strict=True)}
    record |= {"run": line.run, "measure": key}
    one = found[key] if found else None
    record |= {
        "mean": one.over_folds.mean if one else None,
        "t_low": one.over_folds.low if one else None,
        "t_high": one.over_folds.high if one else None,
        "bootstrap_low": one.over_patients.low if one else None,
        "bootstrap_high": one.over_patients.high if one else None,
        "folds": one.over_folds.folds if one else None,
        "patients": one.over_patients.patients if one else None,
        "images": one.over_patients.images if one else None,
    }
    values = line.printed[key] if line.printed else (None, None, None)
    return record | dict(zip(("printed", "printed_low", "printed_high"), values, strict=True))


def _protocol_notes(runs: Iterable[PlannedRun]) -> tuple[str, ...]:
    """What differs from the paper's settings in the runs shown, from their settings."""
    settings = [run.settings for run in runs]
    if not settings:
        return ()
    first = settings[0]
    paper = TrainSettings(strategy=first.strategy)
    notes = [
        f"{name} {getattr(first, name)} (paper: {getattr(paper, name)})"
        for name in ("image_size", "batch", "epochs", "learning_rate", "final_rate", "patience", "images_per_epoch")
        if getattr(first, name) != getattr(paper, name)
    ]
    networks = sorted({entry.architecture for entry in settings if entry.strategy != "scratch"})
    if networks and networks != ["densenet121"]:
        notes.append(f"network {', '.join(networks)} (paper: densenet121)")
    return (f"Other than in the paper: {'; '.join(notes)}.",) if notes else ()
