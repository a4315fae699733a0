"""Which slices, masks and regions a picture shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.data import Region
from osteon.geometry import Box
from osteon.labels import concept
from osteon.report.findings import region_of
from osteon.report.reading_of import slice_reading

if TYPE_CHECKING:
    from osteon.data import Answer, Mask, SliceScores, Volume
    from osteon.geometry import Grid

__all__ = ["affected_boxes", "bone_mask", "bone_values", "in_a_run", "regions_or_whole", "scores_of", "telling_slices"]


def bone_mask(answer: Answer, grid: Grid) -> Mask | None:
    """The mask that holds bone on the volume's grid, or None."""
    bone = concept("bone")
    for mask in answer.masks.values():
        if any(label.kind == bone for label in mask.labels) and mask.grid.same_as(grid):
            return mask
    return None


def affected_boxes(answer: Answer, region: str | None = None) -> list[Box]:
    """Boxes of abnormal findings; of one region only when it is named and the answer has regions."""
    boxes = [finding.box for finding in answer.findings if finding.is_abnormal and finding.box is not None]
    if region is None or not answer.regions:
        return boxes
    return [box for box in boxes if region_of(box, answer.regions) == region]


def regions_or_whole(answer: Answer, volume: Volume) -> tuple[Region, ...]:
    """The answer's regions, or one that is the whole image when it has none."""
    if answer.regions:
        return answer.regions
    present = np.ones(volume.grid.shape[0], dtype=np.bool_)
    return (Region(name="whole image", box=Box(start=(0, 0, 0), stop=volume.grid.shape), present=present),)


def scores_of(answer: Answer, region: str) -> SliceScores | None:
    """The scores along a region, or None."""
    return next(
        (scores for scores in slice_reading(answer).scores if scores.region == region and len(scores.slices)), None
    )


def bone_values(mask: Mask, region: str) -> tuple[int, ...]:
    """Label values of the bone of one region; of all bone when no label names the region, as "Bone, left leg"."""
    bone = [label for label in mask.labels if label.kind == concept("bone")]
    named = [label for label in bone if region in label.name]
    return tuple(label.value for label in named or bone)


def in_a_run(scores: SliceScores, slice_index: int) -> bool:
    """Whether a slice lies in a positive run."""
    return any(first <= slice_index < stop for first, stop in scores.runs)


def telling_slices(answer: Answer, region: Region, *, most: int = 3) -> list[int]:
    """Slices worth showing first, in ascending order.

    With scores: those with the highest smoothed probability, apart from each other by at least a fifteenth of the
    region so that neighbours do not crowd out a second place. Without: evenly spread over the region.

    Args:
        answer: holds the scores.
        region: where to look.
        most: how many at most.

    Returns:
        Slice indices into the volume; empty when the region is seen in no slice.
    """
    seen = np.flatnonzero(region.present)
    scores = scores_of(answer, region.name)
    if scores is None:
        if not len(seen):
            return []
        return sorted({int(seen[int(part * (len(seen) - 1) + 0.5)]) for part in (np.arange(most) + 0.5) / most})
    apart = max(len(scores.slices) // 15, 2)
    ranking = np.lexsort((-scores.probability, -np.round(scores.smoothed, 3)))
    chosen: list[int] = []
    for place in ranking:
        index = int(scores.slices[place])
        if all(abs(index - other) >= apart for other in chosen):
            chosen.append(index)
        if len(chosen) == most:
            break
    return sorted(chosen)
