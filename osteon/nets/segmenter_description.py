"""What distinguishes U-Net, Attention U-Net, UNet++, AttUNet++ and Hybrid-AttUNet++: one description, a few switches.

All are pyramids of nodes X(i, j): i is the depth (0 is full resolution), j the position along the skip connection.
The encoder is X(i, 0); a decoder is the last diagonal X(3, 1), X(2, 2), X(1, 3), X(0, 4). A U-Net has nothing between
them, a UNet++ the inner nodes. The ablation of the paper is a change of switches, not of classes: the modified block
(MB) is ``block="residual"``, the dual decoder (DD) is ``outputs=("lesion", "bone")``; the ensemble (EN) is none.

The encoder may also be a network that was trained on photographs (``encoder``); ``NAME_unet`` has one decoder,
``NAME_dual_unet`` two, and ``NAME_unet16`` one, its encoder ending at 1/16 of the size, before the stages that have
most of the parameters. They are ours, of no paper.

The other names without a suffix are the networks of the reference code, whose parameter counts they have.
``unetpp_plain`` and ``attunetpp_plain`` are the baselines as the thesis describes them: blocks without normalisation
and without a residual path (the published code has no such network).

``NAME_small`` has a quarter of the channels of NAME and no side heads: ours, for small data sets, one core, and models
that are shipped with the code. ``segresnet`` does not belong to the family: it is MONAI's, a reference for studies.

References:
    Myronenko 2018, 10.1007/978-3-030-11726-9_28 (SegResNet);
    specs/bone-metastasis.md, sections 2.1, 2.3 and 8.1, appendix B; ../shared/data/README.md (facts of the code).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from osteon.errors import InputError, UnknownLabelError, nearest_names

__all__ = ["ENCODERS", "SEGMENTERS", "SEQUENCES", "SegmenterDescription"]

ENCODERS: dict[str, tuple[int, ...]] = {
    "efficientnet_lite0": (16, 24, 40, 112, 320),
    "efficientnet_lite1": (16, 24, 40, 112, 320),
    "efficientnet_lite2": (16, 24, 48, 120, 352),
    "mobilenet_v2": (16, 24, 32, 96, 320),
}
"""Channels of the maps that a network with ImageNet weights gives at 1/2 to 1/32 of the size (``nets.encoder``)."""

_OWN_WIDTH = 16  # of level 0, which no such network has


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmenterDescription:
    """One network of the family.

    Raises:
        UnknownLabelError: no such encoder.
        InputError: a combination that is not a network.
    """

    # two 3x3 convolutions with ReLU ("plain"), with batch normalisation ("normalised"), or these with a normalised 1x1
    # convolution around them ("residual", the paper's BCBlock)
    block: Literal["plain", "normalised", "residual"]
    is_nested: bool  # whether the skip connections are dense and pass the inner nodes (UNet++)
    # what the attention gates on the skips are like. "full": as wide inside as their level, the reading of AttUNet++;
    # "halved": half as wide, but never narrower than level 0, as in the Attention U-Net of the reference code; "none":
    # there are none.
    gates: Literal["none", "halved", "full"] = "none"
    # "bilinear" x2 with aligned corners and no convolution, or "convolution": nearest x2, then a 3x3 convolution to the
    # width of the level, normalisation and ReLU
    upsampling: Literal["bilinear", "convolution"] = "bilinear"
    # names of the maps, in the order of the output channels; each has its own decoder. The thesis has the lesion first
    # (2.1), its code the bone: ask for a map by name, never by position.
    outputs: tuple[str, ...] = ("lesion",)
    # whether X(0, 1), X(0, 2), X(0, 3) have heads for deep supervision (UNet++ with one output)
    has_side_heads: bool = False
    widths: tuple[int, ...] = (32, 64, 128, 256, 512)  # channels of the levels, from level 0 down; at least two levels
    # one of ``ENCODERS``, whose maps, all five or the first ones, are X(1, 0), X(2, 0) ..., of its widths; X(0, 0) is a
    # block on the image; "": blocks
    encoder: str = ""
    # "monai": that package's SegResNet of these widths, each twice the one before; all other switches say nothing of it
    package: Literal["", "monai"] = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise InputError(f"widths are {self.widths}; give one of at least 1 for each of two levels or more")
        if not self.outputs or len(set(self.outputs)) != len(self.outputs):
            raise InputError(f"outputs are {self.outputs}; give at least one name, and none twice")
        if self.encoder and self.encoder not in ENCODERS:
            raise UnknownLabelError(f"no encoder {self.encoder!r}: {nearest_names(self.encoder, ENCODERS)}")
        if self.encoder and self.widths[1:] != ENCODERS[self.encoder][: self.depth]:
            raise InputError(f"widths are {self.widths}; below level 0, {self.encoder} has {ENCODERS[self.encoder]}")
        if self.has_side_heads and (not self.is_nested or len(self.outputs) != 1):
            raise InputError("side heads were asked for; they need nested nodes and exactly one output")
        first = self.widths[0]
        if self.package and (first % 8 or self.widths != tuple(first << level for level in range(len(self.widths)))):
            raise InputError(f"widths are {self.widths}; a SegResNet begins with a multiple of 8 and doubles each time")

    @property
    def depth(self) -> int:
        """Index of the deepest level: how many times the image is halved."""
        return len(self.widths) - 1

    @property
    def size_step(self) -> int:
        """Rows and columns of an image are multiples of this; 16 with five levels, 32 with six.

        Example:
            >>> SEGMENTERS["unet"].size_step
            16
        """
        return 1 << self.depth

    def skips(self, column: int) -> int:
        """How many maps of its own level a node of this column joins with what comes from below."""
        return column if self.is_nested else 1

    def gate_width(self, level: int) -> int:
        """Inner channels of the gates of a level; 0 where there are none.

        Example:
            >>> [SEGMENTERS["attunet"].gate_width(level) for level in range(4)]
            [32, 32, 64, 128]
        """
        if self.gates == "none":
            return 0
        return self.widths[level] if self.gates == "full" else max(self.widths[level] // 2, self.widths[0])


SEGMENTERS: dict[str, SegmenterDescription] = {
    "unet": SegmenterDescription(block="normalised", is_nested=False, upsampling="convolution"),
    "attunet": SegmenterDescription(block="normalised", is_nested=False, upsampling="convolution", gates="halved"),
    "unetpp_plain": SegmenterDescription(block="plain", is_nested=True),
    "unetpp": SegmenterDescription(block="residual", is_nested=True),
    "attunetpp_plain": SegmenterDescription(block="plain", is_nested=True, gates="full"),
    # the reference code has side heads here (99 parameters that it never uses) and nowhere else
    "attunetpp": SegmenterDescription(block="residual", is_nested=True, gates="full", has_side_heads=True),
    "hybrid_attunetpp": SegmenterDescription(
        block="residual", is_nested=True, gates="full", outputs=("lesion", "bone")
    ),
    # a U-Net with three eighths of the channels, 1.2 million parameters: ours, for small data sets and one core
    "unet_small": SegmenterDescription(
        block="normalised", is_nested=False, upsampling="convolution", widths=(12, 24, 48, 96, 192)
    ),
    "segresnet": SegmenterDescription(block="normalised", is_nested=False, widths=(32, 64, 128, 256), package="monai"),
}
SEGMENTERS |= {
    f"{name}_small": replace(
        SEGMENTERS[name], widths=tuple(width // 4 for width in SEGMENTERS[name].widths), has_side_heads=False
    )
    for name in ("attunet", "unetpp", "attunetpp", "hybrid_attunetpp", "segresnet")
}
SEGMENTERS |= {
    f"{encoder}_{kind}": SegmenterDescription(
        block="normalised", is_nested=False, outputs=outputs, widths=(_OWN_WIDTH, *widths[:levels]), encoder=encoder
    )
    for encoder, widths in ENCODERS.items()
    for kind, outputs, levels in (
        ("unet", ("lesion",), 5),
        ("dual_unet", ("lesion", "bone"), 5),
        ("unet16", ("lesion",), 4),
    )
}

# sequential pairs: (bone network, lesion network), both of SEGMENTERS
SEQUENCES: dict[str, tuple[str, str]] = {
    "unet_then_attunet": ("unet", "attunet"),
    "unet_then_unetpp": ("unet", "unetpp"),
    "unet_then_attunetpp": ("unet", "attunetpp"),
}
