"""A network without a feature map is read without heat maps, and the reading says so."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from osteon.nets import build_network
from osteon.predict import heat_maps as module
from osteon.predict.predictor import Predictor, grey_crops
from osteon.weights import ModelCard


def test_a_transformer_has_a_notice_in_place_of_heat_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build_network("vit_tiny").eval()
    monkeypatch.setattr(module, "load_networks", lambda _: [network])
    one = Predictor.from_networks(network, name="vit_tiny", inputs=grey_crops(32), runtime="torch")
    crops = np.zeros((1, 32, 32), np.float32)
    assert one.heat_maps(crops) == (None, ())
    one.card = cast("ModelCard", object())
    maps, (notice,) = one.heat_maps(crops)
    assert maps is None
    assert (notice.code, notice.level) == ("no-heat-maps", "info")
    assert "transformer" in notice.text
    monkeypatch.setattr(module, "has_package", lambda _: False)
    assert "need torch" in one.heat_maps(crops)[1][0].text
