"""The small networks whose ImageNet weights need no hub, and what of them a segmenter takes as its encoder."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.nets.efficientnet_lite import EfficientNetLite
from osteon.nets.mobilenet_v2 import MobileNetV2, MobileNetwork, SameConv2d

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

__all__ = ["MOBILE_NETWORKS", "MobileEncoder"]

MOBILE_NETWORKS: Mapping[str, Callable[..., MobileNetwork]] = {
    "efficientnet_lite0": partial(EfficientNetLite, variant="lite0"),
    "efficientnet_lite1": partial(EfficientNetLite, variant="lite1"),
    "efficientnet_lite2": partial(EfficientNetLite, variant="lite2"),
    "mobilenet_v2": MobileNetV2,
}
"""By name; each takes ``in_chans`` and ``num_classes``."""

_GIVES = ("stage1", "stage2", "stage3", "stage5", "stage7")
"""The last stage at each of 1/2, 1/4, 1/8, 1/16 and 1/32 of the size."""


class MobileEncoder(nn.Module):
    """Stem and stages of a mobile network, without its last convolution and head: what it sees at up to five sizes.

    Attributes:
        features: "stem" and "stage1" to the last one that is needed, "stage7" for five sizes.
    """

    def __init__(self, name: str, *, in_channels: int, levels: int = 5) -> None:
        """Random weights of torch's generator.

        Args:
            name: one of ``MOBILE_NETWORKS``.
            in_channels: of the images, any number: three neighbouring slices, for example.
            levels: how many maps it gives, from 1/2 of the size on, at most five.

        Raises:
            UnknownLabelError: no such network.
            InputError: another number of maps than 1 to 5.
        """
        super().__init__()
        if name not in MOBILE_NETWORKS:
            raise UnknownLabelError(f"no encoder {name!r}: {nearest_names(name, MOBILE_NETWORKS)}")
        if not 1 <= levels <= len(_GIVES):
            raise InputError(f"{name} was asked for maps of {levels} sizes; it has 1 to {len(_GIVES)}")
        whole = MOBILE_NETWORKS[name](in_chans=in_channels, num_classes=1)
        self.input_scale: Tensor
        self.input_offset: Tensor
        self.register_buffer("input_scale", whole.input_scale)
        self.register_buffer("input_offset", whole.input_offset)
        names = [part for part, _ in whole.features.named_children()]
        self.features = whole.features[: names.index(_GIVES[levels - 1]) + 1]

    @property
    def levels(self) -> tuple[nn.Module, ...]:
        """The stages whose maps it gives."""
        return tuple(part for name, part in self.features.named_children() if name in _GIVES)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map images (n, channel, row, column) in 0..1 to its maps, (n, width, row / 2, column / 2) first."""
        maps, found = images * self.input_scale + self.input_offset, []
        for name, part in self.features.named_children():
            maps = part(maps)
            if name in _GIVES:
                found.append(maps)
        return tuple(found)

    def take_bytes(self, *, is_grey: bool) -> None:
        """Take channels of 0..255 from now on, of ``is_grey`` one that stands for equal ones; nothing else changes."""
        first = next(part for part in self.features.modules() if isinstance(part, SameConv2d))
        with torch.no_grad():
            if is_grey:
                first.weight = nn.Parameter(first.weight.sum(dim=1, keepdim=True), requires_grad=False)
                first.in_channels = 1
            self.input_scale /= 255
