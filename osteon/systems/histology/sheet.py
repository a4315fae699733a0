"""What the pictures of a slide have in common: its pixels, light ground, panels, scale bar, legend, marks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.ops.tile_plan import slide_size_um, slide_thumbnail
from osteon.report.sheet import DARK_AFFECTED, DARK_INK, LIGHT, Sheet
from osteon.systems.histology.detail import (
    LEFT_OUT,
    LEFT_OUT_LOOK,
    LOOKS,
    UNCLAIMED,
    UNCLAIMED_LOOK,
    Look,
    cell_edges_px,
    rgb_of,
)
from osteon.systems.histology.regions import patches
from osteon.systems.histology.text import SLIDE_DEMO_MARK

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from osteon.data import Answer
    from osteon.data.slide import Slide, TilePlan
    from osteon.report.blocks import Picture

__all__ = [
    "SOFT",
    "SYNTHETIC_MARK",
    "WIDTH",
    "Panels",
    "class_colours",
    "grey_ground",
    "legend",
    "marks",
    "outline",
    "resized",
    "save",
    "scale_bar",
    "slide_panel",
    "slide_picture",
    "spread_cells",
]

WIDTH: Final = 1600
SOFT: Final = "#555e69"
_LONGEST: Final = 1600
"""Pixels along the longer side of the largest panel."""

_EDGE: Final = 30
_GAP: Final = 30
_HEAD: Final = 96
_TALLEST: Final = 900

SYNTHETIC_MARK: Final = "synthetic slide - no person's tissue"
"""Stands on every picture of a slide that was computed."""

_BAR_LENGTHS_UM: Final = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000)


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
        shape = _fitting(size_um, (_TALLEST if across > 1 else _TALLEST / 1.5, room))
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
        [right - length, right], [base, base], color=DARK_INK, linewidth=4, solid_capstyle="butt", path_effects=_halo()
    )
    axes.annotate(
        words, (right - length / 2, base), xytext=(0, 5), textcoords="offset points", ha="center", va="bottom",
        color=DARK_INK, fontsize=Sheet.points(size), weight="bold", path_effects=_halo(),
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
        edge = look.colour if look.hatch else DARK_INK
        axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, edgecolor=edge, linewidth=1, **hatch))
        text = f"{look.title}{words}"
        sheet.text(left + size * 1.5 + 9, top - 2, text, size=size, colour=DARK_INK)
        left += size * 1.5 + 9 + 0.56 * size * len(text) + 30


def save(sheet: Sheet, path: Path, words: Iterable[str], *, title: str, caption: str) -> Picture:
    """Write a sheet with its marks in the upper right corner, side by side.

    Raises:
        OutputError: it cannot be written.
    """
    frame = {"boxstyle": "square,pad=0.35", "facecolor": LIGHT, "edgecolor": DARK_AFFECTED, "linewidth": 1.4}
    right = sheet.width - 24.0
    for text in words:
        sheet.text(right, 16, text, size=17, colour=DARK_AFFECTED, ha="right", weight="bold", bbox=frame)
        right -= 11.6 * len(text) + 30
    return sheet.picture(path, title, caption)


def _fitting(extent: tuple[float, float], box: tuple[float, float]) -> tuple[int, int]:
    """Largest (rows, columns) with the proportions of an extent (height, width) in a box (height, width).

    Example:
        >>> _fitting((10.0, 20.0), (600, 800))
        (400, 800)
    """
    scale = min(box[0] / extent[0], box[1] / extent[1])
    return max(1, round(extent[0] * scale)), max(1, round(extent[1] * scale))


def slide_picture(slide: Slide) -> NDArray[np.uint8]:
    """The whole slide in at least the pixels of the largest panel, as far as it has them; (rows, columns, 3) RGB.

    Raises:
        InputError: the slide is damaged.
    """
    size_um = slide_size_um(slide)
    picture, (row_um, column_um) = slide_thumbnail(slide, um_per_pixel=max(size_um) / _LONGEST)
    rows, columns = max(1, round(size_um[0] / row_um)), max(1, round(size_um[1] / column_um))
    return picture[:rows, :columns]  # without the white that fills up the last row and column


def resized(picture: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture in another number of (rows, columns); averaged over areas where it becomes smaller."""
    import cv2

    smaller = picture.shape[0] >= shape[0] and picture.shape[1] >= shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (shape[1], shape[0]), interpolation=how), dtype=np.uint8)


def grey_ground(rgb: NDArray[np.uint8], *, darkest: float = 0.68) -> NDArray[np.float32]:
    """Brightness of a picture between ``darkest`` and 1, to be multiplied with colours laid over it.

    The structure of the tissue stays to be seen and its own pink and blue do not mix with the colours of the map.

    Args:
        rgb: (rows, columns, 3) uint8.
        darkest: of the answer.

    Returns:
        (rows, columns, 1) float32.
    """
    luminance = rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    low = float(np.quantile(luminance, 0.01))
    spread = np.clip((luminance - low) / max(255.0 - low, 1.0), 0.0, 1.0)
    ground: NDArray[np.float32] = (darkest + (1 - darkest) * spread)[..., None].astype(np.float32)
    return ground
