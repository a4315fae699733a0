"""Where a picture of the patient is taken from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from osteon.errors import InputError, UnknownLabelError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from osteon.data import Surface

__all__ = ["VIEWS", "Camera", "View", "fit_camera"]

View = Literal[
    "anterior",
    "posterior",
    "left",
    "right",
    "superior",
    "inferior",
    "anterior-left",
    "anterior-right",
    "posterior-left",
    "posterior-right",
]

VIEWS: Final[dict[str, tuple[float, float]]] = {
    # degrees: how far the viewer walks from the patient's front towards the patient's left, and how far up
    "anterior": (0, 0),
    "posterior": (180, 0),
    "left": (90, 0),
    "right": (-90, 0),
    "superior": (0, 90),
    "inferior": (0, -90),
    "anterior-left": (40, 15),
    "anterior-right": (-40, 15),
    "posterior-left": (140, 15),
    "posterior-right": (-140, 15),
}


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A viewer infinitely far away (parallel projection): one millimetre is as long everywhere in the picture.

    Attributes:
        axes: (3, 3); rows are the LPS unit vectors that point right, up and towards the viewer.
        centre_lps_mm: (3,) what lies in the middle of the picture.
        mm_per_px: side of a pixel.
        size: (width, height) in pixels.
    """

    axes: NDArray[np.float64]
    centre_lps_mm: NDArray[np.float64]
    mm_per_px: float
    size: tuple[int, int]

    def project(self, points_lps_mm: ArrayLike) -> NDArray[np.float64]:
        """Map (..., 3) LPS millimetres to (column, row, nearness).

        Column and row are in pixels from the upper left corner of the picture (the centre of the first pixel is at
        0.5); nearness is in millimetres from the middle towards the viewer.
        """
        seen = (np.asarray(points_lps_mm, dtype=np.float64) - self.centre_lps_mm) @ self.axes.T
        width, height = self.size
        column = seen[..., 0] / self.mm_per_px + width / 2
        row = height / 2 - seen[..., 1] / self.mm_per_px
        return np.stack([column, row, seen[..., 2]], axis=-1)


def fit_camera(
    surfaces: Sequence[Surface],
    *,
    view: View = "anterior",
    size: tuple[int, int] = (1000, 1400),
    margin: float = 0.05,
    mm_per_px: float | None = None,
) -> Camera:
    """The camera that shows all surfaces from one side, as large as the picture allows.

    Seen from the front the patient's left is on the viewer's right, as in radiographs; the head is up, in the views
    from above and below the front is.

    Args:
        surfaces: what must be in the picture.
        view: one of `VIEWS`.
        size: (width, height) in pixels.
        margin: share of the width and of the height that stays free on each side.
        mm_per_px: a scale instead of the largest that fits; what does not fit is cut off.

    Raises:
        UnknownLabelError: no such view.
        InputError: no vertex to look at, or a picture without pixels.
    """
    if view not in VIEWS:
        raise UnknownLabelError(f"no view {view!r}: {nearest_names(view, VIEWS)}")
    width, height = size
    if width < 1 or height < 1 or not 0 <= margin < 0.5:
        raise InputError(f"a picture needs pixels and a margin from 0 to below 0.5, found {size} and {margin}")
    filled = [surface.vertices_lps_mm for surface in surfaces if surface.vertices_lps_mm.size]
    if not filled:
        raise InputError("there is no surface to look at")
    axes = _axes_of(view)
    seen = [vertices @ axes.T for vertices in filled]
    low = np.min([points.min(axis=0) for points in seen], axis=0).astype(np.float64)
    high = np.max([points.max(axis=0) for points in seen], axis=0).astype(np.float64)
    free = 1 - 2 * margin
    extent = high - low
    scale = max(float(extent[0]) / (width * free), float(extent[1]) / (height * free), 1e-6)
    return Camera(axes=axes, centre_lps_mm=(low + high) / 2 @ axes, mm_per_px=mm_per_px or scale, size=(width, height))


def _axes_of(view: str) -> NDArray[np.float64]:
    """(3, 3) right, up and towards the viewer, in LPS."""
    around, above = np.radians(VIEWS[view])
    right = np.array([np.cos(around), np.sin(around), 0.0])
    level = np.array([np.sin(around), -np.cos(around), 0.0])  # towards the viewer, before climbing
    head = np.array([0.0, 0.0, 1.0])
    towards = np.cos(above) * level + np.sin(above) * head
    up = np.cross(towards, right)
    return np.stack([right, up, towards])
