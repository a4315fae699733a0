"""A turned array and its grid: every voxel stays where it was."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from osteon.errors import GeometryMismatchError
from osteon.geometry import Box, Grid, Turn, axial_turn, turn_onto

GRID = Grid.from_axes(shape=(3, 4, 5), spacing_mm=(3.0, 1.0, 0.5), origin_lps_mm=(7.0, -2.0, 11.0))
TURNS = [Turn(order, flips) for order in permutations(range(3)) for flips in product((False, True), repeat=3)]  # type: ignore[arg-type]


@pytest.mark.parametrize("turn", TURNS)
def test_every_turn_keeps_places_and_is_undone_exactly(turn: Turn) -> None:
    places = np.moveaxis(GRID.to_lps_mm(np.moveaxis(np.indices(GRID.shape), 0, -1)), -1, 0)
    turned = turn.grid(GRID)
    seen = np.stack([turn.array(axis) for axis in places], axis=-1)
    assert seen.shape[:3] == turned.shape
    np.testing.assert_allclose(seen, turned.to_lps_mm(np.moveaxis(np.indices(turned.shape), 0, -1)), atol=1e-9)
    values = np.arange(60).reshape(GRID.shape)
    back = turn_onto(turned, GRID, what="both")
    assert np.array_equal(back.array(turn.array(values)), values)
    # the untouched grid is axial as it stands
    assert np.array_equal(axial_turn(turned).array(turn.array(values)), values)


def test_an_oblique_grid_is_turned_to_its_nearest_axes() -> None:
    angle = np.radians(20)
    tilted = [(0, -np.sin(angle), np.cos(angle)), (0, np.cos(angle), np.sin(angle)), (1, 0, 0)]
    grid = Grid.from_axes(shape=(3, 4, 5), spacing_mm=(3.0, 1.0, 1.0), directions=tilted)
    assert axial_turn(grid) == Turn((0, 1, 2), (False, False, False))


@pytest.mark.parametrize(
    "other",
    [
        Grid.from_axes(shape=(3, 4, 6), spacing_mm=(3.0, 1.0, 0.5), origin_lps_mm=(7.0, -2.0, 11.0)),
        Grid.from_axes(shape=(3, 4, 5), spacing_mm=(3.0, 1.0, 0.6), origin_lps_mm=(7.0, -2.0, 11.0)),
        Grid.from_axes(shape=(3, 4, 5), spacing_mm=(3.0, 1.0, 0.5), origin_lps_mm=(7.5, -2.0, 11.0)),
    ],
)
def test_another_grid_is_refused(other: Grid) -> None:
    with pytest.raises(GeometryMismatchError, match="the mask and its image must be on one grid"):
        turn_onto(other, GRID, what="the mask and its image")


def test_the_thickness_of_a_single_slice_does_not_matter() -> None:
    one = Grid.from_axes(shape=(1, 4, 5), spacing_mm=(4.5, 1, 1), directions=[(0, 0, 1), (0, 1, 0), (1, 0, 0)])
    thin = Grid.from_axes(shape=(1, 4, 5), spacing_mm=(4.0, 1, 1), directions=[(0, 0, 1), (0, 1, 0), (1, 0, 0)])
    assert turn_onto(thin, one, what="both") == Turn(order=(0, 1, 2), flipped=(False, False, False))
    tilted = Grid.from_axes(shape=(1, 4, 5), spacing_mm=(4.0, 2, 1), directions=[(0, 0, 1), (0, 1, 0), (1, 0, 0)])
    with pytest.raises(GeometryMismatchError):
        turn_onto(tilted, one, what="both")


@pytest.mark.parametrize("turn", TURNS)
def test_a_box_of_a_turned_array_holds_the_same_voxels(turn: Turn) -> None:
    values = np.arange(60).reshape(GRID.shape)
    box = Box((0, 1, 1), (2, 3, 3))
    before = turn.box_before(box, GRID.shape)
    assert np.array_equal(turn.array(values[before.slices]), turn.array(values)[box.slices])
