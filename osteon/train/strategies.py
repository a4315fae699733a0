"""Strategies of fine-tuning as stages: what is trained, at which rate, and when the next stage begins.

Nothing here knows torch. A plan names the parts of a network (``nets.anatomy.feature_stages``, input to output, the
head last); the machine is reported after each epoch what it was worth, and says how the next one is trained. AUC stands
here for whatever measure is monitored.

    scratch  everything at the same constant rate, all epochs; the best is kept (schedule "constant": ends after
             ``patience`` epochs without a better AUC)
    ft       everything, cosine annealing; ends after ``patience`` epochs without a better AUC
    lp       the head alone, its rate halved on a plateau; ends after ``stagnation`` epochs without gain
    lp-ft    the head alone, its rate halved on a plateau; after ``stagnation`` epochs without gain as ft
    g-lf     the head alone; after every ``stagnation`` epochs without gain one more part from the end, until all are
             free; ends when all are free and ``stagnation`` more epochs bring no gain

Choices where the spec is silent [GAP]: gain is a validation AUC above the best of all epochs so far; the count of
epochs without gain begins anew with a stage; a stage goes on from the weights of the epoch before, not from the best;
in lp-ft the head joins the cosine of the others; in g-lf the head keeps its own rate, still halved on plateaus (the
count for that begins anew with a stage too), and all freed parts share one cosine that begins with the first of them.

The thesis on metastases has rates in steps, of the largest rate and of all epochs here, so that a shorter training
goes through the same steps: "steps" 1, 1/2, 1/10, a third of the epochs each (0.01, 0.005, 0.001 for 20 of 60);
"warm_steps", for transformers, 1/10 to an eighth, 1 to two, 1/10 to three, 1/100 to seven eighths, then 1/1000 (0.001
for 10, 0.01 to 20, 0.001 to 30, 1e-4 to 70, 1e-5 to 80; it prints 1e-3 twice, and 1e-4 is the reading taken). They
take the place of the cosine, of the constant rate, and of the plateaus of lp; a training with them is not ended early,
as its later steps are part of it. "constant", of the paper on femoral tumours, takes their place too, and ends early:
nothing comes later that would be missed. A segmenter has rates in equal shares of all epochs, and no end but the last.

References:
    Spec ct-osteosarcoma, section 6. LP-FT: Kumar et al. 2022, arXiv:2202.10054. Spec bone-metastasis, section 3.2. Spec
    mri-femur, section 3.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from osteon.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from osteon.train.settings import ClassifySettings

__all__ = ["Decision", "EpochPlan", "Schedule", "Stage", "StageMachine", "StagePlan", "plan_rates", "plan_stages"]

STEPS: Final[Mapping[str, tuple[tuple[float, float], ...]]] = {
    "steps": ((0.0, 1.0), (1 / 3, 0.5), (2 / 3, 0.1)),
    "warm_steps": ((0.0, 0.1), (1 / 8, 1.0), (2 / 8, 0.1), (3 / 8, 0.01), (7 / 8, 0.001)),
}
"""Rates in steps: the share of the epochs from which a part of the largest rate holds."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a learning rate falls.

    Attributes:
        kind: "constant"; "cosine" over epochs; "plateau", multiplied by ``factor`` when the AUC stands still; "steps".
        start: rate of the first epoch.
        floor: the rate never falls below it.
        epochs: length of the cosine (T_max), after which it stays at the floor.
        factor: of a plateau.
        patience: epochs without gain that make a plateau.
        steps: first epoch and rate of each step, the first from epoch 0 on.
    """

    kind: Literal["constant", "cosine", "plateau", "steps"]
    start: float
    floor: float = 0.0
    epochs: int = 1
    factor: float = 1.0
    patience: int = 1
    steps: tuple[tuple[int, float], ...] = ()

    def rate(self, *, epoch: int, cuts: int) -> float:
        """The learning rate.

        Args:
            epoch: since the schedule began, from 0.
            cuts: plateaus so far.

        Example:
            >>> halving = Schedule("plateau", 1e-3, floor=1e-6, factor=0.5)
            >>> halving.rate(epoch=9, cuts=2)
            0.00025
        """
        if self.kind == "constant":
            return self.start
        if self.kind == "plateau":
            return max(self.floor, self.start * self.factor**cuts)
        if self.kind == "steps":
            return max(self.floor, next(rate for first, rate in reversed(self.steps) if epoch >= first))
        share = min(epoch, self.epochs) / self.epochs
        return self.floor + (self.start - self.floor) * (1 + math.cos(math.pi * share)) / 2


@dataclass(frozen=True, slots=True)
class Stage:
    """A time in which the same parts are trained.

    Attributes:
        name: for a person.
        free: parts that are trained, the head first, then from the end.
        head: schedule of the head.
        backbone: schedule of all other free parts; None while there are none.
        stagnation: epochs without gain that end the stage; 0 for no end but that of the epochs.
    """

    name: str
    free: tuple[str, ...]
    head: Schedule
    backbone: Schedule | None
    stagnation: int


@dataclass(frozen=True, slots=True)
class StagePlan:
    """All stages of a strategy, of parts from input to output; it ends with the last stage or after ``epochs``."""

    parts: tuple[str, ...]
    stages: tuple[Stage, ...]
    epochs: int


@dataclass(frozen=True, slots=True)
class EpochPlan:
    """How one epoch of a stage is trained: which parts, the head first, at which rates; 0 where no other part is."""

    stage: str
    free: tuple[str, ...]
    head_rate: float
    backbone_rate: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from an epoch: whether it is the best so far, so that its weights are kept, and whether to stop."""

    is_best: bool
    stop: bool


