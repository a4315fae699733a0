"""Compiled loops of the renderer. Importing this module imports numba; the machine code is kept on disk."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - numba ignores annotations, readers do not

from osteon._compiled import compiled

__all__ = ["draw_triangles", "nearest_of_blocks", "shade_blocks"]


@compiled
def draw_triangles(
    points: NDArray[np.float32], faces: NDArray[np.int32], height: int, width: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Find the nearest triangle of every pixel.

    Args:
        points: (vertices, 3) column, row and nearness in the pixels of this raster.
        faces: (triangles, 3).
        height: rows.
        width: columns.

    Returns:
        triangle (height, width), -1 where none; nearness (height, width), -inf where none.
    """
    triangle = np.full((height, width), -1, np.int32)
    near = np.full((height, width), -np.inf, np.float32)
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, bx, by = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
        cx, cy = points[c, 0], points[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        top = max(0, math.ceil(min(ay, by, cy) - 0.5))
        bottom = min(height - 1, math.floor(max(ay, by, cy) - 0.5))
        left = max(0, math.ceil(min(ax, bx, cx) - 0.5))
        right = min(width - 1, math.floor(max(ax, bx, cx) - 0.5))
        for row in range(top, bottom + 1):
            y = np.float32(row + 0.5)
            for column in range(left, right + 1):
                x = np.float32(column + 0.5)
                at_a = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
                at_b = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
                at_c = np.float32(1) - at_a - at_b
                if at_a >= 0 and at_b >= 0 and at_c >= 0:
                    here = at_a * points[a, 2] + at_b * points[b, 2] + at_c * points[c, 2]
                    if here > near[row, column]:
                        near[row, column] = here
                        triangle[row, column] = f
    return triangle, near


@compiled
def nearest_of_blocks(near: NDArray[np.float32], block: int) -> NDArray[np.float32]:
    """The largest nearness of every block x block pixels."""
    height, width = near.shape[0] // block, near.shape[1] // block
    out = np.full((height, width), -np.inf, np.float32)
    for row in range(near.shape[0]):
        for column in range(near.shape[1]):
            r, c = row // block, column // block
            out[r, c] = max(out[r, c], near[row, column])
    return out


@compiled
def _light(
    normal_x: float, normal_y: float, normal_z: float, lights: NDArray[np.float32]
) -> tuple[np.float32, np.float32]:
    """Diffuse and mirrored light of a unit normal (right, up, towards the viewer); lights as in `shade_blocks`."""
    diffuse = np.float32(0)
    mirrored = np.float32(0)
    for i in range(lights.shape[0]):
        x, y, z, strength = lights[i, 0], lights[i, 1], lights[i, 2], lights[i, 3]
        # wrapped: the terminator of a rough body lit by a wide lamp is soft
        facing = (normal_x * x + normal_y * y + normal_z * z + np.float32(0.12)) / np.float32(1.12)
        if facing > 0:
            diffuse += strength * facing
            half_z = z + np.float32(1)
            length = math.sqrt(x * x + y * y + half_z * half_z)
            glance = max((normal_x * x + normal_y * y + normal_z * half_z) / length, 0.0)
            mirrored += strength * glance**24
    return diffuse, mirrored


@compiled
def shade_blocks(
    triangle: NDArray[np.int32],
    points: NDArray[np.float32],
    normals: NDArray[np.float32],
    faces: NDArray[np.int32],
    face_colours: tuple[NDArray[np.uint16], NDArray[np.float32]],
    openness: NDArray[np.float32],
    lights: NDArray[np.float32],
    block: int,
) -> NDArray[np.float32]:
    """Colour the pixels of a raster and average them over the blocks of the picture.

    Args:
        triangle: (block * height, block * width) from `draw_triangles`.
        points: (vertices, 3) as given to `draw_triangles`.
        normals: (vertices, 3) unit vectors along right, up and towards the viewer.
        faces: (triangles, 3).
        face_colours: row number for every triangle, and (rows, 3) colours in linear light, the background last.
        openness: like triangle; share of the sky that is free, 0 to 1.
        lights: (n, 4) unit direction and strength.
        block: rows and columns of the raster for one pixel of the picture.

    Returns:
        (height, width, 3) in linear light.
    """
    material, palette = face_colours
    picture = np.zeros((triangle.shape[0] // block, triangle.shape[1] // block, 3), np.float32)
    for row in range(triangle.shape[0]):
        y = np.float32(row + 0.5)
        for column in range(triangle.shape[1]):
            r, q = row // block, column // block
            f = triangle[row, column]
            if f < 0:
                for k in range(3):
                    picture[r, q, k] += palette[-1, k]
                continue
            x = np.float32(column + 0.5)
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            bx, by, cx, cy = points[b, 0] - x, points[b, 1] - y, points[c, 0] - x, points[c, 1] - y
            ax, ay = points[a, 0] - x, points[a, 1] - y
            of_a, of_b, of_c = bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx
            nx = of_a * normals[a, 0] + of_b * normals[b, 0] + of_c * normals[c, 0]
            ny = of_a * normals[a, 1] + of_b * normals[b, 1] + of_c * normals[c, 1]
            nz = of_a * normals[a, 2] + of_b * normals[b, 2] + of_c * normals[c, 2]
            length = math.sqrt(nx * nx + ny * ny + nz * nz)
            if length > 0:
                length = math.copysign(length, nz)  # the inside of an open surface is lit as its outside
                nx, ny, nz = nx / length, ny / length, nz / length
            else:
                nx, ny, nz = np.float32(0), np.float32(0), np.float32(1)
            diffuse, mirrored = _light(nx, ny, nz, lights)
            free = openness[row, column]
            sky = (np.float32(0.10) + np.float32(0.06) * ny + np.float32(0.06) * nz) * free
            rim = (
                np.float32(0.55) + np.float32(0.45) * nz
            )  # a body turns darker towards its outline: its roundness shows
            shade = sky + diffuse * rim * (np.float32(0.2) + np.float32(0.8) * free)
            gloss = np.float32(0.06) * mirrored * free
            for k in range(3):
                picture[r, q, k] += palette[material[f], k] * shade + gloss
    picture *= np.float32(1 / (block * block))
    return picture
