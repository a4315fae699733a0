"""Sensitivity for lesions and false positives a scan, at one threshold and over all, with intervals over patients.

All scans of a patient are drawn together. Sensitivity is found true lesions over true lesions, of all scans together;
a scan without a true lesion counts for false positives only.

The free-response curve (FROC) goes through all probabilities of predicted lesions as thresholds. "Sensitivity at r
false positives a scan" is the highest that some threshold reaches with at most r of them; nothing is interpolated.

References:
    Bunch et al. 1978, doi:10.1117/12.955926. The mean of the sensitivities at 1/8 to 8 false positives a scan is the
    measure of LUNA16: Setio et al. 2017, doi:10.1016/j.media.2017.06.015.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.metrics.bootstrap import (
    MOST_UNDEFINED,
    Resampling,
    SampleSize,
    drawn_patients,
    interval_of,
    resampled_ratio,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "FALSE_POSITIVES_A_SCAN",
    "SIZE_BINS_MM",
    "Detection",
    "DetectionRate",
    "Froc",
    "Matching",
    "ScanLesions",
    "detect_lesions",
    "froc",
    "label_lesions",
    "match_lesions",
]

_RULES = ("iou", "covered", "centre")
_MM3_A_ML = 1000.0


@dataclass(frozen=True, slots=True)
class Matching:
    """When a predicted and a true lesion are the same.

    Attributes:
        rule: "iou": their shared voxels are at least ``least`` of all voxels of both; "covered": at least ``least`` of
            the true lesion's voxels are in the predicted one; "centre": their centres of mass are at most ``most_mm``
            apart. With "iou" and "covered" they share at least one voxel.
        least: share, 0 to 1.
        most_mm: distance, 0 or more.

    Raises:
        UnknownLabelError: no such rule.
        InputError: a number out of range.
    """

    rule: Literal["iou", "covered", "centre"] = "iou"
    least: float = 0.1
    most_mm: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what is not a rule."""
        if self.rule not in _RULES:
            raise UnknownLabelError(f"lesions cannot be matched by {self.rule!r}: {nearest_names(self.rule, _RULES)}")
        if not 0 <= self.least <= 1 or not (math.isfinite(self.most_mm) and self.most_mm >= 0):
            raise InputError(
                f"lesions were to share {self.least} or lie {self.most_mm} mm apart; give 0 to 1, and 0 mm or more"
            )

    @property
    def words(self) -> str:
        """The rule as a person reads it.

        Example:
            >>> Matching().words
            'intersection over union of at least 0.1'
        """
        if self.rule == "centre":
            return f"centres at most {self.most_mm:g} mm apart"
        shared = "intersection over union" if self.rule == "iou" else "share of the true lesion that is covered"
        return f"{shared} of at least {self.least:g}" if self.least > 0 else "at least one voxel in common"


@dataclass(frozen=True, slots=True, eq=False)
class ScanLesions:
    """The lesions of one scan, matched.

    Attributes:
        true_ml: (t,) volume of each true lesion.
        true_probability: (t,) largest probability of the predicted lesions that are the same; -inf where there is none.
        predicted_ml: (p,) volume of each predicted lesion.
        predicted_probability: (p,) 0 to 1.
        is_hit: (p,) bool, whether it is the same as a true lesion.
        is_on_mimic: (p,) bool, whether it is not a hit and shares a voxel with a mimic.
        mimic_probability: (m,) for each mimic the largest probability of the false positives on it; -inf for none.
    """

    patient: str
    true_ml: NDArray[np.float64] = field(repr=False)
    true_probability: NDArray[np.float64] = field(repr=False)
    predicted_ml: NDArray[np.float64] = field(repr=False)
    predicted_probability: NDArray[np.float64] = field(repr=False)
    is_hit: NDArray[np.bool_] = field(repr=False)
    is_on_mimic: NDArray[np.bool_] = field(repr=False)
    mimic_probability: NDArray[np.float64] = field(repr=False)

    @property
    def true_mm(self) -> NDArray[np.float64]:
        """(t,) diameter of a ball of the volume of each true lesion."""
        return np.asarray(np.cbrt(self.true_ml * (6 * _MM3_A_ML / math.pi)))


