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
from osteon.nets import is_transformer, least_image_size, network_names

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CONFIGURATIONS", "STRATEGIES", "TrainSettings", "parse_assignments", "read_settings_file"]

STRATEGIES = ("scratch", "ft", "lp", "lp-ft", "g-lf")
"""Ways to train (spec ct-osteosarcoma, section 6); "lp" trains the head alone (spec bone-metastasis, 2.4)."""

CONFIGURATIONS = ("C", "F", "CA", "CE", "CAE", "FAE")
"""C cross entropy, F focal loss; A augmentation; E curation. Those of the osteosarcoma paper."""

_OSTEOSARCOMA, _SLICES, _FEMUR = "ct_osteosarcoma", "ct_metastasis_slices", "mri_femur"
_OF_TASK: dict[str, dict[str, Any]] = {
    _OSTEOSARCOMA: {
        "positive": "tumour",
        "image_size": 256,
        "batch": 16,
        "configuration": "C",
        "augmentation": "paper_2024",
        "class_weights": "none",
    },
    _SLICES: {
        "positive": "metastasis",
        "image_size": 224,
        "batch": 8,
        "configuration": "FA",
        "augmentation": "rotation_flips",
        "class_weights": "none",
    },
    _FEMUR: {
        "positive": "malignant",
        "image_size": 224,
        "batch": 32,
        "configuration": "CA",
        "augmentation": "femur",
        "class_weights": "balanced",
    },
}
_OF_SCHEDULE: dict[str, dict[str, Any]] = {
    "cosine": {"epochs": 75, "learning_rate": 1e-5, "patience": 5, "optimiser": "adam"},
    "constant": {"epochs": 100, "learning_rate": 0.01, "patience": 15, "optimiser": "sgd"},
    "steps": {"epochs": 60, "learning_rate": 0.01, "patience": 5, "optimiser": "adam"},
    "warm_steps": {"epochs": 80, "learning_rate": 0.01, "patience": 5, "optimiser": "adam"},
}
_EPOCHS_FROM_SCRATCH = 15
_FINE_TUNING_RATE = 1e-4
"""For ``mri_femur``, whose paper fine-tunes nothing [GAP]: about the largest with which MobileNetV2 learns."""
_LATER = {"schedule": "cosine", "augmentation": "paper_2024", "optimiser": "adam"}
"""Settings that the first runs did not have, and what they did."""

