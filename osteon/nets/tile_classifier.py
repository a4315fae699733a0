"""A classifier of histology tiles: a base that is kept as it was on photographs, pooling, and a small head.

The four networks of the paper differ in their base alone. All four bases were trained on photographs scaled to -1..1,
so one scaling stands in front of each of them (of the mobile networks, ours, it is a part). EfficientNet-Lite is none
of the paper's: another base whose weights need no hub.

References:
    specs/histology.md, section 2: global average pooling, dense 100, softmax 3.
    Sandler et al. 2018, 10.1109/CVPR.2018.00474; He et al. 2016, 10.1007/978-3-319-46493-0_38;
    Chollet 2017, 10.1109/CVPR.2017.195; Szegedy et al. 2017, 10.48550/arXiv.1602.07261.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.nets.encoder import MOBILE_NETWORKS
from osteon.nets.mobilenet_v2 import MobileNetwork

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["HIDDEN_UNITS", "TILE_BASES", "TileClassifier", "TileHead"]


TILE_BASES = {
    "efficientnet_lite0": "",
    "efficientnet_lite1": "",
    "efficientnet_lite2": "",
    "inception_resnet_v2": "inception_resnet_v2",
    "mobilenet_v2": "",
    "resnetv2_50": "resnetv2_50",
    "xception": "legacy_xception",
}
"""timm's name of a base; "" where it is osteon's own."""

HIDDEN_UNITS = 100
"""Width of the layer between pooling and classes."""


class TileClassifier(nn.Module):
    """RGB tiles in 0..1 to logits of the classes of ``osteon.data.slide.TILE_CLASSES``.

    Attributes:
        base: everything up to the last feature map; its own head is taken off.
        head: of ``TileHead``.
        num_features: length of the pooled feature.
    """

    def __init__(self, *, base: str = "mobilenet_v2", in_chans: int = 3, num_classes: int = 3) -> None:
        """Random weights from torch's global generator.

        Args:
            base: one of ``TILE_BASES``.
            in_chans: 3: tiles are in colour.
            num_classes: length of the output.

        Raises:
            UnknownLabelError: no such base.
            InputError: another number of channels.
        """
        super().__init__()
        if base not in TILE_BASES:
            raise UnknownLabelError(f"no base {base!r} of tile classifiers: {nearest_names(base, TILE_BASES)}")
        if in_chans != 3:
            raise InputError(f"a classifier of tiles was asked for {in_chans} input channels; tiles have 3, RGB")
        self.base = _without_head(base)
        self.num_features = int(cast("int", self.base.num_features))
        scaled_inside = isinstance(self.base, MobileNetwork)
        self.input_scale: Tensor
        self.input_offset: Tensor
        self.register_buffer("input_scale", torch.tensor(1.0 if scaled_inside else 2.0))
        self.register_buffer("input_offset", torch.tensor(0.0 if scaled_inside else -1.0))
        self.head = TileHead(self.num_features, num_classes)

    def forward(self, tiles: Tensor) -> Tensor:
        """Map tiles (n, 3, row, column) in 0..1 to logits (n, classes)."""
        return self.forward_head(self.forward_features(tiles))

    def forward_features(self, tiles: Tensor) -> Tensor:
        """Map tiles (n, 3, row, column) in 0..1 to the last feature map (n, ``num_features``, r, c)."""
        features = cast("Callable[[Tensor], Tensor]", self.base.forward_features)
        return features(tiles * self.input_scale + self.input_offset)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - timm's signature
        """Map the last feature map to logits (n, classes), or to the pooled feature (n, ``num_features``)."""
        pool = cast("Callable[..., Tensor]", self.base.forward_head)
        pooled = pool(x, pre_logits=True)
        if pre_logits:
            return pooled
        logits: Tensor = self.head(pooled)
        return logits

    def get_classifier(self) -> nn.Module:
        """The head."""
        return self.head


def _without_head(base: str) -> nn.Module:
    """A base whose own classifier is nothing."""
    if not TILE_BASES[base]:
        own = MOBILE_NETWORKS[base](in_chans=3, num_classes=1)
        own.classifier = nn.Identity()  # type: ignore[assignment]  # no weights of a head that nobody asks
        return own
    import timm  # after torchvision was repaired

    network: nn.Module = timm.create_model(TILE_BASES[base], pretrained=False, num_classes=0)
    return network


class TileHead(nn.Sequential):
    """Pooled features (n, d) to logits (n, classes): dense 100, ReLU, dense; Keras' start (Glorot uniform, bias 0).

    Attributes:
        in_features: length of the pooled feature.

    References:
        specs/histology.md, section 2. Glorot and Bengio 2010, proceedings.mlr.press/v9/glorot10a.html
    """

    def __init__(self, features: int, classes: int) -> None:
        """Random weights from torch's global generator."""
        hidden, last = nn.Linear(features, HIDDEN_UNITS), nn.Linear(HIDDEN_UNITS, classes)
        for layer in (hidden, last):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        super().__init__(OrderedDict(hidden=hidden, relu=nn.ReLU(), classes=last))
        self.in_features = features

    @property
    def bias(self) -> Tensor:
        """Of the classes, as of a linear head."""
        return cast("nn.Linear", self.get_submodule("classes")).bias
