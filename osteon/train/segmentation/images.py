"""Images with their masks in batches; which rows come in which epoch is decided as for classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import Dataset

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.train.movement import draw_movement, moved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from osteon.train.segmentation.mask_pixels import MaskPixels

__all__ = ["MaskedSet", "grey_values", "mask_areas", "mask_values"]

_WHITE = 255
_CROP_STREAM = 11
"""Keeps the pieces apart from other uses of the seed."""
_BLOCK = 256
"""Images looked at together."""


def grey_values(pixels: MaskPixels, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Images (n, size, size) float32 in 0..1."""
    return pixels.images[rows].astype(np.float32) / np.float32(_WHITE)


def mask_values(pixels: MaskPixels, names: Sequence[str], rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Masks (n, name, size, size) uint8, 0 or 1, in the order of the names ("lesion", "bone")."""
    return np.stack([getattr(pixels, name)[rows].view(np.uint8) for name in names], axis=1)


def mask_areas(pixels: MaskPixels) -> dict[str, NDArray[np.int64]]:
    """How many pixels of each image are lesion and bone: (n,) each."""
    areas = {}
    for name in ("lesion", "bone"):
        masks = getattr(pixels, name)
        blocks = range(0, len(masks), _BLOCK)
        counts = [np.count_nonzero(masks[start : start + _BLOCK], axis=(1, 2)) for start in blocks]
        areas[name] = np.concatenate(counts).astype(np.int64)
    return areas


class MaskedSet(Dataset[tuple["Tensor", "Tensor", "Tensor"]]):
    """Rows of a manifest as tensors.

    An index is (epoch, row): movement and piece of a row follow from both, so they are the same in every process.
    An item is (image (1, size, size) float32, lesion and bone (2, size, size) uint8, row int64).

    Args:
        pixels: of the manifest.
        seed: of movements and pieces; None gives the images as they are.
        moves: whether images are turned and flipped.
        crop: rows and columns of the piece that is given; 0 gives whole images.
    """

    def __init__(self, pixels: MaskPixels, *, seed: int | None = None, moves: bool = True, crop: int = 0) -> None:
        """Keep where images come from; nothing is read yet."""
        self._pixels = pixels
        self._seed = seed
        self._moves = moves
        self._crop = crop

    def __len__(self) -> int:
        """Rows of the manifest, whether they are used or not."""
        return len(self._pixels.images)

    def __getitem__(self, index: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """The image of ``(epoch, row)`` and its masks."""
        epoch, row = index
        rows = np.array([row])
        image, masks = grey_values(self._pixels, rows)[0], mask_values(self._pixels, ("lesion", "bone"), rows)[0]
        if self._seed is not None and self._moves:
            image, masks = moved(image, masks, draw_movement(seed=self._seed, epoch=epoch, row=row))
        if self._seed is not None and self._crop:
            random = np.random.default_rng([self._seed, _CROP_STREAM, epoch, row])
            rows_shown, columns_shown = _piece(masks[0], self._crop, random)
            image, masks = image[rows_shown, columns_shown], masks[:, rows_shown, columns_shown]
        return torch.from_numpy(np.array(image))[None], torch.from_numpy(np.array(masks)), torch.tensor(row)


def _piece(lesion: NDArray[np.uint8], side: int, random: np.random.Generator) -> tuple[slice, slice]:
    """A square of this side within the image; every second one holds a pixel of the lesion, if there is one."""
    starts = [int(random.integers(0, length - side + 1)) for length in lesion.shape]
    inside = np.argwhere(lesion)
    if len(inside) and random.random() < 0.5:
        pixel = inside[random.integers(len(inside))] - random.integers(0, side, size=2)
        starts = [int(np.clip(start, 0, length - side)) for start, length in zip(pixel, lesion.shape, strict=True)]
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)
