"""What a training is told: one frozen value, checked when it is made, kept beside what it led to."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.nets import network_names

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CONFIGURATIONS", "STRATEGIES", "TrainSettings", "parse_assignments", "read_settings_file"]

STRATEGIES = ("scratch", "ft", "lp-ft", "g-lf")
"""Ways to train (spec ct-osteosarcoma, section 6)."""

CONFIGURATIONS = ("C", "F", "CA", "CE", "CAE", "FAE")
"""C cross entropy, F focal loss; A augmentation; E curation."""

_TASKS = ("ct_osteosarcoma",)
_CHOICES: dict[str, tuple[str, ...]] = {
    "task": _TASKS,
    "strategy": STRATEGIES,
    "configuration": CONFIGURATIONS,
    "class_weights": ("none", "balanced"),
    "precision": ("32", "bf16-mixed", "16-mixed"),
    "device": ("auto", "cpu", "cuda"),
}
_AT_LEAST = {
    "image_size": 32,
    "batch": 1,
    "epochs": 0,
    "patience": 1,
    "cosine_epochs": 1,
    "plateau_patience": 1,
    "stagnation": 1,
    "devices": 1,
    "seed": 0,
    "workers": 0,
    "threads": 0,
}
_RATES = ("learning_rate", "final_rate", "head_rate")
_EPOCHS = {"scratch": 15}
_EPOCHS_OF_TRANSFER = 75
_EMBEDDED = "mobilenet_v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """Settings of one training; the defaults are the paper's, or ours where it is silent (marked GAP).

    Attributes:
        task: what is learnt.
        architecture: name in ``osteon.nets``.
        pretrained: "embedded" (MobileNetV2, shipped), "hub" (timm), "none", or a path of a weights file; "" is
            "none" from scratch, and "embedded" otherwise.
        strategy: one of ``STRATEGIES``.
        configuration: one of ``CONFIGURATIONS``; loss, augmentation and curation follow.
        positive: the label that is looked for.
        image_size: rows and columns.
        batch: images a step, over all devices together.
        epochs: most of them; 0 is 15 from scratch and 75 otherwise.
        patience: epochs without a better validation AUC after which a training ends.
        learning_rate: of Adam, at its start.
        final_rate: where the cosine ends, and the floor of every other schedule.
        cosine_epochs: T_max of the cosine.
        head_rate: learning rate of a head that is trained alone (GAP).
        plateau_patience: epochs without gain after which that rate is multiplied by ``plateau_factor``.
        plateau_factor: see there.
        stagnation: epochs without gain after which LP-FT and G-LF free more of the network.
        focal_gamma: of the focal loss (GAP: 2).
        class_weights: "balanced" weighs the loss by the inverse frequency of a class among the training images.
        images_per_epoch: a draw with equal shares of the classes; None shows every image once.
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

    task: str = "ct_osteosarcoma"
    architecture: str = "mobilenet_v2"
    pretrained: str = ""
    strategy: Literal["scratch", "ft", "lp-ft", "g-lf"] = "ft"
    configuration: Literal["C", "F", "CA", "CE", "CAE", "FAE"] = "C"
    positive: str = "tumour"
    image_size: int = 256
    batch: int = 16
    epochs: int = 0
    patience: int = 5
    learning_rate: float = 1e-5
    final_rate: float = 1e-6
    cosine_epochs: int = 50
    head_rate: float = 1e-3
    plateau_patience: int = 3
    plateau_factor: float = 0.5
    stagnation: int = 5
    focal_gamma: float = 2.0
    class_weights: Literal["none", "balanced"] = "none"
    images_per_epoch: int | None = None
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 1
    seed: int = 1
    workers: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained; fill in what follows from the strategy."""
        for name, known in (*_CHOICES.items(), ("architecture", network_names())):
            value = getattr(self, name)
            if value not in known:
                raise UnknownLabelError(f"{name} {value!r} does not exist: {nearest_names(str(value), known)}")
        self._check_numbers()
        if not self.pretrained:
            object.__setattr__(self, "pretrained", "none" if self.strategy == "scratch" else "embedded")
        if self.epochs == 0:
            object.__setattr__(self, "epochs", _EPOCHS.get(self.strategy, _EPOCHS_OF_TRANSFER))
        self._check_pairs()

    @property
    def loss(self) -> Literal["cross_entropy", "focal"]:
        """Follows from the configuration."""
        return "focal" if self.configuration.startswith("F") else "cross_entropy"

    @property
    def augments(self) -> bool:
        """Whether training images are augmented."""
        return "A" in self.configuration

    @property
    def changes_shares(self) -> bool:
        """Whether training sees the classes in other shares than they occur."""
        return self.images_per_epoch is not None or self.class_weights != "none"

    @property
    def curates(self) -> bool:
        """Whether label conflicts are dropped from the training part."""
        return "E" in self.configuration

    @property
    def weights_source(self) -> str | Path | None:
        """``pretrained`` as ``osteon.weights.backbone`` takes it; None for random weights."""
        if self.pretrained == "none":
            return None
        return self.pretrained if self.pretrained in {"embedded", "hub"} else Path(self.pretrained)

    def document(self) -> dict[str, Any]:
        """All settings as plain values by name."""
        return dataclasses.asdict(self)

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """The same settings with other values; what was derived from the strategy is derived again.

        Raises:
            UnknownLabelError: no such setting.
            InputError: a value of another type or out of range.
        """
        values = self.document()
        if "strategy" in changes:
            values.pop("epochs")
            values.pop("pretrained")
        return type(self).of({**values, **changes})

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Settings from values by name, as a file or a command line gives them.

        Raises:
            UnknownLabelError: no such setting.
            InputError: a value of another type or out of range.

        Example:
            >>> TrainSettings.of({"strategy": "g-lf", "batch": "8"}).batch
            8
        """
        known = {entry.name: entry for entry in dataclasses.fields(cls)}
        for name in values:
            if name not in known:
                raise UnknownLabelError(f"no setting {name!r}: {nearest_names(name, known)}")
        converted: dict[str, Any] = {}
        for name, value in values.items():
            converted[name] = _converted(name, str(known[name].type), value)
        return cls(**converted)

    def _check_numbers(self) -> None:
        for name, least in _AT_LEAST.items():
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        for name in _RATES:
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} is {value}; it must be above 0, as 1e-5")
        if not 0 < self.plateau_factor < 1:
            raise InputError(f"plateau_factor is {self.plateau_factor}; it must lie between 0 and 1")
        if not (math.isfinite(self.focal_gamma) and self.focal_gamma >= 0):
            raise InputError(f"focal_gamma is {self.focal_gamma}; it must be 0 or more")
        if self.images_per_epoch is not None and self.images_per_epoch < 2:
            raise InputError(f"images_per_epoch is {self.images_per_epoch}; it must be at least 2, one a class")

    def _check_pairs(self) -> None:
        if self.final_rate > self.learning_rate:
            raise InputError(
                f"final_rate {self.final_rate:g} is above learning_rate {self.learning_rate:g}: rates only fall"
            )
        if self.strategy == "scratch" and self.pretrained != "none":
            raise InputError(f"scratch begins with random weights; pretrained is {self.pretrained!r}: leave it out")
        if self.pretrained == "embedded" and self.architecture != _EMBEDDED:
            raise InputError(
                f"the embedded weights are those of {_EMBEDDED}; for {self.architecture} choose pretrained hub (timm, "
                "needs a network once), none, or the path of a weights file"
            )
        if self.batch % self.devices:
            raise InputError(f"a batch of {self.batch} cannot be shared evenly by {self.devices} devices")


