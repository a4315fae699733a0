"""Signed distances against shapes whose size is known."""

from __future__ import annotations

import numpy as np
import pytest

from osteon_phantoms.shapes import Ellipsoid, Loft, Points, Rod, Solid, make_loft, smooth_min


def plane(w: float, *, half_mm: float = 30.0, step_mm: float = 0.5) -> Points:
    line = np.arange(-half_mm, half_mm + step_mm / 2, step_mm, dtype=np.float32)
    u, v = np.meshgrid(line, line)
    return Points(u, v, np.array([[w]], dtype=np.float32))


def area_mm2(shape: Ellipsoid | Loft | Rod | Solid, w: float, *, step_mm: float = 0.5) -> float:
    return float((shape.distance(plane(w, step_mm=step_mm)) < 0).sum() * step_mm**2)


def test_an_ellipsoid_has_the_sections_of_an_ellipsoid() -> None:
    shape = Ellipsoid((2, -3, 10), (12, 8, 20))
    for w in (10, 20, 28):
        share = 1 - ((w - 10) / 20) ** 2
        assert area_mm2(shape, w) == pytest.approx(np.pi * 12 * 8 * share, rel=0.02)
    assert area_mm2(shape, 31) == 0


def test_a_ball_gives_the_exact_distance() -> None:
    points = plane(4)
    expected = np.sqrt(points.u**2 + points.v**2 + 16) - 9
    assert np.allclose(Ellipsoid((0, 0, 0), (9, 9, 9)).distance(points), expected, atol=1e-3)


def test_a_rod_of_one_radius_gives_the_exact_distance_to_its_axis() -> None:
    rod = Rod((-10, 0, 0), (10, 0, 0), 4, 4)
    points = plane(1)
    nearest = np.clip(points.u, -10, 10)
    expected = np.sqrt((points.u - nearest) ** 2 + points.v**2 + 1) - 4
    assert np.allclose(rod.distance(points), expected, atol=1e-4)


def test_a_loft_has_the_area_of_its_ellipse_and_keeps_it_under_harmonics() -> None:
    round_tube = make_loft([(0, 1, 2, 14, 10), (50, 1, 2, 14, 10)])
    assert area_mm2(round_tube, 25) == pytest.approx(np.pi * 140, rel=0.01)
    three_cornered = make_loft([(0, 0, 0, 14, 14, 2), (50, 0, 0, 14, 14, 2)])
    assert area_mm2(three_cornered, 25) == pytest.approx(np.pi * 14**2, rel=0.04)
    assert area_mm2(round_tube, 51) == 0


def test_a_corner_of_a_loft_points_where_it_is_reported() -> None:
    points = Points(
        np.array([[0.0, 0.0]], np.float32), np.array([[15.0, -15.0]], np.float32), np.array([[5.0]], np.float32)
    )
    front, back = make_loft([(0, 0, 0, 14, 14, 3), (10, 0, 0, 14, 14, 3)], apex_degrees=90).distance(points)[0]
    assert front < 0 < back


@pytest.mark.parametrize(
    "shape",
    [
        Ellipsoid((5, -4, 0), (6, 9, 12)),
        Rod((-12, 3, -30), (8, 10, 25), 3, 6),
        make_loft([(-20, 4, 0, 8, 6), (20, -6, 5, 12, 10, 2)]),
        Solid((Ellipsoid((0, 0, 0), (6, 6, 6)), Rod((5, 5, -5), (12, 12, 9), 3, 2)), blend_mm=4),
    ],
)
def test_the_disc_holds_every_section(shape: Ellipsoid | Rod | Loft | Solid) -> None:
    for w in np.linspace(-18, 18, 7):
        disc = shape.disc(w - 1, w + 1)
        points = plane(float(w))
        inside = shape.distance(points) < 0
        if not inside.any():
            continue
        assert disc is not None
        away = np.hypot(points.u - disc[0], points.v - disc[1])
        assert float(away[inside].max()) <= disc[2] + 1e-3


def test_a_cut_takes_away_and_a_fillet_only_adds() -> None:
    block = Ellipsoid((0, 0, 0), (15, 15, 15))
    whole, carved = Solid((block,)), Solid((block,), (Ellipsoid((10, 0, 0), (8, 8, 8)),))
    assert area_mm2(carved, 0) < area_mm2(whole, 0)
    a, b = np.array([-1, 2, 5], np.float32), np.array([1, 2.5, -3], np.float32)
    assert (smooth_min(a, b, 4) <= np.minimum(a, b)).all()


def test_a_solid_out_of_reach_is_far_and_has_no_disc() -> None:
    solid = Solid((Ellipsoid((0, 0, 0), (5, 5, 5)),))
    assert (solid.distance(plane(100)) > 100).all()
    assert solid.disc(99, 101) is None
