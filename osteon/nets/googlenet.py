"""GoogLeNet as torchvision has it, with the methods that osteon asks of a classifier.

22 layers, nine inception modules, an average over places, dropout. torchvision's differs from the paper's in three
ways: batch normalisation behind every convolution, kernels of 3 x 3 where the paper has 5 x 5, dropout of 0.2 instead
of 0.4. The two auxiliary heads are left off: they were to carry gradients to the early layers, which batch
normalisation does, and they take no part in an answer.

References:
    Szegedy et al. 2015, 10.1109/CVPR.2015.7298594.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import osteon._torchvision  # noqa: F401 - torchvision cannot be imported without it

# isort: split
from torch import nn
from torchvision.models.googlenet import GoogLeNet as TorchvisionGoogLeNet

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GoogLeNet"]

_WIDTH = 64
_BEHIND = frozenset({"avgpool", "dropout", "fc"})


class GoogLeNet(nn.Module):
    """torchvision's GoogLeNet without auxiliary heads; parts and weights have torchvision's names.

    Attributes:
        num_features: length of the pooled feature.
        avgpool: mean over places.
        dropout: before the head.
        fc: the linear head.
    """

    avgpool: nn.Module
    dropout: nn.Module
    fc: nn.Module

    def __init__(self, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        """Random weights as torchvision draws them, truncated normal; ``in_chans`` is 1 or 3."""
        super().__init__()
        whole = TorchvisionGoogLeNet(num_classes=num_classes, aux_logits=False, init_weights=True)
        if in_chans != whole.conv1.conv.in_channels:
            first = nn.Conv2d(in_chans, _WIDTH, 7, stride=2, padding=3, bias=False)
            nn.init.trunc_normal_(first.weight, std=0.01, a=-2, b=2)
            whole.conv1.conv = first
        self.num_features = int(whole.fc.in_features)
        for name, part in whole.named_children():
            self.add_module(name, part)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, channel, row, column) to logits (n, class)."""
        return self.forward_head(self.forward_features(images))

    def forward_features(self, images: Tensor) -> Tensor:
        """Map images (n, channel, row, column) to the last map (n, 1024, row / 32, column / 32)."""
        found = images
        for name, part in self.named_children():
            if name not in _BEHIND:
                found = part(found)
        return found

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - timm's signature
        """Map the last map to logits (n, class), or to its mean over places (n, 1024)."""
        pooled: Tensor = self.avgpool(x).flatten(1)
        seen: Tensor = self.dropout(pooled)
        if pre_logits:
            return seen
        logits: Tensor = self.fc(seen)
        return logits

    def get_classifier(self) -> nn.Module:
        """The linear head."""
        return self.fc
