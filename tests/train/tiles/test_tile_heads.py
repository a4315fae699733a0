"""Heads trained side by side on features are heads trained alone on whole networks with a frozen base."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from osteon.errors import InputError
from osteon.nets.tile_classifier import TileClassifier
from osteon.systems.histology.recipe import RECIPE
from osteon.train.heads import ADAM_BETAS, ADAM_EPSILON, HeadPlan, head_order, head_start, train_heads
from osteon.train.tile_features import classifier_with_base, tile_features

PLAN = HeadPlan(rates=(0.01, 0.001, 0.01), seeds=(1, 1, 2), epochs=3, batch=4)


def trained_alone(
    network: TileClassifier, tiles: torch.Tensor, labels: torch.Tensor, *, rate: float, seed: int, decay: float = 0.0
) -> TileClassifier:
    """The whole chain with torch's own Adam, the base frozen and in evaluation mode."""
    network.eval().requires_grad_(requires_grad=False)
    network.head = head_start(seed, network.num_features, 3)
    optimiser = torch.optim.AdamW(
        network.head.parameters(), lr=rate, betas=ADAM_BETAS, eps=ADAM_EPSILON, weight_decay=decay
    )
    for epoch in range(PLAN.epochs):
        order = torch.from_numpy(head_order(seed, epoch, len(tiles)))
        for start in range(0, len(tiles), PLAN.batch):
            chosen = order[start : start + PLAN.batch]
            optimiser.zero_grad()
            functional.cross_entropy(network(tiles[chosen]), labels[chosen]).backward()
            optimiser.step()
    return network


@pytest.mark.parametrize("base", ["mobilenet_v2", "resnetv2_50"])
def test_features_once_is_the_whole_chain_every_time(base: str) -> None:
    settings = RECIPE.settings({"architecture": f"{base}_tiles", "pretrained": "none"})
    random = np.random.default_rng(0)
    tiles = random.integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    labels = np.array([0, 1, 2, 0, 1, 2])
    network = classifier_with_base(settings)
    heads = train_heads(tile_features(network, tiles), labels, PLAN)
    images = torch.from_numpy(tiles.astype(np.float32) / 255).permute(0, 3, 1, 2)
    for number, (rate, seed) in enumerate(zip(PLAN.rates, PLAN.seeds, strict=True)):
        alone = trained_alone(network, images, torch.from_numpy(labels), rate=rate, seed=seed)
        with torch.inference_mode():
            expected = alone(images)
        network.head = heads.head(number)
        with torch.inference_mode():
            torch.testing.assert_close(network(images), expected, rtol=2e-4, atol=2e-4)


def test_weight_decay_is_adamws() -> None:
    random = np.random.default_rng(1)
    features = random.random((10, 5), dtype=np.float32)
    labels = random.integers(0, 3, 10)
    plan = HeadPlan(rates=(0.02,), seeds=(4,), epochs=2, batch=4, weight_decay=0.3)
    found = train_heads(features, labels, plan).head(0)
    alone = head_start(4, 5, 3)
    optimiser = torch.optim.AdamW(alone.parameters(), lr=0.02, betas=ADAM_BETAS, eps=ADAM_EPSILON, weight_decay=0.3)
    values, truth = torch.from_numpy(features), torch.from_numpy(labels)
    for epoch in range(2):
        order = torch.from_numpy(head_order(4, epoch, 10))
        for start in range(0, 10, 4):
            chosen = order[start : start + 4]
            optimiser.zero_grad()
            functional.cross_entropy(alone(values[chosen]), truth[chosen]).backward()
            optimiser.step()
    for mine, theirs in zip(found.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_a_long_training_passes_through_the_short_one() -> None:
    random = np.random.default_rng(2)
    features, labels = random.random((9, 4), dtype=np.float32), random.integers(0, 3, 9)
    kept: dict[int, torch.Tensor] = {}
    long = HeadPlan(rates=(0.01,), seeds=(1,), epochs=5, batch=4)
    train_heads(
        features, labels, long, after_epoch=lambda epoch, heads: kept.update({epoch: heads.parameters[0].clone()})
    )
    short = train_heads(features, labels, HeadPlan(rates=(0.01,), seeds=(1,), epochs=2, batch=4))
    torch.testing.assert_close(kept[2], short.parameters[0])
    assert not torch.equal(kept[2], kept[5])


def test_heads_of_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="one each"):
        train_heads(np.zeros((0, 3), np.float32), np.zeros(0, np.int64), PLAN)
    with pytest.raises(InputError, match="one of each"):
        HeadPlan(rates=(0.1,), seeds=(1, 2), epochs=1)
