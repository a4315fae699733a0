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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError
from osteon.metrics.bootstrap import Resampling, draw_patients, percentile_limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.metrics.lesions import ScanLesions

__all__ = ["FALSE_POSITIVES_A_SCAN", "SIZE_BINS_MM", "Detection", "DetectionRate", "Froc", "detect_lesions", "froc"]

FALSE_POSITIVES_A_SCAN = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Where a FROC curve is read off."""

SIZE_BINS_MM = (0.0, 5.0, 10.0, 20.0, math.inf)
"""Limits of the classes of size: diameter of a ball of the lesion's volume, the lower limit included."""

_BLOCK = 64
_Statistic = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]


@dataclass(frozen=True, slots=True)
class DetectionRate:
    """A rate with its interval over resampled patients.

    Attributes:
        value: on the patients as they are; NaN where nothing was to be counted.
        low: lower limit; NaN with fewer than two patients, or where the value is.
        high: upper limit; NaN as ``low``.
        count: what was counted.
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
        scans: number of them.
        patients: number of them.
        sensitivity: found of the true lesions.
        precision: hits of the predicted lesions.
        false_positives: a scan.
        scans_with_false_positives: of all scans.
        by_size: (lower, upper limit in mm, sensitivity) of each class of size.
        mimics: mimics that a false positive lies on, of all mimics; None where none were marked.
        on_mimics: false positives that lie on a mimic, of all false positives; None as ``mimics``.
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
    """A free-response curve.

    Attributes:
        thresholds: (k,) falling; the first is infinite: nothing is called.
        sensitivity: (k,) at each threshold.
        false_positives: (k,) a scan.
        low: (k,) lower limit of the sensitivity at that threshold; NaN with fewer than two patients.
        high: (k,) upper limit.
        at_rates: (false positives a scan, sensitivity) where the curve is read off; the count is that of the lesions
            found there.
        mean: mean sensitivity over those rates; its count is 0.
        scans: number of them.
        patients: number of them.
        lesions: number of true lesions.
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
    """How many lesions are found at a threshold, and how many are false.

    Args:
        scans: matched lesions of each scan.
        threshold: predicted lesions count from this probability on.
        sizes_mm: rising limits of the classes of size.
        resampling: of patients; its method must be "percentile".

    Raises:
        InputError: no scan, limits that do not rise, or another method.
    """
    how = _checked(scans, resampling)
    if len(sizes_mm) < 2 or any(low >= high for low, high in pairwise(sizes_mm)):
        raise InputError(f"classes of size need at least two rising limits in mm; got {tuple(sizes_mm)}")
    whose, drawn = _draws(scans, how)
    bins = list(pairwise(sizes_mm))
    found = [scan.true_probability >= threshold for scan in scans]
    called = [scan.predicted_probability >= threshold for scan in scans]
    false = [calls & ~scan.is_hit for scan, calls in zip(scans, called, strict=True)]
    wrong = [int(np.count_nonzero(each)) for each in false]

    def rate(count: Sequence[int], total: Sequence[int]) -> DetectionRate:
        return _rate(np.array(count), np.array(total), whose, drawn, how)

    inside = [[(scan.true_mm >= low) & (scan.true_mm < high) for scan in scans] for low, high in bins]
    by_size = tuple(
        (
            low,
            high,
            rate([int((f & m).sum()) for f, m in zip(found, masks, strict=True)], [int(m.sum()) for m in masks]),
        )
        for (low, high), masks in zip(bins, inside, strict=True)
    )
    has_mimics = any(scan.mimic_probability.size for scan in scans)
    on_mimic = [int((each & scan.is_on_mimic).sum()) for scan, each in zip(scans, false, strict=True)]
    touched = [int((scan.mimic_probability >= threshold).sum()) for scan in scans]
    return Detection(
        threshold=threshold,
        scans=len(scans),
        patients=int(whose.max()) + 1,
        sensitivity=rate([int(each.sum()) for each in found], [each.size for each in found]),
        precision=rate(
            [int((calls & scan.is_hit).sum()) for scan, calls in zip(scans, called, strict=True)],
            [int(calls.sum()) for calls in called],
        ),
        false_positives=rate(wrong, [1] * len(scans)),
        scans_with_false_positives=rate([int(count > 0) for count in wrong], [1] * len(scans)),
        by_size=by_size,
        mimics=rate(touched, [scan.mimic_probability.size for scan in scans]) if has_mimics else None,
        on_mimics=rate(on_mimic, wrong) if has_mimics else None,
    )


