"""Smoothing that takes the steps of the voxels off a surface without shrinking it; fewer triangles for the browser."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.data import Surface

__all__ = ["simplify", "smooth_taubin", "transfer_coefficients"]

_NUTTALL = (0.355768, 0.487396, 0.144232, 0.012604)


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
    """Collapse edges where the surface is flattest until about so many triangles are left; for display only.

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
