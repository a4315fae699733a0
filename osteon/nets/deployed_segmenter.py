"""Segmenters as they are run: 8-bit grey images in, probabilities out, and no work that their weights can take over.

Grey values over 255 go into three equal channels of a network: its first convolutions take the sum of their kernels
over the channels, divided by 255, and then see the grey value itself, which bfloat16 holds exactly. The network is
linear there, so nothing changes but rounding. Where each channel is a slice of its own they are divided and not added.
Batch normalisation goes into the convolution before it.

For bfloat16 two things keep the masks where float32 has them (measured on a trained Hybrid-AttUNet++ with a quarter of
the channels). Weights are rounded here, every kernel keeping its sum: maps are smooth and mostly above zero, so what a
kernel does to an even patch matters most; rounded each on its own, nine weights change that, and whole outlines move.
And a ``Segmenter`` of blocks alone comes apart into three, of which the first block and the last node of each decoder
stay in float32: a fifth of the work, all of it at full resolution.
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
from osteon.nets.anatomy import middle_map_modules
from osteon.nets.deployed import moments, noted
from osteon.nets.mobilenet_v2 import SameConv2d
from osteon.nets.segmenter import ConvolutionBlock, PyramidNode, Segmenter, SegmenterPair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["DeployedSegmenter", "round_kernels"]


class DeployedSegmenter(nn.Module):
    """Copies of networks: images (n, row, column) uint8 to their mean probabilities (n, map, row, column) float32.

    Of networks that see neighbouring slices images are (n, slice, row, column).

    Attributes:
        networks: the copies, one a member.
        temperatures: (1, map, 1, 1), by which logits are divided before the sigmoid.
        takes: "image".
        gives: "maps", and "layers" where they are asked for.
    """

    temperatures: Tensor
    takes = ("image",)

    def __init__(
        self,
        networks: Sequence[nn.Module],
        *,
        temperatures: Sequence[float] = (),
        precision: str = "float32",
        keeps_weights: bool = False,
        neighbours: int = 0,
        layers: bool = False,
    ) -> None:
        """Copy networks and fold into their weights what goes before them.

        Args:
            networks: members, ``Segmenter`` or ``SegmenterPair``, trained on grey values over 255, the same in every
                input channel; in any mode, left as they are.
            temperatures: one for each of their outputs; none for 1.
            precision: that they will be run in; "bfloat16" rounds the weights.
            keeps_weights: leave the weights of most convolutions as they are stored and multiply them by what the
                normalisation asks for when they are used. The numbers are the same; a graph can then point at the
                stored weights.
            neighbours: slices on either side that are channels of their own, from the lowest to the highest.
            layers: give (n, member, d) too, what the image looks like in the middle of each network, as of
                ``DeployedClassifier``; networks of two levels have no middle and give none.

        Raises:
            InputError: no network, another number of temperatures, a network that is not a segmenter, or one of another
                number of channels than there are slices.
        """
        super().__init__()
        for network in networks:
            if not isinstance(network, Segmenter | SegmenterPair):
                raise InputError(
                    f"a segmenter was asked for; found {type(network).__name__}: see osteon.nets.network_names"
                )
        outputs = {network.outputs for network in networks if isinstance(network, Segmenter | SegmenterPair)}
        if len(outputs) != 1:
            raise InputError(f"{len(networks)} networks with the outputs {sorted(outputs)} cannot be run as one")
        (names,) = outputs
        if temperatures and len(temperatures) != len(names):
            raise InputError(f"{len(temperatures)} temperatures for the maps {', '.join(names)}: one each")
        # frozen copies: whoever trains on does not change what runs
        self.networks = nn.ModuleList(
            copy.deepcopy(each).cpu().eval().requires_grad_(requires_grad=False) for each in networks
        )
        for network in self.networks:
            for part in [network.bone, network.lesion] if isinstance(network, SegmenterPair) else [network]:
                if isinstance(part, Segmenter):
                    _take_bytes(part.encoder["x00"], slices=2 * neighbours + 1)
                    if part.trunk is not None:
                        part.trunk.take_bytes(is_grey=not neighbours)
            _fold_normalisation(network, keeps_weights=keeps_weights and precision == "float32")
            if precision == "bfloat16":
                for name, part in network.named_modules():
                    if isinstance(part, nn.Conv2d) and not _is_exact(network, name):
                        part.weight.copy_(round_kernels(part.weight))
        each = torch.tensor(tuple(temperatures) or (1.0,) * len(names), dtype=torch.float32)
        self.register_buffer("temperatures", each.reshape(1, -1, 1, 1), persistent=False)
        has_layers = layers and all(middle_map_modules(network) for network in self.networks)
        self.gives: tuple[str, ...] = ("maps", "layers") if has_layers else ("maps",)

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Probabilities of the maps, and what ``gives`` names beside them."""
        images, maps, looks = _planes(image), [], []
        for network in self.networks:
            with noted(middle_map_modules(network) if "layers" in self.gives else ()) as seen:
                maps.append((network(images) / self.temperatures).sigmoid())
            looks.append(seen)
        return (_mean(maps), _layers(looks)) if "layers" in self.gives else _mean(maps)

    def parts(self) -> tuple[_FirstBlocks, _MiddleNodes, _LastNodes] | None:
        """The three parts, which share the weights; None where a member is a pair or has a trunk: that stays whole."""
        members = [each for each in self.networks if isinstance(each, Segmenter) and each.trunk is None]
        if len(members) < len(self.networks):
            return None
        layers = "layers" in self.gives
        return (
            _FirstBlocks(members),
            _MiddleNodes(members, layers=layers),
            _LastNodes(members, self.temperatures, layers=layers),
        )


