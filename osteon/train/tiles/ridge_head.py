"""A head that holds a linear model: where tiles of few patients are many numbers and little knowledge.

A hundred free units fit a handful of patients without error and are as sure of the next one. Logistic regression with a
ridge has one solution and one number that says how bold it is. It is written into a ``TileHead`` as pairs of units, of
which one carries what is positive and one what is negative, so that the network is the paper's all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.errors import InputError
from osteon.nets.tile_head import HIDDEN_UNITS, TileHead

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fit_ridge_head", "linear_head"]

_ITERATIONS = 500


def fit_ridge_head(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    *,
    strength: float,
    classes: int = 3,
) -> TileHead:
    """Logistic regression of several classes, in a head.

    Args:
        features: (n, d).
        labels: (n,) 0 to classes - 1; every class must be there.
        weights: (n,) of the tiles' losses; only their proportions matter.
        strength: of the tiles against the ridge: the weights' sum, as scikit-learn's C times their sum.
        classes: how many.

    Raises:
        InputError: shapes that do not fit, or a class without a tile.
    """
    from sklearn.linear_model import LogisticRegression

    if features.ndim != 2 or labels.shape != (len(features),) or weights.shape != labels.shape:
        raise InputError(f"features {features.shape}, labels {labels.shape} and weights {weights.shape} do not fit")
    if not np.array_equal(np.unique(labels), np.arange(classes)):
        raise InputError(f"tiles of all {classes} classes are needed; found classes {np.unique(labels).tolist()}")
    centre = np.average(features.astype(np.float64), axis=0, weights=weights)
    model = LogisticRegression(C=1.0, max_iter=_ITERATIONS)
    model.fit(features - centre, labels, sample_weight=weights * (strength / weights.sum()))
    slopes = model.coef_
    return linear_head(slopes, model.intercept_ - slopes @ centre)


def linear_head(slopes: NDArray[np.float64], offsets: NDArray[np.float64]) -> TileHead:
    """A head that gives ``features @ slopes.T + offsets``.

    Args:
        slopes: (classes, d).
        offsets: (classes,).

    Raises:
        InputError: more classes than pairs of units.
    """
    classes, features = slopes.shape
    if 2 * classes > HIDDEN_UNITS or offsets.shape != (classes,):
        raise InputError(f"{classes} classes with offsets {offsets.shape} do not fit into {HIDDEN_UNITS} units")
    with torch.random.fork_rng():
        head = TileHead(features, classes)
    hidden, bias, last, last_bias = (value.detach() for value in head.parameters())
    for value in (hidden, bias, last, last_bias):
        value.zero_()
    for number in range(classes):
        row = torch.from_numpy(slopes[number]).to(hidden.dtype)
        hidden[2 * number], hidden[2 * number + 1] = row, -row
        last[number, 2 * number], last[number, 2 * number + 1] = 1.0, -1.0
        last_bias[number] = float(offsets[number])
    return head.eval()
