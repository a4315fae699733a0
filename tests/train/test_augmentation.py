"""Each augmentation of the paper: how often, how strong, and the same again for the same seed, epoch and row."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("monai")

import torch

from osteon.train.augmentation import AugmentationOptions, PaperAugmentation, RotationFlips, build_augmentation
from osteon.train.movement import FEMUR_MOVEMENTS, draw_movement, moved_plane
from osteon.train.settings import TrainSettings

NOTHING = AugmentationOptions(flip_prob=0, rotation_prob=0, zoom_prob=0, noise_prob=0, shift_prob=0, dropout_prob=0)
DRAWS = 200


def _image(size: int = 32) -> torch.Tensor:
    return torch.rand(1, size, size, generator=torch.Generator().manual_seed(1)) * 0.5 + 0.25


def _draws(image: torch.Tensor, options: AugmentationOptions) -> list[torch.Tensor]:
    augment = PaperAugmentation(size=image.shape[-1], seed=7, options=options)
    return [augment(image, epoch=0, row=row) for row in range(DRAWS)]


def _share_is(count: int, prob: float) -> bool:
    return abs(count / DRAWS - prob) < 4 * math.sqrt(prob * (1 - prob) / DRAWS)


def test_the_same_seed_epoch_and_row_give_the_same_picture() -> None:
    image = _image()
    augment = PaperAugmentation(size=32, seed=7)
    first = [augment(image, epoch=epoch, row=row) for epoch in range(3) for row in range(5)]
    other = PaperAugmentation(size=32, seed=7)
    again = [other(image, epoch=epoch, row=row) for epoch in reversed(range(3)) for row in reversed(range(5))]
    for one, two in zip(first, reversed(again), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)
    assert len({float(picture.sum()) for picture in first}) > 10
    another = PaperAugmentation(size=32, seed=8)
    assert any(not torch.equal(another(image, epoch=0, row=row), first[row]) for row in range(5))
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
        lost = int((augment(image, epoch=0, row=row) != image).sum())
        assert 16 * 16 < lost <= 10 * 16 * 16
    small = PaperAugmentation(size=64, seed=1, options=replace(NOTHING, dropout_prob=1.0))
    assert int((small(image[:, :64, :64], epoch=0, row=0) != image[:, :64, :64]).sum()) <= 10 * 4 * 4


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
    augment = build_augmentation(TrainSettings(task="ct_metastasis_slices", seed=5))
    assert isinstance(augment, RotationFlips)
    found = [augment(image, epoch=epoch, row=row) for epoch in range(4) for row in range(6)]
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
    assert build_augmentation(TrainSettings()) is None
    assert isinstance(build_augmentation(TrainSettings(configuration="CA")), PaperAugmentation)
    other = TrainSettings(configuration="CA", augmentation="rotation_flips")
    assert isinstance(build_augmentation(other), RotationFlips)


def test_a_femur_slice_is_shifted_zoomed_turned_and_flipped() -> None:
    augment = build_augmentation(TrainSettings(task="mri_femur", seed=5))
    assert isinstance(augment, RotationFlips)
    image = _image(48)
    movement = draw_movement(seed=5, epoch=1, row=2, ranges=FEMUR_MOVEMENTS)
    np.testing.assert_array_equal(augment(image, epoch=1, row=2)[0], moved_plane(image[0].numpy(), movement))


def test_a_batch_of_rows_is_not_all_alike_in_a_new_epoch() -> None:
    augment, image = PaperAugmentation(size=32, seed=7), _image()
    assert any(not torch.equal(augment(image, epoch=0, row=row), augment(image, epoch=1, row=row)) for row in range(9))
