"""Tile classifiers have the parts and the sizes that the paper names, and give their pooled feature."""

from __future__ import annotations

import pytest
import torch

from osteon.errors import InputError, UnknownLabelError
from osteon.nets import build_network, describe_network, network_names
from osteon.nets.anatomy import feature_stages, split_head
from osteon.nets.tile_classifier import TileClassifier

# length of the pooled feature, and parameters of the base without its own head: timm's pages for 1,000 classes
# (25.55, 22.86, 55.84, 4.65, 5.42, 6.09 million; MobileNetV2's 3,489,097 with 1,001 classes, normalisation folded in)
# less the head
BASES = {
    "efficientnet_lite0_tiles": (1280, 4_652_008 - 1000 * 1281, 3.4),
    "efficientnet_lite1_tiles": (1280, 5_416_680 - 1000 * 1281, 4.1),
    "efficientnet_lite2_tiles": (1280, 6_092_072 - 1000 * 1281, 4.8),
    "mobilenet_v2_tiles": (1280, 3_489_097 - 1001 * 1281, 3.5),
    "resnetv2_50_tiles": (2048, 25_549_352 - 1000 * 2049, 25.5),
    "xception_tiles": (2048, 22_855_952 - 1000 * 2049, 22.9),
    "inception_resnet_v2_tiles": (1536, 55_843_464 - 1000 * 1537, 55.8),
}


def test_all_are_there_and_stand_apart_from_the_classifiers_of_grey_images() -> None:
    assert set(network_names(task="tiles")) == set(BASES)
    assert not set(BASES) & set(network_names())


@pytest.mark.parametrize("name", sorted(BASES))
def test_parameters_are_those_of_the_base_and_of_a_hundred_units(name: str) -> None:
    features, base, _ = BASES[name]
    info = describe_network(name, size=224)
    assert info.parameters == base + 100 * (features + 1) + 3 * 101
    assert info.input_shape == (3, 224, 224)
    assert info.output_shape == (3,)


def test_the_pooled_feature_is_what_the_head_sees() -> None:
    torch.manual_seed(0)
    network = build_network("mobilenet_v2_tiles").eval()
    assert isinstance(network, TileClassifier)
    tiles = torch.rand(2, 3, 64, 64)
    body, head = split_head(network)
    with torch.inference_mode():
        maps = network.forward_features(tiles)
        pooled = body(tiles)
        torch.testing.assert_close(pooled, maps.mean(dim=(2, 3)))
        torch.testing.assert_close(head(pooled), network(tiles))
    assert pooled.shape == (2, split_head(network)[1].in_features) == (2, 1280)
    assert [name for name, _ in feature_stages(network)] == ["base", "head"]


@pytest.mark.parametrize("name", ["mobilenet_v2_tiles", "resnetv2_50_tiles"])
def test_bases_see_minus_one_to_one(name: str) -> None:
    network = build_network(name).eval()
    assert isinstance(network, TileClassifier)
    seen: list[torch.Tensor] = []
    inner = network.base.features if name == "mobilenet_v2_tiles" else network.base.stem
    inner.register_forward_pre_hook(lambda _, given: seen.append(given[0]))  # type: ignore[union-attr]
    tiles = torch.stack([torch.zeros(3, 64, 64), torch.ones(3, 64, 64)])
    with torch.inference_mode():
        network(tiles)
    assert (float(seen[0][0].max()), float(seen[0][1].min())) == (-1.0, 1.0)


def test_grey_tiles_and_unknown_bases_are_refused() -> None:
    with pytest.raises(InputError, match="tiles have 3, RGB"):
        build_network("mobilenet_v2_tiles", in_channels=1)
    with pytest.raises(UnknownLabelError, match="no base"):
        TileClassifier(base="mobilenet_v3")
