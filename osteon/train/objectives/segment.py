"""Maps of lesions and bone: a loss for each map, the F1 of an epoch over all pixels, counts of pixels at the end."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.data.manifest import PARTS
from osteon.data.options import Progress, silent
from osteon.errors import InputError
from osteon.io.whole_file import whole_file
from osteon.metrics.segmentation import pixel_counts
from osteon.nets.segmenter import Segmenter, SegmenterPair, build_segmenter
from osteon.nets.segmenter_description import SEGMENTERS, SEQUENCES
from osteon.train.counts import SWEPT, SegmentCounts, ThresholdSweep
from osteon.train.fold import fit_job
from osteon.train.images import in_channels
from osteon.train.losses import map_loss, map_weights
from osteon.train.objective import EpochMeasures, Evaluated, FoldJob, Objective, began_with, part_rows
from osteon.train.pixels import load_pixels
from osteon.train.run_folder import BEST_NAME, digest, make_folder
from osteon.train.settings import SegmentSettings
from osteon.train.strategies import plan_rates
from osteon.train.views import DrawnViews, known_views, neighbour_rows, series_boxes
from osteon.weights.backbone import fill_encoder, pretrained_weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from osteon.data import Manifest
    from osteon.data.manifest import FoldRows
    from osteon.nets.segmenter import ReferenceSegmenter
    from osteon.train.images import Batch, ImageSet
    from osteon.train.objective import FoldData
    from osteon.train.pixels import Pixels
    from osteon.train.run_folder import EpochRecord, OnEpoch

__all__ = ["SEGMENT", "Evaluator", "SegmentJob", "SegmentLearner", "kept_network", "learnt_rows", "predicted_lesions"]

_MASKS = ("lesion", "bone")
"""Order of the masks of a batch."""

_NOT_OF_BONE = frozenset({"architecture", "lesion_weight", "bone_weight", "pair_mask", "pair_trains_on"})
"""Settings that decide nothing about the bone network of a pair."""

_INIT_STREAM = 3
"""Keeps the initial weights apart from other uses of the seed."""

_LEARNT = "of them validation"
"""What the count of images calls a validation part that is learnt from."""

_CPU_BATCH, _GPU_BATCH = 8, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentJob(FoldJob):
    """One network of a fold: the only one (``name`` ""), or the "bone" or the "lesion" network of a pair.

    Attributes:
        settings: of the training.
        network: name in ``SEGMENTERS``.
        outputs: names of its maps.
        has_lesion: (images of the manifest,) int64, 1 where there is a lesion.
        bone_weights: of the bone network, for the lesion network of a pair.
    """

    settings: SegmentSettings
    network: str
    outputs: tuple[str, ...]
    has_lesion: NDArray[np.int64] = field(repr=False)
    bone_weights: Path | None = None

    @property
    def monitors(self) -> str:
        """The map by whose F1 the epoch is chosen."""
        return "bone" if self.name == "bone" else "lesion"


class SegmentLearner:
    """A network that learns to draw maps; see ``osteon.train.objective.Learner``."""

    longest_gradient: float | None = None
    advice = "lower the rates (a tenth is a good next try)"

    def __init__(
        self,
        network: Segmenter | ReferenceSegmenter,
        settings: SegmentSettings,
        *,
        monitors: str,
        bone: Segmenter | ReferenceSegmenter | None = None,
    ) -> None:
        """Join a network, of images (n, channel, row, column) to logits (n, map, row, column), with its settings.

        The map of ``monitors`` chooses the epoch by its F1. The bone network of a pair stays as it is, and shows the
        network only what it predicts as bone.
        """
        self.network: nn.Module = network
        self.kept: nn.Module = network if bone is None else SegmenterPair(bone, network, mask=settings.pair_mask)
        self.parts: Mapping[str, Sequence[nn.Module]] = {"network": [network]}
        if network.trunk is not None and settings.pretrained != "none":
            fresh = [part for part in network.children() if part is not network.trunk]
            self.parts = {"encoder": [network.trunk], "decoders": fresh}
        self.plan = plan_rates(settings.rates, settings.epochs, list(self.parts), backbone_share=settings.encoder_rate)
        self.keeps_last = settings.selection == "last"
        self._settings, self._monitors = settings, monitors
        self._outputs, self._weights = network.outputs, map_weights(settings, network.outputs)
        self._order = [_MASKS.index(name) for name in network.outputs]
        self._bone = None if bone is None else bone.eval()

    def loss(self, batch: Batch) -> Tensor:
        """Of a training batch; the network of a pair learns on the predicted or the true bone."""
        images, masks, _ = batch
        region = masks[:, 1:] if self._settings.pair_trains_on == "true" else None
        logits = self.network(self._seen(images, region))
        return map_loss(logits, masks[:, self._order], self._settings, self._weights)

    def look(self, batch: Batch) -> tuple[float, int, Tensor]:
        """Loss and number of images, and hits, extra and missed pixels (map, 3).

        A pair shows the lesion network the predicted bone, as when it reads a patient.
        """
        images, masks, _ = batch
        logits, true = self.network(self._seen(images, None)).float(), masks[:, self._order] > 0
        loss = map_loss(logits, true.float(), self._settings, self._weights)
        predicted = logits.sigmoid() >= self._settings.threshold
        pairs = (true & predicted, predicted & ~true, true & ~predicted)
        counts = torch.stack([pair.sum(dim=(0, 2, 3)) for pair in pairs], dim=1).cpu()
        return float(loss) * len(images), len(images), counts

    def epoch(self, seen: Sequence[tuple[float, int, Tensor]]) -> EpochMeasures:
        """The loss, and the F1 of each map over all pixels; while nothing is predicted the loss decides."""
        losses, images, counts = zip(*seen, strict=True)
        hits, extra, missed = torch.stack(counts).sum(dim=0).double().unbind(dim=1)
        f1 = dict(zip(self._outputs, (2 * hits / (2 * hits + extra + missed)).tolist(), strict=True))
        names = sorted(f1, key=lambda name: name != self._monitors)
        loss, value = sum(losses) / sum(images), f1[self._monitors]
        worth = (0.0 if np.isnan(value) else value, -loss)
        return EpochMeasures(loss, {f"{name}_f1": f1[name] for name in names}, worth)

    def _seen(self, images: Tensor, region: Tensor | None) -> Tensor:
        """What the network is shown: the image in its channels, of a pair only where there is bone."""
        shown = in_channels(images, self._settings.input_channels)
        if self._bone is None:
            return shown
        if region is None:
            with torch.no_grad():
                logits = self._bone.to(images.device)(shown)
            region = logits >= 0 if self._settings.pair_mask == "hard" else logits.sigmoid()
        return shown * region.to(shown.dtype)


class _Segment(Objective):
    """See ``osteon.train.objective.Objective``."""

    name = "segment"
    settings = SegmentSettings

    def outputs(self, manifest: Manifest, settings: SegmentSettings) -> tuple[str, ...]:
        """The maps."""
        del manifest
        return settings.outputs

    def describe(self, settings: SegmentSettings) -> dict[str, Any]:
        """The device, and name, hash and licence of the weights that an encoder begins with."""
        from osteon.train.engine import choose_device

        return {"device": choose_device(settings), "pretrained": began_with(settings.encoder, settings)}

    def load(
        self,
        manifest: Manifest,
        settings: SegmentSettings,
        cache: Path | None,
        *,
        skip_unreadable: bool = False,
        progress: Progress = silent,
    ) -> Pixels:
        """Images with masks; one without a bone mask cannot be used where there is a map of the bone."""
        pixels = load_pixels(
            manifest,
            size=settings.image_size,
            cache=cache,
            masks={"lesion": True, "bone": "bone" in settings.outputs},
            skip_unreadable=skip_unreadable,
            progress=progress,
        )
        around = neighbour_rows(manifest, settings.neighbours) if settings.neighbours else None
        return replace(pixels, around=around, views=known_views(manifest))

    def plan(self, data: FoldData, fold: int, settings: SegmentSettings, folder: Path) -> SegmentJob:
        """The job of the fold's network; of a pair that of the lesion network, which still lacks ``bone_weights``."""
        rows, unreadable = part_rows(data, fold, settings)
        areas = {name: data.pixels.areas(name) for name in _MASKS}
        _require_masks(rows, areas, fold, settings)
        rows = learnt_rows(rows, settings)
        pair = SEQUENCES.get(settings.architecture)
        images = {part: len(getattr(rows, part)) for part in PARTS}
        if settings.joins_validation:
            images = {_LEARNT if part == "validation" else part: count for part, count in images.items()}
        return SegmentJob(
            **self.of_fold(data, fold, settings, folder),
            rows=rows,
            images=images | {"unreadable": unreadable},
            identity=digest([settings.decisive, fold, _content(data.manifest, rows, areas)]),
            name="lesion" if pair else "",
            network=pair[1] if pair else settings.architecture,
            outputs=("lesion",) if pair else settings.outputs,
            has_lesion=(areas["lesion"] > 0).astype(np.int64),
        )

    def prepared(self, job: SegmentJob, data: FoldData) -> SegmentJob:
        """Of a pair, the job with the weights of its bone network: those that another run left, or trained now.

        Two runs at the same time may both train it: each in its own folder, and what they leave is the same.
        """
        if job.name != "lesion":
            return job
        bone = _bone_job(job, data.pixels)
        shared = None if data.shared is None else data.shared / f"{bone.network}-{bone.fold}-{bone.identity[:16]}"
        if shared is None:
            return replace(job, bone_weights=fit_job(bone, data).weights)
        file = shared.with_suffix(".safetensors")
        if not file.exists():
            trained = fit_job(bone, data).weights
            make_folder(file.parent)
            with whole_file(file) as work:
                shutil.copyfile(trained, work)
        return replace(job, bone_weights=file)

    def train(
        self, job: SegmentJob, pixels: Pixels, *, on_epoch: OnEpoch, progress: Progress, rank: int = 0
    ) -> tuple[EpochRecord, ...]:
        """Train one network."""
        from osteon.train.engine import choose_device, load_weights, repeatable, run_epochs
        from osteon.train.images import ImageSet

        settings = job.settings
        with repeatable(settings, choose_device(settings)):
            bone = None
            if job.bone_weights is not None:
                bone = _one_network(SEQUENCES[settings.architecture][0], ("bone",), channels=settings.input_channels)
                load_weights(bone, job.bone_weights)
            state = np.random.SeedSequence([settings.seed, _INIT_STREAM, job.fold]).generate_state(1, np.uint64)
            torch.manual_seed(int(state[0]))
            network = _one_network(job.network, job.outputs, channels=settings.input_channels)
            if settings.weights_source is not None and isinstance(network, Segmenter):
                fill_encoder(network, pretrained_weights(settings.encoder, source=settings.weights_source))
            learner = SegmentLearner(network, settings, monitors=job.monitors, bone=bone)
            images = _training_images(job, pixels), ImageSet(pixels, masks=_MASKS)
            kinds = job.has_lesion if settings.draw == "equal" else job.has_lesion * 0
            return run_epochs(job, learner, images, kinds, on_epoch=on_epoch, progress=progress, rank=rank)

    def best(self, history: Sequence[EpochRecord], settings: SegmentSettings) -> EpochRecord:
        """The last where the last is kept, else the best F1, of equals the smallest loss."""
        if settings.selection == "last":
            return history[-1]
        return max(history, key=lambda record: (np.nan_to_num(record.monitored), -record.validation_loss))

    def evaluate(self, job: SegmentJob, pixels: Pixels, progress: Progress) -> Evaluated | None:
        """Count what the kept network predicts; the bone network of a pair is evaluated with the pair.

        A validation part that was learnt from is not counted: no threshold may come from it.
        """
        if job.name == "bone":
            return None
        from osteon.train.engine import choose_device

        settings = job.settings
        networks = [kept_network(settings, job.folder / BEST_NAME)]
        evaluate = Evaluator(networks, settings, job.manifest, pixels, choose_device(settings), progress)
        parts = {
            part: evaluate.evaluated(getattr(job.rows, part), fold=job.fold, part=part, threshold=settings.threshold)
            for part in (("test",) if settings.joins_validation else ("validation", "test"))
        }
        sweeps = () if settings.joins_validation else parts["validation"][1]
        return Evaluated(SegmentCounts.joined([counts for counts, _ in parts.values()]), sweeps)


