"""Two-dimensional segmentation networks of the U-Net family, built from a description.

Readings where the spec (specs/bone-metastasis.md) is silent or contradicts itself; [A] is what the author's code does:

* five encoder blocks, as five widths demand (8.1 #8);
* the residual path of a block is 1x1 convolution without bias, normalisation, ReLU [A]; the thesis prints ReLU before
  the normalisation (8.1 #10). The sum is not activated again;
* gates by reading R2: the map of X(i, n) is gated once, by the upsampled X(i + 1, n), and every later node of the level
  takes the gated map (8.1 #9). Convolutions in the gate have a bias and are normalised [A];
* a decoder is its own copy of the last diagonal with its own gates, and a plain 1x1 convolution as head (2.1.6); no
  inner node depends on a decoder, so one set of them serves all decoders (2.1.5);
* a pair of networks in sequence (2.3) hands the bone on as the image multiplied by the bone mask, hard at 0.5.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from torch.nn import functional

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon._optional import MissingPackageError, require
from osteon.errors import BackendError, InputError
from osteon.nets.encoder import MobileEncoder
from osteon.nets.segmenter_description import SEGMENTERS, SEQUENCES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from osteon.nets.segmenter_description import SegmenterDescription

__all__ = [
    "AttentionGate",
    "ConvolutionBlock",
    "PyramidNode",
    "ReferenceSegmenter",
    "Segmenter",
    "SegmenterPair",
    "build_segmenter",
    "named_segmenter",
]


class ConvolutionBlock(nn.Module):
    """Two 3x3 convolutions with ReLU; (n, in, row, column) to (n, out, row, column).

    References:
        specs/bone-metastasis.md, section 2.1.2 (BCBlock) and appendix B.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kind: Literal["plain", "normalised", "residual"]
    ) -> None:
        """``kind`` as in ``SegmenterDescription.block``."""
        super().__init__()
        is_normalised = kind != "plain"
        self.main = nn.Sequential(
            *_convolution(in_channels, out_channels, is_normalised=is_normalised),
            *_convolution(out_channels, out_channels, is_normalised=is_normalised),
        )
        self.residual: nn.Sequential | None = None
        if kind == "residual":
            self.residual = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Map (n, in, row, column) to (n, out, row, column), never below zero."""
        changed: Tensor = self.main(maps)
        return changed if self.residual is None else changed + self.residual(maps)


class AttentionGate(nn.Module):
    """Weighs each pixel of a skip map by a number in 0..1 that it and the map from below decide.

    ``x * sigmoid(BN(psi(ReLU(BN(Wx x) + BN(Wg g)))))``: all three are 1x1 convolutions with bias; psi has one channel.

    References:
        specs/bone-metastasis.md, section 2.1.4; Oktay et al. 2018, arXiv:1804.03999.
    """

    def __init__(self, skip_channels: int, gating_channels: int, inner_channels: int) -> None:
        """Channels of the map that is weighed, of the one that decides, and of their sum."""
        super().__init__()
        self.skip = nn.Sequential(nn.Conv2d(skip_channels, inner_channels, 1), nn.BatchNorm2d(inner_channels))
        self.gating = nn.Sequential(nn.Conv2d(gating_channels, inner_channels, 1), nn.BatchNorm2d(inner_channels))
        self.psi = nn.Sequential(nn.Conv2d(inner_channels, 1, 1), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, skip: Tensor, gating: Tensor) -> Tensor:
        """Map (n, skip, row, column) and (n, gating, row, column) to the weighed (n, skip, row, column)."""
        weight: Tensor = self.psi(functional.relu(self.skip(skip) + self.gating(gating), inplace=True))
        return skip * weight


class PyramidNode(nn.Module):
    """X(i, j) with j > 0: gates the newest map of its level, joins all of them with the map from below, convolves."""

    def __init__(self, description: SegmenterDescription, level: int, column: int) -> None:
        """The node X(level, column)."""
        super().__init__()
        width, below = description.widths[level : level + 2]
        self.up: nn.Module
        if description.upsampling == "convolution":
            upsampled = width
            self.up = nn.Sequential(nn.Upsample(scale_factor=2), *_convolution(below, width, is_normalised=True))
        else:
            upsampled = below
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        inner = description.gate_width(level)
        self.gate = AttentionGate(width, upsampled, inner) if inner else None
        self.block = ConvolutionBlock(description.skips(column) * width + upsampled, width, kind=description.block)

    def forward(self, gated: tuple[Tensor, ...], newest: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
        """One node.

        Args:
            gated: maps of this level that earlier nodes have gated, each (n, width, row, column); none in a U-Net.
            newest: the last map of this level, (n, width, row, column), not yet gated.
            below: the map of the level below, (n, width below, row / 2, column / 2).

        Returns:
            The map of the node, (n, width, row, column), and ``newest`` after the gate, of the same shape.
        """
        raised: Tensor = self.up(below)
        kept: Tensor = newest if self.gate is None else self.gate(newest, raised)
        return self.block(torch.cat((*gated, kept, raised), dim=1)), kept


class Segmenter(nn.Module):
    """A network of the U-Net family: images in, one map of logits for each named output.

    Attributes:
        description: what was built.
        outputs: names of the output channels, in their order.
        encoder: blocks "x00", "x10", ... by node; of a network that was trained on photographs "x00" alone.
        trunk: that network, which gives X(1, 0) and all below it; None where there is none.
        inner: the nodes between encoder and decoders, shared by all decoders; empty without nesting.
        decoders: by output, the nodes of the last diagonal, deepest first, and "head".
        side_heads: heads of the inner nodes of level 0, by node; usually empty.
    """

    def __init__(self, description: SegmenterDescription, *, in_channels: int = 3) -> None:
        """Random weights from torch's global generator (He et al. 2015, 10.1109/ICCV.2015.123).

        Args:
            description: blocks, gates, decoders, widths.
            in_channels: of the images, any number; the reference code repeats the grey image three times.

        Raises:
            InputError: the description of a network of another package.
        """
        super().__init__()
        if description.package:
            raise InputError(f"the description is of a network of {description.package}: see build_segmenter")
        self.description = description
        self.outputs = description.outputs
        depth, widths = description.depth, description.widths
        self.encoder = nn.ModuleDict()
        self.trunk = None
        if description.encoder:
            self.trunk = MobileEncoder(description.encoder, in_channels=in_channels, levels=depth)
        own = widths if self.trunk is None else widths[:1]
        for level, (before, width) in enumerate(zip((in_channels, *widths), own, strict=False)):
            self.encoder[_name(level, 0)] = ConvolutionBlock(before, width, kind=description.block)
        self.inner = nn.ModuleDict()
        if description.is_nested:
            for level, column in _inner_places(depth):
                self.inner[_name(level, column)] = PyramidNode(description, level, column)
        self.decoders = nn.ModuleDict()
        for output in description.outputs:
            decoder = nn.ModuleDict()
            for level, column in _diagonal(depth):
                decoder[_name(level, column)] = PyramidNode(description, level, column)
            decoder["head"] = nn.Conv2d(widths[0], 1, 1)
            self.decoders[output] = decoder
        self.side_heads = nn.ModuleDict()
        if description.has_side_heads:
            for column in range(1, depth):
                self.side_heads[_name(0, column)] = nn.Conv2d(widths[0], 1, 1)
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        """Map images to logits.

        Args:
            images: float (n, in_channels, row, column), 0..1 for weights that were trained on photographs; rows and
                columns are multiples of 16 (with five levels; of 32 with six).

        Returns:
            (n, output, row, column): one channel for each of ``outputs``.

        Raises:
            InputError: rows or columns are not such multiples.
        """
        step = self.description.size_step
        rows, columns = images.shape[-2:]
        if rows % step or columns % step:
            raise InputError(
                f"the network halves images {self.description.depth} times and got {rows} x {columns} pixels; "
                f"pad or resize them to multiples of {step}"
            )
        seen = () if self.trunk is None else self.trunk(images)
        maps, gated = self.shared_maps(self.encoder[_name(0, 0)](images), seen)
        logits = []
        for output in self.outputs:
            decoder, below = self.decoder(output), self.below_last(output, maps, gated)
            below, _ = decoder[_name(0, self.description.depth)](tuple(gated[0]), maps[0][-1], below)
            logits.append(decoder["head"](below))
        return torch.cat(logits, dim=1)

    @property
    def levels(self) -> tuple[nn.Module, ...]:
        """The parts of the encoder that X(0, 0), X(1, 0) and so on come from, in this order."""
        own = tuple(self.encoder.values())
        return own if self.trunk is None else (own[0], *self.trunk.levels)

    def shared_maps(self, first: Tensor, seen: Sequence[Tensor] = ()) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
        """From X(0, 0) to what all decoders share: by level, the maps of encoder and inner nodes, and those gated.

        ``seen`` is what the trunk gives, where there is one.
        """
        maps: list[list[Tensor]] = [[first], *([each] for each in seen)]
        for level in range(len(maps), len(self.description.widths)):
            maps.append([self.encoder[_name(level, 0)](functional.max_pool2d(maps[-1][0], 2))])
        gated: list[list[Tensor]] = [[] for _ in maps]
        if self.description.is_nested:
            for level, column in _inner_places(self.description.depth):
                node = self.inner[_name(level, column)]
                found, kept = node(tuple(gated[level]), maps[level][-1], maps[level + 1][column - 1])
                maps[level].append(found)
                gated[level].append(kept)
        return maps, gated

    def below_last(self, output: str, maps: list[list[Tensor]], gated: list[list[Tensor]]) -> Tensor:
        """Run a decoder up to its last node; nothing that another decoder reads is changed."""
        decoder, below = self.decoder(output), maps[-1][0]
        for level, column in _diagonal(self.description.depth)[:-1]:
            below, _ = decoder[_name(level, column)](tuple(gated[level]), maps[level][-1], below)
        return below

    def decoder(self, output: str) -> nn.ModuleDict:
        """The nodes of a decoder and its head."""
        decoder = self.decoders[output]
        if not isinstance(decoder, nn.ModuleDict):
            raise InputError(f"the decoder {output!r} was replaced by a {type(decoder).__name__}")
        return decoder

    def _initialise(self) -> None:
        """He's variance for every kernel: the plain blocks have nothing else that keeps the signal's size."""
        trunk = set() if self.trunk is None else set(self.trunk.modules())  # it knows better how it begins
        for part in self.modules():
            if isinstance(part, nn.Conv2d) and part not in trunk:
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
                if part.bias is not None:
                    nn.init.zeros_(part.bias)


def _convolution(in_channels: int, out_channels: int, *, is_normalised: bool) -> list[nn.Module]:
    """3x3 with bias, normalisation where asked for, ReLU."""
    norm: list[nn.Module] = [nn.BatchNorm2d(out_channels)] if is_normalised else []
    return [nn.Conv2d(in_channels, out_channels, 3, padding=1), *norm, nn.ReLU(inplace=True)]


def _name(level: int, column: int) -> str:
    return f"x{level}{column}"


def _inner_places(depth: int) -> list[tuple[int, int]]:
    """(level, column) of the inner nodes of a nested pyramid, each after those that it reads.

    Example:
        >>> _inner_places(3)
        [(0, 1), (1, 1), (0, 2)]
    """
    return [(level, column) for column in range(1, depth) for level in range(depth - column)]


def _diagonal(depth: int) -> list[tuple[int, int]]:
    """(level, column) of a decoder's nodes, from below.

    Example:
        >>> _diagonal(4)
        [(3, 1), (2, 2), (1, 3), (0, 4)]
    """
    return [(level, depth - level) for level in reversed(range(depth))]


class SegmenterPair(nn.Module):
    """A bone network, then a lesion network that sees the image only where there is bone.

    Attributes:
        bone: gives one map of logits.
        lesion: gives one map of logits.
        mask: "hard" is bone or no bone at probability 0.5, and no gradient of the lesion's loss reaches the bone
            network; "soft" multiplies by the probability, and it does.
        outputs: names of the output channels, in their order.
    """

    def __init__(
        self,
        bone: Segmenter | ReferenceSegmenter,
        lesion: Segmenter | ReferenceSegmenter,
        *,
        mask: Literal["hard", "soft"] = "hard",
    ) -> None:
        """Join two networks; nothing is copied.

        Raises:
            InputError: a network has more than one output.
        """
        super().__init__()
        for role, network in (("bone", bone), ("lesion", lesion)):
            if len(network.outputs) != 1:
                raise InputError(
                    f"the {role} network of a pair gives {', '.join(network.outputs)}; it must give one map"
                )
        self.bone, self.lesion = bone, lesion
        self.mask = mask
        self.outputs: tuple[str, ...] = ("lesion", "bone")

    def forward(self, images: Tensor) -> Tensor:
        """Map images to logits (n, 2, row, column) of lesion and bone.

        Args:
            images: float (n, channel, row, column), 0 where there is nothing; sizes as the two networks take them.

        Raises:
            InputError: sizes that the networks do not take.
        """
        bone: Tensor = self.bone(images)
        # a logit of 0 is a probability of 0.5
        region = (bone.detach() >= 0).to(images.dtype) if self.mask == "hard" else bone.sigmoid()
        return torch.cat((self.lesion(images * region), bone), dim=1)


class ReferenceSegmenter(nn.Module):
    """A network of another package under the names that a ``Segmenter`` has: MONAI's SegResNet, in two dimensions.

    Attributes:
        description: its widths and outputs.
        outputs: names of the output channels, in their order.
        trunk: None, as of a ``Segmenter`` without one.
        network: the package's module.

    References:
        Myronenko 2018, 10.1007/978-3-030-11726-9_28.
    """

    trunk: MobileEncoder | None = None

    def __init__(self, description: SegmenterDescription, *, in_channels: int = 3) -> None:
        """Random weights from torch's global generator, as the package draws them.

        Raises:
            BackendError: the package is not installed.
        """
        super().__init__()
        try:
            nets = require("monai.networks.nets", extra="train", purpose="to build a SegResNet")
        except MissingPackageError as error:
            raise BackendError(str(error)) from error
        self.description, self.outputs = description, description.outputs
        self.network: nn.Module = nets.SegResNet(
            spatial_dims=2,
            init_filters=description.widths[0],
            in_channels=in_channels,
            out_channels=len(description.outputs),
            blocks_down=(1, *(2,) * (description.depth - 1), 4),
            blocks_up=(1,) * description.depth,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, channel, row, column) to logits (n, output, row, column); sizes are multiples of the step."""
        logits: Tensor = self.network(images)
        return logits


