"""EfficientNet-Lite0, 1 and 2: EfficientNet without squeeze-and-excitation, with ReLU6, for devices that are small.

What the published description says, and nothing else: the stages of EfficientNet-B0 (table 1 of the paper); widths and
numbers of blocks scaled by the coefficients of each variant, but for the stem, the first and last stage's number of
blocks, and the last convolution; no squeeze-and-excitation; ReLU6 for swish. Padding is TensorFlow's, as in
MobileNetV2. Dropout and stochastic depth of the published training are left out, as in all networks here.

Unlike the shipped MobileNetV2 it has batch normalisation, so it takes larger steps, and a batch of one trains badly.

References:
    Tan and Le 2019, 10.48550/arXiv.1905.11946 (EfficientNet: stages, compound scaling).
    R. Liu: Higher accuracy on vision models with EfficientNet-Lite. TensorFlow blog, 16 March 2020.
"""

from __future__ import annotations

import math

import torch
from torch import nn

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.errors import UnknownLabelError, nearest_names
from osteon.nets.mobilenet_v2 import (
    FEATURES,
    STEM_WIDTH,
    MobileNetwork,
    inverted_residuals,
    normalised_convolution,
    relu6,
)

__all__ = ["VARIANTS", "EfficientNetLite"]

VARIANTS = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
"""Factors of width and of the number of blocks."""

_STAGES = (  # kernel, expansion, width, blocks, stride of the first: table 1 of the paper
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)
_LEAST_SHARE = 0.9  # rounding takes no more than a tenth of a width away


class EfficientNetLite(MobileNetwork):
    """EfficientNet-Lite that takes images in 0..1 of any size from 32 pixels on; its methods are named as timm's."""

    def __init__(self, *, variant: str = "lite0", in_chans: int = 3, num_classes: int = 1000) -> None:
        """Random weights of torch's generator (He et al. 2015, 10.1109/ICCV.2015.123), for any number of channels.

        Raises:
            UnknownLabelError: ``variant`` is not one of ``VARIANTS``.
        """
        if variant not in VARIANTS:
            raise UnknownLabelError(f"no EfficientNet-Lite {variant!r}: {nearest_names(variant, VARIANTS)}")
        wide, deep = VARIANTS[variant]
        stages, width = [], STEM_WIDTH
        for number, (kernel, expansion, published, blocks, stride) in enumerate(_STAGES):
            wanted = _rounded(published * wide)
            count = blocks if number in (0, len(_STAGES) - 1) else math.ceil(blocks * deep)
            stages.append(
                inverted_residuals(
                    width, wanted, count, expansion=expansion, stride=stride, kernel=kernel, is_normalised=True
                )
            )
            width = wanted
        super().__init__(
            stages,
            stem=relu6(normalised_convolution(in_chans, STEM_WIDTH, 3, stride=2)),
            last=relu6(normalised_convolution(width, FEATURES, 1)),
            num_classes=num_classes,
        )
        with torch.no_grad():  # the published range: bytes less 127, over 128
            self.input_scale.fill_(255 / 128)
            self.input_offset.fill_(-127 / 128)
            for part in self.modules():
                if isinstance(part, nn.Conv2d):
                    outgoing = part.weight[0, 0].numel() * part.out_channels // part.groups
                    nn.init.normal_(part.weight, std=math.sqrt(2 / outgoing))
            nn.init.normal_(self.classifier.weight, std=0.01)
            nn.init.zeros_(self.classifier.bias)


def _rounded(width: float) -> int:
    """A width as a multiple of 8, the nearest one, but never less than nine tenths.

    Example:
        >>> [_rounded(1.1 * each) for each in (16, 24, 40, 80, 112, 192, 320)]
        [16, 24, 48, 88, 120, 208, 352]
    """
    found = max(8, int(width + 4) // 8 * 8)
    return found if found >= _LEAST_SHARE * width else found + 8
