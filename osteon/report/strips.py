"""Small slices of every region for the page, packed into one picture a region."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.report.lesions import lesion_mask, lesions_of
from osteon.report.orientation import Display, axis_letters, slice_positions_mm
from osteon.report.score_svg import Frame, score_svg
from osteon.report.selection import (
    affected_boxes,
    bone_mask,
    bone_values,
    in_a_run,
    regions_or_whole,
    scores_of,
    telling_slices,
)
from osteon.report.slice_sheet import BONE_WINDOW_HU, crop_window
from osteon.report.tasks import task_words
from osteon.report.trust_strip import half_step_mm

if TYPE_CHECKING:
    from markupsafe import Markup
    from numpy.typing import NDArray

    from osteon.data import Answer, Mask, Region, Volume
    from osteon.geometry import Box

__all__ = ["MOST_SLICES", "SliceBrowser", "slice_browsers"]

MOST_SLICES: Final = 120
_TILE: Final = 256
_COLUMNS: Final = 12
_JPEG_QUALITY: Final = 80


@dataclass(frozen=True, slots=True)
class SliceBrowser:
    """One region of the page's slice browser.

    Attributes:
        region: its name.
        tile_width: pixels of one small slice.
        tile_height: pixels of one small slice.
        frames: one a shown slice: slice number, position in mm, raw and smoothed probability or None, in a run or not,
            called by the segmentation or not or None.
        boxes: affected boxes: first and last slice number, left, top, right, bottom in tile pixels, and its word.
        called: what a slice of a run is called.
        start: frame that is shown first.
        letters: (letter, side of the tile).
        svg: the curve.
        image: data URI of the tiles, row by row.
        outline: data URI of the outlines of bone, or "".
        lesions: data URI of the outlines of lesions, or ""; the boxes then only place their numbers.
        measure: what the curve shows.
    """

    region: str
    tile_width: int
    tile_height: int
    frames: tuple[tuple[int, float, float | None, float | None, bool, bool | None], ...]
    boxes: tuple[tuple[int, int, float, float, float, float, str], ...]
    called: str
    start: int
    letters: tuple[tuple[str, str], ...]
    svg: Markup = field(repr=False)
    image: str = field(repr=False)
    outline: str = field(repr=False)
    lesions: str = field(default="", repr=False)
    measure: str = "probability"

    @property
    def has_outline(self) -> bool:
        """Whether there is an outline to switch on."""
        return bool(self.outline)

    @property
    def stage_width(self) -> int:
        """Width on the page in CSS pixels: a slice fills at most 360 x 400."""
        return round(min(360.0, 400 * self.tile_width / self.tile_height))

    def payload(self) -> dict[str, object]:
        """What the script in the page needs."""
        return {
            "width": self.tile_width,
            "height": self.tile_height,
            "columns": _COLUMNS,
            "frames": [list(frame) for frame in self.frames],
            "boxes": [list(box) for box in self.boxes],
            "image": self.image,
            "outline": self.outline,
            "lesions": self.lesions,
            "called": self.called,
            "measure": self.measure,
        }


def slice_browsers(answer: Answer, volume: Volume) -> tuple[SliceBrowser, ...]:
    """A browser for every region that is seen in at least two slices."""
    display, positions = Display.of(volume.grid), slice_positions_mm(volume.grid)
    regions = [region for region in regions_or_whole(answer, volume) if np.count_nonzero(region.present) > 1]
    if not regions:
        return ()
    seen = positions[np.logical_or.reduce([region.present for region in regions])]
    half = volume.grid.spacing_mm[0] / 2
    frame = Frame(low_mm=float(seen.min()) - half, high_mm=float(seen.max()) + half, letters=axis_letters(volume.grid))
    mask = bone_mask(answer, volume.grid)
    return tuple(_browser(region, answer, volume, display=display, mask=mask, frame=frame) for region in regions)


def _browser(
    region: Region, answer: Answer, volume: Volume, *, display: Display, mask: Mask | None, frame: Frame
) -> SliceBrowser:
    window = crop_window(region, volume.grid, margin_mm=task_words(answer.task).margin_mm)
    size = _tile_size(display, window)
    shown = _shown(region, answer)
    positions = slice_positions_mm(volume.grid)
    scores, called = scores_of(answer, region.name), task_words(answer.task).called
    half = volume.grid.spacing_mm[0] / 2 if scores is None else half_step_mm(scores, volume.grid)
    tiles = [_grey_tile(_crop(display, volume.array, window, index), size) for index in shown]
    outlines, edges, marked = [], [], lesion_mask(answer)
    if mask is not None:
        values = bone_values(mask, region.name)
        outlines = [_edge_tile(np.isin(_crop(display, mask.array, window, index), values), size) for index in shown]
    if marked is not None and marked.grid.same_as(volume.grid):
        edges = [_edge_tile(_crop(display, marked.array, window, index) > 0, size) for index in shown]
    best = telling_slices(answer, region, most=1) or [shown[len(shown) // 2]]
    sides = ("left", "right", "top", "bottom")
    return SliceBrowser(
        region=region.name,
        tile_width=size[0],
        tile_height=size[1],
        frames=tuple(_frame(index, positions, answer, region.name) for index in shown),
        boxes=tuple(_boxes(answer, region, display, window, size)),
        start=int(np.abs(np.asarray(shown) - best[0]).argmin()),
        letters=tuple(zip(display.edge_letters(display.slice_axis), sides, strict=True)),
        called=called,
        svg=score_svg(scores, positions, frame, name=region.name, half_mm=half, called=called),
        image=_packed(tiles, jpeg=True),
        outline=_packed(outlines, jpeg=False) if outlines else "",
        lesions=_packed(edges, jpeg=False) if edges else "",
        measure="highest value of the map" if scores and scores.source == "segmentation" else "probability",
    )


def _shown(region: Region, answer: Answer) -> list[int]:
    """At most MOST_SLICES slices, of those with a score where there are any, the most suspicious always among them."""
    scores = scores_of(answer, region.name)
    seen = np.flatnonzero(region.present) if scores is None or len(scores.slices) < 2 else scores.slices
    places = np.unique(np.linspace(0, len(seen) - 1, min(MOST_SLICES, len(seen))).round().astype(int))
    chosen = [int(index) for index in seen[places]]
    for index in telling_slices(answer, region, most=1):
        nearest = min(range(len(chosen)), key=lambda place: abs(chosen[place] - index))
        chosen[nearest] = index
    return chosen


def _tile_size(display: Display, window: Box) -> tuple[int, int]:
    """(width, height) in pixels, in the proportions of the plane in millimetres."""
    shape = display.box(window).shape
    row, column = (k for k in range(3) if k != display.slice_axis)
    across, down = shape[column] * display.spacing_mm[column], shape[row] * display.spacing_mm[row]
    scale = _TILE / max(across, down)
    return max(round(across * scale), 1), max(round(down * scale), 1)


def _crop(display: Display, array: NDArray[Any], window: Box, index: int) -> NDArray[Any]:
    row, column = (k for k in range(3) if k != display.slice_axis)
    inside = display.box(window)
    return display.plane(array, index)[inside.start[row] : inside.stop[row], inside.start[column] : inside.stop[column]]


def _grey_tile(plane: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    low, high = BONE_WINDOW_HU
    grey = np.clip((np.asarray(plane, dtype=np.float32) - low) * (255 / (high - low)), 0, 255)
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
    suffix, options = (
        (".jpg", [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        if jpeg
        else (".png", [cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 9])
    )
    _, encoded = cv2.imencode(suffix, sheet, options)
    kind = "jpeg" if jpeg else "png"
    return f"data:image/{kind};base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"


def _frame(
    index: int, positions: NDArray[np.float64], answer: Answer, region: str
) -> tuple[int, float, float | None, float | None, bool, bool | None]:
    place = round(float(positions[index]), 3)
    scores = scores_of(answer, region)
    if scores is None or index not in scores.slices:
        return index + 1, place, None, None, False, None
    at = np.flatnonzero(scores.slices == index)
    raw, smoothed = float(scores.probability[at[0]]), float(scores.smoothed[at[0]])
    outlined = None if scores.by_segmentation is None else bool(scores.by_segmentation[at[0]])
    return index + 1, place, round(raw, 6), round(smoothed, 6), in_a_run(scores, index), outlined


def _boxes(
    answer: Answer, region: Region, display: Display, window: Box, size: tuple[int, int]
) -> list[tuple[int, int, float, float, float, float, str]]:
    outer = display.box(window)
    row, column = (k for k in range(3) if k != display.slice_axis)
    across, down = size[0] / outer.shape[column], size[1] / outer.shape[row]
    boxes = []
    lesions = [(item.box, str(item.number)) for item in lesions_of(answer)]
    called = task_words(answer.task).called
    for box, word in lesions or [(box, called) for box in affected_boxes(answer, region.name)]:
        inner = display.box(box)
        left, right = ((end - outer.start[column]) * across for end in (inner.start[column], inner.stop[column]))
        top, bottom = ((end - outer.start[row]) * down for end in (inner.start[row], inner.stop[row]))
        first, last = box.start[0] + 1, box.stop[0]
        boxes.append((first, last, round(left, 1), round(top, 1), round(right, 1), round(bottom, 1), word))
    return boxes
