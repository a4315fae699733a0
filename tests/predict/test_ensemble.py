"""An ensemble is the mean of its members, its spread their standard deviation, on every engine."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from osteon.errors import WeightsError
from osteon.metrics.conformal import ConformalThreshold
from osteon.nets import build_network
from osteon.predict.ensemble import combine, set_names
from osteon.predict.runtime import SliceClassifier
from osteon.predict.runtime_cache import CACHE_VARIABLE
from osteon.predict.trust import FoldMaterial, fit_trust
from osteon.weights import FeatureBank, ModelCard, Novelty, OutputContract, Trust, golden_case, write_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 64


def _document(**more: object) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "name": "densenet_small.ensemble_test",
        "version": "0.1.0",
        "task": "ct_osteosarcoma",
        "architecture": "densenet_small",
        "storage": "float32",
        "input": {
            "rows": SIZE, "columns": SIZE, "channels": 1, "minimum": 0.0, "maximum": 1.0, "orientation": "any",
            "preprocessing": {"function": "osteon.ops.crops.leg_crops", "parameters": {}, "description": "none"},
        },
        "output": {
            "classes": ["healthy", "tumour"], "positive": "tumour", "activation": "softmax", "temperature": 1.0,
            "temperatures": [1.0, 2.0], "calibration": "chosen by the test",
        },
        "golden": {"description": "noise", "tolerance": {"float32": 1e-4}},
        "training": {
            "data": "none", "is_synthetic": True, "split": "none", "split_sha256": hashlib.sha256(b"").hexdigest(),
            "script": "a test", "date": "2026-11-21", "seed": 0,
        },
        "results": [],
        "licence": "Apache-2.0",
        "intended_use": "tests",
        "exclusions": ["everything else"],
        "is_demo": True,
        "statement": "Random weights.",
        **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def crops() -> NDArray[np.float32]:
    return np.random.default_rng(0).random((5, SIZE, SIZE), dtype=np.float32)


@pytest.fixture(scope="module")
def card(crops: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    import torch

    from osteon.nets.anatomy import pooled_features

    networks, folds = [], []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network = build_network("densenet_small").eval()
        torch.nn.init.normal_(network.get_parameter("classifier.weight"), std=2.0)
        with torch.inference_mode():
            rows = pooled_features(network, torch.rand(24, 1, SIZE, SIZE)).numpy()
        names, truth = np.arange(12).astype(str), np.arange(12) % 2 == 0
        folds.append(FoldMaterial(rows[:12], rows[12:], names, names, np.full(12, 0.5, np.float32), truth))
        networks.append(network)
    trust = fit_trust(folds, error_rate=0.2)
    return write_model(tmp_path_factory.mktemp("models"), _document(), networks, golden_crops=crops[:2], trust=trust)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_every_engine_gives_mean_spread_and_distance(
    card: ModelCard, crops: NDArray[np.float32], engine: str, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from osteon.nets.anatomy import pooled_features
    from osteon.weights import load_networks, read_trust

    monkeypatch.setenv(CACHE_VARIABLE, cache)
    images = torch.from_numpy(crops)[:, None]
    networks, trust = load_networks(card), read_trust(card)
    assert trust is not None
    with torch.inference_mode():
        each = [torch.softmax(n(images) / t, 1)[:, 1].numpy() for n, t in zip(networks, (1.0, 2.0), strict=True)]
        features = [pooled_features(network, images).numpy() for network in networks]
    found = SliceClassifier.load(card, device="cpu", runtime=engine, precision="float32").read(crops)
    np.testing.assert_allclose(found.probability, (each[0] + each[1]) / 2, atol=1e-5)
    assert found.spread is not None
    np.testing.assert_allclose(found.spread, np.abs(each[0] - each[1]) / 2, atol=1e-5)  # of two: half the difference
    assert found.spread.max() > 1e-3
    assert found.distance is not None
    np.testing.assert_allclose(found.distance, trust.novelty.slice_distance(features), rtol=2e-2, atol=1e-3)
    assert found.sets is not None
    assert found.sets.shape == (5, 2)


def test_no_crops_keep_the_kinds(card: ModelCard, cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, cache)
    empty = SliceClassifier.load(card, device="cpu", runtime="torch").read([])
    assert empty.spread is not None
    assert empty.distance is not None
    assert empty.sets is not None
    assert len(empty.probability) == len(empty.spread) == len(empty.distance) == len(empty.sets) == 0


def test_one_member_has_no_spread(crops: NDArray[np.float32]) -> None:
    found = SliceClassifier.from_network("densenet_small", size=SIZE, device="cpu", runtime="torch").read(crops)
    assert (found.spread, found.distance, found.sets) == (None, None, None)


def test_members_that_were_exchanged_do_not_pass(card: ModelCard, cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setenv(CACHE_VARIABLE, cache)
    swapped = replace(card, members=card.members[::-1])
    with pytest.raises(WeightsError, match="golden case"):
        SliceClassifier.load(swapped, device="cpu", runtime="torch")
    assert golden_case(card).member_probability.shape == (2, 2)


def test_prediction_sets_by_hand() -> None:
    bank = FeatureBank(np.eye(2, dtype=np.float32), neighbour=1)
    sets = ConformalThreshold(0.1, "lac", (0.6, 0.3), (9, 9), "draw", class_conditional=True)
    trust = Trust(Novelty((bank,), 1, 1, 0.1, 2, 1, 1, 1), sets)
    chance = np.array([0.1, 0.55, 0.65, 0.9], dtype=np.float32)
    logits = np.stack([np.zeros(4), np.log(chance / (1 - chance))], axis=1).astype(np.float32)
    features = np.ones((4, 2), dtype=np.float32)
    contract = OutputContract(("healthy", "tumour"), "tumour")
    found = combine([(logits, features)], output=contract, trust=trust)
    assert found.sets is not None
    # healthy belongs while p(tumour) <= 0.6, tumour from p(tumour) >= 0.7
    names = set_names(found.sets, negative="healthy", positive="tumour")
    assert names == ("healthy", "healthy", "neither", "tumour")
    turned = OutputContract(("tumour", "healthy"), "tumour")
    mirrored = Trust(trust.novelty, ConformalThreshold(0.1, "lac", (0.3, 0.6), (9, 9), "draw", class_conditional=True))
    again = combine([(logits[:, ::-1], features)], output=turned, trust=mirrored)
    np.testing.assert_array_equal(again.sets, found.sets)
    with pytest.raises(WeightsError, match="gives none"):
        combine([(logits, None)], output=contract, trust=trust)
