"""Where the classifier looked, in the slices of a leg that matter most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.data import HeatMap
from osteon.predict.explain.networks import networks_to_explain
from osteon.predict.slice_scores import crops_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from osteon.data import Notice, SliceScores, Volume
    from osteon.ops.legs import Leg
    from osteon.predict.runtime import SliceClassifier

__all__ = ["leg_heat_maps", "slices_to_explain"]


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
    volume: Volume,
    legs: Sequence[tuple[Leg, SliceScores]],
    classifier: SliceClassifier,
) -> tuple[tuple[HeatMap, ...], tuple[Notice, ...]]:
    """Grad-CAM of the positive class, the mean over members, in the slices of ``slices_to_explain``.

    Returns:
        The maps, and a notice when they could not be made.
    """
    networks, told = networks_to_explain(classifier.card)
    if classifier.card is None or not networks:
        return (), told
    from osteon.predict.explain.grad_cam import mean_grad_cam

    found = []
    for leg, scores in legs:
        slices = slices_to_explain(scores)
        if not slices.size:
            continue
        crops = crops_of(volume, leg, slices, classifier, territory=leg.mask())
        heat = mean_grad_cam(
            networks, crops, target=classifier.positive_column, channels=classifier.card.input.channels
        )
        _, height, width = (count * step for count, step in zip(leg.box.shape, volume.grid.spacing_mm, strict=True))
        found += [
            HeatMap(
                region=leg.name,
                slice_index=int(index),
                crop=crop,
                heat=one,
                extent_mm=(height, width),
                is_called=any(first <= index < stop for first, stop in scores.runs),
                members=len(networks),
            )
            for index, crop, one in zip(slices, crops, heat, strict=True)
        ]
    return tuple(found), ()


def _highest(scores: SliceScores, places: NDArray[np.intp]) -> int:
    """Which of some slices has the highest smoothed probability, the highest own one among equals."""
    order = np.lexsort((scores.probability[places], np.round(scores.smoothed[places], 3)))
    return int(order[-1])
