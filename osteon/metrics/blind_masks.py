"""Masks that never look at an image: what the place of a lesion in its crop alone is worth.

A scan that was cut around a lesion tells by its borders where it is. What these reach is the floor of every table of
such scans: only what is above it was learnt from the image.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np

from osteon.errors import InputError
from osteon.metrics.volume_agreement import dice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["BlindEllipsoid", "MeanMask"]

_SHARES = tuple(round(0.3 + 0.05 * step, 2) for step in range(19))
_THRESHOLDS = tuple(round(0.1 + 0.05 * step, 2) for step in range(17))
_SIDE = 32


@dataclass(frozen=True, slots=True)
class BlindEllipsoid:
    """An ellipsoid in the middle of a crop.

    Attributes:
        share: of the sides of the crop that its axes are.
    """

    share: float

    @classmethod
    def fitted(cls, masks: Sequence[NDArray[np.bool_]]) -> Self:
        """The share from 0.3 to 1.2 with the best mean Dice on crops (slice, row, column), of any sizes.

        Raises:
            InputError: no crop.
        """
        _require(masks)
        return cls(max(_SHARES, key=lambda share: _mean_dice([cls(share).mask(each.shape) for each in masks], masks)))

    def mask(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """In a crop of this shape.

        Example:
            >>> BlindEllipsoid(1.0).mask((1, 4, 4)).astype(int).tolist()
            [[[0, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1], [0, 1, 1, 0]]]
        """
        squares = np.zeros(shape)
        for axis, length in enumerate(shape):
            place = (2 * np.arange(length) + 1 - length) / (length * self.share)
            squares += (place**2).reshape([-1 if each == axis else 1 for each in range(len(shape))])
        return np.asarray(squares <= 1)


@dataclass(frozen=True, slots=True, eq=False)
class MeanMask:
    """The mean of masks, each stretched to one cube, stretched to a crop and cut at a threshold.

    Attributes:
        mean: (32, 32, 32) float64, 0 to 1.
        threshold: from which on a voxel is inside.
    """

    mean: NDArray[np.float64] = field(repr=False)
    threshold: float

    @classmethod
    def fitted(cls, masks: Sequence[NDArray[np.bool_]]) -> Self:
        """The mean of crops (slice, row, column), of any sizes, and the threshold with the best mean Dice on them.

        Raises:
            InputError: no crop.
        """
        _require(masks)
        mean = np.mean([_stretched(each.astype(np.float64), (_SIDE,) * 3) for each in masks], axis=0)
        stretched = [_stretched(mean, each.shape) for each in masks]
        best = max(_THRESHOLDS, key=lambda limit: _mean_dice([each >= limit for each in stretched], masks))
        return cls(mean, best)

    def mask(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """In a crop of this shape."""
        return np.asarray(_stretched(self.mean, shape) >= self.threshold)


def _require(masks: Sequence[NDArray[np.bool_]]) -> None:
    if not masks:
        raise InputError("a blind mask is fitted to crops of training patients; none was given")


def _mean_dice(predicted: Sequence[NDArray[np.bool_]], masks: Sequence[NDArray[np.bool_]]) -> float:
    return float(np.mean([dice(true, found) for true, found in zip(masks, predicted, strict=True)]))


def _stretched(values: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Linear between the centres of voxels, the outermost going on to the border."""
    from scipy.ndimage import map_coordinates

    axes = [(np.arange(new) + 0.5) * old / new - 0.5 for old, new in zip(values.shape, shape, strict=True)]
    places = np.meshgrid(*axes, indexing="ij")
    return np.asarray(map_coordinates(values, places, order=1, mode="nearest"))
