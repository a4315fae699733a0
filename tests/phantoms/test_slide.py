"""Synthetic slides: pixels that follow from place alone, classes that are exactly known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from osteon.data.slide import TILE_CLASSES, Slide
from osteon.errors import InputError
from osteon_phantoms.slides.finish import Artefacts, make_artefacts
from osteon_phantoms.slides.noise import PERIOD, chance, make_tile, mixed, noise
from osteon_phantoms.slides.sampling import random_habit, random_stain
from osteon_phantoms.slides.slide import PIXEL_CLASSES, PhantomSlide, make_slide
from osteon_phantoms.slides.spec import SlideHabit, SlideSpec, StainSpec


@pytest.fixture(scope="module")
def slide() -> PhantomSlide:
    return make_slide(SlideSpec(seed=4, size=(6000, 5000), necrosis_fraction=0.7, region_um=500, folds=1, blurs=1))


@pytest.fixture(scope="module")
def pixels(slide: PhantomSlide) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return slide.read(1, 1000, 900, 500, 420)


def test_it_is_a_slide_with_halving_levels(slide: PhantomSlide) -> None:
    assert isinstance(slide, Slide)
    assert slide.source.is_synthetic
    assert slide.microns_per_pixel == (0.5, 0.5)
    assert [(level.rows, level.columns, level.downsample) for level in slide.levels] == [
        (6000, 5000, 1), (3000, 2500, 2), (1500, 1250, 4), (750, 625, 8),
    ]  # fmt: skip


def test_pixels_do_not_depend_on_the_rectangle(slide: PhantomSlide, pixels: np.ndarray[Any, Any]) -> None:
    for row, column, rows, columns in ((1000, 900, 1, 1), (1100, 950, 37, 61), (1499, 1319, 1, 1), (1250, 900, 250, 9)):
        part = slide.read(1, row, column, rows, columns)
        inside = pixels[row - 1000 : row - 1000 + rows, column - 900 : column - 900 + columns]
        np.testing.assert_array_equal(part, inside)


def test_pixels_do_not_depend_on_how_drawing_is_cut(slide: PhantomSlide, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = slide.read(3, -5, 20, 260, 230)
    monkeypatch.setattr("osteon_phantoms.slides.slide._BLOCK", 64)
    np.testing.assert_array_equal(slide.read(3, -5, 20, 260, 230), whole)


def test_another_object_of_the_same_spec_is_the_same_slide(slide: PhantomSlide, pixels: np.ndarray[Any, Any]) -> None:
    again = make_slide(slide.spec)
    np.testing.assert_array_equal(again.read(1, 1000, 900, 50, 420), pixels[:50])
    other = make_slide(replace(slide.spec, seed=5))
    assert (other.read(1, 1000, 900, 50, 420) != pixels[:50]).mean() > 0.5


def test_it_is_white_where_it_leaves_the_slide(slide: PhantomSlide) -> None:
    corner = slide.read(3, 740, 615, 20, 20)
    assert (corner[10:] == 255).all()
    assert (corner[:, 10:] == 255).all()
    assert (corner[:10, :10] < 255).any()
    assert (slide.read(0, -50, 10, 50, 5) == 255).all()


def test_levels_agree_with_the_mean_of_level_0(slide: PhantomSlide) -> None:
    differences = []
    for row, column in ((1200, 1500), (2000, 2600), (3000, 1000), (3600, 3000)):
        fine = slide.read(0, row, column, 512, 512).astype(float).mean(axis=(0, 1))
        for level in (1, 3):
            down = 2**level
            coarse = slide.read(level, row // down, column // down, 512 // down, 512 // down)
            differences.append(coarse.astype(float).mean(axis=(0, 1)) - fine)
    assert np.abs(differences).max() < 12
    assert np.abs(np.mean(differences, axis=0)).max() < 4


def test_areas_are_those_of_the_map_and_near_what_was_asked_for(slide: PhantomSlide) -> None:
    true = slide.true_necrosis()
    assert true.fraction == pytest.approx(0.7, abs=2e-3)
    total = sum(true.area_mm2.values())
    assert total == pytest.approx(6000 * 5000 * 0.25e-6)
    assert 1 - true.area_mm2["background"] / total == pytest.approx(0.7, abs=2e-3)
    tumour = true.area_mm2["non_viable"] + true.area_mm2["viable"]
    assert tumour / (total - true.area_mm2["background"]) == pytest.approx(0.6, abs=2e-3)
    counted = np.bincount(slide.true_map(step_um=5).ravel(), minlength=4) / 300_000
    areas = [true.area_mm2[name] / total for name in PIXEL_CLASSES]
    np.testing.assert_allclose(counted, areas, atol=3e-3)


def test_a_class_at_a_place_is_that_of_the_map(slide: PhantomSlide) -> None:
    rows, columns = np.mgrid[4:6000:400, 4:5000:400]
    found = slide.class_at(rows, columns)
    at_pixels = slide.true_map(step_um=0.5 * 8)  # middles of cells of 8 pixels: 4 pixels, less half of one
    assert (found == at_pixels[(rows - 4) // 8, (columns - 4) // 8]).mean() > 0.98
    assert slide.class_at(-1, 10) == slide.class_at(10, 5000) == 0
    assert set(np.unique(found)) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("shares", "missing"),
    [((0.0, 0.5, 0.5), {1, 2, 3}), ((1, 0, 0.5), {0, 2, 3}), ((1, 1, 0), {0, 1, 2}), ((1, 1, 1), {0, 1, 3})],
)
def test_a_share_of_nothing_or_all_is_exact(shares: tuple[float, float, float], missing: set[int]) -> None:
    spec = SlideSpec(
        size=(400, 300), microns_per_pixel=4, tissue_share=shares[0], tumour_share=shares[1],
        necrosis_fraction=shares[2],
    )  # fmt: skip
    one = make_slide(spec)
    assert set(np.unique(one.true_map(step_um=8))) == {0, 1, 2, 3} - missing
    assert one.read(0, 0, 0, 40, 40).shape == (40, 40, 3)
    if shares[0] == 0:
        assert one.true_necrosis().fraction is None


def _tile(seed: int, shares: tuple[float, float], **habit: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    spec = SlideSpec(
        seed=seed, size=(224, 224), microns_per_pixel=4.571, tissue_share=1, tumour_share=shares[0],
        necrosis_fraction=shares[1], habit=SlideHabit(**habit),
    )  # fmt: skip
    return make_slide(spec).read(0, 0, 0, 224, 224).astype(float)


def test_viable_tumour_is_darker_than_dead_tumour_of_the_same_stain() -> None:
    """A nucleus takes up red light; ghosts hardly do."""
    dark = {
        share: [float((_tile(seed, (1, share))[..., 0] < 130).mean()) for seed in range(3, 9)] for share in (0.0, 1.0)
    }
    assert np.median(dark[0.0]) > 3 * np.median(dark[1.0])


def test_the_habit_changes_the_tumour() -> None:
    crowded, sparse = (
        np.mean([_tile(seed, (1, 0), cellularity=cells)[..., 0].mean() for seed in (3, 4, 5)]) for cells in (1.6, 0.5)
    )
    assert crowded < sparse - 8


def test_stains_differ_and_do_not_move_the_truth() -> None:
    generator = np.random.default_rng(2)
    spec = SlideSpec(seed=7, size=(300, 300), microns_per_pixel=4)
    first, second = (
        make_slide(replace(spec, stain=random_stain(generator), habit=random_habit(generator))) for _ in range(2)
    )
    np.testing.assert_array_equal(first.true_map(step_um=12), second.true_map(step_um=12))
    means = [one.read(0, 0, 0, 300, 300).mean(axis=(0, 1)) for one in (first, second)]
    assert np.abs(means[0] - means[1]).max() > 5


def test_glass_has_the_level_and_noise_asked_for() -> None:
    stain = StainSpec(glass=(230, 235, 240), noise=3)
    empty = make_slide(SlideSpec(size=(256, 256), tissue_share=0, stain=stain)).read(0, 0, 0, 256, 256).astype(float)
    np.testing.assert_allclose(empty.mean(axis=(0, 1)), (230, 235, 240), atol=0.3)
    np.testing.assert_allclose(empty.std(axis=(0, 1)), 3, rtol=0.15)


def _touched(artefacts: Artefacts, y: float, x: float) -> bool:
    """Whether ink or a fold may be at a place: one by one, slowly."""
    for row0, column0, row1, column1, bend, half, *_ in [*artefacts.pens, *artefacts.folds]:
        dy, dx = row1 - row0, column1 - column0
        length = np.hypot(dy, dx)
        along = ((y - row0) * dy + (x - column0) * dx) / length**2
        across = ((y - row0) * dx - (x - column0) * dy) / length - bend * 4 * along * (1 - along)
        beyond = max(0.0, -along, along - 1) * length
        if np.hypot(across, beyond) < half + 15:
            return True
    return False


def test_ink_folds_and_blur_are_seen_where_they_are_and_nowhere_else() -> None:
    plain = SlideSpec(seed=9, size=(500, 500), microns_per_pixel=4, stain=StainSpec(noise=0))
    before = make_slide(plain).read(0, 0, 0, 500, 500).astype(float)
    for spec in (replace(plain, pens=1), replace(plain, folds=1)):
        after = make_slide(spec).read(0, 0, 0, 500, 500).astype(float)
        artefacts = make_artefacts(spec)
        at = np.array([[_touched(artefacts, (i + 0.5) * 4, (j + 0.5) * 4) for j in range(500)] for i in range(500)])
        changed = np.abs(after - before).max(axis=-1) > 0
        assert 0.002 < at.mean() < 0.4
        assert (changed & ~at).mean() < 0.02
        assert (after <= before + 1).all()
        np.testing.assert_array_equal(make_slide(spec).true_map(step_um=20), make_slide(plain).true_map(step_um=20))
    blurred = make_slide(replace(plain, blurs=1))
    after = blurred.read(0, 0, 0, 500, 500).astype(float)
    row, column, radius, _ = blurred._ground.blurs[0] / 4
    near = np.hypot(*(np.mgrid[:500, :500] + 0.5 - np.array([row, column])[:, None, None])) < radius
    assert (np.abs(after - before)[~near] > 0).mean() < 1e-3  # cells that reach over its rim

    def sharpness(picture: np.ndarray[Any, Any]) -> float:
        return float(np.abs(np.diff(picture[..., 1], axis=1))[near[:, 1:]].mean())

    assert sharpness(after) < 0.7 * sharpness(before)


def test_noise_is_seamless_and_chance_even() -> None:
    tile = make_tile(3)
    assert abs(float(tile.mean())) < 1e-5
    assert float(tile.std()) == pytest.approx(1, abs=1e-4)
    wrap = PERIOD / 4
    assert noise(tile, 0.3, 5.1) == pytest.approx(noise(tile, 0.3 + wrap, 5.1 - wrap), abs=1e-5)
    drawn = np.array([chance(mixed(5, i, j), 1) for i in range(-40, 40) for j in range(60)])
    assert 0 <= drawn.min() < drawn.max() < 1
    counts = np.histogram(drawn, bins=8, range=(0, 1))[0]
    assert np.abs(counts - drawn.size / 8).max() < 4.5 * np.sqrt(drawn.size / 8)
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.05


def test_what_cannot_be_drawn_is_refused(slide: PhantomSlide) -> None:
    with pytest.raises(InputError, match="size must be from 64 to 400000, found 10"):
        SlideSpec(size=(10, 8192))
    with pytest.raises(InputError, match="necrosis_fraction must be from 0 to 1, found 70"):
        SlideSpec(necrosis_fraction=70)
    with pytest.raises(InputError, match=r"0\.1 to 8, found 0"):
        SlideSpec(microns_per_pixel=0)
    with pytest.raises(InputError, match="region_um must be from 100 to 20000"):
        SlideSpec(region_um=5)
    with pytest.raises(InputError, match="pens must be from 0 to 20"):
        SlideSpec(pens=-1)
    with pytest.raises(InputError, match="eosin must be from"):
        StainSpec(eosin=0)
    with pytest.raises(InputError, match="noise must be from 0"):
        StainSpec(noise=-1)
    with pytest.raises(InputError, match="mineral must be from 0 to"):
        SlideHabit(mineral=9)
    with pytest.raises(InputError, match="levels 0 to 3"):
        slide.read(4, 0, 0, 10, 10)
    with pytest.raises(InputError, match="at least one pixel"):
        slide.read(0, 0, 0, 0, 10)
    with pytest.raises(InputError, match="wider than 0 um"):
        slide.true_map(step_um=0)
    assert PIXEL_CLASSES[1:] == TILE_CLASSES
