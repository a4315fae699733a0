"""Can published numbers be true? Whether any confusion matrix gives the accuracy, sensitivity, ... of a table.

A published table is checked against arithmetic alone: accuracy is a weighted mean of sensitivity and specificity, F1
the harmonic mean of precision and sensitivity, counts are whole numbers, and a ROC curve through a published point
has at least and at most a certain area. "Impossible" is certain for one confusion matrix at one threshold; means over
folds can miss these rules a little: give them an allowance. "Possible" says no more than that (the AUC is held
against the whole range of points that the rates leave).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, TypedDict, Unpack

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.metrics.confusion_space import RATES, PublishedValue, ShareSpace, WholeSpace, parse_published

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from osteon.metrics.confusion_space import ConfusionSpace

__all__ = [
    "Classes",
    "Consistency",
    "MulticlassConsistency",
    "PublishedRates",
    "Violation",
    "check",
    "check_multiclass",
]

_MOST_POSITIVES = 2_000_000
_LARGEST_CLASS = 1_000_000_000
_LARGEST_TOTAL = 2_000

_REASONS = {
    frozenset({"accuracy", "sensitivity", "specificity"}): "accuracy is a mean of the two, weighted by the classes",
    frozenset({"f1", "precision", "sensitivity"}): "F1 is the harmonic mean of precision and sensitivity",
}

_SMALL_MISSES = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Percentage points; what the means of ratios over a few folds miss the rules by."""

_SWAPS = (("sensitivity", "specificity"), ("sensitivity", "precision"))


class PublishedRates(TypedDict, total=False):
    """What a table publishes: text (``"98.30"``, trailing zeros count; ``"98.3%"``) or numbers."""

    accuracy: str | float
    sensitivity: str | float
    specificity: str | float
    precision: str | float
    f1: str | float
    auc: str | float


@dataclass(frozen=True, slots=True)
class Classes:
    """What is known about the sizes of the classes; leave the rest out.

    Attributes:
        positives: number of positive cases, with ``negatives``.
        negatives: number of negative cases, with ``positives``.
        total: number of all cases, where the split is not known; at most 2,000.
        prevalence: share of positives, smallest and largest, where no number is known.
    """

    positives: int | None = None
    negatives: int | None = None
    total: int | None = None
    prevalence: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Violation:
    """A set of published values, by name, that cannot all hold, while any fewer of them can; and why, in words."""

    values: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Consistency:
    """The answer for one row of a table.

    Attributes:
        possible: whether a confusion matrix, and a ROC curve through it, give all published values within rounding.
        matrix: (tp, fn, fp, tn) that gives the published rates, the AUC aside; None when none does.
        matrices: how many such matrices there are; None where the sizes of the classes are free.
        positive_share: smallest and largest share of positives with which the rates fit; None when they do not.
        auc_range: smallest and largest area of a ROC curve through the published point; None where no point is known.
    """

    possible: bool
    violations: tuple[Violation, ...]
    matrix: tuple[int, int, int, int] | None
    matrices: int | None
    positive_share: tuple[float, float] | None
    auc_range: tuple[float, float] | None
    notes: tuple[str, ...]


def check(
    *, classes: Classes | None = None, allowance_points: float = 0.0, **published: Unpack[PublishedRates]
) -> Consistency:
    """Whether any confusion matrix gives the published values within rounding.

    With the sizes of both classes (or their sum) all matrices of whole numbers are looked at; without, all shares of
    positives, solved exactly.

    Args:
        classes: sizes of the classes, as far as known.
        allowance_points: widens every rounding interval, in percentage points; for means over folds, which obey the
            rules for ratios (F1, precision) only roughly. 0 for one confusion matrix.
        **published: accuracy, sensitivity, specificity, precision, f1, auc, as published.

    Raises:
        InputError: nothing published, no numbers, or sizes that cannot be.
        UnknownLabelError: a measure that is not known.

    Example:
        >>> found = check(accuracy="98.34", sensitivity="97.26", specificity="95.74", auc="0.848")
        >>> found.possible, [violation.values for violation in found.violations]
        (False, [('sensitivity', 'specificity', 'accuracy'), ('sensitivity', 'specificity', 'auc')])
    """
    known = [*RATES, "auc"]
    for name in published:
        if name not in known:
            raise UnknownLabelError(f"no published measure {name!r}: {nearest_names(name, known)}")
    given = {name: value for name in known if (value := published.get(name)) is not None}
    if not given:
        raise InputError(f"nothing was published: give at least one of {', '.join(known)}")
    values = parse_published(given, allowance_points=allowance_points, own_scale=frozenset({"auc"}))  # type: ignore[arg-type]
    auc = values.pop("auc", None)
    space = _space(classes or Classes())
    fit = space.fit(values)
    violations = [] if fit is not None else _conflicts(space, values)
    area, wrong_area, notes = _check_auc(space, values, auc, reachable=fit is not None)
    violations += wrong_area
    if fit is None:
        notes += _nearly(space, values) or _exchanged(space, values)
    return Consistency(
        possible=not violations,
        violations=tuple(violations),
        matrix=fit.example if fit else None,
        matrices=fit.count if fit else None,
        positive_share=fit.positive_share if fit else None,
        auc_range=area,
        notes=tuple(notes),
    )


