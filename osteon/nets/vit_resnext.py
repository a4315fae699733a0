"""A convolutional network and a transformer side by side: ResNeXt-50 and ViT-Tiny, joined before one linear layer.

The thesis joins the feature maps of both channel by channel and averages over places (its equations 5.6 and 5.7). The
two maps have different grids (at 224 pixels 7 x 7 and 14 x 14), and it does not say how they are brought together. An
average is linear: whatever the coarser grid is made of by averaging equal blocks of the finer one, the mean over places
stays the same. So each branch is averaged on its own grid here, exactly and for images of any size.

References:
    specs/bone-metastasis.md, section 2.5. Xie et al. 2017, 10.1109/CVPR.2017.634. Dosovitskiy et al. 2021,
    10.48550/arXiv.2010.11929.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import osteon._torchvision  # noqa: F401 - timm imports torchvision

# isort: split
import timm
import torch
from torch import nn

from osteon.nets.vision_transformer import VisionTransformer

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["VitResnext"]


class VitResnext(nn.Module):
    """ResNeXt-50 (32x4d) and ViT-Tiny/16 with one head; its methods are named as timm's.

    Attributes:
        num_features: length of the joined feature, 2048 + 192.
        convolutional: images (n, c, row, column) to the mean of the last feature map (n, 2048).
        transformer: images (n, c, row, column) to the mean of the normalised patch tokens, without the class token,
            (n, 192). The class token takes part in the attention and is not read.
        classifier: the linear head.
    """

    def __init__(self, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        """Random weights from torch's global generator.

        Args:
            in_chans: 1 or 3.
            num_classes: length of the output.
        """
        super().__init__()
        self.convolutional: nn.Module = timm.create_model("resnext50_32x4d", in_chans=in_chans, num_classes=0)
        # the norm stays before the mean, as in a ViT that reads its class token: published weights fit
        self.transformer = VisionTransformer(
            embed_dim=192, num_heads=3, in_chans=in_chans, num_classes=0, global_pool="avg", fc_norm=False
        )
        self.num_features = int(self.convolutional.num_features) + int(self.transformer.num_features)
        self.classifier = nn.Linear(self.num_features, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, channel, row, column) to logits (n, class)."""
        return self.forward_head(self.forward_features(images))

    def forward_features(self, images: Tensor) -> Tensor:
        """Map images (n, channel, row, column) to the joined feature (n, 2240); it is pooled already."""
        return torch.cat((self.convolutional(images), self.transformer(images)), dim=1)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - timm's signature
        """Map the joined feature to logits (n, class), or give it back."""
        return x if pre_logits else self.classifier(x)

    def get_classifier(self) -> nn.Module:
        """The linear head."""
        return self.classifier
