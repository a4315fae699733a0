"""All confusion matrices that fit given intervals: as shares (a cone, solved exactly) or as whole numbers.

A matrix is (tp, fn, fp, tn). Every rate is a ratio of two sums of its cells, so "the rate is in an interval" is two
linear conditions.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from osteon.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "RATES",
    "ConfusionSpace",
    "Fit",
    "PublishedValue",
    "ShareSpace",
    "WholeSpace",
    "matrix_fits",
    "parse_published",
]

_NUMBER = re.compile(r"(\d*)(?:[.,](\d*))?\s*(%?)")
_MOST_DECIMALS = 8


@dataclass(frozen=True, slots=True)
class PublishedValue:
    """A published share and what it may have been before rounding.

    Attributes:
        low: lower end, a share in 0..1, included.
        percent: whether it was published as a percentage.
    """

    name: str
    low: Fraction
    high: Fraction
    percent: bool
    decimals: int

    def words(self, share: Fraction | float, *, more: int = 0) -> str:
        """Another share, written as this one was, with ``more`` decimals."""
        places = self.decimals + more
        return f"{float(share) * 100:.{places}f} %" if self.percent else f"{float(share):.{places}f}"

    @property
    def middle(self) -> Fraction:
        """Centre of the interval."""
        return (self.low + self.high) / 2

    def __str__(self) -> str:
        """Name and number, as published up to the allowance."""
        return f"{self.name} {self.words(self.middle)}"


def parse_published(
    values: Mapping[str, str | float], *, allowance_points: float = 0.0, own_scale: frozenset[str] = frozenset()
) -> dict[str, PublishedValue]:
    """The intervals that published values stand for.

    ``"98.30"`` is 98.295 to 98.305 %, both ends included, since papers round halves up and to even. A number above 1 is
    a percentage, and then so are the others, unless named in ``own_scale``.

    Args:
        values: name -> text (trailing zeros count) or number (its shortest form counts).
        allowance_points: widens each interval on both sides, in percentage points: for means over folds.
        own_scale: names that may be a percentage beside fractions, or the other way round (the AUC).

    Raises:
        InputError: no number, above 100 %, or a scale that cannot be determined.
    """
    if not 0 <= allowance_points <= 100:
        raise InputError(f"an allowance must be 0 to 100 percentage points, got {allowance_points}")
    split = {name: _split(name, value) for name, value in values.items()}
    shared = any(number > 1 or sign for name, (number, _, sign) in split.items() if name not in own_scale)
    found = {}
    for name, (number, decimals, sign) in split.items():
        percent = sign or number > 1 or (shared and name not in own_scale)
        if percent and not sign and 0 < number <= 1:
            raise InputError(
                f"{name} {values[name]} stands beside percentages: write {values[name]}% if it is one, or all as "
                "percentages"
            )
        unit = Fraction(1, 100) if percent else Fraction(1)
        half = (Fraction(1, 2 * 10**decimals)) * unit + Fraction(str(allowance_points)) / 100
        share = number * unit
        if share > 1:
            raise InputError(f"{name} {values[name]} is above 100 %: a share is in 0..1, or 0..100 %")
        found[name] = PublishedValue(
            name, max(share - half, Fraction(0)), min(share + half, Fraction(1)), percent, decimals
        )
    return found


def _split(name: str, value: str | float) -> tuple[Fraction, int, bool]:
    """(number, decimals, whether a percent sign follows)."""
    text = value.strip() if isinstance(value, str) else f"{value:.{_MOST_DECIMALS}f}".rstrip("0")
    found = _NUMBER.fullmatch(text)
    if found is None or not (found[1] or found[2]):
        raise InputError(f"{name} {str(value)[:20]!r} is not a number such as 0.954, 95.4 or 95.4%")
    whole, behind = found[1] or "0", (found[2] or "")[:_MOST_DECIMALS]
    if len(whole) > 3:
        raise InputError(f"{name} is above 100 %: a share is in 0..1, or 0..100 %")
    return Fraction(int(whole + behind), 10 ** len(behind)), len(behind), bool(found[3])


Cells: TypeAlias = tuple[int, int, int, int]

RATES: dict[str, tuple[Cells, Cells]] = {
    "sensitivity": ((1, 0, 0, 0), (1, 1, 0, 0)),
    "specificity": ((0, 0, 0, 1), (0, 0, 1, 1)),
    "precision": ((1, 0, 0, 0), (1, 0, 1, 0)),
    "f1": ((2, 0, 0, 0), (2, 1, 1, 0)),
    "accuracy": ((1, 0, 0, 1), (1, 1, 1, 1)),
}
"""Numerator and denominator of each rate over (tp, fn, fp, tn)."""

_EXAMPLE_TOTALS = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000, 1_000_000)


@dataclass(frozen=True, slots=True)
class Fit:
    """Matrices that fit.

    Attributes:
        example: one of them (tp, fn, fp, tn); None when none was small enough to write down.
        count: how many there are; None where the classes' sizes are free.
        positive_share: smallest and largest share of positives among them.
    """

    example: Cells | None
    count: int | None
    positive_share: tuple[float, float]


class ConfusionSpace(Protocol):
    """A set of confusion matrices that is asked about intervals of rates."""

    def fit(self, wanted: Mapping[str, PublishedValue]) -> Fit | None:
        """The matrices whose rates are in all intervals; None when there is none."""

    def reach(self, name: str, wanted: Mapping[str, PublishedValue], *, aim: PublishedValue) -> list[float]:
        """What a rate can be in the matrices that fit: lowest, nearest below and above ``aim``, highest.

        Empty when none fits.
        """


def _dot(first: Sequence[int], second: Sequence[int]) -> int:
    return sum(a * b for a, b in zip(first, second, strict=True))


def _ratio(name: str, cells: Sequence[int]) -> Fraction | None:
    top, bottom = RATES[name]
    whole = _dot(bottom, cells)
    return Fraction(_dot(top, cells), whole) if whole else None


def matrix_fits(cells: Cells, wanted: Mapping[str, PublishedValue]) -> bool:
    """Whether a matrix has all rates within their intervals, exactly; a rate without a denominator does not fit."""
    rates = {name: _ratio(name, cells) for name in wanted}
    return all(rate is not None and wanted[name].low <= rate <= wanted[name].high for name, rate in rates.items())


@dataclass(frozen=True, slots=True)
class ShareSpace:
    """Matrices of any size whose share of positives is in a range: a cone in four dimensions.

    It is spanned by its extreme rays. Each is on three of the limiting planes, so trying all triples in whole
    numbers finds them without an error of rounding; a ratio is largest and smallest on a ray.

    Attributes:
        low: smallest share of positives; 0 means any above 0.
    """

    low: Fraction = Fraction(0)
    high: Fraction = Fraction(1)

    def _rays(self, wanted: Mapping[str, PublishedValue]) -> list[Cells]:
        """Extreme rays; empty when no matrix with both classes, and a positive prediction if need be, is inside."""
        planes: list[list[Fraction]] = [[Fraction(i == j) for j in range(4)] for i in range(4)]
        limits = [(RATES[name], value.low, value.high) for name, value in wanted.items()]
        limits.append((((1, 1, 0, 0), (1, 1, 1, 1)), self.low, self.high))
        for (top, bottom), low, high in limits:
            planes.append([t - low * b for t, b in zip(top, bottom, strict=True)])
            planes.append([high * b - t for t, b in zip(top, bottom, strict=True)])
        scales = [math.lcm(*(entry.denominator for entry in plane)) for plane in planes]
        whole = [tuple(int(entry * scale) for entry in plane) for plane, scale in zip(planes, scales, strict=True)]
        rays = {ray for triple in itertools.combinations(whole, 3) if (ray := _ray(triple, whole)) is not None}
        needed = [(1, 1, 0, 0), (0, 0, 1, 1), *(RATES[name][1] for name in wanted)]
        if any(all(_dot(cells, ray) == 0 for ray in rays) for cells in needed):
            return []
        return sorted(rays)

    def fit(self, wanted: Mapping[str, PublishedValue]) -> Fit | None:
        """See ``ConfusionSpace``; the example is the smallest of some round sizes that fits."""
        rays = self._rays(wanted)
        if not rays:
            return None
        shares = [Fraction(ray[0] + ray[1], sum(ray)) for ray in rays]
        middle = [sum((Fraction(ray[i], sum(ray)) for ray in rays), Fraction(0)) / len(rays) for i in range(4)]
        example = None
        for total in _EXAMPLE_TOTALS:
            positives = round((middle[0] + middle[1]) * total)
            tp = round(middle[0] * total)
            tn = min(round(middle[3] * total), total - positives)
            cells = (tp, max(positives - tp, 0), total - positives - tn, tn)
            if positives >= 1 and matrix_fits(cells, wanted) and self.low <= Fraction(positives, total) <= self.high:
                example = cells
                break
        return Fit(example, None, (float(min(shares)), float(max(shares))))

    def reach(self, name: str, wanted: Mapping[str, PublishedValue], *, aim: PublishedValue) -> list[float]:
        """See ``ConfusionSpace``; everything between lowest and highest can be reached."""
        rates = [rate for ray in self._rays(wanted) if (rate := _ratio(name, ray)) is not None]
        if not rates:
            return []
        low, high = min(rates), max(rates)
        nearest = min(max(aim.low, low), high)
        return [float(low), float(nearest), float(nearest), float(high)]


def _ray(triple: Sequence[Sequence[int]], planes: Sequence[Sequence[int]]) -> Cells | None:
    """The direction on three planes, if it is one, and is on the inner side of all planes."""
    direction = []
    for missing in range(4):
        (a, b, c), (d, e, f), (g, h, i) = ([row[k] for k in range(4) if k != missing] for row in triple)
        direction.append((-1) ** missing * (a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)))
    divisor = math.gcd(*direction)
    if divisor == 0:
        return None
    sign = 1 if max(direction) > 0 else -1
    tp, fn, fp, tn = (sign * entry // divisor for entry in direction)
    ray = (tp, fn, fp, tn)
    return ray if all(_dot(plane, ray) >= 0 for plane in planes) else None


@dataclass(frozen=True, slots=True)
class _Rows:
    """For each number of true positives the whole range of true negatives that fits."""

    positives: int
    negatives: int
    tp: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]

    def rate(self, name: str, tn: NDArray[np.int64]) -> NDArray[np.float64]:
        cells = (self.tp, self.positives - self.tp, self.negatives - tn, tn)
        top, bottom = (sum(f * c for f, c in zip(factors, cells, strict=True)) for factors in RATES[name])
        whole = np.asarray(bottom, dtype=np.float64)
        ratio: NDArray[np.float64] = np.divide(top, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
        return ratio


@dataclass(frozen=True, slots=True)
class WholeSpace:
    """Matrices of whole numbers for given sizes of the classes.

    Attributes:
        splits: (positives, negatives) that may be, each at least 1.
    """

    splits: tuple[tuple[int, int], ...]

    def _rows(self, wanted: Mapping[str, PublishedValue]) -> Iterator[_Rows]:
        for positives, negatives in self.splits:
            first, last = 0, positives
            if "sensitivity" in wanted:
                first = math.ceil(wanted["sensitivity"].low * positives)
                last = math.floor(wanted["sensitivity"].high * positives)
            tp = np.arange(first, last + 1)
            low, high = np.zeros(tp.size, dtype=np.int64), np.full(tp.size, negatives)
            for name, value in wanted.items():
                if name != "sensitivity":
                    least, most = _true_negatives(name, value, tp, positives, negatives)
                    low, high = np.maximum(low, least), np.minimum(high, most)
            there = low <= high
            if there.any():
                yield _Rows(positives, negatives, tp[there], low[there], high[there])

    def fit(self, wanted: Mapping[str, PublishedValue]) -> Fit | None:
        """See ``ConfusionSpace``; the example is the middle one."""
        count, shares = 0, []
        example: Cells | None = None
        for rows in self._rows(wanted):
            count += int((rows.high - rows.low + 1).sum())
            shares.append(rows.positives / (rows.positives + rows.negatives))
            if example is None:
                middle = rows.tp.size // 2
                tp, tn = int(rows.tp[middle]), int(rows.low[middle] + rows.high[middle]) // 2
                example = (tp, rows.positives - tp, rows.negatives - tn, tn)
        return Fit(example, count, (min(shares), max(shares))) if count else None

    def reach(self, name: str, wanted: Mapping[str, PublishedValue], *, aim: PublishedValue) -> list[float]:
        """See ``ConfusionSpace``."""
        low, below, above, high = math.inf, -math.inf, math.inf, -math.inf
        for rows in self._rows(wanted):
            # every rate but the sensitivity, which they leave alone, grows with the true negatives
            step = rows.high + 1
            if name != "sensitivity":
                step = np.clip(
                    _true_negatives(name, aim, rows.tp, rows.positives, rows.negatives)[0], rows.low, rows.high + 1
                )
            ends = [rows.rate(name, tn) for tn in (rows.low, rows.high)]
            near = [rows.rate(name, step - 1)[step > rows.low], rows.rate(name, step)[step <= rows.high]]
            values = np.concatenate([*ends, *near])
            values = values[np.isfinite(values)]
            low, high = min(low, float(values.min(initial=low))), max(high, float(values.max(initial=high)))
            below = float(values[values < float(aim.low)].max(initial=below))
            above = float(values[values > float(aim.high)].min(initial=above))
        if math.isinf(low):
            return []
        return [low, below if math.isfinite(below) else above, above if math.isfinite(above) else below, high]


def _true_negatives(
    name: str, value: PublishedValue, tp: NDArray[np.int64], positives: int, negatives: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Least and most true negatives with which a rate other than the sensitivity is in its interval.

    The rate is (p + q tn) / (r + s tn) and grows with tn; "at least low" and "at most high" are solved for tn in whole
    numbers. Python's integers are used where 64 bits could overflow.
    """
    total = positives + negatives
    large = max(value.low.denominator, value.high.denominator) * 4 * (total + 1) > 2**62
    hits = tp.astype(object) if large else tp
    a, b, c, d = value.low.numerator, value.low.denominator, value.high.numerator, value.high.denominator
    nothing = np.full(tp.size, negatives + 1)
    least: NDArray[np.int64]
    most: NDArray[np.int64]
    if name == "specificity":
        least, most = np.full(tp.size, -(-a * negatives // b)), np.full(tp.size, c * negatives // d)
    elif name == "accuracy":
        least, most = -(-a * total // b) - hits, c * total // d - hits
    else:
        # precision = tp / (tp + N - tn), f1 = 2 tp / (tp + P + N - tn): k tp / (tp + m - tn)
        k, m = (1, negatives) if name == "precision" else (2, total)
        least = hits + m - (k * b * hits) // a if a else np.zeros(tp.size, dtype=np.int64)
        most = hits + m + (-k * d * hits) // c if c else np.where(tp == 0, negatives, -1)
        if a:
            least = np.where(tp == 0, nothing, least)  # 0, or nothing predicted positive
        if name == "precision":
            most = np.where(tp == 0, negatives - 1, most)  # with tn = N nothing is predicted positive
    return np.asarray(least, dtype=np.int64), np.asarray(most, dtype=np.int64)
