"""Reformats: square pixels, head up, the patient's front or right side at the left edge."""

from __future__ import annotations

import numpy as np
import pytest

from osteon.data import Volume
from osteon.geometry import Box, Grid
from osteon.ops.legs import Leg
from osteon.systems.ct_osteosarcoma.dataset import BuildOptions, TumourBoxes, leg_pictures, plane_axes, reformat


def test_a_square_in_millimetres_is_a_square_in_the_picture() -> None:
    """12 slices 5 mm apart, 20 places of 3 mm: 60 mm each way; a block of 20 x 21 mm in it."""
    plane = np.full((12, 20), -1000, dtype=np.int16)
    plane[4:8, 6:13] = 1000
    picture = reformat(plane, np.ones(plane.shape, dtype=bool), spacing_mm=(5.0, 3.0), size=120)
    assert picture.dtype == np.float32
    assert (picture.min(), picture.max()) == (0.0, 1.0)
    tall = np.count_nonzero(picture[:, 60] > 0.5) / 2
    wide = np.count_nonzero(picture[60] > 0.5) / 2
    assert float(tall) == pytest.approx(20, abs=1)
    assert float(wide) == pytest.approx(21, abs=1)
    rows, columns = np.nonzero(picture > 0.5)
    assert float(rows.mean()) / 2 == pytest.approx(30, abs=0.6)
    assert float(columns.mean()) / 2 == pytest.approx(28.5, abs=0.6)


def test_the_short_side_lies_in_the_middle_and_the_rest_is_dark() -> None:
    plane = np.array([[1, 2]] * 8, dtype=np.int16)
    picture = reformat(plane, np.ones((8, 2), dtype=bool), spacing_mm=(1.0, 1.0), size=16)
    assert np.array_equal(np.flatnonzero(picture.any(axis=0)), [8, 9])
    assert np.array_equal(picture[:, 8:10], np.ones((16, 2)))


def test_between_slices_values_run_in_a_line_against_a_slow_reference() -> None:
    generator = np.random.default_rng(3)
    plane = generator.integers(-1000, 2000, (7, 11)).astype(np.int16)
    keep = generator.random((7, 11)) < 0.8
    spacing, size = (4.0, 1.5), 24
    picture = reformat(plane, keep, spacing_mm=spacing, size=size)
    values = np.where(keep, plane, plane.min()).astype(float)
    side = 28.0
    wanted = np.full((size, size), np.nan)
    for i in range(size):
        for j in range(size):
            z = ((i + 0.5) * side / size - (side - 7 * 4.0) / 2) / 4.0 - 0.5
            x = ((j + 0.5) * side / size - (side - 11 * 1.5) / 2) / 1.5 - 0.5
            if -0.5 <= z <= 6.5 and -0.5 <= x <= 10.5:
                z, x = min(max(z, 0), 6), min(max(x, 0), 10)
                k, c = int(z), min(int(x + 0.5), 10)
                wanted[i, j] = values[k, c] + (z - k) * (values[min(k + 1, 6), c] - values[k, c])
    low, high = np.nanmin(wanted), np.nanmax(wanted)
    assert np.allclose(picture, np.nan_to_num((wanted - low) / (high - low)), atol=1e-5)


def test_one_value_is_black_and_flips_flip() -> None:
    flat = np.full((4, 4), 7, dtype=np.int16)
    keep = np.ones((4, 4), dtype=bool)
    assert not reformat(flat, keep, spacing_mm=(1.0, 1.0), size=16).any()
    ramp = np.arange(16, dtype=np.int16).reshape(4, 4)
    plain = reformat(ramp, keep, spacing_mm=(1.0, 1.0), size=16)
    assert np.array_equal(reformat(ramp, keep, spacing_mm=(1.0, 1.0), size=16, flip=(True, True)), plain[::-1, ::-1])


@pytest.mark.parametrize("slice_sign", [1, -1])
@pytest.mark.parametrize("row_sign", [1, -1])
@pytest.mark.parametrize("column_sign", [1, -1])
@pytest.mark.parametrize("lies_on_the_side", [False, True])
def test_however_the_series_lies_the_head_is_up(
    slice_sign: int, row_sign: int, column_sign: int, lies_on_the_side: bool
) -> None:
    """The brightest voxel marks head, front and right of the patient: the upper left corner of every reformat."""
    in_plane = [(row_sign, 0, 0), (0, column_sign, 0)] if lies_on_the_side else [(0, row_sign, 0), (column_sign, 0, 0)]
    grid = Grid.from_axes(shape=(8, 8, 8), spacing_mm=(1.0, 1.0, 1.0), directions=[(0, 0, slice_sign), *in_plane])
    points = grid.to_lps_mm(np.argwhere(np.ones(grid.shape)))
    array = (points @ [-1.0, -1.0, 1.0]).reshape(grid.shape).astype(np.float32)
    leg = Leg(
        side="left",
        box=Box(start=(0, 0, 0), stop=(8, 8, 8)),
        present=np.ones(8, dtype=bool),
        centre_line_vox=np.zeros((8, 2)),
        area_mm2=np.ones(8),
        territory=np.ones((8, 1, 1), dtype=bool),
        block=8,
        block_origin=(0, 0),
    )
    volume = Volume(array=array, grid=grid, modality="CT")
    axes = plane_axes(grid)
    assert axes == {
        "axial": 0,
        **({"sagittal": 1, "coronal": 2} if lies_on_the_side else {"sagittal": 2, "coronal": 1}),
    }
    options = BuildOptions(planes=("sagittal", "coronal"), size=16)
    made = list(leg_pictures(volume, leg, TumourBoxes(), options=options))
    assert len(made) == 16
    for picture in made:
        assert picture.pixels[0, 0] == 1.0
        assert picture.pixels[-1, -1] == 0.0