def read_settings_file(path: Path) -> dict[str, Any]:
    """Values of a settings file by name; ``TrainSettings.of`` checks them.

    Args:
        path: .toml, .yaml, .yml, or .json (JSON is YAML); one table of names and values.

    Raises:
        InputError: the file cannot be read, or is not one table.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the settings file {path.name} cannot be read ({type(error).__name__})") from error
    found: object
    if path.suffix.lower() == ".toml":
        try:
            found = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"{path.name} is no valid TOML: {error}") from error
    elif path.suffix.lower() in {".yaml", ".yml", ".json"}:
        import yaml

        try:
            found = yaml.safe_load(text) or {}
        except yaml.YAMLError as error:
            raise InputError(f"{path.name} is no valid YAML: {error}") from error
    else:
        raise InputError(f"{path.name} is no settings file: give a .toml, .yaml or .json")
    if not isinstance(found, Mapping) or any(isinstance(value, (Mapping, list)) for value in found.values()):
        raise InputError(f"{path.name} must hold one table of names and values, as learning_rate = 1e-5")
    return {str(name): value for name, value in found.items()}


def parse_assignments(assignments: Iterable[str]) -> dict[str, str]:
    """Names and values of ``name=value`` texts.

    Raises:
        InputError: a text without a name or an equals sign.

    Example:
        >>> parse_assignments(["batch=8", "seed = 3"])
        {'batch': '8', 'seed': '3'}
    """
    found = {}
    for text in assignments:
        name, sign, value = text.partition("=")
        if not (sign and name.strip()):
            raise InputError(f"{text!r} is no setting: write name=value, as batch=8")
        found[name.strip()] = value.strip()
    return found


def _converted(name: str, kind: str, value: object) -> object:
    """A value as the type of its setting."""
    if "None" in kind and (value is None or value in {"", "none", "None"}):
        return None
    try:
        if kind.startswith("int"):
            return _whole(value)
        if kind == "float":
            return float(cast("str | float", value))
    except (TypeError, ValueError) as error:
        wanted = "a whole number" if kind.startswith("int") else "a number"
        raise InputError(f"{name} is {value!r}; {wanted} is needed") from error
    if isinstance(value, (str, int, Path)) and not isinstance(value, bool):
        return str(value)  # precision: 32 in a file is a number
    raise InputError(f"{name} is {value!r}; a text is needed")


def _whole(value: object) -> int:
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, float) and not value.is_integer():
        raise ValueError
    return int(cast("str | int | float", value))
