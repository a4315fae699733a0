"""Lesions in the maps of a segmenter: connected in 3D, in bone, and how dense against the patient's reference bone.

Maps are bytes (255 is probability 1) on the grid of the network's images, so that a whole series fits into memory; the
outline on the CT's own grid is found slice by slice from them (``Outlines``).

* A lesion is a 26-connected piece of pixels at or above the threshold that is in bone or within a few millimetres of
  it. What the map shows elsewhere (contrast in vessels or bowel) is not a lesion.
* Its density pattern compares its pixels with the reference bone: cancellous bone outside lesions, at least two
  pixels from the outer edge, by median and 1.4826 times the median absolute deviation. The same 100 HU are dense in an
  osteoporotic spine and dark in a young one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from osteon._compiled import in_threads
from osteon.errors import InputError
from osteon.ops.closing import ball_rows, close_ball, fill_holes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.ops.series_images import SeriesImages


__all__ = [
    "NOT_DETERMINED",
    "DensityPattern",
    "LesionOptions",
    "OwnBone",
    "even_parts",
    "find_contrast",
    "find_density_pattern",
    "grown",
    "label_lesions",
    "label_pieces",
    "measure_reference_bone",
    "upper_half_mean",
]

NOT_DETERMINED: Final = "not determined"
"""In place of a site or a density pattern that was not proved."""

DensityPattern = Literal["lytic", "blastic", "mixed", "not determined"]


MOST_LESIONS = 255
"""Values of a mask of bytes."""


@dataclass(frozen=True, slots=True)
class OwnBone:
    """The patient's reference bone outside lesions, which lesions are compared with."""

    median_hu: float  # of its pixels, as the network sees them
    spread_hu: float  # 1.4826 times their median absolute deviation
    pixels: int  # how many
    lytic_below_hu: float  # a pixel of a lesion below it counts as lytic
    blastic_above_hu: float  # a pixel of a lesion above it counts as blastic


@dataclass(frozen=True, slots=True)
class LesionOptions:
    """What counts as a lesion, and as lytic or blastic.

    Raises:
        InputError: a threshold outside (0, 1], or a negative number.
    """

    threshold: float = 0.5  # of the lesion map, above 0 to 1
    bone_threshold: float = 0.5  # of the bone map
    near_bone_mm: float = 5.0  # a pixel further from bone (in its slice) belongs to no lesion
    in_bone_share: float = 0.3  # a piece with a smaller share of its pixels in bone is not a lesion...
    # ...where gaps of bone up to twice this and its holes count as bone: a lytic lesion makes them
    close_bone_mm: float = 6.0
    min_volume_mm3: float = 40.0  # smaller lesions are not listed; 40 mm3 are a ball of 4.2 mm
    # a slice with this much lesion is predicted by the segmentation; 20 mm2 are a disc of 5 mm
    slice_area_mm2: float = 20.0
    apart_mm: float = 6.0  # reference bone is at least so far from a lesion
    lytic_spreads: float = 0.75  # this many spreads below the reference bone's median a pixel is lytic...
    lytic_least_hu: float = 30.0  # ...and at least this many HU
    blastic_spreads: float = 1.5  # this many spreads above it a pixel is blastic...
    blastic_least_hu: float = 80.0  # ...and at least this many HU
    # a lesion is lytic (blastic) with at least this share of such pixels; of reference bone a quarter is lytic by this
    # measure, and a fifteenth blastic...
    main_share: float = 0.5
    # ...and less than this of the other; with at least this share of both, and the main share together, it is mixed
    other_share: float = 0.15
    least_pixels: int = 8  # fewer pixels of a lesion say nothing
    least_own_pixels: int = 300  # likewise of reference bone

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        if not (0 < self.threshold <= 1 and 0 < self.bone_threshold <= 1):
            raise InputError(
                f"thresholds of maps must be above 0 and up to 1, found {self.threshold} for lesions and "
                f"{self.bone_threshold} for bone"
            )
        if min(self.near_bone_mm, self.min_volume_mm3, self.apart_mm, self.slice_area_mm2) < 0:
            raise InputError(f"lengths, areas and volumes must not be negative, found {self}")


