"""bone_anterior.png and bone_lateral.png: the bone in 3D from two sides, with the box around what is affected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon import mesh
from osteon.report.orientation import direction_letters
from osteon.report.selection import affected_boxes
from osteon.report.sheet import AFFECTED, MUTED, Sheet, show_letters, show_picture, show_scale_bar, show_word
from osteon.report.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Answer, Region, Surface, Volume

__all__ = ["bodies_and_boxes", "draw_bone", "surface_region"]

_MARGIN, _GAP, _HEAD = 24.0, 26.0, 112.0
_WIDEST, _TALLEST = 1200.0, 1200.0
_AROUND: Final = 1.12
"""Room around the bone, so that letters and scale bar stand beside it."""


@dataclass(frozen=True, slots=True)
class _Shot:
    """One panel: what is seen from which side."""

    title: str
    view: mesh.View
    bodies: tuple[Surface, ...]
    boxes: tuple[Surface, ...]


def bodies_and_boxes(answer: Answer, volume: Volume) -> tuple[tuple[Surface, ...], tuple[Surface, ...]]:
    """The answer's surfaces, parted into bodies and boxes of beams; boxes are made for findings when there are none."""
    filled = [surface for surface in answer.surfaces.values() if len(surface.faces)]
    bodies = tuple(surface for surface in filled if "box" not in surface.name)
    boxes = tuple(surface for surface in filled if "box" in surface.name)
    if not boxes:
        boxes = tuple(
            mesh.box_surface(box.corners_lps_mm(volume.grid), name=f"tumour_box_{number}")
            for number, box in enumerate(affected_boxes(answer), start=1)
        )
    return bodies, boxes


def surface_region(surface: Surface, regions: Sequence[Region], volume: Volume) -> str | None:
    """The region a surface belongs to: the one whose side is in its name, else the one whose middle is nearest.

    Boxes of legs that lie close overlap, so a surface may lie inside both.
    """
    words = surface.name.split("_")
    named = [region.name for region in regions if region.name.split(" ")[0] in words]
    if len(named) == 1:
        return named[0]
    low, high = mesh.bounds_lps_mm([surface])
    away = {region.name: float(np.linalg.norm(_middle(region, volume) - (low + high) / 2)) for region in regions}
    return min(away, key=lambda name: away[name], default=None)


def _middle(region: Region, volume: Volume) -> NDArray[np.float64]:
    ends = zip(region.box.start, region.box.stop, strict=True)
    return volume.grid.to_lps_mm([(start + stop - 1) / 2 for start, stop in ends])


def draw_bone(folder: Path, answer: Answer, volume: Volume) -> tuple[View, ...]:
    """Draw the bone from the front, and every leg from its outer side.

    Args:
        folder: for the PNGs.
        answer: its surfaces are drawn.
        volume: places the surfaces in the regions.

    Returns:
        Two views; none when there is no surface.

    Raises:
        OutputError: a picture cannot be written.
    """
    bodies, boxes = bodies_and_boxes(answer, volume)
    if not bodies:
        return ()
    demo = answer.is_demo
    front = (_Shot("", "anterior", bodies, boxes),)
    sides = [_side(region, answer, volume, bodies, boxes) for region in answer.regions]
    lateral = tuple(shot for shot in sides if shot.bodies) or (_Shot("From the left", "left", bodies, boxes),)
    marked = " The red frame of beams marks the affected extent." if boxes else ""
    told = "Surface of the bone, parallel projection, to scale."
    return (
        _draw(
            folder / "bone_anterior.png",
            front,
            "Bone from the front",
            f"{told} Seen from the front.{marked}",
            demo=demo,
        ),
        _draw(
            folder / "bone_lateral.png",
            lateral,
            "Bone from the side",
            f"{told} Seen from the outer side.{marked}",
            demo=demo,
        ),
    )


def _side(region: Region, answer: Answer, volume: Volume, bodies: Sequence[Surface], boxes: Sequence[Surface]) -> _Shot:
    def inside(surfaces: Sequence[Surface]) -> tuple[Surface, ...]:
        return tuple(item for item in surfaces if surface_region(item, answer.regions, volume) == region.name)

    right = region.name.startswith("right") or (not region.name.startswith("left") and _middle(region, volume)[0] < 0)
    side: mesh.View = "right" if right else "left"
    return _Shot(f"{region.name.capitalize()}, from the {side}", side, inside(bodies), inside(boxes))


def _draw(path: Path, shots: Sequence[_Shot], title: str, caption: str, *, demo: bool) -> View:
    extents = [_extent_mm(shot) for shot in shots]
    room = _WIDEST - 2 * _MARGIN - _GAP * (len(shots) - 1)
    scale = min(room / sum(across for across, _ in extents), _TALLEST / max(down for _, down in extents))
    tall = max(down for _, down in extents) * scale
    used = sum(across for across, _ in extents) * scale + _GAP * (len(shots) - 1)
    sheet = Sheet(max(used + 2 * _MARGIN, 900), tall + _HEAD + _MARGIN)
    sheet.text(_MARGIN, 18, title, size=26, weight="bold")
    if demo:
        sheet.demo_mark()
    left = (sheet.width - used) / 2
    for shot, (across, _) in zip(shots, extents, strict=True):
        sheet.text(left, 74, shot.title, size=20, colour=MUTED)
        width = round(across * scale)
        picture = mesh.render(
            shot.bodies, view=shot.view, size=(width, round(tall)), outlines=shot.boxes, mm_per_px=1 / scale
        )
        axes = sheet.panel(left, _HEAD, width, round(tall), extent_mm=(width / scale, round(tall) / scale))
        show_picture(axes, picture.rgb)
        toward_right, toward_up, _ = picture.camera.axes
        letters = tuple(direction_letters(vector) for vector in (-toward_right, toward_right, toward_up, -toward_up))
        show_letters(axes, (letters[0], letters[1], letters[2], letters[3]))
        show_scale_bar(axes)
        for box in shot.boxes:
            seen = picture.camera.project(box.vertices_lps_mm) / scale
            show_word(axes, "affected", (float(seen[:, 0].min()), float(seen[:, 1].min())), colour=AFFECTED)
        left += width + _GAP
    sheet.save(path)
    return View(name=path.stem, path=path, title=title, caption=caption, width=sheet.width, height=sheet.height)


def _extent_mm(shot: _Shot) -> tuple[float, float]:
    """Width and height of the panel: what is seen and some room."""
    camera = mesh.fit_camera([*shot.bodies, *shot.boxes], view=shot.view, size=(100, 100), margin=0.0)
    seen = np.concatenate([camera.project(surface.vertices_lps_mm) for surface in (*shot.bodies, *shot.boxes)])
    across, down, _ = np.ptp(seen, axis=0) * camera.mm_per_px
    return max(float(across), float(down) / 4) * _AROUND, max(float(down), float(across) / 4) * _AROUND
