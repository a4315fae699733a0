"""Pictures of a slide: its map, necrosis, tiles, probabilities, where not to believe the model; and what they share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.data.slide import TILE_CLASSES
from osteon.ops.polygons import patches
from osteon.ops.tile_plan import slide_size_um, slide_thumbnail, tile_corner_um, tile_view
from osteon.report.sheet import DARK_AFFECTED, DARK_INK, LIGHT, Sheet
from osteon.report.wording import percent, probability
from osteon.systems.histology import detail
from osteon.systems.histology.text import SLIDE_DEMO_MARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from osteon.data import Answer
    from osteon.data.slide import Slide, TilePlan
    from osteon.report.blocks import Picture
    from osteon.systems.histology.detail import Look, SlideReading

__all__ = [
    "SOFT",
    "SYNTHETIC_MARK",
    "WIDTH",
    "Panels",
    "draw_gallery",
    "draw_limits",
    "draw_necrosis",
    "draw_overview",
    "draw_probabilities",
    "gallery_groups",
    "legend",
    "marks",
    "outline",
    "resized",
    "save",
    "slide_picture",
    "spread_cells",
]


Pixels = Callable[[], "NDArray[np.uint8]"]
"""Gives those of ``slide_picture``, read once for all drawings."""

_GRADE_BANDS: Final = (("I", 0.0, 0.5), ("II", 0.5, 0.9), ("III", 0.9, 1.0))
"""Grade and the necrosis it begins and ends with; IV is 1 itself (Huvos, Rosen and Marcove 1977)."""
_PER_GROUP: Final = 6
"""Tiles shown of each group."""
_TILE: Final = 240
_STEP: Final = 260
_WORDS: Final = 138
"""Height of what is written below a tile."""
_ROW_HEAD: Final = 40
_BAR: Final = 74
"""Height that a colour bar with its numbers takes below a panel."""
_FARTHEST: Final = 2.0
"""Ood in thresholds at the end of the colour scale."""

WIDTH: Final = 1600
SOFT: Final = "#555e69"
_LONGEST: Final = 1600
"""Pixels along the longer side of the largest panel."""

_EDGE: Final = 30
_GAP: Final = 30
_HEAD: Final = 96
_TALLEST: Final = 900

SYNTHETIC_MARK: Final = "synthetic slide - no person's tissue"
"""Stands on every picture of a slide that was computed."""

_BAR_LENGTHS_UM: Final = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000)


def draw_overview(path: Path, reading: SlideReading, slide: Slide, *, pixels: Pixels, marks: Sequence[str]) -> Picture:
    """The slide, and beside it in grey with the class of every cell.

    Raises:
        OutputError: it cannot be written.
    """
    size_um = slide_size_um(slide)
    panels = Panels.of(size_um, 1 if reading.is_silent else 2)
    picture = resized(pixels(), panels.shape)
    if reading.is_silent:
        alone = Sheet(panels.width, panels.bottom + 24, ground=LIGHT)
        _scale_bar(_slide_panel(alone, panels.places[0], picture, size_um))
        return save(alone, path, marks, title="The slide", caption="The slide as it is; no model was asked of it.")
    cells = detail.shown_classes(reading)
    overlay = _class_colours(cells, reading.map.plan, slide, _grey_ground(picture))
    height = panels.bottom + 74
    sheet = Sheet(panels.width, height, ground=LIGHT)
    titles = ("The slide", "Class of each tile")
    for place, title, shown in zip(panels.places, titles, (picture, overlay), strict=True):
        sheet.text(place[0], place[1] - 32, title, size=20, colour=DARK_INK, weight="bold")
        axes = _slide_panel(sheet, place, shown, size_um)
        _scale_bar(axes)
        if shown is overlay:
            for value, look in ((detail.LEFT_OUT, detail.LEFT_OUT_LOOK), (detail.UNCLAIMED, detail.UNCLAIMED_LOOK)):
                outline(axes, cells == value, reading.map.plan, look=look, width=0.8)
    legend(sheet, (_EDGE, height - 44), _legend(cells))
    return save(sheet, path, marks, title="The slide and its map", caption=_overview_text(reading))


def _legend(cells: NDArray[np.int8]) -> list[tuple[Look, str]]:
    """The classes always, unless none is claimed; what else there is where there is some."""
    others = [
        (look, f": {int((cells == value).sum()):,}")
        for value, look in ((detail.LEFT_OUT, detail.LEFT_OUT_LOOK), (detail.UNCLAIMED, detail.UNCLAIMED_LOOK))
        if (cells == value).any()
    ]
    if (cells == detail.UNCLAIMED).any():
        return others
    shown = [(look, f": {int((cells == index).sum()):,}") for index, look in enumerate(detail.LOOKS)]
    return [*reversed(shown), *others]


def _overview_text(reading: SlideReading) -> str:
    plan = reading.map.plan
    words = (
        f"Right: class of each tile, over the slide in grey. Tiles are {plan.step_um:,.0f} µm apart; "
        f"{plan.tile_um:,.0f} µm around each were read. The legend counts tiles."
    )
    if reading.is_ood:
        return f"{words} The slide is out of distribution: no class is claimed for any tile."
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
        "Ochre: non-viable tumour, crimson: viable tumour, as shares of the tumour area. Black line: 95 % CI. "
        "Below: where the grades begin (50, 90 and 100 %)."
    )
    return save(sheet, path, marks, title="Necrosis fraction", caption=words)


def _necrosis_title(reading: SlideReading) -> str:
    necrosis = reading.necrosis
    text = f"Necrosis {percent(necrosis.fraction or 0.0)}"
    if necrosis.interval is None:
        return f"{text}, too little tumour for an interval"
    low, high = necrosis.interval
    return f"{text}, 95 % CI {percent(low)} to {percent(high)}"


def _bands(axes: Axes, reading: SlideReading) -> None:
    """The grades below the bar: the proposed one strong, others that the interval reaches in between."""
    from matplotlib.patches import Rectangle

    proposed = reading.grade.grade if reading.grade else ""
    possible = reading.grade.possible if reading.grade else ()
    places = [*((grade, low, high) for grade, low, high in _GRADE_BANDS), ("IV", 1.005, 1.06)]
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
    dead, alive = (detail.LOOKS[TILE_CLASSES.index(name)] for name in ("non_viable", "viable"))
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
    for index in reversed(range(len(detail.LOOKS))):
        of_class = tuple(cell for cell in reading.certain if int(reading.map.probability[cell].argmax()) == index)
        groups.append((f"{detail.LOOKS[index].title}, most certain", detail.LOOKS[index].colour, of_class[:_PER_GROUP]))
    groups.append(("Least certain", SOFT, reading.uncertain[:_PER_GROUP]))
    return tuple(group for group in groups if group[2])


def draw_gallery(path: Path, reading: SlideReading, slide: Slide, *, marks: Sequence[str]) -> Picture:
    """A row of tiles for each class and one of the least certain.

    Raises:
        InputError: the slide is damaged.
        OutputError: it cannot be written.
    """
    groups = gallery_groups(reading)
    block = _ROW_HEAD + _TILE + _WORDS
    sheet = Sheet(WIDTH, 62 + max(1, len(groups)) * block, ground=LIGHT)
    for number, (title, colour, cells) in enumerate(groups):
        top = 62 + number * block
        sheet.text(_EDGE, top - 2, title, size=22, colour=DARK_INK, weight="bold")
        for place, cell in enumerate(cells):
            _tile(sheet, reading, slide, cell, place=(_EDGE + place * _STEP, top + _ROW_HEAD), colour=colour)
    plan = reading.map.plan
    pixel_um = plan.tile_um / plan.pixels
    words = (
        f"Tiles of {plan.tile_um:,.0f} µm as the model sees them, at {pixel_um:.1f} µm a pixel. The dashed square "
        "is the area that the tile counts for. Below each: calibrated probabilities, and the position of its "
        f"centre from the upper left corner of the slide (x, y). At most {_PER_GROUP} of each group."
    )
    return save(sheet, path, marks, title="Tiles", caption=words)


def _tile(
    sheet: Sheet, reading: SlideReading, slide: Slide, cell: tuple[int, int], *, place: tuple[int, int], colour: str
) -> None:
    """One tile with its frame, cell, probabilities and place."""
    from matplotlib.patches import Rectangle

    plan = reading.map.plan
    x_um, y_um = detail.centre_um(plan, *cell)
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
    flags = ", ".join(detail.flag_look(name).title for name in detail.cell_flags(reading.map, *cell))
    words = f"{x_um / 1000:.2f}, {y_um / 1000:.2f} mm · row {cell[0]}, col. {cell[1]}"
    sheet.text(left, top + _TILE + 74, words, size=14, colour=SOFT)
    if flags:
        sheet.text(left, top + _TILE + 94, flags, size=15, colour=DARK_AFFECTED, weight="bold")


def _bars(sheet: Sheet, reading: SlideReading, cell: tuple[int, int], *, place: tuple[int, int]) -> None:
    """Three bars with name and number, viable first."""
    from matplotlib.patches import Rectangle

    left, top = place
    for order, index in enumerate(reversed(range(len(detail.LOOKS)))):
        look, share = detail.LOOKS[index], float(reading.map.probability[(*cell, index)])
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
    panels = Panels.of(size_um, len(detail.LOOKS), below=_BAR)
    shape = panels.shape
    ground = _grey_ground(resized(pixels(), shape))
    sheet = Sheet(panels.width, panels.bottom + _BAR + 10, ground=LIGHT)
    for (left, top), index in zip(panels.places, reversed(range(len(detail.LOOKS))), strict=True):
        look = detail.LOOKS[index]
        share = reading.map.probability[..., index, None]
        colours = 255 + np.nan_to_num(share) * (np.array(detail.rgb_of(look.colour), dtype=np.float32) - 255)
        shown = np.rint(ground * spread_cells(colours, reading.map.plan, slide, shape)).astype(np.uint8)
        sheet.text(left, top - 32, look.title, size=20, colour=DARK_INK, weight="bold")
        _scale_bar(_slide_panel(sheet, (left, top), shown, size_um))
        steps = np.linspace(0, 1, 256)[:, None]
        ramp = (255 + steps * (np.array(detail.rgb_of(look.colour)) - 255)) / 255
        _colour_bar(sheet, (left, top + shape[0] + 14, shape[1]), ramp, ("0", "0.5", "1"), "probability")
    words = "Calibrated probability of every tile, over the slide in grey. The three add up to 1 in every tile."
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
    has_ood = reading.map.ood is not None
    panels = Panels.of(size_um, 2)
    shape = panels.shape
    ground = _grey_ground(resized(pixels(), shape), darkest=0.45)
    left, top = panels.places[0]
    bottom = panels.bottom if has_ood else top + shape[0]
    sheet = Sheet(panels.width, bottom + _BAR + 30, ground=LIGHT)
    sheet.text(left, top - 32, "Quality flags", size=20, colour=DARK_INK, weight="bold")
    axes = _slide_panel(sheet, (left, top), np.rint(255 * np.repeat(ground, 3, axis=-1)).astype(np.uint8), size_um)
    counted = []
    for name, cells in reading.map.flags.items():
        look = detail.flag_look(name)
        outline(axes, cells, reading.map.plan, look=look, width=1.8)
        counted.append((look, f": {int(cells.sum()):,}"))
    _scale_bar(axes)
    if counted:
        legend(sheet, (_EDGE, sheet.height - 36), counted)
    if has_ood:
        _ood_panel(sheet, reading, slide, ground, panels.places[1])
    total = sum(int(cells.sum()) for cells in reading.map.flags.values())
    words = "Left: tiles that were flagged; they are left out of areas and of the necrosis fraction."
    if not total:
        words = "No tile was flagged."
    if has_ood:
        words += (
            " Distance of every tile from the training tiles, in thresholds: above 1 a tile is out of distribution."
        )
    return save(sheet, path, marks, title="Caution", caption=words)


def _ood_panel(
    sheet: Sheet, reading: SlideReading, slide: Slide, ground: NDArray[np.float32], place: tuple[int, int]
) -> None:
    slide_map = reading.map
    if slide_map.ood is None:
        return
    threshold = slide_map.ood_threshold or float(np.nanmax(slide_map.ood, initial=1e-6)) / _FARTHEST
    share = np.clip(slide_map.ood / threshold / _FARTHEST, 0, 1)
    values = _distance_colours(np.nan_to_num(share))
    values[np.isnan(share)] = 255
    shape = ground.shape[:2]
    shown = spread_cells(values, slide_map.plan, slide, shape)
    paper = (spread_cells(np.isnan(share).astype(np.float32), slide_map.plan, slide, shape) > 0)[..., None]
    shown = np.where(paper, 255 * ground, shown * (0.55 + 0.45 * ground))
    left, top = place
    sheet.text(left, top - 32, "Distance from the training tiles", size=20, colour=DARK_INK, weight="bold")
    _scale_bar(_slide_panel(sheet, place, np.rint(shown).astype(np.uint8), slide_size_um(slide)))
    below = (left, top + shape[0] + 14, shape[1])
    ramp = _distance_colours(np.linspace(0, 1, 256, dtype=np.float32)) / 255
    _colour_bar(sheet, below, ramp, ("0", "threshold", "2 x"), "distance")


def _distance_colours(share: NDArray[np.float32]) -> NDArray[np.float32]:
    """White to grey-blue up to the threshold at 0.5, orange to brown above it; (..., 3), 0 to 255."""
    places = [0.0, 0.5, np.nextafter(0.5, 1.0), 1.0]
    colours = np.array(
        [detail.rgb_of(colour) for colour in ("#f4f6f8", "#86a0ba", "#f7b267", "#9c3d00")], dtype=np.float64
    )
    parts = [np.interp(share, places, colours[:, channel]) for channel in range(3)]
    return np.stack(parts, axis=-1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Panels:
    """How panels of a slide are laid out on a sheet: side by side, or below each other where they are wide.

    Attributes:
        width: of the sheet in pixels.
        shape: (rows, columns) of a panel in pixels.
        places: (left, top) of each panel, below a head of fixed height.
        rows: the row that each panel is in.
    """

    width: int
    shape: tuple[int, int]
    places: tuple[tuple[int, int], ...]
    rows: tuple[int, ...]

    @classmethod
    def of(cls, size_um: tuple[float, float], panels: int, *, below: int = 0) -> Panels:
        """Lay out panels of a slide of a size (height, width), with some pixels ``below`` each row."""
        across = panels if size_um[1] < 2.2 * size_um[0] else 1
        room = (WIDTH - 2 * _EDGE - (across - 1) * _GAP) / across
        shape = _fitting(size_um, (_TALLEST if across > 1 else _TALLEST / 1.5, room))
        slot = max(shape[1], 1140 / panels)  # room for the titles of the panels and the marks
        rows = tuple(number // across for number in range(panels))
        places = tuple(
            (round(_EDGE + number % across * (slot + _GAP)), _HEAD + row * (shape[0] + _GAP + 34 + below))
            for number, row in enumerate(rows)
        )
        return cls(round(min(WIDTH, 2 * _EDGE + across * (slot + _GAP) - _GAP)), shape, places, rows)

    @property
    def bottom(self) -> int:
        """Below the last panel."""
        return self.places[-1][1] + self.shape[0]


def marks(answer: Answer, slide: Slide) -> tuple[str, ...]:
    """What must stand on every picture of this slide."""
    demo = (SLIDE_DEMO_MARK,) if answer.is_demo else ()
    return (*demo, *((SYNTHETIC_MARK,) if slide.source.is_synthetic else ()))


def _slide_panel(sheet: Sheet, place: tuple[float, float], picture: NDArray[Any], size_um: tuple[float, float]) -> Axes:
    """A picture of the whole slide with its frame; x and y in micrometres, y downwards."""
    rows, columns = picture.shape[:2]
    axes = sheet.axes(place[0], place[1], columns, rows)
    axes.set_xlim(0, size_um[1])
    axes.set_ylim(size_um[0], 0)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color("#b6bcc3")
    axes.imshow(picture, extent=(0, size_um[1], size_um[0], 0), aspect="auto", interpolation="nearest")
    return axes


def _scale_bar(axes: Axes, *, size: float = 17) -> None:
    """A bar of a round length in the lower right corner, with its length in words."""
    across, down = axes.get_xlim()[1], axes.get_ylim()[0]
    fitting = [length for length in _BAR_LENGTHS_UM if length <= 0.3 * across]
    length = float(fitting[-1] if fitting else _BAR_LENGTHS_UM[0])
    words = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm"
    pixels = float(axes.bbox.height)
    right, base = across * 0.975, down * (1 - 14 / pixels)
    axes.plot(
        [right - length, right], [base, base], color=DARK_INK, linewidth=4, solid_capstyle="butt", path_effects=_halo()
    )
    axes.annotate(
        words, (right - length / 2, base), xytext=(0, 5), textcoords="offset points", ha="center", va="bottom",
        color=DARK_INK, fontsize=Sheet.points(size), weight="bold", path_effects=_halo(),
    )  # fmt: skip


def _halo() -> list[Any]:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=5, foreground=LIGHT, alpha=0.9)]


def _class_colours(
    cells: NDArray[np.int8], plan: TilePlan, slide: Slide, ground: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """The grey slide with the colour of every cell's class over it.

    Returns:
        (rows, columns, 3) uint8.
    """
    table = {detail.LEFT_OUT: detail.LEFT_OUT_LOOK.colour, detail.UNCLAIMED: detail.UNCLAIMED_LOOK.colour}
    table |= {index: look.colour for index, look in enumerate(detail.LOOKS)}
    colours = np.full((*cells.shape, 3), 255, dtype=np.float32)
    for value, colour in table.items():
        colours[cells == value] = detail.rgb_of(colour)
    shown: NDArray[np.uint8] = np.rint(ground * spread_cells(colours, plan, slide, ground.shape[:2])).astype(np.uint8)
    return shown


def spread_cells(
    values: NDArray[np.float32], plan: TilePlan, slide: Slide, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Values of cells (rows, columns, ...) at every pixel of a picture of the whole slide; 255 beyond the grid."""
    places = []
    for size, edges, total in zip(
        shape, detail.cell_edges_px(plan, slide), (slide.levels[0].rows, slide.levels[0].columns), strict=True
    ):
        middle = (np.arange(size) + 0.5) * (total / size)
        places.append(np.searchsorted(edges, middle, side="right") - 1)
    rows, columns = places
    inside = (rows < plan.shape[0])[:, None] & (columns < plan.shape[1])[None, :]
    taken = values[np.minimum(rows, plan.shape[0] - 1)[:, None], np.minimum(columns, plan.shape[1] - 1)[None, :]]
    taken[~inside] = 255
    return taken


