"""MobileNetV2 (and EfficientNet-Lite) pads as TensorFlow, has its size, and starts from weights that carry a signal."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from osteon.nets import build_network, describe_network
from osteon.nets.encoder import MOBILE_NETWORKS
from osteon.nets.mobilenet_v2 import MobileNetV2, SameConv2d


def slow_same(image: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """TensorFlow's words: out = ceil(in / stride), the zeros split in two, the odd one at the end."""
    rows, columns = (-(-size // stride) for size in image.shape)
    out = np.zeros((rows, columns))
    side = kernel.shape[0]
    before = [max((-(-size // stride) - 1) * stride + side - size, 0) // 2 for size in image.shape]
    for row in range(rows):
        for column in range(columns):
            for i in range(side):
                for j in range(side):
                    y, x = row * stride + i - before[0], column * stride + j - before[1]
                    if 0 <= y < image.shape[0] and 0 <= x < image.shape[1]:
                        out[row, column] += image[y, x] * kernel[i, j]
    return out


@pytest.mark.parametrize("size", [(6, 6), (7, 7), (6, 7), (7, 8)])
@pytest.mark.parametrize("stride", [1, 2])
def test_padding_is_tensorflows(size: tuple[int, int], stride: int) -> None:
    random = np.random.default_rng(1)
    image, kernel = random.normal(size=size), random.normal(size=(3, 3))
    layer = SameConv2d(1, 1, 3, stride=stride).double()
    with torch.no_grad():
        layer.weight[:] = torch.from_numpy(kernel)
        layer.bias[:] = 0.0  # type: ignore[index]
        found = layer(torch.from_numpy(image)[None, None]).numpy()[0, 0]
    np.testing.assert_allclose(found, slow_same(image, kernel, stride), atol=1e-12)


def test_the_size_is_the_published_one() -> None:
    assert describe_network("mobilenet_v2", in_channels=3, classes=1001).parameters == 3_489_097
    assert sum(isinstance(part, SameConv2d) for part in MobileNetV2().modules()) == 52  # and the head makes 53


def test_no_relu_follows_a_projection_and_images_of_any_size_go_in() -> None:
    network = build_network("mobilenet_v2").eval()
    with torch.inference_mode():
        for size in ((32, 32), (33, 47), (224, 96)):
            image = torch.rand(1, 1, *size)
            assert network.forward_features(image).shape == (1, 1280, -(-size[0] // 32), -(-size[1] // 32))  # type: ignore[operator]
        stage = network.get_submodule("features.stage1")
        assert float(stage(torch.rand(1, 32, 8, 8)).min()) < 0.0


def test_fresh_weights_carry_a_signal_to_the_head_and_back() -> None:
    torch.manual_seed(0)
    network = build_network("mobilenet_v2", classes=2)
    images = torch.rand(4, 1, 64, 64)
    features = network.forward_features(images)  # type: ignore[operator]
    assert 0.1 < float(features.detach().std()) < 3.0
    network(images).square().sum().backward()
    gradients = {name: float(value.grad.norm()) for name, value in network.named_parameters() if value.grad is not None}
    assert len(gradients) == len(list(network.parameters()))
    assert all(np.isfinite(size) for size in gradients.values())
    assert gradients["features.stem.0.weight"] > 1e-6


@pytest.mark.parametrize("name", sorted(MOBILE_NETWORKS))
def test_three_equal_channels_are_one_channel_with_summed_kernels_at_the_border_too(name: str) -> None:
    torch.manual_seed(1)
    wide, narrow = (MOBILE_NETWORKS[name](in_chans=count, num_classes=2).double().eval() for count in (3, 1))
    state = wide.state_dict()
    state["features.stem.0.weight"] = state["features.stem.0.weight"].sum(dim=1, keepdim=True)
    narrow.load_state_dict(state)
    image = torch.rand(2, 1, 48, 48, dtype=torch.float64)
    with torch.inference_mode():
        one, three = narrow.forward_features(image), wide.forward_features(image.expand(-1, 3, -1, -1))
    assert float(one.std()) > 1e-3
    torch.testing.assert_close(one, three, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v2"])
def test_a_small_problem_is_learnt_from_fresh_weights(name: str) -> None:
    torch.manual_seed(2)
    network = build_network(name, classes=2)
    labels = torch.arange(8) % 2
    images = torch.rand(8, 1, 32, 32) * 0.2 + labels[:, None, None, None] * 0.5
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(12):
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
