"""One lesion on one slice: normalised, outlined inside the box a person drew, cut out for the network.

The steps are those of the paper, in its order: a rectangle around the tumour with a margin of 20 pixels, binarise, keep
the largest connected region, opening, closing, hole filling; then 224 x 224. The region finds the box by default and
multiplies the image on request.

References:
    MRI femur spec, section 2. Otsu, IEEE Trans. SMC 9 (1979), doi:10.1109/TSMC.1979.4310076.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from osteon.errors import InputError
from osteon.ops.closing import fill_holes

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "MrRegion",
    "PlaneBox",
    "RegionOptions",
    "box_of_mask",
    "box_with_margin",
    "find_region",
    "largest_part",
    "lesion_crop",
    "lesion_in_box",
    "lesion_of_mask",
    "normalise",
]

PERCENTILES: Final = (1.0, 99.0)
LEAST_BOX_PX: Final = 6
MOST_OF_AN_EDGE: Final = 0.6
LEAST_SHARE: Final = 0.5
"""A region smaller than this share of the drawn box, along rows or columns, does not move the box."""


@dataclass(frozen=True, slots=True)
class RegionOptions:
    """How a lesion is cut out."""

    margin_px: int = 20  # added to the lesion's box on every side
    opening_px: int = 2  # radius of the disk of the opening
    closing_px: int = 2  # radius of the disk of the closing
    masked: bool = False  # whether what is outside the region becomes 0
    size: int = 224  # rows and columns of the crop


@dataclass(frozen=True, slots=True)
class PlaneBox:
    """Rows and columns of one slice: half-open ranges, counted from 0.

    Raises:
        InputError: empty.
    """

    top: int
    left: int
    bottom: int
    right: int

    def __post_init__(self) -> None:
        """Refuse an empty box."""
        if self.bottom <= self.top or self.right <= self.left:
            raise InputError(
                f"the lesion box {self} is empty: give R0,C0,R1,C1, the first row and column inside and the first row "
                "and column outside, counted from 0, so that R1 is above R0 and C1 above C0"
            )

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index into an image."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def __str__(self) -> str:
        """As it is typed."""
        return f"{self.top},{self.left},{self.bottom},{self.right}"


@dataclass(frozen=True, slots=True, eq=False)
class MrRegion:
    """A lesion on one slice."""

    drawn: PlaneBox  # the box that was given, or the bounding box of the mask that was given
    box: (
        PlaneBox  # bounding box of the lesion: of the region, or of what was drawn where the region does not outline it
    )
    window: PlaneBox  # ``box`` with the margin, inside the image: what the network is shown
    # (row, column) bool of the whole slice: the lesion's outline; empty where none was found
    mask: NDArray[np.bool_] = field(repr=False)
    # whether the lesion was taken as brighter or darker than its surround; "" of a mask that was given
    polarity: Literal["brighter", "darker", ""] = ""
    # of the normalised image, between lesion and surround; None of a mask that was given
    threshold: float | None = None
    box_kept: bool = False  # whether the drawn box was kept because the region covers too little of it
    at_edge: bool = False  # whether the region runs along an edge of the drawn box, so that it goes on beyond it

    @property
    def is_reliable(self) -> bool:
        """Whether sizes may be taken from the outline."""
        return not (self.box_kept or self.at_edge)


def normalise(image: NDArray[Any]) -> NDArray[np.float32]:
    """Bring the values of one slice to 0..1: its 1st percentile becomes 0, its 99th 1, what is beyond is cut.

    MR has no unit, so a slice is its own scale. The coil's uneven brightness is not corrected. Where the two
    percentiles are equal (a small lesion in black), the smallest and the largest value take their place.

    Raises:
        InputError: no pixel, one value everywhere, or a value that is not a number.

    Example:
        >>> normalise(np.array([[0, 100], [0, 100]])).tolist()
        [[0.0, 1.0], [0.0, 1.0]]
    """
    values = np.asarray(image, dtype=np.float64)
    if values.ndim != 2 or not values.size:
        raise InputError(f"one slice of rows and columns is normalised, found shape {values.shape}")
    if not np.isfinite(values).all():
        raise InputError("the slice holds NaN or infinite pixels: replace them")
    low, high = (float(value) for value in np.percentile(values, PERCENTILES))
    if low == high:
        low, high = float(values.min()), float(values.max())
    if low == high:
        raise InputError(f"every pixel of the slice has the value {low:g}: it shows nothing; choose another slice")
    return np.asarray(np.clip((values - low) / (high - low), 0.0, 1.0), dtype=np.float32)


def box_of_mask(mask: NDArray[np.bool_]) -> PlaneBox:
    """The smallest box around what is marked.

    Raises:
        InputError: nothing is.

    Example:
        >>> box_of_mask(np.eye(5, dtype=bool)[1:4])
        PlaneBox(top=0, left=1, bottom=3, right=4)
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise InputError("the mask marks no lesion: every pixel of it is 0")
    return PlaneBox(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def box_with_margin(box: PlaneBox, shape: tuple[int, int], *, margin_px: int) -> PlaneBox:
    """The box, larger on every side, as far as the image goes.

    Raises:
        InputError: the box itself is not in the image.

    Example:
        >>> print(box_with_margin(PlaneBox(5, 30, 10, 40), (50, 50), margin_px=20))
        0,10,30,50
    """
    rows, columns = shape
    if min(box.top, box.left) < 0 or box.bottom > rows or box.right > columns:
        raise InputError(
            f"the lesion box {box} reaches outside the image of {rows} rows and {columns} columns: give R0,C0,R1,C1 "
            f"with rows from 0 to {rows} and columns from 0 to {columns}"
        )
    return PlaneBox(
        max(box.top - margin_px, 0),
        max(box.left - margin_px, 0),
        min(box.bottom + margin_px, rows),
        min(box.right + margin_px, columns),
    )


def lesion_in_box(image: NDArray[np.float32], drawn: PlaneBox, *, options: RegionOptions | None = None) -> MrRegion:
    """Find the lesion in a box that a person drew.

    Args:
        image: (row, column), as ``normalise`` gives it.
        drawn: around the lesion.
        options: margin and disks.

    Returns:
        The region's own box with the margin is what the network is shown. A region that covers less than half of the
        drawn box's height or width (Otsu's threshold fell into the lesion) does not move the box, nor does an empty
        one.

    Raises:
        InputError: the box reaches outside the image, or is too small to outline anything.
    """
    chosen = options or RegionOptions()
    if min(drawn.height, drawn.width) < LEAST_BOX_PX:
        raise InputError(
            f"the lesion box {drawn} has {drawn.height} x {drawn.width} pixels: nothing can be outlined in less than "
            f"{LEAST_BOX_PX} x {LEAST_BOX_PX}; draw it around the lesion, or give a mask (--mask)"
        )
    mask, polarity, threshold = find_region(image, drawn, options=chosen)
    box, kept = drawn, True
    if mask.any():
        found = box_of_mask(mask)
        kept = found.height < LEAST_SHARE * drawn.height or found.width < LEAST_SHARE * drawn.width
        box = drawn if kept else found
    window = box_with_margin(box, _shape(image), margin_px=chosen.margin_px)
    return MrRegion(drawn, box, window, mask, polarity, threshold, kept, at_edge=_runs_along(mask[drawn.slices]))


def _runs_along(inside: NDArray[np.bool_]) -> bool:
    """Whether what is marked in a box fills most of one of its edges; an ellipse in its box fills less than half."""
    return max(float(edge.mean()) for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1])) >= MOST_OF_AN_EDGE


