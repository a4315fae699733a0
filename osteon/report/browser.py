"""The slice browser of the page: small slices of a region packed into one picture, and its curve as SVG.

The curve needs no script, is sharp and follows the page's colours.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from markupsafe import Markup, escape

from osteon.report.orientation import Display, axis_letters, slice_positions_mm
from osteon.report.scores import call_stretches, half_step_mm, run_ends_mm
from osteon.report.slices import (
    affected_boxes,
    bone_mask,
    bone_values,
    crop_window,
    in_a_run,
    regions_or_whole,
    scores_of,
    telling_slices,
)
from osteon.report.wording import count, direction_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from osteon.data import Answer, Mask, Region, SliceScores, Volume
    from osteon.geometry import Box
    from osteon.report.lesions import DrawnLesion
    from osteon.report.scores import Stretch
    from osteon.report.slices import Shades, SliceLook

__all__ = ["MOST_SLICES", "SliceBrowser", "has_browsers", "slice_browsers"]

MOST_SLICES: Final = 120
_TILE: Final = 256
_COLUMNS: Final = 12
_JPEG_QUALITY: Final = 80

_WIDTH, _HEIGHT, _BARE_HEIGHT = 640, 250, 110
"""Bare is a region without scores: only its positions."""
_STRIP = 17
"""Height of a row under the curve."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 628.0, 10.0, 200.0
_SHORT = {"classifier": "classifier", "segmentation": "outlined", "they differ": "differ"}