def plan_rates(rates: Sequence[float], epochs: int, parts: Sequence[str], *, backbone_share: float = 1.0) -> StagePlan:
    """One stage that trains everything, each rate for an equal share of the epochs.

    All parts but the last take this share of the rates; with 0 they are not trained.

    Example:
        >>> machine = StageMachine(plan_rates([0.1, 0.2, 0.3], 4, ["network"]))
        >>> [(machine.next_epoch().head_rate, machine.after_epoch([1.0]).stop) for _ in range(4)]
        [(0.1, False), (0.1, False), (0.2, False), (0.3, True)]
    """
    order = tuple(reversed(parts))
    starts = [math.ceil(number * epochs / len(rates)) for number in range(len(rates))]

    def schedule(share: float) -> Schedule:
        steps = tuple((start, rate * share) for start, rate in zip(starts, rates, strict=True))
        return Schedule("steps", rates[0] * share, steps=steps)

    if backbone_share == 0:
        stage = Stage(order[0], order[:1], schedule(1.0), None, 0)
    else:
        stage = Stage("all", order, schedule(1.0), schedule(backbone_share) if len(order) > 1 else None, 0)
    return StagePlan(tuple(parts), (stage,), epochs)


def plan_stages(settings: ClassifySettings, parts: Sequence[str]) -> StagePlan:
    """The stages of a strategy for a network of parts as ``nets.anatomy.feature_stages`` names them, the head last.

    Raises:
        InputError: fewer than two parts.
    """
    if len(parts) < 2:
        raise InputError(f"a network of {len(parts)} part(s) has no backbone beside its head")
    order = tuple(reversed(parts))
    low, floor = settings.learning_rate, settings.final_rate
    head = Schedule(
        "plateau", settings.head_rate, floor=floor, factor=settings.plateau_factor, patience=settings.plateau_patience
    )
    stepped = None
    if settings.schedule in STEPS:
        steps = tuple((round(share * settings.epochs), low * part) for share, part in STEPS[settings.schedule])
        stepped = Schedule("steps", low, floor=floor, steps=steps)
    elif settings.schedule == "constant":
        stepped = Schedule("constant", low)
    whole = stepped or Schedule("cosine", low, floor=floor, epochs=settings.cosine_epochs)
    patience = 0 if settings.schedule in STEPS else settings.patience
    first = Stage("head", order[:1], head, None, settings.stagnation)
    stages: tuple[Stage, ...]
    if settings.strategy == "scratch":
        constant = stepped or Schedule("constant", low)
        stages = (Stage("all", order, constant, constant, patience if settings.schedule == "constant" else 0),)
    elif settings.strategy == "ft":
        stages = (Stage("all", order, whole, whole, patience),)
    elif settings.strategy == "lp":
        stages = (Stage("head", order[:1], stepped, None, patience) if stepped else first,)
    elif settings.strategy == "lp-ft":
        stages = (first, Stage("all", order, whole, whole, patience))
    else:
        freed = [
            Stage(f"head + {count - 1}", order[:count], head, whole, settings.stagnation)
            for count in range(2, len(order) + 1)
        ]
        stages = (first, *freed)
    return StagePlan(tuple(parts), stages, settings.epochs)


