"""All pairs of vectors that point the same way: an exact search, no pair missed.

A tile of products is worked out in float32, of the vectors themselves or of short ones that can only overrate a cosine
(``shorten``). Products that reach the threshold, less what float32 may be off, are worked out again in double
precision from the given vectors, and that value decides. The way taken changes the time, never the pairs.

Let Q be an orthonormal basis of k directions, p = Q^T x the part of a unit vector x that is in it, and r the length
of what is left. For two unit vectors, <x, y> = <p_x, p_y> + <rest_x, rest_y> <= <p_x, p_y> + r_x r_y (Cauchy, Schwarz).
So the product of the short vectors (p, r), of k + 1 components, is an upper bound of the cosine, whatever Q is. Q only
decides how many pairs the bound lets through: the leading eigenvectors of the second moments keep r small.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from osteon._compiled import available_threads, compiled
from osteon.errors import InputError, UnknownLabelError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "METHODS",
    "Pairs",
    "Progress",
    "choose_basis",
    "class_codes",
    "rounding",
    "shorten",
    "similar_pairs",
]

_SIZES = (8, 16, 32, 48, 64, 96, 128, 192, 256, 384)
_FIT_ROWS, _TRIAL_ROWS, _BLOCK_ROWS = 4096, 1536, 1024
# below this many multiplications of a square of all rows, the sample takes longer than it can save
_FEW_PRODUCTS = 2e11
# in units of one float32 multiplication and addition of a matrix product, measured: to write and look at a product, and
# one component of a pair that must be worked out in double precision
_LOOK_COST, _CHECK_COST = 40.0, 50.0


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
def _squared_lengths(vectors: NDArray[Any], out: NDArray[np.float64], first: int, stop: int) -> None:
    """Squared length of rows ``first`` to ``stop - 1``, in double precision."""
    for row in range(first, stop):
        out[row] = _dot(vectors[row], vectors[row])


@compiled
def _cosines_of(
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
def _pairs_in_tile(
    tile: NDArray[np.float32],
    corner: tuple[int, int],
    least: float,
    codes: NDArray[np.int32],
    first: NDArray[np.int32],
    second: NDArray[np.int32],
) -> int:
    """Fill in and count positions of products of at least ``least`` above the diagonal, of rows unlike in every code.

    A tile (rows, columns) begins at ``corner`` among all vectors; codes (kinds, n) of (0, n) ask nothing; ``first`` and
    ``second`` have room for every product.
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


Progress = Callable[[str, int, int], None]
"""Called as ``progress(step, done, total)``; the step is a phrase for a person."""

METHODS = ("auto", "pruned", "blocked")
"""``auto`` prunes where a sample says that it pays; ``blocked`` multiplies whole vectors."""

