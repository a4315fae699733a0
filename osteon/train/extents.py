"""How well runs of called slices match the slices that show tumour, leg by leg."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.metrics.bootstrap import BootstrapInterval, Resampling, patient_bootstrap, patient_bootstraps
from osteon.metrics.classification import OperatingPoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["LegExtents", "extent_point", "leg_extents"]


@dataclass(frozen=True, slots=True, eq=False)
class LegExtents:
    """One row a leg.

    Attributes:
        patients: (k,) id of the patient.
        has_tumour: (k,) whether a slice of the leg shows tumour.
        score: (k,) highest score: of a tumour leg within its tumour, of another leg anywhere. A call that misses the
            tumour does not count as having found it.
        dice: (k,) overlap of called slices and tumour slices, 2 |A and B| / (|A| + |B|); 0 without either.
        folds: (k,) whose model judged.
        slices: number of slices judged.
    """

    patients: NDArray[np.str_] = field(repr=False)
    has_tumour: NDArray[np.bool_] = field(repr=False)
    score: NDArray[np.float64] = field(repr=False)
    dice: NDArray[np.float64] = field(repr=False)
    folds: NDArray[np.int64] = field(repr=False)
    slices: int

    def intervals(self, threshold: float, resampling: Resampling) -> dict[str, BootstrapInterval]:
        """Share of tumour legs found ("tpr"), of other legs left alone ("tnr"), and mean "dice" of tumour legs."""
        found = patient_bootstraps(
            ("tpr", "tnr"),
            self.has_tumour,
            self.score,
            self.patients,
            threshold=threshold,
            folds=self.folds,
            resampling=resampling,
        )
        dice = patient_bootstrap(
            _mean_of_positive, self.has_tumour, self.dice, self.patients, folds=self.folds, resampling=resampling
        )
        return {**found, "dice": dice}


def leg_extents(
    legs: Sequence[tuple[str, ...]],
    *,
    patients: NDArray[np.str_],
    truth: NDArray[np.bool_],
    score: NDArray[np.float64],
    folds: NDArray[np.int64],
    threshold: float,
) -> LegExtents:
    """Join the slices of each leg.

    Args:
        legs: (n) which leg a slice is of.
        patients: (n,) id of the patient.
        truth: (n,) whether the slice shows tumour.
        score: (n,) as it is thresholded.
        folds: (n,) whose model judged; a leg is joined within a fold.
        threshold: a slice is called from here on.
    """
    groups = _members(legs, folds)
    first = np.array([group[0] for group in groups], dtype=np.int64)
    return LegExtents(
        patients=patients[first],
        has_tumour=np.array([truth[group].any() for group in groups], dtype=np.bool_),
        score=np.array([_highest(truth[group], score[group]) for group in groups], dtype=np.float64),
        dice=np.array([_dice(truth[group], score[group], threshold) for group in groups], dtype=np.float64),
        folds=folds[first],
        slices=len(legs),
    )


def extent_point(
    legs: Sequence[tuple[str, ...]],
    *,
    truth: NDArray[np.bool_],
    score: NDArray[np.float64],
    folds: NDArray[np.int64],
) -> OperatingPoint:
    """The threshold at which called slices match the tumour best while other legs are left alone.

    Of every observed score the one with the largest mean of two numbers: the Dice of called and tumour slices, averaged
    over legs with tumour, and the share of legs without tumour in which nothing is called (their Dice, when nothing
    called is taken as a perfect answer to nothing there). Of equals the lowest.

    Args:
        legs: (n) which leg a slice is of, as the rest of ``leg_extents``; validation slices.
        truth: (n,) whether the slice shows tumour.
        score: (n,) as it is thresholded.
        folds: (n,) whose model judged.

    Returns:
        The point with the shares of legs found and left alone; without a threshold when a kind of leg is missing.
    """
    cuts = np.unique(score)
    dice, found, alone = [], [], []
    for group in _members(legs, folds):
        if truth[group].any():
            dice.append(_dice(truth[group], score[group], cuts))
            found.append(_highest(truth[group], score[group]) >= cuts)
        else:
            alone.append(score[group].max() < cuts)
    rule = "largest mean of the Dice over legs with tumour and the share of other legs left alone"
    if not dice or not alone:
        missing = "with" if alone else "without"
        return OperatingPoint("legs", rule, None, None, None, f"there is no leg {missing} tumour")
    best = int(np.argmax(np.mean(dice, axis=0) + np.mean(alone, axis=0)))
    shares = [float(np.mean(part, axis=0)[best]) for part in (found, alone)]
    return OperatingPoint("legs", rule, float(cuts[best]), shares[0], shares[1])


def _members(legs: Sequence[tuple[str, ...]], folds: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Numbers of the slices of each leg and fold, in the order in which they first appear."""
    members: dict[tuple[tuple[str, ...], int], list[int]] = {}
    for index, leg in enumerate(legs):
        members.setdefault((leg, int(folds[index])), []).append(index)
    return [np.array(group, dtype=np.int64) for group in members.values()]


def _highest(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    return float((score[truth] if truth.any() else score).max())


def _dice(truth: NDArray[np.bool_], score: NDArray[np.float64], threshold: ArrayLike) -> NDArray[np.float64]:
    """For each threshold; 0 without tumour."""
    called = len(score) - np.searchsorted(np.sort(score), threshold)
    both = np.count_nonzero(truth) - np.searchsorted(np.sort(score[truth]), threshold)
    return np.asarray(2 * both / np.maximum(called + np.count_nonzero(truth), 1), dtype=np.float64)


def _mean_of_positive(truth: ArrayLike, values: ArrayLike, weights: ArrayLike) -> float:
    """Weighted mean of the values of positive rows; NaN without one."""
    share = np.asarray(weights, dtype=np.float64) * np.asarray(truth, dtype=np.bool_)
    return float(share @ np.asarray(values, dtype=np.float64) / share.sum()) if share.sum() else float("nan")
