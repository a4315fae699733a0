"""What a training is for: the part of it that differs between classes, maps and heads on frozen features.

An ``Objective`` says what a fold learns from and evaluates its kept weights; its ``Learner`` is the torch side of one
network: the loss of a batch, and what the validation part says after an epoch. The engine does the rest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from osteon.data import Predictions
from osteon.data.manifest import PARTS, FoldRows
from osteon.data.options import Progress, silent
from osteon.errors import InputError
from osteon.metrics.calibration import fit_temperature

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from osteon.data import Manifest, Split
    from osteon.train.counts import SegmentCounts, ThresholdSweep
    from osteon.train.images import Batch
    from osteon.train.run_folder import EpochRecord, OnEpoch
    from osteon.train.settings import NetworkSettings, Settings
    from osteon.train.strategies import StagePlan

__all__ = [
    "EpochMeasures",
    "Evaluated",
    "FoldData",
    "FoldJob",
    "Learner",
    "Objective",
    "began_with",
    "evaluated_classes",
    "part_rows",
    "predictions_of",
    "untold",
]


def untold(fold: int, record: EpochRecord) -> None:
    """An ``OnEpoch`` that tells nobody."""
    del fold, record


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldData:
    """What all folds of a run share.

    Attributes:
        manifest: of the data set.
        split: folds of it.
        pixels: of the manifest, or what the objective makes of them: both know ``unreadable`` and ``usable``.
        cache: of the decoded images, which several processes map; or None.
        shared: folder where networks that other networks begin with are shared between runs; None keeps each in the
            folder of its fold.
        drops: rows of the manifest that curation leaves out of the training part, by fold; None finds them where the
            settings ask for curation.
        on_epoch: told (fold, record) after every epoch.
        progress: called at every step.
    """

    manifest: Manifest = field(repr=False)
    split: Split = field(repr=False)
    pixels: Any = field(repr=False)
    cache: Path | None = None
    shared: Path | None = None
    drops: Mapping[int, NDArray[np.int64]] | None = None
    on_epoch: OnEpoch = untold
    progress: Progress = silent


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldJob:
    """One network of a fold, ready to be trained in this process or in another; an objective adds what it needs.

    Attributes:
        objective: of the training.
        manifest: of the data set.
        fold: number, from 0.
        rows: by part, without what was dropped or cannot be read.
        settings: of the training.
        folder: of its files.
        cache: of the decoded images, or None.
        images: how many by part, and what was left out.
        identity: hash of everything that decides the weights.
        name: of the network where a fold has several, else "".
    """

    objective: Objective
    manifest: Manifest = field(repr=False)
    fold: int
    rows: FoldRows
    settings: Any
    folder: Path
    cache: Path | None
    images: dict[str, int]
    identity: str
    name: str = ""

    @property
    def title(self) -> str:
        """What progress calls it."""
        return f"fold {self.fold} {self.name}".rstrip()


@dataclass(frozen=True, slots=True)
class EpochMeasures:
    """What the validation part says after an epoch.

    Attributes:
        loss: mean over the validation part; no number where the network gives none.
        measures: by name, the one that is monitored first.
        worth: the measure that is monitored, then what decides between equals; the larger the better.
    """

    loss: float
    measures: dict[str, float]
    worth: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What the kept weights of a fold say of its validation and test parts, and of maps a sweep of thresholds."""

    table: Predictions | SegmentCounts
    sweeps: tuple[ThresholdSweep, ...] = ()


class Learner(Protocol):
    """One network that is trained in batches.

    Attributes:
        network: that is trained.
        kept: whose weights are kept.
        parts: of the network, input to output, the head last: what is freed and frozen.
        plan: stages of the training; they name the parts.
        keeps_last: the last epoch is kept instead of the best.
        longest_gradient: gradients are cut to this length; None leaves them.
        advice: what to do where the loss is not a number.
    """

    network: nn.Module
    kept: nn.Module
    parts: Mapping[str, Sequence[nn.Module]]
    plan: StagePlan
    keeps_last: bool
    longest_gradient: float | None
    advice: str

    def loss(self, batch: Batch) -> Tensor:
        """Of a training batch."""

    def look(self, batch: Batch) -> Any:  # noqa: ANN401 - each learner knows its own kind
        """What an epoch keeps of a validation batch, on the CPU; a pickle can carry it."""

    def epoch(self, seen: Sequence[Any]) -> EpochMeasures:
        """What all validation batches of all processes say."""


Own = Any
"""Settings, jobs and images: each objective has its own kind."""


