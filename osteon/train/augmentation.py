"""The augmentations of the CT osteosarcoma paper, through MONAI, and the movements of the two other papers.

Every image of every epoch has a random state of its own, drawn from (seed, epoch, row): the same picture comes out
whatever the number of loader processes or GPUs, and after an interruption.

References:
    Spec ct-osteosarcoma, section 5. Spec bone-metastasis, section 3.2 and appendix B. Spec mri-femur, section 2.
    MONAI: doi:10.48550/arXiv.2211.02701.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from osteon._optional import MissingPackageError, require
from osteon.errors import BackendError
from osteon.train.movement import FEMUR_MOVEMENTS, MovementRanges, draw_movement, moved_plane

if TYPE_CHECKING:
    from torch import Tensor

    from osteon.train.settings import TrainSettings

__all__ = ["Augmentation", "AugmentationOptions", "PaperAugmentation", "RotationFlips", "build_augmentation"]


class Augmentation(Protocol):
    """Changes an image of an epoch, repeatably."""

    def __call__(self, image: Tensor, *, epoch: int, row: int) -> Tensor:
        """The image (1, size, size) of a row of the manifest as it is seen in an epoch, counted from 0."""


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


class PaperAugmentation:
    """Augments one image at a time, repeatably.

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

    def __call__(self, image: Tensor, *, epoch: int, row: int) -> Tensor:
        """The image as it is seen in this epoch.

        Args:
            image: (1, size, size) float32 in 0..1; not changed.
            epoch: from 0.
            row: of the image in its manifest.

        Returns:
            (1, size, size) float32; noise and shifts may leave 0..1, as in the paper.
        """
        state = np.random.SeedSequence([self._seed, epoch, row]).generate_state(1)[0]
        self._transform.set_random_state(seed=int(state))
        changed = self._transform(image.clone())  # MONAI's dropout writes into what it is given
        plain = changed.as_tensor() if hasattr(changed, "as_tensor") else changed
        return torch.as_tensor(plain, dtype=torch.float32)


class RotationFlips:
    """Turns by at most 35 degrees either way, and flips: the movements of the segmenters, for an image alone.

    The thesis does not say how often a classifier's images are flipped; the shares are those of its published code
    for segmenters, 0.5 left to right and 0.1 upside down. Other ranges make other movements, shifts and zooms too.

    Args:
        seed: of the training.
        ranges: None for those of the thesis.
    """

    def __init__(self, *, seed: int, ranges: MovementRanges | None = None) -> None:
        """Take note of the seed and the ranges."""
        self._seed = seed
        self._ranges = ranges

    def __call__(self, image: Tensor, *, epoch: int, row: int) -> Tensor:
        """The image as it is seen in this epoch.

        Args:
            image: (1, size, size) float32 in 0..1; not changed.
            epoch: from 0.
            row: of the image in its manifest.

        Returns:
            (1, size, size) float32 in 0..1; 0 comes in from outside.
        """
        movement = draw_movement(seed=self._seed, epoch=epoch, row=row, ranges=self._ranges)
        return torch.from_numpy(moved_plane(image[0].numpy(), movement))[None]


def build_augmentation(settings: TrainSettings) -> Augmentation | None:
    """The augmentation of a training; None where its configuration has none.

    Raises:
        BackendError: MONAI is needed and is not installed.
    """
    if not settings.augments:
        return None
    if settings.augmentation == "rotation_flips":
        return RotationFlips(seed=settings.seed)
    if settings.augmentation == "femur":
        return RotationFlips(seed=settings.seed, ranges=FEMUR_MOVEMENTS)
    return PaperAugmentation(size=settings.image_size, seed=settings.seed)


def _transforms(size: int, options: AugmentationOptions) -> Any:  # noqa: ANN401  # MONAI ships no types
    import osteon._torchvision  # noqa: F401  # repairs torchvision, which MONAI imports where it is installed

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
