"""Classes of images: cross entropy or focal loss, the AUC of an epoch, calibrated probabilities at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.data.manifest import PARTS, FoldRows
from osteon.data.options import Progress, silent
from osteon.errors import InputError
from osteon.train.objective import (
    EpochMeasures,
    Evaluated,
    FoldJob,
    Objective,
    began_with,
    evaluated_classes,
    part_rows,
)
from osteon.train.pixels import load_pixels
from osteon.train.run_folder import BEST_NAME, digest
from osteon.train.settings import ClassifySettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from osteon.data import Manifest
    from osteon.train.images import Batch
    from osteon.train.objective import FoldData
    from osteon.train.pixels import Pixels
    from osteon.train.run_folder import EpochRecord, OnEpoch

__all__ = ["CLASSIFY", "ClassLearner", "ClassifyJob", "classes_of"]

_INIT_STREAM = 3
"""Keeps the initial weights apart from other uses of the seed."""

_LONGEST_GRADIENT = 1.0
"""At a constant rate [GAP]: without it AlexNet at the paper's rate learns for a while and is then thrown out."""

_BLOCK = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyJob(FoldJob):
    """A fold of a classifier.

    Attributes:
        settings: of the training.
        labels: (images of the manifest,) index of the class.
        classes: names; the positive one last.
    """

    settings: ClassifySettings
    labels: NDArray[np.int64] = field(repr=False)
    classes: tuple[str, ...]

    @property
    def positive(self) -> int:
        """Index of the positive class."""
        return self.classes.index(self.settings.positive)


def classes_of(manifest: Manifest, positive: str) -> tuple[str, ...]:
    """Labels in the order of the logits: sorted, the positive one last.

    Raises:
        UnknownLabelError: no image has the positive label.
        InputError: no image has another one.
    """
    manifest.truth(positive)
    others = tuple(label for label in manifest.labels if label != positive)
    if not others:
        raise InputError(f"every image is labelled {positive!r}: images of another label are needed to learn from")
    return (*others, positive)


