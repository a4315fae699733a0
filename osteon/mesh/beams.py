"""A box drawn as twelve beams, so that every viewer of meshes shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.data import Surface
from osteon.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BOX_COLOUR", "box_surface"]

BOX_COLOUR = (214, 39, 40, 255)
"""Red, as in the paper."""

_CUBE = np.array([(i >> 2 & 1, i >> 1 & 1, i & 1) for i in range(8)], dtype=np.float64)
_CUBE_FACES = np.array(
    [
        (0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
        (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3),
    ],
    dtype=np.int32,
)  # fmt: skip


def box_surface(
    corners_lps_mm: NDArray[np.float64],
    *,
    name: str = "tumour_box",
    colour: tuple[int, int, int, int] = BOX_COLOUR,
    thickness_mm: float = 1.0,
) -> Surface:
    """The twelve edges of a box as square beams centred on them.

    Lines of a mesh file are one pixel wide or not drawn at all in most viewers; beams are seen in each.

    Args:
        corners_lps_mm: (8, 3), in the order of `osteon.geometry.Box.corners_lps_mm`: bits 2, 1, 0 of the row number
            pick the far end along the three edges that leave corner 0.
        name: of the surface.
        colour: RGBA of the surface.
        thickness_mm: side of a beam.

    Returns:
        Twelve closed beams of 8 vertices and 12 triangles each, which overlap in the corners.

    Raises:
        InputError: not (8, 3) finite numbers, not a box with right angles, or a thickness that is not positive.

    Example:
        >>> corners = np.array([(i >> 2 & 1, i >> 1 & 1, i & 1) for i in range(8)]) * 10.0
        >>> box_surface(corners, thickness_mm=1).faces.shape
        (144, 3)
    """
    corners = np.asarray(corners_lps_mm, dtype=np.float64)
    if corners.shape != (8, 3) or not np.isfinite(corners).all():
        raise InputError(f"box {name}: eight finite corners (8, 3) are needed, found shape {corners.shape}")
    if thickness_mm <= 0:
        raise InputError(f"box {name}: the beams need a positive thickness, found {thickness_mm} mm")
    edges = corners[[4, 2, 1]] - corners[0]
    lengths = np.linalg.norm(edges, axis=1)
    if (lengths <= 0).any() or not np.allclose(corners, corners[0] + _CUBE @ edges, atol=1e-3 * float(lengths.max())):
        raise InputError(f"box {name}: the corners do not span a box; give them in the order of Box.corners_lps_mm")
    axes = edges / lengths[:, None]
    if np.abs(axes @ axes.T - np.eye(3)).max() > 1e-2:
        raise InputError(f"box {name}: the edges of the box are not at right angles")

    half = thickness_mm / 2
    flip = bool(np.linalg.det(axes) < 0)
    faces = _CUBE_FACES[:, ::-1] if flip else _CUBE_FACES
    vertices: list[NDArray[np.float64]] = []
    triangles: list[NDArray[np.int32]] = []
    for along in range(3):
        for across in range(4):
            start = np.zeros(3)
            start[(along + 1) % 3] = lengths[(along + 1) % 3] * (across >> 1)
            start[(along + 2) % 3] = lengths[(along + 2) % 3] * (across & 1)
            stop = start + half
            stop[along] = lengths[along] + half
            beam = (start - half) + _CUBE * (stop - start + half)
            triangles.append(faces + 8 * len(vertices))
            vertices.append(corners[0] + beam @ axes)
    return Surface(
        vertices_lps_mm=np.concatenate(vertices).astype(np.float32),
        faces=np.concatenate(triangles).astype(np.int32),
        name=name,
        colour=colour,
    )
