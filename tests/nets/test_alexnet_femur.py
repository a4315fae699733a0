"""The networks of the femur paper: torchvision's, but for what the paper changes, and each learns a few images."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

import osteon._torchvision  # noqa: F401 - torchvision cannot be imported without it
from osteon.nets import build_network, describe_network
from osteon.nets.alexnet_femur import AlexNetFemur
from osteon.nets.anatomy import feature_stages, last_feature_map_module
from osteon.predict.heat_maps import grad_cam

TORCHVISIONS_ALEXNET = 61_100_840
TORCHVISIONS_GOOGLENET = 6_624_904
NORMALISED = 2 * (64 + 192)
"""Scale and shift of the two batch normalisations."""


@pytest.fixture(scope="module")
def alexnet() -> AlexNetFemur:
    """For three channels and 1,000 classes, in evaluation mode."""
    torch.manual_seed(2)
    found = build_network("alexnet_femur", in_channels=3, classes=1000).eval()
    assert isinstance(found, AlexNetFemur)
    return found


def test_parameters_are_torchvisions_and_those_of_the_normalisations() -> None:
    from torchvision.models import alexnet, googlenet

    with torch.device("meta"):
        theirs = [
            sum(value.numel() for value in network.parameters())
            for network in (alexnet(), googlenet(aux_logits=False, init_weights=False))
        ]
    assert theirs == [TORCHVISIONS_ALEXNET, TORCHVISIONS_GOOGLENET]
    mine = [describe_network(name, in_channels=3, classes=1000, size=224) for name in ("alexnet_femur", "googlenet")]
    assert [info.parameters for info in mine] == [TORCHVISIONS_ALEXNET + NORMALISED, TORCHVISIONS_GOOGLENET]


def test_at_224_pixels_the_maps_and_layers_are_alexnets() -> None:
    info = describe_network("alexnet_femur", size=224)
    shapes = {stage.name: stage.output_shape for stage in info.stages}
    assert shapes["features.conv1"] == (64, 55, 55)
    assert shapes["features.pool1"] == (64, 27, 27)
    assert shapes["features.conv2"] == (192, 27, 27)
    assert shapes["features.pool2"] == (192, 13, 13)
    assert shapes["features.conv5"] == (256, 13, 13)
    assert shapes["features.pool5"] == shapes["pool"] == (256, 6, 6)
    assert (shapes["fc1"], shapes["fc2"], shapes["classifier"]) == ((4096,), (4096,), (2,))


def test_with_normalisation_undone_it_gives_what_torchvisions_gives(alexnet: AlexNetFemur) -> None:
    from torchvision.models import AlexNet

    with torch.device("meta"):
        theirs = AlexNet().eval()
    mine = [module for module in alexnet.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    places = [name for name, part in theirs.named_modules() if isinstance(part, (nn.Conv2d, nn.Linear))]
    state = {f"{place}.{key}": value for place, module in zip(places, mine, strict=True)
             for key, value in module.state_dict().items()}  # fmt: skip
    theirs.load_state_dict(state, strict=True, assign=True)
    images = torch.rand(2, 3, 224, 224)
    norms = [module for module in alexnet.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.running_var.fill_(1 - norm.eps)  # type: ignore[union-attr]  # dividing by 1
    with torch.inference_mode():
        torch.testing.assert_close(alexnet(images), theirs(images), rtol=1e-4, atol=1e-4)
    for norm in norms:
        norm.running_var.fill_(1)  # type: ignore[union-attr]


def test_what_the_paper_changes_is_where_it_says(alexnet: AlexNetFemur) -> None:
    kinds = {name: [type(part).__name__ for _, part in stage.named_children()]
             for name, stage in alexnet.features.named_children()}  # fmt: skip
    assert kinds["conv1"] == kinds["conv2"] == ["Conv2d", "BatchNorm2d", "ReLU"]
    assert kinds["conv3"] == kinds["conv4"] == kinds["conv5"] == ["Conv2d", "ReLU"]
    drops = [module.p for module in alexnet.modules() if isinstance(module, nn.Dropout)]
    assert drops == [0.6, 0.6]
    assert isinstance(alexnet.fc1[-1], nn.Dropout)
    assert set(alexnet.penalties) == {"conv3", "conv4", "conv5"} <= {name for name, _ in feature_stages(alexnet)}
    assert set(alexnet.penalties.values()) == {1e-4}


def test_weights_are_normal_he_s_in_convolutions(alexnet: AlexNetFemur) -> None:
    wanted = {
        "features.conv1.convolution": math.sqrt(2 / (3 * 11 * 11)),
        "features.conv4.convolution": math.sqrt(2 / (384 * 9)),
        "fc1.linear": 0.005,
        "fc2.linear": 0.005,
        "classifier": 0.01,
    }
    for name, deviation in wanted.items():
        weight = alexnet.get_parameter(f"{name}.weight").detach()
        assert float(weight.std()) == pytest.approx(deviation, rel=0.02)
        beyond = float((weight.abs() > 2 * deviation).float().mean())
        assert beyond == pytest.approx(0.0455, abs=4e-3)  # of a normal distribution, not of a uniform one
    biases = [module.bias for module in alexnet.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert all(not bool(bias.any()) for bias in biases if bias is not None)


def test_grad_cam_looks_at_the_last_convolution() -> None:
    torch.manual_seed(1)
    network = build_network("alexnet_femur").eval()
    assert last_feature_map_module(network) is network.get_submodule("features.conv5")
    crops = torch.rand(1, 96, 96).numpy()
    maps = grad_cam(network, crops, target=1)
    assert maps.shape == (1, 96, 96)
    assert 0 <= maps.min() < maps.max() <= 1


@pytest.mark.parametrize(("name", "size", "steps"), [("alexnet_femur", 64, 12), ("googlenet", 64, 12)])
def test_ten_images_are_learnt_by_heart(name: str, size: int, steps: int) -> None:
    torch.manual_seed(3)
    network = build_network(name)
    images = torch.rand(10, 1, size, size) * 0.2
    labels = torch.tensor([0, 1] * 5)
    images[labels == 1, :, 16:48, 16:48] += 0.6
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    found = []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = functional.cross_entropy(network(images), labels)
        loss.backward()
        optimiser.step()
        found.append(float(loss.detach()))
    assert all(math.isfinite(value) for value in found)
    assert found[0] == pytest.approx(math.log(2), abs=0.2)
    assert max(found) < 2, "the paper's rate must not throw the weights out"
    assert min(found[-3:]) < 0.5 * found[0]
