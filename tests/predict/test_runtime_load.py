"""The packaged demo model, on every engine, with and without a cache."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from osteon.errors import BackendError, UnknownLabelError, WeightsError
from osteon.nets import build_network
from osteon.predict import runtime, runtime_choice
from osteon.predict.runtime import SliceClassifier
from osteon.predict.runtime_cache import CACHE_VARIABLE
from osteon.weights import ModelCard, find_card, golden_case, read_card, verify_card

NAME = "mobilenet_v2.phantom"
TOLERANCE = 1e-4
"""Of a probability, float32, OpenVINO against torch, trained weights."""


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return find_card(NAME)


@pytest.fixture(scope="module")
def warm_cache(tmp_path_factory: pytest.TempPathFactory, card: ModelCard) -> Path:
    """A cache in which the demo model was compiled once."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder))
        SliceClassifier.load(card, device="cpu", runtime="openvino", precision="float32")
    return folder


@pytest.fixture
def cache(warm_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that a test may spoil."""
    copy = tmp_path / "cache"
    shutil.copytree(warm_cache, copy)
    monkeypatch.setenv(CACHE_VARIABLE, str(copy))
    return copy


def _refuse_torch(*_: object, **__: object) -> None:
    pytest.fail("the network was built although a compiled one was cached")


def test_the_card_says_loudly_what_it_is(card: ModelCard) -> None:
    assert card.is_demo
    assert card.statement == "Trained on synthetic phantoms only. It has never seen a patient."
    assert card.results
    assert all(result.is_synthetic for result in card.results)
    assert sum(path.stat().st_size for path in card.folder.iterdir()) < 20_000_000
    assert verify_card(card) <= card.tolerance["float32"]


def test_half_precision_storage_and_every_engine_give_the_golden_output(card: ModelCard, cache: Path) -> None:
    import torch
    from safetensors.torch import load_file

    assert {value.dtype for value in load_file(card.weights.path).values()} == {torch.float16}
    case = golden_case(card)
    for engine in ("openvino", "torch"):
        classifier = SliceClassifier.load(card, device="cpu", runtime=engine, precision="float32")
        np.testing.assert_allclose(classifier.predict(case.crops), case.probability, atol=TOLERANCE)
        use = classifier.use()
        assert (use.name, use.runtime, use.device) == (NAME, f"{engine} float32", "cpu")
        assert (use.sha256, use.is_demo, use.statement) == (card.weights.sha256, True, card.statement)


def test_a_cached_model_needs_no_torch(card: ModelCard, cache: Path) -> None:
    program = (
        "import sys; from osteon.predict.runtime import SliceClassifier; from osteon.weights import find_card; "
        f"SliceClassifier.load(find_card({NAME!r}), device='cpu', runtime='openvino', precision='float32'); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'timm')))"
    )
    environment = {**os.environ, CACHE_VARIABLE: str(cache)}
    assert subprocess.run([sys.executable, "-c", program], check=False, env=environment).returncode == 0


def test_a_cached_model_of_other_weights_is_made_again(
    card: ModelCard, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    torch.manual_seed(0)
    other = build_network(card.architecture).eval()
    with monkeypatch.context() as patch:  # the cache then vouches for a network that is not the card's
        patch.setattr(runtime, "load_network", lambda *_, **__: other)
        shutil.rmtree(cache)
        with pytest.raises(WeightsError, match="golden case"):
            SliceClassifier.load(card, device="cpu", runtime="openvino", precision="float32")
    case = golden_case(card)
    healed = SliceClassifier.load(card, device="cpu", runtime="openvino", precision="float32")
    np.testing.assert_allclose(healed.predict(case.crops), case.probability, atol=TOLERANCE)
    monkeypatch.setattr(runtime, "load_network", _refuse_torch)
    SliceClassifier.load(card, device="cpu", runtime="openvino", precision="float32")


def test_changed_weights_are_refused_even_when_a_compiled_model_is_cached(
    card: ModelCard, cache: Path, tmp_path: Path
) -> None:
    folder = tmp_path / NAME
    shutil.copytree(card.folder, folder)
    changed = bytearray((folder / "weights.safetensors").read_bytes())
    changed[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(bytes(changed))
    with pytest.raises(WeightsError, match="was changed"):
        SliceClassifier.load(read_card(folder), device="cpu")


def test_without_openvino_torch_runs_the_model(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_choice, "has_package", lambda _: False)
    assert SliceClassifier.load(card, device="cpu").runtime == "torch float32"


def test_where_openvino_fails_torch_runs_the_model_and_says_so(
    card: ModelCard, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BackendError("this CPU is not known")

    monkeypatch.setattr(runtime, "OpenVinoRuntime", fail)
    with caplog.at_level(logging.WARNING):
        assert SliceClassifier.load(card, device="cpu").runtime == "torch float32"
    assert "this CPU is not known" in caplog.text
    with pytest.raises(BackendError, match="not known"):
        SliceClassifier.load(card, device="cpu", runtime="openvino")


def test_reduced_precision_needs_the_cards_word(card: ModelCard, cache: Path) -> None:
    silent = dataclasses.replace(card, tolerance={"float32": card.tolerance["float32"]})
    with pytest.raises(WeightsError, match="its card allows: float32"):
        SliceClassifier.load(silent, device="cpu", runtime="torch", precision="bfloat16")
    assert SliceClassifier.load(silent, device="cpu").runtime == "openvino float32"
    loose = dataclasses.replace(card, tolerance={"float32": 1e-4, "bfloat16": 2 * runtime.AUTO_BFLOAT16_TOLERANCE})
    assert SliceClassifier.load(loose, device="cpu").runtime == "openvino float32"
    strict = dataclasses.replace(card, tolerance={"float32": 1e-4, "bfloat16": 1e-12})
    assert SliceClassifier.load(strict, device="cpu").runtime == "openvino float32"  # tried, not proven, given up


def test_unknown_choices_and_absent_devices_are_answered(card: ModelCard) -> None:
    with pytest.raises(UnknownLabelError, match="did you mean 'float32'"):
        SliceClassifier.load(card, device="cpu", precision="float")
    with pytest.raises(UnknownLabelError, match="no device"):
        SliceClassifier.load(card, device="tpu")
    with pytest.raises(BackendError, match="use --device cpu"):
        SliceClassifier.load(card, device="cuda:99")
