"""The tables and pictures of the histology study, ours beside the published values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.data.slide import TILE_CLASSES, TILE_TEXTS
from osteon.metrics.text import Scale
from osteon.report.blocks import Picture, Table
from osteon.report.charts import Curve, Estimate, draw_estimates, draw_learning_curves
from osteon.report.sheet import LIGHT, Sheet
from osteon.study.published import read_published
from osteon.systems.histology.study_folds import patient_by_class
from osteon.train.tile_features import base_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.metrics.bootstrap import BootstrapInterval
    from osteon.metrics.multiclass import ClassCounts
    from osteon.study.plan import Study
    from osteon.systems.histology.study_folds import Baseline
    from osteon.train.settings import HeadSettings

    Literally = Mapping[str, tuple[HeadSettings, Mapping[str, Any] | None]]

__all__ = ["LEAKS", "SELECTED", "TUMOUR", "Evaluated", "histology_pictures", "histology_tables"]

TUMOUR = ("non_viable", "viable")

LEAKS = (
    "WARNING: divided by tile. Tiles of one patient lie on both sides: telling patients apart is enough to look good "
    "where patients differ in class. These rows repeat the paper; they are not an estimate for a new patient."
)
SELECTED = (
    "WARNING: as published, the best validation accuracy of all rates, repeats and epochs is reported on the tiles "
    "that it was selected by. It is larger than any fair estimate."
)
_SCALE: Final = Scale(100, 1, undefined="", lacking="")
_INK: Final = "#1b1f24"
_SIDE: Final = 250
_ACROSS: Final = 3
_MOST_MATRICES: Final = 6
_SHADE: Final = "Blues"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A row by a protocol, all folds together.

    Attributes:
        settings: of the row.
        protocol: by which it was divided.
        counts: of all tiles, predicted by the mean probability of the repeats.
        intervals: by measure, over patients.
        alone: smallest and largest accuracy of one repeat.
        chosen: (rate, epochs) of each fold.
        notes: of the folds.
    """

    settings: HeadSettings
    protocol: str
    counts: ClassCounts = field(repr=False)
    intervals: dict[tuple[str, ...], BootstrapInterval] = field(repr=False)
    alone: tuple[float, float]
    chosen: tuple[tuple[float, int], ...]
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, str]:
        """Row and division, as the tables call them."""
        return row_text(self.settings), "BY TILE" if self.protocol == "tile" else "by patient"

    def cells(self, *measures: tuple[str, ...]) -> list[str]:
        """Measures with their intervals."""
        found = [self.intervals[measure] for measure in measures]
        return [_SCALE.estimate(one.value, one.low, one.high) for one in found]


def histology_tables(
    labels: NDArray[np.int64],
    patients: NDArray[np.str_],
    evaluated: Sequence[Evaluated],
    literal: Literally,
    baselines: Sequence[Baseline],
    notes: tuple[str, ...],
) -> tuple[Table, ...]:
    """All tables, those without a row too."""
    return (
        _confounding(labels, patients, notes),
        _baselines(baselines, notes),
        _results(evaluated, notes),
        _classes(evaluated, notes),
        _matrices(evaluated, notes),
        _augmentation(evaluated, literal, notes),
        _grid(literal, notes),
        *read_published(__package__).checks,
    )


def row_text(settings: HeadSettings) -> str:
    """A row's network, base and augmentation."""
    stain = "" if settings.stain == "none" else f", {settings.stain}"
    base = "" if settings.pretrained in ("embedded", "hub") else f" ({base_text(settings)})"
    return f"{settings.architecture.removesuffix('_tiles')}{base}, {settings.augmentation.name}{stain}"


def _confounding(labels: NDArray[np.int64], patients: NDArray[np.str_], notes: tuple[str, ...]) -> Table:
    table = patient_by_class(labels, patients)
    rows = tuple((patient, *map(str, counts), str(sum(counts))) for patient, counts in table.items())
    total = [sum(counts[index] for counts in table.values()) for index in range(len(TILE_CLASSES))]
    missing = []
    for patient, counts in table.items():
        alone = [
            TILE_TEXTS[name] for name, own, all_ in zip(TILE_CLASSES, counts, total, strict=True) if own == all_ > 0
        ]
        if alone:
            missing.append(
                f"All {' and all '.join(alone)} tiles are of {patient}: with {patient} left out that is evaluated "
                "without ever having been seen."
            )
    if missing:
        known = sum(own for counts in table.values() for own, all_ in zip(counts, total, strict=True) if own < all_)
        share = _SCALE.number(known / sum(total))
        missing.append(
            f"So with every patient left out once at most {known} of {sum(total)} tiles "
            f"({share} %) can be predicted right: of the others the class is seen nowhere else."
        )
    return Table(
        "histology_patients",
        "Tiles by patient and class: what a division by patient and by tile can test",
        ("patient", *(TILE_TEXTS[name] for name in TILE_CLASSES), "all"),
        (*rows, ("all", *map(str, total), str(sum(total)))),
        notes=(*missing, *notes),
        records=tuple(
            {"patient": patient, **dict(zip(TILE_CLASSES, counts, strict=True))} for patient, counts in table.items()
        ),
    )


