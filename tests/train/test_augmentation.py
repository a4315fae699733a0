"""Each augmentation: how often, how strong, the same again for seed, epoch and row; image and masks move together."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("monai")

import torch
from numpy.typing import NDArray
from scipy import ndimage

from osteon.train.augmentation import (
    FEMUR_MOVEMENTS,
    AugmentationOptions,
    Movement,
    MovementRanges,
    Movements,
    PaperAugmentation,
    build_augmentation,
    draw_movement,
    intensities,
    moved,
    moved_plane,
)
from osteon.train.images import ImageSet
from tests.train.quick import femur, legs, slices
from tests.train.toy_slices import SIZE, toy_slices

NOTHING = AugmentationOptions(flip_prob=0, rotation_prob=0, zoom_prob=0, noise_prob=0, shift_prob=0, dropout_prob=0)
DRAWS = 200
NO_MASKS = torch.empty((0, 0, 0), dtype=torch.uint8)
STILL = Movement(degrees=0.0, is_mirrored=False, is_upside_down=False)
BOTH = ("lesion", "bone")


def _changed(
    augment: PaperAugmentation | Movements, image: torch.Tensor, *, epoch: int = 0, row: int = 0
) -> torch.Tensor:
    return augment(image, NO_MASKS, epoch=epoch, row=row)[0]


def _image(size: int = 32) -> torch.Tensor:
    return torch.rand(1, size, size, generator=torch.Generator().manual_seed(1)) * 0.5 + 0.25


def _draws(image: torch.Tensor, options: AugmentationOptions) -> list[torch.Tensor]:
    augment = PaperAugmentation(size=image.shape[-1], seed=7, options=options)
    return [_changed(augment, image, epoch=0, row=row) for row in range(DRAWS)]


def _share_is(count: int, prob: float) -> bool:
    return abs(count / DRAWS - prob) < 4 * math.sqrt(prob * (1 - prob) / DRAWS)


def test_the_same_seed_epoch_and_row_give_the_same_picture() -> None:
    image = _image()
    augment = PaperAugmentation(size=32, seed=7)
    first = [_changed(augment, image, epoch=epoch, row=row) for epoch in range(3) for row in range(5)]
    other = PaperAugmentation(size=32, seed=7)
    again = [_changed(other, image, epoch=epoch, row=row) for epoch in reversed(range(3)) for row in reversed(range(5))]
    for one, two in zip(first, reversed(again), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)
    assert len({float(picture.sum()) for picture in first}) > 10
    another = PaperAugmentation(size=32, seed=8)
    assert any(not torch.equal(_changed(another, image, epoch=0, row=row), first[row]) for row in range(5))
    torch.testing.assert_close(image, _image(), rtol=0, atol=0)


def test_nothing_changes_when_nothing_is_chosen() -> None:
    image = _image()
    assert all(torch.equal(picture, image) for picture in _draws(image, NOTHING))


def test_half_of_the_images_are_flipped_in_all_three_ways() -> None:
    image = _image()
    ways = {"rows": image.flip(1), "columns": image.flip(2), "both": image.flip(1, 2), "none": image}
    seen = [
        next(name for name, way in ways.items() if torch.equal(picture, way))
        for picture in _draws(image, replace(NOTHING, flip_prob=0.5))
    ]
    assert _share_is(seen.count("none"), 0.5)
    assert all(_share_is(seen.count(name), 0.5 / 3) for name in ("rows", "columns", "both"))


def test_noise_has_the_papers_standard_deviation() -> None:
    image = _image(64)
    changed = [
        picture - image
        for picture in _draws(image, replace(NOTHING, noise_prob=0.2))
        if not torch.equal(picture, image)
    ]
    assert _share_is(len(changed), 0.2)
    noise = torch.stack(changed)
    assert float(noise.std()) == pytest.approx(0.05, rel=0.02)
    assert float(noise.mean()) == pytest.approx(0, abs=0.001)


def test_a_shift_moves_every_pixel_alike_by_at_most_a_fifth() -> None:
    image = _image()
    shifts = [picture - image for picture in _draws(image, replace(NOTHING, shift_prob=0.8))]
    moved = np.array([float(shift.mean()) for shift in shifts])
    assert all(float(shift.std()) < 1e-6 for shift in shifts)
    assert _share_is(int((moved != 0).sum()), 0.8)
    assert np.abs(moved).max() <= 0.2
    assert moved.min() < -0.15 < 0.15 < moved.max()


def test_dropout_takes_five_to_ten_patches_of_the_right_size() -> None:
    image = torch.full((1, 256, 256), 0.5)
    image[0, 0, 0], image[0, 0, 1] = 0, 1  # patches are filled with a value between them
    augment = PaperAugmentation(size=256, seed=1, options=replace(NOTHING, dropout_prob=1.0))
    for row in range(20):
        lost = int((_changed(augment, image, epoch=0, row=row) != image).sum())
        assert 16 * 16 < lost <= 10 * 16 * 16
    small = PaperAugmentation(size=64, seed=1, options=replace(NOTHING, dropout_prob=1.0))
    assert int((_changed(small, image[:, :64, :64], epoch=0, row=0) != image[:, :64, :64]).sum()) <= 10 * 4 * 4


def test_rotation_and_zoom_stay_within_their_limits() -> None:
    size = 65
    image = torch.zeros(1, size, size)
    image[0, 32, 52:57] = 1  # twenty pixels right of the middle
    angles = []
    for picture in _draws(image, replace(NOTHING, rotation_prob=0.5)):
        if torch.equal(picture, image):
            continue
        rows, columns = torch.meshgrid(torch.arange(size) - 32.0, torch.arange(size) - 32.0, indexing="ij")
        weight = picture[0] / picture[0].sum()
        angles.append(math.atan2(float((rows * weight).sum()), float((columns * weight).sum())))
    assert _share_is(len(angles), 0.5)
    turned = np.abs(angles)
    assert turned.max() <= math.pi / 12 + 0.02
    assert turned.max() > math.pi / 16
    assert np.ptp(np.sign([angle for angle in angles if abs(angle) > 0.05])) == 0, "the paper turns one way"
    widths = [
        int((picture[0, 32] > 0.5).sum()) for picture in _draws(torch.ones(1, 65, 65), replace(NOTHING, zoom_prob=1.0))
    ]
    assert min(widths) >= 61
    assert max(widths) == 65


def test_a_turned_and_flipped_slice_is_moved_as_that_of_a_segmenter() -> None:
    image = _image(48)
    augment = build_augmentation(slices(seed=5))
    assert isinstance(augment, Movements)
    found = [_changed(augment, image, epoch=epoch, row=row) for epoch in range(4) for row in range(6)]
    wanted = [
        moved_plane(image[0].numpy(), draw_movement(seed=5, epoch=epoch, row=row))
        for epoch in range(4)
        for row in range(6)
    ]
    for one, two in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one[0].numpy(), two)
    assert found[0].dtype == torch.float32
    assert found[0].shape == (1, 48, 48)
    assert len({float(one.sum()) for one in found}) > 20
    torch.testing.assert_close(image, _image(48), rtol=0, atol=0)


def test_the_settings_choose_the_augmentation() -> None:
    assert build_augmentation(legs()) is None
    assert isinstance(build_augmentation(legs(configuration="CA")), PaperAugmentation)
    chosen = legs(configuration="CA", augmentation="rotation_flips")
    assert isinstance(build_augmentation(chosen), Movements)


def test_a_femur_slice_is_shifted_zoomed_turned_and_flipped() -> None:
    augment = build_augmentation(femur(seed=5))
    assert isinstance(augment, Movements)
    image = _image(48)
    movement = draw_movement(seed=5, epoch=1, row=2, ranges=FEMUR_MOVEMENTS)
    np.testing.assert_array_equal(_changed(augment, image, epoch=1, row=2)[0], moved_plane(image[0].numpy(), movement))


def test_a_batch_of_rows_is_not_all_alike_in_a_new_epoch() -> None:
    augment, image = PaperAugmentation(size=32, seed=7), _image()
    assert any(
        not torch.equal(_changed(augment, image, epoch=0, row=row), _changed(augment, image, epoch=1, row=row))
        for row in range(9)
    )


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
    one, two = (
        ImageSet(pixels, masks=BOTH, augment=Movements(seed=3)),
        ImageSet(pixels, masks=BOTH, augment=Movements(seed=3)),
    )
    for part in range(3):
        assert np.array_equal(one[(4, 1)][part].numpy(), two[(4, 1)][part].numpy())
    assert not np.array_equal(one[(4, 1)][0].numpy(), one[(5, 1)][0].numpy())


def test_an_item_is_the_image_with_its_masks() -> None:
    _, pixels = toy_slices(patients=2)
    image, masks, row = ImageSet(pixels, masks=BOTH)[(9, 4)]
    assert image.shape == (1, SIZE, SIZE)
    assert np.array_equal(np.rint(image[0].numpy() * 255), pixels.values[4])
    assert np.array_equal(masks.numpy().astype(bool), np.stack([pixels.masks[name][4] for name in BOTH]))
    assert int(row) == 4


def test_a_piece_is_cut_from_image_and_masks_alike_and_often_around_the_lesion() -> None:
    _, pixels = toy_slices(patients=2)
    row = int(np.argmax(pixels.areas("lesion")))
    cut = ImageSet(pixels, masks=BOTH, augment=Movements(seed=3, moves=False, piece=16))
    again = ImageSet(pixels, masks=BOTH, augment=Movements(seed=3, moves=False, piece=16))
    whole = np.stack([pixels.values[row], *(pixels.masks[name][row] * 255 for name in BOTH)])
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


def test_neighbouring_slices_move_and_are_cut_as_one() -> None:
    _, pixels = toy_slices(patients=2)
    same = replace(pixels, around=np.repeat(np.arange(len(pixels.values))[:, None], 3, axis=1))
    how = Movements(seed=3, piece=16, ranges=MovementRanges(scaling=0.2), intensity=0.3)
    for epoch in range(5):
        one, three = (ImageSet(each, masks=BOTH, augment=how)[(epoch, 1)] for each in (pixels, same))
        assert three[0].shape == (3, 16, 16)
        assert all(np.array_equal(channel, one[0][0].numpy()) for channel in three[0].numpy())
        assert np.array_equal(one[1].numpy(), three[1].numpy())


def test_grey_values_change_within_the_strength_and_keep_their_order() -> None:
    ramp = np.linspace(0, 1, 101, dtype=np.float32)
    middles = []
    for epoch in range(400):
        changed = intensities(ramp, 0.25, seed=1, epoch=epoch, row=2)
        assert changed[0] == 0
        assert changed.max() <= 1
        assert (np.diff(changed) >= 0).all()
        middles.append(float(changed[50]))
    darkest, brightest = (0.5 / 1.25) ** 1.25**2, (0.5 * 1.25) ** 1.25**-2
    assert darkest <= min(middles) < darkest * 1.15
    assert brightest / 1.15 < max(middles) <= brightest
    assert np.array_equal(intensities(ramp, 0.0, seed=1, epoch=0, row=2), ramp)