# a tile of 512 x 1,024 products stays in the cache between the product and the look at it; whole vectors must be scaled
# before every product, which pays for more rows
_PRUNED_ROWS, _BLOCKED_ROWS, _COLUMNS = 512, 2048, 1024


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of rows, sorted by ``first``, then ``second``.

    Attributes:
        first: (m,) row index.
        second: (m,) row index, always above ``first``.
        cosine: (m,) in double precision, at least the threshold.
        method: the way taken: "pruned" or "blocked".
        components: numbers multiplied a pair.
        checked: pairs that had to be worked out in double precision.
    """

    first: NDArray[np.int64] = field(repr=False)
    second: NDArray[np.int64] = field(repr=False)
    cosine: NDArray[np.float64] = field(repr=False)
    method: str
    components: int
    checked: int

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.first)


def similar_pairs(
    vectors: ArrayLike,
    *,
    threshold: float = 0.95,
    different: Sequence[Any] | NDArray[Any] | None = None,
    across: Sequence[Any] | NDArray[Any] | None = None,
    method: str = "auto",
    most: int = 10_000_000,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Pairs:
    """All pairs of rows whose cosine is at least the threshold.

    Exact: the cosine that decides is that of the given float32 numbers, in double precision. Equal rows have cosine 1.
    Beside the vectors the search holds about 4 (k + 1) bytes a row for k components, and some 10 MB a thread.

    Args:
        vectors: (n, d), of any length but zero; float32 is used in place (a memory map too), others are copied to it.
        threshold: -1 to 1. The paper's "above 0.95" differs only for a cosine of exactly 0.95.
        different: (n,) labels; with it, only pairs whose labels differ.
        across: (n,) patients; with it, only pairs of two patients.
        method: one of ``METHODS``; all give the same pairs.
        most: pairs that may be found before the search gives up, to keep the memory bounded (some 70 bytes a pair until
            they are sorted, then 24).
        threads: at most this many; None: all processors at hand. While the search runs, numpy's matrix products of the
            whole process use one thread each.
        progress: told about blocks of rows that are done, from the threads of the search, one at a time.

    Returns:
        The pairs, each once; none when there are fewer than two rows.

    Raises:
        InputError: not a table; a row that is zero or not finite; labels or patients of another number, or one missing;
            a threshold outside -1 to 1; more than ``most`` pairs.
        UnknownLabelError: no such method.

    References:
        specs/ct-osteosarcoma.md, section 4.

    Example:
        >>> found = similar_pairs([[1, 0], [0, 1], [2, 0.1]], threshold=0.9)
        >>> found.first.tolist(), found.second.tolist(), found.cosine.round(3).tolist()
        ([0], [2], [0.999])
    """
    if method not in METHODS:
        raise UnknownLabelError(f"no method {method!r} of searching pairs: {nearest_names(method, METHODS)}")
    if not -1.0 <= threshold <= 1.0:
        raise InputError(f"a cosine of at least {threshold} was asked for: give a threshold from -1 to 1")
    table = _as_table(vectors)
    squares = _checked_squares(table)
    kinds = [
        class_codes(values, len(table), what=what)
        for values, what in ((different, "label"), (across, "patient"))
        if values is not None
    ]
    codes = np.array(kinds, np.int32).reshape(len(kinds), len(table))
    search = _Search(table, squares, codes, threshold=threshold, most=most, tell=progress)
    # the search runs its own threads, each with products of its own
    with threadpool_limits(limits=1, user_api="blas"):
        basis = None
        if method != "blocked":
            basis = choose_basis(table, np.sqrt(squares), codes, threshold=threshold, always=method == "pruned")
        with ThreadPoolExecutor(threads or available_threads()) as pool:
            return search.by_tiles(basis, pool)


def _as_table(vectors: ArrayLike) -> NDArray[np.float32]:
    table = np.ascontiguousarray(vectors, dtype=np.float32).view(np.ndarray)
    if table.ndim != 2 or table.shape[1] == 0:
        raise InputError(f"similar pairs were asked for of an array of shape {table.shape}: give one row a vector")
    return table


def _checked_squares(table: NDArray[np.float32]) -> NDArray[np.float64]:
    squares = np.empty(len(table), np.float64)
    _squared_lengths(table, squares, 0, len(table))
    bad = np.flatnonzero(~(np.isfinite(squares) & (squares > 0)))
    if bad.size:
        names = ", ".join(str(row) for row in bad[:10]) + (", ..." if bad.size > 10 else "")
        raise InputError(
            f"{bad.size} of {len(table)} vectors are zero or not finite and have no direction (rows {names}): "
            "leave these images out or embed them again"
        )
    return squares


def chosen_rows(vectors: ArrayLike, rows: NDArray[np.int64]) -> NDArray[Any]:
    """The rows asked for; the table itself where that is all of it in its order, because a copy may be large."""
    table = np.asarray(vectors)
    return table if np.array_equal(rows, np.arange(len(table))) else table[rows]


def class_codes(values: Sequence[Any] | NDArray[Any], count: int, *, what: str) -> NDArray[np.int32]:
    """Labels or patients as small integers, in order of appearance, shape (count,); ``what`` they are is for messages.

    Raises:
        InputError: another number of values, or one that is missing (None, NaN or empty).
    """
    known: dict[Any, int] = {}
    listed = np.asarray(values).tolist() if isinstance(values, np.ndarray) else list(values)
    if len(listed) != count:
        raise InputError(f"{len(listed)} {what}s were given for {count} vectors: give one for each")
    missing = [row for row, value in enumerate(listed) if value is None or value != value or value == ""]  # noqa: PLR0124 - NaN
    if missing:
        raise InputError(f"{len(missing)} vectors have no {what}, the first of them row {missing[0]}: fill it in")
    return np.array([known.setdefault(value, len(known)) for value in listed], np.int32)


@dataclass(slots=True, eq=False)
class _Search:
    """One search: what was asked and what was found so far."""

    table: NDArray[np.float32]
    squares: NDArray[np.float64]
    codes: NDArray[np.int32]
    threshold: float
    most: int
    tell: Progress | None
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = field(default_factory=list)
    total: int = 0
    checked: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def by_tiles(self, basis: NDArray[np.float64] | None, pool: Executor) -> Pairs:
        """Search by tiles of products, of short vectors when there is a basis."""
        count, width = self.table.shape
        # rows of one class side by side: a tile within a class has nothing to find and is never multiplied
        order = np.lexsort(self.codes[::-1]) if len(self.codes) else np.arange(count)
        lengths = np.sqrt(self.squares)
        short = None if basis is None else shorten(self.table, lengths, order, basis, pool=pool)
        components = width if short is None else short.shape[1]
        rows = _BLOCKED_ROWS if short is None else _PRUNED_ROWS
        codes = np.ascontiguousarray(self.codes[:, order])
        least = self.threshold - rounding(components)
        buffers = threading.local()
        starts = range(0, count, rows)
        done = 0

        def unit(start: int, stop: int) -> NDArray[np.float32]:
            if short is not None:
                return short[start:stop]
            return self._unit(order[start:stop], lengths)

        def strip(start: int) -> None:
            nonlocal done
            if not hasattr(buffers, "tile"):
                buffers.tile = np.empty((rows, _COLUMNS), np.float32)
                buffers.pairs = np.empty((2, buffers.tile.size), np.int32)
            stop = min(start + rows, count)
            left = None
            for column in range(start - start % _COLUMNS, count, _COLUMNS):
                end = min(column + _COLUMNS, count)
                if self.total > self.most:
                    return
                if any(_one_class(code, start, stop, column, end) for code in codes):
                    continue
                left = unit(start, stop) if left is None else left
                tile = buffers.tile[: stop - start, : end - column]
                np.matmul(left, unit(column, end).T, out=tile)
                high = _pairs_in_tile(tile, (start, column), least, codes, buffers.pairs[0], buffers.pairs[1])
                if high:
                    self._keep(order[buffers.pairs[0, :high]], order[buffers.pairs[1, :high]])
            with self.lock:
                done += 1
                if self.tell is not None:
                    self.tell("comparing images", done, len(starts))

        # strips above the diagonal grow shorter: the longest come first, so the threads end together
        for _ in pool.map(strip, starts):
            pass
        return self._result("blocked" if short is None else "pruned", components)

    def _unit(self, rows: NDArray[np.int64] | slice, lengths: NDArray[np.float64]) -> NDArray[np.float32]:
        unit: NDArray[np.float32] = (self.table[rows] / lengths[rows, None]).astype(np.float32)
        return unit

    def _keep(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> None:
        """Work the cosine of candidates out and keep those that reach the threshold."""
        first, second = np.minimum(one, other), np.maximum(one, other)
        cosine = np.empty(len(first), np.float64)
        _cosines_of(self.table, self.squares, first, second, cosine)
        keep = cosine >= self.threshold
        with self.lock:
            self.found.append((first[keep], second[keep], cosine[keep]))
            self.total += int(np.count_nonzero(keep))
            self.checked += len(first)

    def _result(self, method: str, components: int) -> Pairs:
        if self.total > self.most:
            raise InputError(
                f"more than {self.most} pairs have a cosine of at least {self.threshold}: raise the threshold, "
                "compare across labels or patients only, or allow more pairs"
            )
        first, second, cosine = (np.concatenate([part[k] for part in self.found] or [np.empty(0)]) for k in range(3))
        order = np.lexsort((second, first))
        return Pairs(
            first=first[order].astype(np.int64, copy=False),
            second=second[order].astype(np.int64, copy=False),
            cosine=cosine[order],
            method=method,
            components=components,
            checked=self.checked,
        )


def _one_class(code: NDArray[np.int32], start: int, stop: int, column: int, end: int) -> bool:
    """Whether rows and columns of a tile are all of one class."""
    rows, columns = code[start:stop], code[column:end]
    return bool(rows[0] == columns[0] and (rows == rows[0]).all() and (columns == rows[0]).all())


def rounding(width: int) -> float:
    """How far a float32 product of two unit vectors of ``width`` components may be below the true one.

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
) -> NDArray[np.float64] | None:
    """The basis (d, k), orthonormal columns, that makes the search cheapest; None when full products are cheaper.

    The cost is estimated on pairs of a sample.

    Only pairs that differ in all codes (kinds, n) count. ``always`` chooses one even where it does not pay.
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
            best_cost, best = cost, np.ascontiguousarray(directions[:, :size])
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
    vectors: NDArray[Any],
    lengths: NDArray[np.float64],
    order: NDArray[np.int64],
    basis: NDArray[np.float64],
    *,
    pool: Executor,
) -> NDArray[np.float32]:
    """Short vectors of the rows ``order``, shape (n, k + 1): worked out in double precision, rounded at the end."""
    short = np.empty((len(order), basis.shape[1] + 1), np.float32)

    def block(start: int) -> None:
        rows = order[start : start + _BLOCK_ROWS]
        short[start : start + len(rows)] = _short_rows(_unit_rows(vectors, lengths, rows), basis)

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