def _baselines(baselines: Sequence[Baseline], notes: tuple[str, ...]) -> Table:
    rows = tuple((one.title, one.unit, one.of, _SCALE.number(one.accuracy)) for one in baselines)
    return Table(
        "histology_baselines",
        "Right without looking at tissue",
        ("what is seen", "divided by", "what is reported", "accuracy, %"),
        rows,
        notes=(LEAKS, *notes) if rows else notes,
        records=tuple(
            {"row": one.title, "unit": one.unit, "told": one.of, "accuracy": one.accuracy} for one in baselines
        ),
    )


def _results(evaluated: Sequence[Evaluated], notes: tuple[str, ...]) -> Table:
    rows, records = [], []
    for one in evaluated:
        accuracy, balanced, precision, recall = one.cells(
            ("accuracy",), ("balanced_accuracy",), ("precision", *TUMOUR), ("recall", *TUMOUR)
        )
        chosen = ", ".join(f"{rate:g} x {epochs}" for rate, epochs in one.chosen)
        rows.append((*one.words, accuracy, _SCALE.limits(*one.alone), balanced, precision, recall, chosen))
        records += [
            {
                "row": one.settings.name,
                "division": one.protocol,
                "measure": measure[0],
                "classes": "+".join(measure[1:]),
                "value": value.value,
                "low": value.low,
                "high": value.high,
                "patients": value.patients,
                "tiles": value.images,
            }
            for measure, value in one.intervals.items()
        ]
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
        notes=_with_leaks(evaluated, notes),
        records=tuple(records),
    )


def _classes(evaluated: Sequence[Evaluated], notes: tuple[str, ...]) -> Table:
    rows = tuple(
        (*one.words, TILE_TEXTS[name], *one.cells(*((measure, name) for measure in ("precision", "recall", "f1"))))
        for one in evaluated
        for name in TILE_CLASSES
    )
    columns = ("row", "division", "class", "precision", "recall", "F1")
    title = "Each class, per cent (95 % over patients)"
    return Table("histology_classes", title, columns, rows, notes=_with_leaks(evaluated, notes))


def _matrices(evaluated: Sequence[Evaluated], notes: tuple[str, ...]) -> Table:
    rows = tuple(
        (*one.words, TILE_TEXTS[name], *map(str, counts))
        for one in evaluated
        for name, counts in zip(TILE_CLASSES, one.counts.matrix.tolist(), strict=True)
    )
    columns = ("row", "division", "truth", *(f"predicted {TILE_TEXTS[name]}" for name in TILE_CLASSES))
    return Table("histology_matrices", "Confusion matrices", columns, rows, notes=_with_leaks(evaluated, notes))


def _augmentation(evaluated: Sequence[Evaluated], literal: Literally, notes: tuple[str, ...]) -> Table:
    """Every row: as published, by tile, by patient."""
    fair = {(one.settings.name, one.protocol): one for one in evaluated}
    rows, records = [], []
    for name, (settings, document) in literal.items():
        best, mean, where = _best(document, settings) if document else (math.nan, math.nan, "")
        cells = [fair.get((name, unit)) for unit in ("tile", "patient")]
        beside = read_published(__package__).row(_published_name(settings))
        published = beside.marked("accuracy") if beside else ""
        rows.append(
            (
                row_text(settings),
                published,
                _SCALE.number(best),
                f"{_SCALE.number(mean)}{f' ({where})' if where else ''}",
                *("" if cell is None else cell.cells(("accuracy",))[0] for cell in cells),
            )
        )
        values = [math.nan if cell is None else cell.intervals["accuracy",].value for cell in cells]
        records.append(
            {"row": name, "published": published, "literal_best": best, "literal_mean": mean}
            | dict(zip(("by_tile", "by_patient"), values, strict=True))
        )
    return Table(
        "histology_augmentation",
        "Accuracy by network and augmentation, per cent: as published and selected, and as a new patient would see it",
        (
            "row",
            "published",
            "literal: best of all runs",
            "literal: best mean of the repeats",
            "by tile, nested",
            "by patient, nested",
        ),
        tuple(rows),
        notes=(SELECTED, LEAKS, *notes),
        records=tuple(records),
    )


def _grid(literal: Literally, notes: tuple[str, ...]) -> Table:
    """Figure 3: the literal mean accuracy by rate and epochs, without augmentation."""
    rows, records = [], []
    epochs: tuple[int, ...] = ()
    for name, (settings, document) in literal.items():
        if document is None or settings.augmentation.changes:
            continue
        epochs = settings.epochs
        accuracy = np.array(document["accuracy"]).mean(axis=1)
        for rate, values in zip(settings.rates, accuracy, strict=True):
            rows.append((row_text(settings), f"{rate:g}", *(_SCALE.number(values[epoch - 1]) for epoch in epochs)))
            records += [
                {"row": name, "rate": rate, "epochs": epoch, "accuracy": float(values[epoch - 1])} for epoch in epochs
            ]
    columns = ("row", "rate", *(f"{epoch} epochs" for epoch in epochs))
    title = "The grid of rates and epochs: mean validation accuracy of the repeats, per cent, as published (by tile)"
    return Table("histology_grid", title, columns, tuple(rows), notes=(LEAKS, *notes), records=tuple(records))


