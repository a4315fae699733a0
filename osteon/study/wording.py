"""How measured and printed numbers are written in a study's tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osteon.train.judging import Measured

__all__ = [
    "limits",
    "measured_cell",
    "number",
    "outside_range",
    "percent",
    "percent_range",
    "points",
    "printed_cell",
]


def number(value: float) -> str:
    """Three decimals, or a word where there is no number.

    Example:
        >>> number(0.94849), number(float("nan"))
        ('0.948', 'undefined')
    """
    return f"{value:.3f}" if math.isfinite(value) else "undefined"


def limits(low: float, high: float) -> str:
    """An interval, or a word where there is none.

    Example:
        >>> limits(0.9, 1.0012)
        '0.900 to 1.001'
    """
    return f"{number(low)} to {number(high)}" if math.isfinite(low) and math.isfinite(high) else "no interval"


def measured_cell(measured: Measured) -> str:
    """Mean, t interval over folds (with * where it leaves 0 to 1), patient bootstrap."""
    over_folds, over_patients = measured.over_folds, measured.over_patients
    star = "*" if over_folds.leaves_range else ""
    return (
        f"{number(over_folds.mean)} (folds {limits(over_folds.low, over_folds.high)}{star}; "
        f"patients {limits(over_patients.low, over_patients.high)})"
    )


def printed_cell(printed: Sequence[str]) -> str:
    """Mean, lower and upper end as the paper prints them.

    Example:
        >>> printed_cell(["0.905", "0.810", "1.001"])
        '0.905 (0.810 to 1.001)'
    """
    mean, low, high = printed
    return f"{mean} ({low} to {high})"


def outside_range(printed: Sequence[str]) -> bool:
    """Whether a printed share or its interval leaves 0 to 1.

    Example:
        >>> outside_range(["0.905", "0.810", "1.001"]), outside_range(["0.9", "0.8", "1.0"])
        (True, False)
    """
    return any(not 0 <= float(text) <= 1 for text in printed)


def percent(value: float) -> str:
    """A share in percent with the two decimals of the metastasis thesis, or a word where there is none.

    Example:
        >>> percent(0.82271), percent(float("nan"))
        ('82.27', 'undefined')
    """
    return f"{100 * value:.2f}" if math.isfinite(value) else "undefined"


def percent_range(low: float, high: float) -> str:
    """An interval of shares in percent.

    Example:
        >>> percent_range(0.8, 1.0012), percent_range(float("nan"), 1)
        ('80.00 to 100.12', 'no interval')
    """
    return f"{percent(low)} to {percent(high)}" if math.isfinite(low) and math.isfinite(high) else "no interval"


def points(value: float) -> str:
    """A difference of shares in percentage points, signed.

    Example:
        >>> points(0.0249), points(-0.1)
        ('+2.49', '-10.00')
    """
    return f"{100 * value:+.2f}" if math.isfinite(value) else "undefined"
