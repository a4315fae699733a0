"""How training images are changed: the augmentations of the CT osteosarcoma paper, through MONAI, and movements.

Every image of every epoch has a random state of its own, drawn from (seed, epoch, row): the same picture comes out
whatever the number of loader processes or GPUs, and after an interruption. Unlike in the public code of the thesis on
metastases, the masks cannot be forgotten: image and masks go through one call.

References:
    Spec ct-osteosarcoma, section 5. Spec bone-metastasis, section 3.2 and appendix B. Spec mri-femur, section 2.
    MONAI: doi:10.48550/arXiv.2211.02701.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import cv2
import numpy as np
import torch

import osteon._torchvision  # noqa: F401 - repairs torchvision, which MONAI imports where it is installed
from osteon._optional import MissingPackageError, require
from osteon.errors import BackendError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from osteon.train.settings import ClassifySettings

__all__ = [
    "FEMUR_MOVEMENTS",
    "Augmentation",
    "AugmentationOptions",
    "Movement",
    "MovementRanges",
    "Movements",
    "PaperAugmentation",
    "build_augmentation",
    "draw_movement",
    "intensities",
    "moved",
    "moved_plane",
]

_MOVEMENT_STREAM: Final = 13
_PIECE_STREAM: Final = 11
_INTENSITY_STREAM: Final = 19
"""Keep the draws of movements, pieces and intensities apart from other uses of the seed."""

Planes = tuple["Tensor", "Tensor"]


class Augmentation(Protocol):
    """Changes an image of an epoch, repeatably."""

    def __call__(self, image: Tensor, masks: Tensor, *, epoch: int, row: int) -> Planes:
        """An image of a row as it is seen in an epoch, with its masks.

        The image is (channel, size, size) float32 in 0..1, masks (mask, size, size) uint8, 0 or 1, without any where
        the augmentation knows none; neither is changed.

        Returns:
            Image and masks; what comes in from outside is 0.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationOptions:
    """The paper's numbers. Where it is silent, MONAI's own choice stands.

    Attributes:
        flip_prob: share of images that are flipped: along the rows, the columns or both, each a third of them.
        rotation_prob: share that is turned.
        rotation_rad: largest angle; the paper turns one way only, 0 to this.
        zoom_prob: share that is zoomed.
        zoom: smallest and largest factor.
        noise_prob: share that gets Gaussian noise.
        noise_sigma: its standard deviation, images being 0 to 1.
        shift_prob: share whose intensities are shifted.
        shift: largest offset either way.
        dropout_prob: share that loses patches: uniform noise between the image's extremes comes in their place.
        dropout_holes: fewest and most patches.
        dropout_size: side of a patch in pixels of a 256-pixel image; smaller images have smaller patches.
    """

    flip_prob: float = 0.5
    rotation_prob: float = 0.2
    rotation_rad: float = math.pi / 12
    zoom_prob: float = 0.2
    zoom: tuple[float, float] = (0.95, 1.05)
    noise_prob: float = 0.2
    noise_sigma: float = 0.05
    shift_prob: float = 0.8
    shift: float = 0.2
    dropout_prob: float = 0.2
    dropout_holes: tuple[int, int] = (5, 10)
    dropout_size: int = 16


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


FEMUR_MOVEMENTS: Final = MovementRanges(rotation_degrees=20.0, vertical_prob=0.5, translation=0.1, scaling=0.1)
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
    """The movement of an image of an epoch, which follows from the three numbers; by default in the paper's ranges."""
    how = ranges or MovementRanges()
    generator = np.random.default_rng([seed, _MOVEMENT_STREAM, epoch, row])
    degrees, mirror, flip = generator.uniform(-how.rotation_degrees, how.rotation_degrees), *generator.random(2)
    zoom, down, right = generator.uniform(-1, 1, size=3)  # drawn last: what is drawn before is what it always was
    return Movement(
        degrees=float(degrees),
        is_mirrored=bool(mirror < how.horizontal_prob),
        is_upside_down=bool(flip < how.vertical_prob),
        zoom=1.0 + how.scaling * float(zoom),
        shift=(how.translation * float(down), how.translation * float(right)),
    )


def intensities(image: NDArray[np.float32], strength: float, *, seed: int, epoch: int, row: int) -> NDArray[np.float32]:
    """Grey values of any shape, 0..1, as another scan would have them: a factor, then a gamma; what is 0 stays 0.

    Both follow from seed, epoch and row, are the same for all channels, and are drawn evenly on a scale of logarithms:
    the factor from ``1 / (1 + strength)`` to ``1 + strength``, the gamma between the squares of these.
    """
    drawn = np.random.default_rng([seed, _INTENSITY_STREAM, epoch, row]).uniform(-1, 1, size=2)
    factor, gamma = np.exp(drawn * math.log1p(strength) * (1, 2)).astype(np.float32)
    return np.asarray(np.clip(image * factor, 0, 1) ** gamma)


def moved(
    image: NDArray[np.float32], masks: NDArray[np.uint8], movement: Movement
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """An image (row, column) and its masks (mask, row, column), 0 or 1, moved alike.

    Returns:
        The image, linear between pixels, and the masks, nearest pixel, still 0 or 1; 0 comes in from outside.
    """
    planes = [moved_plane(mask, movement, is_mask=True) for mask in masks]
    return moved_plane(image, movement), np.stack(planes) if planes else masks


def moved_plane(plane: NDArray[Any], movement: Movement, *, is_mask: bool = False) -> NDArray[Any]:
    """One plane (row, column), moved: linear between pixels, of a mask the nearest; 0 comes in from outside."""
    rows, columns = plane.shape
    matrix = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), movement.degrees, movement.zoom)
    matrix[:, 2] += movement.shift[1] * columns, movement.shift[0] * rows
    upwards, mirrored = (-1 if turned else 1 for turned in (movement.is_upside_down, movement.is_mirrored))
    flipped = np.ascontiguousarray(plane[::upwards, ::mirrored])
    way = cv2.INTER_NEAREST if is_mask else cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(flipped, matrix, (columns, rows), flags=way))


