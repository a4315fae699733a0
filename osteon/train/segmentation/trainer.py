"""Lightning at work on one network of a fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import osteon._torchvision  # noqa: F401 - lightning imports torchvision

# isort: split

from osteon.nets.segmenter_description import SEQUENCES
from osteon.train.checkpoints import load_weights
from osteon.train.engine import EpochFiles, build_trainer, choose_device, quiet, repeatable
from osteon.train.images import EpochOrder, evaluation_loader, training_loader
from osteon.train.run_folder import LAST_NAME
from osteon.train.segmentation.images import MaskedSet
from osteon.train.segmentation.mask_pixels import load_mask_pixels
from osteon.train.segmentation.module import SegmentModule
from osteon.train.segmentation.networks import fresh_network, joined_pair, one_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn
    from torch.utils.data import DataLoader

    from osteon.data.options import Progress
    from osteon.nets.segmenter import Segmenter
    from osteon.train.segmentation.history import SegmentEpoch
    from osteon.train.segmentation.job import SegmentJob
    from osteon.train.segmentation.mask_pixels import MaskPixels

__all__ = ["train_segmenter_from_cache", "train_segmenter_here"]


def train_segmenter_here(
    job: SegmentJob,
    pixels: MaskPixels,
    *,
    on_epoch: Callable[[int, SegmentEpoch], None],
    progress: Progress,
    rank: int = 0,
) -> tuple[SegmentEpoch, ...]:
    """Train a network of a fold in this process, or go on with it; the weights that count lie in its folder then.

    Args:
        job: what to train on.
        pixels: of its manifest.
        on_epoch: told (fold, record) after every epoch.
        progress: told about steps of an epoch, and epochs.
        rank: which of ``settings.devices`` processes this is.

    Raises:
        TrainingError: the loss is no number.
        OutputError: a checkpoint cannot be written.
        BackendError: device or precision is not at hand.
        WeightsError: the bone network of a pair cannot be read.
    """
    settings, last = job.settings, job.folder / LAST_NAME
    place = choose_device(settings)
    with quiet(), repeatable(settings, place):
        bone = _bone_network(job)
        network = fresh_network(job.network, job.outputs, settings, fold=job.fold)
        module = SegmentModule(network, settings, steers=job.steers, bone=bone)
        kept: nn.Module = network if bone is None else joined_pair(settings, bone, network)
        training, validation = _loaders(job, pixels, rank=rank, on_gpu=place != "cpu")
        files = EpochFiles(
            module,
            kept,
            folder=job.folder,
            title=job.title,
            on_epoch=lambda record: on_epoch(job.fold, record),
            progress=progress,
        )
        trainer = build_trainer(settings, place, callback=files)
        trainer.fit(module, training, validation, ckpt_path=last if last.exists() else None, weights_only=True)
    return tuple(module.history)


def train_segmenter_from_cache(
    job: SegmentJob, *, on_epoch: Callable[[int, SegmentEpoch], None], progress: Progress, rank: int
) -> tuple[SegmentEpoch, ...]:
    """What each of several processes does: map the decoded images, then train."""
    pixels = load_mask_pixels(
        job.manifest,
        size=job.settings.image_size,
        cache=job.cache,
        need_bone="bone" in job.settings.outputs,
        skip_unreadable=True,
    )
    return train_segmenter_here(job, pixels, on_epoch=on_epoch, progress=progress, rank=rank)


def _bone_network(job: SegmentJob) -> Segmenter | None:
    """Of a pair, the network that found the bone, with its kept weights."""
    if job.bone_weights is None:
        return None
    network = one_network(SEQUENCES[job.settings.architecture][0], ("bone",), channels=job.settings.channels)
    load_weights(network, job.bone_weights)
    return network


def _loaders(
    job: SegmentJob, pixels: MaskPixels, *, rank: int, on_gpu: bool
) -> tuple[DataLoader[tuple[Tensor, Tensor, Tensor]], DataLoader[tuple[Tensor, Tensor, Tensor]]]:
    settings = job.settings
    batch = settings.batch // settings.devices
    order = EpochOrder(
        job.rows.train,
        job.has_lesion if settings.draw == "equal" else job.has_lesion * 0,
        seed=settings.seed,
        images_per_epoch=settings.images_per_epoch,
        rank=rank,
        processes=settings.devices,
    )
    training = training_loader(
        MaskedSet(pixels, seed=settings.seed, moves=settings.augments, crop=settings.crop),
        order,
        batch=batch,
        workers=settings.workers,
        pin_memory=on_gpu,
    )
    validation = evaluation_loader(
        MaskedSet(pixels),
        job.rows.validation,
        batch=batch,
        workers=settings.workers,
        pin_memory=on_gpu,
        rank=rank,
        processes=settings.devices,
    )
    return training, validation
