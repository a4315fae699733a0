"""Pictures of the histology study: accuracies with intervals, confusion matrices, the literal trainings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data.slide import TILE_CLASSES, TILE_WORDS
from osteon.report.results_page import Picture
from osteon.report.sheet import LIGHT, Sheet
from osteon.report.study_charts import Curve, Estimate, draw_estimates, draw_learning_curves
from osteon.systems.histology.published import printed_accuracy
from osteon.systems.histology.study_tables import row_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from osteon.systems.histology.study_run import HistologyStudy
    from osteon.systems.histology.study_tables import Judged

__all__ = ["histology_pictures"]

_INK: Final = "#1b1f24"
_SIDE: Final = 250
_ACROSS: Final = 3
_MOST_MATRICES: Final = 6
_SHADE: Final = "Blues"


def histology_pictures(
    study: HistologyStudy, judged: Sequence[Judged], folder: Path, *, mark: str = ""
) -> tuple[Picture, ...]:
    """All pictures that there is something to draw for.

    Args:
        study: as it stands.
        judged: rows by protocol.
        folder: of the PNGs.
        mark: words in the corner of each.

    Raises:
        OutputError: a picture cannot be written.
    """
    pictures = []
    estimates = [_estimate(one) for one in judged]
    if estimates:
        pictures.append(draw_estimates(folder / "accuracy.png", "Accuracy of three classes", estimates, mark=mark))
        pictures.append(_draw_matrices(folder / "matrices.png", judged[:_MOST_MATRICES], mark=mark))
    curves = []
    for run in study.runs:
        found = study.done(run, "literal") if "literal" in run.protocols else None
        if found is None or run.settings.augmentation.changes:
            continue
        for rate, accuracy in zip(run.settings.rates, np.array(found[0]["accuracy"]), strict=True):
            mean = accuracy.mean(axis=0)
            curves.append(Curve(f"{row_words(run)}, rate {rate:g}", tuple(mean.tolist()), int(mean.argmax()) + 1))
    if curves:
        pictures.append(draw_learning_curves(folder / "literal.png", curves, measure="accuracy (by tile)", mark=mark))
    return tuple(pictures)


def _estimate(one: Judged) -> Estimate:
    found = one.intervals["accuracy",]
    settings = one.run.settings
    text = printed_accuracy(settings.architecture, settings.augmentation.name)
    printed = (float(text) / 100,) * 3 if text else None
    nowhere = (math.nan, math.nan)
    # names beside the axis are short: what is left is the axis
    name = f"{row_words(one.run).replace('rotation', 'rot')}, {'TILE' if one.protocol == 'tile' else 'patient'}"
    return Estimate(name, math.nan, nowhere, (found.low, found.high), printed, found.value)


def _draw_matrices(path: Path, judged: Sequence[Judged], *, mark: str) -> Picture:
    """A confusion matrix a row: truth down, what was called across."""
    down = math.ceil(len(judged) / _ACROSS)
    sheet = Sheet(1100, 70 + (_SIDE + 120) * down, ground=LIGHT)
    title = "Confusion matrices"
    sheet.text(20, 14, title, size=24, colour=_INK, weight="bold")
    if mark:
        sheet.text(1080, 18, mark, size=16, colour="#a84300", ha="right", weight="bold")
    words = [TILE_WORDS[name].replace(" tumour", "") for name in TILE_CLASSES]
    for number, one in enumerate(judged):
        left, top = number % _ACROSS * 360 + 110, number // _ACROSS * (_SIDE + 120) + 100
        division = "BY TILE" if one.protocol == "tile" else "by patient"
        sheet.text(left - 90, top - 36, f"{row_words(one.run)}, {division}"[:44], size=13, colour=_INK)
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
    return Picture(path, title, "Tiles; rows are the truth, columns what was called, shaded by the share of the row.")
