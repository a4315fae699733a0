"""overview.png and necrosis.png: the slide beside its map, and the share of the tumour that is not viable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from osteon.data.slide import TILE_CLASSES
from osteon.ops.tile_plan import slide_size_um
from osteon.report.sheet import LIGHT, Sheet
from osteon.report.view import View
from osteon.report.wording import percent
from osteon.systems.histology.map_cells import LEFT_OUT, LOOKS, UNCLAIMED, shown_classes
from osteon.systems.histology.pixels import grey_ground, resized
from osteon.systems.histology.sheet import (
    INK,
    LEFT_OUT_LOOK,
    SOFT,
    UNCLAIMED_LOOK,
    WIDTH,
    Panels,
    class_colours,
    legend,
    outline,
    save,
    scale_bar,
    slide_panel,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from osteon.data.slide import Slide
    from osteon.systems.histology.detail import SlideReading
    from osteon.systems.histology.map_cells import Look

__all__ = ["GRADE_BANDS", "draw_necrosis", "draw_slide_overview"]

_EDGE: Final = 30

GRADE_BANDS: Final = (("I", 0.0, 0.5), ("II", 0.5, 0.9), ("III", 0.9, 1.0))
"""Grade and the necrosis it begins and ends with; IV is 1 itself (Huvos, Rosen and Marcove 1977)."""


def draw_slide_overview(
    path: Path, reading: SlideReading, slide: Slide, *, pixels: NDArray[np.uint8], marks: Sequence[str]
) -> View:
    """The slide, and beside it in grey with the class of every cell; ``pixels`` of ``slide_picture``.

    Raises:
        OutputError: it cannot be written.
    """
    size_um = slide_size_um(slide)
    panels = Panels.of(size_um, 2)
    picture = resized(pixels, panels.shape)
    cells = shown_classes(reading)
    overlay = class_colours(cells, reading.map.plan, slide, grey_ground(picture))
    height = panels.bottom + 74
    sheet = Sheet(panels.width, height, ground=LIGHT)
    titles = ("The slide", "What each cell is called")
    for place, title, shown in zip(panels.places, titles, (picture, overlay), strict=True):
        sheet.text(place[0], place[1] - 32, title, size=20, colour=INK, weight="bold")
        axes = slide_panel(sheet, place, shown, size_um)
        scale_bar(axes)
        if shown is overlay:
            _left_out(axes, cells, reading)
    legend(sheet, (_EDGE, height - 44), _legend(cells))
    save(sheet, path, marks)
    return View(
        name="overview",
        path=path,
        title="The slide and its map",
        caption=_overview_words(reading),
        width=sheet.width,
        height=sheet.height,
    )


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


def draw_necrosis(path: Path, reading: SlideReading, *, marks: Sequence[str]) -> View:
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
    axes.tick_params(axis="x", labelsize=Sheet.points(18), colors=INK, length=5)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    _bands(axes, reading)
    _share(axes, reading)
    sheet.text(_EDGE, 18, _necrosis_title(reading), size=24, colour=INK, weight="bold")
    sheet.text(
        WIDTH / 2 - 20, 312, "Necrosis: share of the tumour area that is not viable", size=17, colour=SOFT, ha="center"
    )
    save(sheet, path, marks)
    return View(
        name="necrosis",
        path=path,
        title="Necrosis fraction",
        caption=(
            "Ochre: non-viable tumour, crimson: viable tumour, as shares of the tumour area. Black line: 95 % "
            "interval. Below: where the grades begin (50, 90 and 100 %)."
        ),
        width=sheet.width,
        height=sheet.height,
    )


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
        colour = LIGHT if grade == proposed else INK
        axes.add_patch(
            Rectangle((low, 0.06), high - low, 0.24, facecolor=ground, edgecolor=LIGHT, linewidth=2, clip_on=False)
        )
        axes.text(
            (low + high) / 2, 0.175, grade, ha="center", va="center", color=colour, fontsize=Sheet.points(20),
            weight="bold",
        )  # fmt: skip
    for cut in (0.5, 0.9, 1.0):
        axes.plot([cut, cut], [0, 0.94], color=INK, linewidth=1.2, linestyle=(0, (4, 3)), clip_on=False, zorder=0.5)


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
            ink = INK if look is dead else LIGHT
            axes.text(
                (low + high) / 2, bottom + height / 2, words, ha="center", va="center", color=ink,
                fontsize=Sheet.points(18), weight="bold",
            )  # fmt: skip
    y = bottom + height + 0.11
    if reading.necrosis.interval is not None:
        low, high = reading.necrosis.interval
        axes.errorbar(
            [fraction], [y], xerr=[[fraction - low], [high - fraction]], color=INK, capsize=7, linewidth=2.4,
            capthick=2.4, clip_on=False,
        )  # fmt: skip
    axes.plot([fraction], [y], marker="D", markersize=9, color=INK, clip_on=False)
