"""Fewer triangles for the browser."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError

if TYPE_CHECKING:
    from osteon.data import Surface

__all__ = ["simplify"]


def simplify(surface: Surface, *, target_triangles: int) -> Surface:
    """Collapse edges where the surface is flattest until about so many triangles are left.

    For display only: measures are taken from the full surface.

    Args:
        surface: triangles.
        target_triangles: at least 4; a surface that has no more is returned as it is.

    Returns:
        A surface of the same name and colour.

    Raises:
        InputError: a target below 4.

    References:
        Garland and Heckbert, quadric error metrics, doi:10.1145/258734.258849.
    """
    if target_triangles < 4:
        raise InputError(f"a closed surface has at least 4 triangles, asked for {target_triangles}")
    if len(surface.faces) <= target_triangles:
        return surface
    import fast_simplification

    centre = surface.vertices_lps_mm.mean(axis=0, dtype=np.float64)  # float32 keeps more digits near 0
    points = np.ascontiguousarray(surface.vertices_lps_mm - centre, dtype=np.float32)
    points, faces = fast_simplification.simplify(
        points, np.ascontiguousarray(surface.faces), target_count=target_triangles
    )
    return replace(
        surface,
        vertices_lps_mm=(points + centre).astype(np.float32),
        faces=np.ascontiguousarray(faces, dtype=np.int32),
    )
