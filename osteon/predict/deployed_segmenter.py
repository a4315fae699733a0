"""A segmenter as it is run: 8-bit grey images in, probabilities out, and no work that its weights can take over.

Grey values over 255 go into three equal channels of a network: its first convolutions take the sum of their kernels
over the channels, divided by 255, and then see the grey value itself, which bfloat16 holds exactly. The network is
linear there, so nothing changes but rounding. Batch normalisation goes into the convolution before it.

For bfloat16 two things keep the masks where float32 has them (measured on a trained Hybrid-AttUNet++ with a quarter of
the channels). Weights are rounded here, every kernel keeping its sum: maps are smooth and mostly above zero, so what a
kernel does to an even patch matters most; rounded each on its own, nine weights change that, and whole outlines move.
And a ``Segmenter`` comes apart into three, of which the first block and the last node of each decoder stay in float32:
a fifth of the work, all of it at full resolution.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.errors import InputError
from osteon.nets.segmenter import ConvolutionBlock, PyramidNode, Segmenter
from osteon.nets.segmenter_pair import SegmenterPair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["DeployedSegmenter", "FirstBlock", "LastNodes", "MiddleNodes", "round_kernels"]


class DeployedSegmenter(nn.Module):
    """A copy of a network: images (n, 1, row, column) uint8 to probabilities (n, map, row, column) float32.

    Attributes:
        network: the copy.
        temperatures: (1, map, 1, 1), by which logits are divided before the sigmoid.
    """

    temperatures: Tensor

    def __init__(self, network: nn.Module, *, temperatures: Sequence[float] = (), precision: str = "float32") -> None:
        """Copy a network and fold into its weights what goes before it.

        Args:
            network: ``Segmenter`` or ``SegmenterPair``, trained on grey values over 255, the same in every input
                channel; in any mode, left as it is.
            temperatures: one for each of its outputs; none for 1.
            precision: that it will be run in; "bfloat16" rounds the weights.

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
        _fold_normalisation(self.network)
        for part in [self.network] if isinstance(self.network, Segmenter) else [self.network.bone, self.network.lesion]:
            _take_grey_bytes(part.encoder["x00"])
        if precision == "bfloat16":
            for name, part in self.network.named_modules():
                if isinstance(part, nn.Conv2d) and not self.is_exact(name):
                    part.weight.copy_(round_kernels(part.weight))
        each = torch.tensor(tuple(temperatures) or (1.0,) * len(network.outputs), dtype=torch.float32)
        self.register_buffer("temperatures", each.reshape(1, -1, 1, 1), persistent=False)

    def is_exact(self, name: str) -> bool:
        """Whether a submodule belongs to what stays in float32 when the rest is bfloat16."""
        if not isinstance(self.network, Segmenter):
            return False
        top = f".x0{self.network.description.depth}."
        return name.startswith("encoder.x00.") or (name.startswith("decoders.") and (top in name or ".head" in name))

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities of the maps."""
        logits: Tensor = self.network(images.to(torch.float32))
        return (logits / self.temperatures).sigmoid()


def round_kernels(weights: Tensor) -> Tensor:
    """Weights of a convolution rounded to bfloat16, the sum of each kernel kept.

    From the largest weight down, what rounding took or gave is handed to the next: the sum is off by no more than half
    the last place of the smallest.

    Args:
        weights: (out, in, row, column) float32.

    Returns:
        The same shape, float32, every value one of bfloat16.

    Example:
        >>> kernel = torch.tensor([1.003, 0.501, 0.0304]).reshape(1, 1, 1, 3)
        >>> [round(float(way.sum()), 4) for way in (kernel, kernel.bfloat16().float(), round_kernels(kernel))]
        [1.5344, 1.5304, 1.5344]
    """
    flat = weights.detach().flatten(2)
    order = flat.abs().argsort(dim=2, descending=True)
    ordered = flat.gather(2, order)
    rounded = torch.empty_like(ordered)
    owed = torch.zeros_like(ordered[..., 0])
    for place in range(ordered.shape[2]):
        wanted = ordered[..., place] + owed
        rounded[..., place] = wanted.bfloat16().float()
        owed = wanted - rounded[..., place]
    return torch.empty_like(flat).scatter_(2, order, rounded).reshape(weights.shape)


def _fold_normalisation(module: nn.Module) -> None:
    """Give every batch normalisation to the convolution before it."""
    for child in module.children():
        _fold_normalisation(child)
    if not isinstance(module, nn.Sequential):
        return
    for index in range(1, len(module)):
        before, after = module[index - 1], module[index]
        if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
            module[index - 1] = fuse_conv_bn_eval(before, after)
            module[index] = nn.Identity()


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


class FirstBlock(nn.Module):
    """Images (n, row, column, 1) uint8 to the map X(0, 0), (n, row, column, width).

    Between parts channels come last, as OpenVINO holds them inside: bringing them to the front and back again would
    take more time than bfloat16 saves.
    """

    def __init__(self, deployed: DeployedSegmenter) -> None:
        """Share the weights of a deployed ``Segmenter``."""
        super().__init__()
        self.block = _whole(deployed).encoder["x00"]

    def forward(self, images: Tensor) -> Tensor:
        """The map."""
        found: Tensor = self.block(_channels_first(images).to(torch.float32))
        return _channels_last(found)


class MiddleNodes(nn.Module):
    """The map X(0, 0) to all that the last nodes of the decoders take."""

    def __init__(self, deployed: DeployedSegmenter) -> None:
        """Share the weights of a deployed ``Segmenter``."""
        super().__init__()
        self.network = _whole(deployed)

    def forward(self, first: Tensor) -> tuple[Tensor, ...]:
        """Gated maps of level 0 and the newest one, if there are inner nodes; then of each decoder the map below."""
        network, depth = self.network, self.network.description.depth
        maps: list[list[Tensor]] = [[_channels_first(first)]]
        for level in range(1, depth + 1):
            maps.append([network.encoder[f"x{level}0"](functional.max_pool2d(maps[-1][0], 2))])
        gated: list[list[Tensor]] = [[] for _ in maps]
        for name, node in network.inner.items():  # each after those that it reads
            level, column = int(name[1]), int(name[2])
            found, kept = node(tuple(gated[level]), maps[level][-1], maps[level + 1][column - 1])
            maps[level].append(found)
            gated[level].append(kept)
        ends = []
        for output in network.outputs:
            below, decoder = maps[-1][0], _decoder(network, output)
            for level in range(depth - 1, 0, -1):
                below, _ = decoder[f"x{level}{depth - level}"](tuple(gated[level]), maps[level][-1], below)
            ends.append(below)
        newest = maps[0][1:][-1:]  # without inner nodes it is the first map, which everyone has
        return tuple(_channels_last(found) for found in (*gated[0], *newest, *ends))


class LastNodes(nn.Module):
    """What ``MiddleNodes`` gives, after X(0, 0) in a network without inner nodes, to probabilities of the maps."""

    temperatures: Tensor

    def __init__(self, deployed: DeployedSegmenter) -> None:
        """Share the weights of a deployed ``Segmenter``."""
        super().__init__()
        self.network = _whole(deployed)
        self.register_buffer("temperatures", deployed.temperatures, persistent=False)

    def forward(self, *given: Tensor) -> Tensor:
        """Probabilities (n, map, row, column)."""
        outputs, depth = self.network.outputs, self.network.description.depth
        *gated, newest = given[: -len(outputs)]
        logits = []
        for output, below in zip(outputs, given[-len(outputs) :], strict=True):
            decoder = _decoder(self.network, output)
            node = decoder[f"x0{depth}"]
            if not isinstance(node, PyramidNode):
                raise InputError(f"the last node of {output!r} was replaced by a {type(node).__name__}")
            raised: Tensor = node.up(_channels_first(below))
            kept = newest if node.gate is None else _channels_last(node.gate(_channels_first(newest), raised))
            joined = torch.cat((*gated, kept, _channels_last(raised)), dim=3)
            logits.append(decoder["head"](node.block(_channels_first(joined))))
        return (torch.cat(logits, dim=1) / self.temperatures).sigmoid()


def _channels_last(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1)


def _channels_first(maps: Tensor) -> Tensor:
    return maps.permute(0, 3, 1, 2)


def _whole(deployed: DeployedSegmenter) -> Segmenter:
    if not isinstance(deployed.network, Segmenter):
        raise InputError(f"a single segmenter was to be taken apart; found {type(deployed.network).__name__}")
    return deployed.network


def _decoder(network: Segmenter, output: str) -> nn.ModuleDict:
    decoder = network.decoders[output]
    if not isinstance(decoder, nn.ModuleDict):
        raise InputError(f"the decoder {output!r} was replaced by a {type(decoder).__name__}")
    return decoder
