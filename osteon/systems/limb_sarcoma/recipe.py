"""How a tumour of a limb is outlined: three neighbouring slices in, one map out, on parts that are drawn anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from osteon.systems.limb_sarcoma.prepare import PIXEL_MM, SLICE_MM, WINDOW_HU
from osteon.train.settings import Recipe, SegmentSettings
from osteon.weights import ImageInput, Preprocessing

if TYPE_CHECKING:
    from osteon.data import Manifest

__all__ = ["RECIPES", "SEGMENTER"]

_SIZE: Final = 160
_MARGIN_MM: Final = 50.0


def _input(settings: SegmentSettings, manifest: Manifest) -> ImageInput:
    shown = {row.extra.get("modality", "mr") for row in manifest.rows}
    window = f"CT: {WINDOW_HU[0]:g} to {WINDOW_HU[1]:g} HU"
    fat = "MR: the square root of values over four thirds of fat (97th percentile of a slice)"
    scale = "; ".join(words for kind, words in (("mr", fat), ("ct", window)) if kind in shown)
    words = (
        f"three axial slices every {SLICE_MM:g} mm as 8-bit grey values ({scale}), resized as a whole to the pixel "
        "size, padded with 0; divided by 255"
    )
    how = {"pixel_mm": PIXEL_MM, "slice_mm": SLICE_MM, **({"window_hu": list(WINDOW_HU)} if "ct" in shown else {})}
    made = Preprocessing("osteon.systems.limb_sarcoma.prepare", how, words)
    where = "axial slices: rows front to back, columns right to left of a patient on the back"
    return ImageInput(3 if settings.neighbours else settings.channels, where, made, size_step=16, values="byte")


SEGMENTER: Final = Recipe(
    task="limb_sarcoma",
    summary="slices of a limb on MR T1 or CT: the tumour outlined",
    kind=SegmentSettings,
    values={
        "architecture": "efficientnet_lite0_unet16",
        "image_size": _SIZE,
        "crop": 96,
        "neighbours": 1,
        "margin": round(_MARGIN_MM / (_SIZE * PIXEL_MM), 4),
        "scaling": 0.15,
        "intensity": 0.15,
        "batch": 8,
        "optimiser": "adam",
        "epochs": 8,
        "rates": (1e-3, 1e-3, 1e-3, 8e-4, 6e-4, 4e-4, 2e-4, 5e-5),
        "encoder_rate": 0.3,
        "dice_weight": 1.0,
        "dice_over": "image",
        "joins_validation": True,
        "selection": "last",
    },
    elsewhere="anything but a limb with one sarcoma on T1-weighted MR or CT; it does not tell benign from malignant",
    card_input=_input,
)

RECIPES: Final = (SEGMENTER,)
"""All recipes of the system."""
