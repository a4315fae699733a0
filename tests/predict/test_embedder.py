"""Embeddings do not depend on the engine, on the batch, or on how the crops are handed over."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from osteon.errors import BackendError, InputError, UnknownLabelError
from osteon.nets import build_network
from osteon.predict import embedder as module
from osteon.predict.embedder import Embedder
from osteon.weights.backbone import read_backbone


@pytest.fixture(scope="module")
def plain() -> Embedder:
    return Embedder.load(runtime="torch")


@pytest.fixture(scope="module")
def compiled() -> Embedder:
    return Embedder.load(runtime="openvino")


def crops(number: int, rows: int = 64, columns: int = 64) -> np.ndarray:
    """Smooth noise in 0..1."""
    noise = np.random.default_rng(number).random((number, rows // 8, columns // 8), dtype=np.float32)
    return np.ascontiguousarray(noise.repeat(8, axis=1).repeat(8, axis=2))


def test_golden_features_come_out(plain: Embedder) -> None:
    golden = load_file(read_backbone("mobilenet_v2").golden.path)
    found = plain.embed(golden["crops"].astype(np.float32))
    np.testing.assert_allclose(found, golden["features"], atol=1e-3 * float(golden["features"].max()))
    assert (plain.name, plain.dimensions, plain.device) == ("mobilenet_v2.imagenet", 1280, "cpu")
    assert plain.sha256 == read_backbone("mobilenet_v2").weights.sha256


@pytest.mark.parametrize("size", [(64, 64), (72, 40)])
def test_engines_agree(plain: Embedder, compiled: Embedder, size: tuple[int, int]) -> None:
    images = crops(3, *size)
    one, other = plain.embed(images), compiled.embed(images)
    assert one.shape == other.shape == (3, 1280)
    assert one.dtype == other.dtype == np.float32
    cosine = (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    assert cosine.min() > 0.9999
    assert (plain.runtime, compiled.runtime) == ("torch float32", "openvino float32")


def test_batch_equals_single_and_blocks_may_differ_in_size(plain: Embedder) -> None:
    small, large = crops(3), crops(2, 40, 96)
    told: list[tuple[str, int, int]] = []
    found = plain.embed(iter([small[:0], small, large]), progress=lambda *step: told.append(step), total=5)
    singles = [plain.embed(image[None])[0] for image in [*small, *large]]
    np.testing.assert_allclose(found, np.stack(singles), atol=1e-4)
    assert told == [("embedding images", 3, 5), ("embedding images", 5, 5)]


def test_no_crops_give_no_embeddings(plain: Embedder) -> None:
    assert plain.embed(np.empty((0, 64, 64), np.float32)).shape == (0, 1280)
    assert plain.embed(iter([])).shape == (0, 1280)


def test_any_network_of_the_registry_embeds() -> None:
    torch.manual_seed(0)
    own = Embedder(build_network("resnet18", in_channels=3), name="own", channels=3, runtime="torch")
    assert own.embed(crops(2)).shape == (2, 512)


def test_only_a_few_sizes_stay_compiled(compiled: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled.embed(crops(1))
    monkeypatch.setattr(module, "_MOST_SIZES", 1)
    compiled.embed(crops(1, 32, 32))
    assert list(compiled._compiled) == [(32, 32)]


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (np.zeros((1, 16, 64), np.float32), "at least 32 pixels"),
        (np.zeros((64, 64), np.float32), "at least 32 pixels"),
        (np.full((1, 64, 64), 255.0, np.float32), "from 0 to 1"),
        (np.full((1, 64, 64), np.nan, np.float32), "from 0 to 1"),
    ],
)
def test_other_crops_are_refused(plain: Embedder, block: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        plain.embed(block)


def test_engines_and_devices_that_are_not_there_are_named() -> None:
    network = build_network("densenet_small")
    with pytest.raises(UnknownLabelError, match="no runtime 'onnx'"):
        Embedder(network, name="x", runtime="onnx")
    with pytest.raises(BackendError, match="use runtime torch"):
        Embedder(network, name="x", runtime="openvino", device="cuda:0")
    with pytest.raises(BackendError, match="cuda:99"):
        Embedder(network, name="x", device="cuda:99")
