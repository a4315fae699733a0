from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from osteon.systems.histology.files import Corner, Patch, patches


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
