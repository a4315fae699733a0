"""Thresholds chosen on validation images, and what they give on others.

Everywhere an image is called positive when ``score >= threshold``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError
from osteon.metrics.classification import Confusion, confusion_at, roc_curve

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "OperatingPoint",
    "apply_point",
    "choose_points",
    "sensitivity_point",
    "specificity_point",
    "youden_point",
]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold with the rule that chose it.

    Attributes:
        name: short, for tables.
        rule: the rule in words.
        threshold: positive when score >= threshold; None when the rule cannot be met.
        sensitivity: on the validation images; None when the rule cannot be met.
        specificity: on the validation images; None when the rule cannot be met.
        note: why the rule cannot be met; empty otherwise.
    """

    name: str
    rule: str
    threshold: float | None
    sensitivity: float | None
    specificity: float | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Every threshold that gives another answer, the highest first: each observed score."""

    threshold: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    specificity: NDArray[np.float64]

    def point(self, name: str, rule: str, index: int) -> OperatingPoint:
        threshold, sensitivity, specificity = self.threshold[index], self.sensitivity[index], self.specificity[index]
        return OperatingPoint(name, rule, float(threshold), float(sensitivity), float(specificity))


def _candidates(truth: ArrayLike, score: ArrayLike) -> _Candidates:
    curve = roc_curve(truth, score)
    if np.isnan(curve.true_positive_rate).any() or np.isnan(curve.false_positive_rate).any():
        raise InputError(
            "a threshold can be chosen only where both classes are present; one is missing in this validation part: "
            "split the data again"
        )
    # the first point calls nothing positive: its threshold, infinity, is no choice
    return _Candidates(curve.thresholds[1:], curve.true_positive_rate[1:], 1 - curve.false_positive_rate[1:])


def youden_point(truth: ArrayLike, score: ArrayLike) -> OperatingPoint:
    """The threshold with the largest sensitivity + specificity - 1; of equals the one with the higher sensitivity.

    Args:
        truth: (n,) 0 or 1, validation images.
        score: (n,) higher means positive.

    Returns:
        The point; without a threshold when no score does better than calling all images the same.

    Raises:
        InputError: a class is missing or the sample cannot be used.

    Example:
        >>> youden_point([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).threshold
        0.35
    """
    found = _candidates(truth, score)
    rule = "largest sensitivity + specificity - 1"
    index = _best(found.sensitivity + found.specificity)
    if found.sensitivity[index] + found.specificity[index] <= 1 + 1e-12:
        return _unreachable("youden", rule, "no threshold does better than calling all images the same")
    return found.point("youden", rule, index)


def sensitivity_point(truth: ArrayLike, score: ArrayLike, *, at_least: float = 0.95) -> OperatingPoint:
    """The highest threshold, so the best specificity, whose sensitivity is at least the target.

    Args:
        truth: (n,) 0 or 1, validation images.
        score: (n,) higher means positive.
        at_least: target, above 0 and at most 1.

    Returns:
        The point; without a threshold when only calling every image positive reaches the target.

    Raises:
        InputError: a class is missing, the sample or the target cannot be used.
    """
    _require_target(at_least)
    found = _candidates(truth, score)
    name, rule = f"sensitivity_{at_least:g}", f"best specificity with sensitivity >= {at_least:g}"
    index = int(np.argmax(found.sensitivity >= at_least - 1e-12))
    if found.specificity[index] <= 0:
        return _unreachable(name, rule, "only calling every image positive reaches it")
    return found.point(name, rule, index)


def specificity_point(truth: ArrayLike, score: ArrayLike, *, at_least: float = 0.95) -> OperatingPoint:
    """The threshold with the best sensitivity whose specificity is at least the target; of equals the highest.

    Args:
        truth: (n,) 0 or 1, validation images.
        score: (n,) higher means positive.
        at_least: target, above 0 and at most 1.

    Returns:
        The point; without a threshold when only calling every image negative reaches the target.

    Raises:
        InputError: a class is missing, the sample or the target cannot be used.
    """
    _require_target(at_least)
    found = _candidates(truth, score)
    name, rule = f"specificity_{at_least:g}", f"best sensitivity with specificity >= {at_least:g}"
    allowed = found.specificity >= at_least - 1e-12
    index = int(np.argmax(np.where(allowed, found.sensitivity, -1.0)))
    if not allowed[index] or found.sensitivity[index] <= 0:
        return _unreachable(name, rule, "only calling every image negative reaches it")
    return found.point(name, rule, index)


def choose_points(
    truth: ArrayLike, score: ArrayLike, *, sensitivity: float = 0.95, specificity: float = 0.95
) -> tuple[OperatingPoint, ...]:
    """The three points that every evaluation reports: Youden, sensitivity and specificity at least a target."""
    return (
        youden_point(truth, score),
        sensitivity_point(truth, score, at_least=sensitivity),
        specificity_point(truth, score, at_least=specificity),
    )


def apply_point(point: OperatingPoint, truth: ArrayLike, score: ArrayLike) -> Confusion:
    """What the threshold, unchanged, gives on other images.

    Args:
        point: from the validation images.
        truth: (n,) 0 or 1.
        score: (n,) of the same model.

    Raises:
        InputError: the point has no threshold, or the sample cannot be used.
    """
    if point.threshold is None:
        raise InputError(
            f"there is no threshold to apply: '{point.rule}' was not met on the validation images ({point.note})"
        )
    return confusion_at(truth, score, point.threshold)


def _best(value: NDArray[np.float64]) -> int:
    """Last index of the largest value: the lower threshold, so the higher sensitivity."""
    return int(np.flatnonzero(value >= value.max() - 1e-12)[-1])


def _require_target(target: float) -> None:
    if not 0 < target <= 1:
        raise InputError(f"a target must lie above 0 and be at most 1, got {target}")


def _unreachable(name: str, rule: str, note: str) -> OperatingPoint:
    return OperatingPoint(name, rule, None, None, None, note)
