"""Losses are what the papers say."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from osteon.train.losses import (
    balanced_weights,
    class_loss,
    focal_loss,
    focal_map_loss,
    map_loss,
    map_weights,
    soft_dice_loss,
)
from tests.train.quick import legs, segmenter

LOGITS = torch.tensor([[0.3, -1.2], [2.0, 0.5], [-0.4, 0.1]], dtype=torch.float64)
LABELS = torch.tensor([0, 1, 1])
WEIGHTS = torch.tensor([0.5, 2.0], dtype=torch.float64)

PAPER = segmenter()

# probabilities 0.8 and 0.4 of the lesion, 0.9 and 0.5 of the bone; the first pixel is both, the second neither
MAPS = torch.logit(torch.tensor([[[[0.8, 0.4]], [[0.9, 0.5]]]], dtype=torch.float64))
MASKS = torch.tensor([[[[1.0, 0.0]], [[1.0, 0.0]]]])
LESION = -(math.log(0.8) + math.log(0.6)) / 2
BONE = -(math.log(0.9) + math.log(0.5)) / 2


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
    cross = class_loss(LOGITS, LABELS, legs(configuration="CAE"))
    focal = class_loss(LOGITS, LABELS, legs(configuration="FAE", focal_gamma=1.5))
    torch.testing.assert_close(cross, functional.cross_entropy(LOGITS, LABELS))
    torch.testing.assert_close(focal, focal_loss(LOGITS, LABELS, gamma=1.5))


def test_the_hybrid_loss_is_that_of_a_hand_calculation() -> None:
    found = map_loss(MAPS, MASKS, PAPER, map_weights(PAPER, ("lesion", "bone")))
    assert float(found) == pytest.approx(0.7 * LESION + 0.3 * BONE, abs=1e-6)
    assert float(found) == pytest.approx(0.376666, abs=1e-6)


def test_weights_belong_to_names_not_to_positions() -> None:
    assert map_weights(PAPER, ("lesion", "bone")) == (0.7, 0.3)
    assert map_weights(PAPER, ("bone", "lesion")) == (0.3, 0.7)
    assert map_weights(PAPER, ("bone",)) == map_weights(PAPER, ("lesion",)) == (1.0,)


def test_a_network_with_one_map_has_plain_cross_entropy() -> None:
    found = map_loss(MAPS[:, :1], MASKS[:, :1], PAPER, (1.0,))
    assert float(found) == pytest.approx(LESION, abs=1e-6)
    assert float(found) == pytest.approx(
        float(functional.binary_cross_entropy(MAPS[:, :1].sigmoid(), MASKS[:, :1].double()))
    )


def test_the_focal_loss_of_maps_is_that_of_a_hand_calculation() -> None:
    expected = (0.2**2 * -math.log(0.8) + 0.4**2 * -math.log(0.6)) / 2
    assert float(focal_map_loss(MAPS[:, 0], MASKS[:, 0].double(), gamma=2.0)) == pytest.approx(expected)
    assert float(focal_map_loss(MAPS[:, 0], MASKS[:, 0].double(), gamma=0.0)) == pytest.approx(LESION)
    focal = replace(PAPER, loss="focal")
    assert float(map_loss(MAPS[:, :1], MASKS[:, :1], focal, (1.0,))) == pytest.approx(expected, abs=1e-6)


def test_the_dice_part_is_that_of_a_hand_calculation_and_off_by_default() -> None:
    expected = 1 - (2 * 0.8 + 1) / (1.2 + 1 + 1)
    assert float(soft_dice_loss(MAPS[:, 0], MASKS[:, 0])) == pytest.approx(expected)
    with_dice = map_loss(MAPS[:, :1], MASKS[:, :1], replace(PAPER, dice_weight=0.5), (1.0,))
    assert float(with_dice) == pytest.approx(LESION + 0.5 * expected, abs=1e-6)
    # a second image that shows the first one's lesion and has none
    maps, masks = torch.cat([MAPS[:, :1]] * 2), torch.cat([MASKS[:, :1], torch.zeros_like(MASKS[:, :1])])
    alone = [float(soft_dice_loss(maps[index], masks[index])) for index in (0, 1)]
    assert float(soft_dice_loss(maps[:, 0], masks[:, 0])) != pytest.approx(sum(alone) / 2)
    assert float(soft_dice_loss(maps[:, 0], masks[:, 0], over="image")) == pytest.approx(sum(alone) / 2)
    by_batch, by_image = (
        float(map_loss(maps, masks, replace(PAPER, dice_weight=1.0, dice_over=over), (1.0,)))
        for over in ("batch", "image")
    )
    assert by_image - by_batch == pytest.approx(
        sum(alone) / 2 - float(soft_dice_loss(maps[:, 0], masks[:, 0])), abs=1e-6
    )
    nothing = torch.full((2, 4, 4), -30.0)
    assert float(soft_dice_loss(nothing, torch.zeros(2, 4, 4))) == pytest.approx(0.0, abs=1e-6)


def test_gradients_of_sure_wrong_pixels_are_finite_in_every_loss() -> None:
    for settings in (PAPER, replace(PAPER, loss="focal", focal_gamma=0.5), replace(PAPER, dice_weight=1.0)):
        logits = torch.tensor([[[[-200.0, 200.0]]]], requires_grad=True)
        map_loss(logits, torch.tensor([[[[1.0, 0.0]]]]), settings, (1.0,)).backward()
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()
