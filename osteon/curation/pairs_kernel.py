"""Compiled loops of the pair search: which products of a tile are high enough, and the true cosine of those."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from osteon._compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["cosines_of", "pairs_in_tile", "squared_lengths"]


@compiled
def _dot(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Scalar product in double precision, eight sums side by side; the order never changes."""
    sums = np.zeros(8, np.float64)
    whole = first.size - first.size % 8
    for start in range(0, whole, 8):
        for lane in range(8):
            sums[lane] += np.float64(first[start + lane]) * np.float64(second[start + lane])
    total = 0.0
    for lane in range(8):
        total += sums[lane]
    for index in range(whole, first.size):
        total += np.float64(first[index]) * np.float64(second[index])
    return total


@compiled
def squared_lengths(vectors: NDArray[Any], out: NDArray[np.float64], first: int, stop: int) -> None:
    """Squared length of rows ``first`` to ``stop - 1``, in double precision."""
    for row in range(first, stop):
        out[row] = _dot(vectors[row], vectors[row])


@compiled
def cosines_of(
    vectors: NDArray[Any],
    squares: NDArray[np.float64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:
    """Cosine of each pair; vectors that are equal give exactly 1, because sqrt(a * a) is a."""
    for pair in range(first.size):
        i, j = first[pair], second[pair]
        out[pair] = _dot(vectors[i], vectors[j]) / np.sqrt(squares[i] * squares[j])


@compiled
def pairs_in_tile(
    tile: NDArray[np.float32],
    corner: tuple[int, int],
    least: float,
    codes: NDArray[np.int32],
    first: NDArray[np.int32],
    second: NDArray[np.int32],
) -> int:
    """Positions of the products of at least ``least`` above the diagonal, of rows that differ in every code.

    Args:
        tile: (rows, columns) products.
        corner: position of its first row and first column among all vectors.
        least: the bound.
        codes: (kinds, n) class of each vector; a pair must differ in all kinds. (0, n) asks nothing.
        first: filled with positions; room for every product of the tile.
        second: likewise.

    Returns:
        How many were filled.
    """
    bound = np.float32(least)
    found = 0
    for row in range(tile.shape[0]):
        i = corner[0] + row
        start = max(0, i + 1 - corner[1])
        products = tile[row]
        # counting first is one pass of vector instructions, and nearly every row ends here
        high = 0
        for column in range(start, products.size):
            high += products[column] >= bound
        if high == 0:
            continue
        for column in range(start, products.size):
            if products[column] < bound:
                continue
            j = corner[1] + column
            differ = True
            for kind in range(codes.shape[0]):
                differ = differ and codes[kind, i] != codes[kind, j]
            if differ:
                first[found] = i
                second[found] = j
                found += 1
    return found
