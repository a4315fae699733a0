"""The largest distance between two points of a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["largest_distance_mm", "outline_points_mm"]


def outline_points_mm(
    mask: NDArray[np.bool_], *, spacing_mm: tuple[float, float], height_mm: float, slice_mm: float
) -> NDArray[np.float64]:
    """Points of one slice among which those furthest apart lie.

    They are the middles of the faces of the voxels at the corners of the convex outline: where a surface halfway
    between voxels inside and outside runs.

    Args:
        mask: (row, column) bool.
        spacing_mm: of rows and columns.
        height_mm: of the slice's middle.
        slice_mm: thickness.

    Returns:
        (n, 3) as (height, row, column) in mm; empty for an empty mask.
    """
    import cv2

    places = cv2.findNonZero(mask.astype(np.uint8))
    if places is None:
        return np.empty((0, 3))
    corners = cv2.convexHull(places).reshape(-1, 2)[:, ::-1].astype(np.float64) * spacing_mm
    centres = np.column_stack([np.full(len(corners), height_mm), corners])
    half = np.diag([slice_mm / 2, spacing_mm[0] / 2, spacing_mm[1] / 2])
    steps = np.concatenate([half, -half])
    return np.asarray((centres[:, None] + steps).reshape(-1, 3))


def largest_distance_mm(points_mm: NDArray[np.float64]) -> float:
    """Largest distance between any two points (the maximum Feret diameter); 0 for fewer than two.

    Args:
        points_mm: (n, 2) or (n, 3).

    Example:
        >>> largest_distance_mm(np.array([[0.0, 0.0, 0.0], [3.0, 4.0, 0.0], [1.0, 1.0, 1.0]]))
        5.0
    """
    from scipy.spatial import ConvexHull, QhullError
    from scipy.spatial.distance import pdist

    points = np.unique(points_mm, axis=0)
    if len(points) > 64:
        try:
            points = points[ConvexHull(points).vertices]
        except QhullError:  # all in one plane
            points = points[:: max(1, len(points) // 2000)]
    return float(pdist(points).max(initial=0.0)) if len(points) > 1 else 0.0
