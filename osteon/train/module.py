"""One training as lightning runs it: what is free at which rate, and what the strategy makes of an epoch."""

from __future__ import annotations

import hashlib
import math
import time
from typing import TYPE_CHECKING, Any

import osteon._torchvision  # noqa: F401 - lightning imports torchvision

# isort: split
import numpy as np
import torch
from lightning.pytorch import LightningModule

from osteon.errors import TrainingError
from osteon.train.run_folder import EpochRecord
from osteon.train.strategies import EpochPlan, StageMachine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from osteon.train.images import Batch
    from osteon.train.objective import EpochMeasures, Learner
    from osteon.train.settings import NetworkSettings

__all__ = ["FoldModule"]

_EPOCH_STREAM = 7
"""Keeps torch's generator of an epoch apart from other uses of the seed."""


class FoldModule(LightningModule):
    """A learner, its strategy and its history.

    Frozen parts get no gradient, are in no group of the optimiser, and stay in evaluation mode: their batch
    normalisation keeps its statistics [GAP]. The optimiser is made once; a stage that frees parts adds a group for
    each, so what was trained before keeps its moments. A network may name an L2 penalty for parts of it
    (``penalties``, as ``nets.alexnet_femur`` does): it becomes the weight decay of their groups, and of no other.

    Attributes:
        learner: loss and measures.
        network: what is trained.
        machine: where the strategy stands.
        history: epochs done.
        is_best: whether the weights of the last epoch are to be kept.
        beginning: how the running epoch is trained; before it begins, how the one before was.
    """

    def __init__(self, learner: Learner, settings: NetworkSettings) -> None:
        """Join a learner with what shall be done to its network."""
        super().__init__()
        self.learner = learner
        self.network = learner.network
        self.machine = StageMachine(learner.plan)
        self.history: list[EpochRecord] = []
        self.is_best = False
        self._settings = settings
        self._penalties: Mapping[str, float] = getattr(learner.network, "penalties", {})
        self._sums = [0.0, 0.0]
        self._seen: list[Any] = []
        self._started = 0.0
        self.beginning = self.machine.next_epoch()
        self._free(self.beginning)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, or SGD, with a group for every part that is trained now; more are added as parts are freed."""
        plan = self.beginning
        self._free(plan)
        groups = [self._group(part, plan) for part in plan.free]
        if self._settings.optimiser == "sgd":
            return torch.optim.SGD(groups, momentum=self._settings.momentum)
        return torch.optim.Adam(groups)

    def on_train_epoch_start(self) -> None:
        """Set modes, rates and seeds: an epoch depends on its number and on what was learnt, on nothing else."""
        self._started = time.perf_counter()
        self._sums = [0.0, 0.0]
        state = np.random.SeedSequence([self._settings.seed, _EPOCH_STREAM, self.current_epoch, self.global_rank])
        torch.manual_seed(int(state.generate_state(1, np.uint64)[0]))
        plan = self.machine.next_epoch()
        was_free = set(self.beginning.free)
        self.beginning = plan
        self._free(plan)
        optimiser = self._optimiser()
        known = {group["part"]: group for group in optimiser.param_groups}
        for part in plan.free:
            if part not in known:
                optimiser.add_param_group(self._group(part, plan))
            else:
                known[part]["lr"] = self._rate(part, plan)
        if set(plan.free) != was_free:
            self._synchronise_anew()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of a batch.

        Raises:
            TrainingError: it is no number.
        """
        loss = self.learner.loss(batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss of epoch {self.current_epoch + 1}, step {batch_idx + 1} is {value} at learning rate "
                f"{max(self.beginning.head_rate, self.beginning.backbone_rate):g} ({self.beginning.stage}): "
                f"{self.learner.advice}, or use precision 32; the best epoch so far is kept"
            )
        self._sums[0] += value * len(batch[0])
        self._sums[1] += len(batch[0])
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Shorten a gradient that is too long for a rate that never falls."""
        del optimizer
        if self.learner.longest_gradient is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.learner.longest_gradient)

    def on_validation_epoch_start(self) -> None:
        """Begin to collect; all processes judge with the same running statistics."""
        self._seen = []
        if _is_distributed():
            for buffer in self.network.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect what the network says of a batch."""
        del batch_idx
        self._seen.append(self.learner.look(batch))

    def on_train_epoch_end(self) -> None:
        """Judge the epoch and let the strategy decide.

        Raises:
            TrainingError: the network gives no numbers for the validation part.
        """
        found, train_loss = self._gathered()
        if not math.isfinite(found.loss):
            raise TrainingError(
                f"after epoch {self.current_epoch + 1} the network gives no numbers for validation images: the weights "
                f"left the range; {self.learner.advice}"
            )
        plan = self.beginning
        decision = self.machine.after_epoch(found.worth)
        self.is_best = decision.is_best or self.learner.keeps_last
        self.history.append(
            EpochRecord(
                epoch=self.current_epoch + 1,
                stage=plan.stage,
                head_rate=plan.head_rate,
                backbone_rate=plan.backbone_rate,
                free=" ".join(plan.free),
                train_loss=train_loss,
                validation_loss=found.loss,
                measures=found.measures,
                seconds=round(time.perf_counter() - self._started, 3),
            )
        )
        if decision.stop:
            self.trainer.should_stop = True

    def on_train_start(self) -> None:
        """Train no epoch more when the interruption came after the last."""
        if self.machine.is_over:
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the strategy's state and the history along."""
        checkpoint["osteon"] = {
            "machine": self.machine.state(),
            "history": [record.document() for record in self.history],
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Stand where the checkpoint was made; lightning calls this before it makes the optimiser."""
        kept = checkpoint["osteon"]
        self.machine.restore(kept["machine"])
        self.history = [EpochRecord.of(values) for values in kept["history"]]
        # the optimiser that was saved knows the parts of the last epoch; the next one may add some
        last = self.history[-1]
        self.beginning = EpochPlan(last.stage, tuple(last.free.split()), last.head_rate, last.backbone_rate)

    def _free(self, plan: EpochPlan) -> None:
        for name, modules in self.learner.parts.items():
            free = name in plan.free
            for module in modules:
                module.requires_grad_(free)
                module.train(free)

    def _group(self, part: str, plan: EpochPlan) -> dict[str, Any]:
        parameters = [value for module in self.learner.parts[part] for value in module.parameters()]
        penalty = self._penalties.get(part, 0.0)
        return {"params": parameters, "lr": self._rate(part, plan), "part": part, "weight_decay": penalty}

    def _rate(self, part: str, plan: EpochPlan) -> float:
        return plan.head_rate if part == self.machine.plan.parts[-1] else plan.backbone_rate

    def _optimiser(self) -> torch.optim.Optimizer:
        optimiser = self.optimizers(use_pl_optimizer=False)
        if not isinstance(optimiser, torch.optim.Optimizer):
            raise TrainingError("a training has one optimiser; lightning gave another number")
        return optimiser

    def _synchronise_anew(self) -> None:
        """Let DDP average the gradients of freed parts too: it looks at what is trained only when it is made."""
        from lightning.pytorch.strategies import DDPStrategy

        strategy = self.trainer.strategy
        if isinstance(strategy, DDPStrategy):
            strategy.model = torch.nn.parallel.DistributedDataParallel(
                self, device_ids=strategy.determine_ddp_device_ids(), broadcast_buffers=False
            )

    def _weights_digest(self) -> str:
        """SHA-256 of all parameters: an average that went wrong shows here, and nowhere else."""
        digest = hashlib.sha256()
        for value in self.network.parameters():
            digest.update(value.detach().cpu().numpy().tobytes())
        return digest.hexdigest()

    def _gathered(self) -> tuple[EpochMeasures, float]:
        """What the whole validation part says and the mean training loss, of all processes.

        Raises:
            TrainingError: the processes hold different weights.
        """
        found: list[Any] = [(self._seen, self._sums, "")]
        if _is_distributed():
            found = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(found, (self._seen, self._sums, self._weights_digest()))
        if len({entry[2] for entry in found}) > 1:
            raise TrainingError(
                f"after epoch {self.current_epoch + 1} the {len(found)} processes hold different weights: train on one "
                "device, and report this as a fault of osteon"
            )
        loss = sum(entry[1][0] for entry in found) / sum(entry[1][1] for entry in found)
        return self.learner.epoch([one for entry in found for one in entry[0]]), loss


def _is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
