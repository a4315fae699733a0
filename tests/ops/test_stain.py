"""Stain: the same as torchstain's where it measures, left alone where nothing can be measured."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from osteon.errors import InputError, UnknownLabelError
from osteon.ops.stain import METHODS, StainNormaliser, augment_stain

normalizers = pytest.importorskip("torchstain.numpy.normalizers")

HAEMATOXYLIN, EOSIN = (0.50, 0.75, 0.43), (0.13, 0.82, 0.56)
OTHERS = (0.40, 0.72, 0.57), (0.27, 0.83, 0.49)


def tissue(
    seed: int, *, stains: tuple[tuple[float, ...], ...] = (HAEMATOXYLIN, EOSIN), depth: float = 8, strength: float = 1
) -> NDArray[np.uint8]:
    """96 x 96 pixels of pink with dots of purple; a picture's amounts are known."""
    rng = np.random.default_rng(seed)
    eosin = 0.5 + 0.2 * cv2.GaussianBlur(rng.standard_normal((96, 96)), (0, 0), 2) * 4
    dots = cv2.GaussianBlur((rng.random((96, 96)) < 0.03).astype(float), (0, 0), 1.5) * depth
    density = np.maximum(dots, 0.05)[..., np.newaxis] * stains[0] + np.maximum(eosin, 0.1)[..., np.newaxis] * stains[1]
    return np.asarray(np.clip(240 * np.exp(-strength * density), 0, 255).astype(np.uint8))


def aimed_at(reference: NDArray[np.uint8], method: str) -> StainNormaliser:
    target, _ = StainNormaliser.published(method).of_slide([reference])  # type: ignore[arg-type]
    assert target.source is not None
    return replace(target, target=target.source, source=None)


@pytest.mark.parametrize("method", METHODS)
def test_a_picture_alone_is_changed_as_torchstain_changes_it(method: str) -> None:
    reference, picture = tissue(1), tissue(2, stains=OTHERS)
    theirs = {"macenko": normalizers.NumpyMacenkoNormalizer, "reinhard": normalizers.NumpyReinhardNormalizer}[method]()
    theirs.fit(reference)
    expected = theirs.normalize(picture)
    expected = expected[0] if method == "macenko" else expected
    ours, notice = aimed_at(reference, method).apply(picture)
    assert notice is None
    assert np.abs(ours.astype(int) - expected.astype(int)).max() <= 1


def test_without_a_reference_macenkos_published_stains_are_the_aim() -> None:
    picture = tissue(3)
    theirs = normalizers.NumpyMacenkoNormalizer().normalize(picture)[0]
    ours, _ = StainNormaliser.published("macenko").apply(picture)
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


@pytest.mark.parametrize("method", METHODS)
def test_the_same_tissue_of_another_laboratory_comes_to_look_like_the_reference(method: str) -> None:
    here, there = tissue(4).astype(float), tissue(4, stains=OTHERS, strength=1.6)
    normaliser = aimed_at(tissue(9), method)
    before, after = np.abs(here - there).mean(), np.abs(here - normaliser.apply(there)[0]).mean()
    assert after < 0.7 * before


