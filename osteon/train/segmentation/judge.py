"""What segmenters call on the images of a fold, counted: at one threshold image by image, at many on validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.errors import InputError
from osteon.metrics.segmentation import pixel_counts
from osteon.train.segmentation.counts import SegmentCounts
from osteon.train.segmentation.images import grey_values, mask_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from osteon.data import Manifest
    from osteon.data.options import Progress
    from osteon.train.segmentation.mask_pixels import MaskPixels

__all__ = ["Judge", "ThresholdSweep"]

_CPU_BATCH, _GPU_BATCH = 8, 32
_SWEPT = (np.arange(1, 100) / 100).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class ThresholdSweep:
    """Pixels of the validation part by truth and prediction, at many thresholds.

    Attributes:
        output: name of the map.
        thresholds: (t,) float32, rising.
        table: (t, 4) int64: true positive, false positive, false negative, true negative.
    """

    output: str
    thresholds: NDArray[np.float32] = field(repr=False)
    table: NDArray[np.int64] = field(repr=False)

    @property
    def f1(self) -> NDArray[np.float64]:
        """(t,) pooled F1; 0 where nothing is there and nothing called."""
        hits, extra, missed, _ = self.table.astype(np.float64).T
        whole = 2 * hits + extra + missed
        return np.asarray(np.divide(2 * hits, whole, out=np.zeros_like(whole), where=whole > 0))

    @property
    def best(self) -> float:
        """The threshold of the largest F1; of equals the one nearest to 0.5."""
        f1 = self.f1
        equal = np.flatnonzero(f1 == f1.max())
        return round(float(self.thresholds[equal[np.argmin(np.abs(self.thresholds[equal] - 0.5))]]), 4)

    @classmethod
    def summed(cls, sweeps: Sequence[ThresholdSweep]) -> Self:
        """Sweeps of one map over several folds.

        Raises:
            InputError: none, or of different maps.
        """
        if len({sweep.output for sweep in sweeps}) != 1:
            raise InputError("sweeps of one map are needed, and at least one")
        return cls(sweeps[0].output, sweeps[0].thresholds, np.sum([sweep.table for sweep in sweeps], axis=0))

    def document(self) -> dict[str, object]:
        """As JSON holds it."""
        return {
            "output": self.output,
            "thresholds": [round(float(value), 4) for value in self.thresholds],
            "table": self.table.tolist(),
        }

    @classmethod
    def of(cls, document: Mapping[str, object]) -> Self:
        """What ``document`` gave."""
        return cls(
            str(document["output"]),
            np.array(document["thresholds"], dtype=np.float32),
            np.array(document["table"], dtype=np.int64),
        )


@dataclass(frozen=True, slots=True)
class Judge:
    """Runs networks on rows of a manifest. Several networks are an ensemble: their probabilities are averaged.

    Attributes:
        networks: with the same maps, those of ``outputs``.
        outputs: names of the maps, in the order of the channels.
        manifest: of the data set.
        pixels: of it.
        channels: of the input.
        device: as "cpu" or "cuda:0".
        progress: told about images.
    """

    networks: Sequence[nn.Module] = field(repr=False)
    outputs: tuple[str, ...]
    manifest: Manifest = field(repr=False)
    pixels: MaskPixels = field(repr=False)
    channels: int
    device: str
    progress: Progress = field(repr=False)

    def judged(
        self, rows: NDArray[np.int64], *, fold: int, part: str, threshold: float | Mapping[str, float]
    ) -> tuple[SegmentCounts, tuple[ThresholdSweep, ...]]:
        """Pixels of every image and map at one threshold, and those of all images together at many.

        Args:
            rows: of the manifest.
            fold: what the rows are noted under.
            part: likewise.
            threshold: probabilities from it on are called; of all maps, or by name.

        Returns:
            The counts, and a sweep for each map.
        """
        limits = threshold if isinstance(threshold, Mapping) else dict.fromkeys(self.outputs, threshold)
        tables = []
        reached = np.zeros((len(self.outputs), 2, _SWEPT.size + 1), dtype=np.int64)  # map, truth, thresholds reached
        for some, probability in self.maps(rows, f"fold {fold}: judging {part}"):
            truth = mask_values(self.pixels, self.outputs, some).astype(bool)
            chosen = [self.manifest.rows[int(row)] for row in some]
            for index, name in enumerate(self.outputs):
                tables.append(
                    SegmentCounts(
                        image=np.array([row.image for row in chosen]),
                        patient=np.array([row.patient for row in chosen]),
                        fold=np.full(len(some), fold, dtype=np.int64),
                        part=np.full(len(some), part),
                        output=np.full(len(some), name),
                        counts=pixel_counts(truth[:, index], probability[:, index] >= np.float32(limits[name])),
                    )
                )
                reached[index] += _reached(truth[:, index], probability[:, index])
        sweeps = tuple(_sweep(name, found) for name, found in zip(self.outputs, reached, strict=True))
        return SegmentCounts.joined(tables), sweeps

    def maps(self, rows: NDArray[np.int64], step: str) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Rows in blocks with the mean probability of all networks, (n, map, row, column).

        Args:
            rows: of the manifest.
            step: what progress calls it.
        """
        size = _CPU_BATCH if self.device == "cpu" else _GPU_BATCH
        networks = [network.to(self.device).eval() for network in self.networks]
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            with torch.inference_mode():
                images = torch.from_numpy(grey_values(self.pixels, some)).to(self.device)
                shown = images[:, None].expand(-1, self.channels, -1, -1)
                total = torch.stack([network(shown).float().sigmoid() for network in networks]).mean(dim=0)
            yield some, total.cpu().numpy()
            self.progress(step, min(start + size, len(rows)), len(rows))


def _reached(truth: NDArray[np.bool_], probability: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many pixels, not true and true, reach exactly so many thresholds: (2, thresholds + 1)."""
    number = np.searchsorted(_SWEPT, probability, side="right")
    return np.stack([np.bincount(number[truth == kind], minlength=_SWEPT.size + 1) for kind in (False, True)])


def _sweep(name: str, reached: NDArray[np.int64]) -> ThresholdSweep:
    clear, true = reached[:, ::-1].cumsum(axis=1)[:, ::-1]  # pixels that reach at least so many thresholds
    return ThresholdSweep(
        name, _SWEPT, np.stack([true[1:], clear[1:], true[0] - true[1:], clear[0] - clear[1:]], axis=1)
    )
