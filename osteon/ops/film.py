"""What a radiograph shows beside the patient: the collimated field, side markers, exposure and sharpness.

All of it is measured on a reduced picture and is a hint: a field or a marker that is not found may still be there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from osteon.ops.mr_region import PlaneBox

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CollimatedField", "FilmQuality", "SideMarker", "collimated_field", "film_quality", "side_markers"]

FIELD_SIDE: Final = 256
MARKER_SIDE: Final = 1024
"""Pixels of the longer side at which the field, and markers, are looked for."""

WHITE_FRAME, BLACK_FRAME = 0.85, 0.03
"""Median of what is outside: unexposed and scattered to, or shuttered."""

_STEP: Final = 0.06
_ON_EDGE: Final = 0.7
_STEEPEST: Final = 8.0
_LEAST_FIELD: Final = 0.03
_SIDES_IF_BLACK: Final = 3
"""Air is black as a shutter is: fewer straight black sides are no field."""

_CONTRAST: Final = 0.3
_BRIGHT: Final = 0.6
_HEIGHTS: Final = (0.012, 0.09)
_ASPECTS: Final = (0.3, 1.3)
_FILLED: Final = (0.15, 0.85)
_NEAR_EDGE: Final = 0.3
_BESIDE: Final = 0.1
MOST_MARKERS: Final = 8

_GLYPH: Final = (32, 24)
_LEAST_MATCH, _LEAST_LEAD = 0.80, 0.06
"""Correlation with the best template of an L or R, and how much more it has to be than with any other letter.

