"""Compiled loops of surfaces: extraction, smoothing, drawing. Importing this module imports numba."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - numba ignores annotations, readers do not

from osteon._compiled import compiled

__all__ = [
    "chebyshev_filter",
    "draw_triangles",
    "fixed_vertices",
    "march_cubes",
    "mean_normals",
    "nearest_of_blocks",
    "shade_blocks",
    "vertex_rings",
]

_TRIANGLES: Final = (
    "- 048 41a 01a80a 286 204624 86241a a62a21120 6a3 480a36 641361 680603301 328a38 4a3430032 841812213 012213 095 "
    "548958 5091a4 51a5a99a8 095862 295256654 9508621a4 2a69a291a951 095a36 895854a36 136164095 513538589836 "
    "8a3832950 932943954a34 509124132284 529512132 5b1 0485b1 45ba4b 05b0b88ba 5b1862 4624205b1 45b4ba628 "
    "5ba5a252062a b1536a 5b148036a b36b65564 b365b6568580 32838a15b 5b14a00a3032 84585383235b b05b30320 9b1091 "
    "14818bb89 40949aa9b 9b8ba8 9b1910862 19b169146629 2869a09baa40 2a629a9ba 10919b36a 36a14bb48b89 0640b609b36b "
    "6b368b89b 28a2a309119b b49b14942a34243 24328434b094b49 b2932b 927 927048 9271a4 01a0a8279 986796 904947746 "
    "67969841a 9679169011a6 2796a3 048279a36 641613792 927038013368 37939aa98 4a3043037079 798781713418 937903013 "
    "027507 827874475 0270751a4 1751871a8278 086065567 547467 1a4085586567 a51a65675 7507026a3 a36824427475 "
    "413436507702 381368185278587 08a0a70757a3 34a374754 587508783418381 537135 5b1927 4805b1279 ba4b45927 "
    "27905885b8ba 986967b15 b15907704746 987867b45ba4 70679060a5b0a0b 927b156a3 36a5b1048279 927b35536564 "
    "5b3536560806927 5b19a798aa37 04a0a30397935b1 5345b3438793839 b05b30907703 7b1712210 17b471427482 7027a07baa40 "
    "7827b8ba8 810871867b17 17b147467 a0ba40b07860706 a7b67a 6a37b22b1210 482427471b17a36 2b027b0b436b4b6 "
    "6b368b7b22b8 a78a37870b17071 34a37414bb47 0847b3 b37 b73 04873b 1a4b73 a80a01b73 73b286 2042463b7 41a628b73 "
    "73b2162011a6 ab76a7 ab7a76804 1b7174476 801817876b71 72878bb8a 72070a7aba04 1b7417472428 71b721201 95073b "
    "54858973b 0951a473b 73b51991a9a8 50973b862 b73569546629 0952861a473b 95191a9a262a73b 76a7ab509 b76b6a958854 "
    "95074b76441b 918951816b71617 0958b28abb72 b2ab72a24952425 41b4b7478287095 71b721519912 573153 573531480 "
    "3a4347745 0a807a05773a 315357286 571731420462 86247a45773a 7a573a5a062a0a2 a15a56657 0485615766a1 574476 "
    "068056576 15717818a287 0a204a2a715a7a5 872847457 072570 973930031 789718731481 43a034073097 3973a9a89 "
    "862970073031 694629491739193 097073034a43862 3973a929669a 97696191016a 6176a1719481918 940974764 968769 "
    "07109717a287a78 97214a 872847970074 972 b923b2 23b2b9048 b92b23a41 0181a82b923b 63b6b88b9 04606b0b93b6 "
    "1a4b83b98863 1601a60693b696b 26a2a99ab 04826996a9ab 1b9196164692 96b926b61806160 98bb8a 4904a9ab9 1841b8b98 "
    "91b019 b50b03302 8548358233b5 41a0350233b5 3523b52581a585a b6356b586508 b63b56546 50858656b3b61a4 a51a65b53356 "
    "5ab52a5026a2 42548252b6a2b2a 4b641b6b250b2b0 51b826 0b508b8ab 4b5ab4 1841b808558b 51b 592521123 480591192123 "
    "923934945a43 85a805a53925352 531583598863 193159396049694 839863935a43534 059a63 26a92a9a1915 92696a9a515a048 "
    "259265645 259265058856 5a159a98a 4904a959119a 584985 059 021231 814821231 43a403023 382a83 608630310 614316 "
    "60863040aa03 63a a26a12102 a26a12824421 240642 268 0a18a0 4a1 084 -"
)
"""Triangles of the 256 cubes, a hexadecimal digit an edge, "-" for none: those of VTK's marching cubes.