def label_lesions(mask: ArrayLike) -> NDArray[np.int32]:
    """The connected pieces of a mask (slice, row, column); voxels that share a corner are of one.

    Returns:
        Of the same shape; 0 outside, 1 and so on in the pieces.

    Raises:
        InputError: no bool volume.
    """
    import cc3d

    inside = np.asarray(mask)
    if inside.ndim != 3 or inside.dtype != np.bool_:
        raise InputError(
            f"a mask of shape {inside.shape} and type {inside.dtype} was given; (slice, row, column) bool is needed"
        )
    return np.asarray(cc3d.connected_components(inside, connectivity=26), dtype=np.int32)


def match_lesions(
    truth: ArrayLike,
    predicted: ArrayLike,
    *,
    spacing_mm: tuple[float, float, float],
    patient: str,
    probability: ArrayLike | None = None,
    mimics: ArrayLike | None = None,
    matching: Matching | None = None,
) -> ScanLesions:
    """Match the lesions of a scan.

    Args:
        truth: (slice, row, column) bool, or labels of lesions from 1 on, 0 outside, as ``label_lesions`` gives them.
        predicted: of the same shape, likewise.
        spacing_mm: of the voxels.
        patient: whose scan it is.
        probability: of each predicted lesion (p,), in the order of the labels; or a map of the shape of the masks,
            whose mean over a lesion is its probability; None is 1 for all.
        mimics: of the same shape as the truth, bool or labels: what looks like a lesion and is none.
        matching: the rule; by default an intersection over union of at least 0.1.

    Raises:
        InputError: shapes differ, labels are not counting numbers, or probabilities are not 0 to 1, one a lesion.

    Example:
        >>> scan = np.zeros((1, 4, 8), dtype=bool)
        >>> scan[0, 1:3, 1:4] = True
        >>> found = match_lesions(scan, np.roll(scan, 1, axis=2), spacing_mm=(5.0, 1.0, 1.0), patient="p")
        >>> found.is_hit.tolist(), found.true_ml.tolist()
        ([True], [0.03])
    """
    how = matching or Matching()
    true, predicted = _labels(truth, "the truth"), _labels(predicted, "the prediction")
    if true.shape != predicted.shape:
        raise InputError(f"lesions of {true.shape} and {predicted.shape} cannot be matched: bring them to one grid")
    voxel_ml = math.prod(spacing_mm) / _MM3_A_ML
    true_voxels, predicted_voxels = _voxels(true), _voxels(predicted)
    shared = _shared(true, predicted, true_voxels.size, predicted_voxels.size)
    if how.rule == "centre":
        apart = (
            _centres(true, true_voxels, spacing_mm)[:, None] - _centres(predicted, predicted_voxels, spacing_mm)[None]
        )
        same = np.linalg.norm(apart, axis=2) <= how.most_mm
    else:
        whole = true_voxels[:, None] + (predicted_voxels[None] - shared if how.rule == "iou" else 0)
        same = (shared > 0) & (shared >= how.least * whole)
    chance = _probabilities(probability, predicted, predicted_voxels)
    is_hit = same.any(axis=0)
    is_on_mimic, mimic_probability = _on_mimics(mimics, predicted, is_hit, chance)
    return ScanLesions(
        patient=patient,
        true_ml=np.asarray(true_voxels * voxel_ml, dtype=np.float64),
        true_probability=np.where(same, chance[None], -np.inf).max(axis=1, initial=-np.inf),
        predicted_ml=np.asarray(predicted_voxels * voxel_ml, dtype=np.float64),
        predicted_probability=chance,
        is_hit=is_hit,
        is_on_mimic=is_on_mimic,
        mimic_probability=mimic_probability,
    )