def _space(classes: Classes) -> ConfusionSpace:
    """All confusion matrices that the sizes allow."""
    positives, negatives, total, prevalence = classes.positives, classes.negatives, classes.total, classes.prevalence
    if (positives is None) != (negatives is None):
        raise InputError("give positives and negatives together, or their total alone")
    if sum(entry is not None for entry in (positives, total, prevalence)) > 1:
        raise InputError("sizes of both classes, a total and a prevalence were mixed: give one of the three")
    if positives is not None and negatives is not None:
        if not (1 <= positives <= _MOST_POSITIVES and 1 <= negatives <= _LARGEST_CLASS):
            raise InputError(
                f"{positives} positives and {negatives} negatives: 1 to {_MOST_POSITIVES} and 1 to {_LARGEST_CLASS} "
                "can be looked at one by one; for more give the prevalence"
            )
        return WholeSpace(((positives, negatives),))
    if total is not None:
        if not 2 <= total <= _LARGEST_TOTAL:
            raise InputError(
                f"a total of {total} cases: 2 to {_LARGEST_TOTAL} can be split in all ways; else leave it out"
            )
        return WholeSpace(tuple((positives, total - positives) for positives in range(1, total)))
    if prevalence is not None:
        low, high = prevalence
        if not 0 <= low <= high <= 1:
            raise InputError(f"a prevalence must be two rising shares in 0..1, got {low} and {high}")
        return ShareSpace(Fraction(str(low)), Fraction(str(high)))
    return ShareSpace()


def _conflicts(space: ConfusionSpace, values: Mapping[str, PublishedValue]) -> list[Violation]:
    """The smallest sets of values that no matrix gives together, in words."""
    found: list[Violation] = []
    for size in range(1, len(values) + 1):
        for names in itertools.combinations(values, size):
            if any(set(other.values) <= set(names) for other in found):
                continue
            if space.fit({name: values[name] for name in names}) is None:
                found.append(Violation(names, _why(space, values, names)))
    return found


def _why(space: ConfusionSpace, values: Mapping[str, PublishedValue], names: Sequence[str]) -> str:
    """What the last value can be, given the others, against what was published."""
    *others, last = names
    aim = values[last]
    reach = space.reach(last, {name: values[name] for name in others}, aim=aim)
    given = f"with {_listed(values, others)} " if others else ""
    if not reach:
        return f"{given}{last} is not defined for these classes, yet {aim.words(aim.middle)} is published"
    low, below, above, high = (aim.words(share, more=2) for share in reach)
    published = f"{aim.words(aim.middle)} is published"
    reason = f" ({_REASONS[frozenset(names)]})" if frozenset(names) in _REASONS else ""
    if float(aim.low) > reach[3] or float(aim.high) < reach[0]:
        return f"{given}{last} is between {low} and {high}{reason}; {published}"
    return f"{given}{last} jumps from {below} to {above}, since cases are whole numbers; {published}"


def _listed(values: Mapping[str, PublishedValue], names: Sequence[str]) -> str:
    words = [str(values[name]) for name in names]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _check_auc(
    space: ConfusionSpace, values: Mapping[str, PublishedValue], auc: PublishedValue | None, *, reachable: bool
) -> tuple[tuple[float, float] | None, list[Violation], list[str]]:
    """Bounds of the area under a ROC curve through the point, whether the AUC keeps them, and what to note.

    A rising curve through (1 - specificity, sensitivity) has at least the area of the rectangle under it and to its
    right, and at most 1 minus that above it and to its left; a concave one at least the two triangles.
    """
    ends = []
    for name in ("sensitivity", "specificity"):
        if reachable:
            own = values.get(name) or parse_published({name: "0.5"})[name]
            reach = space.reach(name, values, aim=own)
            ends.append((reach[0], reach[-1]))
        elif name in values:
            ends.append((float(values[name].low), float(values[name].high)))
        else:
            return None, [], []
    (least_s, most_s), (least_t, most_t) = ends
    low, high = least_s * least_t, 1 - (1 - most_s) * (1 - most_t)
    if (least_s, most_s, least_t, most_t) == (0.0, 1.0, 0.0, 1.0):
        return None, [], []
    if auc is None:
        return (low, high), [], []
    concave = (least_s + least_t) / 2
    point = _listed(values, [name for name in ("sensitivity", "specificity") if name in values]) or "these values"
    names = (*(name for name in ("sensitivity", "specificity") if name in values), "auc")
    published = f"{auc.words(auc.middle)} is published"
    if float(auc.high) < low:
        message = (
            f"any ROC curve through {point} has an AUC of at least sensitivity x specificity = {auc.words(low)} "
            f"({auc.words(concave)} if it is concave); {published}"
        )
        return (low, high), [Violation(names, message)], []
    if float(auc.low) > high:
        message = (
            f"any ROC curve through {point} has an AUC of at most 1 - (1 - sensitivity)(1 - specificity) = "
            f"{auc.words(high)}; {published}"
        )
        return (low, high), [Violation(names, message)], []
    notes = []
    if float(auc.high) < concave:
        notes.append(
            f"the AUC is possible only for a ROC curve that is not concave: a concave one through {point} has at least "
            f"{auc.words(concave)}"
        )
    return (low, high), [], notes


