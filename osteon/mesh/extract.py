"""From a mask, or from every piece of one, to triangles in the patient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.data import Surface
from osteon.errors import GeometryMismatchError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.geometry import Grid

__all__ = ["BONE_COLOUR", "extract_parts", "extract_surface"]

BONE_COLOUR = (230, 220, 190, 255)
"""Ivory."""


def extract_surface(
    mask: NDArray[np.bool_], grid: Grid, *, name: str = "bone", colour: tuple[int, int, int, int] = BONE_COLOUR
) -> Surface:
    """The closed surface halfway between the voxels inside and outside a mask.

    Marching cubes at 0.5: the vertices and triangles of VTK's flying edges.

    Args:
        mask: bool, (slice, row, column).
        grid: where the mask lies; any direction, either handedness.
        name: of the surface.
        colour: RGBA of the surface.

    Returns:
        Vertices in LPS millimetres, triangles counter-clockwise seen from outside. Every edge belongs to exactly two
        triangles, at the border of the image too: what lies outside the image counts as outside the mask.

    Raises:
        GeometryMismatchError: the mask and the grid differ in shape.
        InputError: the mask is empty.

    References:
        Schroeder et al., Flying Edges, doi:10.1109/LDAV.2015.7348069.

    Example:
        >>> from osteon.geometry import Grid
        >>> one_voxel = np.ones((1, 1, 1), dtype=bool)
        >>> surface = extract_surface(one_voxel, Grid.from_axes(shape=(1, 1, 1), spacing_mm=(2, 1, 1)))
        >>> surface.vertices_lps_mm.shape, surface.faces.shape
        ((6, 3), (8, 3))
    """
    if mask.shape != grid.shape:
        raise GeometryMismatchError(f"surface {name}: the mask has shape {mask.shape}, its grid {grid.shape}")
    from osteon.mesh.kernels import march_cubes

    start, stop = _bounds_of(mask, name)
    inside = np.zeros(tuple(b - a + 2 for a, b in zip(start, stop, strict=True)), dtype=np.uint8)
    inside[1:-1, 1:-1, 1:-1] = mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    points_xyz, faces = march_cubes(inside)

    affine = grid.affine
    columns_xyz = affine[:3, 2::-1]  # x = column, y = row, z = slice
    origin_lps_mm = affine[:3, :3] @ (np.asarray(start) - 1.0) + affine[:3, 3]
    vertices = (points_xyz @ columns_xyz.T + origin_lps_mm).astype(np.float32)
    if np.linalg.det(columns_xyz) < 0:  # a mirrored map turns the triangles inside out
        faces = faces[:, ::-1]
    return Surface(vertices_lps_mm=vertices, faces=np.ascontiguousarray(faces), name=name, colour=colour)


def extract_parts(
    labels: NDArray[np.integer],
    grid: Grid,
    *,
    name: str,
    colour: tuple[int, int, int, int] = BONE_COLOUR,
    smallest_voxels: int = 1,
) -> list[Surface]:
    """The surface of every labelled piece, the largest first.

    Args:
        labels: (slice, row, column) integers; 0 is background, each other value one piece.
        grid: where the labels lie.
        name: of the whole, as "bone_left"; the pieces become "bone_left_1", "bone_left_2" and so on by falling number
            of voxels (at a tie the smaller label first).
        colour: RGBA of all pieces.
        smallest_voxels: pieces below this size are left out.

    Returns:
        One closed surface a piece; none when there is no piece.

    Raises:
        GeometryMismatchError: the labels and the grid differ in shape.
    """
    from scipy.ndimage import find_objects

    if labels.shape != grid.shape:
        raise GeometryMismatchError(f"surface {name}: the labels have shape {labels.shape}, their grid {grid.shape}")
    pieces = []
    for value, block in enumerate(find_objects(labels), start=1):
        if block is not None:
            size = int(np.count_nonzero(labels[block] == value))
            if size >= smallest_voxels:
                pieces.append((-size, value, block))
    surfaces = []
    for number, (_, value, block) in enumerate(sorted(pieces, key=lambda piece: piece[:2]), start=1):
        local = grid.crop([part.start for part in block], [part.stop for part in block])
        surfaces.append(extract_surface(labels[block] == value, local, name=f"{name}_{number}", colour=colour))
    return surfaces


def _bounds_of(mask: NDArray[np.bool_], name: str) -> tuple[list[int], list[int]]:
    """Half-open index range that holds every voxel of the mask."""
    plane = np.asarray(mask.any(axis=0))
    lines = [np.asarray(line) for line in (mask.any(axis=(1, 2)), plane.any(axis=1), plane.any(axis=0))]
    if not lines[0].any():
        raise InputError(f"surface {name}: the mask holds no voxel, so there is no surface to extract")
    start = [int(line.argmax()) for line in lines]
    stop = [line.size - int(line[::-1].argmax()) for line in lines]
    return start, stop
