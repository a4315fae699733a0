"""The training of one segmenter as lightning runs it: the loss of a batch, the F1 of an epoch, which epoch is best."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import osteon._torchvision  # noqa: F401 - lightning imports torchvision

# isort: split
import numpy as np
import torch
from lightning.pytorch import LightningModule

from osteon.errors import TrainingError
from osteon.train.segmentation.history import SegmentEpoch
from osteon.train.segmentation.losses import map_loss, map_weights

if TYPE_CHECKING:
    from torch import Tensor

    from osteon.nets.segmenter import Segmenter
    from osteon.train.segmentation.settings import SegmentSettings

__all__ = ["SegmentModule"]

_EPOCH_STREAM = 7
"""Keeps torch's generator of an epoch apart from other uses of the seed."""

_MASKS = ("lesion", "bone")
"""Order of the masks of a batch."""


class SegmentModule(LightningModule):
    """A network, its optimiser and its history.

    The optimiser is made once; only its rate is changed, so its moments outlive the steps of the schedule.

    Attributes:
        network: what is trained.
        history: epochs done.
        is_best: whether the last epoch was the best so far.
    """

    def __init__(
        self, network: Segmenter, settings: SegmentSettings, *, steers: str, bone: Segmenter | None = None
    ) -> None:
        """Join a network with what shall be done to it.

        Args:
            network: (n, channel, row, column) to logits (n, map, row, column).
            settings: of the training.
            steers: the map by whose F1 the epoch is chosen.
            bone: of a pair; stays as it is, and shows the network only what it calls bone.
        """
        super().__init__()
        self.network = network
        self.history: list[SegmentEpoch] = []
        self.is_best = False
        self._settings = settings
        self._steers = steers
        self._weights = map_weights(settings, network.outputs)
        self._order = [_MASKS.index(name) for name in network.outputs]
        self._bone = [bone.eval()] if bone is not None else []  # in a list it is no part of what is trained and kept
        self._sums = torch.zeros(4, dtype=torch.float64)  # loss and images of training, loss and images of validation
        self._counts = torch.zeros(len(network.outputs), 3, dtype=torch.int64)  # hits, extra and missed pixels
        self._started = 0.0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam or SGD with the first rate."""
        rate = self._settings.rates[0]
        if self._settings.optimiser == "adam":
            return torch.optim.Adam(self.network.parameters(), lr=rate)
        return torch.optim.SGD(self.network.parameters(), lr=rate, momentum=self._settings.momentum)

    def on_fit_start(self) -> None:
        """The bone network works where the other one is trained."""
        for network in self._bone:
            network.to(self.device)

    def on_train_epoch_start(self) -> None:
        """Set rate and seed: an epoch depends on its number and on what was learnt, on nothing else."""
        self._started = time.perf_counter()
        self._sums.zero_()
        state = np.random.SeedSequence([self._settings.seed, _EPOCH_STREAM, self.current_epoch, self.global_rank])
        torch.manual_seed(int(state.generate_state(1, np.uint64)[0]))
        optimiser = self.optimizers(use_pl_optimizer=False)
        if not isinstance(optimiser, torch.optim.Optimizer):
            raise TrainingError("a training has one optimiser; lightning gave another number")
        for group in optimiser.param_groups:
            group["lr"] = self._settings.rate(self.current_epoch)

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        """The loss of a batch.

        Raises:
            TrainingError: it is no number.
        """
        images, masks, _ = batch
        region = masks[:, 1:] if self._settings.pair_trains_on == "true" else None
        logits = self.network(self._seen(images, region))
        loss = map_loss(logits, masks[:, self._order], self._settings, self._weights)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss of step {batch_idx + 1} of epoch {self.current_epoch + 1} is {value}: lower the rates (a "
                "tenth is a good next try), or train in precision 32; the best epoch so far is kept"
            )
        self._sums[0] += value * len(images)
        self._sums[1] += len(images)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Begin to count; all processes judge with the same running statistics."""
        self._counts.zero_()
        self._sums[2:] = 0
        if _is_distributed():
            for buffer in self.network.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> None:
        """Count pixels of a batch. A pair shows the lesion network the predicted bone, as when it reads a patient."""
        del batch_idx
        images, masks, _ = batch
        logits, true = self.network(self._seen(images, None)).float(), masks[:, self._order] > 0
        loss = map_loss(logits, true.float(), self._settings, self._weights)
        self._sums[2] += float(loss) * len(images)
        self._sums[3] += len(images)
        called = logits.sigmoid() >= self._settings.threshold
        pairs = (true & called, called & ~true, true & ~called)
        self._counts += torch.stack([pair.sum(dim=(0, 2, 3)) for pair in pairs], dim=1).cpu()

    def on_train_epoch_end(self) -> None:
        """Note the epoch and whether it is the best.

        Raises:
            TrainingError: the validation part gives no number.
        """
        sums, counts = self._gathered()
        if not math.isfinite(float(sums[2])):
            raise TrainingError(
                f"after epoch {self.current_epoch + 1} the network gives no numbers for validation images: the weights "
                "left the range; lower the rates"
            )
        hits, extra, missed = counts.double().unbind(dim=1)
        f1 = dict(zip(self.network.outputs, (2 * hits / (2 * hits + extra + missed)).tolist(), strict=True))
        record = SegmentEpoch(
            epoch=self.current_epoch + 1,
            rate=self._settings.rate(self.current_epoch),
            train_loss=float(sums[0] / sums[1]),
            validation_loss=float(sums[2] / sums[3]),
            lesion_f1=f1.get("lesion", math.nan),
            bone_f1=f1.get("bone", math.nan),
            seconds=round(time.perf_counter() - self._started, 3),
        )
        best = max((before.worth(self._steers) for before in self.history), default=None)
        is_better = best is None or record.worth(self._steers) > best
        self.is_best = is_better or self._settings.selection == "last"
        self.history.append(record)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the history along."""
        checkpoint["osteon"] = [{name: getattr(record, name) for name in record.__slots__} for record in self.history]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Stand where the checkpoint was made."""
        self.history = [SegmentEpoch.of(values) for values in checkpoint["osteon"]]

    def _seen(self, images: Tensor, region: Tensor | None) -> Tensor:
        """What the network is shown: the image in its channels, of a pair only where there is bone."""
        shown = images.expand(-1, self._settings.channels, -1, -1)
        if not self._bone:
            return shown
        if region is None:
            with torch.no_grad():
                logits = self._bone[0](shown)
            region = logits >= 0 if self._settings.pair_mask == "hard" else logits.sigmoid()
        return shown * region.to(shown.dtype)

    def _gathered(self) -> tuple[Tensor, Tensor]:
        """Sums and counts of all processes."""
        if not _is_distributed():
            return self._sums, self._counts
        found: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(found, (self._sums, self._counts))
        sums, counts = (torch.stack(parts).sum(dim=0) for parts in zip(*found, strict=True))
        return sums, counts


def _is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
