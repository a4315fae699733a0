"""How well runs of called slices match the slices that show tumour, leg by leg."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.metrics.bootstrap import BootstrapInterval, Resampling, patient_bootstrap, patient_bootstraps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["LegExtents", "leg_extents"]


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
    members: dict[tuple[tuple[str, ...], int], list[int]] = {}
    for index, leg in enumerate(legs):
        members.setdefault((leg, int(folds[index])), []).append(index)
    groups = [np.array(group) for group in members.values()]
    first = np.array([group[0] for group in groups], dtype=np.int64)
    has_tumour = np.array([truth[group].any() for group in groups], dtype=np.bool_)
    highest = [
        score[group[truth[group]]] if any_ else score[group] for group, any_ in zip(groups, has_tumour, strict=True)
    ]
    return LegExtents(
        patients=patients[first],
        has_tumour=has_tumour,
        score=np.array([part.max() for part in highest], dtype=np.float64),
        dice=np.array([_dice(truth[group], score[group] >= threshold) for group in groups], dtype=np.float64),
        folds=folds[first],
        slices=len(legs),
    )


def _dice(truth: NDArray[np.bool_], called: NDArray[np.bool_]) -> float:
    both = int(truth.sum()) + int(called.sum())
    return 2 * int((truth & called).sum()) / both if both else 0.0


def _mean_of_positive(truth: ArrayLike, values: ArrayLike, weights: ArrayLike) -> float:
    """Weighted mean of the values of positive rows; NaN without one."""
    share = np.asarray(weights, dtype=np.float64) * np.asarray(truth, dtype=np.bool_)
    return float(share @ np.asarray(values, dtype=np.float64) / share.sum()) if share.sum() else float("nan")
