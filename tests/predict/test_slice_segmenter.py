"""The quick way to run a segmenter gives the maps of the plain network, for every architecture and engine."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from osteon.errors import BackendError, InputError, UnknownLabelError, WeightsError
from osteon.nets import network_names
from osteon.nets.segmenter import Segmenter
from osteon.nets.segmenter_description import SEGMENTERS, SEQUENCES
from osteon.nets.segmenter_pair import SegmenterPair
from osteon.predict import slice_segmenter
from osteon.predict.deployed_segmenter import (
    DeployedSegmenter,
    FirstBlock,
    LastNodes,
    MiddleNodes,
    round_kernels,
)
from osteon.predict.runtime_cache import CACHE_VARIABLE
from osteon.predict.runtime_maps import OpenVinoMaps, OpenVinoPartMaps, TorchMaps
from osteon.predict.runtime_openvino import _serialised, convert_module, import_openvino, source_digest
from osteon.predict.slice_segmenter import SliceSegmenter
from osteon.weights import MapContract, golden_maps, mask_difference, segmenter_entries, write_segmenter

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from openvino import Model
    from torch import nn

    from osteon.weights import ModelCard

WIDTHS = (4, 4, 8)  # three levels: a third of the nodes to compile
SIZE = (48, 32)
TOLERANCE = 2e-5
ENGINES = [("openvino", "float32"), ("openvino", "bfloat16"), ("torch", "float32")]


def _settled(network: nn.Module) -> nn.Module:
    """Batch normalisation with statistics of images, so that activations have the sizes of a trained network."""
    network.train()
    with torch.no_grad():
        for _ in range(4):
            network(torch.rand(2, 1, 32, 32).expand(-1, 3, -1, -1))
    return network.eval()


def _tiny(name: str, seed: int = 0) -> nn.Module:
    """An architecture of the family at a few channels a level."""
    torch.manual_seed(seed)
    if name in SEQUENCES:
        bone, lesion = (replace(SEGMENTERS[each], widths=WIDTHS, has_side_heads=False) for each in SEQUENCES[name])
        return _settled(SegmenterPair(Segmenter(replace(bone, outputs=("bone",))), Segmenter(lesion)))
    return _settled(Segmenter(replace(SEGMENTERS[name], widths=WIDTHS)))


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (5, *SIZE), dtype=np.uint8)


def _plainly(
    network: nn.Module, images: NDArray[np.uint8], temperatures: tuple[float, ...] = ()
) -> NDArray[np.float32]:
    """What a person would write: three equal channels of grey over 255, the network, the sigmoid."""
    with torch.inference_mode():
        logits = network(torch.from_numpy(images.astype(np.float32) / 255)[:, None].expand(-1, 3, -1, -1)).numpy()
    for index, temperature in enumerate(temperatures):
        logits[:, index] /= temperature
    return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float32)


EVERY = [("torch", name) for name in network_names(task="segmentation")]
# every kind of block, gate, upsampling, decoder and a pair; others are made of the same parts
COMPILED = [("openvino", name) for name in ("attunet", "unetpp_plain", "hybrid_attunetpp", "unet_then_attunetpp")]


@pytest.mark.parametrize(("runtime", "name"), EVERY + COMPILED)
def test_every_architecture_gives_the_maps_of_the_plain_network(
    runtime: str, name: str, images: NDArray[np.uint8]
) -> None:
    network = _tiny(name)
    expected = _plainly(network, images)
    segmenter = SliceSegmenter.from_networks(network, name=name, runtime=runtime, threads=2)
    found = segmenter.probabilities(images)
    assert tuple(found) == network.outputs
    for index, title in enumerate(segmenter.maps):
        assert found[title].dtype == np.float32
        if name in SEQUENCES and title == "lesion":  # a bone pixel on the threshold may fall to either side
            assert np.mean(np.abs(found[title] - expected[:, index]) > TOLERANCE) < 0.02
        else:
            np.testing.assert_allclose(found[title], expected[:, index], atol=TOLERANCE)


@pytest.mark.parametrize("name", sorted(SEGMENTERS))
def test_three_parts_are_the_whole(name: str, images: NDArray[np.uint8]) -> None:
    deployed = DeployedSegmenter(_tiny(name), temperatures=(2.0,) * len(SEGMENTERS[name].outputs))
    with torch.inference_mode():
        shown = torch.from_numpy(images)[:, None]
        beginning = FirstBlock(deployed)(shown.movedim(1, 3))
        given = MiddleNodes(deployed)(beginning)
        given = given if SEGMENTERS[name].is_nested else (beginning, *given)
        np.testing.assert_allclose(LastNodes(deployed)(*given).numpy(), deployed(shown).numpy(), atol=1e-6)


def test_rounded_kernels_keep_their_sums_and_are_values_of_bfloat16() -> None:
    weights = torch.randn(8, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    rounded = round_kernels(weights)
    assert torch.equal(rounded, rounded.bfloat16().float())
    assert rounded.shape == weights.shape
    # a weight moves by half of its last place, and what the larger one before it handed on
    assert bool(((rounded - weights).abs() <= 2**-7 * weights.abs().amax(dim=(2, 3), keepdim=True)).all())
    errors = (rounded.sum(dim=(2, 3)) - weights.sum(dim=(2, 3))).abs()
    plain = (weights.bfloat16().float().sum(dim=(2, 3)) - weights.sum(dim=(2, 3))).abs()
    assert float(errors.mean()) < 0.25 * float(plain.mean())


def test_only_what_is_computed_in_bfloat16_is_rounded(images: NDArray[np.uint8]) -> None:
    network = _tiny("hybrid_attunetpp")
    exact, reduced = (DeployedSegmenter(network, precision=each) for each in ("float32", "bfloat16"))
    same = {
        name
        for (name, one), (_, two) in zip(exact.named_parameters(), reduced.named_parameters(), strict=True)
        if torch.equal(one, two) and one.dim() == 4
    }
    kept = {name for name in same if ".x00." in name or ".x02." in name or ".head." in name}
    assert kept == same
    assert len(kept) == 3 + 2 * 7
    with torch.inference_mode():
        shown = torch.from_numpy(images)[:, None]
        np.testing.assert_allclose(reduced(shown).numpy(), exact(shown).numpy(), atol=0.05)


def test_the_deployed_network_is_a_frozen_copy(images: NDArray[np.uint8]) -> None:
    network = _tiny("hybrid_attunetpp")
    network.train()
    before = copy.deepcopy(network.state_dict())
    deployed = DeployedSegmenter(network, temperatures=(2.0, 0.5))
    assert network.training
    with torch.inference_mode():
        found = deployed(torch.from_numpy(images)[:, None]).numpy()
    np.testing.assert_allclose(found, _plainly(network.eval(), images, (2.0, 0.5)), atol=TOLERANCE)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(value.requires_grad for value in deployed.parameters())


@pytest.mark.parametrize(("runtime", "precision"), ENGINES)
def test_engines_agree_on_any_size(runtime: str, precision: str, images: NDArray[np.uint8]) -> None:
    network = _tiny("hybrid_attunetpp")
    try:
        segmenter = SliceSegmenter.from_networks(network, name="tiny", runtime=runtime, precision=precision, threads=1)
        segmenter.probabilities(images[:1])
    except BackendError as error:
        pytest.skip(str(error))
    assert segmenter.runtime == f"{runtime} {precision}"
    assert segmenter.device == "cpu"
    for rows, columns in ((48, 32), (16, 32), (32, 16), (48, 32)):  # more sizes than are kept, and the first again
        some = images[:2, :rows, :columns]
        expected = _plainly(network, some)
        found = np.stack(list(segmenter.probabilities(some).values()), axis=1)
        if precision == "float32":
            np.testing.assert_allclose(found, expected, atol=TOLERANCE)
        else:
            np.testing.assert_allclose(found, expected, atol=0.1)
            assert mask_difference(found, expected, thresholds=[0.5, 0.5]) < 0.05


def test_an_ensemble_is_the_mean_of_its_sigmoids(images: NDArray[np.uint8]) -> None:
    members = [_tiny("hybrid_attunetpp", seed) for seed in (1, 2, 3)]
    contracts = (MapContract("lesion", 0.3, temperature=3.0), MapContract("bone"))
    segmenter = SliceSegmenter.from_networks(members, name="three", contracts=contracts, runtime="torch")
    expected = np.mean([_plainly(each, images, (3.0, 1.0)) for each in members], axis=0)
    for index, found in enumerate(segmenter.probabilities(images).values()):
        np.testing.assert_allclose(found, expected[:, index], atol=TOLERANCE)
    assert segmenter.thresholds == {"lesion": 0.3, "bone": 0.5}


def test_black_slices_have_the_maps_that_the_network_gives_them(images: NDArray[np.uint8]) -> None:
    network = _tiny("attunetpp")
    images[1], images[3] = 0, 0
    segmenter = SliceSegmenter.from_networks(network, name="tiny", runtime="openvino")
    expected = _plainly(network, images)[:, 0]
    np.testing.assert_allclose(segmenter.probabilities(images)["lesion"], expected, atol=TOLERANCE)
    one_by_one = [segmenter.probabilities(image[None])["lesion"][0] for image in images]
    np.testing.assert_array_equal(segmenter.probabilities(images)["lesion"], np.stack(one_by_one))


def test_slabs_are_read_one_after_the_other(images: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slice_segmenter, "_BLOCK", 2)
    segmenter = SliceSegmenter.from_networks(_tiny("unet"), name="tiny", runtime="torch")
    made: list[int] = []

    def slabs() -> Any:  # noqa: ANN401 - a generator of slabs
        for start in (0, 3, 5):
            made.append(start)
            yield images[start : start + 3]

    told: list[tuple[str, int, int]] = []
    parts = []
    for number, maps in enumerate(
        segmenter.blocks(slabs(), progress=lambda *news: told.append(news), total=5), start=1
    ):
        assert len(made) == number
        parts.append(maps["lesion"])
    assert [len(part) for part in parts] == [3, 2, 0]
    assert told == [("segmenting slices", done, 5) for done in (3, 5, 5)]
    np.testing.assert_allclose(np.concatenate(parts), segmenter.probabilities(images)["lesion"], atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "kind", "words"),
    [
        ((1, 40, 32), np.uint8, "multiples of 16; found 40 x 32"),
        ((1, 0, 32), np.uint8, "found 0 x 32"),
        ((48, 32), np.uint8, r"found uint8 \(48, 32\)"),
        ((1, 48, 32), np.float32, "takes uint8 images"),
    ],
)
def test_images_of_another_kind_are_refused(shape: tuple[int, ...], kind: Any, words: str) -> None:  # noqa: ANN401
    segmenter = SliceSegmenter.from_networks(_tiny("unet"), name="tiny", runtime="torch")
    with pytest.raises(InputError, match=words):
        segmenter.probabilities(np.zeros(shape, dtype=kind))


def test_networks_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(InputError, match="from 2 networks with the outputs"):
        SliceSegmenter.from_networks([_tiny("unet"), _tiny("hybrid_attunetpp")], name="two")
    with pytest.raises(InputError, match="contracts for"):
        SliceSegmenter.from_networks(_tiny("unet"), name="one", contracts=[MapContract("bone")])
    with pytest.raises(InputError, match="from 0 networks"):
        SliceSegmenter.from_networks([], name="none")
    with pytest.raises(InputError, match="1 temperatures"):
        DeployedSegmenter(_tiny("hybrid_attunetpp"), temperatures=(1.0,))
    with pytest.raises(InputError, match="a segmenter was asked for; found Linear"):
        DeployedSegmenter(torch.nn.Linear(1, 1))
    with pytest.raises(UnknownLabelError, match="no precision 'float16'"):
        SliceSegmenter.from_networks(_tiny("unet"), name="one", precision="float16")
    with pytest.raises(WeightsError, match="no model card"):
        SliceSegmenter.from_networks(_tiny("unet"), name="one", runtime="torch").use()


Kept = tuple["ModelCard", list["nn.Module"]]


def _model(parent: Path, members: int) -> Kept:
    """A model as it is shipped, with five levels, and its networks."""
    from osteon.nets import build_network

    torch.manual_seed(0)
    networks = [_settled(build_network("hybrid_attunetpp_small")) for _ in range(members)]
    contracts = (MapContract("lesion", 0.4, "by the test", 1.5), MapContract("bone", 0.5, "by the test", 1.5))
    training = {
        "data": "none",
        "is_synthetic": True,
        "split": "none",
        "split_sha256": "0" * 64,
        "script": "none",
        "date": "2026-11-21",
        "seed": 0,
    }
    document = {
        "schema_version": 1,
        "name": "hybrid_attunetpp_small.tiny",
        "version": "1.0.0",
        "task": "ct_metastasis",
        "architecture": "hybrid_attunetpp_small",
        "storage": "float32",
        **segmenter_entries(contracts, golden="noise", bfloat16_mask_tolerance=0.1),
        "training": training,
        "results": [],
        "licence": "Apache-2.0",
        "intended_use": "tests",
        "exclusions": ["everything else"],
        "is_demo": True,
        "statement": "Random weights.",
    }
    golden = np.random.default_rng(1).integers(0, 256, (1, 32, 32), dtype=np.uint8)
    return write_segmenter(parent, document, networks, golden_images=golden), networks


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return _model(tmp_path_factory.mktemp("two"), 2)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return _model(tmp_path_factory.mktemp("one"), 1)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def model(kept: Kept) -> Model:
    """Its network, converted."""
    return convert_module(
        DeployedSegmenter(kept[1][0], temperatures=(1.5, 1.5)), torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    )


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_a_card_is_run_as_its_networks(
    runtime: str,
    two: Kept,
    images: NDArray[np.uint8],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(cache))
    card, networks = two
    segmenter = SliceSegmenter.load(card, device="cpu", runtime=runtime, precision="float32")
    expected = np.mean([_plainly(each, images, (1.5, 1.5)) for each in networks], axis=0)
    for index, found in enumerate(segmenter.probabilities(images).values()):
        np.testing.assert_allclose(found, expected[:, index], atol=TOLERANCE)
    use = segmenter.use()
    assert (use.name, use.members, use.temperatures) == ("hybrid_attunetpp_small.tiny", 2, (1.5, 1.5))
    assert use.runtime == f"{runtime} float32"
    assert use.operating_point == "lesion from 0.4: by the test; bone from 0.5: by the test"


def test_a_compiled_model_is_kept_and_proven_again(
    two: Kept, cache: Path, images: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(cache))
    first = SliceSegmenter.load(two[0], device="cpu", runtime="openvino", precision="float32")
    monkeypatch.setattr(slice_segmenter, "load_network", lambda *_, **__: pytest.fail("not taken from the cache"))
    again = SliceSegmenter.load(two[0], device="cpu", runtime="openvino", precision="float32")
    np.testing.assert_array_equal(first.probabilities(images)["bone"], again.probabilities(images)["bone"])


def test_an_entry_of_the_cache_that_takes_other_images_is_made_again(
    kept: Kept, images: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    expected = SliceSegmenter.load(kept[0], device="cpu", runtime="openvino", precision="bfloat16")
    openvino = import_openvino()
    (path,) = (
        each
        for each in tmp_path.glob("compiled/*/model.xml")
        if openvino.Core().read_model(each).input(0).get_partial_shape()[3] == openvino.Dimension(1)
    )
    odd = convert_module(
        torch.nn.Conv2d(1, 1, 3), torch.zeros(1, 1, 64, 64)
    )  # as an earlier version might have kept it
    contents = _serialised(odd)
    for name, data in contents.items():
        (path.parent / name).write_bytes(data)
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    (path.parent / "sha256.json").write_text(json.dumps(sums))
    again = SliceSegmenter.load(kept[0], device="cpu", runtime="openvino", precision="bfloat16")
    np.testing.assert_array_equal(expected.probabilities(images)["bone"], again.probabilities(images)["bone"])


def test_what_is_cached_depends_on_the_source_of_the_network() -> None:
    one = source_digest("osteon.predict.deployed_segmenter")
    assert one == source_digest("osteon.predict.deployed_segmenter")
    assert one != source_digest("osteon.predict.deployed_segmenter", "osteon.nets.segmenter")
    assert source_digest("osteon.no_such_module") != source_digest()


def test_reduced_precision_is_taken_only_where_the_card_bounds_it(
    kept: Kept, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slice_segmenter, "converted_model", lambda *_, **__: (model, False))
    card = kept[0]
    asked: list[str] = []
    plain = OpenVinoMaps.maps

    def note(engine: OpenVinoMaps, some: NDArray[np.uint8]) -> NDArray[np.float32]:
        asked.append(engine.description)
        return plain(engine, some)

    def refuse(engine: OpenVinoPartMaps, _: NDArray[np.uint8]) -> NDArray[np.float32]:
        asked.append(engine.description)
        raise BackendError("not on this CPU")

    monkeypatch.setattr(OpenVinoMaps, "maps", note)
    monkeypatch.setattr(OpenVinoPartMaps, "maps", refuse)
    assert SliceSegmenter.load(card, device="cpu").runtime == "openvino float32"
    assert asked == ["openvino bfloat16", "openvino float32"]
    with pytest.raises(BackendError, match="not on this CPU"):
        SliceSegmenter.load(card, device="cpu", runtime="openvino", precision="bfloat16")
    asked.clear()
    SliceSegmenter.load(replace(card, mask_tolerance={}), device="cpu")
    assert asked == ["openvino float32"]
    with pytest.raises(WeightsError, match="its card allows: float32"):
        SliceSegmenter.load(replace(card, mask_tolerance={}), device="cpu", precision="bfloat16")


def test_masks_beyond_the_tolerance_fall_back_to_float32_but_never_hide_a_broken_model(
    kept: Kept, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slice_segmenter, "converted_model", lambda *_, **__: (model, False))
    plain = OpenVinoMaps.maps
    wrong = 1 - golden_maps(kept[0]).probability
    monkeypatch.setattr(OpenVinoPartMaps, "maps", lambda *_: wrong)
    assert SliceSegmenter.load(kept[0], device="cpu").runtime == "openvino float32"
    monkeypatch.setattr(OpenVinoMaps, "maps", lambda engine, some: 1 - plain(engine, some))
    with pytest.raises(WeightsError, match="does not reproduce its golden maps in float32"):
        SliceSegmenter.load(kept[0], device="cpu")


def test_without_openvino_torch_runs_it(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> Any:  # noqa: ANN401 - never returns
        raise BackendError("openvino is not here")

    monkeypatch.setattr(slice_segmenter, "converted_model", absent)
    assert SliceSegmenter.load(kept[0], device="cpu").runtime == "torch float32"
    with pytest.raises(BackendError, match="openvino is not here"):
        SliceSegmenter.load(kept[0], device="cpu", runtime="openvino")


def test_torch_in_bfloat16_is_near(images: NDArray[np.uint8]) -> None:
    network = _tiny("hybrid_attunetpp")
    found = TorchMaps(DeployedSegmenter(network), precision="bfloat16").maps(images)
    np.testing.assert_allclose(found, _plainly(network, images), atol=0.15)