_CHOICES: dict[str, tuple[str, ...]] = {
    "task": tuple(_OF_TASK),
    "strategy": STRATEGIES,
    "configuration": (*CONFIGURATIONS, "FA"),
    "schedule": tuple(_OF_SCHEDULE),
    "augmentation": ("paper_2024", "rotation_flips", "femur"),
    "optimiser": ("adam", "sgd"),
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
_EMBEDDED = "mobilenet_v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """Settings of one training; the defaults are the papers', or ours where they are silent (marked GAP).

    What is left empty or 0 follows from the task, the architecture and the strategy, and is filled in.

    Attributes:
        task: what is learnt: "ct_osteosarcoma", "ct_metastasis_slices", whether a slice shows a metastasis, or
            "mri_femur", whether a tumour of the femur is malignant.
        architecture: name in ``osteon.nets``.
        pretrained: "embedded" (MobileNetV2, shipped), "hub" (timm), "none", or a path of a weights file; "" is
            "none" from scratch, and "embedded" otherwise.
        strategy: one of ``STRATEGIES``; "ft", but "scratch" for the networks of ``mri_femur`` that have no shipped
            weights: its paper begins with random ones.
        configuration: one of ``CONFIGURATIONS``, or "FA"; loss, augmentation and curation follow. By task "C", "FA" or
            "CA".
        positive: the label that is looked for; by task "tumour", "metastasis" or "malignant".
        image_size: rows and columns; by task 256 or 224.
        batch: images a step, over all devices together; by task 16, 8 or 32.
        epochs: most of them; by schedule 75 (15 from scratch), 100, 60 or 80.
        patience: epochs without a better validation AUC after which a training with a cosine, or at a constant rate,
            ends; by schedule 5, or 15 (GAP).
        schedule: of the learning rate: "cosine" (constant from scratch) is that of ``ct_osteosarcoma``, and of what is
            fine-tuned for ``mri_femur``. "constant" is that of ``mri_femur`` from scratch: it ends early, and gradients
            longer than 1 are cut to 1 (GAP). "steps", for other networks, and "warm_steps", for transformers, are those
            of the thesis: see ``strategies``.
        learning_rate: the largest; by schedule 1e-5 or 0.01; 1e-4 for what is fine-tuned for ``mri_femur``.
        optimiser: "adam", or "sgd" with momentum 0.9, which goes with the constant rate (GAP in the thesis: Adam, as
            its published code).
        augmentation: which, where the configuration has one: "paper_2024", "rotation_flips" or "femur".
        final_rate: where the cosine ends, and the floor of every other schedule.
        cosine_epochs: T_max of the cosine.
        head_rate: learning rate of a head that is trained alone (GAP).
        plateau_patience: epochs without gain after which that rate is multiplied by ``plateau_factor``.
        plateau_factor: see there.
        stagnation: epochs without gain after which LP-FT and G-LF free more of the network.
        focal_gamma: of the focal loss (GAP: 2).
        class_weights: "balanced" weighs the loss by the inverse frequency of a class among the training images; so it
            is for ``mri_femur``, whose paper balances and does not say how, else "none".
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
    strategy: Literal["", "scratch", "ft", "lp", "lp-ft", "g-lf"] = ""
    configuration: Literal["", "C", "F", "CA", "CE", "CAE", "FAE", "FA"] = ""
    positive: str = ""
    image_size: int = 0
    batch: int = 0
    epochs: int = 0
    patience: int = 0
    schedule: Literal["", "cosine", "constant", "steps", "warm_steps"] = ""
    learning_rate: float = 0.0
    optimiser: Literal["", "adam", "sgd"] = ""
    augmentation: Literal["", "paper_2024", "rotation_flips", "femur"] = ""
    final_rate: float = 1e-6
    cosine_epochs: int = 50
    head_rate: float = 1e-3
    plateau_patience: int = 3
    plateau_factor: float = 0.5
    stagnation: int = 5
    focal_gamma: float = 2.0
    class_weights: Literal["", "none", "balanced"] = ""
    images_per_epoch: int | None = None
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 1
    seed: int = 1
    workers: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained; fill in what follows from the task and the strategy."""
        self._check_names("task", "architecture")
        if not self.strategy:
            object.__setattr__(self, "strategy", self._usual_strategy())
        self._check_names("strategy")
        for name, value in self._derived().items():
            if getattr(self, name) in ("", 0):
                object.__setattr__(self, name, value)
        self._check_names("architecture", *_CHOICES)
        self._check_numbers()
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

    @property
    def is_stretched(self) -> bool:
        """Whether images are stretched so that each goes from 0 to 1; grey values of a CT window are left alone."""
        return self.task == _OSTEOSARCOMA

    def document(self) -> dict[str, Any]:
        """All settings as plain values by name.

        A run of ``ct_osteosarcoma`` that does as the first runs did says what they said: the hash of it is the same.
        """
        values = dataclasses.asdict(self)
        if self.task == _OSTEOSARCOMA:
            values = {name: value for name, value in values.items() if name not in _LATER or value != _LATER[name]}
        return values

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """The same settings with other values; what followed from what is changed is derived again.

        Raises:
            UnknownLabelError: no such setting.
            InputError: a value of another type or out of range.
        """
        values = self.document()
        if "strategy" in changes:
            values.pop("epochs")
            values.pop("pretrained")
        if changes.keys() & {"task", "architecture", "schedule", "strategy"}:
            followed = {
                **self._derived(),
                "schedule": self._usual_schedule(),
                "strategy": self._usual_strategy(),
            }
            values = {name: value for name, value in values.items() if name not in followed or value != followed[name]}
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

    def _usual_strategy(self) -> str:
        return "scratch" if self.task == _FEMUR and self.architecture != _EMBEDDED else "ft"

    def _usual_schedule(self) -> str:
        if self.task == _OSTEOSARCOMA:
            return "cosine"
        if self.task == _FEMUR:
            return "constant" if self.strategy == "scratch" else "cosine"
        return "warm_steps" if is_transformer(self.architecture) else "steps"

    def _derived(self) -> dict[str, Any]:
        """What follows from task, architecture, strategy and schedule."""
        schedule = self.schedule or self._usual_schedule()
        is_scratch = self.strategy == "scratch"
        values = {
            **_OF_TASK[self.task],
            **_OF_SCHEDULE.get(schedule, {}),
            "schedule": schedule,
            "pretrained": "none" if is_scratch else "embedded",
        }
        if is_scratch and schedule == "cosine":
            values["epochs"] = _EPOCHS_FROM_SCRATCH
        if self.task == _FEMUR and schedule == "cosine":
            values["learning_rate"] = _FINE_TUNING_RATE
        return values

    def _check_names(self, *names: str) -> None:
        for name in names:
            known = _CHOICES.get(name) or network_names()
            value = getattr(self, name)
            if value not in known:
                raise UnknownLabelError(f"{name} {value!r} does not exist: {nearest_names(str(value), known)}")

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
        least = least_image_size(self.architecture)
        if self.image_size < least:
            raise InputError(f"image_size is {self.image_size}; {self.architecture} needs at least {least}")
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
