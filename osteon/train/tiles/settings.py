"""What a training of tile classifiers is told: one frozen value, checked when it is made."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.nets import network_names

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PAPER_EPOCHS", "PAPER_RATES", "STAINS", "TileAugmentation", "TileSettings"]

PAPER_RATES = (0.1, 0.01, 0.005, 0.001, 0.0005, 0.0001)
"""Learning rates of the paper's grid."""

PAPER_EPOCHS = (30, 50, 100)
"""Epochs of the paper's grid: one training at a constant rate passes through all of them."""

STAINS = ("none", "macenko", "reinhard")
"""Ways to make the colours of tiles alike before the network sees them."""

_LEAST_ZOOM = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class TileAugmentation:
    """Transformed copies that stand beside the originals; drawn once from the seed.

    Attributes:
        rotation_degrees: each copy is turned by an angle drawn from minus this to this.
        flip: mirrored left to right, every second copy on average.
        zoom: x draws a factor from 1 - x (at least 0.1) to 1 + x, one for both axes; above 1 shows less of the tile,
            larger.
        stain: 0 leaves the colours; s scales the haematoxylin and eosin of a copy by factors within 1 - s to 1 + s.
        copies: of every original.

    References:
        specs/histology.md, section 2.
    """

    rotation_degrees: float = 0.0
    flip: bool = False
    zoom: float = 0.0
    stain: float = 0.0
    copies: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if self.rotation_degrees < 0 or self.zoom < 0 or not 0 <= self.stain < 1 or self.copies < 0:
            raise InputError(
                f"copies turned by {self.rotation_degrees:g} degrees, zoomed by {self.zoom:g}, stained by "
                f"{self.stain:g}, {self.copies} of each cannot be: none may be below 0, stain must be below 1"
            )

    @property
    def changes(self) -> bool:
        """Whether there is anything to draw."""
        return self.copies > 0 and bool(self.rotation_degrees or self.flip or self.zoom or self.stain)

    @property
    def name(self) -> str:
        """Short, for folders and tables.

        Example:
            >>> TileAugmentation(rotation_degrees=30, flip=True, zoom=1.5).name, TileAugmentation().name
            ('rotation30-flip-zoom1.5', 'none')
        """
        parts = [
            f"rotation{self.rotation_degrees:g}" if self.rotation_degrees else "",
            "flip" if self.flip else "",
            f"zoom{self.zoom:g}" if self.zoom else "",
            f"stain{self.stain:g}" if self.stain else "",
            f"copies{self.copies}" if self.copies > 1 else "",
        ]
        return "-".join(part for part in parts if part) if self.changes else "none"

    @property
    def zoom_range(self) -> tuple[float, float]:
        """Smallest and largest factor."""
        return max(1 - self.zoom, _LEAST_ZOOM), 1 + self.zoom


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSettings:
    """Settings of the heads; the defaults are the paper's, or ours where it is silent (marked GAP).

    Attributes:
        architecture: one of ``network_names(task="tiles")``.
        pretrained: of the base: "embedded" (MobileNetV2, shipped), "hub" (timm), "none" (random, frozen all the same)
            or a path of timm's safetensors file; "" is "embedded" where it is shipped, else "hub".
        pixels: rows and columns that the network sees of a tile.
        rates: learning rates of the grid.
        epochs: of the grid, rising.
        repeats: heads of every setting, each from other weights and another order.
        choice_repeats: of them, how many are trained where rate and epochs are chosen (GAP).
        batch: tiles a step.
        weight_decay: decoupled, times the rate (GAP: 0).
        early_stop: choose the epoch with the best accuracy on the inner validation tiles instead of one of ``epochs``.
        augmentation: of the training tiles.
        stain: one of ``STAINS``.
        outer_folds: most folds by patient that are judged; as many patients or fewer are left out one by one (GAP).
        inner_folds: the same within the training patients, to choose rate and epochs.
        seed: of copies, heads, orders and folds.

    Raises:
        UnknownLabelError: a name that does not exist.
        InputError: a number out of range.
    """

    architecture: str = "mobilenet_v2_tiles"
    pretrained: str = ""
    pixels: int = 224
    rates: tuple[float, ...] = PAPER_RATES
    epochs: tuple[int, ...] = PAPER_EPOCHS
    repeats: int = 5
    choice_repeats: int = 2
    batch: int = 32
    weight_decay: float = 0.0
    early_stop: bool = False
    augmentation: TileAugmentation = TileAugmentation()
    stain: Literal["none", "macenko", "reinhard"] = "none"
    outer_folds: int = 10
    inner_folds: int = 5
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be trained, and fill in where the base comes from."""
        known = network_names(task="tiles")
        if self.architecture not in known:
            raise UnknownLabelError(
                f"no tile classifier {self.architecture!r}: {nearest_names(self.architecture, known)}"
            )
        if self.stain not in STAINS:
            raise UnknownLabelError(f"no stain normalisation {self.stain!r}: {nearest_names(self.stain, STAINS)}")
        if not self.rates or any(rate <= 0 for rate in self.rates):
            raise InputError(f"learning rates {self.rates} cannot be: at least one, all above 0")
        if not self.epochs or min(self.epochs) < 1 or list(self.epochs) != sorted(set(self.epochs)):
            raise InputError(f"epochs {self.epochs} cannot be: whole numbers from 1 on, rising")
        least = {
            "pixels": 32,
            "repeats": 1,
            "choice_repeats": 1,
            "batch": 1,
            "outer_folds": 2,
            "inner_folds": 2,
            "seed": 0,
        }
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise InputError(f"{name} {getattr(self, name)} cannot be: at least {smallest}")
        if self.weight_decay < 0:
            raise InputError(f"a weight decay of {self.weight_decay:g} cannot be: 0 or more")
        if not self.pretrained:
            shipped = self.architecture == "mobilenet_v2_tiles"
            object.__setattr__(self, "pretrained", "embedded" if shipped else "hub")

    @property
    def name(self) -> str:
        """Of the folder of a run, as "mobilenet_v2-flip"."""
        base = self.architecture.removesuffix("_tiles")
        source = "" if self.pretrained in ("embedded", "hub") else "-random" if self.pretrained == "none" else "-file"
        stain = "" if self.stain == "none" else f"-{self.stain}"
        return f"{base}{source}-{self.augmentation.name}{stain}"

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        return dataclasses.asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read ``document()`` back.

        Raises:
            UnknownLabelError: a name that does not exist.
            InputError: a value that cannot be.
        """
        return cls().changed(document)

    def changed(self, values: Mapping[str, Any]) -> Self:
        """The same with other values; "augmentation.zoom" reaches into the augmentation.

        Raises:
            UnknownLabelError: no such setting.
            InputError: a value that cannot be.
        """
        own = {entry.name for entry in dataclasses.fields(self)}
        drawn = {entry.name for entry in dataclasses.fields(TileAugmentation)}
        found: dict[str, Any] = {}
        augmentation: dict[str, Any] = {}
        for name, value in values.items():
            head, _, tail = name.partition(".")
            if head not in own or (tail and (head != "augmentation" or tail not in drawn)):
                known = [*own, *(f"augmentation.{each}" for each in drawn)]
                raise UnknownLabelError(f"no setting {name!r} of tile classifiers: {nearest_names(name, known)}")
            if tail:
                augmentation[tail] = value
            elif head == "augmentation":
                augmentation |= value if isinstance(value, dict) else dataclasses.asdict(value)
            else:
                found[head] = tuple(value) if head in ("rates", "epochs") and isinstance(value, list) else value
        try:
            if augmentation:
                found["augmentation"] = dataclasses.replace(self.augmentation, **augmentation)
            return dataclasses.replace(self, **found)
        except TypeError as error:
            raise InputError(f"a setting of tile classifiers has a value of the wrong kind ({error})") from error
