"""What the training of a segmenter is told: one frozen value, checked when it is made."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.nets import network_names
from osteon.nets.segmenter_description import SEGMENTERS, SEQUENCES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["NOT_DECISIVE", "SEGMENT_TASK", "SegmentSettings"]

SEGMENT_TASK = "ct_metastasis"
"""The task whose settings these are."""

NOT_DECISIVE = frozenset({"device", "workers", "threads"})
"""Settings with which an interrupted run may go on though they differ: they change speed, and rounding at most."""

_CHOICES: dict[str, tuple[str, ...]] = {
    "task": (SEGMENT_TASK,),
    "optimiser": ("adam", "sgd"),
    "loss": ("bce", "focal"),
    "selection": ("validation", "last"),
    "draw": ("plain", "equal"),
    "pair_mask": ("hard", "soft"),
    "pair_trains_on": ("predicted", "true"),
    "precision": ("32", "bf16-mixed", "16-mixed"),
    "device": ("auto", "cpu", "cuda"),
}
_AT_LEAST = {"image_size": 16, "crop": 0, "batch": 1, "epochs": 1, "devices": 1, "seed": 0, "workers": 0, "threads": 0}
_NOT_NEGATIVE = ("lesion_weight", "bone_weight", "focal_gamma", "dice_weight")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentSettings:
    """Settings of one training; the defaults are the paper's, or ours where it is silent (marked GAP).

    Attributes:
        task: what is learnt.
        architecture: a segmenter or a sequential pair of ``osteon.nets``.
        channels: 1, or 3 for the grey image three times, as the public code has it (GAP: 1).
        image_size: rows and columns, a multiple of 16 (GAP: 224).
        batch: images a step, over all devices together.
        epochs: all of them are trained.
        rates: learning rates, each for an equal share of the epochs.
        optimiser: "adam" or "sgd"; made once, so its moments are kept when the rate falls (GAP).
        momentum: of SGD.
        lesion_weight: of the lesion's part of the loss, in networks with two maps.
        bone_weight: of the bone's part; networks with one map have a plain loss.
        loss: "bce", binary cross entropy, or "focal".
        focal_gamma: of the focal loss.
        dice_weight: of a soft Dice loss that is added to each map's part; 0 as in the paper.
        augments: turns by at most 35 degrees and flips, image and masks together (GAP: yes).
        crop: rows and columns of a random piece of each image that an epoch shows, every second one around a lesion
            where there is one; a multiple of 16. Judged are whole images. 0 shows whole images, as in the paper.
        selection: "validation" keeps the epoch with the best pooled F1 of the validation part, "last" the last (GAP).
        threshold: a pixel is called from this probability on (GAP: 0.5).
        images_per_epoch: a draw of so many; None shows every image once.
        draw: "plain", or "equal" shares of slices with and without a lesion; for ``images_per_epoch``.
        pair_mask: a sequential pair hands on bone or no bone ("hard") or its probability ("soft") (GAP).
        pair_trains_on: the lesion network of a pair learns on the "predicted" or the "true" bone (GAP); it is judged
            on the predicted bone in both cases.
        precision: "32", "bf16-mixed" or "16-mixed" (a GPU only).
        device: "auto" takes a GPU where there is one.
        devices: processes, each with a GPU or a share of the CPU.
        seed: of weights, order and augmentation.
        workers: loader processes a training process.
        threads: of torch on the CPU; 0 leaves them as they are.

    Raises:
        UnknownLabelError: a name that does not exist.
        InputError: a number out of range, or settings that exclude each other.
    """

    task: str = SEGMENT_TASK
    architecture: str = "hybrid_attunetpp"
    channels: int = 1
    image_size: int = 224
    batch: int = 8
    epochs: int = 60
    rates: tuple[float, ...] = (0.01, 0.005, 0.001)
    optimiser: Literal["adam", "sgd"] = "adam"
    momentum: float = 0.9
    lesion_weight: float = 0.7
    bone_weight: float = 0.3
    loss: Literal["bce", "focal"] = "bce"
    focal_gamma: float = 2.0
    dice_weight: float = 0.0
    augments: bool = True
    crop: int = 0
    selection: Literal["validation", "last"] = "validation"
    threshold: float = 0.5
    images_per_epoch: int | None = None
    draw: Literal["plain", "equal"] = "plain"
    pair_mask: Literal["hard", "soft"] = "hard"
    pair_trains_on: Literal["predicted", "true"] = "predicted"
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 1
    seed: int = 1
    workers: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        for name, known in (*_CHOICES.items(), ("architecture", network_names(task="segmentation"))):
            value = getattr(self, name)
            if value not in known:
                raise UnknownLabelError(f"{name} {value!r} does not exist: {nearest_names(str(value), known)}")
        object.__setattr__(self, "rates", tuple(self.rates))
        self._check_numbers()
        self._check_pairs()

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the maps that come out in the end, in the order of the channels."""
        if self.architecture in SEQUENCES:
            return ("lesion", "bone")
        return SEGMENTERS[self.architecture].outputs

    @property
    def changes_shares(self) -> bool:
        """Whether training sees slices with a lesion in another share than they occur."""
        return self.images_per_epoch is not None and self.draw == "equal"

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0.

        Example:
            >>> settings = SegmentSettings()
            >>> [settings.rate(epoch) for epoch in (0, 19, 20, 39, 40, 59)]
            [0.01, 0.01, 0.005, 0.005, 0.001, 0.001]
        """
        return self.rates[min(epoch * len(self.rates) // self.epochs, len(self.rates) - 1)]

    def document(self) -> dict[str, Any]:
        """All settings as plain values by name."""
        return {**dataclasses.asdict(self), "rates": list(self.rates)}

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """The same settings with other values.

        Raises:
            UnknownLabelError: no such setting.
            InputError: a value of another type or out of range.
        """
        return type(self).of({**self.document(), **changes})

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Settings from values by name, as a file or a command line gives them.

        Raises:
            UnknownLabelError: no such setting.
            InputError: a value of another type or out of range.

        Example:
            >>> SegmentSettings.of({"batch": "4", "rates": "0.01, 0.001", "augments": "no"}).rates
            (0.01, 0.001)
        """
        known = {entry.name: str(entry.type) for entry in dataclasses.fields(cls)}
        converted: dict[str, Any] = {}
        for name, value in values.items():
            if name not in known:
                raise UnknownLabelError(f"no setting {name!r}: {nearest_names(name, known)}")
            converted[name] = _converted(name, known[name], value)
        return cls(**converted)

    def _check_numbers(self) -> None:
        for name, least in _AT_LEAST.items():
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        for name in _NOT_NEGATIVE:
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} is {value}; it must be 0 or more")
        if not self.rates or not all(math.isfinite(rate) and rate > 0 for rate in self.rates):
            raise InputError(f"rates are {self.rates}; at least one, all above 0, are needed, as 0.01, 0.005, 0.001")
        if not 0 <= self.momentum < 1:
            raise InputError(f"momentum is {self.momentum}; it must be at least 0 and below 1")
        if not 0 < self.threshold < 1:
            raise InputError(f"threshold is {self.threshold}; it must lie between 0 and 1")
        if self.channels not in (1, 3):
            raise InputError(f"channels is {self.channels}; a network takes 1 (grey) or 3 (the grey image three times)")
        if self.image_size % 16:
            raise InputError(f"image_size is {self.image_size}; the network halves four times: a multiple of 16")
        if self.crop % 16 or self.crop > self.image_size:
            raise InputError(f"crop is {self.crop}; it must be a multiple of 16, at most image_size {self.image_size}")
        if self.images_per_epoch is not None and self.images_per_epoch < 2:
            raise InputError(f"images_per_epoch is {self.images_per_epoch}; it must be at least 2")

    def _check_pairs(self) -> None:
        if self.lesion_weight + self.bone_weight == 0:
            raise InputError("lesion_weight and bone_weight are both 0: nothing would be learnt")
        if self.draw == "equal" and self.images_per_epoch is None:
            raise InputError("draw equal shares images_per_epoch out; say how many images an epoch draws")
        if self.batch % self.devices:
            raise InputError(f"a batch of {self.batch} cannot be shared evenly by {self.devices} devices")


