"""Flags of tiles: what is flagged on purpose, and how few real tiles are."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from osteon.errors import InputError
from osteon.ops.tissue import (
    FLAGS,
    fold_share,
    green_density,
    optical_density,
    pen_share,
    sharpness,
    tile_flags,
    white_level,
)

SIZE = 224


def tissue(seed: int, *, density: float = 0.5) -> NDArray[np.uint8]:
    """Nuclei of 10 um on a fibrous ground, made at 1 um a pixel."""
    rng = np.random.default_rng(seed)
    ground = cv2.GaussianBlur(rng.standard_normal((1024, 1024)).astype(np.float32), (0, 0), 3) * 10
    nuclei = np.zeros((1024, 1024), np.float32)
    for row, column in rng.integers(0, 1024, (1500, 2)):
        cv2.circle(nuclei, (int(column), int(row)), 5, 1.2, -1, cv2.LINE_AA)
    eosin = np.maximum(density * (1 + 0.3 * ground), 0.1)
    return shown(nuclei[..., np.newaxis] * (0.65, 0.7, 0.3) + eosin[..., np.newaxis] * (0.15, 0.9, 0.4))


def shown(density: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(245 * np.exp(-density), 0, 255).astype(np.uint8))


def seen(full: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(full, (SIZE, SIZE), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def blurred(full: NDArray[np.uint8], sigma_um: float) -> NDArray[np.uint8]:
    return np.asarray(cv2.GaussianBlur(full, (0, 0), sigma_um), dtype=np.uint8)


def folded(tile: NDArray[np.uint8], *, layers: int = 3) -> NDArray[np.uint8]:
    """A band of 130 um in which the tissue is several times."""
    density = -np.log(np.maximum(tile, 1) / 245.0)
    row, column = np.mgrid[: tile.shape[0], : tile.shape[1]]
    density[np.abs(row - 112 + 0.3 * (column - 112)) < 14] *= layers
    return shown(density)


def marked(tile: NDArray[np.uint8], ink: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A stroke of 90 um that lets some tissue through."""
    stroke = np.full_like(tile, 255)
    cv2.line(stroke, (20, 0), (150, 223), ink, 20, cv2.LINE_AA)
    return np.asarray((tile.astype(np.uint16) * stroke // 255).astype(np.uint8))


def sharp(tile: NDArray[np.uint8]) -> float | None:
    return sharpness(green_density(tile, white=white_level(tile)))


@pytest.mark.parametrize("seed", range(3))
def test_tissue_that_is_sharp_has_no_flag_and_each_fault_has_its_own(seed: int) -> None:
    full = tissue(seed)
    assert tile_flags(seen(full)) == ()
    assert tile_flags(seen(blurred(full, 5))) == ("blur",)
    assert tile_flags(folded(seen(tissue(seed, density=0.9)))) == ("fold",)
    for ink in ((30, 90, 190), (20, 130, 70), (20, 20, 24)):
        assert tile_flags(marked(seen(full), ink)) == ("pen",), ink


def test_sharpness_falls_with_blur_and_not_with_a_pale_stain() -> None:
    full = tissue(1)
    values = [sharp(seen(blurred(full, sigma))) for sigma in (0.5, 2, 4, 6, 8)]
    assert values == sorted(values, key=lambda value: -(value or 0))
    pale = shown(-np.log(np.maximum(full, 1) / 245.0) * 0.6)
    first, second = (sharp(seen(one)) for one in (full, pale))
    assert first is not None
    assert second == pytest.approx(first, rel=0.25)
    # half of the tile white: the edge between is not a blur
    half = seen(full)
    half[:, 112:] = 245
    assert sharp(half) == pytest.approx(first, rel=0.15)


def test_glass_flat_colour_and_dark_have_no_flag_but_blur() -> None:
    assert sharp(np.full((SIZE, SIZE, 3), 244, np.uint8)) is None
    assert tile_flags(np.full((3, SIZE, SIZE), 244, np.uint8).transpose(1, 2, 0)[::-1, :, ::-1]) == ()
    assert tile_flags(np.full((1, 1, 3), 90, np.uint8)) == ()
    for value in (255, 244):
        assert tile_flags(np.full((SIZE, SIZE, 3), value, np.uint8)) == ()
    assert tile_flags(np.full((SIZE, SIZE, 3), (220, 140, 180), np.uint8)) == ("blur",)
    with pytest.raises(InputError, match="rows, columns, 3"):
        tile_flags(np.zeros((SIZE, SIZE), np.uint8))


def test_the_size_of_a_pixel_is_taken_into_account() -> None:
    full = tissue(2)
    stroke = marked(seen(full), (30, 90, 190))
    wide = np.asarray(cv2.resize(stroke, (448, 448), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    assert pen_share(optical_density(wide), um_per_pixel=512 / 224) == pytest.approx(
        pen_share(optical_density(stroke)), rel=0.1
    )


@pytest.fixture(scope="session")
def real_tiles(shared_data: Path) -> list[NDArray[np.uint8]]:
    paths = sorted((shared_data / "osteosarcoma_he_tiles").glob("*.jpg"))
    return [np.ascontiguousarray(Image.open(path)) for path in paths]


@pytest.mark.shared_data
def test_no_real_tile_is_flagged_and_faults_are_found(real_tiles: list[NDArray[np.uint8]]) -> None:
    assert len(real_tiles) == 45
    counts = dict.fromkeys(FLAGS, 0)
    for full in real_tiles:
        for name in tile_flags(seen(full)):
            counts[name] += 1
    assert counts == {"blur": 0, "pen": 0, "fold": 0}
    assert sum("blur" in tile_flags(seen(blurred(full, 5))) for full in real_tiles) >= 43
    inked = [marked(seen(full), (30, 90, 190)) for full in real_tiles]
    assert sum("pen" in tile_flags(one) for one in inked) >= 43
    dense = [one for one in map(seen, real_tiles) if np.log(245 / np.maximum(one, 1)).mean() > 0.4]
    assert len(dense) >= 10
    assert sum(fold_share(optical_density(folded(one))) > 0.03 for one in dense) >= 0.9 * len(dense)
