"""Short vectors whose products are never below the cosine: most pairs are ruled out by a few components.

Let Q be an orthonormal basis of k directions, p = Q^T x the part of a unit vector x that lies in it, and r the length
of what is left. For two unit vectors, <x, y> = <p_x, p_y> + <rest_x, rest_y> <= <p_x, p_y> + r_x r_y (Cauchy, Schwarz).
So the product of the short vectors (p, r), of k + 1 components, is an upper bound of the cosine, whatever Q is. Q only
decides how many pairs the bound lets through: the leading eigenvectors of the second moments keep r small.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray

__all__ = ["Basis", "choose_basis", "rounding", "shorten"]

_SIZES = (8, 16, 32, 48, 64, 96, 128, 192, 256, 384)
_FIT_ROWS, _TRIAL_ROWS, _BLOCK_ROWS = 4096, 1536, 1024
# below so many multiplications of a square of all rows, the sample takes longer than it can save
_FEW_PRODUCTS = 2e11
# in units of one float32 multiplication and addition of a matrix product, measured: to write and look at a product, and
# one component of a pair that must be worked out in double precision
_LOOK_COST, _CHECK_COST = 40.0, 50.0


@dataclass(frozen=True, slots=True)
class Basis:
    """Directions to shorten vectors with.

    Attributes:
        directions: (d, k) orthonormal columns, float64.
        passing: share of the pairs of a sample that the bound did not rule out.
    """

    directions: NDArray[np.float64] = field(repr=False)
    passing: float


def rounding(width: int) -> float:
    """How far a float32 product of two unit vectors of ``width`` components may lie below the true one.

    Each of the components is rounded once and the sum at every step, in any order: at most (width + 2) units of 2^-24,
    to first order. The constant covers the basis, orthonormal to 1e-13 only: a rest of length zero may be taken for one
    of 3e-7.
    """
    return (width + 8) * 2.0**-24 + 1e-6


def choose_basis(
    vectors: NDArray[Any],
    lengths: NDArray[np.float64],
    codes: NDArray[np.int32],
    *,
    threshold: float,
    always: bool = False,
) -> Basis | None:
    """The basis that makes the search cheapest, judged on pairs of a sample; None when full products are cheaper.

    Args:
        vectors: (n, d).
        lengths: (n,) of the vectors.
        codes: (kinds, n) classes; only pairs that differ in all kinds count.
        threshold: cosine that is looked for.
        always: choose one even where it does not pay, or the vectors are few.
    """
    count, width = vectors.shape
    # a fixed seed: the choice touches the time alone, and the same input takes the same way every time
    random = np.random.default_rng(0)
    order = random.permutation(count)
    fit, trial = order[:_FIT_ROWS], order[_FIT_ROWS : _FIT_ROWS + _TRIAL_ROWS]
    sizes = [size for size in _SIZES if size < width * 3 // 4] or [(width + 1) // 2]
    # rows that the directions were fitted to would flatter them
    if len(trial) < _TRIAL_ROWS:
        trial = fit[:_TRIAL_ROWS]
    if count == 0 or not (always or count * count * width > _FEW_PRODUCTS):
        return None
    directions = _leading_directions(_unit_rows(vectors, lengths, np.sort(fit)), sizes[-1], random)
    unit = _unit_rows(vectors, lengths, trial)
    asked = np.triu(np.ones((len(trial), len(trial)), bool), 1)
    for code in codes[:, trial]:
        asked &= code[:, None] != code[None, :]
    pairs = max(1, int(np.count_nonzero(asked)))
    single = unit.astype(np.float32)
    alike = np.count_nonzero(((single @ single.T) >= threshold) & asked) / pairs
    best_cost = np.inf if always else width + _LOOK_COST + _CHECK_COST * width * alike
    best = None
    inside = (unit @ directions).astype(np.float32)
    products = np.zeros(asked.shape, np.float32)
    for before, size in zip([0, *sizes], sizes, strict=False):
        part = inside[:, before:size]
        products += part @ part.T
        rest = np.sqrt(np.maximum(0, 1 - np.einsum("ij,ij->i", inside[:, :size], inside[:, :size])))
        passing = np.count_nonzero((products + rest[:, None] * rest >= threshold) & asked) / pairs
        cost = size + _LOOK_COST + _CHECK_COST * width * passing
        if cost < best_cost:
            best_cost, best = cost, Basis(np.ascontiguousarray(directions[:, :size]), passing)
    return best


def _leading_directions(rows: NDArray[np.float64], count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Orthonormal columns near the leading eigenvectors of the second moments, the largest first.

    Subspace iteration: a fraction of the time of all eigenvectors; directions a little off cost a little time only.
    """
    moments = rows.T @ rows
    columns = np.linalg.qr(moments @ random.standard_normal((len(moments), count)))[0]
    for _ in range(2):
        columns = np.linalg.qr(moments @ columns)[0]
    _, turn = np.linalg.eigh(columns.T @ moments @ columns)
    # turned columns are orthonormal to rounding only: once more makes them so, and changes no direction that matters
    return np.linalg.qr(columns @ turn[:, ::-1])[0]


def shorten(
    vectors: NDArray[Any], lengths: NDArray[np.float64], order: NDArray[np.int64], basis: Basis, *, pool: Executor
) -> NDArray[np.float32]:
    """Short vectors of the rows ``order``, shape (n, k + 1): worked out in double precision, rounded at the end."""
    short = np.empty((len(order), basis.directions.shape[1] + 1), np.float32)

    def block(start: int) -> None:
        rows = order[start : start + _BLOCK_ROWS]
        short[start : start + len(rows)] = _short_rows(_unit_rows(vectors, lengths, rows), basis.directions)

    for _ in pool.map(block, range(0, len(order), _BLOCK_ROWS)):
        pass
    return short


def _unit_rows(vectors: NDArray[Any], lengths: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    unit = vectors[rows].astype(np.float64)
    unit /= lengths[rows, None]
    return unit


def _short_rows(unit: NDArray[np.float64], directions: NDArray[np.float64]) -> NDArray[np.float32]:
    inside = unit @ directions
    rest = np.sqrt(np.maximum(0.0, 1.0 - np.einsum("ij,ij->i", inside, inside)))
    return np.concatenate([inside, rest[:, None]], axis=1).astype(np.float32)
