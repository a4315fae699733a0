"""The quick way to run a segmenter gives the maps of the plain network, for every architecture and engine."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import torch

from osteon.errors import BackendError, InputError, UnknownLabelError, WeightsError
from osteon.nets import build_network, network_names
from osteon.nets.deployed_segmenter import DeployedSegmenter, round_kernels
from osteon.nets.segmenter import Segmenter, SegmenterPair
from osteon.nets.segmenter_description import SEGMENTERS, SEQUENCES
from osteon.ops.series_images import with_neighbours
from osteon.predict import predictor as module
from osteon.predict.engines.openvino import OpenVinoEngine
from osteon.predict.engines.torch import TorchEngine
from osteon.predict.out_of_distribution import FoldMaterial, fit_limits
from osteon.predict.predictor import Predictor
from osteon.weights import Golden, MapOutput, Maps, mask_difference, verify_card, write_model
from osteon.weights.load import golden_case
from tests.cards import segmenter_card, slices

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from osteon.weights import ModelCard

WIDTHS = (4, 4, 8)  # three levels: a third of the nodes to compile
SIZE = (64, 32)
TOLERANCE = 2e-5
SLICES = {"image": slices()}
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
    described = SEGMENTERS[name]
    return _settled(Segmenter(described if described.encoder else replace(described, widths=WIDTHS)))


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (5, *SIZE), dtype=np.uint8)


def _of_neighbours(name: str, neighbours: int) -> nn.Module:
    """The same with a channel for each slice."""
    torch.manual_seed(3)
    channels = 2 * neighbours + 1
    if name in SEQUENCES:
        bone, lesion = (replace(SEGMENTERS[each], widths=WIDTHS, has_side_heads=False) for each in SEQUENCES[name])
        pair = (Segmenter(one, in_channels=channels) for one in (replace(bone, outputs=("bone",)), lesion))
        network: nn.Module = SegmenterPair(*pair)
    else:
        known = SEGMENTERS[name]
        network = Segmenter(known if known.encoder else replace(known, widths=WIDTHS), in_channels=channels)
    network.train()
    with torch.no_grad():
        for _ in range(4):
            network(torch.rand(2, channels, 32, 32))
    return network.eval()


def _plainly(
    network: nn.Module, images: NDArray[np.uint8], temperatures: tuple[float, ...] = ()
) -> NDArray[np.float32]:
    """What a person would write: three equal channels of grey over 255, the network, the sigmoid."""
    with torch.inference_mode():
        logits = network(torch.from_numpy(images.astype(np.float32) / 255)[:, None].expand(-1, 3, -1, -1)).numpy()
    for index, temperature in enumerate(temperatures):
        logits[:, index] /= temperature
    return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float32)


RUN = [name for name in network_names(task="segmentation") if name in SEQUENCES or not SEGMENTERS[name].package]
"""All but the networks of other packages, which are never deployed."""
EVERY = [("torch", name) for name in RUN]
# every kind of block, gate, upsampling, decoder and a pair; others are made of the same parts
KINDS = ("attunet", "unetpp_plain", "hybrid_attunetpp", "unet_then_attunetpp", "efficientnet_lite0_dual_unet")
COMPILED = [("openvino", name) for name in (*KINDS, "mobilenet_v2_unet")]


@pytest.mark.parametrize(("runtime", "name"), EVERY + COMPILED)
def test_every_architecture_gives_the_maps_of_the_plain_network(
    runtime: str, name: str, images: NDArray[np.uint8]
) -> None:
    network = _tiny(name)
    expected = _plainly(network, images)
    segmenter = Predictor.from_networks(network, name=name, inputs=SLICES, runtime=runtime, threads=2)
    found = segmenter.maps(images)
    assert tuple(found) == network.outputs
    for index, title in enumerate(found):
        assert found[title].dtype == np.float32
        if name in SEQUENCES and title == "lesion":  # a bone pixel on the threshold may fall to either side
            assert np.mean(np.abs(found[title] - expected[:, index]) > TOLERANCE) < 0.02
        else:
            np.testing.assert_allclose(found[title], expected[:, index], atol=TOLERANCE)


@pytest.mark.parametrize(
    ("runtime", "precision", "name", "neighbours"),
    [
        *(("torch", "float32", name, 1) for name in (*KINDS, "mobilenet_v2_unet")),
        ("torch", "float32", "unet", 2),
        ("openvino", "float32", "unet", 2),
        ("openvino", "float32", "efficientnet_lite0_dual_unet", 1),
        ("openvino", "bfloat16", "hybrid_attunetpp", 1),
    ],
)
def test_slices_are_seen_among_their_neighbours(
    runtime: str, precision: str, name: str, neighbours: int, images: NDArray[np.uint8]
) -> None:
    network = _of_neighbours(name, neighbours)
    given = {"image": slices(neighbours=neighbours)}
    how: dict[str, Any] = {"name": name, "inputs": given, "runtime": runtime, "precision": precision, "threads": 2}
    images[3] = 0  # black among others
    stack = with_neighbours(images, neighbours)
    stack[1] = 0
    try:
        segmenter = Predictor.from_networks(network, **how)
        found = segmenter.maps(stack)
    except BackendError as error:
        pytest.skip(str(error))
    with torch.inference_mode():
        expected = network(torch.from_numpy(stack.astype(np.float32) / 255)).sigmoid().numpy()
    for index, title in enumerate(found):
        if name in SEQUENCES and title == "lesion":  # a bone pixel on the threshold may fall to either side
            assert np.mean(np.abs(found[title] - expected[:, index]) > TOLERANCE) < 0.02
        else:
            np.testing.assert_allclose(
                found[title], expected[:, index], atol=TOLERANCE if precision == "float32" else 0.1
            )
    assert segmenter.maps(stack[:0])["lesion"].shape == (0, *SIZE)
    with pytest.raises(InputError, match=rf"\(n, {2 * neighbours + 1}, row, column\); found .*with_neighbours"):
        segmenter.maps(images)


def test_a_network_of_another_number_of_slices_is_refused() -> None:
    with pytest.raises(InputError, match="5 slices were to be seen by a network of 3 channels"):
        DeployedSegmenter([_tiny("unet")], neighbours=2)


@pytest.mark.parametrize(
    "name", sorted(name for name, each in SEGMENTERS.items() if not (each.encoder or each.package))
)
@pytest.mark.parametrize("layers", [False, True])
def test_three_parts_are_the_whole(name: str, layers: bool, images: NDArray[np.uint8]) -> None:
    networks = [_tiny(name, seed) for seed in range(1 + (name == "unetpp"))]
    deployed = DeployedSegmenter(networks, temperatures=(2.0,) * len(SEGMENTERS[name].outputs), layers=layers)
    parts = deployed.parts()
    assert parts is not None
    with torch.inference_mode():
        tensors = {"image": torch.from_numpy(images)}
        for part in parts:  # what one gives the next ones take, by name
            found = part(*(tensors[each] for each in part.takes))
            tensors |= zip(part.gives, found if isinstance(found, tuple) else (found,), strict=True)
        whole = deployed(tensors["image"])
        for title, wanted in zip(deployed.gives, whole if layers else (whole,), strict=True):
            np.testing.assert_allclose(tensors[title].numpy(), wanted.numpy(), rtol=1e-4, atol=1e-6)


def _looks(network: nn.Module, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What a person would write: the encoder's maps 4, 8 and 16 times smaller, mean and deviation of each channel."""
    part = network.bone if isinstance(network, SegmenterPair) else network
    assert isinstance(part, Segmenter)
    shown = torch.from_numpy(images.astype(np.float32) / 255)[:, None].expand(-1, 3, -1, -1)
    with torch.inference_mode():
        if part.trunk is None:
            maps = part.encoder["x00"](shown)
            below = []
            for name in list(part.encoder)[1:]:
                maps = part.encoder[name](torch.nn.functional.max_pool2d(maps, 2))
                below.append(maps)
        else:
            below = list(part.trunk(shown))
    found = []
    for maps in below[1:4]:
        found += [maps.mean(dim=(2, 3)), maps.std(dim=(2, 3), correction=0)]
    return np.asarray(torch.cat(found, dim=1).numpy())


