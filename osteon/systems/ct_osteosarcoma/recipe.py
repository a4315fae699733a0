"""How slices of a leg are classified, as in the paper (specs/ct-osteosarcoma.md, sections 4 to 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from osteon.train.settings import ClassifySettings, Recipe
from osteon.weights import ImageInput, Preprocessing

if TYPE_CHECKING:
    from osteon.data import Manifest

__all__ = ["RECIPE", "RECIPES"]


def _card_input(settings: ClassifySettings, manifest: Manifest) -> ImageInput:
    del manifest
    words = (
        "the box of a leg, what is not of the leg filled with the slice's smallest value, min-max "
        "normalised slice by slice, nearest neighbour; images of the data set were prepared in the same way by "
        "osteon.train.pixels.prepare_image"
    )
    made = Preprocessing(
        "osteon.ops.crops.leg_crops",
        {"size": settings.image_size, "keep": "Leg.mask()", "find_legs": {"mode": "series", "margin_mm": 5.0}},
        words,
    )
    where = (
        "axial slice of one leg as it is in the volume: rows front to back, columns right to left of "
        "a patient on the back"
    )
    return ImageInput(1, where, made, rows=settings.image_size, columns=settings.image_size)


RECIPE: Final = Recipe(
    task="ct_osteosarcoma",
    summary="slices of a leg on CT: tumour or not",
    kind=ClassifySettings,
    values={
        "architecture": "mobilenet_v2",
        "strategy": "ft",
        "configuration": "C",
        "positive": "tumour",
        "stretch": True,
        "image_size": 256,
        "batch": 16,
        "schedule": "cosine",
        "augmentation": "paper_2024",
    },
    card_input=_card_input,
    elsewhere="body parts other than legs",
)

RECIPES: Final = (RECIPE,)
"""All recipes of the system."""
