"""The skeleton and every lesion as named surfaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon.geometry import Grid
from osteon.mesh import extract_surface, simplify, smooth_taubin
from osteon.systems.ct_metastasis.text import colour_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from osteon.data import Surface
    from osteon.data.options import Progress
    from osteon.ops.series_images import SeriesImages
    from osteon.systems.ct_metastasis.search import FoundLesion

__all__ = ["image_grid", "trunk_surfaces"]

SKELETON_TRIANGLES = 300_000
LESION_TRIANGLES = 20_000
STEP_MM = 1.75
"""Slices of the skeleton are thinned out to about this: its pixels are as large."""


def image_grid(grid: Grid, images: SeriesImages) -> Grid:
    """Where the images of a series lie.

    Args:
        grid: of the (turned) series.
        images: of it.
    """
    frame = images.frame
    affine = grid.affine.copy()
    start = [float(images.slices[0]), 0.0, 0.0]
    affine[:3, 0] *= int(images.slices[1] - images.slices[0]) if images.slices.size > 1 else 1
    for axis in (0, 1):
        ratio = frame.source[axis] / frame.scaled[axis]
        before = (frame.size[axis] - frame.scaled[axis]) // 2
        start[axis + 1] = (0.5 - before) * ratio - 0.5
        affine[:3, axis + 1] *= ratio
    affine[:3, 3] = grid.to_lps_mm(start)
    return Grid(shape=(images.slices.size, *frame.size), affine=affine)


def trunk_surfaces(
    bone: NDArray[np.bool_],
    images: SeriesImages,
    *,
    grid: Grid,
    lesions_mask: NDArray[np.uint8],
    lesions: tuple[FoundLesion, ...],
    progress: Progress,
) -> tuple[Surface, ...]:
    """Surfaces "skeleton" and "lesion_1", "lesion_2"... in that order.

    Args:
        bone: (n, row, column) bool on the images, lesions included.
        images: of the series.
        grid: of the (turned) series and of the mask.
        lesions_mask: (slice, row, column) uint8 on that grid.
        lesions: whose labels the mask holds.
        progress: told about every surface.
    """
    step = "surfaces"
    total = len(lesions) + 1
    progress(step, 0, total)
    surfaces = []
    if bone.any():
        thin = max(1, round(STEP_MM / images.slice_mm))
        whole = image_grid(grid, images)
        affine = whole.affine.copy()
        affine[:3, 0] *= thin
        kept = bone[::thin]
        coarse = Grid(shape=(len(kept), *bone.shape[1:]), affine=affine)
        surface = smooth_taubin(extract_surface(kept, coarse, name="skeleton"))
        surfaces.append(simplify(surface, target_triangles=SKELETON_TRIANGLES))
    progress(step, 1, total)
    for number, one in enumerate(lesions, start=1):
        shape = one.shape
        block = tuple(slice(a, b) for a, b in zip(shape.start, shape.stop, strict=True))
        surface = extract_surface(
            lesions_mask[block] == shape.label,
            grid.crop(shape.start, shape.stop),
            name=f"lesion_{shape.label}",
            colour=(*colour_of(shape.label), 255),
        )
        surfaces.append(simplify(smooth_taubin(surface), target_triangles=LESION_TRIANGLES))
        progress(step, number + 1, total)
    return tuple(surfaces)
