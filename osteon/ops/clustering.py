"""K-means of whole numbers, solved exactly.

On a line the best clusters are intervals, so the best k of them can be found by dynamic programming over the histogram:
no starts, no seed, no local optimum. With one random start scikit-learn ended up to 22 % worse on a leg and moved a
third of the bone; here the same image always gives the same bone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import InputError
from osteon.ops.clustering_kernel import best_intervals

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["exact_kmeans"]


def exact_kmeans(
    counts: NDArray[Any], *, clusters: int, low: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """The partition of whole numbers into k clusters with the smallest sum of squared distances to the cluster means.

    Of several best partitions the one with the lowest boundaries is taken, the highest boundary first: a value that
    could be in two clusters goes to the brighter one.

    Args:
        counts: (n,) how often ``low``, ``low + 1``... occur.
        clusters: k. With fewer distinct values than k, each value is a cluster of its own.
        low: value of the first bin.

    Returns:
        (k,) cluster means ascending; (k,) smallest value that occurs in each cluster; the sum of squares (inertia).

    Raises:
        InputError: no values, or k below 1.

    References:
        Wang and Song, R Journal 3 (2011), doi:10.32614/RJ-2011-015.

    Example:
        >>> means, starts, inertia = exact_kmeans(np.array([4, 0, 0, 1, 1]), clusters=2, low=10)
        >>> means.tolist(), starts.tolist(), inertia
        ([10.0, 13.5], [10, 13], 0.5)
    """
    used = np.flatnonzero(counts)
    if used.size == 0 or clusters < 1:
        raise InputError(
            f"clusters need at least one value and k of 1 or more, found {used.size} values and k={clusters}"
        )
    k = min(clusters, used.size)
    weights = np.asarray(counts, dtype=np.float64)[used]
    # centred values keep the sums of squares small: the differences of prefix sums stay exact to about 1e-12
    centre = float(np.round((weights * used).sum() / weights.sum()))
    values = used - centre
    sums = [np.concatenate(([0.0], np.cumsum(weights * values**power))) for power in (0, 1, 2)]
    starts, inertia = best_intervals(sums[0], sums[1], sums[2], k)
    bounds = np.append(starts, used.size)
    means = np.diff(sums[1][bounds]) / np.diff(sums[0][bounds])
    return means + centre + low, used[starts].astype(np.int64) + low, float(inertia)
