"""What the card of a tile classifier says of its tiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from osteon.data import TILE_CLASSES
from osteon.errors import WeightsError
from osteon.weights import Classes, ImageInput, Preprocessing

if TYPE_CHECKING:
    from osteon.weights import ModelCard

__all__ = ["Tiles", "tile_input", "tiles_of"]


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


def tile_input(tiles: Tiles, *, function: str = "osteon.data.slide", description: str = "") -> ImageInput:
    """The card's input.

    Args:
        tiles: as the model takes them.
        function: that gives the pixels.
        description: how a tile of the slide becomes what the network sees; "" takes the plain words.
    """
    words = description or (
        f"{tiles.tile_um:g} um square of the slide in RGB, resized by area to {tiles.pixels} pixels, divided by 255; "
        "the network itself scales to the range of its base"
    )
    parameters = {"tile_um": tiles.tile_um, "stain": tiles.stain, "stain_target": dict(tiles.stain_target)}
    return ImageInput(
        3,
        "as it lies on the slide",
        Preprocessing(function, parameters, words),
        rows=tiles.pixels,
        columns=tiles.pixels,
        colour="rgb",
        values="byte",
    )


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
