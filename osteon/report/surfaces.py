"""Surfaces in the report: bone_anterior.png and bone_lateral.png, and the bone of the page's 3D view."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon import mesh
from osteon.report.orientation import direction_letters
from osteon.report.sheet import AFFECTED, MUTED, Sheet, show_letters, show_picture, show_scale_bar, show_word
from osteon.report.slices import affected_boxes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Answer, Region, Surface, Volume
    from osteon.report.blocks import Picture
    from osteon.report.lesions import DrawnLesion

__all__ = [
    "MOST_TRIANGLES",
    "bodies_and_boxes",
    "bone_scene",
    "bone_surfaces",
    "draw_bone_from_front",
    "draw_bone_from_side",
    "extent_mm",
    "surface_region",
]

MOST_TRIANGLES: Final = 150_000
"""Of all bodies of the 3D view together: 3 MB of text, and smooth on a telephone."""
_MOST_TOGGLES: Final = 8
_FRAME_THROUGH: Final = 0.3
_LESION_THROUGH: Final = 0.68
"""How strongly frames and lesions shine through the bone before them."""
_IMPLANT: Final = "implant"
_LESION: Final = "lesion_"
"""Surfaces of lesions carry the label of the mask behind it."""
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


def bone_surfaces(answer: Answer) -> tuple[Surface, ...]:
    """Surfaces that are neither lesions nor implants nor boxes of beams."""
    filled = (surface for surface in answer.surfaces.values() if len(surface.faces))
    return tuple(one for one in filled if "box" not in one.name and not one.name.startswith((_LESION, _IMPLANT)))


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

    Boxes of legs that are close overlap, so a surface may be inside both.
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


def draw_bone_from_front(path: Path, answer: Answer, volume: Volume) -> Picture:
    """Draw the bone from the front; there must be a surface.

    Raises:
        OutputError: the picture cannot be written.
    """
    bodies, boxes = bodies_and_boxes(answer, volume)
    return _draw(path, (_Shot("", "anterior", bodies, boxes),), "front", demo=answer.is_demo)


def draw_bone_from_side(path: Path, answer: Answer, volume: Volume) -> Picture:
    """Draw every leg from its outer side; there must be a surface.

    Raises:
        OutputError: the picture cannot be written.
    """
    bodies, boxes = bodies_and_boxes(answer, volume)
    sides = [_side(region, answer, volume, bodies, boxes) for region in answer.regions]
    shots = tuple(shot for shot in sides if shot.bodies) or (_Shot("From the left", "left", bodies, boxes),)
    return _draw(path, shots, "side", demo=answer.is_demo)


def _side(region: Region, answer: Answer, volume: Volume, bodies: Sequence[Surface], boxes: Sequence[Surface]) -> _Shot:
    def inside(surfaces: Sequence[Surface]) -> tuple[Surface, ...]:
        return tuple(item for item in surfaces if surface_region(item, answer.regions, volume) == region.name)

    right = region.name.startswith("right") or (not region.name.startswith("left") and _middle(region, volume)[0] < 0)
    side: mesh.View = "right" if right else "left"
    return _Shot(f"{region.name.capitalize()}, from the {side}", side, inside(bodies), inside(boxes))


def _draw(path: Path, shots: Sequence[_Shot], side: str, *, demo: bool) -> Picture:
    extents = []  # of the panels: what is seen and some room
    for shot in shots:
        across, down = extent_mm([*shot.bodies, *shot.boxes], shot.view)
        extents.append((max(across, down / 4) * _AROUND, max(down, across / 4) * _AROUND))
    room = _WIDEST - 2 * _MARGIN - _GAP * (len(shots) - 1)
    scale = min(room / sum(across for across, _ in extents), _TALLEST / max(down for _, down in extents))
    tall = max(down for _, down in extents) * scale
    used = sum(across for across, _ in extents) * scale + _GAP * (len(shots) - 1)
    sheet = Sheet(max(used + 2 * _MARGIN, 900), tall + _HEAD + _MARGIN)
    sheet.head(f"Bone from the {side}", demo=demo)
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
    marked = " The red frame of beams marks the affected extent." if any(shot.boxes for shot in shots) else ""
    seen_from = {"side": "outer side"}.get(side, side)
    told = f"Surface of the bone, parallel projection, to scale. Seen from the {seen_from}.{marked}"
    return sheet.picture(path, f"Bone from the {side}", told)


def extent_mm(surfaces: Sequence[Surface], view: mesh.View) -> tuple[float, float]:
    """Width and height of surfaces as they are seen from a side."""
    camera = mesh.fit_camera(surfaces, view=view, size=(100, 100), margin=0.0)
    seen = np.concatenate([camera.project(surface.vertices_lps_mm) for surface in surfaces])
    across, down, _ = np.ptp(seen, axis=0) * camera.mm_per_px
    return float(across), float(down)


def bone_scene(answer: Answer, volume: Volume, lesions: Sequence[DrawnLesion] | None = None) -> list[dict[str, Any]]:
    """Surfaces as the viewer in the page reads them; empty when there is no body.

    Lesions shine through the bone; None draws boxes around what is affected instead, where the answer has none, too.

    Returns:
        For each surface its label, colour, how strongly it shines through what is before it, how flat its light is,
        and positions as little-endian uint16 steps between two corners in LPS millimetres, faces as uint32 or uint16,
        both in base64.
    """
    shown = [(item, item.surface) for item in lesions or () if item.surface is not None]
    bodies, boxes = bodies_and_boxes(answer, volume)
    if lesions is not None:  # each is drawn as the list has it
        bodies, boxes = tuple(one for one in bodies if not one.name.startswith(_LESION)), ()
    if not bodies and not shown:
        return []
    total = sum(len(surface.faces) for surface in (*bodies, *(surface for _, surface in shown)))
    share = min(MOST_TRIANGLES / total, 1.0)
    one_by_one = len(shown) <= _MOST_TOGGLES
    found = [(item.name if one_by_one else item.group, _shrunk(surface, share)) for item, surface in shown]
    small = [_shrunk(surface, share) for surface in bodies]
    single = len(small) + len(boxes) <= _MOST_TOGGLES
    packed = [_packed(surface, _label(surface.name, single=single)) for surface in small]
    packed += [_packed(surface, label, through=_LESION_THROUGH) for label, surface in found]
    frames = (_packed(box, _label(box.name, single=True), through=_FRAME_THROUGH, flat=1.0) for box in boxes)
    return [*packed, *frames]


def _shrunk(surface: Surface, share: float) -> Surface:
    return mesh.simplify(surface, target_triangles=max(int(len(surface.faces) * share), 200))


def _packed(surface: Surface, label: str, *, through: float = 0.0, flat: float = 0.0) -> dict[str, object]:
    vertices = surface.vertices_lps_mm.astype(np.float64)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    step = np.maximum((high - low) / 65535, 1e-9)
    rounded = np.round((vertices - low) / step).astype("<u2")
    wide = len(vertices) > 65535
    return {
        "label": label,
        "colour": list(surface.colour),
        "through": through,
        "flat": flat,
        "low": low.tolist(),
        "step": step.tolist(),
        "wide": wide,
        "positions": base64.b64encode(rounded.tobytes()).decode("ascii"),
        "faces": base64.b64encode(surface.faces.astype("<u4" if wide else "<u2").tobytes()).decode("ascii"),
    }


def _label(name: str, *, single: bool) -> str:
    """Words of a node name; without its number when surfaces are switched in groups."""
    words = name.replace("_", " ").strip()
    if not single:
        words = re.sub(r" \d+\b", "", words)
    return words[:1].upper() + words[1:]
