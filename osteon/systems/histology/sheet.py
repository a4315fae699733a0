"""What the pictures of a slide have in common: light ground, panels, scale bar, legend, marks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.report.sheet import LIGHT, Sheet
from osteon.systems.histology.map_cells import LEFT_OUT, LOOKS, UNCLAIMED, Look, cell_edges_px, rgb_of
from osteon.systems.histology.outlines import patches
from osteon.systems.histology.pixels import fitting

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from osteon.data import Answer
    from osteon.data.slide import Slide, TilePlan

__all__ = [
    "INK",
    "LEFT_OUT_LOOK",
    "SLIDE_DEMO_MARK",
    "SOFT",
    "SYNTHETIC_MARK",
    "UNCLAIMED_LOOK",
    "WIDTH",
    "Panels",
    "class_colours",
    "legend",
    "mark_sheet",
    "marks",
    "outline",
    "save",
    "scale_bar",
    "slide_panel",
    "spread_cells",
]

WIDTH: Final = 1600
INK: Final = "#1b1f24"
SOFT: Final = "#555e69"
_WARN: Final = "#a84300"

_EDGE: Final = 30
_GAP: Final = 30
_HEAD: Final = 96
_TALLEST: Final = 900

SLIDE_DEMO_MARK: Final = "demo model - shows how the software works"
"""Stands on every picture that shows what a demo model said of a slide."""
SYNTHETIC_MARK: Final = "synthetic slide - no person's tissue"
"""Stands on every picture of a slide that was computed."""

_BAR_LENGTHS_UM: Final = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000)


LEFT_OUT_LOOK: Final = Look("left_out", "Left out", "#8d939a", "////")
UNCLAIMED_LOOK: Final = Look("unclaimed", "No class is claimed", "#c3c8cd", "xx")


@dataclass(frozen=True, slots=True)
class Panels:
    """How panels of a slide are laid out on a sheet: side by side, or below each other where they are wide.

    Attributes:
        width: of the sheet in pixels.
        shape: (rows, columns) of a panel in pixels.
        places: (left, top) of each panel, below a head of fixed height.
        rows: the row that each panel is in.
    """

    width: int
    shape: tuple[int, int]
    places: tuple[tuple[int, int], ...]
    rows: tuple[int, ...]

    @classmethod
    def of(cls, size_um: tuple[float, float], panels: int, *, below: int = 0) -> Panels:
        """Lay out panels of a slide of a size (height, width), with some pixels ``below`` each row."""
        across = panels if size_um[1] < 2.2 * size_um[0] else 1
        room = (WIDTH - 2 * _EDGE - (across - 1) * _GAP) / across
        shape = fitting(size_um, (_TALLEST if across > 1 else _TALLEST / 1.5, room))
        slot = max(shape[1], 1140 / panels)  # room for the titles of the panels and the marks
        rows = tuple(number // across for number in range(panels))
        places = tuple(
            (round(_EDGE + number % across * (slot + _GAP)), _HEAD + row * (shape[0] + _GAP + 34 + below))
            for number, row in enumerate(rows)
        )
        return cls(round(min(WIDTH, 2 * _EDGE + across * (slot + _GAP) - _GAP)), shape, places, rows)

    @property
    def bottom(self) -> int:
        """Below the last panel."""
        return self.places[-1][1] + self.shape[0]


def marks(answer: Answer, slide: Slide) -> tuple[str, ...]:
    """What must stand on every picture of this slide."""
    demo = (SLIDE_DEMO_MARK,) if answer.is_demo else ()
    return (*demo, *((SYNTHETIC_MARK,) if slide.source.is_synthetic else ()))


def mark_sheet(sheet: Sheet, words: Iterable[str]) -> None:
    """The marks in the upper right corner, side by side."""
    frame = {"boxstyle": "square,pad=0.35", "facecolor": LIGHT, "edgecolor": _WARN, "linewidth": 1.4}
    right = sheet.width - 24.0
    for text in words:
        sheet.text(right, 16, text, size=17, colour=_WARN, ha="right", weight="bold", bbox=frame)
        right -= 11.6 * len(text) + 30


def slide_panel(sheet: Sheet, place: tuple[float, float], picture: NDArray[Any], size_um: tuple[float, float]) -> Axes:
    """A picture of the whole slide with its frame; x and y in micrometres, y downwards.

    Args:
        sheet: to draw on.
        place: (left, top) in pixels.
        picture: (rows, columns, 3), one pixel a pixel of the sheet.
        size_um: (height, width) of the slide.
    """
    rows, columns = picture.shape[:2]
    axes = sheet.axes(place[0], place[1], columns, rows)
    axes.set_xlim(0, size_um[1])
    axes.set_ylim(size_um[0], 0)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color("#b6bcc3")
    axes.imshow(picture, extent=(0, size_um[1], size_um[0], 0), aspect="auto", interpolation="nearest")
    return axes


def scale_bar(axes: Axes, *, size: float = 17) -> None:
    """A bar of a round length in the lower right corner, with its length in words."""
    across, down = axes.get_xlim()[1], axes.get_ylim()[0]
    fitting = [length for length in _BAR_LENGTHS_UM if length <= 0.3 * across]
    length = float(fitting[-1] if fitting else _BAR_LENGTHS_UM[0])
    words = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm"
    pixels = float(axes.bbox.height)
    right, base = across * 0.975, down * (1 - 14 / pixels)
    axes.plot(
        [right - length, right], [base, base], color=INK, linewidth=4, solid_capstyle="butt", path_effects=_halo()
    )
    axes.annotate(
        words, (right - length / 2, base), xytext=(0, 5), textcoords="offset points", ha="center", va="bottom",
        color=INK, fontsize=Sheet.points(size), weight="bold", path_effects=_halo(),
    )  # fmt: skip


def _halo() -> list[Any]:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=5, foreground=LIGHT, alpha=0.9)]


def class_colours(
    cells: NDArray[np.int8], plan: TilePlan, slide: Slide, ground: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """The grey slide with the colour of every cell's class over it.

    Args:
        cells: of ``shown_classes``.
        plan: of the cells.
        slide: gives the size.
        ground: of ``grey_ground``, (rows, columns, 1).

    Returns:
        (rows, columns, 3) uint8.
    """
    table = {LEFT_OUT: LEFT_OUT_LOOK.colour, UNCLAIMED: UNCLAIMED_LOOK.colour}
    table |= {index: look.colour for index, look in enumerate(LOOKS)}
    colours = np.full((*cells.shape, 3), 255, dtype=np.float32)
    for value, colour in table.items():
        colours[cells == value] = rgb_of(colour)
    shown: NDArray[np.uint8] = np.rint(ground * spread_cells(colours, plan, slide, ground.shape[:2])).astype(np.uint8)
    return shown


def spread_cells(
    values: NDArray[np.float32], plan: TilePlan, slide: Slide, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Values of cells (rows, columns, ...) at every pixel of a picture of the whole slide; 255 beyond the grid."""
    places = []
    for size, edges, total in zip(
        shape, cell_edges_px(plan, slide), (slide.levels[0].rows, slide.levels[0].columns), strict=True
    ):
        middle = (np.arange(size) + 0.5) * (total / size)
        places.append(np.searchsorted(edges, middle, side="right") - 1)
    rows, columns = places
    inside = (rows < plan.shape[0])[:, None] & (columns < plan.shape[1])[None, :]
    taken = values[np.minimum(rows, plan.shape[0] - 1)[:, None], np.minimum(columns, plan.shape[1] - 1)[None, :]]
    taken[~inside] = 255
    return taken


