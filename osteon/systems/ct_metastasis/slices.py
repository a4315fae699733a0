"""Whether a slice is called metastatic: by what was outlined in it, and by a classifier of whole slices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.data import SliceScores
from osteon.ops.runs import smooth_scores, stretches
from osteon.ops.series_images import SliceFrame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from osteon.data.options import Progress
    from osteon.ops.series_images import SeriesImages
    from osteon.predict.predictor import Predictor

__all__ = ["REGION", "score_slices"]

REGION = "skeleton"
IMAGES_AT_ONCE = 64


def score_slices(
    images: SeriesImages,
    shown: NDArray[np.bool_],
    *,
    classifier: Predictor | None,
    area_mm2: NDArray[np.float32],
    peak: NDArray[np.float32],
    least_area_mm2: float,
    lesion_threshold: float,
    progress: Progress,
) -> SliceScores:
    """One class a slice from each of the two ways.

    Args:
        images: of the series.
        shown: (n,) bool: images that hold bone; the others get no score.
        classifier: None where there is none: then the highest of the lesion map stands in for its probability.
        area_mm2: (n,) of lesions, in the slice of each image.
        peak: (n,) highest value of the lesion map in bone.
        least_area_mm2: from which the outlines call a slice.
        lesion_threshold: of the lesion map.
        progress: told about every block.
    """
    at = np.flatnonzero(shown)
    outlined = area_mm2 >= least_area_mm2
    if classifier is None:
        return SliceScores(
            region=REGION,
            slices=images.slices[at],
            probability=peak[at],
            smoothed=peak[at],
            threshold=lesion_threshold,
            runs=_runs(outlined & shown, images),
            source="segmentation",
            by_segmentation=outlined[at],
            lesion_area_mm2=area_mm2[at],
        )
    point = classifier.operating_point()
    found = classifier.scores(_blocks(images, at, classifier.size), progress=progress, total=int(at.size))
    probability = np.zeros(shown.shape, dtype=np.float32)
    probability[at] = found.positive
    smoothed = smooth_scores(probability, present=shown, sigma=point.gaussian_sigma_slices, median=point.median_slices)
    return SliceScores(
        region=REGION,
        slices=images.slices[at],
        probability=found.positive,
        smoothed=smoothed[at],
        threshold=point.threshold,
        runs=_runs((smoothed >= np.float32(point.threshold)) & shown, images),
        spread=found.positive_spread,
        distance=found.distance,
        by_segmentation=outlined[at],
        lesion_area_mm2=area_mm2[at],
    )


def _runs(flags: NDArray[np.bool_], images: SeriesImages) -> tuple[tuple[int, int], ...]:
    """Runs of images as half-open ranges of slices."""
    return tuple((int(images.slices[a]), int(images.slices[b - 1]) + 1) for a, b in stretches(flags))


def _blocks(images: SeriesImages, at: NDArray[np.int64], size: tuple[int, int]) -> Iterator[NDArray[np.float32]]:
    """Images of the classifier's size, 0 to 1, in blocks: the same pixels, cut or padded around the same centre."""
    rows, columns = (
        slice((whole - scaled) // 2, (whole - scaled) // 2 + scaled)
        for whole, scaled in zip(images.frame.size, images.frame.scaled, strict=True)
    )
    frame = SliceFrame(source=images.frame.scaled, scaled=images.frame.scaled, size=size)
    for first in range(0, at.size, IMAGES_AT_ONCE):
        some = images.grey[at[first : first + IMAGES_AT_ONCE], rows, columns]
        yield frame.images(np.ascontiguousarray(some)).astype(np.float32) / np.float32(255)