Bit b of a cube's number says whether its corner in row b & 1, slice b >> 1 & 1 and column b >> 2 is inside. Edges 0 to
3 run along a row, 4 to 7 from row to row, 8 to 11 from slice to slice; of each four the low bit is the row, the column
and the column, the high bit the slice, the slice and the row. Where the corners inside lie across on a face, every cube
keeps them apart, so that neighbours always fit.
"""
_COUNTS: Final = np.array([len(text) // 3 for text in _TRIANGLES.split()])
_EDGES: Final = np.array([[int(e, 16) for e in text.strip("-").ljust(15, "0")] for text in _TRIANGLES.split()])


@compiled
def march_cubes(inside: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Triangles halfway between voxels inside and outside: marching cubes at 0.5.

    Args:
        inside: (slice, row, column), 0 or 1; 0 all along the border.

    Returns:
        points (vertices, 3) as column, row, slice; faces (triangles, 3), counter-clockwise seen from outside where
        these three axes are right-handed. Every edge belongs to two triangles. Vertices and triangles come row by row.
    """
    slices, rows, columns = inside.shape
    first = np.zeros((slices, rows, 3), np.int32)  # vertices along the row, to the next row, to the next slice
    triangles = np.zeros((slices, rows), np.int32)
    for k in range(slices - 1):
        for j in range(rows - 1):
            left = 0
            for i in range(columns - 1):
                right = _side(inside, k, j, i + 1)
                if left != right or 0 < left < 15:
                    first[k, j, 0] += (left ^ right) & 1
                    first[k, j, 1] += (left ^ left >> 1) & 1
                    first[k, j, 2] += (left ^ left >> 2) & 1
                    triangles[k, j] += _COUNTS[left | right << 4]
                left = right
    count = 0
    for k in range(slices):
        for j in range(rows):
            for axis in range(3):
                here = first[k, j, axis]
                first[k, j, axis] = count
                count += here
    points = np.empty((count, 3), np.float32)
    faces = np.empty((triangles.sum(), 3), np.int32)
    drawn = 0
    for k in range(slices - 1):
        for j in range(rows - 1):
            if triangles[k, j]:
                _march_row(inside, k, j, first, points, faces[drawn : drawn + triangles[k, j]])
                drawn += triangles[k, j]
    return points, faces


@compiled
def _side(inside: NDArray[np.uint8], k: int, j: int, i: int) -> int:
    """Four bits: whether (k, j, i), (k, j + 1, i), (k + 1, j, i) and (k + 1, j + 1, i) are inside."""
    side: int = inside[k, j, i] + 2 * inside[k, j + 1, i] + 4 * inside[k + 1, j, i] + 8 * inside[k + 1, j + 1, i]
    return side


@compiled
def _march_row(
    inside: NDArray[np.uint8],
    k: int,
    j: int,
    first: NDArray[np.int32],
    points: NDArray[np.float32],
    faces: NDArray[np.int32],
) -> None:
    """Set the vertices that begin in row j of slice k, and the triangles of the cubes between it and the next ones."""
    at = np.zeros(12, np.int32)  # the vertex on each edge of the present cube, where there is one
    for edge in range(4):
        at[edge] = first[k + (edge >> 1), j + (edge & 1), 0]
    at[4], at[6] = first[k, j, 1], first[k + 1, j, 1]
    at[8], at[10] = first[k, j, 2], first[k, j + 1, 2]
    left = 0
    drawn = 0
    for i in range(inside.shape[2] - 1):
        right = _side(inside, k, j, i + 1)
        if left == right and not 0 < left < 15:
            continue
        crossed = left ^ right
        to_row, to_slice = left ^ left >> 1, left ^ left >> 2
        if crossed & 1:
            points[at[0], 0], points[at[0], 1], points[at[0], 2] = i + 0.5, j, k
        if to_row & 1:
            points[at[4], 0], points[at[4], 1], points[at[4], 2] = i, j + 0.5, k
        if to_slice & 1:
            points[at[8], 0], points[at[8], 1], points[at[8], 2] = i, j, k + 0.5
        at[5], at[7] = at[4] + (to_row & 1), at[6] + (to_row >> 2 & 1)
        at[9], at[11] = at[8] + (to_slice & 1), at[10] + (to_slice >> 1 & 1)
        cube = left | right << 4
        for n in range(_COUNTS[cube]):
            for corner in range(3):
                faces[drawn, corner] = at[_EDGES[cube, 3 * n + corner]]
            drawn += 1
        for edge in range(4):
            at[edge] += crossed >> edge & 1
        at[4], at[6], at[8], at[10] = at[5], at[7], at[9], at[11]
        left = right


