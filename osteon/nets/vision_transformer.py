"""ViT and DeiT of timm for images of any size, in operations that every runtime knows.

Patches are 16 x 16; an image is filled up with black to whole patches. The embedding of the places was made for the
14 x 14 grid of 224 pixels. For another grid it is resampled bicubically, as timm does it; here by two small matrices,
one for the rows and one for the columns, because OpenVINO has no such resampling and its gradient on a GPU is not
repeatable.

References:
    Dosovitskiy et al. 2021, 10.48550/arXiv.2010.11929. Touvron et al. 2021, 10.48550/arXiv.2012.12877.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import osteon._torchvision  # noqa: F401 - timm imports torchvision

# isort: split
import numpy as np
import torch
from timm.models.vision_transformer import VisionTransformer as _TimmVisionTransformer

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["VisionTransformer"]

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
