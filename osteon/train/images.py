"""Images in batches: which rows come in which epoch, in which order, on which process, and how they look there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from osteon.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from osteon.train.augmentation import Augmentation
    from osteon.train.pixels import Pixels
    from osteon.train.views import DrawnViews

__all__ = ["Batch", "EpochOrder", "ImageSet", "InOrder", "epoch_rows", "image_loader", "in_channels"]

Batch = tuple["Tensor", "Tensor", "Tensor"]
"""Images (n, channel, size, size) float32; labels (n,) int64, or masks (n, mask, size, size) uint8; rows (n,) int64."""

_TRAIN_STREAM = 11
"""Keeps the draw of an epoch apart from other uses of the seed."""


class ImageSet(Dataset[Batch]):
    """Rows of a manifest as tensors.

    An index is (epoch, row): the augmentation of a row follows from both, so it is the same in every process.
    An item is a row of a ``Batch``.

    Args:
        pixels: of the manifest.
        labels: (images,) class index of every row of the manifest; None gives masks instead.
        masks: names of these masks.
        augment: None gives the images as they are.
        views: draws the part of an image that an epoch shows; None shows what the data set says.
    """

    def __init__(
        self,
        pixels: Pixels,
        labels: NDArray[np.int64] | None = None,
        *,
        masks: tuple[str, ...] = (),
        augment: Augmentation | None = None,
        views: DrawnViews | None = None,
    ) -> None:
        """Join pixels and labels; nothing is read yet."""
        self._pixels, self._labels, self._masks, self._augment = pixels, labels, masks, augment
        self._views = views

    def __len__(self) -> int:
        """Rows of the manifest, whether they are used or not."""
        return len(self._pixels.values)

    def __getitem__(self, index: tuple[int, int]) -> Batch:
        """The image of ``(epoch, row)``."""
        epoch, row = index
        rows = np.array([row])
        views = None if self._views is None else self._views(epoch=epoch, row=row)[None]
        image, masks = torch.from_numpy(self._pixels.shown(rows, views)[0]), torch.empty((0, 0, 0), dtype=torch.uint8)
        if self._masks:
            masks = torch.from_numpy(self._pixels.outlined(self._masks, rows)[0])
        if self._augment is not None:
            image, masks = self._augment(image, masks, epoch=epoch, row=row)
        return image, masks if self._labels is None else torch.tensor(self._labels[row]), torch.tensor(row)


def epoch_rows(
    rows: NDArray[np.int64], labels: NDArray[np.int64], *, epoch: int, seed: int, images_per_epoch: int | None = None
) -> NDArray[np.int64]:
    """Which rows a training epoch shows, in which order.

    Args:
        rows: of the training part.
        labels: (images,) class of every row of the manifest.
        epoch: from 0.
        seed: of the training.
        images_per_epoch: None shows every row once. A number draws that many, the same share of each class (first
            classes first where it does not divide), without repeating a row before its class is used up.

    Raises:
        InputError: fewer images an epoch than classes.
    """
    generator = np.random.default_rng([seed, _TRAIN_STREAM, epoch])
    if images_per_epoch is None:
        return generator.permutation(rows)
    classes = np.unique(labels[rows])
    if images_per_epoch < classes.size:
        raise InputError(f"{images_per_epoch} images an epoch for {classes.size} classes: each needs at least one")
    share, rest = divmod(images_per_epoch, classes.size)
    drawn = []
    for number, wanted in enumerate(classes):
        pool = rows[labels[rows] == wanted]
        count = share + (number < rest)
        rounds = [generator.permutation(pool) for _ in range(math.ceil(count / pool.size))]
        drawn.append(np.concatenate(rounds)[:count])
    return generator.permutation(np.concatenate(drawn))


class EpochOrder(Sampler[tuple[int, int]]):
    """The order of a training part, another one each epoch, shared out over processes.

    Every process gets the same number of images; the first ones come twice where they do not divide. lightning calls
    ``set_epoch`` before each epoch.
    """

    def __init__(
        self,
        rows: NDArray[np.int64],
        labels: NDArray[np.int64],
        *,
        seed: int,
        images_per_epoch: int | None = None,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        """Keep what decides the order."""
        self._rows, self._labels = rows, labels
        self._seed, self._images_per_epoch = seed, images_per_epoch
        self._rank, self._processes = rank, processes
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Images that this process sees in an epoch."""
        total = self._images_per_epoch or len(self._rows)
        return math.ceil(total / self._processes)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(epoch, row) of this process."""
        order = epoch_rows(
            self._rows, self._labels, epoch=self.epoch, seed=self._seed, images_per_epoch=self._images_per_epoch
        )
        mine = np.resize(order, len(self) * self._processes)[self._rank :: self._processes]
        return iter([(self.epoch, int(row)) for row in mine])


class InOrder(Sampler[tuple[int, int]]):
    """Rows as they are, for images that are not augmented; with several processes each sees its own, none twice."""

    def __init__(self, rows: NDArray[np.int64], *, rank: int = 0, processes: int = 1) -> None:
        """Keep the rows of this process."""
        self._rows = rows[rank::processes]

    def __len__(self) -> int:
        """Images that this process sees."""
        return len(self._rows)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(0, row) of this process."""
        return iter([(0, int(row)) for row in self._rows])


def image_loader(
    images: Dataset[Batch], order: EpochOrder | InOrder, *, batch: int, workers: int = 0, pin_memory: bool = False
) -> DataLoader[Batch]:
    """Batches in an order; the last may be smaller. Processes that load for one epoch after the other stay."""
    stays = workers > 0 and isinstance(order, EpochOrder)
    how: dict[str, Any] = {"num_workers": workers, "pin_memory": pin_memory, "persistent_workers": stays}
    return DataLoader(images, batch_size=batch, sampler=order, **how)


def in_channels(images: Tensor, channels: int) -> Tensor:
    """Images (n, 1 or channels, row, column) in the channels of a network; on the CPU these come last in memory.

    The maps of convolutions follow, which makes a step faster (``bench.segmenter --only training``); weights stay as
    they are. The strides of one channel fit either layout, and torch takes the slower one unless they are made anew.
    """
    shown = images.expand(-1, channels, -1, -1)
    if images.device.type != "cpu":
        return shown
    return torch.empty_like(shown, memory_format=torch.channels_last).copy_(shown)