class ClassLearner:
    """A classifier that is trained; see ``osteon.train.objective.Learner``."""

    keeps_last = False
    advice = "lower learning_rate or head_rate"

    def __init__(
        self, network: nn.Module, settings: ClassifySettings, *, positive: int, class_weights: Tensor | None = None
    ) -> None:
        """Join a network, of images (n, 1, row, column) to logits (n, class), with its settings.

        The loss has the class weights; the AUC of the class ``positive`` is monitored.
        """
        from osteon.nets.anatomy import feature_stages
        from osteon.train.strategies import plan_stages

        self.network = self.kept = network
        self.parts: Mapping[str, Sequence[nn.Module]] = dict(feature_stages(network))
        self.plan = plan_stages(settings, list(self.parts))
        self.longest_gradient = _LONGEST_GRADIENT if settings.schedule == "constant" else None
        self._settings, self._positive, self._class_weights = settings, positive, class_weights

    def loss(self, batch: Batch) -> Tensor:
        """Of a training batch."""
        from osteon.train.losses import class_loss

        images, labels, _ = batch
        weights = None if self._class_weights is None else self._class_weights.to(images.device)
        return class_loss(self.network(images).float(), labels, self._settings, weights)

    def look(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits and labels of a batch."""
        images, labels, _ = batch
        return self.network(images).float().cpu(), labels.cpu()

    def epoch(self, seen: Sequence[tuple[Tensor, Tensor]]) -> EpochMeasures:
        """The loss without class weights, and the AUC."""
        import torch
        from torch.nn import functional

        from osteon.metrics.classification import roc_auc

        logits, labels = (torch.cat(parts) for parts in zip(*seen, strict=True))
        if not bool(torch.isfinite(logits).all()):
            return EpochMeasures(float("nan"), {}, ())

        def auc(label: int) -> float:
            others = [index for index in range(logits.shape[1]) if index != label]
            score = logits[:, label].double() - torch.logsumexp(logits[:, others].double(), dim=1)
            return float(roc_auc((labels == label).numpy(), score.numpy()))

        measures = {"auc": auc(self._positive)}
        if self._settings.monitor == "macro_auc":
            measures = {"macro_auc": float(np.mean([auc(label) for label in labels.unique().tolist()])), **measures}
        monitored = measures[self._settings.monitor]
        return EpochMeasures(float(functional.cross_entropy(logits, labels)), measures, (monitored,))


class _Classify(Objective):
    """See ``osteon.train.objective.Objective``."""

    name = "classify"
    settings = ClassifySettings

    def outputs(self, manifest: Manifest, settings: ClassifySettings) -> tuple[str, ...]:
        """The classes."""
        return classes_of(manifest, settings.positive)

    def describe(self, settings: ClassifySettings) -> dict[str, Any]:
        """The device, and name, hash and licence of the weights that the training begins with."""
        from osteon.train.engine import choose_device

        return {"device": choose_device(settings), "pretrained": began_with(settings.architecture, settings)}

    def load(
        self,
        manifest: Manifest,
        settings: ClassifySettings,
        cache: Path | None,
        *,
        skip_unreadable: bool = False,
        progress: Progress = silent,
    ) -> Pixels:
        """Images without masks."""
        return load_pixels(
            manifest,
            size=settings.image_size,
            cache=cache,
            is_stretched=settings.stretch,
            skip_unreadable=skip_unreadable,
            progress=progress,
        )

    def plan(self, data: FoldData, fold: int, settings: ClassifySettings, folder: Path) -> ClassifyJob:
        """Rows by part, without what curation drops from the training part."""
        manifest = data.manifest
        classes = classes_of(manifest, settings.positive)
        kept, unreadable = part_rows(data, fold, settings)
        learnt = kept.train[~np.isin(kept.train, _drops(data, fold, settings))]
        rows = FoldRows(train=learnt, validation=kept.validation, test=kept.test)
        labels = np.array([classes.index(row.label) for row in manifest.rows], dtype=np.int64)
        _require_classes(rows, labels, classes, fold)
        names = {part: [manifest.rows[int(row)].image for row in getattr(rows, part)] for part in PARTS}
        content = [names, labels[rows.train].tolist(), labels[rows.validation].tolist()]
        counts = {part: len(getattr(rows, part)) for part in PARTS}
        return ClassifyJob(
            **self.of_fold(data, fold, settings, folder),
            rows=rows,
            images=counts | {"dropped": len(kept.train) - len(learnt), "unreadable": unreadable},
            identity=digest([settings.decisive, fold, classes, *content]),
            labels=labels,
            classes=classes,
        )

    def train(
        self, job: ClassifyJob, pixels: Pixels, *, on_epoch: OnEpoch, progress: Progress, rank: int = 0
    ) -> tuple[EpochRecord, ...]:
        """Train the network of a fold by its strategy."""
        import torch

        from osteon.train.augmentation import build_augmentation
        from osteon.train.engine import choose_device, repeatable, run_epochs
        from osteon.train.images import ImageSet
        from osteon.train.losses import balanced_weights

        settings = job.settings
        with repeatable(settings, choose_device(settings)):
            network = _fresh_network(job)
            weights = None
            if settings.class_weights == "balanced":
                weights = balanced_weights(torch.from_numpy(job.labels[job.rows.train]), len(job.classes))
            learner = ClassLearner(network, settings, positive=job.positive, class_weights=weights)
            augmented = ImageSet(pixels, job.labels, augment=build_augmentation(settings))
            images = augmented, ImageSet(pixels, job.labels)
            return run_epochs(job, learner, images, job.labels, on_epoch=on_epoch, progress=progress, rank=rank)

    def best(self, history: Sequence[EpochRecord], settings: ClassifySettings) -> EpochRecord:
        """The first of equals, as the strategy keeps it."""
        del settings
        return max(history, key=lambda record: record.monitored)

    def evaluate(self, job: ClassifyJob, pixels: Pixels, progress: Progress) -> Evaluated:
        """Logits through the runtime that reads patients, with a temperature of the validation part."""
        return evaluated_classes(job, _logits(job, pixels, progress), job.labels, job.classes)


CLASSIFY = _Classify()
"""Classes of images."""


def _drops(data: FoldData, fold: int, settings: ClassifySettings) -> NDArray[np.int64]:
    """Rows that curation leaves out of the training part."""
    if data.drops is not None:
        return np.asarray(data.drops.get(fold, ()), dtype=np.int64)
    if not settings.curates or data.cache is None:
        return np.empty(0, dtype=np.int64)
    from osteon.curation.conflicts import conflict_drops
    from osteon.train.curated import dataset_vectors

    vectors = dataset_vectors(data.manifest, data.cache, progress=data.progress)
    return conflict_drops(data.manifest, data.split, fold, vectors, positive=settings.positive)


def _require_classes(rows: FoldRows, labels: NDArray[np.int64], classes: tuple[str, ...], fold: int) -> None:
    for part, wanted in (("train", range(len(classes))), ("validation", (len(classes) - 1,))):
        found = set(labels[getattr(rows, part)].tolist())
        missing = [classes[index] for index in wanted if index not in found]
        if missing or len(found) < 2:
            raise InputError(
                f"fold {fold} has no image labelled {', '.join(missing) or 'otherwise'} in its {part} part: split "
                "stratified by label, with fewer folds or more patients"
            )


def _fresh_network(job: ClassifyJob) -> nn.Module:
    """The network as its training begins: pretrained or random, the head random, by seed and fold."""
    import torch

    from osteon.nets import build_network
    from osteon.weights.backbone import pretrained_network

    settings, classes = job.settings, len(job.classes)
    state = np.random.SeedSequence([settings.seed, _INIT_STREAM, job.fold]).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0]))
    if settings.weights_source is None:
        return build_network(settings.architecture, classes=classes)
    return pretrained_network(settings.architecture, in_channels=1, classes=classes, source=settings.weights_source)


def _logits(job: ClassifyJob, pixels: Pixels, progress: Progress) -> dict[str, NDArray[np.float32]]:
    """Logits (images, class) of the validation and test part by the best weights."""
    import torch

    from osteon.nets import build_network
    from osteon.predict.predictor import Predictor, grey_crops
    from osteon.train.engine import choose_device, load_weights, torch_threads
    from osteon.weights import Classes

    settings = job.settings
    with torch.random.fork_rng(devices=[]):  # the random weights give way to the kept ones
        network = build_network(settings.architecture, classes=len(job.classes))
    load_weights(network, job.folder / BEST_NAME)
    predictor = Predictor.from_networks(
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
            blocks = (pixels.crops(rows[start : start + _BLOCK]) for start in range(0, len(rows), _BLOCK))
            answers[part] = predictor.scores(blocks, progress=progress, total=len(rows)).logits[:, 0]
    return answers
