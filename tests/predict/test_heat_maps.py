"""Heat maps: the known answer of a network made by hand, the same by plain autograd, and other weights other maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from osteon.errors import InputError
from osteon.nets import build_network
from osteon.nets.anatomy import last_feature_map_module
from osteon.nets.deployed import DeployedClassifier
from osteon.predict.heat_maps import grad_cam
from osteon.predict.predictor import Predictor, grey_crops
from osteon.weights import find_card, load_networks
from osteon.weights.load import golden_case

if TYPE_CHECKING:
    from numpy.typing import NDArray


def mean_grad_cam(networks: Sequence[nn.Module], crops: NDArray[np.float32], *, target: int) -> NDArray[np.float32]:
    maps = [grad_cam(network, crops, target=target) for network in networks]
    return np.asarray(np.mean(maps, axis=0), dtype=np.float32)


class CornerNetwork(nn.Module):
    """Positive when the upper left quarter is bright: one channel there raises the logit, one everywhere lowers it."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(1, 2, kernel_size=4, stride=4, bias=False)
        self.head = nn.Linear(2 * 8 * 8, 2)
        with torch.no_grad():
            self.features.weight.fill_(1 / 16)  # both channels: the mean of each 4 x 4 block
            self.head.weight.zero_()
            self.head.bias.zero_()
            place = torch.zeros(2, 8, 8)
            place[0, :4, :4] = 1.0
            place[1] = -0.1
            self.head.weight[1] = place.flatten()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map (n, 1, 32, 32) to (n, 2)."""
        found: torch.Tensor = self.head(self.features(images).flatten(1))
        return found


def test_a_network_made_by_hand_gives_the_map_worked_out_by_hand() -> None:
    network = CornerNetwork().eval()
    crop = np.zeros((1, 32, 32), np.float32)
    crop[0, 4:8, 8:12] = 1.0  # block (1, 2): inside the quarter
    crop[0, 24:28, 20:24] = 0.5  # block (6, 5): outside it, half as bright
    found = grad_cam(network, crop, target=1, layer=network.features)[0]
    # channel weights: 16 of 64 places with gradient 1, 64 of 64 with -0.1; both channels see the same blocks
    coarse = torch.zeros(1, 1, 8, 8)
    coarse[0, 0, 1, 2], coarse[0, 0, 6, 5] = (0.25 - 0.1) * 1.0, (0.25 - 0.1) * 0.5
    fine = nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear", align_corners=False)[0, 0]
    np.testing.assert_allclose(found, (fine / fine.max()).numpy(), atol=1e-6)
    assert np.unravel_index(found.argmax(), found.shape)[0] in range(4, 8)
    # for the other class nothing raises the logit
    assert not grad_cam(network, crop, target=0, layer=network.features).any()


def _plain(network: nn.Module, crop: NDArray[np.float32], target: int) -> NDArray[np.float32]:
    """The slow, obvious way: cut the network's run open by hand with a retained gradient."""
    kept: list[torch.Tensor] = []
    hook = last_feature_map_module(network).register_forward_hook(lambda _m, _i, out: kept.append(out))
    logits = network(torch.from_numpy(crop)[None, None].requires_grad_())
    hook.remove()
    kept[0].retain_grad()
    logits[0, target].backward()
    features, gradient = kept[0].detach()[0], kept[0].grad
    assert gradient is not None
    total = torch.zeros(features.shape[1:])
    for channel in range(len(features)):
        total += gradient[0, channel].mean() * features[channel]
    total = nn.functional.interpolate(total.clamp(min=0)[None, None], size=crop.shape, mode="bilinear")[0, 0]
    return (total / total.max()).numpy() if total.max() > 0 else total.numpy()


@pytest.mark.parametrize(
    "name", ["densenet121", "densenet_small", "mobilenet_v2", "resnet18", "efficientnet_b0", "efficientnet_lite1"]
)
def test_every_kind_of_network_equals_plain_autograd(name: str) -> None:
    torch.manual_seed(3)
    network = build_network(name).eval()
    crops = np.random.default_rng(0).random((2, 64, 64), dtype=np.float32)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    found = np.stack([grad_cam(network, crops, target=target) for target in (0, 1)])
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert found.any()
    for target in (0, 1):
        expected = [_plain(network, crop, target) for crop in crops]
        np.testing.assert_allclose(found[target], expected, atol=1e-5)
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("name", ["densenet_small", "efficientnet_lite0", "mobilenet_v2", "resnet18"])
def test_class_activation_maps_are_grad_cam_without_a_gradient(name: str) -> None:
    torch.manual_seed(3)
    networks = [build_network(name).eval() for _ in range(2)]
    crops = np.random.default_rng(0).random((2, 64, 64), dtype=np.float32)
    seen = []  # with random weights nothing may speak for one of the classes
    for runtime in ("openvino", "torch"):
        one = Predictor.from_networks(networks, name=name, inputs=grey_crops(64), runtime=runtime)
        for column, target in enumerate(("healthy", "tumour")):
            found, told = one.heat_maps(crops, target=target)
            assert told == ()
            assert found is not None
            seen.append(found.any())
            np.testing.assert_allclose(found, mean_grad_cam(networks, crops, target=column), atol=1e-3)
    assert any(seen)


def test_shipped_models_look_where_grad_cam_says_they_look() -> None:
    for name in ("mobilenet_v2.phantom", "mobilenet_v2.femur_mr_phantom"):
        card = find_card(name)
        crops = golden_case(card).image[:2].astype(np.float32)
        found, _ = Predictor.load(card, device="cpu").heat_maps(crops)
        assert found is not None
        expected = mean_grad_cam(load_networks(card), crops, target=card.classes.positive_column)
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_networks_without_such_a_head_have_no_class_activation_map() -> None:
    for name in ("alexnet_femur", "vit_tiny", "mobilenet_v2_tiles"):
        channels = 3 if name.endswith("tiles") else 1
        deployed = DeployedClassifier([build_network(name, in_channels=channels).eval()], channels=channels)
        assert deployed.gives == ("logits", "layers"), name


def test_other_weights_give_another_map() -> None:
    """A map that survives a change of weights shows the image, not the network (Adebayo et al. 2018)."""
    crops = np.random.default_rng(0).random((1, 64, 64), dtype=np.float32)
    maps = []
    for seed in (0, 1, 2):
        torch.manual_seed(seed)
        network = build_network("densenet_small").eval()
        maps.append(grad_cam(network, crops, target=1)[0] + grad_cam(network, crops, target=0)[0])
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(maps[first] - maps[second]).mean() > 0.05


def test_frozen_weights_are_explained_as_others() -> None:
    torch.manual_seed(0)
    network = build_network("mobilenet_v2", in_channels=3).eval()
    crops = np.random.default_rng(0).random((1, 64, 64), dtype=np.float32)
    free = grad_cam(network, crops, target=1, channels=3)
    network.requires_grad_(requires_grad=False)
    np.testing.assert_allclose(grad_cam(network, crops, target=1, channels=3), free, atol=1e-6)


def test_what_cannot_be_explained_is_named() -> None:
    network = CornerNetwork().eval()
    with pytest.raises(InputError, match=r"shape \(n, row, column\)"):
        grad_cam(network, np.zeros((32, 32), np.float32), target=1, layer=network.features)
    with pytest.raises(InputError, match="no feature map"):
        grad_cam(network, np.zeros((1, 32, 32), np.float32), target=1, layer=network.head)