def _exchanged(space: ConfusionSpace, values: Mapping[str, PublishedValue]) -> list[str]:
    """Columns that, exchanged, make the values fit."""
    notes = []
    for first, second in _SWAPS:
        if first in values and second in values and space.fit(values) is None:
            swapped = {**values, first: values[second], second: values[first]}
            if space.fit(swapped) is not None or _nearly(space, swapped):
                notes.append(
                    f"with {first} and {second} exchanged the rates fit, or nearly: the columns may be swapped"
                )
    return notes


def _nearly(space: ConfusionSpace, values: Mapping[str, PublishedValue]) -> list[str]:
    """How little more room would do, if little does."""
    for points in _SMALL_MISSES:
        room = Fraction(str(points)) / 100
        wider = {
            name: replace(value, low=max(value.low - room, Fraction(0)), high=min(value.high + room, Fraction(1)))
            for name, value in values.items()
        }
        if space.fit(wider) is not None:
            return [
                f"with {points:g} percentage points of allowance the rates fit: means over folds can miss so little"
            ]
    return []


@dataclass(frozen=True, slots=True)
class MulticlassConsistency:
    """Whether an accuracy and a macro recall over several classes go together.

    Attributes:
        possible: the published macro recall is within the bounds.
        low: smallest macro recall with that accuracy: all hits in the largest classes.
        high: largest: all hits in the smallest classes.
    """

    possible: bool
    low: float
    high: float
    violations: tuple[Violation, ...]


def check_multiclass(
    *,
    accuracy: str | float,
    macro_recall: str | float,
    class_counts: Sequence[int] | None = None,
    class_shares: Sequence[float] | None = None,
    allowance_points: float = 0.0,
) -> MulticlassConsistency:
    """Whether accuracy and macro-averaged recall can both be true for classes of these sizes.

    Accuracy is the mean of the recalls weighted by the sizes, macro recall their plain mean. The least macro recall
    for an accuracy fills the largest classes first, the most the smallest.

    Args:
        accuracy: as published.
        macro_recall: as published.
        class_counts: cases of each class in the test set: then hits are whole numbers.
        class_shares: or the share of each class, in any unit.
        allowance_points: widens both rounding intervals, in percentage points.

    Raises:
        InputError: no numbers; not exactly one of counts and shares; fewer than two classes, or one that is empty.

    Example:
        >>> found = check_multiclass(accuracy="0.90", macro_recall="0.40", class_counts=[80, 10, 10])
        >>> found.possible, round(found.low, 2), round(found.high, 2)
        (False, 0.67, 0.96)
    """
    values = parse_published({"accuracy": accuracy, "macro recall": macro_recall}, allowance_points=allowance_points)
    sizes = class_counts if class_counts is not None else class_shares
    if sizes is None or (class_counts is not None and class_shares is not None):
        raise InputError("give either class_counts or class_shares")
    if len(sizes) < 2 or not all(0 < size < math.inf for size in sizes):
        raise InputError("at least two classes are needed, each with something in it")
    parts = [Fraction(str(size)) for size in sizes]
    total = sum(parts, Fraction(0))
    right_low, right_high = values["accuracy"].low * total, values["accuracy"].high * total
    if class_counts is not None:
        right_low, right_high = Fraction(-(-right_low // 1)), Fraction(right_high // 1)
    recall = values["macro recall"]
    if right_low > right_high:
        message = f"no whole number of {total} cases gives {values['accuracy']}"
        return MulticlassConsistency(
            possible=False, low=math.nan, high=math.nan, violations=(Violation(("accuracy",), message),)
        )
    low = _macro_recall(right_low, sorted(parts, reverse=True))
    high = _macro_recall(right_high, sorted(parts))
    violations = []
    if recall.high < low or recall.low > high:
        message = (
            f"with {values['accuracy']} and these {len(parts)} classes macro recall is between {recall.words(low)} "
            f"and {recall.words(high)}; {recall.words(recall.middle)} is published"
        )
        violations.append(Violation(("accuracy", "macro_recall"), message))
    return MulticlassConsistency(not violations, float(low), float(high), tuple(violations))


def _macro_recall(right: Fraction, sizes: Sequence[Fraction]) -> Fraction:
    """Mean recall when the hits fill the classes in this order."""
    left, recalls = right, Fraction(0)
    for size in sizes:
        taken = min(left, size)
        recalls += taken / size
        left -= taken
    return recalls / len(sizes)
