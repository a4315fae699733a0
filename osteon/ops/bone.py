"""Bone of one leg on CT: the paper's chain.

Gaussian, k-means on intensity with the brightest cluster kept, slice-wise closing and hole filling, closing with a
ball, small floating parts dropped (spec section 7).

Where the paper is silent:

* The Gaussian runs slice by slice. Slices lie further apart than pixels (1 mm and more against 0.5 to 1 mm), so a
Gaussian over
  voxels would blur thin joint spaces along the leg several times more than across it.
* K-means is solved exactly, on whole HU after the Gaussian (``osteon.ops.clustering``).
* The slice-wise closing has a disk of radius 2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from osteon._compiled import in_threads
from osteon.data import Notice
from osteon.errors import InputError, NotThisTaskError, UnknownLabelError, nearest_names
from osteon.ops.bone_kernel import smooth_slice
from osteon.ops.closing import ball_rows, close_ball, fill_holes
from osteon.ops.clustering import exact_kmeans
from osteon.ops.opening import reflected_indices

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BoneMask", "BoneOptions", "segment_bone", "smooth_slices"]

DENSE_BONE_HU = 2000
"""Cortex of a femoral shaft reaches about this."""


@dataclass(frozen=True, slots=True)
class BoneOptions:
    """Settings of the chain; the defaults are the paper's.

    Attributes:
        units: of sigma and the radii: "voxel" (the paper) or "mm".
        sigma: of the Gaussian in the picture plane.
        clusters: k of k-means.
        slice_radius: of the disk that closes each slice.
        ball_radius: of the ball that closes the volume.
        min_part_mm3: parts smaller than this are dropped; 0 keeps all.
        metal_hu: above it is metal.
        min_metal_mm3: less metal than this is ignored.

    Raises:
        InputError: a negative number, or no cluster.
        UnknownLabelError: units that do not exist.
    """

    units: Literal["voxel", "mm"] = "voxel"
    sigma: float = 2.0
    clusters: int = 5
    slice_radius: float = 2.0
    ball_radius: float = 3.0
    min_part_mm3: float = 100.0
    metal_hu: int = 3000
    min_metal_mm3: float = 50.0

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        if self.units not in ("voxel", "mm"):
            raise UnknownLabelError(f"no unit {self.units!r}: {nearest_names(self.units, ('voxel', 'mm'))}")
        numbers = (self.sigma, self.slice_radius, self.ball_radius, self.min_part_mm3, self.min_metal_mm3)
        if min(numbers) < 0 or self.clusters < 2:
            raise InputError(f"bone options must not be negative and k at least 2, found {self}")


@dataclass(frozen=True, slots=True, eq=False)
class BoneMask:
    """Bone of one leg, on the grid of the crop.

    Attributes:
        parts: (slice, row, column) uint16; 0 none, 1 the largest part, 2 the next... (26-connected).
        part_volumes_mm3: of part 1, 2...
        threshold_hu: smallest smoothed HU of the brightest cluster.
        centres_hu: cluster means, ascending.
        has_metal: whether metal was left out of the clustering.
        notices: choices and warnings.
    """

    parts: NDArray[np.uint16] = field(repr=False)
    part_volumes_mm3: tuple[float, ...]
    threshold_hu: int
    centres_hu: tuple[float, ...]
    has_metal: bool = False
    notices: tuple[Notice, ...] = ()

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(slice, row, column) bool: any part."""
        return self.parts > 0


def smooth_slices(array: NDArray[Any], *, sigma: tuple[float, float]) -> NDArray[np.int16]:
    """Gaussian of every slice, rounded to whole HU; edges mirrored, cut off at 4 sigma.

    Args:
        array: (slice, row, column) HU.
        sigma: along (row, column), in voxels.

    Returns:
        (slice, row, column) int16: ``rint`` of scipy's ``gaussian_filter`` of each slice as float32.
    """
    weights = [_half_gaussian(s) for s in sigma]
    rows_of, columns_of = (reflected_indices(n, w.size - 1) for n, w in zip(array.shape[1:], weights, strict=True))
    smoothed = np.empty(array.shape, dtype=np.int16)

    def work(first: int, stop: int) -> None:
        for k in range(first, stop):
            smooth_slice(array[k], weights[0], weights[1], rows_of, columns_of, smoothed[k])

    in_threads(work, array.shape[0], chunk=8)
    return smoothed


def _half_gaussian(sigma: float) -> NDArray[np.float64]:
    """Weights of the centre and of one side, as scipy computes them."""
    if sigma == 0:
        return np.ones(1)
    radius = int(4.0 * sigma + 0.5)
    weights = np.exp(-0.5 / (sigma * sigma) * np.arange(-radius, radius + 1) ** 2)
    weights = weights / weights.sum()
    return np.ascontiguousarray(weights[radius:])


