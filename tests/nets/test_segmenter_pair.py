"""A pair is the lesion network on the image times the bone of the first network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from osteon.errors import InputError
from osteon.nets import build_network, describe_network, network_names
from osteon.nets.segmenter import Segmenter, SegmenterPair
from osteon.nets.segmenter_description import SEGMENTERS, SEQUENCES

SMALL = replace(SEGMENTERS["unet"], widths=(4, 4, 8))


def segmenters() -> tuple[Segmenter, Segmenter]:
    torch.manual_seed(0)
    return Segmenter(replace(SMALL, outputs=("bone",))).eval(), Segmenter(SMALL).eval()


@pytest.mark.parametrize("name", sorted(SEQUENCES))
def test_the_registry_has_the_pairs_of_the_thesis(name: str) -> None:
    first, second = SEQUENCES[name]
    info = describe_network(name, size=64)
    unused_heads = 99 if second == "attunetpp" else 0  # side heads: a pair has none
    alone = sum(describe_network(part, size=64).parameters for part in (first, second))
    assert info.parameters == alone - unused_heads
    assert info.output_shape == (2, 64, 64)
    assert sum(stage.parameters for stage in info.stages) == info.parameters


def test_every_segmenter_and_pair_is_in_the_registry() -> None:
    assert set(network_names(task="segmentation")) == {*SEGMENTERS, *SEQUENCES}
    assert not set(network_names()) & {*SEGMENTERS, *SEQUENCES}


def test_the_lesion_network_sees_the_bone_that_was_found() -> None:
    bone, lesion = segmenters()
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        logits = bone(images)
        assert 0 < int((logits >= 0).sum()) < logits.numel()
        regions = {"hard": logits.sigmoid() >= 0.5, "soft": logits.sigmoid()}
        for mask, region in regions.items():
            pair = SegmenterPair(bone, lesion, mask=mask)  # type: ignore[arg-type]
            torch.testing.assert_close(pair(images), torch.cat((lesion(images * region), logits), dim=1))


@pytest.mark.parametrize(("mask", "reaches"), [("hard", False), ("soft", True)])
def test_the_loss_of_the_lesion_reaches_the_bone_network_through_a_soft_mask_only(mask: str, reaches: bool) -> None:
    pair = SegmenterPair(*segmenters(), mask=mask)  # type: ignore[arg-type]
    pair(torch.rand(1, 3, 32, 32))[:, 0].square().mean().backward()
    moved = [bool(value.grad.any()) for value in pair.bone.parameters() if value.grad is not None]
    assert any(moved) == reaches
    assert any(bool(value.grad.any()) for value in pair.lesion.parameters() if value.grad is not None)


def test_what_does_not_fit_is_refused() -> None:
    bone, _ = segmenters()
    with pytest.raises(InputError, match="it must give one map"):
        SegmenterPair(bone, Segmenter(replace(SMALL, outputs=("lesion", "bone"))))
    with pytest.raises(InputError, match="it has 2"):
        build_network("unet_then_attunet", classes=1)
