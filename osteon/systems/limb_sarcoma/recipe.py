"""How a tumour of a limb is outlined, and slices with a part of it are told from others.

Outlines: three neighbouring slices in, one map or two out, on parts that are drawn anew. Slices: as in the CT paper
(spec ct-osteosarcoma, sections 4 to 6), in a window or scaled to fat, at 128 pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from osteon.data.system import late
from osteon.systems.limb_sarcoma.prepare import PICTURE, PIXEL_MM, SLICE_MM, WINDOW_HU
from osteon.train.settings import ClassifySettings, Recipe, SegmentSettings
from osteon.weights import ImageInput, Preprocessing

if TYPE_CHECKING:
    from osteon.data import Manifest

__all__ = ["RECIPES", "SEGMENTER", "SLICES"]

_MARGIN_MM: Final = 50.0
_WHERE: Final = "axial slices: rows front to back, columns right to left of a patient on the back"
_SLICE_SIDE: Final = 128


def _prepared(settings: SegmentSettings | ClassifySettings, manifest: Manifest, first: str, last: str) -> Preprocessing:
    """What was done to the scans, in words that begin and end like this."""
    shown = {row.extra.get("modality", "mr") for row in manifest.rows}
    window = f"CT: {WINDOW_HU[0]:g} to {WINDOW_HU[1]:g} HU"
    fat = "MR: the square root of values over four thirds of fat (97th percentile of a slice)"
    told = {kind: words for kind, words in (("mr", fat), ("ct", window)) if kind in shown}
    words = (
        f"{first} every {SLICE_MM:g} mm as 8-bit grey values ({'; '.join(told.values())}), resized as a whole to "
        f"{last}; divided by 255"
    )
    how: dict[str, Any] = {
        "modality": list(told),
        "picture": settings.image_size,
        "pixel_mm": PIXEL_MM,
        "slice_mm": SLICE_MM,
    }
    if "ct" in told:
        how["window_hu"] = list(WINDOW_HU)
    return Preprocessing("osteon.systems.limb_sarcoma.prepare", how, words)


def _outline_input(settings: SegmentSettings, manifest: Manifest) -> ImageInput:
    made = _prepared(settings, manifest, "three axial slices", "the pixel size, padded with 0")
    channels = 3 if settings.neighbours else settings.channels
    return ImageInput(channels, _WHERE, made, size_step=settings.size_step, values="byte")


def _slice_input(settings: ClassifySettings, manifest: Manifest) -> ImageInput:
    side = settings.image_size
    last = f"the pixel size, padded with 0, and as a whole to {side} pixels"
    return ImageInput(1, _WHERE, _prepared(settings, manifest, "axial slices", last), rows=side, columns=side)


SEGMENTER: Final = Recipe(
    task="limb_sarcoma",
    summary="slices of a limb on MR T1 or CT: the tumour outlined",
    kind=SegmentSettings,
    values={
        "architecture": "efficientnet_lite0_unet16",
        "image_size": PICTURE,
        "crop": 96,
        "neighbours": 1,
        "margin": round(_MARGIN_MM / (PICTURE * PIXEL_MM), 4),
        "scaling": 0.15,
        "intensity": 0.15,
        "batch": 8,
        "optimiser": "adam",
        "epochs": 6,
        "rates": (1e-3, 1e-3, 8e-4, 5e-4, 2e-4, 5e-5),
        "encoder_rate": 0.3,
        "dice_weight": 1.0,
        "dice_over": "image",
        "joins_validation": True,
        "selection": "last",
    },
    elsewhere="anything but a limb with one sarcoma on T1-weighted MR or CT; it does not tell benign from malignant",
    card_input=_outline_input,
    measured=late(__package__, "measured", "measured_outlines"),
)

SLICES: Final = Recipe(
    task="limb_sarcoma_slices",
    summary="slices of a limb on MR T1 or CT: with or without a part of the tumour",
    kind=ClassifySettings,
    values={
        "architecture": "mobilenet_v2",
        "strategy": "ft",
        "configuration": "C",
        "positive": "tumour",
        "stretch": False,
        "image_size": _SLICE_SIDE,
        "batch": 16,
        "schedule": "cosine",
        "augmentation": "paper_2024",
    },
    elsewhere="anything but slices around one sarcoma of a limb on T1-weighted MR or CT",
    card_input=_slice_input,
)

RECIPES: Final = (SEGMENTER, SLICES)
"""All recipes of the system."""
