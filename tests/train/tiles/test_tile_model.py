"""A linear model in a head, the space of training features, and a card that proves itself."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from osteon.data.slide import TILE_CLASSES
from osteon.errors import InputError, WeightsError
from osteon.nets import build_network
from osteon.predict.out_of_distribution import FoldMaterial, fit_limits
from osteon.systems.histology.detail import Tiles, tile_input, tiles_of
from osteon.train.heads import fit_ridge_head, linear_head
from osteon.weights import Classes, find_card, read_limits, round_to_half, write_model
from osteon.weights.load import golden_case, load_network
from tests.slide_doubles import tile_card


def test_a_linear_model_is_the_same_in_a_head() -> None:
    random = np.random.default_rng(0)
    slopes, offsets, features = random.normal(size=(3, 20)), random.normal(size=3), random.normal(size=(7, 20))
    head = linear_head(slopes, offsets)
    with torch.inference_mode():
        found = head(torch.from_numpy(features.astype(np.float32))).numpy()
    np.testing.assert_allclose(found, features @ slopes.T + offsets, rtol=1e-4, atol=1e-5)


def test_the_ridge_is_scikit_learns_and_only_proportions_of_weights_matter() -> None:
    random = np.random.default_rng(1)
    features = random.normal(size=(40, 6)).astype(np.float32) + 2
    labels, weights = np.arange(40) % 3, random.random(40)
    centre = np.average(features, axis=0, weights=weights)
    model = LogisticRegression(C=5.0 / weights.sum(), max_iter=500).fit(
        features - centre, labels, sample_weight=weights
    )
    head = fit_ridge_head(features, labels, 7 * weights, strength=5.0)
    with torch.inference_mode():
        found = head(torch.from_numpy(features)).numpy()
    expected = model.decision_function(features - centre)
    np.testing.assert_allclose(
        found - found.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=5e-3
    )
    with pytest.raises(InputError, match="all 3 classes"):
        fit_ridge_head(features, labels // 2, weights, strength=1.0)


def test_a_card_of_tiles_is_written_proven_and_read_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_network("mobilenet_v2_tiles").eval()
    round_to_half(network)
    random = np.random.default_rng(3)
    tiles = random.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    layers = random.random((92, 304), dtype=np.float32)
    who = np.repeat(["a", "b", "c"], 4)
    material = FoldMaterial(layers[:80], layers[80:], who, who, np.full((12, 3), 1 / 3, np.float32), np.arange(12) % 3)
    limits = fit_limits([material])
    draft = tile_card(inputs={"image": tile_input(Tiles(512.0, "macenko", pixels=64))})
    card = write_model(tmp_path, draft, [network], golden={"image": tiles}, limits=limits)
    assert tiles_of(card) == Tiles(512.0, "macenko", pixels=64)
    case = golden_case(card)
    assert case.mean.shape == (2, 3)
    np.testing.assert_allclose(case.mean.sum(axis=1), 1, rtol=1e-5)
    again = read_limits(card)
    assert again is not None
    np.testing.assert_allclose(again.distance([layers[:5]]), limits.distance([layers[:5]]), rtol=1e-3)
    with pytest.raises(WeightsError, match="asked for histology tiles"):
        tiles_of(find_card("mobilenet_v2.phantom"))
    with pytest.raises(WeightsError, match="asked for the classes non_tumour, non_viable, viable"):
        tiles_of(msgspec.structs.replace(card, output=Classes(("a", "b"))))


def test_the_shipped_model_names_its_patients_and_its_classes() -> None:
    card = find_card("mobilenet_v2_tiles.demo")
    assert card.classes.names == TILE_CLASSES
    assert tiles_of(card) == Tiles(1024.0, pixels=224)
    assert "10.7937/tcia.2019.bvhjhdas" in card.training.data
    assert all(name in card.training.data for name in ("Case-3", "Case-48", "P9", "CC BY 3.0"))
    assert card.is_demo
    assert load_network(card).training is False
