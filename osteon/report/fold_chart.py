"""A picture of a measure fold by fold: a row a method, a dot a fold, what the paper prints below it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from osteon.report.results_page import Picture
from osteon.report.sheet import LIGHT, Sheet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["FoldDots", "draw_folds"]

_INK: Final = "#1b1f24"
_PRINTED: Final = "#69707a"
_LINE: Final = "#b8c0c8"
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_ROW: Final = 40


@dataclass(frozen=True, slots=True)
class FoldDots:
    """A row of the chart.

    Attributes:
        name: of the method.
        values: one a fold, as shares; NaN where there is none.
        printed: as ``values``, of the paper; empty where it prints none.
    """

    name: str
    values: tuple[float, ...] = field(repr=False)
    printed: tuple[float, ...] = field(default=(), repr=False)


def draw_folds(path: Path, title: str, rows: Sequence[FoldDots], *, mark: str = "") -> Picture:
    """A dot a fold, a line from the least to the most, a tick at the mean; the paper's folds in grey below.

    Args:
        path: of the PNG.
        title: of the measure.
        rows: from the top.
        mark: words in the upper corner, as that the data are synthetic.

    Raises:
        OutputError: the picture cannot be written.
    """
    height = _ROW * max(1, len(rows))
    sheet = Sheet(1100, height + 150, ground=LIGHT)
    sheet.text(20, 14, title, size=24, colour=_INK, weight="bold")
    if mark:
        sheet.text(1080, 18, mark, size=16, colour="#a84300", ha="right", weight="bold")
    axes = sheet.axes(290, 60, 780, height)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    for number, row in enumerate(rows):
        found = [value for value in row.values if math.isfinite(value)]
        if found:
            axes.plot([min(found), max(found)], [number - 0.14] * 2, color=_LINE, linewidth=2, zorder=1)
            axes.plot(sum(found) / len(found), number - 0.14, "|", color=_INK, markersize=17, zorder=3)
        for fold, value in enumerate(row.values):
            if math.isfinite(value):
                colour = _COLOURS[fold % len(_COLOURS)]
                axes.plot(value, number - 0.14, "o", color=colour, markersize=6, zorder=2)
        if row.printed:
            axes.plot(row.printed, [number + 0.22] * len(row.printed), "d", color=_PRINTED, markersize=4)
    axes.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=Sheet.points(15))
    axes.tick_params(axis="x", labelsize=Sheet.points(14))
    axes.grid(axis="x", color="#d9dde2")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    folds = max((len(row.values) for row in rows), default=0)
    for fold in range(folds):
        sheet.text(290 + 100 * fold, height + 104, f"● fold {fold + 1}", size=15, colour=_COLOURS[fold % len(_COLOURS)])
    if any(row.printed for row in rows):
        sheet.text(290 + 100 * folds, height + 104, "◆ printed in the paper", size=15, colour=_PRINTED)
    sheet.save(path)
    caption = (
        "A dot a fold on its own test part, a tick at their mean, a line from the least to the most. Grey, below: the "
        "folds that the paper prints, on other data."
    )
    return Picture(path, title, caption)
