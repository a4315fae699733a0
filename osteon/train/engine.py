"""Lightning set up in one way for every training: device, processes, repeatability, files, and no talk of its own."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import osteon._torchvision  # noqa: F401 - lightning imports torchvision

# isort: split
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.strategies import DDPStrategy, Strategy

from osteon.errors import BackendError, WeightsError
from osteon.io.whole_file import whole_file
from osteon.predict.engines.torch import require_cuda
from osteon.train.images import EpochOrder, evaluation_loader, training_loader
from osteon.train.module import FoldModule
from osteon.train.run_folder import BEST_NAME, HISTORY_NAME, LAST_NAME, history_text, write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from lightning.pytorch import LightningModule
    from numpy.typing import NDArray
    from torch import nn

    from osteon.data.options import Progress
    from osteon.train.images import ImageSet
    from osteon.train.objective import FoldJob, Learner
    from osteon.train.run_folder import EpochRecord
    from osteon.train.settings import NetworkSettings

__all__ = [
    "choose_device",
    "keep_freed_memory",
    "load_weights",
    "repeatable",
    "run_epochs",
    "save_weights",
    "torch_threads",
]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_NEVER = 2**31 - 1
_LARGEST_MAP = 2**30


def run_epochs(
    job: FoldJob,
    learner: Learner,
    images: tuple[ImageSet, ImageSet],
    kinds: NDArray[np.int64],
    *,
    on_epoch: Callable[[int, EpochRecord], None],
    progress: Progress,
    rank: int = 0,
) -> tuple[EpochRecord, ...]:
    """Train a network, or go on with it, until its strategy ends; the weights that count lie in its folder then.

    Args:
        job: what to train on.
        learner: its network, in the place of ``repeatable``.
        images: of the training, augmented, and of validation.
        kinds: (images of the manifest,) what an epoch that draws images draws equal shares of.
        on_epoch: told (fold, record) after every epoch.
        progress: told about images of an epoch, and epochs.
        rank: which of ``settings.devices`` processes this is.

    Raises:
        TrainingError: the loss is no number.
        OutputError: a checkpoint cannot be written.
        BackendError: device or precision is not at hand.
    """
    settings: NetworkSettings = job.settings
    place, last = choose_device(settings), job.folder / LAST_NAME
    module = FoldModule(learner, settings)
    order = EpochOrder(
        job.rows.train,
        kinds,
        seed=settings.seed,
        images_per_epoch=settings.images_per_epoch,
        rank=rank,
        processes=settings.devices,
    )
    how: dict[str, Any] = {
        "batch": settings.batch // settings.devices,
        "workers": settings.workers,
        "pin_memory": place != "cpu",
    }
    validation = evaluation_loader(images[1], job.rows.validation, rank=rank, processes=settings.devices, **how)
    files = _EpochFiles(module, job, on_epoch=on_epoch, progress=progress)
    training, checkpoint = training_loader(images[0], order, **how), last if last.exists() else None
    with _quiet():
        trainer = _build_trainer(settings, place, job.folder, epochs=learner.plan.epochs, callback=files)
        trainer.fit(module, training, validation, ckpt_path=checkpoint, weights_only=True)
    return tuple(module.history)


class _EpochFiles(Checkpoint):
    """Keeps the best weights, the state to go on from, and the history, in this order; tells the progress.

    Lightning calls a ``Checkpoint`` after the module itself has judged the epoch.
    """

    def __init__(
        self, module: FoldModule, job: FoldJob, *, on_epoch: Callable[[int, EpochRecord], None], progress: Progress
    ) -> None:
        """Say what is kept where, and who is told."""
        self._module, self._job, self._on_epoch, self._progress = module, job, on_epoch, progress

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
        self._progress(f"{self._job.title}: images", batch_idx + 1, int(trainer.num_training_batches))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what the epoch brought."""
        del pl_module
        folder = self._job.folder
        if self._module.is_best and trainer.is_global_zero:
            save_weights(self._module.learner.kept, folder / BEST_NAME)
        trainer.save_checkpoint(folder / LAST_NAME)
        if trainer.is_global_zero:
            write_text(folder / HISTORY_NAME, history_text(self._module.history))
            record = self._module.history[-1]
            self._on_epoch(self._job.fold, record)
            self._progress(f"{self._job.title}: epochs", record.epoch, int(trainer.max_epochs or 0))


def choose_device(settings: NetworkSettings) -> str:
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


def _build_trainer(
    settings: NetworkSettings, place: str, folder: Path, *, epochs: int, callback: _EpochFiles
) -> Trainer:
    """Lightning's trainer: repeatable, silent, with checkpoints that are whole or not there."""
    return Trainer(
        accelerator="cpu" if place == "cpu" else "gpu",
        devices=settings.devices if settings.devices > 1 or place == "cpu" else [int(place.partition(":")[2])],
        strategy=_strategy(settings, place),
        precision="32-true" if settings.precision == "32" else settings.precision,
        max_epochs=epochs,
        num_sanity_val_steps=0,
        callbacks=[callback],
        plugins=[_WholeCheckpointIO()],
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        inference_mode=False,  # a mode that DDP and later stages could trip over; gradients are off all the same
        deterministic=True if place == "cpu" else "warn",  # CUDA has layers without a repeatable gradient
    )


def _strategy(settings: NetworkSettings, place: str) -> Strategy | str:
    """One process needs none. Buffers are not sent at every step: the module does so once an epoch."""
    if settings.devices == 1:
        return "auto"
    return DDPStrategy(
        process_group_backend="gloo" if place == "cpu" else "nccl",
        cluster_environment=LightningEnvironment(),
        broadcast_buffers=False,
    )


@contextlib.contextmanager
def repeatable(settings: NetworkSettings, place: str) -> Iterator[None]:
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
def _quiet() -> Iterator[None]:
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


class _WholeCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoints, each in the place of the one before only when it is written to its end."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ANN401 - lightning's signature
        """Write a checkpoint.

        Raises:
            OutputError: the system refuses, as when the disk is full; an earlier checkpoint is untouched.
        """
        del storage_options
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        _write(Path(path), buffer.getvalue())


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the weights and buffers of a network as safetensors, float32 as they are trained.

    Raises:
        OutputError: the system refuses; an earlier file is untouched.
    """
    from safetensors.torch import save

    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    _write(path, save(state))


def load_weights(network: nn.Module, path: Path) -> None:
    """Read what ``save_weights`` wrote into a network of the same architecture.

    Raises:
        WeightsError: the file is missing, damaged, or of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        network.load_state_dict(load(path.read_bytes()))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise WeightsError(
            f"the weights {path.parent.name}/{path.name} cannot be used ({type(error).__name__}): they are missing, "
            "damaged or of another architecture; train the fold again"
        ) from error


def _write(path: Path, data: bytes) -> None:
    with whole_file(path) as work:
        work.write_bytes(data)


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory of any size, for the rest of the process.

    A step of training frees gigabytes of maps and asks for them again. Given back to the system each time, every page
    is cleared and mapped anew, which took more than half of a step of Hybrid-AttUNet++ at 224 x 224
    (``bench.segmenter --only training``). The process keeps the memory of its largest step instead.

    Returns:
        Whether it was done; False where the C library is another one.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return all([mallopt(_MMAP_THRESHOLD, _LARGEST_MAP), mallopt(_TRIM_THRESHOLD, _NEVER)])
