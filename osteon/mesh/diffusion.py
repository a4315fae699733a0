"""Compiled loops of surface smoothing. Importing this module imports numba; the machine code is kept on disk."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - numba ignores annotations, readers do not

from osteon._compiled import compiled

__all__ = ["chebyshev_filter", "fixed_vertices", "pairs_filter", "vertex_rings"]


@compiled
def vertex_rings(faces: NDArray[np.int32], count: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """For every vertex the vertices that follow it in its triangles: all its neighbours on a closed surface.

    Args:
        faces: (triangles, 3).
        count: vertices.

    Returns:
        first (count + 1,), ring (3 * triangles,): vertex v has ring[first[v]:first[v + 1]].
    """
    first = np.zeros(count + 1, np.int32)
    for f in range(faces.shape[0]):
        for k in range(3):
            first[faces[f, k] + 1] += 1
    for v in range(count):
        first[v + 1] += first[v]
    ring = np.empty(3 * faces.shape[0], np.int32)
    free = first[:-1].copy()
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ring[free[a]] = b
        ring[free[b]] = c
        ring[free[c]] = a
        free[a] += 1
        free[b] += 1
        free[c] += 1
    return first, ring


@compiled
def fixed_vertices(faces: NDArray[np.int32], first: NDArray[np.int32], ring: NDArray[np.int32]) -> NDArray[np.bool_]:
    """(vertices,) true on an edge that does not belong to exactly two triangles running in opposite directions."""
    fixed = np.zeros(first.size - 1, np.bool_)
    for f in range(faces.shape[0]):
        for k in range(3):
            a, b = faces[f, k], faces[f, (k + 1) % 3]
            there = 0
            for i in range(first[a], first[a + 1]):
                there += ring[i] == b
            back = 0
            for i in range(first[b], first[b + 1]):
                back += ring[i] == a
            if there != 1 or back != 1:
                fixed[a] = True
                fixed[b] = True
    return fixed


@compiled
def _step(
    points: NDArray[np.float32],
    first: NDArray[np.int32],
    ring: NDArray[np.int32],
    weights: tuple[float, float, float],
    before: NDArray[np.float32],
    after: NDArray[np.float32],
) -> None:
    """Sets after = w0 * points + w1 * mean of the neighbours + w2 * before; before and after may be one array."""
    own, around, past = np.float32(weights[0]), np.float32(weights[1]), np.float32(weights[2])
    for v in range(points.shape[0]):
        x, y, z = points[v, 0], points[v, 1], points[v, 2]
        begin, end = first[v], first[v + 1]
        if end > begin:
            sum_x = sum_y = sum_z = np.float32(0)
            for i in range(begin, end):
                n = ring[i]
                sum_x += points[n, 0]
                sum_y += points[n, 1]
                sum_z += points[n, 2]
            share = around / np.float32(end - begin)
        else:
            sum_x, sum_y, sum_z, share = x, y, z, around
        after[v, 0] = own * x + share * sum_x + past * before[v, 0]
        after[v, 1] = own * y + share * sum_y + past * before[v, 1]
        after[v, 2] = own * z + share * sum_z + past * before[v, 2]


@compiled
def _restore(points: NDArray[np.float32], fixed: NDArray[np.bool_], moved: NDArray[np.float32]) -> None:
    """Put the fixed vertices back where they were."""
    for v in range(points.shape[0]):
        if fixed[v]:
            for k in range(3):
                moved[v, k] = points[v, k]


@compiled
def chebyshev_filter(
    points: NDArray[np.float32],
    first: NDArray[np.int32],
    ring: NDArray[np.int32],
    fixed: NDArray[np.bool_],
    coefficients: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Sum of coefficients[n] * T_n(P) applied to the points, P the half-way step (point + mean of neighbours) / 2."""
    now = np.empty_like(points)
    _step(points, first, ring, (0.5, 0.5, 0.0), points, now)
    past = points.copy()
    total = np.empty_like(points)
    c0 = np.float32(coefficients[0])
    for v in range(points.shape[0]):
        for k in range(3):
            total[v, k] = c0 * points[v, k]
    for n in range(1, coefficients.size):
        if n > 1:
            _step(now, first, ring, (1.0, 1.0, -1.0), past, past)  # T_n = 2 P T_(n-1) - T_(n-2)
            past, now = now, past
        c = np.float32(coefficients[n])
        for v in range(points.shape[0]):
            for k in range(3):
                total[v, k] += c * now[v, k]
    _restore(points, fixed, total)
    return total


@compiled
def pairs_filter(
    points: NDArray[np.float32],
    first: NDArray[np.int32],
    ring: NDArray[np.int32],
    fixed: NDArray[np.bool_],
    factors: NDArray[np.float64],
    pairs: int,
) -> NDArray[np.float32]:
    """Pairs of steps point + factor * (mean of neighbours - point), with factors[0] > 0 and factors[1] < 0."""
    now = points.copy()
    after = np.empty_like(points)
    for n in range(2 * pairs):
        factor = factors[n % 2]
        _step(now, first, ring, (1.0 - factor, factor, 0.0), now, after)
        _restore(points, fixed, after)
        now, after = after, now
    return now
