"""How measured numbers are written: a value, its interval, both, or that there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, TypeGuard

__all__ = ["EVALUATED", "PERCENT", "SHARE", "Scale"]


@dataclass(frozen=True, slots=True)
class Scale:
    """How shares are written. A value of None is one of NaN.

    Attributes:
        factor: 100 for percent.
        decimals: behind the point.
        undefined: what stands for a value that is not defined.
        lacking: what stands for an interval that there is none of; "" leaves it out, and its brackets.
    """

    factor: float = 1.0
    decimals: int = 3
    undefined: str = "undefined"
    lacking: str = "no interval"

    def number(self, value: float | None) -> str:
        """A value.

        Example:
            >>> SHARE.number(0.94849), PERCENT.number(0.82271), SHARE.number(float("nan"))
            ('0.948', '82.27', 'undefined')
        """
        return f"{self.factor * value:.{self.decimals}f}" if _is_known(value) else self.undefined

    def signed(self, value: float | None) -> str:
        """A difference, with its sign.

        Example:
            >>> PERCENT.signed(0.0249), SHARE.signed(-0.1)
            ('+2.49', '-0.100')
        """
        return f"{self.factor * value:+.{self.decimals}f}" if _is_known(value) else self.undefined

    def limits(self, low: float | None, high: float | None, *, signed: bool = False) -> str:
        """An interval.

        Example:
            >>> SHARE.limits(0.9, 1.0012), PERCENT.limits(-0.1, 0.2, signed=True), SHARE.limits(None, 1)
            ('0.900 to 1.001', '-10.00 to +20.00', 'no interval')
        """
        write = self.signed if signed else self.number
        return f"{write(low)} to {write(high)}" if _is_known(low) and _is_known(high) else self.lacking

    def estimate(self, value: float | None, low: float | None, high: float | None, *, mark: str = "") -> str:
        """A value with its interval, and a mark behind that.

        Example:
            >>> PERCENT.estimate(0.9, 0.8, 1.01, mark="*"), SHARE.estimate(0.9, None, None)
            ('90.00 (80.00 to 101.00*)', '0.900 (no interval)')
        """
        limits = self.limits(low, high)
        return f"{self.number(value)} ({limits}{mark})" if limits else self.number(value)


def _is_known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


SHARE: Final = Scale()
"""Three decimals, 0 to 1."""

PERCENT: Final = Scale(100, 2)
"""Two decimals, as the theses and papers print them."""

EVALUATED: Final = Scale(undefined="not defined")
"""As ``SHARE``, in evaluations."""
