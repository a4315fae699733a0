"""Two segmenters in sequence: the first finds the bone, the second looks for lesions in what the first left.

The thesis compares its hybrid with (U-Net, Attention U-Net), (U-Net, UNet++) and (U-Net, AttUNet++). How the bone is
handed on is not stated; the reading taken: the image is multiplied by the bone mask, hard at probability 0.5.

References:
    specs/bone-metastasis.md, section 2.3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.errors import InputError
from osteon.nets.segmenter import Segmenter
from osteon.nets.segmenter_description import SEGMENTERS, SEQUENCES

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SegmenterPair", "named_pair"]


class SegmenterPair(nn.Module):
    """A bone network, then a lesion network that sees the image only where there is bone.

    Attributes:
        bone: gives one map of logits.
        lesion: gives one map of logits.
        mask: "hard" is bone or no bone at probability 0.5, and no gradient of the lesion's loss reaches the bone
            network; "soft" multiplies by the probability, and it does.
        outputs: names of the output channels, in their order.
    """

    def __init__(self, bone: Segmenter, lesion: Segmenter, *, mask: Literal["hard", "soft"] = "hard") -> None:
        """Join two networks; nothing is copied.

        Raises:
            InputError: a network has more than one output.
        """
        super().__init__()
        for role, network in (("bone", bone), ("lesion", lesion)):
            if len(network.outputs) != 1:
                raise InputError(
                    f"the {role} network of a pair gives {', '.join(network.outputs)}; it must give one map"
                )
        self.bone, self.lesion = bone, lesion
        self.mask = mask
        self.outputs: tuple[str, ...] = ("lesion", "bone")

    def forward(self, images: Tensor, bone_masks: Tensor | None = None) -> Tensor:
        """Map images to logits of lesion and bone.

        Args:
            images: float (n, channel, row, column), 0 where there is nothing; sizes as the two networks take them.
            bone_masks: the true bone, 0 or 1, (n, 1, row, column), to train the lesion network on it; None takes what
                the bone network finds.

        Returns:
            (n, 2, row, column), channels as ``outputs``.

        Raises:
            InputError: masks of another shape than the images; or sizes that the networks do not take.
        """
        wanted = (len(images), 1, *images.shape[-2:])
        if bone_masks is not None and tuple(bone_masks.shape) != wanted:
            raise InputError(f"bone masks have the shape {tuple(bone_masks.shape)}; the images need {wanted}")
        bone: Tensor = self.bone(images)
        if bone_masks is not None:
            region = bone_masks.to(images.dtype)
        elif self.mask == "hard":
            region = (bone.detach() >= 0).to(images.dtype)  # a logit of 0 is a probability of 0.5
        else:
            region = bone.sigmoid()
        return torch.cat((self.lesion(images * region), bone), dim=1)


def named_pair(*, in_chans: int, num_classes: int, sequence: str) -> SegmenterPair:
    """What the registry calls: a pair of ``SEQUENCES``.

    Raises:
        InputError: another number of output maps than two.
    """
    if num_classes != 2:
        raise InputError(f"{sequence} was asked for {num_classes} output maps; it has 2: lesion, bone")
    first, second = (replace(SEGMENTERS[name], has_side_heads=False) for name in SEQUENCES[sequence])
    return SegmenterPair(
        Segmenter(replace(first, outputs=("bone",)), in_channels=in_chans),
        Segmenter(replace(second, outputs=("lesion",)), in_channels=in_chans),
    )
