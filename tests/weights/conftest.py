"""A model folder with random weights, as small as the registry allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from osteon.nets import build_network
from osteon.weights import ModelCard, round_to_half, write_model
from tests.cards import plain_card

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def written_card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    """The model folder; a test leaves it as it is."""
    import torch

    torch.manual_seed(0)
    network = build_network("densenet_small").eval()
    round_to_half(network)
    images = np.random.default_rng(0).random((2, 64, 64), dtype=np.float32)
    return write_model(tmp_path_factory.mktemp("models"), plain_card(), [network], golden={"image": images})


@pytest.fixture
def random_card(tmp_path: Path, written_card: ModelCard) -> ModelCard:
    """A copy of it that a test may spoil."""
    import shutil

    from osteon.weights import read_card

    target = tmp_path / "models" / written_card.name
    shutil.copytree(written_card.folder, target)
    return read_card(target)
