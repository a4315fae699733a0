"""The segmenters have the published sizes, read their nodes as the spec says, and learn."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from osteon.errors import BackendError, InputError
from osteon.nets import build_network, describe_network
from osteon.nets.segmenter import AttentionGate, ConvolutionBlock, ReferenceSegmenter, Segmenter, build_segmenter
from osteon.nets.segmenter_description import SEGMENTERS, SegmenterDescription

# the reference code for images of three channels (../shared/data/README.md): counted there, not here
REFERENCE_PARAMETERS = {
    "unet": 8_637_345,
    "attunet": 8_727_213,
    "unetpp": 9_720_033,
    "attunetpp": 10_070_050,
    "hybrid_attunetpp": 14_009_356,
}
SMALL = {
    name: replace(described, widths=(8, 8, 16, 16, 32))
    for name, described in SEGMENTERS.items()
    if not (described.encoder or described.package)  # tests/nets/test_encoder.py, and at the end
}


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", sorted(REFERENCE_PARAMETERS))
def test_parameter_counts_are_those_of_the_reference_code(name: str) -> None:
    info = describe_network(name, size=224)
    assert info.parameters == REFERENCE_PARAMETERS[name]
    assert info.input_shape == (3, 224, 224)


def test_the_small_unet_has_three_eighths_of_the_channels_of_the_large_one() -> None:
    small, large = SEGMENTERS["unet_small"], SEGMENTERS["unet"]
    assert replace(small, widths=large.widths) == large
    assert [8 * width for width in small.widths] == [3 * width for width in large.widths]
    assert describe_network("unet_small", size=96).parameters == 1_217_245


def test_the_other_small_networks_have_a_quarter_of_the_channels_and_no_side_heads() -> None:
    small = [name for name in SEGMENTERS if name.endswith("_small") and name != "unet_small"]
    assert small == [f"{name}_small" for name in ("attunet", "unetpp", "attunetpp", "hybrid_attunetpp", "segresnet")]
    for name in small:
        one, large = SEGMENTERS[name], SEGMENTERS[name.removesuffix("_small")]
        assert replace(one, widths=large.widths) == replace(large, has_side_heads=False)
        assert [4 * width for width in one.widths] == list(large.widths)
    # the pair of one and two decoders differs by the second decoder alone
    pair = SEGMENTERS["attunetpp_small"], SEGMENTERS["hybrid_attunetpp_small"]
    assert replace(pair[0], outputs=("lesion", "bone")) == pair[1]


def test_plain_blocks_lack_the_normalisation_and_the_residual_path_and_nothing_else() -> None:
    f = SEGMENTERS["unetpp"].widths
    nodes = [(3, f[0]), *pairwise(f)]  # the encoder, then j * F_i + F_(i+1) channels into X(i, j)
    nodes += [(j * f[i] + f[i + 1], f[i]) for i in range(4) for j in range(1, 5 - i)]
    # two normalisations of the convolutions, the 1x1 kernel and its normalisation
    extra = sum(4 * wide + before * wide + 2 * wide for before, wide in nodes)
    with torch.device("meta"):
        for name in ("unetpp", "attunetpp"):
            plain = parameters(Segmenter(SEGMENTERS[f"{name}_plain"]))
            modified = parameters(Segmenter(replace(SEGMENTERS[name], has_side_heads=False)))
            assert modified - plain == extra


def test_the_ablation_is_made_of_switches() -> None:
    start = SEGMENTERS["attunetpp_plain"]
    modified = replace(start, block="residual")
    assert modified == replace(SEGMENTERS["attunetpp"], has_side_heads=False)
    assert replace(modified, outputs=("lesion", "bone")) == SEGMENTERS["hybrid_attunetpp"]
    assert replace(start, gates="none") == SEGMENTERS["unetpp_plain"]
    assert replace(SEGMENTERS["attunet"], gates="none") == SEGMENTERS["unet"]


@pytest.mark.parametrize("name", sorted(SMALL))
def test_every_output_has_the_size_of_the_image(name: str) -> None:
    info = describe_network(name, size=224)
    maps = 2 if name.startswith("hybrid") else 1
    assert info.output_shape == (maps, 224, 224)
    shapes = {stage.name: stage.output_shape for stage in info.stages}
    whole, quarter = (32, 64, 128, 256, 512), (8, 16, 32, 64, 128)
    widths = {"unet_small": (12, 24, 48, 96, 192)}.get(name, quarter if name.endswith("_small") else whole)
    assert shapes["encoder.x40"] == (widths[4], 14, 14)
    assert shapes["decoders.lesion.x22"] == (widths[2], 56, 56)
    with torch.inference_mode():
        found = Segmenter(SMALL[name], in_channels=1).eval()(torch.rand(2, 1, 48, 32))
    assert found.shape == (2, maps, 48, 32)


def test_stages_hold_every_parameter_once() -> None:
    info = describe_network("hybrid_attunetpp", size=64)
    assert sum(stage.parameters for stage in info.stages) == info.parameters
    assert [stage.name for stage in info.stages][:6] == [
        "encoder.x00", "encoder.x10", "encoder.x20", "encoder.x30", "encoder.x40", "inner.x01",
    ]  # fmt: skip


def test_the_network_is_the_equation_written_out() -> None:
    """A slow, obvious hybrid of two decoders: Eq 4.1 with gates by reading R2, node by node from a table."""
    torch.manual_seed(0)
    network = Segmenter(SMALL["hybrid_attunetpp"]).eval()
    images = torch.rand(2, 3, 32, 32)

    def up(maps: torch.Tensor) -> torch.Tensor:
        return nn.functional.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=True)

    def decode(output: str) -> torch.Tensor:
        x: dict[tuple[int, int], torch.Tensor] = {}
        a: dict[tuple[int, int], torch.Tensor] = {}
        for i in range(5):
            block = network.get_submodule(f"encoder.x{i}0")
            x[i, 0] = block(nn.functional.max_pool2d(x[i - 1, 0], 2) if i else images)
        for j in range(1, 5):
            for i in range(5 - j):
                where = f"decoders.{output}" if i + j == 4 else "inner"
                g = up(x[i + 1, j - 1])
                a[i, j - 1] = network.get_submodule(f"{where}.x{i}{j}.gate")(x[i, j - 1], g)
                joined = torch.cat([*(a[i, n] for n in range(j)), g], dim=1)
                x[i, j] = network.get_submodule(f"{where}.x{i}{j}.block")(joined)
        found: torch.Tensor = network.get_submodule(f"decoders.{output}.head")(x[0, 4])
        return found

    with torch.inference_mode():
        expected = {"bone": decode("bone"), "lesion": decode("lesion")}
        torch.testing.assert_close(network(images), torch.cat([expected[name] for name in network.outputs], dim=1))
    assert min(float(each.std()) for each in expected.values()) > 0.01


def test_a_gate_by_hand() -> None:
    gate = AttentionGate(1, 1, 1).eval()
    with torch.no_grad():
        for part, (weight, bias) in zip(
            (gate.skip, gate.gating, gate.psi), ((2, 1), (3, -2), (0.5, 0.25)), strict=True
        ):
            part.get_parameter("0.weight").fill_(weight)
            part.get_parameter("0.bias").fill_(bias)
        found = gate(torch.full((1, 1, 1, 1), 4.0), torch.full((1, 1, 1, 1), -1.0))
    # fresh running statistics: normalisation divides by sqrt(1 + 1e-5); (2*4 + 1) + (3*-1 - 2) = 4; 4 * 0.5 + 0.25
    assert float(found) == pytest.approx(4.0 / (1.0 + np.exp(-2.25)), rel=1e-4)


def test_a_residual_block_adds_its_two_activated_paths() -> None:
    torch.manual_seed(0)
    block = ConvolutionBlock(3, 4, kind="residual").eval()
    maps = torch.rand(1, 3, 8, 8)
    with torch.inference_mode():
        main, residual = block.get_submodule("main")(maps), block.get_submodule("residual")(maps)
        assert min(float(main.min()), float(residual.min())) >= 0
        torch.testing.assert_close(block(maps), main + residual)
    assert ConvolutionBlock(3, 4, kind="plain").residual is None


def test_the_gradient_of_the_hybrid_reaches_both_decoders_and_the_encoder() -> None:
    torch.manual_seed(0)
    network = Segmenter(SMALL["hybrid_attunetpp"])
    images = torch.rand(4, 3, 32, 32)
    network(images).square().mean().backward()
    reached = {name: float(p.grad.abs().sum()) for name, p in network.named_parameters() if p.grad is not None}
    assert set(reached) == {name for name, _ in network.named_parameters()}
    for part in ("encoder.x00", "inner.x01", "decoders.bone.x31", "decoders.lesion.x31", "decoders.bone.head"):
        assert sum(size for name, size in reached.items() if name.startswith(part)) > 0


def test_a_loss_on_one_output_leaves_the_other_decoder_alone() -> None:
    torch.manual_seed(0)
    network = Segmenter(SMALL["hybrid_attunetpp"])
    network(torch.rand(2, 3, 32, 32))[:, network.outputs.index("lesion")].square().mean().backward()
    moved = {name for name, p in network.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert not any(name.startswith("decoders.bone") for name in moved)
    for part in ("decoders.lesion", "inner", "encoder"):
        assert any(name.startswith(part) for name in moved)


def test_side_heads_are_there_when_asked_for() -> None:
    assert len(Segmenter(SMALL["attunetpp"]).side_heads) == 3
    assert not Segmenter(SMALL["hybrid_attunetpp"]).side_heads


def slices(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Bright discs with a dark hole on noise: images (n, 3, 32, 32), masks of lesion and bone (n, 2, 32, 32)."""
    random = np.random.default_rng(0)
    row, column = np.mgrid[:32, :32]
    images, masks = np.empty((number, 1, 32, 32)), np.empty((number, 2, 32, 32))
    for image, mask in zip(images, masks, strict=True):
        y, x = random.uniform(11, 20, size=2)
        mask[0] = np.hypot(row - y - 3, column - x + 2) < 4
        mask[1] = np.hypot(row - y, column - x) < 9
        image[0] = 0.2 - 0.4 * mask[0] + 0.5 * mask[1] + random.normal(0, 0.03, (32, 32))
    return torch.from_numpy(images).float().expand(-1, 3, -1, -1), torch.from_numpy(masks).float()


