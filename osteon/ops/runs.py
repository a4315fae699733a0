"""From a probability a slice to the affected runs of slices (spec section 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["positive_runs", "smooth_scores", "stretches"]


def stretches(flags: ArrayLike) -> tuple[tuple[int, int], ...]:
    """Half-open ranges where flags are True.

    Example:
        >>> stretches([False, True, True, False, True])
        ((1, 3), (4, 5))
    """
    steps = np.diff(np.concatenate(([0], np.asarray(flags, dtype=np.int8), [0])))
    return tuple(zip(np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist(), strict=True))


def smooth_scores(
    probability: ArrayLike, *, present: ArrayLike | None = None, sigma: float = 2.0, median: int = 3
) -> NDArray[np.float32]:
    """Gaussian along the slices, then a median (the paper's filters, in this order).

    At the ends of the series the scores are mirrored with the last one repeated, for both filters, so that a tumour cut
    off by the scan keeps its score. A gap in ``present`` ends the series in the same way: scores never flow over slices
    in which the leg was not seen.

    Args:
        probability: (n,) one score a slice, 0 to 1.
        present: (n,) where a score exists; elsewhere the result is 0. None: everywhere.
        sigma: of the Gaussian, in slices; 0 for none. Cut off at 4 sigma.
        median: odd length of the median filter; 1 for none.

    Returns:
        (n,) float32.

    Raises:
        InputError: negative sigma, an even median length, or scores that are not finite.

    References:
        CT osteosarcoma spec, section 8.

    Example:
        >>> smooth_scores([0.0, 0.0, 1.0, 0.0, 0.0], sigma=0).tolist()
        [0.0, 0.0, 0.0, 0.0, 0.0]
    """
    from scipy import ndimage

    scores = np.asarray(probability, dtype=np.float64)
    seen = np.ones(scores.shape, dtype=np.bool_) if present is None else np.asarray(present, dtype=np.bool_)
    if scores.ndim != 1 or seen.shape != scores.shape:
        raise InputError(f"one score a slice is needed, found shapes {scores.shape} and {seen.shape}")
    if sigma < 0 or median < 1 or median % 2 == 0:
        raise InputError(f"sigma must be 0 or more and the median length odd, found {sigma} and {median}")
    if not np.isfinite(scores[seen]).all():
        raise InputError("a slice score is NaN or infinite: the classifier failed on it")
    smoothed = np.zeros(scores.shape, dtype=np.float64)
    for first, stop in stretches(seen):
        part = scores[first:stop]
        if sigma > 0:
            part = ndimage.gaussian_filter1d(part, sigma, mode="reflect", truncate=4.0)
        smoothed[first:stop] = ndimage.median_filter(part, size=median, mode="reflect")
    return smoothed.astype(np.float32)


def positive_runs(
    smoothed: ArrayLike, *, threshold: float = 0.95, present: ArrayLike | None = None
) -> tuple[tuple[int, int], ...]:
    """Half-open ranges of slices at or above the threshold; every separate run is its own.

    Args:
        smoothed: (n,) scores after the filters.
        threshold: a slice at it is positive.
        present: (n,) where a score exists; a gap ends a run. None: everywhere.

    Example:
        >>> positive_runs([0.2, 0.96, 0.99, 0.1, 0.95])
        ((1, 3), (4, 5))
    """
    # float32 scores are compared as float32: 0.95 in the file must be 0.95 in the test
    positive = np.asarray(smoothed, dtype=np.float32) >= np.float32(threshold)
    if present is not None:
        positive &= np.asarray(present, dtype=np.bool_)
    return stretches(positive)
