"""MobileNetV2 1.0 as TensorFlow runs it after folding: convolutions with bias and no batch normalisation.

The network exists for the weights that osteon ships (``osteon.weights.backbone``): ImageNet weights whose batch
normalisation was folded into the convolutions before they were published. Two consequences for training:

* there are no running statistics, so a batch of one trains like a large one, and training and evaluation modes agree;
* nothing renormalises activations, so learning rates stay small (1e-4 and below for all layers; the head takes 1e-3),
  and training from random weights is slower than with normalisation.

References:
    Sandler et al. 2018, 10.1109/CVPR.2018.00474.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

__all__ = [
    "FEATURES",
    "STEM_WIDTH",
    "InvertedResidual",
    "MobileNetV2",
    "MobileNetwork",
    "SameConv2d",
    "inverted_residuals",
    "normalised_convolution",
    "relu6",
]

STEM_WIDTH = 32
"""Channels after the first convolution."""

_STAGES = (  # expansion, width, blocks, stride of the first: table 2 of the paper
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
FEATURES = 1280
"""Length of the pooled feature."""

_BRANCHES = sum(blocks - 1 for _, _, blocks, _ in _STAGES)


class SameConv2d(nn.Conv2d):
    """A convolution padded with zeros as TensorFlow's SAME: an odd zero goes to the right and to the bottom."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1, bias: bool = True
    ) -> None:
        """As ``nn.Conv2d``; the padding depends on the size of the image."""
        super().__init__(in_channels, out_channels, kernel, stride=stride, groups=groups, bias=bias)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - nn.Conv2d's own name
        """Map (n, in, row, column) to (n, out, ceil(row / stride), ceil(column / stride))."""
        return self.with_kernel(input, self.weight, self.bias)

    def with_kernel(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """What the convolution would give with another kernel and bias."""
        top, bottom = _same(images.shape[-2], self.kernel_size[0], self.stride[0])
        left, right = _same(images.shape[-1], self.kernel_size[1], self.stride[1])
        padding = (top, left)
        if (top, left) != (bottom, right):
            images, padding = functional.pad(images, (left, right, top, bottom)), (0, 0)
        return functional.conv2d(images, weight, bias, self.stride, padding, 1, self.groups)


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after one axis.

    Example:
        >>> _same(224, 3, 2), _same(225, 3, 2), _same(224, 3, 1), _same(7, 1, 1)
        ((0, 1), (1, 1), (1, 1), (0, 0))
    """
    whole = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return whole // 2, whole - whole // 2


class InvertedResidual(nn.Module):
    """Widen with 1x1, filter each channel, project with 1x1; added to the input where shapes allow."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        expansion: int,
        stride: int,
        kernel: int = 3,
        is_normalised: bool = False,
    ) -> None:
        """With ``expansion`` 1 there is no widening convolution; normalised convolutions have no bias."""
        super().__init__()
        wide = in_channels * expansion
        make = normalised_convolution if is_normalised else SameConv2d
        self.expand = relu6(make(in_channels, wide, 1)) if expansion > 1 else nn.Identity()
        self.depthwise = relu6(make(wide, wide, kernel, stride=stride, groups=wide))
        self.project = make(wide, out_channels, 1)  # linear: a ReLU here would throw information away
        self.is_residual = stride == 1 and in_channels == out_channels

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, in, row, column) to (n, out, ceil(row / stride), ceil(column / stride))."""
        change: Tensor = self.project(self.depthwise(self.expand(images)))
        return images + change if self.is_residual else change


class MobileNetwork(nn.Module):
    """A stem, seven stages of inverted residuals and a last convolution, for images in 0..1; methods named as timm's.

    The scaling to the range of the weights is part of the network (``input_scale`` and ``input_offset``: buffers, no
    parameters, stored with the weights) and comes before the first padding. The same image in three channels and one
    grey channel with the first kernels summed over their inputs are therefore the same function, borders included.

    Attributes:
        num_features: length of the pooled feature, 1280.
        features: stem, seven stages, and the last convolution; images (n, c, row, column) to (n, 1280, r/32, c/32).
        classifier: the linear head.
    """

    def __init__(self, stages: Iterable[nn.Module], *, stem: nn.Module, last: nn.Module, num_classes: int) -> None:
        """Join the parts."""
        super().__init__()
        self.num_features = FEATURES
        self.input_scale: Tensor
        self.input_offset: Tensor
        self.register_buffer("input_scale", torch.tensor(2.0))
        self.register_buffer("input_offset", torch.tensor(-1.0))
        named = ((f"stage{number}", stage) for number, stage in enumerate(stages, start=1))
        self.features = nn.Sequential(OrderedDict([("stem", stem), *named, ("last", last)]))
        self.classifier = nn.Linear(FEATURES, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, channel, row, column) in 0..1 to logits (n, class)."""
        return self.forward_head(self.forward_features(images))

    def forward_features(self, images: Tensor) -> Tensor:
        """Map images (n, channel, row, column) in 0..1 to the last feature map (n, 1280, row / 32, column / 32)."""
        scaled: Tensor = self.features(images * self.input_scale + self.input_offset)
        return scaled

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - timm's signature
        """Map the last feature map to logits (n, class), or to the pooled feature (n, 1280)."""
        pooled = x.mean(dim=(2, 3))
        return pooled if pre_logits else self.classifier(pooled)

    def get_classifier(self) -> nn.Module:
        """The linear head."""
        return self.classifier


