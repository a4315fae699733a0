"""Cells of a slide's map as a report shows them: what each is called, where it lies, what it looks like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.data.slide import Slide, TilePlan
    from osteon.systems.histology.detail import SlideMap, SlideReading

__all__ = [
    "FLAG_LOOKS",
    "LEFT_OUT",
    "LOOKS",
    "NOT_READ",
    "UNCLAIMED",
    "Look",
    "any_flag",
    "cell_edges_px",
    "cell_flags",
    "centre_um",
    "flag_look",
    "rgb_of",
    "shown_classes",
]

NOT_READ: Final = -1
"""A cell without tissue."""
LEFT_OUT: Final = -2
"""A cell with a flag: in no area and in no fraction."""
UNCLAIMED: Final = -3
"""A cell of a slide that is unlike the training tiles: the model gives no word on it."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a class or a flag is shown.

    Attributes:
        name: in files.
        title: in words.
        colour: "#rrggbb".
        hatch: of matplotlib; "" for a plain colour.
    """

    name: str
    title: str
    colour: str
    hatch: str = ""


LOOKS: Final = (
    Look("non_tumour", "Non-tumour", "#6f8ca8"),
    Look("non_viable", "Non-viable tumour", "#e3ab2f"),
    Look("viable", "Viable tumour", "#9e0f36"),
)
"""In the order of TILE_CLASSES. Grey-blue, ochre, crimson: told apart with any colour vision, and in grey."""

FLAG_LOOKS: Final = (
    Look("blur", "out of focus", "#0072b2", "///"),
    Look("pen", "pen mark", "#009e73", "\\\\\\"),
    Look("fold", "fold", "#cc79a7", "|||"),
    Look("unlike", "unlike the training tiles", "#1b1f24", "xxx"),
)
_OTHER: Final = Look("other", "flagged", "#d55e00", "...")


def flag_look(name: str) -> Look:
    """The look of a flag; one of its own name for a flag that is not in the list."""
    known = next((look for look in FLAG_LOOKS if look.name == name), None)
    return known or Look(name, name.replace("_", " "), _OTHER.colour, _OTHER.hatch)


def rgb_of(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of a colour.

    Example:
        >>> rgb_of("#9e0f36")
        (158, 15, 54)
    """
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def any_flag(slide_map: SlideMap) -> NDArray[np.bool_]:
    """(rows, columns) bool: whether a cell has at least one flag."""
    found = np.zeros(slide_map.plan.shape, dtype=np.bool_)
    for flags in slide_map.flags.values():
        found |= flags
    return found


def cell_flags(slide_map: SlideMap, row: int, column: int) -> tuple[str, ...]:
    """Names of the flags of a cell."""
    return tuple(name for name, flags in slide_map.flags.items() if flags[row, column])


def shown_classes(reading: SlideReading) -> NDArray[np.int8]:
    """What each cell is called: an index into TILE_CLASSES, or NOT_READ, LEFT_OUT or UNCLAIMED; (rows, columns)."""
    probability = reading.map.probability
    read = reading.map.plan.is_tissue & np.isfinite(probability).all(axis=-1)
    called = np.full(reading.map.plan.shape, NOT_READ, dtype=np.int8)
    called[read] = UNCLAIMED if reading.is_unlike else probability[read].argmax(axis=-1).astype(np.int8)
    called[any_flag(reading.map) & reading.map.plan.is_tissue] = LEFT_OUT
    return called


def centre_um(plan: TilePlan, row: int, column: int) -> tuple[float, float]:
    """(x, y) of the middle of a cell in micrometres from the slide's upper left corner."""
    return (column + 0.5) * plan.step_um, (row + 0.5) * plan.step_um


def cell_edges_px(plan: TilePlan, slide: Slide) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where rows and columns of cells begin, and where the last ends, in pixels of level 0.

    Returns:
        y of the rows (rows + 1) and x of the columns (columns + 1), cut at the edge of the slide.
    """
    level = slide.levels[0]
    ends = zip(plan.shape, slide.microns_per_pixel, (level.rows, level.columns), strict=True)
    y, x = (np.minimum(np.arange(n + 1) * (plan.step_um / micron), size) for n, micron, size in ends)
    return y, x
