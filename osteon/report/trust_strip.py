"""Stretches of slices of one kind: what the strips under the score curves are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from osteon.data import Region, SliceScores

__all__ = ["Stretch", "has_strips", "novelty_stretches", "set_kind", "set_stretches", "strip_words"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring slices of one kind.

    Attributes:
        low_mm: lower end along the slice axis, outer face.
        high_mm: upper end.
        kind: of the slices.
    """

    low_mm: float
    high_mm: float
    kind: str


def has_strips(scores: SliceScores) -> bool:
    """Whether there is anything to draw under the curve."""
    return bool(scores.sets) or scores.distance is not None


def set_kind(words: str) -> str:
    """Kind of a prediction set: "healthy", "either", "neither", else "positive"."""
    return words if words in {"healthy", "either", "neither"} else "positive"


def set_stretches(scores: SliceScores, positions_mm: NDArray[np.float64], half_mm: float) -> list[Stretch]:
    """Stretches of prediction sets along a region.

    Args:
        scores: along the region.
        positions_mm: (slices of the volume,) along the slice axis.
        half_mm: half the distance between slices.
    """
    return _stretches([set_kind(words) for words in scores.sets], scores, positions_mm, half_mm)


def novelty_stretches(
    scores: SliceScores, region: Region | None, positions_mm: NDArray[np.float64], half_mm: float
) -> list[Stretch]:
    """Stretches of slices that are "like" or "unlike" the training images; arguments as ``set_stretches``."""
    if scores.distance is None or region is None or region.novelty is None:
        return []
    unlike = scores.distance > region.novelty.slice_threshold
    return _stretches(["unlike" if one else "like" for one in unlike], scores, positions_mm, half_mm)


def strip_words(curves: Sequence[SliceScores]) -> list[str]:
    """Sentences that explain band and strips of those that have them."""
    found = []
    if any(scores.withheld_runs for scores in curves):
        found.append("Dotted: above the threshold, but not reported, because the leg is unlike the training images.")
    if any(scores.spread is not None for scores in curves):
        found.append("Band: one standard deviation of the networks of the model around each slice.")
    if any(scores.sets for scores in curves):
        rate = max(scores.error_rate or 0.0 for scores in curves)
        found.append(
            f"Set: what each slice may be at an error rate of {rate:g} - grey healthy, orange tumour, hatched either, "
            "black neither."
        )
    if any(scores.distance is not None for scores in curves):
        found.append("Unlike training: black where a slice is unlike the training images.")
    return found


def _stretches(
    kinds: Sequence[str], scores: SliceScores, positions_mm: NDArray[np.float64], half_mm: float
) -> list[Stretch]:
    found: list[Stretch] = []
    first = 0
    for place in range(1, len(kinds) + 1):
        goes_on = (
            place < len(kinds) and kinds[place] == kinds[first] and scores.slices[place] == scores.slices[place - 1] + 1
        )
        if goes_on:
            continue
        ends = np.sort(positions_mm[scores.slices[[first, place - 1]]])
        found.append(Stretch(float(ends[0]) - half_mm, float(ends[1]) + half_mm, kinds[first]))
        first = place
    return found
