"""The tables of the histology study, ours beside what the paper prints."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.data.slide import TILE_CLASSES, TILE_WORDS
from osteon.metrics.multiclass import class_counts, cluster_intervals
from osteon.report.tables import Table
from osteon.systems.histology.published import printed_accuracy, printed_findings, printed_histology
from osteon.systems.histology.study_baselines import patient_by_class
from osteon.train.tiles.bases import base_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from osteon.metrics.bootstrap import BootstrapInterval, Resampling
    from osteon.metrics.multiclass import ClassCounts
    from osteon.systems.histology.study import HistologyRun, Protocol
    from osteon.systems.histology.study_baselines import Baseline
    from osteon.systems.histology.study_run import HistologyStudy

__all__ = ["FEW_PATIENTS", "LEAKS", "Judged", "histology_tables", "judge_row", "row_words"]

TUMOUR = ("non_viable", "viable")

LEAKS = (
    "WARNING: divided by tile. Tiles of one patient lie on both sides: telling patients apart is enough to look good "
    "where patients differ in class. These rows repeat the paper; they are no estimate for a new patient."
)
SELECTED = (
    "WARNING: as printed, the best validation accuracy of all rates, repeats and epochs is reported on the tiles that "
    "it was selected by. It is larger than any fair estimate."
)
FEW_PATIENTS = 10
"""Below this many patients an interval over patients says little."""

_MEASURES = (
    ("accuracy",),
    ("balanced_accuracy",),
    ("precision", *TUMOUR),
    ("recall", *TUMOUR),
    ("specificity", *TUMOUR),
    *((measure, name) for name in TILE_CLASSES for measure in ("precision", "recall", "f1")),
)


@dataclass(frozen=True, slots=True)
class Judged:
    """A row by a protocol, all folds together.

    Attributes:
        run: the row.
        protocol: by which it was divided.
        called: (n,) class of the mean probability of the repeats.
        counts: of all tiles.
        intervals: by measure, over patients.
        alone: smallest and largest accuracy of one repeat.
        chosen: (rate, epochs) of each fold.
        notes: of the folds.
    """

    run: HistologyRun
    protocol: Protocol
    called: NDArray[np.int64] = field(repr=False)
    counts: ClassCounts = field(repr=False)
    intervals: dict[tuple[str, ...], BootstrapInterval] = field(repr=False)
    alone: tuple[float, float]
    chosen: tuple[tuple[float, int], ...]
    notes: tuple[str, ...] = ()


def judge_row(
    study: HistologyStudy, run: HistologyRun, protocol: Protocol, *, resampling: Resampling | None = None
) -> Judged | None:
    """All folds of a row together; None until they are done. Not for the literal protocol."""
    folds = study.done(run, protocol)
    if folds is None or protocol == "literal" or protocol not in run.protocols:
        return None
    count = len(study.labels)
    probability = np.zeros((count, len(TILE_CLASSES)))
    repeats = np.zeros((run.settings.repeats, count), dtype=np.int64)
    for fold in folds:
        rows, logits = np.array(fold["test"]), np.array(fold["logits"], dtype=np.float64)
        share = np.exp(logits - logits.max(axis=2, keepdims=True))
        probability[rows] = (share / share.sum(axis=2, keepdims=True)).mean(axis=0)
        repeats[:, rows] = logits.argmax(axis=2)
    called = probability.argmax(axis=1)
    alone = (repeats == study.labels).mean(axis=1)
    patients = study.manifest.column("patient")
    return Judged(
        run=run,
        protocol=protocol,
        called=called,
        counts=class_counts(study.labels, called, TILE_CLASSES),
        intervals=cluster_intervals(
            _MEASURES, study.labels, called, patients, classes=TILE_CLASSES, resampling=resampling
        ),
        alone=(float(alone.min()), float(alone.max())),
        chosen=tuple((fold["rate"], fold["epochs"]) for fold in folds),
        notes=tuple(dict.fromkeys(fold["note"] for fold in folds if fold["note"])),
    )


def histology_tables(
    study: HistologyStudy, judged: Sequence[Judged], baselines: Sequence[Baseline], notes: tuple[str, ...]
) -> tuple[Table, ...]:
    """All tables, those without a row too.

    Args:
        study: as it stands.
        judged: of ``judge_row``, in the order of the plan.
        baselines: of ``tile_baselines``.
        notes: that every table carries.
    """
    return (
        _confounding(study, notes),
        _baselines(baselines, notes),
        _results(judged, notes),
        _classes(judged, notes),
        _matrices(judged, notes),
        _augmentation(study, judged, notes),
        _grid(study, notes),
        _printed(),
    )


def row_words(run: HistologyRun) -> str:
    """A row's network, base and augmentation."""
    settings = run.settings
    stain = "" if settings.stain == "none" else f", {settings.stain}"
    base = "" if settings.pretrained in ("embedded", "hub") else f" ({base_words(settings)})"
    return f"{settings.architecture.removesuffix('_tiles')}{base}, {settings.augmentation.name}{stain}"


