"""What the histology study plans: networks, augmentations and protocols of the paper (specs/histology.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.train.tiles.settings import TileAugmentation, TileSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AUGMENTATIONS",
    "AUGMENTED",
    "NETWORKS",
    "PROTOCOLS",
    "HistologyOptions",
    "HistologyRun",
    "Protocol",
    "plan_histology",
]

Protocol = Literal["patient", "tile", "literal"]

PROTOCOLS: dict[Protocol, str] = {
    "patient": "by patient, rate and epochs chosen within the training patients",
    "tile": "by tile, rate and epochs chosen within the training tiles (patients leak)",
    "literal": "as printed: 90 to 10 by tile, best validation accuracy of all runs (patients leak, and it is selected)",
}
"""Ways to divide and to report."""

NETWORKS = ("mobilenet_v2_tiles", "resnetv2_50_tiles", "xception_tiles", "inception_resnet_v2_tiles")
"""The paper's four, in its order."""

AUGMENTED = ("mobilenet_v2_tiles", "resnetv2_50_tiles")
"""The two that it trained with augmentation."""

AUGMENTATIONS = (
    TileAugmentation(rotation_degrees=30),
    TileAugmentation(flip=True),
    TileAugmentation(zoom=0.5),
    TileAugmentation(zoom=1.0),
    TileAugmentation(zoom=1.5),
    TileAugmentation(rotation_degrees=30, flip=True),
    TileAugmentation(rotation_degrees=30, flip=True, zoom=0.5),
    TileAugmentation(rotation_degrees=30, flip=True, zoom=1.0),
    TileAugmentation(rotation_degrees=30, flip=True, zoom=1.5),
)
"""The grid: rotation, flip and zoom alone, and together."""

_SHIPPED = "mobilenet_v2_tiles"


@dataclass(frozen=True, slots=True)
class HistologyRun:
    """One row of the study: a network with a way to augment, judged by one or more protocols.

    Attributes:
        settings: of its heads.
        protocols: by which it is judged.
    """

    settings: TileSettings
    protocols: tuple[Protocol, ...]

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.settings.name

    def document(self) -> dict[str, Any]:
        """As study.json holds it."""
        return {"name": self.name, "settings": self.settings.document(), "protocols": list(self.protocols)}


@dataclass(frozen=True, slots=True, kw_only=True)
class HistologyOptions:
    """What part of the study.

    Attributes:
        only: protocols, "networks" (no augmentation) or "augmentation"; empty for all.
        networks: of ``NETWORKS``, with or without "_tiles"; empty for those whose weights are at hand: MobileNetV2, and
            with ``pretrained`` "hub" or "none" all four.
        pretrained: of the bases; "" takes what is shipped.
        values: settings of all runs, as ``TileSettings.changed`` takes them, copies and stain of the augmentation among
            them; texts are read as JSON where they are.
    """

    only: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    pretrained: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


def plan_histology(options: HistologyOptions) -> tuple[HistologyRun, ...]:
    """The rows of the study.

    Raises:
        UnknownLabelError: no such network, part or setting.
        InputError: a setting that cannot be, or one that the study itself varies.

    Example:
        >>> runs = plan_histology(HistologyOptions())
        >>> len(runs), runs[0].name, runs[-1].name
        (10, 'mobilenet_v2-none', 'mobilenet_v2-rotation30-flip-zoom1.5')
    """
    parts = ("networks", "augmentation")
    for name in options.only:
        if name not in (*PROTOCOLS, *parts):
            raise UnknownLabelError(
                f"no part {name!r} of the study histology: {nearest_names(name, (*PROTOCOLS, *parts))}"
            )
    protocols = tuple(name for name in PROTOCOLS if name in options.only) or tuple(PROTOCOLS)
    wanted = [name for name in parts if name in options.only] or parts
    values = {name: _value(value) for name, value in options.values.items()}
    pretrained = options.pretrained or str(values.pop("pretrained", ""))
    base = TileSettings().changed(values)
    copies, stain = base.augmentation.copies, base.augmentation.stain  # of all rows
    if base.architecture != _SHIPPED or base.augmentation != TileAugmentation(copies=copies, stain=stain):
        raise InputError("the study histology varies networks and augmentation itself: choose networks with --network")
    runs = []
    for network in _networks(options.networks, pretrained):
        # one call of settings with all values: where the base comes from follows from the network
        settings = base.changed({"architecture": network, "pretrained": pretrained})
        if "networks" in wanted:
            runs.append(HistologyRun(settings, protocols))
        if "augmentation" in wanted and network in AUGMENTED:
            runs += [
                HistologyRun(settings.changed({"augmentation": replace(one, copies=copies, stain=stain)}), protocols)
                for one in AUGMENTATIONS
            ]
    return tuple(runs)


def _networks(names: tuple[str, ...], pretrained: str) -> tuple[str, ...]:
    if not names:
        return NETWORKS if pretrained in ("hub", "none") else (_SHIPPED,)
    found = []
    for name in names:
        full = name if name.endswith("_tiles") else f"{name}_tiles"
        if full not in NETWORKS:
            raise UnknownLabelError(f"no network {name!r} of the study histology: {nearest_names(full, NETWORKS)}")
        found.append(full)
    return tuple(found)


def _value(value: object) -> object:
    """A text as the value it spells, where it spells one."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
