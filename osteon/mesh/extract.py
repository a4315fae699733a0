"""Surfaces: extracted from masks, smoothed, cut, simplified for the browser; and boxes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from osteon.data import Surface
from osteon.errors import GeometryMismatchError, InputError
from osteon.geometry import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "AFFECTED_COLOUR",
    "BONE_COLOUR",
    "BOX_COLOUR",
    "box_surface",
    "coarse_surface",
    "extract_parts",
    "extract_surface",
    "simplify",
    "smooth_taubin",
    "split_between_slices",
    "transfer_coefficients",
]

BONE_COLOUR = (230, 220, 190, 255)
"""Ivory."""

AFFECTED_COLOUR = (216, 118, 102, 255)
"""Bone tinted red."""

BOX_COLOUR = (214, 39, 40, 255)
"""Red, as in the paper."""

BLOCK_MM, MOST_TRIANGLES = 1.75, 300_000
"""Of a coarse surface."""

_CUBE = np.array([(i >> 2 & 1, i >> 1 & 1, i & 1) for i in range(8)], dtype=np.float64)
_CUBE_FACES = np.array(
    [
        (0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
        (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3),
    ],
    dtype=np.int32,
)  # fmt: skip

_NUTTALL = (0.355768, 0.487396, 0.144232, 0.012604)


def extract_surface(
    mask: NDArray[np.bool_], grid: Grid, *, name: str = "bone", colour: tuple[int, int, int, int] = BONE_COLOUR
) -> Surface:
    """The closed surface halfway between the voxels inside and outside a mask (slice, row, column), bool.

    Marching cubes at 0.5: the vertices and triangles of VTK's flying edges.

    Returns:
        Vertices in LPS millimetres, triangles counter-clockwise seen from outside. Every edge belongs to exactly two
        triangles, at the border of the image too: what is outside the image counts as outside the mask.

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


