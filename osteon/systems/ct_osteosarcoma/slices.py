"""The slices of a leg: their scores, the verdict whether the model may speak of the leg, and where the model looked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import HeatMap, Region, SliceScores
from osteon.ops.crops import leg_crops
from osteon.ops.runs import positive_runs, smooth_scores
from osteon.predict.scores import set_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from osteon.data import Notice, Volume
    from osteon.data.options import Progress
    from osteon.ops.legs import Leg
    from osteon.predict.predictor import Predictor
    from osteon.weights import OperatingPoint

__all__ = ["classify_leg", "crops_of", "leg_heat_maps", "slices_to_explain"]

CROPS_AT_ONCE: Final = 64
"""Slices cropped and classified at a time: 16 MiB of 256 x 256 float32."""


def classify_leg(
    volume: Volume,
    leg: Leg,
    classifier: Predictor,
    *,
    territory: NDArray[np.bool_],
    point: OperatingPoint,
    report_unlike: bool = False,
    progress: Progress,
) -> tuple[Region, SliceScores]:
    """Scores of one leg: crops in blocks through a classifier, then smoothing and threshold.

    Where the model knows its limits, the median distance of the leg's slices from its training images decides whether
    it may speak: of a leg unlike all of them no run is reported, unless that is asked for.

    Args:
        volume: CT in HU.
        leg: of ``find_legs``.
        classifier: crops in, scores out.
        territory: ``leg.mask()``.
        point: threshold and smoothing.
        report_unlike: report runs of a leg that is unlike training, too.
        progress: told about every block.
    """
    slices = np.flatnonzero(leg.present)

    def blocks() -> Iterator[NDArray[np.float32]]:
        for first in range(0, slices.size, CROPS_AT_ONCE):
            yield crops_of(volume, leg, slices[first : first + CROPS_AT_ONCE], classifier, territory=territory)

    found = classifier.scores(blocks(), progress=progress, total=int(slices.size))
    probability = np.zeros(leg.present.shape, dtype=np.float32)
    probability[slices] = found.positive
    smoothed = smooth_scores(
        probability, present=leg.present, sigma=point.gaussian_sigma_slices, median=point.median_slices
    )
    runs = positive_runs(smoothed, threshold=point.threshold, present=leg.present)
    novelty = classifier.novelty(found.distance)
    is_withheld = novelty is not None and novelty.is_unlike and not report_unlike
    sets, limits = found.pair_sets, classifier.limits
    scores = SliceScores(
        region=leg.name,
        slices=slices.astype(np.int64),
        probability=found.positive,
        smoothed=smoothed[slices],
        threshold=point.threshold,
        runs=() if is_withheld else runs,
        withheld_runs=runs if is_withheld else (),
        spread=found.positive_spread,
        distance=found.distance,
        sets=() if sets is None else set_names(sets, negative="healthy", positive="tumour"),
        error_rate=None if limits is None else limits.sets.alpha,
    )
    return Region(name=leg.name, box=leg.box, present=leg.present, novelty=novelty), scores


def crops_of(
    volume: Volume, leg: Leg, slices: NDArray[np.int64], classifier: Predictor, *, territory: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Crops of some slices of a leg, of the size that the classifier takes."""
    some = np.zeros_like(leg.present)
    some[slices] = True
    return leg_crops(volume.array, leg.box, some, size=classifier.size[0], keep=territory)


def slices_to_explain(scores: SliceScores) -> NDArray[np.int64]:
    """The most suspicious slice of every run, or of the whole region where none was called; ascending."""
    found = []
    for first, stop in scores.runs:
        inside = np.flatnonzero((scores.slices >= first) & (scores.slices < stop))
        found.append(scores.slices[inside[_highest(scores, inside)]])
    if not scores.runs and scores.slices.size:
        found.append(scores.slices[_highest(scores, np.arange(scores.slices.size))])
    return np.array(found, dtype=np.int64)


def leg_heat_maps(
    volume: Volume, legs: Sequence[tuple[Leg, SliceScores]], classifier: Predictor
) -> tuple[tuple[HeatMap, ...], tuple[Notice, ...]]:
    """Where the model saw the positive class, the mean over members, in the slices of ``slices_to_explain``.

    Returns:
        The maps, and a notice when they could not be made.
    """
    found: list[HeatMap] = []
    for leg, scores in legs:
        slices = slices_to_explain(scores)
        if not slices.size:
            continue
        crops = crops_of(volume, leg, slices, classifier, territory=leg.mask())
        heat, told = classifier.heat_maps(crops)
        if heat is None:
            return (), told
        _, height, width = (count * step for count, step in zip(leg.box.shape, volume.grid.spacing_mm, strict=True))
        found += [
            HeatMap(
                region=leg.name,
                slice_index=int(index),
                crop=crop,
                heat=one,
                extent_mm=(height, width),
                is_called=any(first <= index < stop for first, stop in scores.runs),
                members=len(classifier.card.members) if classifier.card else 1,
            )
            for index, crop, one in zip(slices, crops, heat, strict=True)
        ]
    return tuple(found), ()


def _highest(scores: SliceScores, places: NDArray[np.intp]) -> int:
    """Which of some slices has the highest smoothed probability, the highest own one among equals."""
    order = np.lexsort((scores.probability[places], np.round(scores.smoothed[places], 3)))
    return int(order[-1])
