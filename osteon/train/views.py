"""What a network is shown of an image of a series: its neighbours as further channels, and a part of the plane.

A part that is not shown is 0, as if the scan ended there. Images that were cut around what is looked for tell by their
borders where it is. A view that is drawn anew each time takes that knowledge away from a network.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.errors import InputError
from osteon.ops.series_images import neighbour_indices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.data import ImageRow, Manifest

__all__ = ["DrawnViews", "blanked", "known_views", "neighbour_rows", "series_boxes", "view_slices", "view_text"]

SLICE: Final = "slice"
"""Column of a manifest: number of the slice in its series."""

VIEW: Final = "view"
"""Column of a manifest: the part of the image that is shown, as ``view_text`` writes it."""

_VIEW_STREAM: Final = 17
"""Keeps the draws of views apart from other uses of the seed."""

_WHOLE: Final = (0.0, 1.0, 0.0, 1.0)


def neighbour_rows(manifest: Manifest, neighbours: int) -> NDArray[np.int64]:
    """Rows of the slices around each image.

    Args:
        manifest: its column ``slice`` numbers the slices of a series.
        neighbours: how many on either side.

    Returns:
        (images, 2 * neighbours + 1) int64, from the lowest slice number to the highest. Where the manifest does not
        have a slice, the last one before the gap stands again.

    Raises:
        InputError: an image without a series or a slice, or two images of one slice.
    """
    series: dict[tuple[str, str, str], dict[int, int]] = defaultdict(dict)
    for index, row in enumerate(manifest.rows):
        number = row.extra.get(SLICE, "")
        if not (row.series and number.isdecimal()):
            raise InputError(
                f"{row.image} has no series or no slice in the manifest: neighbours can be shown only of images with "
                "the columns series and slice filled"
            )
        if series[_series(row)].setdefault(int(number), index) != index:
            raise InputError(f"{row.image} is a second image of slice {number} of its series: keep one of each slice")
    found = np.empty((len(manifest), 2 * neighbours + 1), dtype=np.int64)
    for slices in series.values():
        numbers = sorted(slices)
        rows = np.array([slices[number] for number in numbers], dtype=np.int64)
        found[rows] = rows[neighbour_indices(np.array(numbers, dtype=np.int64), neighbours)]
    return found


def known_views(manifest: Manifest) -> NDArray[np.float64] | None:
    """The part of each image that the manifest says is shown; None where its column ``view`` is not filled.

    Returns:
        (images, 4): first row, end of the rows, first column, end of the columns, as parts of the image's sides.

    Raises:
        InputError: a view that is not such numbers, is empty, or reaches beyond the image.
    """
    texts = [row.extra.get(VIEW, "") for row in manifest.rows]
    if not any(texts):
        return None
    return np.array([_view(text, row) for text, row in zip(texts, manifest.rows, strict=True)], dtype=np.float64)


def view_text(view: tuple[float, float, float, float]) -> str:
    """A view as a manifest holds it.

    Example:
        >>> view_text((0.25, 0.75, 0.0, 1.0))
        '0.250000 0.750000 0.000000 1.000000'
    """
    return " ".join(f"{side:.6f}" for side in view)


def series_boxes(manifest: Manifest, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The box around everything that is marked in the series of each image.

    Args:
        manifest: of n images.
        masks: (n, row, column).

    Returns:
        (n, 4) as of ``known_views``; (0, 1, 0, 1) where nothing is marked in the series.
    """
    series: dict[object, list[int]] = defaultdict(list)
    for index, row in enumerate(manifest.rows):
        series[_series(row) if row.series else index].append(index)
    found = np.empty((len(manifest), 4), dtype=np.float64)
    rows, columns = masks.shape[1:]
    for images in series.values():
        marked = np.zeros((rows, columns), dtype=np.bool_)
        for index in images:
            marked |= masks[index]
        down, across = (np.flatnonzero(marked.any(axis=axis)) for axis in (1, 0))
        found[images] = (
            (down[0] / rows, (down[-1] + 1) / rows, across[0] / columns, (across[-1] + 1) / columns)
            if down.size
            else _WHOLE
        )
    return found


@dataclass(frozen=True, slots=True, eq=False)
class DrawnViews:
    """A view of each image of each epoch: the box of its series with a margin on each side, drawn evenly.

    Attributes:
        boxes: (images, 4) as of ``series_boxes``.
        margin: the largest, as a part of the image's side.
        seed: of the training.
    """

    boxes: NDArray[np.float64] = field(repr=False)
    margin: float
    seed: int

    def __call__(self, *, epoch: int, row: int) -> NDArray[np.float64]:
        """(4,), which follows from the seed, the epoch and the row."""
        drawn = np.random.default_rng([self.seed, _VIEW_STREAM, epoch, row]).uniform(0, self.margin, size=4)
        return np.asarray(np.clip(self.boxes[row] + drawn * (-1, 1, -1, 1), 0, 1))


def blanked(images: NDArray[np.float32], views: NDArray[np.float64]) -> NDArray[np.float32]:
    """Images (n, channel, row, column) with 0 outside their views (n, 4); borders at the nearest pixel."""
    out = np.zeros_like(images)
    for image, view, one in zip(images, views, out, strict=True):
        part = view_slices(view, (image.shape[1], image.shape[2]))
        one[:, *part] = image[:, *part]
    return out


def view_slices(view: NDArray[np.float64], shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of a view (4,) in an image of this shape."""
    top, bottom, left, right = np.rint(view * (shape[0], shape[0], shape[1], shape[1])).astype(int).tolist()
    return slice(top, bottom), slice(left, right)


def _series(row: ImageRow) -> tuple[str, str, str]:
    return row.patient, row.study, row.series


def _view(text: str, row: ImageRow) -> tuple[float, ...]:
    if not text:
        return _WHOLE
    try:
        sides = tuple(float(word) for word in text.split())
    except ValueError:
        sides = ()
    is_inside = len(sides) == 4 and all(math.isfinite(side) and 0 <= side <= 1 for side in sides)
    if not (is_inside and sides[0] < sides[1] and sides[2] < sides[3]):
        raise InputError(
            f"the manifest gives {row.image} the view {text!r}; it must be first row, end of the rows, first column "
            "and end of the columns, each from 0 to 1, as 0.25 0.75 0.1 0.9"
        )
    return sides