def grown(mask: NDArray[np.bool_], radius_px: float) -> NDArray[np.bool_]:
    """Every slice of (n, row, column) bool widened by a disc; of a radius below 1, as it is."""
    import cv2

    reach = int(radius_px)
    if reach < 1:
        return mask
    row, column = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (row * row + column * column <= radius_px * radius_px).astype(np.uint8)
    out = np.zeros_like(mask)

    def work(first: int, stop: int) -> None:
        for k in range(first, stop):
            if mask[k].any():
                out[k] = cv2.dilate(mask[k].view(np.uint8), disc) > 0

    in_threads(work, len(mask), chunk=16)
    return out


def label_lesions(
    lesion: NDArray[np.uint8],
    bone: NDArray[np.bool_],
    *,
    spacing_mm: tuple[float, float, float],
    options: LesionOptions,
) -> tuple[NDArray[np.uint8], int]:
    """Pieces of the lesion map in or near bone.

    Args:
        lesion: (n, row, column) map, 255 for probability 1.
        bone: of the same shape: bone that is believed, without vessels.
        spacing_mm: of both.
        options: threshold, distance, smallest volume.

    Returns:
        Labels, 1 for the largest piece; and how many pieces beyond 255 were left out.
    """
    import cc3d

    wanted = lesion >= level_of(options.threshold)
    if not wanted.any():
        return np.zeros(lesion.shape, dtype=np.uint8), 0
    wanted &= grown(bone, options.near_bone_mm / spacing_mm[1])
    pieces, count = cc3d.connected_components(wanted, connectivity=26, return_N=True)
    if count == 0:
        return np.zeros(lesion.shape, dtype=np.uint8), 0
    sizes = np.bincount(pieces[wanted], minlength=count + 1)
    whole = fill_holes(close_ball(bone, ball_rows(options.close_bone_mm, spacing=spacing_mm, flat=True)))
    inside = np.bincount(pieces[wanted & whole], minlength=count + 1)
    least = options.min_volume_mm3 / float(np.prod(spacing_mm)) / 2  # the exact volume is asked on the CT's own grid
    return _by_size(pieces, sizes, (sizes >= max(least, 1)) & (inside >= options.in_bone_share * sizes))


def label_pieces(
    lesion: NDArray[np.uint8],
    *,
    threshold: float,
    spacing_mm: tuple[float, float, float],
    least_mm3: float,
    least_share: float = 0.0,
) -> tuple[NDArray[np.uint8], int]:
    """Connected pieces of a lesion map (26 neighbours), wherever they are.

    Args:
        lesion: (n, row, column) map, 255 for probability 1.
        threshold: a pixel from this probability on is of a piece.
        spacing_mm: of the map.
        least_mm3: smaller pieces are left out.
        least_share: of the volume of the largest piece, likewise.

    Returns:
        Labels, 1 for the largest piece; and how many pieces were left out, as too small or beyond 255.
    """
    import cc3d

    wanted = lesion >= level_of(threshold)
    pieces, count = cc3d.connected_components(wanted, connectivity=26, return_N=True)
    sizes = np.bincount(pieces[wanted], minlength=count + 1)
    large = sizes * float(np.prod(spacing_mm)) >= least_mm3
    labels, _ = _by_size(pieces, sizes, large & (sizes >= least_share * sizes.max(initial=0)))
    return labels, int(count) - int(labels.max(initial=0))


def _by_size(
    pieces: NDArray[Any], sizes: NDArray[np.int64], wanted: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], int]:
    """Labels of the wanted pieces, 1 for the largest, and how many of them are beyond 255."""
    kept = np.flatnonzero(wanted & (sizes > 0))
    kept = kept[kept > 0]
    order = kept[np.argsort(-sizes[kept], kind="stable")]
    renamed = np.zeros(sizes.size, dtype=np.uint8)
    renamed[order[:MOST_LESIONS]] = np.arange(1, min(order.size, MOST_LESIONS) + 1)
    return renamed[pieces], max(0, order.size - MOST_LESIONS)