@pytest.mark.parametrize("name", sorted(SMALL))
def test_ten_slices_are_overfitted(name: str) -> None:
    torch.manual_seed(0)
    network = Segmenter(SMALL[name])
    images, masks = slices(10)
    wanted = masks if len(SMALL[name].outputs) == 2 else masks[:, :1]
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3 if SMALL[name].block == "plain" else 3e-3)
    dice = torch.zeros(1)
    for _ in range(400):
        logits = network(images)
        found, true = logits.detach() > 0, wanted > 0
        dice = 2 * (found & true).sum(dim=(0, 2, 3)) / (found.sum(dim=(0, 2, 3)) + true.sum(dim=(0, 2, 3)))
        if float(dice.min()) > 0.95:
            break
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(logits, wanted).backward()
        optimiser.step()
    assert float(dice.min()) > 0.95


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"widths": (8,)}, "two levels"),
        ({"outputs": ()}, "at least one name"),
        ({"outputs": ("bone", "bone")}, "none twice"),
        ({"has_side_heads": True, "outputs": ("lesion", "bone")}, "exactly one output"),
    ],
)
def test_impossible_descriptions_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        SegmenterDescription(block="plain", is_nested=True, **options)  # type: ignore[arg-type]


def test_images_that_cannot_be_halved_and_other_outputs_are_refused() -> None:
    with pytest.raises(InputError, match="multiples of 16"):
        Segmenter(SMALL["unet"])(torch.zeros(1, 3, 32, 40))
    with pytest.raises(InputError, match="has 2: lesion, bone"):
        build_network("hybrid_attunetpp", classes=3)