def _confounding(study: HistologyStudy, notes: tuple[str, ...]) -> Table:
    table = patient_by_class(study.labels, study.manifest.column("patient"))
    rows = tuple((patient, *map(str, counts), str(sum(counts))) for patient, counts in table.items())
    total = [sum(counts[index] for counts in table.values()) for index in range(len(TILE_CLASSES))]
    missing = []
    for patient, counts in table.items():
        alone = [
            TILE_WORDS[name] for name, own, all_ in zip(TILE_CLASSES, counts, total, strict=True) if own == all_ > 0
        ]
        if alone:
            missing.append(
                f"All {' and all '.join(alone)} tiles are of {patient}: with {patient} left out that is judged without "
                "ever having been seen."
            )
    if missing:
        known = sum(own for counts in table.values() for own, all_ in zip(counts, total, strict=True) if own < all_)
        missing.append(
            f"So with every patient left out once at most {known} of {sum(total)} tiles "
            f"({_percent(known / sum(total))} %) can be called right: of the others the class is seen nowhere else."
        )
    return Table(
        "histology_patients",
        "Tiles by patient and class: what a division by patient and by tile can test",
        ("patient", *(TILE_WORDS[name] for name in TILE_CLASSES), "all"),
        (*rows, ("all", *map(str, total), str(sum(total)))),
        notes=(*missing, *notes),
        records=tuple(
            {"patient": patient, **dict(zip(TILE_CLASSES, counts, strict=True))} for patient, counts in table.items()
        ),
    )


def _baselines(baselines: Sequence[Baseline], notes: tuple[str, ...]) -> Table:
    rows = tuple((one.title, one.unit, one.of, _percent(one.accuracy)) for one in baselines)
    return Table(
        "histology_baselines",
        "Right without looking at tissue",
        ("what is seen", "divided by", "what is told", "accuracy, %"),
        rows,
        notes=(LEAKS, *notes) if rows else notes,
        records=tuple(
            {"row": one.title, "unit": one.unit, "told": one.of, "accuracy": one.accuracy} for one in baselines
        ),
    )


def _results(judged: Sequence[Judged], notes: tuple[str, ...]) -> Table:
    rows, records = [], []
    for one in judged:
        found = one.intervals
        rows.append(
            (
                row_words(one.run),
                _protocol_words(one.protocol),
                _interval(found["accuracy",]),
                f"{_percent(one.alone[0])} to {_percent(one.alone[1])}",
                _interval(found["balanced_accuracy",]),
                _interval(found["precision", *TUMOUR]),
                _interval(found["recall", *TUMOUR]),
                _chosen(one),
            )
        )
        for measure, value in found.items():
            records.append(_record(one, measure, value))
    return Table(
        "histology_results",
        "Three classes, and tumour (viable or not) against none, per cent (95 % over patients)",
        (
            "row",
            "division",
            "accuracy",
            "accuracy of one head",
            "mean recall of classes",
            "tumour: precision",
            "tumour: recall",
            "rate x epochs of the folds",
        ),
        tuple(rows),
        notes=_with_leaks(judged, notes),
        records=tuple(records),
    )


def _classes(judged: Sequence[Judged], notes: tuple[str, ...]) -> Table:
    rows = tuple(
        (
            row_words(one.run),
            _protocol_words(one.protocol),
            TILE_WORDS[name],
            *(_interval(one.intervals[measure, name]) for measure in ("precision", "recall", "f1")),
        )
        for one in judged
        for name in TILE_CLASSES
    )
    columns = ("row", "division", "class", "precision", "recall", "F1")
    title = "Each class, per cent (95 % over patients)"
    return Table("histology_classes", title, columns, rows, notes=_with_leaks(judged, notes))


def _matrices(judged: Sequence[Judged], notes: tuple[str, ...]) -> Table:
    rows = tuple(
        (row_words(one.run), _protocol_words(one.protocol), TILE_WORDS[name], *map(str, counts))
        for one in judged
        for name, counts in zip(TILE_CLASSES, one.counts.matrix.tolist(), strict=True)
    )
    columns = ("row", "division", "truth", *(f"called {TILE_WORDS[name]}" for name in TILE_CLASSES))
    return Table("histology_matrices", "Confusion matrices", columns, rows, notes=_with_leaks(judged, notes))


