"""Taubin smoothing: equal to PyVista, against a slow filter, and without shrinking."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from osteon.data import Surface
from osteon.errors import InputError
from osteon.geometry import Grid
from osteon.mesh import extract_surface, smooth_taubin
from osteon.mesh.extract import transfer_coefficients
from tests.surface_measures import enclosed_volume_mm3, is_watertight

if TYPE_CHECKING:
    from numpy.typing import NDArray

RADIUS_MM = 9.3


@pytest.fixture(scope="module")
def sphere() -> Surface:
    axis = np.arange(23) - 11.0
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    mask = z * z + y * y + x * x <= RADIUS_MM**2
    grid = Grid.from_axes(shape=mask.shape, spacing_mm=(1, 1, 1), origin_lps_mm=(-11, -11, -11))
    return extract_surface(mask, grid, name="sphere")


def averaging_matrix(surface: Surface) -> NDArray[np.float64]:
    """Slow reference: row v averages the neighbours of v."""
    matrix = np.zeros((len(surface.vertices_lps_mm),) * 2)
    for face in surface.faces:
        for a in face:
            for b in face:
                matrix[a, b] = a != b
    return np.asarray(matrix / matrix.sum(axis=1, keepdims=True))


def roughness_mm(surface: Surface) -> float:
    return float(np.std(np.linalg.norm(surface.vertices_lps_mm, axis=1)))


@pytest.mark.parametrize(("iterations", "pass_band"), [(20, 0.1), (10, 0.1), (15, 0.4)])
def test_windowed_sinc_is_that_of_pyvista(sphere: Surface, iterations: int, pass_band: float) -> None:
    pyvista = pytest.importorskip("pyvista")
    mesh = pyvista.PolyData.from_regular_faces(sphere.vertices_lps_mm, sphere.faces)
    theirs = np.asarray(mesh.smooth_taubin(n_iter=iterations, pass_band=pass_band).points)
    ours = smooth_taubin(sphere, iterations=iterations, pass_band=pass_band).vertices_lps_mm
    scale = float((ours * theirs).sum() / (theirs * theirs).sum())  # the gain for a constant, which ours makes 1
    assert scale == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(ours, theirs * scale, atol=2e-5)


def test_windowed_sinc_is_the_polynomial_of_the_laplacian(sphere: Surface) -> None:
    step = (averaging_matrix(sphere) + np.eye(len(sphere.vertices_lps_mm))) / 2
    points = sphere.vertices_lps_mm.astype(np.float64)
    terms = [points, step @ points]
    for _ in range(2, 13):
        terms.append(2 * step @ terms[-1] - terms[-2])
    expected = np.tensordot(transfer_coefficients(12, 0.3), np.array(terms), axes=1)
    ours = smooth_taubin(sphere, iterations=12, pass_band=0.3).vertices_lps_mm
    np.testing.assert_allclose(ours, expected, atol=2e-5)


def test_a_sphere_gets_smoother_and_keeps_its_volume(sphere: Surface) -> None:
    smooth = smooth_taubin(sphere)
    assert enclosed_volume_mm3(smooth) == pytest.approx(enclosed_volume_mm3(sphere), rel=5e-3)
    assert roughness_mm(smooth) < 0.6 * roughness_mm(sphere)
    assert is_watertight(smooth)
    assert (smooth.name, smooth.colour) == (sphere.name, sphere.colour)


def test_where_the_surface_lies_does_not_matter(sphere: Surface) -> None:
    far = replace(sphere, vertices_lps_mm=sphere.vertices_lps_mm + np.float32(1500))
    moved = smooth_taubin(far).vertices_lps_mm - np.float32(1500)
    np.testing.assert_allclose(moved, smooth_taubin(sphere).vertices_lps_mm, atol=5e-4)


def test_an_open_border_stays_where_it_is(sphere: Surface) -> None:
    centres = sphere.vertices_lps_mm[sphere.faces].mean(axis=1)
    cup = replace(sphere, faces=np.ascontiguousarray(sphere.faces[centres[:, 2] < 0]))
    moved = np.linalg.norm(smooth_taubin(cup).vertices_lps_mm - cup.vertices_lps_mm, axis=1)
    edges = np.sort(np.concatenate([cup.faces[:, [0, 1]], cup.faces[:, [1, 2]], cup.faces[:, [2, 0]]]), axis=1)
    pairs, uses = np.unique(edges, axis=0, return_counts=True)
    border = np.unique(pairs[uses == 1])
    assert border.size > 20
    assert moved[border].max() < 1e-5
    assert (moved > 0.05).sum() > 100


def test_nothing_to_do_gives_the_same_surface(sphere: Surface) -> None:
    assert smooth_taubin(sphere, iterations=0) is sphere
    empty = replace(sphere, faces=np.zeros((0, 3), dtype=np.int32))
    assert smooth_taubin(empty) is empty


@pytest.mark.parametrize("iterations", [1, 5, 10, 20, 60])
def test_the_filter_keeps_a_constant_and_the_pass_band(iterations: int) -> None:
    coefficients = transfer_coefficients(iterations, 0.1)
    gain = np.polynomial.chebyshev.chebval(np.array([1.0, 0.95]), coefficients)
    assert gain[0] == pytest.approx(1)
    if iterations > 1:
        assert gain[1] == pytest.approx(1, abs=2e-3)


def test_numbers_without_meaning_are_refused(sphere: Surface) -> None:
    for iterations, pass_band in ((-1, 0.1), (20, 0.0), (20, 2.0)):
        with pytest.raises(InputError, match="found"):
            smooth_taubin(sphere, iterations=iterations, pass_band=pass_band)