def outline(axes: Axes, cells: NDArray[np.bool_], plan: TilePlan, *, look: detail.Look, width: float = 1.0) -> None:
    """Outline of cells on a panel, hatched where the look has a hatch."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Curve

    points: list[tuple[float, float]] = []
    codes: list[Any] = []
    for patch in patches(cells):
        for ring in (patch.outer, *patch.holes):
            points += [(column * plan.step_um, row * plan.step_um) for row, column in ring]
            codes += [Curve.MOVETO, *[Curve.LINETO] * (len(ring) - 2), Curve.CLOSEPOLY]
    if points:
        shape = Curve(points, codes)
        options: dict[str, Any] = {"hatch": look.hatch} if look.hatch else {}
        axes.add_patch(PathPatch(shape, fill=False, edgecolor=look.colour, linewidth=width, **options))


def legend(
    sheet: Sheet, place: tuple[float, float], entries: Iterable[tuple[detail.Look, str]], *, size: float = 18
) -> None:
    """Colour, name and a few words, side by side from a place (left, top) of the sheet."""
    from matplotlib.patches import Rectangle

    left, top = place
    for look, words in entries:
        axes = sheet.axes(left, top, size * 1.5, size)
        axes.set_axis_off()
        hatch: dict[str, Any] = {"hatch": look.hatch, "facecolor": LIGHT} if look.hatch else {"facecolor": look.colour}
        edge = look.colour if look.hatch else DARK_INK
        axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, edgecolor=edge, linewidth=1, **hatch))
        text = f"{look.title}{words}"
        sheet.text(left + size * 1.5 + 9, top - 2, text, size=size, colour=DARK_INK)
        left += size * 1.5 + 9 + 0.56 * size * len(text) + 30


def save(sheet: Sheet, path: Path, words: Iterable[str], *, title: str, caption: str) -> Picture:
    """Write a sheet with its marks in the upper right corner, side by side.

    Raises:
        OutputError: it cannot be written.
    """
    frame = {"boxstyle": "square,pad=0.35", "facecolor": LIGHT, "edgecolor": DARK_AFFECTED, "linewidth": 1.4}
    right = sheet.width - 24.0
    for text in words:
        sheet.text(right, 16, text, size=17, colour=DARK_AFFECTED, ha="right", weight="bold", bbox=frame)
        right -= 11.6 * len(text) + 30
    return sheet.picture(path, title, caption)


def _fitting(extent: tuple[float, float], box: tuple[float, float]) -> tuple[int, int]:
    """Largest (rows, columns) with the proportions of an extent (height, width) in a box (height, width).

    Example:
        >>> _fitting((10.0, 20.0), (600, 800))
        (400, 800)
    """
    scale = min(box[0] / extent[0], box[1] / extent[1])
    return max(1, round(extent[0] * scale)), max(1, round(extent[1] * scale))


def slide_picture(slide: Slide) -> NDArray[np.uint8]:
    """The whole slide in at least the pixels of the largest panel, as far as it has them; (rows, columns, 3) RGB.

    Raises:
        InputError: the slide is damaged.
    """
    size_um = slide_size_um(slide)
    picture, (row_um, column_um) = slide_thumbnail(slide, um_per_pixel=max(size_um) / _LONGEST)
    rows, columns = max(1, round(size_um[0] / row_um)), max(1, round(size_um[1] / column_um))
    return picture[:rows, :columns]  # without the white that fills up the last row and column


def resized(picture: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture in another number of (rows, columns); averaged over areas where it becomes smaller."""
    import cv2

    smaller = picture.shape[0] >= shape[0] and picture.shape[1] >= shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (shape[1], shape[0]), interpolation=how), dtype=np.uint8)


def _grey_ground(rgb: NDArray[np.uint8], *, darkest: float = 0.68) -> NDArray[np.float32]:
    """Brightness of a picture between ``darkest`` and 1, to be multiplied with colours laid over it.

    The structure of the tissue stays to be seen and its own pink and blue do not mix with the colours of the map.

    Returns:
        (rows, columns, 1) float32.
    """
    luminance = rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    low = float(np.quantile(luminance, 0.01))
    spread = np.clip((luminance - low) / max(255.0 - low, 1.0), 0.0, 1.0)
    ground: NDArray[np.float32] = (darkest + (1 - darkest) * spread)[..., None].astype(np.float32)
    return ground
