"""Heads on the features of a frozen base: a grid of them is trained at once, the one that validates best is kept.

Features are computed once for all folds. A fold takes seconds, so one that was interrupted begins anew: it comes to the
same weights.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.data.manifest import PARTS
from osteon.data.options import Progress, silent
from osteon.errors import InputError
from osteon.train.objective import Evaluated, FoldJob, Objective, evaluated_classes, part_rows
from osteon.train.run_folder import BEST_NAME, HISTORY_NAME, EpochRecord, digest, history_text, write_text
from osteon.train.settings import HeadSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Manifest
    from osteon.nets.tile_classifier import TileHead
    from osteon.train.heads import Heads
    from osteon.train.objective import FoldData
    from osteon.train.run_folder import OnEpoch
    from osteon.train.tile_features import TileTable

__all__ = ["HEAD"]


class _Head(Objective):
    """See ``osteon.train.objective.Objective``."""

    name = "head"
    settings = HeadSettings

    def outputs(self, manifest: Manifest, settings: HeadSettings) -> tuple[str, ...]:
        """The classes."""
        from osteon.train.tile_features import tile_labels

        tile_labels(manifest, settings.classes)
        return settings.classes

    def describe(self, settings: HeadSettings) -> dict[str, Any]:
        """The base that is kept as it is."""
        from osteon.train.tile_features import base_text, classifier_with_base

        classifier_with_base(settings, classes=len(settings.classes))
        return {"device": "cpu", "pretrained": {"name": base_text(settings)}}

    def load(
        self,
        manifest: Manifest,
        settings: HeadSettings,
        cache: Path | None,
        *,
        skip_unreadable: bool = False,
        progress: Progress = silent,
    ) -> TileTable:
        """The features of all tiles and of their copies."""
        from osteon.train.engine import torch_threads
        from osteon.train.tile_features import tile_table

        with torch_threads(settings.threads):
            return tile_table(manifest, settings, cache=cache, skip_unreadable=skip_unreadable, progress=progress)

    def plan(self, data: FoldData, fold: int, settings: HeadSettings, folder: Path) -> FoldJob:
        """Rows by part."""
        rows, unreadable = part_rows(data, fold, settings)
        chosen = {part: [data.manifest.rows[int(row)] for row in getattr(rows, part)] for part in PARTS}
        if len({row.label for row in chosen["train"]}) < 2 or not chosen["validation"]:
            raise InputError(
                f"fold {fold} has tiles of fewer than two classes in its train part, or none in its validation part: "
                "split with fewer folds or more patients"
            )
        content = {part: [[row.image, row.label] for row in some] for part, some in chosen.items()}
        counts = {part: len(some) for part, some in chosen.items()}
        return FoldJob(
            **self.of_fold(data, fold, settings, folder),
            rows=rows,
            images=counts | {"dropped": 0, "unreadable": unreadable},
            identity=digest([settings.decisive, fold, content]),
        )

    def train(
        self, job: FoldJob, pixels: TileTable, *, on_epoch: OnEpoch, progress: Progress, rank: int = 0
    ) -> tuple[EpochRecord, ...]:
        """Train the grid; each epoch (of a ridge each strength) is worth what its best head is worth."""
        del rank
        from osteon.train.engine import save_weights, torch_threads
        from osteon.train.tile_features import classifier_with_base

        settings = job.settings
        contest = _Contest(job, pixels, lambda record: on_epoch(job.fold, record), progress)
        with torch_threads(settings.threads):
            network = classifier_with_base(settings, classes=len(settings.classes))
            network.head = (_ridges if settings.head == "ridge" else _dense)(job, pixels, contest)
        save_weights(network, job.folder / BEST_NAME)
        write_text(job.folder / HISTORY_NAME, history_text(contest.history))
        return tuple(contest.history)

    def best(self, history: Sequence[EpochRecord], settings: HeadSettings) -> EpochRecord:
        """Of those that may be chosen the one with the best accuracy; of equals the smallest loss, then the first."""
        return max((one for one in history if _may_be(one.epoch, settings)), key=_worth)

    def evaluate(self, job: FoldJob, pixels: TileTable, progress: Progress) -> Evaluated:
        """Logits of the kept head, with a temperature of the validation part."""
        from osteon.nets import build_network
        from osteon.train.engine import load_weights

        settings = job.settings
        network: Any = build_network(settings.architecture, classes=len(settings.classes))
        load_weights(network, job.folder / BEST_NAME)
        logits = {part: _logits(network.head, pixels, getattr(job.rows, part)) for part in ("validation", "test")}
        progress(f"fold {job.fold}: evaluating tiles", 1, 1)
        return evaluated_classes(job, logits, pixels.labels, settings.classes)


HEAD = _Head()
"""Heads on frozen features."""


@dataclass(eq=False)
class _Contest:
    """Which head of all epochs is kept, and what each epoch was worth."""

    job: FoldJob
    table: TileTable
    tell: Callable[[EpochRecord], None]
    progress: Progress
    history: list[EpochRecord] = field(default_factory=list)
    kept: tuple[EpochRecord, TileHead] | None = None
    _started: float = field(default_factory=time.perf_counter)

    def enter(self, heads: Heads, rates: Sequence[float], *, stage: str, total: int) -> None:
        """Evaluate the heads of an epoch on the validation tiles; the best of them stands for it."""
        held, epoch = self.job.rows.validation, len(self.history) + 1
        accuracy, loss = _validated(heads, self.table, held)
        number = int(np.lexsort((loss, -accuracy))[0])
        head = heads.head(number)
        learnt = self.job.rows.train
        now = time.perf_counter()
        record = EpochRecord(
            epoch=epoch,
            stage=stage,
            head_rate=rates[number],
            backbone_rate=0.0,
            free="head",
            train_loss=_cross_entropy(_logits(head, self.table, learnt), self.table.labels[learnt]),
            validation_loss=float(loss[number]),
            measures={"accuracy": float(accuracy[number])},
            seconds=round(now - self._started, 3),
        )
        self._started = now
        self.history.append(record)
        if _may_be(epoch, self.job.settings) and (self.kept is None or _worth(record) > _worth(self.kept[0])):
            self.kept = record, head
        self.tell(record)
        self.progress(f"{self.job.title}: epochs", epoch, total)

    def winner(self) -> TileHead:
        """The head that is kept."""
        if self.kept is None:
            raise InputError("no head was trained: no epoch may be chosen")
        return self.kept[1]


def _dense(job: FoldJob, table: TileTable, contest: _Contest) -> TileHead:
    """Heads of all rates, each rate with all seeds."""
    from osteon.train.heads import HeadPlan, train_heads

    settings = job.settings
    seeds = range(settings.seed, settings.seed + settings.repeats)
    plan = HeadPlan(
        rates=tuple(rate for rate in settings.rates for _ in seeds),
        seeds=tuple(seed for _ in settings.rates for seed in seeds),
        epochs=settings.epochs[-1],
        batch=settings.batch,
        weight_decay=settings.weight_decay,
    )

    def note(epoch: int, heads: Heads) -> None:
        del epoch
        contest.enter(heads, plan.rates, stage="heads", total=plan.epochs)

    train_heads(*table.training(job.rows.train), plan, classes=table.classes, after_epoch=note)
    return contest.winner()


def _ridges(job: FoldJob, table: TileTable, contest: _Contest) -> TileHead:
    """Logistic regression at all strengths, which stand in the place of rates."""
    import torch

    from osteon.train.heads import Heads, fit_ridge_head

    features, labels = table.training(job.rows.train)
    for strength in job.settings.strengths:
        head = fit_ridge_head(features, labels, np.ones(len(labels)), strength=strength, classes=table.classes)
        stacked = Heads([value.detach()[None] for value in head.parameters()])
        with torch.no_grad():
            contest.enter(stacked, (strength,), stage="ridge", total=len(job.settings.strengths))
    return contest.winner()


def _may_be(epoch: int, settings: HeadSettings) -> bool:
    """Whether an epoch may be chosen: where training does not end early, those of the grid alone."""
    return settings.early_stop or settings.head == "ridge" or epoch in settings.epochs


def _worth(record: EpochRecord) -> tuple[float, float]:
    return record.monitored, -record.validation_loss


def _logits(head: TileHead, table: TileTable, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    import torch

    with torch.inference_mode():
        return np.asarray(head(torch.from_numpy(table.features[rows])).numpy(), dtype=np.float32)


def _validated(heads: Heads, table: TileTable, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    """(heads,) accuracy and mean loss; a loss that is not a number is infinite."""
    import torch

    logits = heads.logits(torch.from_numpy(table.features[rows])).double().numpy()
    accuracy = (logits.argmax(axis=2) == table.labels[rows]).mean(axis=1)
    losses = [_cross_entropy(one, table.labels[rows]) for one in logits]
    return np.where(np.isfinite(losses), accuracy, 0.0), np.nan_to_num(np.array(losses), nan=np.inf)


def _cross_entropy(logits: NDArray[Any], labels: NDArray[np.int64]) -> float:
    values = logits.astype(np.float64)
    values = values - values.max(axis=1, keepdims=True)
    spread = np.log(np.exp(values).sum(axis=1))
    return float((spread - values[np.arange(len(labels)), labels]).mean())