def outline(axes: Axes, cells: NDArray[np.bool_], plan: TilePlan, *, look: Look, width: float = 1.0) -> None:
    """Outline of cells on a panel, hatched where the look has a hatch."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Curve

    points: list[tuple[float, float]] = []
    codes: list[Any] = []
    for patch in patches(cells):
        for ring in (patch.outer, *patch.holes):
            points += [(column * plan.step_um, row * plan.step_um) for row, column in ring]
            codes += [Curve.MOVETO, *[Curve.LINETO] * (len(ring) - 2), Curve.CLOSEPOLY]
    if points:
        shape = Curve(points, codes)
        options: dict[str, Any] = {"hatch": look.hatch} if look.hatch else {}
        axes.add_patch(PathPatch(shape, fill=False, edgecolor=look.colour, linewidth=width, **options))


def legend(sheet: Sheet, place: tuple[float, float], entries: Iterable[tuple[Look, str]], *, size: float = 18) -> None:
    """Colour, name and a few words, side by side from a place (left, top) of the sheet.

    Args:
        sheet: to draw on.
        place: (left, top) in pixels.
        entries: a look and the words after its title.
        size: of the text in pixels.
    """
    from matplotlib.patches import Rectangle

    left, top = place
    for look, words in entries:
        axes = sheet.axes(left, top, size * 1.5, size)
        axes.set_axis_off()
        hatch: dict[str, Any] = {"hatch": look.hatch, "facecolor": LIGHT} if look.hatch else {"facecolor": look.colour}
        edge = look.colour if look.hatch else INK
        axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, edgecolor=edge, linewidth=1, **hatch))
        text = f"{look.title}{words}"
        sheet.text(left + size * 1.5 + 9, top - 2, text, size=size, colour=INK)
        left += size * 1.5 + 9 + 0.56 * size * len(text) + 30


def save(sheet: Sheet, path: Path, words: Iterable[str]) -> None:
    """Mark and write a sheet.

    Raises:
        OutputError: it cannot be written.
    """
    mark_sheet(sheet, words)
    sheet.save(path)
