"""Loss functions of classifiers, and of networks that draw maps: a loss for each map, and their weighted sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch.nn import functional

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from osteon.train.settings import ClassifySettings, SegmentSettings

__all__ = [
    "balanced_weights",
    "class_loss",
    "focal_loss",
    "focal_map_loss",
    "map_loss",
    "map_weights",
    "soft_dice_loss",
]

_SMOOTH = 1.0
"""Pixels added to both sides of the Dice ratio: a batch without a lesion has a loss, and a gradient."""


def focal_loss(logits: Tensor, labels: Tensor, *, gamma: float, weights: Tensor | None = None) -> Tensor:
    """Mean of ``(1 - p)^gamma * -log p``, p the probability of the true class; cross entropy at gamma 0.

    With class weights the mean is weighted as torch weighs cross entropy: divided by the sum of the weights.

    Args:
        logits: (n, class) float32.
        labels: (n,) int64.
        gamma: 0 or more; the larger, the less do images count that are right already.
        weights: (class,), or None for equal ones.

    References:
        Lin et al. 2017, 10.1109/ICCV.2017.324.
    """
    log_probability = functional.log_softmax(logits, dim=1).gather(1, labels[:, None])[:, 0]
    # -expm1(log p) is 1 - p without cancellation; the clamp keeps the gradient of 0 ** gamma finite for gamma below 1
    wrong = (-torch.expm1(log_probability)).clamp_min(torch.finfo(logits.dtype).tiny)
    terms = wrong**gamma * -log_probability
    if weights is None:
        return terms.mean()
    drawn = weights[labels]
    return (drawn * terms).sum() / drawn.sum()


def balanced_weights(labels: Tensor, classes: int) -> Tensor:
    """Weights (class,) that make every class, all of which occur, count the same: images / (classes * its images).

    Example:
        >>> balanced_weights(torch.tensor([0, 0, 0, 1]), 2).tolist()
        [0.6666666865348816, 2.0]
    """
    counts = torch.bincount(labels, minlength=classes)
    return (labels.numel() / (classes * counts)).to(torch.float32)


def class_loss(logits: Tensor, labels: Tensor, settings: ClassifySettings, weights: Tensor | None = None) -> Tensor:
    """The loss of a configuration, of logits (n, class) and labels (n,); weights (class,) or None."""
    if settings.loss == "focal":
        return focal_loss(logits, labels, gamma=settings.focal_gamma, weights=weights)
    return functional.cross_entropy(logits, labels, weight=weights)


def map_loss(logits: Tensor, masks: Tensor, settings: SegmentSettings, weights: Sequence[float]) -> Tensor:
    """The loss of a batch: ``sum of weight * (loss of the map + dice_weight * soft Dice loss of the map)``.

    Each map's part is a mean over all its pixels of the batch.

    Args:
        logits: (n, map, row, column).
        masks: the same shape, 0 or 1, of a floating type.
        settings: which loss.
        weights: one for each map.

    References:
        specs/bone-metastasis.md, section 2.1.8 (with the arguments of the logarithm in their places).
    """
    exact, truth = logits.float(), masks.float()  # half precision would lose the small terms of a mean over pixels
    total = exact.new_zeros(())
    for index, weight in enumerate(weights):
        found, true = exact[:, index], truth[:, index]
        if settings.loss == "focal":
            part = focal_map_loss(found, true, gamma=settings.focal_gamma)
        else:
            part = functional.binary_cross_entropy_with_logits(found, true)
        if settings.dice_weight:
            part = part + settings.dice_weight * soft_dice_loss(found, true, over=settings.dice_over)
        total = total + weight * part
    return total


def map_weights(settings: SegmentSettings, outputs: Sequence[str]) -> tuple[float, ...]:
    """The weight of each map: those of the settings where there are two, else 1."""
    if len(outputs) == 1:
        return (1.0,)
    known = {"lesion": settings.lesion_weight, "bone": settings.bone_weight}
    return tuple(known[name] for name in outputs)


def focal_map_loss(logits: Tensor, masks: Tensor, *, gamma: float) -> Tensor:
    """Mean of ``(1 - p)^gamma * -log p``, p the probability of what a pixel is; cross entropy at gamma 0.

    Masks, 0 or 1, have the shape of the logits.

    References:
        Lin et al. 2017, 10.1109/ICCV.2017.324.
    """
    terms = functional.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    # -expm1(-term) is 1 - p without cancellation; the clamp keeps the gradient of 0 ** gamma finite for gamma below 1
    wrong = (-torch.expm1(-terms)).clamp_min(torch.finfo(logits.dtype).tiny)
    return (wrong**gamma * terms).mean()


def soft_dice_loss(logits: Tensor, masks: Tensor, *, over: Literal["batch", "image"] = "batch") -> Tensor:
    """1 minus Dice of probabilities and masks, smoothed by one pixel.

    Args:
        logits: (n, row, column).
        masks: the same shape, 0 or 1.
        over: of all pixels of the batch; or the mean over images, each of which counts the same.

    References:
        Milletari et al. 2016, 10.1109/3DV.2016.79.
    """
    probability = logits.sigmoid()
    axes = tuple(range(logits.ndim) if over == "batch" else range(1, logits.ndim))
    shared, whole = (probability * masks).sum(axes), (probability + masks).sum(axes)
    return (1 - (2 * shared + _SMOOTH) / (whole + _SMOOTH)).mean()