def froc(
    scans: Sequence[ScanLesions],
    *,
    rates: Sequence[float] = FALSE_POSITIVES_A_SCAN,
    resampling: Resampling | None = None,
) -> Froc:
    """The free-response curve of a set of scans.

    Args:
        scans: matched lesions of each scan.
        rates: false positives a scan at which it is read off, each above 0.
        resampling: of patients; its method must be "percentile".

    Raises:
        InputError: no scan, no rate above 0, or another method.
    """
    how = _checked(scans, resampling)
    if not rates or min(rates) <= 0:
        raise InputError(f"false positives a scan must be above 0, and at least one rate is needed; got {tuple(rates)}")
    whose, drawn = _draws(scans, how)
    probabilities = np.concatenate([scan.predicted_probability for scan in scans])
    thresholds = np.concatenate(([np.inf], np.unique(probabilities)[::-1]))
    patients = int(whose.max()) + 1
    hits, wrong = np.zeros((patients, thresholds.size)), np.zeros((patients, thresholds.size))
    lesions, number = np.bincount(whose, [scan.true_ml.size for scan in scans]), np.bincount(whose)
    for scan, patient in zip(scans, whose, strict=True):
        hits[patient] += _at_least(scan.true_probability, thresholds)
        wrong[patient] += _at_least(scan.predicted_probability[~scan.is_hit], thresholds)

    def curve(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        with np.errstate(invalid="ignore"):
            return weights @ hits / (weights @ lesions)[:, None], weights @ wrong / (weights @ number)[:, None]

    everyone = np.ones((1, patients))
    sensitivity, false_positives = curve(everyone)
    read = _read_off(sensitivity, false_positives, rates)
    blocks = [curve(drawn[start : start + _BLOCK].astype(np.float64)) for start in range(0, len(drawn), _BLOCK)]
    repeats = np.concatenate([part for part, _ in blocks])
    repeats_read = np.concatenate([_read_off(*block, rates) for block in blocks])
    low, high = _band(repeats, how, patients)
    total = int(lesions.sum())
    at_rates = tuple(
        (
            rate,
            _interval(
                float(value), each, how, patients, count=round(float(value) * total) if total else 0, total=total
            ),
        )
        for rate, value, each in zip(rates, read[0], repeats_read.T, strict=True)
    )
    mean = _interval(float(read[0].mean()), repeats_read.mean(axis=1), how, patients, count=0, total=total)
    return Froc(
        thresholds=thresholds,
        sensitivity=sensitivity[0],
        false_positives=false_positives[0],
        low=low,
        high=high,
        at_rates=at_rates,
        mean=mean,
        scans=len(scans),
        patients=patients,
        lesions=total,
    )


def _checked(scans: Sequence[ScanLesions], resampling: Resampling | None) -> Resampling:
    how = resampling or Resampling()
    if not scans:
        raise InputError("lesions were to be counted in no scan; give at least one")
    if how.method != "percentile":
        raise InputError(f"intervals of lesions are made of percentiles; {how.method!r} was asked for")
    return how


def _draws(scans: Sequence[ScanLesions], how: Resampling) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The number of each scan's patient, and how often each patient is drawn in each resample."""
    whose = np.unique([scan.patient for scan in scans], return_inverse=True)[1].astype(np.int64)
    return whose, draw_patients(int(whose.max()) + 1, range(how.repeats), seed=how.seed)


def _rate(
    count: NDArray[np.int64],
    total: NDArray[np.int64],
    whose: NDArray[np.int64],
    drawn: NDArray[np.int32],
    how: Resampling,
) -> DetectionRate:
    """A sum over scans divided by another."""
    patients = drawn.shape[1]
    counts, totals = (np.bincount(whose, values, minlength=patients) for values in (count, total))
    counted, of = int(counts.sum()), int(totals.sum())
    with np.errstate(invalid="ignore"):
        repeats = (drawn @ counts) / (drawn @ totals)
    return _interval(counted / of if of else math.nan, repeats, how, patients, count=counted, total=of)


def _interval(
    value: float, repeats: NDArray[np.float64], how: Resampling, patients: int, *, count: int, total: int
) -> DetectionRate:
    defined = repeats[~np.isnan(repeats)]
    low = high = math.nan
    if patients > 1 and defined.size and not math.isnan(value):
        low, high = percentile_limits(defined, how.confidence)
    return DetectionRate(value, low, high, count, total, repeats.size - defined.size)


def _at_least(values: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many values reach each threshold."""
    ordered = np.sort(values)
    return ordered.size - np.searchsorted(ordered, thresholds, side="left")


def _read_off(
    sensitivity: NDArray[np.float64], false_positives: NDArray[np.float64], rates: Sequence[float]
) -> NDArray[np.float64]:
    """Sensitivity (n, rates) of curves (n, k) at the last threshold with at most that many false positives."""
    columns = [(false_positives <= rate + 1e-12).sum(axis=1) - 1 for rate in rates]  # both rise along the curve
    return np.stack([sensitivity[np.arange(len(sensitivity)), column] for column in columns], axis=1)


def _band(
    repeats: NDArray[np.float64], how: Resampling, patients: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    defined = repeats[~np.isnan(repeats[:, 0])]
    if patients < 2 or not len(defined):
        nothing = np.full(repeats.shape[1], math.nan)
        return nothing, nothing
    tail = (1 - how.confidence) / 2
    low, high = np.quantile(defined, (tail, 1 - tail), axis=0)
    return np.asarray(low), np.asarray(high)
