"""What the segmenters of a run are worth: the paper's seven measures with intervals over patients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError
from osteon.metrics.segmentation import MASK_MEASURES, pooled

if TYPE_CHECKING:
    from osteon.metrics.bootstrap import BootstrapInterval, Resampling
    from osteon.train.segmentation.counts import SegmentCounts

__all__ = ["judge_counts", "measures_by_fold"]


def judge_counts(
    counts: SegmentCounts, *, output: str = "lesion", part: str = "test", resampling: Resampling | None = None
) -> dict[str, BootstrapInterval]:
    """Measures over all folds together, with percentile intervals over patients.

    Where every image is tested once, as in a nested split, its fold's network judged it; where one test part is judged
    by the networks of all folds, each image counts once a network.

    Args:
        counts: of a run or an ensemble.
        output: the map.
        part: of the folds.
        resampling: of the intervals.

    Returns:
        By name, in the order of ``MASK_MEASURES``.

    Raises:
        InputError: no row of this map and part.
    """
    chosen = _chosen(counts, output, part)
    return pooled(chosen.counts, chosen.patient, measures=MASK_MEASURES, resampling=resampling)


def measures_by_fold(
    counts: SegmentCounts, *, output: str = "lesion", part: str = "test"
) -> dict[int, dict[str, float]]:
    """The measures of each fold; the paper's tables are means of these.

    Raises:
        InputError: no row of this map and part.
    """
    from osteon.metrics.bootstrap import Resampling

    chosen = _chosen(counts, output, part)
    found = {}
    for fold in np.unique(chosen.fold).tolist():
        one = chosen.of(fold=fold)
        values = pooled(one.counts, one.patient, measures=MASK_MEASURES, resampling=Resampling(repeats=1))
        found[int(fold)] = {name: interval.value for name, interval in values.items()}
    return found


def _chosen(counts: SegmentCounts, output: str, part: str) -> SegmentCounts:
    chosen = counts.of(part=part, output=output)
    if len(chosen) == 0:
        raise InputError(f"these counts have no row of the map {output!r} in the {part} part: nothing can be judged")
    return chosen
