"""Sagittal and coronal pictures of a leg out of its axial slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.geometry import Grid

__all__ = ["plane_axes", "reformat"]


def plane_axes(grid: Grid) -> dict[str, int]:
    """Which array axis a picture of each plane runs across: axial 0, the others 2 and 1, or 1 and 2 in a side position.

    Example:
        >>> from osteon.geometry import Grid
        >>> plane_axes(Grid.from_axes(shape=(4, 4, 4), spacing_mm=(3.0, 1.0, 1.0)))
        {'axial': 0, 'sagittal': 2, 'coronal': 1}
    """
    columns_run_across = abs(grid.directions[2][0]) >= abs(grid.directions[1][0])
    return (
        {"axial": 0, "sagittal": 2, "coronal": 1} if columns_run_across else {"axial": 0, "sagittal": 1, "coronal": 2}
    )


def reformat(
    plane: NDArray[Any],
    keep: NDArray[np.bool_],
    *,
    spacing_mm: tuple[float, float],
    size: int,
    flip: tuple[bool, bool] = (False, False),
) -> NDArray[np.float32]:
    """One picture with square pixels, scaled to 0..1.

    The longer side fills the picture and the shorter one lies in its middle. Between slices values are interpolated
    linearly, along them the nearest is taken. What is not kept, or lies outside, takes the smallest value.

    Args:
        plane: (slice, n) HU, cut out of the box of a leg.
        keep: of the same shape: what belongs to the leg.
        spacing_mm: between slices, and along n.
        size: rows and columns of the picture.
        flip: turn the picture upside down, or left to right.

    Returns:
        (size, size) float32: smallest value 0, largest 1; all 0 when there is one value only.
    """
    values = np.where(keep, plane, plane.min()).astype(np.float32)
    side_mm = max(count * step for count, step in zip(plane.shape, spacing_mm, strict=True))
    (slices, slices_in), (places, places_in) = (
        _places(count, step_mm, side_mm, size) for count, step_mm in zip(plane.shape, spacing_mm, strict=True)
    )
    lower = np.floor(slices).astype(np.int64)
    upper = np.minimum(lower + 1, plane.shape[0] - 1)
    weight = (slices - lower).astype(np.float32)[:, None]
    across = values[:, np.floor(places + 0.5).astype(np.int64).clip(0, plane.shape[1] - 1)]
    picture = (1 - weight) * across[lower] + weight * across[upper]
    inside = slices_in[:, None] & places_in
    low = float(picture[inside].min())
    span = float(picture[inside].max()) - low
    if span <= 0:
        return np.zeros((size, size), dtype=np.float32)
    scaled = np.where(inside, (picture - low) / span, 0).astype(np.float32).clip(0.0, 1.0)
    return np.ascontiguousarray(scaled[:: -1 if flip[0] else 1, :: -1 if flip[1] else 1])


def _places(count: int, step_mm: float, side_mm: float, size: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Where each output pixel's centre lies among ``count`` samples, kept inside, and whether it was inside."""
    from_middle_mm = (np.arange(size) + 0.5) * (side_mm / size) - side_mm / 2
    place = from_middle_mm / step_mm + (count - 1) / 2
    inside = (place >= -0.5) & (place <= count - 0.5)
    return place.clip(0, count - 1), inside
