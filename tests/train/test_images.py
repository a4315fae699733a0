"""Pixels, epochs and batches: everything shown once, the same everywhere, nothing lost in the cache."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from osteon.data import ImageRow, Manifest
from osteon.errors import InputError
from osteon.train.images import EpochOrder, ImageSet, InOrder, epoch_rows, image_loader
from osteon.train.pixels import FULL_SCALE, Pixels, load_pixels, prepare_image


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    generator = np.random.default_rng(3)
    rows = []
    for number in range(7):
        image = generator.integers(100, 60000, size=(40, 24), dtype=np.uint16)
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
        rows.append(ImageRow(image=f"{number}.png", patient=f"P{number // 2}", label="ab"[number % 2]))
    return Manifest(tmp_path, tuple(rows))


def _memory_pixels(count: int = 10, size: int = 8) -> Pixels:
    values = np.random.default_rng(1).integers(0, FULL_SCALE, size=(count, size, size), dtype=np.uint16)
    return Pixels(values)


def test_a_slice_in_a_window_keeps_its_grey_values() -> None:
    image = np.array([[0.2, 0.6], [0.4, 0.8]], np.float32)
    kept = prepare_image(image, 2, is_stretched=False)
    assert kept == pytest.approx(np.rint(image * 255) / 255)
    assert prepare_image(image, 1, is_stretched=False) == pytest.approx(np.array([[128 / 255]]), abs=1 / 255)  # by area
    assert np.unique(prepare_image(np.full((3, 5), 0.4, np.float32), 4, is_stretched=False)) == pytest.approx(0.4)


def test_a_prepared_image_spans_zero_to_one_and_a_crop_comes_back_unchanged() -> None:
    image = np.array([[10, 20], [30, 50]], dtype=np.float32)
    assert prepare_image(image, 2) == pytest.approx(np.array([[0, 0.25], [0.5, 1]]))
    assert prepare_image(image, 4)[0].tolist() == [0, 0, 0.25, 0.25]
    assert prepare_image(np.full((3, 3), 7, np.float32), 2).tolist() == [[0, 0], [0, 0]]
    crop = np.random.default_rng(0).random((16, 16), dtype=np.float32)
    crop.flat[:2] = 0, 1
    np.testing.assert_array_equal(prepare_image(crop, 16), crop)
    with pytest.raises(InputError, match="not finite"):
        prepare_image(np.array([[np.nan, 1]], np.float32), 2)


def test_the_cache_holds_what_memory_holds_and_is_made_anew_when_a_file_changes(
    manifest: Manifest, tmp_path: Path
) -> None:
    steps: list[tuple[int, int]] = []

    def note(_: str, done: int, total: int) -> None:
        steps.append((done, total))

    plain = load_pixels(manifest, size=12, cache=None)
    first = load_pixels(manifest, size=12, cache=tmp_path / "cache", progress=note)
    assert steps == [(0, 7), (7, 7)]
    again = load_pixels(manifest, size=12, cache=tmp_path / "cache", progress=note)
    assert len(steps) == 2, "the second call decodes nothing"
    np.testing.assert_array_equal(first.values, plain.values)
    np.testing.assert_array_equal(again.values, plain.values)
    cv2.imwrite(str(manifest.folder / "0.png"), np.arange(900, dtype=np.uint16).reshape(30, 30))
    assert not np.array_equal(load_pixels(manifest, size=12, cache=tmp_path / "cache").values[0], plain.values[0])
    assert not list((tmp_path / "cache").glob(".decoding-*"))


def test_an_unreadable_image_is_named_and_skipped_only_when_asked(manifest: Manifest, tmp_path: Path) -> None:
    (manifest.folder / "4.png").write_bytes(b"not a picture")
    (manifest.folder / "5.png").unlink()
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        with pytest.raises(InputError, match=r"2 of 7 images .* 4\.png .*--skip-unreadable"):
            load_pixels(manifest, size=12, cache=cache)
        pixels = load_pixels(manifest, size=12, cache=cache, skip_unreadable=True)
        assert [entry.image for entry in pixels.unreadable] == ["4.png", "5.png"]
        assert pixels.usable(np.arange(7)).tolist() == [0, 1, 2, 3, 6]
        assert not pixels.values[4].any()
    for number in (0, 1, 2, 3, 6):
        (manifest.folder / f"{number}.png").unlink()
    with pytest.raises(InputError, match="no image of the manifest can be read"):
        load_pixels(manifest, size=12, cache=None, skip_unreadable=True)


def test_an_epoch_shows_every_row_once_in_an_order_of_its_own() -> None:
    rows, labels = np.array([2, 5, 7, 9]), np.zeros(10, np.int64)
    orders = [epoch_rows(rows, labels, epoch=epoch, seed=1).tolist() for epoch in range(6)]
    assert all(sorted(order) == rows.tolist() for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    assert orders[3] == epoch_rows(rows, labels, epoch=3, seed=1).tolist()


def test_a_drawn_epoch_is_balanced_and_uses_a_class_up_before_it_repeats() -> None:
    labels = np.array([1, 1, *[0] * 8])
    drawn = epoch_rows(np.arange(10), labels, epoch=0, seed=4, images_per_epoch=9)
    assert np.bincount(labels[drawn]).tolist() == [5, 4]
    assert len(set(drawn[labels[drawn] == 0].tolist())) == 5
    assert sorted(drawn[labels[drawn] == 1].tolist()) == [0, 0, 1, 1]
    with pytest.raises(InputError, match="each needs at least one"):
        epoch_rows(np.arange(10), labels, epoch=0, seed=4, images_per_epoch=1)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_share_an_epoch_out_evenly(processes: int) -> None:
    rows, labels = np.arange(10), np.zeros(10, np.int64)
    shares = [EpochOrder(rows, labels, seed=1, rank=rank, processes=processes) for rank in range(processes)]
    for order in shares:
        order.set_epoch(2)
    seen = [[row for _, row in order] for order in shares]
    assert {len(share) for share in seen} == {len(shares[0])}
    assert {row for share in seen for row in share} == set(range(10))
    whole = epoch_rows(rows, labels, epoch=2, seed=1).tolist()
    assert seen[0][0] == whole[0]


def test_batches_carry_image_label_and_row() -> None:
    pixels, labels = _memory_pixels(), np.arange(10) % 2
    images = ImageSet(pixels, labels)
    batches = list(image_loader(images, InOrder(np.array([8, 3, 1])), batch=2))
    assert [tuple(image.shape) for image, _, _ in batches] == [(2, 1, 8, 8), (1, 1, 8, 8)]
    assert torch.cat([row for _, _, row in batches]).tolist() == [8, 3, 1]
    assert torch.cat([label for _, label, _ in batches]).tolist() == [0, 1, 1]
    np.testing.assert_array_equal(batches[0][0][0, 0].numpy(), pixels.values[8] / np.float32(FULL_SCALE))
    halves = [list(image_loader(images, InOrder(np.arange(5), rank=rank, processes=2), batch=8)) for rank in range(2)]
    assert sorted(torch.cat([row for half in halves for _, _, row in half]).tolist()) == list(range(5))


def test_loader_processes_change_nothing() -> None:
    from osteon.train.augmentation import PaperAugmentation

    labels = np.arange(10) % 2
    images = ImageSet(_memory_pixels(size=16), labels, augment=PaperAugmentation(size=16, seed=2))
    epochs = []
    for workers in (0, 1):
        order = EpochOrder(np.arange(10), labels, seed=1)
        loader = image_loader(images, order, batch=4, workers=workers)
        seen = []
        for epoch in range(2):
            order.set_epoch(epoch)
            seen.append(torch.cat([image for image, _, _ in loader]))
        epochs.append(seen)
    for plain, spread in zip(*epochs, strict=True):
        torch.testing.assert_close(plain, spread, rtol=0, atol=0)
    assert not torch.equal(epochs[0][0], epochs[0][1])
