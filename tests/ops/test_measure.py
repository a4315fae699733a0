from __future__ import annotations

import numpy as np
import pytest

from osteon.errors import GeometryMismatchError
from osteon.geometry import Grid
from osteon.ops.measure import measure_mask


def test_measures_by_hand() -> None:
    grid = Grid.from_axes(shape=(3, 4, 5), spacing_mm=(2.0, 1.0, 0.5))
    image = np.zeros(grid.shape, dtype=np.int16)
    mask = np.zeros(grid.shape, dtype=bool)
    mask[0, 1, 1] = mask[2, 1, 3] = True
    image[2, 1, 3] = 100
    found = measure_mask(mask, array=image, grid=grid)
    assert (found.volume_mm3, found.mean_hu, found.sd_hu) == (2.0, 50.0, 50.0)
    assert found.extent_mm == (6.0, 1.0, 1.5)


def test_large_sums_do_not_overflow() -> None:
    grid = Grid.from_axes(shape=(2, 100, 100), spacing_mm=(1, 1, 1))
    image = np.full(grid.shape, 30000, dtype=np.int16)
    found = measure_mask(np.ones(grid.shape, dtype=bool), array=image, grid=grid)
    assert (found.mean_hu, found.sd_hu) == (30000.0, 0.0)


def test_an_empty_mask_has_no_mean() -> None:
    grid = Grid.from_axes(shape=(2, 3, 4), spacing_mm=(1, 1, 1))
    found = measure_mask(np.zeros(grid.shape, dtype=bool), array=np.zeros(grid.shape), grid=grid)
    assert np.isnan(found.mean_hu)
    assert found.extent_mm == (0.0, 0.0, 0.0)


def test_shapes_must_agree() -> None:
    grid = Grid.from_axes(shape=(2, 3, 4), spacing_mm=(1, 1, 1))
    with pytest.raises(GeometryMismatchError, match="one shape"):
        measure_mask(np.zeros((2, 3, 5), dtype=bool), array=np.zeros(grid.shape), grid=grid)