class PaperAugmentation:
    """The osteosarcoma paper's, for images without masks; noise and shifts may leave 0..1, as in the paper.

    Args:
        size: rows and columns of the images.
        seed: of the training.
        options: probabilities and strengths.

    Raises:
        BackendError: MONAI is not installed.
    """

    def __init__(self, *, size: int, seed: int, options: AugmentationOptions | None = None) -> None:
        """Set the transforms up."""
        self._seed = seed
        self._transform = _transforms(size, options or AugmentationOptions())

    def __call__(self, image: Tensor, masks: Tensor, *, epoch: int, row: int) -> Planes:
        """As of ``Augmentation``."""
        state = np.random.SeedSequence([self._seed, epoch, row]).generate_state(1)[0]
        self._transform.set_random_state(seed=int(state))
        changed = self._transform(image.clone())  # MONAI's dropout writes into what it is given
        plain = changed.as_tensor() if hasattr(changed, "as_tensor") else changed
        return torch.as_tensor(plain, dtype=torch.float32), masks


class Movements:
    """Turns, flips, shifts and zooms, and pieces, of an image with its masks, and other grey values.

    The thesis does not say how often a classifier's images are flipped; the shares are those of its published code
    for segmenters, 0.5 left to right and 0.1 upside down.

    Args:
        seed: of the training.
        ranges: None for those of the thesis.
        moves: whether images are moved at all.
        piece: rows and columns of the piece that is given, every second one around a pixel of the first mask where it
            has one; 0 gives whole images.
        intensity: strength of ``intensities``; 0 keeps grey values as they are.
    """

    def __init__(
        self,
        *,
        seed: int,
        ranges: MovementRanges | None = None,
        moves: bool = True,
        piece: int = 0,
        intensity: float = 0.0,
    ) -> None:
        """Take note of the seed and the ranges."""
        self._seed, self._ranges, self._moves, self._piece = seed, ranges, moves, piece
        self._intensity = intensity

    def __call__(self, image: Tensor, masks: Tensor, *, epoch: int, row: int) -> Planes:
        """As of ``Augmentation``."""
        planes, outlined = image.numpy(), masks.numpy()
        if self._moves:
            movement = draw_movement(seed=self._seed, epoch=epoch, row=row, ranges=self._ranges)
            plane, outlined = moved(planes[0], outlined, movement)
            planes = np.stack([plane, *(moved_plane(other, movement) for other in planes[1:])])
        if self._piece:
            random = np.random.default_rng([self._seed, _PIECE_STREAM, epoch, row])
            rows, columns = _piece(outlined[0], self._piece, random)
            planes, outlined = planes[:, rows, columns], outlined[:, rows, columns]
        if self._intensity:
            planes = intensities(planes, self._intensity, seed=self._seed, epoch=epoch, row=row)
        return torch.from_numpy(np.array(planes)), torch.from_numpy(np.array(outlined))


def build_augmentation(settings: ClassifySettings) -> Augmentation | None:
    """The augmentation of the training of a classifier; None where its configuration has none.

    Raises:
        BackendError: MONAI is needed and is not installed.
    """
    if not settings.augments:
        return None
    if settings.augmentation == "rotation_flips":
        return Movements(seed=settings.seed)
    if settings.augmentation == "femur":
        return Movements(seed=settings.seed, ranges=FEMUR_MOVEMENTS)
    return PaperAugmentation(size=settings.image_size, seed=settings.seed)


def _piece(mask: NDArray[np.uint8], side: int, random: np.random.Generator) -> tuple[slice, slice]:
    """A square of this side within the image; every second one holds a pixel of the mask, if there is one."""
    starts = [int(random.integers(0, length - side + 1)) for length in mask.shape]
    inside = np.argwhere(mask)
    if len(inside) and random.random() < 0.5:
        pixel = inside[random.integers(len(inside))] - random.integers(0, side, size=2)
        starts = [int(np.clip(start, 0, length - side)) for start, length in zip(pixel, mask.shape, strict=True)]
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)


def _transforms(size: int, options: AugmentationOptions) -> Any:  # noqa: ANN401  # MONAI ships no types
    try:
        monai = require("monai.transforms", extra="train", purpose="to augment images")
    except MissingPackageError as error:
        raise BackendError(str(error)) from error
    flips = [monai.Flip(0), monai.Flip(1), monai.Flip((0, 1))]
    fewest, most = options.dropout_holes
    return monai.Compose(
        [
            monai.OneOf(
                [monai.Identity(), *flips],
                weights=[1 - options.flip_prob, *[options.flip_prob / len(flips)] * len(flips)],
            ),
            monai.RandRotate(range_x=(0.0, options.rotation_rad), prob=options.rotation_prob, padding_mode="zeros"),
            monai.RandZoom(
                prob=options.zoom_prob, min_zoom=options.zoom[0], max_zoom=options.zoom[1], padding_mode="constant"
            ),
            monai.RandGaussianNoise(prob=options.noise_prob, mean=0.0, std=options.noise_sigma, sample_std=False),
            monai.RandShiftIntensity(offsets=options.shift, prob=options.shift_prob),
            monai.RandCoarseDropout(
                holes=fewest,
                max_holes=most,
                spatial_size=max(1, round(options.dropout_size * size / 256)),
                prob=options.dropout_prob,
            ),
        ]
    )
