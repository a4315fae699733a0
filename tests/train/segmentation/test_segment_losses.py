"""The losses give the numbers of a hand calculation, and zero weights turn parts off."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from osteon.train.segmentation.losses import focal_map_loss, map_loss, map_weights, soft_dice_loss
from osteon.train.segmentation.settings import SegmentSettings

PAPER = SegmentSettings()

# probabilities 0.8 and 0.4 of the lesion, 0.9 and 0.5 of the bone; the first pixel is both, the second neither
LOGITS = torch.logit(torch.tensor([[[[0.8, 0.4]], [[0.9, 0.5]]]], dtype=torch.float64))
MASKS = torch.tensor([[[[1.0, 0.0]], [[1.0, 0.0]]]])
LESION = -(math.log(0.8) + math.log(0.6)) / 2
BONE = -(math.log(0.9) + math.log(0.5)) / 2


def test_the_hybrid_loss_is_that_of_a_hand_calculation() -> None:
    found = map_loss(LOGITS, MASKS, PAPER, map_weights(PAPER, ("lesion", "bone")))
    assert float(found) == pytest.approx(0.7 * LESION + 0.3 * BONE, abs=1e-6)
    assert float(found) == pytest.approx(0.376666, abs=1e-6)


def test_weights_belong_to_names_not_to_positions() -> None:
    assert map_weights(PAPER, ("lesion", "bone")) == (0.7, 0.3)
    assert map_weights(PAPER, ("bone", "lesion")) == (0.3, 0.7)
    assert map_weights(PAPER, ("bone",)) == map_weights(PAPER, ("lesion",)) == (1.0,)


def test_a_network_with_one_map_has_plain_cross_entropy() -> None:
    found = map_loss(LOGITS[:, :1], MASKS[:, :1], PAPER, (1.0,))
    assert float(found) == pytest.approx(LESION, abs=1e-6)
    assert float(found) == pytest.approx(
        float(functional.binary_cross_entropy(LOGITS[:, :1].sigmoid(), MASKS[:, :1].double()))
    )


def test_the_focal_loss_is_that_of_a_hand_calculation() -> None:
    expected = (0.2**2 * -math.log(0.8) + 0.4**2 * -math.log(0.6)) / 2
    assert float(focal_map_loss(LOGITS[:, 0], MASKS[:, 0].double(), gamma=2.0)) == pytest.approx(expected)
    assert float(focal_map_loss(LOGITS[:, 0], MASKS[:, 0].double(), gamma=0.0)) == pytest.approx(LESION)
    focal = replace(PAPER, loss="focal")
    assert float(map_loss(LOGITS[:, :1], MASKS[:, :1], focal, (1.0,))) == pytest.approx(expected, abs=1e-6)


def test_the_dice_part_is_that_of_a_hand_calculation_and_off_by_default() -> None:
    expected = 1 - (2 * 0.8 + 1) / (1.2 + 1 + 1)
    assert float(soft_dice_loss(LOGITS[:, 0], MASKS[:, 0])) == pytest.approx(expected)
    with_dice = map_loss(LOGITS[:, :1], MASKS[:, :1], replace(PAPER, dice_weight=0.5), (1.0,))
    assert float(with_dice) == pytest.approx(LESION + 0.5 * expected, abs=1e-6)
    nothing = torch.full((2, 4, 4), -30.0)
    assert float(soft_dice_loss(nothing, torch.zeros(2, 4, 4))) == pytest.approx(0.0, abs=1e-6)


def test_gradients_of_sure_wrong_pixels_are_finite_in_every_loss() -> None:
    for settings in (PAPER, replace(PAPER, loss="focal", focal_gamma=0.5), replace(PAPER, dice_weight=1.0)):
        logits = torch.tensor([[[[-200.0, 200.0]]]], requires_grad=True)
        map_loss(logits, torch.tensor([[[[1.0, 0.0]]]]), settings, (1.0,)).backward()
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()
