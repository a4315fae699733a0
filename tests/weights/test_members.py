"""A model of several members, and what it knows of its limits, come back as they were written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from osteon.errors import WeightsError
from osteon.nets import build_network
from osteon.predict.trust import FoldMaterial, fit_trust
from osteon.weights import (
    CARD_NAME,
    ModelCard,
    Trust,
    golden_case,
    load_networks,
    read_card,
    read_trust,
    round_to_half,
    verify_card,
    verify_files,
    write_model,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

CROPS = np.random.default_rng(0).random((2, 64, 64), dtype=np.float32)


def _fold(seed: int) -> FoldMaterial:
    generator = np.random.default_rng(seed)
    rows = (1 + generator.random((60, 8))).astype(np.float32)
    who = np.repeat([f"patient {k}" for k in range(10)], 3)
    truth = np.arange(30) % 2 == 0
    scores = np.where(truth, 0.7, 0.2).astype(np.float32)
    return FoldMaterial(rows[:30], rows[30:], who, np.full(30, "left"), scores, truth)


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
def trust() -> Trust:
    return fit_trust([_fold(1), _fold(2), _fold(3)], error_rate=0.2)


def _document(card_document: dict[str, Any], **output: object) -> dict[str, Any]:
    return {**card_document, "output": {**card_document["output"], **output}}


@pytest.fixture(scope="module")
def ensemble(
    networks: list[nn.Module], trust: Trust, card_document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> ModelCard:
    document = _document(card_document, temperatures=[1.0, 2.0, 0.5])
    return write_model(tmp_path_factory.mktemp("models"), document, networks, golden_crops=CROPS, trust=trust)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(logits[:, 0].astype(np.float64) - logits[:, 1]))


def test_the_probability_of_an_ensemble_is_the_mean_of_its_members_each_at_its_temperature(ensemble: ModelCard) -> None:
    import torch

    case = golden_case(ensemble)
    images = torch.from_numpy(case.crops)[:, None]
    with torch.inference_mode():
        logits = [network(images).numpy() for network in load_networks(ensemble)]
    np.testing.assert_array_equal(case.logits, np.stack(logits))
    each = [_softmax(rows / t) for rows, t in zip(logits, (1.0, 2.0, 0.5), strict=True)]
    np.testing.assert_allclose(case.member_probability, each, atol=1e-6)
    np.testing.assert_allclose(case.probability, np.mean(each, axis=0), atol=1e-6)
    assert np.ptp(case.member_probability[:, 0]) > 1e-3  # members differ: a mix-up would show
    assert verify_card(ensemble) == 0.0


def test_trust_comes_back_as_it_was_fitted(ensemble: ModelCard, trust: Trust) -> None:
    back = read_trust(ensemble)
    assert back is not None
    assert back.conformal == trust.conformal
    features = [_fold(seed).train_features for seed in (4, 5, 6)]
    np.testing.assert_array_equal(back.novelty.slice_distance(features), trust.novelty.slice_distance(features))
    assert back.novelty.region_threshold == trust.novelty.region_threshold


def test_too_few_patients_make_a_set_that_always_holds_the_class(
    networks: list[nn.Module], card_document: dict[str, Any], tmp_path: Path
) -> None:
    few = fit_trust([_fold(1)], error_rate=0.01)
    card = write_model(tmp_path, card_document, networks[0], golden_crops=CROPS, trust=few)
    assert card.document["trust"]["conformal"]["thresholds"] == [None, None]
    back = read_trust(card)
    assert back is not None
    assert back.conformal.quantiles == (np.inf, np.inf)


def test_a_model_of_one_network_has_one_member_and_no_trust(random_card: ModelCard) -> None:
    assert random_card.members == (random_card.weights,)
    assert read_trust(random_card) is None
    assert random_card.operating_point is None


def test_a_changed_member_is_found(ensemble: ModelCard) -> None:
    file = ensemble.members[2].path
    data = file.read_bytes()
    try:
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(WeightsError, match="weights_3"):
            verify_files(ensemble)
    finally:
        file.write_bytes(data)


def test_cards_that_contradict_themselves_are_refused(ensemble: ModelCard, tmp_path: Path) -> None:
    def reread(change: dict[str, Any]) -> ModelCard:
        (tmp_path / CARD_NAME).write_text(json.dumps({**ensemble.document, **change}), encoding="utf-8")
        return read_card(tmp_path)

    with pytest.raises(WeightsError, match="2 temperatures for 3 members"):
        reread({"output": {**ensemble.document["output"], "temperatures": [1.0, 1.0]}})
    without = {name: entry for name, entry in ensemble.document["files"].items() if name != "trust"}
    with pytest.raises(WeightsError, match="belong together"):
        reread({"files": without})


def test_trust_for_other_networks_is_refused(
    networks: list[nn.Module], trust: Trust, card_document: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match="fitted for 3 networks, 1 are given"):
        write_model(tmp_path, card_document, networks[:1], golden_crops=CROPS, trust=trust)
    with pytest.raises(WeightsError, match="at least one"):
        write_model(tmp_path, card_document, [], golden_crops=CROPS)
