"""gallery.png: the tiles that the classifier is most and least certain of, each with its probabilities and place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from osteon.ops.tile_plan import slide_size_um, tile_corner_um, tile_view
from osteon.report.sheet import LIGHT, Sheet
from osteon.report.view import View
from osteon.report.wording import probability
from osteon.systems.histology.map_cells import LOOKS, cell_flags, centre_um, flag_look
from osteon.systems.histology.pixels import resized
from osteon.systems.histology.sheet import INK, SOFT, WIDTH, save

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from osteon.data.slide import Slide
    from osteon.systems.histology.detail import SlideReading

__all__ = ["PER_GROUP", "draw_gallery", "gallery_groups"]

PER_GROUP: Final = 6
"""Tiles shown of each group."""
_EDGE: Final = 30
_TILE: Final = 240
_STEP: Final = 260
_WORDS: Final = 138
"""Height of what is written below a tile."""
_HEAD: Final = 40


def gallery_groups(reading: SlideReading) -> tuple[tuple[str, str, tuple[tuple[int, int], ...]], ...]:
    """(title, colour, cells) of what the gallery shows, in order; groups without cells are left out."""
    groups = []
    for index in reversed(range(len(LOOKS))):
        of_class = tuple(cell for cell in reading.certain if int(reading.map.probability[cell].argmax()) == index)
        groups.append((f"{LOOKS[index].title}, most certain", LOOKS[index].colour, of_class[:PER_GROUP]))
    groups.append(("Least certain", SOFT, reading.uncertain[:PER_GROUP]))
    return tuple(group for group in groups if group[2])


def draw_gallery(path: Path, reading: SlideReading, slide: Slide, *, marks: Sequence[str]) -> View:
    """A row of tiles for each class and one of the least certain.

    Raises:
        InputError: the slide is damaged.
        OutputError: it cannot be written.
    """
    groups = gallery_groups(reading)
    block = _HEAD + _TILE + _WORDS
    sheet = Sheet(WIDTH, 62 + max(1, len(groups)) * block, ground=LIGHT)
    for number, (title, colour, cells) in enumerate(groups):
        top = 62 + number * block
        sheet.text(_EDGE, top - 2, title, size=22, colour=INK, weight="bold")
        for place, cell in enumerate(cells):
            _tile(sheet, reading, slide, cell, place=(_EDGE + place * _STEP, top + _HEAD), colour=colour)
    save(sheet, path, marks)
    plan = reading.map.plan
    pixel_um = plan.tile_um / plan.pixels
    return View(
        name="gallery",
        path=path,
        title="Tiles",
        caption=(
            f"Tiles of {plan.tile_um:,.0f} µm as the model sees them, at {pixel_um:.1f} µm a pixel. The dashed square "
            "is the cell that the tile speaks for. Below each: calibrated probabilities, and the place of the cell's "
            f"middle from the upper left corner of the slide (x, y). At most {PER_GROUP} of each group."
        ),
        width=sheet.width,
        height=sheet.height,
    )


def _tile(
    sheet: Sheet, reading: SlideReading, slide: Slide, cell: tuple[int, int], *, place: tuple[int, int], colour: str
) -> None:
    """One tile with its frame, cell, probabilities and place."""
    from matplotlib.patches import Rectangle

    plan = reading.map.plan
    x_um, y_um = centre_um(plan, *cell)
    pixels = resized(tile_view(slide, plan, cell), (_TILE, _TILE))
    left, top = place
    axes = sheet.axes(left, top, _TILE, _TILE)
    axes.imshow(pixels, extent=(0, 1, 1, 0), aspect="auto", interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color(colour)
        side.set_linewidth(3)
    share = plan.step_um / plan.tile_um
    if share < 0.999:
        top_um, left_um = tile_corner_um(plan, cell, slide_size_um(slide))
        corner = (cell[1] * plan.step_um - left_um) / plan.tile_um, (cell[0] * plan.step_um - top_um) / plan.tile_um
        for ground, width, dash in ((LIGHT, 2.4, (0, (1, 0))), (INK, 1.2, (0, (4, 3)))):
            axes.add_patch(
                Rectangle(corner, share, share, fill=False, edgecolor=ground, linewidth=width, linestyle=dash)
            )
    _bars(sheet, reading, cell, place=(left, top + _TILE + 8))
    flags = ", ".join(flag_look(name).title for name in cell_flags(reading.map, *cell))
    words = f"{x_um / 1000:.2f}, {y_um / 1000:.2f} mm · row {cell[0]}, col. {cell[1]}"
    sheet.text(left, top + _TILE + 74, words, size=14, colour=SOFT)
    if flags:
        sheet.text(left, top + _TILE + 94, flags, size=15, colour="#a84300", weight="bold")


def _bars(sheet: Sheet, reading: SlideReading, cell: tuple[int, int], *, place: tuple[int, int]) -> None:
    """Three bars with name and number, viable first."""
    from matplotlib.patches import Rectangle

    left, top = place
    for order, index in enumerate(reversed(range(len(LOOKS)))):
        look, share = LOOKS[index], float(reading.map.probability[(*cell, index)])
        y = top + order * 21
        sheet.text(left, y, look.title.replace(" tumour", ""), size=15, colour=INK)
        axes = sheet.axes(left + 98, y + 2, 84, 13)
        axes.set_axis_off()
        axes.add_patch(Rectangle((0, 0), 1, 1, facecolor="#eceef0", linewidth=0, transform=axes.transAxes))
        if math.isfinite(share):
            axes.add_patch(Rectangle((0, 0), share, 1, facecolor=look.colour, linewidth=0, transform=axes.transAxes))
            sheet.text(left + _TILE, y, probability(share), size=15, colour=INK, ha="right")
