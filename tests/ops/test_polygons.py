"""Polygons to pixels against plain counting and matplotlib, and pixels to polygons and back."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path as PlotPath
from numpy.typing import NDArray

from osteon.ops.polygons import Corner, Patch, fill_polygons, patches, winding_numbers


def _cells(*rows: str) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.array([[mark == "#" for mark in row] for row in rows])


def _area(ring: tuple[Corner, ...]) -> float:
    """Signed, positive where the inside is on the right hand with rows downwards."""
    return sum(a[1] * b[0] - b[1] * a[0] for a, b in pairwise(ring)) / 2


def _inside(patch: Patch, row: float, column: float) -> bool:
    """Even-odd: how often a ray to the right crosses the rings."""
    crossings = 0
    for ring in (patch.outer, *patch.holes):
        for (row_a, column_a), (row_b, _) in pairwise(ring):
            if (row_a > row) != (row_b > row) and column_a > column:
                crossings += 1
    return crossings % 2 == 1


def test_one_cell() -> None:
    (patch,) = patches(_cells("...", ".#."))
    assert patch.outer == ((1, 1), (1, 2), (2, 2), (2, 1), (1, 1))
    assert patch.holes == ()


def test_a_ring_keeps_its_hole_and_straight_edges_have_no_corners() -> None:
    (patch,) = patches(_cells("###", "#.#", "###"))
    assert set(patch.outer) == {(0, 0), (0, 3), (3, 3), (3, 0)}
    assert len(patch.outer) == 5
    (hole,) = patch.holes
    assert set(hole) == {(1, 1), (1, 2), (2, 2), (2, 1)}
    assert _area(patch.outer) == 9
    assert _area(hole) == -1


def test_cells_that_touch_at_a_corner_are_two_patches() -> None:
    first, second = patches(_cells("#.", ".#"))
    assert (_area(first.outer), _area(second.outer)) == (1, 1)


def test_a_gap_that_is_closed_by_a_corner_is_a_hole() -> None:
    # the cells hang together around the gap at (1, 1), whose corner (2, 2) touches the outside at (2, 2)
    (patch,) = patches(_cells("###", "#.#", "##."))
    assert len(patch.holes) == 1
    assert _area(patch.outer) == 8
    assert _area(patch.holes[0]) == -1
    assert (2, 2) in patch.outer
    assert (2, 2) in patch.holes[0]


def test_nothing_has_no_outline() -> None:
    assert patches(np.zeros((4, 5), dtype=np.bool_)) == ()


@pytest.mark.parametrize("seed", range(12))
def test_random_maps(seed: int) -> None:
    generator = np.random.default_rng(seed)
    cells = generator.random((13, 17)) < generator.uniform(0.3, 0.85)
    painted = np.zeros(cells.shape, dtype=int)
    for patch in patches(cells):
        rings = (patch.outer, *patch.holes)
        assert sum(_area(ring) for ring in rings) == len(patch.rows)
        assert _area(patch.outer) > 0
        assert all(_area(hole) < 0 for hole in patch.holes)
        for ring in rings:
            assert ring[0] == ring[-1]
            assert max(Counter(ring[:-1]).values()) == 1  # no ring passes a corner twice
            steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise((*ring, ring[1]))]
            assert all((a[0] == 0) != (b[0] == 0) for a, b in pairwise(steps))  # a turn at every corner
        for row in range(cells.shape[0]):
            for column in range(cells.shape[1]):
                painted[row, column] += _inside(patch, row + 0.5, column + 0.5)
    np.testing.assert_array_equal(painted, cells.astype(int))


# -------------------------------------------------------------------------------------------------- pixels of polygons

SQUARE = np.array([[1.5, 1.5], [1.5, 7.5], [7.5, 7.5], [7.5, 1.5]])


def _counted(polygon: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The even-odd rule, edge by edge and pixel by pixel."""
    inside = np.zeros(shape, np.bool_)
    for row, column in np.ndindex(shape):
        for ends in zip(polygon.tolist(), np.roll(polygon, -1, axis=0).tolist(), strict=True):
            (row_a, column_a), (row_b, column_b) = sorted(ends, key=lambda end: end[0])
            if row_a <= row < row_b:
                inside[row, column] ^= column_a + (row - row_a) / (row_b - row_a) * (column_b - column_a) <= column
    return inside


