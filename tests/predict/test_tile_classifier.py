"""Tiles are classified alike by every engine, alone and in a stream, and only by models that prove themselves."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from osteon.data import TILE_CLASSES
from osteon.errors import BackendError, InputError, UnknownLabelError, WeightsError
from osteon.metrics.conformal import ConformalThreshold
from osteon.nets import build_network
from osteon.predict import tile_classifier
from osteon.predict.runtime_cache import CACHE_VARIABLE
from osteon.predict.tile_classifier import TileClassifier
from osteon.predict.tile_module import TileModule
from osteon.weights import FeatureBank, Novelty, Trust, find_card, golden_tiles, load_networks
from tests.slide_doubles import TILE, write_tile_card

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from osteon.weights import ModelCard

TOLERANCE = 2e-4
ENGINES = ("openvino", "torch")


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return write_tile_card(tmp_path_factory.mktemp("model"), members=2)


@pytest.fixture(scope="module")
def classifiers(card: ModelCard) -> dict[str, TileClassifier]:
    return {engine: TileClassifier.load(card, device="cpu", runtime=engine, threads=2) for engine in ENGINES}


@pytest.fixture
def tiles() -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, (11, TILE, TILE, 3), dtype=np.uint8)


def _plainly(card: ModelCard, tiles: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What a person would write: channels first, over 255, softmax at the temperature, the mean over members."""
    images = torch.from_numpy(tiles.astype(np.float32) / 255).permute(0, 3, 1, 2)
    with torch.inference_mode():
        members = load_networks(card)
        chances = [torch.softmax(member(images) / card.output.temperature, dim=1) for member in members]
        pooled = members[0].forward_features(images).mean(dim=(2, 3))  # type: ignore[operator]  # of the registry
    return torch.stack(chances).mean(dim=0).numpy(), pooled.numpy()


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gives_what_the_plain_networks_give(
    engine: str, classifiers: dict[str, TileClassifier], card: ModelCard, tiles: NDArray[np.uint8]
) -> None:
    probability, pooled = _plainly(card, tiles)
    assert np.ptp(probability, axis=0).max() > 0.01, "the tiles must differ for the test to mean anything"
    found = classifiers[engine].read(tiles)
    assert found.probability.dtype == np.float32
    np.testing.assert_allclose(found.probability, probability, atol=TOLERANCE)
    np.testing.assert_allclose(found.probability.sum(axis=1), 1, atol=1e-5)
    assert len(found.features) == 2
    for rows in found.features:
        np.testing.assert_allclose(rows, pooled, rtol=1e-3, atol=1e-3 * float(np.abs(pooled).max()))
    assert found.distance is None
    use = classifiers[engine].use()
    assert (use.runtime, use.members, use.temperatures) == (f"{engine} float32", 2, (1.5, 1.5))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("lengths", [(11,), (3, 0, 7, 1), (1,) * 11, (0, 11, 0)])
def test_a_stream_of_blocks_gives_what_the_whole_gives(
    engine: str, lengths: tuple[int, ...], classifiers: dict[str, TileClassifier], tiles: NDArray[np.uint8]
) -> None:
    whole = classifiers[engine].read(tiles)
    blocks = np.split(tiles, np.cumsum(lengths)[:-1])
    found = list(classifiers[engine].run(blocks))
    assert [len(block.probability) for block in found] == list(lengths)
    np.testing.assert_allclose(np.concatenate([block.probability for block in found]), whole.probability, atol=1e-6)


def test_no_tile_gives_empty_arrays(classifiers: dict[str, TileClassifier]) -> None:
    for classifier in classifiers.values():
        found = classifier.read(np.empty((0, TILE, TILE, 3), dtype=np.uint8))
        assert found.probability.shape == (0, len(TILE_CLASSES))
        assert list(classifier.run([])) == []


def test_a_stream_holds_two_blocks_at_most(classifiers: dict[str, TileClassifier], tiles: NDArray[np.uint8]) -> None:
    asked = 0

    def blocks() -> Iterator[NDArray[np.uint8]]:
        nonlocal asked
        for _ in range(20):
            asked += 1
            yield tiles[:2]

    most = 0
    for answered, _ in enumerate(classifiers["openvino"].run(blocks()), start=1):
        most = max(most, asked - answered)
    assert asked == 20
    assert most <= 1, "an answer leaves as soon as one more block was begun"


def test_what_stops_the_reading_passes_and_the_engine_goes_on(
    classifiers: dict[str, TileClassifier], tiles: NDArray[np.uint8]
) -> None:
    def broken() -> Iterator[NDArray[np.uint8]]:
        yield tiles
        raise InputError("the slide is damaged")

    for classifier in classifiers.values():
        before = classifier.probabilities(tiles)
        with pytest.raises(InputError, match="damaged"):
            list(classifier.run(broken()))
        left = classifier.run([tiles, tiles, tiles])
        next(left)
        left.close()
        np.testing.assert_array_equal(classifier.probabilities(tiles), before)


