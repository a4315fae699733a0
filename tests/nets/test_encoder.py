"""Segmenters on an encoder have the parts that are counted by hand, read their nodes as a U-Net does, and learn."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from osteon.errors import InputError, UnknownLabelError
from osteon.nets import build_network, describe_network
from osteon.nets.encoder import MOBILE_NETWORKS, MobileEncoder
from osteon.nets.segmenter import Segmenter
from osteon.nets.segmenter_description import ENCODERS, SEGMENTERS

HEADS = {"efficientnet_lite0": 4_652_008, "efficientnet_lite1": 5_416_680, "efficientnet_lite2": 6_092_072}
"""Parameters of the whole networks with 1,000 classes."""


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_an_encoder_gives_five_maps_of_the_widths_that_are_listed(name: str) -> None:
    encoder = MobileEncoder(name, in_channels=5).eval()
    with torch.inference_mode():
        maps = encoder(torch.rand(1, 5, 64, 96))
    wanted = [(1, width, 64 >> level, 96 >> level) for level, width in enumerate(ENCODERS[name], start=1)]
    assert [tuple(each.shape) for each in maps] == wanted
    assert set(ENCODERS) == set(MOBILE_NETWORKS)


def test_the_encoder_of_lite0_to_a_sixteenth_has_a_quarter_of_the_parameters() -> None:
    def count(name: str) -> int:
        return {stage.name: stage.parameters for stage in describe_network(name, size=96).stages}["trunk"]

    assert round(count("efficientnet_lite0_unet16") / 1e6, 2) == 0.70
    assert round(count("efficientnet_lite0_unet") / 1e6, 2) == 2.96


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_what_it_gives_leads_to_the_features_of_the_whole_network(name: str) -> None:
    torch.manual_seed(0)
    whole = MOBILE_NETWORKS[name](in_chans=3, num_classes=2).eval()
    encoder = MobileEncoder(name, in_channels=3).eval()
    encoder.load_state_dict({key: value for key, value in whole.state_dict().items() if key in encoder.state_dict()})
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(
            whole.get_submodule("features.last")(encoder(image)[-1]), whole.forward_features(image)
        )


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_parameters_are_those_of_encoder_block_and_decoders(name: str) -> None:
    widths = (16, *ENCODERS[name])
    classes, whole = (1001, 3_489_097) if name == "mobilenet_v2" else (1000, HEADS[name])
    last = 1280 * widths[5] + (1280 if name == "mobilenet_v2" else 2 * 1280)
    encoder = whole - classes * 1281 - last

    def block(before: int, wide: int) -> int:
        return 9 * before * wide + 9 * wide * wide + 2 * wide + 4 * wide  # biases, two normalisations

    decoder = sum(block(above + below, above) for above, below in pairwise(widths)) + widths[0] + 1
    for kind, decoders in (("unet", 1), ("dual_unet", 2)):
        info = describe_network(f"{name}_{kind}", size=96)
        assert info.parameters == encoder + block(3, 16) + decoders * decoder
        assert info.output_shape == (decoders, 96, 96)
        assert {stage.name: stage.parameters for stage in info.stages}["trunk"] == encoder


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_an_encoder_may_end_at_a_sixteenth(name: str) -> None:
    network, whole = Segmenter(SEGMENTERS[f"{name}_unet16"]).eval(), MobileEncoder(name, in_channels=3).eval()
    assert network.trunk is not None
    own = network.trunk.state_dict()
    network.trunk.load_state_dict({key: value for key, value in whole.state_dict().items() if key in own})
    images = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        for found, wanted in zip(network.trunk(images), whole(images)[:4], strict=True):
            assert torch.equal(found, wanted)
        assert network(torch.rand(1, 3, 48, 80)).shape == (1, 1, 48, 80)
    with pytest.raises(InputError, match="multiples of 16"):
        network(torch.zeros(1, 3, 40, 64))


def test_the_network_is_a_u_net_written_out() -> None:
    torch.manual_seed(0)
    network = Segmenter(SEGMENTERS["efficientnet_lite0_dual_unet"], in_channels=3).eval()
    images = torch.rand(2, 3, 64, 32)
    assert network.trunk is not None
    with torch.inference_mode():
        skips = [network.get_submodule("encoder.x00")(images), *network.trunk(images)]
        wanted = []
        for output in ("lesion", "bone"):
            below = skips[5]
            for level in (4, 3, 2, 1, 0):
                raised = nn.functional.interpolate(below, scale_factor=2, mode="bilinear", align_corners=True)
                node = network.get_submodule(f"decoders.{output}.x{level}{5 - level}.block")
                below = node(torch.cat([skips[level], raised], dim=1))
            wanted.append(network.get_submodule(f"decoders.{output}.head")(below))
        torch.testing.assert_close(network(images), torch.cat(wanted, dim=1))


def test_any_number_of_slices_goes_in_and_the_gradient_reaches_every_part() -> None:
    torch.manual_seed(0)
    network = build_network("efficientnet_lite0_dual_unet", in_channels=5)
    network(torch.rand(2, 5, 64, 64)).square().mean().backward()
    assert all(value.grad is not None and bool(value.grad.any()) for value in network.parameters())


def test_gates_and_inner_nodes_stand_on_an_encoder_too() -> None:
    described = replace(SEGMENTERS["mobilenet_v2_unet"], block="residual", is_nested=True, gates="full")
    with torch.inference_mode():
        found = Segmenter(described, in_channels=1).eval()(torch.rand(1, 1, 64, 32))
    assert found.shape == (1, 1, 64, 32)


def test_what_cannot_be_built_or_shown_is_refused() -> None:
    with pytest.raises(UnknownLabelError, match="did you mean 'mobilenet_v2'"):
        replace(SEGMENTERS["mobilenet_v2_unet"], encoder="mobilenet_v3")
    with pytest.raises(InputError, match=r"mobilenet_v2 has \(16, 24"):
        replace(SEGMENTERS["mobilenet_v2_unet"], widths=(8, 16, 32))
    with pytest.raises(InputError, match=r"mobilenet_v2 has \(16, 24"):
        replace(SEGMENTERS["mobilenet_v2_unet"], widths=(16, 16, 24, 32, 96, 320, 640))
    with pytest.raises(InputError, match="it has 1 to 5"):
        MobileEncoder("mobilenet_v2", in_channels=1, levels=6)
    with pytest.raises(UnknownLabelError, match="no encoder"):
        MobileEncoder("resnet18", in_channels=1)
    with pytest.raises(InputError, match="multiples of 32"):
        build_network("mobilenet_v2_unet")(torch.zeros(1, 3, 48, 64))
    with pytest.raises(InputError, match="at least 1"):
        build_network("mobilenet_v2_unet", in_channels=0)
    with pytest.raises(InputError, match="1 or 3"):
        build_network("efficientnet_lite0", in_channels=5)
