"""Bone of one leg on CT: the paper's chain.

Gaussian, k-means on intensity with the brightest cluster kept, slice-wise closing and hole filling, closing with a
ball, small floating parts dropped (spec section 7).

Where the paper is silent:

* The Gaussian runs slice by slice. Slices are further apart than pixels (1 mm and more against 0.5 to 1 mm), so a
Gaussian over
  voxels would blur thin joint spaces along the leg several times more than across it.
* K-means is solved exactly, on whole HU after the Gaussian (``osteon.ops.clustering``).
* The slice-wise closing has a disk of radius 2.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from osteon._compiled import compiled, in_threads
from osteon.data import Notice
from osteon.errors import InputError, NotThisTaskError, UnknownLabelError, nearest_names
from osteon.ops.closing import ball_rows, close_ball, fill_holes

if TYPE_CHECKING:
    from numpy.typing import NDArray


__all__ = ["BoneMask", "BoneOptions", "exact_kmeans", "refine_bone", "segment_bone", "smooth_slices"]


DENSE_BONE_HU = 2000
"""Cortex of a femoral shaft reaches about this."""


@dataclass(frozen=True, slots=True)
class BoneOptions:
    """Settings of the chain; the defaults are the paper's.

    Raises:
        InputError: a negative number, or no cluster.
        UnknownLabelError: units that do not exist.
    """

    units: Literal["voxel", "mm"] = "voxel"  # of sigma and the radii: "voxel" (the paper) or "mm"
    sigma: float = 2.0  # of the Gaussian in the picture plane
    clusters: int = 5  # k of k-means
    slice_radius: float = 2.0  # of the disk that closes each slice
    ball_radius: float = 3.0  # of the ball that closes the volume
    min_part_mm3: float = 100.0  # parts smaller than this are dropped; 0 keeps all
    metal_hu: int = 3000  # above it is metal
    min_metal_mm3: float = 50.0  # less metal than this is ignored

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        if self.units not in ("voxel", "mm"):
            raise UnknownLabelError(f"no unit {self.units!r}: {nearest_names(self.units, ('voxel', 'mm'))}")
        numbers = (self.sigma, self.slice_radius, self.ball_radius, self.min_part_mm3, self.min_metal_mm3)
        if min(numbers) < 0 or self.clusters < 2:
            raise InputError(f"bone options must not be negative and k at least 2, found {self}")


@dataclass(frozen=True, slots=True, eq=False)
class BoneMask:
    """Bone of one leg, on the grid of the crop."""

    # (slice, row, column) uint16; 0 none, 1 the largest part, 2 the next... (26-connected).
    parts: NDArray[np.uint16] = field(repr=False)
    part_volumes_mm3: tuple[float, ...]  # of part 1, 2...
    threshold_hu: int  # smallest smoothed HU of the brightest cluster
    centres_hu: tuple[float, ...]  # cluster means, ascending
    notices: tuple[Notice, ...] = ()  # choices and warnings

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(slice, row, column) bool: any part."""
        return self.parts > 0


def smooth_slices(array: NDArray[Any], *, sigma: tuple[float, float]) -> NDArray[np.int16]:
    """Gaussian of every slice, rounded to whole HU; edges mirrored, cut off at 4 sigma.

    ``sigma`` is along (row, column), in voxels. The result is int16 of the same shape.
    """
    from scipy import ndimage

    smoothed = np.empty(array.shape, dtype=np.int16)

    def work(first: int, stop: int) -> None:
        for k in range(first, stop):
            smoothed[k] = np.rint(ndimage.gaussian_filter(array[k].astype(np.float32), sigma))

    in_threads(work, array.shape[0], chunk=8)
    return smoothed


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
    histogram = _count_values(counted, int(counted.max()) - low + 1, low=low)
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