def _best(document: Mapping[str, Any], settings: HeadSettings) -> tuple[float, float, str]:
    """Best of all runs and epochs, best mean of the repeats on the grid, and where that was."""
    accuracy = np.array(document["accuracy"])
    means = accuracy.mean(axis=1)[:, [epoch - 1 for epoch in settings.epochs]]
    rate, epoch = np.unravel_index(int(means.argmax()), means.shape)
    where = f"{settings.rates[rate]:g} x {settings.epochs[epoch]}"
    return float(accuracy.max()), float(means.max()), where


def _published_name(settings: HeadSettings) -> str:
    """Of the row of ``published.json`` for a network with an augmentation."""
    return f"{settings.architecture} {settings.augmentation.name}"


def _with_leaks(evaluated: Sequence[Evaluated], notes: tuple[str, ...]) -> tuple[str, ...]:
    leaks = (LEAKS,) if any(one.protocol != "patient" for one in evaluated) else ()
    own = tuple(dict.fromkeys(f"{row_text(one.settings)}: {note}." for one in evaluated for note in one.notes))
    return (*leaks, *own, *notes)


# ------------------------------------------------------------------------------------------------------------ pictures


def histology_pictures(study: Study, evaluated: Sequence[Evaluated], literal: Literally) -> tuple[Picture, ...]:
    """Accuracies with intervals and confusion matrices, where a row is evaluated; then the literal trainings.

    Raises:
        OutputError: a picture cannot be written.
    """
    folder, mark, pictures = study.figures, study.mark, []
    if evaluated:
        estimates = [_estimate(one) for one in evaluated]
        pictures.append(draw_estimates(folder / "accuracy.png", "Accuracy of three classes", estimates, mark=mark))
        pictures.append(_draw_matrices(folder / "matrices.png", evaluated[:_MOST_MATRICES], mark=mark))
    curves = []
    for settings, document in literal.values():
        if document is None or settings.augmentation.changes:
            continue
        for rate, accuracy in zip(settings.rates, np.array(document["accuracy"]), strict=True):
            mean = accuracy.mean(axis=0)
            name = f"{row_text(settings)}, rate {rate:g}"
            curves.append(Curve(name, tuple(mean.tolist()), int(mean.argmax()) + 1))
    if curves:
        pictures.append(draw_learning_curves(folder / "literal.png", curves, measure="accuracy (by tile)", mark=mark))
    return tuple(pictures)


def _estimate(one: Evaluated) -> Estimate:
    found = one.intervals["accuracy",]
    published = read_published(__package__).row(_published_name(one.settings))
    # names beside the axis are short: what is left is the axis
    row, unit = row_text(one.settings).replace("rotation", "rot"), "TILE" if one.protocol == "tile" else "patient"
    return Estimate(
        f"{row}, {unit}",
        math.nan,
        (math.nan, math.nan),
        (found.low, found.high),
        published.interval("accuracy") if published else None,
        found.value,
    )


def _draw_matrices(path: Path, evaluated: Sequence[Evaluated], *, mark: str) -> Picture:
    """A confusion matrix a row: truth down, what was predicted across."""
    down = math.ceil(len(evaluated) / _ACROSS)
    sheet = Sheet(1100, 70 + (_SIDE + 120) * down, ground=LIGHT)
    title = "Confusion matrices"
    sheet.text(20, 14, title, size=24, colour=_INK, weight="bold")
    if mark:
        sheet.text(1080, 18, mark, size=16, colour="#a84300", ha="right", weight="bold")
    words = [TILE_TEXTS[name].replace(" tumour", "") for name in TILE_CLASSES]
    for number, one in enumerate(evaluated):
        left, top = number % _ACROSS * 360 + 110, number // _ACROSS * (_SIDE + 120) + 100
        sheet.text(left - 90, top - 36, ", ".join(one.words)[:44], size=13, colour=_INK)
        axes = sheet.axes(left, top, _SIDE - 20, _SIDE - 20)
        matrix = one.counts.matrix
        share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap=_SHADE, vmin=0, vmax=1)
        for row, column in np.ndindex(*matrix.shape):
            colour = "white" if share[row, column] > 0.5 else _INK
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=colour, fontsize=12)
        axes.set_xticks(range(len(words)), words, fontsize=Sheet.points(13))
        axes.set_yticks(range(len(words)), words, fontsize=Sheet.points(13))
    sheet.save(path)
    return Picture(
        path, title, "Tiles; rows are the truth, columns what was predicted, shaded by the share of the row."
    )