def build_segmenter(description: SegmenterDescription, *, in_channels: int = 3) -> Segmenter | ReferenceSegmenter:
    """The network of a description, of this family or of another package.

    Raises:
        BackendError: that package is not installed.
    """
    return (ReferenceSegmenter if description.package else Segmenter)(description, in_channels=in_channels)


def named_segmenter(
    *, in_chans: int, num_classes: int, segmenter: str
) -> Segmenter | SegmenterPair | ReferenceSegmenter:
    """What the registry calls: a network of ``SEGMENTERS`` or a pair of ``SEQUENCES``.

    Raises:
        InputError: another number of output maps than the network has.
        BackendError: the package of the network is not installed.
    """
    outputs = ("lesion", "bone") if segmenter in SEQUENCES else SEGMENTERS[segmenter].outputs
    if num_classes != len(outputs):
        raise InputError(
            f"{segmenter} was asked for {num_classes} output maps; it has {len(outputs)}: {', '.join(outputs)}"
        )
    if segmenter not in SEQUENCES:
        return build_segmenter(SEGMENTERS[segmenter], in_channels=in_chans)
    first, second = (replace(SEGMENTERS[name], has_side_heads=False) for name in SEQUENCES[segmenter])
    return SegmenterPair(
        Segmenter(replace(first, outputs=("bone",)), in_channels=in_chans),
        Segmenter(replace(second, outputs=("lesion",)), in_channels=in_chans),
    )
