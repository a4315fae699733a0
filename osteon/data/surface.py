"""A triangle mesh in the patient."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Surface"]


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Triangles in LPS millimetres, counter-clockwise seen from outside.

    Attributes:
        vertices_lps_mm: (vertices, 3) float32.
        faces: (triangles, 3) int32 indices into the vertices.
        name: node name in a GLB file, as "bone_left_1".
        colour: display RGBA, 0 to 255.
    """

    vertices_lps_mm: NDArray[np.float32] = field(repr=False)
    faces: NDArray[np.int32] = field(repr=False)
    name: str
    colour: tuple[int, int, int, int] = (230, 220, 190, 255)
