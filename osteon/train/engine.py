"""Lightning set up in one way for every training: device, processes, repeatability, and no talk of its own."""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import TYPE_CHECKING, Any, Protocol

import osteon._torchvision  # noqa: F401 - lightning imports torchvision

# isort: split
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.strategies import DDPStrategy, Strategy

from osteon.errors import BackendError
from osteon.predict.engines.torch import require_cuda
from osteon.train.checkpoints import WholeCheckpointIO, save_weights
from osteon.train.history import history_text
from osteon.train.host_memory import keep_freed_memory
from osteon.train.run_folder import BEST_NAME, HISTORY_NAME, LAST_NAME, write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lightning.pytorch import LightningModule
    from torch import nn

    from osteon.data.options import Progress

__all__ = ["EngineSettings", "EpochFiles", "build_trainer", "choose_device", "quiet", "repeatable", "torch_threads"]


class EngineSettings(Protocol):
    """What the engine asks of the settings of a training."""

    @property
    def epochs(self) -> int:
        """Most of them."""

    @property
    def precision(self) -> str:
        """One of "32", "bf16-mixed" and "16-mixed"."""

    @property
    def device(self) -> str:
        """One of "auto", "cpu" and "cuda"."""

    @property
    def devices(self) -> int:
        """Processes that train together."""

    @property
    def threads(self) -> int:
        """Of torch on the CPU; 0 leaves them as they are."""


class EpochModule(Protocol):
    """What a module tells after an epoch, beside what lightning asks of it."""

    history: list[Any]
    is_best: bool


class EpochFiles(Checkpoint):
    """Keeps the best weights, the state to go on from, and the history, in this order; tells the progress.

    Lightning calls a ``Checkpoint`` after the module itself has judged the epoch.
    """

    def __init__(
        self,
        module: EpochModule,
        kept: nn.Module,
        *,
        folder: Path,
        title: str,
        on_epoch: Callable[[Any], None],
        progress: Progress,
    ) -> None:
        """Say what is kept where.

        Args:
            module: that is trained.
            kept: network whose weights are kept.
            folder: of the files.
            title: what progress calls the training, as "fold 0".
            on_epoch: told every record.
            progress: told about steps of an epoch ("images"), and epochs.
        """
        self._module, self._kept, self.folder = module, kept, folder
        self._title, self._on_epoch, self._progress = title, on_epoch, progress

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401 - lightning's signature
        batch: Any,  # noqa: ANN401 - lightning's signature
        batch_idx: int,
    ) -> None:
        """Tell how much of the epoch is done."""
        del pl_module, outputs, batch
        self._progress(f"{self._title}: images", batch_idx + 1, int(trainer.num_training_batches))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what the epoch brought."""
        del pl_module
        if self._module.is_best and trainer.is_global_zero:
            save_weights(self._kept, self.folder / BEST_NAME)
        trainer.save_checkpoint(self.folder / LAST_NAME)
        if trainer.is_global_zero:
            write_text(self.folder / HISTORY_NAME, history_text(self._module.history))
            record = self._module.history[-1]
            self._on_epoch(record)
            self._progress(f"{self._title}: epochs", record.epoch, int(trainer.max_epochs or 0))


def choose_device(settings: EngineSettings) -> str:
    """Where a training runs, as "cpu" or "cuda:0".

    Raises:
        BackendError: the GPUs that were asked for are not there, or the precision needs one.
    """
    place = "cpu"
    if settings.device == "cuda" or (settings.device == "auto" and torch.cuda.is_available()):
        require_cuda(settings.devices - 1)
        place = "cuda:0"
    if place == "cpu" and settings.precision == "16-mixed":
        raise BackendError("precision 16-mixed was asked for; it needs a GPU: use bf16-mixed or 32 on the CPU")
    return place


def build_trainer(settings: EngineSettings, place: str, *, callback: EpochFiles) -> Trainer:
    """Lightning's trainer: repeatable, silent, with checkpoints that are whole or not there.

    Args:
        settings: of the training.
        place: of ``choose_device``.
        callback: keeps files and tells the progress after each epoch.
    """
    return Trainer(
        accelerator="cpu" if place == "cpu" else "gpu",
        devices=settings.devices if settings.devices > 1 or place == "cpu" else [int(place.partition(":")[2])],
        strategy=_strategy(settings, place),
        precision="32-true" if settings.precision == "32" else settings.precision,  # type: ignore[arg-type]
        max_epochs=settings.epochs,
        num_sanity_val_steps=0,
        callbacks=[callback],
        plugins=[WholeCheckpointIO()],
        default_root_dir=callback.folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        inference_mode=False,  # a mode that DDP and later stages could trip over; gradients are off all the same
        deterministic=True if place == "cpu" else "warn",  # CUDA has layers without a repeatable gradient
    )


def _strategy(settings: EngineSettings, place: str) -> Strategy | str:
    """One process needs none. Buffers are not sent at every step: the module does so once an epoch."""
    if settings.devices == 1:
        return "auto"
    return DDPStrategy(
        process_group_backend="gloo" if place == "cpu" else "nccl",
        cluster_environment=LightningEnvironment(),
        broadcast_buffers=False,
    )


@contextlib.contextmanager
def repeatable(settings: EngineSettings, place: str) -> Iterator[None]:
    """Keep torch's generators, its threads and its choice of algorithms as they were before the training."""
    if place == "cpu":
        keep_freed_memory()
    strict, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    devices = [] if place == "cpu" else list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices), torch_threads(settings.threads):
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(strict, warn_only=warns)


@contextlib.contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Work with that many threads of torch; 0 changes nothing."""
    before = torch.get_num_threads()
    try:
        if number:
            torch.set_num_threads(number)
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Lightning speaks of hardware, of loader processes and of itself; what matters is told as progress and errors."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "lightning")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\.")
            # its successor syncs buffers at the start all the same; torch keeps the old word for who does not want that
            warnings.filterwarnings("ignore", message="`broadcast_buffers`", category=FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
