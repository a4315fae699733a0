"""Lightning at work on one fold, in one process or several, and the judgement of the weights it keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import osteon._torchvision  # noqa: F401 - lightning imports torchvision

# isort: split
import numpy as np
import torch

from osteon.nets import build_network
from osteon.predict.predictor import Predictor, grey_crops
from osteon.train.augmentation import build_augmentation
from osteon.train.checkpoints import load_weights
from osteon.train.engine import EpochFiles, build_trainer, choose_device, quiet, repeatable, torch_threads
from osteon.train.images import EpochOrder, ImageSet, evaluation_loader, training_loader
from osteon.train.losses import balanced_weights
from osteon.train.module import FoldModule
from osteon.train.pixels import load_pixels
from osteon.train.run_folder import BEST_NAME, LAST_NAME
from osteon.weights import Classes
from osteon.weights.backbone import pretrained_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor, nn
    from torch.utils.data import DataLoader

    from osteon.data.options import Progress
    from osteon.train.fold_job import FoldJob
    from osteon.train.history import EpochRecord
    from osteon.train.pixels import Pixels

__all__ = ["judge_fold", "train_from_cache", "train_here"]

_INIT_STREAM = 3
"""Keeps the initial weights apart from other uses of the seed."""


def train_here(
    job: FoldJob,
    pixels: Pixels,
    *,
    on_epoch: Callable[[int, EpochRecord], None],
    progress: Progress,
    rank: int = 0,
) -> tuple[EpochRecord, ...]:
    """Train a fold in this process, or go on with it, until its strategy ends; the best weights lie in its folder then.

    Args:
        job: what to train on.
        pixels: of its manifest.
        on_epoch: told (fold, record) after every epoch.
        progress: told about images of an epoch, and epochs.
        rank: which of ``settings.devices`` processes this is.

    Raises:
        TrainingError: the loss is no number.
        OutputError: a checkpoint cannot be written.
        BackendError: device or precision is not at hand.
    """
    settings, last = job.settings, job.folder / LAST_NAME
    place = choose_device(settings)
    with quiet(), repeatable(settings, place):
        module = FoldModule(_fresh_network(job), settings, positive=job.positive, class_weights=_class_weights(job))
        training, validation = _loaders(job, pixels, rank=rank, on_gpu=place != "cpu")
        files = EpochFiles(
            module,
            module.network,
            folder=job.folder,
            title=f"fold {job.fold}",
            on_epoch=lambda record: on_epoch(job.fold, record),
            progress=progress,
        )
        trainer = build_trainer(settings, place, callback=files)
        trainer.fit(module, training, validation, ckpt_path=last if last.exists() else None, weights_only=True)
    return tuple(module.history)


def train_from_cache(
    job: FoldJob, *, on_epoch: Callable[[int, EpochRecord], None], progress: Progress, rank: int
) -> tuple[EpochRecord, ...]:
    """What each of several processes does: map the decoded images, then train."""
    pixels = load_pixels(
        job.manifest,
        size=job.settings.image_size,
        cache=job.cache,
        is_stretched=job.settings.is_stretched,
        skip_unreadable=True,
    )
    return train_here(job, pixels, on_epoch=on_epoch, progress=progress, rank=rank)


def judge_fold(job: FoldJob, pixels: Pixels, *, progress: Progress) -> dict[str, NDArray[np.float32]]:
    """Logits of validation and test part by the best weights, through the runtime that reads patients.

    Returns:
        "validation" and "test": (images, class) float32.

    Raises:
        WeightsError: the best weights cannot be read.
    """
    settings = job.settings
    with torch.random.fork_rng(devices=[]):  # the random weights give way to the kept ones
        network = build_network(settings.architecture, classes=len(job.classes))
    load_weights(network, job.folder / BEST_NAME)
    classifier = Predictor.from_networks(
        network,
        name=settings.architecture,
        inputs=grey_crops(settings.image_size),
        output=Classes(job.classes),
        device=choose_device(settings),
        runtime="torch",
    )
    answers = {}
    with torch_threads(settings.threads):
        for part in ("validation", "test"):
            rows = getattr(job.rows, part)
            blocks = (pixels.crops(rows[start : start + 64]) for start in range(0, len(rows), 64))
            answers[part] = classifier.scores(blocks, progress=progress, total=len(rows)).logits[:, 0]
    return answers


def _fresh_network(job: FoldJob) -> nn.Module:
    """The network as its training begins: pretrained or random, the head random, by seed and fold."""
    settings = job.settings
    state = np.random.SeedSequence([settings.seed, _INIT_STREAM, job.fold]).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0]))
    source = settings.weights_source
    if source is None:
        return build_network(settings.architecture, classes=len(job.classes))
    return pretrained_network(settings.architecture, in_channels=1, classes=len(job.classes), source=source)


def _class_weights(job: FoldJob) -> Tensor | None:
    if job.settings.class_weights == "none":
        return None
    return balanced_weights(torch.from_numpy(job.labels[job.rows.train]), len(job.classes))


def _loaders(
    job: FoldJob, pixels: Pixels, *, rank: int, on_gpu: bool
) -> tuple[DataLoader[tuple[Tensor, Tensor, Tensor]], DataLoader[tuple[Tensor, Tensor, Tensor]]]:
    settings = job.settings
    augment = build_augmentation(settings)
    order = EpochOrder(
        job.rows.train,
        job.labels,
        seed=settings.seed,
        images_per_epoch=settings.images_per_epoch,
        rank=rank,
        processes=settings.devices,
    )
    batch = settings.batch // settings.devices
    training = training_loader(
        ImageSet(pixels, job.labels, augment=augment), order, batch=batch, workers=settings.workers, pin_memory=on_gpu
    )
    validation = evaluation_loader(
        ImageSet(pixels, job.labels),
        job.rows.validation,
        batch=batch,
        workers=settings.workers,
        pin_memory=on_gpu,
        rank=rank,
        processes=settings.devices,
    )
    return training, validation
