"""Is the model as good for everybody: measures with intervals in each subgroup of patients or images."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError
from osteon.metrics.bootstrap import Resampling, patient_bootstraps
from osteon.metrics.proportions import wilson
from osteon.metrics.validation import checked_score, checked_truth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from osteon.metrics.bootstrap import BootstrapInterval

__all__ = ["AGE_BANDS", "UNKNOWN", "GroupValue", "SubgroupRow", "age_bands", "subgroup_table"]

AGE_BANDS = (0, 10, 18, 30, 50, 70)
"""First year of each band of age; the last is open."""

UNKNOWN = "unknown"
"""The group of those for whom the field is not filled."""


@dataclass(frozen=True, slots=True)
class GroupValue:
    """A measure in a subgroup.

    Attributes:
        low: lower end of the interval; NaN where there is none.
        method: ``patient bootstrap``; ``Wilson, patients`` where a rate is 0 or 1 in every resample; ``none``.
    """

    value: float
    low: float
    high: float
    method: str

    def __str__(self) -> str:
        """``0.831 (0.700-0.942)``, or ``not defined``."""
        if math.isnan(self.value):
            return "not defined"
        return f"{self.value:.3f} " + ("(no interval)" if math.isnan(self.low) else f"({self.low:.3f}-{self.high:.3f})")


@dataclass(frozen=True, slots=True)
class SubgroupRow:
    """One subgroup: its patients (with at least one image in it) and images, and measures at the threshold.

    Attributes:
        column: what was grouped by, as ``sex``; ``all`` for everybody.
        positive_patients: patients with a positive image in the group.
        note: what is missing, as "no negative image"; empty otherwise.
    """

    column: str
    group: str
    patients: int
    images: int
    positives: int
    positive_patients: int
    auc: GroupValue
    tpr: GroupValue
    tnr: GroupValue
    note: str


def age_bands(ages_years: Sequence[float | None]) -> list[str]:
    """The band of each completed or exact age, as ``18-29``; the last is ``70+``, None or NaN ``unknown``.

    Raises:
        InputError: an age that is negative or infinite.

    Example:
        >>> age_bands([9.9, 10, 70, None])
        ['0-9', '10-17', '70+', 'unknown']
    """
    names = [f"{first}-{following - 1}" for first, following in itertools.pairwise(AGE_BANDS)]
    names.append(f"{AGE_BANDS[-1]}+")
    bands = []
    for age in ages_years:
        if age is None or math.isnan(age):
            bands.append(UNKNOWN)
            continue
        if age < 0 or math.isinf(age):
            raise InputError("an age below 0 or without end was found: leave it empty where it is not known")
        bands.append(names[int(np.searchsorted(AGE_BANDS, age, side="right")) - 1])
    return bands


def subgroup_table(
    truth: ArrayLike,
    score: ArrayLike,
    patients: ArrayLike,
    groups: Mapping[str, Sequence[object]],
    *,
    threshold: float,
    resampling: Resampling | None = None,
) -> list[SubgroupRow]:
    """AUC, sensitivity and specificity in each group of each column, with intervals over patients.

    The first row is everybody. Groups are in the order of their names, ``unknown`` (None, NaN or an empty text) last.
    No test is made between groups: with many of them some differ by chance, and the intervals say how well each is
    known.

    Args:
        truth: (n,) 0 or 1.
        score: (n,) higher means positive.
        patients: (n,) id of the patient of each image.
        groups: column -> (n,) value of each image; give ages through ``age_bands``. A patient may be in several groups
            of a column (planes).
        threshold: fixed on validation images; positive when score >= threshold.
        resampling: of the patient bootstrap within each group.

    Raises:
        InputError: lengths differ, or a score is not finite.
    """
    positive = checked_truth(truth)
    values = checked_score(score, positive.size)
    who = np.unique(np.asarray(patients), return_inverse=True)[1]
    if values.ndim != 1 or who.shape != positive.shape:
        raise InputError(f"one score and one patient per image are needed: {positive.size} images, {who.size} patients")

    def row(column: str, group: str, inside: NDArray[np.bool_]) -> SubgroupRow:
        own = positive[inside], values[inside], who[inside]
        found = patient_bootstraps(("auc", "tpr", "tnr"), *own, threshold=threshold, resampling=resampling)
        return _row(column, group, own[0], own[2], found)

    rows = [row("all", "all", np.ones(positive.size, dtype=bool))]
    for column, entries in groups.items():
        if len(entries) != positive.size:
            raise InputError(f"column {column!r} has {len(entries)} values for {positive.size} images: one an image")
        names = np.array([_group_name(entry) for entry in entries], dtype=object)
        # bands of age in the order of their numbers, other names alphabetically
        ordered = sorted(set(names), key=lambda name: (name == UNKNOWN, _leading_number(name), name))
        rows += [row(column, name, names == name) for name in ordered]
    return rows


def _group_name(entry: object) -> str:
    missing = entry is None or (isinstance(entry, float | np.floating) and math.isnan(entry))
    return UNKNOWN if missing else str(entry).strip() or UNKNOWN


def _leading_number(name: str) -> float:
    digits = name[: len(name) - len(name.lstrip("0123456789"))]
    return float(digits) if digits else math.inf


def _row(
    column: str, group: str, truth: NDArray[np.bool_], who: NDArray[np.int64], found: Mapping[str, BootstrapInterval]
) -> SubgroupRow:
    positive_patients, negative_patients = np.unique(who[truth]).size, np.unique(who[~truth]).size
    patients = int(np.unique(who).size)
    reasons = [f"no {name} image" for name, count in (("positive", truth), ("negative", ~truth)) if not count.any()]
    if patients == 1:
        reasons.append("one patient: no interval over patients")
    return SubgroupRow(
        column=column,
        group=group,
        patients=patients,
        images=int(truth.size),
        positives=int(truth.sum()),
        positive_patients=int(positive_patients),
        auc=_value(found["auc"]),
        tpr=_rate(found["tpr"], positive_patients),
        tnr=_rate(found["tnr"], negative_patients),
        note="; ".join(reasons),
    )


def _value(found: BootstrapInterval) -> GroupValue:
    method = "none" if math.isnan(found.low) else "patient bootstrap"
    return GroupValue(found.value, found.low, found.high, method)


def _rate(found: BootstrapInterval, patients: int) -> GroupValue:
    """A rate of 0 or 1 does not change under resampling: its bootstrap interval would claim to be sure.

    Wilson's interval with patients as the trials is given instead, as if all images of a patient were one.
    """
    if found.value not in {0.0, 1.0} or found.patients < 2:
        return _value(found)
    interval = wilson(round(found.value * patients), patients, confidence=found.confidence)
    return GroupValue(found.value, interval.low, interval.high, "Wilson, patients")