class _FirstBlocks(nn.Module):
    """Images as of ``DeployedSegmenter`` to the map X(0, 0) of each member, (n, row, column, width).

    Between parts channels come last, as OpenVINO holds them inside: bringing them to the front and back again would
    take more time than bfloat16 saves.

    Attributes:
        takes: "image".
        gives: "first.0" of the first member, and so on.
    """

    takes = ("image",)

    def __init__(self, networks: Sequence[Segmenter]) -> None:
        """Share the weights of deployed networks."""
        super().__init__()
        self.blocks = nn.ModuleList(network.encoder["x00"] for network in networks)
        self.gives = tuple(f"first.{member}" for member in range(len(networks)))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """The maps."""
        images = _planes(image)
        return tuple(_channels_last(block(images)) for block in self.blocks)


class _MiddleNodes(nn.Module):
    """The maps X(0, 0) to all that the last nodes of the decoders take.

    Attributes:
        takes: of ``_FirstBlocks``.
        gives: of each member the gated maps of level 0 and the newest one, if there are inner nodes; then of each
            decoder the map below; at last, where they are asked for, the "layers" of all.
    """

    def __init__(self, networks: Sequence[Segmenter], *, layers: bool) -> None:
        """Share the weights of deployed networks."""
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.takes = tuple(f"first.{member}" for member in range(len(networks)))
        self.gives = tuple(
            f"{name}.{member}" for member, network in enumerate(networks) for name in _middle_names(network)
        )
        if layers:
            self.gives += ("layers",)

    def forward(self, *first: Tensor) -> tuple[Tensor, ...]:
        """What ``gives`` names."""
        found: list[Tensor] = []
        looks = []
        for network, own in zip(self.networks, first, strict=True):
            if isinstance(network, Segmenter):
                with noted(middle_map_modules(network) if "layers" in self.gives else ()) as seen:
                    found += _middle(network, own)
                looks.append(seen)
        return (*found, _layers(looks)) if "layers" in self.gives else tuple(found)


