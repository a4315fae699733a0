"""Two branches, one head: what is joined, and that the two grids need not be brought together."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from osteon.nets import build_network
from osteon.nets.vision_transformer import VitResnext


@pytest.fixture(scope="module")
def network() -> VitResnext:
    """With fresh weights, in evaluation mode."""
    torch.manual_seed(3)
    found = build_network("vit_tiny_resnext50").eval()
    assert isinstance(found, VitResnext)
    return found


def test_pooling_each_branch_on_its_own_grid_is_pooling_the_aligned_maps(network: VitResnext) -> None:
    images = torch.rand(2, 1, 96, 64)
    with torch.inference_mode():
        coarse = network.convolutional.forward_features(images)  # type: ignore[operator]
        tokens = network.transformer.forward_features(images)[:, 1:]  # without the class token
        fine = tokens.transpose(1, 2).reshape(2, 192, 6, 4)
        aligned = torch.cat((coarse, functional.avg_pool2d(fine, 2)), dim=1)  # equation 5.6, on the coarser grid
        pooled = aligned.mean(dim=(2, 3))  # 5.7
        logits = pooled @ network.classifier.weight.T + network.classifier.bias  # 5.8
        torch.testing.assert_close(network.forward_features(images), pooled)
        torch.testing.assert_close(network(images), logits)
    assert coarse.shape == (2, 2048, 3, 2)
    assert aligned.shape == (2, 2240, 3, 2)


def test_both_branches_and_the_head_learn(network: VitResnext) -> None:
    network(torch.rand(2, 1, 32, 32))[:, 1].sum().backward()
    untouched = [name for name, value in network.named_parameters() if value.grad is None]
    assert untouched == []
    assert all(bool(torch.isfinite(value.grad).all()) for value in network.parameters() if value.grad is not None)
    network.zero_grad()


def test_images_of_any_size_are_taken(network: VitResnext) -> None:
    with torch.inference_mode():
        assert network(torch.rand(1, 1, 50, 70)).shape == (1, 2)