def test_other_tiles_are_refused(classifiers: dict[str, TileClassifier], tiles: NDArray[np.uint8]) -> None:
    for wrong in (tiles[:, :32], tiles[..., :1], tiles[0], np.zeros(tiles.shape)):
        with pytest.raises(InputError, match="takes uint8 tiles"):
            classifiers["torch"].probabilities(wrong)  # type: ignore[arg-type]  # what is tested


def _network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return build_network("mobilenet_v2_tiles").eval()


def test_a_base_that_members_share_is_run_once(card: ModelCard) -> None:
    shared = TileModule(load_networks(card))
    own = TileModule([_network(0), _network(1)])
    runs = []
    for module in (shared, own):
        count: list[int] = []
        for base in module.bases:
            base.register_forward_hook(lambda *_, count=count: count.append(1))
        module(torch.zeros(1, TILE, TILE, 3, dtype=torch.uint8))
        runs.append(len(count))
    assert runs == [1, 2]


def test_networks_in_memory_are_run_too(tiles: NDArray[np.uint8]) -> None:
    network = _network(3)
    images = torch.from_numpy(tiles.astype(np.float32) / 255).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = torch.softmax(network(images), dim=1).numpy()
    found = TileClassifier.from_networks(network, name="plain", size=TILE, runtime="torch")
    np.testing.assert_allclose(found.probabilities(tiles), expected, atol=TOLERANCE)
    with pytest.raises(WeightsError, match="no model card"):
        found.use()
    with pytest.raises(InputError, match="no network"):
        TileClassifier.from_networks([], name="none")


def _trust(features: NDArray[np.float32]) -> Trust:
    vectors = features / np.linalg.norm(features, axis=1, keepdims=True)
    bank = FeatureBank(vectors.astype(np.float16).astype(np.float32), 1, 0.01)
    return Trust(
        novelty=Novelty((bank,), 2.0, 1.5, 0.25, len(features), len(features), 3, 3),
        conformal=ConformalThreshold(0.1, "lac", (0.9,) * 3, (3,) * 3, "draw", class_conditional=True, note=""),
    )


def test_novelty_is_the_distance_of_the_features(tmp_path: Path, tiles: NDArray[np.uint8]) -> None:
    network = _network(0)
    plain = TileClassifier.from_networks(network, name="plain", size=TILE, runtime="torch")
    known, strange = tiles[:5], np.zeros_like(tiles[:3])
    strange[..., 1] = 255
    card = write_tile_card(tmp_path, trust=_trust(plain.read(known).features[0]))
    found = TileClassifier.load(card, device="cpu", runtime="torch")
    assert found.trust is not None
    near, far = found.read(known).distance, found.read(strange).distance
    assert near is not None
    assert far is not None
    assert float(near.max()) < float(far.min())
    assert next(iter(found.run([known]))).distance is not None


def test_a_model_that_does_not_reproduce_its_golden_tiles_is_not_run(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    with monkeypatch.context() as patch:  # the cache then vouches for a network that is not the card's
        patch.setattr(tile_classifier, "load_networks", lambda _: [_network(5), _network(6)])
        for engine in ENGINES:
            with pytest.raises(WeightsError, match="golden tiles"):
                TileClassifier.load(card, device="cpu", runtime=engine)
    healed = TileClassifier.load(card, device="cpu", runtime="openvino")
    case = golden_tiles(card)
    np.testing.assert_allclose(healed.probabilities(case.tiles), case.probability, atol=TOLERANCE)
    monkeypatch.setattr(tile_classifier, "load_networks", lambda _: pytest.fail("a compiled one was cached"))
    TileClassifier.load(card, device="cpu", runtime="openvino")


def test_a_changed_file_is_refused_though_a_compiled_model_is_cached(card: ModelCard, tmp_path: Path) -> None:
    TileClassifier.load(card, device="cpu", runtime="openvino")
    copy = tmp_path / card.folder.name
    shutil.copytree(card.folder, copy)
    with (copy / "weights.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    changed = replace(card, members=tuple(replace(each, path=copy / each.path.name) for each in card.members))
    with pytest.raises(WeightsError):
        TileClassifier.load(changed, device="cpu", runtime="openvino")


def test_only_what_the_card_allows_is_computed(card: ModelCard) -> None:
    with pytest.raises((WeightsError, BackendError)):
        TileClassifier.load(card, device="cpu", runtime="openvino", precision="bfloat16")
    with pytest.raises(UnknownLabelError, match="precision"):
        TileClassifier.load(card, device="cpu", precision="float8")
    with pytest.raises(WeightsError, match="histology tiles"):
        TileClassifier.load(find_card("mobilenet_v2.phantom"))
    others = replace(card, output=replace(card.output, classes=("a", "b", "viable")))
    with pytest.raises(WeightsError, match="non_tumour"):
        TileClassifier.load(others)


def test_another_engine_takes_over_only_when_openvino_cannot(
    card: ModelCard, tiles: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BackendError("OpenVINO cannot compile the network")

    monkeypatch.setattr(tile_classifier, "OpenVinoTiles", refuse)
    found = TileClassifier.load(card, device="cpu")
    assert found.runtime == "torch float32"
    assert found.probabilities(tiles).shape == (11, 3)
    with pytest.raises(BackendError):
        TileClassifier.load(card, device="cpu", runtime="openvino")