class _LastNodes(nn.Module):
    """What ``_MiddleNodes`` gives, after X(0, 0) in networks without inner nodes, to the mean of probabilities.

    Attributes:
        takes: of the parts before it.
        gives: of ``DeployedSegmenter``; the layers as they came.
    """

    temperatures: Tensor

    def __init__(self, networks: Sequence[Segmenter], temperatures: Tensor, *, layers: bool) -> None:
        """Share the weights of deployed networks."""
        super().__init__()
        self.networks = nn.ModuleList(networks)
        more = ("layers",) if layers else ()
        own = tuple(f"{name}.{member}" for member, each in enumerate(networks) for name in _last_names(each))
        self.takes, self.gives = (*own, *more), ("maps", *more)
        self.register_buffer("temperatures", temperatures, persistent=False)

    def forward(self, *given: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Probabilities (n, map, row, column), and the layers."""
        has_layers = "layers" in self.gives
        own, found = given[:-1] if has_layers else given, []
        each = len(own) // len(self.networks)
        for member, network in enumerate(self.networks):
            if isinstance(network, Segmenter):
                logits = _last(network, own[member * each : (member + 1) * each])
                found.append((logits / self.temperatures).sigmoid())
        return (_mean(found), given[-1]) if has_layers else _mean(found)


def round_kernels(weights: Tensor) -> Tensor:
    """Float32 weights (out, in, row, column) rounded to values of bfloat16, the sum of each kernel kept.

    From the largest weight down, what rounding took or gave is handed to the next: the sum is off by no more than half
    the last place of the smallest.

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


class _ScaledConvolution(nn.Module):
    """A convolution whose kernels are multiplied when they are used, as batch normalisation behind it would."""

    factor: Tensor

    def __init__(self, before: nn.Conv2d, after: nn.BatchNorm2d) -> None:
        super().__init__()
        fused = fuse_conv_bn_eval(before, after)
        self.before, self.bias = before, fused.bias
        scale = torch.rsqrt(after.get_buffer("running_var") + after.eps)  # as fuse_conv_bn_eval has it
        self.register_buffer("factor", (after.weight * scale).detach().reshape(-1, 1, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        own = self.before
        weight = own.weight * self.factor
        if isinstance(own, SameConv2d):
            return own.with_kernel(maps, weight, self.bias)
        return functional.conv2d(maps, weight, self.bias, own.stride, own.padding, own.dilation, own.groups)


def _fold_normalisation(module: nn.Module, *, keeps_weights: bool) -> None:
    """Give every batch normalisation to the convolution before it."""
    for child in module.children():
        _fold_normalisation(child, keeps_weights=keeps_weights)
    if not isinstance(module, nn.Sequential):
        return
    for index in range(1, len(module)):
        before, after = module[index - 1], module[index]
        if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
            module[index - 1] = _ScaledConvolution(before, after) if keeps_weights else fuse_conv_bn_eval(before, after)
            module[index] = nn.Identity()


def _planes(image: Tensor) -> Tensor:
    """Images with an axis of channels, float32."""
    return (image if image.ndim == 4 else image[:, None]).to(torch.float32)


def _take_bytes(block: nn.Module, *, slices: int) -> None:
    """Let the convolutions that see the image take a channel of 0..255 for each slice; a single slice was in all.

    They take over their normalisation first.
    """
    if not isinstance(block, ConvolutionBlock):
        raise InputError(f"the first block was replaced by a {type(block).__name__}")
    _fold_normalisation(block, keeps_weights=False)
    for path in (block.main, block.residual):
        if path is None:
            continue
        first = path[0]
        if not isinstance(first, nn.Conv2d):
            raise InputError(f"the first block begins with a {type(first).__name__}; it must be a convolution")
        if slices not in (1, first.in_channels):
            raise InputError(f"{slices} slices were to be seen by a network of {first.in_channels} channels: one each")
        kernel = first.weight.sum(dim=1, keepdim=True) if slices == 1 else first.weight
        first.weight = nn.Parameter(kernel / 255, requires_grad=False)
        first.in_channels = slices


def _is_exact(network: nn.Module, name: str) -> bool:
    """Whether a submodule belongs to what stays in float32 when the rest is bfloat16."""
    if not isinstance(network, Segmenter) or network.trunk is not None:
        return False
    top = f".x0{network.description.depth}."
    return name.startswith("encoder.x00.") or (name.startswith("decoders.") and (top in name or ".head" in name))


def _middle_names(network: Segmenter) -> tuple[str, ...]:
    gated = [name for name in network.inner if name[1] == "0"]
    newest = ("newest",) if gated else ()  # without inner nodes it is the first map, which everyone has
    return (*(f"gated.{name}" for name in gated), *newest, *(f"below.{output}" for output in network.outputs))


def _last_names(network: Segmenter) -> tuple[str, ...]:
    names = _middle_names(network)
    return names if "newest" in names else ("first", *names)


def _middle(network: Segmenter, first: Tensor) -> tuple[Tensor, ...]:
    """What ``_middle_names`` names."""
    maps, gated = network.shared_maps(_channels_first(first))
    ends = [network.below_last(output, maps, gated) for output in network.outputs]
    return tuple(_channels_last(found) for found in (*gated[0], *maps[0][1:][-1:], *ends))


def _last(network: Segmenter, given: tuple[Tensor, ...]) -> Tensor:
    """Logits of what ``_last_names`` names."""
    outputs, depth = network.outputs, network.description.depth
    *gated, newest = given[: -len(outputs)]
    logits = []
    for output, below in zip(outputs, given[-len(outputs) :], strict=True):
        decoder = network.decoder(output)
        node = decoder[f"x0{depth}"]
        if not isinstance(node, PyramidNode):
            raise InputError(f"the last node of {output!r} was replaced by a {type(node).__name__}")
        raised: Tensor = node.up(_channels_first(below))
        kept = newest if node.gate is None else _channels_last(node.gate(_channels_first(newest), raised))
        joined = torch.cat((*gated, kept, _channels_last(raised)), dim=3)
        logits.append(decoder["head"](node.block(_channels_first(joined))))
    return torch.cat(logits, dim=1)


def _layers(looks: Sequence[Sequence[Tensor]]) -> Tensor:
    """What the middle maps of each member show, (n, member, d)."""
    return torch.stack([torch.cat([moments(each) for each in seen], dim=1) for seen in looks], dim=1)


def _mean(maps: list[Tensor]) -> Tensor:
    total = maps[0]
    for one in maps[1:]:
        total = total + one
    return total / len(maps) if len(maps) > 1 else total


def _channels_last(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1)


def _channels_first(maps: Tensor) -> Tensor:
    return maps.permute(0, 3, 1, 2)