SEGMENT = _Segment()
"""Maps of lesions and bone."""


def learnt_rows(rows: FoldRows, settings: SegmentSettings) -> FoldRows:
    """The rows of a fold as it is trained: the validation part is a part of the training where the settings join it."""
    if not settings.joins_validation:
        return rows
    return replace(rows, train=np.union1d(rows.train, rows.validation))


def kept_network(settings: SegmentSettings, weights: Path) -> Segmenter | SegmenterPair | ReferenceSegmenter:
    """The network of a fold with its kept weights, on the CPU, in evaluation mode.

    Raises:
        WeightsError: the weights are missing, damaged, or of another network.
    """
    from osteon.train.engine import load_weights

    network: Segmenter | SegmenterPair | ReferenceSegmenter
    channels = settings.input_channels
    with torch.random.fork_rng(devices=[]):  # the random weights give way to the kept ones
        if settings.architecture in SEQUENCES:
            first, second = SEQUENCES[settings.architecture]
            bone, lesion = (
                _one_network(name, (part,), channels=channels) for name, part in ((first, "bone"), (second, "lesion"))
            )
            network = SegmenterPair(bone, lesion, mask=settings.pair_mask)
        else:
            network = _one_network(settings.architecture, settings.outputs, channels=channels)
    load_weights(network, weights)
    return network.eval()


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Runs networks on rows of a manifest. Several networks are an ensemble: their probabilities are averaged."""

    networks: Sequence[nn.Module] = field(repr=False)
    settings: SegmentSettings
    manifest: Manifest = field(repr=False)
    pixels: Pixels = field(repr=False)
    device: str
    progress: Progress = field(repr=False, default=silent)

    def evaluated(
        self, rows: NDArray[np.int64], *, fold: int, part: str, threshold: float | Mapping[str, float]
    ) -> tuple[SegmentCounts, tuple[ThresholdSweep, ...]]:
        """Pixels of every image and map at one threshold, or one by name, and of all images together at many.

        Rows are noted under the fold and the part; probabilities from the threshold on are predicted.
        """
        names = self.settings.outputs
        limits = threshold if isinstance(threshold, Mapping) else dict.fromkeys(names, threshold)
        tables = []
        reached = np.zeros((len(names), 2, SWEPT.size + 1), dtype=np.int64)  # map, truth, thresholds reached
        for some, probability in self.maps(rows, f"fold {fold}: evaluating {part}"):
            truth = self.pixels.outlined(names, some).astype(bool)
            chosen = [self.manifest.rows[int(row)] for row in some]
            for index, name in enumerate(names):
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
        return SegmentCounts.joined(tables), tuple(map(_sweep, names, reached))

    def maps(self, rows: NDArray[np.int64], step: str) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Rows in blocks with the mean probability of all networks, (n, map, row, column); ``step`` is for progress."""
        from osteon.train.engine import torch_threads

        size = _CPU_BATCH if self.device == "cpu" else _GPU_BATCH
        networks = [network.to(self.device).eval() for network in self.networks]
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            with torch.inference_mode(), torch_threads(self.settings.threads):
                images = torch.from_numpy(self.pixels.shown(some)).to(self.device)
                shown = in_channels(images, self.settings.input_channels)
                total = torch.stack([network(shown).float().sigmoid() for network in networks]).mean(dim=0)
            yield some, total.cpu().numpy()
            self.progress(step, min(start + size, len(rows)), len(rows))