def lesion_of_mask(mask: NDArray[np.bool_], *, options: RegionOptions | None = None) -> MrRegion:
    """The lesion that a person outlined on a slice: the mask is the region, its box with the margin the window.

    Raises:
        InputError: nothing is marked.
    """
    chosen = options or RegionOptions()
    box = box_of_mask(mask)
    return MrRegion(box, box, box_with_margin(box, _shape(mask), margin_px=chosen.margin_px), mask)


def find_region(
    image: NDArray[np.float32], drawn: PlaneBox, *, options: RegionOptions | None = None
) -> tuple[NDArray[np.bool_], Literal["brighter", "darker"], float]:
    """Binarise, largest region, opening, closing, hole filling, all inside a box.

    Otsu's threshold of the pixels inside the box parts lesion from surround (256 bins). The lesion is the side on which
    most pixels of the box's middle lie (its central half along rows and columns); of a box of one value, all of it.
    Measured on 90 phantoms of the femur this finds the right side almost always; comparing the middle with the margin
    does not, for the margin of a bone lesion is marrow, cortex and muscle.

    Args:
        image: (row, column), as ``normalise`` gives it.
        drawn: around the lesion.
        options: margin and disks.

    Returns:
        The region on the whole slice, which side it is on, and the threshold (the bright side includes it).

    Raises:
        InputError: the box reaches outside the image.
    """
    chosen = options or RegionOptions()
    window = box_with_margin(drawn, _shape(image), margin_px=chosen.margin_px)
    inside = np.ascontiguousarray(image[drawn.slices])
    threshold = _otsu(inside)
    if float(inside.min()) == float(inside.max()):
        is_brighter = threshold >= float(np.median(image[window.slices]))
        found = np.ones(inside.shape, dtype=np.bool_)
    else:
        is_brighter = float((_middle(inside) >= threshold).mean()) >= 0.5
        found, _ = largest_part((inside >= threshold) == is_brighter)
    polarity: Literal["brighter", "darker"] = "brighter" if is_brighter else "darker"
    found = _opened(found, chosen.opening_px)
    found = _closed(found, chosen.closing_px)
    mask = np.zeros(image.shape, dtype=np.bool_)
    mask[drawn.slices] = fill_holes(found[None])[0]
    return mask, polarity, threshold