def segment_bone(
    array: NDArray[Any],
    *,
    spacing_mm: tuple[float, float, float],
    keep: NDArray[np.bool_] | None = None,
    options: BoneOptions | None = None,
) -> BoneMask:
    """Bone of one leg.

    Args:
        array: (slice, row, column) HU of the leg's box.
        spacing_mm: of (slice, row, column).
        keep: of the same shape; elsewhere counts as air (the other leg, the table). None keeps everything.
        options: of the chain.

    Returns:
        The mask by parts. Empty parts when nothing of the brightest cluster is large enough.

    Raises:
        NotThisTaskError: the crop is constant, so there is nothing to cluster.

    References:
        CT osteosarcoma spec, section 7.
    """
    chosen = BoneOptions() if options is None else options
    scale = (1.0, 1.0, 1.0) if chosen.units == "voxel" else spacing_mm
    voxel_mm3 = float(np.prod(spacing_mm))
    array = array if keep is None else np.where(keep, array, np.asarray(-1024, dtype=array.dtype))
    metal, array = _metal_and_capped(array, chosen, voxel_mm3)
    smoothed = smooth_slices(array, sigma=(chosen.sigma / scale[1], chosen.sigma / scale[2]))
    counted = smoothed if metal is None else smoothed[~_near(metal, ceil(4 * chosen.sigma / min(scale[1:])))]
    low = int(counted.min()) if counted.size else 0
    if counted.size == 0 or int(counted.max()) == low:
        raise NotThisTaskError("asked for bone, found a crop of one single value: the series holds no picture here")
    histogram = np.bincount(counted.ravel().astype(np.int32) - low)
    centres, starts, _ = exact_kmeans(histogram, clusters=chosen.clusters, low=low)
    threshold = int(starts[-1])
    mask = smoothed >= threshold
    mask = fill_holes(close_ball(mask, ball_rows(chosen.slice_radius, spacing=scale, flat=True)))
    mask = close_ball(mask, ball_rows(chosen.ball_radius, spacing=scale))
    parts, volumes = _sorted_parts(mask, voxel_mm3, chosen.min_part_mm3)
    return BoneMask(
        parts=parts,
        part_volumes_mm3=volumes,
        threshold_hu=threshold,
        centres_hu=tuple(float(c) for c in centres),
        has_metal=metal is not None,
        notices=_notices(metal is not None, threshold),
    )


def _metal_and_capped(
    array: NDArray[Any], options: BoneOptions, voxel_mm3: float
) -> tuple[NDArray[np.bool_] | None, NDArray[Any]]:
    """Where metal is (None: too little to matter), and the array with metal no brighter than dense bone."""
    metal = array > options.metal_hu
    if np.count_nonzero(metal) * voxel_mm3 < max(options.min_metal_mm3, voxel_mm3):
        return None, array
    return metal, np.minimum(array, np.asarray(DENSE_BONE_HU, dtype=array.dtype))


def _near(metal: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Voxels of a slice whose smoothed value metal has touched (a square of the Gaussian's reach)."""
    from scipy import ndimage

    near: NDArray[np.bool_] = ndimage.maximum_filter(metal.astype(np.uint8), size=(1, 2 * reach + 1, 2 * reach + 1)) > 0
    return near


def _sorted_parts(
    mask: NDArray[np.bool_], voxel_mm3: float, min_part_mm3: float
) -> tuple[NDArray[np.uint16], tuple[float, ...]]:
    """Parts numbered by size, the small ones dropped; of equal ones the first in the array comes first."""
    import cc3d

    labels, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    order = [int(i) for i in np.argsort(-sizes, kind="stable") if sizes[i] > 0 and sizes[i] * voxel_mm3 >= min_part_mm3]
    order = order[: np.iinfo(np.uint16).max]
    renamed = np.zeros(count + 1, dtype=np.uint16)
    renamed[order] = np.arange(1, len(order) + 1)
    return renamed[labels], tuple(float(sizes[i]) * voxel_mm3 for i in order)


def _notices(has_metal: bool, threshold_hu: int) -> tuple[Notice, ...]:  # noqa: FBT001 - private
    notices = []
    if has_metal:
        text = (
            "Metal was left out of the clustering that finds bone, or it alone would be the brightest cluster; "
            "it shows as bone."
        )
        notices.append(Notice(code="bone-metal-left-out", text=text, level="warning"))
    if threshold_hu < 80:
        text = (
            f"The brightest cluster begins at {threshold_hu} HU, within the range of muscle: "
            "what is shown as bone may be soft tissue."
        )
        notices.append(Notice(code="bone-threshold-low", text=text, level="warning"))
    return tuple(notices)
