"""How crops of lesions of the femur are classified, as in the paper (specs/mri-femur.md, sections 2 and 3).

Its networks begin with random weights. MobileNetV2, which is shipped with weights, is fine-tuned [GAP], at about the
largest rate with which it learns. The paper balances the classes and does not say how: here the loss does.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from osteon.ops.mr_region import RegionOptions
from osteon.train.settings import ClassifySettings, Recipe
from osteon.weights import ImageInput, Preprocessing

if TYPE_CHECKING:
    from osteon.data import Manifest

__all__ = ["RECIPE", "RECIPES"]


def _card_input(settings: ClassifySettings, manifest: Manifest) -> ImageInput:
    """As the data set was made; its manifest says how in columns of its own."""
    first = manifest.rows[0].extra
    options = RegionOptions(
        margin_px=int(first.get("margin_px") or RegionOptions().margin_px),
        masked=first.get("masked") == "yes",
        size=settings.image_size,
    )
    words = (
        "the slice from its 1st to its 99th percentile, the box of the lesion (a mask's, or that of the region in a "
        "drawn box) with a margin, resized to a square, in 256 steps"
    )
    made = Preprocessing("osteon.ops.mr_region.lesion_crop", asdict(options), words)
    where = "slice of the femur as it is stored, in any plane"
    return ImageInput(1, where, made, rows=settings.image_size, columns=settings.image_size)


RECIPE: Final = Recipe(
    task="mri_femur",
    summary="crops of a lesion of the femur on MRI: benign or malignant",
    kind=ClassifySettings,
    values={
        "architecture": "mobilenet_v2",
        "strategy": "ft",
        "configuration": "CA",
        "positive": "malignant",
        "stretch": False,
        "image_size": 224,
        "batch": 32,
        "schedule": "cosine",
        "augmentation": "femur",
        "class_weights": "balanced",
    },
    when=(
        ("unshipped", {"strategy": "scratch"}),
        ("strategy=scratch", {"schedule": "constant"}),
        ("schedule=cosine", {"learning_rate": 1e-4}),
    ),
    card_input=_card_input,
    elsewhere="other bones than the femur, and sequences or planes that were not in the images of training",
)

RECIPES: Final = (RECIPE,)
"""All recipes of the system."""
