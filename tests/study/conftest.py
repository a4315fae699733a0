"""What the tests of studies share: an embedder, loaded and proven once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from osteon.predict.predictor import Predictor
from osteon.weights.backbone import read_backbone


@pytest.fixture(scope="session")
def embedder() -> Predictor:
    """The shipped backbone; loading takes seconds."""
    return Predictor.load(read_backbone("mobilenet_v2"), device="cpu")


@pytest.fixture(scope="module")
def loaded_once(embedder: Predictor) -> Iterator[None]:
    """Who asks for the shipped backbone gets the one that is loaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Predictor, "load", lambda *_, **__: embedder)
        yield
