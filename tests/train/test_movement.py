"""Image and masks move together, as drawn from seed, epoch and row; what is no mask pixel comes in as 0."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from osteon.train.movement import FEMUR_MOVEMENTS, Movement, MovementRanges, draw_movement, moved, moved_plane
from osteon.train.segmentation.images import MaskedSet
from tests.train.segmentation.toy_slices import SIZE, toy_slices

STILL = Movement(degrees=0.0, is_mirrored=False, is_upside_down=False)


def blob(row: int, column: int, size: int = 48) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:size, :size]
    return np.asarray(np.hypot(rows - row, columns - column) < 5)


@pytest.mark.parametrize("seed", range(12))
def test_both_masks_go_where_the_image_goes(seed: int) -> None:
    lesion, bone = blob(15, 28), blob(30, 20)
    image = (0.5 * bone + 1.0 * lesion).astype(np.float32)
    movement = draw_movement(seed=seed, epoch=2, row=7)
    shown, masks = moved(image, np.stack([lesion, bone]).astype(np.uint8), movement)
    assert set(np.unique(masks)) == {0, 1}
    # inside a mask the image shows what was there, outside of both nothing; only the rim is mixed
    for mask, value in zip(masks.astype(bool), (1.0, 0.5), strict=True):
        inner = ndimage.binary_erosion(mask, np.ones((3, 3), dtype=bool))
        assert inner.sum() > 30
        assert np.allclose(shown[inner], value, atol=1e-5)
    assert not shown[~ndimage.binary_dilation(np.asarray(masks.any(axis=0)), np.ones((3, 3), dtype=bool))].any()


def test_flips_and_quarter_turns_are_exact() -> None:
    generator = np.random.default_rng(0)
    image = generator.random((16, 16), dtype=np.float32)
    masks = (generator.random((2, 16, 16)) > 0.5).astype(np.uint8)
    shown, shown_masks = moved(image, masks, STILL)
    assert np.array_equal(shown, image)
    assert np.array_equal(shown_masks, masks)
    shown, shown_masks = moved(image, masks, Movement(degrees=0.0, is_mirrored=True, is_upside_down=True))
    assert np.array_equal(shown, image[::-1, ::-1])
    assert np.array_equal(shown_masks, masks[:, ::-1, ::-1])
    shown, shown_masks = moved(image, masks, Movement(degrees=90.0, is_mirrored=False, is_upside_down=False))
    assert np.allclose(shown, np.rot90(image), atol=1e-5)
    assert np.array_equal(shown_masks, np.rot90(masks, axes=(1, 2)))


def test_corners_that_come_in_are_empty() -> None:
    shown, masks = moved(
        np.ones((32, 32), np.float32),
        np.ones((1, 32, 32), np.uint8),
        Movement(degrees=35.0, is_mirrored=False, is_upside_down=False),
    )
    assert shown[0, 0] == masks[0, 0, 0] == 0
    assert shown[16, 16] == masks[0, 16, 16] == 1


def test_movements_are_drawn_as_often_and_as_far_as_the_code_of_the_paper_says() -> None:
    drawn = [draw_movement(seed=1, epoch=epoch, row=row) for epoch in range(40) for row in range(50)]
    degrees = np.array([movement.degrees for movement in drawn])
    assert -35 <= degrees.min() < -33
    assert 33 < degrees.max() <= 35
    assert abs(degrees.mean()) < 1.5
    assert np.mean([movement.is_mirrored for movement in drawn]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([movement.is_upside_down for movement in drawn]) == pytest.approx(0.1, abs=0.03)
    never = MovementRanges(rotation_degrees=0, horizontal_prob=0, vertical_prob=0)
    assert draw_movement(seed=1, epoch=0, row=0, ranges=never) == STILL


def test_a_row_moves_alike_in_every_process_and_otherwise_in_the_next_epoch() -> None:
    _, pixels = toy_slices(patients=2)
    one, two = MaskedSet(pixels, seed=3), MaskedSet(pixels, seed=3)
    for part in range(3):
        assert np.array_equal(one[(4, 1)][part].numpy(), two[(4, 1)][part].numpy())
    assert not np.array_equal(one[(4, 1)][0].numpy(), one[(5, 1)][0].numpy())


def test_an_item_is_the_image_with_its_masks() -> None:
    _, pixels = toy_slices(patients=2)
    image, masks, row = MaskedSet(pixels)[(9, 4)]
    assert image.shape == (1, SIZE, SIZE)
    assert np.array_equal(np.rint(image[0].numpy() * 255), pixels.images[4])
    assert np.array_equal(masks.numpy().astype(bool), np.stack([pixels.lesion[4], pixels.bone[4]]))
    assert int(row) == 4


def test_a_piece_is_cut_from_image_and_masks_alike_and_often_around_the_lesion() -> None:
    _, pixels = toy_slices(patients=2)
    row = int(np.argmax(pixels.lesion.sum(axis=(1, 2))))
    cut = MaskedSet(pixels, seed=3, moves=False, crop=16)
    again = MaskedSet(pixels, seed=3, moves=False, crop=16)
    whole = np.concatenate([pixels.images[row][None], pixels.lesion[row][None] * 255, pixels.bone[row][None] * 255])
    held = 0
    for epoch in range(60):
        image, masks, _ = cut[(epoch, row)]
        assert np.array_equal(image.numpy(), again[(epoch, row)][0].numpy())
        piece = np.concatenate([np.rint(image.numpy() * 255), masks.numpy() * 255])
        windows = np.lib.stride_tricks.sliding_window_view(whole, (16, 16), axis=(1, 2))
        assert (windows == piece[:, None, None]).all(axis=(0, 3, 4)).any()
        held += bool(masks[0].any())
    assert held >= 30


def test_femur_slices_are_shifted_and_zoomed_as_far_as_they_may() -> None:
    drawn = [draw_movement(seed=1, epoch=0, row=row, ranges=FEMUR_MOVEMENTS) for row in range(2000)]
    zooms, shifts = np.array([one.zoom for one in drawn]), np.array([one.shift for one in drawn])
    assert 0.9 <= zooms.min() < 0.905
    assert 1.095 < zooms.max() <= 1.1
    assert np.abs(shifts).max() <= 0.1
    assert shifts.min(axis=0) == pytest.approx([-0.1, -0.1], abs=0.005)
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.1
    assert np.mean([one.is_upside_down for one in drawn]) == pytest.approx(0.5, abs=0.04)
    assert np.abs([one.degrees for one in drawn]).max() <= 20


def test_a_shift_goes_down_and_right_and_a_zoom_enlarges() -> None:
    image = np.zeros((40, 60), np.float32)
    image[18:22, 28:32] = 1
    shifted = moved_plane(image, replace(STILL, shift=(0.1, 0.2)))
    assert np.array_equal(np.argwhere(shifted > 0.5).min(axis=0), [22, 40])
    assert shifted.sum() == pytest.approx(16)
    zoomed = moved_plane(image, replace(STILL, zoom=2.0))
    assert zoomed.sum() == pytest.approx(64, rel=0.02)
    assert moved_plane(image, STILL).tolist() == image.tolist()