def level_of(probability: float) -> int:
    """Smallest byte of a map that counts as at least this probability.

    Example:
        >>> level_of(0.5), level_of(1.0), level_of(0.001)
        (128, 255, 1)
    """
    return max(1, int(np.ceil(probability * 255 - 1e-9)))


def upper_half_mean(values: NDArray[np.uint8]) -> float:
    """Mean of the upper half of the bytes of a map, as a probability; of an odd number the middle one counts too.

    Example:
        >>> round(upper_half_mean(np.array([255, 255, 51, 0], dtype=np.uint8)), 3)
        1.0
    """
    if not values.size:
        return 0.0
    upper = np.sort(values)[values.size // 2 :]
    return float(upper.mean(dtype=np.float64)) / 255


def measure_reference_bone(
    images: SeriesImages, bone: NDArray[np.bool_], lesions: NDArray[np.uint8], *, options: LesionOptions
) -> OwnBone | None:
    """The patient's reference bone, outside lesions and away from the outer edge of bone and from metal.

    Returns:
        None where fewer than ``least_own_pixels`` are left.
    """
    import cv2

    away = grown(lesions > 0, options.apart_mm / images.pixel_mm)
    if images.metal is not None:
        away |= grown(images.metal, 2 * options.apart_mm / images.pixel_mm)
    counts = np.zeros(256, dtype=np.int64)
    cross = np.ones((5, 5), dtype=np.uint8)
    for grey, inside, barred in zip(images.grey, bone, away, strict=True):
        if inside.any():
            core = cv2.erode(inside.view(np.uint8), cross, borderValue=0) > 0
            counts += np.bincount(grey[core & ~barred], minlength=256)
    pixels = int(counts.sum())
    if pixels < options.least_own_pixels:
        return None
    median = _weighted_median(np.arange(256), counts)
    spread = 1.4826 * _weighted_median(np.abs(np.arange(256) - median), counts)
    level_hu = (images.window_hu[1] - images.window_hu[0]) / 255
    median_hu, spread_hu = images.hu(median), max(spread, 1.0) * level_hu
    return OwnBone(
        median_hu=median_hu,
        spread_hu=spread_hu,
        pixels=pixels,
        lytic_below_hu=median_hu - max(options.lytic_spreads * spread_hu, options.lytic_least_hu),
        blastic_above_hu=median_hu + max(options.blastic_spreads * spread_hu, options.blastic_least_hu),
    )


def _weighted_median(values: NDArray[np.floating] | NDArray[np.integer], counts: NDArray[np.int64]) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.searchsorted(np.cumsum(counts[order]), counts.sum() / 2)
    return float(values[order][reached])


def find_density_pattern(
    grey: NDArray[np.uint8], own: OwnBone | None, images: SeriesImages, *, options: LesionOptions
) -> tuple[DensityPattern, str, float | None, float | None]:
    """Density pattern (lytic, blastic, mixed) by the pixels of one lesion.

    Returns:
        DensityPattern, a sentence that says why, share of lytic pixels and share of blastic pixels.
    """
    if own is None:
        return NOT_DETERMINED, "Too little of the patient's reference bone was seen to compare with.", None, None
    if grey.size < options.least_pixels:
        return NOT_DETERMINED, f"It has {grey.size} pixels, too few to compare.", None, None
    hu = images.window_hu[0] + grey * ((images.window_hu[1] - images.window_hu[0]) / 255)
    lytic = float((hu < own.lytic_below_hu).mean())
    blastic = float((hu > own.blastic_above_hu).mean())
    told = (
        f"{lytic:.0%} of it is below {own.lytic_below_hu:.0f} HU and {blastic:.0%} above {own.blastic_above_hu:.0f} "
        f"HU; the patient's reference bone has {own.median_hu:.0f} HU."
    )
    density_pattern: DensityPattern = NOT_DETERMINED
    if min(lytic, blastic) >= options.other_share and lytic + blastic >= options.main_share:
        density_pattern = "mixed"
    elif max(lytic, blastic) >= options.main_share:
        density_pattern = "lytic" if lytic > blastic else "blastic"
    return density_pattern, told, lytic, blastic


_CONTRAST_HU = (160.0, 700.0)
"""Below, it is not brighter than cancellous bone and no network takes it for cortex; above, it is dense bone."""
_EVEN_HU = 30.0
"""Standard deviation over 3 x 3 pixels that even parts do not exceed."""
_LEAST_HEIGHT_MM, _LEAST_WIDTH_MM = 45.0, 110.0
"""Of the even part, across slices or within them; no vertebra reaches either."""
_RIM_HU, _MOST_RIM_SHARE = 40.0, 0.1
"""A neighbour by so much brighter than the middle of the structure is cortex; the share that may be that bright."""
_MOST_BONE_SHARE = 0.25
"""Share of the surroundings, two to four pixels away, that may be candidates, too: a vessel is in soft tissue and
touches bone at most, cortex and dense bone lie against other bone."""
_MOST_HOLLOW = 0.15
"""Area that the even part encloses without being even itself, against its own: marrow."""


def find_contrast(images: SeriesImages, candidates: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where candidates for bone or lesion are contrast agent.

    Args:
        images: of the series.
        candidates: (n, row, column) bool: what the network predicts as bone or lesion.

    Returns:
        Of the same shape: the even structures with their partial-volume rim of one pixel; a subset of the candidates.
    """
    import cc3d

    even = even_parts(images, candidates)
    pieces, count = cc3d.connected_components(even, connectivity=6, return_N=True)
    found = np.zeros_like(candidates)
    if count == 0:
        return found
    level_hu = (images.window_hu[1] - images.window_hu[0]) / 255
    boxes = cc3d.statistics(pieces)["bounding_boxes"]
    for label in range(1, count + 1):
        box = boxes[label]
        height, *sides = ((part.stop - part.start) * mm for part, mm in zip(box, images.spacing_mm, strict=True))
        if height < _LEAST_HEIGHT_MM and max(sides) < _LEAST_WIDTH_MM:
            continue
        wide = tuple(slice(max(0, part.start - 5), part.stop + 5) for part in box)
        own = pieces[wide] == label
        grey = images.grey[wide]
        bright = grey > float(np.median(grey[own])) + _RIM_HU / level_hu
        rim = _share(bright, grown(own, 3.0) & ~grown(own, 1.0))
        in_bone = _share(candidates[wide], grown(own, 4.0) & ~grown(own, 2.0))
        wider = grown(own, 1.5)
        hollow = np.count_nonzero(fill_holes(wider)) / np.count_nonzero(wider) - 1
        if rim <= _MOST_RIM_SHARE and in_bone <= _MOST_BONE_SHARE and hollow <= _MOST_HOLLOW:
            found[wide] |= grown(own, 2.0) & candidates[wide]
    return found


def _share(flags: NDArray[np.bool_], where: NDArray[np.bool_]) -> float:
    return float(flags[where].mean()) if where.any() else 0.0


def even_parts(images: SeriesImages, candidates: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Candidates of contrast's HU whose 3 x 3 neighbourhood is even."""
    import cv2

    level_hu = (images.window_hu[1] - images.window_hu[0]) / 255
    low, high = (images.grey_of(hu) for hu in _CONTRAST_HU)
    most_variance = (_EVEN_HU / level_hu) ** 2
    out = np.zeros_like(candidates)

    def work(first: int, stop: int) -> None:
        for n in range(first, stop):
            if candidates[n].any():
                grey = images.grey[n].astype(np.float32)
                mean = cv2.blur(grey, (3, 3))
                variance = cv2.blur(grey * grey, (3, 3)) - mean * mean
                out[n] = candidates[n] & (mean >= low) & (mean <= high) & (variance <= most_variance)

    in_threads(work, len(candidates), chunk=16)
    return out
