"""From a mask to triangles in the patient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.data import Surface
from osteon.errors import GeometryMismatchError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.geometry import Grid

__all__ = ["BONE_COLOUR", "extract_surface"]

BONE_COLOUR = (230, 220, 190, 255)
"""Ivory."""


def extract_surface(
    mask: NDArray[np.bool_],
    grid: Grid,
    *,
    name: str = "bone",
    colour: tuple[int, int, int, int] = BONE_COLOUR,
) -> Surface:
    """The closed surface halfway between the voxels inside and outside a mask.

    Marching cubes at 0.5, by flying edges (the same vertices, found in one sweep a row).

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
    start, stop = _bounds_of(mask, name)
    inside = np.zeros(tuple(b - a + 2 for a, b in zip(start, stop, strict=True)), dtype=np.uint8)
    inside[1:-1, 1:-1, 1:-1] = mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    points_xyz, faces = _flying_edges(inside)

    affine = grid.affine
    columns_xyz = affine[:3, 2::-1]  # VTK counts x = column, y = row, z = slice
    origin_lps_mm = affine[:3, :3] @ (np.asarray(start) - 1.0) + affine[:3, 3]
    vertices = (points_xyz @ columns_xyz.T + origin_lps_mm).astype(np.float32)
    if np.linalg.det(columns_xyz) < 0:  # a mirrored map turns the triangles inside out
        faces = faces[:, ::-1]
    return Surface(
        vertices_lps_mm=vertices, faces=np.ascontiguousarray(faces, dtype=np.int32), name=name, colour=colour
    )


def _bounds_of(mask: NDArray[np.bool_], name: str) -> tuple[list[int], list[int]]:
    """Half-open index range that holds every voxel of the mask."""
    plane = np.asarray(mask.any(axis=0))
    lines = [np.asarray(line) for line in (mask.any(axis=(1, 2)), plane.any(axis=1), plane.any(axis=0))]
    if not lines[0].any():
        raise InputError(f"surface {name}: the mask holds no voxel, so there is no surface to extract")
    start = [int(line.argmax()) for line in lines]
    stop = [line.size - int(line[::-1].argmax()) for line in lines]
    return start, stop


def _flying_edges(inside: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(vertices, 3) in voxels as (column, row, slice), (triangles, 3) counter-clockwise from outside."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D

    image = vtkImageData()
    image.SetDimensions(*inside.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(inside.reshape(-1)))
    contour = vtkFlyingEdges3D()
    contour.SetInputData(image)
    contour.SetValue(0, 0.5)
    contour.ComputeNormalsOff()
    contour.ComputeGradientsOff()
    contour.ComputeScalarsOff()
    contour.Update()
    mesh = contour.GetOutput()
    points = vtk_to_numpy(mesh.GetPoints().GetData()).astype(np.float64)
    faces = vtk_to_numpy(mesh.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    return points, np.array(faces, dtype=np.int64)
