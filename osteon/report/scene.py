"""The bone for the page's 3D view: simplified, rounded to 16 bit and packed as text."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon import mesh
from osteon.data import NOT_DETERMINED
from osteon.report.bone_pictures import bodies_and_boxes
from osteon.report.lesions import bone_surfaces, lesions_of
from osteon.report.reading_of import lesion_reading

if TYPE_CHECKING:
    from osteon.data import Answer, Surface, Volume
    from osteon.report.lesions import ListedLesion

__all__ = ["MOST_TRIANGLES", "bone_scene"]

MOST_TRIANGLES: Final = 150_000
"""Of all bodies together: 3 MB of text, and smooth on a telephone."""

_MOST_TOGGLES: Final = 8
_FRAME_THROUGH: Final = 0.3
_LESION_THROUGH: Final = 0.68
"""How strongly frames and lesions shine through the bone before them."""


def bone_scene(answer: Answer, volume: Volume, *, most_triangles: int = MOST_TRIANGLES) -> list[dict[str, object]]:
    """Surfaces as the viewer in the page reads them; empty when there is no body.

    Args:
        answer: its surfaces.
        volume: places boxes that the answer has no surface for.
        most_triangles: of all bodies together; boxes are kept whole.

    Returns:
        For each surface its label, colour, how strongly it shines through what lies before it, how flat its light is,
        and positions as little-endian uint16 steps between two corners in LPS millimetres, faces as uint32 or uint16,
        both in base64.
    """
    lesions = [(item, item.surface) for item in lesions_of(answer) if item.surface is not None]
    bodies, boxes = bodies_and_boxes(answer, volume)
    if lesion_reading(answer).lesions:
        bodies, boxes = bone_surfaces(answer), ()
    if not bodies and not lesions:
        return []
    total = sum(len(surface.faces) for surface in (*bodies, *(surface for _, surface in lesions)))
    share = min(most_triangles / total, 1.0)
    one_by_one = len(lesions) <= _MOST_TOGGLES
    found = [(_lesion_label(item, single=one_by_one), _shrunk(surface, share)) for item, surface in lesions]
    small = [_shrunk(surface, share) for surface in bodies]
    single = len(small) + len(boxes) <= _MOST_TOGGLES
    packed = [_packed(surface, _label(surface.name, single=single)) for surface in small]
    packed += [_packed(surface, label, through=_LESION_THROUGH) for label, surface in found]
    frames = (_packed(box, _label(box.name, single=True), through=_FRAME_THROUGH, flat=1.0) for box in boxes)
    return [*packed, *frames]


def _lesion_label(item: ListedLesion, *, single: bool) -> str:
    """Lesions are switched one by one, or by their character when they are many."""
    if single:
        return f"Lesion {item.number}"
    character = item.lesion.character
    return "Lesions, character not determined" if character == NOT_DETERMINED else f"{character.capitalize()} lesions"


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
