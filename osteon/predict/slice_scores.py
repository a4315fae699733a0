"""From a leg to the scores of its slices, and to the verdict whether the model may speak of it at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import Region, RegionNovelty, SliceScores
from osteon.ops.crops import leg_crops
from osteon.ops.runs import positive_runs, smooth_scores
from osteon.predict.ensemble import set_names
from osteon.weights import OperatingPoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from osteon.data import Volume
    from osteon.data.options import Progress
    from osteon.ops.legs import Leg
    from osteon.predict.runtime import SliceClassifier
    from osteon.weights import ModelCard

__all__ = ["PAPER_POINT", "classify_leg", "crops_of", "operating_point"]

PAPER_POINT: Final = OperatingPoint(0.95, 2.0, 3, "CT osteosarcoma paper")
"""For a card that names none."""
CROPS_AT_ONCE: Final = 64
"""Slices cropped and classified at a time: 16 MiB of 256 x 256 float32."""


def operating_point(card: ModelCard | None, threshold: float | None = None) -> OperatingPoint:
    """The operating point of a model; a threshold that a person chose takes precedence."""
    point = card.operating_point if card is not None and card.operating_point is not None else PAPER_POINT
    if threshold is None or threshold == point.threshold:
        return point
    return replace(point, threshold=threshold, source="chosen for this reading")


def classify_leg(
    volume: Volume,
    leg: Leg,
    classifier: SliceClassifier,
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

    found = classifier.read(blocks(), progress=progress, total=int(slices.size))
    probability = np.zeros(leg.present.shape, dtype=np.float32)
    probability[slices] = found.probability
    smoothed = smooth_scores(
        probability, present=leg.present, sigma=point.gaussian_sigma_slices, median=point.median_slices
    )
    runs = positive_runs(smoothed, threshold=point.threshold, present=leg.present)
    novelty = _novelty(classifier, found.distance)
    is_withheld = novelty is not None and novelty.is_unlike and not report_unlike
    trust = classifier.trust
    scores = SliceScores(
        region=leg.name,
        slices=slices.astype(np.int64),
        probability=found.probability,
        smoothed=smoothed[slices],
        threshold=point.threshold,
        runs=() if is_withheld else runs,
        withheld_runs=runs if is_withheld else (),
        spread=found.spread,
        distance=found.distance,
        sets=() if found.sets is None else set_names(found.sets, negative="healthy", positive="tumour"),
        error_rate=None if trust is None else trust.conformal.alpha,
    )
    return Region(name=leg.name, box=leg.box, present=leg.present, novelty=novelty), scores


def crops_of(
    volume: Volume,
    leg: Leg,
    slices: NDArray[np.int64],
    classifier: SliceClassifier,
    *,
    territory: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Crops of some slices of a leg, of the size that the classifier takes."""
    some = np.zeros_like(leg.present)
    some[slices] = True
    return leg_crops(volume.array, leg.box, some, size=classifier.size[0], keep=territory)


def _novelty(classifier: SliceClassifier, distance: NDArray[np.float32] | None) -> RegionNovelty | None:
    if classifier.trust is None or distance is None or not distance.size:
        return None
    known = classifier.trust.novelty
    return RegionNovelty(
        score=float(np.median(distance)),
        threshold=known.region_threshold,
        slice_threshold=known.slice_threshold,
        false_alarm_rate=known.false_alarm_rate,
    )
