"""What the tests of studies share: an embedder, loaded and proven once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from osteon.predict.embedder import Embedder


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    """The shipped backbone; loading takes seconds."""
    return Embedder.load()


@pytest.fixture(scope="module")
def loaded_once(embedder: Embedder) -> Iterator[None]:
    """Who asks for the shipped backbone gets the one that is loaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Embedder, "load", lambda *_: embedder)
        yield
