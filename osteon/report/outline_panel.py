"""Images side by side with what was drawn and what methods called: a row an image, a column a method."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from osteon.report.results_page import Picture
from osteon.report.sheet import AFFECTED, BONE, INK, MUTED, Sheet, show_image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["OutlinedImage", "draw_outlines"]

_PANEL: Final = 176
_GAP: Final = 10
_TOP: Final = 96
_LEFT: Final = 20


@dataclass(frozen=True, slots=True, eq=False)
class OutlinedImage:
    """A row of the picture.

    Attributes:
        name: of the image.
        image: (row, column) float, 0 black to 1 white.
        truth: (row, column) bool.
        called: method -> (row, column) bool.
        scores: method -> words below its panel, as "F1 77.4".
    """

    name: str
    image: NDArray[np.float32] = field(repr=False)
    truth: NDArray[np.bool_] = field(repr=False)
    called: Mapping[str, NDArray[np.bool_]] = field(repr=False)
    scores: Mapping[str, str] = field(default_factory=dict)


def draw_outlines(path: Path, title: str, rows: Sequence[OutlinedImage], *, caption: str, mark: str = "") -> Picture:
    """The image alone, the image with the truth, then one panel a method with its outline above the truth's.

    Args:
        path: of the PNG.
        title: of the picture.
        rows: from the top, all with the same methods; at least one.
        caption: how to read it; what the colours mean is added.
        mark: words in the upper corner, as that the data are synthetic.

    Raises:
        OutputError: the picture cannot be written.
    """
    methods = list(rows[0].called)
    columns = ["image", "truth", *methods]
    step = _PANEL + _GAP
    tall = _PANEL + 34
    sheet = Sheet(2 * _LEFT + step * len(columns) - _GAP, _TOP + tall * len(rows) + 10)
    sheet.text(_LEFT, 14, title, size=22, weight="bold")
    if mark:
        sheet.text(sheet.width - _LEFT, 16, mark, size=16, colour=AFFECTED, ha="right", weight="bold")
    for number, name in enumerate(columns):
        words = name.replace(*((" (", "\n(") if " (" in name else (", ", ",\n")), 1) if len(name) > 18 else name
        sheet.text(_LEFT + step * number, _TOP - 12, words, size=14, colour=INK, va="bottom")
    for place, row in enumerate(rows):
        top = _TOP + tall * place
        for number, name in enumerate(columns):
            extent = (float(row.image.shape[1]), float(row.image.shape[0]))
            axes = sheet.panel(_LEFT + step * number, top, _PANEL, _PANEL * extent[1] / extent[0], extent_mm=extent)
            show_image(axes, row.image, low=0.0, high=1.0)
            if name != "image":
                _outline(axes, row.truth, BONE, dashed=name != "truth")
            if name in row.called:
                _outline(axes, row.called[name], AFFECTED, dashed=False)
                sheet.text(_LEFT + step * number, top + _PANEL + 4, row.scores.get(name, ""), size=14, colour=MUTED)
        sheet.text(_LEFT, top + _PANEL + 4, row.name, size=13, colour=MUTED)
    sheet.save(path)
    return Picture(
        path, title, f"{caption} Blue: the lesion as it is drawn in the data; orange: as the method calls it."
    )


def _outline(axes: Axes, mask: NDArray[np.bool_], colour: str, *, dashed: bool) -> None:
    """The border of a mask, in its own pixels."""
    import numpy as np

    if not mask.any():
        return
    rows, columns = mask.shape
    axes.contour(
        np.arange(columns + 2) - 0.5,
        np.arange(rows + 2) - 0.5,
        np.pad(mask.astype(np.float32), 1),  # so that a mask that reaches the edge is closed
        levels=[0.5],
        colors=[colour],
        linewidths=1.6 if not dashed else 1.0,
        linestyles="dashed" if dashed else "solid",
    )
