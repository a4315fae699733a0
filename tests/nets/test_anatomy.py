"""Layers, pooled features and heads of every network of the registry."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn

from osteon.errors import InputError
from osteon.nets import build_network, network_names
from osteon.nets.anatomy import (
    feature_stages,
    last_feature_map_module,
    middle_map_modules,
    pooled_features,
    split_head,
)

DENSE = "conv0 denseblock1 transition1 denseblock2 transition2 denseblock3 transition3 denseblock4 classifier"
RESIDUAL = "conv1 layer1 layer2 layer3 layer4 fc"
TRANSFORMER = "patch_embed block1 block2 block3 block4 block5 block6 block7 block8 block9 block10 block11 block12 head"
GOOGLENET = (
    "conv1 conv2 conv3 inception3a inception3b inception4a inception4b inception4c inception4d inception4e inception5a "
    "inception5b fc"
)
MOBILE = "stem stage1 stage2 stage3 stage4 stage5 stage6 stage7 last classifier"
STAGES = {
    "alexnet_femur": "conv1 conv2 conv3 conv4 conv5 fc1 fc2 classifier",
    "deit_small": TRANSFORMER,
    "deit_tiny": TRANSFORMER,
    "densenet121": DENSE,
    "densenet169": DENSE,
    "densenet201": DENSE,
    "densenet_small": DENSE,
    "googlenet": GOOGLENET,
    "efficientnet_lite0": MOBILE,
    "efficientnet_lite1": MOBILE,
    "efficientnet_lite2": MOBILE,
    "mobilenet_v2": MOBILE,
    "resnet18": RESIDUAL,
    "resnet50": RESIDUAL,
    "resnext50": RESIDUAL,
    "efficientnet_b0": "conv_stem block1 block2 block3 block4 block5 block6 block7 conv_head classifier",
    "inception_v3": "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 Conv2d_3b_1x1 Conv2d_4a_3x3 Mixed_5b Mixed_5c Mixed_5d "
    "Mixed_6a Mixed_6b Mixed_6c Mixed_6d Mixed_6e Mixed_7a Mixed_7b Mixed_7c fc",
    "vit_small": TRANSFORMER,
    "vit_tiny": TRANSFORMER,
    "vit_tiny_resnext50": "convolutional transformer classifier",
}
DIMENSIONS = {
    "alexnet_femur": 4096,
    "deit_tiny": 192,
    "densenet121": 1024,
    "densenet169": 1664,
    "densenet201": 1920,
    "googlenet": 1024,
    "efficientnet_lite0": 1280,
    "efficientnet_lite1": 1280,
    "efficientnet_lite2": 1280,
    "mobilenet_v2": 1280,
    "resnet18": 512,
    "resnet50": 2048,
    "vit_small": 384,
    "vit_tiny_resnext50": 2240,
}
WITHOUT_MAP = {name for name, stages in STAGES.items() if stages == TRANSFORMER or "transformer" in stages}
BEHIND_LAYERS = {"alexnet_femur"}
"""Their heads read what fully connected layers make of the map."""


@cache
def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return build_network(name).eval()


def size_of(name: str) -> int:
    """Two places of the last feature map along each axis."""
    return 107 if name == "inception_v3" else 64


@pytest.mark.parametrize("name", network_names())
def test_layers_are_the_child_blocks_and_hold_every_parameter_once(name: str) -> None:
    stages = feature_stages(network(name))
    assert " ".join(stage for stage, _ in stages) == STAGES[name]
    held = [id(value) for _, parts in stages for part in parts for value in part.parameters()]
    assert sorted(held) == sorted(id(value) for value in network(name).parameters())


@pytest.mark.parametrize("name", network_names())
def test_layers_are_in_the_order_in_which_data_passes(name: str) -> None:
    passed: list[str] = []
    hooks = [
        parts[0].register_forward_hook(lambda *_, stage=stage: passed.append(stage))
        for stage, parts in feature_stages(network(name))
    ]
    with torch.inference_mode():
        network(name)(torch.zeros(1, 1, size_of(name), size_of(name)))
    for hook in hooks:
        hook.remove()
    assert " ".join(passed) == STAGES[name]


@pytest.mark.parametrize("name", network_names())
def test_head_of_pooled_features_is_the_network(name: str) -> None:
    images = torch.rand(2, 1, size_of(name), size_of(name))
    body, head = split_head(network(name))
    with torch.inference_mode():
        features = pooled_features(network(name), images)
        torch.testing.assert_close(body(images), features)
        torch.testing.assert_close(head(features), network(name)(images))
    assert features.shape == (2, split_head(network(name))[1].in_features)
    assert features.shape[1] == DIMENSIONS.get(name, features.shape[1])


@pytest.mark.parametrize("name", sorted(set(STAGES) - WITHOUT_MAP - BEHIND_LAYERS))
def test_the_mean_of_the_last_feature_map_is_the_pooled_feature(name: str) -> None:
    seen: list[torch.Tensor] = []
    hook = last_feature_map_module(network(name)).register_forward_hook(lambda *call: seen.append(call[2]))
    with torch.inference_mode():
        features = pooled_features(network(name), torch.rand(1, 1, size_of(name), size_of(name)))
    hook.remove()
    (found,) = seen
    assert found.shape[2:] == (2, 2)
    torch.testing.assert_close(found.mean(dim=(2, 3)), features)


@pytest.mark.parametrize("name", sorted(WITHOUT_MAP))
def test_what_ends_in_no_map_says_that_it_has_no_feature_map(name: str) -> None:
    with pytest.raises(InputError, match="Grad-CAM has nothing to show"):
        last_feature_map_module(network(name))


def test_the_class_token_and_the_places_of_a_transformer_are_of_its_first_layer() -> None:
    whole = network("vit_tiny")
    _, parts = feature_stages(whole)[0]
    held = {name for part in parts for name, _ in part.named_parameters(recurse=False)}
    assert held == {"cls_token", "pos_embed"}
    for part in parts:
        part.requires_grad_(requires_grad=False)
    assert not whole.get_parameter("cls_token").requires_grad
    assert whole.get_parameter("head.weight").requires_grad
    for part in parts:
        part.requires_grad_(requires_grad=True)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("unet_small", [(48, 16), (96, 8), (192, 4)]),
        ("efficientnet_lite0_unet", [(24, 16), (40, 8), (112, 4)]),
        ("unet_then_attunet", [(128, 16), (256, 8), (512, 4)]),
    ],
)
def test_the_middle_of_a_segmenter_is_that_of_its_encoder(name: str, sizes: list[tuple[int, int]]) -> None:
    whole = build_network(name).eval()
    seen: list[tuple[int, int]] = []
    for part in middle_map_modules(whole):
        part.register_forward_hook(lambda *call: seen.append((call[2].shape[1], call[2].shape[2])))
    with torch.inference_mode():
        whole(torch.rand(1, 3, 64, 64))
    assert seen == sizes


def test_other_networks_are_refused() -> None:
    with pytest.raises(InputError, match="build the network with osteon"):
        feature_stages(nn.Linear(2, 2))
    headless = build_network("resnet18")
    headless.reset_classifier(0)  # type: ignore[operator]
    with pytest.raises(InputError, match="a linear one is needed"):
        split_head(headless)
