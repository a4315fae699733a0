"""Compiled dynamic programme behind ``exact_kmeans``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from osteon._compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["best_intervals"]


@compiled
def _cost(weight: NDArray[Any], first: NDArray[Any], second: NDArray[Any], i: int, j: int) -> float:
    """Sum of squared distances to the mean of values i to j - 1."""
    total = weight[j] - weight[i]
    moment = first[j] - first[i]
    squares: float = second[j] - second[i] - moment * moment / total
    return max(squares, 0.0)


@compiled
def best_intervals(
    weight: NDArray[Any], first: NDArray[Any], second: NDArray[Any], clusters: int
) -> tuple[NDArray[np.int64], float]:
    """Starts of the best intervals and their cost.

    The best last start grows with the end of the range (the cost is Monge), so each row of the table is filled by
    halving: n log n costs a cluster instead of n squared.

    Args:
        weight: (n + 1,) prefix sums of the counts.
        first: of counts times values.
        second: of counts times squared values.
        clusters: k, at most n.

    Returns:
        (k,) index of the first value of each interval, and the sum of squares.
    """
    n = weight.size - 1
    best = np.empty(n + 1, np.float64)
    best[0] = 0.0
    for j in range(1, n + 1):
        best[j] = _cost(weight, first, second, 0, j)
    origin = np.zeros((clusters, n + 1), np.int64)
    stack = np.empty((2 * n + 64, 4), np.int64)
    for cluster in range(1, clusters):
        row = np.full(n + 1, np.inf)
        depth = 0
        stack[0] = (cluster + 1, n, cluster, n - 1)
        depth = 1
        while depth > 0:
            depth -= 1
            low, high, low_from, high_from = stack[depth]
            if low > high:
                continue
            middle = (low + high) // 2
            smallest = np.inf
            where = low_from
            for i in range(max(low_from, cluster), min(high_from, middle - 1) + 1):
                value = best[i] + _cost(weight, first, second, i, middle)
                if value < smallest:
                    smallest = value
                    where = i
            row[middle] = smallest
            origin[cluster, middle] = where
            stack[depth] = (low, middle - 1, low_from, where)
            stack[depth + 1] = (middle + 1, high, where, high_from)
            depth += 2
        best = row
    starts = np.zeros(clusters, np.int64)
    end = n
    for cluster in range(clusters - 1, 0, -1):
        starts[cluster] = origin[cluster, end]
        end = starts[cluster]
    return starts, best[n]
