from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from osteon.geometry import Box, Grid
from osteon.report.orientation import Display, axis_letters, direction_letters, slice_positions_mm

_ALL = [
    np.array(signs)[:, None] * np.eye(3)[list(order)]
    for order in permutations(range(3))
    for signs in product((1.0, -1.0), repeat=3)
]


def _tilted(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([(0, -s, c), (0, c, s), (1, 0, 0)])


@pytest.mark.parametrize("directions", [*_ALL, _tilted(0.4)])
def test_every_orientation_is_shown_as_a_radiologist_wants_it(directions: np.ndarray) -> None:
    """A mark near the head, the front and the patient's left ends up at the top, front and right, with its box."""
    grid = Grid.from_axes(shape=(5, 6, 7), spacing_mm=(3.0, 2.0, 1.0), directions=directions)
    display = Display.of(grid)
    centre = grid.to_lps_mm([2, 2.5, 3])
    away = (np.array(display.shape) / 2 - 1) * display.spacing_mm
    mark = centre - away[0] * display.directions[0] - away[1] * display.directions[1] + away[2] * display.directions[2]
    voxel = tuple(int(v) for v in np.round(grid.to_vox(mark)))
    array = np.zeros(grid.shape, dtype=np.int16)
    array[voxel] = 1
    place = np.argwhere(display.turn(array))[0]
    assert place[0] < display.shape[0] / 2
    assert place[1] < display.shape[1] / 2
    assert place[2] > display.shape[2] / 2 - 1
    box = display.box(Box(start=(voxel[0], voxel[1], voxel[2]), stop=(voxel[0] + 1, voxel[1] + 1, voxel[2] + 1)))
    assert box.start == tuple(place)
    assert display.index(voxel[0]) == place[display.slice_axis]
    plane = display.plane(array, voxel[0])
    np.testing.assert_array_equal(plane, np.take(display.turn(array), display.index(voxel[0]), axis=display.slice_axis))
    # head up, front towards front, right leg left, whatever the storage: the lean is at most the tilt
    assert display.directions[0, 2] < -0.9
    assert display.directions[1, 1] > 0.9
    assert display.directions[2, 0] > 0.9


def test_letters_name_the_edges() -> None:
    display = Display.of(Grid.from_axes(shape=(3, 4, 5), spacing_mm=(1, 1, 1)))
    assert display.edge_letters(0) == ("R", "L", "A", "P")
    assert display.edge_letters(1) == ("R", "L", "H", "F")
    assert display.edge_letters(2) == ("A", "P", "H", "F")
    assert direction_letters((0.6, -0.8, 0.0)) == "AL"
    tilted = Display.of(Grid.from_axes(shape=(3, 4, 5), spacing_mm=(1, 1, 1), directions=_tilted(0.5)))
    assert tilted.edge_letters(1) == ("R", "L", "HA", "FP")


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_positions_are_table_positions_whichever_way_slices_are_stored(sign: float) -> None:
    directions = np.diag([sign, 1.0, 1.0]) @ np.array([(0, 0, 1), (0, 1, 0), (1, 0, 0)])
    grid = Grid.from_axes(shape=(3, 4, 5), spacing_mm=(2, 1, 1), directions=directions, origin_lps_mm=(5, 6, -100))
    assert slice_positions_mm(grid).tolist() == [-100, -100 + 2 * sign, -100 + 4 * sign]
    assert axis_letters(grid) == ("F", "H")
