"""From images to series and patients: one truth and one score a group."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.metrics.checks import checked_score, checked_truth

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["HOW", "Aggregated", "aggregate"]

HOW = ("max", "mean", "top3")


@dataclass(frozen=True, slots=True, eq=False)
class Aggregated:
    """One row a group, sorted by group id.

    Attributes:
        groups: (groups,) the ids.
        truth: (groups,) bool; whether any image of the group is positive.
        score: (groups,), or (models, groups) when several models were given.
        sizes: (groups,) number of images.
        first: (groups,) index of the first image of each group: ``patients[first]`` carries the patient of a series.
    """

    groups: NDArray[Any] = field(repr=False)
    truth: NDArray[np.bool_] = field(repr=False)
    score: NDArray[np.float64] = field(repr=False)
    sizes: NDArray[np.int64] = field(repr=False)
    first: NDArray[np.int64] = field(repr=False)


def aggregate(groups: ArrayLike, truth: ArrayLike, score: ArrayLike, how: str = "max") -> Aggregated:
    """Truth and score of groups of images (series, patients).

    Args:
        groups: (n,) id of the group of each image, text or integers.
        truth: (n,) bool or 0 and 1.
        score: (n,) finite, or (models, n).
        how: ``"max"``, ``"mean"``, or ``"top3"``: the mean of the three highest (of all, where there are fewer). The
            largest of many slices grows with their number; ``top3`` is less moved by one slice.

    Returns:
        One row a group; a group is positive when any image of it is.

    Raises:
        InputError: shapes differ, nothing was given, or a score is not finite.
        UnknownLabelError: ``how`` is none of the three.

    Example:
        >>> patients = aggregate(["b", "a", "b"], [1, 0, 0], [0.9, 0.2, 0.5], "mean")
        >>> patients.groups.tolist(), patients.truth.tolist(), patients.score.tolist()
        (['a', 'b'], [False, True], [0.2, 0.7])
    """
    if how not in HOW:
        raise UnknownLabelError(f"a way to join scores named {how!r} does not exist; {nearest_names(how, HOW)}")
    positive = checked_truth(truth)
    values = checked_score(score, positive.size)
    ids = np.asarray(groups)
    if ids.shape != positive.shape:
        raise InputError(f"one group per image is needed; {positive.size} images and groups of shape {ids.shape} came")
    names, first, code, sizes = np.unique(ids, return_index=True, return_inverse=True, return_counts=True)
    any_positive = np.bincount(code, weights=positive, minlength=names.size) > 0
    rows = [_joined(code, row, sizes, how) for row in np.atleast_2d(values)]
    joined = np.stack(rows) if values.ndim > 1 else rows[0]
    return Aggregated(groups=names, truth=any_positive, score=joined, sizes=sizes, first=first)


def _joined(
    code: NDArray[np.int64], score: NDArray[np.float64], sizes: NDArray[np.int64], how: str
) -> NDArray[np.float64]:
    if how == "mean":
        return np.asarray(np.bincount(code, weights=score) / sizes, np.float64)
    ranked = score[np.lexsort((-score, code))]
    starts = np.cumsum(sizes) - sizes
    if how == "max":
        joined: NDArray[np.float64] = ranked[starts]
    else:
        place = np.arange(score.size) - np.repeat(starts, sizes)
        joined = np.add.reduceat(np.where(place < 3, ranked, 0.0), starts) / np.minimum(sizes, 3)
    return joined
