"""Numbers as a paper prints them: what was rounded away is an interval, held exactly."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from osteon.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PrintedValue", "read_printed"]

_NUMBER = re.compile(r"(\d*)(?:[.,](\d*))?\s*(%?)")
_MOST_DECIMALS = 8


@dataclass(frozen=True, slots=True)
class PrintedValue:
    """A printed share and what it may have been before rounding.

    Attributes:
        name: of the measure.
        low: lower end, a share in 0..1, included.
        high: upper end, included.
        percent: whether it was printed as a percentage.
        decimals: printed behind the point.
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
        """Name and number, as printed up to the allowance."""
        return f"{self.name} {self.words(self.middle)}"


def read_printed(
    values: Mapping[str, str | float], *, allowance_points: float = 0.0, own_scale: frozenset[str] = frozenset()
) -> dict[str, PrintedValue]:
    """The intervals that printed values stand for.

    ``"98.30"`` is 98.295 to 98.305 %, both ends included, since papers round halves up and to even. A number above 1 is
    a percentage, and then so are the others, unless named in ``own_scale``.

    Args:
        values: name -> text (trailing zeros count) or number (its shortest form counts).
        allowance_points: widens each interval on both sides, in percentage points: for means over folds.
        own_scale: names that may be a percentage beside fractions, or the other way round (the AUC).

    Raises:
        InputError: no number, above 100 %, or a scale that cannot be told.
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
            raise InputError(f"{name} {values[name]} is above 100 %: a share lies in 0..1, or 0..100 %")
        found[name] = PrintedValue(
            name, max(share - half, Fraction(0)), min(share + half, Fraction(1)), percent, decimals
        )
    return found


def _split(name: str, value: str | float) -> tuple[Fraction, int, bool]:
    """(number, decimals, whether a percent sign follows)."""
    text = value.strip() if isinstance(value, str) else f"{value:.{_MOST_DECIMALS}f}".rstrip("0")
    found = _NUMBER.fullmatch(text)
    if found is None or not (found[1] or found[2]):
        raise InputError(f"{name} {str(value)[:20]!r} is no number such as 0.954, 95.4 or 95.4%")
    whole, behind = found[1] or "0", (found[2] or "")[:_MOST_DECIMALS]
    if len(whole) > 3:
        raise InputError(f"{name} is above 100 %: a share lies in 0..1, or 0..100 %")
    return Fraction(int(whole + behind), 10 ** len(behind)), len(behind), bool(found[3])
