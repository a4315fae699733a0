"""Structures filled with contrast agent that a network may take for bone: vessels, urinary tract, bowel.

What tells them apart without knowing anatomy: they are even inside (no trabeculae), nothing around them is brighter
than they are (no cortex), they hold no marrow and lie in soft tissue, over a length that no even part of a bone has
between two end plates. A bone that is dense throughout is even, too, but denser than contrast gets, or it lies against
other bone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osteon._compiled import in_threads
from osteon.ops.closing import fill_holes
from osteon.ops.lesions import grown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.ops.series_images import SeriesImages

__all__ = ["ContrastOptions", "find_contrast"]


@dataclass(frozen=True, slots=True)
class ContrastOptions:
    """What counts as filled with contrast agent.

    Attributes:
        least_hu: below it, it is not brighter than spongy bone and no network takes it for cortex.
        most_hu: above it, it is dense bone.
        even_hu: standard deviation over 3 x 3 pixels that even parts do not exceed.
        least_height_mm: of the even part, across slices, or...
        least_width_mm: ...within them; no vertebra reaches either.
        rim_hu: a neighbour by so much brighter than the middle of the structure is cortex.
        most_rim_share: share of neighbours that may be that bright.
        most_bone_share: share of the surroundings, two to four pixels away, that may be candidates, too: a vessel lies
            in soft tissue and touches bone at most, cortex and dense bone lie against other bone.
        most_hollow: area that the even part encloses without being even itself, against its own: marrow.
    """

    least_hu: float = 160.0
    most_hu: float = 700.0
    even_hu: float = 30.0
    least_height_mm: float = 45.0
    least_width_mm: float = 110.0
    rim_hu: float = 40.0
    most_rim_share: float = 0.1
    most_bone_share: float = 0.25
    most_hollow: float = 0.15


def find_contrast(
    images: SeriesImages, candidates: NDArray[np.bool_], *, options: ContrastOptions | None = None
) -> NDArray[np.bool_]:
    """Where candidates for bone or lesion are contrast agent.

    Args:
        images: of the series.
        candidates: (n, row, column) bool: what the network calls bone or lesion.
        options: what counts.

    Returns:
        Of the same shape: the even structures with their partial-volume rim of one pixel; a subset of the candidates.
    """
    import cc3d

    chosen = options or ContrastOptions()
    even = _even(images, candidates, chosen)
    pieces, count = cc3d.connected_components(even, connectivity=6, return_N=True)
    found = np.zeros_like(candidates)
    if count == 0:
        return found
    level_hu = (images.window_hu[1] - images.window_hu[0]) / 255
    boxes = cc3d.statistics(pieces)["bounding_boxes"]
    for label in range(1, count + 1):
        box = boxes[label]
        height, *sides = ((part.stop - part.start) * mm for part, mm in zip(box, images.spacing_mm, strict=True))
        if height < chosen.least_height_mm and max(sides) < chosen.least_width_mm:
            continue
        wide = tuple(slice(max(0, part.start - 5), part.stop + 5) for part in box)
        own = pieces[wide] == label
        grey = images.grey[wide]
        bright = grey > float(np.median(grey[own])) + chosen.rim_hu / level_hu
        rim = _share(bright, grown(own, 3.0) & ~grown(own, 1.0))
        in_bone = _share(candidates[wide], grown(own, 4.0) & ~grown(own, 2.0))
        wider = grown(own, 1.5)
        hollow = np.count_nonzero(fill_holes(wider)) / np.count_nonzero(wider) - 1
        if rim <= chosen.most_rim_share and in_bone <= chosen.most_bone_share and hollow <= chosen.most_hollow:
            found[wide] |= grown(own, 2.0) & candidates[wide]
    return found


def _share(flags: NDArray[np.bool_], where: NDArray[np.bool_]) -> float:
    return float(flags[where].mean()) if where.any() else 0.0


def _even(images: SeriesImages, candidates: NDArray[np.bool_], options: ContrastOptions) -> NDArray[np.bool_]:
    """Candidates of contrast's HU whose 3 x 3 neighbourhood is even."""
    import cv2

    level_hu = (images.window_hu[1] - images.window_hu[0]) / 255
    low, high = images.grey_of(options.least_hu), images.grey_of(options.most_hu)
    most_variance = (options.even_hu / level_hu) ** 2
    out = np.zeros_like(candidates)

    def work(first: int, stop: int) -> None:
        for n in range(first, stop):
            if candidates[n].any():
                grey = images.grey[n].astype(np.float32)
                mean = cv2.blur(grey, (3, 3))
                variance = cv2.blur(grey * grey, (3, 3)) - mean * mean
                out[n] = candidates[n] & (mean >= low) & (mean <= high) & (variance <= most_variance)

    in_threads(work, len(candidates), chunk=16)
    return out
