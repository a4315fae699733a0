"""Tissue on thumbnails: empty, full, fat, dust, pens, and the public slides."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from osteon.errors import InputError
from osteon.ops.tissue import green_density, optical_density, pen_mask, tissue_mask, white_level

EOSIN = (226, 150, 190)
GLASS = (243, 243, 244)
RNG = np.random.default_rng(5)


def glass(rows: int = 300, columns: int = 400) -> NDArray[np.uint8]:
    picture = np.full((rows, columns, 3), GLASS, dtype=np.int16)
    picture += RNG.integers(-3, 4, picture.shape, dtype=np.int16)
    return picture.astype(np.uint8)


def disk(picture: NDArray[np.uint8], centre: tuple[int, int], radius: int, colour: tuple[int, int, int]) -> None:
    cv2.circle(picture, centre[::-1], radius, colour, -1)


def test_an_empty_slide_has_no_tissue() -> None:
    assert not tissue_mask(glass()).any()
    shaded = np.clip(glass().astype(float) * np.linspace(0.75, 1, 400)[:, np.newaxis], 0, 255).astype(np.uint8)
    assert not tissue_mask(shaded).any()
    assert not tissue_mask(np.zeros((50, 50, 3), np.uint8)).any()


def test_a_slide_full_of_tissue_is_all_tissue() -> None:
    for colour in (EOSIN, (110, 60, 140), (238, 205, 222)):
        full = np.clip(RNG.normal(colour, 3, (200, 200, 3)), 0, 255).astype(np.uint8)
        assert tissue_mask(full).mean() > 0.999
    half_and_half = np.full((100, 100, 3), (238, 205, 222), np.uint8)
    half_and_half[:, 50:] = (90, 40, 120)
    assert tissue_mask(half_and_half).all()


def test_the_area_of_a_disk_is_right() -> None:
    picture = glass()
    disk(picture, (150, 200), 80, EOSIN)
    assert tissue_mask(picture).sum() == pytest.approx(np.pi * 80**2, rel=0.03)


def test_fat_is_tissue_but_a_large_hole_is_not() -> None:
    picture = glass(500, 500)
    cv2.rectangle(picture, (20, 20), (480, 200), EOSIN, -1)
    for row in range(40, 180, 12):
        for column in range(40, 460, 12):
            disk(picture, (row, column), 5, GLASS)  # cells of 100 um with walls of 20 um
    assert tissue_mask(picture)[40:180, 40:460].all()
    cv2.rectangle(picture, (20, 220), (480, 480), EOSIN, -1)
    disk(picture, (350, 250), 90, GLASS)  # 2.5 mm2
    mask = tissue_mask(picture)
    assert not mask[350, 250]
    assert mask[230, 40]


def test_dust_is_left_out_by_its_area_in_mm2() -> None:
    picture = glass()
    disk(picture, (100, 100), 8, EOSIN)  # 0.02 mm2 at 10 um, 0.08 mm2 at 20 um
    assert not tissue_mask(picture, um_per_pixel=10).any()
    assert tissue_mask(picture, um_per_pixel=20).any()
    grey = glass()
    disk(grey, (100, 100), 60, (150, 150, 152))
    assert not tissue_mask(grey).any()


@pytest.mark.parametrize("ink", [(30, 80, 190), (20, 120, 70), (215, 25, 35), (20, 20, 24), (110, 160, 225)])
def test_ink_is_not_tissue_beside_it_or_on_it(ink: tuple[int, int, int]) -> None:
    picture = glass()
    disk(picture, (150, 120), 80, EOSIN)
    alone = tissue_mask(picture)
    cv2.line(picture, (40, 280), (380, 280), ink, 12)
    cv2.line(picture, (120, 60), (120, 240), ink, 8)
    mask = tissue_mask(picture)
    assert not mask[150, 118:123].any()
    assert not mask[274:287].any()
    assert mask[150, 60]
    assert not (mask & ~alone).any()


def test_stains_and_blood_are_no_ink() -> None:
    for colour in (EOSIN, (80, 40, 120), (120, 90, 160), (185, 60, 70), (200, 90, 80), (150, 140, 200)):
        picture = np.full((60, 60, 3), colour, np.uint8)
        assert not pen_mask(optical_density(picture), um_per_pixel=10).any(), colour


def test_white_is_what_the_glass_is() -> None:
    picture = np.full((40, 40, 3), (231, 236, 229), np.uint8)
    picture[:30] = EOSIN
    assert white_level(picture).tolist() == [231, 236, 229]
    assert white_level(np.full((9, 9, 3), EOSIN, np.uint8)).tolist() == [245, 245, 245]
    assert optical_density(picture)[35].max() == 0
    green = green_density(picture, white=white_level(picture))
    assert np.array_equal(green, optical_density(picture)[..., 1])


def test_what_is_not_a_picture_is_refused() -> None:
    with pytest.raises(InputError, match="5, 5, 4"):
        tissue_mask(np.zeros((5, 5, 4), np.uint8))
    with pytest.raises(InputError, match="uint16"):
        tissue_mask(np.zeros((5, 5, 3), np.uint16))
    with pytest.raises(InputError, match="microns"):
        tissue_mask(glass(), um_per_pixel=0)


@pytest.mark.shared_data
def test_the_public_tiles_are_tissue(shared_data: Path) -> None:
    shares = []
    for path in sorted((shared_data / "osteosarcoma_he_tiles").glob("*.jpg")):
        small = np.asarray(Image.open(path).resize((102, 102), Image.Resampling.BOX))
        shares.append(tissue_mask(small, um_per_pixel=1024 / 102).mean())
    assert len(shares) == 45
    # one holds some debris only; two thirds are full or nearly so, pale matrix included
    assert sum(share < 0.2 for share in shares) <= 1
    assert sum(share > 0.75 for share in shares) >= 30


@pytest.mark.parametrize("width", [2, 8, 40])
@pytest.mark.parametrize("level", [0, 25, 45])
def test_the_black_edge_of_a_scanner_is_not_tissue(width: int, level: int) -> None:
    noise = np.random.default_rng(0)
    slide = noise.normal(240, 3, (300, 300, 3))
    slide[:width] = noise.normal(level, 8, (width, 300, 3))
    slide[:, -width:] = noise.normal(level, 8, (300, width, 3))
    assert not tissue_mask(np.clip(slide, 0, 255).astype(np.uint8), um_per_pixel=10.0).any()
