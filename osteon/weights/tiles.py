"""What a classifier of histology tiles takes: the part of its card that other classifiers do not have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TileContract", "tile_input"]


@dataclass(frozen=True, slots=True)
class TileContract:
    """Colour tiles of a known size on the slide.

    Attributes:
        tile_um: side of a tile on the slide.
        pixels: rows and columns that the network sees of it.
        stain: how colours are changed before the network sees them: "none", "macenko" or "reinhard", towards
            ``stain_target``.
        stain_target: parameters of the target, as ``osteon.ops.stain`` wants them; empty for its own.
    """

    tile_um: float
    pixels: int
    stain: str = "none"
    stain_target: Mapping[str, Any] = field(default_factory=dict)


def tile_input(contract: TileContract, *, function: str = "osteon.data.slide", description: str = "") -> dict[str, Any]:
    """The card's entry ``input``.

    Args:
        contract: of the tiles.
        function: that gives the pixels.
        description: how a tile of the slide becomes what the network sees; "" takes the plain words.
    """
    words = description or (
        f"{contract.tile_um:g} um square of the slide in RGB, resized by area to {contract.pixels} pixels, divided by "
        "255; the network itself scales to the range of its base"
    )
    return {
        "rows": contract.pixels,
        "columns": contract.pixels,
        "channels": 3,
        "colour": "rgb",
        "tile_um": contract.tile_um,
        "minimum": 0.0,
        "maximum": 1.0,
        "orientation": "as it lies on the slide",
        "preprocessing": {
            "function": function,
            "parameters": {"stain": contract.stain, "stain_target": dict(contract.stain_target)},
            "description": words,
        },
    }
