"""ViT and DeiT of timm for images of any size, in operations that every runtime knows.

Patches are 16 x 16; an image is filled up with black to whole patches. The embedding of the places was made for the
14 x 14 grid of 224 pixels. For another grid it is resampled bicubically, as timm does it; here by two small matrices,
one for the rows and one for the columns, because OpenVINO has no such resampling and its gradient on a GPU is not
repeatable.

The thesis on bone metastases joins the feature maps of a ResNeXt-50 and a ViT-Tiny channel by channel and averages over
places (its equations 5.6 and 5.7); how two grids (at 224 pixels 7 x 7 and 14 x 14) are brought together it does not
say. An average is linear: averaging equal blocks of the finer grid does not change its mean. So each branch is averaged
on its own grid here, exactly and for images of any size.

References:
    Dosovitskiy et al. 2021, 10.48550/arXiv.2010.11929. Touvron et al. 2021, 10.48550/arXiv.2012.12877.
    specs/bone-metastasis.md, section 2.5. Xie et al. 2017, 10.1109/CVPR.2017.634.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import osteon._torchvision  # noqa: F401 - timm imports torchvision

# isort: split
import numpy as np
import timm
import torch
from timm.models.vision_transformer import VisionTransformer as _TimmVisionTransformer
from torch import nn

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["VisionTransformer", "VitResnext"]


_SIDE = 14
"""Rows and columns of the grid of places that is stored."""


class VisionTransformer(_TimmVisionTransformer):  # type: ignore[misc]  # timm ships no types
    """A ViT of 12 layers with a class token; its tensors have timm's names and shapes, and timm's weights fit."""

    def __init__(self, *, embed_dim: int, num_heads: int, in_chans: int, num_classes: int, **options: Any) -> None:  # noqa: ANN401 - timm's
        """Random weights from torch's global generator.

        Args:
            embed_dim: length of a token.
            num_heads: of the attention; it divides ``embed_dim``.
            in_chans: 1 or 3.
            num_classes: length of the output; 0 for none.
            options: further ones of timm.
        """
        super().__init__(
            img_size=16 * _SIDE,
            patch_size=16,
            in_chans=in_chans,
            num_classes=num_classes,
            embed_dim=embed_dim,
            depth=12,
            num_heads=num_heads,
            dynamic_img_size=True,
            dynamic_img_pad=True,
            **options,
        )

    def _pos_embed(self, x: Tensor) -> Tensor:
        """Patches (n, row, column, d) with their places as tokens (n, 1 + row * column, d), the class token first."""
        count, rows, columns, width = x.shape
        places = self.pos_embed[:, 1:]
        if (rows, columns) != (_SIDE, _SIDE):
            grid = places.reshape(_SIDE, _SIDE * width)
            grid = (_resampling(rows, grid) @ grid).reshape(rows, _SIDE, width)
            places = (_resampling(columns, grid) @ grid).reshape(1, rows * columns, width)
        first = self.cls_token + self.pos_embed[:, :1]
        tokens = torch.cat((first.expand(count, -1, -1), x.flatten(1, 2) + places), dim=1)
        dropped: Tensor = self.pos_drop(tokens)
        return dropped


def _resampling(size: int, like: Tensor) -> Tensor:
    """The matrix (size, 14) that resamples one axis of the stored grid."""
    return torch.tensor(_bicubic(size).tolist(), dtype=like.dtype, device=like.device)


@cache
def _bicubic(size: int) -> NDArray[np.float64]:
    """Weights (size, 14) of bicubic resampling with pixel centres aligned; wider kernels where the grid shrinks.

    References:
        Keys 1981, 10.1109/TASSP.1981.1163711, with a = -0.5, as Pillow, and torch with ``antialias``.
    """
    scale = _SIDE / size
    stretch = max(scale, 1.0)
    centres = scale * (np.arange(size) + 0.5)
    distance = np.abs(np.arange(_SIDE)[None, :] + 0.5 - centres[:, None]) / stretch
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1.0
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4.0 * distance + 2.0
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


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
        """Random weights from torch's global generator; ``in_chans`` is 1 or 3."""
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