def _labels(lesions: ArrayLike, words: str) -> NDArray[np.int32]:
    given = np.asarray(lesions)
    if given.dtype == np.bool_:
        return label_lesions(given)
    if given.ndim != 3 or not np.issubdtype(given.dtype, np.integer) or (given.size and int(given.min()) < 0):
        raise InputError(
            f"{words} has the shape {given.shape} and the type {given.dtype}; give a mask "
            "(slice, row, column) of bool, or labels from 0 on"
        )
    return given.astype(np.int32)


def _voxels(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """Voxels of each label; every label up to the largest must occur."""
    counts = np.bincount(labels.ravel(), minlength=1)[1:]
    if not counts.all():
        raise InputError(
            f"label {int(np.flatnonzero(counts == 0)[0]) + 1} of {counts.size} has no voxel: count them without gaps"
        )
    return counts.astype(np.int64)


def _shared(one: NDArray[np.int32], two: NDArray[np.int32], ones: int, twos: int) -> NDArray[np.int64]:
    """Shared voxels (ones, twos) of each pair of labels."""
    both = (one > 0) & (two > 0)
    pairs = (one[both].astype(np.int64) - 1) * twos + (two[both] - 1)
    return np.bincount(pairs, minlength=ones * twos).reshape(ones, twos).astype(np.int64)


def _centres(
    labels: NDArray[np.int32], voxels: NDArray[np.int64], spacing_mm: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Centres of mass (n, 3) in mm."""
    places = np.nonzero(labels)
    which = labels[places] - 1
    sums = [np.bincount(which, weights=axis, minlength=voxels.size) for axis in places]
    return np.stack(sums, axis=1) / voxels[:, None] * spacing_mm


def _probabilities(
    given: ArrayLike | None, labels: NDArray[np.int32], voxels: NDArray[np.int64]
) -> NDArray[np.float64]:
    if given is None:
        return np.ones(voxels.size)
    values = np.asarray(given)
    if values.shape == labels.shape:
        sums = np.bincount(labels.ravel(), weights=values.ravel(), minlength=voxels.size + 1)[1:]
        values = sums / voxels
    if values.shape != voxels.shape:
        raise InputError(
            f"probabilities of {values.shape} were given for {voxels.size} predicted lesions; give one each, or a map"
        )
    if not ((values >= 0) & (values <= 1 + 1e-6)).all():
        raise InputError("a probability of a lesion is outside 0 to 1, or is not a number")
    return np.minimum(values.astype(np.float64), 1.0)


def _on_mimics(
    mimics: ArrayLike | None, predicted: NDArray[np.int32], is_hit: NDArray[np.bool_], chance: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which false positives touch a mimic, and the largest probability on each mimic."""
    if mimics is None:
        return np.zeros(is_hit.size, dtype=bool), np.empty(0)
    labels = _labels(mimics, "the mask of mimics")
    if labels.shape != predicted.shape:
        raise InputError(
            f"mimics of {labels.shape} cannot be laid over lesions of {predicted.shape}: bring them to one grid"
        )
    touches = _shared(labels, predicted, _voxels(labels).size, is_hit.size) > 0
    touches &= ~is_hit[None]
    return np.asarray(touches.any(axis=0)), np.where(touches, chance[None], -np.inf).max(axis=1, initial=-np.inf)


FALSE_POSITIVES_A_SCAN = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Where a FROC curve is read off."""

SIZE_BINS_MM = (0.0, 5.0, 10.0, 20.0, math.inf)
"""Limits of the classes of size: diameter of a ball of the lesion's volume, the lower limit included."""

_BLOCK = 64


@dataclass(frozen=True, slots=True)
class DetectionRate:
    """A rate with its interval over resampled patients.

    Attributes:
        value: on the patients as they are; NaN where nothing was to be counted.
        low: lower limit; NaN with fewer than two patients, or where the value is.
        total: out of, or per, how many.
        undefined_repeats: resamples in which there was nothing to count; they were left out.
    """

    value: float
    low: float
    high: float
    count: int
    total: int
    undefined_repeats: int


@dataclass(frozen=True, slots=True)
class Detection:
    """Lesions found at one threshold.

    Attributes:
        threshold: of the probability of a predicted lesion, included.
        false_positives: a scan.
        by_size: (lower, upper limit in mm, sensitivity) of each class of size.
        mimics: mimics that a false positive is on, of all mimics; None where none were marked.
        on_mimics: false positives that are on a mimic, of all false positives; None as ``mimics``.
    """

    threshold: float
    scans: int
    patients: int
    sensitivity: DetectionRate
    precision: DetectionRate
    false_positives: DetectionRate
    scans_with_false_positives: DetectionRate
    by_size: tuple[tuple[float, float, DetectionRate], ...]
    mimics: DetectionRate | None
    on_mimics: DetectionRate | None


@dataclass(frozen=True, slots=True, eq=False)
class Froc:
    """A free-response curve of this many scans, patients and true lesions.

    Attributes:
        thresholds: (k,) falling; the first is infinite: nothing is predicted.
        false_positives: (k,) a scan.
        low: (k,) lower limit of the sensitivity at that threshold; NaN with fewer than two patients.
        at_rates: (false positives a scan, sensitivity) where the curve is read off; the count is that of the lesions
            found there.
        mean: mean sensitivity over those rates; its count is 0.
    """

    thresholds: NDArray[np.float64] = field(repr=False)
    sensitivity: NDArray[np.float64] = field(repr=False)
    false_positives: NDArray[np.float64] = field(repr=False)
    low: NDArray[np.float64] = field(repr=False)
    high: NDArray[np.float64] = field(repr=False)
    at_rates: tuple[tuple[float, DetectionRate], ...]
    mean: DetectionRate
    scans: int
    patients: int
    lesions: int


def detect_lesions(
    scans: Sequence[ScanLesions],
    *,
    threshold: float = 0.5,
    sizes_mm: Sequence[float] = SIZE_BINS_MM,
    resampling: Resampling | None = None,
) -> Detection:
    """How many lesions are found from a probability on, and how many are false; classes of size have rising limits.

    Raises:
        InputError: no scan, limits that do not rise, or another method.
    """
    number, drawn, how = _draws(scans, resampling)
    if len(sizes_mm) < 2 or any(low >= high for low, high in pairwise(sizes_mm)):
        raise InputError(f"classes of size need at least two rising limits in mm; got {tuple(sizes_mm)}")
    found = [scan.true_probability >= threshold for scan in scans]
    predicted = [scan.predicted_probability >= threshold for scan in scans]
    false = [calls & ~scan.is_hit for scan, calls in zip(scans, predicted, strict=True)]

    def rate(part: Sequence[Any], whole: Sequence[Any]) -> DetectionRate:
        """Of two counts, or of what is to be counted, a scan."""
        counts, totals = ([int(np.sum(each)) for each in several] for several in (part, whole))
        value, repeats = resampled_ratio(counts, totals, number, drawn)
        return _interval(value, repeats, how, count=sum(counts), total=sum(totals), patients=drawn.shape[1])

    def both(one: Sequence[NDArray[np.bool_]], two: Sequence[NDArray[np.bool_]]) -> list[NDArray[np.bool_]]:
        return [first & second for first, second in zip(one, two, strict=True)]

    by_size = []
    for low, high in pairwise(sizes_mm):
        inside = [(scan.true_mm >= low) & (scan.true_mm < high) for scan in scans]
        by_size.append((low, high, rate(both(found, inside), inside)))
    mimics, each_once = [scan.mimic_probability for scan in scans], [1] * len(scans)
    has_mimics = any(each.size for each in mimics)
    return Detection(
        threshold=threshold,
        scans=len(scans),
        patients=drawn.shape[1],
        sensitivity=rate(found, [each.size for each in found]),
        precision=rate(both(predicted, [scan.is_hit for scan in scans]), predicted),
        false_positives=rate(false, each_once),
        scans_with_false_positives=rate([each.any() for each in false], each_once),
        by_size=tuple(by_size),
        mimics=rate([each >= threshold for each in mimics], [each.size for each in mimics]) if has_mimics else None,
        on_mimics=rate(both(false, [scan.is_on_mimic for scan in scans]), false) if has_mimics else None,
    )


def froc(
    scans: Sequence[ScanLesions],
    *,
    rates: Sequence[float] = FALSE_POSITIVES_A_SCAN,
    resampling: Resampling | None = None,
) -> Froc:
    """The free-response curve of a set of scans, read off at this many false positives a scan.

    Raises:
        InputError: no scan, no rate above 0, or another method.
    """
    number, drawn, how = _draws(scans, resampling)
    if not rates or min(rates) <= 0:
        raise InputError(f"false positives a scan must be above 0, and at least one rate is needed; got {tuple(rates)}")
    probabilities = np.concatenate([scan.predicted_probability for scan in scans])
    thresholds = np.concatenate(([np.inf], np.unique(probabilities)[::-1]))
    patients = drawn.shape[1]
    hits, wrong = np.zeros((2, patients, thresholds.size))
    lesions, of_patient = np.bincount(number, [scan.true_ml.size for scan in scans]), np.bincount(number)
    for scan, patient in zip(scans, number, strict=True):
        for table, values in ((hits, scan.true_probability), (wrong, scan.predicted_probability[~scan.is_hit])):
            table[patient] += values.size - np.searchsorted(np.sort(values), thresholds, side="left")

    def curve(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        with np.errstate(invalid="ignore"):
            return weights @ hits / (weights @ lesions)[:, None], weights @ wrong / (weights @ of_patient)[:, None]

    sensitivity, false_positives = curve(np.ones((1, patients)))
    read = _read_off(sensitivity, false_positives, rates)
    blocks = [curve(drawn[start : start + _BLOCK].astype(np.float64)) for start in range(0, len(drawn), _BLOCK)]
    repeats = np.concatenate([part for part, _ in blocks])
    repeats_read = np.concatenate([_read_off(*block, rates) for block in blocks])
    defined, total = repeats[~np.isnan(repeats[:, 0])], int(lesions.sum())
    low = high = np.full(repeats.shape[1], math.nan)
    if patients > 1 and len(defined) >= (1 - MOST_UNDEFINED) * len(repeats):
        tail = (1 - how.confidence) / 2
        low, high = np.quantile(defined, (tail, 1 - tail), axis=0)
    at_rates = []
    for rate, value, each in zip(rates, read[0].tolist(), repeats_read.T, strict=True):
        found = round(value * total) if total else 0
        at_rates.append((rate, _interval(value, each, how, count=found, total=total, patients=patients)))
    mean = _interval(float(read[0].mean()), repeats_read.mean(axis=1), how, count=0, total=total, patients=patients)
    return Froc(
        thresholds=thresholds,
        sensitivity=sensitivity[0],
        false_positives=false_positives[0],
        low=low,
        high=high,
        at_rates=tuple(at_rates),
        mean=mean,
        scans=len(scans),
        patients=patients,
        lesions=total,
    )


def _draws(
    scans: Sequence[ScanLesions], resampling: Resampling | None
) -> tuple[NDArray[np.int64], NDArray[np.int32], Resampling]:
    """The number of each scan's patient, how often each patient is drawn in each resample, and how."""
    how = resampling or Resampling()
    if not scans:
        raise InputError("lesions were to be counted in no scan; give at least one")
    return *drawn_patients([scan.patient for scan in scans], len(scans), how, of="lesions"), how


def _interval(
    value: float, repeats: NDArray[np.float64], how: Resampling, *, count: int, total: int, patients: int
) -> DetectionRate:
    found = interval_of(value, repeats, how, size=SampleSize(patients, total))
    return DetectionRate(value, found.low, found.high, count, total, found.undefined_repeats)


def _read_off(
    sensitivity: NDArray[np.float64], false_positives: NDArray[np.float64], rates: Sequence[float]
) -> NDArray[np.float64]:
    """Sensitivity (n, rates) of curves (n, k) at the last threshold with at most that many false positives."""
    columns = [(false_positives <= rate + 1e-12).sum(axis=1) - 1 for rate in rates]  # both rise along the curve
    return np.stack([sensitivity[np.arange(len(sensitivity)), column] for column in columns], axis=1)
