"""What a classifier that was trained on other shares of the classes has to be told about the true ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["share_offsets"]


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