@dataclass(slots=True)
class _State:
    """What decides the next epoch: how many are done, where the stage and its schedules began, what the best was worth.

    ``stale`` counts epochs without gain since the stage began, ``plateau`` those since the last of the ``cuts`` of the
    head's rate too; ``best`` is empty before the first epoch.
    """

    epoch: int = 0
    stage: int = 0
    best: list[float] = dataclasses.field(default_factory=list)
    best_epoch: int = 0
    stale: int = 0
    plateau: int = 0
    cuts: int = 0
    head_began: int = 0
    backbone_began: int = 0
    is_over: bool = False


class StageMachine:
    """Walks through a plan."""

    def __init__(self, plan: StagePlan) -> None:
        """Stand before the first epoch."""
        self.plan = plan
        self._state = _State()

    @property
    def is_over(self) -> bool:
        """Whether no epoch follows."""
        return self._state.is_over

    def next_epoch(self) -> EpochPlan:
        """How the next epoch is trained."""
        now, stage = self._state, self.plan.stages[self._state.stage]
        head = stage.head.rate(epoch=now.epoch - now.head_began, cuts=now.cuts)
        backbone = 0.0
        if stage.backbone is not None:
            backbone = stage.backbone.rate(epoch=now.epoch - now.backbone_began, cuts=now.cuts)
        return EpochPlan(stage.name, stage.free, head, backbone)

    def after_epoch(self, worth: Sequence[float]) -> Decision:
        """Take note of an epoch.

        Args:
            worth: the measure that is monitored, then what decides between equals; the larger the better.

        Raises:
            InputError: one of them is not a number, or the training was over.
        """
        now, stage = self._state, self.plan.stages[self._state.stage]
        if now.is_over or not all(map(math.isfinite, worth)):
            raise InputError(f"an epoch worth {list(worth)} after epoch {now.epoch}: none is expected, or no number")
        now.epoch += 1
        gained = list(worth) > now.best
        if gained:
            now.best, now.best_epoch = list(worth), now.epoch
            now.stale = now.plateau = 0
        else:
            now.stale += 1
            now.plateau += 1
        if stage.head.kind == "plateau" and now.plateau >= stage.head.patience:
            now.cuts, now.plateau = now.cuts + 1, 0
        advances = 0 < stage.stagnation <= now.stale
        is_last = now.stage == len(self.plan.stages) - 1
        now.is_over = now.epoch >= self.plan.epochs or (advances and is_last)
        if advances and not now.is_over:
            self._begin_next_stage()
        return Decision(gained, now.is_over)

    def state(self) -> dict[str, Any]:
        """Everything that ``restore`` needs, as plain values."""
        return dataclasses.asdict(self._state)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where another machine with the same plan was."""
        self._state = _State(**state)

    def _begin_next_stage(self) -> None:
        now = self._state
        before = self.plan.stages[now.stage]
        now.stage += 1
        after = self.plan.stages[now.stage]
        now.stale = now.plateau = 0
        if after.head != before.head:
            now.head_began, now.cuts = now.epoch, 0
        if after.backbone != before.backbone:
            now.backbone_began = now.epoch