def test_the_reference_is_the_network_of_its_package() -> None:
    from monai.networks.nets.segresnet import SegResNet

    torch.manual_seed(0)
    network = build_segmenter(SEGMENTERS["segresnet_small"], in_channels=3).eval()
    torch.manual_seed(0)
    # Myronenko's 2-D counts: one block at full size, two on each level between, four at the bottom
    wanted = SegResNet(2, 8, in_channels=3, out_channels=1, blocks_down=(1, 2, 2, 4), blocks_up=(1, 1, 1)).eval()
    images = torch.rand(2, 3, 48, 32)
    with torch.inference_mode():
        assert torch.equal(network(images), wanted(images))
    assert isinstance(network, ReferenceSegmenter)
    assert (network.outputs, network.trunk, SEGMENTERS["segresnet"].size_step) == (("lesion",), None, 8)
    assert describe_network("segresnet_small", size=96).output_shape == (1, 96, 96)
    with pytest.raises(InputError, match="see build_segmenter"):
        Segmenter(SEGMENTERS["segresnet"])
    with pytest.raises(InputError, match="doubles each time"):
        replace(SEGMENTERS["segresnet"], widths=(8, 16, 24))


def test_a_reference_says_which_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "monai.networks.nets", None)
    with pytest.raises(BackendError, match=r"osteon\[train\]"):
        build_network("segresnet_small")