@compiled
def vertex_rings(faces: NDArray[np.int32], count: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """For every vertex the vertices that follow it in its triangles: all its neighbours on a closed surface.

    Returns:
        first (count + 1,), ring (3 * triangles,): vertex v has ring[first[v]:first[v + 1]].
    """
    first = np.zeros(count + 1, np.int32)
    for f in range(faces.shape[0]):
        for k in range(3):
            first[faces[f, k] + 1] += 1
    for v in range(count):
        first[v + 1] += first[v]
    ring = np.empty(3 * faces.shape[0], np.int32)
    free = first[:-1].copy()
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ring[free[a]] = b
        ring[free[b]] = c
        ring[free[c]] = a
        free[a] += 1
        free[b] += 1
        free[c] += 1
    return first, ring


@compiled
def fixed_vertices(faces: NDArray[np.int32], first: NDArray[np.int32], ring: NDArray[np.int32]) -> NDArray[np.bool_]:
    """(vertices,) true on an edge that does not belong to exactly two triangles running in opposite directions."""
    fixed = np.zeros(first.size - 1, np.bool_)
    for f in range(faces.shape[0]):
        for k in range(3):
            a, b = faces[f, k], faces[f, (k + 1) % 3]
            there = 0
            for i in range(first[a], first[a + 1]):
                there += ring[i] == b
            back = 0
            for i in range(first[b], first[b + 1]):
                back += ring[i] == a
            if there != 1 or back != 1:
                fixed[a] = True
                fixed[b] = True
    return fixed


@compiled
def _step(
    points: NDArray[np.float32],
    first: NDArray[np.int32],
    ring: NDArray[np.int32],
    weights: tuple[float, float, float],
    before: NDArray[np.float32],
    after: NDArray[np.float32],
) -> None:
    """Sets after = w0 * points + w1 * mean of the neighbours + w2 * before; before and after may be one array."""
    own, around, past = np.float32(weights[0]), np.float32(weights[1]), np.float32(weights[2])
    for v in range(points.shape[0]):
        x, y, z = points[v, 0], points[v, 1], points[v, 2]
        begin, end = first[v], first[v + 1]
        if end > begin:
            sum_x = sum_y = sum_z = np.float32(0)
            for i in range(begin, end):
                n = ring[i]
                sum_x += points[n, 0]
                sum_y += points[n, 1]
                sum_z += points[n, 2]
            share = around / np.float32(end - begin)
        else:
            sum_x, sum_y, sum_z, share = x, y, z, around
        after[v, 0] = own * x + share * sum_x + past * before[v, 0]
        after[v, 1] = own * y + share * sum_y + past * before[v, 1]
        after[v, 2] = own * z + share * sum_z + past * before[v, 2]


@compiled
def chebyshev_filter(
    points: NDArray[np.float32], first: NDArray[np.int32], ring: NDArray[np.int32], coefficients: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Sum of coefficients[n] * T_n(P) applied to the points, P the half-way step (point + mean of neighbours) / 2."""
    now = np.empty_like(points)
    _step(points, first, ring, (0.5, 0.5, 0.0), points, now)
    past = points.copy()
    total = np.float32(coefficients[0]) * points
    for n in range(1, coefficients.size):
        if n > 1:
            _step(now, first, ring, (1.0, 1.0, -1.0), past, past)  # T_n = 2 P T_(n-1) - T_(n-2)
            past, now = now, past
        total += np.float32(coefficients[n]) * now
    return total


@compiled
def mean_normals(points: NDArray[np.float32], faces: NDArray[np.int32]) -> NDArray[np.float32]:
    """(vertices, 3) unit normals: the mean of the triangles around a vertex, weighted by area; (0, 0, 1) where none."""
    sums = np.zeros(points.shape, np.float64)
    side = np.empty((2, 3), np.float64)
    for f in range(faces.shape[0]):
        for k in range(3):
            side[0, k] = np.float64(points[faces[f, 1], k]) - np.float64(points[faces[f, 0], k])
            side[1, k] = np.float64(points[faces[f, 2], k]) - np.float64(points[faces[f, 0], k])
        for k in range(3):
            m, n = (k + 1) % 3, (k + 2) % 3
            part = side[0, m] * side[1, n] - side[0, n] * side[1, m]
            for corner in range(3):
                sums[faces[f, corner], k] += part
    normals = np.zeros(points.shape, np.float32)
    for v in range(points.shape[0]):
        length = math.sqrt(sums[v, 0] ** 2 + sums[v, 1] ** 2 + sums[v, 2] ** 2)
        if length == 0:
            normals[v, 2] = 1
            continue
        for k in range(3):
            normals[v, k] = sums[v, k] / length
    return normals


@compiled
def draw_triangles(
    points: NDArray[np.float32], faces: NDArray[np.int32], height: int, width: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Find the nearest triangle of every pixel; points are column, row and nearness in the pixels of this raster.

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
        block: rows and columns of the raster for one pixel of the picture, (height, width, 3) in linear light.
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
            # a body turns darker towards its outline: its roundness shows
            rim = np.float32(0.55) + np.float32(0.45) * nz
            shade = sky + diffuse * rim * (np.float32(0.2) + np.float32(0.8) * free)
            gloss = np.float32(0.06) * mirrored * free
            for k in range(3):
                picture[r, q, k] += palette[material[f], k] * shade + gloss
    picture *= np.float32(1 / (block * block))
    return picture
