"""What is wrong with an image by itself: blank, clipped, tiny, without contrast, oddly long, or with text burnt in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from osteon.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["REASONS", "Quality", "assess_quality", "count_text_marks", "pixel_hash"]

REASONS = ("blank", "low contrast", "clipped", "tiny", "long", "burnt-in text")
"""What an image may be found to be, in the order of ``Quality.reasons``."""

_FULL_SCALE = 65535
_THIN, _GREY, _BRIGHT = 0.3, 0.6, 0.985
"""Of a stroke: height above what is thicker than 9 pixels, least value, least largest value; of the image's range.

Chosen on radiographs, thumbnails and H&E tiles with and without text: see the test.
"""

_LETTERS = 4
"""Marks in a line."""

# from where on an image is named; values are those of ``osteon.io.image.read_image``: 0 to 1
_BLANK_SPREAD = 0.01  # an image whose central 99.8 % of values span less is blank
_LOW_CONTRAST = 0.08  # one whose central 98 % of values span less, but is not blank, has low contrast
_CLIPPED_HIGH, _CLIPPED_LOW = 0.2, 0.97  # share of pixels at the largest or smallest value; air is meant to be there
_LEAST_SIDE, _LONGEST = 48, 4.0  # rows or columns below are tiny; long side over short side above is long
_TEXT_MARKS = 4  # letters in lines from which on it is text


@dataclass(frozen=True, slots=True)
class Quality:
    """What was found of one image.

    Attributes:
        reasons: some of ``REASONS``; empty for an image that nothing is wrong with.
        shape: rows and columns.
        spread: of the central 98 % of the values.
        pixel_hash: of ``pixel_hash``.
    """

    reasons: tuple[str, ...]
    shape: tuple[int, int]
    spread: float
    pixel_hash: str = field(repr=False)


def assess_quality(image: NDArray[np.float32]) -> Quality:
    """Look at one image (row, column), 0 to 1.

    Raises:
        InputError: not an image, or values that are not finite.

    Example:
        >>> assess_quality(np.zeros((64, 64), np.float32)).reasons
        ('blank',)
    """
    if image.ndim != 2 or image.size == 0 or not np.isfinite(image).all():
        raise InputError(f"the quality of an array of shape {image.shape} was asked for: give (row, column), finite")
    low, bottom, top, high = (float(v) for v in np.percentile(image, [0.1, 1, 99, 99.9]))
    smallest, largest = float(image.min()), float(image.max())
    low_share, high_share = float((image == smallest).mean()), float((image == largest).mean())
    blank = high - low < _BLANK_SPREAD
    marks = 0 if smallest == largest else count_text_marks(image)
    found = {
        "blank": blank and marks < _TEXT_MARKS,
        "low contrast": not blank and top - bottom < _LOW_CONTRAST and marks < _TEXT_MARKS,
        "clipped": not blank and (high_share > _CLIPPED_HIGH or low_share > _CLIPPED_LOW),
        "tiny": min(image.shape) < _LEAST_SIDE,
        "long": max(image.shape) > _LONGEST * min(image.shape),
        "burnt-in text": marks >= _TEXT_MARKS,
    }
    return Quality(
        reasons=tuple(reason for reason in REASONS if found[reason]),
        shape=(image.shape[0], image.shape[1]),
        spread=top - bottom,
        pixel_hash=pixel_hash(image),
    )


def pixel_hash(image: NDArray[np.float32]) -> str:
    """SHA-256 of the decoded pixels and their shape, hexadecimal: equal for equal pixels in any lossless file.

    Pixels (row, column) from 0 to 1 are distinguished in steps of a 65535th.
    """
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.rint(np.clip(image, 0, 1) * _FULL_SCALE).astype("<u2").tobytes())
    return digest.hexdigest()


def count_text_marks(image: NDArray[np.float32]) -> int:
    """Strokes in an image (row, column) that stand in a line like letters.

    Annotations are drawn in the largest (or smallest) value of an image, in strokes much thinner than anatomy is. Marks
    are connected parts of such strokes, 6 to 64 pixels high; four in a line with gaps of less than a letter's height
    count. Words of up to three letters (an L or R on a radiograph), handwriting, text in grey, text whose letters run
    together, and text smaller than about 10 pixels are not found. Rows of like bright details, as screws, may be taken
    for text: the result is a reason to look, no proof.

    Returns:
        Marks in such lines; 0 for none.
    """
    return max(_marks(image), _marks(-image))


def _marks(image: NDArray[np.float32]) -> int:
    import cv2

    low, high = float(image.min()), float(image.max())
    if high == low or min(image.shape) < 16:
        return 0
    grey = np.asarray((image - low) / (high - low), dtype=np.float32)
    # what a 9 x 9 opening takes away is thinner than 9 pixels
    thin = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, np.ones((9, 9), np.uint8))
    strokes = ((thin > _THIN) & (grey > _GREY)).astype(np.uint8)
    count, labelled, stats, _ = cv2.connectedComponentsWithStats(strokes, connectivity=8)
    if count > 20_000:  # noise, or a halftone: nothing stands in lines there
        return 0
    boxes = []
    brightest = np.zeros(count, np.float32)
    np.maximum.at(brightest, labelled.ravel(), grey.ravel())
    for index in range(1, count):
        left, top, width, height, area = (int(value) for value in stats[index])
        filled = area / (width * height)
        if (
            6 <= height <= 64
            and width <= 1.6 * height
            and area >= height
            and filled < 0.95
            and brightest[index] > _BRIGHT
        ):
            boxes.append((left, top, width, height))
    return _in_lines(boxes)


def _in_lines(boxes: Sequence[tuple[int, int, int, int]]) -> int:
    """How many boxes (left, top, width, height) stand in lines of four or more."""
    ordered, linked = sorted(boxes), []
    for one, (left, top, width, height) in enumerate(ordered):
        for other in range(one + 1, len(ordered)):
            its_left, its_top, _, its_height = ordered[other]
            if its_left > left + width + 64:
                break
            tall, small = max(height, its_height), min(height, its_height)
            gap = its_left - (left + width)
            level = abs((top + height) - (its_top + its_height)) <= 0.3 * tall
            if level and tall <= 1.5 * small and -0.2 * small <= gap <= 0.9 * tall:
                linked.append((one, other))
    first, second = np.array(linked, dtype=np.int64).reshape(-1, 2).T
    links = coo_array((np.ones(len(linked)), (first, second)), shape=(len(ordered), len(ordered)))
    sizes = np.bincount(connected_components(links, directed=False)[1])
    return int(sizes[sizes >= _LETTERS].sum())
