"""The classifiers and heads of a run as they will be shipped, and what exactly those give for images of their folds.

Weights are rounded to the stored precision first, so that whatever is measured is measured with what is shipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.data.manifest import FoldRows
from osteon.errors import InputError
from osteon.metrics.calibration import fit_temperature, share_offsets
from osteon.nets import build_network
from osteon.predict.out_of_distribution import FoldMaterial, fit_limits
from osteon.predict.predictor import Predictor
from osteon.train.engine import choose_device, load_weights
from osteon.train.export.card import MADE_UP, Member, Shipped, data_text, shows_pattern, smooth_patterns
from osteon.train.export.limits import reference_rows, region_names, require_references
from osteon.train.export.results import (
    choose_point,
    class_results,
    half_point,
    point_warnings,
    test_results,
    validation_points,
)
from osteon.train.objective import predictions_of
from osteon.train.objectives.classify import CLASSIFY
from osteon.train.run import is_synthetic, synthetic_share
from osteon.train.settings import ClassifySettings, HeadSettings
from osteon.train.tile_features import load_seen
from osteon.weights import Classes, Golden, round_to_half

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from osteon.data import Predictions
    from osteon.data.options import Progress
    from osteon.metrics.classification import OperatingPoint
    from osteon.train.export.card import ExportOptions
    from osteon.train.pixels import Pixels
    from osteon.train.run import RunData
    from osteon.train.run_folder import FoldResult
    from osteon.train.settings import Settings
    from osteon.train.tile_features import SeenTiles
    from osteon.weights import ImageInput, Input, Limits

__all__ = ["ClassMember", "class_member", "ship_classifiers"]

_BLOCK = 64
_GOLDEN_EACH = 2


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ClassMember(Member):
    """A classifier, or a head with its base.

    Attributes:
        temperature: fitted on its validation part.
        predictions: of its validation and test part.
        offsets: (classes,) added to the bias of the head, because training saw the classes in other shares than they
            occur; zeros where it did not.
        material: what trust is fitted on; None when it was not asked for or the network gives no layers.
    """

    temperature: float
    predictions: Predictions = field(repr=False)
    offsets: tuple[float, ...]
    material: FoldMaterial | None = field(default=None, repr=False)

    def fitted(self) -> dict[str, Any]:
        """As of ``Member``."""
        return {
            f"validation_{next(iter(self.fold.history[-1].measures))}": self.fold.monitored,
            "temperature": self.temperature,
            "class_offsets": [round(offset, 6) for offset in self.offsets],
        }


def ship_classifiers(
    data: RunData,
    folds: Sequence[FoldResult],
    *,
    inputs: dict[str, ImageInput],
    options: ExportOptions,
    progress: Progress,
) -> Shipped:
    """Load and measure the networks of these folds, which are done; raises as ``export_run``."""
    settings, classes, manifest = data.run.settings, data.run.classes, data.manifest
    is_head, skip = isinstance(settings, HeadSettings), bool(data.run.document.get("skip_unreadable", False))
    device, pixels = options.device, None
    if not is_head:
        device = choose_device(replace(settings, device=device, devices=1, precision="32"))
        pixels = CLASSIFY.load(manifest, settings, options.cache, skip_unreadable=skip, progress=progress)
    tiles = pixels or load_seen(manifest, settings, skip_unreadable=skip, progress=progress)
    require_references(options.references)
    if is_head and (options.threshold is not None or options.operating_point):
        raise InputError(
            "a threshold was given for a head, which predicts the likeliest class: leave --threshold and "
            "--operating-point out"
        )
    if options.least_mm3 is not None:
        raise InputError("--least-mm3 was given for classes, which have no lesions: leave it out")
    bank = 0
    if options.trust and (is_head or len(classes) == 2):
        bank = len(manifest) if is_head else options.references
    how: dict[str, Any] = {"inputs": inputs, "device": device, "half": options.half, "bank": bank}
    members = [class_member(data, fold, tiles, **how, progress=progress) for fold in folds]
    predictions = [member.predictions for member in members]
    points, validation = validation_points(manifest, predictions)
    if is_head:
        point, warned = half_point(), tuple[str, ...]()
    else:
        point = choose_point(points, validation, wanted=options.operating_point, threshold=options.threshold)
        warned = point_warnings(point, validation)
    measured: dict[str, Any] = {"resampling": options.resampling, "is_synthetic": synthetic_share(manifest) > 0}
    results = test_results(manifest, predictions, scheme=data.split.scheme, point=point, **measured)
    if is_head:
        results += class_results(predictions, **measured)
    images, golden = _golden(data, members[0], tiles, wanted=options.golden)
    temperatures = tuple(round(member.temperature, 6) for member in members)
    return Shipped(
        members=members,
        output=Classes(tuple(classes), settings.positive, temperatures, _calibration_text(members)),
        golden=Golden(golden),
        images=images,
        results=results,
        answers=_answers(data, members),
        details={"operating_points": [_point_entry(one) for one in points]},
        warnings=warned,
        operating_point=None if is_head else point,
        limits=_limits(members, settings) if bank else None,
    )


def class_member(
    data: RunData,
    fold: FoldResult,
    pixels: Pixels | SeenTiles,
    *,
    inputs: Mapping[str, Input],
    device: str,
    half: bool,
    bank: int,
    progress: Progress,
) -> ClassMember:
    """Load, round and measure the network of a fold.

    With a ``bank`` what the layers give for this many training images, and for all validation images, is kept too.

    Raises:
        WeightsError: weights are missing, damaged, or do not fit into float16.
    """
    settings, classes = data.run.settings, data.run.classes
    network = build_network(settings.architecture, classes=len(classes))
    load_weights(network, fold.weights)
    network.eval()
    whole = data.split.rows(data.manifest, fold.fold)
    rows = FoldRows(pixels.usable(whole.train), pixels.usable(whole.validation), pixels.usable(whole.test))
    labels = np.array([classes.index(row.label) for row in data.manifest.rows], dtype=np.int64)
    offsets = _tell_shares(network, settings, np.bincount(labels[rows.train], minlength=len(classes)))
    if half:
        round_to_half(network)
    about: dict[str, Any] = {"name": settings.architecture, "inputs": inputs, "output": Classes(classes)}
    predictor = Predictor.from_networks(network, **about, device=device, runtime="torch")
    kept = reference_rows(rows.train, bank, seed=settings.seed, fold=fold.fold)
    wanted = {"validation": rows.validation, "test": rows.test} | ({"train": kept} if bank else {})
    total, found, before = sum(map(len, wanted.values())), {}, 0
    for part, some in wanted.items():
        blocks = (pixels.crops(some[start : start + _BLOCK]) for start in range(0, len(some), _BLOCK))
        told = _told(progress, f"fold {fold.fold}: evaluating images", before, total)
        found[part] = predictor.scores(blocks, progress=told, keeps_layers=True)
        before += len(some)
    logits = {part: found[part].logits[:, 0] for part in ("validation", "test")}
    temperature = fit_temperature(logits["validation"], labels[rows.validation]).usable
    shown = {part: (getattr(rows, part), values) for part, values in logits.items()}
    names: dict[str, Any] = {"classes": classes, "positive": settings.positive}
    table = predictions_of(data.manifest, shown, **names, fold=fold.fold, temperature=temperature)
    network.cpu()
    member = ClassMember(
        fold=fold, network=network, rows=whole, temperature=temperature, predictions=table, offsets=offsets
    )
    learnt, evaluated = (found[part].layers if part in found else None for part in ("train", "validation"))
    if learnt is None or evaluated is None:
        return member
    calibrated = Classes(classes, temperatures=(temperature,))
    material = FoldMaterial(
        train_layers=learnt[:, 0],
        validation_layers=evaluated[:, 0],
        patients=data.manifest.column("patient")[rows.validation],
        regions=region_names(data.manifest, rows.validation),
        probability=calibrated.probability(logits["validation"][None])[0],
        truth=labels[rows.validation],
    )
    return replace(member, material=material)


def _told(progress: Progress, step: str, before: int, total: int) -> Progress:
    """The images of a part as images of all parts."""
    return lambda _, done, __: progress(step, before + done, total)


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


def _limits(members: Sequence[ClassMember], settings: Settings) -> Limits | None:
    """Of validation images against the space of training images; None where a network has no layers."""
    found = [member.material for member in members if member.material is not None]
    return fit_limits(found, seed=settings.seed) if len(found) == len(members) else None


def _golden(data: RunData, member: ClassMember, pixels: Pixels | SeenTiles, *, wanted: str) -> tuple[NDArray[Any], str]:
    """Crops that every member must reproduce, (n, size, size), and what they show."""
    if shows_pattern(wanted, data.manifest):
        if pixels.values.ndim == 4:
            return np.rint(255 * smooth_patterns(pixels.size, colours=3)).astype(np.uint8), MADE_UP
        return smooth_patterns(pixels.size), MADE_UP
    table = member.predictions.of(part="validation")
    number = {row.image: index for index, row in enumerate(data.manifest.rows)}
    # images about which the network is least sure: a saturated probability would hide a difference
    order = np.argsort(np.abs(table.probability - 0.5), kind="stable")
    picked = [index for kind in (True, False) for index in order[table.is_positive[order] == kind][:_GOLDEN_EACH]]
    rows = np.array([number[str(table.image[index])] for index in picked])
    positive = data.run.settings.positive
    return pixels.crops(rows), f"validation images of fold {member.fold.fold}: with {positive} and without"


def _point_entry(point: OperatingPoint) -> dict[str, Any]:
    about = {"name": point.name, "rule": point.rule, "threshold": point.threshold}
    found = {"validation_sensitivity": point.sensitivity, "validation_specificity": point.specificity}
    return {**about, **found, "note": point.note}


def _calibration_text(members: Sequence[ClassMember]) -> str:
    temperature = (
        "temperature with the smallest negative log likelihood on the validation part, of each member on its own"
    )
    if not any(any(member.offsets) for member in members):
        return temperature
    return f"shares of the classes in the training part, which training had made equal, told to the head; {temperature}"


def _answers(data: RunData, members: Sequence[ClassMember]) -> dict[str, str]:
    """To the reporting items on which classifiers and heads differ from other runs."""
    settings, manifest, folds = data.run.settings, data.manifest, [member.fold for member in members]
    unreadable = len(data.run.document.get("unreadable", ()))
    centres = sorted({row.centre for row in manifest.rows} - {""})
    unknown = {name: int(np.sum(manifest.column(name) == "")) for name in ("sex", "age_years", "centre", "scanner")}
    lacking = ", ".join(f"{name} of {count}" for name, count in unknown.items() if count)
    layers = f"classes {', '.join(data.run.classes)}; osteon models arch {settings.architecture} lists its layers"
    return _training_answers(settings, layers, folds) | {
        "kind": f"deep learning: a convolutional network ({settings.architecture}) that classifies images",
        "sources": data_text(manifest, is_demo=is_synthetic(manifest))
        + (f", centres: {', '.join(centres)}" if centres else ""),
        "missing": f"{unreadable} images could not be read and were left out; unknown fields: {lacking or 'none'}",
        "initialisation": "random" if settings.pretrained == "none" else f"pretrained ({settings.pretrained})",
        "ensemble": f"mean of the calibrated probabilities of {len(members)} networks" if len(members) > 1 else "none",
        "uncertainty": "patient bootstrap, percentile; further intervals and tests in the run's evaluation",
        "failures": "the worst images are shown by osteon evaluate in the run's report",
    }


def _training_answers(settings: Any, layers: str, folds: Sequence[FoldResult]) -> dict[str, str]:  # noqa: ANN401
    """What differs between networks that learn as a whole and heads on frozen features."""
    epochs = ", ".join(str(fold.best_epoch) for fold in folds)
    if isinstance(settings, HeadSettings):
        grid = (
            f"logistic regression with a ridge at strengths {settings.strengths}"
            if settings.head == "ridge"
            else f"Adam at a constant rate of {settings.rates}, epochs {settings.epochs}, {settings.repeats} heads "
            f"each, batch {settings.batch}"
        )
        return {
            "preprocessing": f"the tile as a whole, by area to {settings.pixels} pixels square, stain {settings.stain}",
            "selection": "none: no curation was asked for",
            "model": f"{settings.architecture}, input 3 x {settings.pixels} x {settings.pixels}, {layers}",
            "training": f"the base is kept as it was; the head: {grid}, augmentation {settings.augmentation.name}, "
            f"seed {settings.seed}",
            "choice": "the head with the best accuracy on the validation part, of each fold on its own: epochs (of a "
            f"ridge: strengths) {epochs}",
        }
    stretch = "min-max by image to 0..1, " if settings.stretch else ""
    measure = {"auc": "AUC", "macro_auc": "mean AUC of all labels"}[settings.monitor]
    dropped = max((int(fold.images.get("dropped", 0)) for fold in folds), default=0)
    curated = f"at most {dropped} images a fold left out of training for conflicting labels"
    return {
        "preprocessing": f"{stretch}nearest neighbour to {settings.image_size} pixels square",
        "selection": curated if settings.curates else "none: no curation was asked for",
        "model": f"{settings.architecture}, input 1 x {settings.image_size} x {settings.image_size}, {layers}",
        "training": f"strategy {settings.strategy}, configuration {settings.configuration}, loss {settings.loss}, "
        f"batch {settings.batch}, at most {settings.epochs} epochs, {settings.optimiser} {settings.learning_rate:g} to "
        f"{settings.final_rate:g}, {'augmented' if settings.augments else 'not augmented'}, seed {settings.seed}",
        "choice": f"the epoch with the largest {measure} on the validation part, of each fold on its own: epochs "
        f"{epochs}",
    }