def predicted_lesions(
    manifest: Manifest, pixels: Pixels, settings: SegmentSettings, weights: Sequence[Path]
) -> NDArray[np.bool_]:
    """Lesions (n, row, column) that networks predict on all images of a manifest, their probabilities averaged.

    Raises:
        WeightsError: weights are missing, damaged, or of another network.
    """
    here = replace(settings, device="cpu", devices=1, precision="32")
    evaluate = Evaluator([kept_network(here, file) for file in weights], here, manifest, pixels, "cpu")
    lesion, limit = here.outputs.index("lesion"), np.float32(here.threshold)
    rows = np.arange(len(manifest), dtype=np.int64)
    return np.concatenate([maps[:, lesion] >= limit for _, maps in evaluate.maps(rows, "pictures")])


def _training_images(job: SegmentJob, pixels: Pixels) -> ImageSet:
    """The images of a manifest as a training shows them."""
    from osteon.train.augmentation import MovementRanges, Movements
    from osteon.train.images import ImageSet

    settings = job.settings
    augment = Movements(
        seed=settings.seed,
        ranges=MovementRanges(scaling=settings.scaling),
        moves=settings.augments,
        piece=settings.crop,
        intensity=settings.intensity,
    )
    views = None
    if settings.margin:
        views = DrawnViews(series_boxes(job.manifest, pixels.masks["lesion"]), settings.margin, settings.seed)
    return ImageSet(pixels, masks=_MASKS, augment=augment, views=views)