@pytest.mark.parametrize("method", METHODS)
def test_a_slides_look_is_measured_once_so_that_faded_nuclei_stay_faded(method: str) -> None:
    viable, faded = [tissue(seed) for seed in range(6)], [tissue(seed, depth=2.5) for seed in range(6)]
    alone = StainNormaliser.published(method)  # type: ignore[arg-type]
    whole, notice = alone.of_slide([*viable, *faded])
    assert notice is None
    # nuclei absorb red: how much deeper do they in viable tissue?
    deeper = {}
    for name, one in {"alone": alone, "whole": whole}.items():
        reds = [-np.log((one.apply(picture)[0][..., 0] + 1.0) / 256) for picture in (viable[0], faded[0])]
        deeper[name] = np.percentile(reds[0], 98) / np.percentile(reds[1], 98)
    assert deeper["alone"] < 1.5
    assert deeper["whole"] > 1.9


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "picture",
    [
        np.full((64, 64, 3), 255, np.uint8),
        np.full((64, 64, 3), 0, np.uint8),
        np.full((64, 64, 3), (220, 120, 180), np.uint8),
        np.random.default_rng(1).integers(236, 255, (64, 64, 3), dtype=np.uint8),
        np.repeat(np.random.default_rng(1).integers(0, 255, (64, 64, 1), dtype=np.uint8), 3, axis=2),
        np.full((1, 1, 3), 90, np.uint8),
    ],
    ids=["white", "black", "flat", "glass", "grey", "one pixel"],
)
def test_what_has_no_stain_is_left_as_it_is(picture: NDArray[np.uint8], method: str) -> None:
    normaliser = StainNormaliser.published(method)  # type: ignore[arg-type]
    same, notice = normaliser.apply(picture)
    assert same is picture
    assert notice is not None
    assert notice.code in {"stain-too-little-tissue", "stain-not-found"}
    assert normaliser.of_slide([picture]) == (normaliser, notice)
    assert augment_stain(picture, np.random.default_rng(1)).shape == picture.shape


def test_a_white_tile_of_a_measured_slide_stays_white() -> None:
    normaliser, _ = StainNormaliser.published("macenko").of_slide([tissue(1), tissue(2)])
    white, notice = normaliser.apply(np.full((32, 32, 3), 245, np.uint8))
    assert notice is None
    assert white.min() >= 230


def test_augmentation_varies_the_stain_and_keeps_the_tissue() -> None:
    picture = tissue(5)
    varied = [augment_stain(picture, np.random.default_rng(seed)) for seed in range(8)]
    assert np.array_equal(varied[0], augment_stain(picture, np.random.default_rng(0)))
    assert len({one.tobytes() for one in varied}) == 8
    for one in varied:
        assert 0.5 < np.abs(one.astype(float) - picture).mean() < 40
        assert np.corrcoef(one[..., 1].ravel(), picture[..., 1].ravel())[0, 1] > 0.97
    kept = augment_stain(picture, np.random.default_rng(0), strength=0, shift=0)
    assert np.abs(kept.astype(int) - picture).max() <= 1


def test_the_factor_of_a_stain_is_what_was_drawn() -> None:
    class Drawn:
        def uniform(self, low: float, high: float, size: int) -> NDArray[np.float64]:
            return np.array([1.0, 1.2]) if high > 1 else np.zeros(2)

    picture = tissue(6)
    more_eosin = augment_stain(picture, Drawn())  # type: ignore[arg-type]
    pink = picture[..., 0] > 215  # next to no haematoxylin
    density = -np.log((picture[pink][:, 1] + 1.0) / 240), -np.log((more_eosin[pink][:, 1] + 1.0) / 240)
    assert np.median(density[1] / density[0]) == pytest.approx(1.2, abs=0.03)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(UnknownLabelError, match="macenko"):
        StainNormaliser.published("macenco")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="strength"):
        augment_stain(tissue(1), np.random.default_rng(1), strength=1)
    with pytest.raises(InputError, match="without tiles"):
        StainNormaliser.published().of_slide([])


def test_no_torch_is_imported() -> None:
    code = (
        "import sys, numpy as np; from osteon.ops.stain import StainNormaliser;"
        "x = np.random.default_rng(1).integers(20, 200, (64, 64, 3), dtype=np.uint8);"
        "[StainNormaliser.published(m).apply(x) for m in ('macenko', 'reinhard')];"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.shared_data
def test_public_tiles_come_closer_to_one_look(shared_data: Path) -> None:
    paths = sorted((shared_data / "osteosarcoma_he_tiles").glob("*.jpg"))[::5]
    tiles = [np.asarray(Image.open(path).resize((224, 224), Image.Resampling.BOX)) for path in paths]
    for method in METHODS:
        normaliser = StainNormaliser.published(method)  # type: ignore[arg-type]
        done = [normaliser.apply(tile) for tile in tiles]
        assert all(notice is None for _, notice in done)
        means = [np.array([one.mean(axis=(0, 1)) for one in many]) for many in (tiles, [one for one, _ in done])]
        assert means[1].std(axis=0).mean() < means[0].std(axis=0).mean()
