"""Cells of a slide and what a tile of them shows."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from osteon.data.slide import Slide, SlideLevel, SlideSource, TilePlan
from osteon.errors import InputError
from osteon.ops.tile_plan import (
    plan_tiles,
    slide_size_um,
    slide_thumbnail,
    tile_corner_um,
    tile_view,
    tile_views,
    tile_window,
)


@dataclass
class ArraySlide:
    """A slide held as arrays, one a level."""

    arrays: list[NDArray[np.uint8]]
    microns_per_pixel: tuple[float, float] = (1.0, 1.0)
    source: SlideSource = field(default_factory=lambda: SlideSource(None, "test"))
    largest: int = 0

    @property
    def levels(self) -> tuple[SlideLevel, ...]:
        first = self.arrays[0].shape[0]
        return tuple(SlideLevel(one.shape[0], one.shape[1], first / one.shape[0]) for one in self.arrays)

    def read(self, level: int, row: int, column: int, rows: int, columns: int) -> NDArray[np.uint8]:
        source = self.arrays[level]
        self.largest = max(self.largest, rows * columns)
        out = np.full((rows, columns, 3), 255, np.uint8)
        top, left = max(row, 0), max(column, 0)
        bottom, right = min(row + rows, source.shape[0]), min(column + columns, source.shape[1])
        if bottom > top and right > left:
            out[top - row : bottom - row, left - column : right - column] = source[top:bottom, left:right]
        return out

    def close(self) -> None:
        pass


def pyramid(size: int = 2048, *, levels: int = 3, um: float = 1.0) -> ArraySlide:
    """Red is the row and green the column of a pixel in units of 8 level-0 pixels; blue is the level."""
    arrays = []
    for level in range(levels):
        place = (np.arange(size >> level) * 2**level + (2**level - 1) / 2) / 8
        one = np.zeros((len(place), len(place), 3), np.uint8)
        one[..., 0], one[..., 1], one[..., 2] = place[:, np.newaxis], place, level
        arrays.append(one)
    return ArraySlide(arrays, (um, um))


def everywhere(slide: Slide, **options: float) -> TilePlan:
    size = slide_size_um(slide)
    return plan_tiles(size, np.ones((4, 4), bool), (size[0] / 4, size[1] / 4), **options)  # type: ignore[arg-type]


def test_a_slide_of_the_tests_is_a_slide() -> None:
    assert isinstance(pyramid(), Slide)


def test_the_coarsest_level_that_is_fine_enough_is_read() -> None:
    slide = pyramid()
    # 1024 um at 224 pixels need 4.57 um a pixel: level 2 has 4
    assert tile_window(slide, everywhere(slide), (1, 1)).level == 2
    assert tile_window(slide, everywhere(slide, pixels=512), (1, 1)).level == 1
    assert tile_window(slide, everywhere(slide, pixels=600), (1, 1)).level == 0
    assert tile_window(slide, everywhere(slide, pixels=4000), (1, 1)).level == 0
    window = tile_window(slide, everywhere(slide), (1, 2))
    assert (window.row, window.column, window.rows, window.columns) == (64, 192, 256, 256)


@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("um", [1.0, 0.5])
def test_a_tile_shows_its_place_whatever_the_level(levels: int, um: float) -> None:
    slide = pyramid(levels=levels, um=um)
    plan = everywhere(slide, tile_um=512 * um, step_um=256 * um, pixels=64)
    for cell in ((0, 0), (3, 4), (7, 7)):
        top, left = (one / um for one in tile_corner_um(plan, cell, slide_size_um(slide)))
        view = tile_view(slide, plan, cell)
        assert view.shape == (64, 64, 3)
        assert view.dtype == np.uint8
        centre = (np.arange(64) + 0.5) * 512 / 64
        assert np.abs(view[:, 0, 0] - (top + centre - 0.5) / 8).max() <= 1
        assert np.abs(view[0, :, 1] - (left + centre - 0.5) / 8).max() <= 1


def test_tiles_are_centred_on_their_cells_and_stay_on_the_slide() -> None:
    plan = everywhere(pyramid())
    assert plan.shape == (4, 4)
    assert tile_corner_um(plan, (1, 2), (2048, 2048)) == (256, 768)
    assert tile_corner_um(plan, (0, 3), (2048, 2048)) == (0, 1024)
    assert tile_corner_um(plan, (0, 0), (800, 2048)) == (-112, 0)
    with pytest.raises(InputError, match="4 x 4"):
        tile_corner_um(plan, (4, 0), (2048, 2048))


def test_one_public_tile_is_seen_whole_by_each_of_its_cells() -> None:
    slide = ArraySlide([np.random.default_rng(1).integers(0, 255, (1024, 1024, 3), dtype=np.uint8)])
    plan = everywhere(slide)
    assert plan.shape == (2, 2)
    views = [tile_view(slide, plan, (row, column)) for row in range(2) for column in range(2)]
    assert all(np.array_equal(views[0], view) for view in views)
    assert np.abs(views[0].mean() - slide.arrays[0].mean()) < 1


def test_a_slide_coarser_than_the_network_is_interpolated() -> None:
    slide = ArraySlide([pyramid(128, levels=1).arrays[0]], (8.0, 8.0))
    assert tile_view(slide, everywhere(slide), (1, 1)).shape == (224, 224, 3)


@pytest.mark.parametrize("size", [(4096, 3072), (3900, 3333)])
@pytest.mark.parametrize("pixels", [224, 100])
def test_tiles_read_together_are_those_read_alone(size: tuple[int, int], pixels: int) -> None:
    rng = np.random.default_rng(4)
    coarse = rng.integers(0, 255, (size[0] // 12, size[1] // 12, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    slide = ArraySlide([picture, picture[::2, ::2].copy()])
    plan = everywhere(slide, pixels=pixels)
    cells = list(np.ndindex(*plan.shape))
    alone = np.stack([tile_view(slide, plan, cell) for cell in cells])
    together = tile_views(slide, plan, cells)
    assert together.shape == (len(cells), pixels, pixels, 3)
    difference = np.abs(alone.astype(int) - together).mean(axis=(1, 2, 3))
    assert difference.max() < 8  # half a pixel of the level, in a picture that changes within six of them
    assert np.array_equal(tile_views(slide, plan, [cells[-1]])[0], alone[-1])
    with pytest.raises(InputError, match="no cell"):
        tile_views(slide, plan, [])


def test_pixels_that_are_not_square_give_square_tiles() -> None:
    slide = ArraySlide([np.zeros((1024, 2048, 3), np.uint8)], (1.0, 0.5))
    window = tile_window(slide, everywhere(slide, pixels=128), (0, 0))
    assert (window.rows, window.columns) == (1024, 2048)


@given(
    rows=st.integers(3, 40),
    columns=st.integers(3, 40),
    um=st.floats(7, 16),
    step=st.floats(20, 90),
    seed=st.integers(0, 99),
)
def test_shares_of_cells_are_areas(rows: int, columns: int, um: float, step: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random((rows, columns)) < 0.4
    plan = plan_tiles((rows * um, columns * um), mask, um, tile_um=100, step_um=step)
    # every pixel counts once, wherever cells cut it
    assert plan.tissue_share.sum() * step**2 == pytest.approx(mask.sum() * um**2, rel=1e-4, abs=1e-3 * step**2)
    fine = np.kron(mask, np.ones((12, 12), bool))
    for cell in np.ndindex(*plan.shape):
        rows_of, columns_of = (
            (np.arange(size * 12) + 0.5) * um / 12 // step == index
            for size, index in zip(mask.shape, cell, strict=True)
        )
        slow = fine[np.ix_(rows_of, columns_of)].sum() * (um / 12) ** 2 / step**2
        assert plan.tissue_share[cell] == pytest.approx(slow, abs=0.12)


def test_cells_with_enough_tissue_are_read() -> None:
    mask = np.zeros((40, 40), bool)
    mask[:20, :10] = True
    plan = plan_tiles((400, 400), mask, 10, tile_um=200, step_um=200, least_tissue=0.5)
    assert plan.tissue_share.tolist() == [[0.5, 0], [0, 0]]
    assert plan.is_tissue.tolist() == [[True, False], [False, False]]
    assert plan_tiles((400, 400), mask, 10, tile_um=200, step_um=200, least_tissue=0).is_tissue.all()
    # the mask of a slide may be a pixel longer than it; what is beyond the slide is not tissue
    over = plan_tiles((395, 400), np.ones((40, 40), bool), 10, tile_um=200, step_um=200)
    assert over.tissue_share[1].tolist() == pytest.approx([0.975, 0.975])


def test_a_thumbnail_is_the_slide_averaged_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("osteon.ops.tile_plan._BLOCK_PIXELS", 256)
    slide = ArraySlide([np.random.default_rng(2).integers(0, 255, (905, 1210, 3), dtype=np.uint8)])
    small, um = slide_thumbnail(slide, um_per_pixel=10)
    assert um == pytest.approx((10, 10))
    assert small.shape == (91, 121, 3)
    padded = np.full((910, 1210, 3), 255.0)
    padded[:905] = slide.arrays[0]
    slow = padded.reshape(91, 10, 121, 10, 3).mean(axis=(1, 3))
    assert np.abs(small - slow).max() <= 0.51
    assert slide.largest <= 260**2


def test_a_thumbnail_takes_the_level_that_suits() -> None:
    small, um = slide_thumbnail(pyramid(), um_per_pixel=10)
    assert um == pytest.approx((8, 8))
    assert small[0, 0, 2] == 2
    assert small.shape == (256, 256, 3)
    coarse, um = slide_thumbnail(ArraySlide([np.zeros((20, 20, 3), np.uint8)], (30.0, 30.0)))
    assert um == pytest.approx((30, 30))
    assert coarse.shape == (20, 20, 3)


def test_what_makes_no_grid_is_refused() -> None:
    mask = np.ones((4, 4), bool)
    with pytest.raises(InputError, match="step"):
        plan_tiles((400, 400), mask, 100, tile_um=100, step_um=200)
    with pytest.raises(InputError, match="size"):
        plan_tiles((0, 400), mask, 100)
    with pytest.raises(InputError, match="per pixel"):
        plan_tiles((400, 400), mask, float("nan"))
    with pytest.raises(InputError, match="share"):
        plan_tiles((400, 400), mask, 100, least_tissue=2)
    with pytest.raises(InputError, match="per pixel"):
        slide_thumbnail(pyramid(), um_per_pixel=0)
