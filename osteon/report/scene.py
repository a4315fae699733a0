"""The bone for the page's 3D view: simplified, rounded to 16 bit and packed as text."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon import mesh
from osteon.report.bone_pictures import bodies_and_boxes

if TYPE_CHECKING:
    from osteon.data import Answer, Surface, Volume

__all__ = ["MOST_TRIANGLES", "bone_scene"]

MOST_TRIANGLES: Final = 150_000
"""Of all bodies together: 3 MB of text, and smooth on a telephone."""

_MOST_TOGGLES: Final = 8


def bone_scene(answer: Answer, volume: Volume, *, most_triangles: int = MOST_TRIANGLES) -> list[dict[str, object]]:
    """Surfaces as the viewer in the page reads them; empty when there is no body.

    Args:
        answer: its surfaces.
        volume: places boxes that the answer has no surface for.
        most_triangles: of all bodies together; boxes are kept whole.

    Returns:
        For each surface its label, group, colour, whether it is a frame that shines through, and positions as
        little-endian uint16 steps between two corners in LPS millimetres, faces as uint32 or uint16, both in base64.
    """
    bodies, boxes = bodies_and_boxes(answer, volume)
    if not bodies:
        return []
    total = sum(len(surface.faces) for surface in bodies)
    share = min(most_triangles / total, 1.0)
    small = [mesh.simplify(surface, target_triangles=max(int(len(surface.faces) * share), 200)) for surface in bodies]
    single = len(small) + len(boxes) <= _MOST_TOGGLES
    packed = [_packed(surface, frame=False, single=single) for surface in small]
    return [*packed, *(_packed(surface, frame=True, single=True) for surface in boxes)]


def _packed(surface: Surface, *, frame: bool, single: bool) -> dict[str, object]:
    vertices = surface.vertices_lps_mm.astype(np.float64)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    step = np.maximum((high - low) / 65535, 1e-9)
    rounded = np.round((vertices - low) / step).astype("<u2")
    wide = len(vertices) > 65535
    return {
        "label": _label(surface.name, single=single),
        "colour": list(surface.colour),
        "frame": frame,
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
