"""Turns, flips, shifts and zooms that move an image and its masks together.

Every image of every epoch has a random state of its own, drawn from (seed, epoch, row): the same picture comes out
whatever the number of loader processes, and after an interruption. Unlike in the public code, the masks cannot be
forgotten: image and masks go through one call.

References:
    specs/bone-metastasis.md, section 3.2 and appendix B. specs/mri-femur.md, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FEMUR_MOVEMENTS", "Movement", "MovementRanges", "draw_movement", "moved", "moved_plane"]

_STREAM = 13
"""Keeps the draw of movements apart from other uses of the seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MovementRanges:
    """How far images are moved.

    Attributes:
        rotation_degrees: largest turn either way.
        horizontal_prob: share of images that are mirrored left to right.
        vertical_prob: share that is turned upside down.
        translation: largest shift along each axis, either way, as a part of the image's side.
        scaling: largest part by which an image is made larger or smaller.
    """

    rotation_degrees: float = 35.0
    horizontal_prob: float = 0.5
    vertical_prob: float = 0.1
    translation: float = 0.0
    scaling: float = 0.0


FEMUR_MOVEMENTS = MovementRanges(rotation_degrees=20.0, vertical_prob=0.5, translation=0.1, scaling=0.1)
"""Of the paper on femoral tumours: it names translation, scaling, rotation and both mirrors, and no strength [GAP]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """One movement: first the flips, then the turn and the zoom around the centre of the image, then the shift.

    Attributes:
        degrees: counter-clockwise as the image is shown.
        is_mirrored: columns in reverse.
        is_upside_down: rows in reverse.
        zoom: above 1 shows things larger.
        shift: down and to the right, as parts of the image's sides.
    """

    degrees: float
    is_mirrored: bool
    is_upside_down: bool
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)


def draw_movement(*, seed: int, epoch: int, row: int, ranges: MovementRanges | None = None) -> Movement:
    """The movement of an image of an epoch, which follows from the three numbers alone.

    Args:
        seed: of the training.
        epoch: from 0.
        row: of the image in its manifest.
        ranges: None for those of the paper's code.
    """
    how = ranges or MovementRanges()
    generator = np.random.default_rng([seed, _STREAM, epoch, row])
    degrees, mirror, flip = generator.uniform(-how.rotation_degrees, how.rotation_degrees), *generator.random(2)
    zoom, down, right = generator.uniform(-1, 1, size=3)  # drawn last: what is drawn before is what it always was
    return Movement(
        degrees=float(degrees),
        is_mirrored=bool(mirror < how.horizontal_prob),
        is_upside_down=bool(flip < how.vertical_prob),
        zoom=1.0 + how.scaling * float(zoom),
        shift=(how.translation * float(down), how.translation * float(right)),
    )


def moved(
    image: NDArray[np.float32], masks: NDArray[np.uint8], movement: Movement
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """An image and its masks, moved alike.

    Args:
        image: (row, column).
        masks: (mask, row, column), 0 or 1.
        movement: what to do.

    Returns:
        The image, linear between pixels, and the masks, nearest pixel, still 0 or 1; 0 comes in from outside.
    """
    return moved_plane(image, movement), np.stack([moved_plane(mask, movement, is_mask=True) for mask in masks])


def moved_plane(plane: NDArray[Any], movement: Movement, *, is_mask: bool = False) -> NDArray[Any]:
    """One plane (row, column), moved: linear between pixels, of a mask the nearest; 0 comes in from outside."""
    rows, columns = plane.shape
    matrix = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), movement.degrees, movement.zoom)
    matrix[:, 2] += movement.shift[1] * columns, movement.shift[0] * rows
    upwards, mirrored = (-1 if turned else 1 for turned in (movement.is_upside_down, movement.is_mirrored))
    flipped = np.ascontiguousarray(plane[::upwards, ::mirrored])
    way = cv2.INTER_NEAREST if is_mask else cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(flipped, matrix, (columns, rows), flags=way))
