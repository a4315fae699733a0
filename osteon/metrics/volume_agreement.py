"""How well the mask of a scan agrees with the truth in three dimensions, a patient at a time, and medians of patients.

References:
    Dice 1945, doi:10.2307/1932409. Nikolov et al. 2021, 10.2196/26151 (surface Dice). Maier-Hein et al. 2024,
    10.1038/s41592-023-02151-z (which measures go together). Bland and Altman 1999, 10.1177/096228029900800204.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError
from osteon.metrics.bootstrap import Resampling, SampleSize, drawn_patients, interval_of
from osteon.metrics.lesion_detection import match_lesions
from osteon.metrics.surface_distance import surface_distances, volume_ml

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from osteon.metrics.bootstrap import BootstrapInterval

__all__ = [
    "AgreementLimits",
    "VolumeAgreement",
    "dice",
    "limits_of_agreement",
    "median_of_patients",
    "volume_agreement",
]

_TOLERANCE_MM = 2.0
_PERCENT = 95.0
_DEVIATIONS = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeAgreement:
    """What a predicted mask of one scan comes to.

    Attributes:
        dice: 0 to 1; 1 where both masks are empty.
        surface_dice: share of both surfaces that is within 2 mm of the other, 0 to 1.
        hd95_mm: the distance that 95 % of either surface does not exceed; infinite where one mask is empty.
        true_ml: volume of the truth.
        predicted_ml: volume of the prediction.
        lesions: true lesions, parts that do not touch.
        found: of them, those that a predicted part overlaps by an intersection over union of at least 0.1.
    """

    dice: float
    surface_dice: float
    hd95_mm: float
    true_ml: float
    predicted_ml: float
    lesions: int
    found: int

    @property
    def volume_error(self) -> float:
        """Predicted volume minus the true one, as a part of the true one; NaN where there is none."""
        return (self.predicted_ml - self.true_ml) / self.true_ml if self.true_ml else float("nan")

    @property
    def lesion_sensitivity(self) -> float:
        """Found of all true lesions; NaN where there is none."""
        return self.found / self.lesions if self.lesions else float("nan")


def dice(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Dice of two masks of one shape, bool; 1 where both are empty.

    Raises:
        InputError: shapes differ, or a mask is not bool.

    Example:
        >>> dice([True, True, False], [False, True, True])
        0.5
    """
    first, second = np.asarray(truth), np.asarray(predicted)
    if first.shape != second.shape or first.dtype != np.bool_ or second.dtype != np.bool_:
        raise InputError(
            f"masks of {first.shape} {first.dtype} and {second.shape} {second.dtype} cannot be compared: give two of "
            "bool on one grid"
        )
    whole = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 2 * int(np.count_nonzero(first & second)) / whole if whole else 1.0


def volume_agreement(
    truth: ArrayLike, predicted: ArrayLike, *, spacing_mm: tuple[float, float, float]
) -> VolumeAgreement:
    """Compare two masks of a scan, (slice, row, column) bool.

    Raises:
        InputError: shapes differ, masks are not bool, or a spacing is not above 0.

    Example:
        >>> masks = np.zeros((2, 4, 8, 8), dtype=bool)
        >>> masks[0, 1:3, 2:6, 2:6] = masks[1, 1:3, 2:6, 2:4] = True
        >>> found = volume_agreement(*masks, spacing_mm=(5.0, 2.0, 2.0))
        >>> round(found.dice, 3), found.volume_error, found.hd95_mm, found.lesion_sensitivity
        (0.667, -0.5, 4.0, 1.0)
    """
    overlap = dice(truth, predicted)
    surfaces = surface_distances(truth, predicted, spacing_mm=spacing_mm)
    lesions = match_lesions(truth, predicted, spacing_mm=spacing_mm, patient="")
    return VolumeAgreement(
        dice=overlap,
        surface_dice=surfaces.dice(_TOLERANCE_MM),
        hd95_mm=surfaces.hausdorff_mm(_PERCENT),
        true_ml=volume_ml(truth, spacing_mm=spacing_mm),
        predicted_ml=volume_ml(predicted, spacing_mm=spacing_mm),
        lesions=int(lesions.true_ml.size),
        found=int(np.count_nonzero(lesions.true_probability > -np.inf)),
    )


def median_of_patients(
    values: ArrayLike, *, against_zero: bool = False, resampling: Resampling | None = None
) -> BootstrapInterval:
    """The median of one value a patient, with a percentile interval over patients drawn anew.

    Args:
        values: (patients,); NaN, a value that is not defined, is left out. Differences of two methods in the same
            patients give the paired comparison.
        against_zero: give the p value that the median is 0: twice the smaller share of resamples on either side.
        resampling: how patients are drawn; its method must be "percentile".

    Raises:
        InputError: not one row of values, or no value at all.

    Example:
        >>> found = median_of_patients([0.1, 0.2, 0.3, 0.4, 0.5])
        >>> found.value, found.low >= 0.1, found.high <= 0.5
        (0.3, True, True)
    """
    how = resampling or Resampling()
    each, drawn = _drawn(values, how, of="medians")
    replicates = np.array([np.median(np.repeat(each, counts)) for counts in drawn])
    size = SampleSize(each.size, each.size)
    return interval_of(float(np.median(each)), replicates, how, size=size, against_zero=against_zero)


@dataclass(frozen=True, slots=True)
class AgreementLimits:
    """Bland and Altman's limits of agreement of two measurements, each with its interval over patients.

    Attributes:
        bias: the mean difference.
        low: bias minus 1.96 standard deviations: about 95 % of the differences are above it.
        high: bias plus 1.96 standard deviations.
    """

    bias: BootstrapInterval
    low: BootstrapInterval
    high: BootstrapInterval


def limits_of_agreement(differences: ArrayLike, *, resampling: Resampling | None = None) -> AgreementLimits:
    """Bias and limits of agreement of one difference a patient, with percentile intervals over patients drawn anew.

    Where differences grow with what is measured, give differences of logarithms: what comes out is that of a ratio.

    Args:
        differences: (patients,) of two measurements; NaN is left out.
        resampling: how patients are drawn; its method must be "percentile".

    Raises:
        InputError: not one row of values, or no value at all.

    Example:
        >>> found = limits_of_agreement([1.0, 3.0])
        >>> found.bias.value, round(found.low.value, 2), round(found.high.value, 2)
        (2.0, -0.77, 4.77)
    """
    how = resampling or Resampling()
    each, drawn = _drawn(differences, how, of="limits of agreement")

    def limits(some: NDArray[np.float64]) -> tuple[float, float, float]:
        mean, spread = float(some.mean()), _DEVIATIONS * float(some.std(ddof=1)) if some.size > 1 else float("nan")
        return mean, mean - spread, mean + spread

    replicates = np.array([limits(np.repeat(each, counts)) for counts in drawn]).T
    size = SampleSize(each.size, each.size)
    bias, low, high = (
        interval_of(value, some, how, size=size) for value, some in zip(limits(each), replicates, strict=True)
    )
    return AgreementLimits(bias, low, high)


def _drawn(values: ArrayLike, how: Resampling, *, of: str) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """The values (patients,) that are defined, and how often each is drawn (repeats, patients)."""
    each: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    each = each[~np.isnan(each)] if each.ndim == 1 else each
    if each.ndim != 1 or each.size == 0:
        raise InputError(f"values of shape {each.shape} have no {of}: give one value a patient")
    return each, drawn_patients(np.arange(each.size), each.size, how, of=of)[1]
