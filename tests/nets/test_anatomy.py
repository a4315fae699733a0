"""Layers, pooled features and heads of every network of the registry."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn

from osteon.errors import InputError
from osteon.nets import build_network, network_names
from osteon.nets.anatomy import (
    feature_dimensions,
    feature_stages,
    last_feature_map_module,
    pooled_features,
    split_head,
)

DENSE = "conv0 denseblock1 transition1 denseblock2 transition2 denseblock3 transition3 denseblock4 classifier"
RESIDUAL = "conv1 layer1 layer2 layer3 layer4 fc"
STAGES = {
    "densenet121": DENSE,
    "densenet169": DENSE,
    "densenet_small": DENSE,
    "mobilenet_v2": "stem stage1 stage2 stage3 stage4 stage5 stage6 stage7 last classifier",
    "resnet18": RESIDUAL,
    "resnet50": RESIDUAL,
}
DIMENSIONS = {"densenet121": 1024, "densenet169": 1664, "mobilenet_v2": 1280, "resnet18": 512, "resnet50": 2048}


@cache
def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return build_network(name).eval()


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
        network(name)(torch.zeros(1, 1, 32, 32))
    for hook in hooks:
        hook.remove()
    assert " ".join(passed) == STAGES[name]


@pytest.mark.parametrize("name", network_names())
def test_head_of_pooled_features_is_the_network(name: str) -> None:
    images = torch.rand(2, 1, 64, 64)
    body, head = split_head(network(name))
    with torch.inference_mode():
        features = pooled_features(network(name), images)
        torch.testing.assert_close(body(images), features)
        torch.testing.assert_close(head(features), network(name)(images))
    assert features.shape == (2, feature_dimensions(network(name)))
    assert features.shape[1] == DIMENSIONS.get(name, features.shape[1])


@pytest.mark.parametrize("name", network_names())
def test_the_mean_of_the_last_feature_map_is_the_pooled_feature(name: str) -> None:
    seen: list[torch.Tensor] = []
    hook = last_feature_map_module(network(name)).register_forward_hook(lambda *call: seen.append(call[2]))
    with torch.inference_mode():
        features = pooled_features(network(name), torch.rand(1, 1, 64, 64))
    hook.remove()
    (found,) = seen
    assert found.shape[2:] == (2, 2)
    torch.testing.assert_close(found.mean(dim=(2, 3)), features)


def test_other_networks_are_refused() -> None:
    with pytest.raises(InputError, match="build the network with osteon"):
        feature_stages(nn.Linear(2, 2))
    headless = build_network("resnet18")
    headless.reset_classifier(0)  # type: ignore[operator]
    with pytest.raises(InputError, match="a linear one is needed"):
        feature_dimensions(headless)
