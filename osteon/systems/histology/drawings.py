"""Pictures of a slide: its map, necrosis, tiles, probabilities, and where the model is not to be believed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.data.slide import TILE_CLASSES
from osteon.ops.tile_plan import slide_size_um, tile_corner_um, tile_view
from osteon.report.sheet import DARK_AFFECTED, DARK_INK, LIGHT, Sheet
from osteon.report.wording import percent, probability
from osteon.systems.histology.detail import (
    LEFT_OUT,
    LEFT_OUT_LOOK,
    LOOKS,
    UNCLAIMED,
    UNCLAIMED_LOOK,
    cell_flags,
    centre_um,
    flag_look,
    rgb_of,
    shown_classes,
)
from osteon.systems.histology.sheet import (
    SOFT,
    WIDTH,
    Panels,
    class_colours,
    grey_ground,
    legend,
    outline,
    resized,
    save,
    scale_bar,
    slide_panel,
    spread_cells,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from osteon.data.slide import Slide
    from osteon.report.blocks import Picture
    from osteon.systems.histology.detail import Look, SlideReading

__all__ = [
    "GRADE_BANDS",
    "PER_GROUP",
    "draw_gallery",
    "draw_limits",
    "draw_necrosis",
    "draw_overview",
    "draw_probabilities",
    "gallery_groups",
]

Pixels = Callable[[], "NDArray[np.uint8]"]
"""Gives those of ``slide_picture``, read once for all drawings."""

_EDGE: Final = 30
GRADE_BANDS: Final = (("I", 0.0, 0.5), ("II", 0.5, 0.9), ("III", 0.9, 1.0))
"""Grade and the necrosis it begins and ends with; IV is 1 itself (Huvos, Rosen and Marcove 1977)."""
PER_GROUP: Final = 6
"""Tiles shown of each group."""
_TILE: Final = 240
_STEP: Final = 260
_WORDS: Final = 138
"""Height of what is written below a tile."""
_HEAD: Final = 40
_BAR: Final = 74
"""Height that a colour bar with its numbers takes below a panel."""
_FARTHEST: Final = 2.0
"""Novelty in thresholds at the end of the colour scale."""


def draw_overview(path: Path, reading: SlideReading, slide: Slide, *, pixels: Pixels, marks: Sequence[str]) -> Picture:
    """The slide, and beside it in grey with the class of every cell.

    Raises:
        OutputError: it cannot be written.
    """
    size_um = slide_size_um(slide)
    panels = Panels.of(size_um, 2)
    picture = resized(pixels(), panels.shape)
    cells = shown_classes(reading)
    overlay = class_colours(cells, reading.map.plan, slide, grey_ground(picture))
    height = panels.bottom + 74
    sheet = Sheet(panels.width, height, ground=LIGHT)
    titles = ("The slide", "What each cell is called")
    for place, title, shown in zip(panels.places, titles, (picture, overlay), strict=True):
        sheet.text(place[0], place[1] - 32, title, size=20, colour=DARK_INK, weight="bold")
        axes = slide_panel(sheet, place, shown, size_um)
        scale_bar(axes)
        if shown is overlay:
            _left_out(axes, cells, reading)
    legend(sheet, (_EDGE, height - 44), _legend(cells))
    return save(sheet, path, marks, title="The slide and its map", caption=_overview_words(reading))


def _left_out(axes: Axes, cells: NDArray[np.int8], reading: SlideReading) -> None:
    for value, look in ((LEFT_OUT, LEFT_OUT_LOOK), (UNCLAIMED, UNCLAIMED_LOOK)):
        outline(axes, cells == value, reading.map.plan, look=look, width=0.8)


def _legend(cells: NDArray[np.int8]) -> list[tuple[Look, str]]:
    """The classes always, unless none is claimed; what else there is where there is some."""
    others = [
        (look, f": {int((cells == value).sum()):,}")
        for value, look in ((LEFT_OUT, LEFT_OUT_LOOK), (UNCLAIMED, UNCLAIMED_LOOK))
        if (cells == value).any()
    ]
    if (cells == UNCLAIMED).any():
        return others
    shown = [(look, f": {int((cells == index).sum()):,}") for index, look in enumerate(LOOKS)]
    return [*reversed(shown), *others]


def _overview_words(reading: SlideReading) -> str:
    plan = reading.map.plan
    words = (
        f"Right: what each cell is called, over the slide in grey. A cell is {plan.step_um:,.0f} µm wide; a tile of "
        f"{plan.tile_um:,.0f} µm around it was looked at. The legend counts cells."
    )
    if reading.is_unlike:
        return f"{words} The slide is unlike the training tiles: no class is claimed for any cell."
    return f"{words} White: no tissue. Hatched grey: flagged, and left out of areas and of the necrosis fraction."


def draw_necrosis(path: Path, reading: SlideReading, *, marks: Sequence[str]) -> Picture:
    """The fraction, which there must be, with its interval over the cuts of the grades.

    Raises:
        OutputError: it cannot be written.
    """
    sheet = Sheet(WIDTH, 340, ground=LIGHT)
    axes = sheet.axes(_EDGE + 30, 84, WIDTH - 2 * _EDGE - 130, 190)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.set_xticks([0, 0.25, 0.5, 0.75, 0.9, 1.0], ["0", "25", "50", "75", "90", "100 %"])
    axes.tick_params(axis="x", labelsize=Sheet.points(18), colors=DARK_INK, length=5)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    _bands(axes, reading)
    _share(axes, reading)
    sheet.text(_EDGE, 18, _necrosis_title(reading), size=24, colour=DARK_INK, weight="bold")
    sheet.text(
        WIDTH / 2 - 20, 312, "Necrosis: share of the tumour area that is not viable", size=17, colour=SOFT, ha="center"
    )
    words = (
        "Ochre: non-viable tumour, crimson: viable tumour, as shares of the tumour area. Black line: 95 % interval. "
        "Below: where the grades begin (50, 90 and 100 %)."
    )
    return save(sheet, path, marks, title="Necrosis fraction", caption=words)


def _necrosis_title(reading: SlideReading) -> str:
    necrosis = reading.necrosis
    text = f"Necrosis {percent(necrosis.fraction or 0.0)}"
    if necrosis.interval is None:
        return f"{text}, too little tumour for an interval"
    low, high = necrosis.interval
    return f"{text}, 95 % interval {percent(low)} to {percent(high)}"


def _bands(axes: Axes, reading: SlideReading) -> None:
    """The grades below the bar: the proposed one strong, others that the interval reaches in between."""
    from matplotlib.patches import Rectangle

    proposed = reading.grade.grade if reading.grade else ""
    possible = reading.grade.possible if reading.grade else ()
    places = [*((grade, low, high) for grade, low, high in GRADE_BANDS), ("IV", 1.005, 1.06)]
    for grade, low, high in places:
        ground = "#3f4954" if grade == proposed else "#b9c0c8" if grade in possible else "#eceef0"
        colour = LIGHT if grade == proposed else DARK_INK
        axes.add_patch(
            Rectangle((low, 0.06), high - low, 0.24, facecolor=ground, edgecolor=LIGHT, linewidth=2, clip_on=False)
        )
        axes.text(
            (low + high) / 2, 0.175, grade, ha="center", va="center", color=colour, fontsize=Sheet.points(20),
            weight="bold",
        )  # fmt: skip
    for cut in (0.5, 0.9, 1.0):
        axes.plot(
            [cut, cut], [0, 0.94], color=DARK_INK, linewidth=1.2, linestyle=(0, (4, 3)), clip_on=False, zorder=0.5
        )


def _share(axes: Axes, reading: SlideReading) -> None:
    """The bar of both classes, and the interval over it."""
    from matplotlib.patches import Rectangle

    fraction = reading.necrosis.fraction or 0.0
    bottom, height = 0.4, 0.3
    dead, alive = (LOOKS[TILE_CLASSES.index(name)] for name in ("non_viable", "viable"))
    for look, low, high in ((dead, 0.0, fraction), (alive, fraction, 1.0)):
        axes.add_patch(Rectangle((low, bottom), high - low, height, facecolor=look.colour, linewidth=0, clip_on=False))
        words = f"{look.title.lower()} {percent(high - low)}"
        if high - low > 0.16:
            ink = DARK_INK if look is dead else LIGHT
            axes.text(
                (low + high) / 2, bottom + height / 2, words, ha="center", va="center", color=ink,
                fontsize=Sheet.points(18), weight="bold",
            )  # fmt: skip
    y = bottom + height + 0.11
    if reading.necrosis.interval is not None:
        low, high = reading.necrosis.interval
        axes.errorbar(
            [fraction], [y], xerr=[[fraction - low], [high - fraction]], color=DARK_INK, capsize=7, linewidth=2.4,
            capthick=2.4, clip_on=False,
        )  # fmt: skip
    axes.plot([fraction], [y], marker="D", markersize=9, color=DARK_INK, clip_on=False)


def gallery_groups(reading: SlideReading) -> tuple[tuple[str, str, tuple[tuple[int, int], ...]], ...]:
    """(title, colour, cells) of what the gallery shows, in order; groups without cells are left out."""
    groups = []
    for index in reversed(range(len(LOOKS))):
        of_class = tuple(cell for cell in reading.certain if int(reading.map.probability[cell].argmax()) == index)
        groups.append((f"{LOOKS[index].title}, most certain", LOOKS[index].colour, of_class[:PER_GROUP]))
    groups.append(("Least certain", SOFT, reading.uncertain[:PER_GROUP]))
    return tuple(group for group in groups if group[2])


def draw_gallery(path: Path, reading: SlideReading, slide: Slide, *, marks: Sequence[str]) -> Picture:
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
        sheet.text(_EDGE, top - 2, title, size=22, colour=DARK_INK, weight="bold")
        for place, cell in enumerate(cells):
            _tile(sheet, reading, slide, cell, place=(_EDGE + place * _STEP, top + _HEAD), colour=colour)
    plan = reading.map.plan
    pixel_um = plan.tile_um / plan.pixels
    words = (
        f"Tiles of {plan.tile_um:,.0f} µm as the model sees them, at {pixel_um:.1f} µm a pixel. The dashed square "
        "is the cell that the tile speaks for. Below each: calibrated probabilities, and the place of the cell's "
        f"middle from the upper left corner of the slide (x, y). At most {PER_GROUP} of each group."
    )
    return save(sheet, path, marks, title="Tiles", caption=words)


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
        for ground, width, dash in ((LIGHT, 2.4, (0, (1, 0))), (DARK_INK, 1.2, (0, (4, 3)))):
            axes.add_patch(
                Rectangle(corner, share, share, fill=False, edgecolor=ground, linewidth=width, linestyle=dash)
            )
    _bars(sheet, reading, cell, place=(left, top + _TILE + 8))
    flags = ", ".join(flag_look(name).title for name in cell_flags(reading.map, *cell))
    words = f"{x_um / 1000:.2f}, {y_um / 1000:.2f} mm · row {cell[0]}, col. {cell[1]}"
    sheet.text(left, top + _TILE + 74, words, size=14, colour=SOFT)
    if flags:
        sheet.text(left, top + _TILE + 94, flags, size=15, colour=DARK_AFFECTED, weight="bold")


def _bars(sheet: Sheet, reading: SlideReading, cell: tuple[int, int], *, place: tuple[int, int]) -> None:
    """Three bars with name and number, viable first."""
    from matplotlib.patches import Rectangle

    left, top = place
    for order, index in enumerate(reversed(range(len(LOOKS)))):
        look, share = LOOKS[index], float(reading.map.probability[(*cell, index)])
        y = top + order * 21
        sheet.text(left, y, look.title.replace(" tumour", ""), size=15, colour=DARK_INK)
        axes = sheet.axes(left + 98, y + 2, 84, 13)
        axes.set_axis_off()
        axes.add_patch(Rectangle((0, 0), 1, 1, facecolor="#eceef0", linewidth=0, transform=axes.transAxes))
        if math.isfinite(share):
            axes.add_patch(Rectangle((0, 0), share, 1, facecolor=look.colour, linewidth=0, transform=axes.transAxes))
            sheet.text(left + _TILE, y, probability(share), size=15, colour=DARK_INK, ha="right")


def draw_probabilities(
    path: Path, reading: SlideReading, slide: Slide, *, pixels: Pixels, marks: Sequence[str]
) -> Picture:
    """One map a class: from white at 0 to the class's colour at 1.

    Raises:
        OutputError: it cannot be written.
    """
    size_um = slide_size_um(slide)
    panels = Panels.of(size_um, len(LOOKS), below=_BAR)
    shape = panels.shape
    ground = grey_ground(resized(pixels(), shape))
    sheet = Sheet(panels.width, panels.bottom + _BAR + 10, ground=LIGHT)
    for (left, top), index in zip(panels.places, reversed(range(len(LOOKS))), strict=True):
        look = LOOKS[index]
        share = reading.map.probability[..., index, None]
        colours = 255 + np.nan_to_num(share) * (np.array(rgb_of(look.colour), dtype=np.float32) - 255)
        shown = np.rint(ground * spread_cells(colours, reading.map.plan, slide, shape)).astype(np.uint8)
        sheet.text(left, top - 32, look.title, size=20, colour=DARK_INK, weight="bold")
        scale_bar(slide_panel(sheet, (left, top), shown, size_um))
        steps = np.linspace(0, 1, 256)[:, None]
        ramp = (255 + steps * (np.array(rgb_of(look.colour)) - 255)) / 255
        _colour_bar(sheet, (left, top + shape[0] + 14, shape[1]), ramp, ("0", "0.5", "1"), "probability")
    words = "Calibrated probability of every cell, over the slide in grey. The three add up to 1 in every cell."
    return save(sheet, path, marks, title="Probability of each class", caption=words)


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
        sheet.text(left + share * width, top + 19, text, size=16, colour=DARK_INK, ha=side)
    if room > width + 120:
        sheet.text(left + width + 14, top - 3, title, size=16, colour=SOFT)


def draw_limits(path: Path, reading: SlideReading, slide: Slide, *, pixels: Pixels, marks: Sequence[str]) -> Picture:
    """Flagged cells, and how far every tile is from the training tiles where the model knows that.

    Raises:
        OutputError: it cannot be written.
    """
    size_um = slide_size_um(slide)
    has_novelty = reading.map.novelty is not None
    panels = Panels.of(size_um, 2)
    shape = panels.shape
    ground = grey_ground(resized(pixels(), shape), darkest=0.45)
    left, top = panels.places[0]
    bottom = panels.bottom if has_novelty else top + shape[0]
    sheet = Sheet(panels.width, bottom + _BAR + 30, ground=LIGHT)
    sheet.text(left, top - 32, "Quality flags", size=20, colour=DARK_INK, weight="bold")
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
    total = sum(int(cells.sum()) for cells in reading.map.flags.values())
    words = "Left: cells that were flagged; they are left out of areas and of the necrosis fraction."
    if not total:
        words = "No cell was flagged."
    if has_novelty:
        words += (
            " Distance of every tile from the training tiles, in thresholds: above 1 a tile is unlike everything the "
            "model was trained on."
        )
    return save(sheet, path, marks, title="Where to take care", caption=words)


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
    sheet.text(left, top - 32, "Distance from the training tiles", size=20, colour=DARK_INK, weight="bold")
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
