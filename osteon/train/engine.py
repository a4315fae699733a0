"""Lightning set up in one way for every training: device, processes, repeatability, files, and no talk of its own."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import io
import logging
import math
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import osteon._torchvision  # noqa: F401 - lightning imports torchvision

# isort: split
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.strategies import DDPStrategy, Strategy

from osteon.errors import BackendError, TrainingError, WeightsError
from osteon.io.whole_file import whole_file
from osteon.predict.engines.torch import require_cuda
from osteon.train.images import EpochOrder, InOrder, image_loader
from osteon.train.run_folder import BEST_NAME, HISTORY_NAME, LAST_NAME, EpochRecord, history_text, write_text
from osteon.train.strategies import EpochPlan, StageMachine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from osteon.data.options import Progress
    from osteon.train.images import Batch, ImageSet
    from osteon.train.objective import EpochMeasures, FoldJob, Learner
    from osteon.train.run_folder import OnEpoch
    from osteon.train.settings import NetworkSettings

__all__ = [
    "FoldModule",
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

_SEAL = b"osteon sha256 "
_SEALED = len(_SEAL) + hashlib.sha256().digest_size
"""Bytes behind a checkpoint: by its hash a damaged one is known."""

_EPOCH_STREAM = 7
"""Keeps torch's generator of an epoch apart from other uses of the seed."""


def run_epochs(
    job: FoldJob,
    learner: Learner,
    images: tuple[ImageSet, ImageSet],
    kinds: NDArray[np.int64],
    *,
    on_epoch: OnEpoch,
    progress: Progress,
    rank: int = 0,
) -> tuple[EpochRecord, ...]:
    """Train a network, or go on with it, until its strategy ends; the weights that count lie in its folder then.

    The learner is made within ``repeatable``. Images are those of the training, augmented, and of validation; an epoch
    that draws images draws equal shares of ``kinds`` (images of the manifest,). ``rank`` is which of
    ``settings.devices`` processes this is.

    Raises:
        TrainingError: the loss is not a number.
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
    held = InOrder(job.rows.validation, rank=rank, processes=settings.devices)
    files = _EpochFiles(module, job, on_epoch=on_epoch, progress=progress)
    training, validation = image_loader(images[0], order, **how), image_loader(images[1], held, **how)
    checkpoint = last if last.exists() else None
    with _quiet():
        trainer = _build_trainer(settings, place, job.folder, epochs=learner.plan.epochs, callback=files)
        trainer.fit(module, training, validation, ckpt_path=checkpoint, weights_only=True)
    return tuple(module.history)


class _EpochFiles(Checkpoint):
    """Keeps the best weights, the state to go on from, and the history, in this order; gives the progress.

    Lightning calls a ``Checkpoint`` after the module itself has evaluated the epoch.
    """

    def __init__(self, module: FoldModule, job: FoldJob, *, on_epoch: OnEpoch, progress: Progress) -> None:
        """Say what is kept where, and who is reported."""
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
        # one process is one process, whatever SLURM, torchrun or MPI left in the shell
        plugins=[_WholeCheckpointIO(), *([LightningEnvironment()] if settings.devices == 1 else [])],
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
    """Lightning speaks of hardware, of loader processes and of itself; what matters is in progress and errors."""
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
        data = buffer.getvalue()
        _write(Path(path), data + _SEAL + hashlib.sha256(data).digest())  # torch reads past what follows

    def load_checkpoint(
        self,
        path: Any,  # noqa: ANN401 - lightning's signature
        map_location: Any = "cpu",  # noqa: ANN401 - lightning's signature
        weights_only: bool | None = None,  # noqa: FBT001 - lightning's signature
    ) -> dict[str, Any]:
        """Read a checkpoint back.

        Raises:
            TrainingError: a bit of it is not as it was written.
        """
        file = Path(path)
        whole = file.read_bytes()
        data, seal = whole[:-_SEALED], whole[-_SEALED:]
        if seal != _SEAL + hashlib.sha256(data).digest():
            raise TrainingError(
                f"{file.parent.name}/{file.name} is damaged, its bytes are not those that were written: delete that "
                "file, and the fold is trained from its beginning"
            )
        found: dict[str, Any] = torch.load(io.BytesIO(data), map_location=map_location, weights_only=weights_only)
        return found


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
            TrainingError: it is not a number.
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
        """Begin to collect; all processes evaluate with the same running statistics."""
        self._seen = []
        if _is_distributed():
            for buffer in self.network.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect what the network says of a batch."""
        del batch_idx
        self._seen.append(self.learner.look(batch))

    def on_train_epoch_end(self) -> None:
        """Evaluator the epoch and let the strategy decide.

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
        """What the whole validation part says and the mean training loss, of all processes."""
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
