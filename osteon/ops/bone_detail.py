"""Bone in detail: joints open, thin cortex kept. A second look at what the paper's chain found.

The paper's chain smooths with sigma 2 and closes with a ball of 3 voxels, so that on a real foot the tarsal bones are
one block and the thin shell of the heel bone is lost; and where thick cortex is in the picture, the brightest cluster
begins at 500 HU and more, so that the spongy ends of femur and tibia are lost. Here a threshold of at most 300 HU is
applied to a picture that is sharpened instead of smoothed. A piece counts as bone when the paper's mask confirms a part
of it, or when it is too thick for a vessel. What is thinner than a toe and lies in air (a wire, a fold of a blanket) is
not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon._compiled import in_threads
from osteon.ops.closing import fill_holes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.ops.bone import BoneMask

__all__ = ["refine_bone"]

AIR_HU, DENSE_HU = -200, 1500
"""Beyond these nothing is learnt about where bone ends, and sharpening would ring."""

NOISE_SIGMA_MM = 0.5
SHARPEN_SIGMA_MM = 2.5
SHARPEN_AMOUNT = 1.0
FLESH_HU = -300
FLESH_RADIUS_MM = 4.0
"""Half the thickness of a small toe: thinner things in air are no part of a leg."""

MAX_THRESHOLD_HU = 300
"""Spongy bone and thin cortex reach it once sharpened; muscle, fat and most contrast-filled vessels do not."""

MIN_OVERLAP = 0.1
"""A piece of which less lies in the paper's mask must be thick to be bone."""

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
    flesh = np.zeros(array.shape, dtype=np.bool_)
    plane = _sharpened(array, keep, flesh, spacing_mm)
    threshold_hu = min(coarse.threshold_hu, MAX_THRESHOLD_HU)
    bone = (plane >= threshold_hu) & flesh
    bone |= _marrow(bone)
    bone = _majority(bone)
    parts, volumes = _pieces(bone, coarse, spacing_mm=spacing_mm, min_part_mm3=min_part_mm3)
    return replace(coarse, parts=parts, part_volumes_mm3=volumes, threshold_hu=threshold_hu)


def _sharpened(
    array: NDArray[Any],
    keep: NDArray[np.bool_] | None,
    flesh: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
) -> NDArray[np.float32]:
    """Sharpened HU; fills ``flesh``."""
    import cv2
    from scipy import ndimage

    slice_mm, row_mm, column_mm = spacing_mm
    fine = np.empty(array.shape, dtype=np.float32)
    blurred = np.empty(array.shape, dtype=np.float32)
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
            flesh[k] = body > 0
            picture = np.clip(hu, AIR_HU, DENSE_HU).astype(np.float32)
            fine[k] = gauss(picture, NOISE_SIGMA_MM)
            blurred[k] = gauss(picture, SHARPEN_SIGMA_MM)

    in_threads(work, array.shape[0], chunk=8)
    fine = ndimage.gaussian_filter1d(fine, NOISE_SIGMA_MM / slice_mm, axis=0, output=np.float32)
    blurred = ndimage.gaussian_filter1d(blurred, SHARPEN_SIGMA_MM / slice_mm, axis=0, output=np.float32)
    return np.asarray(fine + SHARPEN_AMOUNT * (fine - blurred), dtype=np.float32)


def _marrow(bone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What cortex encloses in a slice, pores of one voxel in the cortex notwithstanding."""
    from scipy import ndimage

    closed = ndimage.binary_closing(np.pad(bone, 2), ndimage.generate_binary_structure(3, 1))[2:-2, 2:-2, 2:-2]
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
    size = np.bincount(labels.ravel(), minlength=count + 1)
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
