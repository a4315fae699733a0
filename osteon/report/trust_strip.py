"""Stretches of slices of one kind: what the strips under the score curves are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from osteon.data import Region, SliceScores
    from osteon.geometry import Grid

__all__ = [
    "Stretch",
    "call_stretches",
    "half_step_mm",
    "novelty_stretches",
    "set_kind",
    "set_stretches",
    "strip_rows",
    "strip_words",
]


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


def strip_rows(
    scores: SliceScores, region: Region | None, positions_mm: NDArray[np.float64], half_mm: float
) -> list[tuple[str, list[Stretch]]]:
    """What is drawn under the curve, row by row with its name; arguments as ``novelty_stretches``."""
    rows: list[tuple[str, list[Stretch]]] = []
    rows.append(("set", set_stretches(scores, positions_mm, half_mm)))
    rows.append(("unlike training", novelty_stretches(scores, region, positions_mm, half_mm)))
    rows += call_stretches(scores, positions_mm, half_mm)
    return [(name, stretches) for name, stretches in rows if stretches]


def half_step_mm(scores: SliceScores, grid: Grid) -> float:
    """Half the distance between the slices that have a score: a network may be shown every second slice."""
    steps = np.diff(scores.slices)
    return float(steps.min() if len(steps) else 1) * grid.spacing_mm[0] / 2


def call_stretches(
    scores: SliceScores, positions_mm: NDArray[np.float64], half_mm: float
) -> list[tuple[str, list[Stretch]]]:
    """What classifier and segmentation call, and where they differ: kinds "called", "free", "differ" and "same".

    Args:
        scores: along the region; empty without a segmentation.
        positions_mm: (slices of the volume,) along the slice axis.
        half_mm: half the distance between slices.
    """
    outlined = scores.by_segmentation
    if outlined is None:
        return []

    def stretches(of: NDArray[np.bool_], yes: str, no: str) -> list[Stretch]:
        return _stretches([yes if one else no for one in of], scores, positions_mm, half_mm)

    segmentation = ("segmentation", stretches(outlined, "called", "free"))
    if scores.source != "classifier":
        return [segmentation]
    scored = scores.smoothed >= scores.threshold
    return [
        ("classifier", stretches(scored, "called", "free")),
        segmentation,
        ("they differ", stretches(scored != outlined, "differ", "same")),
    ]


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


def strip_words(curves: Sequence[SliceScores], names: Collection[str]) -> list[str]:
    """Sentences that explain band and strips.

    Args:
        curves: that are drawn.
        names: of the rows of ``strip_rows`` that are drawn.
    """
    found = []
    if any(scores.withheld_runs for scores in curves):
        found.append("Dotted: above the threshold, but not reported, because the leg is unlike the training images.")
    if any(scores.spread is not None for scores in curves):
        found.append("Band: one standard deviation of the networks of the model around each slice.")
    if "set" in names:
        rate = max(scores.error_rate or 0.0 for scores in curves)
        found.append(
            f"Set: what each slice may be at an error rate of {rate:g} - grey healthy, orange tumour, hatched either, "
            "black neither."
        )
    if "they differ" in names:
        found.append("Orange strips: slices called by the classifier and by the lesions outlined; black: they differ.")
    elif "segmentation" in names:
        found.append("Orange strip: slices called by the lesions outlined.")
    if "unlike training" in names:
        found.append("Unlike training: black where a slice is unlike the training images.")
    return found


def _stretches(
    kinds: Sequence[str], scores: SliceScores, positions_mm: NDArray[np.float64], half_mm: float
) -> list[Stretch]:
    found: list[Stretch] = []
    first, step = 0, int(np.diff(scores.slices).min(initial=len(positions_mm)))
    for place in range(1, len(kinds) + 1):
        goes_on = (
            place < len(kinds)
            and kinds[place] == kinds[first]
            and scores.slices[place] == scores.slices[place - 1] + step
        )
        if goes_on:
            continue
        ends = np.sort(positions_mm[scores.slices[[first, place - 1]]])
        found.append(Stretch(float(ends[0]) - half_mm, float(ends[1]) + half_mm, kinds[first]))
        first = place
    return found
