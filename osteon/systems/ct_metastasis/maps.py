"""A segmenter over a whole series: images in slabs, cropped to the body, maps kept as bytes.

What is not shown to the network cannot hold bone: slices without any voxel of 100 HU, and what lies beyond the body's
box (air, where the images are black). A crop ends in the same black that pads an image, so the network sees no new
edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from osteon.errors import WeightsError
from osteon.ops.series_images import BONE_WINDOW_HU, PIXEL_MM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from osteon.data import ModelUse
    from osteon.data.options import Progress
    from osteon.ops.series_images import SeriesImages
    from osteon.weights import ModelCard

__all__ = ["LEAST_BONE_HU", "ImageOptions", "Segmenter", "body_box", "image_options", "map_series"]

LEAST_BONE_HU = 100.0
"""A slice without a single voxel this dense shows no bone."""
SLAB = 32
"""Images given to the segmenter at a time."""
MARGIN_PX = 16
"""As much black as the training images have around a body."""


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """How a segmenter's images are made of slices: the parameters of the preprocessing in its card.

    Attributes:
        window_hu: lowest and highest HU of the window, grey 0 and 255.
        pixel_mm: side of a pixel.

    Raises:
        ValueError: the window has no width, or a pixel no size.
    """

    window_hu: tuple[float, float] = BONE_WINDOW_HU
    pixel_mm: float = PIXEL_MM

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.window_hu[0] >= self.window_hu[1] or not self.pixel_mm > 0:
            raise ValueError(f"the window {self.window_hu} HU has no width, or a pixel of {self.pixel_mm} mm no size")


def image_options(card: ModelCard | None) -> ImageOptions:
    """What the card of a segmenter says, else the defaults.

    Raises:
        WeightsError: the card says what cannot be.
    """
    return ImageOptions() if card is None else card.image.parameters_of(ImageOptions, name=card.name)


class Segmenter(Protocol):
    """What a reading needs of a ``Predictor`` whose output is maps.

    Attributes:
        card: of the model; None for one without a card.
    """

    card: ModelCard | None

    def maps(self, images: NDArray[np.uint8]) -> Mapping[str, NDArray[np.float32]]:
        """Maps (n, row, column) by name, of images (n, row, column); sides are multiples of 16."""

    def use(self) -> ModelUse:
        """The record of the model for a result."""


def map_series(
    images: SeriesImages, segmenter: Segmenter, *, size_step: int = 16, progress: Progress
) -> dict[str, NDArray[np.uint8]]:
    """Maps "bone" and "lesion" of every image of a series, 255 for probability 1.

    Args:
        images: of the series.
        segmenter: gives the maps.
        size_step: sides of what it is given are multiples of it.
        progress: told about every slab.

    Raises:
        WeightsError: the model gives no map of bone or of lesions.
    """
    shown = np.flatnonzero(images.highest_hu >= LEAST_BONE_HU)
    maps = {name: np.zeros(images.grey.shape, dtype=np.uint8) for name in ("bone", "lesion")}
    rows, columns = body_box(images, shown, size_step)
    step = "bone and lesions"
    progress(step, 0, int(shown.size))
    for first in range(0, shown.size, SLAB):
        slab = shown[first : first + SLAB]
        given = np.ascontiguousarray(images.grey[slab, rows, columns])
        found = segmenter.maps(given)
        for name, whole in maps.items():
            if name not in found:
                raise WeightsError(
                    f"the model gives no map {name!r} (it gives {', '.join(sorted(found))}): name a segmentation model "
                    "of task ct_metastasis with --model"
                )
            whole[slab, rows, columns] = np.asarray(found[name] * np.float32(255) + np.float32(0.5)).astype(np.uint8)
        progress(step, int(min(first + SLAB, shown.size)), int(shown.size))
    return maps


def body_box(images: SeriesImages, shown: NDArray[np.int64], size_step: int) -> tuple[slice, slice]:
    """Rows and columns that hold all of the body in all images, with a margin, in multiples of the step."""
    highest = images.grey[shown].max(axis=0) if shown.size else np.zeros(images.frame.size, dtype=np.uint8)
    body = highest > images.grey_of(-250.0)
    ends = []
    for axis, count in enumerate(body.shape):
        used = np.flatnonzero(body.any(axis=1 - axis))
        if not used.size:
            ends.append(slice(0, count))
            continue
        first, stop = max(0, int(used[0]) - MARGIN_PX), min(count, int(used[-1]) + 1 + MARGIN_PX)
        length = min(count, -(-(stop - first) // size_step) * size_step)
        first = min(first, count - length)
        ends.append(slice(first, first + length))
    return ends[0], ends[1]
