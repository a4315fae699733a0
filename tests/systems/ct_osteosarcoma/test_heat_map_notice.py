"""A network without a feature map is read without heat maps, and the reading says so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from osteon.data import Volume
from osteon.geometry import Grid
from osteon.nets import build_network
from osteon.predict.explain import networks as module
from osteon.predict.runtime import SliceClassifier
from osteon.systems.ct_osteosarcoma.heat_maps import leg_heat_maps


def test_a_transformer_has_a_notice_in_place_of_heat_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_networks", lambda _: [build_network("vit_tiny").eval()])
    grid = Grid.from_axes(shape=(2, 4, 4), spacing_mm=(1.0, 1.0, 1.0))
    volume = Volume(np.zeros((2, 4, 4), np.int16), grid, "CT", "HU")
    classifier = cast("SliceClassifier", SimpleNamespace(card=object()))
    maps, (notice,) = leg_heat_maps(volume, [], classifier)
    assert maps == ()
    assert (notice.code, notice.level) == ("no-heat-maps", "info")
    assert "transformer" in notice.text
