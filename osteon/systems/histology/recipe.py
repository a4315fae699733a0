"""How tiles of slides are classified, as in the paper (specs/histology.md, section 2): small heads on a frozen base."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from osteon.data import TILE_CLASSES
from osteon.errors import InputError
from osteon.systems.histology.detail import Tiles, tile_input
from osteon.train.settings import HeadSettings, Recipe

if TYPE_CHECKING:
    from osteon.data import Manifest
    from osteon.weights import ImageInput

__all__ = ["RECIPE", "RECIPES"]

_LIKE = 1.05


def _card_input(settings: HeadSettings, manifest: Manifest) -> ImageInput:
    """A square of the slide as large as the tiles of the data set are; its manifest says how large."""
    sides = []
    for row in manifest.rows:
        try:
            sides.append(float(row.extra["microns_per_pixel"]) * float(row.extra["columns"]))
        except (KeyError, ValueError) as error:
            raise InputError(
                f"the manifest does not say how large the tile {row.image} is on the slide (columns microns_per_pixel "
                "and columns): make the data set with osteon dataset"
            ) from error
    if max(sides) > _LIKE * min(sides):
        raise InputError(
            f"tiles of {min(sides):g} to {max(sides):g} um cannot be one model's: make a data set of tiles of one size"
        )
    return tile_input(Tiles(sides[0], settings.stain, pixels=settings.pixels))


RECIPE: Final = Recipe(
    task="histology",
    summary="tiles of an H&E slide: viable tumour, non-viable tumour, no tumour",
    kind=HeadSettings,
    values={
        "architecture": "mobilenet_v2_tiles",
        "classes": TILE_CLASSES,
        "positive": "viable",
        "batch": 32,
        "rates": (0.1, 0.01, 0.005, 0.001, 0.0005, 0.0001),
        "epochs": (30, 50, 100),
    },
    card_input=_card_input,
    elsewhere="tissue other than bone tumours and what surrounds them, and slides that are not stained with H&E",
)

RECIPES: Final = (RECIPE,)
"""All recipes of the system."""
