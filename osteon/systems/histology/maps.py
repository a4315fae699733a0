"""probabilities.png and limits.png: what the classifier said of every cell, and where it should not be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.ops.tile_plan import slide_size_um
from osteon.report.sheet import LIGHT, Sheet
from osteon.report.view import View
from osteon.systems.histology.map_cells import LOOKS, flag_look, rgb_of
from osteon.systems.histology.pixels import grey_ground, resized
from osteon.systems.histology.sheet import (
    INK,
    SOFT,
    Panels,
    legend,
    outline,
    save,
    scale_bar,
    slide_panel,
    spread_cells,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data.slide import Slide
    from osteon.systems.histology.detail import SlideReading

__all__ = ["draw_limits", "draw_probabilities"]

_EDGE: Final = 30
_BAR: Final = 74
"""Height that a colour bar with its numbers takes below a panel."""
_FARTHEST: Final = 2.0
"""Novelty in thresholds at the end of the colour scale."""


def draw_probabilities(
    path: Path, reading: SlideReading, slide: Slide, *, pixels: NDArray[np.uint8], marks: Sequence[str]
) -> View:
    """One map a class: from white at 0 to the class's colour at 1; ``pixels`` of ``slide_picture``.

    Raises:
        OutputError: it cannot be written.
    """
    size_um = slide_size_um(slide)
    panels = Panels.of(size_um, len(LOOKS), below=_BAR)
    shape = panels.shape
    ground = grey_ground(resized(pixels, shape))
    sheet = Sheet(panels.width, panels.bottom + _BAR + 10, ground=LIGHT)
    for (left, top), index in zip(panels.places, reversed(range(len(LOOKS))), strict=True):
        look = LOOKS[index]
        share = reading.map.probability[..., index, None]
        colours = 255 + np.nan_to_num(share) * (np.array(rgb_of(look.colour), dtype=np.float32) - 255)
        shown = np.rint(ground * spread_cells(colours, reading.map.plan, slide, shape)).astype(np.uint8)
        sheet.text(left, top - 32, look.title, size=20, colour=INK, weight="bold")
        scale_bar(slide_panel(sheet, (left, top), shown, size_um))
        steps = np.linspace(0, 1, 256)[:, None]
        ramp = (255 + steps * (np.array(rgb_of(look.colour)) - 255)) / 255
        _colour_bar(sheet, (left, top + shape[0] + 14, shape[1]), ramp, ("0", "0.5", "1"), "probability")
    save(sheet, path, marks)
    return View(
        name="probabilities",
        path=path,
        title="Probability of each class",
        caption="Calibrated probability of every cell, over the slide in grey. The three add up to 1 in every cell.",
        width=sheet.width,
        height=sheet.height,
    )


def _colour_bar(
    sheet: Sheet, place: tuple[float, float, float], ramp: NDArray[Any], numbers: tuple[str, str, str], title: str
) -> None:
    """A ramp of colours from left to right at (left, top, width), with numbers at its ends and middle."""
    left, top, room = place
    width = min(room, 360.0)
    axes = sheet.axes(left, top, width, 14)
    axes.imshow(np.asarray(ramp)[None], aspect="auto", extent=(0, 1, 0, 1))
    axes.set_xticks([])
    axes.set_yticks([])
    for text, share, side in zip(numbers, (0.0, 0.5, 1.0), ("left", "center", "right"), strict=True):
        sheet.text(left + share * width, top + 19, text, size=16, colour=INK, ha=side)
    if room > width + 120:
        sheet.text(left + width + 14, top - 3, title, size=16, colour=SOFT)


def draw_limits(
    path: Path, reading: SlideReading, slide: Slide, *, pixels: NDArray[np.uint8], marks: Sequence[str]
) -> View:
    """Flagged cells, and how far every tile is from the training tiles where the model knows that.

    ``pixels`` are those of ``slide_picture``.

    Raises:
        OutputError: it cannot be written.
    """
    size_um = slide_size_um(slide)
    has_novelty = reading.map.novelty is not None
    panels = Panels.of(size_um, 2)
    shape = panels.shape
    ground = grey_ground(resized(pixels, shape), darkest=0.45)
    left, top = panels.places[0]
    bottom = panels.bottom if has_novelty else top + shape[0]
    sheet = Sheet(panels.width, bottom + _BAR + 30, ground=LIGHT)
    sheet.text(left, top - 32, "Quality flags", size=20, colour=INK, weight="bold")
    axes = slide_panel(sheet, (left, top), np.rint(255 * np.repeat(ground, 3, axis=-1)).astype(np.uint8), size_um)
    counted = []
    for name, cells in reading.map.flags.items():
        look = flag_look(name)
        outline(axes, cells, reading.map.plan, look=look, width=1.8)
        counted.append((look, f": {int(cells.sum()):,}"))
    scale_bar(axes)
    if counted:
        legend(sheet, (_EDGE, sheet.height - 36), counted)
    if has_novelty:
        _novelty_panel(sheet, reading, slide, ground, panels.places[1])
    save(sheet, path, marks)
    total = sum(int(cells.sum()) for cells in reading.map.flags.values())
    words = "Left: cells that were flagged; they are left out of areas and of the necrosis fraction."
    if not total:
        words = "No cell was flagged."
    if has_novelty:
        words += (
            " Distance of every tile from the training tiles, in thresholds: above 1 a tile is unlike everything the "
            "model was trained on."
        )
    return View(
        name="limits", path=path, title="Where to take care", caption=words, width=sheet.width, height=sheet.height
    )


def _novelty_panel(
    sheet: Sheet, reading: SlideReading, slide: Slide, ground: NDArray[np.float32], place: tuple[int, int]
) -> None:
    slide_map = reading.map
    if slide_map.novelty is None:
        return
    threshold = slide_map.novelty_threshold or float(np.nanmax(slide_map.novelty, initial=1e-6)) / _FARTHEST
    share = np.clip(slide_map.novelty / threshold / _FARTHEST, 0, 1)
    values = _distance_colours(np.nan_to_num(share))
    values[np.isnan(share)] = 255
    shape = ground.shape[:2]
    shown = spread_cells(values, slide_map.plan, slide, shape)
    paper = (spread_cells(np.isnan(share).astype(np.float32), slide_map.plan, slide, shape) > 0)[..., None]
    shown = np.where(paper, 255 * ground, shown * (0.55 + 0.45 * ground))
    left, top = place
    sheet.text(left, top - 32, "Distance from the training tiles", size=20, colour=INK, weight="bold")
    scale_bar(slide_panel(sheet, place, np.rint(shown).astype(np.uint8), slide_size_um(slide)))
    below = (left, top + shape[0] + 14, shape[1])
    ramp = _distance_colours(np.linspace(0, 1, 256, dtype=np.float32)) / 255
    _colour_bar(sheet, below, ramp, ("0", "threshold", "2 x"), "distance")


def _distance_colours(share: NDArray[np.float32]) -> NDArray[np.float32]:
    """White to grey-blue up to the threshold at 0.5, orange to brown above it; (..., 3), 0 to 255."""
    places = [0.0, 0.5, np.nextafter(0.5, 1.0), 1.0]
    colours = np.array([rgb_of(colour) for colour in ("#f4f6f8", "#86a0ba", "#f7b267", "#9c3d00")], dtype=np.float64)
    parts = [np.interp(share, places, colours[:, channel]) for channel in range(3)]
    return np.stack(parts, axis=-1).astype(np.float32)