def coarse_surface(
    mask: NDArray[np.bool_], grid: Grid, *, name: str, colour: tuple[int, int, int, int] = BONE_COLOUR
) -> Surface:
    """The smooth surface of a large mask (slice, row, column): of blocks of about 1.75 mm, at least half full."""
    steps = [max(1, round(BLOCK_MM / mm)) for mm in grid.spacing_mm]
    shape = [-(-n // step) for n, step in zip(mask.shape, steps, strict=True)]
    counts = np.zeros(shape, dtype=np.uint16)
    for k in range(mask.shape[0]):  # a slice at a time: nothing as large as the mask is made
        if mask[k].any():
            rows = np.add.reduceat(mask[k], np.arange(0, mask.shape[1], steps[1]), axis=0, dtype=np.uint16)
            counts[k // steps[0]] += np.add.reduceat(rows, np.arange(0, mask.shape[2], steps[2]), axis=1)
    affine = grid.affine.copy()
    affine[:3, :3] = grid.affine[:3, :3] * steps
    affine[:3, 3] = grid.to_lps_mm([(step - 1) / 2 for step in steps])
    blocks = Grid(shape=(shape[0], shape[1], shape[2]), affine=affine)
    surface = extract_surface(2 * counts >= np.prod(steps), blocks, name=name, colour=colour)
    return simplify(smooth_taubin(surface), target_triangles=MOST_TRIANGLES) if len(surface.faces) else surface


def extract_parts(labels: NDArray[np.integer], grid: Grid, *, name: str) -> list[Surface]:
    """The surface of every labelled piece, the largest first.

    Args:
        labels: (slice, row, column) integers; 0 is background, each other value one piece.
        grid: where the labels are.
        name: of the whole, as "bone_left"; the pieces become "bone_left_1", "bone_left_2" and so on by falling number
            of voxels (at a tie the smaller label first).

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
            pieces.append((-int(np.count_nonzero(labels[block] == value)), value, block))
    surfaces = []
    for number, (_, value, block) in enumerate(sorted(pieces, key=lambda piece: piece[:2]), start=1):
        local = grid.crop([part.start for part in block], [part.stop for part in block])
        surfaces.append(extract_surface(labels[block] == value, local, name=f"{name}_{number}"))
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
    points, faces = np.concatenate(vertices).astype(np.float32), np.concatenate(triangles).astype(np.int32)
    return Surface(points, faces, name, colour)


def split_between_slices(surface: Surface, grid: Grid, *, first_slice: int, last_slice: int) -> tuple[Surface, Surface]:
    """Cut a surface into what is between the outer faces of two slices of a grid, and the rest.

    Returns:
        affected (named ``{name}_affected``) and rest (name and colour kept). Triangles that cross a cut are divided, so
        the areas add up; neither part is closed by a lid. Either may have no triangle.

    Raises:
        InputError: last_slice is before first_slice.
    """
    if last_slice < first_slice:
        raise InputError(f"the last affected slice {last_slice} is before the first one {first_slice}")
    to_slice = np.linalg.inv(grid.affine)[0]
    below, rest = _divide(surface, to_slice, first_slice - 0.5)
    affected, above = _divide(rest, to_slice, last_slice + 0.5)
    affected = replace(affected, name=f"{surface.name}_affected", colour=AFFECTED_COLOUR)
    return affected, _joined(below, above)


def _divide(surface: Surface, to_slice: NDArray[np.float64], level: float) -> tuple[Surface, Surface]:
    """The parts of a surface below and from a slice coordinate on; to_slice is that row of the inverse affine."""
    height = surface.vertices_lps_mm.astype(np.float64) @ to_slice[:3] + to_slice[3] - level
    upper = height >= 0
    faces = surface.faces
    ups = upper[faces].sum(axis=1)
    crossing = (ups == 1) | (ups == 2)
    cut = faces[crossing]
    # turn each triangle so that its first corner is the one alone on its side
    alone = (upper[cut] == (ups[crossing] == 1)[:, None]).argmax(axis=1)
    apex, second, third = (cut[np.arange(len(cut)), (alone + i) % 3] for i in range(3))

    edges = np.sort(np.concatenate([np.stack([apex, second], 1), np.stack([third, apex], 1)]), axis=1)
    edges, number = np.unique(edges, axis=0, return_inverse=True)
    low, high = edges[:, 0], edges[:, 1]
    share = (height[low] / (height[low] - height[high]))[:, None]
    vertices = surface.vertices_lps_mm
    new = ((1 - share) * vertices[low] + share * vertices[high]).astype(np.float32)
    number = number.reshape(2, -1) + len(vertices)
    to_second, to_third = number[0], number[1]

    tips = np.stack([apex, to_second, to_third], axis=1)
    stumps = np.concatenate([np.stack([to_second, second, third], 1), np.stack([to_second, third, to_third], 1)])
    tip_up = upper[apex]
    everything = np.concatenate([vertices, new])
    lower_faces = np.concatenate([faces[ups == 0], tips[~tip_up], stumps[np.tile(tip_up, 2)]])
    upper_faces = np.concatenate([faces[ups == 3], tips[tip_up], stumps[np.tile(~tip_up, 2)]])
    below = _without_spare_vertices(surface, everything, lower_faces)
    return below, _without_spare_vertices(surface, everything, upper_faces)


def _without_spare_vertices(surface: Surface, vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> Surface:
    used = np.zeros(len(vertices), dtype=bool)
    used[faces] = True
    new_number = np.cumsum(used, dtype=np.int64) - 1
    return replace(surface, vertices_lps_mm=vertices[used], faces=new_number[faces].astype(np.int32).reshape(-1, 3))


def _joined(first: Surface, second: Surface) -> Surface:
    vertices = np.concatenate([first.vertices_lps_mm, second.vertices_lps_mm])
    faces = np.concatenate([first.faces, second.faces + np.int32(len(first.vertices_lps_mm))])
    return replace(first, vertices_lps_mm=vertices, faces=faces)


def smooth_taubin(surface: Surface, *, iterations: int = 20, pass_band: float = 0.1) -> Surface:
    """Smooth a surface by a low-pass filter of its Laplacian (windowed sinc), keeping its volume.

    It equals `pyvista.PolyData.smooth_taubin` with the same iterations and pass band, whose defaults the paper used
    without saying so, with one difference: the filter's gain for a constant is made exactly 1, so that a surface far
    from the origin is not moved.

    Args:
        surface: triangles; vertices on an open border or on an edge of more than two triangles stay where they are.
        iterations: degree of the filter; 0 gives the surface as it is.
        pass_band: frequency kept, above 0 and below 2; smaller smooths more. At 0.1, bumps of a few voxels vanish.

    Returns:
        The same triangles, name and colour with moved vertices.

    Raises:
        InputError: iterations or pass band out of range.

    References:
        Taubin, doi:10.1145/218380.218473; Taubin, Zhang and Golub, doi:10.1007/BFb0015544.
    """
    if iterations < 0 or not 0 < pass_band < 2:
        raise InputError(f"0 or more iterations and a pass band in 0 to 2 smooth, found {iterations} and {pass_band}")
    if iterations == 0 or surface.faces.size == 0:
        return surface
    from osteon.mesh.kernels import chebyshev_filter, fixed_vertices, vertex_rings

    centre = surface.vertices_lps_mm.mean(axis=0, dtype=np.float64)  # float32 keeps more digits near 0
    points = (surface.vertices_lps_mm - centre).astype(np.float32)
    faces = np.ascontiguousarray(surface.faces)
    first, ring = vertex_rings(faces, len(points))
    fixed = fixed_vertices(faces, first, ring)
    moved = chebyshev_filter(points, first, ring, transfer_coefficients(iterations, pass_band))
    moved[fixed] = points[fixed]
    return replace(surface, vertices_lps_mm=(moved + centre).astype(np.float32))


def transfer_coefficients(iterations: int, pass_band: float) -> NDArray[np.float64]:
    """Chebyshev coefficients of the low-pass filter: a sinc cut off by a Nuttall window.

    The cut is shifted by Newton steps until the gain at the pass band is 1, and the sum is scaled so that the gain for
    a constant is 1.

    Returns:
        (iterations + 1,)

    Raises:
        InputError: no shift reaches gain 1: the degree is too low for the pass band.

    References:
        Taubin, Zhang and Golub, doi:10.1007/BFb0015544, section 6; window: Nuttall, doi:10.1109/TASSP.1981.1163506.
    """
    orders = np.arange(iterations + 1)
    angles = np.pi * orders / (iterations + 1)
    window = sum((a * np.cos(k * angles) for k, a in enumerate(_NUTTALL)), np.zeros(iterations + 1))
    edge = math.acos(1 - pass_band / 2)
    shift = 0.0
    for _ in range(500):
        cut = edge + shift
        coefficients = window * np.concatenate([[cut], 2 * np.sin(orders[1:] * cut) / orders[1:]]) / np.pi
        gain = float(coefficients @ np.cos(orders * edge))
        if iterations == 1 or abs(gain - 1) < 1e-3:
            return np.asarray(coefficients / coefficients.sum())
        # VTK's slope, without the last coefficient and with the whole constant term: any of the right sign converges,
        # but where the search stops, within 0.001 of gain 1, depends on it
        derivative = np.polynomial.chebyshev.chebder(coefficients[:-1])
        slope = float(derivative[0] + np.polynomial.chebyshev.chebval(math.cos(edge), derivative))
        shift -= (gain - 1) / slope
    raise InputError(
        f"no filter of degree {iterations} keeps the pass band {pass_band}: use more iterations or a wider pass band"
    )


def simplify(surface: Surface, *, target_triangles: int) -> Surface:
    """Collapse edges where the surface is flattest until about this many triangles are left; for display only.

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
        surface, vertices_lps_mm=(points + centre).astype(np.float32), faces=np.ascontiguousarray(faces, dtype=np.int32)
    )