def _one_network(name: str, outputs: tuple[str, ...], *, channels: int) -> Segmenter | ReferenceSegmenter:
    """A network of ``SEGMENTERS`` that gives these maps, without side heads: no loss here reaches them."""
    return build_segmenter(replace(SEGMENTERS[name], outputs=outputs, has_side_heads=False), in_channels=channels)


def _bone_job(job: SegmentJob, pixels: Pixels) -> SegmentJob:
    """The job of the bone network that a pair's lesion network needs first; settings of the latter do not change it."""
    network = SEQUENCES[job.settings.architecture][0]
    decisive = {name: value for name, value in job.settings.decisive.items() if name not in _NOT_OF_BONE}
    content = _content(job.manifest, job.rows, {name: pixels.areas(name) for name in _MASKS})
    return replace(
        job,
        name="bone",
        network=network,
        outputs=("bone",),
        folder=job.folder / "bone",
        identity=digest([decisive, job.fold, "bone", network, content]),
    )


def _content(manifest: Manifest, rows: FoldRows, areas: dict[str, NDArray[np.int64]]) -> list[object]:
    """Which images are in which part, and how much is marked on them: masks that were drawn anew are other data."""
    found: list[object] = []
    for part in PARTS:
        chosen = getattr(rows, part)
        found.append([manifest.rows[int(row)].image for row in chosen])
        found.append([areas[name][chosen].tolist() for name in _MASKS])
    return found


def _require_masks(rows: FoldRows, areas: dict[str, NDArray[np.int64]], fold: int, settings: SegmentSettings) -> None:
    for name in settings.outputs:
        for part in ("train", "validation"):
            if not areas[name][getattr(rows, part)].any():
                raise InputError(
                    f"fold {fold} has no pixel of {name} in its {part} part: the masks are missing or empty; name them "
                    "in the manifest (osteon dataset), or split with fewer folds"
                )


def _reached(truth: NDArray[np.bool_], probability: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many pixels, not true and true, reach exactly this many thresholds: (2, thresholds + 1)."""
    number = np.searchsorted(SWEPT, probability, side="right")
    return np.stack([np.bincount(number[truth == kind], minlength=SWEPT.size + 1) for kind in (False, True)])


def _sweep(name: str, reached: NDArray[np.int64]) -> ThresholdSweep:
    clear, true = reached[:, ::-1].cumsum(axis=1)[:, ::-1]  # pixels that reach at least this many thresholds
    table = np.stack([true[1:], clear[1:], true[0] - true[1:], clear[0] - clear[1:]], axis=1)
    return ThresholdSweep(name, SWEPT, table)
