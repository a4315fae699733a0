"""Temperature scaling: one number that makes a softmax as sure as it should be, and changes no decision."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "TemperatureFit",
    "apply_temperature",
    "cross_entropy",
    "fit_temperature",
    "image_weights",
    "patient_weights",
    "share_offsets",
]

_LARGEST_LOG_TEMPERATURE = math.log(100.0)


@dataclass(frozen=True, slots=True)
class TemperatureFit:
    """A fitted temperature.

    Attributes:
        temperature: logits are divided by it; above 1 the model was too sure.
        loss_before: negative log likelihood an image at temperature 1, in nats.
        loss_after: the same at ``temperature``; never larger.
        at_bound: no finite temperature is best (every image right: 0.01; no better than guessing: 100).
    """

    temperature: float
    loss_before: float
    loss_after: float
    at_bound: bool


def _checked(
    logits: ArrayLike, labels: ArrayLike, weights: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    values, classes = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if values.ndim != 2 or values.shape[0] == 0 or values.shape[1] < 2 or classes.shape != values.shape[:1]:
        raise InputError(
            f"logits must be (images, classes) with at least 1 image and 2 classes, and labels (images,); got "
            f"{values.shape} and {classes.shape}"
        )
    if not np.isfinite(values).all():
        raise InputError("logits hold values that are not finite numbers: the network diverged, or an image is broken")
    if classes.dtype.kind not in "iub" or classes.min() < 0 or classes.max() >= values.shape[1]:
        raise InputError(f"labels must be whole numbers 0 to {values.shape[1] - 1}, the columns of the logits")
    return values, classes.astype(np.int64), image_weights(weights, classes.size)


def image_weights(weights: ArrayLike | None, images: int) -> NDArray[np.float64]:
    """Weights (images,) that sum to 1; all alike when none are given.

    Raises:
        InputError: not one an image, one below 0 or not finite, or all 0.
    """
    parts = np.ones(images) if weights is None else np.asarray(weights, dtype=np.float64)
    if parts.shape != (images,) or not np.isfinite(parts).all() or parts.min() < 0 or parts.sum() <= 0:
        raise InputError("weights must be one number an image, none below 0 and not all 0")
    normalised: NDArray[np.float64] = parts / parts.sum()
    return normalised


def patient_weights(patients: ArrayLike) -> NDArray[np.float64]:
    """1 / number of images of the patient, for each image: every patient then counts the same.

    Args:
        patients: (n,) who each image belongs to.

    Returns:
        (n,) weights; they sum to the number of patients.

    Example:
        >>> patient_weights(["a", "b", "a"]).tolist()
        [0.5, 1.0, 0.5]
    """
    _, number, count = np.unique(np.asarray(patients), return_inverse=True, return_counts=True)
    weights: NDArray[np.float64] = 1.0 / count[number]
    return weights


def apply_temperature(logits: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Probabilities of logits divided by the temperature.

    Args:
        logits: (n, classes).
        temperature: above 0.

    Returns:
        (n, classes), rows sum to 1; the order of the classes is that of the logits.

    Raises:
        InputError: the temperature is not above 0.
    """
    from scipy.special import softmax

    if not temperature > 0:
        raise InputError(f"a temperature must be above 0, got {temperature}")
    probability: NDArray[np.float64] = softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=-1)
    return probability


def cross_entropy(
    logits: ArrayLike, labels: ArrayLike, *, temperature: float = 1.0, weights: ArrayLike | None = None
) -> float:
    """Mean negative log likelihood of the true class, in nats.

    Raises:
        InputError: shapes, labels or weights do not fit.
    """
    from scipy.special import log_softmax

    values, classes, parts = _checked(logits, labels, weights)
    picked = log_softmax(values / temperature, axis=1)[np.arange(classes.size), classes]
    return float(-(parts * picked).sum())


def fit_temperature(logits: ArrayLike, labels: ArrayLike, *, weights: ArrayLike | None = None) -> TemperatureFit:
    """The temperature with the smallest negative log likelihood; fit it on validation images only.

    The loss is convex in 1/T, so its derivative has one root at most; the root is bracketed in log T between 0.01 and
    100 and found by Brent's method.

    Args:
        logits: (n, classes) of the network, before any softmax.
        labels: (n,) true class as its column.
        weights: (n,), for example ``patient_weights``; all alike when left out.

    Raises:
        InputError: shapes, labels or weights do not fit.

    References:
        Guo et al.: On calibration of modern neural networks. ICML 2017, arXiv:1706.04599.
    """
    from scipy.optimize import brentq
    from scipy.special import softmax

    values, classes, parts = _checked(logits, labels, weights)
    true = values[np.arange(classes.size), classes]

    def slope(log_temperature: float) -> float:
        """Derivative of the loss by 1/T: expected minus true logit."""
        expected = (softmax(values * math.exp(-log_temperature), axis=1) * values).sum(axis=1)
        return float((parts * (expected - true)).sum())

    low, high = -_LARGEST_LOG_TEMPERATURE, _LARGEST_LOG_TEMPERATURE
    at_bound = True
    if np.ptp(values, axis=1).max() == 0:
        best = 0.0  # all logits of an image alike: every temperature says the same
    elif slope(low) <= 0:
        best = low  # even the surest is not sure enough
    elif slope(high) >= 0:
        best = high
    else:
        best, at_bound = float(brentq(slope, low, high, xtol=1e-12, rtol=1e-14)), False
    temperature = math.exp(best)
    before = cross_entropy(values, classes, weights=parts)
    after = cross_entropy(values, classes, temperature=temperature, weights=parts)
    return TemperatureFit(temperature, before, after, at_bound)


# --------------------------------------------------------------------------------------------------------- class shares


def share_offsets(true: ArrayLike, trained: ArrayLike) -> NDArray[np.float64]:
    """What to add to logits so that their softmax is the posterior under the true shares (Bayes' rule).

    Args:
        true: (classes,) how often each class occurs, positive; counts or shares.
        trained: (classes,) how often, or with what weight, each was seen in training; positive.

    Returns:
        (classes,) natural logarithms; all 0 where the shares agree.

    Raises:
        InputError: lengths differ, or a share is not positive.

    Example:
        >>> share_offsets([90, 10], [1, 1]).round(3).tolist()
        [0.588, -1.609]

    References:
        Saerens, Latinne, Decaestecker 2002, doi:10.1162/089976602753284446.
    """
    shares = [np.asarray(part, dtype=np.float64) for part in (true, trained)]
    if shares[0].shape != shares[1].shape or shares[0].ndim != 1 or any((part <= 0).any() for part in shares):
        raise InputError(f"shares must be two lists of positive numbers, one a class; got {true!r} and {trained!r}")
    offsets: NDArray[np.float64] = np.log(shares[0] / shares[0].sum()) - np.log(shares[1] / shares[1].sum())
    return offsets