def _augmentation(study: HistologyStudy, judged: Sequence[Judged], notes: tuple[str, ...]) -> Table:
    """Every row: as printed, by tile, by patient."""
    fair = {(one.run.name, one.protocol): one for one in judged}
    rows, records = [], []
    for run in study.runs:
        literal = study.done(run, "literal") if "literal" in run.protocols else None
        best, mean, where = _literal(literal[0], run) if literal else (math.nan, math.nan, "")
        cells = [fair.get((run.name, unit)) for unit in ("tile", "patient")]
        printed = printed_accuracy(run.settings.architecture, run.settings.augmentation.name)
        rows.append(
            (
                row_words(run),
                printed,
                _percent(best),
                f"{_percent(mean)}{f' ({where})' if where else ''}",
                *("" if cell is None else _interval(cell.intervals["accuracy",]) for cell in cells),
            )
        )
        values = [math.nan if cell is None else cell.intervals["accuracy",].value for cell in cells]
        records.append(
            {"row": run.name, "printed": printed, "literal_best": best, "literal_mean": mean}
            | dict(zip(("by_tile", "by_patient"), values, strict=True))
        )
    return Table(
        "histology_augmentation",
        "Accuracy by network and augmentation, per cent: as printed and selected, and as a new patient would see it",
        (
            "row",
            "printed",
            "literal: best of all runs",
            "literal: best mean of the repeats",
            "by tile, nested",
            "by patient, nested",
        ),
        tuple(rows),
        notes=(SELECTED, LEAKS, *notes),
        records=tuple(records),
    )


def _grid(study: HistologyStudy, notes: tuple[str, ...]) -> Table:
    """Figure 3: the literal mean accuracy by rate and epochs, without augmentation."""
    rows, records = [], []
    epochs: tuple[int, ...] = ()
    for run in study.runs:
        found = study.done(run, "literal") if "literal" in run.protocols else None
        if found is None or run.settings.augmentation.changes:
            continue
        epochs = run.settings.epochs
        accuracy = np.array(found[0]["accuracy"]).mean(axis=1)
        for rate, values in zip(run.settings.rates, accuracy, strict=True):
            rows.append((row_words(run), f"{rate:g}", *(_percent(values[epoch - 1]) for epoch in epochs)))
            records += [
                {"row": run.name, "rate": rate, "epochs": epoch, "accuracy": float(values[epoch - 1])}
                for epoch in epochs
            ]
    columns = ("row", "rate", *(f"{epoch} epochs" for epoch in epochs))
    title = "The grid of rates and epochs: mean validation accuracy of the repeats, per cent, as printed (by tile)"
    return Table("histology_grid", title, columns, tuple(rows), notes=(LEAKS, *notes), records=tuple(records))


def _printed() -> Table:
    findings = printed_findings()
    rows = tuple((one.printed, "yes" if one.holds else "no", one.finding) for one in findings)
    earlier = " to ".join(printed_histology()["earlier_work"])
    return Table(
        "histology_printed",
        "What the paper prints, held against arithmetic",
        ("printed", "can be", "finding"),
        rows,
        notes=(f"Earlier work on the same set, as the paper quotes it: {earlier} %.",),
    )


def _literal(document: dict[str, Any], run: HistologyRun) -> tuple[float, float, str]:
    """Best of all runs and epochs, best mean of the repeats on the grid, and where that was."""
    accuracy = np.array(document["accuracy"])
    means = accuracy.mean(axis=1)[:, [epoch - 1 for epoch in run.settings.epochs]]
    rate, epoch = np.unravel_index(int(means.argmax()), means.shape)
    where = f"{run.settings.rates[rate]:g} x {run.settings.epochs[epoch]}"
    return float(accuracy.max()), float(means.max()), where


def _with_leaks(judged: Sequence[Judged], notes: tuple[str, ...]) -> tuple[str, ...]:
    leaks = (LEAKS,) if any(one.protocol != "patient" for one in judged) else ()
    own = tuple(dict.fromkeys(f"{row_words(one.run)}: {note}." for one in judged for note in one.notes))
    return (*leaks, *own, *notes)


def _record(one: Judged, measure: tuple[str, ...], value: BootstrapInterval) -> dict[str, object]:
    return {
        "row": one.run.name,
        "division": one.protocol,
        "measure": measure[0],
        "classes": "+".join(measure[1:]),
        "value": value.value,
        "low": value.low,
        "high": value.high,
        "patients": value.patients,
        "tiles": value.images,
    }


def _protocol_words(protocol: str) -> str:
    return "BY TILE" if protocol == "tile" else "by patient"


def _chosen(one: Judged) -> str:
    return ", ".join(f"{rate:g} x {epochs}" for rate, epochs in one.chosen)


def _interval(found: BootstrapInterval) -> str:
    if math.isnan(found.low):
        return _percent(found.value)
    return f"{_percent(found.value)} ({_percent(found.low)} to {_percent(found.high)})"


def _percent(value: float) -> str:
    return "" if math.isnan(value) else f"{100 * value:.1f}"