def _count_values(array: NDArray[np.integer], count: int, *, low: int = 0) -> NDArray[np.int64]:
    """How often each of the ``count`` whole numbers from ``low`` on is there; numpy would widen all of it at once."""
    counts = np.zeros(count, dtype=np.int64)
    for part in np.array_split(array.reshape(-1), max(1, array.size >> 20)):
        counts += np.bincount(part.astype(np.int64) - low, minlength=count)
    return counts


def _sorted_parts(
    mask: NDArray[np.bool_], voxel_mm3: float, min_part_mm3: float
) -> tuple[NDArray[np.uint16], tuple[float, ...]]:
    """Parts numbered by size, the small ones dropped; of equal ones the first in the array comes first."""
    import cc3d

    labels, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
    sizes = _count_values(labels, count + 1)
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


def exact_kmeans(
    counts: NDArray[Any], *, clusters: int, low: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """The partition of whole numbers into k clusters with the smallest sum of squared distances to the cluster means.

    Of several best partitions the one with the lowest boundaries is taken, the highest boundary first: a value that
    could be in two clusters goes to the brighter one.

    Args:
        counts: (n,) how often ``low``, ``low + 1``... occur.
        clusters: k. With fewer distinct values than k, each value is a cluster of its own.
        low: value of the first bin.

    Returns:
        (k,) cluster means ascending; (k,) smallest value that occurs in each cluster; the sum of squares (inertia).

    Raises:
        InputError: no values, or k below 1.

    References:
        Wang and Song, R Journal 3 (2011), doi:10.32614/RJ-2011-015.

    Example:
        >>> means, starts, inertia = exact_kmeans(np.array([4, 0, 0, 1, 1]), clusters=2, low=10)
        >>> means.tolist(), starts.tolist(), inertia
        ([10.0, 13.5], [10, 13], 0.5)
    """
    used = np.flatnonzero(counts)
    if used.size == 0 or clusters < 1:
        raise InputError(
            f"clusters need at least one value and k of 1 or more, found {used.size} values and k={clusters}"
        )
    k = min(clusters, used.size)
    weights = np.asarray(counts, dtype=np.float64)[used]
    # centred values keep the sums of squares small: the differences of prefix sums stay exact to about 1e-12
    centre = float(np.round((weights * used).sum() / weights.sum()))
    values = used - centre
    sums = [np.concatenate(([0.0], np.cumsum(weights * values**power))) for power in (0, 1, 2)]
    starts, inertia = _best_intervals(sums[0], sums[1], sums[2], k)
    bounds = np.append(starts, used.size)
    means = np.diff(sums[1][bounds]) / np.diff(sums[0][bounds])
    return means + centre + low, used[starts].astype(np.int64) + low, float(inertia)


@compiled
def _cost(weight: NDArray[Any], first: NDArray[Any], second: NDArray[Any], i: int, j: int) -> float:
    """Sum of squared distances to the mean of values i to j - 1."""
    total = weight[j] - weight[i]
    moment = first[j] - first[i]
    squares: float = second[j] - second[i] - moment * moment / total
    return max(squares, 0.0)


@compiled
def _best_intervals(
    weight: NDArray[Any], first: NDArray[Any], second: NDArray[Any], clusters: int
) -> tuple[NDArray[np.int64], float]:
    """Starts of the best intervals and their cost.

    The best last start grows with the end of the range (the cost is Monge), so each row of the table is filled by
    halving: n log n costs a cluster instead of n squared.
    """
    n = weight.size - 1
    best = np.empty(n + 1, np.float64)
    best[0] = 0.0
    for j in range(1, n + 1):
        best[j] = _cost(weight, first, second, 0, j)
    origin = np.zeros((clusters, n + 1), np.int64)
    stack = np.empty((2 * n + 64, 4), np.int64)
    for cluster in range(1, clusters):
        row = np.full(n + 1, np.inf)
        depth = 0
        stack[0] = (cluster + 1, n, cluster, n - 1)
        depth = 1
        while depth > 0:
            depth -= 1
            low, high, low_from, high_from = stack[depth]
            if low > high:
                continue
            middle = (low + high) // 2
            smallest = np.inf
            where = low_from
            for i in range(max(low_from, cluster), min(high_from, middle - 1) + 1):
                value = best[i] + _cost(weight, first, second, i, middle)
                if value < smallest:
                    smallest = value
                    where = i
            row[middle] = smallest
            origin[cluster, middle] = where
            stack[depth] = (low, middle - 1, low_from, where)
            stack[depth + 1] = (middle + 1, high, where, high_from)
            depth += 2
        best = row
    starts = np.zeros(clusters, np.int64)
    end = n
    for cluster in range(clusters - 1, 0, -1):
        starts[cluster] = origin[cluster, end]
        end = starts[cluster]
    return starts, best[n]


AIR_HU, DENSE_HU = -200, 1500
"""Beyond these nothing is learnt about where bone ends, and sharpening would ring."""

NOISE_SIGMA_MM = 0.5
SHARPEN_SIGMA_MM = 2.5
SHARPEN_AMOUNT = 1.0
FLESH_HU = -300
FLESH_RADIUS_MM = 4.0
"""Half the thickness of a small toe: thinner things in air are not part of a leg."""

MAX_THRESHOLD_HU = 300
"""Cancellous bone and thin cortex reach it once sharpened; muscle, fat and most contrast-filled vessels do not."""

MIN_OVERLAP = 0.1
"""A piece of which less is in the paper's mask must be thick to be bone."""

THICK_RADIUS_MM = 6.0
"""Radius of the largest ball inside; a contrast-filled artery of the leg holds none so large."""


def refine_bone(
    array: NDArray[Any],
    coarse: BoneMask,
    *,
    spacing_mm: tuple[float, float, float],
    keep: NDArray[np.bool_] | None = None,
    min_part_mm3: float = 100.0,
) -> BoneMask:
    """The bone of one leg, piece by piece.

    Args:
        array: (slice, row, column) HU of the leg's box.
        coarse: of ``segment_bone`` on the same array.
        spacing_mm: of (slice, row, column).
        keep: of the same shape; elsewhere counts as air. None keeps everything.
        min_part_mm3: smaller parts are dropped.

    Returns:
        Parts that touch by faces (6-connected), the largest first; clusters and notices of ``coarse``.
        No parts where ``coarse`` has none.
    """
    if not coarse.part_volumes_mm3:
        return coarse
    threshold_hu = min(coarse.threshold_hu, MAX_THRESHOLD_HU)
    bone = _firm(array, keep, spacing_mm, threshold_hu)
    bone |= _marrow(bone)
    bone = _majority(bone)
    parts, volumes = _pieces(bone, coarse, spacing_mm=spacing_mm, min_part_mm3=min_part_mm3)
    return replace(coarse, parts=parts, part_volumes_mm3=volumes, threshold_hu=threshold_hu)


def _firm(
    array: NDArray[Any], keep: NDArray[np.bool_] | None, spacing_mm: tuple[float, float, float], threshold_hu: float
) -> NDArray[np.bool_]:
    """Where there is flesh and sharpened HU reach the threshold."""
    import cv2
    from scipy import ndimage

    slice_mm, row_mm, column_mm = spacing_mm
    fine = np.empty(array.shape, dtype=np.float32)
    blurred = np.empty(array.shape, dtype=np.float32)
    firm = np.empty(array.shape, dtype=np.bool_)
    reach = (2 * round(FLESH_RADIUS_MM / column_mm) + 1, 2 * round(FLESH_RADIUS_MM / row_mm) + 1)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, reach)

    def gauss(picture: NDArray[np.float32], sigma_mm: float) -> NDArray[np.float32]:
        return np.asarray(
            cv2.GaussianBlur(
                picture, (0, 0), sigmaX=sigma_mm / column_mm, sigmaY=sigma_mm / row_mm, borderType=cv2.BORDER_REFLECT
            )
        )

    def work(first: int, stop: int) -> None:
        for k in range(first, stop):
            hu = array[k] if keep is None else np.where(keep[k], array[k], -1024)
            body = cv2.morphologyEx(
                (hu > FLESH_HU).astype(np.uint8), cv2.MORPH_OPEN, disk, borderType=cv2.BORDER_REFLECT
            )
            firm[k] = body > 0
            picture = np.clip(hu, AIR_HU, DENSE_HU).astype(np.float32)
            fine[k] = gauss(picture, NOISE_SIGMA_MM)
            blurred[k] = gauss(picture, SHARPEN_SIGMA_MM)

    def across(first: int, stop: int) -> None:
        rows = np.s_[:, first:stop]
        sharp = ndimage.gaussian_filter1d(fine[rows], NOISE_SIGMA_MM / slice_mm, axis=0, output=np.float32)
        soft = ndimage.gaussian_filter1d(blurred[rows], SHARPEN_SIGMA_MM / slice_mm, axis=0, output=np.float32)
        firm[rows] &= sharp + SHARPEN_AMOUNT * (sharp - soft) >= threshold_hu

    in_threads(work, array.shape[0], chunk=8)
    in_threads(across, array.shape[1], chunk=16)
    return firm