class Objective(ABC):
    """A kind of training without a state, of the name in ``Settings.objective``; jobs and settings are its own."""

    name: ClassVar[str]
    settings: ClassVar[type[Settings]]

    @abstractmethod
    def outputs(self, manifest: Manifest, settings: Own) -> tuple[str, ...]:
        """Names of the classes, or of the maps, in the order of the network's output."""

    @abstractmethod
    def describe(self, settings: Own) -> dict[str, Any]:
        """What run.json says of the beginning, as the weights; refuses, before images are read, what is not at hand."""

    @abstractmethod
    def load(
        self,
        manifest: Manifest,
        settings: Own,
        cache: Path | None,
        *,
        skip_unreadable: bool = False,
        progress: Progress = silent,
    ) -> Own:
        """Images as networks of these settings take them."""

    @abstractmethod
    def plan(self, data: FoldData, fold: int, settings: Own, folder: Path) -> FoldJob:
        """Decide what a fold learns from, chooses by and is evaluated on.

        Raises:
            InputError: a part lacks what it needs.
        """

    def of_fold(self, data: FoldData, fold: int, settings: Own, folder: Path) -> dict[str, Any]:
        """What every kind of job says of its fold."""
        told = {"objective": self, "fold": fold, "settings": settings, "folder": folder}
        return {**told, "manifest": data.manifest, "cache": data.cache}

    def prepared(self, job: Own, data: FoldData) -> FoldJob:
        """The job with what must be there first, as the network that another one builds on."""
        del data
        found: FoldJob = job
        return found

    @abstractmethod
    def train(
        self, job: Own, pixels: Own, *, on_epoch: OnEpoch, progress: Progress, rank: int = 0
    ) -> tuple[EpochRecord, ...]:
        """Train a network, or go on with it; the weights that count lie in its folder then."""

    @abstractmethod
    def best(self, history: Sequence[EpochRecord], settings: Own) -> EpochRecord:
        """The epoch whose weights were kept."""

    @abstractmethod
    def evaluate(self, job: Own, pixels: Own, progress: Progress) -> Evaluated | None:
        """What the kept weights say; None where another network's job evaluates this one."""


def predictions_of(
    manifest: Manifest,
    parts: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float32]]],
    *,
    classes: Sequence[str],
    positive: str,
    fold: int,
    temperature: float,
) -> Predictions:
    """The table of a fold: rows and logits (images, class) by part, one below the other."""
    names: dict[str, Any] = {"classes": classes, "positive": positive, "fold": fold, "temperature": temperature}
    tables = [Predictions.of_rows(manifest, *shown, part=part, **names) for part, shown in parts.items()]
    return Predictions.joined(tables)


def evaluated_classes(
    job: FoldJob, logits: Mapping[str, NDArray[np.float32]], labels: NDArray[np.int64], classes: Sequence[str]
) -> Evaluated:
    """What logits (images, class) by part say of a fold, with a temperature of the validation part."""
    temperature = fit_temperature(logits["validation"], labels[job.rows.validation]).usable
    parts = {part: (getattr(job.rows, part), values) for part, values in logits.items()}
    names: dict[str, Any] = {"classes": classes, "positive": job.settings.positive}
    return Evaluated(predictions_of(job.manifest, parts, **names, fold=job.fold, temperature=temperature))


def began_with(architecture: str, settings: NetworkSettings) -> dict[str, str] | None:
    """Name, SHA-256 and licence of the weights that a network, or its encoder, begins with; None of random ones.

    Raises:
        UnknownLabelError: the source has none for it.
        WeightsError: they cannot be had, or are not what they should be.
        BackendError: the package that holds them is not installed.
    """
    if settings.weights_source is None:
        return None
    from osteon.weights.backbone import pretrained_weights

    found = pretrained_weights(architecture, source=settings.weights_source)
    return {"name": found.name, "sha256": found.sha256, "licence": found.licence}


def part_rows(data: FoldData, fold: int, settings: Own) -> tuple[FoldRows, int]:
    """Rows of a fold by part without what cannot be read, and how many of those there are.

    Raises:
        InputError: no such fold, or nothing to evaluate on.
    """
    if not 0 <= fold < len(data.split.folds):
        raise InputError(f"fold {fold} was asked for; the split has folds 0 to {len(data.split.folds) - 1}")
    whole = data.split.rows(data.manifest, fold)
    rows = FoldRows(**{part: data.pixels.usable(getattr(whole, part)) for part in PARTS})
    if len(rows.test) == 0:
        raise InputError(f"fold {fold} has no readable image in its test part: there is nothing to evaluate on")
    devices = getattr(settings, "devices", 1)
    if len(rows.validation) < devices:
        raise InputError(f"fold {fold} has fewer validation images than devices ({devices}): use fewer")
    return rows, sum(len(getattr(whole, part)) - len(getattr(rows, part)) for part in PARTS)
