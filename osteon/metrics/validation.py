"""What every measure asks of its input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["check_confidence", "checked_score", "checked_truth"]


def check_confidence(confidence: float) -> None:
    """Raise an InputError unless the confidence is between 0 and 1."""
    if not 0 < confidence < 1:
        raise InputError(f"confidence {confidence} cannot be: it is between 0 and 1, for example 0.95")


def checked_truth(truth: ArrayLike) -> NDArray[np.bool_]:
    """The truth as (n,) bool.

    Raises:
        InputError: not one-dimensional, empty, or holding something else than False, True, 0 and 1.
    """
    array = np.asarray(truth)
    if array.ndim != 1 or array.size == 0:
        raise InputError(f"truth must be a filled list of yes and no; its shape is {array.shape}: give one per image")
    if array.dtype == np.bool_:
        return array
    if array.dtype.kind not in "iuf" or not np.isin(array, (0, 1)).all():
        raise InputError("truth must be False or True (0 or 1); it holds other values: map the labels first")
    return array.astype(np.bool_)


def checked_score(score: ArrayLike, images: int) -> NDArray[np.float64]:
    """The score as float64, its last axis one value per image.

    Raises:
        InputError: another length than ``images``, no numbers, or a value that is not finite.
    """
    array = np.asarray(score)
    if array.dtype.kind not in "biuf":
        raise InputError(f"scores must be numbers; their type is {array.dtype}: give one number per image")
    if array.ndim == 0 or array.shape[-1] != images:
        raise InputError(f"one score per image is needed; {images} images and scores of shape {array.shape} were given")
    array = array.astype(np.float64)
    missing = int(np.count_nonzero(~np.isfinite(array)))
    if missing:
        raise InputError(f"{missing} of {array.size} scores are NaN or infinite: leave these images out, and say so")
    return array