class MobileNetV2(MobileNetwork):
    """MobileNetV2 1.0 without normalisation."""

    def __init__(self, *, in_chans: int = 3, num_classes: int = 1001) -> None:
        """Random weights of torch's generator (He et al. 2015, 10.1109/ICCV.2015.123), for any number of channels."""
        stem, stages, width = relu6(SameConv2d(in_chans, STEM_WIDTH, 3, stride=2)), [], STEM_WIDTH
        for expansion, wanted, blocks, stride in _STAGES:
            stages.append(inverted_residuals(width, wanted, blocks, expansion=expansion, stride=stride))
            width = wanted
        super().__init__(
            stages,
            stem=stem,
            last=relu6(SameConv2d(width, FEATURES, 1)),
            num_classes=num_classes,
        )
        self._initialise()

    def _initialise(self) -> None:
        """Keep the size of activations from input to output without normalisation.

        A kernel that reads what a ReLU6 left gets variance 2 / fan-in, one that reads a linear layer 1 / fan-in. The
        last kernel of a residual branch is divided by the root of the number of branches: their sum stays of order 1.
        """
        with torch.no_grad():
            for part in self.features.modules():
                if isinstance(part, InvertedResidual):
                    _scale(part.project, 2.0 / (_BRANCHES if part.is_residual else 1))
                    _scale(part.depthwise[0], 2.0)
                    if isinstance(part.expand, nn.Sequential):
                        _scale(part.expand[0], 1.0)
            for name in ("stem", "last"):
                _scale(self.features.get_submodule(f"{name}.0"), 1.0)
            nn.init.normal_(self.classifier.weight, std=0.01)
            nn.init.zeros_(self.classifier.bias)


def inverted_residuals(
    in_channels: int,
    out_channels: int,
    blocks: int,
    *,
    expansion: int,
    stride: int,
    kernel: int = 3,
    is_normalised: bool = False,
) -> nn.Sequential:
    """A stage: blocks in a row, of which the first changes width and, with its stride, size."""
    made = nn.Sequential()
    for block in range(blocks):
        made.append(
            InvertedResidual(
                out_channels if block else in_channels,
                out_channels,
                expansion=expansion,
                stride=1 if block else stride,
                kernel=kernel,
                is_normalised=is_normalised,
            )
        )
    return made


def normalised_convolution(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution without bias and its batch normalisation, with the constants of TensorFlow's mobile networks."""
    convolution = SameConv2d(in_channels, out_channels, kernel, stride=stride, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.01))


def relu6(layer: nn.Module) -> nn.Sequential:
    """A layer, or the layers of a sequence, with ReLU6 behind."""
    return nn.Sequential(*(layer if isinstance(layer, nn.Sequential) else [layer]), nn.ReLU6(inplace=True))


def _scale(part: nn.Module, gain: float) -> None:
    """Draw a convolution's kernel with variance ``gain / fan-in``; its bias is zero."""
    if isinstance(part, SameConv2d) and part.bias is not None:
        fan_in = part.weight[0].numel()
        nn.init.normal_(part.weight, std=math.sqrt(gain / fan_in))
        nn.init.zeros_(part.bias)
