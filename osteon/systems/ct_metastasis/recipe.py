"""How lesions and bone are drawn and slices classified, as in the thesis (specs/bone-metastasis.md, 2 and 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from osteon.ops.series_images import BONE_WINDOW_HU, PIXEL_MM
from osteon.train.settings import ClassifySettings, Recipe, SegmentSettings
from osteon.weights import ImageInput, Preprocessing

if TYPE_CHECKING:
    from osteon.data import Manifest

__all__ = ["RECIPES", "SEGMENTER", "SLICES"]


def _maps_input(settings: SegmentSettings, manifest: Manifest) -> ImageInput:
    del manifest
    words = (
        "slices in the window as 8-bit grey values, resized as a whole to the pixel size, padded with 0 or cut around "
        "the centre; divided by 255"
    )
    made = Preprocessing("osteon.ops.series_images", {"window_hu": list(BONE_WINDOW_HU), "pixel_mm": PIXEL_MM}, words)
    where = "axial slice as it is in the volume"
    return ImageInput(settings.channels, where, made, size_step=settings.size_step, values="byte")


def _slices_input(settings: ClassifySettings, manifest: Manifest) -> ImageInput:
    del manifest
    size = settings.image_size
    words = (
        "the slice in one window, at one pixel size, cut or padded around its centre, divided by "
        "255; pictures of a data set without a pixel size are resized as a whole by "
        "osteon.train.pixels.prepare_image, not stretched"
    )
    how = {"window_hu": list(BONE_WINDOW_HU), "pixel_mm": PIXEL_MM, "size": [size, size]}
    made = Preprocessing("osteon.ops.series_images.slice_frame", how, words)
    where = "axial slice of the trunk: rows front to back, columns right to left of a patient on the back"
    return ImageInput(1, where, made, rows=size, columns=size)


SEGMENTER: Final = Recipe(
    task="ct_metastasis",
    summary="slices of the trunk on CT: lesions and bone outlined",
    kind=SegmentSettings,
    values={"architecture": "hybrid_attunetpp", "image_size": 224, "batch": 8, "optimiser": "adam"},
    elsewhere="body parts that were not in the images of training; benign bone lesions that resemble metastases",
    card_input=_maps_input,
)

SLICES: Final = Recipe(
    task="ct_metastasis_slices",
    summary="slices of the trunk on CT: with or without a metastasis",
    kind=ClassifySettings,
    values={
        "architecture": "mobilenet_v2",
        "strategy": "ft",
        "configuration": "FA",
        "positive": "metastasis",
        "stretch": False,
        "image_size": 224,
        "batch": 8,
        "schedule": "steps",
        "augmentation": "rotation_flips",
    },
    when=(("transformer", {"schedule": "warm_steps"}),),
    card_input=_slices_input,
    elsewhere="body parts that were not in the images of training",
)

RECIPES: Final = (SEGMENTER, SLICES)
"""All recipes of the system."""