def _converted(name: str, kind: str, value: Any) -> Any:  # noqa: ANN401 - of any setting
    """A value as the type of its setting."""
    if "None" in kind and (value is None or value in ("", "none", "None")):
        return None
    make, wanted = next((found for start, found in _KINDS.items() if kind.startswith(start)), (_text, "a text"))
    try:
        return make(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is {value!r}; {wanted} is needed") from error


def _text(value: Any) -> str:  # noqa: ANN401 - of any setting
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise TypeError
    return str(value)  # precision: 32 in a file is a number


def _whole(value: Any) -> int:  # noqa: ANN401 - of any setting
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, float) and not value.is_integer():
        raise ValueError
    return int(value)


def _number(value: Any) -> float:  # noqa: ANN401 - of any setting
    if isinstance(value, bool):
        raise TypeError
    return float(value)


def _numbers(value: Any) -> tuple[float, ...]:  # noqa: ANN401 - of any setting
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(_number(part) for part in (parts if isinstance(parts, (list, tuple)) else [parts]))


def _truth(value: Any) -> bool:  # noqa: ANN401 - of any setting
    text = str(value).strip().lower()
    if text not in (*_TRUE, *_FALSE):
        raise ValueError
    return text in _TRUE


_KINDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "int": (_whole, "a whole number"),
    "float": (_number, "a number"),
    "tuple": (_numbers, "numbers parted by commas"),
    "bool": (_truth, "yes or no"),
}
