"""ROC curves of several classifiers in one picture, and printed points with the area that they ask for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from osteon.report.results_page import Picture
from osteon.report.sheet import LIGHT, Sheet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["PrintedPoint", "RocLine", "draw_roc"]

_INK: Final = "#1b1f24"
_GREY: Final = "#69707a"
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_MARKS: Final = ("s", "^", "D", "v")
_SIDE: Final = 520


@dataclass(frozen=True, slots=True, eq=False)
class RocLine:
    """A classifier's curve.

    Attributes:
        name: for the legend.
        false_positive_rate: (points,) rising from 0 to 1.
        true_positive_rate: (points,) as that.
        point: (false positive rate, true positive rate) at which it was judged.
        words: behind the name, as its AUC.
    """

    name: str
    false_positive_rate: NDArray[Any] = field(repr=False)
    true_positive_rate: NDArray[Any] = field(repr=False)
    point: tuple[float, float]
    words: str = ""


@dataclass(frozen=True, slots=True)
class PrintedPoint:
    """Sensitivity and specificity that a paper prints, and its AUC, as shares."""

    name: str
    sensitivity: float
    specificity: float
    auc: float


def draw_roc(
    path: Path, title: str, lines: Sequence[RocLine], points: Sequence[PrintedPoint] = (), *, mark: str = ""
) -> Picture:
    """Curves with the point of each, and printed points with the rectangle that any curve through them covers.

    Args:
        path: of the PNG.
        title: of the picture.
        lines: measured.
        points: printed.
        mark: words in the upper corner, as that the data are synthetic.

    Raises:
        OutputError: the picture cannot be written.
    """
    sheet = Sheet(1100, _SIDE + 150, ground=LIGHT)
    sheet.text(20, 14, title, size=24, colour=_INK, weight="bold")
    if mark:
        sheet.text(1080, 18, mark, size=16, colour="#a84300", ha="right", weight="bold")
    axes = sheet.axes(90, 66, _SIDE, _SIDE)
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=(0, (4, 3)))
    for number, line in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        label = f"{line.name}{line.words and ', ' + line.words}"
        axes.plot(line.false_positive_rate, line.true_positive_rate, color=colour, linewidth=2, label=label)
        axes.plot(*line.point, "o", color=colour, markersize=8, markeredgecolor="white", clip_on=False, zorder=5)
    for number, point in enumerate(points):
        place = 1 - point.specificity, point.sensitivity
        least = point.sensitivity * point.specificity
        axes.fill_between([place[0], 1], 0, place[1], color=_GREY, alpha=0.07, linewidth=0)
        label = f"printed: {point.name}\nAUC {point.auc:.3f}; through this point at least {least:.3f}"
        form = _MARKS[number % len(_MARKS)]
        axes.plot(
            *place, form, color=_GREY, markersize=8, markeredgecolor="white", clip_on=False, zorder=4, label=label
        )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_xlabel("1 - specificity", fontsize=Sheet.points(15))
    axes.set_ylabel("sensitivity", fontsize=Sheet.points(15))
    axes.tick_params(labelsize=Sheet.points(14))
    axes.grid(color="#e3e6ea")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if lines or points:
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.03, 1.0), labelspacing=0.8, fontsize=Sheet.points(14), frameon=False
        )
    sheet.save(path)
    caption = (
        "Test parts; where there are folds, of all of them together, each image judged by the network that never saw "
        "its patient. Dots: at a probability of 0.5."
    )
    if points:
        caption += (
            " Grey: points that the paper prints, on other data. The shaded rectangle below and to the right of one "
            "lies under every ROC curve through it: its area is the least AUC."
        )
    return Picture(path, title, caption)
