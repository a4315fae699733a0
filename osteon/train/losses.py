"""What a training makes small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from osteon.train.settings import TrainSettings

__all__ = ["balanced_weights", "build_loss", "focal_loss"]


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
    """Weights (class,) that make every class count the same: images / (classes * images of the class).

    Args:
        labels: (n,) of the training images; every class occurs.
        classes: how many.

    Example:
        >>> balanced_weights(torch.tensor([0, 0, 0, 1]), 2).tolist()
        [0.6666666865348816, 2.0]
    """
    counts = torch.bincount(labels, minlength=classes)
    return (labels.numel() / (classes * counts)).to(torch.float32)


def build_loss(settings: TrainSettings, weights: Tensor | None) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of a configuration: (logits (n, class), labels (n,)) to a number; weights (class,) or None."""
    if settings.loss == "focal":
        return lambda logits, labels: focal_loss(logits, labels, gamma=settings.focal_gamma, weights=weights)
    return lambda logits, labels: functional.cross_entropy(logits, labels, weight=weights)