@dataclass(frozen=True, slots=True)
class SliceBrowser:
    """One region of the page's slice browser.

    Attributes:
        frames: one a shown slice: slice number, position in mm, raw and smoothed probability or None, in a run or not,
            suspected by the segmentation or not, or None.
        boxes: affected boxes: first and last slice number, left, top, right, bottom in tile pixels, and its word.
        letters: (letter, side of the tile).
        outline: data URI of the outlines of bone, or "".
        lesions: data URI of the outlines of lesions, or ""; the boxes then only place their numbers.
    """

    region: str
    tile_width: int
    tile_height: int
    frames: tuple[tuple[int, float, float | None, float | None, bool, bool | None], ...]
    boxes: tuple[tuple[int, int, float, float, float, float, str], ...]
    predicted: str
    start: int
    letters: tuple[tuple[str, str], ...]
    svg: Markup = field(repr=False)
    image: str = field(repr=False)
    outline: str = field(repr=False)
    lesions: str = field(default="", repr=False)
    measure: str = "probability"

    @property
    def stage_width(self) -> int:
        """Width on the page in CSS pixels: a slice fills at most 360 x 400."""
        return round(min(360.0, 400 * self.tile_width / self.tile_height))

    def payload(self) -> dict[str, object]:
        """What the script in the page needs."""
        names = ("frames", "boxes", "image", "outline", "lesions", "predicted", "measure")
        size = {"width": self.tile_width, "height": self.tile_height, "columns": _COLUMNS}
        return size | {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where positions are in the drawing; ``letters`` are the patient directions at the two ends."""

    low_mm: float
    high_mm: float
    letters: tuple[str, str]

    def x(self, position_mm: float) -> float:
        """Abscissa of a position."""
        return _LEFT + (position_mm - self.low_mm) / (self.high_mm - self.low_mm) * (_RIGHT - _LEFT)


def has_browsers(answer: Answer, volume: Volume) -> bool:
    """Whether a region is seen in at least two slices."""
    return any(np.count_nonzero(region.present) > 1 for region in regions_or_whole(answer, volume))


def slice_browsers(
    answer: Answer,
    volume: Volume,
    scores: Sequence[SliceScores],
    *,
    look: SliceLook,
    lesions: tuple[Mask | None, Sequence[DrawnLesion]] = (None, ()),
) -> tuple[SliceBrowser, ...]:
    """A browser for every region that is seen in at least two slices.

    ``lesions`` are the mask that shows them, whose outlines are drawn, and the lesions, whose numbers are.
    """
    positions = slice_positions_mm(volume.grid)
    regions = [region for region in regions_or_whole(answer, volume) if np.count_nonzero(region.present) > 1]
    if not regions:
        return ()
    seen = positions[np.logical_or.reduce([region.present for region in regions])]
    half = volume.grid.spacing_mm[0] / 2
    frame = _Frame(float(seen.min()) - half, float(seen.max()) + half, axis_letters(volume.grid))
    return tuple(_browser(region, answer, volume, scores, look, lesions, frame) for region in regions)


def _browser(
    region: Region,
    answer: Answer,
    volume: Volume,
    scored: Sequence[SliceScores],
    look: SliceLook,
    lesions: tuple[Mask | None, Sequence[DrawnLesion]],
    frame: _Frame,
) -> SliceBrowser:
    display, positions = Display.of(volume.grid), slice_positions_mm(volume.grid)
    window = crop_window(region, volume.grid, margin_mm=look.margin_mm)
    size = _tile_size(display, window)
    scores = scores_of(scored, region.name)
    best = telling_slices(scored, region, most=1)
    shown = _shown(region, scores, best)
    half = volume.grid.spacing_mm[0] / 2 if scores is None else half_step_mm(scores, volume.grid)
    tiles = [_grey_tile(display.crop(volume.array, window, index), size, look.shades) for index in shown]
    outlines, edges, (marked, listed) = [], [], lesions
    mask = bone_mask(answer, volume.grid)
    if mask is not None:
        values = bone_values(mask, region.name)
        outlines = [_edge_tile(np.isin(display.crop(mask.array, window, index), values), size) for index in shown]
    if marked is not None and marked.grid.same_as(volume.grid):
        edges = [_edge_tile(display.crop(marked.array, window, index) > 0, size) for index in shown]
    boxes = [(item.box, str(item.number)) for item in listed] or [
        (box, look.predicted) for box in affected_boxes(answer, region.name)
    ]
    first = best[0] if best else shown[len(shown) // 2]
    return SliceBrowser(
        region=region.name,
        tile_width=size[0],
        tile_height=size[1],
        frames=tuple(_frame(index, positions, scores) for index in shown),
        boxes=tuple(_box(box, word, display, window, size) for box, word in boxes),
        start=int(np.abs(np.asarray(shown) - first).argmin()),
        letters=tuple(zip(display.edge_letters(display.slice_axis), ("left", "right", "top", "bottom"), strict=True)),
        predicted=look.predicted,
        svg=_score_svg(scores, positions, frame, name=region.name, half_mm=half, predicted=look.predicted),
        image=_packed(tiles, jpeg=True),
        outline=_packed(outlines, jpeg=False) if outlines else "",
        lesions=_packed(edges, jpeg=False) if edges else "",
        measure="highest value of the map" if scores and scores.source == "segmentation" else "probability",
    )


def _shown(region: Region, scores: SliceScores | None, telling: Sequence[int]) -> list[int]:
    """At most MOST_SLICES slices, of those with a score where there are any, the most suspicious always among them."""
    seen = np.flatnonzero(region.present) if scores is None or len(scores.slices) < 2 else scores.slices
    places = np.unique(np.linspace(0, len(seen) - 1, min(MOST_SLICES, len(seen))).round().astype(int))
    chosen = [int(index) for index in seen[places]]
    for index in telling:
        nearest = min(range(len(chosen)), key=lambda place: abs(chosen[place] - index))
        chosen[nearest] = index
    return chosen


def _tile_size(display: Display, window: Box) -> tuple[int, int]:
    """(width, height) in pixels, in the proportions of the plane in millimetres."""
    across, down = display.extent_mm(window)
    scale = _TILE / max(across, down)
    return max(round(across * scale), 1), max(round(down * scale), 1)


def _grey_tile(plane: NDArray[Any], size: tuple[int, int], shades: Shades) -> NDArray[np.uint8]:
    low, width = shades.low, shades.high - shades.low
    grey = np.clip((np.asarray(plane, dtype=np.float32) - low) * (255 / width), 0, 255)
    return _resized(grey, size).astype(np.uint8)


def _edge_tile(plane: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.uint8]:
    """255 on the inner border of the mask."""
    import cv2

    inside = (_resized(plane.astype(np.float32), size) >= 0.5).astype(np.uint8)
    inner = cv2.erode(inside, np.ones((3, 3), dtype=np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray((inside - inner) * np.uint8(255), dtype=np.uint8)


def _resized(plane: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    import cv2

    shrinks = plane.shape[0] > size[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(plane), size, interpolation=method), dtype=np.float32)


def _packed(tiles: list[NDArray[np.uint8]], *, jpeg: bool) -> str:
    """One picture with _COLUMNS tiles a row, as a data URI."""
    import cv2

    height, width = tiles[0].shape
    rows = -(-len(tiles) // _COLUMNS)
    sheet = np.zeros((rows * height, _COLUMNS * width), dtype=np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // _COLUMNS * height, place % _COLUMNS * width
        sheet[top : top + height, left : left + width] = tile
    kind, options = "png", [cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 9]
    if jpeg:
        kind, options = "jpeg", [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    _, encoded = cv2.imencode(f".{kind}", sheet, options)
    return f"data:image/{kind};base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"


def _frame(
    index: int, positions: NDArray[np.float64], scores: SliceScores | None
) -> tuple[int, float, float | None, float | None, bool, bool | None]:
    place = round(float(positions[index]), 3)
    if scores is None or index not in scores.slices:
        return index + 1, place, None, None, False, None
    at = int(np.flatnonzero(scores.slices == index)[0])
    raw, smoothed = float(scores.probability[at]), float(scores.smoothed[at])
    outlined = None if scores.by_segmentation is None else bool(scores.by_segmentation[at])
    return index + 1, place, round(raw, 6), round(smoothed, 6), in_a_run(scores, index), outlined


def _box(
    box: Box, word: str, display: Display, window: Box, size: tuple[int, int]
) -> tuple[int, int, float, float, float, float, str]:
    """First and last slice number, place in pixels of the tile, and its word."""
    across, down = display.extent_mm(window)
    left, top, right, bottom = display.place_mm(box, window)
    x, y = size[0] / across, size[1] / down
    places = round(left * x, 1), round(top * y, 1), round(right * x, 1), round(bottom * y, 1)
    return (box.start[0] + 1, box.stop[0], *places, word)


def _score_svg(
    scores: SliceScores | None,
    positions_mm: NDArray[np.float64],
    frame: _Frame,
    *,
    name: str,
    half_mm: float,
    predicted: str,
) -> Markup:
    """The curve of one region, or only its axis when it has no scores, as an ``svg`` element safe to put into a page.

    It carries a line of class "cursor" that a script may move. A run ends at the outer faces of its slices.
    """
    rows = [] if scores is None else call_stretches(scores, positions_mm, half_mm)
    height = (_BARE_HEIGHT if scores is None else _HEIGHT) + _STRIP * len(rows)
    parts = _axes(frame, height, is_scored=scores is not None)
    words = f"Positions along the {name}"
    if scores is not None:
        parts += _curves(scores, positions_mm, frame, half_mm, predicted=predicted)
        parts += _rows(rows, frame)
        words = f"Probability along the {name}; {count(len(scores.runs), 'run')} of slices predicted {predicted}"
    parts.append(f'<line class="cursor" x1="-9" x2="-9" y1="{_TOP}" y2="{height - 50}"/>')
    body = "".join(parts)
    return Markup(  # noqa: S704 - numbers and escaped words only
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(words)}" '
        f'data-low="{frame.low_mm:.4f}" data-high="{frame.high_mm:.4f}" data-left="{_LEFT}" data-right="{_RIGHT}">'
        f"{body}</svg>"
    )


def _y(value: float) -> float:
    return _BOTTOM - value * (_BOTTOM - _TOP) / 1.04


def _rows(rows: list[tuple[str, list[Stretch]]], frame: _Frame) -> list[str]:
    """Strips between the curve and the positions: what is predicted, by whom, and where they differ."""
    parts = []
    for number, (name, stretches) in enumerate(rows):
        top = _BOTTOM + 5 + _STRIP * number
        parts.append(f'<text x="{_LEFT - 4}" y="{top + 11}" text-anchor="end">{escape(_SHORT[name])}</text>')
        for stretch in stretches:
            left, right = frame.x(stretch.low_mm), frame.x(stretch.high_mm)
            place = f'x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="{_STRIP - 4}"'
            parts.append(f'<rect class="{stretch.kind}" {place}/>')
    return parts


def _axes(frame: _Frame, height: int, *, is_scored: bool) -> list[str]:
    low = height - 50.0
    parts = []
    for value in (0.0, 0.25, 0.5, 0.75, 1.0) if is_scored else ():
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{_y(value):.1f}" y2="{_y(value):.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{_y(value) + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    for tick in _ticks(frame.low_mm, frame.high_mm):
        words, x = f"{tick:.0f}".replace("-", "\u2212"), frame.x(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{low}" y2="{low + 5}"/>')
        parts.append(f'<text x="{x:.1f}" y="{low + 19}" text-anchor="middle">{words}</text>')
    start, end = (direction_text(letters) for letters in frame.letters)
    middle = ((_LEFT + _RIGHT) / 2, "middle", "position, mm in patient space")
    for x, anchor, words in ((_LEFT, "start", start), middle, (_RIGHT, "end", end)):
        parts.append(f'<text x="{x}" y="{height - 8}" text-anchor="{anchor}">{escape(words)}</text>')
    return parts


def _curves(
    scores: SliceScores, positions_mm: NDArray[np.float64], frame: _Frame, half_mm: float, *, predicted: str
) -> list[str]:
    parts = []
    for run in scores.runs:
        left, right = (frame.x(end) for end in run_ends_mm(positions_mm, run, half_mm))
        size = f'width="{right - left:.1f}" height="{_BOTTOM - _TOP}"'
        parts.append(f'<rect class="run" x="{left:.1f}" y="{_TOP}" {size}/>')
        parts.append(f'<path class="hatch" d="{_hatch(left, right)}"/>')
        if right - left > 6.5 * len(predicted):
            place = f'x="{(left + right) / 2:.1f}" y="{_BOTTOM - 10}"'
            parts.append(f'<text class="word" {place} text-anchor="middle">{escape(predicted)}</text>')
    x = [frame.x(float(positions_mm[index])) for index in scores.slices]
    same = bool((scores.probability == scores.smoothed).all())
    for kind, values in (("raw", scores.probability), *([] if same else [("smoothed", scores.smoothed)])):
        line = " ".join(f"{place:.1f},{_y(float(value)):.1f}" for place, value in zip(x, values, strict=True))
        parts.append(f'<polyline class="{kind}" points="{line}"/>')
    dots = zip(x, scores.probability, strict=True)
    parts += [f'<circle class="dot" r="1.6" cx="{place:.1f}" cy="{_y(float(value)):.1f}"/>' for place, value in dots]
    y = _y(scores.threshold)
    parts.append(f'<line class="threshold" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    return parts


def _hatch(left: float, right: float) -> str:
    """Short diagonal strokes along the foot of a run: seen without colour, away from the curve."""
    strokes = max(round((right - left) / 7), 1)
    ends = [left + k * (right - left) / strokes for k in range(strokes + 1)]
    return "".join(f"M{one:.1f} {_BOTTOM}L{other:.1f} {_BOTTOM - 7.0}" for one, other in pairwise(ends))


def _ticks(low: float, high: float) -> list[float]:
    """About six round numbers between two."""
    rough = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough)
    first = math.ceil(low / step)
    return [k * step for k in range(first, math.floor(high / step) + 1)]
