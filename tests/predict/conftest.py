"""Two small networks with weights that spread their scores, and a model folder of them."""

from __future__ import annotations

import numpy as np
import pytest

from osteon.nets import build_network
from osteon.predict.out_of_distribution import FoldMaterial, fit_limits
from osteon.weights import Classes, ModelCard, write_model
from tests.cards import plain_card

SIZE = 64


@pytest.fixture(scope="session")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    """Two members with limits, float32; nobody changes it."""
    import torch

    from osteon.nets.deployed import DeployedClassifier

    networks, folds = [], []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network = build_network("densenet_small").eval()
        torch.nn.init.normal_(network.get_parameter("classifier.weight"), std=2.0)
        with torch.inference_mode():
            rows = DeployedClassifier([network])(torch.rand(24, SIZE, SIZE))[1][:, 0].numpy()
        names, truth = np.arange(12).astype(str), np.arange(12) % 2
        folds.append(FoldMaterial(rows[:12], rows[12:], names, names, np.full((12, 2), 0.5, np.float32), truth))
        networks.append(network)
    card = plain_card(
        name="densenet_small.two",
        storage="float32",
        output=Classes(("healthy", "tumour"), "tumour", (1.0, 2.0), "chosen by the test"),
    )
    golden = {"image": np.random.default_rng(0).random((2, SIZE, SIZE), dtype=np.float32)}
    folder = tmp_path_factory.mktemp("models")
    return write_model(folder, card, networks, golden=golden, limits=fit_limits(folds, error_rate=0.2))
