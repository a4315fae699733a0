"""A segmenter as it is run: 8-bit grey images in, probabilities out, and no work that its weights can take over.

Grey values over 255 go into three equal channels of a network: its first convolutions take the sum of their kernels
over the channels, divided by 255, and then see the grey value itself, which bfloat16 holds exactly. The network is
linear there, so nothing changes but rounding.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.errors import InputError
from osteon.nets.segmenter import ConvolutionBlock, Segmenter
from osteon.nets.segmenter_pair import SegmenterPair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["DeployedSegmenter"]


class DeployedSegmenter(nn.Module):
    """A copy of a network: images (n, 1, row, column) uint8 to probabilities (n, map, row, column) float32.

    Attributes:
        network: the copy.
        temperatures: (1, map, 1, 1), by which logits are divided before the sigmoid.
    """

    temperatures: Tensor

    def __init__(self, network: nn.Module, *, temperatures: Sequence[float] = ()) -> None:
        """Copy a network and fold into its weights what goes before it.

        Args:
            network: ``Segmenter`` or ``SegmenterPair``, trained on grey values over 255, the same in every input
                channel; in any mode, left as it is.
            temperatures: one for each of its outputs; none for 1.

        Raises:
            InputError: another number of temperatures, or a network that is no segmenter.
        """
        super().__init__()
        if not isinstance(network, Segmenter | SegmenterPair):
            raise InputError(
                f"a segmenter was asked for; found {type(network).__name__}: see osteon.nets.network_names"
            )
        if temperatures and len(temperatures) != len(network.outputs):
            raise InputError(f"{len(temperatures)} temperatures for the maps {', '.join(network.outputs)}: one each")
        # a frozen copy: whoever trains on does not change what runs
        self.network = copy.deepcopy(network).cpu().eval().requires_grad_(requires_grad=False)
        for part in [self.network] if isinstance(self.network, Segmenter) else [self.network.bone, self.network.lesion]:
            _take_grey_bytes(part.encoder["x00"])
        each = torch.tensor(tuple(temperatures) or (1.0,) * len(network.outputs), dtype=torch.float32)
        self.register_buffer("temperatures", each.reshape(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities of the maps."""
        logits: Tensor = self.network(images.to(torch.float32))
        return (logits / self.temperatures).sigmoid()


def _take_grey_bytes(block: nn.Module) -> None:
    """Let the convolutions that see the image take one channel of 0..255."""
    if not isinstance(block, ConvolutionBlock):
        raise InputError(f"the first block was replaced by a {type(block).__name__}")
    for path in (block.main, block.residual):
        if path is None:
            continue
        first = path[0]
        if not isinstance(first, nn.Conv2d):
            raise InputError(f"the first block begins with a {type(first).__name__}; it must be a convolution")
        first.weight = nn.Parameter(first.weight.sum(dim=1, keepdim=True) / 255, requires_grad=False)
        first.in_channels = 1
