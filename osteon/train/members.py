"""The networks of a run as they will be shipped, and what exactly those give for the images of their folds.

Weights are rounded to the stored precision first, so that whatever is measured is measured with what is shipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.data import Predictions
from osteon.metrics.calibration import fit_temperature, share_offsets
from osteon.nets import build_network
from osteon.predict.out_of_distribution import FoldMaterial
from osteon.predict.predictor import Predictor
from osteon.train.engine import load_weights
from osteon.train.settings import ClassifySettings
from osteon.weights import Classes, round_to_half

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from osteon.data.options import Progress
    from osteon.train.pixels import Pixels
    from osteon.train.run_data import RunData
    from osteon.train.run_folder import FoldResult
    from osteon.train.settings import Settings
    from osteon.train.tile_features import SeenTiles
    from osteon.weights import Input

__all__ = ["Member", "load_members"]

_BLOCK = 64
_BANK_STREAM = 5
"""Keeps the choice of training images apart from other uses of the seed."""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One network of a model.

    Attributes:
        fold: whose best weights it is.
        network: on the CPU, in evaluation mode, weights as stored.
        temperature: fitted on its validation part.
        predictions: of its validation and test part.
        offsets: (classes,) added to the bias of the head, because training saw the classes in other shares than they
            occur; zeros where it did not.
        material: what trust is fitted on; None when it was not asked for or the network gives no features.
    """

    fold: FoldResult
    network: nn.Module = field(repr=False)
    temperature: float
    predictions: Predictions = field(repr=False)
    offsets: tuple[float, ...]
    material: FoldMaterial | None = field(repr=False)


def load_members(
    data: RunData,
    folds: Sequence[FoldResult],
    pixels: Pixels | SeenTiles,
    *,
    inputs: Mapping[str, Input],
    device: str,
    half: bool,
    bank: int,
    progress: Progress,
) -> tuple[Member, ...]:
    """Load, round and measure the networks of these folds.

    Args:
        data: the run and its images.
        folds: all done.
        pixels: of the manifest, in the size of the run.
        inputs: as the card will have them.
        device: as "cpu" or "cuda:0".
        half: whether weights are rounded to float16.
        bank: training images of each member whose features are kept too; 0 for no features.
        progress: told about images judged.

    Raises:
        WeightsError: weights are missing, damaged, or do not fit into float16.
    """
    return tuple(
        _member(data, fold, pixels, inputs=inputs, device=device, half=half, bank=bank, progress=progress)
        for fold in folds
    )


def _member(
    data: RunData,
    fold: FoldResult,
    pixels: Pixels | SeenTiles,
    *,
    inputs: Mapping[str, Input],
    device: str,
    half: bool,
    bank: int,
    progress: Progress,
) -> Member:
    settings, classes = data.run.settings, data.run.classes
    network = build_network(settings.architecture, classes=len(classes))
    load_weights(network, fold.weights)
    network.eval()
    parts = data.split.rows(data.manifest, fold.fold)
    rows = {part: pixels.usable(getattr(parts, part)) for part in ("train", "validation", "test")}
    labels = np.array([classes.index(row.label) for row in data.manifest.rows], dtype=np.int64)
    offsets = _tell_shares(network, settings, np.bincount(labels[rows["train"]], minlength=len(classes)))
    if half:
        round_to_half(network)
    predictor = Predictor.from_networks(
        network,
        name=settings.architecture,
        inputs=inputs,
        output=Classes(classes),
        device=device,
        runtime="torch",
    )
    seed = np.random.SeedSequence([settings.seed, _BANK_STREAM, fold.fold])
    kept = np.sort(np.random.default_rng(seed).permutation(rows["train"])[:bank])
    wanted = {"validation": rows["validation"], "test": rows["test"]} | ({"train": kept} if bank else {})
    total, done = sum(len(some) for some in wanted.values()), 0
    found: dict[str, tuple[NDArray[np.float32], NDArray[np.float32] | None]] = {}
    for part, some in wanted.items():
        blocks = []
        for start in range(0, len(some), _BLOCK):
            blocks.append(predictor.scores(pixels.crops(some[start : start + _BLOCK]), keeps_features=True))
            done += len(blocks[-1].logits)
            progress(f"fold {fold.fold}: judging images", done, total)
        features = [block.features[:, 0] for block in blocks if block.features is not None]
        logits = np.concatenate([block.logits[:, 0] for block in blocks])
        found[part] = (logits, np.concatenate(features) if len(features) == len(blocks) else None)
    temperature = fit_temperature(found["validation"][0], labels[rows["validation"]]).temperature
    tables = [
        Predictions.of_rows(
            data.manifest,
            rows[part],
            found[part][0],
            classes=classes,
            positive=settings.positive,
            fold=fold.fold,
            part=part,
            temperature=temperature,
        )
        for part in ("validation", "test")
    ]
    network.cpu()
    member = Member(fold, network, temperature, Predictions.joined(tables), offsets, None)
    if not bank:
        return member
    train, validation = found["train"][1], found["validation"][1]
    if train is None or validation is None:
        return member
    return replace(
        member,
        material=FoldMaterial(
            train_features=train,
            validation_features=validation,
            patients=tables[0].patient,
            regions=_regions(data, rows["validation"]),
            probability=Classes(classes, temperatures=(temperature,)).probability(found["validation"][0][None])[0],
            truth=tables[0].truth,
        ),
    )


def _tell_shares(network: nn.Module, settings: Settings, counts: NDArray[np.int64]) -> tuple[float, ...]:
    """Tell a network that saw the classes in other shares how often they occur: in the bias of its head."""
    import torch

    from osteon.nets.anatomy import split_head

    if not isinstance(settings, ClassifySettings):
        return (0.0,) * counts.size
    seen = np.ones(counts.size) if settings.images_per_epoch is not None else counts.astype(np.float64)
    if settings.class_weights == "balanced":
        seen = seen / counts
    offsets = share_offsets(counts, seen)
    head = split_head(network)[1]
    if offsets.any():
        with torch.no_grad():
            head.bias.add_(torch.from_numpy(offsets).to(head.bias))
    return tuple(offsets.tolist())


def _regions(data: RunData, rows: NDArray[np.int64]) -> NDArray[np.str_]:
    """What gets one verdict at reading: a leg of a series, or the series where legs are not named."""
    chosen = [data.manifest.rows[int(row)] for row in rows]
    return np.array(["/".join((row.study, row.series, row.extra.get("leg", ""))) for row in chosen])
