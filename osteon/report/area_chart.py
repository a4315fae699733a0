"""How much of each slice the outlined lesions cover, under the curve of the classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.report.sheet import Sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from osteon.data import SliceScores
    from osteon.report.lesions import ListedLesion

__all__ = ["draw_areas"]

_GREY: Final = "#69707a"
_FILL: Final = "#cc79a7"
_DARK: Final = "#8f3d6c"
_LEAST_SHARE: Final = 0.024
"""Least distance between two numbers, as a share of the width."""


def draw_areas(
    axes: Axes,
    scores: SliceScores,
    positions_mm: NDArray[np.float64],
    half_mm: float,
    lesions: Sequence[ListedLesion],
) -> None:
    """Fill the area of lesions in each slice and write the numbers of the largest ones above it.

    Args:
        axes: with the limits of the curve.
        scores: with the areas; nothing is drawn without.
        positions_mm: (slices of the volume,) along the slice axis.
        half_mm: half the distance between slices.
        lesions: of the answer.
    """
    areas = scores.lesion_area_mm2
    if areas is None:
        return
    x, y = positions_mm[scores.slices], areas.astype(np.float64) / 100
    axes.bar(x, y, width=2 * half_mm, color=_FILL, linewidth=0)
    top = max(float(y.max(initial=0.0)), 1.0)
    axes.set_ylim(0, 1.35 * top)
    width = float(np.ptp(x)) + 2 * half_mm
    written: list[float] = []
    for item in sorted(lesions, key=lambda item: -item.lesion.volume_ml):
        at = float(positions_mm[item.lesion.key_slice])
        if all(abs(at - other) >= _LEAST_SHARE * width for other in written):
            written.append(at)
            height = float(np.interp(at, *_ascending(x, y))) + 0.04 * top
            axes.text(at, height, str(item.number), ha="center", va="bottom", color=_DARK, fontsize=Sheet.points(17))
    axes.set_ylabel("lesions, cm²", color=_GREY, fontsize=Sheet.points(18))
    axes.tick_params(colors=_GREY, labelsize=Sheet.points(18), length=4)
    axes.locator_params(axis="y", nbins=3)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#b7bdc5")


def _ascending(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    order = np.argsort(x)
    return x[order], y[order]
