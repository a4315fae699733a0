"""The bone for the page's 3D view: simplified, rounded to 16 bit and packed as text."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon import mesh
from osteon.report.bone_pictures import bodies_and_boxes
from osteon.report.lesions import bone_surfaces, lesions_of

if TYPE_CHECKING:
    from osteon.data import Answer, Surface, Volume

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
    lesions = [item.surface for item in lesions_of(answer) if item.surface is not None]
    bodies, boxes = bodies_and_boxes(answer, volume)
    if answer.lesions:
        bodies, boxes = bone_surfaces(answer), ()
    if not bodies and not lesions:
        return []
    total = sum(len(surface.faces) for surface in (*bodies, *lesions))
    share = min(most_triangles / total, 1.0)
    found = [_shrunk(surface, share) for surface in lesions]
    single_lesions = len(lesions) <= _MOST_TOGGLES
    small = [_shrunk(surface, share) for surface in bodies]
    single = len(small) + len(boxes) <= _MOST_TOGGLES
    packed = [_packed(surface, single=single) for surface in small]
    packed += [_packed(surface, single=single_lesions, through=_LESION_THROUGH) for surface in found]
    return [*packed, *(_packed(surface, single=True, through=_FRAME_THROUGH, flat=1.0) for surface in boxes)]


def _shrunk(surface: Surface, share: float) -> Surface:
    return mesh.simplify(surface, target_triangles=max(int(len(surface.faces) * share), 200))


def _packed(surface: Surface, *, single: bool, through: float = 0.0, flat: float = 0.0) -> dict[str, object]:
    vertices = surface.vertices_lps_mm.astype(np.float64)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    step = np.maximum((high - low) / 65535, 1e-9)
    rounded = np.round((vertices - low) / step).astype("<u2")
    wide = len(vertices) > 65535
    return {
        "label": _label(surface.name, single=single),
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
