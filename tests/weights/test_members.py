"""A model of several members, and what it knows of its limits, come back as they were written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from osteon.errors import WeightsError
from osteon.nets import build_network
from osteon.predict.out_of_distribution import FoldMaterial, fit_limits
from osteon.weights import (
    Classes,
    Limits,
    ModelCard,
    load_networks,
    read_limits,
    round_to_half,
    verify_card,
    verify_files,
    write_model,
)
from osteon.weights.card import CARD_NAME
from osteon.weights.load import golden_case
from tests.cards import plain_card, reread

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

GOLDEN = {"image": np.random.default_rng(0).random((2, 64, 64), dtype=np.float32)}


def _fold(seed: int) -> FoldMaterial:
    generator = np.random.default_rng(seed)
    rows = (1 + generator.random((60, 8))).astype(np.float32)
    who = np.repeat([f"patient {k}" for k in range(10)], 3)
    truth = np.arange(30) % 2
    scores = np.where(truth, 0.7, 0.2).astype(np.float32)
    chance = np.stack([1 - scores, scores], axis=1)
    return FoldMaterial(rows[:30], rows[30:], who, np.full(30, "left"), chance, truth)


@pytest.fixture(scope="module")
def networks() -> list[nn.Module]:
    import torch

    built = []
    for seed in (1, 2, 3):
        torch.manual_seed(seed)
        network = build_network("densenet_small").eval()
        torch.nn.init.normal_(network.get_parameter("classifier.weight"), std=1.0)
        round_to_half(network)
        built.append(network)
    return built


@pytest.fixture(scope="module")
def limits() -> Limits:
    return fit_limits([_fold(1), _fold(2), _fold(3)], error_rate=0.2)


@pytest.fixture(scope="module")
def ensemble(networks: list[nn.Module], limits: Limits, tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    card = plain_card(output=Classes(("healthy", "tumour"), "tumour", (1.0, 2.0, 0.5), "by the test"))
    return write_model(tmp_path_factory.mktemp("models"), card, networks, golden=GOLDEN, limits=limits)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(logits[:, 0].astype(np.float64) - logits[:, 1]))


def test_the_probability_of_an_ensemble_is_the_mean_of_its_members_each_at_its_temperature(ensemble: ModelCard) -> None:
    import torch

    case = golden_case(ensemble)
    images = torch.from_numpy(case.image)[:, None]
    with torch.inference_mode():
        logits = [network(images).numpy() for network in load_networks(ensemble)]
    each = [_softmax(rows / t) for rows, t in zip(logits, (1.0, 2.0, 0.5), strict=True)]
    np.testing.assert_allclose(case.expected[:, :, 1], each, atol=1e-6)
    np.testing.assert_allclose(case.mean[:, 1], np.mean(each, axis=0), atol=1e-6)
    assert np.ptp(case.expected[:, 0, 1]) > 1e-3  # members differ: a mix-up would show
    assert verify_card(ensemble) < 1e-5


def test_limits_come_back_as_they_were_fitted(ensemble: ModelCard, limits: Limits) -> None:
    back = read_limits(ensemble)
    assert back is not None
    assert back.sets == limits.sets
    layers = [_fold(seed).train_layers for seed in (4, 5, 6)]
    np.testing.assert_array_equal(back.distance(layers), limits.distance(layers))
    assert back.known.region_threshold == limits.known.region_threshold


def test_too_few_patients_make_a_set_that_always_holds_the_class(networks: list[nn.Module], tmp_path: Path) -> None:
    few = fit_limits([_fold(1)], error_rate=0.01)
    card = write_model(tmp_path, plain_card(), networks[:1], golden=GOLDEN, limits=few)
    assert card.prediction_sets is not None
    assert card.prediction_sets.thresholds == (None, None)
    back = read_limits(card)
    assert back is not None
    assert back.sets is not None
    assert back.sets.quantiles == (np.inf, np.inf)


def test_a_model_of_one_network_has_one_member_and_no_limits(random_card: ModelCard) -> None:
    assert random_card.members == (random_card.weights,)
    assert read_limits(random_card) is None
    assert random_card.operating_point is None


def test_a_changed_member_is_found(ensemble: ModelCard) -> None:
    path = ensemble.folder / ensemble.members[2].path
    data = path.read_bytes()
    try:
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(WeightsError, match="weights_3"):
            verify_files(ensemble)
    finally:
        path.write_bytes(data)


def test_cards_that_contradict_themselves_are_refused(ensemble: ModelCard) -> None:
    text = (ensemble.folder / CARD_NAME).read_text()
    try:
        with pytest.raises(WeightsError, match="2 temperatures for 3 members"):
            reread(ensemble, lambda document: document["output"].update(temperatures=[1.0, 1.0]))
        (ensemble.folder / CARD_NAME).write_text(text)
        with pytest.raises(WeightsError, match="2 members; there are 3"):
            reread(ensemble, lambda document: document["out_of_distribution"].update(units=[[1.0], [1.0]]))
        (ensemble.folder / CARD_NAME).write_text(text)
        with pytest.raises(WeightsError, match="features that out_of_distribution needs"):
            reread(ensemble, lambda document: document["out_of_distribution"].pop("file"))
    finally:
        (ensemble.folder / CARD_NAME).write_text(text)
    assert json.loads(text)["out_of_distribution"]["file"]["path"] == "limits.safetensors"


def test_limits_for_other_networks_are_refused(networks: list[nn.Module], limits: Limits, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="fitted for 3 networks, 1 are given"):
        write_model(tmp_path, plain_card(), networks[:1], golden=GOLDEN, limits=limits)