Chosen on drawn letters of six type faces; see the test.
"""

_UNSEEN: Final = 1 / 512
_EMPTY_SPAN: Final = 0.05


@dataclass(frozen=True, slots=True)
class CollimatedField:
    """The part of a film that X-rays reached.

    Attributes:
        box: in the film; holds all of the field.
        angle_deg: by which its sides are turned, counter-clockwise as shown; their mean.
        frame: what is outside.
        sides: how many sides of it are on the film.
    """

    box: PlaneBox
    angle_deg: float
    frame: Literal["white", "black"]
    sides: int


@dataclass(frozen=True, slots=True)
class SideMarker:
    """A small bright compact thing near the edge of the field, as a lead letter is.

    Attributes:
        box: in the film.
        letter: "L" or "R" where it surely is that, upright and not mirrored; else "".
    """

    box: PlaneBox
    letter: Literal["L", "R", ""]


@dataclass(frozen=True, slots=True)
class FilmQuality:
    """Numbers of a film; none of them says whether it can be read.

    Attributes:
        black_share, white_share: of the pixels, at the ends of the scale.
        low, median, high: values that 1 %, 50 % and 99 % of the pixels do not exceed.
        blur: 0 (sharp) to 1, after Crete (2007): of the differences of neighbours, what a blur leaves.
        is_almost_empty: whether nearly all pixels have one value.
    """

    black_share: float
    white_share: float
    low: float
    median: float
    high: float
    blur: float
    is_almost_empty: bool


def film_quality(pixels: NDArray[np.floating[Any]]) -> FilmQuality:
    """Measure a film.

    Args:
        pixels: (row, column), 0 to 1.

    References:
        Crete and others, The blur effect (2007), doi 10.1117/12.702790.

    Example:
        >>> film_quality(np.zeros((64, 64), np.float32)).is_almost_empty
        True
    """
    import cv2

    small = _reduced(pixels, MARKER_SIDE)
    low, median, high = (float(value) for value in np.percentile(small, [1, 50, 99]))
    left = []
    for axis, kernel in ((0, (1, 9)), (1, (9, 1))):
        sharp = np.abs(np.diff(small, axis=axis))
        soft = np.abs(np.diff(cv2.blur(small, kernel), axis=axis))
        total = float(sharp.sum())
        left.append(1.0 if total == 0 else 1 - float(np.maximum(0, sharp - soft).sum()) / total)
    return FilmQuality(
        black_share=float((pixels <= _UNSEEN).mean()),
        white_share=float((pixels >= 1 - _UNSEEN).mean()),
        low=low,
        median=median,
        high=high,
        blur=max(left),
        is_almost_empty=high - low < _EMPTY_SPAN,
    )


def _reduced(pixels: NDArray[np.floating[Any]], longest: int) -> NDArray[np.float32]:
    """The film at that many pixels of its longer side, each the mean of what it stands for; never enlarged."""
    import cv2

    rows, columns = pixels.shape
    scale = min(1.0, longest / max(rows, columns))
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    return np.asarray(cv2.resize(np.asarray(pixels, np.float32), size, interpolation=cv2.INTER_AREA))


def collimated_field(pixels: NDArray[np.floating[Any]]) -> CollimatedField | None:
    """Find the straight sides of a collimator or a shutter.

    A side is a straight step, turned by at most 8 degrees, along at least 70 % of the field, with nothing but white
    or black outside. One side is enough for a white frame; a black one needs three, as air is black too.

    Args:
        pixels: (row, column), 0 to 1, bright is dense.

    Returns:
        None where no side is seen, or what is inside is less than 3 % or more than 98 % of the film.
    """
    small = _reduced(pixels, FIELD_SIDE)
    found = [_field(small, frame) for frame in ("white", "black")]
    best = max((one for one in found if one is not None), key=lambda one: one[2], default=None)
    if best is None:
        return None
    (top, left, bottom, right), angle, sides, frame = best
    if not _LEAST_FIELD < (bottom - top) * (right - left) / small.size < 0.98:
        return None
    down, across = pixels.shape[0] / small.shape[0], pixels.shape[1] / small.shape[1]
    box = PlaneBox(round(top * down), round(left * across), round(bottom * down), round(right * across))
    return CollimatedField(box, angle, frame, sides)


_Found = tuple[tuple[float, float, float, float], float, int, Literal["white", "black"]]


def _field(small: NDArray[np.float32], frame: str) -> _Found | None:
    """Box, angle and number of the sides that a frame of that kind has."""
    kind: Literal["white", "black"] = "white" if frame == "white" else "black"
    rows, columns = small.shape
    rough = _not_frame(small, kind)
    if rough is None or min(small.shape) < 16:
        return None
    top, left, bottom, right = rough
    # each side as the left one of a turned picture, with the stretch of it that is to be straight
    turned = {
        "left": (small, (top, bottom)),
        "right": (small[:, ::-1], (top, bottom)),
        "top": (small.T, (left, right)),
        "bottom": (small.T[:, ::-1], (left, right)),
    }
    edges = {side: edge for side, (view, part) in turned.items() if (edge := _edge(view, part, kind)) is not None}
    if len(edges) < (1 if kind == "white" else _SIDES_IF_BLACK):
        return None
    first = {side: place for side, (place, _) in edges.items()}
    signs = {"left": 1, "right": -1, "top": -1, "bottom": 1}
    angle = float(np.mean([signs[side] * slope for side, (_, slope) in edges.items()]))
    box = (
        first.get("top", 0.0),
        first.get("left", 0.0),
        rows - first.get("bottom", 0.0),
        columns - first.get("right", 0.0),
    )
    return box, angle, len(edges), kind


def _is_frame(values: NDArray[Any], kind: str) -> NDArray[np.bool_]:
    return np.asarray(values >= WHITE_FRAME if kind == "white" else values <= BLACK_FRAME)


def _not_frame(small: NDArray[np.float32], kind: str) -> tuple[int, int, int, int] | None:
    """The box around the largest part that is not of the frame's value and connected with the film's border."""
    import cv2

    padded = np.pad(_is_frame(small, kind).astype(np.uint8), 1, constant_values=1)
    _, labelled = cv2.connectedComponents(padded, connectivity=4)
    inside = (labelled[1:-1, 1:-1] != labelled[0, 0]).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=4)
    if count < 2:
        return None
    left, top, width, height, _ = (int(value) for value in stats[1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))])
    return top, left, top + height, left + width


def _edge(view: NDArray[np.float32], part: tuple[int, int], kind: str) -> tuple[float, float] | None:
    """Where the left side of the field is, its outermost column, and its slope in degrees; None where none is seen.

    Args:
        view: the picture with that side at its left.
        part: first row and row behind the last in which it must be straight; a twentieth at each end may be a corner.
        kind: of the frame.
    """
    trim = (part[1] - part[0]) // 20
    rows = np.arange(part[0] + trim, part[1] - trim)
    columns = view.shape[1]
    if rows.size < 8 or columns < 16:
        return None
    step = np.zeros_like(view)
    step[:, 2:-2] = view[:, 4:] - view[:, :-4]
    rising = (step if kind == "black" else -step)[rows]
    middle = rows - rows.mean()
    steps: list[tuple[float, int, float]] = []
    for slope in np.arange(-_STEEPEST, _STEEPEST + 0.1, 0.5):
        place = np.arange(columns)[None] + np.rint(middle * np.tan(np.deg2rad(slope))).astype(np.int64)[:, None]
        along = np.take_along_axis(rising, np.clip(place, 0, columns - 1), axis=1)
        straight = np.flatnonzero((along > _STEP).mean(axis=0) >= _ON_EDGE)
        steps.extend((float(along[:, at].mean()), int(at), float(slope)) for at in straight)
    tried: list[int] = []
    for _, at, slope in sorted(steps, reverse=True):  # the largest with nothing outside
        if all(abs(at - other) > 2 for other in tried):
            tried.append(at)
            line = at + middle * np.tan(np.deg2rad(slope))
            outside = view[rows][np.arange(columns)[None] < line[:, None] - 2]
            if outside.size and _is_frame(np.median(outside), kind):
                ends = at + np.array([part[0], part[1]] - rows.mean()) * np.tan(np.deg2rad(slope))
                return float(np.clip(ends.min(), 0, columns)), slope
    return None


def side_markers(pixels: NDArray[np.floating[Any]], *, field: CollimatedField | None = None) -> tuple[SideMarker, ...]:
    """Candidates of side markers, the brightest against their surroundings first.

    Screws, clips and writing are candidates too. A letter is said only where its shape is surely that of an L or R,
    upright within about 10 degrees: a mirrored one is not, as then the film is mirrored, or the marker lay upside down.

    Args:
        pixels: (row, column), 0 to 1, bright is dense.
        field: of ``collimated_field``; None takes the whole film.

    Returns:
        At most 8.
    """
    import cv2

    small = _reduced(pixels, MARKER_SIDE)
    down, across = pixels.shape[0] / small.shape[0], pixels.shape[1] / small.shape[1]
    longest = max(small.shape)
    side = 2 * round(_HEIGHTS[1] * longest / 2) + 1
    thin = cv2.morphologyEx(small, cv2.MORPH_TOPHAT, np.ones((side, side), np.uint8))
    count, labelled, stats, _ = cv2.connectedComponentsWithStats((thin > _CONTRAST).astype(np.uint8), connectivity=8)
    inside = PlaneBox(0, 0, *pixels.shape) if field is None else field.box
    near = _NEAR_EDGE * min(inside.height, inside.width)
    found = []
    for index in range(1, count):
        column, row, width, height, area = (int(value) for value in stats[index])
        if not (
            _HEIGHTS[0] * longest <= height <= _HEIGHTS[1] * longest
            and _ASPECTS[0] <= width / height <= _ASPECTS[1]
            and _FILLED[0] <= area / (width * height) <= _FILLED[1]
        ):
            continue
        ends = round((row + height) * down), round((column + width) * across)
        box = PlaneBox(round(row * down), round(column * across), *ends)
        y, x = (box.top + box.bottom) / 2, (box.left + box.right) / 2
        if not -near / 4 < min(y - inside.top, inside.bottom - y, x - inside.left, inside.right - x) < near:
            continue
        lead = _lead_over_surroundings(small, labelled == index, (row, column, row + height, column + width))
        if lead >= _CONTRAST:
            ink = labelled[row : row + height, column : column + width] == index
            beside = labelled[row : row + height, max(0, column - width) : column + 2 * width]
            # a piece of a white plate around a dark letter may have the shape of another letter
            is_alone = np.count_nonzero((beside > 0) & (beside != index)) <= _BESIDE * area
            found.append((lead, SideMarker(box, _letter(ink) if is_alone else "")))
    return tuple(marker for _, marker in sorted(found, key=lambda one: -one[0])[:MOST_MARKERS])


def _lead_over_surroundings(
    small: NDArray[np.float32], mark: NDArray[np.bool_], ends: tuple[int, int, int, int]
) -> float:
    """How much brighter a mark is than three quarters of what is around it; 0 of one that is not bright, or not alone.

    Corners of the film, and edges of bone, are bright and have the shape of an L: they go on around them.
    """
    import cv2

    top, left, bottom, right = ends
    around = max(3, (bottom - top) // 4)
    if min(top, left, small.shape[0] - bottom, small.shape[1] - right) < around:
        return 0.0
    place = np.s_[top - around : bottom + around, left - around : right + around]
    bright = float(np.median(small[place][mark[place]]))
    thick = cv2.dilate(mark[place].astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    others = small[place][~thick]
    return 0.0 if bright < _BRIGHT or not others.size else bright - float(np.percentile(others, 75))


def _letter(ink: NDArray[np.bool_]) -> Literal["L", "R", ""]:
    """The letter that a shape is, or "" where that is not sure."""
    names, templates = _templates()
    match = templates @ _glyph(ink)
    best = names[int(np.argmax(match))]
    if best not in {"L", "R"}:
        return ""
    lead = match.max() - match[np.array(names) != best].max()
    if match.max() < _LEAST_MATCH or lead < _LEAST_LEAD:
        return ""
    return "L" if best == "L" else "R"


def _glyph(ink: NDArray[Any]) -> NDArray[np.float64]:
    """A shape stretched to one size, blurred, with mean 0 and length 1: the product of two is their correlation."""
    import cv2

    rows, columns = _GLYPH
    plain = cv2.resize(ink.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(np.pad(plain, 3), (0, 0), 1.5).astype(np.float64).ravel()
    soft -= soft.mean()
    return np.asarray(soft / max(float(np.linalg.norm(soft)), 1e-9))


@lru_cache(maxsize=1)
def _templates() -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Every capital letter and digit, and each mirrored, in three type faces, thin and thick, upright and tilted."""
    import cv2

    names, shapes = [], []
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789":
        for font in (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX):
            for thick in (6, 14):
                drawn = np.zeros((160, 160), np.uint8)
                cv2.putText(drawn, letter, (40, 120), font, 4.0, 255, thick)
                for angle in (-8, 0, 8):
                    turned = cv2.warpAffine(drawn, cv2.getRotationMatrix2D((80, 80), angle, 1), (160, 160)) > 127
                    rows, columns = np.nonzero(turned.any(axis=1))[0], np.nonzero(turned.any(axis=0))[0]
                    cut = turned[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                    names += [letter, f"mirrored {letter}"]
                    shapes += [_glyph(cut), _glyph(cut[:, ::-1])]
    return tuple(names), np.stack(shapes)