def largest_part(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int]:
    """The largest connected part of a mask, and how many parts it has.

    Pixels that touch at a corner are connected; of equally large parts the first one from the top left is taken.

    Example:
        >>> part, count = largest_part(np.array([[1, 0, 1, 1]], dtype=bool))
        >>> part.tolist(), count
        ([[False, False, True, True]], 2)
    """
    import cv2

    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        return np.zeros_like(mask), 0
    return np.asarray(labels == 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))), count - 1


def lesion_crop(
    image: NDArray[np.float32], region: MrRegion, *, options: RegionOptions | None = None
) -> NDArray[np.float32]:
    """What the network is shown: the window, brought to a square as the paper has it.

    Rows and columns are scaled each for itself, so a window that is not square is stretched: by area where it shrinks,
    bilinearly where it grows.

    Args:
        image: (row, column), as ``normalise`` gives it.
        region: of the same slice.
        options: size, and whether the region multiplies the image.

    Returns:
        (size, size) float32, 0 to 1.
    """
    import cv2

    chosen = options or RegionOptions()
    cut = np.ascontiguousarray(image[region.window.slices], dtype=np.float32)
    if chosen.masked and region.mask.any():
        cut = cut * region.mask[region.window.slices]
    shrinks = cut.shape[0] > chosen.size and cut.shape[1] > chosen.size
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(cut, (chosen.size, chosen.size), interpolation=method).clip(0.0, 1.0), np.float32)


def _shape(image: NDArray[Any]) -> tuple[int, int]:
    rows, columns = image.shape
    return int(rows), int(columns)


def _otsu(values: NDArray[np.float32]) -> float:
    """The threshold with the largest variance between both sides, in 256 bins over the range of the values."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low
    counts, edges = np.histogram(values, bins=256, range=(low, high))
    middles = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    total_below = np.cumsum(counts * middles)
    total_above = np.cumsum((counts * middles)[::-1])[::-1]
    means = total_below[:-1] / below[:-1] - total_above[1:] / above[1:]
    variance = below[:-1] * above[1:] * means**2
    return float(edges[int(np.argmax(variance)) + 1])


def _middle(inside: NDArray[np.float32]) -> NDArray[np.float32]:
    """The central half of a box, along rows and columns; never empty."""
    down, across = inside.shape[0] // 4, inside.shape[1] // 4
    return inside[down : inside.shape[0] - down, across : inside.shape[1] - across]


def _opened(found: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Beyond the box is background."""
    import cv2

    wide = np.pad(found.astype(np.uint8), radius + 1)
    opened = cv2.morphologyEx(wide, cv2.MORPH_OPEN, _disk(radius))
    return np.asarray(opened[radius + 1 : -radius - 1, radius + 1 : -radius - 1] > 0)


def _closed(found: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """As of an endless plane: what the dilation needs beyond the box is there, and is cut off again."""
    import cv2

    pad = 2 * radius + 1
    wide = np.pad(found.astype(np.uint8), pad)
    return np.asarray(cv2.morphologyEx(wide, cv2.MORPH_CLOSE, _disk(radius))[pad:-pad, pad:-pad] > 0)


def _disk(radius: int) -> NDArray[np.uint8]:
    """(2 r + 1, 2 r + 1): pixels whose middle is within the radius."""
    squares = np.arange(-radius, radius + 1) ** 2
    return np.asarray(squares[:, None] + squares[None] <= radius * radius, dtype=np.uint8)
