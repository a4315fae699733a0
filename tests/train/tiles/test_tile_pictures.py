"""Tiles are read in colour whatever file they come in, and copies are what the settings say."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from osteon.errors import InputError, UnsupportedError
from osteon.train.settings import TileAugmentation
from osteon.train.tile_features import draw_copies, read_tile, seen_tiles


def write(path: Path, picture: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), picture)
    return path


def gradient(side: int) -> np.ndarray:
    """Red rises to the right, green downwards; blue is 40."""
    ramp = np.linspace(0, 255, side)
    return np.stack(
        [np.tile(ramp, (side, 1)), np.tile(ramp[:, None], (1, side)), np.full((side, side), 40)], axis=2
    ).astype(np.uint8)


def test_red_is_red_and_area_is_kept(tmp_path: Path) -> None:
    rgb = gradient(128)
    tile = read_tile(write(tmp_path / "t.png", rgb[..., ::-1]), side=64)
    expected = rgb.reshape(64, 2, 64, 2, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(tile - expected).max() <= 0.5 + 1e-6
    np.testing.assert_array_equal(seen_tiles(tile[None])[0].shape, (32, 32, 3))


def test_grey_sixteen_bit_and_transparent_tiles_become_rgb(tmp_path: Path) -> None:
    grey = np.full((80, 80), 100, np.uint8)
    np.testing.assert_array_equal(read_tile(write(tmp_path / "g.png", grey), side=64), 100)
    deep = np.full((80, 80, 3), 100 * 257, np.uint16)
    np.testing.assert_array_equal(read_tile(write(tmp_path / "d.png", deep), side=64), 100)
    clear = np.zeros((80, 80, 4), np.uint8)
    np.testing.assert_array_equal(read_tile(write(tmp_path / "c.png", clear), side=64), 255)


def test_what_is_not_a_tile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="square tiles"):
        read_tile(write(tmp_path / "wide.png", np.zeros((80, 200, 3), np.uint8)), side=64)
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    with pytest.raises(InputError, match="truncated or damaged"):
        read_tile(tmp_path / "torn.jpg", side=64)
    with pytest.raises(InputError, match="cannot be read"):
        read_tile(tmp_path / "absent.png", side=64)
    assert cv2.imwrite(str(tmp_path / "f.tif"), np.zeros((80, 80), np.float32))
    with pytest.raises(UnsupportedError, match="8 or 16 bits"):
        read_tile(tmp_path / "f.tif", side=64)


def test_a_copy_depends_on_its_number_alone() -> None:
    tiles = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    drawn = TileAugmentation(rotation_degrees=30, flip=True, zoom=0.5, stain=0.3)
    together = draw_copies(tiles, [5, 6, 7], drawn, seed=1)
    alone = draw_copies(tiles[1:2], [6], drawn, seed=1)
    np.testing.assert_array_equal(together[1], alone[0])
    assert not np.array_equal(together[1], draw_copies(tiles[1:2], [6], drawn, seed=2)[0])


def test_flips_mirror_left_to_right_and_turn_nothing() -> None:
    tile = gradient(64)
    copies = draw_copies(np.repeat(tile[None], 40, axis=0), range(40), TileAugmentation(flip=True), seed=1)
    same, mirrored = seen_tiles(tile[None])[0], seen_tiles(tile[None, :, ::-1])[0]
    kinds = [np.abs(copy.astype(int) - same).max() <= 1 for copy in copies]
    assert all(kind or np.abs(copy.astype(int) - mirrored).max() <= 1 for kind, copy in zip(kinds, copies, strict=True))
    assert 10 < sum(kinds) < 30


def test_zoom_enlarges_about_the_middle_within_its_range() -> None:
    tile = np.zeros((1, 256, 256, 3), np.uint8)
    tile[:, 96:160, 96:160] = 255  # a quarter of the side
    copies = draw_copies(np.repeat(tile, 30, axis=0), range(30), TileAugmentation(zoom=0.5), seed=3)
    sides = np.sqrt((copies[..., 0] > 127).sum(axis=(1, 2))) / 128 / 0.25
    assert sides.min() > 0.47
    assert sides.max() < 1.53
    assert sides.max() / sides.min() > 1.8
    low, high = TileAugmentation(zoom=1.5).zoom_range
    assert (low, high) == (0.1, 2.5)
    centres = [np.argwhere(copy[..., 0] > 127).mean(axis=0) for copy in copies]
    np.testing.assert_allclose(centres, 63.5, atol=1.0)