@given(
    st.lists(st.tuples(st.floats(-4, 14), st.floats(-4, 14)), min_size=1, max_size=12),
    st.integers(1, 10),
    st.integers(1, 10),
)
def test_any_polygon_is_filled_as_counting_fills_it(
    corners: list[tuple[float, float]], rows: int, columns: int
) -> None:
    polygon = np.array(corners)
    found = fill_polygons([polygon], (rows, columns))
    assert np.array_equal(found.inside, _counted(polygon, (rows, columns)))
    assert bool(found.empty) == (not found.inside.any())


@pytest.mark.parametrize("seed", range(5))
def test_round_shapes_are_filled_as_matplotlib_fills_them(seed: int) -> None:
    generator = np.random.default_rng(seed)
    angle = np.sort(generator.uniform(0, 2 * np.pi, 300))
    radius = 20 + 4 * np.sin(3 * angle) + generator.uniform(-0.5, 0.5, 300)
    polygon = np.column_stack([30 + radius * np.sin(angle), 28 + radius * np.cos(angle)])
    centres = np.stack(np.meshgrid(np.arange(60), np.arange(57), indexing="ij"), axis=-1).reshape(-1, 2)
    found = fill_polygons([polygon], (60, 57))
    assert np.array_equal(found.inside.ravel(), PlotPath(polygon).contains_points(centres))
    assert found.crossing == ()
    assert fill_polygons([polygon[::-1]], (60, 57)).inside.sum() == found.inside.sum()


def test_polygons_that_share_an_edge_share_no_pixel() -> None:
    left, right = (np.array([[0.0, a], [0.0, b], [6.0, b], [6.0, a]]) for a, b in ((0.0, 3.0), (3.0, 6.0)))
    first, second = (fill_polygons([each], (8, 8)).inside for each in (left, right))
    assert not (first & second).any()
    assert (first | second).sum() == 36


def test_holes_islands_and_channels() -> None:
    hole = np.array([[2.5, 2.5], [2.5, 6.5], [6.5, 6.5], [6.5, 2.5]])
    island = np.array([[3.5, 3.5], [3.5, 5.5], [5.5, 5.5], [5.5, 3.5]])
    assert fill_polygons([island, SQUARE, hole], (9, 9)).inside.sum() == 36 - 16 + 4
    channel = np.concatenate([SQUARE, SQUARE[:1], hole[:1], hole[::-1]])
    found = fill_polygons([channel, island], (9, 9))
    assert found.inside.sum() == 36 - 16 + 4
    assert (found.crossing, found.overlapping, found.empty) == ((), (), ())
    same_way = np.concatenate([SQUARE, SQUARE[:1], hole, hole[:1]])
    found = fill_polygons([same_way], (9, 9))
    assert (found.inside.sum(), found.crossing) == (36 - 16, (0,))


def test_what_is_odd_is_told() -> None:
    bow_tie = np.array([[0.5, 0.5], [6.5, 6.5], [6.5, 0.5], [0.5, 6.5]])
    aside = SQUARE + 2
    tiny = np.array([[1.1, 1.1], [1.1, 1.9], [1.9, 1.9]])
    outside = SQUARE + 50
    found = fill_polygons([bow_tie], (9, 9))
    assert found.crossing == (0,)
    assert found.inside.any()
    assert fill_polygons([tiny, SQUARE, aside, outside], (9, 9)).overlapping == (2,)
    assert fill_polygons([tiny, SQUARE, aside, outside], (9, 9)).empty == (0, 3)
    assert fill_polygons([np.zeros((0, 2))], (9, 9)).empty == (0,)


def test_many_edges_are_worked_on_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(7)
    polygon = generator.uniform(-5, 45, (200, 2))
    whole, block = winding_numbers(polygon, (40, 37))
    monkeypatch.setattr("osteon.ops.polygons._CROSSINGS", 30)
    again, same = winding_numbers(polygon, (40, 37))
    assert block == same
    assert np.array_equal(whole, again)


@pytest.mark.parametrize("seed", range(6))
def test_the_outline_of_pixels_fills_to_the_same_pixels(seed: int) -> None:
    generator = np.random.default_rng(seed)
    cells = generator.random((19, 23)) < generator.uniform(0.2, 0.8)
    rings = [ring for patch in patches(cells) for ring in (patch.outer, *patch.holes)]
    found = fill_polygons([np.array(ring) - 0.5 for ring in rings], cells.shape)
    assert np.array_equal(found.inside, cells)
    assert (found.crossing, found.overlapping, found.empty) == ((), (), ())
