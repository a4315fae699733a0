"""What only a slide has: the tiles that a model takes, the map of the cells, what it comes to, how cells are shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from osteon.data import TILE_CLASSES
from osteon.errors import WeightsError
from osteon.weights import Classes, ImageInput, Preprocessing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from osteon.data import GradeProposal, Necrosis, RegionOod, Slide, TilePlan
    from osteon.weights import ModelCard

__all__ = [
    "LEFT_OUT",
    "LEFT_OUT_LOOK",
    "LOOKS",
    "NOT_READ",
    "NO_FRACTION",
    "UNCLAIMED",
    "UNCLAIMED_LOOK",
    "Look",
    "SlideMap",
    "SlideReading",
    "Tiles",
    "any_flag",
    "cell_edges_px",
    "cell_flags",
    "centre_um",
    "flag_look",
    "rgb_of",
    "shown_classes",
    "tile_input",
    "tiles_of",
]


NO_FRACTION: Final = "no fraction"
"""How the method of a necrosis begins that is none: of a single tile."""
NOT_READ: Final = -1
"""A cell without tissue."""
LEFT_OUT: Final = -2
"""A cell with a flag: in no area and in no fraction."""
UNCLAIMED: Final = -3
"""A tile that is out of distribution: the model does not assess it."""


@dataclass(frozen=True, slots=True)
class SlideMap:
    """What a classifier says of every cell.

    Attributes:
        plan: the cells.
        probability: (rows, columns, 3) float32 in the order of ``TILE_CLASSES``, calibrated; NaN where not read.
        ood: (rows, columns) float32, distance from the training tiles; NaN where not read; None where the model
            does not know its limits.
        ood_threshold: a tile above it is out of distribution.
        flags: by name ("blur", "pen", "fold", "ood"), (rows, columns) bool.
    """

    plan: TilePlan
    probability: NDArray[np.float32] = field(repr=False)
    ood: NDArray[np.float32] | None = field(default=None, repr=False)
    ood_threshold: float | None = None
    flags: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class SlideReading:
    """What was computed of one slide.

    Attributes:
        map: of the cells.
        necrosis: share of the tumour that is not viable; without a fraction where nothing is claimed.
        grade: None where there is no fraction, or the slide is outside the model's training range.
        tiles: that were read.
        left_out: tiles that count in no area; a tile may have several flags.
        flagged: tiles by flag.
        ood: how unlike the model's training the slide is; None where the model does not know its limits.
        is_ood: whether no class is claimed for that reason.
        is_reported: whether the slide is unlike, but a person asked to have it reported all the same.
        is_graded: whether a grade was asked for: the slide is of an osteosarcoma after chemotherapy.
        is_silent: whether no model was asked, so that only how much tissue there is is known.
        certain: cells (row, column) of the gallery, the most certain of each class first.
        uncertain: cells of the least certain, first the least.
    """

    map: SlideMap = field(repr=False)
    necrosis: Necrosis
    grade: GradeProposal | None = None
    tiles: int = 0
    left_out: int = 0
    flagged: Mapping[str, int] = field(default_factory=dict)
    ood: RegionOod | None = None
    is_ood: bool = False
    is_reported: bool = False
    is_graded: bool = False
    is_silent: bool = False
    certain: tuple[tuple[int, int], ...] = field(default=(), repr=False)
    uncertain: tuple[tuple[int, int], ...] = field(default=(), repr=False)


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
"""In the order of TILE_CLASSES. Grey-blue, ochre, crimson: distinguished with any colour vision, and in grey."""

_FLAG_LOOKS: Final = (
    Look("blur", "out of focus", "#0072b2", "///"),
    Look("pen", "pen mark", "#009e73", "\\\\\\"),
    Look("fold", "fold", "#cc79a7", "|||"),
    Look("ood", "out of distribution", "#1b1f24", "xxx"),
)
LEFT_OUT_LOOK: Final = Look("left_out", "Left out", "#8d939a", "////")
UNCLAIMED_LOOK: Final = Look("unclaimed", "No class is claimed", "#c3c8cd", "xx")
_OTHER: Final = Look("other", "flagged", "#d55e00", "...")


def flag_look(name: str) -> Look:
    """The look of a flag; one of its own name for a flag that is not in the list."""
    known = next((look for look in _FLAG_LOOKS if look.name == name), None)
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
    """The class of each cell: an index into TILE_CLASSES, or NOT_READ, LEFT_OUT or UNCLAIMED; (rows, columns)."""
    probability = reading.map.probability
    read = reading.map.plan.is_tissue & np.isfinite(probability).all(axis=-1)
    predicted = np.full(reading.map.plan.shape, NOT_READ, dtype=np.int8)
    predicted[read] = UNCLAIMED if reading.is_ood else probability[read].argmax(axis=-1).astype(np.int8)
    predicted[any_flag(reading.map) & reading.map.plan.is_tissue] = LEFT_OUT
    return predicted


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


@dataclass(frozen=True, slots=True)
class Tiles:
    """Colour tiles of a known size on the slide: the parameters of the preprocessing in the card.

    Attributes:
        tile_um: side of a tile on the slide.
        stain: how colours are changed before the network sees them, towards ``stain_target``.
        stain_target: parameters of the target, as ``osteon.ops.stain`` wants them; empty for its own.
        pixels: rows and columns that the network sees of it; the card says it as the size of the image.

    Raises:
        ValueError: a tile without a size.
    """

    tile_um: float
    stain: Literal["none", "macenko", "reinhard"] = "none"
    stain_target: dict[str, Any] = field(default_factory=dict)
    pixels: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not self.tile_um > 0:
            raise ValueError(f"a tile of {self.tile_um} um has no size")


def tile_input(tiles: Tiles) -> ImageInput:
    """The card's input."""
    words = (
        f"{tiles.tile_um:g} um square of the slide in RGB, resized by area to {tiles.pixels} pixels, divided by 255; "
        "the network itself scales to the range of its base"
    )
    parameters = {"tile_um": tiles.tile_um, "stain": tiles.stain, "stain_target": dict(tiles.stain_target)}
    made, side = Preprocessing("osteon.data.slide", parameters, words), tiles.pixels
    return ImageInput(3, "as it is on the slide", made, rows=side, columns=side, colour="rgb", values="byte")


def tiles_of(card: ModelCard) -> Tiles:
    """How the tiles of a model are made.

    Raises:
        WeightsError: the model takes something else, or has other classes.
    """
    if card.image.colour != "rgb" or "tile_um" not in card.image.preprocessing.parameters:
        raise WeightsError(
            f"{card.name} (task {card.task}) was asked for histology tiles; it takes other images: choose a model of "
            "the task histology (osteon models list)"
        )
    if not isinstance(card.output, Classes) or card.output.names != TILE_CLASSES:
        names = card.output.names if isinstance(card.output, Classes) else ("something else",)
        raise WeightsError(
            f"{card.name} was asked for the classes {', '.join(TILE_CLASSES)}; it gives {', '.join(names)}: choose a "
            "model of the task histology (osteon models list)"
        )
    found = card.image.parameters_of(Tiles, name=card.name)
    return Tiles(found.tile_um, found.stain, found.stain_target, card.image.rows)
