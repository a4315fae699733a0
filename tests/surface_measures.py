"""Numbers of a surface that prove things about it: area, enclosed volume, whether it is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from osteon.data import Surface

__all__ = ["enclosed_volume_mm3", "is_watertight", "surface_area_mm2"]


def surface_area_mm2(surface: Surface) -> float:
    """Sum of the triangles' areas."""
    a, b, c = (surface.vertices_lps_mm[surface.faces[:, i]].astype(np.float64) for i in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def enclosed_volume_mm3(surface: Surface) -> float:
    """Volume inside a closed surface, by the divergence theorem; negative when the triangles look inwards."""
    if surface.faces.size == 0:
        return 0.0
    vertices = surface.vertices_lps_mm.astype(np.float64)
    vertices -= vertices.mean(axis=0)  # far from the origin the terms would cancel badly
    a, b, c = (vertices[surface.faces[:, i]] for i in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def is_watertight(surface: Surface) -> bool:
    """Whether every edge belongs to exactly two triangles that run through it in opposite directions."""
    if surface.faces.size == 0:
        return False
    faces = surface.faces.astype(np.int64)
    count = int(faces.max()) + 1
    tail, head = faces.reshape(-1), faces[:, (1, 2, 0)].reshape(-1)
    forward, backward = np.sort(tail * count + head), np.sort(head * count + tail)
    return bool((forward[1:] != forward[:-1]).all() and np.array_equal(forward, backward))
