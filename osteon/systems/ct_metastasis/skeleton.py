"""overview.png of an answer that lists lesions: the skeleton from two sides, every lesion coloured and numbered.

Bone is seen through: a lesion that lies behind or inside bone shines through it, so that none is hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon import mesh
from osteon.ops.lesions import NOT_DETERMINED
from osteon.report.lesions import colour_hex
from osteon.report.orientation import direction_letters
from osteon.report.sheet import INK, MUTED, Sheet, show_letters, show_picture, show_scale_bar
from osteon.report.surfaces import extent_mm
from osteon.report.wording import count

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Surface
    from osteon.report.blocks import Picture
    from osteon.report.lesions import DrawnLesion

__all__ = ["draw_skeleton", "see_through"]

_MARGIN, _GAP, _HEAD, _FOOT = 24.0, 30.0, 116.0, 62.0
_CALLOUT: Final = 58.0
"""Room for numbers on each side of a panel."""
_STEP: Final = 25.0
"""Least distance between two numbers, in pixels."""
_WIDEST, _TALLEST = 1560.0, 1120.0
_AROUND: Final = 1.1
_FLAT: Final = 0.25
"""Share of the width below which a skeleton is too low to be seen from the front."""
_THROUGH: Final = 0.72
"""How strongly a lesion shows through the bone before it."""


@dataclass(frozen=True, slots=True)
class _Panel:
    """One side of the skeleton and the millimetres that it needs."""

    title: str
    view: mesh.View
    extent_mm: tuple[float, float]


def draw_skeleton(path: Path, bones: Sequence[Surface], lesions: Sequence[DrawnLesion], *, demo: bool) -> Picture:
    """Draw the skeleton from the front and from the left; one that is flat, of a few slices, from the feet.

    Args:
        path: of the PNG.
        bones: surfaces, at least one.
        lesions: that shine through.
        demo: whether a demo model called them.

    Raises:
        OutputError: the picture cannot be written.
    """
    bodies = [*bones, *(lesion.surface for lesion in lesions if lesion.surface is not None)]
    panels = _panels(bodies)
    across, down = sum(p.extent_mm[0] for p in panels), max(p.extent_mm[1] for p in panels)
    room = _WIDEST - 2 * _MARGIN - _GAP * (len(panels) - 1) - 2 * _CALLOUT * len(panels)
    scale = min(room / across, _TALLEST / down)
    tall = down * scale
    used = across * scale + _GAP * (len(panels) - 1) + 2 * _CALLOUT * len(panels)
    sheet = Sheet(max(used + 2 * _MARGIN, 1000), tall + _HEAD + _FOOT)
    title = "Lesions in the skeleton" if lesions else "Skeleton"
    sheet.head(title, demo=demo)
    left, numbered = (sheet.width - used) / 2, 0
    for panel in panels:
        width = panel.extent_mm[0] * scale
        place = (left + _CALLOUT, _HEAD, width, tall)
        sheet.text(place[0], 76, panel.title, size=20, colour=MUTED)
        numbered = max(numbered, _draw_panel(sheet, place, panel, bones, lesions, mm_per_px=1 / scale))
        left += width + 2 * _CALLOUT + _GAP
    _legend(sheet, lesions)
    return sheet.picture(path, title, _caption(panels, lesions, numbered))


def _panels(bodies: Sequence[Surface]) -> list[_Panel]:
    front = _Panel("From the front", "anterior", _extent_mm(bodies, "anterior"))
    across, down = front.extent_mm
    if down < _FLAT * across:
        return [_Panel("From the feet, as in a slice", "inferior", _extent_mm(bodies, "inferior"))]
    return [front, _Panel("From the left", "left", _extent_mm(bodies, "left"))]


def see_through(bones: Sequence[Surface], lesions: Sequence[Surface], camera: mesh.Camera) -> NDArray[np.uint8]:
    """A picture of bones through which the lesions shine.

    Args:
        bones: opaque bodies but for what lies behind or inside.
        lesions: bodies that are never hidden.
        camera: of the picture.

    Returns:
        (height, width, 3) uint8, sRGB, on black.
    """
    whole = mesh.render([*bones, *lesions], camera=camera).rgb
    if not lesions:
        return whole
    dark = mesh.render(lesions, camera=camera).rgb.astype(np.float32)
    bright = mesh.render(lesions, camera=camera, background=(255, 255, 255)).rgb.astype(np.float32)
    covered = 1 - (bright - dark).mean(axis=2, keepdims=True) / 255
    share = _THROUGH * covered
    mixed = whole * (1 - share) + _THROUGH * dark
    return np.asarray(np.rint(np.clip(mixed, 0, 255)), dtype=np.uint8)


def _extent_mm(bodies: Sequence[Surface], view: mesh.View) -> tuple[float, float]:
    across, down = extent_mm(bodies, view)
    return max(across, 5.0) * _AROUND, max(down, 5.0) * _AROUND


def _draw_panel(
    sheet: Sheet,
    place: tuple[float, float, float, float],
    panel: _Panel,
    bones: Sequence[Surface],
    lesions: Sequence[DrawnLesion],
    *,
    mm_per_px: float,
) -> int:
    """Draw one side; gives how many lesions are numbered there."""
    left, top, width, height = place
    shown = [lesion.surface for lesion in lesions if lesion.surface is not None]
    camera = mesh.fit_camera([*bones, *shown], view=panel.view, size=(round(width), round(height)), mm_per_px=mm_per_px)
    axes = sheet.panel(left, top, width, height, extent_mm=(width * mm_per_px, height * mm_per_px))
    show_picture(axes, see_through(bones, shown, camera))
    right, up, _ = camera.axes
    show_letters(
        axes, (direction_letters(-right), direction_letters(right), direction_letters(up), direction_letters(-up))
    )
    show_scale_bar(axes)
    return _number(sheet, place, lesions, camera)


def _number(
    sheet: Sheet, place: tuple[float, float, float, float], lesions: Sequence[DrawnLesion], camera: mesh.Camera
) -> int:
    """Numbers in the margins with a line to the middle of each lesion; the first ones when not all find room."""
    left, top, width, height = place
    most = int((height - 20) // _STEP)
    points = {
        lesion.number: camera.project(lesion.surface.vertices_lps_mm.mean(axis=0, dtype=np.float64))[:2]
        for lesion in lesions[: 2 * most]
        if lesion.surface is not None
    }
    colours = {lesion.number: colour_hex(lesion.colour) for lesion in lesions}
    overlay = sheet.axes(left - _CALLOUT, top, width + 2 * _CALLOUT, height)
    overlay.set_xlim(-_CALLOUT, width + _CALLOUT)
    overlay.set_ylim(height, 0)
    overlay.set_axis_off()
    ranked = sorted(points, key=lambda number: float(points[number][0]))
    half = -(-len(ranked) // 2)
    for side, numbers in (("left", ranked[:half]), ("right", ranked[half:])):
        ordered = sorted(numbers, key=lambda number: float(points[number][1]))
        rows = _spread([float(points[number][1]) for number in ordered], low=12, high=height - 12)
        edge, text = (-6.0, -14.0) if side == "left" else (width + 6.0, width + 14.0)
        for number, row in zip(ordered, rows, strict=True):
            x, y = points[number]
            overlay.plot([x, edge], [y, row], color=colours[number], linewidth=0.9, alpha=0.75)
            overlay.plot([x], [y], marker="o", markersize=2.4, color=INK)
            overlay.text(
                text,
                row,
                str(number),
                ha="right" if side == "left" else "left",
                va="center",
                color=colours[number],
                fontsize=Sheet.points(20),
                weight="bold",
            )
    return len(points)


def _spread(wanted: Sequence[float], *, low: float, high: float) -> list[float]:
    """Ascending rows as near to the wanted ones as a least distance allows, inside two limits."""
    rows: list[float] = []
    for row in wanted:
        rows.append(max(row, low, rows[-1] + _STEP if rows else low))
    limit = high
    for place in range(len(rows) - 1, -1, -1):
        rows[place] = min(rows[place], limit)
        limit = rows[place] - _STEP
    return rows


def _legend(sheet: Sheet, lesions: Sequence[DrawnLesion]) -> None:
    """Which colour is which character."""
    kinds = {item.kind: colour_hex(item.colour) for item in lesions}
    left = _MARGIN
    for character in ("lytic", "blastic", "mixed", NOT_DETERMINED):
        if character in kinds:
            words = f"character {character}" if character == NOT_DETERMINED else character
            sheet.text(left, sheet.height - 40, "\u25cf", size=24, colour=kinds[character])
            sheet.text(left + 26, sheet.height - 38, words, size=20, colour=MUTED)
            left += 60 + 11.5 * len(words)


def _caption(panels: Sequence[_Panel], lesions: Sequence[DrawnLesion], numbered: int) -> str:
    sides = " and ".join(panel.title[:1].lower() + panel.title[1:] for panel in panels)
    told = f"Surface of the bone, parallel projection, to scale, seen {sides}."
    if not lesions:
        return f"{told} No lesion was called."
    through = "Lesions shine through the bone before them; a number is that of the list, a colour its character."
    some = (
        ""
        if numbered >= len(lesions)
        else f" Only the first {numbered} of {count(len(lesions), 'lesion')} carry a number here."
    )
    return f"{told} {through}{some}"