@pytest.mark.parametrize("name", ["unet_small", "unet_then_attunet", "mobilenet_v2_unet"])
def test_the_layers_are_those_of_the_encoder(name: str, images: NDArray[np.uint8]) -> None:
    torch.manual_seed(0)
    network = _settled(build_network(name))
    images[2] = 0
    expected = _looks(network, images)
    segmenter = Predictor.from_networks(network, name=name, inputs=SLICES, runtime="torch")
    found = np.concatenate([part["layers"] for part in segmenter.run(images)])
    assert found.shape == (5, 1, expected.shape[1])
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-3, atol=1e-5)


def test_a_network_without_a_middle_gives_no_layers(images: NDArray[np.uint8]) -> None:
    torch.manual_seed(0)
    network = Segmenter(replace(SEGMENTERS["unet"], widths=(4, 8))).eval()
    assert DeployedSegmenter([network], layers=True).gives == ("maps",)
    assert set(
        next(iter(Predictor.from_networks(network, name="two", inputs=SLICES, runtime="torch").run(images)))
    ) == {"lesion"}


@pytest.mark.parametrize("name", ["hybrid_attunetpp_small", "efficientnet_lite0_unet"])
def test_a_model_with_limits_says_how_far_from_training_an_image_is(
    name: str, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    networks = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        networks.append(_settled(build_network(name)))
    generator = np.random.default_rng(5)
    training = generator.integers(100, 156, (24, 32, 32), dtype=np.uint8)
    who = np.arange(12).astype(str)
    looks = [_looks(network, training) for network in networks]
    limits = fit_limits([FoldMaterial(each[:12], each[12:], who, who) for each in looks])
    names = SEGMENTERS[name].outputs
    card = segmenter_card(
        tuple(MapOutput(each) for each in names),
        name=f"{name}.test",
        architecture=name,
        storage="float32",
        inputs={"image": msgspec.structs.replace(slices(), size_step=32)},
    )
    golden = {"image": training[:1]}
    bare = write_model(tmp_path / "bare", card, networks, golden=golden)
    made = write_model(tmp_path / "known", card, networks, golden=golden, limits=limits)
    assert made.out_of_distribution is not None
    assert made.prediction_sets is None
    images[1] = 0
    expected = limits.distance([_looks(network, images) for network in networks])
    for runtime, precision, close in (
        ("torch", "float32", 1e-3),
        ("openvino", "float32", 1e-3),
        ("openvino", "bfloat16", 0.1),
    ):
        try:
            segmenter = Predictor.load(made, device="cpu", runtime=runtime, precision=precision)
            parts = list(segmenter.run(images))
        except BackendError:
            continue  # the CPU has no bfloat16
        np.testing.assert_allclose(np.concatenate([part["distance"] for part in parts]), expected, rtol=close)
        found = segmenter.maps(images)
        assert set(found) == set(names)
        ood = segmenter.ood(np.concatenate([part["distance"] for part in parts]))
        assert ood is not None
        assert ood.is_ood  # noise of the whole range is not like that of the middle
    plain = Predictor.load(bare, device="cpu", runtime="openvino", precision="float32")
    assert set(next(iter(plain.run(images)))) == set(names)
    assert plain.ood(None) is None


@pytest.mark.parametrize(
    "name", ["hybrid_attunetpp", "attunet", "unetpp_plain", "unet_then_attunetpp", "mobilenet_v2_unet"]
)
def test_kept_weights_give_the_same_numbers(name: str, images: NDArray[np.uint8]) -> None:
    network, shown = _tiny(name), torch.from_numpy(images)
    folded, kept = (DeployedSegmenter([network], keeps_weights=each) for each in (False, True))
    with torch.inference_mode():
        assert torch.equal(folded(shown), kept(shown))
    stored = {value.numpy().tobytes() for value in network.state_dict().values() if value.dim() == 4}
    used = [value for value in kept.state_dict().values() if value.dim() == 4 and value.shape[2:] == (3, 3)]
    assert sum(int(value.numpy().tobytes() in stored) for value in used) >= len(used) - 2 * (1 + ("then" in name)) - (
        "_v2_" in name
    )


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
    exact, reduced = (DeployedSegmenter([network], precision=each) for each in ("float32", "bfloat16"))
    same = {
        name
        for (name, one), (_, two) in zip(exact.named_parameters(), reduced.named_parameters(), strict=True)
        if torch.equal(one, two) and one.dim() == 4
    }
    kept = {name for name in same if ".x00." in name or ".x02." in name or ".head." in name}
    assert kept == same
    assert len(kept) == 3 + 2 * 7
    with torch.inference_mode():
        shown = torch.from_numpy(images)
        np.testing.assert_allclose(reduced(shown).numpy(), exact(shown).numpy(), atol=0.05)


def test_the_deployed_network_is_a_frozen_copy(images: NDArray[np.uint8]) -> None:
    network = _tiny("hybrid_attunetpp")
    network.train()
    before = copy.deepcopy(network.state_dict())
    deployed = DeployedSegmenter([network], temperatures=(2.0, 0.5))
    assert network.training
    with torch.inference_mode():
        found = deployed(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(found, _plainly(network.eval(), images, (2.0, 0.5)), atol=TOLERANCE)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(value.requires_grad for value in deployed.parameters())


@pytest.mark.parametrize(("runtime", "precision"), ENGINES)
def test_engines_agree_on_any_size(runtime: str, precision: str, images: NDArray[np.uint8]) -> None:
    network = _tiny("hybrid_attunetpp")
    try:
        segmenter = Predictor.from_networks(
            network, name="tiny", inputs=SLICES, runtime=runtime, precision=precision, threads=1
        )
        segmenter.maps(images[:1])
    except BackendError as error:
        pytest.skip(str(error))
    assert segmenter.runtime == f"{runtime} {precision}"
    assert segmenter.device == "cpu"
    for rows, columns in ((48, 32), (16, 32), (32, 16), (48, 32)):  # more sizes than are kept, and the first again
        some = images[:2, :rows, :columns]
        expected = _plainly(network, some)
        found = np.stack(list(segmenter.maps(some).values()), axis=1)
        if precision == "float32":
            np.testing.assert_allclose(found, expected, atol=TOLERANCE)
        else:
            np.testing.assert_allclose(found, expected, atol=0.1)
            assert mask_difference(found, expected, thresholds=[0.5, 0.5]) < 0.05


def test_an_ensemble_is_the_mean_of_its_sigmoids(images: NDArray[np.uint8]) -> None:
    members = [_tiny("hybrid_attunetpp", seed) for seed in (1, 2, 3)]
    output = Maps((MapOutput("lesion", 0.3, temperature=3.0), MapOutput("bone")))
    segmenter = Predictor.from_networks(members, name="three", inputs=SLICES, output=output, runtime="torch")
    expected = np.mean([_plainly(each, images, (3.0, 1.0)) for each in members], axis=0)
    for index, found in enumerate(segmenter.maps(images).values()):
        np.testing.assert_allclose(found, expected[:, index], atol=TOLERANCE)


def test_black_slices_have_the_maps_that_the_network_gives_them(images: NDArray[np.uint8]) -> None:
    network = _tiny("attunetpp")
    images[1], images[3] = 0, 0
    segmenter = Predictor.from_networks(network, name="tiny", inputs=SLICES, runtime="openvino")
    expected = _plainly(network, images)[:, 0]
    np.testing.assert_allclose(segmenter.maps(images)["lesion"], expected, atol=TOLERANCE)
    one_by_one = [segmenter.maps(image[None])["lesion"][0] for image in images]
    np.testing.assert_array_equal(segmenter.maps(images)["lesion"], np.stack(one_by_one))


def test_slabs_are_read_one_after_the_other(images: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAPS_BLOCK", 2)
    segmenter = Predictor.from_networks(_tiny("unet"), name="tiny", inputs=SLICES, runtime="torch")
    made: list[int] = []

    def slabs() -> Any:  # noqa: ANN401 - a generator of slabs
        for start in (0, 3, 5):
            made.append(start)
            yield images[start : start + 3]

    told: list[tuple[str, int, int]] = []
    parts: list[NDArray[np.float32]] = []
    for maps in segmenter.run(slabs(), progress=lambda *news: told.append(news), total=5):
        assert len(made) <= 1 + sum(len(part) for part in parts) // 2 + 1  # a slab is made when the last one is done
        parts.append(maps["lesion"])
    assert [len(part) for part in parts] == [2, 1, 2, 0]
    assert told == [("segmenting slices", done, 5) for done in (2, 3, 5, 5)]
    np.testing.assert_allclose(np.concatenate(parts), segmenter.maps(images)["lesion"], atol=1e-6)


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
    segmenter = Predictor.from_networks(_tiny("unet"), name="tiny", inputs=SLICES, runtime="torch")
    with pytest.raises(InputError, match=words):
        segmenter.maps(np.zeros(shape, dtype=kind))


def test_networks_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(InputError, match="from 2 networks with the outputs"):
        Predictor.from_networks([_tiny("unet"), _tiny("hybrid_attunetpp")], name="two", inputs=SLICES)
    with pytest.raises(InputError, match="maps bone were asked of"):
        Predictor.from_networks(_tiny("unet"), name="one", inputs=SLICES, output=Maps((MapOutput("bone"),)))
    with pytest.raises(InputError, match="from 0 networks"):
        Predictor.from_networks([], name="none", inputs=SLICES)
    with pytest.raises(InputError, match="1 temperatures"):
        DeployedSegmenter([_tiny("hybrid_attunetpp")], temperatures=(1.0,))
    with pytest.raises(InputError, match="a segmenter was asked for; found Linear"):
        DeployedSegmenter([torch.nn.Linear(1, 1)])
    with pytest.raises(UnknownLabelError, match="no precision 'float16'"):
        Predictor.from_networks(_tiny("unet"), name="one", inputs=SLICES, precision="float16")
    with pytest.raises(WeightsError, match="no model card"):
        Predictor.from_networks(_tiny("unet"), name="one", inputs=SLICES, runtime="torch").use()


Kept = tuple["ModelCard", list["nn.Module"]]
MAPS = (MapOutput("lesion", 0.4, "by the test", 1.5), MapOutput("bone", 0.5, "by the test", 1.5))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A model of two members as it is shipped, with five levels, and its networks."""
    torch.manual_seed(0)
    networks = [_settled(build_network("hybrid_attunetpp_small")) for _ in range(2)]
    golden = np.random.default_rng(1).integers(0, 256, (1, 32, 32), dtype=np.uint8)
    card = segmenter_card(MAPS, storage="float32")
    return write_model(tmp_path_factory.mktemp("two"), card, networks, golden={"image": golden}), networks


def test_a_model_folder_holds_networks_that_see_neighbours(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    torch.manual_seed(0)
    network = build_network("hybrid_attunetpp_small", in_channels=5).train()
    with torch.no_grad():
        for _ in range(4):
            network(torch.rand(2, 5, 32, 32))
    card = segmenter_card(inputs={"image": slices(neighbours=2)}, storage="float32")
    golden = with_neighbours(images[:, :32], 2)[:2]
    with pytest.raises(WeightsError, match=r"give <class 'numpy.uint8'> \(n, 5, row, column\)|give uint8"):
        write_model(tmp_path, card, [network.eval()], golden={"image": images[:2, :32]})
    made = write_model(tmp_path, card, [network.eval()], golden={"image": golden})
    assert made.graph is not None
    assert verify_card(made) < 1e-4
    stack = with_neighbours(images, 2)
    with torch.inference_mode():
        expected = network(torch.from_numpy(stack.astype(np.float32) / 255)).sigmoid().numpy()
    for runtime in ("openvino", "torch"):
        found = Predictor.load(made, device="cpu", runtime=runtime, precision="float32").maps(stack)
        np.testing.assert_allclose(np.stack(list(found.values()), axis=1), expected, atol=TOLERANCE)


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_a_card_is_run_as_its_networks(runtime: str, two: Kept, images: NDArray[np.uint8]) -> None:
    card, networks = two
    segmenter = Predictor.load(card, device="cpu", runtime=runtime, precision="float32")
    expected = np.mean([_plainly(each, images, (1.5, 1.5)) for each in networks], axis=0)
    for index, found in enumerate(segmenter.maps(images).values()):
        np.testing.assert_allclose(found, expected[:, index], atol=TOLERANCE)
    use = segmenter.use()
    assert (use.members, use.temperatures, use.runtime) == (2, (1.5, 1.5), f"{runtime} float32")
    assert use.operating_point == "lesion from 0.4: by the test; bone from 0.5: by the test"


def test_a_segmenter_and_a_classifier_are_not_mistaken(two: Kept) -> None:
    with pytest.raises(WeightsError, match="asked for classes"):
        Predictor.load(two[0], device="cpu", runtime="torch").scores(np.zeros((1, 32, 32), np.uint8))
    with pytest.raises(WeightsError, match="asked for classes; it gives the maps lesion, bone"):
        _ = two[0].classes


def test_reduced_precision_is_taken_only_where_the_card_bounds_it(two: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    card = two[0]
    asked: list[str] = []
    plain = OpenVinoEngine.run

    def note(engine: OpenVinoEngine, batches: Any) -> Any:  # noqa: ANN401 - what an engine takes and gives
        asked.append(engine.description)
        if engine.description.endswith("bfloat16"):
            raise BackendError("not on this CPU")
        return plain(engine, batches)

    monkeypatch.setattr(OpenVinoEngine, "run", note)
    assert Predictor.load(card, device="cpu").runtime == "openvino float32"
    assert asked[-1] == "openvino float32"
    with pytest.raises(BackendError, match=r"not on this CPU|does not compute in it"):
        Predictor.load(card, device="cpu", runtime="openvino", precision="bfloat16")
    asked.clear()
    unbounded = msgspec.structs.replace(card, golden=Golden("noise", {"float32": 3e-4}, file=card.golden.file))
    Predictor.load(unbounded, device="cpu")
    assert asked == ["openvino float32"]
    with pytest.raises(WeightsError, match="its card allows: float32"):
        Predictor.load(unbounded, device="cpu", runtime="torch", precision="bfloat16")


def test_masks_beyond_the_tolerance_fall_back_to_float32_but_never_hide_a_broken_model(
    two: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, wrong = OpenVinoEngine.run, 1 - golden_case(two[0]).mean
    monkeypatch.setattr(
        OpenVinoEngine,
        "run",
        lambda engine, batches: [{"maps": wrong}] if "bfloat16" in engine.description else plain(engine, batches),
    )
    assert Predictor.load(two[0], device="cpu").runtime == "openvino float32"
    monkeypatch.setattr(OpenVinoEngine, "run", lambda *_: [{"maps": wrong}])
    with pytest.raises(WeightsError, match="does not reproduce its golden case in float32"):
        Predictor.load(two[0], device="cpu")


def test_bfloat16_of_a_card_keeps_the_masks(two: Kept, images: NDArray[np.uint8]) -> None:
    card, networks = two
    try:
        reduced = Predictor.load(card, device="cpu", runtime="openvino", precision="bfloat16")
    except BackendError as error:
        pytest.skip(str(error))
    expected = np.mean([_plainly(each, images, (1.5, 1.5)) for each in networks], axis=0)
    found = np.stack(list(reduced.maps(images).values()), axis=1)
    np.testing.assert_allclose(found, expected, atol=0.1)
    assert mask_difference(found, expected, thresholds=[0.4, 0.5]) < 0.05


def test_torch_in_bfloat16_is_near(images: NDArray[np.uint8]) -> None:
    network = _tiny("hybrid_attunetpp")
    engine = TorchEngine(DeployedSegmenter([network]), precision="bfloat16")
    (found,) = engine.run([{"image": images}])
    np.testing.assert_allclose(found["maps"], _plainly(network, images), atol=0.15)
