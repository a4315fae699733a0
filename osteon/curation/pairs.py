"""All pairs of vectors that point the same way: an exact search, no pair missed.

A tile of products is worked out in float32, of the vectors themselves or of short ones that can only overrate a cosine
(``pairs_pruning``). Products that reach the threshold, less what float32 may be off, are worked out again in double
precision from the given vectors, and that value decides. The way taken changes the time, never the pairs.
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
from osteon._optional import require
from osteon.curation.pairs_pruning import Basis, choose_basis, rounding, shorten
from osteon.errors import InputError, UnknownLabelError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "METHODS",
    "Pairs",
    "Progress",
    "class_codes",
    "cosines_of",
    "pairs_in_tile",
    "similar_pairs",
    "squared_lengths",
]


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


Progress = Callable[[str, int, int], None]
"""Called as ``progress(step, done, total)``; the step is a phrase for a person."""

METHODS = ("auto", "pruned", "blocked", "faiss")
"""``auto`` prunes where a sample says that it pays; ``blocked`` multiplies whole vectors; ``faiss`` asks FAISS."""

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
        method: the way taken: "pruned", "blocked" or "faiss".
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
        threads: at most so many; None for the processors at hand. While the search runs, numpy's matrix products of the
            whole process use one thread each.
        progress: told about blocks of rows that are done, from the threads of the search, one at a time.

    Returns:
        The pairs, each once; none when there are fewer than two rows.

    Raises:
        InputError: not a table; a row that is zero or not finite; labels or patients of another number, or one missing;
            a threshold outside -1 to 1; more than ``most`` pairs.
        UnknownLabelError: no such method.
        MissingPackageError: ``method="faiss"`` without FAISS.

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
    if method == "faiss":
        return search.by_faiss()
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
    squared_lengths(table, squares, 0, len(table))
    bad = np.flatnonzero(~(np.isfinite(squares) & (squares > 0)))
    if bad.size:
        names = ", ".join(str(row) for row in bad[:10]) + (", ..." if bad.size > 10 else "")
        raise InputError(
            f"{bad.size} of {len(table)} vectors are zero or not finite and have no direction (rows {names}): "
            "leave these images out or embed them again"
        )
    return squares


def class_codes(values: Sequence[Any] | NDArray[Any], count: int, *, what: str) -> NDArray[np.int32]:
    """Labels or patients as small integers, in order of appearance, shape (count,).

    Args:
        values: one a row, of any hashable type.
        count: of rows.
        what: a label, a patient: for the message.

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

    def by_tiles(self, basis: Basis | None, pool: Executor) -> Pairs:
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
                high = pairs_in_tile(tile, (start, column), least, codes, buffers.pairs[0], buffers.pairs[1])
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

    def by_faiss(self) -> Pairs:
        """Search with FAISS's flat index; what it finds is worked out again."""
        faiss = require("faiss", extra="train", purpose="to search pairs with FAISS")
        count, width = self.table.shape
        lengths = np.sqrt(self.squares)
        index = faiss.IndexFlatIP(width)
        for start in range(0, count, _PRUNED_ROWS):
            index.add(self._unit(slice(start, start + _PRUNED_ROWS), lengths))
        least = self.threshold - rounding(width)
        for start in range(0, count, _PRUNED_ROWS):
            stop = min(start + _PRUNED_ROWS, count)
            limits, _, near = index.range_search(self._unit(slice(start, stop), lengths), least)
            first = np.repeat(np.arange(start, stop), np.diff(limits.astype(np.int64)))
            keep = first < near
            for code in self.codes:
                keep &= code[first] != code[near]
            self._keep(first[keep], near[keep])
            if self.tell is not None:
                self.tell("comparing images", stop, count)
            if self.total > self.most:
                break
        return self._result("faiss", width)

    def _unit(self, rows: NDArray[np.int64] | slice, lengths: NDArray[np.float64]) -> NDArray[np.float32]:
        unit: NDArray[np.float32] = (self.table[rows] / lengths[rows, None]).astype(np.float32)
        return unit

    def _keep(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> None:
        """Work the cosine of candidates out and keep those that reach the threshold."""
        first, second = np.minimum(one, other), np.maximum(one, other)
        cosine = np.empty(len(first), np.float64)
        cosines_of(self.table, self.squares, first, second, cosine)
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