def _marrow(bone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What cortex encloses in a slice, pores of one voxel in the cortex notwithstanding."""
    closed = close_ball(bone, ball_rows(1))
    return np.asarray(fill_holes(closed) & ~closed)


def _majority(bone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Each voxel as most of its 27 neighbours; takes off single voxels and fills single pits."""
    import cv2
    from scipy import ndimage

    counts = np.empty(bone.shape, dtype=np.uint8)
    for k, plane in enumerate(bone):
        counts[k] = cv2.boxFilter(plane.astype(np.uint8), -1, (3, 3), normalize=False, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(ndimage.convolve1d(counts, [1, 1, 1], axis=0, mode="nearest") > 13)


def _pieces(
    bone: NDArray[np.bool_], coarse: BoneMask, *, spacing_mm: tuple[float, float, float], min_part_mm3: float
) -> tuple[NDArray[np.uint16], tuple[float, ...]]:
    import cc3d

    voxel_mm3 = float(np.prod(spacing_mm))
    labels, count = cc3d.connected_components(bone, connectivity=6, return_N=True)
    size = _count_values(labels, count + 1)
    size[0] = 0
    inside = np.bincount(labels[coarse.mask], minlength=count + 1)
    large = size * voxel_mm3 >= max(min_part_mm3, voxel_mm3)
    confirmed = large & (inside >= MIN_OVERLAP * size)
    ball_mm3 = 4 / 3 * np.pi * THICK_RADIUS_MM**3
    for label in np.flatnonzero(large & ~confirmed & (size * voxel_mm3 >= ball_mm3)):
        confirmed[label] = _is_thick(labels, int(label), spacing_mm)
    kept = np.flatnonzero(confirmed)
    order = kept[np.argsort(-size[kept], kind="stable")]
    renamed = np.zeros(count + 1, dtype=np.uint16)
    renamed[order] = np.arange(1, order.size + 1)
    return renamed[labels], tuple(float(size[label]) * voxel_mm3 for label in order)


def _is_thick(labels: NDArray[Any], label: int, spacing_mm: tuple[float, float, float]) -> bool:
    """Whether a ball of THICK_RADIUS_MM fits into the piece."""
    import edt
    from scipy import ndimage

    (block,) = ndimage.find_objects((labels == label).astype(np.uint8))
    distance_mm = edt.edt(np.ascontiguousarray(labels[block] == label), anisotropy=spacing_mm, black_border=False)
    return bool(distance_mm.max() >= THICK_RADIUS_MM)
