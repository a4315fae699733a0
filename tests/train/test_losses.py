"""Losses are what the papers say."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from osteon.train.losses import balanced_weights, build_loss, focal_loss
from osteon.train.settings import TrainSettings

LOGITS = torch.tensor([[0.3, -1.2], [2.0, 0.5], [-0.4, 0.1]], dtype=torch.float64)
LABELS = torch.tensor([0, 1, 1])
WEIGHTS = torch.tensor([0.5, 2.0], dtype=torch.float64)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_focal_loss_at_gamma_zero_is_cross_entropy(weights: torch.Tensor | None) -> None:
    found = focal_loss(LOGITS, LABELS, gamma=0.0, weights=weights)
    torch.testing.assert_close(found, functional.cross_entropy(LOGITS, LABELS, weight=weights))


def test_focal_loss_by_hand() -> None:
    """Two images with p = 0.75 and p = 0.2 of the true class, gamma 2."""
    logits = torch.log(torch.tensor([[0.75, 0.25], [0.8, 0.2]]))
    expected = (0.25**2 * -math.log(0.75) + 0.8**2 * -math.log(0.2)) / 2
    assert float(focal_loss(logits, torch.tensor([0, 1]), gamma=2.0)) == pytest.approx(expected, rel=1e-6)


def test_weighted_focal_loss_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.75, 0.25], [0.8, 0.2]]))
    expected = (1 * 0.25**2 * -math.log(0.75) + 3 * 0.8**2 * -math.log(0.2)) / (1 + 3)
    found = focal_loss(logits, torch.tensor([0, 1]), gamma=2.0, weights=torch.tensor([1.0, 3.0]))
    assert float(found) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_gradient_of_focal_loss_is_that_of_differences(gamma: float) -> None:
    logits = LOGITS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: focal_loss(x, LABELS, gamma=gamma, weights=WEIGHTS), logits)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_a_certain_answer_has_a_finite_gradient(gamma: float) -> None:
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    focal_loss(logits, torch.tensor([0, 0]), gamma=gamma).backward()
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())


def test_balanced_weights_make_the_classes_equal() -> None:
    labels = torch.tensor([0] * 9 + [1] * 3)
    weights = balanced_weights(labels, 2)
    assert float(weights[0] * 9) == pytest.approx(float(weights[1] * 3))
    assert float(weights[labels].mean()) == pytest.approx(1.0)


def test_the_configuration_chooses_the_loss() -> None:
    cross = build_loss(TrainSettings(configuration="CAE"), None)(LOGITS, LABELS)
    focal = build_loss(TrainSettings(configuration="FAE", focal_gamma=1.5), None)(LOGITS, LABELS)
    torch.testing.assert_close(cross, functional.cross_entropy(LOGITS, LABELS))
    torch.testing.assert_close(focal, focal_loss(LOGITS, LABELS, gamma=1.5))
