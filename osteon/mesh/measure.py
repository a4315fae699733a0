"""Numbers of a surface: area, enclosed volume, extent, whether it is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from osteon.data import Surface

__all__ = ["bounds_lps_mm", "enclosed_volume_mm3", "is_watertight", "surface_area_mm2", "vertex_normals"]


def surface_area_mm2(surface: Surface) -> float:
    """Sum of the triangles' areas; 0.0 for a surface without triangles."""
    return float(np.linalg.norm(_face_vectors(surface), axis=1).sum() / 2)


def enclosed_volume_mm3(surface: Surface) -> float:
    """Volume inside a closed surface, by the divergence theorem.

    Negative when the triangles look inwards; without meaning for an open surface (see `is_watertight`).

    References:
        IBSI RNU0, "Volume (mesh)".
    """
    if surface.faces.size == 0:
        return 0.0
    vertices = surface.vertices_lps_mm.astype(np.float64)
    vertices -= vertices.mean(axis=0)  # far from the origin the terms would cancel badly
    a, b, c = (vertices[surface.faces[:, i]] for i in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def is_watertight(surface: Surface) -> bool:
    """Whether every edge belongs to exactly two triangles that run through it in opposite directions.

    False for a surface without triangles.
    """
    if surface.faces.size == 0:
        return False
    faces = surface.faces.astype(np.int64)
    count = int(faces.max()) + 1
    tail = faces.reshape(-1)
    head = faces[:, (1, 2, 0)].reshape(-1)
    forward = np.sort(tail * count + head)
    backward = np.sort(head * count + tail)
    return bool((forward[1:] != forward[:-1]).all() and np.array_equal(forward, backward))


def bounds_lps_mm(surfaces: Sequence[Surface]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest LPS coordinates over all surfaces, each (3,); NaN when there is no vertex."""
    filled = [surface.vertices_lps_mm for surface in surfaces if surface.vertices_lps_mm.size]
    if not filled:
        return np.full(3, np.nan), np.full(3, np.nan)
    low = np.min([vertices.min(axis=0) for vertices in filled], axis=0)
    high = np.max([vertices.max(axis=0) for vertices in filled], axis=0)
    return low.astype(np.float64), high.astype(np.float64)


def vertex_normals(surface: Surface) -> NDArray[np.float32]:
    """(vertices, 3) outward unit normals: the mean of the triangles around a vertex, weighted by their area.

    A vertex that no triangle uses, or whose triangles cancel, gets (0, 0, 1).
    """
    from osteon.mesh.kernels import mean_normals

    return mean_normals(surface.vertices_lps_mm, surface.faces)


def _face_vectors(surface: Surface) -> NDArray[np.float64]:
    """(triangles, 3) outward normals with the length of twice the area."""
    a, b, c = (surface.vertices_lps_mm[surface.faces[:, i]].astype(np.float64) for i in range(3))
    return np.cross(b - a, c - a)
